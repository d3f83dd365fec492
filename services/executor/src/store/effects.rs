//! Intents and endings of the same moment, in one transaction: whoever acts on different people shares its cost.

use chassis::Sessions;
use chassis::group_commit::Ledger;
use chassis::lease::Held;
use chassis::switches::{self, Off};
use chassis::{AuditEvent, AuditLog, tripwires};
use common::velocity::{Place, Windows};
use common::{ExecutionId, Outcome, StepId, StepRequest, TenantId, TicketId};
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::time::Instant;
use trust::SpentPermit;
use uuid::Uuid;

use super::limits::EffectWindows;
use super::{Begun, Ended, LEASE, Mandate, StoreError, about, lease, undo};
use crate::observed::Kept;

/// The ledger's tables.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) pool: Sessions,
    pub(super) tenant: TenantId,
    pub(super) audit: AuditLog,
}

/// What is written.
#[derive(Debug)]
pub(super) enum Entry {
    Intent(Box<Intent>),
    Ending(Box<Ending>),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Found {
    Begun(Begun),
    /// `false`: the lease is lost.
    Ended(bool),
}

/// What is about to be done, and the permit that is burnt for it.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) effect: Uuid,
    pub(super) execution: ExecutionId,
    pub(super) step: StepId,
    pub(super) visit: i32,
    pub(super) ticket: TicketId,
    pub(super) planned: Value,
    /// What the directory said.
    pub(super) before: Value,
    pub(super) now: OffsetDateTime,
    /// The same, for the lease.
    pub(super) begun: Instant,
    pub(super) told: [AuditEvent; 2],
    /// What it uses up.
    pub(super) places: Vec<Place>,
    pub(super) permit: SpentPermit,
}

/// What came of an effect.
#[derive(Debug)]
pub(super) struct Ending {
    effect: Uuid,
    fence: i64,
    state: &'static str,
    made: Option<String>,
    after: Value,
    stored: Value,
    now: OffsetDateTime,
    told: AuditEvent,
}

impl Ledger for Effects {
    type Entry = Entry;
    type Found = Found;
    type Error = StoreError;

    async fn commit(&self, entries: &[Entry]) -> Result<Vec<Found>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let mut scope = self.scope(&mut transaction, entries).await?;
        let mut found = Vec::with_capacity(entries.len());
        let mut told = Vec::new();
        for entry in entries {
            found.push(match entry {
                Entry::Intent(intent) => {
                    let begun = self.intend(&mut transaction, intent, &mut scope).await?;
                    if matches!(begun, Begun::Mine(_)) {
                        told.extend(&intent.told);
                    }
                    Found::Begun(begun)
                }
                Entry::Ending(ending) => {
                    let ended = end(&mut transaction, &self.tenant, ending).await?;
                    told.extend(ended.then_some(&ending.told));
                    Found::Ended(ended)
                }
            });
        }
        tripwires::keep::<EffectWindows>(&mut transaction, &self.tenant, &scope.windows).await?;
        self.audit.record_all(&mut transaction, told).await?;
        transaction.commit().await?;
        Ok(found)
    }
}

/// What limits the intents of a transaction.
#[derive(Default)]
struct Scope {
    /// Nothing may be begun.
    off: Option<Off>,
    windows: Windows,
}

impl Effects {
    /// Hold what `entries` use up, and look whether anything may be begun: before any of their rows.
    async fn scope(&self, connection: &mut PgConnection, entries: &[Entry]) -> Result<Scope, StoreError> {
        let intents: Vec<&Intent> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Intent(intent) => Some(intent.as_ref()),
                Entry::Ending(_) => None,
            })
            .collect();
        if intents.is_empty() {
            return Ok(Scope::default());
        }
        let places = intents.iter().flat_map(|intent| &intent.places);
        let windows = tripwires::open::<EffectWindows>(connection, &self.tenant, places).await?;
        // Last, so that whoever waited for a window sees what was switched off meanwhile.
        let off = switches::off(&mut *connection, &self.tenant, None).await?;
        Ok(Scope { off, windows })
    }

    /// Burn the permit and write the intent.
    ///
    /// # Errors
    /// [`StoreError::PermitSpent`]: what was written so far must go with it.
    async fn intend(
        &self,
        connection: &mut PgConnection,
        intent: &Intent,
        scope: &mut Scope,
    ) -> Result<Begun, StoreError> {
        let (execution, step, visit) = (intent.execution, intent.step.as_str(), intent.visit);
        if undo::is_undone(connection, &self.tenant, execution, step, visit).await? {
            return Ok(Begun::Undone);
        }
        if let Some(off) = &scope.off {
            return Ok(Begun::SwitchedOff(off.clone()));
        }
        let mut windows = scope.windows.clone();
        if let Err(exceeded) = windows.take(&intent.places, intent.effect, intent.now) {
            return Ok(Begun::Limited(exceeded));
        }
        let claims = intent.permit.claims();
        let begun = sqlx::query!(
            r#"WITH begun AS (
                 INSERT INTO effects (tenant_id, id, execution_id, step_id, visit, ticket_id, action, subject_id,
                     parameters_digest, permit_id, plan, state, intended_at, asked_at, leased_until, state_before)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'INTENDED', $12, $12, now() + $13, $14)
                 ON CONFLICT (tenant_id, execution_id, step_id, visit) DO NOTHING
                 RETURNING id, fence, permit_id
             ), burnt AS (
                 INSERT INTO spent_permits (tenant_id, id, effect_id, spent_at)
                 SELECT $1, permit_id, id, $12 FROM begun
                 ON CONFLICT DO NOTHING
                 RETURNING id
             )
             SELECT fence, EXISTS (SELECT FROM burnt) AS "burnt!"
             FROM begun"#,
            self.tenant.as_str(),
            intent.effect,
            execution.0,
            step,
            visit,
            intent.ticket.as_str(),
            claims.action.as_str(),
            claims.subject.as_str(),
            claims.parameters.as_str(),
            claims.id.0,
            intent.planned,
            intent.now,
            lease(),
            intent.before,
        )
        .fetch_optional(connection)
        .await?;
        match begun {
            None => Ok(Begun::UnderWay),
            Some(begun) if !begun.burnt => Err(StoreError::PermitSpent),
            Some(begun) => {
                scope.windows = windows;
                Ok(Begun::Mine(Mandate {
                    effect: intent.effect,
                    fence: begun.fence,
                    subject: claims.subject.clone(),
                    asked_at: None,
                    first_ask: Some(intent.now),
                    intended_at: intent.now,
                    held: Held::since(intent.begun, LEASE),
                }))
            }
        }
    }
}

/// What came of `mandate`, ready to be written.
pub(super) fn ending(
    request: &StepRequest,
    mandate: &Mandate,
    Ended {
        made,
        after,
        result,
        at,
    }: &Ended<'_>,
) -> Result<Ending, StoreError> {
    let after = Kept::of(after);
    let done = result.outcome == Outcome::Success;
    let (state, kind) = if done {
        ("DONE", "effect.done")
    } else {
        ("FAILED", "effect.failed")
    };
    let detail = json!({
        "effect": mandate.effect, "outcome": result.outcome, "made": made, "output": result.output,
        "sealed": result.sealed.as_ref().map(trust::seal::fingerprint), "after": after.digest,
    });
    Ok(Ending {
        effect: mandate.effect,
        fence: mandate.fence,
        state,
        made: made.map(str::to_owned),
        after: after.state,
        stored: serde_json::to_value(result).map_err(|_| StoreError::Corrupt(mandate.effect))?,
        now: *at,
        told: about(request, kind, detail),
    })
}

/// End an effect. `false`: the lease is lost.
async fn end(connection: &mut PgConnection, tenant: &TenantId, ending: &Ending) -> Result<bool, StoreError> {
    let ended = sqlx::query!(
        "UPDATE effects
         SET state = $4, made = $5, result = $6, ended_at = $7, leased_until = NULL, state_after = $8
         WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'INTENDED'",
        tenant.as_str(),
        ending.effect,
        ending.fence,
        ending.state,
        ending.made,
        ending.stored,
        ending.now,
        ending.after,
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// [`end`] with its audit event, as part of the caller's transaction.
pub(super) async fn end_recorded(
    connection: &mut PgConnection,
    (tenant, audit): (&TenantId, &AuditLog),
    ending: &Ending,
) -> Result<bool, StoreError> {
    let ended = end(connection, tenant, ending).await?;
    if ended {
        audit.record(connection, &ending.told).await?;
    }
    Ok(ended)
}
