//! Asking the requester a question, by a card in Teams. Pure.
//!
//! Nothing is proven by an answer: it is what the person at the card says. The wait is a row, however long it takes.

use time::OffsetDateTime;

use crate::inquiry::Inquiry;
use crate::operation::{Command, Ended, Ending, Event, Matter, Note, Obstacle, Reply, Silence, State, Step};
use crate::patience::Patience;
use crate::posting::{CardReport, Posting};

/// A question that nobody has answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub inquiry: Inquiry,
    /// Until when we wait.
    pub patience: Patience,
    /// The card.
    pub posting: Posting,
}

impl Question {
    /// A question just asked: the card at once.
    pub const fn new(inquiry: Inquiry, patience: Patience, now: OffsetDateTime) -> Self {
        Self {
            inquiry,
            patience,
            posting: Posting::due(now),
        }
    }

    /// When to look at it again.
    pub fn wake_at(&self) -> OffsetDateTime {
        let card = self.posting.wake_at();
        let deadline = self.patience.deadline;
        card.map_or(deadline, |at| at.min(deadline))
    }

    /// Take an event; `None` where it makes no sense.
    pub fn apply(self, event: Event, now: OffsetDateTime) -> Option<Step> {
        match event {
            Event::Woken if now >= self.patience.deadline => {
                let silence = if self.posting.may_be_seen() {
                    Silence::NoAnswer
                } else {
                    Silence::Unreachable
                };
                Some(self.ended(Ending::TimedOut(silence), now).step())
            }
            Event::Woken => Some(self.woken(now)),
            Event::Card(report) => Some(self.card_report(report, now)),
            Event::Replied(reply) => Some(self.replied(reply, now)),
            Event::CalledOff => Some(self.called_off(now)),
            Event::Push(_)
            | Event::PromptOpenElsewhere
            | Event::Sms(_)
            | Event::Answered(_)
            | Event::Approver(_)
            | Event::WrongCode
            | Event::CardClosed
            | Event::CardNotClosed { .. }
            | Event::SignalTaken
            | Event::SignalNotTaken { .. } => None,
        }
    }

    fn woken(mut self, now: OffsetDateTime) -> Step {
        if self.posting.woken(now) {
            Step::to(State::Question(self)).command(Command::SendCard)
        } else {
            Step::to(State::Question(self))
        }
    }

    fn card_report(mut self, report: CardReport, now: OffsetDateTime) -> Step {
        let away = matches!(report, CardReport::Busy { .. });
        match self.posting.reported(report, now) {
            Some(message) => Step::to(State::Question(self)).note(Note::CardSent(message)),
            None if self.posting.failed() => {
                let ending = Ending::Impossible(Obstacle::SubjectUnreachable);
                self.ended(ending, now).step()
            }
            None => {
                let next = self
                    .posting
                    .wake_at()
                    .filter(|_| away && !self.posting.may_be_seen());
                let first = next.is_some_and(|next| self.patience.postpone(next));
                let latest = self.patience.latest;
                let step = Step::to(State::Question(self));
                if first {
                    step.note(Note::Postponed(latest))
                } else {
                    step
                }
            }
        }
    }

    fn replied(mut self, reply: Reply, now: OffsetDateTime) -> Step {
        self.posting.pressed(&reply.card);
        // INVARIANT: the deadline has spoken, even where no timer has noticed it yet.
        if now >= self.patience.deadline {
            let ending = Ending::TimedOut(Silence::NoAnswer);
            return self.ended(ending, now).step_after(Note::RepliedLate(reply));
        }
        let ending = Ending::Answered {
            by: reply.by.clone(),
            given: reply.given.clone(),
        };
        self.ended(ending, now).step_after(Note::Replied(reply))
    }

    /// Nobody waits for their answer any more.
    fn called_off(mut self, now: OffsetDateTime) -> Step {
        self.posting.not_sent(now);
        let silence = Silence::called_off(self.posting.may_be_seen());
        self.ended(Ending::TimedOut(silence), now).step()
    }

    fn ended(self, ending: Ending, now: OffsetDateTime) -> Ended {
        Ended {
            open_card: self.posting.left_open(now),
            matter: Some(Matter::Question(self.inquiry)),
            ..Ended::owing(ending, now)
        }
    }
}
