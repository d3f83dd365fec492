//! The outbox: tells the help desk what executions did, in order per ticket, exactly once in effect.
//!
//! The help desk has no idempotency key. So every note carries a marker, and where the fate of a sending is unknown (no
//! answer, or a sender that died) the ticket's notes are read before anything is sent again. A help desk that is away
//! costs patience; other tickets do not wait for it.

mod hand;
pub(crate) mod plan;
mod taken;
mod together;
mod turn;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chassis::Did;
use common::{AutomationStatus, ExecutionId, TicketId};
use futures::future::join_all;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::committer::Closer;
use crate::desk::{Desk, DeskError, Remedy};
use crate::store::{ClaimedTicket, Left, Settled, Store, StoreError, Then};
use crate::story;
use crate::update::{Due, Marker, PlaybookNote, SetFields, Update};
pub(crate) use hand::Hand;
use plan::{Dispatch, Note, Told, plan};
use turn::Turn;

/// Longer than one call of the help desk can take: a note that is still under way must never be looked for in vain. It is
/// begun anew before any call that might outlast it.
const LEASE: Duration = Duration::from_secs(30);
/// One call of the help desk may take this long.
const LONGEST_TELLING: Duration = Duration::from_secs(20);
/// The vendor's window is a rolling five minutes: no wait needs to be longer.
const WAITS_S: [u64; 8] = [1, 2, 5, 10, 20, 40, 60, 120];

/// A help desk that shows a ticket and has failed so often to change it will not change it.
const STUBBORN: i32 = 5;
/// What cannot be read is looked at again after this.
const UNREADABLE: Duration = Duration::from_mins(1);
/// A note that was sent and not answered for may still be on its way: look for it no sooner.
const BEFORE_LOOKING: Duration = Duration::from_secs(3);

/// Tickets told together: they share statements and calls, and none waits for more than these few.
const TICKETS: u8 = 16;
/// How often the backlog is counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Tells the help desk.
pub(crate) struct Sender {
    store: Store,
    closer: Closer,
    desk: Arc<Desk>,
    /// What is being put down while nobody waits for it.
    later: TaskTracker,
    /// When the backlog was counted last.
    counted: Mutex<Option<Instant>>,
}

/// Why a ticket was let go before all was told.
#[derive(Debug)]
enum Stopped {
    /// It is ours no longer, or the database is away: whoever claims it next goes on.
    Store(StoreError),
    /// The help desk did not take it.
    Desk(DeskError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DeskError> for Stopped {
    fn from(error: DeskError) -> Self {
        Self::Desk(error)
    }
}

impl Sender {
    pub(crate) fn new(store: Store, desk: Arc<Desk>) -> Self {
        Self {
            closer: Closer::start(&store),
            store,
            desk,
            later: TaskTracker::new(),
            counted: Mutex::default(),
        }
    }

    /// Tell the news of a few tickets.
    pub(crate) async fn step(self: &Arc<Self>) -> Result<Did, StoreError> {
        let claimed = self.store.claim_tickets(i64::from(TICKETS), LEASE).await?;
        self.report_backlog().await?;
        if claimed.is_empty() {
            let next = self.store.next_ticket_due().await?;
            return Ok(next.map_or(Did::Nothing, Did::NothingUntil));
        }
        self.tell_all(claimed).await?;
        Ok(Did::Work)
    }

    async fn tell_all(self: &Arc<Self>, claimed: Vec<ClaimedTicket>) -> Result<(), StoreError> {
        let turns = self
            .looked_up(claimed.into_iter().map(Turn::new).collect())
            .await?;
        let telling = self.tell_together(turns).await.into_iter().map(|turn| {
            let span = tracing::info_span!("tell", ticket.id = %turn.claimed.ticket);
            chassis::telemetry::adopt(&span, turn.claimed.traceparent.as_deref());
            self.tell_or_let_go(turn).instrument(span)
        });
        let told: Vec<Result<(), StoreError>> = join_all(telling).await;
        told.into_iter().collect()
    }

    /// Those whose news can be read. A row that makes no sense, perhaps of a newer version, stands in its own ticket's way only.
    async fn looked_up(&self, mut turns: Vec<Turn>) -> Result<Vec<Turn>, StoreError> {
        match self.look_up(turns.iter_mut().collect()).await {
            Ok(()) => return Ok(turns),
            Err(StoreError::Corrupt { .. }) => {}
            Err(error) => {
                for turn in turns {
                    self.let_go(turn, Duration::from_secs(1), false).await;
                }
                return Err(error);
            }
        }
        let mut readable = Vec::with_capacity(turns.len());
        for mut turn in turns {
            match self.look_up(vec![&mut turn]).await {
                Ok(()) => readable.push(turn),
                Err(error) => {
                    tracing::error!(ticket.id = %turn.claimed.ticket, error = %chassis::chain(&error), "what the ticket is to be told cannot be read; it waits");
                    self.let_go(turn, UNREADABLE, false).await;
                }
            }
        }
        Ok(readable)
    }

    /// What tickets are to be told, in two questions to the database.
    async fn look_up(&self, turns: Vec<&mut Turn>) -> Result<(), StoreError> {
        let tickets: Vec<&TicketId> = turns.iter().map(|turn| &turn.claimed.ticket).collect();
        let mut due = self.store.due_updates(&tickets).await?;
        let mut ended: Vec<ExecutionId> = due
            .values()
            .flatten()
            .filter(|due| tells_all(due))
            .map(|due| due.execution)
            .collect();
        ended.sort();
        ended.dedup();
        let mut stories = self.store.stories(&ended).await?;
        for turn in turns {
            turn.due = due.remove(&turn.claimed.ticket).unwrap_or_default();
            let ended = turn.due.iter().filter(|due| tells_all(due));
            turn.stories = ended
                .filter_map(|due| stories.remove_entry(&due.execution))
                .collect();
            turn.plan = plan(&turn.due, &turn.stories).into();
        }
        Ok(())
    }

    async fn tell_or_let_go(self: &Arc<Self>, mut turn: Turn) -> Result<(), StoreError> {
        match self.tell(&mut turn).await {
            Ok(Done::PutDown) => Ok(()),
            Ok(Done::TheEnd) => {
                self.put_down_later(turn);
                Ok(())
            }
            Err(Stopped::Store(StoreError::Fenced)) => {
                tracing::info!("another sender has taken over");
                Ok(())
            }
            Err(Stopped::Store(error)) => {
                // Whether the last sending was put down is not known. Where this fails, too, the lease runs out by itself.
                self.let_go(turn, Duration::from_secs(1), true).await;
                Err(error)
            }
            Err(Stopped::Desk(error)) => {
                self.postpone(turn, &error).await;
                Ok(())
            }
        }
    }

    async fn tell(&self, turn: &mut Turn) -> Result<Done, Stopped> {
        let mut standing = if turn.claimed.doubt {
            self.reach(&mut turn.claimed).await?;
            let standing = in_time(self.desk.standing(&turn.claimed.ticket)).await?;
            if standing.is_none() {
                turn.nobody_to_tell();
            }
            standing
        } else {
            None
        };
        loop {
            while let Some(dispatch) = turn.plan.pop_front() {
                self.dispatch(turn, dispatch, standing.as_deref()).await?;
            }
            if turn.due.iter().any(tells_all) {
                return Ok(Done::TheEnd);
            }
            let closing = turn.closing(Then::Rest);
            match self.closer.close(closing).await? {
                Left::Gone => return Ok(Done::PutDown),
                Left::Kept(enqueued) => turn.claimed.enqueued = enqueued,
            }
            // Looked once, and everything since was heard of.
            turn.claimed.doubt = false;
            standing = None;
            self.look_up(vec![turn]).await?;
        }
    }

    /// Before a call of the help desk: the ticket is ours for longer than it can take.
    async fn reach(&self, claimed: &mut ClaimedTicket) -> Result<(), StoreError> {
        let left = claimed.until.saturating_duration_since(Instant::now());
        if left <= LONGEST_TELLING {
            self.store.keep(claimed, LEASE).await?;
        }
        Ok(())
    }

    async fn dispatch(
        &self,
        turn: &mut Turn,
        dispatch: Dispatch,
        standing: Option<&[String]>,
    ) -> Result<(), Stopped> {
        self.reach(&mut turn.claimed).await?;
        match dispatch {
            Dispatch::Notes(notes) => {
                let notes = still(notes, standing, turn.claimed.failures);
                self.notes(turn, notes).await
            }
            Dispatch::Fields { covers, status } => self.fields(turn, &covers, status).await,
            Dispatch::Set {
                position,
                execution,
                fields,
            } => self.set(turn, position, execution, fields).await,
        }
    }

    /// Notes in one call. Where the help desk refuses it, some of them may stand there: then each is told by itself.
    async fn notes(&self, turn: &mut Turn, mut notes: Vec<Note>) -> Result<(), Stopped> {
        if notes.iter().filter(|note| note.text().is_some()).count() > 1 {
            match in_time(self.desk.add(&[(&turn.claimed.ticket, &notes)])).await {
                Ok(seen) => {
                    turn.seen = seen.into_iter().next().flatten();
                    for note in &notes {
                        turn.settle_note(note);
                    }
                    return Ok(());
                }
                Err(error) if error.remedy() == Remedy::GiveUp => {
                    tracing::warn!(ticket.id = %turn.claimed.ticket, %error, "the help desk refused one of several notes; sending each by itself");
                    turn.claimed.doubt = true;
                    self.reach(&mut turn.claimed).await?;
                    let Some(standing) = in_time(self.desk.standing(&turn.claimed.ticket)).await? else {
                        turn.plan.push_front(Dispatch::Notes(notes));
                        turn.nobody_to_tell();
                        return Ok(());
                    };
                    notes = notes
                        .into_iter()
                        .map(|note| without(note, Some(&standing)))
                        .collect();
                }
                Err(error) => return Err(error.into()),
            }
        }
        for note in notes {
            self.reach(&mut turn.claimed).await?;
            self.note(turn, note).await?;
        }
        Ok(())
    }

    async fn note(&self, turn: &mut Turn, note: Note) -> Result<(), Stopped> {
        if note.text().is_none() {
            turn.settle_note(&note);
            return Ok(());
        }
        let notes = std::slice::from_ref(&note);
        match in_time(self.desk.add(&[(&turn.claimed.ticket, notes)])).await {
            Ok(seen) => {
                turn.seen = seen.into_iter().next().flatten();
                turn.settle_note(&note);
                Ok(())
            }
            // A workflow may forbid the status: then the words matter more, and `fields` tries the status by itself.
            Err(error) if error.remedy() == Remedy::GiveUp && note.change().is_some() => {
                tracing::warn!(ticket.id = %turn.claimed.ticket, %error, "the help desk refused a note that changes the ticket; sending the words alone");
                self.reach(&mut turn.claimed).await?;
                Box::pin(self.note(turn, note.without_change())).await
            }
            Err(error) => turn.not_taken(&note.told(), error),
        }
    }

    async fn fields(&self, turn: &mut Turn, covers: &[i64], status: AutomationStatus) -> Result<(), Stopped> {
        let told = Told {
            what: plan::STATUS,
            covers,
        };
        let seen = turn.seen.take();
        match in_time(self.desk.settle(&turn.claimed.ticket, seen, status)).await {
            Ok(()) => {
                turn.settle(&told, Settled::Sent, None);
                Ok(())
            }
            Err(error) => turn.not_taken(&told, error),
        }
    }

    /// Set a playbook's fields. Where the help desk will never take them, the ticket says so instead.
    async fn set(
        &self,
        turn: &mut Turn,
        position: i64,
        execution: ExecutionId,
        fields: SetFields,
    ) -> Result<(), Stopped> {
        let told = Told {
            what: plan::CUSTOM_FIELDS,
            covers: &[position],
        };
        let seen = turn.seen.take();
        match in_time(self.desk.set(&turn.claimed.ticket, seen, &fields.fields)).await {
            Ok(()) => turn.settle(&told, Settled::Sent, None),
            Err(error) if error.remedy() == Remedy::GiveUp => {
                let why = error.to_string();
                let text = story::not_set(&fields, &why);
                let note = Update::Note(PlaybookNote {
                    call: fields.call,
                    name: fields.name,
                    text,
                    public: false,
                });
                // Before it is settled: told twice is better than not at all, and only a crash in between does that.
                self.store.tell(&turn.claimed.ticket, execution, &[note]).await?;
                turn.settle(&told, Settled::Refused, Some(&why));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn postpone(&self, turn: Turn, error: &DeskError) {
        let remedy = error.remedy();
        let before = if turn.settled.is_empty() {
            turn.claimed.failures
        } else {
            0
        };
        let wait = backoff(before, rand::random());
        let wait = match remedy {
            Remedy::Wait(at_least) => wait.max(at_least),
            Remedy::Look => wait.max(BEFORE_LOOKING),
            Remedy::GiveUp => wait,
        };
        let failures = before + 1;
        tracing::warn!(ticket.id = %turn.claimed.ticket, %error, failures, wait_s = wait.as_secs_f64(), "the help desk was not told; will be tried again");
        self.let_go(turn, wait, remedy == Remedy::Look).await;
    }

    /// Let go of a ticket that could not be told everything. What was in doubt stays so, whether or not it could be looked at
    /// meanwhile. Where even that fails, its lease runs out by itself.
    async fn let_go(&self, mut turn: Turn, wait: Duration, doubt: bool) {
        let doubt = doubt || turn.claimed.doubt;
        let closing = turn.closing(Then::Again { wait, doubt });
        if let Err(error) = self.closer.close(closing).await {
            tracing::info!(ticket.id = %turn.claimed.ticket, error = %chassis::chain(&error), "the ticket was not let go; its lease runs out by itself");
        }
    }

    async fn report_backlog(&self) -> Result<(), StoreError> {
        let due = {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            let due = counted.is_none_or(|counted| counted.elapsed() >= COUNT_EVERY);
            if due {
                *counted = Some(Instant::now());
            }
            due
        };
        if due {
            let tickets = self.store.backlog().await?;
            // Far below 2^52: exact.
            #[expect(clippy::cast_precision_loss, reason = "a gauge takes floats")]
            metrics::gauge!("firstline_outbox_tickets").set(tickets as f64);
        }
        Ok(())
    }
}

/// What is still to be said of `notes`, as far as that was looked at. HaloPSA answers 500 to some changes that it will never
/// take (contract, section 2.3): after so many failures the words matter more, and `fields` tries the status by itself.
fn still(notes: Vec<Note>, standing: Option<&[String]>, failures: i32) -> Vec<Note> {
    let stubborn = standing.is_some() && failures >= STUBBORN;
    let left = notes.into_iter().map(|note| without(note, standing));
    if stubborn {
        left.map(Note::without_change).collect()
    } else {
        left.collect()
    }
}

/// What of `note` does not stand on the ticket yet, as far as that was looked at.
fn without(note: Note, standing: Option<&[String]>) -> Note {
    let stands = |marker: &Marker| {
        standing.is_some_and(|notes| notes.iter().any(|note| note.contains(marker.as_str())))
    };
    note.without(stands)
}

/// What a ticket was told.
enum Done {
    /// Everything, and that is put down.
    PutDown,
    /// How its execution ended, and that is still to be put down.
    TheEnd,
}

/// Its note tells what the whole execution did.
const fn tells_all(due: &Due) -> bool {
    matches!(due.update, Update::Resolved | Update::Escalated | Update::Story)
}

/// A telling that takes too long may still arrive.
async fn in_time<T>(telling: impl Future<Output = Result<T, DeskError>>) -> Result<T, DeskError> {
    let told = tokio::time::timeout(LONGEST_TELLING, telling).await;
    told.unwrap_or(Err(DeskError::TooLong))
}

/// The wait after one more failure, a fifth shorter or longer so that tickets do not all come back at once.
fn backoff(failures: i32, chance: f64) -> Duration {
    let nth = usize::try_from(failures)
        .unwrap_or_default()
        .min(WAITS_S.len() - 1);
    let wait_s = WAITS_S.get(nth).copied().unwrap_or(WAITS_S[0]);
    Duration::from_secs(wait_s).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
