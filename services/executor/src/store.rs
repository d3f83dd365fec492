//! The effect ledger and the permits it burnt: all SQL of the executor.
//!
//! What is about to be done is written before it is done, in the transaction that burns the permit. Who acts holds a
//! lease with a fence; who lost it writes nothing.

mod effects;
mod limits;
mod undo;

use std::sync::Arc;
use std::time::Duration;

use chassis::Sessions;
use chassis::group_commit::{Failure, Line, refused};
use chassis::lease::Held;
use chassis::switches::{self, Off};
use chassis::tripwires::Alarm;
use chassis::{AuditEvent, AuditLog};
use common::clock;
use common::velocity::Exceeded;
use common::{ExecutionId, StepRequest, StepResult, TenantId, UserId};
use serde_json::json;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;
use tokio::time::Instant;
use trust::{Permit, parameters_digest};
use uuid::Uuid;

use crate::eligibility::Plan;
use crate::observed::{After, Kept};
use effects::{Effects, Entry, Found, Intent, ending};
pub(crate) use limits::Limits;
pub(crate) use undo::{Target, Undo, UndoMandate, Undone, VisitKey};

/// How long an actor may be silent before another may take up its intent. It stops acting before that ([`Held`]).
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// The ledger failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database is away or refused.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
    /// A row says what no code of ours wrote.
    #[error("effect `{0}` is corrupt")]
    Corrupt(Uuid),
    /// The same of an undo, which has no number of its own.
    #[error("an undo of execution `{0}` is corrupt")]
    CorruptUndo(ExecutionId),
    /// A permit was burnt for another effect.
    #[error("the permit is spent")]
    PermitSpent,
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
            Self::Corrupt(_) | Self::CorruptUndo(_) | Self::PermitSpent => true,
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

/// The right to act once on one person: a permit was burnt for it, the intent is in the ledger, and nobody else holds
/// the lease. Only this module makes one; the act takes it by value.
#[derive(Debug)]
pub(crate) struct Mandate {
    effect: Uuid,
    fence: i64,
    subject: UserId,
    asked_at: Option<OffsetDateTime>,
    /// That the directory is asked for the first time was written with the intent.
    first_ask: Option<OffsetDateTime>,
    intended_at: OffsetDateTime,
    held: Held,
}

impl Mandate {
    /// Who may be acted on.
    pub(crate) fn subject(&self) -> &UserId {
        &self.subject
    }

    /// When the directory was asked to act before, by somebody whose answer is lost.
    pub(crate) fn asked_at(&self) -> Option<OffsetDateTime> {
        self.asked_at
    }

    /// When the directory is asked for the first time, where that is in the ledger already.
    pub(crate) fn first_ask(&self) -> Option<OffsetDateTime> {
        self.first_ask
    }

    /// When it was meant to be done: the proof was looked at then, and not since.
    pub(crate) fn intended_at(&self) -> OffsetDateTime {
        self.intended_at
    }

    /// Until when nobody else acts.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// The ledger's number of it, for logs.
    pub(crate) fn effect(&self) -> Uuid {
        self.effect
    }
}

/// What the ledger knows of a visit of a step.
#[derive(Debug)]
pub(crate) enum Visit {
    /// Nothing yet: proof is needed.
    New,
    /// It stands for another subject, action, ticket or set of parameters.
    Other,
    /// It was done, or certainly not.
    Ended(StepResult),
    /// Somebody is at it.
    UnderWay,
    /// It is not to be done any more: it is being undone.
    Undone,
    /// It was meant to be done, and whoever meant to is gone.
    Mine(Mandate),
}

/// What came of an effect.
#[derive(Debug)]
pub(crate) struct Ended<'e> {
    /// The vendor's id of what was made.
    pub(crate) made: Option<&'e str>,
    /// What is there now.
    pub(crate) after: After,
    /// The answer.
    pub(crate) result: &'e StepResult,
    /// When.
    pub(crate) at: OffsetDateTime,
}

/// What came of an intent.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Act.
    Mine(Mandate),
    /// Another request for the same visit was first.
    UnderWay,
    /// The permit was burnt for another effect.
    PermitSpent,
    /// It was undone before it began.
    Undone,
    /// There was too much of it lately.
    Limited(Exceeded),
    /// Nothing is begun at the moment.
    SwitchedOff(Off),
}

/// The ledger. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    pool: Sessions,
    tenant: TenantId,
    audit: AuditLog,
    limits: Arc<Limits>,
    line: Line<Effects>,
}

impl Store {
    pub(crate) fn new(pool: Sessions, tenant: TenantId, audit: AuditLog, limits: Limits) -> Self {
        let line = Line::start(&Effects {
            pool: pool.clone(),
            tenant: tenant.clone(),
            audit: audit.clone(),
        });
        Self {
            pool,
            tenant,
            audit,
            limits: Arc::new(limits),
            line,
        }
    }

    /// The switch because of which nothing may be done at the moment.
    pub(crate) async fn switched_off(&self) -> Result<Option<Off>, StoreError> {
        Ok(switches::off(&self.pool, &self.tenant, None).await?)
    }

    /// Look the visit up, and take up its intent where nobody is at it.
    pub(crate) async fn take_up(&self, request: &StepRequest) -> Result<Visit, StoreError> {
        let row = sqlx::query!(
            "SELECT id, ticket_id, action, subject_id, parameters_digest, result,
                 EXISTS (
                     SELECT FROM effect_undos AS undo
                     WHERE undo.tenant_id = effects.tenant_id AND undo.execution_id = effects.execution_id
                       AND undo.step_id = effects.step_id AND undo.visit = effects.visit
                 ) AS \"undone!\"
             FROM effects
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4",
            self.tenant.as_str(),
            request.execution_id.0,
            request.step.id.as_str(),
            visit(request),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(Visit::New);
        };
        let same = row.ticket_id == request.ticket_id.as_str()
            && row.action == request.action.as_str()
            && row.subject_id == request.subject.user_id.as_str()
            && row.parameters_digest == parameters_digest(&request.parameters).as_str();
        if !same {
            return Ok(Visit::Other);
        }
        if let Some(result) = row.result {
            let result = serde_json::from_value(result).map_err(|_| StoreError::Corrupt(row.id))?;
            return Ok(Visit::Ended(result));
        }
        if row.undone {
            return Ok(Visit::Undone);
        }
        self.claim(row.id, request).await
    }

    async fn claim(&self, effect: Uuid, request: &StepRequest) -> Result<Visit, StoreError> {
        let asked = Instant::now();
        let claimed = sqlx::query!(
            "UPDATE effects
             SET leased_until = now() + $3, fence = fence + 1
             WHERE tenant_id = $1 AND id = $2
               AND state = 'INTENDED' AND (leased_until IS NULL OR leased_until < now())
               AND NOT EXISTS (
                   SELECT FROM effect_undos AS undo
                   WHERE undo.tenant_id = effects.tenant_id AND undo.execution_id = effects.execution_id
                     AND undo.step_id = effects.step_id AND undo.visit = effects.visit)
             RETURNING fence, asked_at, intended_at",
            self.tenant.as_str(),
            effect,
            lease(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(claimed.map_or(Visit::UnderWay, |row| {
            Visit::Mine(Mandate {
                effect,
                fence: row.fence,
                subject: request.subject.user_id.clone(),
                asked_at: row.asked_at,
                first_ask: None,
                intended_at: row.intended_at,
                held: Held::since(asked, LEASE),
            })
        }))
    }

    /// Burn the permit and write the intent, and that the directory is about to be asked: all of it, or nothing.
    pub(crate) async fn begin(
        &self,
        request: &StepRequest,
        permit: Permit,
        plan: &Plan,
        now: OffsetDateTime,
    ) -> Result<Begun, StoreError> {
        let permit = permit.spend();
        let claims = permit.claims();
        let effect = clock::fresh_id();
        let planned = json!({
            "name": plan.person.display_name,
            "destination": plan.destination.to_string(),
            "lifetime_minutes": plan.lifetime.as_secs() / 60,
            "one_time": true,
        });
        let before = Kept::of(&plan.before);
        let told = [
            about(
                request,
                "permit.spent",
                json!({
                    "permit": claims.id, "effect": effect, "method": claims.method, "assurance": claims.assurance,
                    "approver": claims.approver, "shown": claims.shown,
                }),
            ),
            about(
                request,
                "effect.intended",
                json!({
                    "effect": effect, "subject": claims.subject, "plan": planned, "before": before.digest,
                }),
            ),
        ];
        let intent = Intent {
            effect,
            execution: request.execution_id,
            step: request.step.id.clone(),
            visit: visit(request),
            ticket: request.ticket_id.clone(),
            planned,
            before: before.state,
            now,
            begun: Instant::now(),
            told,
            places: self
                .limits
                .places(&self.tenant, &claims.subject, &plan.destination),
            permit,
        };
        match self.line.commit(Entry::Intent(Box::new(intent))).await {
            Ok(Found::Begun(begun)) => Ok(begun),
            Ok(Found::Ended(_)) => Err(StoreError::Unclear),
            Err(StoreError::PermitSpent) => Ok(Begun::PermitSpent),
            Err(error) => Err(error),
        }
    }

    /// Write that the directory is about to be asked again. `false`: the lease is lost or nothing may be done, do not ask.
    pub(crate) async fn note_asking(
        &self,
        mandate: &Mandate,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        // The first time counts: whatever was made since then may be ours.
        let noted = sqlx::query!(
            "UPDATE effects
             SET asked_at = coalesce(asked_at, $4), leased_until = now() + $5
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'INTENDED'
               AND NOT EXISTS (SELECT FROM switches WHERE tenant_id IN ($1, '') AND name = '')",
            self.tenant.as_str(),
            mandate.effect,
            mandate.fence,
            now,
            lease(),
        )
        .execute(&self.pool)
        .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Stay the one who acts. `false`: the lease is lost.
    pub(crate) async fn renew(&self, mandate: &Mandate) -> Result<bool, StoreError> {
        let renewed = sqlx::query!(
            "UPDATE effects
             SET leased_until = now() + $4
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'INTENDED'",
            self.tenant.as_str(),
            mandate.effect,
            mandate.fence,
            lease(),
        )
        .execute(&self.pool)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Let another request take the intent up at once.
    pub(crate) async fn release(&self, mandate: Mandate) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE effects
             SET leased_until = NULL
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'INTENDED'",
            self.tenant.as_str(),
            mandate.effect,
            mandate.fence,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Write what came of it. `false`: the lease is lost, and the result with it; it must not be answered.
    pub(crate) async fn finish(
        &self,
        request: &StepRequest,
        mandate: &Mandate,
        ended: &Ended<'_>,
    ) -> Result<bool, StoreError> {
        let ending = ending(request, mandate, ended)?;
        let found = self.line.commit(Entry::Ending(Box::new(ending))).await?;
        Ok(matches!(found, Found::Ended(true)))
    }

    /// Write that nothing was done, and why.
    pub(crate) async fn refused(
        &self,
        request: &StepRequest,
        kind: &'static str,
        code: &str,
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let event = refusal(request, kind, code);
        self.audit.record(&mut connection, &event).await?;
        Ok(())
    }

    /// As [`Self::refused`], and count it as an alarm. The one too many freezes the tenant, and is answered.
    pub(crate) async fn alarmed(
        &self,
        request: &StepRequest,
        kind: &'static str,
        code: &str,
    ) -> Result<Option<Alarm>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let frozen = self.limits.alarm(&mut transaction, &self.tenant).await?;
        let (frozen, alarm) = frozen.unzip();
        let frozen = frozen.map(|event| event.ticket(&request.ticket_id).execution(request.execution_id));
        let event = refusal(request, kind, code);
        let told = std::iter::once(&event).chain(&frozen);
        self.audit.record_all(&mut transaction, told).await?;
        transaction.commit().await?;
        Ok(alarm)
    }
}

fn refusal(request: &StepRequest, kind: &'static str, code: &str) -> AuditEvent {
    let detail = json!({
        "code": code, "action": request.action, "subject": request.subject.user_id, "step": request.step,
    });
    about(request, kind, detail)
}

fn about(request: &StepRequest, kind: &'static str, detail: serde_json::Value) -> AuditEvent {
    AuditEvent::new(kind, detail)
        .ticket(&request.ticket_id)
        .execution(request.execution_id)
}

fn visit(request: &StepRequest) -> i32 {
    // No playbook comes near; a number beyond is no visit that we know.
    i32::try_from(request.step.visit).unwrap_or(i32::MAX)
}

fn lease() -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX),
    }
}
