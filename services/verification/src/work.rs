//! Performs what the state machine commands, off the request path, and reports what became of it.
//!
//! Every command is asked for again until its report is stored; so each is either harmless to repeat or has its intent
//! written first.

mod late;
mod reports;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration as StdDuration;

use chassis::Did;
use common::Signal;
use common::clock;
use connectors::teams::Conversation;
use connectors::twilio::Sms;
use connectors::{CallError, PhoneNumber};
use secrecy::{ExposeSecret as _, SecretString};
use time::{Duration, OffsetDateTime};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::approval::SmsReport;
use crate::card::Outgoing;
use crate::mfa::PushAnswer;
use crate::operation::{CardMessage, Command, Event, Facts, Operation, Request};
use crate::posting::CardReport;
use crate::store::{Claim, Queue, StoreError};
use crate::{Verifier, card, sms, words};
use connectors::entra::mfa::Push;
use reports::{card_report, not_told, push_answer, wait_of};

/// How long a dead runner's operation stays untouched.
pub(crate) const LEASE: Duration = Duration::seconds(15);
/// How often a runner at work says that it is alive: three times per lease.
const HEARTBEAT: StdDuration = StdDuration::from_secs(5);
/// First and longest wait before a report that the database did not take is offered again.
const REPORT_BACKOFF: (StdDuration, StdDuration) = (StdDuration::from_millis(100), StdDuration::from_secs(2));
/// How long a service that stops goes on offering a report: within the time that it has to stop.
const LAST_TRIES: StdDuration = StdDuration::from_secs(10);
/// Codes drawn until one is free; each clash is one in 10,000 per open request of that number.
const CODE_DRAWS: usize = 5;

/// Why a piece of work will be repeated.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The database.
    #[error("cannot record what was done")]
    Store(#[from] StoreError),
    /// The permit could not be signed.
    #[error("cannot sign the permit")]
    Permit(#[from] trust::permit::PermitError),
}

/// What became of a command.
enum Done {
    /// This happened.
    Reported(Event),
    /// Nothing to report: the service stops, or somebody else has taken over.
    LetGo,
}

impl Verifier {
    /// Do one piece of work of `queue`.
    pub async fn step(&self, queue: Queue) -> Result<Did, WorkError> {
        let now = clock::now();
        let Some(claim) = self.store.claim_due(queue, now, LEASE).await? else {
            return Ok(self.idle_until(queue, now).await?);
        };
        self.work_on(claim).await?;
        Ok(Did::Work)
    }

    /// Do what an operation asks for, until nothing of it is due.
    async fn work_on(&self, claim: Claim) -> Result<(), WorkError> {
        let facts = &claim.operation.facts;
        let span =
            tracing::info_span!("verification", operation.id = %facts.id, execution.id = %facts.execution);
        chassis::telemetry::adopt(&span, facts.trace.as_deref());
        self.perform_all(claim).instrument(span).await
    }

    /// Work beside the requests on an operation that was begun as ours. What fails is due again when its lease is over.
    pub(crate) fn take_on(&self, claim: Claim, place: OwnedSemaphorePermit) {
        let verifier = self.clone();
        self.shell.spawn(async move {
            if let Err(error) = verifier.work_on(claim).await {
                tracing::warn!(error = %chassis::chain(&error), "a step failed and will be repeated");
            }
            drop(place);
        });
    }

    /// A place to ask on a phone at once, where there is one and we are not about to stop.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        place.filter(|_| !self.stopping.is_cancelled())
    }

    async fn idle_until(&self, queue: Queue, now: OffsetDateTime) -> Result<Did, StoreError> {
        let due = self.store.next_due(queue).await?;
        Ok(due.map_or(Did::Nothing, |due| {
            Did::NothingUntil(StdDuration::try_from(due - now).unwrap_or(StdDuration::ZERO))
        }))
    }

    async fn perform_all(&self, mut claim: Claim) -> Result<(), WorkError> {
        loop {
            match self.perform_first(&claim).await {
                // It was let go in the same breath.
                Ok(Some(next)) if next.commands.is_empty() => return Ok(()),
                Ok(Some(next)) => claim = next,
                stopped => {
                    let released = self.store.release(&claim).await;
                    stopped?;
                    return Ok(released?);
                }
            }
        }
    }

    /// Perform the first command: the claim with what is left or has come. `None`: nothing more is ours to do, or
    /// somebody else holds it by now.
    async fn perform_first(&self, claim: &Claim) -> Result<Option<Claim>, WorkError> {
        let Some((command, rest)) = claim.commands.split_first() else {
            return Ok(None);
        };
        let mut performing = Box::pin(self.perform(claim, command));
        let done = match self.while_leased(claim, performing.as_mut()).await {
            Some(done) => done?,
            // The person still looks at this prompt, and their no counts whoever holds the operation by now.
            None if matches!(command, Command::Push { .. }) => performing.await?,
            None => return Ok(None),
        };
        Ok(match done {
            Done::Reported(Event::SignalTaken) if rest.is_empty() => {
                self.settle(claim.left_with(claim.operation.clone(), &[]));
                Some(claim.left_with(claim.operation.clone(), &[]))
            }
            Done::Reported(event) => self.tell(claim, event, rest, clock::now()).await?,
            Done::LetGo => (!rest.is_empty()).then(|| claim.left_with(claim.operation.clone(), rest)),
        })
    }

    /// Orchestration has the result: write that down beside, which nobody waits for. Should it come to nothing, it is told
    /// again when the lease is over.
    fn settle(&self, claim: Claim) {
        let verifier = self.clone();
        let settling = async move {
            let taken = Event::SignalTaken;
            let now = clock::now();
            match verifier.committer.go_on(&claim, taken, now, LEASE).await {
                // A card that still shows buttons.
                Ok(Some(next)) if !next.commands.is_empty() => {
                    if let Err(error) = Box::pin(verifier.perform_all(next)).await {
                        tracing::warn!(error = %chassis::chain(&error), "a step failed and will be repeated");
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %chassis::chain(&error), "could not record that a result was taken");
                }
            }
        };
        self.shell.spawn(settling.in_current_span());
    }

    /// Do `work` while the lease is kept; `None` where it is lost: somebody else has taken over.
    async fn while_leased<T>(&self, claim: &Claim, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = heartbeat.tick() => match self.store.renew(claim, clock::now() + LEASE).await {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::warn!("another runner took over");
                        return None;
                    }
                    // The lease is still good for a while; the next beat may get through.
                    Err(error) => tracing::warn!(error = %chassis::chain(&error), "could not renew a lease"),
                },
            }
        }
    }

    /// Report what happened at `at`, again and again until the database has it or the fence says that somebody else
    /// took over (`None`). What a person said is known only here: it must outlast a database that is away.
    async fn tell(
        &self,
        claim: &Claim,
        event: Event,
        rest: &[Command],
        at: OffsetDateTime,
    ) -> Result<Option<Claim>, StoreError> {
        let mut last_tries = pin!(async {
            self.stopping.cancelled().await;
            tokio::time::sleep(LAST_TRIES).await;
        });
        let mut wait = REPORT_BACKOFF.0;
        loop {
            let error = match self.tell_once(claim, &event, rest, at).await {
                Err(error) if error.passes() => error,
                told => return told,
            };
            tracing::warn!(error = %chassis::chain(&error), "could not record what happened; will try again");
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(REPORT_BACKOFF.1),
                () = &mut last_tries => {
                    tracing::error!("the service stopped before the database took what happened");
                    return Err(error);
                }
            }
        }
    }

    async fn tell_once(
        &self,
        claim: &Claim,
        event: &Event,
        rest: &[Command],
        at: OffsetDateTime,
    ) -> Result<Option<Claim>, StoreError> {
        let next = if rest.is_empty() {
            self.committer.go_on(claim, event.clone(), at, LEASE).await?
        } else {
            let reported = self.store.report(claim, event.clone(), at).await?;
            reported.map(|operation| claim.left_with(operation, rest))
        };
        if next.is_some() {
            return Ok(next);
        }
        if matches!(event, Event::Push(PushAnswer::Denied | PushAnswer::Fraud)) {
            tracing::warn!("another runner took over; the no of the first prompt counts all the same");
            self.store.overrule(claim, event.clone(), at).await?;
        } else {
            tracing::warn!("another runner took over; what this one saw does not count");
        }
        Ok(None)
    }

    async fn perform(&self, claim: &Claim, command: &Command) -> Result<Done, WorkError> {
        if let Some(channel) = command.asks_by()
            && let Some(instead) = self.instead_of_asking(&claim.operation, channel).await
        {
            return Ok(instead);
        }
        Ok(match command {
            Command::Push {
                user_principal_name,
                until,
            } => self.push(user_principal_name, *until).await,
            Command::SendCard => match card::outgoing(&claim.operation) {
                Some(outgoing) => Done::Reported(Event::Card(self.send_card(&outgoing).await?)),
                None => Done::LetGo,
            },
            Command::SendSms => match claim.operation.state.request() {
                Some(request) => self.send_sms(claim, request).await?,
                None => Done::LetGo,
            },
            Command::LookUpApprover => match claim.operation.state.request() {
                Some(request) => {
                    let standing = self.standing(&claim.operation.facts, request).await;
                    Done::Reported(Event::Approver(standing))
                }
                None => Done::LetGo,
            },
            Command::CloseCard(message) => Done::Reported(self.close_card(claim, message).await),
            Command::Signal => Done::Reported(self.signal(&claim.operation).await?),
        })
    }

    /// Ask on the subject's phone, and wait while they think.
    async fn push(&self, whom: &str, until: OffsetDateTime) -> Done {
        if self.stopping.is_cancelled() {
            // Claimed at the last moment: nothing was sent, and the next runner has both its pushes.
            return Done::Reported(Event::Push(PushAnswer::Busy { retry_after: None }));
        }
        let push = Push {
            user_principal_name: whom.to_owned(),
            context: Uuid::new_v4(),
            wait: StdDuration::try_from(until - clock::now()).unwrap_or(StdDuration::ZERO),
        };
        tokio::select! {
            biased;
            answered = self.mfa.push(&push) => Done::Reported(Event::Push(push_answer(answered))),
            // The prompt stays on the phone; whoever takes over knows that its answer is lost.
            () = self.stopping.cancelled() => Done::LetGo,
        }
    }

    async fn send_card(&self, outgoing: &Outgoing<'_>) -> Result<CardReport, StoreError> {
        if self.store.is_held().await? {
            return Ok(CardReport::Held);
        }
        let conversation = match self.teams.conversation(outgoing.to).await {
            Ok(conversation) => conversation,
            Err(error) => {
                return Ok(card_report(&error, |retry_after| CardReport::Busy {
                    retry_after,
                }));
            }
        };
        // Again: Teams may have taken its time.
        if self.store.is_held().await? {
            return Ok(CardReport::Held);
        }
        let sent = self
            .teams
            .send_card(&conversation, &outgoing.summary, &outgoing.card)
            .await;
        Ok(match sent {
            Ok(activity) => CardReport::Sent(CardMessage {
                service_url: conversation.service_url.to_string(),
                conversation: conversation.id,
                activity,
            }),
            Err(error) => card_report(&error, |_| CardReport::Lost),
        })
    }

    async fn send_sms(&self, claim: &Claim, request: &Request) -> Result<Done, WorkError> {
        let report = |report| Ok(Done::Reported(Event::Sms(report)));
        let to = match self.approver_number(&claim.operation.facts, request).await {
            Ok(Ok(to)) => to,
            Ok(Err(why_none)) => return report(why_none),
            Err(error) => {
                tracing::warn!(error = %chassis::chain(&error), "the manager's number cannot be looked up now");
                let retry_after = wait_of(&error);
                return report(SmsReport::Busy { retry_after });
            }
        };
        if self.store.is_held().await? {
            return report(SmsReport::Held);
        }
        let Some(code) = self.intend_sms(claim, &to).await? else {
            return Ok(Done::LetGo);
        };
        let text = SecretString::from(words::question(&request.shown, code.expose_secret()));
        let asked_at = clock::now();
        let left = claim.operation.deadline() - asked_at;
        let sent = self
            .twilio
            .send(&Sms {
                to: to.clone(),
                body: text,
                status_callback: None,
                validity: StdDuration::try_from(left).unwrap_or(StdDuration::ZERO),
            })
            .await;
        match sent {
            Ok(message) => report(SmsReport::Sent {
                message: Some(message.sid),
            }),
            Err(CallError::Unknown { .. }) => report(self.look_for_sms(&to, asked_at, &code).await),
            Err(error @ CallError::Busy { .. }) => report(SmsReport::Busy {
                retry_after: wait_of(&error),
            }),
            Err(error @ CallError::Refused { .. }) => {
                tracing::warn!(error = %chassis::chain(&error), "the text message was refused");
                report(SmsReport::Refused)
            }
        }
    }

    /// The number is read when it is needed and forgotten again; so are whether the manager still has their account and
    /// what the subject's numbers are. Or else the report of why there is none.
    async fn approver_number(
        &self,
        facts: &Facts,
        request: &Request,
    ) -> Result<Result<PhoneNumber, SmsReport>, CallError> {
        let person = match self.entra.user(&request.approver.id).await {
            Err(CallError::Refused { .. }) => None,
            looked_up => looked_up?,
        };
        let number = person
            .filter(|person| person.account_enabled && !person.guest)
            .and_then(|person| person.mobile_phone)
            .and_then(|number| PhoneNumber::from_directory(&number).ok());
        let Some(number) = number else {
            return Ok(Err(SmsReport::Refused));
        };
        // INVARIANT: nobody gets the code of their own request. Whose numbers cannot be read may have this one.
        let subject = &facts.subject.id;
        let looked = Box::pin(async {
            tokio::try_join!(self.entra.user(subject), self.entra.mobile_phone_method(subject))
        });
        let (person, registered) = looked.await?;
        let Some(person) = person else {
            return Ok(Err(SmsReport::Busy { retry_after: None }));
        };
        let on_record = person.mobile_phone.is_some_and(|theirs| number.may_be(&theirs));
        if on_record || registered.is_some_and(|theirs| theirs == number) {
            tracing::warn!("the manager's number is one of the subject's; no text message is sent");
            return Ok(Err(SmsReport::Shared));
        }
        Ok(Ok(number))
    }

    /// Store the code's hash before the message goes out: an answer must find it, whatever stops in between.
    async fn intend_sms(&self, claim: &Claim, to: &PhoneNumber) -> Result<Option<SecretString>, WorkError> {
        for _ in 0..CODE_DRAWS {
            let code = sms::fresh_code(&mut rand::rng());
            let intended = Event::Sms(SmsReport::Intended(self.hasher.code(to, &code)));
            match self.store.report(claim, intended, clock::now()).await {
                Ok(Some(operation)) if operation.state.ended().is_none() => return Ok(Some(code)),
                Ok(_) => return Ok(None),
                Err(StoreError::CodeInUse) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::CodeInUse.into())
    }

    /// The carrier's answer was lost: ask whether it has the message.
    async fn look_for_sms(&self, to: &PhoneNumber, since: OffsetDateTime, code: &SecretString) -> SmsReport {
        let marker = SecretString::from(format!("YES {}", code.expose_secret()));
        match self.twilio.find_sent(to, since, &marker).await {
            Ok(Some(message)) => SmsReport::Sent {
                message: Some(message.sid),
            },
            Ok(None) | Err(_) => SmsReport::Lost,
        }
    }

    async fn close_card(&self, claim: &Claim, message: &CardMessage) -> Event {
        let ended = claim.operation.state.ended();
        let card = ended.and_then(|ended| card::closed(&claim.operation.facts, ended));
        let (Some(card), Ok(service_url)) = (card, message.service_url.parse()) else {
            return Event::CardClosed;
        };
        let conversation = Conversation {
            id: message.conversation.clone(),
            service_url,
        };
        match self
            .teams
            .update_card(&conversation, &message.activity, &card)
            .await
        {
            Ok(()) => Event::CardClosed,
            // Deleted, or the bot was removed: there is nothing left to press.
            Err(error @ CallError::Refused { .. }) => {
                tracing::warn!(error = %chassis::chain(&error), "the card could not be closed");
                Event::CardClosed
            }
            Err(error) => Event::CardNotClosed {
                retry_after: wait_of(&error),
            },
        }
    }

    async fn signal(&self, operation: &Operation) -> Result<Event, WorkError> {
        // INVARIANT: it was read or written when it had ended, and since then no attempt makes the call its own.
        let Some(result) = self.result(operation)? else {
            return Ok(Event::SignalNotTaken { retry_after: None });
        };
        let signal = Signal {
            tenant_id: operation.facts.tenant.clone(),
            operation: operation.facts.id,
            step: operation.facts.call.clone(),
            result,
        };
        let told = self
            .orchestration
            .signal(operation.facts.execution, &signal)
            .await;
        Ok(match told {
            Ok(()) => {
                tracing::info!(outcome = %signal.result.outcome, "the result was taken");
                Event::SignalTaken
            }
            Err(error) => not_told(&error),
        })
    }
}
