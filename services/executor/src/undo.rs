//! `executor.delete_pass`: take back what one visit of `executor.reset_password` did, and nothing else.
//!
//! It needs no permit: it deletes only what the ledger says this execution made, for this ticket and this person. The
//! undo is in the ledger before the directory is asked, and from then on the visit can make nothing any more. It is done
//! however late it is asked for: a pass that should not be there is better gone late than never.

use chassis::Shell;
use common::clock;
use common::{ActionName, Outcome, StepId, StepRequest, StepResult, TenantId};
use connectors::entra::Entra;
use serde::Deserialize;

use crate::leftovers;
use crate::refusal::UndoError;
use crate::store::{Store, Target, Undo, UndoMandate, Undone, VisitKey};

pub(crate) const ACTION: &str = "executor.delete_pass";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    step: StepId,
    visit: u32,
}

/// Deletes passes that should not be there any more. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PassDeletion {
    action: ActionName,
    tenant: TenantId,
    store: Store,
    entra: Entra,
}

impl PassDeletion {
    pub(crate) fn new(shell: &Shell, store: Store, entra: Entra) -> Self {
        Self {
            action: ACTION.parse().expect("built from a literal"),
            tenant: shell.tenant().clone(),
            store,
            entra,
        }
    }

    /// Undo it, or find out that it was undone. Refusals are in the audit before they are answered.
    pub(crate) async fn perform(&self, request: &StepRequest) -> Result<StepResult, UndoError> {
        let answer = self.answer(request).await;
        if let Err(error) = &answer
            && let Some(code) = error.audited()
        {
            tracing::warn!(execution.id = %request.execution_id, code, "refused to undo an effect");
            self.store.refused(request, "effect.refused", code).await?;
        }
        answer
    }

    async fn answer(&self, request: &StepRequest) -> Result<StepResult, UndoError> {
        let undone = self.undone(request)?;
        let mandate = match self.store.take_up_undo(request, undone, clock::now()).await? {
            Undo::Ended(result) => return Ok(result),
            Undo::Other => return Err(UndoError::OtherEffect),
            Undo::UnderWay => return Err(UndoError::UnderWay),
            Undo::Mine(mandate) => mandate,
        };
        // No heartbeat: whoever takes over after the lease deletes the same passes by their ids, which harms nobody.
        match self.undo(request, mandate.target()).await {
            Ok(undone) => self.end(request, &mandate, undone).await,
            Err(error) => {
                self.store.release_undo(request, mandate).await?;
                Err(error)
            }
        }
    }

    /// The request is ours, and well formed; which visit of which step it is about.
    fn undone(&self, request: &StepRequest) -> Result<VisitKey, UndoError> {
        if request.tenant_id != self.tenant || request.subject.tenant_id != self.tenant {
            return Err(UndoError::Misdirected("tenant"));
        }
        if request.action != self.action {
            return Err(UndoError::Misdirected("action"));
        }
        let Parameters { step, visit } = serde_json::from_value(request.parameters.clone().into())
            .map_err(|error| UndoError::Parameters(error.to_string()))?;
        if request.step.id.as_str() != format!("{step}.undo") {
            return Err(UndoError::Misdirected("step"));
        }
        match i32::try_from(visit) {
            Ok(visit) if visit > 0 => Ok(VisitKey { step, visit }),
            _ => Err(UndoError::Parameters(format!("there is no visit `{visit}`"))),
        }
    }

    async fn undo(&self, request: &StepRequest, target: &Target) -> Result<Undone, UndoError> {
        let (deleted, explanation) = match target {
            Target::Nothing => (
                Vec::new(),
                "There was nothing to undo: the step had made no pass.".to_owned(),
            ),
            // What it could not take back itself, it has said.
            Target::Failed => (
                Vec::new(),
                "There was nothing to undo: the step had failed, and handed on no pass.".to_owned(),
            ),
            Target::Made { pass, name, .. } => {
                self.entra.delete_pass(&request.subject.user_id, pass).await?;
                (
                    vec![pass.clone()],
                    format!("The Temporary Access Pass for {name} was deleted."),
                )
            }
            Target::Open(mandate) => {
                tracing::info!(
                    execution.id = %request.execution_id, effect.id = %mandate.effect(), "withdrawing an open intent"
                );
                let deleted = leftovers::delete(&self.store, &self.entra, mandate).await?;
                let explanation = if deleted.is_empty() {
                    "The reset was withdrawn before it was complete; it had left no pass."
                } else {
                    "The reset was withdrawn before it was complete, and the pass it had left was deleted."
                };
                (deleted, explanation.to_owned())
            }
        };
        let result = StepResult::new(Outcome::Success, explanation);
        Ok(Undone { deleted, result })
    }

    async fn end(
        &self,
        request: &StepRequest,
        mandate: &UndoMandate,
        undone: Undone,
    ) -> Result<StepResult, UndoError> {
        let now = clock::now();
        if !self.store.finish_undo(request, mandate, &undone, now).await? {
            return Err(UndoError::UnderWay);
        }
        metrics::counter!("firstline_effects_total", "action" => ACTION, "outcome" => "success").increment(1);
        Ok(undone.result)
    }
}
