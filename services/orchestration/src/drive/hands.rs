//! The calls of one execution that are under way, and whoever still waits for them.

use std::collections::HashMap;
use std::time::Instant;

use common::StepCall;
use futures::future::{AbortHandle, Aborted, BoxFuture, FutureExt, abortable};
use futures::stream::{FuturesUnordered, StreamExt};
use playbook_lang::Event;

use super::Driver;
use super::questions::Question;
use crate::ask::OnBehalf;

/// The calls in our hands.
#[derive(Default)]
pub(super) struct Hands<'a> {
    under_way: FuturesUnordered<BoxFuture<'a, (StepCall, Result<Event, Aborted>)>>,
    /// Those under way that somebody still waits for.
    awaited: HashMap<StepCall, AbortHandle>,
}

impl<'a> Hands<'a> {
    /// Let go of whatever nobody waits for any more.
    pub(super) fn keep(&mut self, out: &[StepCall]) {
        self.awaited.retain(|call, handle| {
            let kept = out.contains(call);
            if !kept {
                handle.abort();
            }
            kept
        });
    }

    /// Ask.
    pub(super) fn begin(
        &mut self,
        driver: &'a Driver,
        whose: &'a OnBehalf,
        questions: Vec<Question>,
        now: time::OffsetDateTime,
    ) {
        for question in questions {
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
