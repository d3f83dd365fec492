//! What must hold of any playbook under any events: no privileged call without its own permit, none after a denial, one
//! body per key, every execution ends, repeating an event changes nothing, and a state survives being stored.

use std::collections::HashMap;
use std::time::Duration;

use common::{OperationId, Outcome, Pending, PermitToken, SealedCredential, StepId, StepResult};
use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::check::properties::{graphs, unchecked, written};

/// What the world remembers, independently of the machine.
#[derive(Default)]
struct World {
    issued: u32,
    /// Which privileged step each permit was issued for.
    permits: HashMap<String, StepId>,
    /// In which visit of which step each permit was shown.
    shown: HashMap<String, (StepId, u32)>,
    /// What the calls that are out were told they authorize.
    authorizes: HashMap<StepId, StepId>,
    /// The deadline that each call went out with: step, visit and attempt are its key.
    deadlines: HashMap<StepCall, OffsetDateTime>,
    denied: bool,
}

impl World {
    fn observe(&mut self, command: &Command) {
        let Command::Call(call) = command else {
            return;
        };
        let deadline = self.deadlines.entry(call.call.clone()).or_insert(call.deadline);
        assert_eq!(*deadline, call.deadline, "another body under the same key");
        if let Some(authorized) = &call.authorizes {
            self.authorizes
                .insert(call.call.id.clone(), authorized.step.clone());
        }
        if call.action.service() == "delivery" {
            assert!(call.sealed.is_some(), "nothing to deliver");
        } else {
            assert!(call.sealed.is_none(), "a credential went elsewhere");
        }
        if call.action.service() != "executor" {
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
}

/// What happens next, by one byte of chance.
#[expect(clippy::too_many_lines, reason = "one table of chances")]
fn next_event(state: &State, world: &mut World, byte: u8) -> Event {
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
    match state.phase().clone() {
        Phase::Calling { attempt, .. } => {
            let call = attempt.call;
            match byte % 8 {
                0 => Event::Claimed,
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
                3 => Event::Unreached { call },
                4 => Event::Unanswered { call },
                5 => Event::OutsideAway {
                    call,
                    retry_after: None,
                    explanation: "Away.".to_owned(),
                },
                _ => {
                    let result = world.result(&call.id, outcome, honest);
                    Event::Answered { call, result }
                }
            }
        }
        Phase::Waiting {
            attempt, operation, ..
        } => match byte % 3 {
            0 => Event::TimerFired,
            1 => Event::Claimed,
            _ => {
                let result = world.result(&attempt.call.id, outcome, honest);
                Event::Signalled {
                    call: attempt.call,
                    operation,
                    result,
                }
            }
        },
        Phase::Asking {
            attempt, operation, ..
        } => match byte % 4 {
            0 => Event::OperationSeen {
                operation,
                result: None,
            },
            1 => Event::Unreached { call: attempt.call },
            2 => Event::Claimed,
            _ => {
                let result = world.result(&attempt.call.id, outcome, honest);
                Event::OperationSeen {
                    operation,
                    result: Some(result),
                }
            }
        },
        Phase::Backoff { attempt, .. } | Phase::Parked { attempt, .. } => match byte % 4 {
            0 => {
                let result = world.result(&attempt.call.id, outcome, honest);
                Event::Signalled {
                    call: attempt.call,
                    operation: OperationId::fresh(),
                    result,
                }
            }
            1 => Event::Claimed,
            _ => Event::TimerFired,
        },
        _ => Event::Claimed,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// On any graph, also one that the check refuses: the machine says no by itself where the proof is not there.
    #[test]
    fn whatever_happens_no_privileged_call_lacks_its_proof_and_every_execution_ends(
        graph in graphs(1, 8),
        bytes in proptest::collection::vec(any::<u8>(), 0..150),
    ) {
        let playbook = unchecked(&written(&graph)).unwrap();
        let rules = Rules::default();
        let facts = Facts::default();
        let machine = Machine::new(&playbook, &rules, &facts);
        let mut now = datetime!(2026-11-22 08:00 UTC);
        let mut state = State::begin(&playbook, now).unwrap();
        let mut world = World::default();
        // Once chance runs out, everything succeeds.
        let mut bytes = bytes.into_iter().chain(std::iter::repeat(7));
        for _ in 0..2000 {
            if matches!(state.phase(), Phase::Ended { .. }) {
                break;
            }
            let byte = bytes.next().unwrap();
            if byte % 5 != 0 {
                now = state.due_at().map_or(now, |due| due.max(now));
            }
            let event = next_event(&state, &mut world, byte);
            let moment = Moment { now, chance: f64::from(byte) / 255.0 };
            let once = machine.apply(state.clone(), event.clone(), moment).unwrap();
            once.commands.iter().for_each(|command| world.observe(command));
            let spent = |state: &State| state.phase().attempt().map(|attempt| attempt.failures);
            if let Phase::Parked { .. } = once.state.phase() {
                prop_assert_eq!(spent(&once.state), spent(&state), "parking spends no attempt");
            }
            for record in &once.story {
                if let Record::Finished { outcome: Outcome::Denied, .. } = record {
                    world.denied = true;
                }
            }
            let twice = machine.apply(once.state.clone(), event, moment).unwrap();
            prop_assert_eq!(&twice.state, &once.state, "repeated");
            prop_assert_eq!(&twice.story, &Vec::new(), "repeated");

            let stored = serde_json::to_string(&once.state).unwrap();
            state = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(&state, &once.state);
            now += Duration::from_millis(u64::from(byte));
        }
        prop_assert!(matches!(state.phase(), Phase::Ended { .. }), "{:?}", state);
        prop_assert_eq!(state.permits(), &[]);
    }
}
