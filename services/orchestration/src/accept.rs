//! Accepting an execution: the right tenant, exactly the document that was decided on, once per decision.

use std::time::Duration;

use chassis::ApiError;
use common::client::{PeerError, PlaybookClient};
use common::execution::ExecutionAccepted;
use common::{Digest, ExecutePlaybook, ExecutionId, PlaybookRef, Problem, TenantId};
use playbook_lang::State;
use time::OffsetDateTime;

use crate::facts::Given;
use crate::library::Library;
use crate::store::{Accepted, NewExecution, Store, StoreError};

/// When to ask again while the playbook service is away.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Why an execution was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    /// It names another tenant than this fleet's.
    #[error("tenant `{0}` is not this fleet's")]
    WrongTenant(TenantId),
    /// Another decision's execution is open on the ticket.
    #[error("execution `{0}` is open on this ticket")]
    Open(ExecutionId),
    /// The playbook service knows no such version.
    #[error("there is no version `{}` of playbook `{}`", .0.version, .0.name)]
    UnknownPlaybook(PlaybookRef),
    /// The document of this version is not the one that was decided on.
    #[error("version `{}` of playbook `{}` has another digest", .0.version, .0.name)]
    OtherDocument(PlaybookRef),
    /// The document does not pass the checks.
    #[error("the document does not pass the checks: {0}")]
    Findings(String),
    /// The playbook service did not answer.
    #[error("the playbook service did not answer")]
    PlaybookAway(#[source] PeerError),
    /// The database did not take it.
    #[error("cannot store the execution")]
    Store(#[from] StoreError),
    /// The first state cannot be written down.
    #[error("cannot begin the execution")]
    Begin(#[source] serde_json::Error),
}

impl From<ExecuteError> for ApiError {
    fn from(error: ExecuteError) -> Self {
        match &error {
            ExecuteError::WrongTenant(_) => Problem::forbidden("wrong_tenant", &error).into(),
            ExecuteError::Open(id) => Problem::conflict("execution_open", &error)
                .with("execution_id", id)
                .into(),
            ExecuteError::UnknownPlaybook(_) => Problem::unprocessable("playbook_unknown", &error).into(),
            ExecuteError::OtherDocument(_) => Problem::unprocessable("playbook_digest", &error).into(),
            ExecuteError::Findings(_) => Problem::unprocessable("playbook_findings", &error).into(),
            ExecuteError::PlaybookAway(cause) => {
                tracing::warn!(%cause, "the playbook service did not answer");
                let again = cause_retry_after(cause).unwrap_or(ASK_AGAIN);
                Problem::outside_unavailable("the playbook service", Some(again.as_secs())).into()
            }
            ExecuteError::Store(_) | ExecuteError::Begin(_) => Self::internal(&error),
        }
    }
}

const fn cause_retry_after(cause: &PeerError) -> Option<Duration> {
    match cause {
        PeerError::Busy { retry_after, .. } => *retry_after,
        PeerError::Refused { .. } | PeerError::Unknown { .. } => None,
    }
}

/// Accepts executions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) store: Store,
    pub(crate) library: Library,
    pub(crate) playbooks: PlaybookClient,
}

impl Intake {
    /// Accept what a decision asks for; the same decision again gets the same answer.
    pub(crate) async fn accept(
        &self,
        request: &ExecutePlaybook,
        traceparent: Option<String>,
        now: OffsetDateTime,
    ) -> Result<ExecutionAccepted, ExecuteError> {
        for tenant in [&request.tenant_id, &request.subject.tenant_id] {
            if tenant != self.store.tenant() {
                return Err(ExecuteError::WrongTenant(tenant.clone()));
            }
        }
        if let Some(accepted) = self.store.of_decision(request.decision_id).await? {
            return Ok(accepted);
        }
        let source = self.source(&request.playbook).await?;
        let playbook = self.library.read(&source).map_err(ExecuteError::Findings)?;
        if playbook.reference() != &request.playbook {
            return Err(ExecuteError::OtherDocument(request.playbook.clone()));
        }
        let no_step = || ExecuteError::Findings("it has no step".to_owned());
        let state = State::begin(&playbook, now).ok_or_else(no_step)?;
        let state = serde_json::to_value(&state).map_err(ExecuteError::Begin)?;
        let new = NewExecution {
            request,
            source: &source,
            given: Given::of(request, request.inputs.clone()),
            state,
            traceparent,
        };
        match self.store.accept(new, now).await? {
            Accepted::Here(accepted) => Ok(accepted),
            Accepted::OtherOpen(id) => Err(ExecuteError::Open(id)),
        }
    }

    /// The document: ours where an earlier execution pinned it, else the playbook service's, if it is exactly that one.
    async fn source(&self, wanted: &PlaybookRef) -> Result<String, ExecuteError> {
        if let Some(source) = self.store.pinned(&wanted.digest).await? {
            return Ok(source);
        }
        let view = match self.playbooks.playbook(&wanted.name, Some(&wanted.version)).await {
            Ok(view) => view,
            Err(PeerError::Refused { problem, .. }) if problem.status == 404 => {
                return Err(ExecuteError::UnknownPlaybook(wanted.clone()));
            }
            Err(error) => return Err(ExecuteError::PlaybookAway(error)),
        };
        match view.source {
            Some(source) if Digest::of(&source) == wanted.digest => Ok(source),
            _ => Err(ExecuteError::OtherDocument(wanted.clone())),
        }
    }
}
