//! What the outside said, as events of the state machine.

use common::client::PeerError;
use connectors::CallError;
use connectors::entra::mfa::{NotPossible, PushOutcome};
use time::Duration;

use crate::mfa::{PROMPT_OPEN_WAIT, PushAnswer};
use crate::operation::{Event, Obstacle};
use crate::posting::CardReport;

pub(super) fn not_told(error: &PeerError) -> Event {
    match error {
        // It knows nothing of the execution, or has ended it: our part is done.
        PeerError::Refused { problem, .. } if matches!(problem.status, 404 | 409 | 410) => {
            tracing::info!(
                code = problem.code,
                "orchestration no longer waits for the result"
            );
            return Event::SignalTaken;
        }
        _ => tracing::warn!(error = %chassis::chain(error), "the result was not taken yet"),
    }
    Event::SignalNotTaken {
        retry_after: busy_for(error),
    }
}

/// How long a peer wants to be left alone, where it said so.
pub(super) fn busy_for(error: &PeerError) -> Option<Duration> {
    match error {
        PeerError::Busy { retry_after, .. } => retry_after.and_then(|wait| wait.try_into().ok()),
        PeerError::Refused { .. } | PeerError::Unknown { .. } => None,
    }
}

pub(super) fn wait_of(error: &CallError) -> Option<Duration> {
    error.retry_after().and_then(|wait| wait.try_into().ok())
}

/// `lost` is for an answer that did not come: the request may have been carried out.
pub(super) fn card_report(
    error: &CallError,
    lost: impl FnOnce(Option<Duration>) -> CardReport,
) -> CardReport {
    let report = match error {
        CallError::Refused { .. } => CardReport::Refused,
        CallError::Busy { .. } => CardReport::Busy {
            retry_after: wait_of(error),
        },
        CallError::Unknown { .. } => lost(None),
    };
    tracing::warn!(error = %chassis::chain(error), "the card was not sent");
    report
}

pub(super) fn push_answer(answered: Result<PushOutcome, CallError>) -> PushAnswer {
    match answered {
        Ok(PushOutcome::Approved) => PushAnswer::Approved,
        Ok(PushOutcome::Denied { fraud: false }) => PushAnswer::Denied,
        Ok(PushOutcome::Denied { fraud: true }) => PushAnswer::Fraud,
        Ok(PushOutcome::NoAnswer) => PushAnswer::NoAnswer,
        Ok(PushOutcome::Throttled) => PushAnswer::Busy {
            retry_after: Some(PROMPT_OPEN_WAIT),
        },
        // It answered, so that it had the request; and it invites a retry while a prompt is on the phone, too.
        Ok(PushOutcome::Fault { value, retry: true }) => {
            tracing::warn!(value, "the sign-in request service lost an answer");
            PushAnswer::Lost
        }
        Ok(PushOutcome::Fault { value, retry: false }) => {
            tracing::warn!(value, "the sign-in request service has a fault");
            PushAnswer::Impossible(Obstacle::SetUp)
        }
        Ok(PushOutcome::NotPossible(why)) => PushAnswer::Impossible(push_obstacle(why)),
        Err(error) => push_failure(&error),
    }
}

pub(super) fn push_obstacle(why: NotPossible) -> Obstacle {
    match why {
        NotPossible::NoMethod | NotPossible::NeedsCode => Obstacle::NoMethod,
        NotPossible::Blocked => Obstacle::Blocked,
        NotPossible::UnknownUser => Obstacle::SetUp,
        NotPossible::Other(value) => {
            tracing::warn!(value, "the sign-in request service gave an answer of its own");
            Obstacle::NoMethod
        }
    }
}

pub(super) fn push_failure(error: &CallError) -> PushAnswer {
    tracing::warn!(error = %chassis::chain(error), "the push brought no answer");
    match error {
        CallError::Refused { .. } => PushAnswer::Impossible(Obstacle::SetUp),
        CallError::Busy { .. } => PushAnswer::Away {
            retry_after: wait_of(error),
        },
        CallError::Unknown { .. } => PushAnswer::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connectors::entra::mfa::PushOutcome::Fault;

    fn fault(value: &str, retry: bool) -> PushAnswer {
        let value = value.to_owned();
        push_answer(Ok(Fault { value, retry }))
    }

    #[test]
    fn a_fault_that_may_have_left_a_prompt_on_the_phone_counts_as_one() {
        assert_eq!(fault("AuthenticationPending", true), PushAnswer::Lost);
        assert_eq!(fault("InternalError", true), PushAnswer::Lost);
        let never = PushAnswer::Impossible(Obstacle::SetUp);
        assert_eq!(fault("InvalidParameter", false), never);
    }
}
