//! A message and how far it got.

use secrecy::SecretString;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How far a message got. Callbacks come in any order; [`MessageStatus::advance`] orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageStatus {
    /// Taken by a messaging service.
    Accepted,
    /// For later.
    Scheduled,
    /// Taken.
    Queued,
    /// On its way to the carrier.
    Sending,
    /// With the carrier; may be the last one ever seen.
    Sent,
    /// On the phone.
    Delivered,
    /// Read.
    Read,
    /// The carrier could not deliver it.
    Undelivered,
    /// It could not be sent.
    Failed,
    /// It was cancelled.
    Canceled,
    /// Any other word.
    Other,
}

/// A message as Twilio tells it.
#[derive(Debug, Clone)]
pub struct Message {
    /// `SM...`.
    pub sid: String,
    /// How far it got.
    pub status: MessageStatus,
    /// Why it failed, where it did; Twilio's number.
    pub error_code: Option<u32>,
    /// When it was created.
    pub created: Option<OffsetDateTime>,
    /// Its text, where Twilio still has it.
    pub body: SecretString,
}

impl MessageStatus {
    const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Scheduled,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Undelivered,
        Self::Failed,
        Self::Canceled,
    ];

    /// As the wire writes it.
    pub fn from_wire(word: &str) -> Self {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == word);
        known.unwrap_or(Self::Other)
    }

    /// As the wire writes it; `other` for [`MessageStatus::Other`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Other => "other",
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Accepted | Self::Scheduled => 1,
            Self::Queued => 2,
            Self::Sending => 3,
            Self::Sent => 4,
            Self::Delivered | Self::Undelivered | Self::Failed | Self::Canceled => 5,
            Self::Read => 6,
        }
    }

    /// How it ended is known: the person has it, or never will.
    pub const fn is_terminal(self) -> bool {
        self.rank() >= 5
    }

    /// The person has it, or the carrier has and may never tell more.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Sent | Self::Delivered | Self::Read)
    }

    /// It will never arrive.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Undelivered | Self::Failed | Self::Canceled)
    }

    /// The later of the two: never from one ending to another, never down in rank. Callbacks come in any order.
    pub const fn advance(self, next: Self) -> Self {
        if next.rank() > self.rank() && !self.is_failure() {
            next
        } else {
            self
        }
    }
}

impl Message {
    pub(super) fn read(body: MessageBody) -> Self {
        Self {
            sid: body.sid,
            status: MessageStatus::from_wire(&body.status),
            error_code: body.error_code,
            // `Mon, 02 Mar 2026 09:21:07 +0000`
            created: body
                .date_created
                .and_then(|text| OffsetDateTime::parse(&text, &Rfc2822).ok()),
            body: body.body.unwrap_or_default(),
        }
    }
}

/// The resource on the wire, as far as it counts.
#[derive(Deserialize)]
pub(super) struct MessageBody {
    pub(super) sid: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) error_code: Option<u32>,
    #[serde(default)]
    pub(super) date_created: Option<String>,
    #[serde(default)]
    pub(super) direction: Option<String>,
    #[serde(default)]
    pub(super) body: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageStatus::{Canceled, Delivered, Failed, Other, Queued, Read, Sending, Sent, Undelivered};

    #[test]
    fn callbacks_in_any_order_end_the_same() {
        for order in [
            [Queued, Sent, Delivered],
            [Delivered, Sent, Queued],
            [Sent, Delivered, Queued],
        ] {
            assert_eq!(
                order.into_iter().fold(Other, MessageStatus::advance),
                Delivered,
                "{order:?}"
            );
        }
        assert_eq!(Sent.advance(Sending), Sent);
        assert_eq!(Sent.advance(Undelivered), Undelivered);
    }

    #[test]
    fn an_ending_stays_the_ending() {
        for ending in [Delivered, Undelivered, Failed, Canceled] {
            for next in MessageStatus::ALL.into_iter().chain([Other]) {
                let kept = ending.advance(next);
                assert!(
                    kept == ending || (ending, kept) == (Delivered, Read),
                    "{ending:?} then {next:?}"
                );
            }
        }
    }

    #[test]
    fn every_word_of_the_wire_is_known_and_others_are_tolerated() {
        for status in MessageStatus::ALL {
            assert_eq!(MessageStatus::from_wire(status.as_str()), status);
        }
        assert_eq!(MessageStatus::from_wire("partially_delivered"), Other);
    }
}
