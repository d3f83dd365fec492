//! Playing a scenario: who answers when, and how the clock goes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use common::{Ending, Outcome, PermitToken, SealedCredential, StepCall, StepId, StepResult};
use time::OffsetDateTime;
use time::macros::datetime;

use super::coverage::Edge;
use super::{Answer, Run, Scenario};
use crate::machine::{Call, Command, Event, Machine, Moment, Phase, Record, Rules, State, Turn};
use crate::playbook::{ActionStep, Playbook, Step, StepKind};
use crate::registry::Credential;
use crate::roots::Facts;

/// When every scenario begins: a Monday morning.
const START: OffsetDateTime = datetime!(2026-01-05 08:00 UTC);
/// When nothing happens any more.
const NEVER: OffsetDateTime = time::PrimitiveDateTime::MAX.assume_utc();
/// No playbook needs as many; one that does never comes to an end.
const MOST_TRANSITIONS: usize = 100_000;

/// A call that is out.
struct Out {
    call: StepCall,
    result: StepResult,
    /// When its answer comes: at once, and silence when its time is up.
    at: OffsetDateTime,
}

/// The world that a scenario describes.
struct World<'s> {
    playbook: &'s Playbook,
    scenario: &'s Scenario,
    /// How many answers each step has given.
    given: BTreeMap<&'s StepId, usize>,
    out: Vec<Out>,
    now: OffsetDateTime,
}

/// Play it, and complain only where it cannot be played.
pub(super) fn play(playbook: &Playbook, scenario: &Scenario) -> Run {
    // Most paths are short; this spares growing them step by step.
    let mut path = Vec::with_capacity(8);
    path.push(playbook.start.clone());
    let mut run = Run {
        name: scenario.name.clone(),
        passed: false,
        complaints: unplayable(playbook, scenario),
        path,
        edges: Vec::with_capacity(8),
        undone: Vec::new(),
        ending: Ending::Escalated {
            reason: "The scenario could not be played.".to_owned(),
        },
        took: std::time::Duration::ZERO,
        transitions: 0,
        story: Vec::with_capacity(16),
    };
    let facts = match facts(playbook, scenario) {
        Ok(facts) => facts,
        Err(complaints) => {
            run.complaints.extend(complaints);
            return run;
        }
    };
    let Some(state) = State::begin(playbook, START).filter(|_| run.complaints.is_empty()) else {
        return run;
    };
    let mut world = World {
        playbook,
        scenario,
        given: BTreeMap::new(),
        out: Vec::new(),
        now: START,
    };
    if let Err(complaint) = world.tell(&facts, state, &mut run) {
        run.complaints.push(complaint);
    }
    run.took = (world.now - START).unsigned_abs();
    run
}

/// The facts with the inputs among them.
fn facts<'s>(playbook: &Playbook, scenario: &'s Scenario) -> Result<Cow<'s, Facts>, Vec<String>> {
    if playbook.inputs.is_empty() && scenario.inputs.is_empty() {
        return Ok(Cow::Borrowed(&scenario.facts));
    }
    let mut facts = scenario.facts.clone();
    for (name, value) in playbook.admit_inputs(&scenario.inputs)? {
        facts.set(format!("inputs.{name}"), value);
    }
    Ok(Cow::Owned(facts))
}

/// Answers that no service of the playbook could give.
fn unplayable(playbook: &Playbook, scenario: &Scenario) -> Vec<String> {
    let mut complaints = Vec::new();
    for (id, answers) in &scenario.answers {
        let Some(step) = playbook.step(id) else {
            complaints.push(format!("the playbook has no step `{id}` that could answer"));
            continue;
        };
        let Some(action) = step.action() else {
            complaints.push(format!("step `{id}` calls nobody, so nobody answers"));
            continue;
        };
        for answer in answers {
            complaints.extend(impossible(id, action, answer));
        }
    }
    complaints
}

/// What is wrong with an answer.
fn impossible(id: &StepId, step: &ActionStep, answer: &Answer) -> Option<String> {
    let Answer { outcome, output } = answer;
    if !step.action.answers(outcome) {
        return Some(format!(
            "step `{id}` cannot end in `{outcome}`: `{}` never does",
            step.name()
        ));
    }
    output
        .iter()
        .find_map(|(name, value)| match step.action.outputs.get(name) {
            None => Some(format!(
                "step `{id}` cannot answer `{name}`: `{}` never does",
                step.name()
            )),
            Some(declared) if !declared.kind.admits(value) => {
                Some(format!("`{name}` of step `{id}` must be {}", declared.kind))
            }
            Some(_) => None,
        })
}

impl World<'_> {
    /// Tell the machine one thing after the other, until the execution has ended.
    fn tell(&mut self, facts: &Facts, mut state: State, run: &mut Run) -> Result<(), String> {
        let rules = Rules::default();
        let machine = Machine::new(self.playbook, &rules, facts);
        let mut event = Event::Claimed;
        loop {
            let turn = machine
                .turn(state, event, Moment::at(self.now))
                .map_err(|illegal| illegal.to_string())?;
            run.transitions += 1;
            state = self.hear(turn, run)?;
            if let Phase::Ended { ending, .. } = state.phase() {
                run.ending = ending.clone();
                return Ok(());
            }
            if run.transitions >= MOST_TRANSITIONS {
                return Err(format!("it did not end within {MOST_TRANSITIONS} transitions"));
            }
            event = self.next_event(&state);
        }
    }

    /// Take note of what happened, and pass calls on.
    fn hear(&mut self, turn: Turn<'_>, run: &mut Run) -> Result<State, String> {
        run.path.extend(turn.entered);
        for record in &turn.story {
            match record {
                Record::Finished {
                    call, outcome, next, ..
                } => self.left(&call.id, outcome, next.as_ref(), run),
                Record::Dropped { call } => self.out.retain(|out| out.call != *call),
                _ => {}
            }
        }
        run.story.extend(turn.story);
        for command in turn.commands {
            if let Command::Call(call) = command {
                let out = self.answered(*call)?;
                self.out.push(out);
            }
        }
        Ok(turn.state)
    }

    /// A step was left along an edge, or taken back.
    fn left(&self, id: &StepId, outcome: &Outcome, to: Option<&StepId>, run: &mut Run) {
        match self.playbook.steps.get(id).map(|step| &step.kind) {
            Some(StepKind::Terminal | StepKind::Escalation { .. }) => {}
            Some(_) => run.edges.push(Edge {
                from: id.clone(),
                outcome: outcome.clone(),
                to: to.cloned(),
            }),
            None if *outcome == Outcome::Success => run.undone.extend(self.undone_by(id)),
            None => {}
        }
    }

    fn undone_by(&self, undo: &StepId) -> Option<StepId> {
        let undone = |step: &&Step| {
            step.action()
                .is_some_and(|action| action.undo.as_ref() == Some(undo))
        };
        self.playbook.steps().find(undone).map(|step| step.id.clone())
    }

    /// How a call will be answered.
    fn answered(&mut self, call: Call) -> Result<Out, String> {
        let id = &call.call.id;
        let Some(step) = self.playbook.step(id).and_then(Step::action) else {
            return Err(format!("step `{id}` calls nothing"));
        };
        let mut result = StepResult::new(Outcome::Success, "As the scenario says.");
        match self.scenario.answers.get_key_value(id) {
            Some((id, answers)) => {
                let given = self.given.entry(id).or_default();
                if let Some(answer) = answers.get(*given).or(answers.last()) {
                    result.outcome.clone_from(&answer.outcome);
                    result.output.clone_from(&answer.output);
                }
                *given += 1;
            }
            None if step.action.answers(&Outcome::Success) => {}
            None => {
                return Err(format!(
                    "step `{id}` was asked and the scenario has no answer: `{}` has no `success`",
                    step.name()
                ));
            }
        }
        if result.outcome == Outcome::Success {
            if call.authorizes.is_some() {
                result.permit = Some(PermitToken::from_text("permit"));
            }
            if step.action.credential == Credential::Yields {
                result.sealed = Some(SealedCredential::from_text("sealed"));
            }
        }
        let at = match result.outcome {
            Outcome::Timeout => call.deadline,
            _ => self.now,
        };
        Ok(Out {
            call: call.call,
            result,
            at,
        })
    }

    /// What happens first: an answer, a timer, or somebody takes up what is ready.
    fn next_event(&mut self, state: &State) -> Event {
        if state.phase().has_ready() {
            return Event::Claimed;
        }
        let due = state.phase().due_at(NEVER).unwrap_or(NEVER);
        let first = self
            .out
            .iter()
            .enumerate()
            .min_by_key(|(_, out)| out.at)
            .filter(|(_, out)| out.at <= due)
            .map(|(index, _)| index);
        let Some(index) = first else {
            self.now = due.max(self.now);
            return Event::TimerFired;
        };
        let Out { call, result, at } = self.out.remove(index);
        self.now = at.max(self.now);
        Event::Answered { call, result }
    }
}
