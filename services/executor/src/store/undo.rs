//! Undoing in the ledger: what a visit left behind, who undoes it, and that it can begin nothing any more.

use chassis::lease::Held;
use common::{ExecutionId, Outcome, StepId, StepRequest, StepResult, TenantId};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::effects::{end_recorded, ending};
use super::{Ended, LEASE, Mandate, Store, StoreError, about, lease};
use crate::observed::After;
use crate::reset;

/// How a reset ends that was taken back before anybody knew what came of it.
const WITHDRAWN: &str = "The reset was withdrawn before it was complete, so no pass was handed on.";

/// The visit of a step whose effect is undone.
#[derive(Debug)]
pub(crate) struct VisitKey {
    pub(crate) step: StepId,
    pub(crate) visit: i32,
}

/// What the ledger knows of an undo.
#[derive(Debug)]
pub(crate) enum Undo {
    /// It was done; this was the answer.
    Ended(StepResult),
    /// What would be undone belongs to another person, ticket or action.
    Other,
    /// Somebody undoes it, or still does it.
    UnderWay,
    /// Nobody is at it: undo it.
    Mine(UndoMandate),
}

/// The right to undo one visit: the intent is in the ledger, and nobody else holds the lease. Only this module makes one.
#[derive(Debug)]
pub(crate) struct UndoMandate {
    of: VisitKey,
    fence: i64,
    target: Target,
}

impl UndoMandate {
    /// What is to be undone.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

/// What a visit left behind.
#[derive(Debug)]
pub(crate) enum Target {
    /// It never acted.
    Nothing,
    /// It failed, and said why.
    Failed,
    /// A pass that was handed on.
    Made {
        effect: Uuid,
        /// The vendor's id of it.
        pass: String,
        /// Whose it is, for people.
        name: String,
    },
    /// An intent whose actor is gone; nobody knows what came of it. Its lease is ours too.
    Open(Mandate),
}

/// What came of looking for it.
enum Left {
    /// This execution's.
    Ours(Target),
    /// Another person's, ticket's or action's.
    Other,
    /// Somebody is still at it.
    Held,
}

/// What was done to undo a visit.
#[derive(Debug)]
pub(crate) struct Undone {
    /// The vendor's ids of the passes that are gone.
    pub(crate) deleted: Vec<String>,
    /// The answer.
    pub(crate) result: StepResult,
}

/// What else was done for the same person.
#[derive(Debug)]
pub(crate) struct Others {
    /// The vendor's ids of passes that were handed on.
    pub(crate) made: Vec<String>,
    /// Somebody is asking the directory for another one.
    pub(crate) asking: bool,
}

impl Store {
    /// Write that `of` is to be undone, or take the undo up where nobody is at it. From here on `of` begins nothing.
    pub(crate) async fn take_up_undo(
        &self,
        request: &StepRequest,
        of: VisitKey,
        now: OffsetDateTime,
    ) -> Result<Undo, StoreError> {
        let asked = Instant::now();
        let mut transaction = self.pool.begin().await?;
        let (execution, step) = (request.execution_id, of.step.as_str());
        lock_visit(&mut transaction, &self.tenant, execution, step, of.visit).await?;
        if let Some(known) = self.known_undo(&mut transaction, request, &of).await? {
            return Ok(known);
        }
        let target = match self.left_behind(&mut transaction, request, &of, asked).await? {
            Left::Ours(target) => target,
            Left::Other => return Ok(Undo::Other),
            Left::Held => return Ok(Undo::UnderWay),
        };
        let claimed = sqlx::query!(
            "INSERT INTO effect_undos (tenant_id, execution_id, step_id, visit, ticket_id, subject_id, state,
                 intended_at, leased_until)
             VALUES ($1, $2, $3, $4, $5, $6, 'INTENDED', $7, now() + $8)
             ON CONFLICT (tenant_id, execution_id, step_id, visit) DO UPDATE
             SET leased_until = now() + $8, fence = effect_undos.fence + 1
             WHERE effect_undos.state = 'INTENDED'
               AND (effect_undos.leased_until IS NULL OR effect_undos.leased_until < now())
             RETURNING fence",
            self.tenant.as_str(),
            request.execution_id.0,
            of.step.as_str(),
            of.visit,
            request.ticket_id.as_str(),
            request.subject.user_id.as_str(),
            now,
            lease(),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(claimed) = claimed else {
            return Ok(Undo::UnderWay);
        };
        transaction.commit().await?;
        Ok(Undo::Mine(UndoMandate {
            of,
            fence: claimed.fence,
            target,
        }))
    }

    /// The answer, where the undo alone settles it.
    async fn known_undo(
        &self,
        connection: &mut PgConnection,
        request: &StepRequest,
        of: &VisitKey,
    ) -> Result<Option<Undo>, StoreError> {
        let row = sqlx::query!(
            "SELECT ticket_id, subject_id, result
             FROM effect_undos
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4",
            self.tenant.as_str(),
            request.execution_id.0,
            of.step.as_str(),
            of.visit,
        )
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        if row.ticket_id != request.ticket_id.as_str() || row.subject_id != request.subject.user_id.as_str() {
            return Ok(Some(Undo::Other));
        }
        match row.result {
            None => Ok(None),
            Some(result) => serde_json::from_value(result)
                .map(|result| Some(Undo::Ended(result)))
                .map_err(|_| StoreError::CorruptUndo(request.execution_id)),
        }
    }

    /// What `of` left behind, claimed where its actor is gone.
    async fn left_behind(
        &self,
        connection: &mut PgConnection,
        request: &StepRequest,
        of: &VisitKey,
        asked: Instant,
    ) -> Result<Left, StoreError> {
        let row = sqlx::query!(
            "SELECT id, ticket_id, action, subject_id, state, made, plan ->> 'name' AS name
             FROM effects
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4",
            self.tenant.as_str(),
            request.execution_id.0,
            of.step.as_str(),
            of.visit,
        )
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else {
            return Ok(Left::Ours(Target::Nothing));
        };
        let ours = row.ticket_id == request.ticket_id.as_str()
            && row.subject_id == request.subject.user_id.as_str()
            && row.action == reset::ACTION;
        if !ours {
            return Ok(Left::Other);
        }
        match (row.state.as_str(), row.made, row.name) {
            ("FAILED", _, _) => Ok(Left::Ours(Target::Failed)),
            ("DONE", Some(pass), Some(name)) => Ok(Left::Ours(Target::Made {
                effect: row.id,
                pass,
                name,
            })),
            ("INTENDED", None, _) => self.claim_to_undo(connection, request, row.id, asked).await,
            _ => Err(StoreError::Corrupt(row.id)),
        }
    }

    /// The effect's own lease: while its actor holds it, nobody can tell what will be there to undo.
    async fn claim_to_undo(
        &self,
        connection: &mut PgConnection,
        request: &StepRequest,
        effect: Uuid,
        asked: Instant,
    ) -> Result<Left, StoreError> {
        let claimed = sqlx::query!(
            "UPDATE effects
             SET leased_until = now() + $3, fence = fence + 1
             WHERE tenant_id = $1 AND id = $2
               AND state = 'INTENDED' AND (leased_until IS NULL OR leased_until < now())
             RETURNING fence, asked_at, intended_at",
            self.tenant.as_str(),
            effect,
            lease(),
        )
        .fetch_optional(connection)
        .await?;
        Ok(claimed.map_or(Left::Held, |row| {
            Left::Ours(Target::Open(Mandate {
                effect,
                fence: row.fence,
                subject: request.subject.user_id.clone(),
                asked_at: row.asked_at,
                first_ask: None,
                intended_at: row.intended_at,
                held: Held::since(asked, LEASE),
            }))
        }))
    }

    /// What other effects on the same person made or are about to make: not ours to delete.
    pub(crate) async fn others(&self, mandate: &Mandate) -> Result<Others, StoreError> {
        let rows = sqlx::query!(
            "SELECT made
             FROM effects
             WHERE tenant_id = $1 AND subject_id = $2 AND id <> $3
               AND (made IS NOT NULL
                 -- Its answer is still awaited, and nobody is undoing it.
                 OR (state = 'INTENDED' AND asked_at IS NOT NULL AND leased_until > now()
                   AND NOT EXISTS (
                     SELECT FROM effect_undos AS undo
                     WHERE undo.tenant_id = effects.tenant_id AND undo.execution_id = effects.execution_id
                       AND undo.step_id = effects.step_id AND undo.visit = effects.visit)))",
            self.tenant.as_str(),
            mandate.subject.as_str(),
            mandate.effect,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(Others {
            asking: rows.iter().any(|row| row.made.is_none()),
            made: rows.into_iter().filter_map(|row| row.made).collect(),
        })
    }

    /// Let another request take the undo up at once.
    pub(crate) async fn release_undo(
        &self,
        request: &StepRequest,
        mandate: UndoMandate,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE effect_undos
             SET leased_until = NULL
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4 AND fence = $5
               AND state = 'INTENDED'",
            self.tenant.as_str(),
            request.execution_id.0,
            mandate.of.step.as_str(),
            mandate.of.visit,
            mandate.fence,
        )
        .execute(&self.pool)
        .await?;
        if let Target::Open(effect) = mandate.target {
            self.release(effect).await?;
        }
        Ok(())
    }

    /// Write what came of it; an open intent ends with it. `false`: a lease is lost, and the result with it; it must not
    /// be answered.
    pub(crate) async fn finish_undo(
        &self,
        request: &StepRequest,
        mandate: &UndoMandate,
        undone: &Undone,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let stored = serde_json::to_value(&undone.result)
            .map_err(|_| StoreError::CorruptUndo(request.execution_id))?;
        let mut transaction = self.pool.begin().await?;
        if let Target::Open(effect) = &mandate.target {
            let withdrawn = StepResult::new(Outcome::Failure, WITHDRAWN);
            let ended = Ended {
                made: None,
                after: After::NOTHING,
                result: &withdrawn,
                at: now,
            };
            let ending = ending(request, effect, &ended)?;
            if !end_recorded(&mut transaction, (&self.tenant, &self.audit), &ending).await? {
                return Ok(false);
            }
        }
        let ended = sqlx::query!(
            "UPDATE effect_undos
             SET state = 'DONE', result = $6, ended_at = $7, leased_until = NULL
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4 AND fence = $5
               AND state = 'INTENDED'",
            self.tenant.as_str(),
            request.execution_id.0,
            mandate.of.step.as_str(),
            mandate.of.visit,
            mandate.fence,
            stored,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        if ended.rows_affected() == 0 {
            return Ok(false);
        }
        let (kind, effect) = match &mandate.target {
            Target::Nothing | Target::Failed => ("effect.nothing_to_undo", None),
            Target::Made { effect, .. } => ("effect.undone", Some(*effect)),
            Target::Open(open) => ("effect.undone", Some(open.effect)),
        };
        let detail = json!({
            "effect": effect, "step": mandate.of.step, "visit": mandate.of.visit,
            "subject": request.subject.user_id, "deleted": undone.deleted,
        });
        self.audit
            .record(&mut transaction, &about(request, kind, detail))
            .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// It is not to be begun any more. Holds to the end of the transaction.
pub(super) async fn is_undone(
    connection: &mut PgConnection,
    tenant: &TenantId,
    execution: ExecutionId,
    step: &str,
    visit: i32,
) -> Result<bool, StoreError> {
    lock_visit(connection, tenant, execution, step, visit).await?;
    let undone = sqlx::query_scalar!(
        "SELECT EXISTS (
             SELECT FROM effect_undos
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4) AS \"undone!\"",
        tenant.as_str(),
        execution.0,
        step,
        visit,
    )
    .fetch_one(connection)
    .await?;
    Ok(undone)
}

/// Begin a visit, or its undo, but never both at once: neither has a row yet that the other would run into.
async fn lock_visit(
    connection: &mut PgConnection,
    tenant: &TenantId,
    execution: ExecutionId,
    step: &str,
    visit: i32,
) -> Result<(), StoreError> {
    let visit = format!("{tenant}/{execution}/{step}/{visit}");
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('effects/' || $1))", visit)
        .execute(connection)
        .await?;
    Ok(())
}
