//! What follows a sent message: it is read back until it has ended, orchestration is told until it has heard, and the
//! text is removed at the gateway. All of it from the table, so that a restart loses nothing.

use chassis::{Did, Shell, telemetry};
use common::client::{OrchestrationClient, PeerError};
use common::{Outcome, Signal, StepResult};
use connectors::CallError;
use connectors::twilio::{MessageStatus, Twilio};
use time::OffsetDateTime;
use tracing::Instrument as _;

use crate::store::{Answered, Claim, Due, Held, Store, StoreError, Work};
use crate::verdict::{Patience, next_look, next_redaction, patience, verdict};

/// A text that could not be removed after this many tries (ten hours, the longest that Twilio keeps a message waiting)
/// stays: the pass in it is spent or dead.
const REDACTIONS: i32 = 125;
/// After this many looks (a minute) a message that is `sent` counts as finished: some carriers never tell more.
const SETTLED: i32 = 5;

/// Follows messages. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Follow {
    store: Store,
    twilio: Twilio,
    orchestration: OrchestrationClient,
    service: &'static str,
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
        }
    }

    /// One piece of work, if any is due.
    pub(crate) async fn step(&self) -> Result<Did, StoreError> {
        let due = match self.store.claim_due().await? {
            Claim::Due(due) => *due,
            Claim::NothingUntil(Some(wait)) => return Ok(Did::NothingUntil(wait)),
            Claim::NothingUntil(None) => return Ok(Did::Nothing),
        };
        let execution = due.held.execution;
        let span = tracing::info_span!("delivery.follow", service = self.service, execution.id = %execution);
        telemetry::adopt(&span, due.traceparent.as_deref());
        self.perform(due).instrument(span).await?;
        Ok(Did::Work)
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
                let seen = self.twilio.fetch(&message).await;
                self.judge(&held, tries, seen, status, &destination, decide_at)
                    .await
            }
            Work::Tell(signal) => self.tell(&held, tries, &signal).await,
            Work::Redact { message } => self.redact(&held, tries, &message).await,
            Work::Rest => self.store.rest(&held, None).await,
        }
    }

    /// End it, or look again later.
    async fn judge(
        &self,
        held: &Held,
        tries: i32,
        seen: Result<Option<connectors::twilio::Message>, CallError>,
        before: MessageStatus,
        destination: &str,
        decide_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let now = OffsetDateTime::now_utc();
        let patience = patience(now, decide_at, tries);
        let time_is_up = patience == Patience::Spent;
        let (status, result) = match seen {
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
        };
        let Some(result) = result else {
            let at = next_look(now, tries).min(decide_at);
            return self.store.again(held, Some(status), at).await;
        };
        self.store.saw(held, status).await?;
        // `false`: a callback came in between, and its own look ends it.
        if self.store.end(held, &result, Answered::BySignal).await? {
            let outcome = result.outcome.to_string();
            metrics::counter!("firstline_deliveries_total", "channel" => "sms", "outcome" => outcome)
                .increment(1);
        }
        Ok(())
    }

    async fn tell(&self, held: &Held, tries: i32, signal: &Signal) -> Result<(), StoreError> {
        let now = OffsetDateTime::now_utc();
        match self.orchestration.signal(held.execution, signal).await {
            Ok(()) => self.store.told(held, now).await,
            Err(error @ PeerError::Refused { .. }) => {
                // It will not hear it however often it is told.
                tracing::error!(error = %chassis::chain(&error), "orchestration refused a result");
                self.store.told(held, now).await
            }
            Err(error @ (PeerError::Busy { .. } | PeerError::Unknown { .. })) => {
                tracing::warn!(error = %chassis::chain(&error), "orchestration has not heard a result yet");
                self.store.again(held, None, next_look(now, tries)).await
            }
        }
    }

    /// Have the text removed, once the message is finished: removed earlier, the person would read an empty one.
    async fn redact(&self, held: &Held, tries: i32, message: &str) -> Result<(), StoreError> {
        let now = OffsetDateTime::now_utc();
        let redacted = match self.twilio.fetch(message).await {
            Ok(Some(seen)) if finished(seen.status, tries) => {
                self.twilio.redact(message).await.map(|()| true)
            }
            Ok(Some(_)) => Ok(false),
            // It is not there, and its text is not either.
            Ok(None) => Ok(true),
            Err(error) => Err(error),
        };
        match redacted {
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
