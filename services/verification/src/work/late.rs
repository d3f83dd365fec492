//! Whoever is asked late is asked only while there is somebody who waits for their answer.
//!
//! The outside may have been away for hours, and the execution has ended meanwhile: cancelled, or escalated for another
//! reason. Nobody tells us; so orchestration is asked, and where it does not answer nobody is.

use std::time::Duration as StdDuration;

use common::client::PeerError;
use common::{Service, clock};
use time::Duration;

use super::Done;
use super::reports::busy_for;
use crate::Verifier;
use crate::approval::SmsReport;
use crate::mfa::PushAnswer;
use crate::operation::{Channel, Event, Operation};
use crate::posting::CardReport;

/// How long orchestration has to answer. Nobody looks at a screen meanwhile, and the next try comes in seconds.
const ANSWER_LIMIT: StdDuration = StdDuration::from_secs(5);

/// What is known of whoever wants the answer.
enum Waiting {
    /// They wait for it.
    Yes,
    /// They do not.
    NoMore,
    /// Orchestration does not say.
    Unknown {
        /// What it asked for.
        retry_after: Option<Duration>,
    },
}

impl Verifier {
    /// What to do instead of asking somebody by `channel`; `None`: ask.
    pub(super) async fn instead_of_asking(&self, operation: &Operation, channel: Channel) -> Option<Done> {
        if operation.state.ended().is_some() {
            // Called off a moment ago, with more left to do.
            return Some(Done::LetGo);
        }
        if !operation.may_be_over(clock::now()) {
            return None;
        }
        let event = match self.waiting(operation).await {
            Waiting::Yes => return None,
            Waiting::NoMore => Event::CalledOff,
            Waiting::Unknown { retry_after } => not_now(channel, retry_after),
        };
        Some(Done::Reported(event))
    }

    async fn waiting(&self, operation: &Operation) -> Waiting {
        let facts = &operation.facts;
        let looking = self.orchestration.execution(facts.execution);
        let looked = tokio::time::timeout(ANSWER_LIMIT, looking).await;
        match looked.unwrap_or_else(|_| Err(silence())) {
            Ok(view) if view.waits_for(&facts.call) => Waiting::Yes,
            Ok(view) => {
                tracing::info!(status = %view.status, "nobody waits for the answer any more; nobody is asked");
                Waiting::NoMore
            }
            Err(error) => not_said(&error),
        }
    }
}

fn silence() -> PeerError {
    PeerError::Unknown {
        callee: Service::Orchestration.name().to_owned(),
        detail: "no answer in time".to_owned(),
    }
}

fn not_said(error: &PeerError) -> Waiting {
    let over = error.is_not_found();
    tracing::warn!(error = %chassis::chain(error), over, "the execution cannot be looked at; nobody is asked");
    if over {
        return Waiting::NoMore;
    }
    Waiting::Unknown {
        retry_after: busy_for(error),
    }
}

/// Nothing was sent, and what must be known first is away: as if the outside were.
const fn not_now(channel: Channel, retry_after: Option<Duration>) -> Event {
    match channel {
        Channel::Push => Event::Push(PushAnswer::Away { retry_after }),
        Channel::Teams => Event::Card(CardReport::Busy { retry_after }),
        Channel::Sms => Event::Sms(SmsReport::Busy { retry_after }),
    }
}
