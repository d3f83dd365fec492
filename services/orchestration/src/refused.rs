//! What other services tell us and we do not take: on record before it is answered, since nothing of ours does it by
//! mistake.

use chassis::AuditEvent;
use common::{ExecutePlaybook, ExecutionId, Service, Signal, TenantId};
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

    /// This fleet's, or refused and on record.
    pub(crate) async fn must_be_ours(&self, request: &ExecutePlaybook) -> Result<(), ExecuteError> {
        let ours = |tenant: &&TenantId| *tenant == self.store.tenant();
        let named = [&request.tenant_id, &request.subject.tenant_id];
        let Some(foreign) = named.into_iter().find(|tenant| !ours(tenant)) else {
            return Ok(());
        };
        // The ticket is somebody else's, whatever its number: it is told of, and not linked to ours.
        let detail = json!({
            "code": "wrong_tenant", "tenant": foreign, "ticket": request.ticket_id, "decision": request.decision_id,
        });
        let event = AuditEvent::new("execution.refused", detail)
            .actor(format!("service:{}", Service::Classifier.name()));
        self.store.note(&event).await?;
        Err(ExecuteError::WrongTenant(foreign.clone()))
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
