//! What must hold of any playbook under any events: no privileged call without its own permit, none after a denial, one
//! body per key, every execution ends, what was done, or may have been, is taken back exactly where it escalates, repeating
//! an event changes nothing, and a state survives being stored. And of whatever operators do meanwhile: what stands still makes no call,
//! and what is cancelled begins no step.
//!
//! The graphs are wilder than the check allows: the machine says no by itself where the proof is not there.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use common::{Ending, OperationId, Outcome, Pending, PermitToken, SealedCredential, StepId, StepResult};
use proptest::prelude::*;
use time::macros::datetime;

use super::tests::build;
use super::*;
use crate::condition::Condition;
use crate::playbook::{Join, Step, StepKind};

/// What a random step does; where it leads is a number for each edge.
pub(crate) type Random = (usize, [usize; 5]);

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Random>> {
    proptest::collection::vec((0_usize..16, [0_usize..64, 0..64, 0..64, 0..64, 0..64]), 1..=most)
}

/// One level of the graph: its steps lead to each other and to its endings. Every step may be entered three times.
struct Level<'g> {
    prefix: &'g str,
    place: Option<(&'g str, &'g str)>,
    random: &'g [Random],
    /// For the branches of parallel steps.
    inner: &'g [Vec<Random>],
}

impl Level<'_> {
    fn id(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    fn target(&self, number: usize) -> String {
        match number % (self.random.len() + 2) {
            0 => format!("{}done", self.prefix),
            1 => format!("{}person", self.prefix),
            step => self.id(step - 2),
        }
    }

    fn build(&self, into: &mut Vec<Step>) {
        for (number, (kind, to)) in self.random.iter().enumerate() {
            let id = self.id(number);
            let step = self.step(&id, *kind, to, into);
            into.push(self.placed(step.at_most(3)));
        }
        into.push(self.placed(build::terminal(&self.target(0))));
        into.push(self.placed(build::escalation(&self.target(1))));
    }

    fn placed(&self, step: Step) -> Step {
        match self.place {
            Some((parallel, branch)) => step.within(parallel, branch),
            None => step,
        }
    }

    fn step(&self, id: &str, kind: usize, to: &[usize; 5], into: &mut Vec<Step>) -> Step {
        let lead = |step: Step, edges: &[&str]| {
            edges
                .iter()
                .zip(to)
                // Here and there an edge is missing.
                .filter(|(_, to)| *to % 16 != 5)
                .fold(step, |step, (edge, to)| step.on(edge, &self.target(*to)))
        };
        let outcomes = ["success", "failure", "denied", "timeout", "up"];
        let undo = format!("{id}.undo");
        match kind {
            0..=3 => {
                let service = ["verification.mfa", "verification.manager"][kind % 2];
                let authorized = self.id(to[4] % self.random.len());
                lead(build::action(id, service), &outcomes[..4]).authorizing(&authorized)
            }
            4..=6 => {
                into.push(build::action(&undo, "executor.delete_pass").trying(2));
                let step = lead(build::action(id, "executor.reset_password"), &outcomes[..4]);
                step.undone_by(&undo).trying(2)
            }
            7 | 8 => lead(build::action(id, "delivery.sms"), &outcomes[..4]),
            9 | 10 => {
                into.push(build::action(&undo, "house.look"));
                lead(build::action(id, "house.look"), &outcomes).undone_by(&undo)
            }
            11 => {
                let minutes = Duration::from_mins(to[4] as u64 * 30);
                lead(build::wait_for(id, minutes), &outcomes[..1])
            }
            12 => {
                let denied = Condition::Any(Vec::new());
                lead(build::decision(id, &[("never", denied)]), &["otherwise"])
            }
            _ => {
                let Some((first, rest)) = self.inner.split_first() else {
                    return lead(build::decision(id, &[]), &["otherwise"]);
                };
                let join = [Join::All, Join::Any][kind % 2];
                let mut branches = Vec::new();
                for (branch, inner) in [("a", rest), ("b", &[][..])] {
                    let prefix = format!("{id}_{branch}");
                    let level = Level {
                        prefix: &prefix,
                        place: Some((id, branch)),
                        random: first,
                        inner,
                    };
                    level.build(into);
                    branches.push((branch, level.id(0)));
                }
                let branches: Vec<(&str, &str)> = branches.iter().map(|(b, f)| (*b, f.as_str())).collect();
                lead(build::parallel(id, join, &branches), &outcomes[..2])
            }
        }
    }
}

pub(crate) fn playbook(random: &[Random], inner: &[Vec<Random>]) -> Playbook {
    let mut steps = Vec::new();
    let level = Level {
        prefix: "s",
        place: None,
        random,
        inner,
    };
    level.build(&mut steps);
    let mut playbook = build::playbook(steps);
    playbook.start = build::id("s0");
    playbook
}

/// What the world remembers, independently of the machine.
#[derive(Default)]
struct World {
    issued: u32,
    /// Whose turn it is among the branches.
    turns: u64,
    /// Which privileged step each permit was issued for.
    permits: HashMap<String, StepId>,
    /// In which visit of which step each permit was shown.
    shown: HashMap<String, (StepId, u32)>,
    /// What the calls that are out were told they authorize.
    authorizes: HashMap<StepId, StepId>,
    /// Each call as it went out first: step, visit and attempt are its key.
    calls: HashMap<StepCall, Call>,
    denied: bool,
    /// How often each call went out of which nobody can say that it did nothing.
    open: HashMap<StepCall, u32>,
    /// Step and visit of what was tried to be taken back.
    undone: BTreeSet<(StepId, u32)>,
}

impl World {
    fn read(&mut self, story: &[Record]) {
        for record in story {
            let Record::Finished { call, outcome, .. } = record else {
                continue;
            };
            self.denied |= *outcome == Outcome::Denied;
            let visit = |id: &str| (build::id(id), call.visit);
            if let Some(original) = call.id.as_str().strip_suffix(".undo") {
                assert!(self.undone.insert(visit(original)), "taken back twice");
            }
        }
    }

    /// What an event tells of the call that is out. An answer that is none of success and time-out is one to all that went
    /// out under this key: nothing was done. A refusal, or not to arrive, says so of what went out last, and that was all
    /// where it went out once.
    fn hear(&mut self, phase: &Phase, event: &Event) {
        let (call, nothing_done, of_all) = match event {
            Event::Answered { call, result } | Event::Signalled { call, result, .. } => {
                (call, did_nothing(result), true)
            }
            Event::OperationSeen {
                operation,
                result: Some(result),
            } => match waiting_for(phase, *operation) {
                Some(call) => (call, did_nothing(result), true),
                None => return,
            },
            Event::Refused { call, .. } | Event::Unreached { call, .. } | Event::OutsideAway { call, .. }
                if !has_operation(phase, call) =>
            {
                (call, true, false)
            }
            _ => return,
        };
        if nothing_done
            && let Some(out) = self.open.get_mut(call)
            && (of_all || *out <= 1)
        {
            *out = 0;
        }
    }

    fn observe(&mut self, command: &Command) {
        let Command::Call(call) = command else {
            return;
        };
        let first = self
            .calls
            .entry(call.call.clone())
            .or_insert_with(|| (**call).clone());
        assert_eq!(*first, **call, "another body under the same key");
        *self.open.entry(call.call.clone()).or_default() += 1;
        if let Some(authorized) = &call.authorizes {
            self.authorizes
                .insert(call.call.id.clone(), authorized.step.clone());
        }
        if call.action.service() == "delivery" {
            assert!(call.sealed.is_some(), "nothing to deliver");
        } else {
            assert!(call.sealed.is_none(), "a credential went elsewhere");
        }
        if call.action.as_str() != "executor.reset_password" {
            assert!(call.permit.is_none(), "a permit went elsewhere");
            return;
        }
        assert!(!self.denied, "privileged after a denial");
        let permit = call.permit.as_ref().expect("a privileged call shows a permit");
        assert_eq!(
            self.permits.get(permit.as_text()),
            Some(&call.call.id),
            "a permit for another step"
        );
        let visit = (call.call.id.clone(), call.call.visit);
        let first = self
            .shown
            .entry(permit.as_text().to_owned())
            .or_insert_with(|| visit.clone());
        assert_eq!(*first, visit, "a permit shown in two visits");
    }

    /// An honest service's result, or one that breaks its promise where `honest` is false.
    fn result(&mut self, step: &StepId, outcome: Outcome, honest: bool) -> StepResult {
        let mut result = StepResult::new(outcome, "It was so.");
        if result.outcome == Outcome::Success && honest {
            self.issued += 1;
            if let Some(allows) = self.authorizes.get(step) {
                let token = PermitToken::from_text(format!("permit {}", self.issued));
                self.permits.insert(token.as_text().to_owned(), allows.clone());
                result.permit = Some(token);
            }
            result.sealed = Some(SealedCredential::from_text(format!("sealed {}", self.issued)));
        }
        result
    }

    fn ended(&self, playbook: &Playbook, ending: &Ending) {
        if *ending == Ending::Resolved {
            assert!(self.undone.is_empty(), "taken back although it ended well");
            return;
        }
        let can_be_undone = |id: &StepId| {
            playbook
                .step(id)
                .is_some_and(|step| step.action().is_some_and(|call| call.undo.is_some()))
        };
        for (call, _) in self
            .open
            .iter()
            .filter(|(call, out)| **out > 0 && can_be_undone(&call.id))
        {
            let visit = (call.id.clone(), call.visit);
            assert!(
                self.undone.contains(&visit),
                "{call:?} may have been done and was not taken back"
            );
        }
    }
}

fn did_nothing(result: &StepResult) -> bool {
    !matches!(result.outcome, Outcome::Success | Outcome::Timeout)
}

/// The call that began the operation, where somebody waits for it.
fn waiting_for(phase: &Phase, wanted: OperationId) -> Option<&StepCall> {
    match phase {
        Phase::Waiting {
            attempt, operation, ..
        }
        | Phase::Asking {
            attempt, operation, ..
        } => (*operation == wanted).then_some(&attempt.call),
        Phase::Parallel { strands, .. } => strands
            .iter()
            .find_map(|strand| waiting_for(&strand.phase, wanted)),
        _ => None,
    }
}

/// The question is how the operation stands; the call itself was taken on.
fn has_operation(phase: &Phase, call: &StepCall) -> bool {
    match phase {
        Phase::Asking { attempt, .. } => attempt.call == *call,
        Phase::Parallel { strands, .. } => strands.iter().any(|strand| has_operation(&strand.phase, call)),
        _ => false,
    }
}

/// Whoever takes up a call that is out cannot know what it did; beside that, nothing has changed.
fn but_for_the_doubt(state: &State) -> String {
    serde_json::to_string(state)
        .unwrap()
        .replace(",\"in_doubt\":true", "")
}

/// What happens next, by one byte of chance.
fn next_event(phase: &Phase, world: &mut World, byte: u8) -> Event {
    let outcome = [
        Outcome::Success,
        Outcome::Failure,
        Outcome::Denied,
        Outcome::Timeout,
        "up".into(),
    ]
    .into_iter()
    .nth(usize::from(byte / 16) % 5)
    .unwrap();
    let honest = byte < 240;
    match phase.clone() {
        Phase::Calling { attempt, .. } => {
            let result = world.result(&attempt.call.id, outcome, honest);
            answer(attempt.call, result, byte)
        }
        Phase::Waiting {
            attempt, operation, ..
        } => match byte % 3 {
            0 => Event::TimerFired,
            1 => Event::Claimed,
            _ => Event::Signalled {
                operation,
                result: world.result(&attempt.call.id, outcome, honest),
                call: attempt.call,
            },
        },
        Phase::Asking {
            attempt, operation, ..
        } => match byte % 4 {
            0 => Event::OperationSeen {
                operation,
                result: None,
            },
            1 => Event::Unreached {
                call: attempt.call,
                retry_after: None,
            },
            2 => Event::Claimed,
            _ => Event::OperationSeen {
                operation,
                result: Some(world.result(&attempt.call.id, outcome, honest)),
            },
        },
        Phase::Backoff { attempt, .. } | Phase::Parked { attempt, .. } => match byte % 4 {
            0 => Event::Signalled {
                operation: OperationId::fresh(),
                result: world.result(&attempt.call.id, outcome, honest),
                call: attempt.call,
            },
            1 => Event::Claimed,
            2 => Event::OutsideBack,
            _ => Event::TimerFired,
        },
        Phase::Parallel { strands, .. } => {
            // Whatever the depth, each branch has its turn.
            world.turns = world
                .turns
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let unfinished: Vec<&Phase> = strands
                .iter()
                .map(|strand| &strand.phase)
                .filter(|phase| !matches!(phase, Phase::Joined { .. }))
                .collect();
            let turn = usize::try_from(world.turns >> 33).unwrap();
            next_event(unfinished[turn % unfinished.len()], world, byte)
        }
        Phase::Pausing { .. } if byte.is_multiple_of(2) => Event::TimerFired,
        _ => Event::Claimed,
    }
}

/// What a service answers to a call.
fn answer(call: StepCall, result: StepResult, byte: u8) -> Event {
    match byte % 9 {
        0 => Event::Claimed,
        8 => Event::OutsideBack,
        1 => Event::Accepted {
            call,
            pending: Pending {
                operation: OperationId::fresh(),
                explanation: "Asked.".to_owned(),
            },
        },
        2 => Event::Refused {
            call,
            explanation: "No.".to_owned(),
        },
        3 => Event::Unreached {
            call,
            retry_after: (byte >= 128).then(|| Duration::from_secs(u64::from(byte))),
        },
        4 => Event::Unanswered { call },
        5 => Event::OutsideAway {
            call,
            retry_after: None,
            explanation: "Away.".to_owned(),
        },
        _ => Event::Answered { call, result },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_privileged_call_lacks_its_proof_and_every_execution_ends(
        random in steps(6),
        inner in proptest::collection::vec(steps(3), 0..=2),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        operator in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let playbook = playbook(&random, &inner);
        let (rules, facts) = (Rules::default(), Facts::default());
        let mut machine = Machine::new(&playbook, &rules, &facts);
        let mut now = datetime!(2026-11-22 08:00 UTC);
        let mut state = State::begin(&playbook, now).unwrap();
        let mut world = World::default();
        // Once chance runs out, everything succeeds.
        let mut bytes = bytes.into_iter().chain(std::iter::repeat(7));
        let mut operator = operator.into_iter();
        for _ in 0..5000 {
            if matches!(state.phase(), Phase::Ended { .. }) {
                break;
            }
            let byte = bytes.next().unwrap();
            let cancelled = match operator.next() {
                Some(0..=15) => { machine = machine.standing_still(); false }
                Some(16..=47) | None => { machine = Machine::new(&playbook, &rules, &facts); false }
                Some(word) => word == 255,
            };
            if byte % 5 != 0 {
                now = machine.due_at(&state).map_or(now, |due| due.max(now));
            }
            let event = match byte {
                _ if cancelled => Event::Cancelled { reason: "Stop.".to_owned() },
                1 => Event::LetGo,
                byte => next_event(state.phase(), &mut world, byte),
            };
            let moment = Moment { now, chance: f64::from(byte) / 255.0 };
            let once = machine.apply(state.clone(), event.clone(), moment).unwrap();
            world.hear(state.phase(), &event);
            world.read(&once.story);
            let calls = once.commands.iter().filter(|command| matches!(command, Command::Call(_))).count();
            let stopped = machine.held || (state.cancelled.is_some() && once.state.closing.is_none());
            prop_assert!(!stopped || calls == 0, "a call although it stands still: {:?}", once.commands);
            once.commands.iter().for_each(|command| world.observe(command));
            let spent = |state: &State| state.phase().attempt().map(|attempt| attempt.failures);
            if let Phase::Parked { .. } = once.state.phase() {
                prop_assert_eq!(spent(&once.state), spent(&state), "parking spends no attempt");
            }
            let twice = machine.apply(once.state.clone(), event.clone(), moment).unwrap();
            prop_assert_eq!(but_for_the_doubt(&twice.state), but_for_the_doubt(&once.state), "repeated");
            prop_assert_eq!(&twice.story, &Vec::new(), "repeated");
            let again = machine.apply(twice.state.clone(), event, moment).unwrap();
            prop_assert_eq!(&again.state, &twice.state, "repeated");

            let stored = serde_json::to_string(&once.state).unwrap();
            state = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(&state, &once.state);
            now += Duration::from_millis(u64::from(byte));
        }
        let Phase::Ended { ending, .. } = state.phase() else {
            panic!("it never ended: {state:?}");
        };
        world.ended(&playbook, ending);
        prop_assert_eq!((state.permits(), state.credentials(), state.closing()), (&[][..], &[][..], None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn to_stand_still_for_a_while_changes_nothing_about_where_it_leads(
        random in steps(6),
        holds in proptest::collection::vec(any::<bool>(), 0..40),
    ) {
        // Without branches: which of them comes first is a matter of chance.
        let playbook = playbook(&random, &[]);
        let (rules, facts) = (Rules::default(), Facts::default());
        let machine = Machine::new(&playbook, &rules, &facts);
        let finished = |story: &[Record]| -> Vec<(StepCall, Outcome)> {
            story.iter().filter_map(|record| match record {
                Record::Finished { call, outcome, .. } => Some((call.clone(), outcome.clone())),
                _ => None,
            }).collect()
        };
        let walk = |holds: &mut dyn Iterator<Item = bool>| {
            let now = datetime!(2026-11-22 08:00 UTC);
            let (mut state, mut now) = (State::begin(&playbook, now).unwrap(), now);
            let (mut world, mut path) = (World::default(), Vec::new());
            for _ in 0..5000 {
                if let Phase::Ended { ending, .. } = state.phase() {
                    return (path, ending.clone());
                }
                if holds.next() == Some(true) {
                    let moment = Moment::at(now);
                    let stood = machine.standing_still().apply(state.clone(), Event::Claimed, moment).unwrap();
                    assert!(!stood.commands.iter().any(|command| matches!(command, Command::Call(_))));
path.extend(finished(&stood.story));
                    let turn = machine.apply(stood.state, Event::LetGo, moment).unwrap();
                    turn.commands.iter().for_each(|command| world.observe(command));
                    path.extend(finished(&turn.story));
                    state = turn.state;
                    continue;
                }
                // Everything succeeds, and what waits is waited for.
                let event = next_event(state.phase(), &mut world, 7);
                now = state.due_at().map_or(now, |due| due.max(now));
                let turn = machine.apply(state, event, Moment::at(now)).unwrap();
                turn.commands.iter().for_each(|command| world.observe(command));
                path.extend(finished(&turn.story));
                state = turn.state;
            }
            panic!("it never ended: {state:?}");
        };
        let held = walk(&mut holds.into_iter());
        prop_assert_eq!(held, walk(&mut std::iter::empty()));
    }
}

/// The generator reaches what it is for.
#[test]
fn the_graphs_have_parallel_steps_in_parallel_steps() {
    let inner = [vec![(13, [0; 5])], vec![(9, [0; 5])]];
    let playbook = playbook(&[(13, [0; 5])], &inner);
    let nested = |step: &Step| matches!(step.kind, StepKind::Parallel(_)) && step.within.is_some();
    assert!(playbook.steps().any(nested));
}
