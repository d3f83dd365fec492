//! What one execution wants asked of services: what is to be asked, and what is out and somebody waits for. Each once;
//! several where several branches are under way.

use common::{ActionName, OperationId, StepCall};
use playbook_lang::{Call, Phase};

/// What is to be asked of a service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Question {
    /// A step.
    Call(Box<Call>),
    /// How the operation of a step stands.
    Operation(StepCall, ActionName, OperationId),
}

impl Question {
    pub(crate) const fn call(&self) -> &StepCall {
        match self {
            Self::Call(call) => &call.call,
            Self::Operation(call, ..) => call,
        }
    }
}

/// The questions of an execution in our hands.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// To be asked once the state that commands them is stored.
    waiting: Vec<Question>,
    /// Those that are out and awaited.
    out: Vec<StepCall>,
}

impl Questions {
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.out.is_empty()
    }

    /// Take a question up, unless it is in our hands already.
    pub(super) fn take(&mut self, question: Question) {
        let call = question.call();
        let known = self.out.contains(call) || self.waiting.iter().any(|known| known.call() == call);
        if !known {
            self.waiting.push(question);
        }
    }

    /// Let go of whatever the execution no longer waits for: a signal has answered it, or the branches were done without.
    pub(super) fn keep_open(&mut self, phase: &Phase) {
        let mut open = Vec::new();
        open_calls(phase, &mut open);
        self.waiting.retain(|question| open.contains(&question.call()));
        self.out.retain(|call| open.contains(&call));
    }

    /// Give back the steps that have not been asked for.
    pub(super) fn give_back(&mut self) -> Vec<StepCall> {
        let (steps, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|question| matches!(question, Question::Call(_)));
        self.waiting = others;
        steps.iter().map(|question| question.call().clone()).collect()
    }

    /// What is to be asked now; from here on it is out.
    pub(super) fn ask(&mut self) -> Vec<Question> {
        let asked = std::mem::take(&mut self.waiting);
        self.out
            .extend(asked.iter().map(|question| question.call().clone()));
        asked
    }

    /// What is out and awaited.
    pub(super) fn out(&self) -> &[StepCall] {
        &self.out
    }

    /// It was answered.
    pub(super) fn answered(&mut self, call: &StepCall) {
        self.out.retain(|out| out != call);
    }
}

/// The calls that somebody must be asked about now; of what merely waits there are none.
pub(super) fn open_calls<'p>(phase: &'p Phase, open: &mut Vec<&'p StepCall>) {
    match phase {
        Phase::Calling { attempt, .. } | Phase::Asking { attempt, .. } => open.push(&attempt.call),
        Phase::Parallel { strands, .. } => {
            for strand in strands {
                open_calls(&strand.phase, open);
            }
        }
        _ => {}
    }
}
