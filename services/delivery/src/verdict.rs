//! When a delivery has ended, and how, as a table over what the gateway said and the time that is left.

use common::{Outcome, StepResult, Values};
use connectors::twilio::MessageStatus;
use time::{Duration, OffsetDateTime};

/// Longest margin before the deadline: orchestration must have the result when it asks for the last time.
const MARGIN: Duration = Duration::seconds(5);
/// First wait before the message is read back; it doubles. Callbacks come sooner, where they come.
pub(crate) const FIRST_LOOK: Duration = Duration::seconds(2);
const LONGEST_WAIT: Duration = Duration::seconds(30);
const LONGEST_REDACTION_WAIT: Duration = Duration::minutes(5);

/// Up to this many looks (twelve seconds) the receipt of a message that the carrier has taken is waited for:
/// `undelivered` comes after `sent`, and a ticket closed too early is worse than one closed seconds later. The first
/// look is counted when the message is handed over.
const RECEIPT_LOOKS: i32 = 3;

/// What is still worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The carrier's receipt.
    Receipt,
    /// That the carrier takes it.
    Carrier,
    /// Nothing: what is known has to do.
    Spent,
}

/// What is worth waiting for after `tries` looks.
pub(crate) fn patience(now: OffsetDateTime, decide_at: OffsetDateTime, tries: i32) -> Patience {
    if now >= decide_at {
        Patience::Spent
    } else if tries < RECEIPT_LOOKS {
        Patience::Receipt
    } else {
        Patience::Carrier
    }
}

/// When what is known has to do: a quarter of the time before the deadline, at most [`MARGIN`].
pub(crate) fn decide_at(intended: OffsetDateTime, deadline: OffsetDateTime) -> OffsetDateTime {
    let time: Duration = deadline - intended;
    let margin = (time / 4_i32).clamp(Duration::ZERO, MARGIN);
    deadline - margin
}

/// When to look (or try) again after `tries` in vain.
pub(crate) fn next_look(now: OffsetDateTime, tries: i32) -> OffsetDateTime {
    now + doubled(tries).min(LONGEST_WAIT)
}

/// When to try again to have a text removed. Nobody waits for it.
pub(crate) fn next_redaction(now: OffsetDateTime, tries: i32) -> OffsetDateTime {
    now + doubled(tries).min(LONGEST_REDACTION_WAIT)
}

fn doubled(tries: i32) -> Duration {
    FIRST_LOOK * 2_i32.pow(u32::try_from(tries).unwrap_or(0).min(10))
}

/// How a message that stands at `status` ends, if it ends now. `error` is the gateway's number.
pub(crate) fn verdict(
    status: MessageStatus,
    error: Option<u32>,
    destination: &str,
    patience: Patience,
) -> Option<StepResult> {
    let (outcome, explanation) = match status {
        MessageStatus::Delivered | MessageStatus::Read => (
            Outcome::Success,
            format!("The pass was delivered by text message to {destination}."),
        ),
        // The carrier has it, and may yet fail to hand it over; some never tell more.
        MessageStatus::Sent if patience == Patience::Receipt => return None,
        MessageStatus::Sent => (
            Outcome::Success,
            format!("The pass was sent by text message to {destination}."),
        ),
        MessageStatus::Failed | MessageStatus::Undelivered | MessageStatus::Canceled => (
            Outcome::Failure,
            format!(
                "The text message to {destination} could not be delivered{}.",
                why(error)
            ),
        ),
        MessageStatus::Accepted
        | MessageStatus::Scheduled
        | MessageStatus::Queued
        | MessageStatus::Sending
        | MessageStatus::Other => {
            if patience != Patience::Spent {
                return None;
            }
            let note = format!(
                "The text message to {destination} was accepted ({}), but the carrier had not confirmed it when the \
                 time ran out.",
                status.as_str()
            );
            (Outcome::Success, note)
        }
    };
    let mut result = StepResult::new(outcome, explanation);
    result.output = output(destination, status.as_str(), error);
    Some(result)
}

/// How a message ends that the gateway would not take.
pub(crate) fn refused(code: &str, destination: &str) -> StepResult {
    let why = match code {
        "21610" => "its owner has opted out of our messages".to_owned(),
        "21211" | "21614" | "21635" => "it is no number that takes text messages".to_owned(),
        "21408" | "21612" => "it cannot be reached from our number".to_owned(),
        other => format!("the SMS gateway refused, {other}"),
    };
    let explanation = format!("No text message could be sent to {destination}: {why}.");
    let mut result = StepResult::new(Outcome::Failure, explanation);
    result.output = output(destination, "refused", code.parse().ok());
    result
}

fn why(error: Option<u32>) -> String {
    match error {
        None => String::new(),
        Some(30003) => " (the phone could not be reached)".to_owned(),
        Some(30005 | 30006) => " (the number is not in use, or takes no text messages)".to_owned(),
        Some(30036) => " (it waited too long and expired)".to_owned(),
        Some(code) => format!(" (error {code})"),
    }
}

fn output(destination: &str, status: &str, error: Option<u32>) -> Values {
    let mut output = Values::from_iter([
        ("channel".to_owned(), "sms".into()),
        ("destination".to_owned(), destination.into()),
        ("status".to_owned(), status.into()),
    ]);
    if let Some(error) = error {
        output.insert("error_code".to_owned(), error.into());
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-03-02 09:15 UTC);

    fn outcome(status: MessageStatus, patience: Patience) -> Option<Outcome> {
        verdict(status, None, "+44•••••123", patience).map(|result| result.outcome)
    }

    #[test]
    fn delivered_succeeds_undelivered_fails_sent_waits_a_little_and_the_rest_waits_for_the_time() {
        use MessageStatus::{
            Accepted, Canceled, Delivered, Failed, Other, Queued, Read, Scheduled, Sending, Sent, Undelivered,
        };
        for patience in [Patience::Receipt, Patience::Carrier, Patience::Spent] {
            for status in [Delivered, Read] {
                assert_eq!(outcome(status, patience), Some(Outcome::Success), "{status:?}");
            }
            for status in [Failed, Undelivered, Canceled] {
                assert_eq!(outcome(status, patience), Some(Outcome::Failure), "{status:?}");
            }
        }
        assert_eq!(outcome(Sent, Patience::Receipt), None);
        assert_eq!(outcome(Sent, Patience::Carrier), Some(Outcome::Success));
        assert_eq!(outcome(Sent, Patience::Spent), Some(Outcome::Success));
        for status in [Accepted, Scheduled, Queued, Sending, Other] {
            assert_eq!(outcome(status, Patience::Receipt), None, "{status:?}");
            assert_eq!(outcome(status, Patience::Carrier), None, "{status:?}");
            assert_eq!(
                outcome(status, Patience::Spent),
                Some(Outcome::Success),
                "{status:?}"
            );
        }
    }

    #[test]
    fn a_receipt_is_waited_for_during_some_looks_and_never_past_the_time() {
        let later = NOW + Duration::minutes(1);
        assert_eq!(patience(NOW, later, 1), Patience::Receipt);
        assert_eq!(patience(NOW, later, RECEIPT_LOOKS - 1), Patience::Receipt);
        assert_eq!(patience(NOW, later, RECEIPT_LOOKS), Patience::Carrier);
        assert_eq!(patience(later, later, 0), Patience::Spent);
    }

    #[test]
    fn an_unconfirmed_success_says_so() {
        let result = verdict(MessageStatus::Queued, None, "+44•••••123", Patience::Spent).unwrap();
        insta::assert_snapshot!(result.explanation);
        assert_eq!(result.output["status"], "queued");
    }

    #[test]
    fn the_decision_falls_before_the_deadline_also_where_time_is_short() {
        let at = |seconds| decide_at(NOW, NOW + Duration::seconds(seconds)) - NOW;
        assert_eq!(at(60), Duration::seconds(55));
        assert_eq!(at(8), Duration::seconds(6));
        assert_eq!(at(0), Duration::ZERO);
    }

    #[test]
    fn looks_grow_rarer_and_never_stop() {
        let waits: Vec<i64> = (0..7)
            .map(|tries| (next_look(NOW, tries) - NOW).whole_seconds())
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 30, 30, 30]);
    }
}
