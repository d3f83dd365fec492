//! What goes into the machine and what comes out of it: events, commands, and the record of what happened.

use std::collections::BTreeMap;
use std::time::Duration;

use common::{
    ActionName, AuthorizedAction, Ending, OperationId, Outcome, Pending, PermitToken, SealedCredential,
    StepCall, StepId, StepResult, Values,
};
use time::OffsetDateTime;

use super::state::State;

/// When an event happens, and one roll of the dice. The machine has neither clock nor dice of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Now.
    pub now: OffsetDateTime,
    /// Random, from 0 to 1; spreads retries.
    pub chance: f64,
}

impl Moment {
    /// A moment whose dice lie in the middle: retries come exactly when the playbook says.
    pub const fn at(now: OffsetDateTime) -> Self {
        Self { now, chance: 0.5 }
    }
}

/// What the house lays down beside the playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Upper bounds of step time-outs by action: the shorter one of the step's and this counts.
    pub longest: BTreeMap<ActionName, Duration>,
    /// How long to leave an outside system alone that is away and did not say for how long.
    pub probe: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            longest: BTreeMap::new(),
            probe: Duration::from_secs(10),
        }
    }
}

/// Something happened to an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A runner took it: for the first time, for the next step, or after another one's crash.
    Claimed,
    /// The time of [`State::due_at`] has come.
    TimerFired,
    /// Something outside that was away is back: what is parked asks again at once, and finds out whether it was that.
    OutsideBack,
    /// `200`.
    Answered {
        /// The call that was answered.
        call: StepCall,
        /// How it ended.
        result: StepResult,
    },
    /// `202`.
    Accepted {
        /// The call that was accepted.
        call: StepCall,
        /// What was begun.
        pending: Pending,
    },
    /// An operation ended, and its service said so.
    Signalled {
        /// The call that began it.
        call: StepCall,
        /// The operation.
        operation: OperationId,
        /// How it ended.
        result: StepResult,
    },
    /// How an operation stood when it was asked after ([`Command::AskOperation`]).
    OperationSeen {
        /// The operation.
        operation: OperationId,
        /// Present once it has ended.
        result: Option<StepResult>,
    },
    /// The service refused the call (4xx): the same call would be refused again.
    Refused {
        /// The call; for [`Command::AskOperation`] the one that began the operation.
        call: StepCall,
        /// Why, for people.
        explanation: String,
    },
    /// The call did not reach the service, or the same call is still being worked on there: nothing new happened.
    Unreached {
        /// The call; for [`Command::AskOperation`] the one that began the operation.
        call: StepCall,
        /// As the service said, or whatever stands before it.
        retry_after: Option<Duration>,
    },
    /// The call was sent and no usable answer came (time-out, dropped connection, 5xx): it may have happened.
    Unanswered {
        /// The call; for [`Command::AskOperation`] the one that began the operation.
        call: StepCall,
    },
    /// The service said that the outside system it needs is away (503 `outside_unavailable`): nothing was done.
    OutsideAway {
        /// The call.
        call: StepCall,
        /// As the service said.
        retry_after: Option<Duration>,
        /// What is away, for people.
        explanation: String,
    },
    /// The call was commanded and did not go out: meanwhile the execution was told to stand still.
    HeldBack {
        /// The call.
        call: StepCall,
    },
    /// It may go on, after standing still ([`Machine::standing_still`](super::Machine::standing_still)) in somebody's hands.
    LetGo,
    /// An operator wants no further step. What was done is taken back, and a person takes over.
    Cancelled {
        /// Who and why, for people.
        reason: String,
    },
}

impl Event {
    /// For logs and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::TimerFired => "timer_fired",
            Self::OutsideBack => "outside_back",
            Self::Answered { .. } => "answered",
            Self::Accepted { .. } => "accepted",
            Self::Signalled { .. } => "signalled",
            Self::OperationSeen { .. } => "operation_seen",
            Self::Refused { .. } => "refused",
            Self::Unreached { .. } => "unreached",
            Self::Unanswered { .. } => "unanswered",
            Self::OutsideAway { .. } => "outside_away",
            Self::HeldBack { .. } => "held_back",
            Self::LetGo => "let_go",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// The call that it is about, where it names one.
    pub const fn call(&self) -> Option<&StepCall> {
        match self {
            Self::Claimed
            | Self::TimerFired
            | Self::OutsideBack
            | Self::OperationSeen { .. }
            | Self::LetGo
            | Self::Cancelled { .. } => None,
            Self::Answered { call, .. }
            | Self::Accepted { call, .. }
            | Self::Signalled { call, .. }
            | Self::Refused { call, .. }
            | Self::Unreached { call, .. }
            | Self::Unanswered { call }
            | Self::OutsideAway { call, .. }
            | Self::HeldBack { call } => Some(call),
        }
    }
}

/// What the machine wants done, after the new state is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Ask a service for a step; answer with `Answered`, `Accepted`, `Refused`, `Unreached`, `Unanswered` or `OutsideAway`.
    Call(Box<Call>),
    /// `GET` the operation; answer with `OperationSeen`, `Refused`, `Unreached` or `Unanswered`.
    AskOperation {
        /// The call that began it.
        call: StepCall,
        /// Whose service to ask.
        action: ActionName,
        /// What to ask about.
        operation: OperationId,
    },
    /// Send `TimerFired` then.
    WakeAt(OffsetDateTime),
    /// It is over.
    Ended(Ending),
}

/// What goes into a `StepRequest`, beside the execution, the ticket and the subject. Repeating a call gives an equal one,
/// byte for byte: the idempotency layer of the service relies on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Step, visit and attempt.
    pub call: StepCall,
    /// What is asked for.
    pub action: ActionName,
    /// Where, for instance `/api/v1/executor/reset_password`.
    pub path: String,
    /// As the playbook's `with:` says, filled. To what takes a step back, also `step` and `visit`: what to take back.
    pub parameters: Values,
    /// When the machine gives up.
    pub deadline: OffsetDateTime,
    /// To a verification: what its success will allow.
    pub authorizes: Option<AuthorizedAction>,
    /// To a privileged action: the proof. Never absent there.
    pub permit: Option<PermitToken>,
    /// To a delivery: what to deliver. Never absent there.
    pub sealed: Option<SealedCredential>,
}

/// What happened, for the step table, the ticket and the audit. In order; nothing is recorded twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A call was made for the first time (repeats and resumptions are not recorded).
    Began {
        /// Step, visit and attempt.
        call: StepCall,
        /// What the service was told.
        deadline: OffsetDateTime,
    },
    /// Somebody was asked.
    Asked {
        /// Step, visit and attempt.
        call: StepCall,
        /// What was begun.
        operation: OperationId,
        /// Who was asked what, by which channel.
        explanation: String,
    },
    /// The call was sent and no usable answer came, for the first time: it may have happened, and is asked for again. How
    /// often is not recorded.
    Unanswered {
        /// The call.
        call: StepCall,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// The attempt that failed.
        call: StepCall,
        /// `failure` or `timeout`.
        outcome: Outcome,
        /// Why.
        explanation: String,
        /// When the next one is due.
        at: OffsetDateTime,
    },
    /// Something outside is away.
    Parked {
        /// The call that will be made.
        call: StepCall,
        /// What is away.
        explanation: String,
        /// When it will be tried again.
        until: OffsetDateTime,
    },
    /// The answer to the last call of this visit was lost, and its deadline passed before anybody could ask again: it goes
    /// on as the call named here, a further attempt that spends none.
    Renewed {
        /// The call that will be made.
        call: StepCall,
    },
    /// A step began to let time pass.
    Pausing {
        /// Step and visit; of such a step there is one attempt.
        call: StepCall,
        /// Until when.
        until: OffsetDateTime,
    },
    /// Nobody waits for this step any more: the branches were done without it, or the execution ended. It was begun and
    /// will not be finished; what it asked for may happen all the same.
    Dropped {
        /// The call that was out, or due next.
        call: StepCall,
    },
    /// A visit of a step ended: of one that calls an action, of a decision, a wait, a parallel step, of an ending within
    /// a branch, or of a step that takes another back.
    Finished {
        /// Its last attempt.
        call: StepCall,
        /// How.
        outcome: Outcome,
        /// Why, for people.
        explanation: String,
        /// Declared values.
        output: Values,
        /// Where it led; `None` where no edge was written and the execution escalates, and for the end of a branch.
        next: Option<StepId>,
    },
    /// The execution ended.
    Reached {
        /// The terminal or escalation step; `None` where it ended by itself.
        step: Option<StepId>,
        /// How.
        ending: Ending,
    },
}

/// What an event led to. Store `state` and `story` together, then perform `commands`.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The new state.
    pub state: State,
    /// What to do next; several where several branches are under way.
    pub commands: Vec<Command>,
    /// What happened.
    pub story: Vec<Record>,
}

/// The event cannot belong to this execution, whenever it came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` makes no sense while `{phase}`: {reason}")]
pub struct IllegalEvent {
    /// The name of the phase.
    pub phase: &'static str,
    /// The name of the event.
    pub event: &'static str,
    /// What does not fit.
    pub reason: String,
}

impl IllegalEvent {
    pub(super) fn new(phase: &'static str, event: &'static str, reason: impl Into<String>) -> Self {
        Self {
            phase,
            event,
            reason: reason.into(),
        }
    }
}
