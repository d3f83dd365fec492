//! One execution, from step to step, for as long as it need not wait.
//!
//! Between two calls of the outside there is exactly one transaction. Whatever is lost on the way (the lease, the
//! database, this process) is found again by whoever claims the execution next: it goes through the same machine, which
//! asks for the same call under the same `Idempotency-Key`.

mod hands;
mod run;
mod still;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::AuditEvent;
use common::execution::ExecutionStatus;
use common::{AutomationStatus, Ending};
use playbook_lang::{Call, Event, IllegalEvent, Playbook, Rules, State};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::ask::{OnBehalf, StepServices};
use crate::breaker::{Breakers, Change, Gate};
use crate::committer::Committer;
use crate::library::{Library, Unreadable};
use crate::store::{Claimed, Hold, Store, StoreError, Write};
use crate::update::Update;
use run::{Next, Run};

/// What driving needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) store: Store,
    pub(crate) committer: Committer,
    pub(crate) library: Library,
    pub(crate) services: StepServices,
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) rules: Arc<Rules>,
    /// Rung when an operator did something that may concern any execution.
    pub(crate) bell: watch::Receiver<()>,
    /// Cancelled when calls under way are no longer waited for.
    pub(crate) abandon: CancellationToken,
}

/// How we left an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// A row waits, for a time or for somebody.
    Waiting,
    /// It is over, or somebody else's.
    Otherwise,
}

/// Why an execution is not driven on by us.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// Nothing is lost: whoever claims it next goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can never go on: what is stored and the playbook do not fit together.
    #[error("{0}")]
    Broken(String),
}

impl From<IllegalEvent> for Stopped {
    fn from(error: IllegalEvent) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Driver {
    /// The first call of an execution that is about to be accepted. `None` where it begins otherwise: then it is for
    /// whoever claims it.
    pub(crate) fn begin(&self, claimed: &Claimed, playbook: &Playbook, state: State) -> Option<Write> {
        let whose = OnBehalf::of(claimed);
        let mut run = Run::new(self, claimed, playbook, &whose, state);
        run.take_up().ok()?;
        run.written().ok().filter(|write| write.hold == Hold::Keep)
    }

    /// Drive `claimed` until it waits, ends, or is no longer ours.
    pub(crate) async fn drive(&self, claimed: Claimed) -> Left {
        let span = tracing::info_span!("drive", execution.id = %claimed.id, ticket.id = %claimed.ticket);
        chassis::telemetry::adopt(&span, claimed.traceparent.as_deref());
        let request = claimed.id.to_string();
        chassis::request_id::scope(request, self.drive_or_say_why(claimed))
            .instrument(span)
            .await
    }

    async fn drive_or_say_why(&self, claimed: Claimed) -> Left {
        let begun = Instant::now();
        let stopped = self.advance(&claimed).await;
        let stopped = match stopped {
            Err(Stopped::Broken(reason)) => {
                tracing::error!(reason, "the execution cannot go on and is handed to a person");
                self.hand_over(&claimed, &reason, begun)
                    .await
                    .map(|()| Left::Otherwise)
            }
            Err(Stopped::Store(error)) => Err(error),
            Ok(left) => Ok(left),
        };
        match stopped {
            Ok(left) => return left,
            Err(StoreError::Fenced) => tracing::info!("another runner has taken over"),
            Err(error) => say_interrupted(&error),
        }
        Left::Otherwise
    }

    async fn advance(&self, claimed: &Claimed) -> Result<Left, Stopped> {
        let playbook = match self.library.pinned(&self.store, &claimed.digest).await {
            Ok(playbook) => playbook,
            Err(Unreadable::Store(error)) => return Err(error.into()),
            Err(unreadable) => return Err(Stopped::Broken(unreadable.to_string())),
        };
        let state: State = serde_json::from_value(claimed.state.clone())
            .map_err(|error| Stopped::Broken(format!("the stored state cannot be read: {error}")))?;
        let whose = OnBehalf::of(claimed);
        let mut run = Run::new(self, claimed, &playbook, &whose, state);
        if claimed.signals > 0 {
            run.hear(self.store.unheard(claimed.id).await?);
        }
        if let Some(reason) = &claimed.cancelled {
            run.cancel(reason.clone())?;
        }
        run.take_up()?;
        loop {
            run.tell_of_the_switch().await?;
            let written = run.write().await?;
            if written.kept && run.stand(written.standing)? {
                continue;
            }
            let mut signals = written.kept.then_some(written.signals);
            if signals.is_none_or(|signals| signals <= run.signals) {
                signals = match run.next().await {
                    Next::Happened(happened) => {
                        run.apply(happened)?;
                        continue;
                    }
                    Next::News => {
                        let (signals, standing) = self.store.news(claimed.id).await?;
                        if run.stand(standing)? {
                            continue;
                        }
                        Some(signals)
                    }
                    Next::Nothing => return Ok(run.left()),
                };
            }
            if let Some(signals) = signals.filter(|signals| *signals > run.signals) {
                run.signals = signals;
                run.hear(self.store.unheard(claimed.id).await?);
                if let Some(reason) = self.store.cancelled(claimed.id).await? {
                    run.cancel(reason)?;
                }
                run.go_on()?;
            }
        }
    }

    /// Ask a service for a step, unless what is behind it is known to be away.
    async fn call(&self, whose: &OnBehalf, call: Call, left: Duration) -> Event {
        let action = call.action.clone();
        if !whose.insisted
            && let Gate::Blocked { wait, explanation } =
                self.breakers.gate(&action, Instant::now(), rand::random())
        {
            return Event::OutsideAway {
                call: call.call,
                retry_after: Some(wait),
                explanation,
            };
        }
        let event = self.services.call(whose, call, left).await;
        let change = self.breakers.saw(&action, &event, Instant::now());
        if change == Change::Closed
            && let Err(error) = self.store.wake_parked().await
        {
            tracing::warn!(error = %chassis::chain(&error), "what is parked could not be woken; it goes on by itself");
        }
        event
    }

    /// The ending of last resort: no ticket is lost, whatever became of its state.
    async fn hand_over(&self, claimed: &Claimed, reason: &str, begun: Instant) -> Result<(), StoreError> {
        let reason = format!("The automation cannot go on: {reason}.");
        let ending = Ending::Escalated {
            reason: reason.clone(),
        };
        let detail = json!({"step": null, "ending": ending});
        let event = AuditEvent::new("execution.ended", detail)
            .ticket(&claimed.ticket)
            .execution(claimed.id);
        let status = Update::Status {
            status: AutomationStatus::Escalated,
        };
        self.committer
            .write(Write {
                execution: claimed.id,
                ticket: claimed.ticket.clone(),
                runner: claimed.runner,
                fence: claimed.fence,
                state: claimed.state.clone(),
                status: ExecutionStatus::Escalated,
                reason: Some(reason.clone()),
                parked_since: None,
                parked_told: false,
                hold: Hold::Ended,
                held: false,
                signals: claimed.signals,
                steps: vec![],
                renumbered: vec![],
                cut_off: Some(reason),
                handled: vec![],
                audit: vec![event],
                updates: vec![Update::Escalated, Update::Story, status],
                now: claimed.now + begun.elapsed(),
            })
            .await?;
        Ok(())
    }
}

fn say_interrupted(error: &StoreError) {
    let error = chassis::chain(error);
    tracing::warn!(error, "the database failed; the execution will be taken up again");
}
