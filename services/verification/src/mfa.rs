//! Asking the subject on their own phone. Pure.
//!
//! The outside call blocks until the person answers, so a crash in its middle leaves the answer unknown. The intent is
//! written before the push; after a crash at most one more push follows, and without an answer nobody is approved.

use time::{Duration, OffsetDateTime};

use common::UserId;

use crate::operation::{
    Answer, Channel, Command, Ended, Ending, Event, Note, Obstacle, Silence, State, Step, Verdict, wait,
};
use crate::patience::Patience;

/// Prompts per operation: the one that counts, and one more where its answer was lost.
pub const MAX_PUSHES: u8 = 2;
/// How long to leave a person alone who looks at a prompt already (`UserAuthFailedDuplicateRequest`, contract 7.2).
pub const PROMPT_OPEN_WAIT: Duration = Duration::seconds(60);
/// How long after a lost answer the second and last push follows: long enough for what broke to mend and for the first
/// prompt to be read, short enough to leave time for an answer.
const LOST_WAIT: Duration = Duration::seconds(15);
/// How much time a person is left for an answer where they are prompted at all: about as long as a prompt stays on the phone.
const LEAST_TIME: Duration = Duration::seconds(60);
/// How soon to look again whether another operation's prompt has gone; its end wakes us anyway.
const ELSEWHERE_WAIT: Duration = Duration::seconds(5);

/// An operation that waits for a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mfa {
    /// Whom.
    pub subject: UserId,
    /// Their sign-in name: what the push is addressed to.
    pub user_principal_name: String,
    /// Until when we wait.
    pub patience: Patience,
    /// The push.
    pub push: Push,
}

/// Where the push stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// None is open; the next is due.
    Due {
        /// Pushes whose answer was lost.
        sent: u8,
        /// Tries that reached nobody since.
        attempts: u16,
        /// When.
        at: OffsetDateTime,
    },
    /// Push number `number` may be on the phone; its answer is not known.
    Open {
        /// 1 or 2.
        number: u8,
        /// Tries that reached nobody before.
        attempts: u16,
        /// Since when.
        since: OffsetDateTime,
    },
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushAnswer {
    /// The person pressed approve.
    Approved,
    /// The person pressed deny.
    Denied,
    /// The person reported an attack.
    Fraud,
    /// The person did not answer.
    NoAnswer,
    /// It cannot be done for this person.
    Impossible(Obstacle),
    /// Nothing was sent, and nothing is wrong outside: they look at a prompt already, or we are about to stop. Asking again
    /// is safe.
    Busy {
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// Nothing was sent: the connector, or what it needs, is away. Asking again is safe.
    Away {
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// Sent, and the answer was lost.
    Lost,
}

impl PushAnswer {
    /// What the person said, where they said anything.
    pub const fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Approved => Some(Verdict::Approve),
            Self::Denied | Self::Fraud => Some(Verdict::Deny),
            Self::NoAnswer | Self::Impossible(_) | Self::Busy { .. } | Self::Away { .. } | Self::Lost => None,
        }
    }
}

impl Mfa {
    /// When to look at it again.
    pub fn wake_at(&self) -> OffsetDateTime {
        match &self.push {
            Push::Due { at, .. } => (*at).min(self.patience.deadline),
            // Whoever holds the lease waits for it; once the lease is free, it is due.
            Push::Open { since, .. } => *since,
        }
    }

    /// Nothing can be on their phone.
    pub const fn asked_nobody(&self) -> bool {
        matches!(self.push, Push::Due { sent: 0, .. })
    }

    /// Take an event; `None` where it makes no sense.
    pub fn apply(self, event: Event, now: OffsetDateTime) -> Option<Step> {
        match (&self.push, event) {
            (Push::Due { at, .. }, Event::Woken) if now < *at && now < self.patience.deadline => {
                Some(Step::to(State::Mfa(self)))
            }
            (Push::Due { sent, attempts, .. }, Event::Woken) => {
                let (sent, attempts) = (*sent, *attempts);
                let silence = if sent == 0 {
                    Silence::Unreachable
                } else {
                    Silence::AnswerLost
                };
                Some(self.push_or(sent, attempts, silence, now))
            }
            // Nobody waits for this push any more: its runner died, so its answer is lost.
            (Push::Open { number, .. }, Event::Woken) => {
                let number = *number;
                Some(self.push_or(number, 0, Silence::AnswerLost, now))
            }
            (Push::Open { number, .. }, Event::PromptOpenElsewhere) => {
                let sent = number - 1;
                Some(self.later(sent, 0, now + ELSEWHERE_WAIT))
            }
            // The push that was about to go out did not.
            (Push::Open { number: sent, .. }, Event::CalledOff) => Some(called_off(sent - 1, now)),
            (Push::Due { sent, .. }, Event::CalledOff) => Some(called_off(*sent, now)),
            (Push::Open { number, attempts, .. }, Event::Push(answer)) => {
                let (number, attempts) = (*number, *attempts);
                Some(self.answered(number, attempts, &answer, now))
            }
            // INVARIANT: a no is never lost. It came by a prompt that was given up already.
            (Push::Due { sent, attempts, .. }, Event::Push(answer))
                if answer.verdict() == Some(Verdict::Deny) =>
            {
                let (sent, attempts) = (*sent, *attempts);
                Some(self.answered(sent, attempts, &answer, now))
            }
            _ => None,
        }
    }

    fn push_or(self, sent: u8, attempts: u16, silence: Silence, now: OffsetDateTime) -> Step {
        let left = self.patience.deadline - now;
        if left <= Duration::ZERO || sent >= MAX_PUSHES {
            return Ended::owing(Ending::TimedOut(silence), now).step();
        }
        // INVARIANT: a no is never lost. Whoever had seconds to give it would give it to nobody.
        if left < self.patience.least(LEAST_TIME) {
            if sent == 0 {
                return Ended::owing(Ending::TimedOut(silence), now).step();
            }
            // They may yet answer the prompt that was given up.
            let deadline = self.patience.deadline;
            return self.later(sent, 0, deadline);
        }
        let number = sent + 1;
        let command = Command::Push {
            user_principal_name: self.user_principal_name.clone(),
            until: self.patience.deadline,
        };
        let push = Push::Open {
            number,
            attempts,
            since: now,
        };
        Step::to(State::Mfa(Self { push, ..self }))
            .command(command)
            .note(Note::Pushed(number))
    }

    fn answered(self, number: u8, attempts: u16, answer: &PushAnswer, now: OffsetDateTime) -> Step {
        let by = self.subject.clone();
        let channel = Channel::Push;
        match answer {
            // An answer at or after the deadline changes nothing: orchestration has gone on without it.
            PushAnswer::Approved | PushAnswer::Denied | PushAnswer::Fraud
                if now >= self.patience.deadline =>
            {
                let verdict = answer.verdict().unwrap_or(Verdict::Deny);
                let late = Note::AnsweredLate(said(by, verdict));
                Ended::owing(Ending::TimedOut(Silence::NoAnswer), now).step_after(late)
            }
            PushAnswer::Approved => {
                let note = Note::Answered(said(by.clone(), Verdict::Approve));
                Ended::owing(Ending::Approved { by, channel }, now).step_after(note)
            }
            PushAnswer::Denied | PushAnswer::Fraud => {
                let fraud = *answer == PushAnswer::Fraud;
                let note = Note::Answered(said(by.clone(), Verdict::Deny));
                Ended::owing(Ending::Denied { by, channel, fraud }, now).step_after(note)
            }
            PushAnswer::NoAnswer => Ended::owing(Ending::TimedOut(Silence::NoAnswer), now).step(),
            PushAnswer::Impossible(obstacle) => Ended::owing(Ending::Impossible(*obstacle), now).step(),
            // This push never reached the phone, so it does not count.
            PushAnswer::Busy { retry_after } => {
                let attempts = attempts.saturating_add(1);
                self.later(number - 1, attempts, now + wait(attempts, *retry_after))
            }
            PushAnswer::Away { retry_after } => {
                let attempts = attempts.saturating_add(1);
                self.postponed(number - 1, attempts, now + wait(attempts, *retry_after))
            }
            PushAnswer::Lost if number >= MAX_PUSHES => {
                Ended::owing(Ending::TimedOut(Silence::AnswerLost), now).step()
            }
            PushAnswer::Lost => {
                let pause = LOST_WAIT.min((self.patience.deadline - now) / 2);
                self.later(number, 0, now + pause)
            }
        }
    }

    /// Later, and where no push was ever sent, with all the time from then on.
    fn postponed(mut self, sent: u8, attempts: u16, at: OffsetDateTime) -> Step {
        let first = sent == 0 && self.patience.postpone(at);
        let latest = self.patience.latest;
        let step = self.later(sent, attempts, at);
        if first {
            step.note(Note::Postponed(latest))
        } else {
            step
        }
    }

    fn later(self, sent: u8, attempts: u16, at: OffsetDateTime) -> Step {
        let push = Push::Due { sent, attempts, at };
        Step::to(State::Mfa(Self { push, ..self }))
    }
}

/// Nobody waits for their answer any more; `sent` pushes may have reached them.
fn called_off(sent: u8, now: OffsetDateTime) -> Step {
    let silence = Silence::called_off(sent > 0);
    Ended::owing(Ending::TimedOut(silence), now).step()
}

/// What `by` said on their phone.
pub fn said(by: UserId, verdict: Verdict) -> Answer {
    Answer {
        verdict,
        by,
        channel: Channel::Push,
        card: None,
        provenance: serde_json::json!({}),
    }
}
