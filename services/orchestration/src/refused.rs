//! What other services tell us and we do not take: on record before it is answered, since nothing of ours does it by
//! mistake.

use chassis::AuditEvent;
use common::{ExecutePlaybook, ExecutionId, Service, Signal};
use serde_json::json;

use crate::accept::{ExecuteError, Intake};
use crate::store::SignalRefused;

impl Intake {
    /// Hear what `sender` has to tell of an operation of execution `id`.
    pub(crate) async fn hear(
        &self,
        id: ExecutionId,
        signal: &Signal,
        sender: Service,
    ) -> Result<(), SignalRefused> {
        let heard = if &signal.tenant_id == self.store.tenant() {
            self.runner.hear(id, signal, sender.name()).await
        } else {
            Err(SignalRefused::WrongTenant(signal.tenant_id.clone()))
        };
        if let Err(refused) = &heard
            && let Some(code) = refused.code()
        {
            let detail = json!({
                "code": code, "execution": id, "operation": signal.operation, "step": signal.step,
                "outcome": signal.result.outcome,
            });
            let event = AuditEvent::new("signal.refused", detail).actor(format!("service:{}", sender.name()));
            // Into the chain of an execution only where there is one, and it is ours.
            let event = match refused {
                SignalRefused::Foreign(_) => event.execution(id),
                _ => event,
            };
            self.store.note(&event).await?;
        }
        heard
    }

    /// This fleet's, or refused.
    pub(crate) fn must_be_ours(&self, request: &ExecutePlaybook) -> Result<(), ExecuteError> {
        let named = [&request.tenant_id, &request.subject.tenant_id];
        let foreign = named.into_iter().find(|tenant| *tenant != self.store.tenant());
        foreign.map_or(Ok(()), |foreign| Err(ExecuteError::WrongTenant(foreign.clone())))
    }

    /// Put on record that `request` was not accepted.
    pub(crate) async fn refused(
        &self,
        request: &ExecutePlaybook,
        refused: &ExecuteError,
    ) -> Result<(), ExecuteError> {
        let Some(code) = refused.code() else {
            return Ok(());
        };
        let playbook = &request.playbook;
        let mut detail = json!({
            "code": code, "decision": request.decision_id, "playbook": playbook.name, "version": playbook.version,
            "digest": playbook.digest,
        });
        let told = match refused {
            // The ticket is somebody else's, whatever its number: it is told of, and not linked to ours.
            ExecuteError::WrongTenant(foreign) => {
                vec![("tenant", json!(foreign)), ("ticket", json!(request.ticket_id))]
            }
            ExecuteError::Open(open) => vec![("open", json!(open))],
            _ => vec![],
        };
        if let Some(detail) = detail.as_object_mut() {
            detail.extend(told.into_iter().map(|(member, value)| (member.to_owned(), value)));
        }
        let event = AuditEvent::new("execution.refused", detail)
            .actor(format!("service:{}", Service::Classifier.name()));
        let event = match refused {
            ExecuteError::WrongTenant(_) => event,
            _ => event.ticket(&request.ticket_id),
        };
        Ok(self.store.note(&event).await?)
    }
}

impl ExecuteError {
    /// Stable: of problems and the audit. `None` where it is no refusal.
    pub(crate) const fn code(&self) -> Option<&'static str> {
        match self {
            Self::WrongTenant(_) => Some("wrong_tenant"),
            Self::Open(_) => Some("execution_open"),
            Self::UnknownPlaybook(_) => Some("playbook_unknown"),
            Self::OtherDocument(_) => Some("playbook_digest"),
            Self::Findings(_) => Some("playbook_findings"),
            Self::Inputs(_) => Some("playbook_inputs"),
            Self::PlaybookAway(_) | Self::Store(_) | Self::Begin(_) => None,
        }
    }
}

impl SignalRefused {
    /// Stable: of problems and the audit. `None` where it is no refusal.
    pub(crate) const fn code(&self) -> Option<&'static str> {
        match self {
            Self::WrongTenant(_) => Some("wrong_tenant"),
            Self::UnknownExecution(_) => Some("execution_not_found"),
            Self::Foreign(_) => Some("operation_foreign"),
            Self::Store(_) => None,
        }
    }
}
