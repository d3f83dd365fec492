//! What an execution is: everything that must be stored between two events, and nothing else.

use std::collections::BTreeMap;

use common::{
    Ending, ExecutionStatus, OperationId, Outcome, PermitToken, SealedCredential, StepCall, StepId, Values,
};
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
    /// What steps answered last, by their declared names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) outputs: BTreeMap<StepId, Values>,
    /// What can be taken back, the newest last. While closing, the last one is being taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) done: Vec<Done>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closing: Option<Closing>,
    /// An operator's reason to end it, until the call that is out was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cancelled: Option<String>,
    /// The step that failed last, while nothing has come of it but the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<Failed>,
    /// A privileged step of which nobody knows whether it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) in_doubt: Option<StepId>,
    /// Steps whose last answer says that they were not done, while an earlier call may have done them all the same. Whoever
    /// takes over is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unknown: Vec<StepId>,
    /// Something was taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) taken_back: bool,
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
            outputs: BTreeMap::new(),
            done: Vec::new(),
            closing: None,
            cancelled: None,
            failed: None,
            in_doubt: None,
            unknown: Vec::new(),
            taken_back: false,
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

    /// What a step answered last, by its declared names.
    pub fn outputs(&self, step: &StepId) -> Option<&Values> {
        self.outputs.get(step)
    }

    /// Present while what was done is taken back, before the execution is handed to a person.
    pub fn closing(&self) -> Option<&Closing> {
        self.closing.as_ref()
    }

    /// As the outside sees it. `QUEUED` only before the first step was claimed.
    pub fn status(&self) -> ExecutionStatus {
        match &self.phase {
            Phase::Ready { visit: 1, .. } if self.visits.len() == 1 && self.closing.is_none() => {
                ExecutionStatus::Queued
            }
            Phase::Ended {
                ending: Ending::Resolved,
                ..
            } => ExecutionStatus::Resolved,
            Phase::Ended {
                ending: Ending::Escalated { .. },
                ..
            } => ExecutionStatus::Escalated,
            phase if phase.is_running() => ExecutionStatus::Running,
            _ => ExecutionStatus::Waiting,
        }
    }

    /// The call that is under way, waited for, or due next; of several, that of the first branch that has one.
    pub fn call(&self) -> Option<&StepCall> {
        self.phase.attempt().map(|attempt| &attempt.call)
    }

    /// The step that it stands at; where it ended, the ending step it reached.
    pub fn step(&self) -> Option<&StepId> {
        self.phase.step()
    }

    /// When a runner must look at it again although nothing came in. `None` once it has ended.
    ///
    /// [`Phase::Ready`], [`Phase::Calling`] and [`Phase::Asking`] belong to the runner that holds the lease: a runner that
    /// finds one without a lease claims it at once, which is why they are due from the beginning of time.
    pub fn due_at(&self) -> Option<OffsetDateTime> {
        self.phase.due_at(self.started_at)
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
    /// It is on record that this very call was sent and got no usable answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
    /// An earlier attempt of this visit timed out, or this very call was taken up again while it was out: it may have been
    /// done, whatever the next answer says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

impl Attempt {
    /// Whether an earlier call of the visit may have done what this one did not do. `certain`: nobody looked at what it
    /// asked for, so what was refused is this call and not those before it. An answer is one to all that were the same.
    pub(super) fn may_have_been_done(&self, certain: bool) -> bool {
        // An attempt that was answered spends one; one that is parked or renewed goes on without an answer.
        let went_on = self.call.attempt > self.failures.saturating_add(1);
        let repeated = self.repeats > 0 || self.unanswered;
        self.in_doubt || went_on || (certain && repeated)
    }
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
    /// Letting time pass.
    Pausing {
        /// The step.
        step: StepId,
        /// 1 for the first time.
        visit: u32,
        /// Until when.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    /// Several branches at once.
    Parallel {
        /// The parallel step.
        step: StepId,
        /// 1 for the first time.
        visit: u32,
        /// Where each branch stands, in the order of the playbook.
        strands: Vec<Strand>,
    },
    /// Of a branch: it has ended, and the others are still under way.
    Joined {
        /// `success` or `failure`.
        outcome: Outcome,
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

/// One branch of a parallel step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strand {
    /// The name of the branch.
    pub branch: String,
    /// Where it stands.
    pub phase: Phase,
}

/// A step that was done and can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The step.
    pub step: StepId,
    /// Which visit of it.
    pub visit: u32,
}

/// A step that did not do what it should, and because of which the execution may have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The step.
    pub step: StepId,
    /// A permit or a credential was at hand when the execution ended. It was dropped, and steps to come may need it.
    #[serde(default)]
    pub bereft: bool,
}

/// An end that is put off until what was done has been taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The escalation step; `None` where the execution ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// How it will end; what could not be taken back is added to its reason.
    pub ending: Ending,
    /// When the step that is being taken back counts as not taken back.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
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
