//! How the classifier tells tickets apart.

use chassis::Reader;
use chassis::settings::{Environment, SettingsErrors};
use common::Service;
use connectors::openai::ChatSettings;

use super::model;
use crate::embedded::Embedded;

/// What the classifier reads of how it tells tickets apart, for whoever measures that without a fleet.
#[derive(Debug, Clone)]
pub struct Telling {
    /// `None`: no `OPENAI_API_KEY` is set.
    pub model: Option<ChatSettings>,
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
            let (model, threshold) = (model::read(from), threshold(from));
            Some(Self {
                model: model?,
                threshold: threshold?,
            })
        })
    }
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
