//! The calls of one execution that are in our hands: begun, not yet answered, each once. Several where several branches
//! are under way.

use std::collections::HashMap;
use std::time::Instant;

use common::{ActionName, OperationId, StepCall};
use futures::future::{AbortHandle, Aborted, BoxFuture, FutureExt, abortable};
use futures::stream::{FuturesUnordered, StreamExt};
use playbook_lang::{Call, Event, Phase};

use super::Driver;
use crate::ask::OnBehalf;

/// What is to be asked of a service.
#[derive(Debug)]
pub(super) enum Question {
    /// A step.
    Call(Box<Call>),
    /// How the operation of a step stands.
    Operation(StepCall, ActionName, OperationId),
}

impl Question {
    pub(super) const fn call(&self) -> &StepCall {
        match self {
            Self::Call(call) => &call.call,
            Self::Operation(call, ..) => call,
        }
    }
}

/// The calls in our hands.
#[derive(Default)]
pub(super) struct Hands<'a> {
    /// To be begun once the state that commands them is stored.
    waiting: Vec<Question>,
    under_way: FuturesUnordered<BoxFuture<'a, (StepCall, Result<Event, Aborted>)>>,
    /// Those under way that somebody still waits for.
    awaited: HashMap<StepCall, AbortHandle>,
}

impl<'a> Hands<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.awaited.is_empty()
    }

    /// Take a question up, unless it is in our hands already.
    pub(super) fn take(&mut self, question: Question) {
        let call = question.call();
        let known = self.awaited.contains_key(call) || self.waiting.iter().any(|known| known.call() == call);
        if !known {
            self.waiting.push(question);
        }
    }

    /// Let go of whatever the execution no longer waits for: a signal has answered it, or the branches were done without.
    pub(super) fn keep_open(&mut self, phase: &Phase) {
        let mut open = Vec::new();
        open_calls(phase, &mut open);
        self.waiting.retain(|question| open.contains(&question.call()));
        self.awaited.retain(|call, handle| {
            let kept = open.contains(&call);
            if !kept {
                handle.abort();
            }
            kept
        });
    }

    /// Give back the steps that have not been asked for.
    pub(super) fn give_back(&mut self) -> Vec<StepCall> {
        let (steps, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|question| matches!(question, Question::Call(_)));
        self.waiting = others;
        steps.iter().map(|question| question.call().clone()).collect()
    }

    /// Ask what is to be asked. `left` is the time that a call has.
    pub(super) fn begin(&mut self, driver: &'a Driver, whose: &'a OnBehalf, now: time::OffsetDateTime) {
        for question in std::mem::take(&mut self.waiting) {
            let call = question.call().clone();
            let (asking, handle) = abortable(ask(driver, whose, question, now));
            let answered = call.clone();
            self.under_way
                .push(async move { (answered, asking.await) }.boxed());
            self.awaited.insert(call, handle);
        }
    }

    /// The next answer that somebody waits for; `None` where no question is out.
    pub(super) async fn answer(&mut self) -> Option<(StepCall, Event)> {
        while !self.awaited.is_empty() {
            let (call, answer) = self.under_way.next().await?;
            if let Ok(event) = answer
                && self.awaited.remove(&call).is_some()
            {
                return Some((call, event));
            }
        }
        None
    }
}

async fn ask(driver: &Driver, whose: &OnBehalf, question: Question, now: time::OffsetDateTime) -> Event {
    match question {
        Question::Call(call) => {
            let left = std::time::Duration::try_from(call.deadline - now).unwrap_or_default();
            let (action, begun) = (call.action.to_string(), Instant::now());
            let event = driver.call(whose, *call, left).await;
            metrics::histogram!("firstline_step_call_seconds", "action" => action)
                .record(begun.elapsed().as_secs_f64());
            event
        }
        Question::Operation(call, action, operation) => {
            driver.services.operation(&action, call, operation).await
        }
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
