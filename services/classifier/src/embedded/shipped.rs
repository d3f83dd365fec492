//! What comes with the release: the sentence model and the head, each loaded once in a process and shared.

use std::sync::LazyLock;

use sentences::Sentences;
use triage::Head;

use super::Embedded;

static ONNX: &[u8] = include_bytes!("../../models/minilm.onnx");
static VOCABULARY: &str = include_str!("../../models/minilm.vocab.txt");
static HEAD: &[u8] = include_bytes!("../../models/head.bin");

static SENTENCES: LazyLock<Option<Sentences>> = LazyLock::new(|| match Sentences::load(ONNX, VOCABULARY) {
    Ok(sentences) => Some(sentences),
    Err(error) => {
        // A matter of the build, which a test finds first. Words alone still tell most tickets, less surely.
        tracing::error!(error = %chassis::chain(&error), "the sentence model cannot be loaded; words alone decide");
        None
    }
});

static EMBEDDED: LazyLock<Embedded> = LazyLock::new(|| {
    let head = Head::from_bytes(HEAD);
    // Compiled in: a build with another one does not pass its tests.
    #[expect(
        clippy::panic,
        reason = "a release without its head cannot classify, and must not start"
    )]
    let head = head.unwrap_or_else(|error| panic!("the head of this release cannot be read: {error}"));
    Embedded::of(head, HEAD)
});

pub(super) fn embedded() -> Embedded {
    EMBEDDED.clone()
}

/// The direction of a text; `None` where the model fails. Loads the model where nobody has yet: half a second.
pub fn meaning_of(text: &str) -> Option<Vec<f32>> {
    let sentences = SENTENCES.as_ref()?;
    sentences
        .embed(text)
        .inspect_err(|error| tracing::error!(%error, "a ticket is classified by its words alone"))
        .ok()
}

/// Load everything now, so that the first ticket does not wait for it. Blocks for about half a second.
pub fn warm_up() {
    LazyLock::force(&EMBEDDED);
    LazyLock::force(&SENTENCES);
}
