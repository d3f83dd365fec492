//! Acting by itself is earned: whoever activates a playbook for that is asked for what the gate has measured, or for a
//! reason. Nothing is measured here; the classifier is asked.

use common::Mode;
use common::client::{ClassifierClient, PeerError};
use common::modes::{Bar, Standing};
use common::operate::Reason;
use common::playbook::ActivatePlaybook;
use common::{PlaybookName, Problem};

/// An activation may not be made as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEarned {
    /// The numbers do not allow it.
    #[error(
        "`{name}` may not act by itself yet: {0}; activate it with mode `suggest` or `shadow` meanwhile, or give an \
         `override_reason`",
        name = .0.playbook
    )]
    BelowBar(Box<Standing>),
    /// There is nothing to override.
    #[error("an `override_reason` goes with mode `auto` only; leave it out, or ask for `auto`")]
    NothingToOverride,
    /// The numbers are not known.
    #[error("whether `{0}` may act by itself is not known: {1}; try again, or give an `override_reason`")]
    Unknown(PlaybookName, String),
}

impl NotEarned {
    /// As of [`PublishError::code`](crate::publish::PublishError::code).
    pub(crate) const fn code(&self) -> Option<&'static str> {
        match self {
            Self::BelowBar(_) => Some("mode_not_earned"),
            Self::NothingToOverride => Some("override_without_auto"),
            Self::Unknown(..) => None,
        }
    }

    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::BelowBar(standing) => Problem::conflict("mode_not_earned", self).with("standing", standing),
            Self::NothingToOverride => Problem::unprocessable("override_without_auto", self),
            Self::Unknown(..) => {
                let status = http::StatusCode::SERVICE_UNAVAILABLE;
                let mut problem = Problem::new(status, "standing_unavailable", self);
                problem.retry_after_s = Some(5);
                problem
            }
        }
    }
}

/// What an activation asks for, as it is stored and audited.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Terms {
    pub(crate) mode: Option<Mode>,
    pub(crate) bar: Option<Bar>,
    pub(crate) override_reason: Option<Reason>,
    /// What had been measured, where that was asked for.
    pub(crate) standing: Option<Standing>,
}

/// Who knows what was measured.
#[derive(Clone)]
pub(crate) struct Earning(pub(crate) Option<ClassifierClient>);

impl Earning {
    /// The terms under which `name` is activated, where it may be.
    pub(crate) async fn terms(
        &self,
        name: &PlaybookName,
        wanted: &ActivatePlaybook,
    ) -> Result<Terms, NotEarned> {
        let mut terms = Terms {
            mode: wanted.mode,
            bar: wanted.bar,
            override_reason: wanted.override_reason.clone(),
            standing: None,
        };
        match (wanted.mode, &wanted.override_reason) {
            (Some(Mode::Auto), None) => {
                let standing = self.standing(name, wanted.bar.unwrap_or_default()).await?;
                if !standing.is_earned() {
                    return Err(NotEarned::BelowBar(Box::new(standing)));
                }
                terms.standing = Some(standing);
            }
            (Some(Mode::Auto), Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(NotEarned::NothingToOverride),
        }
        Ok(terms)
    }

    async fn standing(&self, name: &PlaybookName, bar: Bar) -> Result<Standing, NotEarned> {
        let unknown = |why: String| NotEarned::Unknown(name.clone(), why);
        let Some(classifier) = &self.0 else {
            return Err(unknown("CLASSIFIER_URL is not set".to_owned()));
        };
        let standing = classifier.standing(name, bar).await;
        let standing = standing.map_err(|error: PeerError| unknown(error.to_string()))?;
        // An answer to another question earns nothing.
        if standing.playbook == *name && standing.bar == bar {
            Ok(standing)
        } else {
            Err(unknown("the classifier answered another question".to_owned()))
        }
    }
}
