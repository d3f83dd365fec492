//! One execution in the hands of a replica: what its course needs, and what comes of it, in two actions each, so that
//! anything may happen in between.

use common::{ExecutionId, Signal, StepCall};
use playbook_lang::{Event, Moment};

use super::process::short;
use super::service::{Flight, SERVICE};
use super::{World, sender};
use crate::drive::{Course, Need, Question};
use crate::sim::invariants;
use crate::store::{Arrival, Claimed, Entry, Hold, Standing, Take, Write, Written};

/// Takes a step back: what is cancelled may still do so.
const UNDOES: &str = "cmdb.unfix";

/// An execution in somebody's hands.
pub(super) struct Drive<'a> {
    pub(super) claimed: &'a Claimed,
    pub(super) course: Course<'a>,
    pub(super) at: At,
    /// How it stood when the database last answered.
    pub(super) seen: Seen,
    /// The version of the state that it goes on from.
    pub(super) version: u64,
}

/// How an execution stood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    standing: Standing,
    cancelled: bool,
}

/// Where it stands between two actions.
#[derive(Debug)]
pub(super) enum At {
    /// It is about to be accepted, for a filing.
    Accepting(Box<Entry>, usize),
    /// A signal is to be committed with what comes of it.
    Heard(Box<Write>),
    /// Its signals are to be read.
    Claimed,
    /// Its course needs this.
    Needs(Need),
    /// And this was found.
    Found(Found),
    /// Questions are out.
    Answering,
}

/// What the database answered and nobody has heard yet.
#[derive(Debug)]
pub(super) enum Found {
    Unheard(Vec<Signal>),
    Wrote(Written),
    News(i64, Standing),
    Signals(Vec<Signal>, Option<String>),
    Accepted(bool, usize),
}

/// Names a call of an execution.
pub(in super::super) fn key_of(call: &StepCall) -> String {
    format!("{}/{}/{}", call.id, call.visit, call.attempt)
}

impl<'a> World<'a> {
    /// A claimed execution in our hands.
    pub(super) fn drive(&mut self, claimed: Claimed) -> Drive<'a> {
        let claimed = self.arena.put(claimed);
        let row = &self.model.executions[&claimed.id];
        let playbook = self.cast.playbook(row.new.request.playbook.name.as_str());
        let stand = claimed.state.read().expect("it was stored by us");
        Drive {
            claimed,
            course: Course::new(claimed, playbook, &self.cast.rules, self.cast.note_after, stand),
            at: At::Claimed,
            seen: self.seen(claimed),
            version: self.version(claimed),
        }
    }

    fn version(&self, claimed: &Claimed) -> u64 {
        self.ghosts.versions.get(&claimed.id).copied().unwrap_or_default()
    }

    pub(super) fn seen(&self, claimed: &Claimed) -> Seen {
        let row = self.model.executions.get(&claimed.id);
        Seen {
            standing: self.model.stands(claimed.id),
            cancelled: row.is_some_and(|row| row.cancelled.is_some()),
        }
    }

    fn moment(&self) -> Moment {
        Moment::at(self.model.now)
    }

    /// One action of a drive.
    pub(super) fn go_on(&mut self, process: usize, mut drive: Drive<'a>) {
        let at = std::mem::replace(&mut drive.at, At::Answering);
        let kept = match at {
            At::Accepting(entry, filing) => self.commit_new(process, &mut drive, *entry, filing),
            At::Heard(write) => self.commit_heard(process, &mut drive, &write),
            At::Claimed => {
                let unheard = if drive.claimed.signals > 0 {
                    self.model.unheard(drive.claimed.id)
                } else {
                    vec![]
                };
                drive.at = At::Found(Found::Unheard(unheard));
                true
            }
            At::Needs(need) => self.perform(process, &mut drive, need),
            At::Found(found) => self.bring(process, &mut drive, found),
            At::Answering => true,
        };
        if kept {
            self.processes[process].drives.push(drive);
        }
    }

    /// What a signal makes of an execution that nobody has in hand, about to be committed by a replica.
    pub(super) fn hears(&mut self, process: usize, execution: ExecutionId, signal: &Signal) -> bool {
        let Some(runner) = self.processes[process].runner else {
            return false;
        };
        let Some(claimed) = self.model.waiting(execution, signal, SERVICE, runner) else {
            return false;
        };
        let arrival = Arrival {
            signal: signal.clone(),
            sender: SERVICE.to_owned(),
            at: self.model.now,
            applied: false,
        };
        let mut drive = self.drive(claimed);
        let fresh = self.drive(drive.claimed.clone()).course;
        let Some((write, _)) = std::mem::replace(&mut drive.course, fresh).answer(arrival, self.moment())
        else {
            return false;
        };
        drive.at = At::Heard(Box::new(write));
        self.processes[process].drives.push(drive);
        true
    }

    fn commit_heard(&mut self, process: usize, drive: &mut Drive<'a>, write: &Write) -> bool {
        let Some(written) = self.commit(process, drive, write) else {
            // Something came first, or the service heard nothing and tells it again.
            if let Some(arrival) = &write.arrival {
                let _ = self
                    .model
                    .hear(write.execution, &arrival.signal, &arrival.sender, None);
            }
            return false;
        };
        if !written.kept {
            return false;
        }
        self.ghosts.known.insert(write.execution, write.signals);
        let claimed = Claimed {
            standing: written.standing,
            ..drive.claimed.clone().after(write)
        };
        *drive = self.drive(claimed);
        true
    }

    pub(super) fn lost(&mut self, process: usize, drive: &Drive<'a>) -> bool {
        let id = short(drive.claimed.id);
        self.say(|| format!("replica {process} hears nothing of {id} and lets it drop"));
        false
    }

    /// The state was written by this drive.
    pub(super) fn written(&mut self, drive: &Drive<'a>) -> u64 {
        let version = self.ghosts.versions.entry(drive.claimed.id).or_default();
        *version += 1;
        *version
    }

    /// What the course needs of the database.
    fn perform(&mut self, process: usize, drive: &mut Drive<'a>, need: Need) -> bool {
        let id = drive.claimed.id;
        let found = match need {
            Need::Answer => {
                self.ask(process, drive);
                return true;
            }
            Need::Nothing(left) => {
                self.say(|| format!("replica {process} lets go of {}: {left:?}", short(id)));
                return false;
            }
            // Which switch it is concerns the ticket alone.
            Need::Switch => return self.course(process, drive, |course, moment| course.told(None, moment)),
            Need::Write(write) => match self.commit(process, drive, &write) {
                Some(written) => Found::Wrote(written),
                None => return false,
            },
            Need::News => {
                let (signals, standing) = self.model.news(id);
                Found::News(signals, standing)
            }
            Need::Signals => Found::Signals(self.model.unheard(id), self.model.cancelled(id)),
        };
        drive.seen = self.seen(drive.claimed);
        drive.at = At::Found(found);
        true
    }

    fn commit(&mut self, process: usize, drive: &mut Drive<'a>, write: &Write) -> Option<Written> {
        let id = write.execution;
        let trouble = self.pick_trouble(3);
        if trouble == 1 {
            self.say(|| format!("replica {process} cannot commit {}", short(id)));
            return None;
        }
        let entry = Entry::Step(Box::new(write.clone()));
        let found = match self.model.commit(&[&entry], self.takes(process)) {
            Ok(found) => found,
            Err(refused) => {
                self.say(|| {
                    format!(
                        "the database refuses {} of replica {process}: {refused:?}",
                        short(id)
                    )
                });
                return None;
            }
        };
        let (written, mut taken) = (found.found[0], found.taken);
        self.say(|| {
            let status = write.status.as_str();
            format!(
                "replica {process} commits {}: {status}, {:?}: {written:?}",
                short(id),
                write.hold
            )
        });
        if written.is_some() {
            if self.version(drive.claimed) != drive.version {
                self.violated(invariants::OVERSLEPT, || {
                    format!(
                        "{} was written by who had not seen what was written before",
                        short(id)
                    )
                });
            }
            drive.version = self.written(drive);
            if write.hold != Hold::Keep {
                self.ghosts.known.insert(id, write.signals);
            }
        }
        if trouble == 2 {
            self.lost(process, drive);
            return None;
        }
        if let Some(taken) = taken.pop() {
            self.take_in_hand(process, taken);
        }
        written
    }

    /// Whoever ends an execution tells its ticket at once, where it has a hand free.
    fn takes(&self, process: usize) -> Take {
        Take {
            most: usize::from(self.processes[process].turn.is_none()),
            lease: sender::LEASE,
        }
    }

    /// What was found is brought to the course.
    fn bring(&mut self, process: usize, drive: &mut Drive<'a>, found: Found) -> bool {
        match found {
            Found::Accepted(inserted, filing) => {
                self.accepted(filing, inserted);
                drive.at = At::Claimed;
                true
            }
            Found::Unheard(unheard) => {
                self.course(process, drive, |course, moment| course.take_up(unheard, moment))
            }
            Found::Wrote(written) => {
                self.course(process, drive, |course, moment| course.wrote(written, moment))
            }
            Found::News(signals, standing) => self.course(process, drive, |course, moment| {
                course.learned(signals, standing, moment)
            }),
            Found::Signals(unheard, cancelled) => self.course(process, drive, |course, moment| {
                course.heard(unheard, cancelled, moment)
            }),
        }
    }

    fn course(
        &mut self,
        process: usize,
        drive: &mut Drive<'a>,
        goes_on: impl FnOnce(&mut Course<'a>, Moment) -> Result<Need, crate::drive::Broken>,
    ) -> bool {
        match goes_on(&mut drive.course, self.moment()) {
            Ok(need) => {
                drive.at = At::Needs(need);
                true
            }
            Err(broken) => {
                let id = short(drive.claimed.id);
                self.violated(invariants::NEVER_BROKEN, || {
                    format!("{id} on replica {process}: {broken}")
                });
                false
            }
        }
    }

    /// Its questions go out.
    fn ask(&mut self, process: usize, drive: &mut Drive<'a>) {
        for question in drive.course.ask() {
            let (id, key) = (drive.claimed.id, key_of(question.call()));
            self.say(|| format!("replica {process} asks {key} of {}", short(id)));
            if let Question::Call(call) = &question {
                if drive.seen.standing.is_still() {
                    self.violated(invariants::STANDS_STILL, || {
                        format!("{key} went out while {:?}", drive.seen.standing)
                    });
                }
                if drive.seen.cancelled && call.action.as_str() != UNDOES {
                    self.violated(invariants::CANCELLED, || format!("{key} went out"));
                }
            }
            let flight = Flight::new(process, id, drive.claimed.fence, question);
            self.flights.push(flight);
        }
        drive.at = At::Answering;
    }

    /// Something happened to an execution whose questions are out.
    pub(super) fn happens(&mut self, process: usize, nth: usize, event: Event, call: Option<&StepCall>) {
        let mut drive = self.processes[process].drives.remove(nth);
        let (id, name) = (short(drive.claimed.id), event.name());
        self.say(|| format!("replica {process} hears for {id}: {name}"));
        if self.course(process, &mut drive, |course, moment| {
            course.happened(event, call, moment)
        }) {
            self.processes[process].drives.push(drive);
        }
    }

    /// Its ticket is told what happened so far, though questions are out.
    pub(super) fn tells_late(&mut self, process: usize, nth: usize) {
        let mut drive = self.processes[process].drives.remove(nth);
        self.say(|| {
            format!(
                "replica {process} tells the ticket of {}",
                short(drive.claimed.id)
            )
        });
        if self.course(process, &mut drive, Course::told_late) {
            self.processes[process].drives.push(drive);
        }
    }

    /// An operator rang, or a second has passed: it looks for news.
    pub(super) fn listen(&mut self, process: usize, nth: usize) {
        self.processes[process].drives[nth].at = At::Needs(Need::News);
    }
}
