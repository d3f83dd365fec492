//! An execution in the hands of a test.

use common::{Ending, Outcome, PermitToken, SealedCredential, StepResult};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::machine::*;
use crate::roots::Facts;
use crate::{Registry, check};

pub(crate) const START: OffsetDateTime = datetime!(2026-11-22 08:00 UTC);

/// An execution that is driven by hand.
pub(crate) struct Rehearsal {
    pub(crate) playbook: Playbook,
    pub(crate) rules: Rules,
    pub(crate) facts: Facts,
    pub(crate) state: State,
    pub(crate) now: OffsetDateTime,
    /// How the dice lie.
    pub(crate) chance: f64,
    pub(crate) story: Vec<Record>,
}

impl Rehearsal {
    pub(crate) fn of(source: &str) -> Self {
        let report = check(source, &Registry::builtin());
        Self::playing(report.playbook.expect("the playbook is clean"))
    }

    pub(crate) fn playing(playbook: Playbook) -> Self {
        let state = State::begin(&playbook, START).unwrap();
        Self {
            playbook,
            rules: Rules::default(),
            facts: Facts::default(),
            state,
            now: START,
            chance: 0.5,
            story: Vec::new(),
        }
    }

    pub(crate) fn tell(&mut self, event: Event) -> Vec<Command> {
        let machine = Machine::new(&self.playbook, &self.rules, &self.facts);
        let moment = Moment {
            now: self.now,
            chance: self.chance,
        };
        let Transition {
            state,
            commands,
            story,
        } = machine
            .apply(self.state.clone(), event, moment)
            .expect("a legal event");
        self.state = state;
        self.story.extend(story);
        commands
    }

    /// Take it up, and expect a call.
    pub(crate) fn called(&mut self) -> Call {
        self.calls(Event::Claimed)
    }

    pub(crate) fn calls(&mut self, event: Event) -> Call {
        match self.tell(event).as_slice() {
            [Command::Call(call)] => (**call).clone(),
            other => panic!("expected a call, got {other:?} in {:?}", self.state),
        }
    }

    /// Take it up and answer its call.
    pub(crate) fn answers(&mut self, result: StepResult) {
        let call = self.called().call;
        self.tell(Event::Answered { call, result });
    }

    pub(crate) fn wait(&mut self) -> Vec<Command> {
        self.now = self.state.due_at().unwrap().max(self.now);
        self.tell(Event::TimerFired)
    }

    /// The steps that were left or reached, in order.
    pub(crate) fn path(&self) -> Vec<String> {
        self.story
            .iter()
            .filter_map(|record| match record {
                Record::Finished { call, .. } => Some(call.id.to_string()),
                Record::Reached { step, .. } => Some(step.as_ref().map_or("-".into(), ToString::to_string)),
                _ => None,
            })
            .collect()
    }

    /// The calls that are commanded.
    pub(crate) fn commanded(&mut self, event: Event) -> Vec<Call> {
        self.tell(event)
            .into_iter()
            .filter_map(|command| match command {
                Command::Call(call) => Some(*call),
                _ => None,
            })
            .collect()
    }

    /// Answer this call.
    pub(crate) fn answer(&mut self, call: &Call, result: StepResult) -> Vec<Command> {
        let call = call.call.clone();
        self.tell(Event::Answered { call, result })
    }

    /// Why it escalated.
    pub(crate) fn reason(&self) -> &str {
        match self.state.phase() {
            Phase::Ended {
                ending: Ending::Escalated { reason },
                ..
            } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Store the state and read it back.
    pub(crate) fn restart(&mut self) {
        let stored = serde_json::to_string(&self.state).unwrap();
        let read: State = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, self.state);
        self.state = read;
    }
}

pub(crate) fn result(outcome: Outcome) -> StepResult {
    StepResult::new(outcome, "It was so.")
}

pub(crate) fn verified() -> StepResult {
    StepResult {
        permit: Some(PermitToken::from_text("permit")),
        ..result(Outcome::Success)
    }
}

pub(crate) fn reset() -> StepResult {
    StepResult {
        sealed: Some(SealedCredential::from_text("sealed")),
        ..result(Outcome::Success)
    }
}
