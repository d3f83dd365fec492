//! A card on its way into somebody's personal chat. Pure.
//!
//! A card may exist twice (sent, but the answer was lost): both carry the same reference, so that is harmless.

use time::{Duration, OffsetDateTime};

use crate::operation::{CardMessage, Duty, HELD_WAIT, wait};

/// Cards that may exist of one request before we stop trying.
const MAX_UNCONFIRMED: u8 = 3;

/// A card that somebody shall read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Where it stands.
    pub card: Card,
    /// Cards that may lie in Teams without our knowing where.
    pub unconfirmed: u8,
}

/// Where the card stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Card {
    /// To be sent.
    Due(Duty),
    /// On its way; whether it arrived is not known.
    Sending(Duty),
    /// In Teams.
    Sent(CardMessage),
    /// Not possible for this person.
    Off,
}

/// What became of sending the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardReport {
    /// It lies there.
    Sent(CardMessage),
    /// Nothing was sent; asking again is safe.
    Busy {
        /// What Teams asked for.
        retry_after: Option<Duration>,
    },
    /// Nothing was sent, for a switch is off: nobody is asked anything for now.
    Held,
    /// Sent, and the answer was lost.
    Lost,
    /// Teams will not have it: not installed, blocked, not set up.
    Refused,
}

impl Posting {
    /// To be sent now.
    pub const fn due(now: OffsetDateTime) -> Self {
        Self {
            card: Card::Due(Duty::due(now)),
            unconfirmed: 0,
        }
    }

    /// When to look at it again; never, where it needs nothing from us.
    pub const fn wake_at(&self) -> Option<OffsetDateTime> {
        match &self.card {
            Card::Due(duty) | Card::Sending(duty) => Some(duty.at),
            Card::Sent(_) | Card::Off => None,
        }
    }

    /// It will not be sent again.
    pub const fn is_off(&self) -> bool {
        matches!(self.card, Card::Off)
    }

    /// It lies nowhere and will not be sent.
    pub const fn failed(&self) -> bool {
        self.is_off() && self.unconfirmed == 0
    }

    /// Its reader may have seen it.
    pub const fn may_be_seen(&self) -> bool {
        self.unconfirmed > 0 || matches!(self.card, Card::Sending(_) | Card::Sent(_))
    }

    /// A timer was due, or a runner took over: whether to send it now.
    pub fn woken(&mut self, now: OffsetDateTime) -> bool {
        match &self.card {
            Card::Due(duty) if duty.at <= now => {
                self.card = Card::Sending(duty.clone());
                true
            }
            // Its sender died: it may lie in Teams already. Another one is harmless.
            Card::Sending(duty) if duty.at <= now => {
                let duty = duty.clone();
                self.lost(&duty, now);
                false
            }
            Card::Due(_) | Card::Sending(_) | Card::Sent(_) | Card::Off => false,
        }
    }

    /// Take what became of sending it; answers where it lies, where that is news.
    pub fn reported(&mut self, report: CardReport, now: OffsetDateTime) -> Option<CardMessage> {
        let (Card::Due(duty) | Card::Sending(duty)) = &self.card else {
            return None;
        };
        let duty = duty.clone();
        match report {
            CardReport::Sent(message) => {
                self.card = Card::Sent(message.clone());
                return Some(message);
            }
            CardReport::Busy { retry_after } => {
                let attempts = duty.attempts.saturating_add(1);
                let at = now + wait(attempts, retry_after);
                self.card = Card::Due(Duty { attempts, at });
            }
            // No try: how long a switch stays off says nothing about Teams.
            CardReport::Held => {
                let at = now + HELD_WAIT;
                self.card = Card::Due(Duty { at, ..duty });
            }
            CardReport::Lost => self.lost(&duty, now),
            CardReport::Refused => self.card = Card::Off,
        }
        None
    }

    /// If a card was about to be sent, it was not.
    pub fn not_sent(&mut self, now: OffsetDateTime) {
        if let Card::Sending(duty) = &self.card {
            self.card = Card::Due(Duty {
                at: now,
                ..duty.clone()
            });
        }
    }

    fn lost(&mut self, duty: &Duty, now: OffsetDateTime) {
        self.unconfirmed = self.unconfirmed.saturating_add(1);
        self.card = if self.unconfirmed < MAX_UNCONFIRMED {
            let attempts = duty.attempts.saturating_add(1);
            let at = now + wait(attempts, None);
            Card::Due(Duty { attempts, at })
        } else {
            Card::Off
        };
    }

    /// Whether a pressed card can be this one. Where we know the card, it must be that one. A card whose sending was
    /// never confirmed may have a twin.
    pub fn may_be(&self, pressed: &CardMessage) -> bool {
        let twins = self.unconfirmed > 0;
        match &self.card {
            Card::Sent(known) => {
                known.conversation == pressed.conversation && (twins || known.activity == pressed.activity)
            }
            Card::Sending(_) => true,
            Card::Due(_) | Card::Off => twins,
        }
    }

    /// A press tells us where the card lies, should we not know it yet.
    pub fn pressed(&mut self, pressed: &CardMessage) {
        match &mut self.card {
            // A conversation can move to another region; the newest address counts.
            Card::Sent(known) if known.conversation == pressed.conversation => {
                known.service_url.clone_from(&pressed.service_url);
            }
            Card::Due(_) | Card::Sending(_) | Card::Off => self.card = Card::Sent(pressed.clone()),
            Card::Sent(_) => {}
        }
    }

    /// The card that must lose its buttons now that it is over.
    pub fn left_open(self, now: OffsetDateTime) -> Option<(CardMessage, Duty)> {
        match self.card {
            Card::Sent(message) => Some((message, Duty::due(now))),
            Card::Due(_) | Card::Sending(_) | Card::Off => None,
        }
    }
}
