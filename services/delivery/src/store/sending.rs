//! What a request does: take up its visit, hold it while sending, write that the gateway has the message.

use chassis::telemetry;
use common::{OperationId, StepRequest};
use connectors::twilio::MessageStatus;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Begun, LEASE, Lease, Store, StoreError, Visit, about, interval, number, sealed_digest};
use crate::verdict::{decide_at, next_look};

impl Store {
    /// Look the visit up. A further attempt belongs to it: the result goes to the newest, by its deadline.
    pub(crate) async fn take_up(&self, request: &StepRequest) -> Result<Visit, StoreError> {
        let now = OffsetDateTime::now_utc();
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
        let operation = OperationId::fresh();
        let mut transaction = self.pool.begin().await?;
        let begun = sqlx::query!(
            "INSERT INTO deliveries (tenant_id, id, execution_id, step_id, visit, attempt, ticket_id, subject_id,
                 sealed_digest, destination, state, deadline, decide_at, traceparent, intended_at, leased_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'SENDING', $11, $12, $13, $14, now() + $15)
             ON CONFLICT DO NOTHING
             RETURNING fence",
            self.tenant.as_str(),
            operation.0,
            request.execution_id.0,
            request.step.id.as_str(),
            number(request.step.visit),
            number(request.step.attempt),
            request.ticket_id.as_str(),
            request.subject.user_id.as_str(),
            sealed_digest(request),
            destination,
            request.deadline,
            decide_at(now, request.deadline),
            telemetry::trace_context(),
            now,
            interval(LEASE),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(begun) = begun else {
            drop(transaction);
            return self.who_was_first(request).await;
        };
        let lease = Lease {
            operation,
            fence: begun.fence,
            intended_at: now,
            destination: destination.to_owned(),
        };
        let detail = json!({
            "delivery": operation, "subject": request.subject.user_id, "channel": "sms", "destination": destination,
            "sealed": sealed_digest(request),
        });
        let event = about(&lease.about(request), "delivery.intended", detail);
        self.audit.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(Begun::Mine(lease))
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
        let mut transaction = self.pool.begin().await?;
        let sent = sqlx::query!(
            "UPDATE deliveries
             SET state = 'SENT', message_id = $4, message_status = $5, leased_until = NULL, work_at = $6, tries = 1
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'SENDING'",
            self.tenant.as_str(),
            lease.operation.0,
            lease.fence,
            message,
            status.as_str(),
            next_look(OffsetDateTime::now_utc(), 0),
        )
        .execute(&mut *transaction)
        .await?;
        if sent.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = json!({"delivery": lease.operation, "message": message, "status": status.as_str()});
        let event = about(&lease.about(request), "delivery.sent", detail);
        self.audit.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
