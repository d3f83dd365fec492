//! A decision is handed to a replica, and what the classifier hears of it.

use playbook_lang::Moment;

use super::drive::{At, Drive, Found};
use super::process::short;
use super::{Answered, World};
use crate::drive::Course;
use crate::store::{Claimed, Entry, Take};

impl<'a> World<'a> {
    /// A decision is handed to a replica, which begins the execution at once where it is a runner.
    pub(super) fn accept(&mut self, filing: usize, process: usize) {
        let id = self.fresh();
        let (now, tenant) = (self.model.now, self.model.tenant.clone());
        let mut new = self.cast.execution(self.scene.filings[filing], id, &tenant, now);
        let playbook = self.cast.playbook(new.request.playbook.name.as_str());
        self.say(|| format!("replica {process} is asked to accept filing {filing} as {id}"));
        let runner = self.processes[process].runner;
        let stand = new.state.read().expect("it was written by us");
        let begun = runner.and_then(|runner| {
            let claimed = Claimed::new(&new, &tenant, runner);
            let course = Course::new(&claimed, playbook, &self.cast.rules, self.cast.note_after, stand);
            let begun = course.begin(Moment::at(now))?;
            Some((claimed.after(&begun), begun))
        });
        let Some((claimed, begun)) = begun else {
            let entry = Entry::New(Box::new(new));
            let found = self
                .model
                .commit(&[&entry], Take::default())
                .expect("it names no runner");
            let lost = self.pick_trouble(2) == 1;
            if !lost {
                self.accepted(filing, found.found[0].is_some());
            }
            return;
        };
        let claimed = self.arena.put(claimed);
        let stand = claimed.state.read().expect("it was written by us");
        new.begun = Some(begun);
        let drive = Drive {
            claimed,
            course: Course::new(claimed, playbook, &self.cast.rules, self.cast.note_after, stand),
            at: At::Accepting(Box::new(Entry::New(Box::new(new))), filing),
            seen: self.seen(claimed),
            version: 0,
        };
        self.processes[process].drives.push(drive);
    }

    /// What the classifier is told.
    pub(super) fn accepted(&mut self, filing: usize, inserted: bool) {
        let decision = self.scene.filings[filing].decision;
        let of_decision =
            |row: &&crate::sim::model::Execution| row.new.request.decision_id.0.as_u128() == decision;
        let found = self.model.executions.values().find(of_decision);
        self.answered[filing] = match found {
            Some(row) => Answered::Accepted(row.new.id),
            None if inserted => unreachable!("it was inserted"),
            None => Answered::Open,
        };
        let answered = self.answered[filing];
        self.say(|| format!("filing {filing} is answered: {answered:?}"));
    }

    pub(super) fn commit_new(
        &mut self,
        process: usize,
        drive: &mut Drive<'a>,
        entry: Entry,
        filing: usize,
    ) -> bool {
        let id = drive.claimed.id;
        let Ok(found) = self.model.commit(&[&entry], Take::default()) else {
            self.say(|| format!("replica {process} is no runner any more, and queues filing {filing}"));
            let Entry::New(mut new) = entry else { return false };
            new.begun = None;
            let found = self
                .model
                .commit(&[&Entry::New(new)], Take::default())
                .expect("it names no runner");
            self.accepted(filing, found.found[0].is_some());
            return false;
        };
        let (inserted, begun) = (
            found.found[0].is_some(),
            found.found[0].is_some_and(|written| written.kept),
        );
        drive.seen = self.seen(drive.claimed);
        if begun {
            self.ghosts.known.insert(id, 0);
            drive.version = self.written(drive);
        }
        self.say(|| format!("{} is committed, accepted: {inserted}, begun: {begun}", short(id)));
        match self.pick_trouble(2) {
            0 => drive.at = At::Found(Found::Accepted(inserted, filing)),
            _ => return self.lost(process, drive),
        }
        if !begun {
            self.accepted(filing, inserted);
        }
        begun
    }
}
