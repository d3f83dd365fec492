//! What an execution is: everything that must be stored between two events, and nothing else.

use std::collections::BTreeMap;

use common::{Ending, ExecutionStatus, OperationId, PermitToken, SealedCredential, StepCall, StepId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::playbook::Playbook;
use crate::proof::Proof;

/// One execution between two events. Stored as JSON; reading it back and going on is all that recovery is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started_at: OffsetDateTime,
    pub(crate) phase: Phase,
    pub(crate) proof: Proof,
    pub(crate) visits: BTreeMap<StepId, u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) permits: Vec<HeldPermit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) credentials: Vec<HeldCredential>,
}

impl State {
    /// A new execution, ready for its first step. `None` where the playbook has no step, which `check` excludes.
    pub fn begin(playbook: &Playbook, now: OffsetDateTime) -> Option<Self> {
        let start = playbook.start()?;
        Some(Self {
            started_at: now,
            phase: Phase::Ready {
                step: start.id.clone(),
                visit: 1,
            },
            proof: Proof::default(),
            visits: BTreeMap::from([(start.id.clone(), 1)]),
            permits: Vec::new(),
            credentials: Vec::new(),
        })
    }

    /// When it began.
    pub fn started_at(&self) -> OffsetDateTime {
        self.started_at
    }

    /// Where it stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What has been proven.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// The permits at hand: collected and not yet spent.
    pub fn permits(&self) -> &[HeldPermit] {
        &self.permits
    }

    /// The sealed credentials at hand.
    pub fn credentials(&self) -> &[HeldCredential] {
        &self.credentials
    }

    /// As the outside sees it. `QUEUED` only before the first step was claimed.
    pub fn status(&self) -> ExecutionStatus {
        match &self.phase {
            Phase::Ready { visit: 1, .. } if self.visits.len() == 1 => ExecutionStatus::Queued,
            Phase::Ready { .. } | Phase::Calling { .. } => ExecutionStatus::Running,
            Phase::Waiting { .. } | Phase::Asking { .. } | Phase::Backoff { .. } | Phase::Parked { .. } => {
                ExecutionStatus::Waiting
            }
            Phase::Ended {
                ending: Ending::Resolved,
                ..
            } => ExecutionStatus::Resolved,
            Phase::Ended {
                ending: Ending::Escalated { .. },
                ..
            } => ExecutionStatus::Escalated,
        }
    }

    /// The call that is under way, waited for, or due next.
    pub fn call(&self) -> Option<&StepCall> {
        self.phase.attempt().map(|attempt| &attempt.call)
    }

    /// The step that it stands at; where it ended, the ending step it reached.
    pub fn step(&self) -> Option<&StepId> {
        match &self.phase {
            Phase::Ready { step, .. } => Some(step),
            Phase::Ended { step, .. } => step.as_ref(),
            other => other.attempt().map(|attempt| &attempt.call.id),
        }
    }

    /// When a runner must look at it again although nothing came in. `None` once it has ended.
    ///
    /// [`Phase::Ready`], [`Phase::Calling`] and [`Phase::Asking`] belong to the runner that holds the lease: a runner that
    /// finds one without a lease claims it at once, which is why they are due from the beginning of time.
    pub fn due_at(&self) -> Option<OffsetDateTime> {
        match &self.phase {
            Phase::Ready { .. } | Phase::Calling { .. } | Phase::Asking { .. } => Some(self.started_at),
            Phase::Waiting { ask_at, .. } => Some(*ask_at),
            Phase::Backoff { until, .. } | Phase::Parked { until, .. } => Some(*until),
            Phase::Ended { .. } => None,
        }
    }
}

/// One attempt of one visit of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Names the call, and through it its idempotency key.
    pub call: StepCall,
    /// Attempts of this visit that are spent. Outages spend none, so `call.attempt` may be ahead of it.
    pub failures: u32,
    /// How often this very call was repeated because no answer came.
    pub repeats: u32,
}

/// Where an execution stands, with what is true there and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Phase {
    /// About to begin a step.
    Ready {
        /// The step.
        step: StepId,
        /// 1 for the first time.
        visit: u32,
    },
    /// The call is out. After a crash within the deadline the very same call is made again.
    Calling {
        /// The attempt.
        attempt: Attempt,
        /// What the service was told.
        #[serde(with = "time::serde::rfc3339")]
        deadline: OffsetDateTime,
    },
    /// The service has accepted; a person or an outside system will answer.
    Waiting {
        /// The attempt.
        attempt: Attempt,
        /// What was begun.
        operation: OperationId,
        /// What the service was told.
        #[serde(with = "time::serde::rfc3339")]
        deadline: OffsetDateTime,
        /// When to ask the service how it stands; shortly after the deadline, so that its own verdict can come first.
        #[serde(with = "time::serde::rfc3339")]
        ask_at: OffsetDateTime,
    },
    /// The deadline has passed and the service is being asked once more before a time-out is declared.
    Asking {
        /// The attempt.
        attempt: Attempt,
        /// What is being asked about.
        operation: OperationId,
        /// What the service was told.
        #[serde(with = "time::serde::rfc3339")]
        deadline: OffsetDateTime,
    },
    /// Between two attempts, or before the same call is repeated.
    Backoff {
        /// The attempt to make next.
        attempt: Attempt,
        /// When.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
        /// The same call with the same body: its deadline stands. A new attempt has none yet.
        #[serde(
            default,
            with = "time::serde::rfc3339::option",
            skip_serializing_if = "Option::is_none"
        )]
        deadline: Option<OffsetDateTime>,
    },
    /// Something outside is away. Costs the playbook's budget and nothing else.
    Parked {
        /// The attempt to make when it is back.
        attempt: Attempt,
        /// When to try.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    /// Nothing more will happen.
    Ended {
        /// The terminal or escalation step; `None` where it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// How.
        ending: Ending,
        /// When.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
}

impl Phase {
    /// For logs and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Calling { .. } => "calling",
            Self::Waiting { .. } => "waiting",
            Self::Asking { .. } => "asking",
            Self::Backoff { .. } => "backoff",
            Self::Parked { .. } => "parked",
            Self::Ended { .. } => "ended",
        }
    }

    /// The attempt that is under way or due next.
    pub const fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Ready { .. } | Self::Ended { .. } => None,
            Self::Calling { attempt, .. }
            | Self::Waiting { attempt, .. }
            | Self::Asking { attempt, .. }
            | Self::Backoff { attempt, .. }
            | Self::Parked { attempt, .. } => Some(attempt),
        }
    }
}

/// A permit that a verification gave, until the step it is for has been left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPermit {
    /// The verification step that produced it.
    pub from: StepId,
    /// The privileged step that it allows.
    pub allows: StepId,
    /// For the executor's eyes.
    pub token: PermitToken,
}

/// A sealed credential that a step yielded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCredential {
    /// The step that produced it.
    pub from: StepId,
    /// For delivery's eyes only.
    pub sealed: SealedCredential,
}
