//! Tickets that go from one state to the next at the same moment, in one transaction: state, decision and audit together.

use std::collections::{BTreeMap, HashSet};

use chassis::Sessions;
use chassis::group_commit::Ledger;
use chassis::{AuditEvent, AuditLog, switches, tripwires};
use common::clock;
use common::velocity::{Place, Windows};
use common::{ExecutionId, TenantId, TicketId};
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::limits::GateWindows;
use super::{Judgement, StoreError, notify};
use crate::facts::Objection;

/// One ticket's step, written under the fence of its claim.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) ticket: TicketId,
    pub(super) fence: i64,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// Present if and only if it is decided by this.
    pub(super) judgement: Option<Box<Judgement>>,
    /// What that uses up.
    pub(super) places: Vec<Place>,
    pub(super) execution: Option<ExecutionId>,
    /// When there is something to do about it.
    pub(super) work_at: Option<OffsetDateTime>,
    pub(super) tries: u32,
    pub(super) patience_until: Option<OffsetDateTime>,
    pub(super) waiting_for: Option<String>,
    /// Until when its mover keeps it.
    pub(super) leased_until: Option<OffsetDateTime>,
    /// What happened, in its order.
    pub(super) events: Vec<AuditEvent>,
}

impl Move {
    /// What will be automated by it.
    fn automates(&self) -> Option<&Judgement> {
        self.judgement
            .as_deref()
            .filter(|judgement| judgement.execution.is_some())
    }

    /// Anybody may take it up at once.
    fn is_free(&self, now: OffsetDateTime) -> bool {
        self.leased_until.is_none() && self.work_at.is_some_and(|due| due <= now)
    }
}

/// The tickets.
#[derive(Debug, Clone)]
pub(super) struct Moves {
    pub(super) pool: Sessions,
    pub(super) tenant: TenantId,
    pub(super) audit: AuditLog,
}

/// What came of a move.
#[derive(Debug)]
pub(super) enum Moved {
    /// It was made.
    Made,
    /// It was not the mover's to make: somebody else has taken the ticket up, or it has moved on.
    Overtaken,
    /// This stands against what it decides, so it was not made.
    Objected(Objection),
}

impl Ledger for Moves {
    type Entry = Move;
    type Found = Moved;
    type Error = StoreError;

    async fn commit(&self, moves: &[Move]) -> Result<Vec<Moved>, StoreError> {
        let now = clock::now();
        let mut tx = self.pool.begin().await?;
        // Before any ticket: whoever waits for a window holds nothing that its holder may want.
        let places = moves.iter().flat_map(|entry| &entry.places);
        let windows = tripwires::open::<GateWindows>(&mut tx, &self.tenant, places).await?;
        let objections = self.objections(&mut tx, moves, windows.clone(), now).await?;
        let clear = moves.iter().zip(&objections);
        let clear: Vec<&Move> = clear
            .filter_map(|(entry, objection)| objection.is_none().then_some(entry))
            .collect();
        let moved = self.write(&mut tx, &clear, now).await?;
        let made: Vec<&Move> = clear
            .into_iter()
            .filter(|entry| moved.contains(entry.ticket.as_str()))
            .collect();
        self.count(&mut tx, &made, windows, now).await?;
        let told = made.iter().flat_map(|entry| &entry.events);
        self.audit.record_all(&mut tx, told).await?;
        if made.iter().any(|entry| entry.is_free(now)) {
            notify(&mut tx).await?;
        }
        tx.commit().await?;
        let answers = moves.iter().zip(objections);
        Ok(answers
            .map(|(entry, objection)| match objection {
                Some(objection) => Moved::Objected(objection),
                None if moved.contains(entry.ticket.as_str()) => Moved::Made,
                None => Moved::Overtaken,
            })
            .collect())
    }
}

impl Moves {
    /// What stands against each of `moves`, where something does: a switch, or a window that is full of the others.
    async fn objections(
        &self,
        connection: &mut PgConnection,
        moves: &[Move],
        mut windows: Windows,
        now: OffsetDateTime,
    ) -> Result<Vec<Option<Objection>>, StoreError> {
        let mut known = BTreeMap::new();
        let mut objections = Vec::with_capacity(moves.len());
        for entry in moves {
            let Some(Judgement {
                decision,
                execution: Some(execution),
                ..
            }) = entry.automates()
            else {
                objections.push(None);
                continue;
            };
            let playbook = &execution.playbook.name;
            if !known.contains_key(playbook) {
                let off = switches::off(&mut *connection, &self.tenant, Some(playbook)).await?;
                known.insert(playbook.clone(), off);
            }
            if let Some(off) = known.get(playbook).cloned().flatten() {
                objections.push(Some(Objection::SwitchedOff(Box::new(off))));
                continue;
            }
            let taken = windows.take(&entry.places, decision.decision_id.0, now);
            objections.push(taken.err().map(Objection::Limit));
        }
        Ok(objections)
    }

    /// Write down what those that were made use up. It fits: they are some of those for which there was room.
    async fn count(
        &self,
        connection: &mut PgConnection,
        made: &[&Move],
        mut windows: Windows,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        for entry in made {
            if let Some(judgement) = entry.automates() {
                let _ = windows.take(&entry.places, judgement.decision.decision_id.0, now);
            }
        }
        Ok(tripwires::keep::<GateWindows>(connection, &self.tenant, &windows).await?)
    }

    /// The tickets that moved. A decision is written where its ticket moves, and nowhere else.
    async fn write(
        &self,
        connection: &mut PgConnection,
        moves: &[&Move],
        now: OffsetDateTime,
    ) -> Result<HashSet<String>, StoreError> {
        if moves.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = Rows::of(moves);
        let moved = sqlx::query_scalar!(
            r#"WITH moved AS (
                 UPDATE tickets AS ticket
                 SET state = step.goes_to, decision_id = coalesce(step.decision_id, ticket.decision_id),
                     execution_id = step.execution_id, work_at = step.work_at, changed_at = $2, tries = step.tries,
                     patience_until = step.patience_until, waiting_for = step.waiting_for,
                     leased_until = step.leased_until
                 FROM UNNEST($3::text[], $4::bigint[], $5::text[], $6::text[], $7::uuid[], $8::uuid[],
                             $9::timestamptz[], $10::integer[], $11::timestamptz[], $12::text[], $13::timestamptz[])
                      AS step (ticket_id, fence, comes_from, goes_to, decision_id, execution_id, work_at, tries,
                               patience_until, waiting_for, leased_until)
                 WHERE ticket.tenant_id = $1 AND ticket.ticket_id = step.ticket_id AND ticket.fence = step.fence
                   AND ticket.state = step.comes_from
                 RETURNING ticket.ticket_id
             ), decided AS (
                 INSERT INTO classification_results (
                     tenant_id, decision_id, ticket_id, automated, category, sub_category, confidence, model,
                     prompt_version, reasoning, blockers, playbook, ticket_type_id, client_id, requester_id, manager_id,
                     execution_request, decided_at, considered
                 )
                 SELECT $1, new.decision_id, new.ticket_id, new.automated, new.category, new.sub_category,
                        new.confidence, new.model, new.prompt_version, new.reasoning, new.blockers, new.playbook,
                        new.ticket_type_id, new.client_id, new.requester_id, new.manager_id, new.execution_request,
                        new.decided_at, new.considered
                 FROM jsonb_to_recordset($14)
                      AS new (decision_id uuid, ticket_id text, automated boolean, category text, sub_category text,
                              confidence double precision, model text, prompt_version text, reasoning text,
                              blockers jsonb, playbook jsonb, ticket_type_id bigint, client_id bigint,
                              requester_id text, manager_id text, execution_request jsonb, decided_at timestamptz,
                              considered jsonb)
                 JOIN moved ON moved.ticket_id = new.ticket_id
             )
             SELECT ticket_id FROM moved"#,
            self.tenant.as_str(),
            now,
            &rows.tickets as &[&str],
            &rows.fences,
            &rows.from as &[&str],
            &rows.to as &[&str],
            &rows.decisions as &[Option<Uuid>],
            &rows.executions as &[Option<Uuid>],
            &rows.work_at as &[Option<OffsetDateTime>],
            &rows.tries,
            &rows.patience_until as &[Option<OffsetDateTime>],
            &rows.waiting_for as &[Option<&str>],
            &rows.leased_until as &[Option<OffsetDateTime>],
            Value::from(rows.judgements),
        )
        .fetch_all(connection)
        .await?;
        Ok(moved.into_iter().collect())
    }
}

/// Moves by column.
#[derive(Default)]
struct Rows<'m> {
    tickets: Vec<&'m str>,
    fences: Vec<i64>,
    from: Vec<&'m str>,
    to: Vec<&'m str>,
    decisions: Vec<Option<Uuid>>,
    executions: Vec<Option<Uuid>>,
    work_at: Vec<Option<OffsetDateTime>>,
    tries: Vec<i32>,
    patience_until: Vec<Option<OffsetDateTime>>,
    waiting_for: Vec<Option<&'m str>>,
    leased_until: Vec<Option<OffsetDateTime>>,
    judgements: Vec<Value>,
}

impl<'m> Rows<'m> {
    fn of(moves: &[&'m Move]) -> Self {
        let mut rows = Self::default();
        for entry in moves {
            rows.push(entry);
        }
        rows
    }

    fn push(&mut self, entry: &'m Move) {
        let judgement = entry.judgement.as_deref();
        self.tickets.push(entry.ticket.as_str());
        self.fences.push(entry.fence);
        self.from.push(entry.from);
        self.to.push(entry.to);
        self.decisions
            .push(judgement.map(|judgement| judgement.decision.decision_id.0));
        self.executions.push(entry.execution.map(|execution| execution.0));
        self.work_at.push(entry.work_at);
        self.tries.push(i32::try_from(entry.tries).unwrap_or(i32::MAX));
        self.patience_until.push(entry.patience_until);
        self.waiting_for.push(entry.waiting_for.as_deref());
        self.leased_until.push(entry.leased_until);
        self.judgements.extend(judgement.map(row));
    }
}

/// A decision by column.
fn row(judgement: &Judgement) -> Value {
    let decision = &judgement.decision;
    json!({
        "decision_id": decision.decision_id,
        "ticket_id": decision.ticket_id,
        "automated": decision.automated,
        "category": decision.category,
        "sub_category": decision.sub_category,
        "confidence": decision.confidence,
        "model": decision.model,
        "prompt_version": decision.prompt_version,
        "reasoning": decision.reasoning,
        "blockers": decision.blockers,
        "playbook": decision.playbook,
        "ticket_type_id": judgement.reference.ticket_type_id,
        "client_id": judgement.reference.client_id,
        "requester_id": judgement.requester,
        "manager_id": judgement.manager,
        "execution_request": judgement.execution,
        "decided_at": at(decision.decided_at),
        "considered": judgement.considered,
    })
}

/// As Postgres reads it, to the microsecond that it keeps.
fn at(moment: OffsetDateTime) -> Option<String> {
    moment.format(&time::format_description::well_known::Rfc3339).ok()
}
