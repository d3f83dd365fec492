//! One execution in our hands: what happened and is not yet written, and what is to be done next.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use common::execution::ExecutionStatus;
use common::{Ending, Signal, StepCall};
use playbook_lang::{
    Call, Command, Event, Facts, IllegalEvent, Machine, Moment, Phase, Playbook, Record, State, Transition,
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::hands::{Hands, Question, open_calls};
use super::{Driver, Left, Stopped};
use crate::ask::OnBehalf;
use crate::chronicle::{Chronicle, Memory, Subject};
use crate::house;
use crate::store::{Claimed, Handled, Hold, Standing, Write, Written};

/// While one branch is at work and another waits for somebody, their answer is looked for this often. An execution whose
/// branches all wait is let go instead, and a signal wakes it at once.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// What was known longer ago of who may stop an execution is looked up again before a call goes out.
const FRESH: Duration = Duration::from_millis(250);

/// Something happened to the execution.
#[derive(Debug)]
pub(super) struct Happened {
    event: Event,
    /// The call that it answers.
    call: Option<StepCall>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// This.
    Happened(Happened),
    /// Time to look for signals, and for what operators did.
    News,
    /// It waits, or is over: nothing more for us to do.
    Nothing,
}

/// One execution in our hands.
pub(super) struct Run<'a> {
    pub(super) driver: &'a Driver,
    pub(super) claimed: &'a Claimed,
    pub(super) playbook: &'a Playbook,
    whose: &'a OnBehalf,
    /// The same at every claim: the same call again is the same to the byte.
    facts: Facts,
    pub(super) state: State,
    status: ExecutionStatus,
    pub(super) memory: Memory,
    /// Whether steps may begin, and when we learned it.
    pub(super) standing: Standing,
    pub(super) learned: Instant,
    bell: watch::Receiver<()>,
    /// How many signals we know of.
    pub(super) signals: i64,
    /// Calls that services are asked for.
    pub(super) hands: Hands<'a>,
    /// Calls that we perform ourselves, in the transaction that records them.
    own: VecDeque<Call>,
    /// When something that waits is due; what was due once may still be among it.
    wakes: BTreeSet<OffsetDateTime>,
    /// What is not yet written.
    pub(super) chronicle: Chronicle,
    handled: Vec<Handled>,
    since_claim: Instant,
}

impl<'a> Run<'a> {
    /// Nothing has happened yet.
    pub(super) fn new(
        driver: &'a Driver,
        claimed: &'a Claimed,
        playbook: &'a Playbook,
        whose: &'a OnBehalf,
        state: State,
    ) -> Self {
        Self {
            driver,
            claimed,
            playbook,
            whose,
            facts: claimed.facts(),
            memory: Memory::of(claimed, &state),
            state,
            status: claimed.status,
            standing: claimed.standing,
            learned: Instant::now(),
            bell: driver.bell.clone(),
            signals: claimed.signals,
            hands: Hands::default(),
            own: VecDeque::new(),
            wakes: BTreeSet::new(),
            chronicle: Chronicle::default(),
            handled: vec![],
            since_claim: Instant::now(),
        }
    }

    /// The database's time, whatever our own clock says.
    pub(super) fn now(&self) -> OffsetDateTime {
        self.claimed.now + self.since_claim.elapsed()
    }

    pub(super) fn about(&self) -> Subject<'a> {
        Subject {
            playbook: self.playbook,
            execution: self.claimed.id,
            ticket: &self.claimed.ticket,
        }
    }

    /// Apply what came in from outside. A signal that means nothing is recorded and changes nothing.
    pub(super) fn hear(&mut self, signals: Vec<Signal>) {
        for Signal {
            operation,
            step,
            result,
            ..
        } in signals
        {
            let before = self.state.clone();
            let event = Event::Signalled {
                call: step.clone(),
                operation,
                result,
            };
            let applied = match self.turn(event, None) {
                Ok(()) => self.state != before,
                Err(error) => {
                    tracing::warn!(%error, "a signal belongs to nothing in this execution");
                    false
                }
            };
            if !applied {
                let detail = json!({"operation": operation, "step": step});
                self.chronicle
                    .audit
                    .push(self.about().event("signal.late", detail));
            }
            self.handled.push(Handled { operation, applied });
        }
    }

    /// Apply what happened, and go on.
    pub(super) fn apply(&mut self, Happened { event, call }: Happened) -> Result<(), Stopped> {
        self.turn(event, call.as_ref())?;
        self.go_on()
    }

    /// Find out what is to be done, whether we were there before or not. Only while no call is in our hands: a call whose
    /// time is up would be made again.
    pub(super) fn take_up(&mut self) -> Result<(), Stopped> {
        let early = self.state.due_at().is_some_and(|due| due > self.now());
        self.turn(Event::Claimed, None)?;
        // Woken before its time: the outside is back, or a signal came for another branch and the breaker decides.
        if early && self.memory.parked_since.is_some() {
            self.turn(Event::OutsideBack, None)?;
        }
        self.go_on()
    }

    /// Do what we do ourselves, and begin what is ready, until somebody else must act, or time pass.
    pub(super) fn go_on(&mut self) -> Result<(), Stopped> {
        let mut taken_up = false;
        loop {
            self.hands.keep_open(self.state.phase());
            let mut open = Vec::new();
            open_calls(self.state.phase(), &mut open);
            self.own.retain(|call| open.contains(&&call.call));
            if let Some(call) = self.own.pop_front() {
                self.perform(&call)?;
                taken_up = false;
                continue;
            }
            let ready = matches!(self.state.phase(), Phase::Ready { .. }) && !self.standing.is_still();
            if self.over() || !ready && (!self.hands.is_empty() || self.waits()) {
                return Ok(());
            }
            if taken_up {
                let phase = self.state.phase().name();
                return Err(Stopped::Broken(format!("nothing to do while {phase}")));
            }
            self.turn(Event::Claimed, None)?;
            taken_up = true;
        }
    }

    pub(super) fn over(&self) -> bool {
        matches!(self.state.phase(), Phase::Ended { .. })
    }

    /// Only time, or somebody's answer, moves it.
    fn waits(&self) -> bool {
        self.due_at().is_some_and(|due| due > self.state.started_at())
    }

    fn machine(&self) -> Machine<'_> {
        let machine = Machine::new(self.playbook, &self.driver.rules, &self.facts);
        if self.standing.is_still() {
            machine.standing_still()
        } else {
            machine
        }
    }

    pub(super) fn due_at(&self) -> Option<OffsetDateTime> {
        self.machine().due_at(&self.state)
    }

    /// A call of an action of the house: done with the commit that records it.
    fn perform(&mut self, call: &Call) -> Result<(), Stopped> {
        let (event, update) = house::perform(self.about(), call);
        self.chronicle.updates.extend(update);
        self.turn(event, None)?;
        Ok(())
    }

    /// One transition of the machine. `call` is the one that the event answers, where we know it.
    pub(super) fn turn(&mut self, event: Event, call: Option<&StepCall>) -> Result<(), IllegalEvent> {
        self.note_promise(&event, call);
        if matches!(event, Event::Claimed | Event::TimerFired | Event::LetGo) {
            // Whatever waits says again until when.
            self.wakes.clear();
        }
        let now = self.now();
        let moment = Moment {
            now,
            chance: rand::random(),
        };
        let Transition {
            state,
            commands,
            story,
        } = self.machine().apply(self.state.clone(), event, moment)?;
        self.state = state;
        for record in story {
            count(&record);
            self.chronicle.add(self.about(), &mut self.memory, record, now);
        }
        for command in commands {
            match command {
                Command::Call(call) if house::performs(&call.action) => self.own.push_back(*call),
                Command::Call(call) => self.hands.take(Question::Call(call)),
                Command::AskOperation {
                    call,
                    action,
                    operation,
                } => self.hands.take(Question::Operation(call, action, operation)),
                Command::WakeAt(at) => {
                    self.wakes.insert(at);
                }
                Command::Ended(_) => {}
            }
        }
        Ok(())
    }

    /// An outcome that the action never declared is a failure to the machine; here it is put on record.
    fn note_promise(&mut self, event: &Event, answered: Option<&StepCall>) {
        let (call, result) = match event {
            Event::Answered { call, result } | Event::Signalled { call, result, .. } => (Some(call), result),
            Event::OperationSeen {
                result: Some(result), ..
            } => (answered, result),
            _ => return,
        };
        let Some(call) = call.cloned() else { return };
        let action = self.playbook.step(&call.id).and_then(|step| step.action());
        if action.is_some_and(|action| !action.action.answers(&result.outcome)) {
            let detail = json!({"step": call, "outcome": result.outcome});
            self.chronicle
                .audit
                .push(self.about().event("step.outcome_undeclared", detail));
        }
    }

    /// Commit what happened since the last time, under the fence.
    pub(super) async fn write(&mut self) -> Result<Written, Stopped> {
        let hold = self.hold();
        let news =
            !self.chronicle.is_empty() || self.status != self.state.status() || !self.handled.is_empty();
        if hold == Hold::Keep && !news {
            // The same call again: what is stored already says so.
            return self.look_again().await;
        }
        let ending = self.chronicle.ending.clone();
        let write = self.written()?;
        let now = write.now;
        let written = self.driver.committer.write(write).await?;
        if let Some(ending) = &ending {
            self.say_ended(ending, now);
        }
        Ok(written)
    }

    /// Nothing is to be written, so no commit says what came meanwhile.
    async fn look_again(&mut self) -> Result<Written, Stopped> {
        let (signals, standing) = if self.learned.elapsed() < FRESH {
            (self.signals, self.standing)
        } else {
            self.driver.store.news(self.claimed.id).await?
        };
        Ok(Written {
            signals,
            kept: true,
            standing,
        })
    }

    /// What happened since the last time, taken to be committed.
    pub(super) fn written(&mut self) -> Result<Write, Stopped> {
        let (hold, now) = (self.hold(), self.now());
        let status = self.state.status();
        let mut chronicle = std::mem::take(&mut self.chronicle);
        chronicle.status(self.status, status);
        let state = serde_json::to_value(&self.state)
            .map_err(|error| Stopped::Broken(format!("the state cannot be stored: {error}")))?;
        let reason = match self.state.phase() {
            Phase::Ended {
                ending: Ending::Escalated { reason },
                ..
            } => Some(reason.clone()),
            _ => None,
        };
        self.status = status;
        Ok(Write {
            execution: self.claimed.id,
            ticket: self.claimed.ticket.clone(),
            runner: self.claimed.runner,
            fence: self.claimed.fence,
            state,
            status,
            reason,
            parked_since: self.memory.parked_since,
            parked_told: self.memory.parked_told,
            hold,
            held: self.standing.is_still() && hold != Hold::Ended,
            signals: self.signals,
            steps: chronicle.steps,
            renumbered: chronicle.renumbered,
            cut_off: chronicle.cut_off,
            handled: std::mem::take(&mut self.handled),
            audit: chronicle.audit,
            updates: chronicle.updates,
            now,
        })
    }

    fn say_ended(&self, ending: &Ending, now: OffsetDateTime) {
        let word = match ending {
            Ending::Resolved => "resolved",
            Ending::Escalated { .. } => "escalated",
        };
        let playbook = self.playbook.name().to_string();
        metrics::counter!("firstline_executions_ended_total", "ending" => word, "playbook" => playbook)
            .increment(1);
        let took = now - self.state.started_at();
        tracing::info!(
            ending = word,
            took_s = took.as_seconds_f64(),
            "the execution ended"
        );
    }

    /// Whether the execution stays with us: while a call is out, and nothing else.
    fn hold(&self) -> Hold {
        if self.over() {
            Hold::Ended
        } else if self.hands.is_empty() {
            Hold::Until(self.wakes_at().unwrap_or_else(|| self.now()))
        } else {
            Hold::Keep
        }
    }

    /// How it is left.
    pub(super) fn left(&self) -> Left {
        match self.hold() {
            Hold::Until(_) => Left::Waiting,
            Hold::Keep | Hold::Ended => Left::Otherwise,
        }
    }

    /// Make the calls that are to be made, and wait for the first thing that happens.
    pub(super) async fn next(&mut self) -> Next {
        if self.over() || self.hands.is_empty() {
            return Next::Nothing;
        }
        let now = self.now();
        self.hands.begin(self.driver, self.whose, now);
        let due = self
            .wakes
            .first()
            .map(|due| Duration::try_from(*due - now).unwrap_or_default());
        let listening = due.map(|_| LISTEN_EVERY);
        tokio::select! {
            biased;
            // Given up at shutdown: the state says that the calls are out, and the next runner makes the same ones.
            () = self.driver.abandon.cancelled() => Next::Nothing,
            answer = self.hands.answer() => answer.map_or(Next::Nothing, |(call, event)| {
                Next::Happened(Happened { event, call: Some(call) })
            }),
            () = pass(due) => Next::Happened(Happened { event: Event::TimerFired, call: None }),
            Ok(()) = self.bell.changed() => Next::News,
            () = pass(listening) => Next::News,
        }
    }
}

/// Let time pass; without end where none is said.
async fn pass(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

fn count(record: &Record) {
    let (event, outcome) = match record {
        Record::Began { .. } => ("begun", String::new()),
        Record::Asked { .. } => ("asked", String::new()),
        Record::Parked { .. } => ("parked", String::new()),
        Record::Renewed { .. } => ("renewed", String::new()),
        Record::Pausing { .. } => ("pausing", String::new()),
        Record::Dropped { .. } => ("dropped", String::new()),
        Record::Retrying { outcome, .. } => ("failed", outcome.to_string()),
        Record::Finished { outcome, .. } => ("ended", outcome.to_string()),
        Record::Reached { .. } => return,
    };
    metrics::counter!("firstline_steps_total", "event" => event, "outcome" => outcome).increment(1);
}
