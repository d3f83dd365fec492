//! Asking the manager: a card in Teams, then a text message; the first answer counts. Pure.
//!
//! A channel that cannot reach the manager hands over to the other at once. A card may exist twice (sent, but the
//! answer was lost): both carry the same reference, so that is harmless. A text message is sent at most twice, each
//! time with a fresh code; only the newest counts.

use time::{Duration, OffsetDateTime};

use crate::operation::{
    Answer, CardMessage, Command, Duty, Ended, Ending, Event, Note, Obstacle, Request, Silence, State, Step,
    Verdict, wait,
};

/// Cards that may exist of one request before we stop trying.
const MAX_UNCONFIRMED_CARDS: u8 = 3;
/// Text messages per request: the one that counts, and one more where the carrier's answer was lost.
const MAX_SMS: u8 = 2;
/// Wrong codes from the right number before text messages no longer count: 5 in 10,000 to guess.
pub const MAX_WRONG_CODES: u8 = 5;

/// A request to a manager that nobody has answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// Who is asked what.
    pub request: Request,
    /// When we stop waiting.
    pub deadline: OffsetDateTime,
    /// The card.
    pub card: Card,
    /// Cards that may lie in Teams without our knowing where.
    pub unconfirmed_cards: u8,
    /// The text message.
    pub sms: Sms,
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
    /// Not possible for this manager.
    Off,
}

/// Where the text message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sms {
    /// To be sent.
    Due {
        /// Messages that may have been sent.
        sent: u8,
        /// When, and how often nothing could be sent.
        duty: Duty,
    },
    /// On its way; whether it was sent is not known. Its code counts already.
    Sending {
        /// Messages that may have been sent, this one included.
        sent: u8,
        /// How often nothing could be sent.
        duty: Duty,
        /// What the answer must carry.
        code: Code,
    },
    /// Sent.
    Sent {
        /// What the answer must carry.
        code: Code,
    },
    /// Not possible for this manager, or closed after wrong codes.
    Off,
}

/// What is kept of a number and a code: enough to recognise an answer, not enough to write or call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Keyed hash of the number.
    pub number_hash: String,
    /// Keyed hash of number and code.
    pub answer_hash: String,
    /// `+44•••••123`.
    pub masked: String,
    /// Wrong codes seen from that number.
    pub wrong: u8,
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
    /// Sent, and the answer was lost.
    Lost,
    /// Teams will not have it: not installed, blocked, not set up.
    Refused,
}

/// What became of sending the text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsReport {
    /// About to be sent with this code.
    Intended(Code),
    /// The carrier has it.
    Sent {
        /// The vendor's id.
        message: Option<String>,
    },
    /// Nothing was sent; asking again is safe.
    Busy {
        /// What was asked for.
        retry_after: Option<Duration>,
    },
    /// Sent, and the answer was lost.
    Lost,
    /// No number, a bad number, or the carrier will not have it.
    Refused,
}

impl Sms {
    /// What an answer must carry, while one may come.
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Sending { code, .. } | Self::Sent { code } => Some(code),
            Self::Due { .. } | Self::Off => None,
        }
    }
}

impl Approval {
    /// A request just made: the card at once, the text message at `sms_at`.
    pub fn new(
        request: Request,
        deadline: OffsetDateTime,
        sms_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            request,
            deadline,
            card: Card::Due(Duty::due(now)),
            unconfirmed_cards: 0,
            sms: Sms::Due {
                sent: 0,
                duty: Duty::due(sms_at),
            },
        }
    }

    /// When to look at it again.
    pub fn wake_at(&self) -> OffsetDateTime {
        let card = match &self.card {
            Card::Due(duty) | Card::Sending(duty) => Some(duty.at),
            Card::Sent(_) | Card::Off => None,
        };
        let sms = match &self.sms {
            Sms::Due { duty, .. } | Sms::Sending { duty, .. } => Some(duty.at),
            Sms::Sent { .. } | Sms::Off => None,
        };
        card.into_iter()
            .chain(sms)
            .min()
            .unwrap_or(self.deadline)
            .min(self.deadline)
    }

    /// The manager may have seen the question.
    fn was_asked(&self) -> bool {
        let sms = match &self.sms {
            Sms::Sending { .. } | Sms::Sent { .. } => true,
            Sms::Due { sent, .. } => *sent > 0,
            Sms::Off => false,
        };
        sms || self.unconfirmed_cards > 0 || matches!(self.card, Card::Sending(_) | Card::Sent(_))
    }

    /// Take an event; `None` where it makes no sense.
    pub fn apply(mut self: Box<Self>, event: Event, now: OffsetDateTime) -> Option<Step> {
        match event {
            Event::Woken if now >= self.deadline => {
                let silence = if self.was_asked() {
                    Silence::NoAnswer
                } else {
                    Silence::Unreachable
                };
                Some(self.end(Ending::TimedOut(silence), now))
            }
            Event::Woken => Some(self.woken(now)),
            Event::Card(report) => Some(self.card_report(report, now)),
            Event::Sms(report) => self.sms_report(report, now),
            Event::Answered(answer) => Some(self.answered(answer, now)),
            Event::WrongCode => {
                let (Sms::Sending { code, .. } | Sms::Sent { code }) = &mut self.sms else {
                    return Some(Step::to(State::Approval(self)));
                };
                code.wrong += 1;
                if code.wrong < MAX_WRONG_CODES {
                    return Some(Step::to(State::Approval(self)));
                }
                self.sms = Sms::Off;
                Some(self.reachable_or_ended(now).note(Note::SmsLocked))
            }
            Event::Push(_)
            | Event::PromptOpenElsewhere
            | Event::CardClosed
            | Event::CardNotClosed { .. }
            | Event::SignalTaken
            | Event::SignalNotTaken { .. } => None,
        }
    }

    fn woken(mut self: Box<Self>, now: OffsetDateTime) -> Step {
        let mut commands = vec![];
        match &mut self.card {
            Card::Due(duty) if duty.at <= now => {
                self.card = Card::Sending(duty.clone());
                commands.push(Command::SendCard);
            }
            // Its sender died: it may lie in Teams already. Another one is harmless.
            Card::Sending(duty) if duty.at <= now => {
                let duty = duty.clone();
                self.lost_card(&duty, now);
            }
            Card::Due(_) | Card::Sending(_) | Card::Sent(_) | Card::Off => {}
        }
        match &self.sms {
            Sms::Due { duty, .. } if duty.at <= now => commands.push(Command::SendSms),
            Sms::Sending { sent, duty, code } if duty.at <= now => {
                self.sms = lost_sms(*sent, duty, code.clone(), now);
            }
            Sms::Due { .. } | Sms::Sending { .. } | Sms::Sent { .. } | Sms::Off => {}
        }
        let mut step = self.reachable_or_ended(now);
        step.commands.append(&mut commands);
        step
    }

    fn card_report(mut self: Box<Self>, report: CardReport, now: OffsetDateTime) -> Step {
        let (Card::Due(duty) | Card::Sending(duty)) = &self.card else {
            return Step::to(State::Approval(self));
        };
        let duty = duty.clone();
        match report {
            CardReport::Sent(message) => {
                self.card = Card::Sent(message.clone());
                return Step::to(State::Approval(self)).note(Note::CardSent(message));
            }
            CardReport::Busy { retry_after } => {
                let attempts = duty.attempts.saturating_add(1);
                let at = now + wait(attempts, retry_after);
                self.card = Card::Due(Duty { attempts, at });
            }
            CardReport::Lost => self.lost_card(&duty, now),
            CardReport::Refused => {
                self.card = Card::Off;
                self.hurry_sms(now);
            }
        }
        self.reachable_or_ended(now)
    }

    fn lost_card(&mut self, duty: &Duty, now: OffsetDateTime) {
        self.unconfirmed_cards = self.unconfirmed_cards.saturating_add(1);
        if self.unconfirmed_cards < MAX_UNCONFIRMED_CARDS {
            let attempts = duty.attempts.saturating_add(1);
            let at = now + wait(attempts, None);
            self.card = Card::Due(Duty { attempts, at });
        } else {
            self.card = Card::Off;
            self.hurry_sms(now);
        }
    }

    /// Without a card there is nothing to wait for.
    fn hurry_sms(&mut self, now: OffsetDateTime) {
        if let Sms::Due { duty, .. } = &mut self.sms {
            duty.at = duty.at.min(now);
        }
    }

    fn sms_report(mut self: Box<Self>, report: SmsReport, now: OffsetDateTime) -> Option<Step> {
        match (&self.sms, report) {
            (Sms::Due { sent, duty }, SmsReport::Intended(code)) => {
                let (sent, duty) = (
                    sent + 1,
                    Duty {
                        attempts: duty.attempts,
                        at: now,
                    },
                );
                let note = Note::SmsIntended(code.clone());
                self.sms = Sms::Sending { sent, duty, code };
                return Some(Step::to(State::Approval(self)).note(note));
            }
            (Sms::Sending { code, .. }, SmsReport::Sent { message }) => {
                self.sms = Sms::Sent { code: code.clone() };
                return Some(Step::to(State::Approval(self)).note(Note::SmsSent { message }));
            }
            (Sms::Due { sent, duty }, SmsReport::Busy { retry_after }) => {
                self.sms = later_sms(*sent, duty, retry_after, now);
            }
            (Sms::Sending { sent, duty, .. }, SmsReport::Busy { retry_after }) => {
                self.sms = later_sms(sent - 1, duty, retry_after, now);
            }
            (Sms::Sending { sent, duty, code }, SmsReport::Lost) => {
                self.sms = lost_sms(*sent, duty, code.clone(), now);
            }
            (Sms::Due { .. } | Sms::Sending { .. }, SmsReport::Refused) => self.sms = Sms::Off,
            // Locked in the meantime.
            (Sms::Off, _) => {}
            (Sms::Due { .. } | Sms::Sending { .. } | Sms::Sent { .. }, _) => return None,
        }
        Some(self.reachable_or_ended(now))
    }

    fn answered(mut self: Box<Self>, answer: Answer, now: OffsetDateTime) -> Step {
        // INVARIANT: the deadline has spoken, even where no timer has noticed it yet.
        if now >= self.deadline {
            let late = Note::AnsweredLate(answer);
            return self
                .ended(Ending::TimedOut(Silence::NoAnswer), now)
                .step_after(late);
        }
        // A press tells us where the card lies, should we not know it yet.
        match (&mut self.card, &answer.card) {
            // A conversation can move to another region; the newest address counts.
            (Card::Sent(known), Some(pressed)) if known.conversation == pressed.conversation => {
                known.service_url.clone_from(&pressed.service_url);
            }
            (Card::Due(_) | Card::Sending(_) | Card::Off, Some(pressed)) => {
                self.card = Card::Sent(pressed.clone());
            }
            (Card::Sent(_), Some(_)) | (_, None) => {}
        }
        let (by, channel) = (answer.by.clone(), answer.channel);
        let ending = match answer.verdict {
            Verdict::Approve => Ending::Approved { by, channel },
            Verdict::Deny => Ending::Denied {
                by,
                channel,
                fraud: false,
            },
        };
        self.ended(ending, now).step_after(Note::Answered(answer))
    }

    fn reachable_or_ended(self: Box<Self>, now: OffsetDateTime) -> Step {
        let nothing_left = matches!(self.card, Card::Off) && matches!(self.sms, Sms::Off);
        if nothing_left && self.unconfirmed_cards == 0 {
            return self.end(Ending::Impossible(Obstacle::ManagerUnreachable), now);
        }
        Step::to(State::Approval(self))
    }

    fn end(self: Box<Self>, ending: Ending, now: OffsetDateTime) -> Step {
        self.ended(ending, now).step()
    }

    fn ended(self: Box<Self>, ending: Ending, now: OffsetDateTime) -> Ended {
        let open_card = match self.card {
            Card::Sent(message) => Some((message, Duty::due(now))),
            Card::Due(_) | Card::Sending(_) | Card::Off => None,
        };
        Ended {
            code: self.sms.code().cloned(),
            request: Some(self.request),
            open_card,
            ..Ended::owing(ending, now)
        }
    }
}

fn later_sms(sent: u8, duty: &Duty, retry_after: Option<Duration>, now: OffsetDateTime) -> Sms {
    let attempts = duty.attempts.saturating_add(1);
    let at = now + wait(attempts, retry_after);
    Sms::Due {
        sent,
        duty: Duty { attempts, at },
    }
}

/// Nobody knows whether it was sent: once more, or else believe it was.
fn lost_sms(sent: u8, duty: &Duty, code: Code, now: OffsetDateTime) -> Sms {
    if sent < MAX_SMS {
        later_sms(sent, duty, None, now)
    } else {
        Sms::Sent { code }
    }
}
