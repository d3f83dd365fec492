//! What a classifier answers, and the two that answer it: a language model, or the embedded one.
//!
//! A classifier only weighs text. It names no person, no target and no value.

mod care;
mod model;
mod second;

use std::sync::LazyLock;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use triage::Letter;

use crate::embedded;
pub use crate::embedded::Embedded;
pub use care::{Refusal, refusal};
pub use model::LanguageModel;
pub use second::Seconded;

/// A category that an active playbook stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// `REQUEST`, ...
    pub category: String,
    /// `PASSWORD_RESET`, ...
    pub sub_category: Option<String>,
    /// The playbook's description.
    pub description: String,
    /// The playbook's examples.
    pub examples: Vec<String>,
    /// Whether a playbook that stands for it acts where proof of identity is asked for.
    pub privileged: bool,
}

impl Category {
    /// Whether a mistake here is a breach: by what its playbooks do, or by what it is.
    pub fn is_privileged(&self) -> bool {
        self.privileged || embedded::kind_of(self).is_some_and(triage::Kind::is_privileged)
    }
}

/// What a requester wrote. Untrusted.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// Subject line.
    pub summary: &'a str,
    /// Opening text.
    pub details: &'a str,
}

/// Whom the request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The one who asks, or nobody in particular.
    Requester,
    /// Somebody else: a colleague, a new starter.
    SomebodyElse,
    /// It does not become clear.
    Unclear,
}

/// A classifier's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// Index into the categories; `None` where none fits.
    pub choice: Option<usize>,
    /// 0 to 1: of the choice, or of there being none.
    pub confidence: f64,
    /// From how sure on the choice may be automated, where that was measured; else the setting says.
    pub threshold: Option<f64>,
    /// How much speaks for each category, 0 to 1, in their order; empty where the classifier does not say.
    pub scores: Vec<f64>,
    /// Whom the request is for.
    pub about: About,
    /// What no confidence outweighs.
    pub refusal: Option<Refusal>,
    /// One sentence of why; untrusted where a model wrote it.
    pub reasoning: String,
    /// Which classifier answered.
    pub model: String,
    /// Version of its prompt or data.
    pub prompt_version: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClassifyError {
    /// It could not be asked. Asking again later may help.
    #[error("the classifier is away")]
    Away(#[source] connectors::CallError),
    /// It answered, and not as agreed: no JSON, another schema, an alias never offered. Asking again may help.
    #[error("the classifier's answer is malformed: {0}")]
    Malformed(String),
    /// It will not answer this ticket: declined, filtered, cut off. Asking again brings the same.
    #[error("the classifier does not answer: {0}")]
    Declined(String),
}

/// Somebody who can tell what a ticket asks for.
pub trait Classify: Send + Sync {
    /// Choose one of `categories` for `text`, or none.
    fn classify<'a>(
        &'a self,
        text: Text<'a>,
        categories: &'a [Category],
    ) -> BoxFuture<'a, Result<Classification, ClassifyError>>;
}

impl Classify for Embedded {
    fn classify<'a>(
        &'a self,
        text: Text<'a>,
        categories: &'a [Category],
    ) -> BoxFuture<'a, Result<Classification, ClassifyError>> {
        async move {
            let (letter, reading) = weighed(self, text, categories).await?;
            let said = Classification {
                choice: reading.choice,
                confidence: reading.confidence,
                threshold: reading.threshold,
                scores: reading.scores,
                about: reading.about,
                refusal: None,
                reasoning: reading.reasoning,
                model: embedded::MODEL.to_owned(),
                prompt_version: self.version().to_owned(),
            };
            Ok(care::taken(said, &letter, categories))
        }
        .boxed()
    }
}

/// A text as its writer meant it, and what the embedded classifier makes of it, beside the threads that serve requests.
async fn weighed(
    embedded: &Embedded,
    text: Text<'_>,
    categories: &[Category],
) -> Result<(Letter, embedded::Reading), ClassifyError> {
    let embedded = embedded.clone();
    let (summary, details) = (text.summary.to_owned(), text.details.to_owned());
    let categories = categories.to_vec();
    blocking(move || {
        let text = Text {
            summary: &summary,
            details: &details,
        };
        let letter = triage::letter::read(text.summary, text.details);
        let reading = embedded.read_letter(&letter, &categories);
        (letter, reading)
    })
    .await
}

/// As many texts at once as there are processors: weighing one keeps a processor busy, and more at once would only make all wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ClassifyError> {
    static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
        Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    });
    let _place = PLACES.acquire().await;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ClassifyError::Declined(error.to_string()))
}
