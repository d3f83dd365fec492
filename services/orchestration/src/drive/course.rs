//! The course of one execution in our hands: what happened and is not yet written, and what is needed next.
//!
//! Pure: it asks nobody, waits for nothing and looks at no clock. The driver performs what it needs and tells it what came
//! of it; the simulation (`sim`) does the same, with crashes in between.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use common::execution::ExecutionStatus;
use common::operate::SwitchedOff;
use common::{ExecutionId, Signal, StepCall, Switch};
use playbook_lang::{
    Call, Command, Event, Facts, IllegalEvent, Machine, Moment, Phase, Playbook, Record, Rules, State,
    Transition,
};
use serde_json::json;
use time::OffsetDateTime;

use super::Left;
use super::questions::{Question, Questions, open_calls};
use crate::chronicle::{Chronicle, Memory, Subject};
use crate::house;
use crate::store::{Arrival, Claimed, Handled, Hold, Stand, Standing, Write, Written};
use crate::untold::Untold;

/// What was known longer ago of who may stop an execution is looked up again before a call goes out.
pub(super) const FRESH: Duration = Duration::from_millis(250);

/// It can never go on: what is stored and the playbook do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(super) String);

impl From<IllegalEvent> for Broken {
    fn from(error: IllegalEvent) -> Self {
        Self(error.to_string())
    }
}

/// What a course needs before it can go on, and where to bring it.
#[derive(Debug)]
pub(crate) enum Need {
    /// To know which switch holds it: [`Course::told`].
    Switch,
    /// This committed: [`Course::wrote`].
    Write(Box<Write>),
    /// To know what came meanwhile: [`Course::learned`].
    News,
    /// The signals that nobody has looked at, and whether it was cancelled: [`Course::heard`].
    Signals,
    /// [`Course::ask`] asked, and the first answer or the time of [`Course::due`]: [`Course::happened`]; or the time of
    /// [`Course::tells_by`]: [`Course::told_late`]. Meanwhile whoever hears of an operator looks for news.
    Answer,
    /// Nothing more: a row waits, or it is over.
    Nothing(Left),
}

/// One execution in our hands.
pub(crate) struct Course<'a> {
    pub(super) claimed: &'a Claimed,
    pub(super) playbook: &'a Playbook,
    rules: &'a Rules,
    /// What keeps it for so long is told on the ticket.
    pub(super) note_after: Duration,
    /// The same at every claim: the same call again is the same to the byte.
    facts: Facts,
    pub(super) state: State,
    pub(super) status: ExecutionStatus,
    pub(super) memory: Memory,
    /// Whether steps may begin, and when we learned it.
    pub(super) standing: Standing,
    pub(super) learned: OffsetDateTime,
    /// It stood still when it was let go of last, or does, and that is on record.
    pub(super) held: bool,
    /// How many signals we know of.
    pub(super) signals: i64,
    /// Calls that services are asked for.
    pub(super) questions: Questions,
    /// Calls that we perform ourselves, in the transaction that records them.
    own: VecDeque<Call>,
    /// When something that waits is due; what was due once may still be among it.
    wakes: BTreeSet<OffsetDateTime>,
    /// What is not yet written.
    pub(super) chronicle: Chronicle,
    /// What is written with the state, and no outbox has.
    pub(super) untold: Untold,
    pub(super) handled: Vec<Handled>,
    /// When we were told the last thing, in the database's time.
    pub(super) moment: Moment,
}

impl<'a> Course<'a> {
    /// Nothing has happened yet.
    pub(crate) fn new(
        claimed: &'a Claimed,
        playbook: &'a Playbook,
        rules: &'a Rules,
        note_after: Duration,
        Stand { state, untold }: Stand,
    ) -> Self {
        Self {
            claimed,
            playbook,
            rules,
            note_after,
            facts: claimed.facts(),
            memory: Memory::of(claimed, &state),
            state,
            status: claimed.status,
            standing: claimed.standing,
            learned: claimed.now,
            held: claimed.held,
            signals: claimed.signals,
            questions: Questions::default(),
            own: VecDeque::new(),
            wakes: BTreeSet::new(),
            chronicle: Chronicle::default(),
            untold,
            handled: vec![],
            moment: Moment::at(claimed.now),
        }
    }

    /// The first call of an execution that is about to be accepted. `None` where it begins otherwise: then it is for
    /// whoever claims it.
    pub(crate) fn begin(mut self, moment: Moment) -> Option<Write> {
        match self.take_up(vec![], moment) {
            Ok(Need::Write(write)) if write.hold == Hold::Keep => Some(*write),
            _ => None,
        }
    }

    /// What one signal makes of an execution that nobody has in hand, and how it stands then. `None` where more is needed
    /// than to commit that.
    pub(crate) fn answer(mut self, mut arrival: Arrival, moment: Moment) -> Option<(Write, State)> {
        let Ok(Need::Write(mut write)) = self.take_up(vec![arrival.signal.clone()], moment) else {
            return None;
        };
        let [handled] = std::mem::take(&mut write.handled)[..] else {
            return None;
        };
        arrival.applied = handled.applied;
        write.audit.insert(0, arrival.event(self.about()));
        write.arrival = Some(Box::new(arrival));
        Some((*write, self.state))
    }

    /// Take it up, whether we were there before or not, with the signals that nobody has looked at. Only while no question
    /// is in our hands: one whose time is up would be asked again.
    pub(crate) fn take_up(&mut self, unheard: Vec<Signal>, moment: Moment) -> Result<Need, Broken> {
        self.moment = moment;
        // Whatever held it is over, and so is what was said of that: what keeps it next is told anew.
        if !self.standing.is_still() {
            self.is_let_go();
        }
        self.hear_all(unheard, self.claimed.cancelled.clone())?;
        let early = self.state.due_at().is_some_and(|due| due > self.now());
        self.turn(Event::Claimed, None)?;
        // Woken before its time: the outside is back, or a signal came for another branch and the breaker decides.
        if early && self.memory.parked_since.is_some() {
            self.turn(Event::OutsideBack, None)?;
        }
        self.go_on()?;
        self.put_down()
    }

    /// This switch is off; none where it is on again.
    pub(crate) fn told(
        &mut self,
        off: Option<(Switch, SwitchedOff)>,
        moment: Moment,
    ) -> Result<Need, Broken> {
        self.moment = moment;
        if let Some((switch, off)) = off {
            self.tell_of(switch, off);
        }
        self.written_or_known()
    }

    /// It was committed, and this was found.
    pub(crate) fn wrote(&mut self, written: Written, moment: Moment) -> Result<Need, Broken> {
        self.moment = moment;
        if !written.kept {
            return Ok(self.wait());
        }
        let moved = self.stand(written.standing)?;
        // First of all: what lets it go on may be a cancellation, which ends a pause.
        if written.signals > self.signals {
            return Ok(self.look_at(written.signals));
        }
        if moved { self.put_down() } else { Ok(self.wait()) }
    }

    /// So many signals ever came, and so it stands.
    pub(crate) fn learned(
        &mut self,
        signals: i64,
        standing: Standing,
        moment: Moment,
    ) -> Result<Need, Broken> {
        self.moment = moment;
        self.stand(standing)?;
        if signals > self.signals {
            return Ok(self.look_at(signals));
        }
        self.put_down()
    }

    /// These signals came, and an operator wants it to end, or does not.
    pub(crate) fn heard(
        &mut self,
        unheard: Vec<Signal>,
        cancelled: Option<String>,
        moment: Moment,
    ) -> Result<Need, Broken> {
        self.moment = moment;
        self.hear_all(unheard, cancelled)?;
        self.go_on()?;
        self.put_down()
    }

    /// This happened. `call` is the one that it answers.
    pub(crate) fn happened(
        &mut self,
        event: Event,
        call: Option<&StepCall>,
        moment: Moment,
    ) -> Result<Need, Broken> {
        self.moment = moment;
        if let Some(call) = call {
            self.questions.answered(call);
        }
        self.turn(event, call)?;
        self.go_on()?;
        self.put_down()
    }

    /// What is to be asked now, once.
    pub(crate) fn ask(&mut self) -> Vec<Question> {
        self.questions.ask()
    }

    /// The questions that are out and awaited.
    pub(crate) fn out(&self) -> &[StepCall] {
        self.questions.out()
    }

    /// When something that waits is due while questions are out.
    pub(crate) fn due(&self) -> Option<OffsetDateTime> {
        self.wakes.first().copied()
    }

    /// When the ticket is told what happened so far, while questions are out.
    pub(crate) fn tells_by(&self) -> Option<OffsetDateTime> {
        self.untold.due_at()
    }

    /// It is time to tell the ticket.
    pub(crate) fn told_late(&mut self, moment: Moment) -> Result<Need, Broken> {
        self.moment = moment;
        self.written_or_known()
    }

    /// Which execution it is.
    pub(crate) fn execution(&self) -> ExecutionId {
        self.claimed.id
    }

    /// As it stands; ahead of what is stored while something is to be written.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.moment.now
    }

    pub(super) fn about(&self) -> Subject<'a> {
        Subject {
            playbook: self.playbook,
            execution: self.claimed.id,
            ticket: &self.claimed.ticket,
            note_after: self.note_after,
        }
    }

    /// Do what we do ourselves, and begin what is ready, until somebody else must act, or time pass.
    pub(super) fn go_on(&mut self) -> Result<(), Broken> {
        let mut taken_up = false;
        loop {
            self.questions.keep_open(self.state.phase());
            let mut open = Vec::new();
            open_calls(self.state.phase(), &mut open);
            self.own.retain(|call| open.contains(&&call.call));
            if let Some(call) = self.own.pop_front() {
                self.perform(&call)?;
                taken_up = false;
                continue;
            }
            let ready = matches!(self.state.phase(), Phase::Ready { .. }) && !self.standing.is_still();
            if self.over() || !ready && (!self.questions.is_empty() || self.waits()) {
                return Ok(());
            }
            if taken_up {
                let phase = self.state.phase().name();
                return Err(Broken(format!("nothing to do while {phase}")));
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

    pub(super) fn machine(&self) -> Machine<'_> {
        let machine = Machine::new(self.playbook, self.rules, &self.facts);
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
    fn perform(&mut self, call: &Call) -> Result<(), Broken> {
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
        let moment = self.moment;
        let Transition {
            state,
            commands,
            story,
        } = self.machine().apply(self.state.clone(), event, moment)?;
        self.state = state;
        for record in story {
            count(&record);
            self.chronicle
                .add(self.about(), &mut self.memory, record, moment.now);
        }
        for command in commands {
            match command {
                Command::Call(call) if house::performs(&call.action) => self.own.push_back(*call),
                Command::Call(call) => self.questions.take(Question::Call(call)),
                Command::AskOperation {
                    call,
                    action,
                    operation,
                } => self.questions.take(Question::Operation(call, action, operation)),
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
}

fn count(record: &Record) {
    let (event, outcome) = match record {
        Record::Began { .. } => ("begun", String::new()),
        Record::Asked { .. } => ("asked", String::new()),
        Record::Parked { .. } => ("parked", String::new()),
        Record::Renewed { .. } => ("renewed", String::new()),
        Record::Pausing { .. } => ("pausing", String::new()),
        Record::Dropped { .. } => ("dropped", String::new()),
        Record::Unanswered { .. } => ("unanswered", String::new()),
        Record::Retrying { outcome, .. } => ("failed", outcome.to_string()),
        Record::Finished { outcome, .. } => ("ended", outcome.to_string()),
        Record::Reached { .. } => return,
    };
    metrics::counter!("firstline_steps_total", "event" => event, "outcome" => outcome).increment(1);
}
