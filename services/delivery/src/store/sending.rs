//! What a request does: take up its visit, hold it while sending, write that the gateway has the message.

use chassis::lease::Held;
use chassis::switches::{self, Off};
use chassis::telemetry;
use common::clock;
use common::{OperationId, StepRequest};
use connectors::twilio::MessageStatus;
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::ledger::{Entry, Found, Intent, Sent};
use super::{Begun, LEASE, Lease, Store, StoreError, Visit, about, interval, number, sealed_digest};
use crate::verdict::{decide_at, next_look};

impl Store {
    /// Look the visit up. A further attempt belongs to it: the result goes to the newest, by its deadline.
    pub(crate) async fn take_up(&self, request: &StepRequest) -> Result<Visit, StoreError> {
        let now = clock::now();
        let row = sqlx::query!(
            "UPDATE deliveries
             SET attempt = greatest(attempt, $5),
                 deadline = greatest(deadline, $6),
                 decide_at = greatest(decide_at, $7)
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4
             RETURNING id, state, subject_id, ticket_id, sealed_digest, destination, result",
            self.tenant.as_str(),
            request.execution_id.0,
            request.step.id.as_str(),
            number(request.step.visit),
            number(request.step.attempt),
            request.deadline,
            decide_at(now, request.deadline),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(Visit::New);
        };
        let same = row.subject_id == request.subject.user_id.as_str()
            && row.ticket_id == request.ticket_id.as_str()
            && row.sealed_digest == sealed_digest(request);
        match (row.state.as_str(), row.result) {
            _ if !same => Ok(Visit::Other),
            ("ENDED", Some(result)) => {
                let result = serde_json::from_value(result).map_err(|_| StoreError::Corrupt(row.id))?;
                Ok(Visit::Ended(result))
            }
            ("SENT", None) => Ok(Visit::Sent {
                operation: OperationId(row.id),
                destination: row.destination,
            }),
            ("SENDING", None) => self.claim(row.id).await,
            _ => Err(StoreError::Corrupt(row.id)),
        }
    }

    async fn claim(&self, id: Uuid) -> Result<Visit, StoreError> {
        let asked = Instant::now();
        let claimed = sqlx::query!(
            "UPDATE deliveries
             SET leased_until = now() + $3, fence = fence + 1
             WHERE tenant_id = $1 AND id = $2
               AND state = 'SENDING' AND (leased_until IS NULL OR leased_until < now())
             RETURNING fence, intended_at, destination",
            self.tenant.as_str(),
            id,
            interval(LEASE),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(claimed.map_or(Visit::UnderWay, |row| {
            Visit::Mine(Lease {
                operation: OperationId(id),
                fence: row.fence,
                intended_at: row.intended_at,
                destination: row.destination,
                held: Held::since(asked, LEASE),
            })
        }))
    }

    /// Write that a message is about to be sent to `destination` (masked).
    pub(crate) async fn begin(
        &self,
        request: &StepRequest,
        destination: &str,
        now: OffsetDateTime,
    ) -> Result<Begun, StoreError> {
        let lease = Lease {
            operation: OperationId::fresh(),
            fence: 1,
            intended_at: now,
            destination: destination.to_owned(),
            held: Held::since(Instant::now(), LEASE),
        };
        let held = lease.about(request);
        let sealed_digest = sealed_digest(request);
        let detail = json!({
            "delivery": lease.operation, "subject": request.subject.user_id, "channel": "sms",
            "destination": destination, "sealed": sealed_digest,
        });
        let intent = Intent {
            told: about(&held, "delivery.intended", detail),
            held,
            step: request.step.clone(),
            subject: request.subject.user_id.to_string(),
            sealed_digest,
            destination: destination.to_owned(),
            deadline: request.deadline,
            decide_at: decide_at(now, request.deadline),
            traceparent: telemetry::trace_context(),
            now,
        };
        match self.line.commit(Entry::Intent(Box::new(intent))).await? {
            Found::Done(true) => Ok(Begun::Mine(lease)),
            Found::Done(false) => self.who_was_first(request).await,
            Found::SwitchedOff(off) => Ok(Begun::SwitchedOff(off)),
            Found::Ended(_) => Err(StoreError::Unclear),
        }
    }

    /// The switch because of which nothing may be sent at the moment.
    pub(crate) async fn switched_off(&self) -> Result<Option<Off>, StoreError> {
        Ok(switches::off(&self.pool, &self.tenant, None).await?)
    }

    /// One of the two unique keys was taken: by this visit, or by another with the same credential.
    async fn who_was_first(&self, request: &StepRequest) -> Result<Begun, StoreError> {
        let this_visit = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM deliveries
                   WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4
               ) AS "exists!""#,
            self.tenant.as_str(),
            request.execution_id.0,
            request.step.id.as_str(),
            number(request.step.visit),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(if this_visit {
            Begun::UnderWay
        } else {
            Begun::OpenedBefore
        })
    }

    /// Stay the one who sends. `false`: the lease is lost.
    pub(crate) async fn renew(&self, lease: &Lease) -> Result<bool, StoreError> {
        let renewed = sqlx::query!(
            "UPDATE deliveries
             SET leased_until = now() + $4
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'SENDING'",
            self.tenant.as_str(),
            lease.operation.0,
            lease.fence,
            interval(LEASE),
        )
        .execute(&self.pool)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Let another request take over at once.
    pub(crate) async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE deliveries
             SET leased_until = NULL
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'SENDING'",
            self.tenant.as_str(),
            lease.operation.0,
            lease.fence,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Write that the gateway has the message. `false`: the lease is lost. Whoever follows it in this process is told by
    /// the caller, those in others by their slow poll.
    pub(crate) async fn sent(
        &self,
        request: &StepRequest,
        lease: &Lease,
        message: &str,
        status: MessageStatus,
    ) -> Result<bool, StoreError> {
        let held = lease.about(request);
        let detail = json!({"delivery": lease.operation, "message": message, "status": status.as_str()});
        let sent = Sent {
            told: about(&held, "delivery.sent", detail),
            held,
            message: message.to_owned(),
            status: status.as_str(),
            look_at: next_look(clock::now(), 0),
        };
        let found = self.line.commit(Entry::Sent(Box::new(sent))).await?;
        Ok(matches!(found, Found::Done(true)))
    }
}
