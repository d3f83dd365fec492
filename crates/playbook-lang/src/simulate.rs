//! Simulation: a scenario says how the services answer, the machine does the rest, in virtual time.
//!
//! Pure like the machine itself, and driven on the very same one: what a scenario shows is what production does.

mod coverage;
mod drive;
mod generate;
mod plan;
mod read;
mod solve;
#[cfg(test)]
mod tests;
mod walks;
mod write;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Ending, Outcome, PlaybookName, StepId, Values};

use crate::machine::Record;
use crate::playbook::Playbook;
use crate::roots::Facts;
pub use coverage::{Bound, Coverage, Edge, bounds, coverage, edges};
pub use generate::generate;
pub use read::scenarios;

/// A file of scenarios.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenarios {
    /// The playbook that they are about.
    pub playbook: PlaybookName,
    /// In the order of the file.
    pub list: Vec<Scenario>,
}

/// One story: what is given, how the services answer, what shall come of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scenario {
    /// What people call it.
    pub name: String,
    /// About ticket, requester, manager and tenant.
    pub facts: Facts,
    /// The playbook's inputs.
    pub inputs: Values,
    /// By step, call after call; the last one repeats. A step that is not here succeeds.
    pub answers: BTreeMap<StepId, Vec<Answer>>,
    /// What shall come of it.
    pub expect: Expectation,
}

/// How one call is answered. A verification's success brings its permit and a yielding action's its credential without
/// being told to.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// How it ends.
    pub outcome: Outcome,
    /// What it answers beside that.
    pub output: Values,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            output: Values::new(),
        }
    }
}

/// What a scenario promises.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectation {
    /// Every step that is entered, in order; not those that take others back. Where it is left out, any will do.
    pub path: Option<Vec<StepId>>,
    /// How it ends.
    pub end: End,
    /// The steps that are taken back, the newest first.
    pub undone: Vec<StepId>,
}

/// How an execution ends, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum End {
    /// Well.
    #[default]
    Resolved,
    /// With a person.
    Escalated,
}

impl End {
    /// The word in scenarios.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
        }
    }
}

impl From<&Ending> for End {
    fn from(ending: &Ending) -> Self {
        match ending {
            Ending::Resolved => Self::Resolved,
            Ending::Escalated { .. } => Self::Escalated,
        }
    }
}

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The scenario's name.
    pub name: String,
    /// It could be played, and came out as expected.
    pub passed: bool,
    /// Why not, one sentence each.
    pub complaints: Vec<String>,
    /// Every step that was entered, in order; not those that take others back.
    pub path: Vec<StepId>,
    /// Every edge that was followed, in order.
    pub edges: Vec<Edge>,
    /// The steps that were taken back, the newest first.
    pub undone: Vec<StepId>,
    /// How it ended; with a person, too, where the scenario could not be played to its end.
    pub ending: Ending,
    /// How long it took, in virtual time.
    pub took: Duration,
    /// How many events the machine was told.
    pub transitions: usize,
    /// What happened, as the chronicle of a real execution would tell it.
    pub story: Vec<Record>,
}

/// Play a scenario.
pub fn simulate(playbook: &Playbook, scenario: &Scenario) -> Run {
    let mut run = drive::play(playbook, scenario);
    if run.complaints.is_empty() {
        run.complaints = disappointments(&scenario.expect, &run);
    }
    run.passed = run.complaints.is_empty();
    run
}

/// What came out otherwise than expected.
fn disappointments(expected: &Expectation, run: &Run) -> Vec<String> {
    let mut complaints = Vec::new();
    if let Some(path) = &expected.path
        && *path != run.path
    {
        complaints.push(format!(
            "expected the path `{}`, but it went `{}`",
            shown(path),
            shown(&run.path)
        ));
    }
    let end = End::from(&run.ending);
    if end != expected.end {
        let why = match &run.ending {
            Ending::Resolved => String::new(),
            Ending::Escalated { reason } => format!(": {reason}"),
        };
        complaints.push(format!(
            "expected it to end `{}`, but it ended `{}`{why}",
            expected.end.as_str(),
            end.as_str()
        ));
    }
    if expected.undone != run.undone {
        complaints.push(format!(
            "expected `{}` to be taken back, but it was `{}`",
            shown(&expected.undone),
            shown(&run.undone)
        ));
    }
    complaints
}

fn shown(path: &[StepId]) -> String {
    if path.is_empty() {
        return "nothing".to_owned();
    }
    let steps: Vec<&str> = path.iter().map(StepId::as_str).collect();
    steps.join(" > ")
}
