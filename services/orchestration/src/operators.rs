//! What operators may do to executions, and when: pause, resume, cancel, and try again the step that failed.

use std::sync::Arc;

use chassis::{ApiError, PersonCaller};
use common::{ExecutionId, Problem, Reason, TicketId};
use connectors::CallError;
use playbook_lang::{Facts, Machine, Moment, NoRetry, Rules};

use crate::desk::{Desk, DeskError};
use crate::library::{Library, Unreadable};
use crate::store::{OperateError, Operation, Reopened, Retried, Stand, Store, StoreError, StoredState, Wish};
use crate::update::Verb;

/// Why a retry was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetryError {
    /// As any verb.
    #[error(transparent)]
    Operate(#[from] OperateError),
    /// Somebody works on it at this moment.
    #[error("it is under way, and nothing of it waits to be tried again")]
    UnderWay,
    /// The machine knows better.
    #[error("{0}")]
    No(NoRetry),
    /// Another execution is open on its ticket.
    #[error("another execution is open on its ticket")]
    OtherOpen,
    /// The ticket is not the automation's any more.
    #[error("its ticket {0}")]
    Ticket(&'static str),
    /// The help desk did not say whether the ticket is still open.
    #[error("the help desk did not say how the ticket stands")]
    Desk(#[source] DeskError),
    /// What is stored and the playbook do not fit together.
    #[error("what is stored of it cannot be read: {0}")]
    Broken(String),
}

impl From<StoreError> for RetryError {
    fn from(error: StoreError) -> Self {
        Self::Operate(error.into())
    }
}

impl From<OperateError> for ApiError {
    fn from(error: OperateError) -> Self {
        match &error {
            OperateError::Unknown(_) => Problem::not_found("execution_not_found", &error).into(),
            OperateError::Ended(_) => {
                let detail = format!("{error}; `retry` may begin it again where a step of it failed");
                Problem::conflict("execution_ended", detail).into()
            }
            OperateError::Paused(_) => Problem::conflict("execution_paused", &error).into(),
            OperateError::Cancelled => Problem::conflict("execution_cancelled", &error).into(),
            OperateError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::Operate(error) => error.into(),
            RetryError::No(NoRetry::NeedsNewProof(_)) => {
                let detail = format!(
                    "it cannot go on with the proof it had: {error}; ask the requester to file the request again"
                );
                Problem::conflict("retry_needs_new_proof", detail).into()
            }
            RetryError::UnderWay
            | RetryError::No(_)
            | RetryError::OtherOpen
            | RetryError::Ticket(_)
            | RetryError::Broken(_) => {
                let detail = format!("it cannot be tried again: {error}");
                Problem::conflict("execution_not_retriable", detail).into()
            }
            RetryError::Desk(DeskError::Call(CallError::Busy { retry_after, .. })) => {
                let after = retry_after.map(|after| after.as_secs());
                Problem::outside_unavailable("the help desk", after).into()
            }
            RetryError::Desk(error) => {
                tracing::warn!(%error, "the help desk did not say how a ticket stands");
                Problem::outside_unavailable("the help desk", None).into()
            }
        }
    }
}

/// Does what operators ask for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operators {
    pub(crate) store: Store,
    pub(crate) library: Library,
    pub(crate) rules: Arc<Rules>,
    pub(crate) desk: Arc<Desk>,
}

impl Operators {
    /// No step of it begins from now on.
    pub(crate) async fn pause(
        &self,
        id: ExecutionId,
        operator: &PersonCaller,
        reason: Option<&Reason>,
    ) -> Result<Operation, OperateError> {
        let verb = Verb::Pause;
        let wish = Wish {
            operator,
            verb,
            reason,
        };
        self.store.pause(id, wish).await
    }

    /// It goes on.
    pub(crate) async fn resume(
        &self,
        id: ExecutionId,
        operator: &PersonCaller,
        reason: Option<&Reason>,
    ) -> Result<Operation, OperateError> {
        let verb = Verb::Resume;
        let wish = Wish {
            operator,
            verb,
            reason,
        };
        self.store.resume(id, wish).await
    }

    /// It ends, and what it did is taken back.
    pub(crate) async fn cancel(
        &self,
        id: ExecutionId,
        operator: &PersonCaller,
        reason: &Reason,
    ) -> Result<Operation, OperateError> {
        let wish = Wish {
            operator,
            verb: Verb::Cancel,
            reason: Some(reason),
        };
        let words = format!(
            "Cancelled by {}: {}.",
            wish.name(),
            reason.as_str().trim_end_matches('.')
        );
        self.store.cancel(id, wish, &words).await
    }

    /// Try again the step that failed, or at once what waits for its next attempt.
    pub(crate) async fn retry(
        &self,
        id: ExecutionId,
        operator: &PersonCaller,
        reason: Option<&Reason>,
    ) -> Result<(), RetryError> {
        let stopped = self.store.stopped(id).await?;
        if stopped.cancelled && !stopped.ended {
            return Err(OperateError::Cancelled.into());
        }
        if stopped.in_hand {
            return Err(RetryError::UnderWay);
        }
        let playbook = match self.library.pinned(&self.store, &stopped.digest).await {
            Ok(playbook) => playbook,
            Err(Unreadable::Store(error)) => return Err(error.into()),
            Err(unreadable) => return Err(RetryError::Broken(unreadable.to_string())),
        };
        let Stand { state, untold } = stopped
            .state
            .read()
            .map_err(|error| RetryError::Broken(error.to_string()))?;
        // Nothing is filled in before a runner takes it up.
        let facts = Facts::default();
        let machine = Machine::new(&playbook, &self.rules, &facts);
        let retried = machine
            .retry(state, Moment::at(stopped.now))
            .map_err(RetryError::No)?;
        if stopped.ended {
            self.is_open(&stopped.ticket).await?;
        }
        let reopened = Reopened {
            status: retried.state.status(),
            state: StoredState::of(&retried.state, &untold)
                .map_err(|error| RetryError::Broken(error.to_string()))?,
        };
        let verb = Verb::Retry;
        let wish = Wish {
            operator,
            verb,
            reason,
        };
        match self.store.retry(id, wish, &stopped, &reopened).await? {
            Retried::Done => Ok(()),
            Retried::Moved => Err(RetryError::UnderWay),
            Retried::OtherOpen => Err(RetryError::OtherOpen),
        }
    }

    /// The ticket may still be worked on, and nobody does.
    async fn is_open(&self, ticket: &TicketId) -> Result<(), RetryError> {
        let found = self.desk.ticket(ticket).await.map_err(RetryError::Desk)?;
        let against = match found {
            None => "is not known to the help desk",
            Some(ticket) if ticket.deleted => "was deleted",
            Some(ticket) if ticket.merged_into.is_some() => "was merged into another one",
            Some(ticket) if ticket.closed => "was closed",
            Some(ticket) if ticket.agent_id.is_some() => "is in the hands of an agent",
            Some(_) => return Ok(()),
        };
        Err(RetryError::Ticket(against))
    }
}
