//! An agent has a suggestion carried out: everything is looked up and asked once more, as for a ticket that came this
//! minute. Only the mode does not count, for it is what the agent answers; our own note on the ticket never did.

use chassis::Refusal;
use common::clock;
use common::{Blocker, Mode};

use super::Gate;
use crate::facts::Objection;
use crate::gather::Dossier;
use crate::modes::approver::Approver;
use crate::modes::offer::Code;
use crate::modes::page::Page;
use crate::modes::verdict::{Source, of_approval};
use crate::store::{Approved, Judgement, Outcome, StoreError, Suggestion};

impl Gate {
    /// What is to be seen under this code. Changes nothing.
    pub(crate) async fn suggested(&self, code: &str, approver: &Approver) -> Result<Page, StoreError> {
        Ok(match self.open_suggestion(code).await? {
            Ok(suggestion) => Page::Offer {
                ticket: suggestion.ticket.to_string(),
                playbook: suggestion.playbook.name.to_string(),
                version: suggestion.playbook.version.to_string(),
                recorded: approver.told(),
            },
            Err(page) => {
                // Looking at what is over is no attempt; trying codes is.
                if page == Page::Unknown {
                    self.refused(&page);
                }
                page
            }
        })
    }

    /// The button was pressed.
    pub(crate) async fn approve(&self, code: &str, approver: &Approver) -> Result<Page, StoreError> {
        let suggestion = match self.open_suggestion(code).await? {
            Ok(suggestion) => suggestion,
            Err(page) => {
                self.refused(&page);
                return Ok(page);
            }
        };
        let heard = self.store.heard(&suggestion.ticket).await?;
        let dossier = match Box::pin(self.sources.gather(&suggestion.ticket, heard)).await {
            Ok(Some(dossier)) => dossier,
            Ok(None) => return Ok(Page::Unknown),
            Err(error) => {
                tracing::warn!(error = %chassis::chain(&error), "the help desk is away; nothing was approved");
                return Ok(Page::Away("the help desk".to_owned()));
            }
        };
        if let Some(gap) = dossier.gaps.first() {
            return Ok(Page::Away(gap.source.to_owned()));
        }
        let judgement = self.judged_anew(&suggestion, &dossier, None);
        if judgement.execution.is_none() {
            return self
                .refuse(&suggestion, approver, judgement.decision.blockers)
                .await;
        }
        let outcome = agreement(&suggestion, approver);
        match self
            .store
            .approve(&suggestion, &judgement, &outcome, approver)
            .await?
        {
            Approved::Now => {
                tracing::info!(ticket.id = %suggestion.ticket, "an agent approved a suggestion");
                Ok(Page::Started)
            }
            Approved::Not(objection) => {
                let judgement = self.judged_anew(&suggestion, &dossier, Some(&objection));
                self.refuse(&suggestion, approver, judgement.decision.blockers)
                    .await
            }
            Approved::InHand => Ok(Page::Away("the ticket".to_owned())),
            // Whoever was first, or the clock.
            Approved::TooLate => {
                let page = self.open_suggestion(code).await?.err().unwrap_or(Page::Used);
                self.refused(&page);
                Ok(page)
            }
        }
    }

    /// Nothing can be approved under the code that somebody holds. Codes are anybody's to try: they are counted.
    fn refused(&self, page: &Page) {
        let reason = match page {
            Page::Unknown => "unknown",
            Page::Used => "used",
            Page::Expired => "expired",
            _ => return,
        };
        self.shell.refusals().note(Refusal::Holder {
            kind: "suggestion.refused",
            reason,
        });
    }

    /// The suggestion that can be approved under this code, or why there is none.
    async fn open_suggestion(&self, code: &str) -> Result<Result<Suggestion, Page>, StoreError> {
        let Some(code) = Code::read(code) else {
            return Ok(Err(Page::Unknown));
        };
        let Some(suggestion) = self.store.suggestion_by_code(&code.digest()).await? else {
            return Ok(Err(Page::Unknown));
        };
        Ok(if suggestion.approved_at.is_some() {
            Err(Page::Used)
        } else if suggestion.expires_at <= clock::now() {
            Err(Page::Expired)
        } else {
            Ok(suggestion)
        })
    }

    /// The judgement of now under the decision of then. What was not suggested is not approved.
    fn judged_anew(
        &self,
        suggestion: &Suggestion,
        dossier: &Dossier,
        objection: Option<&Objection>,
    ) -> Judgement {
        let mut judgement = self.conclude(dossier, objection, Some(Mode::Auto), clock::now());
        if let Some(execution) = &mut judgement.execution {
            execution.decision_id = suggestion.decision;
            let same = execution.playbook == suggestion.playbook
                && suggestion.requester.as_ref() == Some(&execution.subject.user_id);
            if !same {
                judgement.execution = None;
                judgement.decision.blockers.push(outdated());
            }
        }
        judgement
    }

    async fn refuse(
        &self,
        suggestion: &Suggestion,
        approver: &Approver,
        against: Vec<Blocker>,
    ) -> Result<Page, StoreError> {
        self.store.not_approved(suggestion, &against, approver).await?;
        Ok(Page::Against(against))
    }
}

fn outdated() -> Blocker {
    Blocker {
        code: "suggestion_outdated".to_owned(),
        detail: "the playbook or the requester is not the one for whom it was suggested".to_owned(),
    }
}

fn agreement(suggestion: &Suggestion, approver: &Approver) -> Outcome {
    Outcome {
        ticket: suggestion.ticket.clone(),
        decision: suggestion.decision,
        playbook: suggestion.playbook.name.clone(),
        would_automate: true,
        source: Source::Approval,
        verdict: of_approval(),
        reason: approver.in_words(&suggestion.ticket),
        said_by: approver.person(),
    }
}
