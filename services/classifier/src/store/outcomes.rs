//! What people said of decisions, tickets whose end will say something, and automation that was lost.

use std::time::Duration;

use chassis::AuditEvent;
use common::clock;
use common::modes::{FellBack, Verdict};
use common::{DecisionId, PlaybookName, TicketId};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LEASE, Store, StoreError};
use crate::modes::standing::Drift;
use crate::modes::verdict::Source;
use crate::modes::{AWAITS_AGENT, SHADOW_MODE};

/// Told when a ticket that is watched has changed.
pub(crate) const WATCH_CHANNEL: &str = "classifier_watches";

/// What is said of one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) ticket: TicketId,
    pub(crate) decision: DecisionId,
    pub(crate) playbook: PlaybookName,
    /// Nothing spoke against it but perhaps the mode.
    pub(crate) would_automate: bool,
    pub(crate) source: Source,
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    /// As in the audit; `None`: the service itself.
    pub(crate) said_by: Option<String>,
}

/// What stands for or against a playbook that was asked to act by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// It has lost that.
    Lost(FellBack),
    /// Whether each of the newest decisions in its favour was right, the newest first.
    Judged(Vec<bool>),
}

/// A ticket whose end will say whether the gate was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) ticket: TicketId,
    /// So often looked at in vain since something was told.
    pub(crate) looks: u32,
    due_at: OffsetDateTime,
}

impl Store {
    /// Watch what becomes of a ticket. Safe to repeat.
    pub(crate) async fn watch(
        &self,
        ticket: &TicketId,
        decision: DecisionId,
        first_look: Duration,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO gate_watches (tenant_id, ticket_id, decision_id, due_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            self.tenant.as_str(),
            ticket.as_str(),
            decision.0,
            clock::now() + first_look,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Take up the watched ticket that is due longest.
    pub(crate) async fn claim_watch(&self) -> Result<Option<Watch>, StoreError> {
        let now = clock::now();
        let row = sqlx::query!(
            r#"UPDATE gate_watches
             SET leased_until = $3
             WHERE tenant_id = $1 AND ticket_id = (
                 SELECT ticket_id
                 FROM gate_watches
                 WHERE tenant_id = $1 AND due_at <= $2 AND (leased_until IS NULL OR leased_until < $2)
                 ORDER BY due_at
                 LIMIT 1
                 FOR UPDATE SKIP LOCKED
             )
             RETURNING ticket_id, looks, due_at AS "due_at!""#,
            self.tenant.as_str(),
            now,
            now + LEASE,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            let corrupt = |_| StoreError::Corrupt {
                ticket: row.ticket_id.clone(),
                what: "its number".to_owned(),
            };
            Ok(Watch {
                ticket: row.ticket_id.parse().map_err(corrupt)?,
                looks: row.looks.unsigned_abs(),
                due_at: row.due_at,
            })
        })
        .transpose()
    }

    /// How long until the next watched ticket is due; `None` where none is.
    pub(crate) async fn next_watch(&self) -> Result<Option<Duration>, StoreError> {
        let due = sqlx::query_scalar!(
            "SELECT min(greatest(due_at, coalesce(leased_until, due_at))) FROM gate_watches
             WHERE tenant_id = $1 AND due_at IS NOT NULL",
            self.tenant.as_str(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(due.map(|due| Duration::try_from(due - clock::now()).unwrap_or_default()))
    }

    /// Look again after `pause`, or when something is told; `None`: only then. What was told meanwhile stays due.
    pub(crate) async fn look_again(&self, watch: &Watch, pause: Option<Duration>) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE gate_watches
             SET due_at = CASE WHEN due_at = $3 THEN $4 ELSE due_at END,
                 looks = CASE WHEN due_at = $3 THEN looks + 1 ELSE looks END,
                 leased_until = NULL
             WHERE tenant_id = $1 AND ticket_id = $2",
            self.tenant.as_str(),
            watch.ticket.as_str(),
            watch.due_at,
            pause.map(|pause| clock::now() + pause),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Keep what is said of a decision, in place of what the same source said before. Said again, it is no news.
    pub(crate) async fn say(&self, outcome: &Outcome) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        if self.put(&mut tx, outcome).await? {
            self.audit.record(&mut tx, &judged(outcome)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// `false` where the same was said before.
    pub(super) async fn put(
        &self,
        connection: &mut PgConnection,
        outcome: &Outcome,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "INSERT INTO gate_outcomes AS said (
                 tenant_id, decision_id, source, playbook, would_automate, verdict, reason, said_by, at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (tenant_id, decision_id, source) DO UPDATE
             SET verdict = EXCLUDED.verdict, reason = EXCLUDED.reason, said_by = EXCLUDED.said_by, at = EXCLUDED.at
             WHERE (said.verdict, said.reason, said.said_by)
                   IS DISTINCT FROM (EXCLUDED.verdict, EXCLUDED.reason, EXCLUDED.said_by)",
            self.tenant.as_str(),
            outcome.decision.0,
            outcome.source.as_str(),
            outcome.playbook.as_str(),
            outcome.would_automate,
            outcome.verdict.as_str(),
            outcome.reason,
            outcome.said_by,
            clock::now(),
        )
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether each of the newest decisions in favour of `playbook` was right, as far as somebody judged it; the newest
    /// first.
    pub(crate) async fn newest_judged(
        &self,
        playbook: &PlaybookName,
        most: u32,
    ) -> Result<Vec<bool>, StoreError> {
        let judged = sqlx::query_scalar!(
            r#"SELECT verdict = 'agreed' AS "right!"
             FROM gate_verdicts
             WHERE tenant_id = $1 AND playbook = $2 AND would_automate AND verdict <> 'unclear'
             ORDER BY decision_id DESC
             LIMIT $3"#,
            self.tenant.as_str(),
            playbook.as_str(),
            i64::from(most),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(judged)
    }

    /// Whether automation was lost under this activation; where it was not, what is judged of `playbook`, as
    /// [`Store::newest_judged`] tells it. In one question, for it is asked before each ticket that is automated.
    pub(crate) async fn record_of(
        &self,
        playbook: &PlaybookName,
        activation: Uuid,
        most: u32,
    ) -> Result<Record, StoreError> {
        let row = sqlx::query!(
            r#"SELECT lost.reason AS "reason?", lost.at AS "at?", coalesce(newest.judged, '{}') AS "judged!"
             FROM (VALUES (TRUE)) AS asked
             LEFT JOIN gate_fallbacks lost
                 ON lost.tenant_id = $1 AND lost.playbook = $2 AND lost.activation_id = $3
             LEFT JOIN LATERAL (
                 SELECT array_agg(said.verdict = 'agreed' ORDER BY said.decision_id DESC) AS judged
                 FROM (
                     SELECT decision_id, verdict
                     FROM gate_verdicts
                     WHERE tenant_id = $1 AND playbook = $2 AND would_automate AND verdict <> 'unclear'
                     ORDER BY decision_id DESC
                     LIMIT $4
                 ) AS said
             ) AS newest ON lost.at IS NULL"#,
            self.tenant.as_str(),
            playbook.as_str(),
            activation,
            i64::from(most),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(match (row.at, row.reason) {
            (Some(at), Some(reason)) => Record::Lost(FellBack { at, reason }),
            _ => Record::Judged(row.judged),
        })
    }

    /// Automation is lost, until the playbook is activated anew. Of two who notice at once, one writes it down.
    pub(crate) async fn fall_back(
        &self,
        playbook: &PlaybookName,
        activation: Uuid,
        drift: &Drift,
    ) -> Result<FellBack, StoreError> {
        let fallen = FellBack {
            at: clock::now(),
            reason: drift.to_string(),
        };
        let mut tx = self.pool.begin().await?;
        let done = sqlx::query!(
            "INSERT INTO gate_fallbacks (tenant_id, playbook, activation_id, reason, at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
            self.tenant.as_str(),
            playbook.as_str(),
            activation,
            fallen.reason,
            fallen.at,
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 1 {
            let detail = json!({
                "playbook": playbook, "activation": activation, "to": "suggest", "why": drift.code(),
                "reason": fallen.reason,
            });
            let event = AuditEvent::new("gate.mode_fell_back", detail);
            self.audit.record(&mut tx, &event).await?;
            tracing::error!(playbook.name = %playbook, reason = fallen.reason, "a playbook no longer acts by itself");
            metrics::counter!("firstline_gate_fallbacks_total").increment(1);
        }
        tx.commit().await?;
        Ok(fallen)
    }
}

/// Codes and ids; an operator's words stay in their table.
pub(super) fn judged(outcome: &Outcome) -> AuditEvent {
    let detail = json!({
        "decision": outcome.decision,
        "playbook": outcome.playbook,
        "source": outcome.source.as_str(),
        "verdict": outcome.verdict,
        "would_automate": outcome.would_automate,
    });
    let event = AuditEvent::new("decision.judged", detail).ticket(&outcome.ticket);
    match &outcome.said_by {
        Some(actor) => event.actor(actor),
        None => event,
    }
}

/// Whether nothing spoke against automation but perhaps the mode.
pub(crate) fn would_automate(decision: &common::Decision) -> bool {
    match decision.blockers.as_slice() {
        [] => decision.automated,
        [only] => only.code == SHADOW_MODE || only.code == AWAITS_AGENT,
        _ => false,
    }
}
