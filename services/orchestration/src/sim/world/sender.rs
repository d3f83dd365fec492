//! A sender with a ticket in its hands. What is told together, and in which order, is the outbox's own plan.

use std::collections::VecDeque;
use std::time::Duration;

use common::{Ending, ExecutionId};
use time::OffsetDateTime;

use super::World;
use crate::outbox::plan::{Dispatch, Note, Stories, plan};
use crate::sim::guard::Guard;
use crate::sim::model::outbox::Taken;
use crate::store::{Closing, Left, Settled, Then};
use crate::story::Story;
use crate::update::{Due, Marker, Update};

/// As the outbox has them: its lease, how long one call may take, and how soon a lost note is looked for.
pub(super) const LEASE: Duration = Duration::from_secs(30);
const LONGEST_TELLING: Duration = Duration::from_secs(20);
const BEFORE_LOOKING: Duration = Duration::from_secs(3);
/// A slow help desk.
const SLOW: Duration = Duration::from_secs(15);
/// A note whose answer was lost, on its way.
const LATE: Duration = Duration::from_secs(2);

/// A ticket in the hands of a replica.
#[derive(Debug)]
pub(super) struct Turn {
    taken: Taken,
    at: At,
    /// What stands on the ticket, where it was looked.
    standing: Option<Vec<String>>,
    settled: Vec<(i64, Settled)>,
}

#[derive(Debug)]
enum At {
    LookUp,
    Tell(VecDeque<Dispatch>),
    /// A note is on its way.
    Telling(OffsetDateTime, Vec<i64>, VecDeque<Dispatch>),
    Close(Then),
    Closed(Option<Left>),
}

impl Turn {
    const fn new(taken: Taken) -> Self {
        Self {
            taken,
            at: At::LookUp,
            standing: None,
            settled: vec![],
        }
    }

    /// Whether anything is to be done before `now`.
    pub(super) fn waits(&self, now: OffsetDateTime) -> bool {
        matches!(&self.at, At::Telling(lands, ..) if *lands > now)
    }
}

impl World<'_> {
    /// Take a ticket that is due.
    pub(super) fn take_ticket(&mut self, process: usize) {
        let mut taken = self.model.claim_tickets(1, LEASE);
        let Some(taken) = taken.pop() else { return };
        let lost = self.pick_trouble(2) == 1;
        self.say(|| {
            format!(
                "replica {process} takes ticket {}, lost: {lost}, in doubt: {}",
                taken.ticket, taken.doubt
            )
        });
        if !lost {
            self.processes[process].turn = Some(Turn::new(taken));
        }
    }

    /// A ticket was taken by the commit that has news for it.
    pub(super) fn take_in_hand(&mut self, process: usize, taken: Taken) {
        self.say(|| format!("replica {process} has ticket {} in hand", taken.ticket));
        self.processes[process].turn = Some(Turn::new(taken));
    }

    /// One action of a sender.
    pub(super) fn tell(&mut self, process: usize) {
        let Some(mut turn) = self.processes[process].turn.take() else {
            return;
        };
        let at = std::mem::replace(&mut turn.at, At::LookUp);
        let kept = match at {
            At::LookUp => self.look_up(&mut turn),
            At::Tell(mut dispatches) => {
                if let Some(dispatch) = dispatches.pop_front() {
                    self.dispatch(process, &mut turn, dispatch, dispatches)
                } else {
                    turn.at = At::Close(Then::Rest);
                    true
                }
            }
            At::Telling(_, covers, dispatches) => {
                turn.settled
                    .extend(covers.iter().map(|position| (*position, Settled::Sent)));
                turn.at = At::Tell(dispatches);
                true
            }
            At::Close(then) => self.close(process, &mut turn, then),
            At::Closed(Some(Left::Kept(enqueued))) => {
                turn.taken.enqueued = enqueued;
                // Looked once, and everything since was heard of.
                (turn.taken.doubt, turn.standing) = (false, None);
                true
            }
            At::Closed(_) => false,
        };
        if kept {
            self.processes[process].turn = Some(turn);
        }
    }

    /// Before a call of the help desk: the ticket is ours for longer than it can take. `false`: it is not ours.
    fn reach(&mut self, turn: &mut Turn) -> bool {
        if turn.taken.until - self.model.now > LONGEST_TELLING {
            return true;
        }
        turn.taken.until = self.model.now + LEASE;
        self.model.keep(&turn.taken.ticket, turn.taken.fence, LEASE)
    }

    fn look_up(&mut self, turn: &mut Turn) -> bool {
        let due = self.model.due_updates(&turn.taken.ticket);
        if turn.taken.doubt && turn.standing.is_none() {
            if !self.reach(turn) {
                return false;
            }
            let looks = self.guards(Guard::LookForMarkers);
            let notes = if looks {
                self.desk.notes(&turn.taken.ticket)
            } else {
                &[]
            };
            turn.standing = Some(notes.to_vec());
        }
        let stories = self.stories(&due);
        turn.at = At::Tell(plan(&due, &stories).into());
        true
    }

    fn dispatch(
        &mut self,
        process: usize,
        turn: &mut Turn,
        dispatch: Dispatch,
        rest: VecDeque<Dispatch>,
    ) -> bool {
        if !self.reach(turn) {
            self.say(|| format!("replica {process} finds that another sender has taken over"));
            return false;
        }
        let (covers, texts) = match dispatch {
            Dispatch::Notes(notes) => {
                let standing = turn.standing.as_deref().unwrap_or_default();
                let stands = |marker: &Marker| standing.iter().any(|note| note.contains(marker.as_str()));
                let notes: Vec<_> = notes.into_iter().map(|note| note.without(stands)).collect();
                let texts = notes.iter().filter_map(Note::text);
                let texts: VecDeque<String> = texts
                    .map(|(text, marker)| format!("{text}\n[{}]", marker.as_str()))
                    .collect();
                (notes.into_iter().flat_map(|note| note.covers).collect(), texts)
            }
            Dispatch::Fields { covers, .. } => (covers, VecDeque::new()),
            Dispatch::Set { position, .. } => (vec![position], VecDeque::new()),
        };
        if texts.is_empty() {
            let settled = covers.iter().map(|position| (*position, Settled::Sent));
            turn.settled.extend(settled);
            turn.at = At::Tell(rest);
            return true;
        }
        turn.at = self.tell_notes(process, turn, covers, texts, rest);
        true
    }

    /// One call with notes, and what comes of it.
    fn tell_notes(
        &mut self,
        process: usize,
        turn: &mut Turn,
        covers: Vec<i64>,
        mut texts: VecDeque<String>,
        rest: VecDeque<Dispatch>,
    ) -> At {
        let (now, ticket) = (self.model.now, turn.taken.ticket.clone());
        let trouble = self.pick_trouble(7);
        self.say(|| format!("replica {process} tells {ticket} {covers:?}, trouble {trouble}"));
        let in_doubt = turn.taken.doubt;
        let again = |wait, doubt| {
            let doubt = doubt || in_doubt;
            At::Close(Then::Again { wait, doubt })
        };
        let lands = match trouble {
            // It is away and took nothing.
            1 => return again(Duration::from_secs(1), false),
            3 => now + LATE,
            4 => now + SLOW,
            // It took the first of them, and its answer was lost; or it refused one that came after it, of this ticket or another.
            5 | 6 => {
                texts.truncate(1);
                now
            }
            _ => now,
        };
        for text in texts {
            self.desk.take(&ticket, text, lands, now);
        }
        match trouble {
            // It took them, at once or a little later, and its answer was lost.
            2 | 3 | 5 => again(BEFORE_LOOKING, true),
            // It is looked at what it took.
            6 => {
                (turn.taken.doubt, turn.standing) = (true, None);
                At::LookUp
            }
            _ => At::Telling(lands, covers, rest),
        }
    }

    fn close(&mut self, process: usize, turn: &mut Turn, then: Then) -> bool {
        let trouble = self.pick_trouble(3);
        if trouble == 1 {
            self.say(|| format!("replica {process} cannot close {}", turn.taken.ticket));
            return false;
        }
        let closing = Closing {
            ticket: turn.taken.ticket.clone(),
            fence: turn.taken.fence,
            enqueued: turn.taken.enqueued,
            settled: std::mem::take(&mut turn.settled),
            words: vec![],
            audit: vec![],
            then,
            lease: LEASE,
        };
        let left = self.model.close(&closing);
        self.say(|| {
            format!(
                "replica {process} closes {}, {then:?}: {left:?}",
                turn.taken.ticket
            )
        });
        turn.taken.until = self.model.now + LEASE;
        turn.at = At::Closed(left);
        trouble == 0
    }

    /// Of what has ended, as far as notes need it.
    fn stories(&self, due: &[Due]) -> Stories {
        let tells_all =
            |due: &&Due| matches!(due.update, Update::Resolved | Update::Escalated | Update::Story);
        let ended = due.iter().filter(tells_all).map(|due| due.execution);
        ended.map(|id| (id, self.story(id))).collect()
    }

    fn story(&self, id: ExecutionId) -> Story {
        let row = &self.model.executions[&id];
        let ending = match &row.reason {
            Some(reason) => Ending::Escalated {
                reason: reason.clone(),
            },
            None => Ending::Resolved,
        };
        Story {
            execution: id,
            decision: row.new.request.decision_id,
            playbook: row.new.request.playbook.clone(),
            requester_name: row.new.request.requester_name.clone(),
            ending,
            started_at: row.new.now,
            ended_at: row.ended_at.unwrap_or(row.new.now),
            chapters: vec![],
        }
    }
}
