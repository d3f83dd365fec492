//! What may happen next, and that it happens.

use std::time::Duration;

use common::{ExecutionId, OperationId};
use playbook_lang::Event;

use super::drive::At;
use super::operator::Verb;
use super::{Answered, World};

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The drive at this place of a replica goes on.
    GoOn(usize, usize),
    /// What it waits for is due.
    Due(usize, usize),
    /// What happened so far is to be told.
    Late(usize, usize),
    /// It looks for news.
    Listen(usize, usize),
    /// A question reaches the service.
    Serve(usize),
    /// An answer reaches whoever asked.
    Land(usize),
    /// Whoever asked waits no longer.
    GiveUp(usize),
    /// A person answers.
    Decide(OperationId),
    /// The service says so.
    Signal(OperationId),
    /// A decision is handed to a replica.
    Accept(usize, usize),
    Claim(usize),
    Beat(usize),
    LookAfterOthers,
    WakeFree,
    WakeParked,
    /// A sender goes on.
    Tell(usize),
    TakeTicket(usize),
    Operate(ExecutionId, Verb),
    Retry,
    Switch(bool),
    /// Time passes.
    Pass(Duration),
    Crash(usize, bool),
    Stop(usize),
    BreakSession(usize),
    Restart(usize),
}

/// The clock jumps as far as this: within a lease, past the help desk's, past a runner's, past what a person has.
const JUMPS: [Duration; 6] = [
    Duration::from_millis(300),
    Duration::from_secs(4),
    Duration::from_secs(31),
    Duration::from_secs(61),
    Duration::from_mins(6),
    Duration::from_mins(30),
];

impl World<'_> {
    /// One of the things that may happen now happens; `false` where there are none.
    pub(in super::super) fn anything(&mut self) -> bool {
        let mut actions = vec![];
        self.work(&mut actions);
        let under_way = actions.len();
        self.routine(&mut actions);
        self.news(&mut actions);
        self.operations(&mut actions);
        self.troubles(&mut actions);
        let picked = self.choices.pick_rather(under_way, actions.len());
        let action = actions.get(picked).copied();
        action.map(|action| self.act(action)).is_some()
    }

    /// What is under way goes on.
    pub(super) fn work(&self, actions: &mut Vec<Action>) {
        let now = self.model.now;
        for (process, replica) in self.processes.iter().enumerate() {
            for (nth, drive) in replica.drives.iter().enumerate() {
                match &drive.at {
                    At::Answering if drive.course.due().is_some_and(|due| due <= now) => {
                        actions.push(Action::Due(process, nth));
                    }
                    At::Answering if drive.course.tells_by().is_some_and(|due| due <= now) => {
                        actions.push(Action::Late(process, nth));
                    }
                    At::Answering => {}
                    _ => actions.push(Action::GoOn(process, nth)),
                }
            }
            if replica.turn.as_ref().is_some_and(|turn| !turn.waits(now)) {
                actions.push(Action::Tell(process));
            }
        }
        for (nth, flight) in self.flights.iter().enumerate() {
            if !flight.is_answered() {
                actions.push(Action::Serve(nth));
            } else if self.can_land(flight) {
                actions.push(Action::Land(nth));
            }
        }
        for (id, operation) in &self.service.operations {
            if operation.result.is_some() && operation.told == 0 {
                actions.push(Action::Signal(*id));
            }
        }
    }

    /// What replicas do by the clock, and the classifier until it is answered.
    pub(super) fn routine(&self, actions: &mut Vec<Action>) {
        let now = self.model.now;
        let due = self.model.next_due().is_some_and(|due| due <= now);
        let told = self.model.outboxes.values();
        let told = told
            .filter_map(|outbox| outbox.wake_at)
            .any(|wake_at| wake_at <= now);
        for (process, replica) in self
            .processes
            .iter()
            .enumerate()
            .filter(|(_, replica)| !replica.down)
        {
            for (filing, answered) in self.answered.iter().enumerate() {
                if *answered == Answered::Nothing && !self.accepting(filing) {
                    actions.push(Action::Accept(filing, process));
                }
            }
            if due || replica.runner.is_none() && !self.calm {
                actions.push(Action::Claim(process));
            }
            if told && replica.turn.is_none() {
                actions.push(Action::TakeTicket(process));
            }
        }
    }

    fn accepting(&self, filing: usize) -> bool {
        let mut drives = self.processes.iter().flat_map(|process| &process.drives);
        drives.any(|drive| {
            use super::drive::Found;
            matches!(&drive.at, At::Accepting(_, of) | At::Found(Found::Accepted(_, of)) if *of == filing)
        })
    }

    fn news(&self, actions: &mut Vec<Action>) {
        for (process, replica) in self
            .processes
            .iter()
            .enumerate()
            .filter(|(_, replica)| !replica.down)
        {
            if replica.runner.is_some() {
                actions.push(Action::Beat(process));
            }
            for (nth, drive) in replica.drives.iter().enumerate() {
                if matches!(drive.at, At::Answering) {
                    actions.push(Action::Listen(process, nth));
                }
            }
        }
        for (id, operation) in &self.service.operations {
            match (&operation.result, operation.told) {
                (None, _) => actions.push(Action::Decide(*id)),
                (Some(_), 1 | 2) => actions.push(Action::Signal(*id)),
                _ => {}
            }
        }
        if !self.model.runners.is_empty() {
            actions.push(Action::LookAfterOthers);
        }
        if self.model.executions.values().any(|row| row.held) {
            actions.push(Action::WakeFree);
        }
        if self.jumps > 0 {
            actions.extend(JUMPS.map(Action::Pass));
        }
    }

    fn operations(&self, actions: &mut Vec<Action>) {
        if self.retrying.is_some() {
            actions.push(Action::Retry);
        }
        if self.operations == 0 {
            return;
        }
        for (id, row) in &self.model.executions {
            let verbs = [
                (Verb::Pause, row.ended_at.is_none() && !row.paused),
                (Verb::Resume, row.paused),
                (Verb::Cancel, row.ended_at.is_none() && row.cancelled.is_none()),
                (Verb::LookAt, row.runner.is_none() && self.retrying.is_none()),
            ];
            let possible = verbs.into_iter().filter(|(_, possible)| *possible);
            actions.extend(possible.map(|(verb, _)| Action::Operate(*id, verb)));
        }
        actions.push(Action::Switch(self.model.off.is_empty()));
    }

    fn troubles(&self, actions: &mut Vec<Action>) {
        for (process, replica) in self.processes.iter().enumerate() {
            if replica.down {
                actions.push(Action::Restart(process));
            } else if self.troubles > 0 {
                let crash = [Action::Crash(process, false), Action::Crash(process, true)];
                actions.extend(crash);
                actions.extend([Action::Stop(process), Action::BreakSession(process)]);
            }
        }
        if self.troubles > 0 {
            let out = self.flights.iter().enumerate();
            let out = out.filter(|(_, flight)| !flight.is_answered() && self.is_awaited(flight));
            actions.extend(out.map(|(nth, _)| Action::GiveUp(nth)));
            if self
                .model
                .executions
                .values()
                .any(|row| row.parked_since.is_some())
            {
                actions.push(Action::WakeParked);
            }
        }
    }

    /// It happens.
    pub(super) fn act(&mut self, action: Action) {
        self.pay(action);
        match action {
            Action::GoOn(process, nth) => {
                let drive = self.processes[process].drives.remove(nth);
                self.go_on(process, drive);
            }
            Action::Due(process, nth) => self.happens(process, nth, Event::TimerFired, None),
            Action::Late(process, nth) => self.tells_late(process, nth),
            Action::Listen(process, nth) => self.listen(process, nth),
            Action::Serve(nth) => self.serve(nth),
            Action::Land(nth) => self.land(nth),
            Action::GiveUp(nth) => self.give_up(nth),
            Action::Decide(operation) => self.decide(operation),
            Action::Signal(operation) => self.signal(operation),
            Action::Accept(filing, process) => self.accept(filing, process),
            Action::Claim(process) => self.claim(process),
            Action::Beat(process) => self.beat(process),
            Action::LookAfterOthers => {
                self.look_after_others();
            }
            Action::WakeFree => {
                self.model.wake_free();
            }
            Action::WakeParked => {
                let steps = self.model.steps.values();
                let actions = steps.filter_map(|step| step.action.clone()).collect();
                self.model.wake_parked(&actions);
            }
            Action::Tell(process) => self.tell(process),
            Action::TakeTicket(process) => self.take_ticket(process),
            Action::Operate(id, verb) => self.operate(id, verb),
            Action::Retry => self.retry(),
            Action::Switch(off) => self.switch(off),
            Action::Pass(time) => self.pass(time),
            Action::Crash(process, silently) => self.crash(process, silently),
            Action::Stop(process) => self.stop(process),
            Action::BreakSession(process) => self.break_session(process),
            Action::Restart(process) => self.restart(process),
        }
    }

    /// What happens rarely is counted.
    fn pay(&mut self, action: Action) {
        match action {
            Action::Operate(..) | Action::Switch(_) => self.operations -= 1,
            Action::Pass(_) if !self.calm => self.jumps -= 1,
            Action::Crash(..)
            | Action::Stop(_)
            | Action::BreakSession(_)
            | Action::GiveUp(_)
            | Action::WakeParked => self.troubles -= 1,
            _ => {}
        }
    }

    /// The clock goes on, and what is on its way arrives.
    pub(super) fn pass(&mut self, time: Duration) {
        self.say(|| format!("{time:?} pass"));
        self.model.now += time;
        self.desk.until(self.model.now);
    }
}
