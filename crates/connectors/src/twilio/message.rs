//! A message and how far it got.

use secrecy::SecretString;
use time::OffsetDateTime;

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
    /// As the wire writes it.
    pub fn from_wire(word: &str) -> Self {
        todo!()
    }
    /// As the wire writes it; `other` for [`MessageStatus::Other`].
    pub const fn as_str(self) -> &'static str {
        todo!()
    }
    /// Nothing comes after it.
    pub const fn is_terminal(self) -> bool {
        todo!()
    }
    /// The person has it, or the carrier has and may never tell.
    pub const fn is_success(self) -> bool {
        todo!()
    }
    /// It will never arrive.
    pub const fn is_failure(self) -> bool {
        todo!()
    }
    /// The later of the two: never back from a terminal status, never down in rank.
    pub const fn advance(self, next: Self) -> Self {
        todo!()
    }
}
