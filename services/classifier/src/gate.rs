//! The gate: takes each ticket from "seen" to "done", one committed stage at a time.
//!
//! Stopping anywhere loses nothing: a stage is repeated until it is written down, and each is harmless to repeat. The
//! decision itself is `decide`'s; nothing here weighs anything.

mod approve;
pub(crate) mod conclude;
mod hold;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chassis::{Did, Shell, Wake, telemetry};
use common::client::PeerError;
use common::clock;
use common::{AutomationStatus, Decision, Mode, TicketId};
use connectors::CallError;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use crate::gather::{Dossier, Gap, Sources};
use crate::intake;
use crate::mark::{MarkError, Marker};
use crate::modes::Modes;
use crate::modes::offer::Offers;
use crate::store::{Claim, Decided, LEASE, Recorded, Stage, Store, StoreError};

/// Tickets judged as they come: each waits for others most of its time, and what is beyond that waits in the database.
const BEGUN_AT_ONCE: usize = 64;
/// First and longest pause between two tries of a stage.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Longest pause where the help desk is there and does not show the ticket.
const NOT_SHOWN: Duration = Duration::from_mins(5);
/// A help desk that refuses to show a decision so often will not show it; orchestration writes the fields as well.
const MARK_TRIES: u32 = 5;
/// Nor will one that has failed at it for some minutes, and shows the ticket all the while.
const STUBBORN: u32 = 12;
#[derive(Clone)]
pub(crate) struct Gate {
    store: Store,
    sources: Sources,
    marker: Marker,
    modes: Modes,
    offers: Offers,
    threshold: f64,
    patience: Duration,
    shell: Shell,
    /// For tickets that are judged as they come, without a claim.
    places: Arc<Semaphore>,
    /// Wakes our own worker, once there is one.
    worker: Arc<OnceLock<Wake>>,
}

/// How far judging a ticket has come.
#[derive(Debug)]
enum Judged {
    Decided(Box<Decision>, Claim),
    Unknown,
    Waiting { what: String, pause: Duration },
}

/// Why there is no decision to answer with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDecision {
    /// The help desk does not know the ticket.
    #[error("the help desk knows no ticket `{0}`")]
    UnknownTicket(TicketId),
    /// Somebody is deciding on it right now.
    #[error("ticket `{0}` is being decided on")]
    UnderWay(TicketId),
    /// Something it takes is away.
    #[error("{what} is away; the ticket is decided on when it is back")]
    Away {
        /// What.
        what: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gate {
    pub(crate) fn new(
        store: Store,
        sources: Sources,
        marker: Marker,
        (modes, offers): (Modes, Offers),
        threshold: f64,
        patience: Duration,
        shell: &Shell,
    ) -> Self {
        Self {
            store,
            sources,
            marker,
            modes,
            offers,
            threshold,
            patience,
            shell: shell.clone(),
            places: Arc::new(Semaphore::new(BEGUN_AT_ONCE)),
            worker: Arc::default(),
        }
    }

    /// By this it is woken when a ticket begins to wait.
    pub(crate) fn woken_by(&self, wake: Wake) {
        let _ = self.worker.set(wake);
    }

    /// A place to judge a ticket at once, where there is one and we are not about to stop.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        place.filter(|_| !self.shell.stopping().is_cancelled())
    }

    /// Take a ticket to its end beside the requests. What fails is due again when its lease is over.
    pub(crate) fn begin(&self, claim: Claim, place: OwnedSemaphorePermit) {
        let gate = self.clone();
        self.shell.spawn(async move {
            gate.go_on_or_say(claim).await;
            drop(place);
        });
    }

    async fn go_on_or_say(&self, claim: Claim) {
        if let Err(error) = self.go_on(claim).await {
            tracing::warn!(error = %chassis::chain(&error), "a step failed and will be repeated");
        }
    }

    /// One ticket, stage by stage, until it waits or is done.
    pub(crate) async fn step(&self) -> Result<Did, StoreError> {
        let Some(claim) = self.store.claim_due().await? else {
            return Ok(self
                .store
                .next_due()
                .await?
                .map_or(Did::Nothing, Did::NothingUntil));
        };
        self.go_on(claim).await?;
        Ok(Did::Work)
    }

    async fn go_on(&self, claim: Claim) -> Result<(), StoreError> {
        match self.stages(claim).await {
            Err(StoreError::Overtaken(ticket)) => {
                tracing::info!(ticket.id = %ticket, "somebody else has taken the ticket up");
                Ok(())
            }
            done => done,
        }
    }

    async fn stages(&self, mut claim: Claim) -> Result<(), StoreError> {
        while let Some(next) = self.hold(&claim, Box::pin(self.advance(&claim))).await? {
            if self.shell.stopping().is_cancelled() {
                return self.store.let_go(&next).await;
            }
            claim = next;
        }
        Ok(())
    }

    /// The recorded decision, or the one made now, exactly as the worker would.
    pub(crate) async fn decide_now(&self, ticket: &TicketId) -> Result<Decision, NoDecision> {
        if let Some(decision) = self.store.decision(ticket).await? {
            return Ok(decision);
        }
        let trace = telemetry::trace_context();
        let Some(claim) = self.store.ask(&intake::asked(ticket), trace.as_deref()).await? else {
            // Decided on this very moment, or about to be.
            let decision = self.store.decision(ticket).await?;
            return decision.ok_or_else(|| NoDecision::UnderWay(ticket.clone()));
        };
        match self.hold(&claim, Box::pin(self.judge(&claim))).await {
            Ok(Judged::Decided(decision, claim)) => {
                let gate = self.clone();
                self.shell.spawn(async move { gate.go_on_or_say(claim).await });
                Ok(*decision)
            }
            Ok(Judged::Unknown) => Err(NoDecision::UnknownTicket(ticket.clone())),
            Ok(Judged::Waiting { what, pause }) => Err(NoDecision::Away {
                what,
                retry_after: pause,
            }),
            Err(StoreError::Overtaken(ticket)) => Err(NoDecision::UnderWay(ticket)),
            Err(error) => Err(error.into()),
        }
    }

    /// Renew the claim while `work` goes on, as part of the ticket's trace.
    async fn hold<T>(
        &self,
        claim: &Claim,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let span = tracing::info_span!("gate", service = "classifier", ticket.id = %claim.ticket, stage = claim.stage.name());
        telemetry::adopt(&span, claim.traceparent.as_deref());
        let renewing = async {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                if let Err(error) = self.store.renew(claim).await {
                    tracing::warn!(error = %chassis::chain(&error), "could not hold on to the ticket");
                }
            }
        };
        let working = async {
            tokio::select! {
                done = work => done,
                () = renewing => unreachable!("renewing never ends"),
            }
        };
        working.instrument(span).await
    }

    /// One stage: the next one, where it is ours to go on with.
    async fn advance(&self, claim: &Claim) -> Result<Option<Claim>, StoreError> {
        match &claim.stage {
            Stage::Seen => Ok(match self.judge(claim).await? {
                Judged::Decided(_, next) => Some(next),
                Judged::Unknown | Judged::Waiting { .. } => None,
            }),
            Stage::Decided(decided) if decided.execution.is_none() => self.leave(claim, decided).await,
            // An execution that is under way tells the ticket's story by now: `queued` would be old news.
            Stage::Decided(decided) if claim.may_have_started() => {
                match self.sources.executions.of_ticket(&claim.ticket).await {
                    Ok(_) => self.start(claim, decided).await,
                    Err(error) if error.is_not_found() => {
                        self.mark(claim, decided, AutomationStatus::Queued).await
                    }
                    Err(error) => self.not_started(claim, decided, &error).await,
                }
            }
            Stage::Decided(decided) => self.mark(claim, decided, AutomationStatus::Queued).await,
            Stage::Withdrawn(decided) => self.mark(claim, decided, AutomationStatus::Manual).await,
            Stage::Marked(decided) => self.start(claim, decided).await,
        }
    }

    async fn judge(&self, claim: &Claim) -> Result<Judged, StoreError> {
        let heard = self.store.heard(&claim.ticket).await?;
        let dossier = match Box::pin(self.sources.gather(&claim.ticket, heard)).await {
            Ok(Some(dossier)) => dossier,
            Ok(None) => {
                self.store.unknown(claim).await?;
                tracing::info!("the help desk does not know the ticket: ignored");
                return Ok(Judged::Unknown);
            }
            Err(error) => return self.wait_for_desk(claim, &error).await,
        };
        let now = clock::now();
        let patience_until = claim.patience_until.unwrap_or(now + self.patience);
        if !dossier.gaps.is_empty() && now < patience_until {
            return self
                .wait_for_gaps(claim, &dossier.gaps, patience_until, now)
                .await;
        }
        let (decision, next) = self.record(claim, &dossier, now).await?;
        tracing::info!(
            decision.id = %decision.decision_id,
            automated = decision.automated,
            category = decision.category,
            confidence = decision.confidence,
            blockers = decision.blockers.iter().map(|blocker| blocker.code.as_str()).collect::<Vec<_>>().join(","),
            "decided"
        );
        Ok(Judged::Decided(Box::new(decision), next))
    }

    /// Write the decision down. Where a tripwire is found on the way, the decision is another one, and nothing is in the way
    /// of leaving a ticket to a person.
    async fn record(
        &self,
        claim: &Claim,
        dossier: &Dossier,
        now: OffsetDateTime,
    ) -> Result<(Decision, Claim), StoreError> {
        let mode = self.mode(dossier).await?;
        let mut objection = None;
        loop {
            let judgement = self.conclude(dossier, objection.as_ref(), mode, now);
            let decision = judgement.decision.clone();
            match self.store.decide(claim, judgement).await? {
                Recorded::As(next) => return Ok((decision, next)),
                Recorded::Not(found) => objection = Some(found),
            }
        }
    }

    /// The mode of the playbook that fits, as it is this moment. `None` where none fits, and where something else keeps the
    /// ticket with a person anyway and the database would have to be asked.
    async fn mode(&self, dossier: &Dossier) -> Result<Option<Mode>, StoreError> {
        let Some(offered) = dossier.facts.plan.offered() else {
            return Ok(None);
        };
        let (playbook, activation) = (&offered.playbook.name, dossier.activation.as_ref());
        match self.modes.known(activation) {
            Some(mode) => Ok(Some(mode)),
            None if self.speaks_against(dossier) => Ok(None),
            None => Ok(Some(self.modes.of(playbook, activation).await?)),
        }
    }

    /// Nothing can be said about the ticket without the help desk: wait as long as it takes. Where it is there and does not show
    /// this one, more rarely: the others need the calls that it grants us.
    async fn wait_for_desk(&self, claim: &Claim, error: &CallError) -> Result<Judged, StoreError> {
        let (what, pause) = if matches!(error, CallError::Busy { .. }) {
            tracing::warn!(error = %chassis::chain(error), "the help desk is away; the ticket waits");
            ("the help desk", pause(claim.tries, error.retry_after()))
        } else {
            tracing::error!(error = %chassis::chain(error), "the help desk does not show the ticket, which waits");
            (
                "the help desk, which does not show it",
                growing(claim.tries, NOT_SHOWN),
            )
        };
        self.wait(claim, pause, claim.patience_until, what).await?;
        let what = what.to_owned();
        Ok(Judged::Waiting { what, pause })
    }

    async fn wait_for_gaps(
        &self,
        claim: &Claim,
        gaps: &[Gap],
        patience_until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Judged, StoreError> {
        let asked = gaps.iter().filter_map(|gap| gap.retry_after).max();
        // Not beyond the end of patience: then the decision is due whatever is missing.
        let left = Duration::try_from(patience_until - now).unwrap_or_default();
        let pause = pause(claim.tries, asked).min(left);
        let what = gaps.iter().map(|gap| gap.source).collect::<Vec<_>>().join(", ");
        self.wait(claim, pause, Some(patience_until), &what).await?;
        Ok(Judged::Waiting { what, pause })
    }

    /// Put it aside, for whoever claims it in time: our own worker, where it lives.
    async fn wait(
        &self,
        claim: &Claim,
        pause: Duration,
        patience_until: Option<OffsetDateTime>,
        waiting_for: &str,
    ) -> Result<(), StoreError> {
        self.store.wait(claim, pause, patience_until, waiting_for).await?;
        if let Some(worker) = self.worker.get() {
            worker.wake_in(pause);
        }
        Ok(())
    }

    /// Show the decision on the ticket. Safe to repeat: the same values again.
    async fn mark(
        &self,
        claim: &Claim,
        decided: &Decided,
        status: AutomationStatus,
    ) -> Result<Option<Claim>, StoreError> {
        let error = match self
            .marker
            .write(&decided.reference, status, &decided.decision)
            .await
        {
            Ok(()) => return Ok(self.marked(claim, decided, status, true)),
            Err(error) => error,
        };
        tracing::warn!(error = %chassis::chain(&error), "the decision does not show on the ticket yet");
        let tries = claim.tries + 1;
        let refused = error.is_final() && tries >= MARK_TRIES;
        // HaloPSA answers 500 to some writes that it will never take (contract, section 2.3).
        if refused || (tries >= STUBBORN && self.sources.shows(&claim.ticket).await) {
            return Ok(self.marked(claim, decided, status, false));
        }
        let pause = pause(claim.tries, error.retry_after());
        self.wait(claim, pause, None, "the help desk").await?;
        Ok(None)
    }

    /// The ticket shows it, or will not.
    fn marked(
        &self,
        claim: &Claim,
        decided: &Decided,
        status: AutomationStatus,
        noted: bool,
    ) -> Option<Claim> {
        if status == AutomationStatus::Queued {
            return Some(claim.marked(decided, noted));
        }
        let (store, claim) = (self.store.clone(), claim.clone());
        self.write_end(async move { store.marked(&claim, noted).await });
        None
    }

    /// Ask orchestration to run it. Safe to repeat: the decision is the key, and the request is the stored one.
    async fn start(&self, claim: &Claim, decided: &Decided) -> Result<Option<Claim>, StoreError> {
        let Some(request) = &decided.execution else {
            return Ok(Some(claim.withdrawn(decided, "nothing_to_execute")));
        };
        match self.sources.executions.execute(request).await {
            Ok(accepted) => {
                tracing::info!(execution.id = %accepted.execution_id, "the execution is under way");
                let (store, claim) = (self.store.clone(), claim.clone());
                self.write_end(async move { store.started(&claim, accepted.execution_id).await });
                Ok(None)
            }
            Err(error) => self.not_started(claim, decided, &error).await,
        }
    }

    /// Nobody waits for it: should it come to nothing, the last stages are repeated when the claim is over.
    fn write_end(&self, write: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
        let writing = async move {
            if let Err(error) = write.await {
                tracing::warn!(error = %chassis::chain(&error), "could not record that a ticket is done");
            }
        };
        self.shell.spawn(writing.in_current_span());
    }

    async fn not_started(
        &self,
        claim: &Claim,
        decided: &Decided,
        error: &PeerError,
    ) -> Result<Option<Claim>, StoreError> {
        tracing::warn!(%error, "the execution was not started");
        match refusal(error) {
            // Another decision's execution: it tells the ticket's story, ours has none.
            Some("execution_open") => {
                let (store, claim) = (self.store.clone(), claim.clone());
                self.write_end(async move { store.refused(&claim, "execution_open").await });
            }
            Some(code) => return Ok(Some(claim.withdrawn(decided, code))),
            None => {
                let asked = match error {
                    PeerError::Busy { retry_after, .. } => *retry_after,
                    PeerError::Refused { .. } | PeerError::Unknown { .. } => None,
                };
                self.wait(claim, pause(claim.tries, asked), None, "orchestration")
                    .await?;
            }
        }
        Ok(None)
    }
}

/// The code of a refusal that stays one. A wrong token or address is the operator's to mend: the ticket waits for that.
fn refusal(error: &PeerError) -> Option<&str> {
    match error {
        PeerError::Refused { problem, .. } if matches!(problem.status, 400 | 409 | 422) => {
            Some(&problem.code)
        }
        _ => None,
    }
}

/// Twice as long each time, and never shorter than asked for.
fn pause(tries: u32, asked: Option<Duration>) -> Duration {
    let backoff = growing(tries, PAUSE.1);
    asked.map_or(backoff, |asked| asked.max(backoff))
}

fn growing(tries: u32, longest: Duration) -> Duration {
    PAUSE
        .0
        .saturating_mul(2_u32.saturating_pow(tries.min(16)))
        .min(longest)
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Self::Seen => "judge",
            Self::Decided(_) => "mark",
            Self::Marked(_) => "start",
            Self::Withdrawn(_) => "withdraw",
        }
    }
}

impl MarkError {
    /// Asking again brings the same.
    fn is_final(&self) -> bool {
        matches!(self, Self::Call(CallError::Refused { .. }))
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(error) => error.retry_after(),
            Self::NoSuchField(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use common::Problem;

    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_honour_what_was_asked_for() {
        assert_eq!(pause(0, None), Duration::from_millis(500));
        assert_eq!(pause(2, None), Duration::from_secs(2));
        assert_eq!(pause(60, None), Duration::from_secs(30));
        assert_eq!(pause(0, Some(Duration::from_secs(9))), Duration::from_secs(9));
        assert_eq!(pause(60, Some(Duration::from_secs(9))), Duration::from_secs(30));
    }

    #[test]
    fn a_wrong_token_is_waited_out_and_a_refused_request_is_not() {
        let refused = |problem| PeerError::Refused {
            callee: "orchestration".to_owned(),
            problem: Box::new(problem),
        };
        assert_eq!(
            refusal(&refused(Problem::unauthorized("token_expired", ""))),
            None
        );
        assert_eq!(refusal(&refused(Problem::not_found("no_such_path", ""))), None);
        assert_eq!(
            refusal(&refused(Problem::unprocessable("playbook_gone", ""))),
            Some("playbook_gone")
        );
        assert_eq!(
            refusal(&refused(Problem::conflict("execution_open", ""))),
            Some("execution_open")
        );
    }
}
