//! What a language model's own number is worth: a map from what it says of itself to how often it is right, and from how sure on
//! each kind may be automated. Both come from labelled tickets, and hold for the model and the prompt that were asked.
//!
//! A model writes its confidence as it writes everything else: 0.95 is a turn of phrase. What it keeps is an order, mostly; so
//! one temperature maps it, which changes how sure an answer is and never which of two is surer. For that reason thresholds that
//! are chosen by ranks ([`crate::threshold`]) may be chosen on the very tickets that the temperature was fitted to. It only ever
//! takes sureness away: a model that was right each time is not surer of the next ticket than it says.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::calibration::Temperature;
use crate::head::Source;
use crate::learn::NEEDED;
use crate::threshold::{NEVER, Risk, Scored, Threshold, ThresholdError, choose};
use crate::{Kind, labelled};

/// Nobody is surer than this, nor less sure than its complement: a certainty would outweigh everything else.
const SUREST: f64 = 0.999;
/// Numbers are kept to this step, so that a file gives back the very same.
const STEPS: f64 = 1e6;
/// What the file says it is.
const FORM: &str = "firstline model calibration 1";

/// What a model said of a labelled ticket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answered {
    /// What it called it; not asked of those that it called none of the kinds.
    pub said: Kind,
    /// How sure it called itself, 0 to 1.
    pub stated: f64,
    /// What the ticket is.
    pub truth: Kind,
    /// Whether a machine may do it.
    pub fit: bool,
    /// Whether nothing but its sureness stands in the way: no objection, no veto, and it is the requester's own.
    pub open: bool,
}

/// Who was asked, and on what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// By which name it was asked for.
    pub model: String,
    /// By which names it answered: a vendor puts another model behind the same name.
    pub answered_by: BTreeSet<String>,
    /// What it was asked with.
    pub prompt_version: String,
    /// The labelled tickets.
    pub tickets: Source,
}

/// The map and the thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCalibration {
    form: String,
    asked: Asked,
    /// How many answers it was fitted to.
    answers: usize,
    temperature: Temperature,
    thresholds: BTreeMap<Kind, Threshold>,
}

/// Why nothing was fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// It would be a guess.
    #[error(
        "{0} tickets that the model called one of the kinds are too few to find out what its confidence is worth: give at least \
         {NEEDED}"
    )]
    TooFew(usize),
    /// The thresholds could not be chosen.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
}

/// Why a file is no calibration for whoever is asked.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Something else, of a later version, or changed by hand.
    #[error(
        "it is no calibration that this version reads; make one with `firstline eval FILE --classifier openai --calibrate OUT`"
    )]
    Foreign(#[source] Option<serde_json::Error>),
    /// Of another model.
    #[error(
        "it is for the model `{of}`, and `{asked}` is asked: make one for that with `firstline eval FILE --calibrate OUT`"
    )]
    OtherModel {
        /// Whose it is.
        of: String,
        /// Who is asked.
        asked: String,
    },
    /// Of another prompt.
    #[error(
        "it was made with {of}, and this release asks with {asked}: make it again with `firstline eval FILE --calibrate OUT`"
    )]
    OtherPrompt {
        /// What was asked then.
        of: String,
        /// What is asked now.
        asked: String,
    },
}

impl ModelCalibration {
    /// Fit it to what was answered.
    ///
    /// # Errors
    /// There is too little of it, or a number is none.
    pub fn fit(asked: Asked, answered: &[Answered], risk: Risk) -> Result<Self, CalibrateError> {
        if answered.len() < NEEDED {
            return Err(CalibrateError::TooFew(answered.len()));
        }
        let held_out: Vec<(Vec<f32>, usize)> = answered
            .iter()
            .map(|answer| (scores(answer.stated), usize::from(answer.said != answer.truth)))
            .collect();
        let temperature = Temperature::fit(&held_out).at_least(Temperature::NEUTRAL);
        let mut thresholds = BTreeMap::new();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Other) {
            let scored: Vec<Scored> = answered
                .iter()
                .filter(|answer| answer.said == kind && answer.open)
                .map(|answer| Scored {
                    score: probability(temperature, answer.stated),
                    correct: answer.truth == kind && answer.fit,
                })
                .collect();
            let threshold = choose(&scored, risk.of(kind), &asked.tickets.digest)?;
            thresholds.insert(kind, threshold);
        }
        Ok(Self {
            form: FORM.to_owned(),
            asked,
            answers: answered.len(),
            temperature,
            thresholds,
        })
    }

    /// As [`ModelCalibration::to_json`] wrote it, for whoever is asked.
    ///
    /// # Errors
    /// It is none, or of another model or prompt.
    pub fn from_json(json: &[u8], model: &str, prompt_version: &str) -> Result<Self, Unfit> {
        let read: Self = serde_json::from_slice(json).map_err(|error| Unfit::Foreign(Some(error)))?;
        let sound = |threshold: &Threshold| (0.0..=NEVER).contains(&threshold.score);
        if read.form != FORM || !read.thresholds.values().all(sound) {
            return Err(Unfit::Foreign(None));
        }
        if read.asked.model != model {
            return Err(Unfit::OtherModel {
                of: read.asked.model,
                asked: model.to_owned(),
            });
        }
        if read.asked.prompt_version != prompt_version {
            return Err(Unfit::OtherPrompt {
                of: read.asked.prompt_version,
                asked: prompt_version.to_owned(),
            });
        }
        Ok(read)
    }

    /// As a file holds it.
    pub fn to_json(&self) -> String {
        // Plain data: numbers, strings, a map by names.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Whether it speaks of the model that has answered.
    pub fn covers(&self, answered_by: &str) -> bool {
        self.asked.answered_by.contains(answered_by)
    }

    /// How often whoever states this is right.
    pub fn probability(&self, stated: f64) -> f64 {
        probability(self.temperature, stated)
    }

    /// From how sure on a ticket of `kind` may go to the automation; [`NEVER`] where nothing carries it.
    pub fn threshold(&self, kind: Kind) -> f64 {
        self.thresholds
            .get(&kind)
            .map_or(NEVER, |threshold| threshold.score)
    }

    /// What each kind's tickets carry.
    pub fn thresholds(&self) -> &BTreeMap<Kind, Threshold> {
        &self.thresholds
    }

    /// How many answers it was fitted to.
    pub fn answers(&self) -> usize {
        self.answers
    }
}

/// The digest of labelled tickets, as a calibration carries it.
pub fn source(tickets: &[labelled::Labelled]) -> Source {
    Source {
        digest: labelled::digest(tickets),
        tickets: tickets.len(),
    }
}

/// For being right and for being wrong. What is no number speaks for neither.
fn scores(stated: f64) -> Vec<f32> {
    let stated = if stated.is_finite() { stated } else { 0.5 };
    let stated = stated.clamp(1.0 - SUREST, SUREST);
    #[expect(clippy::cast_possible_truncation, reason = "between -7 and 7")]
    let right = (stated / (1.0 - stated)).ln() as f32;
    vec![right, 0.0]
}

fn probability(temperature: Temperature, stated: f64) -> f64 {
    let right = temperature.probabilities(&scores(stated));
    let right = right.first().copied().unwrap_or(0.0);
    // A probability is below one, and nothing that is measured is a certainty.
    ((right * STEPS).round() / STEPS).min(NEVER - 1.0 / STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RISK: Risk = Risk {
        alpha: 0.1,
        delta: 0.05,
    };

    fn asked() -> Asked {
        Asked {
            model: "m".to_owned(),
            answered_by: ["m-2026".to_owned()].into(),
            prompt_version: "prompt/3".to_owned(),
            tickets: Source {
                digest: "d".to_owned(),
                tickets: 400,
            },
        }
    }

    /// Always as sure, and right for as many of every ten.
    fn answers(count: usize, stated: f64, right_of_ten: usize) -> Vec<Answered> {
        (0..count)
            .map(|at| Answered {
                said: Kind::Printer,
                stated,
                truth: if at % 10 < right_of_ten {
                    Kind::Printer
                } else {
                    Kind::Other
                },
                fit: true,
                open: true,
            })
            .collect()
    }

    fn fitted(answers: &[Answered]) -> ModelCalibration {
        ModelCalibration::fit(asked(), answers, RISK).unwrap()
    }

    #[test]
    fn a_model_that_boasts_is_taken_at_what_it_is_worth() {
        let calibration = fitted(&answers(200, 0.98, 7));
        assert!((calibration.probability(0.98) - 0.7).abs() < 1e-3);
        assert!(calibration.probability(0.9) < calibration.probability(0.98));
        assert!(
            (calibration.threshold(Kind::Printer) - NEVER).abs() < f64::EPSILON,
            "three in ten are wrong"
        );
    }

    #[test]
    fn a_kind_is_automated_from_where_the_bound_holds_and_others_never() {
        let calibration = fitted(&answers(200, 0.97, 10));
        let threshold = calibration.threshold(Kind::Printer);
        assert!(threshold < NEVER && calibration.probability(0.97) >= threshold);
        assert!(calibration.probability(0.9) < threshold, "nobody has seen those");
        for kind in [Kind::PasswordReset, Kind::EmailIssue, Kind::Other] {
            assert!(calibration.threshold(kind) >= NEVER, "{kind}");
        }
        // What something else stands against, or no machine may do, carries nothing.
        for spoil in [
            (|answer: &mut Answered| answer.open = false) as fn(&mut Answered),
            |answer| answer.fit = false,
        ] {
            let mut answers = answers(200, 0.97, 10);
            answers.iter_mut().for_each(spoil);
            assert!(fitted(&answers).threshold(Kind::Printer) >= NEVER);
        }
    }

    #[test]
    fn it_comes_back_from_its_file_as_it_was_for_the_same_model_and_prompt_alone() {
        let calibration = fitted(&answers(200, 0.97, 10));
        let json = calibration.to_json();
        let read = |model, prompt| ModelCalibration::from_json(json.as_bytes(), model, prompt);
        assert_eq!(read("m", "prompt/3").unwrap(), calibration);
        assert!(read("m", "prompt/3").unwrap().covers("m-2026"));
        assert!(!calibration.covers("m-2027"));
        assert!(matches!(read("n", "prompt/3"), Err(Unfit::OtherModel { .. })));
        assert!(matches!(read("m", "prompt/4"), Err(Unfit::OtherPrompt { .. })));
        let torn = &json.as_bytes()[..json.len() / 2];
        let later = json.replace("calibration 1", "calibration 2");
        let generous = json.replace("\"score\": 0.", "\"score\": -0.");
        for bad in [torn, b"", later.as_bytes(), generous.as_bytes()] {
            let read = ModelCalibration::from_json(bad, "m", "prompt/3");
            assert!(matches!(read, Err(Unfit::Foreign(_))), "{read:?}");
        }
    }

    #[test]
    fn a_handful_of_answers_teaches_nothing() {
        let few = ModelCalibration::fit(asked(), &answers(NEEDED - 1, 0.9, 10), RISK);
        assert_eq!(few, Err(CalibrateError::TooFew(NEEDED - 1)));
    }

    #[test]
    fn no_number_is_a_certainty_and_what_is_none_is_a_coin() {
        let calibration = fitted(&answers(200, 0.999, 10));
        assert!(calibration.probability(1.0) < NEVER);
        assert!(calibration.probability(0.0) > 0.0);
        assert!((calibration.probability(f64::NAN) - 0.5).abs() < 1e-9);
    }
}
