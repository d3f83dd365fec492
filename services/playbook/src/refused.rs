//! What somebody who may publish and activate asked for and did not get: on record before it is answered. They are known,
//! and each attempt is one row; what strangers try is counted at the door.

use std::collections::BTreeSet;

use chassis::AuditEvent;
use common::Digest;
use serde_json::{Value, json};

use crate::publish::{Library, PublishError};

/// Codes of findings in one row: what one document lacks may be one thing a thousand times.
const MOST_CODES: usize = 20;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt<'a> {
    /// To publish this document.
    Publish(&'a str),
    /// To activate a version of the playbook of this name.
    Activate(&'a str, &'a str),
    /// To make no version of it active.
    Deactivate(&'a str),
}

impl Attempt<'_> {
    /// The document by its digest: it may be anything.
    fn detail(self) -> Value {
        match self {
            Self::Publish(source) => json!({"verb": "publish", "digest": Digest::of(source)}),
            Self::Activate(id, version) => {
                json!({"verb": "activate", "playbook": short(id), "version": short(version)})
            }
            Self::Deactivate(id) => json!({"verb": "deactivate", "playbook": short(id)}),
        }
    }
}

/// A name or a version is no longer, and this one may be anything.
fn short(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control()).take(64).collect()
}

impl Library {
    /// What became of `attempt`, and where that is a refusal, once it is on record.
    pub(crate) async fn on_record<T>(
        &self,
        attempt: Attempt<'_>,
        actor: &str,
        done: Result<T, PublishError>,
    ) -> Result<T, PublishError> {
        if let Err(refused) = &done
            && let Some(code) = refused.code()
        {
            let mut detail = attempt.detail();
            detail["code"] = code.into();
            let named = match refused {
                PublishError::OtherContent(playbook) | PublishError::Planned(playbook, _) => Some(playbook),
                _ => None,
            };
            if let Some(named) = named {
                detail["playbook"] = named.name.as_str().into();
                detail["version"] = named.version.as_str().into();
            }
            if let PublishError::Findings(findings) = refused {
                let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
                detail["findings"] = codes.into_iter().take(MOST_CODES).collect();
            }
            let event = AuditEvent::new("playbook.refused", detail).actor(actor);
            self.store().note(&event).await?;
        }
        done
    }
}

impl PublishError {
    /// Stable: of problems and the audit. `None` where it is no refusal: the same may be taken in a moment.
    pub(crate) const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Findings(_) => Some("playbook_findings"),
            Self::OtherContent(_) => Some("playbook_version_published"),
            Self::Planned(..) => Some("playbook_planned"),
            Self::NoPlaybook(_) => Some("playbook_not_found"),
            Self::NoVersion(..) => Some("playbook_version_not_found"),
            Self::NoActiveVersion(_) => Some("playbook_not_active"),
            Self::NotEarned(why) => why.code(),
            Self::Store(_) => None,
        }
    }
}
