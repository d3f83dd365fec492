//! Begin an operation: who is the subject, who may answer for them, according to the directory at this moment.
//!
//! Nothing of the request names a target, a number or an approver but the subject's object id.

mod begun;
mod question;
mod whom;

use axum::http::StatusCode;
use chassis::ApiError;
use chassis::switches::SWITCHED_OFF;
use common::{OperationId, OperationView, Pending, Problem, StepAnswer, StepRequest, StepResult};
use connectors::CallError;
use time::OffsetDateTime;
use trust::permit::PermitError;

use self::begun::{asked, ended, facts, impossible, named};
pub(crate) use self::whom::manager_obstacle;
use crate::Verifier;
use crate::approval::Approval;
use crate::inquiry::NoQuestion;
use crate::mfa::{Mfa, Push};
use crate::operation::{Method, Obstacle, Operation, State};
use crate::patience::Postponed;
use crate::store::{Begun, StoreError};
use crate::work::LEASE;
use crate::{permit, record, words};

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
}

/// The status of a step's answer.
pub fn status(answer: &StepAnswer) -> StatusCode {
    match answer {
        StepAnswer::Done(_) => StatusCode::OK,
        StepAnswer::Pending(_) => StatusCode::ACCEPTED,
    }
}
