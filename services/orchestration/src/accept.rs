//! Accepting an execution: the right tenant, exactly the document that was decided on, once per decision.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chassis::ApiError;
use common::client::{PeerError, PlaybookClient};
use common::clock;
use common::execution::{ExecutionAccepted, ExecutionStatus};
use common::{
    Digest, ExecutePlaybook, ExecutionId, PlaybookName, PlaybookRef, PlaybookVersion, Problem, TenantId,
    Values,
};
use playbook_lang::{Playbook, State, calls};

use crate::facts::Given;
use crate::library::{Document, Library, Pin};
use crate::runner::Runner;
use crate::store::{NewExecution, Store, StoreError, StoredState};
use crate::untold::Untold;

/// Inputs are told in a few words.
const LARGEST_INPUTS: usize = 64 * 1024;
/// A playbook calls at most so many others, directly or not.
const MOST_CALLED: usize = 64;
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
    /// The playbook does not want what it is told.
    #[error("the inputs are not what the playbook wants: {}", .0.join("; "))]
    Inputs(Vec<String>),
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
            ExecuteError::Inputs(complaints) => Problem::unprocessable("playbook_inputs", &error)
                .with("complaints", complaints)
                .into(),
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
    pub(crate) runner: Arc<Runner>,
}

/// A playbook that may be run, and its documents where they are still to be pinned.
struct Admitted {
    playbook: Arc<Playbook>,
    pins: Vec<Pin>,
}

impl Intake {
    /// Accept what a decision asks for; the same decision again gets the same answer. What is refused is on record.
    pub(crate) async fn accept(
        &self,
        request: ExecutePlaybook,
        traceparent: Option<String>,
    ) -> Result<ExecutionAccepted, ExecuteError> {
        let accepted = self.take(&request, traceparent).await;
        if let Err(refused) = &accepted {
            self.refused(&request, refused).await?;
        }
        accepted
    }

    async fn take(
        &self,
        request: &ExecutePlaybook,
        traceparent: Option<String>,
    ) -> Result<ExecutionAccepted, ExecuteError> {
        self.must_be_ours(request)?;
        let known = self.library.known_pinned(&request.playbook.digest);
        let Admitted { playbook, pins } = if let Some(playbook) = known {
            Admitted {
                playbook,
                pins: vec![],
            }
        } else {
            // A repeated request needs nobody else, even where the document is known to nobody any more.
            if let Some(accepted) = self.store.of_decision(request.decision_id).await? {
                return Ok(accepted);
            }
            self.admitted(request).await?
        };
        if playbook.reference() != &request.playbook {
            return Err(ExecuteError::OtherDocument(request.playbook.clone()));
        }
        let now = clock::now();
        let inputs = admitted(&playbook, &request.inputs)?;
        let no_step = || ExecuteError::Findings("it has no step".to_owned());
        let state = State::begin(&playbook, now).ok_or_else(no_step)?;
        let new = NewExecution {
            id: ExecutionId::fresh(),
            given: Given::of(request, inputs),
            request: request.clone(),
            pins,
            state: StoredState::of(&state, &Untold::default()).map_err(ExecuteError::Begin)?,
            traceparent,
            now,
            begun: None,
        };
        self.store_and_begin(new, &playbook, state).await
    }

    /// Until it is there, or something stands in its way.
    async fn store_and_begin(
        &self,
        new: NewExecution,
        playbook: &Playbook,
        state: State,
    ) -> Result<ExecutionAccepted, ExecuteError> {
        let (decision, ticket) = (new.request.decision_id, new.request.ticket_id.clone());
        let accepted = ExecutionAccepted {
            execution_id: new.id,
            status: ExecutionStatus::Queued,
        };
        if self.runner.begin(new.clone(), playbook, state).await? {
            self.library.mark_pinned(playbook.digest());
            return Ok(accepted);
        }
        loop {
            if let Some(accepted) = self.store.of_decision(decision).await? {
                return Ok(accepted);
            }
            if let Some(id) = self.store.open_on(&ticket).await? {
                return Err(ExecuteError::Open(id));
            }
            // What stood in the way has ended in between: there is room now.
            if self.runner.queue(new.clone()).await? {
                self.library.mark_pinned(playbook.digest());
                return Ok(accepted);
            }
        }
    }

    /// The playbook that the request names, read and checked.
    async fn admitted(&self, request: &ExecutePlaybook) -> Result<Admitted, ExecuteError> {
        let document = self.document(&request.playbook).await?;
        let playbook = self.library.read(&document).map_err(ExecuteError::Findings)?;
        let pins = document.pins(&playbook);
        Ok(Admitted { playbook, pins })
    }

    /// The document and what it calls: ours where an earlier execution pinned it, else the playbook service's, if it is
    /// exactly that one.
    async fn document(&self, wanted: &PlaybookRef) -> Result<Document, ExecuteError> {
        if let Some(document) = self.store.pinned(&wanted.digest).await? {
            return Ok(document);
        }
        let source = match self.source(&wanted.name, &wanted.version).await? {
            Some(source) if Digest::of(&source) == wanted.digest => source,
            Some(_) => return Err(ExecuteError::OtherDocument(wanted.clone())),
            None => return Err(ExecuteError::UnknownPlaybook(wanted.clone())),
        };
        let mut called: HashMap<(PlaybookName, PlaybookVersion), String> = HashMap::new();
        let mut next: VecDeque<_> = calls(&source).into();
        while let Some(key) = next.pop_front() {
            if called.len() >= MOST_CALLED || called.contains_key(&key) {
                continue;
            }
            // One that is not there is a finding of whoever calls it.
            if let Some(source) = self.source(&key.0, &key.1).await? {
                next.extend(calls(&source));
                called.insert(key, source);
            }
        }
        Ok(Document {
            source,
            calls: called.into_values().collect(),
        })
    }

    /// The document of a version, from the playbook service; `None` where it has none.
    async fn source(
        &self,
        name: &PlaybookName,
        version: &PlaybookVersion,
    ) -> Result<Option<String>, ExecuteError> {
        match self.playbooks.playbook(name, Some(version)).await {
            Ok(view) => Ok(view.source),
            Err(PeerError::Refused { problem, .. }) if problem.status == 404 => Ok(None),
            Err(error) => Err(ExecuteError::PlaybookAway(error)),
        }
    }
}

/// The inputs that the playbook admits, with its defaults; every complaint otherwise.
fn admitted(playbook: &Playbook, given: &Values) -> Result<Values, ExecuteError> {
    let text = serde_json::to_string(given).unwrap_or_default();
    if text.len() > LARGEST_INPUTS {
        let complaint = format!(
            "they have {} bytes, and {LARGEST_INPUTS} are the most",
            text.len()
        );
        return Err(ExecuteError::Inputs(vec![complaint]));
    }
    // Postgres stores everything but this.
    if text.contains("\\u0000") {
        return Err(ExecuteError::Inputs(vec!["one of them holds a NUL".to_owned()]));
    }
    playbook.admit_inputs(given).map_err(ExecuteError::Inputs)
}
