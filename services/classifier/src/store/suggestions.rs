//! Suggestions: what an agent may have done with one press. The code of the link is nowhere here, only its digest.

use chassis::{AuditEvent, switches, tripwires};
use common::clock;
use common::{Blocker, DecisionId, Digest, ExecutePlaybook, PlaybookRef, TicketId, UserId};
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::limits::GateWindows;
use super::outcomes::{Outcome, judged};
use super::{Judgement, Store, StoreError, notify};
use crate::facts::Objection;
use crate::modes::approver::Approver;

/// A suggestion as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggestion {
    pub(crate) decision: DecisionId,
    pub(crate) ticket: TicketId,
    pub(crate) playbook: PlaybookRef,
    /// For whom it was suggested.
    pub(crate) requester: Option<UserId>,
    pub(crate) code_digest: Digest,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) approved_at: Option<OffsetDateTime>,
}

/// What is about to be offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'o> {
    /// The digest of the code in its link.
    pub(crate) code: &'o Digest,
    /// What the note says, without that code.
    pub(crate) words: &'o str,
    pub(crate) now: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
}

/// What came of an approval.
#[derive(Debug)]
pub(crate) enum Approved {
    /// The execution will start.
    Now,
    /// Somebody was first, or the time is over.
    TooLate,
    /// A tripwire is in the way.
    Not(Objection),
    /// Somebody else has the ticket in hand this moment.
    InHand,
}

struct Row {
    decision_id: Uuid,
    ticket_id: String,
    playbook: Option<Value>,
    requester_id: Option<String>,
    code_digest: String,
    expires_at: OffsetDateTime,
    approved_at: Option<OffsetDateTime>,
}

impl Row {
    fn read(self) -> Result<Suggestion, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt {
            ticket: self.ticket_id.clone(),
            what: what.to_owned(),
        };
        Ok(Suggestion {
            decision: DecisionId(self.decision_id),
            ticket: self.ticket_id.parse().map_err(|_| corrupt("its number"))?,
            playbook: serde_json::from_value(self.playbook.unwrap_or_default())
                .map_err(|_| corrupt("the playbook that was suggested"))?,
            requester: self
                .requester_id
                .map(|id| id.parse())
                .transpose()
                .map_err(|_| corrupt("its requester"))?,
            code_digest: self
                .code_digest
                .parse()
                .map_err(|_| corrupt("the digest of its code"))?,
            expires_at: self.expires_at,
            approved_at: self.approved_at,
        })
    }
}

impl Store {
    /// The suggestion of a decision.
    pub(crate) async fn suggestion(&self, decision: DecisionId) -> Result<Option<Suggestion>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT s.decision_id, s.ticket_id, d.playbook, d.requester_id, s.code_digest, s.expires_at, s.approved_at
             FROM suggestions s
             JOIN classification_results d ON d.tenant_id = s.tenant_id AND d.decision_id = s.decision_id
             WHERE s.tenant_id = $1 AND s.decision_id = $2",
            self.tenant.as_str(),
            decision.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Row::read).transpose()
    }

    /// The suggestion whose code has this digest.
    pub(crate) async fn suggestion_by_code(&self, code: &Digest) -> Result<Option<Suggestion>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT s.decision_id, s.ticket_id, d.playbook, d.requester_id, s.code_digest, s.expires_at, s.approved_at
             FROM suggestions s
             JOIN classification_results d ON d.tenant_id = s.tenant_id AND d.decision_id = s.decision_id
             WHERE s.tenant_id = $1 AND s.code_digest = $2",
            self.tenant.as_str(),
            code.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Row::read).transpose()
    }

    /// Keep that something is suggested, before it is. A code that never reached the ticket makes room for `code`.
    pub(crate) async fn suggest(
        &self,
        ticket: &TicketId,
        decision: DecisionId,
        Offer {
            code,
            words,
            now,
            expires_at,
        }: Offer<'_>,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let kept = sqlx::query!(
            "INSERT INTO suggestions AS kept (
                 tenant_id, decision_id, ticket_id, code_digest, offered_at, expires_at, told
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (tenant_id, decision_id) DO UPDATE
             SET code_digest = $4, expires_at = $6, told = $7
             WHERE kept.approved_at IS NULL",
            self.tenant.as_str(),
            decision.0,
            ticket.as_str(),
            code.as_str(),
            now,
            expires_at,
            words,
        )
        .execute(&mut *tx)
        .await?;
        if kept.rows_affected() > 0 {
            let detail = json!({ "decision": decision, "text": Digest::of(words) });
            let event = AuditEvent::new("suggestion.offered", detail).ticket(ticket);
            self.audit.record(&mut tx, &event).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Spend the suggestion: its ticket goes back to the gate with the execution that `judgement` asks for, as any other.
    /// The tripwires, the agreement and the audit go with it or not at all.
    pub(crate) async fn approve(
        &self,
        suggestion: &Suggestion,
        judgement: &Judgement,
        outcome: &Outcome,
        approver: &Approver,
    ) -> Result<Approved, StoreError> {
        let Some(execution) = &judgement.execution else {
            return Ok(Approved::TooLate);
        };
        let now = clock::now();
        let mut tx = self.pool.begin().await?;
        let places = self.limits.places(&self.tenant, judgement);
        let mut windows = tripwires::open::<GateWindows>(&mut tx, &self.tenant, &places).await?;
        if let Some(off) = switches::off(&mut *tx, &self.tenant, Some(&execution.playbook.name)).await? {
            return Ok(Approved::Not(Objection::SwitchedOff(Box::new(off))));
        }
        if let Err(exceeded) = windows.take(&places, suggestion.decision.0, now) {
            return Ok(Approved::Not(Objection::Limit(exceeded)));
        }
        if !self.spend(&mut tx, suggestion, execution, approver, now).await? {
            return Ok(Approved::TooLate);
        }
        if !self.take_up_again(&mut tx, suggestion, now).await? {
            return Ok(Approved::InHand);
        }
        tripwires::keep::<GateWindows>(&mut tx, &self.tenant, &windows).await?;
        let detail = json!({ "decision": suggestion.decision, "by": approver.in_words(&suggestion.ticket) });
        let event = AuditEvent::new("suggestion.approved", detail)
            .ticket(&suggestion.ticket)
            .actor(approver.actor());
        self.put(&mut tx, outcome).await?;
        self.audit.record_all(&mut tx, [&event, &judged(outcome)]).await?;
        notify(&mut tx).await?;
        tx.commit().await?;
        Ok(Approved::Now)
    }

    /// `false` where it was spent before, or is too old.
    async fn spend(
        &self,
        connection: &mut PgConnection,
        suggestion: &Suggestion,
        execution: &ExecutePlaybook,
        approver: &Approver,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let request = serde_json::to_value(execution).map_err(|error| StoreError::Corrupt {
            ticket: suggestion.ticket.to_string(),
            what: error.to_string(),
        })?;
        let done = sqlx::query!(
            "UPDATE suggestions
             SET approved_at = $4, execution_request = $5, approved_by = $6
             WHERE tenant_id = $1 AND decision_id = $2 AND code_digest = $3 AND approved_at IS NULL AND expires_at > $4",
            self.tenant.as_str(),
            suggestion.decision.0,
            suggestion.code_digest.as_str(),
            now,
            request,
            approver.person(),
        )
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The ticket is to be carried out from now on. `false` where its decision has not been shown to the end yet.
    async fn take_up_again(
        &self,
        connection: &mut PgConnection,
        suggestion: &Suggestion,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "UPDATE tickets
             SET state = 'DECIDED', work_at = $4, changed_at = $4, tries = 0, leased_until = NULL, fence = fence + 1
             WHERE tenant_id = $1 AND ticket_id = $2 AND decision_id = $3 AND state = 'DONE' AND execution_id IS NULL",
            self.tenant.as_str(),
            suggestion.ticket.as_str(),
            suggestion.decision.0,
            now,
        )
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// An approval that came to nothing, with all that stood against it.
    pub(crate) async fn not_approved(
        &self,
        suggestion: &Suggestion,
        against: &[Blocker],
        approver: &Approver,
    ) -> Result<(), StoreError> {
        let codes: Vec<&str> = against.iter().map(|blocker| blocker.code.as_str()).collect();
        let detail = json!({ "decision": suggestion.decision, "blockers": codes });
        let event = AuditEvent::new("suggestion.refused", detail)
            .ticket(&suggestion.ticket)
            .actor(approver.actor());
        let mut tx = self.pool.begin().await?;
        self.audit.record(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(())
    }
}
