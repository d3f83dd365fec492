//! How the classifier tells tickets apart.

use std::sync::Arc;

use chassis::Reader;
use chassis::settings::{Environment, SettingsErrors};
use common::Service;
use connectors::openai::ChatSettings;
use triage::stated::ModelCalibration;

use super::model;
use crate::classify::LanguageModel;
use crate::embedded::Embedded;

/// A language model, and what its own number is worth.
#[derive(Debug, Clone)]
pub struct Model {
    /// Which, and where.
    pub chat: ChatSettings,
    /// What `firstline eval FILE --calibrate` found of it; `None`: nobody has measured.
    pub calibration: Option<Arc<ModelCalibration>>,
}

/// What the classifier reads of how it tells tickets apart, for whoever measures that without a fleet.
#[derive(Debug, Clone)]
pub struct Telling {
    /// `None`: no `OPENAI_API_KEY` is set.
    pub model: Option<Model>,
    /// `CONFIDENCE_THRESHOLD`.
    pub threshold: f64,
}

impl Telling {
    /// From the environment.
    ///
    /// # Errors
    /// Every bad setting.
    pub fn from_environment() -> Result<Self, SettingsErrors> {
        chassis::settings::part(Service::Classifier, &Environment, |from| {
            let (model, threshold) = (model(from), threshold(from));
            Some(Self {
                model: model?,
                threshold: threshold?,
            })
        })
    }
}

#[expect(
    clippy::option_option,
    reason = "bad and missing differ, and `?` should stop at bad only"
)]
pub(super) fn model(from: &mut Reader<'_>) -> Option<Option<Model>> {
    let chat = model::read(from);
    let file: Option<Option<String>> = from.optional(
        "MODEL_CALIBRATION_FILE",
        "what `firstline eval FILE --calibrate` found of the model; empty: its own number counts against automation alone",
    );
    let (chat, file) = (chat?, file?);
    let calibration = match (&chat, file) {
        (_, None) => None,
        (None, Some(_)) => {
            return from.reject(
                "MODEL_CALIBRATION_FILE is set, and OPENAI_API_KEY is not: there is no model that it is about",
            );
        }
        (Some(chat), Some(file)) => match calibration(&file, &chat.model) {
            Ok(calibration) => Some(Arc::new(calibration)),
            Err(why) => return from.reject(format!("MODEL_CALIBRATION_FILE: {why}")),
        },
    };
    Some(chat.map(|chat| Model { chat, calibration }))
}

fn calibration(file: &str, model: &str) -> Result<ModelCalibration, String> {
    let json = std::fs::read(file).map_err(|error| format!("cannot read `{file}`: {error}"))?;
    ModelCalibration::from_json(&json, model, LanguageModel::PROMPT_VERSION)
        .map_err(|error| format!("`{file}`: {error}"))
}

/// The embedded classifier, with a head of one's own where there is one.
pub(super) fn embedded(from: &mut Reader<'_>) -> Option<Embedded> {
    let file: Option<String> = from.optional(
        "EMBEDDED_HEAD_FILE",
        "what `firstline eval train` wrote, for the embedded classifier; empty: the head of this release",
    )?;
    let Some(file) = file else {
        return Some(Embedded::shipped());
    };
    let head = std::fs::read(&file).map_err(|error| format!("cannot read `{file}`: {error}"));
    match head.and_then(|bytes| Embedded::with_head(&bytes).map_err(|error| format!("`{file}`: {error}"))) {
        Ok(embedded) => Some(embedded),
        Err(why) => from.reject(format!("EMBEDDED_HEAD_FILE: {why}")),
    }
}

pub(super) fn threshold(from: &mut Reader<'_>) -> Option<f64> {
    let threshold = from.or(
        "CONFIDENCE_THRESHOLD",
        0.85,
        "confidence below which a ticket goes to a person, 0 to 1, where none was measured",
    )?;
    if (0.0..=1.0).contains(&threshold) {
        Some(threshold)
    } else {
        from.reject(format!(
            "CONFIDENCE_THRESHOLD is `{threshold}`, not between 0 and 1"
        ))
    }
}
