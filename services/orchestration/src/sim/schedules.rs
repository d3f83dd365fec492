//! The schedules that are tried.

use super::cast::{Cast, Filing};
use super::choices::Choices;
use super::explore::{every, first_bad, play, shrink, told};
use super::guard::Guard;
use super::invariants;
use super::world::Scene;

/// Schedules of each scene; `SIM_SCHEDULES` asks for another number.
const SCHEDULES: u64 = 5_000;
/// A guard that is left out is found missing within so many.
const SCHEDULES_WITHOUT: u64 = 10_000;
/// How often one step departs from its ordinary course; `SIM_DEPARTURES` asks for another number.
const DEPARTURES: usize = 2;

const LINE: usize = 0;
const BRANCHES: usize = 1;
const STEP: usize = 2;

fn filing(ticket: &'static str, decision: u128, playbook: usize) -> Filing {
    Filing {
        ticket,
        decision,
        playbook,
    }
}

/// Two tickets, and a second decision on one of them.
fn a_storm() -> Scene {
    Scene {
        replicas: 3,
        filings: vec![
            filing("4241", 1, LINE),
            filing("4242", 2, BRANCHES),
            filing("4241", 3, BRANCHES),
        ],
        storm: 120,
        troubles: 8,
        operations: 3,
        jumps: 6,
        without: None,
    }
}

/// One ticket, long in the hands of people and operators.
fn one_ticket() -> Scene {
    Scene {
        replicas: 2,
        filings: vec![filing("4241", 1, LINE)],
        storm: 90,
        troubles: 5,
        operations: 5,
        jumps: 5,
        without: None,
    }
}

/// One step on two replicas, and everything that may happen to it once or twice.
fn one_step() -> Scene {
    Scene {
        replicas: 2,
        filings: vec![filing("4241", 1, STEP)],
        storm: 12,
        troubles: 2,
        operations: 2,
        jumps: 2,
        without: None,
    }
}

/// One ticket on one replica, which fails often, and an operator who thinks for long before trying again.
fn a_slow_operator() -> Scene {
    Scene {
        replicas: 1,
        troubles: 10,
        operations: 8,
        jumps: 8,
        storm: 150,
        ..one_ticket()
    }
}

/// What whoever runs the tests asks for.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn must_hold(scene: &Scene) {
    let cast = Cast::assembled();
    if let Some(seed) = asked("SIM_SEED") {
        let played = play(&cast, scene, Choices::seeded(seed), true);
        assert!(played.violation.is_none(), "{}", told(Some(seed), &played));
        return;
    }
    if let Some((seed, bad)) = first_bad(&cast, scene, 0..asked("SIM_SCHEDULES").unwrap_or(SCHEDULES), &[]) {
        let shown = shrink(&cast, scene, &bad);
        panic!("{}", told(Some(seed), &shown));
    }
}

#[test]
fn whatever_happens_to_several_tickets_the_protocol_holds() {
    must_hold(&a_storm());
}

#[test]
fn whatever_happens_to_one_ticket_the_protocol_holds() {
    must_hold(&one_ticket());
}

#[test]
fn whatever_happens_to_one_step_once_or_twice_the_protocol_holds() {
    let cast = Cast::assembled();
    let departures = asked("SIM_DEPARTURES").map_or(DEPARTURES, |departures| {
        usize::try_from(departures).unwrap_or(DEPARTURES)
    });
    match every(&cast, &one_step(), departures) {
        Ok(schedules) => println!("{schedules} schedules"),
        Err(bad) => panic!("{}", told(None, &shrink(&cast, &one_step(), &bad))),
    }
}

/// Without the guard one of these is violated.
fn must_fail(guard: Guard, invariants: &[&str]) {
    let cast = Cast::assembled();
    let without = |scene| Scene {
        without: Some(guard),
        ..scene
    };
    if let Err(bad) = every(&cast, &without(one_step()), 1) {
        let violation = bad.violation.map(|violation| violation.invariant);
        if violation.is_some_and(|violation| invariants.contains(&violation)) {
            return;
        }
    }
    for scene in [one_ticket(), a_storm(), a_slow_operator()].map(without) {
        if first_bad(&cast, &scene, 0..SCHEDULES_WITHOUT, invariants).is_some() {
            return;
        }
    }
    panic!("without {guard:?}, none of {invariants:?} was violated");
}

macro_rules! needed {
    ($($name:ident: $guard:ident => $($invariant:ident)|+;)+) => {
        $(#[test]
        fn $name() {
            must_fail(Guard::$guard, &[$(invariants::$invariant),+]);
        })+
    };
}

needed! {
    without_the_fence_a_runner_that_overslept_writes: Fence => OVERSLEPT;
    without_a_fence_for_each_claim_a_retry_takes_what_it_has_not_seen: FenceGrows => OVERSLEPT;
    without_a_look_at_who_holds_it_two_hold_one: NobodyHoldsIt => HELD_BY_ONE;
    without_a_look_at_what_was_read_a_signal_undoes_what_came_meanwhile: AsItWasRead => OVERSLEPT;
    without_the_count_of_signals_one_is_left_lying: SignalsKnown => NOBODY_LOOKS;
    without_their_key_a_repeated_signal_wakes: SignalOnce => LATE_SIGNALS;
    without_a_look_at_the_end_a_late_signal_wakes: LateAfterTheEnd => LATE_SIGNALS;
    without_a_word_from_the_commit_a_call_goes_out_in_a_pause: StandingAtCommit => STANDS_STILL;
    without_a_look_at_the_switch_an_execution_begins_while_it_is_off: StandingAtAcceptance => STANDS_STILL;
    without_a_count_a_cancellation_comes_too_late: CancelCounts => CANCELLED | CANCELLED_ENDS | EVERY_TICKET_ENDS;
    without_the_check_what_is_cancelled_ends_well: CancelledEndsWithAPerson => CANCELLED_ENDS;
    without_its_fence_a_retry_takes_what_moved_on: RetryFence => OVERSLEPT;
    without_its_key_a_decision_starts_twice: OncePerDecision => STARTED_ONCE;
    without_its_index_a_ticket_has_two_open: OneOpenPerTicket => STARTED_ONCE;
    without_letting_go_what_nobody_drives_stays_held: LetGoOfTheUndriven => EVERY_TICKET_ENDS;
    without_anybody_looking_what_the_dead_held_stays_held: TakeOver => EVERY_TICKET_ENDS;
    without_its_fence_a_sender_that_overslept_lets_go: SenderFence => TOLD_ONCE;
    without_the_count_of_updates_one_is_left_lying: UpdatesKnown => NOBODY_LOOKS;
    without_doubt_what_an_overslept_sender_sent_is_sent_again: DoubtWhoeverOverslept => TOLD_ONCE;
    without_looking_what_stands_there_is_sent_again: LookForMarkers => TOLD_ONCE;
    without_its_key_a_call_is_performed_twice: IdempotencyKey => PERFORMED_ONCE;
}
