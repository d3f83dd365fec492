//! A ticket in somebody's hands: which stage it has reached, and what of that is not written down yet.

use chassis::AuditEvent;
use common::TicketId;
use common::clock;
use serde_json::json;
use time::OffsetDateTime;

use super::Decided;
use super::moves::Move;

/// What is to be done about a ticket next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// Find out, and decide.
    Seen,
    /// Tell the help desk.
    Decided(Box<Decided>),
    /// Start the execution.
    Marked(Box<Decided>),
    /// The execution was refused: tell the help desk that a person must see to it.
    Withdrawn(Box<Decided>),
}

/// A ticket that is ours until the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    pub(crate) ticket: TicketId,
    pub(crate) stage: Stage,
    pub(crate) traceparent: Option<String>,
    pub(crate) patience_until: Option<OffsetDateTime>,
    /// Of this stage, in vain so far.
    pub(crate) tries: u32,
    /// The state that its row has.
    pub(super) written: &'static str,
    /// Somebody had it in that state before.
    pub(super) resumed: bool,
    /// What happened since.
    pub(super) unwritten: Vec<AuditEvent>,
    pub(super) fence: i64,
}

impl Claim {
    pub(super) fn new(ticket: TicketId, stage: Stage, fence: i64) -> Self {
        Self {
            ticket,
            written: stage.state(),
            stage,
            traceparent: None,
            patience_until: None,
            tries: 0,
            resumed: false,
            unwritten: vec![],
            fence,
        }
    }

    pub(super) fn traced(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// The help desk shows the decision: its execution may start. Written down with what comes of that, for both are
    /// harmless to repeat; `noted` is `false` where it refused to show it.
    pub(crate) fn marked(&self, decided: &Decided, noted: bool) -> Self {
        let stage = Stage::Marked(Box::new(decided.clone()));
        self.onward(stage, shown(self, Next::Start, noted))
    }

    /// Orchestration refuses to run it: the help desk is to be told. Written down with what comes of that.
    pub(crate) fn withdrawn(&self, decided: &Decided, code: &str) -> Self {
        let stage = Stage::Withdrawn(Box::new(decided.clone()));
        self.onward(stage, refusal(self, code))
    }

    /// An earlier mover may have started the execution and died before it wrote that down.
    pub(crate) fn may_have_started(&self) -> bool {
        self.resumed
    }

    fn onward(&self, stage: Stage, event: AuditEvent) -> Self {
        let mut unwritten = self.unwritten.clone();
        unwritten.push(event);
        Self {
            stage,
            unwritten,
            tries: 0,
            patience_until: None,
            ..self.clone()
        }
    }

    /// To `state`, due at once and free, with all that happened.
    pub(super) fn to(&self, state: &'static str, more: Vec<AuditEvent>) -> Move {
        Move {
            ticket: self.ticket.clone(),
            fence: self.fence,
            from: self.written,
            to: state,
            judgement: None,
            places: vec![],
            execution: None,
            work_at: Some(clock::now()),
            tries: 0,
            patience_until: None,
            waiting_for: None,
            leased_until: None,
            events: self.unwritten.iter().cloned().chain(more).collect(),
        }
    }

    pub(super) fn ends(&self, state: &'static str, event: AuditEvent) -> Move {
        Move {
            work_at: None,
            ..self.to(state, vec![event])
        }
    }
}

pub(super) fn shown(claim: &Claim, next: Next, noted: bool) -> AuditEvent {
    let kind = if noted {
        "ticket.marked"
    } else {
        "ticket.not_marked"
    };
    AuditEvent::new(kind, json!({ "next": next.state() })).ticket(&claim.ticket)
}

pub(super) fn refusal(claim: &Claim, code: &str) -> AuditEvent {
    AuditEvent::new("execution.refused", json!({ "code": code }))
        .ticket(&claim.ticket)
        .actor("service:orchestration")
}

/// What follows a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Start the execution.
    Start,
    /// Nothing.
    Done,
}

impl Next {
    fn state(self) -> &'static str {
        match self {
            Self::Start => "MARKED",
            Self::Done => "DONE",
        }
    }
}

impl Stage {
    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Seen => "SEEN",
            Self::Decided(_) => "DECIDED",
            Self::Marked(_) => "MARKED",
            Self::Withdrawn(_) => "WITHDRAWN",
        }
    }
}
