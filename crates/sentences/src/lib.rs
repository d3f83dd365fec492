//! What a sentence means, as a direction: texts that say the same in other words point the same way.
//!
//! Runs a sentence transformer (BERT with mean pooling, as `all-MiniLM-L6-v2`) in pure Rust on the processor. No network, no file,
//! no clock: whoever uses it hands in the model and its vocabulary. A crate of its own, so that only those who classify build the
//! engine that runs the model.

mod narrow;
mod wordpiece;

use std::io::Cursor;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use wordpiece::WordPiece;

pub use wordpiece::NotAVocabulary;

/// Longest text, in pieces of words: about eighty words. What is wanted stands in the first lines, and time grows with length.
pub const LONGEST: usize = 112;

/// A sentence transformer, ready to run. Cheap to share, safe to use from many threads.
#[derive(Debug)]
pub struct Sentences {
    pieces: WordPiece,
    plan: Arc<TypedRunnableModel>,
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The model cannot be run.
    #[error("the model is none that can be run: {0}")]
    Model(String),
    /// The vocabulary is not one.
    #[error(transparent)]
    Vocabulary(#[from] NotAVocabulary),
}

/// Why a text has no direction: the model does not do what it was loaded for.
#[derive(Debug, thiserror::Error)]
#[error("the sentence model failed: {0}")]
pub struct EmbedError(String);

impl Sentences {
    /// From an ONNX file with the inputs `input_ids`, `attention_mask`, `token_type_ids` (`i64`, one row) and the output
    /// `last_hidden_state`, and from its `vocab.txt`, a piece a line.
    ///
    /// # Errors
    /// One of them is not what it should be.
    pub fn load(onnx: &[u8], vocabulary: &str) -> Result<Self, LoadError> {
        let pieces = WordPiece::read(vocabulary)?;
        let plan = plan(onnx).map_err(|error| LoadError::Model(error.to_string()))?;
        Ok(Self { pieces, plan })
    }

    /// The direction of `text`: a vector of length one. The same text, the same vector.
    ///
    /// # Errors
    /// The model fails; no text makes it.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let ids = self.pieces.ids(text, LONGEST);
        self.run(ids).map_err(|error| EmbedError(error.to_string()))
    }

    fn run(&self, ids: Vec<i64>) -> TractResult<Vec<f32>> {
        let length = ids.len();
        let row = |values: Vec<i64>| -> TractResult<TValue> {
            Ok(tract_ndarray::Array2::from_shape_vec((1, length), values)?
                .into_tensor()
                .into())
        };
        let inputs = tvec!(row(ids)?, row(vec![1; length])?, row(vec![0; length])?);
        let outputs = self.plan.run(inputs)?;
        let hidden = outputs.first().ok_or_else(|| TractError::msg("no output"))?;
        let hidden = hidden.to_plain_array_view::<f32>()?;
        let width = hidden.shape().last().copied().unwrap_or_default();
        let mut mean = vec![0.0_f32; width];
        for (at, value) in hidden.iter().enumerate() {
            if let Some(sum) = mean.get_mut(at % width.max(1)) {
                *sum += value;
            }
        }
        let norm = mean.iter().map(|part| part * part).sum::<f32>().sqrt();
        for part in &mut mean {
            *part /= norm.max(f32::MIN_POSITIVE);
        }
        Ok(mean)
    }
}

fn plan(onnx: &[u8]) -> TractResult<Arc<TypedRunnableModel>> {
    let mut file = tract_onnx::onnx().proto_model_for_read(&mut Cursor::new(onnx))?;
    file.graph.iter_mut().for_each(narrow::look_up_narrow);
    plan_of(file)
}

/// The file is let go of before the plan is optimised: that takes memory of its own.
fn plan_of(file: ModelProto) -> TractResult<Arc<TypedRunnableModel>> {
    // Its shapes are written with names of its exporter's; ours has one row, and as many columns as a text has pieces.
    let mut model = onnx()
        .with_ignore_output_shapes(true)
        .with_ignore_value_info(true)
        .model_for_proto_model(&file)?;
    drop(file);
    let length = model.symbols.sym("length");
    for input in 0..3 {
        let shape = InferenceFact::dt_shape(i64::datum_type(), tvec!(1.to_dim(), length.to_dim()));
        model.set_input_fact(input, shape)?;
    }
    model.into_optimized()?.into_runnable()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONNX: &[u8] = include_bytes!("../../../services/classifier/models/minilm.onnx");
    const VOCABULARY: &str = include_str!("../../../services/classifier/models/minilm.vocab.txt");

    fn sentences() -> Sentences {
        Sentences::load(ONNX, VOCABULARY).unwrap()
    }

    fn likeness(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_that_say_the_same_point_the_same_way() {
        let sentences = sentences();
        let embed = |text| sentences.embed(text).unwrap();
        let forgot = embed("I forgot my password and cannot log in");
        assert_eq!(forgot.len(), 384);
        assert!((likeness(&forgot, &forgot) - 1.0).abs() < 1e-5);
        assert_eq!(forgot, embed("I forgot my password and cannot log in"));
        let alike = likeness(
            &forgot,
            &embed("my credentials are not accepted, please give me new ones"),
        );
        let unlike = likeness(&forgot, &embed("the printer on the second floor is out of toner"));
        assert!(alike > unlike + 0.2, "{alike} {unlike}");
    }

    /// Components by ONNX Runtime on the same file.
    #[test]
    fn a_direction_is_the_one_that_the_reference_computes() {
        let direction = sentences()
            .embed("I forgot my password and cannot log in")
            .unwrap();
        for (ours, theirs) in direction.iter().zip([
            -0.014_714_71,
            0.004_630_35,
            -0.027_902_23,
            -0.003_036_46,
            0.010_243_91,
            0.074_107_22_f32,
        ]) {
            assert!((ours - theirs).abs() < 0.01, "{ours} {theirs}");
        }
    }

    #[test]
    fn tables_that_stay_bytes_give_the_same_numbers() {
        let wide = onnx().proto_model_for_read(&mut Cursor::new(ONNX)).unwrap();
        let read_from = |file: &ModelProto| -> Vec<String> {
            let nodes = file.graph.iter().flat_map(|graph| &graph.node);
            let gathers = nodes.filter(|node| node.op_type == "Gather");
            gathers.filter_map(|node| node.input.first().cloned()).collect()
        };
        let words = "inner.embeddings.word_embeddings.weight";
        assert!(read_from(&wide).contains(&words.to_owned()));
        let mut narrow = wide.clone();
        narrow.graph.iter_mut().for_each(narrow::look_up_narrow);
        let looked_up = read_from(&narrow);
        assert!(looked_up.contains(&format!("{words}_q")) && !looked_up.contains(&words.to_owned()));

        let narrow = sentences();
        let wide = Sentences {
            plan: plan_of(wide).unwrap(),
            pieces: WordPiece::read(VOCABULARY).unwrap(),
        };
        for text in [
            "I forgot my password",
            "",
            "VPN drops every few minutes, see ticket 4242",
        ] {
            assert_eq!(narrow.embed(text).unwrap(), wide.embed(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn nothing_and_too_much_have_a_direction_too() {
        let sentences = sentences();
        assert!(sentences.embed("").unwrap().iter().all(|part| part.is_finite()));
        assert!(
            sentences
                .embed(&"pass word ".repeat(10_000))
                .unwrap()
                .iter()
                .all(|part| part.is_finite())
        );
    }

    #[test]
    fn what_is_no_model_is_refused() {
        assert!(matches!(
            Sentences::load(b"no model", "[UNK]\n[CLS]\n[SEP]"),
            Err(LoadError::Model(_))
        ));
        assert!(matches!(Sentences::load(b"", ""), Err(LoadError::Vocabulary(_))));
    }
}
