//! Asking the manager: a card in Teams, then a text message; the first answer counts. Pure.
//!
//! A channel that cannot reach the manager hands over to the other at once. A text message is sent at most twice, each
//! time with a fresh code; only the newest counts.

use time::{Duration, OffsetDateTime};

use crate::operation::{
    Answer, Command, Duty, Ended, Ending, Event, HELD_WAIT, Matter, Note, Obstacle, Request, Silence, State,
    Step, Verdict, wait,
};
use crate::posting::{CardReport, Posting};

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
    pub posting: Posting,
    /// The text message.
    pub sms: Sms,
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
    /// Nothing was sent, for a switch is off: nobody is asked anything for now.
    Held,
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
            posting: Posting::due(now),
            sms: Sms::Due {
                sent: 0,
                duty: Duty::due(sms_at),
            },
        }
    }

    /// When to look at it again.
    pub fn wake_at(&self) -> OffsetDateTime {
        let sms = match &self.sms {
            Sms::Due { duty, .. } | Sms::Sending { duty, .. } => Some(duty.at),
            Sms::Sent { .. } | Sms::Off => None,
        };
        let card = self.posting.wake_at();
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
        sms || self.posting.may_be_seen()
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
            | Event::Replied(_)
            | Event::PromptOpenElsewhere
            | Event::CardClosed
            | Event::CardNotClosed { .. }
            | Event::SignalTaken
            | Event::SignalNotTaken { .. } => None,
        }
    }

    fn woken(mut self: Box<Self>, now: OffsetDateTime) -> Step {
        let mut commands = vec![];
        if self.post(now, |posting| posting.woken(now)) {
            commands.push(Command::SendCard);
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
        match self.post(now, |posting| posting.reported(report, now)) {
            Some(message) => Step::to(State::Approval(self)).note(Note::CardSent(message)),
            None => self.reachable_or_ended(now),
        }
    }

    /// Do something about the card. Once there will be none, there is nothing to wait for: the text message is due.
    fn post<T>(&mut self, now: OffsetDateTime, act: impl FnOnce(&mut Posting) -> T) -> T {
        let was_off = self.posting.is_off();
        let done = act(&mut self.posting);
        if !was_off
            && self.posting.is_off()
            && let Sms::Due { duty, .. } = &mut self.sms
        {
            duty.at = duty.at.min(now);
        }
        done
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
            (Sms::Due { sent, duty }, SmsReport::Held) => {
                let at = now + HELD_WAIT;
                self.sms = Sms::Due {
                    sent: *sent,
                    duty: Duty { at, ..duty.clone() },
                };
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
        if let Some(pressed) = &answer.card {
            self.posting.pressed(pressed);
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
        if self.posting.failed() && matches!(self.sms, Sms::Off) {
            return self.end(Ending::Impossible(Obstacle::ManagerUnreachable), now);
        }
        Step::to(State::Approval(self))
    }

    fn end(self: Box<Self>, ending: Ending, now: OffsetDateTime) -> Step {
        self.ended(ending, now).step()
    }

    fn ended(self: Box<Self>, ending: Ending, now: OffsetDateTime) -> Ended {
        Ended {
            code: self.sms.code().cloned(),
            matter: Some(Matter::Approval(self.request)),
            open_card: self.posting.left_open(now),
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
