//! Random playbooks of every shape, and brute force over them: every path, and every interleaving of parallel branches,
//! one move at a time. It shares no line with the checks that it is held against.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt::Write as _;

use common::{Assurance, Outcome};
use proptest::prelude::*;

use crate::check::Shelf;
use crate::playbook::{Join, Playbook, StepKind};
use crate::registry::{Action, Credential, Registry};

/// What the random playbooks call: name, what it grants, what it asks for, and its part in carrying a credential.
const ACTIONS: [(&str, u8, u8, Credential); 9] = [
    ("verification.mfa", 2, 0, Credential::None),
    ("verification.manager", 2, 0, Credential::None),
    ("verification.glance", 1, 0, Credential::None),
    ("verification.passport", 3, 0, Credential::None),
    ("executor.reset_password", 0, 2, Credential::Yields),
    ("executor.wave", 0, 1, Credential::None),
    ("executor.open_vault", 0, 3, Credential::None),
    ("delivery.sms", 0, 0, Credential::Needs),
    ("ticket.touch", 0, 0, Credential::None),
];

/// The house's actions and some of every assurance.
pub(super) fn registry() -> Registry {
    let level = |level: u8| match level {
        1 => Some(Assurance::Low),
        2 => Some(Assurance::Substantial),
        3 => Some(Assurance::High),
        _ => None,
    };
    let house = Registry::builtin();
    let plain = house.action(&"ticket.note".parse().unwrap()).unwrap().clone();
    ACTIONS
        .into_iter()
        .fold(house.clone(), |registry, (name, grants, requires, credential)| {
            let name: common::ActionName = name.parse().unwrap();
            if house.action(&name).is_some() {
                return registry;
            }
            let outcomes = match grants {
                0 => vec![Outcome::Success],
                _ => vec![Outcome::Success, Outcome::Denied],
            };
            registry.with(Action {
                name,
                grants: level(grants),
                requires: level(requires),
                credential,
                outcomes,
                parameters: BTreeMap::new(),
                ..plain.clone()
            })
        })
}

/// Steps, the first of which is the first; behind them stand one good and one bad ending.
#[derive(Debug, Clone)]
pub(crate) struct Block(pub(crate) Vec<Sketch>);

/// One step. Numbers are taken modulo what there is to lead to.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    what: What,
    success: u8,
    failure: u8,
    denied: Option<u8>,
    timeout: Option<u8>,
}

#[derive(Debug, Clone)]
enum What {
    Action { which: usize, seconds: u8, attempts: u8 },
    Decision(Vec<u8>),
    Wait { seconds: u8 },
    Parallel { join: Join, branches: Vec<Block> },
    Call { called: Block, open: bool },
}

/// Blocks of up to `most` steps, branches and calls within each other up to `depth`.
pub(crate) fn blocks(most: usize, depth: u32) -> BoxedStrategy<Block> {
    proptest::collection::vec(sketches(most, depth), 1..=most)
        .prop_map(Block)
        .boxed()
}

fn sketches(most: usize, depth: u32) -> BoxedStrategy<Sketch> {
    let action = (0..ACTIONS.len(), 1..60_u8, 1..4_u8)
        .prop_map(|(which, seconds, attempts)| What::Action {
            which,
            seconds,
            attempts,
        })
        .boxed();
    let decision = proptest::collection::vec(any::<u8>(), 1..3)
        .prop_map(What::Decision)
        .boxed();
    let wait = (1..60_u8).prop_map(|seconds| What::Wait { seconds }).boxed();
    let what = if depth == 0 {
        prop_oneof![8 => action, 1 => decision, 1 => wait].boxed()
    } else {
        let inner = || blocks(most.min(3), depth - 1);
        let join = prop_oneof![Just(Join::All), Just(Join::Any)];
        let parallel = (join, proptest::collection::vec(inner(), 2..=3))
            .prop_map(|(join, branches)| What::Parallel { join, branches });
        let call = (inner(), any::<bool>()).prop_map(|(called, open)| What::Call { called, open });
        prop_oneof![8 => action, 1 => decision, 1 => wait, 3 => parallel, 2 => call].boxed()
    };
    let maybe = || proptest::option::of(any::<u8>());
    (what, any::<u8>(), any::<u8>(), maybe(), maybe())
        .prop_map(|(what, success, failure, denied, timeout)| Sketch {
            what,
            success,
            failure,
            denied,
            timeout,
        })
        .boxed()
}

/// Which targets steps have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Any.
    Anywhere,
    /// Later steps of the block only.
    Forward,
}

impl Direction {
    fn target(self, from: usize, number: u8, count: usize) -> usize {
        let number = usize::from(number);
        match self {
            Self::Anywhere => number % (count + 2),
            Self::Forward => from + 1 + number % (count + 1 - from),
        }
    }
}

/// A random playbook: its text, what it calls, and what brute force walks.
pub(super) struct Written {
    pub(super) source: String,
    pub(super) shelf: Shelf,
    pub(super) flat: Flat,
}

/// The playbook of a block, with further lines before its steps.
pub(super) fn written(block: &Block, direction: Direction, head: &str) -> Written {
    let mut writer = Writer {
        direction,
        called: Vec::new(),
    };
    let steps = writer.steps(block, "");
    let mut shelf = Shelf::default();
    for called in &writer.called {
        assert!(shelf.put(called), "{called}");
    }
    Written {
        source: format!("name: random\nversion: \"1\"\n{head}steps: [{steps}]\n"),
        shelf,
        flat: Flat::of(block, direction),
    }
}

struct Writer {
    direction: Direction,
    called: Vec<String>,
}

impl Writer {
    fn steps(&mut self, Block(steps): &Block, prefix: &str) -> String {
        let name = |to: usize| named(steps.len(), prefix, to);
        let mut text = String::new();
        for (index, step) in steps.iter().enumerate() {
            let to = |number: u8| name(self.direction.target(index, number, steps.len()));
            let _ = write!(text, "\n  {{id: {}, ", name(index));
            let (success, failure) = (to(step.success), to(step.failure));
            let edges = format!("on_success: {success}, on_failure: {failure}");
            let denied = step
                .denied
                .map_or_else(String::new, |to_denied| format!(", on_denied: {}", to(to_denied)));
            let timeout = step
                .timeout
                .map_or_else(String::new, |late| format!(", on_timeout: {}", to(late)));
            let _ = match &step.what {
                What::Action {
                    which,
                    seconds,
                    attempts,
                } => write!(
                    text,
                    "service: {}, max_visits: 2, timeout: {seconds}, retry: {{max_attempts: {attempts}, backoff: fixed, initial: 3, jitter: 0}}, {edges}{denied}{timeout}",
                    ACTIONS[*which].0
                ),
                What::Decision(cases) => {
                    let cases: Vec<String> = cases
                        .iter()
                        .map(|case| {
                            format!(
                                "{{when: {{field: ticket.summary, operator: exists}}, then: {}}}",
                                to(*case)
                            )
                        })
                        .collect();
                    write!(
                        text,
                        "type: decision, max_visits: 2, cases: [{}], otherwise: {success}",
                        cases.join(", ")
                    )
                }
                What::Wait { seconds } => write!(
                    text,
                    "type: wait, max_visits: 2, for: {seconds}, on_success: {success}"
                ),
                What::Parallel { join, branches } => {
                    let branches: Vec<String> = branches
                        .iter()
                        .enumerate()
                        .map(|(branch, block)| {
                            let prefix = format!("{}b{branch}", name(index));
                            format!("b{branch}: [{}]", self.steps(block, &prefix))
                        })
                        .collect();
                    write!(
                        text,
                        "type: parallel, max_visits: 2, join: {}, branches: {{{}}}, {edges}",
                        join.as_str(),
                        branches.join(", ")
                    )
                }
                What::Call { called, open } => {
                    let inner = self.steps(called, "");
                    let playbook = format!("p{}", self.called.len());
                    self.called
                        .push(format!("name: {playbook}\nversion: \"1\"\nsteps: [{inner}]\n"));
                    let edges = if *open {
                        format!("on_failure: {failure}")
                    } else {
                        edges
                    };
                    write!(text, "type: call, playbook: {playbook}, version: \"1\", {edges}")
                }
            };
            text.push_str("},");
        }
        let (done, person) = (name(steps.len()), name(steps.len() + 1));
        let _ = write!(
            text,
            "\n  {{id: {done}, type: terminal, status: RESOLVED}},\n  {{id: {person}, type: escalation, reason: r}}"
        );
        text
    }
}

fn named(count: usize, prefix: &str, to: usize) -> String {
    match to.checked_sub(count) {
        None => format!("{prefix}s{to}"),
        Some(0) => format!("{prefix}done"),
        Some(_) => format!("{prefix}person"),
    }
}

/// Where an execution can stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Spot {
    pub(super) id: String,
    /// The step of the document that findings name.
    pub(super) about: String,
    grants: u8,
    requires: u8,
    yields: bool,
    needs: bool,
    /// It calls an action, so that it brings an output.
    pub(super) acts: bool,
    pub(super) seconds: u64,
    pub(super) edges: Vec<(Outcome, usize)>,
    pub(super) fork: Option<(Join, Vec<usize>)>,
    /// It ends the playbook or its branch: well, or badly.
    ends: Option<bool>,
    /// The parallel step and the branch.
    inside: Option<(usize, usize)>,
}

/// Spots and where to begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Flat {
    pub(super) spots: Vec<Spot>,
    pub(super) start: usize,
}

/// Where a called block goes on; nowhere where it is none.
#[derive(Debug, Clone, Default)]
struct Onward {
    prefix: String,
    about: Option<String>,
    success: Option<usize>,
    failure: Option<usize>,
    inside: Option<(usize, usize)>,
}

impl Flat {
    fn of(block: &Block, direction: Direction) -> Self {
        let mut flat = Self::default();
        flat.start = flat.block(block, direction, "", &Onward::default());
        flat
    }

    /// Lay a block down; answers its first spot.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    fn block(&mut self, Block(steps): &Block, direction: Direction, prefix: &str, onward: &Onward) -> usize {
        let count = steps.len();
        // A call is what it calls, which is laid down later: until then its place stands empty.
        let mut places: Vec<usize> = Vec::new();
        for index in 0..count + 2 {
            let own = named(count, prefix, index);
            let ends = match index.checked_sub(count) {
                None => None,
                Some(0) => Some(true),
                Some(_) => Some(false),
            };
            let onward_to = match ends {
                Some(true) => onward.success,
                Some(false) => onward.failure,
                None => None,
            };
            // Only the endings of the called playbook itself lead on, not those of its branches.
            if let Some(to) = onward_to {
                places.push(to);
                continue;
            }
            places.push(self.spots.len());
            self.spots.push(Spot {
                id: format!("{}{own}", onward.prefix),
                about: onward.about.clone().unwrap_or(own),
                ends,
                inside: onward.inside,
                ..Spot::default()
            });
        }
        for (index, step) in steps.iter().enumerate() {
            let here = places[index];
            let to = |number: u8| places[direction.target(index, number, count)];
            let (success, failure) = (to(step.success), to(step.failure));
            match &step.what {
                What::Action {
                    which,
                    seconds,
                    attempts,
                } => {
                    let (_, grants, requires, credential) = ACTIONS[*which];
                    let mut edges = vec![(Outcome::Success, success), (Outcome::Failure, failure)];
                    edges.extend(step.denied.map(|number| (Outcome::Denied, to(number))));
                    edges.extend(step.timeout.map(|number| (Outcome::Timeout, to(number))));
                    let spot = &mut self.spots[here];
                    spot.edges = edges;
                    (spot.grants, spot.requires, spot.acts) = (grants, requires, true);
                    spot.yields = credential == Credential::Yields;
                    spot.needs = credential == Credential::Needs;
                    spot.seconds =
                        u64::from(*attempts) * u64::from(*seconds) + (u64::from(*attempts) - 1) * 3;
                }
                What::Decision(cases) => {
                    let edges = cases.iter().map(|case| to(*case)).chain([success]);
                    self.spots[here].edges = edges.map(|to| (Outcome::Word("case".to_owned()), to)).collect();
                }
                What::Wait { seconds } => {
                    self.spots[here].edges = vec![(Outcome::Success, success)];
                    self.spots[here].seconds = u64::from(*seconds);
                }
                What::Parallel { join, branches } => {
                    let firsts = branches
                        .iter()
                        .enumerate()
                        .map(|(branch, block)| {
                            let prefix = format!("{}b{branch}", named(count, prefix, index));
                            let inner = Onward {
                                success: None,
                                failure: None,
                                inside: Some((here, branch)),
                                ..onward.clone()
                            };
                            self.block(block, direction, &prefix, &inner)
                        })
                        .collect();
                    self.spots[here].fork = Some((*join, firsts));
                    self.spots[here].edges = vec![(Outcome::Success, success), (Outcome::Failure, failure)];
                }
                What::Call { called, open } => {
                    let inner = Onward {
                        prefix: format!("{}.", self.spots[here].id),
                        about: Some(self.spots[here].about.clone()),
                        success: Some(success).filter(|_| !open),
                        failure: Some(failure),
                        inside: onward.inside,
                    };
                    let first = self.block(called, direction, "", &inner);
                    // Nobody stands on a call: an edge that costs nothing and tells nothing.
                    self.spots[here].edges = vec![(Outcome::Word("call".to_owned()), first)];
                }
            }
        }
        places[0]
    }

    /// The same of a playbook that was compiled.
    pub(super) fn of_playbook(playbook: &Playbook) -> Self {
        let number = |id: &common::StepId| playbook.steps().position(|step| step.id == *id);
        let level = |assurance: Option<Assurance>| match assurance {
            None => 0,
            Some(Assurance::Low) => 1,
            Some(Assurance::Substantial) => 2,
            Some(Assurance::High) => 3,
        };
        let mut spots = Vec::new();
        for step in playbook.steps() {
            let mut spot = Spot {
                id: step.id.to_string(),
                about: step.id.to_string(),
                edges: step
                    .edges
                    .iter()
                    .map(|(outcome, to)| (outcome.clone(), number(to).unwrap()))
                    .collect(),
                ..Spot::default()
            };
            match &step.kind {
                StepKind::Action(call) => {
                    spot.acts = true;
                    spot.grants = level(call.action.grants);
                    spot.requires = level(call.action.requires);
                    spot.yields = call.action.credential == Credential::Yields;
                    spot.needs = call.action.credential == Credential::Needs;
                }
                StepKind::Parallel(parallel) => {
                    let firsts = parallel
                        .branches
                        .values()
                        .map(|first| number(first).unwrap())
                        .collect();
                    spot.fork = Some((parallel.join, firsts));
                }
                StepKind::Terminal => spot.ends = Some(true),
                StepKind::Escalation { .. } => spot.ends = Some(false),
                StepKind::Decision(_) | StepKind::Wait(_) => {}
            }
            spot.inside = step.within.as_ref().map(|within| {
                let fork = playbook.step(&within.parallel).unwrap();
                let StepKind::Parallel(parallel) = &fork.kind else {
                    panic!("{} is no parallel step", fork.id);
                };
                (
                    number(&within.parallel).unwrap(),
                    parallel.branches.get_index_of(&within.branch).unwrap(),
                )
            });
            spots.push(spot);
        }
        Self {
            spots,
            start: number(&playbook.start().unwrap().id).unwrap(),
        }
    }
}

/// What an execution has made true so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Truth {
    verified: u8,
    denied: bool,
    credential: bool,
    /// Which spots have brought their output, where somebody asks.
    brought: u64,
}

impl Truth {
    pub(super) fn brought(self) -> u64 {
        self.brought
    }

    pub(super) fn complaint(self, spot: &Spot) -> Option<&'static str> {
        use crate::findings::code;
        if spot.requires > 0 && self.denied {
            Some(code::PRIVILEGED_AFTER_DENIAL)
        } else if spot.requires > self.verified {
            Some(code::UNVERIFIED_PRIVILEGED_STEP)
        } else if spot.needs && !self.credential {
            Some(code::MISSING_CREDENTIAL)
        } else {
            None
        }
    }

    pub(super) fn after(self, spot: &Spot, number: usize, outcome: &Outcome, outputs: bool) -> Self {
        let success = *outcome == Outcome::Success;
        let brings = outputs && spot.acts && success;
        Self {
            verified: if success {
                self.verified.max(spot.grants)
            } else {
                self.verified
            },
            denied: self.denied || *outcome == Outcome::Denied,
            credential: self.credential || (success && spot.yields),
            brought: self.brought | if brings { 1 << number } else { 0 },
        }
    }
}

/// How a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Branch {
    At(usize),
    Well,
    Badly,
}

/// One moment of an execution: where it stands, and where each branch of the parallel steps under way does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Moment {
    root: usize,
    forks: BTreeMap<usize, Vec<Branch>>,
    truth: Truth,
}

/// More moments than this are too many for a test of thousands of graphs.
const MOST: usize = 15_000;

/// Every moment that any execution can come to, shown to `see` with each spot that somebody stands on, and to `dropped`
/// each spot on which a branch stood when nobody waited for it any more. `None` where there are too many.
pub(super) fn explore(
    flat: &Flat,
    outputs: bool,
    mut see: impl FnMut(usize, Truth),
    mut dropped: impl FnMut(usize),
) -> Option<()> {
    let start = Moment {
        root: flat.start,
        forks: BTreeMap::new(),
        truth: Truth::default(),
    };
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    while let Some(moment) = queue.pop_front() {
        if seen.len() > MOST {
            return None;
        }
        for (place, spot) in moment.stand() {
            see(spot, moment.truth);
            for next in moment.moves(flat, place, spot, outputs) {
                moment.left_behind(&next).for_each(&mut dropped);
                if seen.insert(next.clone()) {
                    queue.push_back(next);
                }
            }
        }
    }
    Some(())
}

/// The whole execution, or a branch of a parallel step under way.
type Place = Option<(usize, usize)>;

impl Moment {
    fn stand(&self) -> Vec<(Place, usize)> {
        let branches = self.forks.iter().flat_map(|(fork, branches)| {
            branches
                .iter()
                .enumerate()
                .filter_map(|(index, branch)| match branch {
                    Branch::At(spot) => Some((Some((*fork, index)), *spot)),
                    Branch::Well | Branch::Badly => None,
                })
        });
        std::iter::once((None, self.root))
            .chain(branches)
            // On a parallel step under way stands nobody: its branches do.
            .filter(|(_, spot)| !self.forks.contains_key(spot))
            .collect()
    }

    fn moves(&self, flat: &Flat, place: Place, at: usize, outputs: bool) -> Vec<Self> {
        let spot = &flat.spots[at];
        if let Some((_, firsts)) = &spot.fork {
            let mut next = self.clone();
            next.forks
                .insert(at, firsts.iter().map(|first| Branch::At(*first)).collect());
            return vec![next];
        }
        if let Some(well) = spot.ends {
            let Some((fork, branch)) = place else {
                return Vec::new();
            };
            let mut next = self.clone();
            next.forks.get_mut(&fork).unwrap()[branch] = if well { Branch::Well } else { Branch::Badly };
            return if next.join(flat, fork) {
                vec![next]
            } else {
                Vec::new()
            };
        }
        // An outcome without an edge ends the execution with a person, other branches and all.
        spot.edges
            .iter()
            .map(|(outcome, to)| {
                let mut next = self.clone();
                next.truth = self.truth.after(spot, at, outcome, outputs);
                next.stand_on(place, *to);
                next
            })
            .collect()
    }

    /// Where branches still stood that the next moment no longer has.
    fn left_behind(&self, next: &Self) -> impl Iterator<Item = usize> {
        self.forks
            .iter()
            .filter(|(fork, _)| !next.forks.contains_key(fork))
            .flat_map(|(_, branches)| branches)
            .filter_map(|branch| match branch {
                Branch::At(spot) => Some(*spot),
                Branch::Well | Branch::Badly => None,
            })
    }

    fn stand_on(&mut self, place: Place, spot: usize) {
        match place {
            None => self.root = spot,
            Some((fork, branch)) => self.forks.get_mut(&fork).unwrap()[branch] = Branch::At(spot),
        }
    }

    /// Where the branches of a parallel step are done, it leads on and what is left of them is dropped. `false` where the
    /// execution is over, because it leads nowhere.
    fn join(&mut self, flat: &Flat, fork: usize) -> bool {
        let spot = &flat.spots[fork];
        let Some((join, _)) = &spot.fork else {
            return false;
        };
        let branches = &self.forks[&fork];
        let well = branches.iter().filter(|branch| **branch == Branch::Well).count();
        let badly = branches.iter().filter(|branch| **branch == Branch::Badly).count();
        let ended = well + badly == branches.len();
        let outcome = match join {
            Join::All if ended && badly == 0 => Outcome::Success,
            Join::All | Join::Any if ended && well == 0 => Outcome::Failure,
            Join::All if ended => Outcome::Failure,
            Join::Any if well > 0 => Outcome::Success,
            Join::All | Join::Any => return true,
        };
        let dropped: Vec<usize> = self
            .forks
            .keys()
            .copied()
            .filter(|inner| flat.within(*inner, fork))
            .collect();
        for inner in dropped {
            self.forks.remove(&inner);
        }
        self.forks.remove(&fork);
        let Some((_, to)) = spot.edges.iter().find(|(known, _)| *known == outcome) else {
            return false;
        };
        self.stand_on(spot.inside, *to);
        true
    }
}

impl Flat {
    fn within(&self, spot: usize, fork: usize) -> bool {
        let mut here = self.spots[spot].inside;
        while let Some((outer, _)) = here {
            if outer == fork {
                return true;
            }
            here = self.spots[outer].inside;
        }
        false
    }

    /// Every complaint that brute force has, by the step that findings name; `None` where there is too much to see.
    pub(super) fn wrong(&self) -> Option<std::collections::BTreeSet<(String, &'static str)>> {
        let mut wrong = std::collections::BTreeSet::new();
        let mut lost = std::collections::BTreeSet::new();
        let see = |spot: usize, truth: Truth| {
            let spot = &self.spots[spot];
            if let Some(code) = truth.complaint(spot) {
                wrong.insert((spot.about.clone(), code));
            }
        };
        // Whoever was asked may still say no, and what acts may still do so; nobody hears of it.
        let dropped = |spot: usize| {
            let spot = &self.spots[spot];
            if spot.grants > 0 || spot.requires > 0 || spot.yields || spot.needs {
                lost.insert((spot.about.clone(), crate::findings::code::BAD_BRANCH));
            }
        };
        explore(self, false, see, dropped)?;
        wrong.append(&mut lost);
        Some(wrong)
    }
}
