//! Decisions: written once, with their audit event, in the transaction that moves the ticket on.

use chassis::AuditEvent;
use common::{
    Blocker, Decision, DecisionId, Digest, ExecutePlaybook, ExecutionId, PlaybookRef, TicketId, UserId,
};
use connectors::halopsa::TicketRef;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Claim, Stage, Store, StoreError};
use crate::considered::Considered;
use crate::facts::Objection;

/// What the gate made of a ticket, ready to be written down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) decision: Decision,
    /// What it is made of.
    pub(crate) considered: Considered,
    /// What the help desk wants repeated with every update.
    pub(crate) reference: TicketRef,
    pub(crate) requester: Option<UserId>,
    pub(crate) manager: Option<UserId>,
    /// Present if and only if it is automated.
    pub(crate) execution: Option<ExecutePlaybook>,
}

/// What came of recording a decision.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// It is, and the ticket stays ours.
    As(Claim),
    /// It is not: this stands against automation.
    Not(Objection),
}

/// A decision with what is needed to carry it out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    pub(crate) reference: TicketRef,
    pub(crate) execution: Option<ExecutePlaybook>,
}

struct Row {
    decision_id: Uuid,
    automated: bool,
    category: String,
    sub_category: Option<String>,
    confidence: f64,
    model: String,
    prompt_version: String,
    reasoning: String,
    blockers: Value,
    playbook: Option<Value>,
    ticket_type_id: Option<i64>,
    client_id: Option<i64>,
    execution_request: Option<Value>,
    decided_at: OffsetDateTime,
    execution_id: Option<Uuid>,
}

impl Store {
    /// Record the decision: the ticket is decided from now on, and stays ours.
    pub(crate) async fn decide(&self, claim: &Claim, judgement: Judgement) -> Result<Recorded, StoreError> {
        let event = recorded(&judgement.decision, judgement.requester.as_ref());
        let decided = Decided {
            decision: judgement.decision.clone(),
            reference: judgement.reference.clone(),
            execution: judgement.execution.clone(),
        };
        let mut step = claim.to("DECIDED", vec![event]);
        step.places = self.limits.places(&self.tenant, &judgement);
        step.judgement = Some(Box::new(judgement));
        self.keep_moving(claim, step, Stage::Decided(Box::new(decided)))
            .await
    }

    /// The decision on a ticket, where there is one.
    pub(crate) async fn decision(&self, ticket: &TicketId) -> Result<Option<Decision>, StoreError> {
        Ok(self.decided(ticket).await?.map(|decided| decided.decision))
    }

    /// What the decision on a ticket was made of. `None` where it was made before that was kept, or is in a form that
    /// nobody can read any more: the decision itself stands all the same.
    pub(crate) async fn considered(&self, decision: DecisionId) -> Result<Option<Considered>, StoreError> {
        let kept = sqlx::query_scalar!(
            "SELECT considered FROM classification_results WHERE tenant_id = $1 AND decision_id = $2",
            self.tenant.as_str(),
            decision.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(kept) = kept.flatten() else {
            return Ok(None);
        };
        let read = serde_json::from_value(kept);
        if let Err(error) = &read {
            tracing::warn!(decision.id = %decision, %error, "what a decision was made of cannot be read");
        }
        Ok(read.ok())
    }

    pub(super) async fn decided(&self, ticket: &TicketId) -> Result<Option<Decided>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT d.decision_id, d.automated, d.category, d.sub_category, d.confidence, d.model, d.prompt_version,
                    d.reasoning, d.blockers, d.playbook, d.ticket_type_id, d.client_id,
                    -- What an agent approved is carried out as what needed nobody's word.
                    coalesce(d.execution_request, s.execution_request) AS execution_request,
                    d.decided_at, t.execution_id
             FROM classification_results d
             JOIN tickets t ON t.tenant_id = d.tenant_id AND t.ticket_id = d.ticket_id
             LEFT JOIN suggestions s ON s.tenant_id = d.tenant_id AND s.decision_id = d.decision_id
             WHERE d.tenant_id = $1 AND d.ticket_id = $2",
            self.tenant.as_str(),
            ticket.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.read(ticket, row)).transpose()
    }

    fn read(&self, ticket: &TicketId, row: Row) -> Result<Decided, StoreError> {
        let decision = Decision {
            decision_id: DecisionId(row.decision_id),
            tenant_id: self.tenant.clone(),
            ticket_id: ticket.clone(),
            automated: row.automated,
            category: row.category,
            sub_category: row.sub_category,
            confidence: row.confidence,
            model: row.model,
            prompt_version: row.prompt_version,
            reasoning: row.reasoning,
            blockers: parse::<Vec<Blocker>>(ticket, row.blockers)?,
            playbook: row
                .playbook
                .map(|json| parse::<PlaybookRef>(ticket, json))
                .transpose()?,
            execution_id: row.execution_id.map(ExecutionId),
            decided_at: row.decided_at,
        };
        Ok(Decided {
            decision,
            reference: TicketRef {
                id: ticket.clone(),
                ticket_type_id: row.ticket_type_id,
                client_id: row.client_id,
            },
            execution: row
                .execution_request
                .map(|json| parse::<ExecutePlaybook>(ticket, json))
                .transpose()?,
        })
    }
}

fn parse<T: DeserializeOwned>(ticket: &TicketId, json: Value) -> Result<T, StoreError> {
    serde_json::from_value(json).map_err(|error| StoreError::Corrupt {
        ticket: ticket.to_string(),
        what: error.to_string(),
    })
}

/// Ids, codes and numbers; what a model wrote stays in its own table, and its digest is here.
fn recorded(decision: &Decision, requester: Option<&UserId>) -> AuditEvent {
    let blockers: Vec<&str> = decision
        .blockers
        .iter()
        .map(|blocker| blocker.code.as_str())
        .collect();
    let detail = json!({
        "decision": decision.decision_id,
        "automated": decision.automated,
        "category": decision.category,
        "sub_category": decision.sub_category,
        "confidence": decision.confidence,
        "model": decision.model,
        "prompt_version": decision.prompt_version,
        "reasoning": Digest::of(&decision.reasoning),
        "blockers": blockers,
        "playbook": decision.playbook,
        "requester": requester,
    });
    AuditEvent::new("decision.recorded", detail).ticket(&decision.ticket_id)
}
