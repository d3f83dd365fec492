//! The end of an operation, and what is left to do about it: take the buttons off a card, tell orchestration. Pure.

use time::OffsetDateTime;

use crate::approval::Code;
use crate::inquiry::Inquiry;
use crate::mfa::{PushAnswer, said};
use crate::operation::{
    CardMessage, Channel, Command, Duty, Ending, Event, Facts, Matter, Note, Request, State, Step, Verdict,
};
use crate::posting::CardReport;

/// How often a card without buttons is offered to Teams before we leave it: about ten minutes with the backoff.
const CLOSE_ATTEMPTS: u16 = 24;
/// How often a result is offered to orchestration: about a day. By then its execution has long ended.
const SIGNAL_ATTEMPTS: u16 = 2_880;

/// What is left to do once an operation has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// When.
    pub at: OffsetDateTime,
    /// What somebody was asked by card, where they were.
    pub matter: Option<Matter>,
    /// By what a text message that comes late is recognised.
    pub code: Option<Code>,
    /// A card that still shows buttons.
    pub open_card: Option<(CardMessage, Duty)>,
    /// Orchestration has not acknowledged the result yet.
    pub signal: Option<Duty>,
    /// It was the one no too many, and froze the tenant: why.
    pub alarm: Option<String>,
}

impl Ended {
    /// The end of something that was still open; orchestration is owed a signal.
    pub fn owing(ending: Ending, now: OffsetDateTime) -> Self {
        Self {
            ending,
            at: now,
            matter: None,
            code: None,
            open_card: None,
            signal: Some(Duty::due(now)),
            alarm: None,
        }
    }

    /// A person decided it.
    pub const fn counts(&self) -> bool {
        match self.ending {
            Ending::Approved { .. } | Ending::Denied { .. } | Ending::Answered { .. } => true,
            Ending::TimedOut(_) | Ending::Impossible(_) => false,
        }
    }

    /// What the manager was asked.
    pub const fn request(&self) -> Option<&Request> {
        match &self.matter {
            Some(Matter::Approval(request)) => Some(request),
            Some(Matter::Question(_)) | None => None,
        }
    }

    /// What the requester was asked.
    pub const fn inquiry(&self) -> Option<&Inquiry> {
        match &self.matter {
            Some(Matter::Question(inquiry)) => Some(inquiry),
            Some(Matter::Approval(_)) | None => None,
        }
    }

    /// Into a step that records it.
    pub fn step(self) -> Step {
        let note = Note::Ended(self.ending.clone());
        Step::to(State::Ended(Box::new(self))).note(note)
    }

    /// Into a step that records first what led to it.
    pub fn step_after(self, cause: Note) -> Step {
        let mut step = self.step();
        step.notes.insert(0, cause);
        step
    }

    /// A push that is answered after the end is a late answer like any other, unless it is the one that ended it.
    pub(crate) fn heard(&self, facts: &Facts, answer: PushAnswer) -> Event {
        let known = match &self.ending {
            Ending::Approved { channel, .. } => (*channel, Verdict::Approve),
            Ending::Denied { channel, .. } => (*channel, Verdict::Deny),
            Ending::Answered { .. } | Ending::TimedOut(_) | Ending::Impossible(_) => {
                return late(facts, answer);
            }
        };
        if answer.verdict().map(|verdict| (Channel::Push, verdict)) == Some(known) {
            return Event::Push(answer);
        }
        late(facts, answer)
    }

    pub(crate) fn apply(mut self: Box<Self>, event: Event, now: OffsetDateTime) -> Option<Step> {
        let mut notes = vec![];
        let mut commands = vec![];
        match event {
            Event::Woken => {
                if let Some((message, duty)) = &self.open_card
                    && duty.at <= now
                {
                    commands.push(Command::CloseCard(message.clone()));
                }
                if self.signal.as_ref().is_some_and(|duty| duty.at <= now) {
                    commands.push(Command::Signal);
                }
            }
            // INVARIANT: what was decided stays decided. A late answer is recorded and changes nothing.
            Event::Answered(answer) => notes.push(Note::AnsweredLate(answer)),
            Event::Replied(reply) => notes.push(Note::RepliedLate(reply)),
            // The card was on its way while the answer came by another: it must lose its buttons too.
            Event::Card(CardReport::Sent(message)) => {
                notes.push(Note::CardSent(message.clone()));
                self.open_card = Some((message, Duty::due(now)));
            }
            Event::CardClosed => self.open_card = None,
            Event::CardNotClosed { retry_after } => {
                self.open_card = self
                    .open_card
                    .map(|(message, duty)| (message, duty.again(now, retry_after)))
                    .filter(|(_, duty)| duty.attempts < CLOSE_ATTEMPTS);
            }
            Event::SignalTaken => self.signal = None,
            Event::SignalNotTaken { retry_after } => {
                self.signal = self
                    .signal
                    .map(|duty| duty.again(now, retry_after))
                    .filter(|duty| duty.attempts < SIGNAL_ATTEMPTS);
            }
            // A prompt of an earlier runner, or a report that is repeated because its first answer was lost.
            Event::Push(_)
            | Event::Card(_)
            | Event::Sms(_)
            | Event::WrongCode
            | Event::Approver(_)
            | Event::CalledOff => {}
            Event::PromptOpenElsewhere => return None,
        }
        Some(Step {
            state: State::Ended(self),
            commands,
            notes,
        })
    }
}

fn late(facts: &Facts, answer: PushAnswer) -> Event {
    match answer.verdict() {
        Some(verdict) => Event::Answered(said(facts.subject.id.clone(), verdict)),
        None => Event::Push(answer),
    }
}
