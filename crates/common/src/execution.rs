//! Contracts of the orchestration service.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ids::{DecisionId, ExecutionId, TenantId, TicketId};
use crate::operate::Standstill;
use crate::outcome::Outcome;
use crate::person::{Named, Subject};
use crate::playbook::PlaybookRef;
use crate::step::{StepCall, Values};
use crate::ticket::TicketSnapshot;

/// `POST /api/v1/orchestration/execute_playbook`. One open execution per ticket: repeating the request for the same
/// decision answers the same execution, another decision's is a 409 `execution_open`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutePlaybook {
    /// The tenant; equal to the subject's.
    pub tenant_id: TenantId,
    /// The ticket.
    pub ticket_id: TicketId,
    /// The decision that allowed it.
    pub decision_id: DecisionId,
    /// Exactly which document to run.
    pub playbook: PlaybookRef,
    /// The authenticated requester of the ticket, by directory object id.
    pub subject: Subject,
    /// The requester's name, to show to people.
    pub requester_name: String,
    /// Their address in the directory, to show to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester_mail: Option<String>,
    /// Their manager at the time of the decision, to show to people: who may approve is looked up afresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<Named>,
    /// What templates may show of the ticket.
    pub ticket: TicketSnapshot,
    /// What the playbook wants to be told at its start; checked against its `inputs:`.
    #[schema(value_type = Object)]
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub inputs: Values,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionStatus {
    /// Accepted, nothing begun.
    Queued,
    /// A step is under way or about to be.
    Running,
    /// Somebody has been asked, or a retry is due later.
    Waiting,
    /// Ended well.
    Resolved,
    /// Ended with a person.
    Escalated,
}

impl ExecutionStatus {
    /// As the database and the wire write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Resolved => "RESOLVED",
            Self::Escalated => "ESCALATED",
        }
    }

    /// Nothing more will happen.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Resolved | Self::Escalated)
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ending {
    /// At a terminal step with `status: RESOLVED`.
    Resolved,
    /// At an escalation step, or because nothing else was left.
    Escalated {
        /// Why, for the person who takes over.
        reason: String,
    },
}

/// Answer to [`ExecutePlaybook`] (202).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExecutionAccepted {
    /// The execution, new or already there.
    pub execution_id: ExecutionId,
    /// Where it stands.
    pub status: ExecutionStatus,
}

/// `GET /api/v1/orchestration/execution/{ticket_id}` and `.../executions/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExecutionView {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The ticket.
    pub ticket_id: TicketId,
    /// The pinned playbook.
    pub playbook: PlaybookRef,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// Present while no step of it may begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standstill: Option<Standstill>,
    /// Why a person must take over, once it escalated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The step that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step: Option<StepCall>,
    /// Every call of every step, oldest first.
    pub steps: Vec<StepView>,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
}

/// The outcome of a call that nobody waited for any more.
pub const DROPPED: &str = "dropped";

impl ExecutionView {
    /// It still wants to know how `call` ends: it goes on, and did not leave that visit of the step.
    pub fn waits_for(&self, call: &StepCall) -> bool {
        let of_visit = |step: &&StepView| (&step.call.id, step.call.visit) == (&call.id, call.visit);
        let newest = self.steps.iter().rev().find(of_visit);
        let outcome = newest.and_then(|step| step.outcome.as_ref());
        !self.status.ended() && outcome.map(Outcome::as_str) != Some(DROPPED)
    }
}

/// One call of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepView {
    /// Which step, visit and attempt.
    #[serde(flatten)]
    pub call: StepCall,
    /// The step's name for people.
    pub name: String,
    /// `service.action`; absent for steps that call nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// How it ended; absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// One sentence: what happened, or what is being waited for.
    pub explanation: String,
    /// Declared values, no secrets.
    #[schema(value_type = Object)]
    #[serde(default)]
    pub output: Values,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, visit: u32, attempt: u32) -> StepCall {
        StepCall {
            id: id.parse().unwrap(),
            visit,
            attempt,
        }
    }

    fn view(status: ExecutionStatus, steps: &[(StepCall, Option<&str>)]) -> ExecutionView {
        let now = time::macros::datetime!(2026-11-22 09:40 UTC);
        let steps = steps.iter().map(|(call, outcome)| StepView {
            call: call.clone(),
            name: "A step".to_owned(),
            service: None,
            outcome: outcome.map(Outcome::from),
            explanation: String::new(),
            output: Values::new(),
            started_at: now,
            ended_at: None,
        });
        ExecutionView {
            execution_id: ExecutionId::fresh(),
            tenant_id: "default".parse().unwrap(),
            ticket_id: "4242".parse().unwrap(),
            playbook: PlaybookRef {
                name: "password_reset".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                digest: crate::Digest::of(""),
            },
            status,
            standstill: None,
            reason: None,
            current_step: None,
            steps: steps.collect(),
            started_at: now,
            ended_at: None,
        }
    }

    #[test]
    fn an_execution_waits_for_a_step_until_it_ends_or_leaves_it() {
        use ExecutionStatus::{Escalated, Resolved, Running, Waiting};
        let first = call("verify", 1, 1);
        let waits = |status, steps: &[(StepCall, Option<&str>)]| view(status, steps).waits_for(&first);
        assert!(waits(Waiting, &[(first.clone(), None)]));
        assert!(
            waits(Running, &[(first.clone(), Some("timeout"))]),
            "it may be tried again"
        );
        assert!(waits(
            Waiting,
            &[(first.clone(), Some("timeout")), (call("verify", 1, 2), None)]
        ));
        assert!(waits(
            Running,
            &[(first.clone(), None), (call("look", 1, 1), Some(DROPPED))]
        ));
        assert!(
            !waits(Running, &[(first.clone(), Some(DROPPED))]),
            "what it did is taken back"
        );
        let again = [
            (first.clone(), Some("timeout")),
            (call("verify", 1, 2), Some(DROPPED)),
        ];
        assert!(!waits(Running, &again));
        for over in [Resolved, Escalated] {
            assert!(!waits(over, &[(first.clone(), None)]), "{over}");
        }
    }
}
