//! Asking the manager: a card in Teams, then a text message; the first answer counts. Pure.
//!
//! A channel that cannot reach the manager hands over to the other at once. A text message is sent at most twice, each
//! time with a fresh code; only the newest counts.

use time::{Duration, OffsetDateTime};

use crate::approver::Standing;
use crate::operation::{
    Answer, Command, Duty, Ended, Ending, Event, HELD_WAIT, Matter, Note, Obstacle, Request, Silence, State,
    Step, Verdict, wait,
};
use crate::patience::Patience;
use crate::posting::{CardReport, Posting};
use crate::words;

/// Text messages per request: the one that counts, and one more where the carrier's answer was lost.
const MAX_SMS: u8 = 2;
/// How long an approval may wait for the directory. A permit is good until half an hour after the person answered, renewals
/// included, so that this leaves it its ten minutes.
const FRESH: Duration = Duration::minutes(20);
/// Whoever takes a yes asks the directory at once, and waits 5 s; a worker asks where nothing came of that.
const LOOK_UP_WAIT: Duration = Duration::seconds(6);
/// Wrong codes from the right number before text messages no longer count: 5 in 10,000 to guess.
pub const MAX_WRONG_CODES: u8 = 5;

/// A request to a manager that nobody has answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// Who is asked what.
    pub request: Request,
    /// Until when we wait.
    pub patience: Patience,
    /// The card.
    pub posting: Posting,
    /// The text message.
    pub sms: Sms,
    /// Their yes, until the directory says that they still are the one to say it. A no needs no such word.
    pub kept: Option<Kept>,
}

/// A yes that came in time and does not count yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What they said. Where their card lies is known besides.
    pub answer: Answer,
    /// When.
    pub at: OffsetDateTime,
    /// When to ask the directory, and how often it did not answer.
    pub duty: Duty,
}

impl Kept {
    /// From then on it is too old to allow anything.
    fn until(&self) -> OffsetDateTime {
        self.at + FRESH
    }
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
    /// The manager's number is one of the subject's, who would answer in their place.
    Shared,
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
    pub fn new(request: Request, patience: Patience, sms_at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self {
            request,
            patience,
            kept: None,
            posting: Posting::due(now),
            sms: Sms::Due {
                sent: 0,
                duty: Duty::due(sms_at),
            },
        }
    }

    /// Until when we wait: for an answer, or with one for the directory.
    pub fn deadline(&self) -> OffsetDateTime {
        match &self.kept {
            Some(kept) => kept.until(),
            None => self.patience.deadline,
        }
    }

    /// When to look at it again.
    pub fn wake_at(&self) -> OffsetDateTime {
        if let Some(kept) = &self.kept {
            return kept.duty.at.min(self.deadline());
        }
        let sms = match &self.sms {
            Sms::Due { duty, .. } | Sms::Sending { duty, .. } => Some(duty.at),
            Sms::Sent { .. } | Sms::Off => None,
        };
        let card = self.posting.wake_at();
        card.into_iter()
            .chain(sms)
            .min()
            .unwrap_or(self.deadline())
            .min(self.deadline())
    }

    /// The manager may have seen the question.
    pub fn was_asked(&self) -> bool {
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
            Event::Woken if now >= self.deadline() => {
                let silence = match (&self.kept, self.was_asked()) {
                    (Some(_), _) => Silence::NotJudged,
                    (None, true) => Silence::NoAnswer,
                    (None, false) => Silence::Unreachable,
                };
                Some(self.end(Ending::TimedOut(silence), now))
            }
            Event::Woken => Some(self.woken(now)),
            Event::Approver(standing) => Some(self.judged(standing, now)),
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
            Event::CalledOff => Some(self.called_off(now)),
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
        if let Some(kept) = &self.kept {
            let due = kept.duty.at <= now;
            let step = Step::to(State::Approval(self));
            return if due {
                step.command(Command::LookUpApprover)
            } else {
                step
            };
        }
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
        let away = matches!(report, CardReport::Busy { .. });
        match self.post(now, |posting| posting.reported(report, now)) {
            Some(message) => Step::to(State::Approval(self)).note(Note::CardSent(message)),
            None if away => self.postponed(now),
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
                return Some(self.postponed(now));
            }
            (Sms::Sending { sent, duty, .. }, SmsReport::Busy { retry_after }) => {
                self.sms = later_sms(sent - 1, duty, retry_after, now);
                return Some(self.postponed(now));
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
            (Sms::Due { .. }, SmsReport::Shared) => {
                self.sms = Sms::Off;
                let step = if self.posting.failed() {
                    self.end(Ending::Impossible(Obstacle::ManagerNumberShared), now)
                } else {
                    Step::to(State::Approval(self))
                };
                return Some(step.note_first(Note::SmsWithheld));
            }
            // Locked in the meantime.
            (Sms::Off, _) => {}
            (Sms::Due { .. } | Sms::Sending { .. } | Sms::Sent { .. }, _) => return None,
        }
        Some(self.reachable_or_ended(now))
    }

    fn answered(mut self: Box<Self>, answer: Answer, now: OffsetDateTime) -> Step {
        // INVARIANT: the deadline has spoken, even where no timer has noticed it yet.
        if now >= self.deadline() {
            let late = Note::AnsweredLate(answer);
            let silence = match self.kept {
                Some(_) => Silence::NotJudged,
                None => Silence::NoAnswer,
            };
            return self.ended(Ending::TimedOut(silence), now).step_after(late);
        }
        if let Some(pressed) = &answer.card {
            self.posting.pressed(pressed);
        }
        match answer.verdict {
            // INVARIANT: a yes counts only once the directory has vouched for its giver. The first of several is the one.
            Verdict::Approve => {
                self.kept.get_or_insert_with(|| Kept {
                    answer: Answer { card: None, ..answer },
                    at: now,
                    duty: Duty::due(now + LOOK_UP_WAIT),
                });
                Step::to(State::Approval(self))
            }
            // A no counts at once, whoever they are by now, and whatever they said before.
            Verdict::Deny => {
                let ending = Ending::Denied {
                    by: answer.by.clone(),
                    channel: answer.channel,
                    fraud: false,
                };
                self.ended(ending, now).step_after(Note::Answered(answer))
            }
        }
    }

    /// The directory has spoken, or is away.
    fn judged(mut self: Box<Self>, standing: Standing, now: OffsetDateTime) -> Step {
        let Some(mut kept) = self.kept.take() else {
            // A no came meanwhile, or another look-up was quicker.
            return Step::to(State::Approval(self));
        };
        match standing {
            Standing::Lapsed(obstacle) => {
                let lapsed = Note::Lapsed(kept.answer, obstacle);
                self.ended(Ending::Impossible(obstacle), now).step_after(lapsed)
            }
            // INVARIANT: the deadline has spoken, even where no timer has noticed it yet.
            Standing::Stands if now >= kept.until() => {
                let late = Note::AnsweredLate(kept.answer);
                let ending = Ending::TimedOut(Silence::NotJudged);
                self.ended(ending, now).step_after(late)
            }
            Standing::Stands => {
                let ending = Ending::Approved {
                    by: kept.answer.by.clone(),
                    channel: kept.answer.channel,
                };
                // How old a proof is counts from when the person spoke.
                let ended = Ended {
                    at: kept.at,
                    ..self.ended(ending, now)
                };
                ended.step_after(Note::Answered(kept.answer))
            }
            Standing::Away { retry_after } => {
                let first = kept.duty.attempts == 0;
                kept.duty = kept.duty.again(now, retry_after);
                let note = first.then(|| Note::Kept(kept.answer.clone()));
                self.kept = Some(kept);
                let mut step = Step::to(State::Approval(self));
                step.notes.extend(note);
                step
            }
        }
    }

    /// The outside is away. While nobody was asked, their time has not begun.
    fn postponed(mut self: Box<Self>, now: OffsetDateTime) -> Step {
        let next = self.wake_at();
        if self.kept.is_some() || self.was_asked() {
            return self.reachable_or_ended(now);
        }
        let first = self.patience.postpone(next);
        if self.patience.is_postponed() {
            self.request.shown.expires = words::clock(self.patience.deadline);
        }
        let latest = self.patience.latest;
        let step = self.reachable_or_ended(now);
        if first {
            step.note(Note::Postponed(latest))
        } else {
            step
        }
    }

    /// Nobody waits for their answer any more.
    fn called_off(mut self: Box<Self>, now: OffsetDateTime) -> Step {
        self.posting.not_sent(now);
        // They answered: what becomes of that is the directory's to say, and they are asked nothing more anyway.
        if self.kept.is_some() {
            return Step::to(State::Approval(self));
        }
        let silence = Silence::called_off(self.was_asked());
        self.end(Ending::TimedOut(silence), now)
    }

    fn reachable_or_ended(self: Box<Self>, now: OffsetDateTime) -> Step {
        if self.kept.is_none() && self.posting.failed() && matches!(self.sms, Sms::Off) {
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
