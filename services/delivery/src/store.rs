//! The deliveries: all SQL of the service. What a request does is in [`sending`], what happens afterwards in
//! [`following`], what both need here.
//!
//! The row is written before the message is sent. Who sends holds a lease with a fence; who lost it writes nothing.

mod following;
mod ledger;
mod sending;

use std::time::Duration;

use chassis::Sessions;
use chassis::group_commit::{Failure, Line, refused};
use chassis::lease;
use chassis::switches::Off;
use chassis::{AuditEvent, AuditLog, Shell};
use common::clock;
use common::{
    ExecutionId, OperationId, OperationView, Outcome, StepCall, StepRequest, StepResult, TenantId, TicketId,
};
use connectors::twilio::MessageStatus;
use serde_json::json;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;
use uuid::Uuid;

use ledger::{Deliveries, Ending, Entry, Found};

pub(crate) use following::{Claim, Due, Left, Work};

/// Where the worker listens.
pub(crate) const CHANNEL: &str = "delivery_work";
/// How long a sender may be silent before another may take over. It stops sending before that ([`lease::Held`]).
const LEASE: Duration = Duration::from_secs(20);

/// What nobody waits for is written down this soon, together with what comes meanwhile.
const UNHURRIED: Duration = Duration::from_secs(1);
/// How long a worker may be silent before another does the same again; all of it is harmless to repeat.
const PATIENCE: Duration = Duration::from_secs(30);

/// The database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It is away or refused.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
    /// A row says what no code of ours wrote.
    #[error("delivery `{0}` is corrupt")]
    Corrupt(Uuid),
    /// A common transaction broke off, and nobody can tell whether it was committed.
    #[error("whether it was written down is not known")]
    Unclear,
    /// The service stops.
    #[error("the service is stopping")]
    Stopped,
}

impl Failure for StoreError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Database(error) => refused(error),
            Self::Corrupt(_) => true,
            Self::Unclear | Self::Stopped => false,
        }
    }

    fn unclear() -> Self {
        Self::Unclear
    }

    fn stopped() -> Self {
        Self::Stopped
    }
}

/// Which delivery, held by whom, about what.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) operation: OperationId,
    pub(crate) fence: i64,
    pub(crate) ticket: TicketId,
    pub(crate) execution: ExecutionId,
}

/// The right to send one message: the intent is in the table, and nobody else holds it.
#[derive(Debug)]
pub(crate) struct Lease {
    operation: OperationId,
    fence: i64,
    intended_at: OffsetDateTime,
    destination: String,
    held: lease::Held,
}

impl Lease {
    pub(crate) fn operation(&self) -> OperationId {
        self.operation
    }

    /// Masked.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    pub(crate) fn intended_at(&self) -> OffsetDateTime {
        self.intended_at
    }

    /// Until when nobody else sends.
    pub(crate) fn held(&self) -> &lease::Held {
        &self.held
    }

    pub(crate) fn about(&self, request: &StepRequest) -> Held {
        Held {
            operation: self.operation,
            fence: self.fence,
            ticket: request.ticket_id.clone(),
            execution: request.execution_id,
        }
    }
}

/// What the table knows of a visit of a step.
#[derive(Debug)]
pub(crate) enum Visit {
    /// Nothing yet.
    New,
    /// It stands for another credential or person.
    Other,
    /// It has ended.
    Ended(StepResult),
    /// The message is with the gateway. The destination is masked.
    Sent {
        operation: OperationId,
        destination: String,
    },
    /// Somebody is at it.
    UnderWay,
    /// It was meant to be sent, and whoever meant to is gone.
    Mine(Lease),
}

/// A delivery that has just ended, and which call its result answers.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) held: Held,
    pub(crate) step: StepCall,
}

/// How orchestration learns a result.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answered {
    /// As the answer of the request under way.
    Now,
    /// By a signal: its request was answered with an operation.
    BySignal,
}

/// What came of an intent.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Send.
    Mine(Lease),
    /// Another request for the same visit was first.
    UnderWay,
    /// Another visit has this very credential.
    OpenedBefore,
    /// Nothing is sent at the moment.
    SwitchedOff(Off),
}

/// The deliveries. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    pool: Sessions,
    tenant: TenantId,
    audit: AuditLog,
    line: Line<Deliveries>,
    /// Of deliveries with which nothing is left to do.
    ends: Line<Deliveries>,
}

impl Store {
    /// Whose deliveries.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) fn new(shell: &Shell) -> Self {
        let deliveries = Deliveries {
            pool: shell.pool().clone(),
            tenant: shell.tenant().clone(),
            audit: shell.audit(),
        };
        Self {
            pool: shell.pool().clone(),
            tenant: shell.tenant().clone(),
            audit: shell.audit(),
            line: Line::start(&deliveries),
            ends: Line::patient(&deliveries, UNHURRIED),
        }
    }

    /// Write how it ended, with the furthest `status` that was seen. Where orchestration is being `answered` it needs no
    /// signal: an answer that gets lost is asked for again. Otherwise what is left to do is the caller's, who holds the
    /// delivery from here on. `None`: somebody else has it.
    pub(crate) async fn end(
        &self,
        held: &Held,
        result: &StepResult,
        status: Option<MessageStatus>,
        answered: Answered,
    ) -> Result<Option<Ended>, StoreError> {
        let now = clock::now();
        let (signalled_at, work_at) = match answered {
            Answered::Now => (Some(now), now),
            Answered::BySignal => (None, now + PATIENCE),
        };
        let stored = serde_json::to_value(result).map_err(|_| StoreError::Corrupt(held.operation.0))?;
        let kind = if result.outcome == Outcome::Success {
            "delivery.done"
        } else {
            "delivery.failed"
        };
        let detail = json!({"delivery": held.operation, "outcome": result.outcome, "output": result.output});
        let ending = Ending {
            held: held.clone(),
            stored,
            status: status.map(MessageStatus::as_str),
            now,
            signalled_at,
            work_at,
            told: about(held, kind, detail),
        };
        match self.line.commit(Entry::Ending(Box::new(ending))).await? {
            Found::Ended(ended) => {
                if ended.is_some() {
                    let outcome = result.outcome.to_string();
                    metrics::counter!("firstline_deliveries_total", "channel" => "sms", "outcome" => outcome)
                        .increment(1);
                }
                Ok(ended)
            }
            Found::Done(_) | Found::SwitchedOff(_) => Err(StoreError::Unclear),
        }
    }

    /// Write that nothing was sent, and why.
    pub(crate) async fn refused(&self, request: &StepRequest, code: &str) -> Result<(), StoreError> {
        let detail = json!({"code": code, "subject": request.subject.user_id, "step": request.step});
        let event = AuditEvent::new("delivery.refused", detail)
            .ticket(&request.ticket_id)
            .execution(request.execution_id);
        let mut connection = self.pool.acquire().await?;
        self.audit.record(&mut connection, &event).await?;
        Ok(())
    }

    /// How a delivery stands; `None` where there is none of that number.
    pub(crate) async fn view(&self, id: OperationId) -> Result<Option<OperationView>, StoreError> {
        let row = sqlx::query!(
            "SELECT execution_id, step_id, visit, attempt, destination, deadline, result
             FROM deliveries
             WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_str(),
            id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let corrupt = || StoreError::Corrupt(id.0);
        let result: Option<StepResult> = match row.result {
            Some(result) => Some(serde_json::from_value(result).map_err(|_| corrupt())?),
            None => None,
        };
        let explanation = match &result {
            Some(result) => result.explanation.clone(),
            None => format!(
                "The receipt of the text message to {} is awaited.",
                row.destination
            ),
        };
        Ok(Some(OperationView {
            operation: id,
            execution_id: ExecutionId(row.execution_id),
            step: call(&row.step_id, row.visit, row.attempt).ok_or_else(corrupt)?,
            explanation,
            deadline: row.deadline,
            result,
        }))
    }
}

fn about(held: &Held, kind: &'static str, detail: serde_json::Value) -> AuditEvent {
    AuditEvent::new(kind, detail)
        .ticket(&held.ticket)
        .execution(held.execution)
}

/// Wake a worker, once this transaction is there to be seen.
async fn notify(connection: &mut sqlx::PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}

fn sealed_digest(request: &StepRequest) -> String {
    let digest = request.sealed.as_ref().map(trust::seal::fingerprint);
    digest.map_or_else(String::new, String::from)
}

fn call(step: &str, visit: i32, attempt: i32) -> Option<StepCall> {
    Some(StepCall {
        id: step.parse().ok()?,
        visit: visit.try_into().ok()?,
        attempt: attempt.try_into().ok()?,
    })
}

fn number(count: u32) -> i32 {
    // No playbook comes near; a number beyond is no visit or attempt that we know.
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
