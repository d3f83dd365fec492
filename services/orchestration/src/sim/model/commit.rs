//! As `store/commit.rs`, `store/steps.rs` and `store/accept.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use common::execution::ExecutionStatus;
use common::{Outcome, StepCall};

use super::outbox::Taken;
use super::*;
use crate::store::{Entry, Hold, StepRow, Take, Write, Written};

/// What came of several entries.
#[derive(Debug)]
pub(in super::super) struct Committed {
    /// What each found, `None` where nothing of it was written.
    pub(in super::super) found: Vec<Option<Written>>,
    /// Tickets that are to be told their news at once.
    pub(in super::super) taken: Vec<Taken>,
}

impl Model {
    /// What happened to several executions.
    pub(in super::super) fn commit(&mut self, entries: &[&Entry], take: Take) -> Result<Committed, Refused> {
        let before = self.clone();
        self.commit_or_not(entries, take).inspect_err(|_| *self = before)
    }

    fn commit_or_not(&mut self, entries: &[&Entry], take: Take) -> Result<Committed, Refused> {
        let mut found: Vec<Option<Written>> = vec![None; entries.len()];
        let mut ours: Vec<&Write> = vec![];
        for (entry, found) in entries.iter().zip(&mut found) {
            if let Entry::Step(write) = entry {
                *found = self.write_execution(write)?;
            }
        }
        let mut new: Vec<(&NewExecution, &mut Option<Written>)> = vec![];
        for (entry, found) in entries.iter().zip(&mut found) {
            if let Entry::New(entry) = entry {
                new.push((entry, found));
            }
        }
        new.sort_by_key(|(new, _)| &new.request.ticket_id);
        for (new, found) in new {
            *found = self.insert(new)?;
        }
        for (entry, found) in entries.iter().zip(&found) {
            match (entry, found) {
                (Entry::Step(write), Some(_)) => ours.push(write),
                (Entry::New(new), Some(found)) if found.kept => ours.extend(&new.begun),
                _ => {}
            }
        }
        let taken = self.write_details(&ours, &urgent(entries, take.most), take.lease);
        Ok(Committed { found, taken })
    }

    fn insert(&mut self, new: &NewExecution) -> Result<Option<Written>, Refused> {
        let of_decision = |row: &Execution| row.new.request.decision_id == new.request.decision_id;
        let open_on_ticket =
            |row: &Execution| row.ended_at.is_none() && row.new.request.ticket_id == new.request.ticket_id;
        let once = self.has(Guard::OncePerDecision);
        let one = self.has(Guard::OneOpenPerTicket);
        let taken = |row: &Execution| once && of_decision(row) || one && open_on_ticket(row);
        if self.executions.values().any(taken) {
            return Ok(None);
        }
        let mut row = Execution {
            status: ExecutionStatus::Queued,
            reason: None,
            state: new.state.clone(),
            wake_at: Some(self.now),
            signals: 0,
            parked_since: None,
            parked_told: false,
            runner: None,
            fence: 0,
            ended_at: None,
            paused: false,
            cancelled: None,
            held: false,
            insisted: false,
            new: new.clone(),
        };
        let still = self.has(Guard::StandingAtAcceptance) && self.standing(&row).is_still();
        if let Some(begun) = new.begun.as_ref().filter(|_| !still) {
            if !self.runners.contains_key(&begun.runner.0) {
                return Err(Refused::DeclaredDead);
            }
            (row.status, row.state) = (begun.status, begun.state.clone());
            (row.runner, row.fence) = (Some(begun.runner), FIRST_FENCE);
        }
        let kept = row.runner.is_some();
        self.executions.insert(new.id, row);
        Ok(Some(Written {
            signals: 0,
            kept,
            standing: Standing::Free,
        }))
    }

    fn write_execution(&mut self, write: &Write) -> Result<Option<Written>, Refused> {
        let (fenced, counts) = (self.has(Guard::Fence), self.has(Guard::SignalsKnown));
        let (now, looks) = (self.now, self.has(Guard::StandingAtCommit));
        let checks = self.has(Guard::CancelledEndsWithAPerson);
        let unread = self.has(Guard::AsItWasRead);
        let lives = self.runners.contains_key(&write.runner.0);
        let Some(row) = self.executions.get_mut(&write.execution) else {
            return Ok(None);
        };
        if write.arrival.is_some() {
            let before = (write.fence - 1, write.signals - 1);
            let as_read = row.ended_at.is_none() && (row.fence, row.signals) == before;
            if row.runner.is_some() || unread && !as_read {
                return Ok(None);
            }
            if !lives {
                return Err(Refused::DeclaredDead);
            }
            (row.runner, row.fence, row.signals) = (Some(write.runner), write.fence, row.signals + 1);
            row.wake_at = Some(now);
        } else if fenced && (row.runner, row.fence) != (Some(write.runner), write.fence) {
            return Ok(None);
        }
        if checks && row.cancelled.is_some() && write.status == ExecutionStatus::Resolved {
            return Err(Refused::Cancelled);
        }
        let none_came = !counts || row.signals == write.signals;
        row.state = write.state.clone();
        row.status = write.status;
        row.reason.clone_from(&write.reason);
        (row.parked_since, row.parked_told) = (write.parked_since, write.parked_told);
        row.held = write.held;
        row.ended_at = None;
        match write.hold {
            Hold::Keep => {}
            Hold::Until(at) if none_came => (row.runner, row.wake_at) = (None, Some(at)),
            Hold::Until(_) => row.wake_at = Some(now),
            Hold::Ended => {
                (row.runner, row.wake_at, row.ended_at) = (None, None, Some(write.now));
            }
        }
        let (signals, kept) = (row.signals, row.runner.is_some());
        let standing = if looks {
            self.stands(write.execution)
        } else {
            Standing::Free
        };
        Ok(Some(Written {
            signals,
            kept,
            standing,
        }))
    }

    /// Tickets in `take` are taken for `lease`, where they are told something.
    fn write_details(&mut self, writes: &[&Write], take: &[TicketId], lease: Duration) -> Vec<Taken> {
        for write in writes {
            *self.written.entry(write.execution).or_default() += write.audit.len();
            for call in &write.renumbered {
                self.renumber(write.execution, call);
            }
        }
        for write in writes {
            for step in &write.steps {
                self.write_step(write.execution, step);
            }
        }
        for write in writes {
            if let Some(reason) = &write.cut_off {
                self.cut_off(write.execution, reason);
            }
        }
        for write in writes {
            if let Some(arrival) = &write.arrival {
                self.signals_ever += 1;
                let row = SignalRow {
                    nth: self.signals_ever,
                    step: arrival.signal.step.clone(),
                    result: arrival.signal.result.clone(),
                    applied: Some(arrival.applied),
                };
                self.signals
                    .insert((write.execution, arrival.signal.operation), row);
            }
        }
        for write in writes {
            for handled in &write.handled {
                let signal = self.signals.get_mut(&(write.execution, handled.operation));
                if let Some(signal) = signal.filter(|signal| signal.applied.is_none()) {
                    signal.applied = Some(handled.applied);
                }
            }
        }
        let mut told: BTreeMap<TicketId, Vec<(ExecutionId, Update)>> = BTreeMap::new();
        for write in writes {
            let updates = write
                .updates
                .iter()
                .map(|update| (write.execution, update.clone()));
            told.entry(write.ticket.clone()).or_default().extend(updates);
        }
        let mut taken = vec![];
        for (ticket, updates) in told {
            let lease = take.contains(&ticket).then_some(lease);
            taken.extend(self.enqueue(&ticket, updates, lease));
        }
        taken
    }

    fn write_step(&mut self, execution: ExecutionId, step: &StepRow) {
        let StepCall { id, visit, attempt } = step.call.clone();
        let row = self
            .steps
            .entry((execution, id, visit, attempt))
            .or_insert_with(|| StepCallRow {
                action: step.action.clone(),
                operation: None,
                asked: None,
                outcome: None,
                explanation: None,
            });
        row.operation = step.operation.or(row.operation);
        row.asked = step.asked.clone().or(row.asked.take());
        row.outcome.clone_from(&step.outcome);
        row.explanation.clone_from(&step.explanation);
    }

    fn renumber(&mut self, execution: ExecutionId, call: &StepCall) {
        let moved: Vec<StepKey> = self
            .steps
            .iter()
            .filter(|((of, id, visit, attempt), row)| {
                (*of, id, *visit) == (execution, &call.id, call.visit)
                    && row.outcome.is_none()
                    && *attempt < call.attempt
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in moved {
            if let Some(row) = self.steps.remove(&key) {
                self.steps.insert((key.0, key.1, key.2, call.attempt), row);
            }
        }
    }

    fn cut_off(&mut self, execution: ExecutionId, reason: &str) {
        for ((of, ..), row) in &mut self.steps {
            if *of == execution && row.outcome.is_none() {
                row.outcome = Some(Outcome::Timeout);
                row.explanation = Some(reason.to_owned());
            }
        }
    }
}

/// At most so many tickets that are to be taken with their news. It is not known yet whose news there will be: steps come first.
fn urgent(entries: &[&Entry], most: usize) -> Vec<TicketId> {
    let (steps, new): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| matches!(entry, Entry::Step(_)));
    let writes = steps.into_iter().chain(new).filter_map(Entry::write);
    let urgent = writes.filter(|write| !write.telling().may_linger());
    urgent.map(|write| write.ticket.clone()).take(most).collect()
}
