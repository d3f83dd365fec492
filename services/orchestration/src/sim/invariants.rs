//! What must hold, whatever happens: each by its name.
//!
//! Those that concern what an action does are looked at where it is done (`world`); those that concern what stands in the
//! tables, here, after every action.

use std::collections::BTreeSet;

use common::StepCall;

use super::model::Model;
use super::world::{Answered, Ended, World};
use crate::store::Settled;
use crate::update::Update;

pub(super) const EVERY_TICKET_ENDS: &str = "every accepted ticket ends";
pub(super) const ENDS_ONCE: &str = "every accepted ticket ends once";
pub(super) const PERFORMED_ONCE: &str = "no step is performed twice in effect";
pub(super) const ASKED_ALIKE: &str = "the same call again is the same to the byte";
pub(super) const LATE_SIGNALS: &str = "a late or repeated signal changes nothing";
pub(super) const HEARD: &str = "a signal of a call that was made is heard";
pub(super) const OVERSLEPT: &str = "whoever overslept writes nothing";
pub(super) const HELD_BY_ONE: &str = "what somebody holds is taken by nobody else";
pub(super) const NOBODY_LOOKS: &str = "nothing is left that nobody will look at";
pub(super) const STANDS_STILL: &str = "what stands still makes no call";
pub(super) const CANCELLED: &str = "what is cancelled begins no step";
pub(super) const CANCELLED_ENDS: &str = "what is cancelled ends with a person";
pub(super) const STARTED_ONCE: &str = "a decision starts one execution, and a ticket has one open";
pub(super) const TOLD_ONCE: &str = "each update is told once and in order";
pub(super) const ALL_TOLD: &str = "each update is told";
pub(super) const ALL_SAID: &str = "how a step ended is said once";
pub(super) const TABLES: &str = "rows make sense";
pub(super) const NEVER_BROKEN: &str = "what is stored can always go on";

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) invariant: &'static str,
    pub(super) how: String,
}

type Check = fn(&World<'_>) -> Result<(), String>;

/// After every action.
const ALWAYS: [(&str, Check); 5] = [
    (ENDS_ONCE, ends_once),
    (PERFORMED_ONCE, performed_once),
    (NOBODY_LOOKS, somebody_will_look),
    (STARTED_ONCE, started_once),
    (TABLES, rows_make_sense),
];

/// Whenever a note has arrived.
const WITH_EACH_NOTE: [(&str, Check); 1] = [(TOLD_ONCE, told_once_and_in_order)];

/// Once everything has settled.
const AT_LAST: [(&str, Check); 4] = [
    (EVERY_TICKET_ENDS, every_ticket_has_ended),
    (ALL_TOLD, everything_is_told),
    (ALL_SAID, every_end_is_said),
    (CANCELLED_ENDS, cancelled_ends_with_a_person),
];

/// The first that does not hold after an action.
pub(super) fn after_an_action(world: &mut World<'_>) -> Option<Violation> {
    remember_what_ended(world);
    let violation = world.ghosts.violation.clone().or_else(|| first(world, &ALWAYS));
    let notes = world.desk.count();
    if violation.is_some() || world.ghosts.notes == notes {
        return violation;
    }
    world.ghosts.notes = notes;
    first(world, &WITH_EACH_NOTE)
}

/// The first that does not hold when everything has settled.
pub(super) fn at_last(world: &World<'_>) -> Option<Violation> {
    first(world, &AT_LAST)
}

fn first(world: &World<'_>, checks: &[(&'static str, Check)]) -> Option<Violation> {
    checks.iter().find_map(|(invariant, check)| {
        let how = check(world).err()?;
        Some(Violation { invariant, how })
    })
}

fn remember_what_ended(world: &mut World<'_>) {
    for (id, row) in &world.model.executions {
        if row.ended_at.is_some() && !world.ghosts.ended.contains_key(id) {
            let ended = Ended {
                status: row.status,
                reason: row.reason.clone(),
                at: row.ended_at,
                state: row.state.clone(),
            };
            world.ghosts.ended.insert(*id, ended);
        }
    }
}

/// What has ended stays as it ended; an operator's retry begins it anew.
fn ends_once(world: &World<'_>) -> Result<(), String> {
    for (id, ended) in &world.ghosts.ended {
        let row = &world.model.executions[id];
        let same = (row.status, &row.reason, row.ended_at) == (ended.status, &ended.reason, ended.at);
        if !same || row.state != ended.state {
            return Err(format!("{id} ended as {ended:?} and is {:?} now", row.status));
        }
    }
    Ok(())
}

fn performed_once(world: &World<'_>) -> Result<(), String> {
    match world.service.performed.iter().find(|(_, times)| **times > 1) {
        Some(((_, step, visit), times)) => {
            Err(format!("visit {visit} of `{step}` was performed {times} times"))
        }
        None => Ok(()),
    }
}

/// What waits has a time, what is held has a living holder or one who will be found gone, and news makes it due.
fn somebody_will_look(world: &World<'_>) -> Result<(), String> {
    let Model {
        executions,
        runners,
        now,
        ..
    } = &world.model;
    for (id, row) in executions.iter().filter(|(_, row)| row.ended_at.is_none()) {
        match row.runner {
            Some(runner) if !runners.contains_key(&runner.0) => {
                return Err(format!("{id} is held by nobody who is known"));
            }
            Some(_) => {}
            None => {
                let known = world.ghosts.known.get(id).copied().unwrap_or_default();
                let due = row.wake_at.is_some_and(|wake_at| wake_at <= *now);
                if row.signals > known && !due {
                    return Err(format!("news of {id} waits until {:?}", row.wake_at));
                }
            }
        }
    }
    let unsettled = world
        .model
        .updates
        .iter()
        .filter(|update| update.settled.is_none());
    for update in unsettled {
        let outbox = world.model.outboxes.get(&update.ticket);
        if outbox.and_then(|outbox| outbox.wake_at).is_none() {
            return Err(format!("ticket {} is not told its news", update.ticket));
        }
    }
    Ok(())
}

fn started_once(world: &World<'_>) -> Result<(), String> {
    let (mut decisions, mut open) = (BTreeSet::new(), BTreeSet::new());
    for row in world.model.executions.values() {
        let request = &row.new.request;
        if !decisions.insert(request.decision_id.0) {
            return Err(format!(
                "decision {} started two executions",
                request.decision_id.0
            ));
        }
        if row.ended_at.is_none() && !open.insert(&request.ticket_id) {
            return Err(format!("ticket {} has two open executions", request.ticket_id));
        }
    }
    Ok(())
}

/// Every marker stands at most once, after those of all that was to be told before it.
fn told_once_and_in_order(world: &World<'_>) -> Result<(), String> {
    for ticket in world.model.outboxes.keys() {
        let text = world.desk.notes(ticket).concat();
        let mut last = 0;
        for update in world
            .model
            .updates
            .iter()
            .filter(|update| update.ticket == *ticket)
        {
            let mut found = text.match_indices(update.marker.as_str()).map(|(at, _)| at);
            let Some(at) = found.next() else { continue };
            if found.next().is_some() {
                return Err(format!("ticket {ticket} was told {:?} twice", update.update));
            }
            if at < last {
                return Err(format!("ticket {ticket} was told {:?} too late", update.update));
            }
            last = at;
        }
    }
    Ok(())
}

/// As the tables' own checks say it.
fn rows_make_sense(world: &World<'_>) -> Result<(), String> {
    for (id, row) in &world.model.executions {
        let ended = row.ended_at.is_some();
        let sense = row.status.ended() == ended
            && ended == row.wake_at.is_none()
            && !(ended && row.runner.is_some())
            && (row.status.as_str() == "ESCALATED") == row.reason.is_some();
        if !sense {
            return Err(format!(
                "{id}: {:?}, ended {ended}, wake at {:?}",
                row.status, row.wake_at
            ));
        }
    }
    let mut outboxes = world.model.outboxes.iter();
    match outboxes.find(|(_, row)| row.held && row.wake_at.is_none()) {
        Some((ticket, _)) => Err(format!("ticket {ticket} is held without end")),
        None => Ok(()),
    }
}

fn every_ticket_has_ended(world: &World<'_>) -> Result<(), String> {
    for (filing, answered) in world.answered.iter().enumerate() {
        let open = match answered {
            Answered::Nothing => true,
            Answered::Accepted(id) => {
                let row = world.model.executions.get(id);
                row.is_none_or(|row| row.ended_at.is_none())
            }
            Answered::Open => false,
        };
        if open {
            return Err(format!(
                "filing {filing} was answered {answered:?} and did not end"
            ));
        }
    }
    Ok(())
}

/// What was asked is told with its answer where both wait; and the custom field is no note.
fn everything_is_told(world: &World<'_>) -> Result<(), String> {
    for update in &world.model.updates {
        let silent = matches!(
            update.update,
            Update::Asked(_) | Update::Status { .. } | Update::Fields(_)
        );
        let text = world.desk.notes(&update.ticket).concat();
        let stands = text.contains(update.marker.as_str());
        if update.settled != Some(Settled::Sent) || !silent && !stands {
            return Err(format!(
                "ticket {} was never told {:?}",
                update.ticket, update.update
            ));
        }
    }
    Ok(())
}

/// Whoever else took the execution up in between: news that lingered with the state was neither lost nor repeated. What was
/// cut off ended with the execution itself, and so did a step that only ends one.
fn every_end_is_said(world: &World<'_>) -> Result<(), String> {
    let said = |update: &Update| match update {
        Update::Progress(progress) => vec![progress.call.clone()],
        Update::Steps { steps } => steps.iter().map(|progress| progress.call.clone()).collect(),
        _ => vec![],
    };
    let updates = world.model.updates.iter();
    let all: Vec<_> = updates
        .flat_map(|row| said(&row.update).into_iter().map(|call| (row.execution, call)))
        .collect();
    for ((execution, step, visit, attempt), row) in &world.model.steps {
        let reason = &world.model.executions[execution].reason;
        let cut_off = reason.is_some() && row.explanation == *reason;
        let call = StepCall {
            id: step.clone(),
            visit: *visit,
            attempt: *attempt,
        };
        let call = (*execution, call);
        let times = all.iter().filter(|said| **said == call).count();
        let most = usize::from(row.outcome.is_some());
        let least = if row.action.is_some() && !cut_off { most } else { 0 };
        if !(least..=most).contains(&times) {
            return Err(format!("how {call:?} ended was said {times} times"));
        }
    }
    Ok(())
}

fn cancelled_ends_with_a_person(world: &World<'_>) -> Result<(), String> {
    for id in &world.cancelled {
        let row = &world.model.executions[id];
        if row.reason.is_none() {
            return Err(format!("{id} was cancelled, and ended as {:?}", row.status));
        }
    }
    Ok(())
}
