//! An operation: somebody was asked to prove or to allow something, and how that stands.
//!
//! Pure: `(state, event, now) -> (state, commands)`. Time comes in, commands come out; `work` performs them and
//! reports back as events, `store` keeps the state. Recovery after a crash is [`Event::Woken`] like any other timer.

use common::{PermitId, UserId};
use time::{Duration, OffsetDateTime};

use crate::approval::{Approval, Code, SmsReport};
use crate::approver::Standing;
use crate::inquiry::{Given, Inquiry};
use crate::mfa::{Mfa, PushAnswer};
use crate::patience::{Patience, Postponed};
use crate::posting::CardReport;
use crate::question::Question;

pub use crate::ended::Ended;
pub use crate::facts::{
    CardMessage, Channel, Ending, Facts, Matter, Method, Obstacle, Parameter, Party, PermitFacts, Request,
    Shown, Silence, Verdict,
};

/// How long a permit is good for (design, section 6).
pub const PERMIT_LIFETIME: Duration = Duration::minutes(10);

/// So soon after it was begun, the execution that an operation is for still waits for it.
const FIRST_MOMENTS: Duration = Duration::seconds(10);

/// An answer that was authenticated and belongs to this operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Yes or no.
    pub verdict: Verdict,
    /// Who.
    pub by: UserId,
    /// How.
    pub channel: Channel,
    /// The card that was pressed, where it was one.
    pub card: Option<CardMessage>,
    /// What the audit trail keeps of its origin: ids, never text or numbers.
    pub provenance: serde_json::Value,
}

/// What the requester answered to a question, authenticated and fitting.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What.
    pub given: Given,
    /// Who: the subject.
    pub by: UserId,
    /// The card that was pressed.
    pub card: CardMessage,
    /// What the audit trail keeps of its origin: ids, never text.
    pub provenance: serde_json::Value,
}

/// A duty that is tried until it is done, or until we leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    /// How often it was tried.
    pub attempts: u16,
    /// When it is due.
    pub at: OffsetDateTime,
}

impl Duty {
    /// Due now.
    pub const fn due(at: OffsetDateTime) -> Self {
        Self { attempts: 0, at }
    }

    pub(crate) fn again(&self, now: OffsetDateTime, retry_after: Option<Duration>) -> Self {
        let attempts = self.attempts.saturating_add(1);
        Self {
            attempts,
            at: now + wait(attempts, retry_after),
        }
    }
}

/// How soon to look again whether a switch that held something back is on.
pub const HELD_WAIT: Duration = Duration::seconds(5);

/// How long to wait before attempt `attempts + 1`: 1, 2, 4 ... 30 s, or what the other side asks for, up to 2 min.
pub fn wait(attempts: u16, retry_after: Option<Duration>) -> Duration {
    let own = Duration::seconds(1 << attempts.saturating_sub(1).min(5)).min(Duration::seconds(30));
    retry_after.map_or(own, |theirs| theirs.clamp(own, Duration::minutes(2)))
}

/// Where an operation stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// The subject is being asked.
    Mfa(Mfa),
    /// The manager is being asked.
    Approval(Box<Approval>),
    /// The subject is being asked a question.
    Question(Question),
    /// It is over.
    Ended(Box<Ended>),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A timer was due, or a runner took over a row that another one left.
    Woken,
    /// The push came back.
    Push(PushAnswer),
    /// The same person looks at a prompt of another operation; only one is open at a time.
    PromptOpenElsewhere,
    /// Somebody was about to be asked, and nobody waits for their answer any more.
    CalledOff,
    /// What became of sending the card.
    Card(CardReport),
    /// What became of sending the text message.
    Sms(SmsReport),
    /// A person said yes or no.
    Answered(Answer),
    /// The directory was asked whether the manager who approved still may.
    Approver(Standing),
    /// The requester answered our question.
    Replied(Reply),
    /// The number that was asked answered with a code that is not ours.
    WrongCode,
    /// The card lost its buttons.
    CardClosed,
    /// The card could not be changed now.
    CardNotClosed {
        /// What Teams asked for.
        retry_after: Option<Duration>,
    },
    /// Orchestration has the result.
    SignalTaken,
    /// Orchestration did not take it yet.
    SignalNotTaken {
        /// What it asked for.
        retry_after: Option<Duration>,
    },
}

impl Event {
    const fn name(&self) -> &'static str {
        match self {
            Self::Woken => "woken",
            Self::Push(_) => "push",
            Self::PromptOpenElsewhere => "prompt_open_elsewhere",
            Self::CalledOff => "called_off",
            Self::Card(_) => "card",
            Self::Sms(_) => "sms",
            Self::Answered(_) => "answered",
            Self::Approver(_) => "approver",
            Self::Replied(_) => "replied",
            Self::WrongCode => "wrong_code",
            Self::CardClosed => "card_closed",
            Self::CardNotClosed { .. } => "card_not_closed",
            Self::SignalTaken => "signal_taken",
            Self::SignalNotTaken { .. } => "signal_not_taken",
        }
    }
}

/// What somebody else must do now. Every command can be asked for again; the state remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask on the subject's phone and wait for the answer.
    Push {
        /// Whom, by sign-in name.
        user_principal_name: String,
        /// When to stop waiting.
        until: OffsetDateTime,
    },
    /// Send the card.
    SendCard,
    /// Send the text message, with a fresh code.
    SendSms,
    /// Ask the directory whether the manager who approved still may.
    LookUpApprover,
    /// Take the buttons off the card.
    CloseCard(CardMessage),
    /// Tell orchestration.
    Signal,
}

impl Command {
    /// By what it asks a person something; `None` where it does not.
    pub const fn asks_by(&self) -> Option<Channel> {
        match self {
            Self::Push { .. } => Some(Channel::Push),
            Self::SendCard => Some(Channel::Teams),
            Self::SendSms => Some(Channel::Sms),
            Self::LookUpApprover | Self::CloseCard(_) | Self::Signal => None,
        }
    }
}

/// What the audit trail must say about a transition.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// The push number `n` is about to go out.
    Pushed(u8),
    /// The card was sent.
    CardSent(CardMessage),
    /// A text message is about to go out.
    SmsIntended(Code),
    /// The text message was taken by the carrier.
    SmsSent {
        /// The vendor's id of the message.
        message: Option<String>,
    },
    /// No text message is sent: it would go to the subject.
    SmsWithheld,
    /// Wrong codes closed the text channel.
    SmsLocked,
    /// An answer that counted.
    Answered(Answer),
    /// An approval that waits for the directory.
    Kept(Answer),
    /// An approval that does not count: whoever gave it is not the one to give it any more.
    Lapsed(Answer, Obstacle),
    /// An answer after the end: recorded, and nothing more.
    AnsweredLate(Answer),
    /// An answer to a question, that counted.
    Replied(Reply),
    /// One after the end: recorded, and nothing more.
    RepliedLate(Reply),
    /// Somebody cannot be asked, for the outside is away; until then it may take.
    Postponed(OffsetDateTime),
    /// It is over.
    Ended(Ending),
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it stands now.
    pub state: State,
    /// What to do about it.
    pub commands: Vec<Command>,
    /// What to record.
    pub notes: Vec<Note>,
}

impl Step {
    /// Stay or move, quietly.
    pub fn to(state: State) -> Self {
        Self {
            state,
            commands: vec![],
            notes: vec![],
        }
    }

    /// And do this.
    pub fn command(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }

    /// And record this, before whatever followed from it.
    pub fn note_first(mut self, note: Note) -> Self {
        self.notes.insert(0, note);
        self
    }

    /// And record this.
    pub fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }
}

/// The event makes no sense in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an operation that is `{state}` cannot take `{event}`")]
pub struct IllegalEvent {
    state: &'static str,
    event: &'static str,
}

impl State {
    /// One word for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mfa(_) => "mfa",
            Self::Approval(_) => "approval",
            Self::Question(_) => "question",
            Self::Ended(_) => "ended",
        }
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Ended(ended) => Some(ended),
            Self::Mfa(_) | Self::Approval(_) | Self::Question(_) => None,
        }
    }

    /// What the manager is or was asked.
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Mfa(_) | Self::Question(_) => None,
            Self::Approval(approval) => Some(&approval.request),
            Self::Ended(ended) => ended.request(),
        }
    }

    /// What the requester is or was asked.
    pub fn inquiry(&self) -> Option<&Inquiry> {
        match self {
            Self::Mfa(_) | Self::Approval(_) => None,
            Self::Question(question) => Some(&question.inquiry),
            Self::Ended(ended) => ended.inquiry(),
        }
    }

    /// When [`Event::Woken`] is due; never, where nothing is left to do.
    pub fn wake_at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Mfa(mfa) => Some(mfa.wake_at()),
            Self::Approval(approval) => Some(approval.wake_at()),
            Self::Question(question) => Some(question.wake_at()),
            Self::Ended(ended) => {
                let card = ended.open_card.as_ref().map(|(_, duty)| duty.at);
                let signal = ended.signal.as_ref().map(|duty| duty.at);
                card.into_iter().chain(signal).min()
            }
        }
    }

    /// How long people have to answer, while they may.
    const fn patience(&self) -> Option<&Patience> {
        match self {
            Self::Mfa(mfa) => Some(&mfa.patience),
            Self::Approval(approval) => Some(&approval.patience),
            Self::Question(question) => Some(&question.patience),
            Self::Ended(_) => None,
        }
    }

    /// Until when an answer is waited for, while one is.
    pub fn deadline(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Mfa(mfa) => Some(mfa.patience.deadline),
            Self::Approval(approval) => Some(approval.deadline()),
            Self::Question(question) => Some(question.patience.deadline),
            Self::Ended(_) => None,
        }
    }

    /// Take an event.
    pub fn apply(self, event: Event, now: OffsetDateTime) -> Result<Step, IllegalEvent> {
        let (state, name) = (self.name(), event.name());
        let illegal = IllegalEvent { state, event: name };
        match self {
            Self::Mfa(mfa) => mfa.apply(event, now).ok_or(illegal),
            Self::Approval(approval) => approval.apply(event, now).ok_or(illegal),
            Self::Question(question) => question.apply(event, now).ok_or(illegal),
            Self::Ended(ended) => ended.apply(event, now).ok_or(illegal),
        }
    }
}

/// One row of `verifications`.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What it is for.
    pub facts: Facts,
    /// Where it stands.
    pub state: State,
    /// Present on success, where something was to be authorized.
    pub permit: Option<PermitFacts>,
}

impl Operation {
    /// Take an event; on success of something that authorizes, the permit with the id `fresh` is issued with it.
    pub fn apply(
        self,
        event: Event,
        fresh: PermitId,
        now: OffsetDateTime,
    ) -> Result<(Self, Vec<Command>, Vec<Note>), IllegalEvent> {
        let Self {
            facts,
            state,
            mut permit,
        } = self;
        let was_open = state.ended().is_none();
        let event = match (state.ended(), event) {
            (Some(ended), Event::Push(answer)) => ended.heard(&facts, answer),
            (_, event) => event,
        };
        let step = state.apply(event, now)?;
        let approved =
            matches!(step.state.ended(), Some(ended) if matches!(ended.ending, Ending::Approved { .. }));
        if was_open && approved && facts.authorizes.is_some() {
            // Whole seconds, as tokens carry them: the token can be made again from these facts, byte for byte.
            let issued_at = now.replace_nanosecond(0).unwrap_or(now);
            permit = Some(PermitFacts {
                id: fresh,
                issued_at,
                expires_at: issued_at + PERMIT_LIFETIME,
            });
        }
        let state = step.state;
        Ok((Self { facts, state, permit }, step.commands, step.notes))
    }

    /// Until when we wait, as it stands or stood.
    pub fn deadline(&self) -> OffsetDateTime {
        self.state.deadline().unwrap_or(self.facts.deadline)
    }

    /// Whoever wants to know may have stopped waiting by `now`, and nobody told us. Not so where somebody is asked for the
    /// first time, at once: people wait for that.
    pub fn may_be_over(&self, now: OffsetDateTime) -> bool {
        let postponed = self.state.patience().is_some_and(Patience::is_postponed);
        postponed || now >= self.facts.asked_at + FIRST_MOMENTS
    }

    /// Why nobody may be declared silent at `now`, although the time of the step is over.
    pub fn postponed(&self, now: OffsetDateTime) -> Option<Postponed> {
        if now < self.facts.deadline || now >= self.deadline() {
            return None;
        }
        let away = match &self.state {
            State::Mfa(mfa) => mfa.asked_nobody().then_some("the sign-in request service"),
            State::Approval(approval) if approval.kept.is_some() => Some("the directory"),
            State::Approval(approval) => (!approval.was_asked()).then_some("what reaches the manager"),
            State::Question(question) => (!question.posting.may_be_seen()).then_some("Teams"),
            State::Ended(_) => return None,
        };
        Some(away.map_or(Postponed::Asked, Postponed::Away))
    }
}
