//! What follows a sent message: it is read back until it has ended, orchestration is told until it has heard, and the
//! text is removed at the gateway. All of it from the table, so that a restart loses nothing.

use std::sync::{Arc, OnceLock};

use chassis::{Did, Shell, Wake, telemetry};
use common::client::{OrchestrationClient, PeerError};
use common::clock;
use common::{Outcome, Signal, StepResult};
use connectors::CallError;
use connectors::twilio::{MessageStatus, Twilio};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::callbacks::Callbacks;
use crate::store::{Answered, Claim, Due, Held, Left, Store, StoreError, Work};
use crate::verdict::{FIRST_LOOK, Patience, next_look, next_redaction, patience, verdict};

/// A text that could not be removed after this many tries (ten hours, the longest that Twilio keeps a message waiting)
/// stays: the pass in it is spent or dead.
const REDACTIONS: i32 = 125;
/// After this many looks (a minute) a message that is `sent` counts as finished: some carriers never tell more.
const SETTLED: i32 = 5;

/// Callbacks that are looked into at the same time; what is beyond that waits for the worker.
const LOOKS_AT_ONCE: usize = 16;
/// Follows messages. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Follow {
    store: Store,
    twilio: Twilio,
    orchestration: OrchestrationClient,
    service: &'static str,
    shell: Shell,
    places: Arc<Semaphore>,
    callbacks: Arc<Callbacks>,
    /// Wakes our own worker, once there is one.
    worker: Arc<OnceLock<Wake>>,
}

/// What was seen of a message that has ended.
struct Seen<'m> {
    message: &'m str,
    status: MessageStatus,
}

impl Follow {
    pub(crate) fn new(
        shell: &Shell,
        store: Store,
        twilio: Twilio,
        orchestration: OrchestrationClient,
    ) -> Self {
        Self {
            store,
            twilio,
            orchestration,
            service: shell.service().name(),
            shell: shell.clone(),
            places: Arc::new(Semaphore::new(LOOKS_AT_ONCE)),
            callbacks: Arc::default(),
            worker: Arc::default(),
        }
    }

    /// By this it is woken when a message is to be looked at by itself.
    pub(crate) fn woken_by(&self, wake: Wake) {
        let _ = self.worker.set(wake);
    }

    /// One piece of work, if any is due.
    pub(crate) async fn step(&self) -> Result<Did, StoreError> {
        let due = match self.store.claim_due().await? {
            Claim::Due(due) => *due,
            Claim::NothingUntil(Some(wait)) => return Ok(Did::NothingUntil(wait)),
            Claim::NothingUntil(None) => return Ok(Did::Nothing),
        };
        let span = self.span(&due);
        self.perform(due).instrument(span).await?;
        Ok(Did::Work)
    }

    fn span(&self, due: &Due) -> tracing::Span {
        let execution = due.held.execution;
        let span = tracing::info_span!("delivery.follow", service = self.service, execution.id = %execution);
        telemetry::adopt(&span, due.traceparent.as_deref());
        span
    }

    /// A message was written down that is to be looked at.
    pub(crate) fn sent(&self, message: &str) {
        if self.callbacks.came_early(message) {
            let (follow, message) = (self.clone(), message.to_owned());
            self.shell.spawn(async move {
                if let Err(error) = follow.hinted(&message).await {
                    tracing::warn!(error = %chassis::chain(&error), "could not look at a message at once");
                }
            });
        }
        if let Some(worker) = self.worker.get() {
            worker.wake_in(FIRST_LOOK.unsigned_abs());
        }
    }

    /// The gateway says that this message got further: look at once, beside its answer. Should that come to nothing, the
    /// message is looked at by itself soon enough.
    pub(crate) async fn hinted(&self, message: &str) -> Result<(), StoreError> {
        if !self.callbacks.look(message) {
            return Ok(());
        }
        // Noted before the look, and the message is written before the note is: one of the two sees the other.
        self.callbacks.note_early(message);
        let begun = self.begin_look(message).await;
        if !matches!(begun, Ok(true)) {
            self.callbacks.leave(message);
        }
        begun.map(|_| ())
    }

    /// `false`: there is nothing to look at, or no place to.
    async fn begin_look(&self, message: &str) -> Result<bool, StoreError> {
        let Some(due) = self.store.of_message(message).await? else {
            return Ok(false);
        };
        self.callbacks.came_early(message);
        if !matches!(due.work, Work::Look { .. }) {
            return Ok(false);
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return self.store.hint(message).await.map(|()| false);
        };
        let (follow, span, message) = (self.clone(), self.span(&due), message.to_owned());
        let looks = async move {
            if let Err(error) = follow.look_beside(&due, &message).await {
                tracing::warn!(error = %chassis::chain(&error), "could not end a delivery at once");
            }
            drop(place);
        };
        self.shell.spawn(looks.instrument(span));
        Ok(true)
    }

    /// Look at a message that nobody claimed, as often as there is news: write its end, where it has ended, and nothing
    /// else.
    async fn look_beside(&self, due: &Due, message: &str) -> Result<(), StoreError> {
        let Work::Look {
            status,
            destination,
            decide_at,
            ..
        } = &due.work
        else {
            return Ok(());
        };
        let mut status = *status;
        loop {
            let known = (status, destination.as_str(), *decide_at);
            let (seen, result) = self.look(message, known, due.tries).await;
            status = seen;
            if let Some(result) = result {
                let ended = self.end(&due.held, &result, &Seen { message, status }).await;
                self.callbacks.leave(message);
                return ended;
            }
            if !self.callbacks.looked(message) {
                return Ok(());
            }
        }
    }

    async fn perform(&self, due: Due) -> Result<(), StoreError> {
        let Due {
            held, tries, work, ..
        } = due;
        match work {
            Work::Look {
                message,
                status,
                destination,
                decide_at,
            } => {
                let look = (status, destination.as_str(), decide_at);
                let (status, result) = self.look(&message, look, tries).await;
                let seen = Seen {
                    message: &message,
                    status,
                };
                let Some(result) = result else {
                    let at = next_look(clock::now(), tries).min(decide_at);
                    return self.store.again(&held, Some(status), at).await;
                };
                self.end(&held, &result, &seen).await
            }
            Work::Tell { signal, message } => {
                self.tell(&held, tries, &signal, message.as_deref(), None).await
            }
            Work::Redact { message } => self.redact(&held, tries, &message).await,
            Work::Rest => self.store.rest(&held, None).await,
        }
    }

    /// How far the message got, and how the delivery ends if it ends now. `known`: how far it had got, where it goes, and
    /// when what is known has to do.
    async fn look(
        &self,
        message: &str,
        known: (MessageStatus, &str, OffsetDateTime),
        tries: i32,
    ) -> (MessageStatus, Option<StepResult>) {
        let (before, destination, decide_at) = known;
        let seen = self.twilio.fetch(message).await;
        let patience = patience(clock::now(), decide_at, tries);
        let time_is_up = patience == Patience::Spent;
        match seen {
            Ok(Some(message)) => {
                let status = before.advance(message.status);
                (status, verdict(status, message.error_code, destination, patience))
            }
            // It took the message and does not know it: look again while there is time.
            Ok(None) => (before, time_is_up.then(|| vanished(destination))),
            Err(error) => {
                tracing::warn!(error = %chassis::chain(&error), "could not read a message back");
                (before, verdict(before, None, destination, patience))
            }
        }
    }

    /// Write the end, and do what is left in the same breath: nobody needs to claim it for that.
    async fn end(&self, held: &Held, result: &StepResult, seen: &Seen<'_>) -> Result<(), StoreError> {
        let ended = self
            .store
            .end(held, result, Some(seen.status), Answered::BySignal)
            .await?;
        // A callback came in between, and its own look ended it.
        let Some(ended) = ended else { return Ok(()) };
        let signal = Signal {
            tenant_id: self.store.tenant().clone(),
            operation: ended.held.operation,
            step: ended.step,
            result: result.clone(),
        };
        self.tell(&ended.held, 0, &signal, Some(seen.message), Some(seen.status))
            .await
    }

    /// Bring orchestration the result, then have the text removed; `seen` is how far the message is known to have got.
    async fn tell(
        &self,
        held: &Held,
        tries: i32,
        signal: &Signal,
        message: Option<&str>,
        seen: Option<MessageStatus>,
    ) -> Result<(), StoreError> {
        match self.orchestration.signal(held.execution, signal).await {
            Ok(()) => {}
            Err(error @ PeerError::Refused { .. }) => {
                // It will not hear it however often it is told.
                tracing::error!(error = %chassis::chain(&error), "orchestration refused a result");
            }
            Err(error @ (PeerError::Busy { .. } | PeerError::Unknown { .. })) => {
                tracing::warn!(error = %chassis::chain(&error), "orchestration has not heard a result yet");
                let at = next_look(clock::now(), tries);
                return self.store.again(held, None, at).await;
            }
        }
        let left = match message {
            Some(message) => self.remove_at_once(message, seen).await,
            None => Left::Nothing,
        };
        self.write_told(held.clone(), left);
        Ok(())
    }

    /// Nobody waits for it: should it come to nothing, the same is done again when the claim is over, and harms nobody.
    fn write_told(&self, held: Held, left: Left) {
        let store = self.store.clone();
        let writing = async move {
            if let Err(error) = store.told(&held, clock::now(), left).await {
                tracing::warn!(error = %chassis::chain(&error), "could not record that a result was taken");
            }
        };
        self.shell.spawn(writing.in_current_span());
    }

    async fn remove_at_once(&self, message: &str, seen: Option<MessageStatus>) -> Left {
        let removed = self.remove(message, seen, 0).await;
        let now = clock::now();
        match removed {
            Ok(true) => Left::Gone(now),
            Ok(false) => Left::RemoveAt(next_redaction(now, 0)),
            Err(error) => {
                tracing::debug!(error = %chassis::chain(&error), "could not remove the text of a message yet");
                Left::RemoveAt(next_redaction(now, 0))
            }
        }
    }

    /// Have the text removed, once the message is finished: removed earlier, the person would read an empty one. `false`:
    /// it is not finished.
    async fn remove(
        &self,
        message: &str,
        seen: Option<MessageStatus>,
        tries: i32,
    ) -> Result<bool, CallError> {
        let status = match seen {
            Some(status) => status,
            None => match self.twilio.fetch(message).await? {
                Some(seen) => seen.status,
                // It is not there, and its text is not either.
                None => return Ok(true),
            },
        };
        if !finished(status, tries) {
            return Ok(false);
        }
        self.twilio.redact(message).await.map(|()| true)
    }

    async fn redact(&self, held: &Held, tries: i32, message: &str) -> Result<(), StoreError> {
        let removed = self.remove(message, None, tries).await;
        let now = clock::now();
        match removed {
            Ok(true) => self.store.rest(held, Some(now)).await,
            Ok(false) | Err(_) if tries >= REDACTIONS => {
                tracing::error!(delivery.id = %held.operation, "the text of a message stays at the gateway");
                self.store.rest(held, None).await
            }
            Ok(false) => self.store.again(held, None, next_redaction(now, tries)).await,
            Err(error) => {
                tracing::debug!(error = %chassis::chain(&error), "could not remove the text of a message yet");
                self.store.again(held, None, next_redaction(now, tries)).await
            }
        }
    }
}

fn finished(status: MessageStatus, tries: i32) -> bool {
    status.is_terminal() || (status == MessageStatus::Sent && tries >= SETTLED)
}

fn vanished(destination: &str) -> StepResult {
    StepResult::new(
        Outcome::Failure,
        format!("The SMS gateway no longer knows the text message to {destination}."),
    )
}
