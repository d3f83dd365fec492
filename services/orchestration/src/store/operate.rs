//! What operators do: each verb in one transaction with its audit and what the ticket is told of it.
//!
//! A verb writes what is wanted; the runner that holds the execution acts on it. So none of them writes what a runner
//! writes, but for the retry, which takes an execution that is in nobody's hands under a fence of its own.

use chassis::PersonCaller;
use chassis::audit::AuditEvent;
use common::clock;
use common::execution::ExecutionStatus;
use common::{Digest, ExecutionId, Reason, TicketId};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{EXECUTIONS, OPERATORS, Store, StoreError, StoredState, Telling, UPDATES, let_go, notify};
use crate::manners;
use crate::update::{Operated, Update, Verb, automation_status};

/// What became of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is wanted from now on.
    Done,
    /// It was so already.
    Already,
}

/// Why a verb was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperateError {
    /// No such execution.
    #[error("execution `{0}` not found")]
    Unknown(ExecutionId),
    /// Nothing more will happen to it.
    #[error("execution `{0}` has ended")]
    Ended(ExecutionId),
    /// Another operator holds it; who.
    #[error("it is paused by {0}; resume it")]
    Paused(String),
    /// It ends as soon as what it did was taken back.
    #[error("it was cancelled and is being taken back")]
    Cancelled,
    /// The database did not do it.
    #[error("cannot store what is to be done with the execution")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OperateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// An operator's wish: who, what and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'w> {
    pub(crate) operator: &'w PersonCaller,
    pub(crate) verb: Verb,
    pub(crate) reason: Option<&'w Reason>,
}

impl Wish<'_> {
    /// Their name, fit to be stored and shown.
    pub(crate) fn name(&self) -> String {
        manners::sentence(&self.operator.name)
    }

    fn reason(&self) -> Option<&str> {
        self.reason.map(Reason::as_str)
    }

    fn event(&self) -> AuditEvent {
        let detail = json!({"name": self.name(), "reason": self.reason});
        AuditEvent::new(self.verb.event(), detail).actor(format!("person:{}", self.operator.id))
    }

    fn told(&self) -> Update {
        Update::Operated(Operated {
            verb: self.verb,
            name: self.name(),
            reason: self.reason().map(str::to_owned),
        })
    }
}

/// What a verb finds.
struct Found {
    ticket_id: String,
    ended_at: Option<OffsetDateTime>,
    paused_at: Option<OffsetDateTime>,
    paused_by: Option<String>,
    cancelled: Option<String>,
}

impl Found {
    /// The answer to a verb that changes nothing: it has ended, or is `so` already.
    fn nothing_to_do(&self, id: ExecutionId, so: bool) -> Option<Result<Operation, OperateError>> {
        if self.ended_at.is_some() {
            return Some(Err(OperateError::Ended(id)));
        }
        so.then_some(Ok(Operation::Already))
    }

    /// Why it may not be tried again though it has not ended: what others wanted of it would be lost.
    fn against_a_retry(&self) -> Option<OperateError> {
        if self.ended_at.is_some() {
            return None;
        }
        if self.cancelled.is_some() {
            return Some(OperateError::Cancelled);
        }
        let by = self.paused_by.clone().unwrap_or_default();
        self.paused_at.map(|_| OperateError::Paused(by))
    }
}

/// An execution that may be tried again, as it was left.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) ticket: TicketId,
    pub(crate) digest: Digest,
    pub(crate) state: StoredState,
    /// Whether it has ended, rather than waiting for its next attempt.
    pub(crate) ended: bool,
    /// An operator wants it to end, or wanted it.
    pub(crate) cancelled: bool,
    /// Somebody drives it at this moment.
    pub(crate) in_hand: bool,
    fence: i64,
    /// The database's time.
    pub(crate) now: OffsetDateTime,
}

/// What an execution that is tried again begins with.
#[derive(Debug)]
pub(crate) struct Reopened {
    /// The machine's state.
    pub(crate) state: StoredState,
    pub(crate) status: ExecutionStatus,
}

/// What became of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retried {
    /// It is due.
    Done,
    /// Somebody took it meanwhile.
    Moved,
    /// Another execution is open on the ticket.
    OtherOpen,
}

impl Store {
    /// No step of it begins from now on.
    pub(crate) async fn pause(&self, id: ExecutionId, wish: Wish<'_>) -> Result<Operation, OperateError> {
        let now = clock::now();
        let mut transaction = self.pool.begin().await?;
        let found = self.found(&mut transaction, id).await?;
        if let Some(answer) = found.nothing_to_do(id, found.paused_at.is_some()) {
            return let_go(transaction, answer).await;
        }
        // Whoever cancelled it was told that it ends, and a pause would keep from being taken back what it did.
        if found.cancelled.is_some() {
            return let_go(transaction, Err(OperateError::Cancelled)).await;
        }
        sqlx::query!(
            "UPDATE playbook_executions
             SET paused_at = $3, paused_by = $4, paused_because = $5
             WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            id.0,
            now,
            wish.name(),
            wish.reason(),
        )
        .execute(&mut *transaction)
        .await?;
        self.put_on_record(&mut transaction, id, &found, wish, now)
            .await?;
        transaction.commit().await?;
        Ok(Operation::Done)
    }

    /// It goes on from where it stands.
    pub(crate) async fn resume(&self, id: ExecutionId, wish: Wish<'_>) -> Result<Operation, OperateError> {
        let now = clock::now();
        let mut transaction = self.pool.begin().await?;
        let found = self.found(&mut transaction, id).await?;
        if let Some(answer) = found.nothing_to_do(id, found.paused_at.is_none()) {
            return let_go(transaction, answer).await;
        }
        self.unpause(&mut transaction, id).await?;
        self.put_on_record(&mut transaction, id, &found, wish, now)
            .await?;
        transaction.commit().await?;
        Ok(Operation::Done)
    }

    /// No further step of it begins, and what it did is taken back: for `words`, which the ticket's escalation will say.
    /// What was paused is not any more, or nothing could be taken back.
    pub(crate) async fn cancel(
        &self,
        id: ExecutionId,
        wish: Wish<'_>,
        words: &str,
    ) -> Result<Operation, OperateError> {
        let now = clock::now();
        let mut transaction = self.pool.begin().await?;
        let found = self.found(&mut transaction, id).await?;
        match (&found.cancelled, found.ended_at) {
            (Some(_), _) => return let_go(transaction, Ok(Operation::Already)).await,
            (None, Some(_)) => return let_go(transaction, Err(OperateError::Ended(id))).await,
            (None, None) => {}
        }
        self.unpause(&mut transaction, id).await?;
        // As with a signal: the count keeps it in the hands of whoever drives it.
        sqlx::query!(
            "UPDATE playbook_executions
             SET cancelled = $3, signals = signals + 1,
                 wake_at = CASE WHEN runner IS NULL THEN now() ELSE wake_at END
             WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            id.0,
            words,
        )
        .execute(&mut *transaction)
        .await?;
        notify(&mut transaction, EXECUTIONS).await?;
        self.put_on_record(&mut transaction, id, &found, wish, now)
            .await?;
        transaction.commit().await?;
        Ok(Operation::Done)
    }

    /// An execution that is to be tried again, as it stands.
    pub(crate) async fn stopped(&self, id: ExecutionId) -> Result<Stopped, OperateError> {
        let row = sqlx::query!(
            r#"SELECT ticket_id, playbook_digest, state AS "state: StoredState", fence, ended_at IS NOT NULL AS "ended!",
                      cancelled IS NOT NULL AS "cancelled!", runner IS NOT NULL AS "in_hand!", now() AS "now!"
             FROM playbook_executions
             WHERE tenant_id = $1 AND id = $2"#,
            self.tenant_id(),
            id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            let mut connection = self.pool.acquire().await?;
            return Err(self.gone(&mut connection, id).await?);
        };
        let corrupt = "playbook_executions";
        Ok(Stopped {
            ticket: row.ticket_id.parse().map_err(StoreError::corrupt(corrupt))?,
            digest: row
                .playbook_digest
                .parse()
                .map_err(StoreError::corrupt(corrupt))?,
            state: row.state,
            ended: row.ended,
            cancelled: row.cancelled,
            in_hand: row.in_hand,
            fence: row.fence,
            now: row.now,
        })
    }

    /// Let it begin again as `reopened`, unless somebody took it meanwhile. A pause and a cancellation of what has ended are
    /// over with it; of what has not, they stand against it.
    pub(crate) async fn retry(
        &self,
        id: ExecutionId,
        wish: Wish<'_>,
        stopped: &Stopped,
        reopened: &Reopened,
    ) -> Result<Retried, OperateError> {
        let mut transaction = self.pool.begin().await?;
        let found = self.found(&mut transaction, id).await?;
        if let Some(refused) = found.against_a_retry() {
            return let_go(transaction, Err(refused)).await;
        }
        let written = sqlx::query!(
            "UPDATE playbook_executions
             SET state = $4, status = $5, reason = NULL, ended_at = NULL, wake_at = now(), fence = fence + 1,
                 paused_at = NULL, paused_by = NULL, paused_because = NULL, cancelled = NULL, held = false,
                 insisted = true
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND runner IS NULL AND (ended_at IS NOT NULL) = $6",
            self.tenant_id(),
            id.0,
            stopped.fence,
            &reopened.state as &StoredState,
            reopened.status.as_str(),
            stopped.ended,
        )
        .execute(&mut *transaction)
        .await;
        let too_late = match written {
            Err(error) if is_other_open(&error) => Some(Retried::OtherOpen),
            written => (written?.rows_affected() == 0).then_some(Retried::Moved),
        };
        if let Some(answer) = too_late {
            return let_go(transaction, Ok(answer)).await;
        }
        notify(&mut transaction, EXECUTIONS).await?;
        self.put_on_record(&mut transaction, id, &found, wish, stopped.now)
            .await?;
        if stopped.ended {
            let status = automation_status(reopened.status);
            let updates = [Update::Status { status }];
            let telling = Telling {
                ticket: &stopped.ticket,
                execution: id,
                updates: &updates,
                now: stopped.now,
            };
            self.enqueue(&mut transaction, &[telling]).await?;
        }
        transaction.commit().await?;
        Ok(Retried::Done)
    }

    /// Locked, so that verbs come one after the other.
    async fn found(&self, connection: &mut PgConnection, id: ExecutionId) -> Result<Found, OperateError> {
        let found = sqlx::query_as!(
            Found,
            "SELECT ticket_id, ended_at, paused_at, paused_by, cancelled
             FROM playbook_executions
             WHERE tenant_id = $1 AND id = $2
             FOR NO KEY UPDATE",
            self.tenant_id(),
            id.0,
        )
        .fetch_optional(&mut *connection)
        .await?;
        match found {
            Some(found) => Ok(found),
            None => Err(self.gone(connection, id).await?),
        }
    }

    /// What is not among those that are driven has ended long ago, or never was.
    async fn gone(&self, connection: &mut PgConnection, id: ExecutionId) -> Result<OperateError, StoreError> {
        let archived = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM archived_executions WHERE tenant_id = $1 AND id = $2) AS "archived!""#,
            self.tenant_id(),
            id.0,
        )
        .fetch_one(connection)
        .await?;
        Ok(if archived {
            OperateError::Ended(id)
        } else {
            OperateError::Unknown(id)
        })
    }

    async fn unpause(&self, connection: &mut PgConnection, id: ExecutionId) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE playbook_executions
             SET paused_at = NULL, paused_by = NULL, paused_because = NULL
             WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            id.0,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// The audit, what the ticket is told, and whoever may have the execution in their hands.
    async fn put_on_record(
        &self,
        connection: &mut PgConnection,
        id: ExecutionId,
        found: &Found,
        wish: Wish<'_>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let ticket: TicketId = found
            .ticket_id
            .parse()
            .map_err(StoreError::corrupt("playbook_executions"))?;
        let event = wish.event().ticket(&ticket).execution(id);
        let telling = Telling {
            ticket: &ticket,
            execution: id,
            updates: &[wish.told()],
            now,
        };
        self.enqueue(connection, &[telling]).await?;
        self.record(connection, &[event]).await?;
        notify(connection, UPDATES).await?;
        notify(connection, OPERATORS).await?;
        Ok(())
    }
}

/// The index that lets a ticket have one open execution.
fn is_other_open(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

#[cfg(test)]
mod tests {
    use launcher::testing::TestDatabase;

    use super::super::stored;
    use super::*;

    fn olga() -> PersonCaller {
        PersonCaller {
            id: "olga".to_owned(),
            name: "Olga".to_owned(),
            roles: [].into(),
        }
    }

    fn wished(operator: &PersonCaller, verb: Verb) -> Wish<'_> {
        Wish {
            operator,
            verb,
            reason: None,
        }
    }

    /// A hundred times `verb` changes nothing, and whoever hears so finds nobody in its way.
    async fn holds_nothing(database: &TestDatabase, verb: impl AsyncFn()) {
        let mut other = database.owner().await.acquire().await.unwrap();
        for _ in 0..100 {
            verb().await;
            sqlx::query("SELECT FROM playbook_executions FOR UPDATE NOWAIT")
                .execute(&mut *other)
                .await
                .expect("nobody holds it");
        }
    }

    #[tokio::test]
    async fn what_changes_nothing_holds_nothing_any_more_when_its_operator_hears_of_it() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let id = stored::execution(&store, "4242", &[]).await;
        let operator = olga();
        let wish = |verb| wished(&operator, verb);
        let already = async || {
            let resumed = store.resume(id, wish(Verb::Resume)).await.unwrap();
            assert_eq!(resumed, Operation::Already);
        };
        holds_nothing(&database, already).await;

        let pause = async || store.pause(id, wish(Verb::Pause)).await.unwrap();
        assert_eq!(pause().await, Operation::Done);
        holds_nothing(&database, async || assert_eq!(pause().await, Operation::Already)).await;

        let cancel = async || store.cancel(id, wish(Verb::Cancel), "Cancelled.").await.unwrap();
        assert_eq!(cancel().await, Operation::Done);
        holds_nothing(&database, async || assert_eq!(cancel().await, Operation::Already)).await;
    }

    #[tokio::test]
    async fn what_others_wanted_of_an_execution_that_has_not_ended_outlives_a_retry() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let id = stored::execution(&store, "4242", &[]).await;
        let operator = olga();
        let wish = |verb| wished(&operator, verb);
        let retry = async || {
            let stopped = store.stopped(id).await.unwrap();
            let reopened = Reopened {
                state: stopped.state.clone(),
                status: ExecutionStatus::Running,
            };
            let retried = store.retry(id, wish(Verb::Retry), &stopped, &reopened).await;
            retried.map_err(|refused| refused.to_string())
        };
        store.pause(id, wish(Verb::Pause)).await.unwrap();
        let paused = async || {
            assert_eq!(retry().await, Err("it is paused by Olga; resume it".to_owned()));
        };
        holds_nothing(&database, paused).await;
        assert!(store.news(id).await.unwrap().1.is_still());

        store.cancel(id, wish(Verb::Cancel), "Cancelled.").await.unwrap();
        let cancelled = async || {
            assert_eq!(
                retry().await,
                Err("it was cancelled and is being taken back".to_owned())
            );
        };
        holds_nothing(&database, cancelled).await;
        assert_eq!(store.cancelled(id).await.unwrap().as_deref(), Some("Cancelled."));
        let pause = store.pause(id, wish(Verb::Pause)).await;
        assert!(matches!(pause, Err(OperateError::Cancelled)), "{pause:?}");
        // Of what has ended both are over.
        sqlx::query("UPDATE playbook_executions SET status = 'ESCALATED', reason = '', ended_at = now(), wake_at = NULL")
            .execute(&store.pool)
            .await
            .unwrap();
        assert_eq!(retry().await, Ok(Retried::Done));
        assert_eq!(store.cancelled(id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_retry_that_comes_too_late_holds_nothing_any_more_when_its_operator_hears_of_it() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let id = stored::execution(&store, "4242", &[]).await;
        stored::resolved(&store, id).await;
        let operator = olga();
        let wish = Wish {
            operator: &operator,
            verb: Verb::Retry,
            reason: None,
        };
        let stopped = store.stopped(id).await.unwrap();
        let reopened = Reopened {
            state: stopped.state.clone(),
            status: ExecutionStatus::Running,
        };
        let moved = Stopped {
            ended: false,
            ..store.stopped(id).await.unwrap()
        };
        let retry = async |stopped, expected| {
            let retried = store.retry(id, wish, stopped, &reopened).await.unwrap();
            assert_eq!(retried, expected);
        };
        holds_nothing(&database, async || retry(&moved, Retried::Moved).await).await;
        stored::execution(&store, "4242", &[]).await;
        holds_nothing(&database, async || retry(&stopped, Retried::OtherOpen).await).await;
        let ended = |refused| assert!(matches!(refused, Err(OperateError::Ended(_))), "{refused:?}");
        holds_nothing(&database, async || ended(store.pause(id, wish).await)).await;
        holds_nothing(&database, async || {
            ended(store.cancel(id, wish, "Cancelled.").await);
        })
        .await;
    }
}
