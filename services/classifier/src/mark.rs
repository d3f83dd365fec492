//! Shows the gate's decision on the ticket: three custom fields and nothing else.

use std::sync::Arc;
use std::time::Duration;

use chassis::health::Readiness;
use common::{AutomationStatus, Decision, PlaybookRef};
use connectors::CallError;
use connectors::halopsa::{Halo, TicketRef};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::settings::FieldNames;

/// What `/readyz` calls it.
const READINESS: &str = "halopsa_fields";
/// First and longest pause while the tenant's fields cannot be read.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The decision does not show on the ticket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MarkError {
    /// The help desk is away, or refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The tenant has no such custom field.
    #[error("the help desk has no custom field `{0}`")]
    NoSuchField(String),
}

#[derive(Debug, Clone, Copy)]
struct Fields {
    status: i64,
    playbook: i64,
    confidence: i64,
}

#[derive(Clone)]
pub(crate) struct Marker {
    halo: Halo,
    names: FieldNames,
    fields: Arc<OnceCell<Fields>>,
}

impl Marker {
    pub(crate) fn new(halo: Halo, names: FieldNames) -> Self {
        Self {
            halo,
            names,
            fields: Arc::default(),
        }
    }

    /// Write the three fields. Safe to repeat.
    pub(crate) async fn write(
        &self,
        ticket: &TicketRef,
        status: AutomationStatus,
        decision: &Decision,
    ) -> Result<(), MarkError> {
        let fields = self.fields().await?;
        let playbook = decision
            .playbook
            .as_ref()
            .map_or("", |playbook: &PlaybookRef| playbook.name.as_str());
        let values = [
            (fields.status, json!(status.as_str())),
            (fields.playbook, json!(playbook)),
            (fields.confidence, json!(format!("{:.2}", decision.confidence))),
        ];
        self.halo.set_custom_fields(ticket, &values).await?;
        Ok(())
    }

    async fn fields(&self) -> Result<Fields, MarkError> {
        self.fields.get_or_try_init(|| self.resolve()).await.copied()
    }

    async fn resolve(&self) -> Result<Fields, MarkError> {
        let FieldNames {
            status,
            playbook,
            confidence,
        } = &self.names;
        let known = self.halo.field_ids(&[status, playbook, confidence]).await?;
        let number = |name: &str| {
            known
                .get(name)
                .copied()
                .ok_or_else(|| MarkError::NoSuchField(name.to_owned()))
        };
        Ok(Fields {
            status: number(status)?,
            playbook: number(playbook)?,
            confidence: number(confidence)?,
        })
    }
}

/// Check at the start that the tenant has the fields. `/readyz` says so until it does: tickets are taken in while the help
/// desk is away, and not where a field is set up that it does not have, which only a person can mend.
pub(crate) async fn check_fields(marker: Marker, readiness: Readiness, stopping: CancellationToken) {
    let checking = async {
        let mut pause = PAUSE.0;
        readiness.degraded(READINESS, "the custom fields have not been read yet");
        while let Err(error) = marker.fields().await {
            tracing::warn!(error = %chassis::chain(&error), "the custom fields cannot be used yet");
            match &error {
                MarkError::Call(away) => readiness.degraded(READINESS, away.to_string()),
                MarkError::NoSuchField(_) => readiness.blocked(READINESS, error.to_string()),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
        readiness.ready(READINESS);
    };
    stopping.run_until_cancelled(checking).await;
}
