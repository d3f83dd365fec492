//! What is due after a message was sent: look how far it got, tell orchestration, have the text removed.

use std::time::Duration;

use common::clock;
use common::{ExecutionId, OperationId, Signal, StepResult};
use connectors::twilio::MessageStatus;
use time::OffsetDateTime;

use super::ledger::{Entry, Told};
use super::{CHANNEL, Held, PATIENCE, Store, StoreError, call, interval};

/// One row whose time has come.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) held: Held,
    pub(crate) tries: i32,
    pub(crate) traceparent: Option<String>,
    pub(crate) work: Work,
}

/// What there is to do about it.
#[derive(Debug)]
pub(crate) enum Work {
    /// Read the message back.
    Look {
        message: String,
        status: MessageStatus,
        destination: String,
        decide_at: OffsetDateTime,
    },
    /// Bring orchestration the result, and have the text removed.
    Tell {
        signal: Box<Signal>,
        message: Option<String>,
    },
    /// Have the text removed at the gateway.
    Redact { message: String },
    /// Nothing is left.
    Rest,
}

/// What is left to do about the text of a message once orchestration knows the result.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left {
    /// Nothing: there is no message, or its text is to stay.
    Nothing,
    /// Nothing: it is gone.
    Gone(OffsetDateTime),
    /// To have it removed.
    RemoveAt(OffsetDateTime),
}

/// A row to work on, or how long until there is one.
#[derive(Debug)]
pub(crate) enum Claim {
    Due(Box<Due>),
    NothingUntil(Option<Duration>),
}

impl Store {
    /// Claim the row that is due the longest.
    pub(crate) async fn claim_due(&self) -> Result<Claim, StoreError> {
        let row = sqlx::query!(
            "WITH due AS (
                 SELECT id FROM deliveries
                 WHERE tenant_id = $1 AND work_at <= now()
                 ORDER BY work_at
                 LIMIT 1
                 FOR UPDATE SKIP LOCKED
             )
             UPDATE deliveries
             SET work_at = now() + $2, fence = fence + 1
             FROM due
             WHERE deliveries.tenant_id = $1 AND deliveries.id = due.id
             RETURNING deliveries.id, deliveries.fence, execution_id, step_id, visit, attempt, ticket_id, destination,
                 state, decide_at, message_id, message_status, result, signalled_at, redacted_at, tries, traceparent",
            self.tenant.as_str(),
            interval(PATIENCE),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(Claim::NothingUntil(self.next_due().await?));
        };
        let corrupt = || StoreError::Corrupt(row.id);
        let operation = OperationId(row.id);
        let work = match (row.state.as_str(), row.message_id, row.result) {
            ("SENT", Some(message), None) => Work::Look {
                message,
                status: MessageStatus::from_wire(row.message_status.as_deref().unwrap_or_default()),
                destination: row.destination,
                decide_at: row.decide_at,
            },
            ("ENDED", message, Some(result)) if row.signalled_at.is_none() => {
                let result: StepResult = serde_json::from_value(result).map_err(|_| corrupt())?;
                let signal = Signal {
                    tenant_id: self.tenant.clone(),
                    operation,
                    step: call(&row.step_id, row.visit, row.attempt).ok_or_else(corrupt)?,
                    result,
                };
                Work::Tell {
                    signal: Box::new(signal),
                    message,
                }
            }
            ("ENDED", Some(message), Some(_)) if row.redacted_at.is_none() => Work::Redact { message },
            ("ENDED", _, Some(_)) => Work::Rest,
            _ => return Err(corrupt()),
        };
        Ok(Claim::Due(Box::new(Due {
            held: Held {
                operation,
                fence: row.fence,
                ticket: row.ticket_id.parse().map_err(|_| corrupt())?,
                execution: ExecutionId(row.execution_id),
            },
            tries: row.tries,
            traceparent: row.traceparent,
            work,
        })))
    }

    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let at = sqlx::query_scalar!(
            "SELECT min(work_at) FROM deliveries WHERE tenant_id = $1 AND work_at IS NOT NULL",
            self.tenant.as_str(),
        )
        .fetch_one(&self.pool)
        .await?;
        // In the past: somebody else holds it, and the row's time is about to move.
        Ok(at.map(|at| {
            (at - clock::now())
                .try_into()
                .unwrap_or(Duration::from_millis(50))
        }))
    }

    /// The delivery of a message, to be looked at without a claim: nothing is written about it but its end. `None` where
    /// nobody knows the message.
    pub(crate) async fn of_message(&self, message: &str) -> Result<Option<Due>, StoreError> {
        let row = sqlx::query!(
            "SELECT id, fence, execution_id, ticket_id, destination, state, decide_at, message_status, tries, traceparent
             FROM deliveries
             WHERE tenant_id = $1 AND message_id = $2",
            self.tenant.as_str(),
            message,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let work = if row.state == "SENT" {
            Work::Look {
                message: message.to_owned(),
                status: MessageStatus::from_wire(row.message_status.as_deref().unwrap_or_default()),
                destination: row.destination,
                decide_at: row.decide_at,
            }
        } else {
            Work::Rest
        };
        Ok(Some(Due {
            held: Held {
                operation: OperationId(row.id),
                fence: row.fence,
                ticket: row.ticket_id.parse().map_err(|_| StoreError::Corrupt(row.id))?,
                execution: ExecutionId(row.execution_id),
            },
            tries: row.tries,
            traceparent: row.traceparent,
            work,
        }))
    }

    /// A message got further: it is to be looked at by whoever has a place for it.
    pub(crate) async fn hint(&self, message: &str) -> Result<(), StoreError> {
        // The fence moves on, so that a worker that looked before the news does not put the next look off.
        sqlx::query!(
            "WITH hinted AS (
                 UPDATE deliveries
                 SET work_at = now(), fence = fence + 1
                 WHERE tenant_id = $1 AND message_id = $2 AND state = 'SENT'
                 RETURNING id
             )
             SELECT pg_notify($3, '') FROM hinted",
            self.tenant.as_str(),
            message,
            CHANNEL,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(())
    }

    /// Look, tell or redact again later; the message stands at `status`, where that was learnt.
    pub(crate) async fn again(
        &self,
        held: &Held,
        status: Option<MessageStatus>,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE deliveries
             SET work_at = $4, tries = tries + 1, message_status = coalesce($5, message_status)
             WHERE tenant_id = $1 AND id = $2 AND fence = $3",
            self.tenant.as_str(),
            held.operation.0,
            held.fence,
            at,
            status.map(MessageStatus::as_str),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Orchestration has the result; this is left of the text.
    pub(crate) async fn told(&self, held: &Held, now: OffsetDateTime, left: Left) -> Result<(), StoreError> {
        let (redacted_at, work_at) = match left {
            Left::Nothing => (None, None),
            Left::Gone(at) => (Some(at), None),
            Left::RemoveAt(at) => (None, Some(at)),
        };
        let told = Told {
            held: held.clone(),
            signalled_at: now,
            redacted_at,
            work_at,
        };
        // Told again, orchestration would only say so: nobody waits for this.
        self.ends.commit(Entry::Told(Box::new(told))).await?;
        Ok(())
    }

    /// Nothing is left to do; the text is gone, unless `redacted` is `None`.
    pub(crate) async fn rest(&self, held: &Held, redacted: Option<OffsetDateTime>) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE deliveries
             SET work_at = NULL, redacted_at = $4
             WHERE tenant_id = $1 AND id = $2 AND fence = $3",
            self.tenant.as_str(),
            held.operation.0,
            held.fence,
            redacted,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
