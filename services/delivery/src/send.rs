//! `delivery.sms`: one text message for one credential.
//!
//! The row is there before the message is. Whatever stops in between, the next request for the same visit looks at the
//! gateway before it sends: there is no idempotency key on its side, and two texts are one too many.

use chassis::{Shell, Watched};
use common::clock;
use common::{Outcome, Pending, StepAnswer, StepRequest, StepResult, TenantId};
use connectors::twilio::{Message, Sms, Twilio};
use connectors::{CallError, PhoneNumber};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;
use trust::{Binding, Identity, OpenedCredential, Purpose, SealError, SealKey};
use url::Url;

use crate::follow::Follow;
use crate::refusal::SendError;
use crate::settings::DeliverySettings;
use crate::store::{Answered, Begun, Lease, Store, Visit};
use crate::text::message;
use crate::verdict::{Patience, refused, verdict};

const ACTION: &str = "delivery.sms";

/// Sends credentials. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    tenant: TenantId,
    keys: Watched<Identity>,
    store: Store,
    twilio: Twilio,
    seal_key: Watched<SealKey>,
    follow: Follow,
    callback: Option<Url>,
    help_desk: String,
}

/// A credential in the open, for as long as this request lasts.
struct Letter {
    opened: OpenedCredential,
    to: PhoneNumber,
}

impl Sender {
    pub(crate) fn new(
        shell: &Shell,
        store: Store,
        twilio: Twilio,
        seal_key: Watched<SealKey>,
        follow: Follow,
        settings: &DeliverySettings,
    ) -> Self {
        Self {
            tenant: shell.tenant().clone(),
            keys: shell.keys().clone(),
            store,
            twilio,
            seal_key,
            follow,
            callback: settings.status_callback().parse().ok(),
            help_desk: settings.help_desk_name.clone(),
        }
    }

    /// Send it, or find out that it was sent. Refusals are in the audit before they are answered.
    pub(crate) async fn perform(&self, request: &StepRequest) -> Result<StepAnswer, SendError> {
        let answer = self.answer(request).await;
        if let Err(error) = &answer
            && let Some(code) = error.audited()
        {
            tracing::warn!(execution.id = %request.execution_id, code, "refused to deliver");
            self.store.refused(request, code).await?;
        }
        answer
    }

    async fn answer(&self, request: &StepRequest) -> Result<StepAnswer, SendError> {
        self.check(request)?;
        let lease = match self.store.take_up(request).await? {
            Visit::Ended(result) => return Ok(StepAnswer::Done(result)),
            Visit::Sent {
                operation,
                destination,
            } => return Ok(pending(operation, &destination)),
            Visit::Other => return Err(SendError::OtherDelivery),
            Visit::UnderWay => return Err(SendError::UnderWay),
            Visit::Mine(lease) => Some(lease),
            Visit::New => None,
        };
        let now = clock::now();
        if request.deadline <= now && lease.is_none() {
            // The step has timed out: a text now would contradict what the ticket says.
            return Ok(too_late());
        }
        let letter = match self.open_by_any_key(request, now).await {
            Ok(letter) => letter,
            Err(error) => return self.cannot_open(request, lease, error).await,
        };
        match lease {
            Some(lease) => self.alone(&lease, self.resume(request, &lease, &letter)).await,
            None => match self.store.begin(request, &letter.to.to_string(), now).await? {
                Begun::Mine(lease) => self.alone(&lease, self.send(request, &lease, &letter)).await,
                Begun::UnderWay => Err(SendError::UnderWay),
                Begun::OpenedBefore => Err(SendError::OpenedBefore),
                Begun::SwitchedOff(off) => Err(SendError::SwitchedOff(off)),
            },
        }
    }

    /// Do `work` for as long as nobody else sends.
    async fn alone(
        &self,
        lease: &Lease,
        work: impl Future<Output = Result<StepAnswer, SendError>>,
    ) -> Result<StepAnswer, SendError> {
        let renew = || self.store.renew(lease);
        let answer = lease.held().during(work, renew).await;
        answer.unwrap_or(Err(SendError::UnderWay))
    }

    fn check(&self, request: &StepRequest) -> Result<(), SendError> {
        if request.tenant_id != self.tenant || request.subject.tenant_id != self.tenant {
            return Err(SendError::Misdirected("tenant"));
        }
        if request.action.as_str() != ACTION {
            return Err(SendError::Misdirected("action"));
        }
        if !request.parameters.is_empty() {
            return Err(SendError::Parameters);
        }
        if request.sealed.is_none() {
            return Err(SendError::Missing);
        }
        Ok(())
    }

    /// The executor may have got a new key this moment, or delivery one that the executor knows already.
    async fn open_by_any_key(&self, request: &StepRequest, now: OffsetDateTime) -> Result<Letter, SendError> {
        match self.open(request, now) {
            Err(SendError::Shut(SealError::WrongIssuer)) if self.keys.look_again().await => {
                self.open(request, now)
            }
            Err(SendError::Shut(SealError::Unreadable)) if self.seal_key.look_again().await => {
                self.open(request, now)
            }
            opened => opened,
        }
    }

    fn open(&self, request: &StepRequest, now: OffsetDateTime) -> Result<Letter, SendError> {
        let sealed = request.sealed.as_ref().ok_or(SendError::Missing)?;
        let binding = Binding {
            tenant: &self.tenant,
            execution: request.execution_id,
            ticket: &request.ticket_id,
            subject: &request.subject.user_id,
            purpose: Purpose::TemporaryAccessPass,
        };
        let (keys, seal_key) = (self.keys.now(), self.seal_key.now());
        let opened = trust::seal::open(sealed, &binding, &seal_key, keys.trusted(), now)?;
        let to = opened.destination().expose_secret().parse();
        let to = to.map_err(|_| SealError::Malformed)?;
        Ok(Letter { opened, to })
    }

    /// A delivery that was begun and whose credential has expired since has failed; anything else is a refusal.
    async fn cannot_open(
        &self,
        request: &StepRequest,
        lease: Option<Lease>,
        error: SendError,
    ) -> Result<StepAnswer, SendError> {
        let Some(lease) = lease else {
            return Err(error);
        };
        if !matches!(error, SendError::Shut(SealError::Expired)) {
            self.store.release(&lease).await?;
            return Err(error);
        }
        let result = StepResult::new(
            Outcome::Failure,
            "The pass expired before it was certain that a text message with it had been sent; it opens nothing any more.",
        );
        self.end(request, &lease, result).await
    }

    /// Somebody meant to send it, and may have.
    async fn resume(
        &self,
        request: &StepRequest,
        lease: &Lease,
        letter: &Letter,
    ) -> Result<StepAnswer, SendError> {
        match self.find(lease, letter).await {
            Ok(Some(found)) => self.sent(request, lease, &found).await,
            Ok(None) if request.deadline <= clock::now() => {
                self.store.release(lease).await?;
                Ok(too_late())
            }
            Ok(None) if let Some(off) = self.store.switched_off().await? => {
                self.store.release(lease).await?;
                Err(SendError::SwitchedOff(off))
            }
            Ok(None) => self.send(request, lease, letter).await,
            Err(error) => self.give_back(lease, error).await,
        }
    }

    /// Send it, under a lease that was taken or renewed a moment ago.
    async fn send(
        &self,
        request: &StepRequest,
        lease: &Lease,
        letter: &Letter,
    ) -> Result<StepAnswer, SendError> {
        let life = letter.opened.expires() - clock::now();
        let sms = Sms {
            to: letter.to.clone(),
            body: message(&self.help_desk, &request.ticket_id, letter.opened.secret(), life),
            status_callback: self.callback.clone(),
            // A pass that arrives dead is worse than none.
            validity: life.try_into().unwrap_or_default(),
        };
        match self.twilio.send(&sms).await {
            Ok(message) => self.sent(request, lease, &message).await,
            Err(CallError::Refused { code, .. }) => {
                tracing::error!(execution.id = %request.execution_id, code, "the SMS gateway refused a message");
                self.end(request, lease, refused(&code, lease.destination()))
                    .await
            }
            Err(error @ CallError::Busy { .. }) => self.give_back(lease, error).await,
            Err(error @ CallError::Unknown { .. }) => match self.find(lease, letter).await {
                Ok(Some(found)) => self.sent(request, lease, &found).await,
                // Not there yet is not the same as never: the next request looks once more before it sends.
                Ok(None) | Err(_) => self.give_back(lease, error).await,
            },
        }
    }

    async fn find(&self, lease: &Lease, letter: &Letter) -> Result<Option<Message>, CallError> {
        let since = lease.intended_at();
        // No other message contains the pass.
        self.twilio
            .find_sent(&letter.to, since, letter.opened.secret())
            .await
    }

    async fn sent(
        &self,
        request: &StepRequest,
        lease: &Lease,
        message: &Message,
    ) -> Result<StepAnswer, SendError> {
        if !self
            .store
            .sent(request, lease, &message.sid, message.status)
            .await?
        {
            return Err(SendError::UnderWay);
        }
        let ended = verdict(
            message.status,
            message.error_code,
            lease.destination(),
            Patience::Receipt,
        );
        if let Some(result) = ended {
            return self.end(request, lease, result).await;
        }
        self.follow.sent(&message.sid);
        Ok(pending(lease.operation(), lease.destination()))
    }

    async fn end(
        &self,
        request: &StepRequest,
        lease: &Lease,
        result: StepResult,
    ) -> Result<StepAnswer, SendError> {
        let about = lease.about(request);
        let ended = self.store.end(&about, &result, None, Answered::Now).await?;
        ended.map(|_| StepAnswer::Done(result)).ok_or(SendError::UnderWay)
    }

    async fn give_back(&self, lease: &Lease, error: CallError) -> Result<StepAnswer, SendError> {
        self.store.release(lease).await?;
        Err(SendError::Away(error))
    }
}

/// The step has timed out, and the gateway knows of no text.
fn too_late() -> StepAnswer {
    let explanation = "The time for the delivery had run out, so no text message was sent any more.";
    StepAnswer::Done(StepResult::new(Outcome::Timeout, explanation))
}

fn pending(operation: common::OperationId, destination: &str) -> StepAnswer {
    StepAnswer::Pending(Pending {
        operation,
        explanation: format!(
            "A text message with the pass was sent to {destination}; the receipt is awaited."
        ),
    })
}
