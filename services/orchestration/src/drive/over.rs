//! How executions end for us: what is said of it, and the ending of last resort.

use chassis::AuditEvent;
use common::execution::ExecutionStatus;
use common::{AutomationStatus, Ending};
use playbook_lang::{Playbook, State};
use serde_json::json;
use time::OffsetDateTime;

use super::Driver;
use crate::store::{Claimed, Hold, StoreError, Write};
use crate::untold::Untold;
use crate::update::Update;

impl Driver {
    /// The ending of last resort: no ticket is lost, whatever became of its state.
    pub(super) async fn hand_over(
        &self,
        claimed: &Claimed,
        reason: &str,
        mut untold: Untold,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let reason = format!("The automation cannot go on: {reason}.");
        let ending = Ending::Escalated {
            reason: reason.clone(),
        };
        let detail = json!({"step": null, "ending": ending});
        let event = AuditEvent::new("execution.ended", detail)
            .ticket(&claimed.ticket)
            .execution(claimed.id);
        let status = Update::Status {
            status: AutomationStatus::Escalated,
        };
        untold.add(vec![Update::Escalated, Update::Story, status], now);
        self.committer
            .write(Write {
                execution: claimed.id,
                ticket: claimed.ticket.clone(),
                runner: claimed.runner,
                fence: claimed.fence,
                state: claimed.state.told(),
                status: ExecutionStatus::Escalated,
                reason: Some(reason.clone()),
                parked_since: None,
                parked_told: false,
                hold: Hold::Ended,
                held: false,
                signals: claimed.signals,
                steps: vec![],
                renumbered: vec![],
                cut_off: Some(reason),
                handled: vec![],
                arrival: None,
                audit: vec![event],
                updates: untold.take(),
                now,
            })
            .await?;
        Ok(())
    }
}

/// The log's and the counters' word of it.
pub(super) fn say_ended(playbook: &Playbook, state: &State, at: OffsetDateTime) {
    let word = match state.status() {
        ExecutionStatus::Resolved => "resolved",
        _ => "escalated",
    };
    let name = playbook.name().to_string();
    metrics::counter!("firstline_executions_ended_total", "ending" => word, "playbook" => name).increment(1);
    let took_s = (at - state.started_at()).as_seconds_f64();
    tracing::info!(ending = word, took_s, "the execution ended");
}
