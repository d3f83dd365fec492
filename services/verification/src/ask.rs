//! Begin an operation: who is the subject, who may answer for them, according to the directory at this moment.
//!
//! Nothing of the request names a target, a number or an approver but the subject's object id.

mod question;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::ApiError;
use chassis::switches::SWITCHED_OFF;
use common::clock;
use common::methods::recent_change;
use common::{
    OperationId, OperationView, Pending, Person, Problem, StepAnswer, StepRequest, StepResult, UserId,
};
use connectors::CallError;
use rand::Rng as _;
use time::{Duration, OffsetDateTime};
use trust::permit::PermitError;

use crate::Verifier;
use crate::approval::Approval;
use crate::inquiry::NoQuestion;
use crate::mfa::{Mfa, Push};
use crate::operation::{Ended, Ending, Facts, Method, Obstacle, Operation, Party, Request, State};
use crate::patience::Postponed;
use crate::store::{Begun, StoreError};
use crate::work::LEASE;
use crate::{permit, record, words};

/// What `verification.manager` may be told in `with:` to show as the reason.
const REASON: &str = "reason";

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The request is not for this endpoint or this fleet.
    #[error("{0}")]
    Misdirected(String),
    /// The step asks nothing that could be answered.
    #[error(transparent)]
    NoQuestion(#[from] NoQuestion),
    /// This visit of this step has a verification of somebody or something else.
    #[error("step `{0}` of this execution has another verification already")]
    Taken(common::StepId),
    /// The directory is away.
    #[error("the directory cannot be asked")]
    Away(#[source] CallError),
    /// The operation is not known.
    #[error("verification `{0}` not found")]
    NotFound(OperationId),
    /// Nobody may be declared silent yet.
    #[error("it has been given more time")]
    Postponed(Postponed),
    /// The database.
    #[error("cannot record the verification")]
    Store(#[from] StoreError),
    /// The permit could not be signed.
    #[error("cannot sign the permit")]
    Permit(#[from] PermitError),
}

impl AskError {
    /// Stable: of problems and the audit. `None` where nothing was refused for good; a switch that is off is on record with
    /// what it held back.
    const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Misdirected(_) => Some("step_misdirected"),
            Self::NoQuestion(_) => Some("no_question"),
            Self::Taken(_) => Some("verification_taken"),
            Self::Away(_) | Self::NotFound(_) | Self::Postponed(_) | Self::Store(_) | Self::Permit(_) => None,
        }
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Store(StoreError::SwitchedOff(off)) => off.problem().into(),
            AskError::Misdirected(_) => Problem::unprocessable("step_misdirected", &error).into(),
            AskError::NoQuestion(_) => Problem::unprocessable("no_question", &error).into(),
            AskError::Taken(_) => Problem::conflict("verification_taken", &error).into(),
            AskError::NotFound(_) => Problem::not_found("verification_not_found", &error).into(),
            AskError::Away(call) => {
                tracing::warn!(error = %chassis::chain(&error), "the directory is away; nobody was asked");
                let wait = call.retry_after().map(|wait| wait.as_secs().max(1));
                Problem::outside_unavailable("the directory", wait).into()
            }
            AskError::Postponed(why) => why.problem().into(),
            AskError::Store(_) | AskError::Permit(_) => Self::internal(&error),
        }
    }
}

/// Nobody can be asked (an obstacle that ends the operation at once), or the directory is away.
enum Lookup {
    Obstacle(Obstacle),
    Away(CallError),
}

impl From<CallError> for Lookup {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { ref code, .. } => {
                tracing::error!(code, error = %chassis::chain(&error), "the directory refused a look-up");
                Self::Obstacle(Obstacle::DirectoryRefused)
            }
            away => Self::Away(away),
        }
    }
}

impl Verifier {
    /// Ask the subject by push.
    pub async fn ask_subject(
        &self,
        request: StepRequest,
        now: OffsetDateTime,
    ) -> Result<StepAnswer, AskError> {
        let answer = Box::pin(self.ask_by_push(&request, now)).await;
        self.on_record(&request, answer).await
    }

    async fn ask_by_push(&self, request: &StepRequest, now: OffsetDateTime) -> Result<StepAnswer, AskError> {
        self.check(request, "verification.mfa")?;
        if let Some(known) = self.known(request, Method::Mfa).await? {
            return Ok(known);
        }
        let facts = facts(
            request,
            Method::Mfa,
            Some(self.limits.mfa),
            self.limits.outside,
            now,
        );
        let operation = match self.subject(request).await {
            Ok(person) => Operation {
                state: State::Mfa(Mfa {
                    subject: person.id.clone(),
                    user_principal_name: person.user_principal_name.clone(),
                    patience: facts.patience(),
                    push: Push::Due {
                        sent: 0,
                        attempts: 0,
                        at: now,
                    },
                }),
                facts: named(facts, &person),
                permit: None,
            },
            Err((person, reason)) => impossible(facts, person.as_ref(), reason, now)?,
        };
        self.begin(operation, request).await
    }

    /// Ask the subject's manager.
    pub async fn ask_manager(
        &self,
        request: StepRequest,
        now: OffsetDateTime,
    ) -> Result<StepAnswer, AskError> {
        let answer = Box::pin(self.ask_by_card(&request, now)).await;
        self.on_record(&request, answer).await
    }

    async fn ask_by_card(&self, request: &StepRequest, now: OffsetDateTime) -> Result<StepAnswer, AskError> {
        self.check(request, "verification.manager")?;
        if let Some(known) = self.known(request, Method::Manager).await? {
            return Ok(known);
        }
        let facts = facts(
            request,
            Method::Manager,
            Some(self.limits.approval),
            self.limits.outside,
            now,
        );
        let operation = match self.subject(request).await {
            Ok(person) => {
                let facts = named(facts, &person);
                match self.manager(&person).await {
                    Ok(manager) => {
                        let asked = asked(request, &facts, &person, &manager);
                        let sms_at = now + self.limits.sms_after;
                        let approval = Approval::new(asked, facts.patience(), sms_at, now);
                        Operation {
                            facts,
                            state: State::Approval(Box::new(approval)),
                            permit: None,
                        }
                    }
                    Err(reason) => impossible(facts, Some(&person), reason, now)?,
                }
            }
            Err((person, reason)) => impossible(facts, person.as_ref(), reason, now)?,
        };
        self.begin(operation, request).await
    }

    /// The answer to `request`, and where that is a refusal, once it is on record: nothing of ours asks for such a thing.
    async fn on_record(
        &self,
        request: &StepRequest,
        answer: Result<StepAnswer, AskError>,
    ) -> Result<StepAnswer, AskError> {
        if let Err(refused) = &answer
            && let Some(code) = refused.code()
        {
            let event = record::not_taken(request, self.is_ours(request), code);
            self.store.refused(&event).await?;
        }
        answer
    }

    fn is_ours(&self, request: &StepRequest) -> bool {
        let tenants = [&request.tenant_id, &request.subject.tenant_id];
        tenants.into_iter().all(|tenant| *tenant == self.tenant)
    }

    /// How an operation stands, with its permit.
    ///
    /// # Errors
    /// [`AskError::Postponed`] where its time-out is over and it has been given more time all the same.
    pub async fn operation(&self, id: OperationId, now: OffsetDateTime) -> Result<OperationView, AskError> {
        let operation = self.store.find(id).await?.ok_or(AskError::NotFound(id))?;
        if let Some(why) = operation.postponed(now) {
            return Err(AskError::Postponed(why));
        }
        let result = self.result(&operation)?;
        Ok(words::view(&operation, result))
    }

    /// The result of an operation that has ended, with its permit.
    pub(crate) fn result(&self, operation: &Operation) -> Result<Option<StepResult>, PermitError> {
        let Some(ended) = operation.state.ended() else {
            return Ok(None);
        };
        let mut result = words::result(&operation.facts, ended);
        result.permit = permit::token(operation, &self.keys.now())?;
        Ok(Some(result))
    }

    fn check(&self, request: &StepRequest, action: &str) -> Result<(), AskError> {
        if request.action.as_str() != action {
            let detail = format!("`{}` is not done here; this is `{action}`", request.action);
            return Err(AskError::Misdirected(detail));
        }
        if !self.is_ours(request) {
            return Err(AskError::Misdirected(
                "the request is for another tenant".to_owned(),
            ));
        }
        Ok(())
    }

    /// The operation that this visit of this step has already.
    async fn known(&self, request: &StepRequest, method: Method) -> Result<Option<StepAnswer>, AskError> {
        let Some(known) = self.store.of_call(request.execution_id, &request.step).await? else {
            return Ok(None);
        };
        self.answer_with(known, request, method).await.map(Some)
    }

    async fn begin(&self, operation: Operation, request: &StepRequest) -> Result<StepAnswer, AskError> {
        let method = operation.facts.method;
        let stored = match self.store_begun(&operation).await {
            Err(StoreError::Full(exceeded)) => {
                tracing::warn!(execution.id = %request.execution_id, code = exceeded.code(), "nobody is asked: {exceeded}");
                let now = operation.facts.asked_at;
                self.store
                    .begin(&ended(operation.facts, Obstacle::from(&exceeded), now))
                    .await?
            }
            Err(error @ StoreError::SwitchedOff(_)) => {
                let refused = record::not_begun(&operation.facts, SWITCHED_OFF);
                self.store.refused(&refused).await?;
                return Err(error.into());
            }
            stored => stored?,
        };
        tracing::info!(
            operation.id = %stored.facts.id,
            execution.id = %stored.facts.execution,
            method = method.as_str(),
            ended = stored.state.ended().is_some(),
            "somebody is to be asked"
        );
        self.answer_with(stored, request, method).await
    }

    /// A push is ours at once, where there is a place for it; everything else waits for whoever claims it.
    async fn store_begun(&self, operation: &Operation) -> Result<Operation, StoreError> {
        let place = matches!(operation.state, State::Mfa(_)).then(|| self.place());
        let Some(place) = place.flatten() else {
            return self.store.begin(operation).await;
        };
        let now = operation.facts.asked_at;
        match self.committer.begin_ours(operation, now, LEASE).await? {
            Begun::Ours(claim) => {
                let stored = claim.operation.clone();
                self.take_on(claim, place);
                Ok(stored)
            }
            Begun::Stored(stored) => Ok(stored),
        }
    }

    async fn answer_with(
        &self,
        operation: Operation,
        request: &StepRequest,
        method: Method,
    ) -> Result<StepAnswer, AskError> {
        let facts = &operation.facts;
        // INVARIANT: an operation answers for exactly what it was begun for.
        let same = facts.method == method
            && facts.subject.id == request.subject.user_id
            && facts.ticket == request.ticket_id
            && facts.authorizes == request.authorizes;
        if !same {
            return Err(AskError::Taken(request.step.id.clone()));
        }
        if let Some(result) = self.result(&operation)? {
            return Ok(StepAnswer::Done(result));
        }
        if facts.call.attempt < request.step.attempt {
            self.store.adopt(facts.id, request.step.attempt).await?;
        }
        Ok(StepAnswer::Pending(Pending {
            operation: facts.id,
            explanation: words::waiting(&operation),
        }))
    }

    async fn subject(&self, request: &StepRequest) -> Result<Person, (Option<Person>, Lookup)> {
        let person = self
            .entra
            .user(&request.subject.user_id)
            .await
            .map_err(|error| (None, error.into()))?;
        // By their object id and nothing else: under another name they would have other limits.
        let by_id = |person: &Person| {
            person
                .id
                .as_str()
                .eq_ignore_ascii_case(request.subject.user_id.as_str())
        };
        let Some(person) = person.filter(by_id) else {
            return Err((None, Lookup::Obstacle(Obstacle::SubjectUnknown)));
        };
        if let Some(obstacle) = subject_obstacle(&person) {
            return Err((Some(person), Lookup::Obstacle(obstacle)));
        }
        match self.caution(&person, request.authorizes.is_some()).await {
            Ok(None) => Ok(person),
            Ok(Some(obstacle)) => Err((Some(person), Lookup::Obstacle(obstacle))),
            Err(error) => Err((Some(person), error.into())),
        }
    }

    /// Why a person is left to people. How old their methods are matters where something is to be proven by them.
    async fn caution(&self, person: &Person, proves: bool) -> Result<Option<Obstacle>, CallError> {
        let days = self.caution.method_change_days;
        let methods = async {
            if proves && days > 0 {
                self.entra.sign_in_methods(&person.id).await
            } else {
                Ok(vec![])
            }
        };
        // Boxed: look-ups side by side make a future too large to carry through every caller.
        let looked = Box::pin(async { tokio::try_join!(self.entra.memberships(&person.id), methods) });
        let (memberships, methods) = looked.await?;
        if let Some(why) = self.caution.protected.why(person, &memberships) {
            tracing::warn!(subject = %person.id, code = why.code(), "a protected person is not asked");
            return Ok(Some(Obstacle::from(&why)));
        }
        let changed = recent_change(&methods, days, clock::now());
        Ok(changed.map(|_| Obstacle::MethodChanged))
    }

    async fn manager(&self, subject: &Person) -> Result<Person, Lookup> {
        let manager = self.entra.manager(&subject.id).await?;
        let manager = manager.ok_or(Lookup::Obstacle(Obstacle::NoManager))?;
        match manager_obstacle(&subject.id, &manager) {
            Some(obstacle) => Err(Lookup::Obstacle(obstacle)),
            None => Ok(manager),
        }
    }
}

/// Why a subject is not asked; silence of the directory is a no already.
fn subject_obstacle(person: &Person) -> Option<Obstacle> {
    if person.guest {
        Some(Obstacle::SubjectGuest)
    } else if !person.account_enabled {
        Some(Obstacle::SubjectDisabled)
    } else {
        None
    }
}

/// Why a manager is not asked, nor believed.
pub(crate) fn manager_obstacle(subject: &UserId, manager: &Person) -> Option<Obstacle> {
    if manager.id.as_str().eq_ignore_ascii_case(subject.as_str()) {
        Some(Obstacle::ManagerIsSubject)
    } else if manager.guest {
        Some(Obstacle::ManagerGuest)
    } else if !manager.account_enabled {
        Some(Obstacle::ManagerDisabled)
    } else {
        None
    }
}

/// What an operation is begun for; people have `longest` at most, and else as long as its step says. While nobody can be
/// asked, that time does not run, for as long as `outside` may be away.
fn facts(
    request: &StepRequest,
    method: Method,
    longest: Option<Duration>,
    outside: Duration,
    now: OffsetDateTime,
) -> Facts {
    let deadline = longest.map_or(request.deadline, |longest| request.deadline.min(now + longest));
    Facts {
        id: OperationId::fresh(),
        tenant: request.tenant_id.clone(),
        ticket: request.ticket_id.clone(),
        execution: request.execution_id,
        call: request.step.clone(),
        method,
        subject: Party {
            id: request.subject.user_id.clone(),
            name: "The requester".to_owned(),
        },
        authorizes: request.authorizes.clone(),
        asked_at: now,
        deadline,
        latest: deadline.max(now + outside),
        trace: chassis::telemetry::trace_context(),
    }
}

fn named(facts: Facts, person: &Person) -> Facts {
    Facts {
        // The id that was asked for, letter by letter: permits and repeats are held against it.
        subject: Party {
            id: facts.subject.id.clone(),
            name: person.display_name.clone(),
        },
        ..facts
    }
}

/// What the manager is asked.
fn asked(request: &StepRequest, facts: &Facts, subject: &Person, manager: &Person) -> Request {
    let reason = request.parameters.get(REASON).and_then(|reason| reason.as_str());
    let shown = words::shown(
        subject,
        request.authorizes.as_ref(),
        reason,
        &facts.ticket,
        facts.deadline,
    );
    Request {
        approver: party(manager),
        reference: reference("apr"),
        shown,
    }
}

fn party(person: &Person) -> Party {
    Party {
        id: person.id.clone(),
        name: person.display_name.clone(),
    }
}

/// An operation that ends as it begins. Its result is the answer, so no signal is owed.
fn impossible(
    facts: Facts,
    person: Option<&Person>,
    reason: Lookup,
    now: OffsetDateTime,
) -> Result<Operation, AskError> {
    let obstacle = match reason {
        Lookup::Away(error) => return Err(AskError::Away(error)),
        Lookup::Obstacle(obstacle) => obstacle,
    };
    let facts = match person {
        Some(person) => named(facts, person),
        None => facts,
    };
    Ok(ended(facts, obstacle, now))
}

fn ended(facts: Facts, obstacle: Obstacle, now: OffsetDateTime) -> Operation {
    let ended = Ended {
        signal: None,
        ..Ended::owing(Ending::Impossible(obstacle), now)
    };
    Operation {
        facts,
        state: State::Ended(Box::new(ended)),
        permit: None,
    }
}

/// 128 random bits, after a word that says what they name.
fn reference(of: &str) -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    format!("{of}_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The status of a step's answer.
pub fn status(answer: &StepAnswer) -> StatusCode {
    match answer {
        StepAnswer::Done(_) => StatusCode::OK,
        StepAnswer::Pending(_) => StatusCode::ACCEPTED,
    }
}
