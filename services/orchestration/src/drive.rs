//! One execution, from step to step, for as long as it need not wait.
//!
//! Between two calls of the outside there is exactly one transaction. Whatever is lost on the way (the lease, the
//! database, this process) is found again by whoever claims the execution next: it goes through the same machine, which
//! asks for the same call under the same `Idempotency-Key`.

mod course;
mod hands;
mod hearing;
mod over;
mod questions;
mod still;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Signal, StepCall};
use playbook_lang::{Call, Event, Moment, Playbook, Rules, State};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::ask::{Heard, OnBehalf, StepServices};
use crate::breaker::{Breakers, Gate};
use crate::committer::Committer;
use crate::library::{Library, Unreadable};
use crate::store::{Arrival, Claimed, Entry, Hold, Store, StoreError, Write};
use crate::untold::Untold;
pub(crate) use course::{Broken, Course, Need};
use hands::Hands;
use over::say_ended;
#[cfg(test)]
pub(crate) use questions::Question;

/// While one branch is at work and another waits for somebody, their answer is looked for this often. An execution whose
/// branches all wait is let go instead, and a signal wakes it at once.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// What an operator did is committed before the bell rings; a claim this much later has seen it, whatever clocks are apart.
const SEEN_AFTER: Duration = Duration::from_secs(1);

/// What driving needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) store: Store,
    pub(crate) committer: Committer,
    pub(crate) library: Library,
    pub(crate) services: StepServices,
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) rules: Arc<Rules>,
    /// What keeps an execution for so long is told on its ticket.
    pub(crate) note_after: Duration,
    /// Rung when an operator did something that may concern any execution.
    pub(crate) bell: watch::Receiver<OffsetDateTime>,
    /// Cancelled when calls under way are no longer waited for.
    pub(crate) abandon: CancellationToken,
}

/// How we left an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// A row waits, for this long or for somebody.
    Waiting(Duration),
    /// It is over, or somebody else's.
    Otherwise,
}

/// What came of a signal that was to be committed with what comes of it.
#[derive(Debug)]
pub(crate) enum Answered {
    /// The execution is ours, and goes on.
    Taken(Box<Claimed>),
    /// It waits again, for this long, or is over.
    LetGo(Option<Duration>),
    /// More is needed than that, or something else came first: nothing was written.
    NotTaken,
}

/// What comes next.
#[derive(Debug)]
enum Next {
    /// This, and the call that it answers.
    Happened(Event, Option<StepCall>),
    /// Time to look for signals, and for what operators did.
    News,
    /// Time to tell the ticket what happened so far.
    Late,
    /// Nothing is waited for any more.
    Nothing,
}

/// Why an execution is not driven on by us.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// Nothing is lost: whoever claims it next goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can never go on.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// The database's time, whatever our own clock says: replicas' own may be minutes apart.
#[derive(Debug, Clone, Copy)]
struct Clock {
    claimed_at: OffsetDateTime,
    since: Instant,
}

impl Clock {
    fn of(claimed: &Claimed) -> Self {
        Self {
            claimed_at: claimed.now,
            since: Instant::now(),
        }
    }

    fn now(&self) -> OffsetDateTime {
        self.claimed_at + self.since.elapsed()
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now(),
            chance: rand::random(),
        }
    }
}

impl Driver {
    /// The first call of an execution that is about to be accepted. `None` where it begins otherwise: then it is for
    /// whoever claims it.
    pub(crate) fn begin(&self, claimed: &Claimed, playbook: &Playbook, state: State) -> Option<Write> {
        let moment = Clock::of(claimed).moment();
        Course::new(claimed, playbook, &self.rules, self.note_after, state.into()).begin(moment)
    }

    /// Commit a signal with what comes of it, where nobody has its execution in hand; `claimed` is how it would be claimed.
    pub(crate) async fn answer(&self, claimed: Claimed, arrival: Arrival) -> Result<Answered, StoreError> {
        let span = tracing::info_span!("drive", execution.id = %claimed.id, ticket.id = %claimed.ticket);
        chassis::telemetry::adopt(&span, claimed.traceparent.as_deref());
        self.commit_answer(claimed, arrival).instrument(span).await
    }

    async fn commit_answer(&self, claimed: Claimed, arrival: Arrival) -> Result<Answered, StoreError> {
        let Ok(playbook) = self.library.pinned(&self.store, &claimed.digest).await else {
            return Ok(Answered::NotTaken);
        };
        let Ok(stand) = claimed.state.read() else {
            return Ok(Answered::NotTaken);
        };
        let course = Course::new(&claimed, &playbook, &self.rules, self.note_after, stand);
        let Some((write, state)) = course.answer(arrival, Clock::of(&claimed).moment()) else {
            return Ok(Answered::NotTaken);
        };
        let (hold, at, claimed) = (write.hold, write.now, claimed.after(&write));
        let Some(written) = self.committer.commit(Entry::Step(Box::new(write))).await? else {
            return Ok(Answered::NotTaken);
        };
        if hold == Hold::Ended {
            say_ended(&playbook, &state, at);
        }
        if !written.kept {
            let waits = match hold {
                Hold::Until(due) => Some(until(due, at)),
                Hold::Keep | Hold::Ended => None,
            };
            return Ok(Answered::LetGo(waits));
        }
        // Somebody may have paused it, or put a switch off, since it was read.
        Ok(Answered::Taken(Box::new(Claimed {
            standing: written.standing,
            ..claimed
        })))
    }

    /// Drive `claimed` until it waits, ends, or is no longer ours.
    pub(crate) async fn drive(&self, claimed: Claimed) -> Left {
        let span = tracing::info_span!("drive", execution.id = %claimed.id, ticket.id = %claimed.ticket);
        chassis::telemetry::adopt(&span, claimed.traceparent.as_deref());
        let request = claimed.id.to_string();
        chassis::request_id::scope(request, self.drive_or_say_why(claimed))
            .instrument(span)
            .await
    }

    async fn drive_or_say_why(&self, claimed: Claimed) -> Left {
        let clock = Clock::of(&claimed);
        // What the ticket is still to be told, wherever this ends.
        let mut untold = Untold::default();
        let stopped = self.advance(&claimed, clock, &mut untold).await;
        let stopped = match stopped {
            Err(Stopped::Broken(Broken(reason))) => {
                tracing::error!(reason, "the execution cannot go on and is handed to a person");
                self.hand_over(&claimed, &reason, untold, clock.now())
                    .await
                    .map(|()| Left::Otherwise)
            }
            Err(Stopped::Store(error)) => Err(error),
            Ok(left) => Ok(left),
        };
        match stopped {
            Ok(left) => return left,
            Err(StoreError::Fenced) => tracing::info!("another runner has taken over"),
            Err(error) => say_interrupted(&error),
        }
        Left::Otherwise
    }

    async fn advance(&self, claimed: &Claimed, clock: Clock, untold: &mut Untold) -> Result<Left, Stopped> {
        let stand = claimed
            .state
            .read()
            .map_err(|error| Broken(format!("the stored state cannot be read: {error}")))?;
        untold.clone_from(&stand.untold);
        let playbook = match self.library.pinned(&self.store, &claimed.digest).await {
            Ok(playbook) => playbook,
            Err(Unreadable::Store(error)) => return Err(error.into()),
            Err(unreadable) => return Err(Broken(unreadable.to_string()).into()),
        };
        let unheard = if claimed.signals > 0 {
            self.store.unheard(claimed.id).await?
        } else {
            vec![]
        };
        let mut course = Course::new(claimed, &playbook, &self.rules, self.note_after, stand);
        let left = self.follow(&mut course, claimed, unheard, clock).await;
        *untold = course.untold;
        left
    }

    /// Perform what `course` needs until it needs nothing more of us.
    async fn follow(
        &self,
        course: &mut Course<'_>,
        claimed: &Claimed,
        unheard: Vec<Signal>,
        clock: Clock,
    ) -> Result<Left, Stopped> {
        let (whose, mut hands) = (OnBehalf::of(claimed), Hands::default());
        let mut bell = self.listen(claimed);
        let mut need = course.take_up(unheard, clock.moment())?;
        loop {
            need = match need {
                Need::Switch => {
                    let off = self.store.switch_of(course.playbook.name()).await?;
                    course.told(off, clock.moment())?
                }
                Need::Write(write) => {
                    let ended = (write.hold == Hold::Ended).then_some(write.now);
                    let written = self.committer.write(*write).await?;
                    if let Some(at) = ended {
                        say_ended(course.playbook, course.state(), at);
                    }
                    course.wrote(written, clock.moment())?
                }
                Need::News => self.news(course, clock).await?,
                Need::Signals => {
                    let unheard = self.store.unheard(claimed.id).await?;
                    let cancelled = self.store.cancelled(claimed.id).await?;
                    course.heard(unheard, cancelled, clock.moment())?
                }
                Need::Answer => {
                    hands.keep(course.out());
                    hands.begin(self, &whose, course.ask(), clock.now());
                    let now = clock.now();
                    let [due, tell] =
                        [course.due(), course.tells_by()].map(|due| due.map(|due| until(due, now)));
                    match self.next(&mut hands, &mut bell, due, tell).await {
                        Next::Happened(event, call) => {
                            course.happened(event, call.as_ref(), clock.moment())?
                        }
                        Next::News => self.news(course, clock).await?,
                        Next::Late => course.told_late(clock.moment())?,
                        Next::Nothing => return Ok(Left::Otherwise),
                    }
                }
                Need::Nothing(left) => return Ok(left),
            }
        }
    }

    /// The bell, as whoever claimed it hears it: what was rung well before, the claim has seen.
    fn listen(&self, claimed: &Claimed) -> watch::Receiver<OffsetDateTime> {
        let mut bell = self.bell.clone();
        let rung = *bell.borrow_and_update();
        if claimed.now < rung + SEEN_AFTER {
            bell.mark_changed();
        }
        bell
    }

    async fn news(&self, course: &mut Course<'_>, clock: Clock) -> Result<Need, Stopped> {
        let (signals, standing) = self.store.news(course.execution()).await?;
        Ok(course.learned(signals, standing, clock.moment())?)
    }

    /// Wait for the first thing that happens; `due` is how long until something that waits is due, and `tell` until the ticket
    /// is to be told.
    async fn next(
        &self,
        hands: &mut Hands<'_>,
        bell: &mut watch::Receiver<OffsetDateTime>,
        due: Option<Duration>,
        tell: Option<Duration>,
    ) -> Next {
        let listening = due.map(|_| LISTEN_EVERY);
        tokio::select! {
            biased;
            // Given up at shutdown: the state says that the calls are out, and the next runner makes the same ones.
            () = self.abandon.cancelled() => Next::Nothing,
            answer = hands.answer() => answer.map_or(Next::Nothing, |(call, event)| {
                Next::Happened(event, Some(call))
            }),
            () = pass(due) => Next::Happened(Event::TimerFired, None),
            () = pass(tell) => Next::Late,
            Ok(()) = bell.changed() => Next::News,
            () = pass(listening) => Next::News,
        }
    }

    /// Ask a service for a step, unless what is behind it is known to be away.
    async fn call(&self, whose: &OnBehalf, call: Call, left: Duration) -> Event {
        let action = call.action.clone();
        if !whose.insisted
            && let Gate::Blocked { wait, explanation } =
                self.breakers.gate(&action, Instant::now(), rand::random())
        {
            return Event::OutsideAway {
                call: call.call,
                retry_after: Some(wait),
                explanation,
            };
        }
        let Heard { event, sign } = self.services.call(whose, call, left).await;
        let back = self.breakers.saw(&action, &sign, Instant::now());
        if !back.is_empty()
            && let Err(error) = self.store.wake_parked(&back).await
        {
            tracing::warn!(error = %chassis::chain(&error), "what is parked could not be woken; it goes on by itself");
        }
        event
    }
}

fn say_interrupted(error: &StoreError) {
    let error = chassis::chain(error);
    tracing::warn!(error, "the database failed; the execution will be taken up again");
}

/// How long it is from `now` until `due`; nothing where it is overdue.
fn until(due: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(due - now).unwrap_or_default()
}

/// Let time pass; without end where none is said.
async fn pass(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
