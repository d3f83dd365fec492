//! Sessions with Postgres, kept for whoever needs one next.
//!
//! The last one given back is the first handed out: what its backend knows by heart (plans, catalogue) is still in the
//! processor's caches. And to give one back costs nothing. `sqlx`'s own pool asks the server after each use whether the
//! session is still good, which for statements as short as ours was a tenth of what a ticket costs
//! (`docs/decisions/0069-sessions.md`). Here only one that was not given back in good order is asked.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{
    PgConnectOptions, PgListener, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Database, Describe, Either, Execute, Executor, PgConnection,
    Postgres, SqlStr,
};
use sqlx_core::transaction::TransactionManager as _;
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Enough for a burst of requests beside the workers.
const MOST: usize = 10;
/// How long a request waits for a session before it is a 503.
const LIMIT: Duration = Duration::from_secs(5);
/// One that was handed out last this long ago may be dead, and is asked before it is used.
const RESTED: Duration = Duration::from_secs(1);
/// One that is not used for so long is closed.
const IDLE: Duration = Duration::from_mins(1);
/// None is kept for longer: a backend's memory grows with everything it has seen.
const LIFETIME: Duration = Duration::from_mins(30);
/// How long a statement may take. Well above what the server allows it (`statement_timeout`, 30 s): after that there is nobody at
/// the other end any more, which the kernel would notice in a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long a session has to say that it is good.
const CHECK: Duration = Duration::from_secs(2);
/// First and longest wait before a server that is just starting is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Only the drop takes it out.
const HELD: &str = "a session is held until it is dropped";

/// Sessions of one role. Made when first needed. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pool: Pool<Doorman>,
    options: Arc<PgConnectOptions>,
    /// How long a statement that is given to them may take.
    patience: Duration,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("status", &self.pool.status())
            .finish_non_exhaustive()
    }
}

/// Opens sessions and looks at those that have rested.
#[derive(Debug)]
struct Doorman(Arc<PgConnectOptions>);

impl Manager for Doorman {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let mut session = connect(&self.0).await?;
        clock::compare(&mut session).await?;
        Ok(session)
    }

    async fn recycle(&self, session: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > LIFETIME {
            return Err(RecycleError::message("it is old"));
        }
        if metrics.last_used() >= RESTED {
            check(session).await?;
        }
        Ok(())
    }
}

/// A server that is just starting, or has no room yet for one session more, is waited for: whoever asked sets the limit.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut wait = BACKOFF.0;
    loop {
        match options.connect().await {
            Err(error) if is_starting(&error) => {}
            connected => return connected,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
}

fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// Whether there is still somebody at the other end; whatever was queued for them goes out first.
async fn check(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    tokio::time::timeout(CHECK, session.ping())
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

impl Sessions {
    /// With `options`.
    pub fn new(options: PgConnectOptions) -> Self {
        Self::of(Arc::new(options), MOST)
    }

    fn of(options: Arc<PgConnectOptions>, most: usize) -> Self {
        let pool = Pool::builder(Doorman(Arc::clone(&options)))
            .max_size(most)
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("without limits of its own it needs no runtime");
        Self {
            pool,
            options,
            patience: PATIENCE,
        }
    }

    /// The same, where a statement that is given to them itself is given up after `patience`.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// A single session apart from the others, for whoever commits over and over: its backend has nothing else in mind.
    #[must_use]
    pub fn seat(&self) -> Self {
        Self::of(Arc::clone(&self.options), 1)
    }

    /// A session.
    ///
    /// # Errors
    /// None is to be had in time.
    pub async fn acquire(&self) -> Result<Session, sqlx::Error> {
        let got = tokio::time::timeout(LIMIT, self.pool.get()).await;
        match got {
            Ok(Ok(session)) => Ok(Session {
                session: Some(session),
                good: false,
            }),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(sqlx::Error::PoolClosed),
            Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// A transaction.
    ///
    /// # Errors
    /// No session is to be had in time, or it is lost.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        let mut session = self.acquire().await?;
        Manages::begin(&mut session, None).await?;
        Ok(Transaction {
            session,
            ended: false,
        })
    }

    /// A session of the caller's own, which takes no place among these.
    ///
    /// # Errors
    /// The server is away.
    pub async fn alone(&self) -> Result<PgConnection, sqlx::Error> {
        tokio::time::timeout(LIMIT, connect(&self.options))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Hears what is told on a channel, in a session of its own.
    ///
    /// # Errors
    /// The server is away.
    pub async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(LIMIT)
            .connect_lazy_with((*self.options).clone());
        PgListener::connect_with(&pool).await
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let silent = || std::io::Error::new(std::io::ErrorKind::TimedOut, "Postgres does not answer");
        tokio::time::timeout(self.patience, asked)
            .await
            .unwrap_or_else(|_| Err(silent().into()))
    }

    /// Hand out none any more, and close those that nobody uses. One in use is closed when it is given back.
    pub fn close(&self) {
        self.pool.close();
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.pool.status().size
    }

    /// How many of them nobody uses.
    pub fn idle(&self) -> usize {
        self.pool.status().available
    }

    /// Close what is not used any more, until `stopping`.
    pub(crate) async fn tidy(self, stopping: CancellationToken) {
        let tidying = async {
            let mut beat = tokio::time::interval(IDLE / 2);
            loop {
                beat.tick().await;
                self.pool.retain(|_, metrics| metrics.last_used() < IDLE);
            }
        };
        stopping.run_until_cancelled(tidying).await;
    }
}

/// A session in use. Dropped without [`give_back`](Self::give_back) it is asked whether it is still good, beside
/// everything else, before anybody gets it again: what was under way may have been broken off.
#[derive(Debug)]
pub struct Session {
    session: Option<Object<Doorman>>,
    good: bool,
}

impl Session {
    /// What was asked of it was answered.
    pub fn give_back(mut self) {
        self.good = true;
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.session.as_ref().expect(HELD)
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.session.as_mut().expect(HELD)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        if self.good {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(session));
            return;
        };
        runtime.spawn(async move {
            if check(&mut session).await.is_err() {
                // Whatever ended it ended the others as well: a server that starts anew, a wire that was cut.
                if let Some(pool) = Object::pool(&session) {
                    pool.retain(|_, _| false);
                }
                drop(Object::take(session));
            }
        });
    }
}

type Manages = <Postgres as Database>::TransactionManager;

/// A transaction. Dropped before it is committed, it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    session: Session,
    ended: bool,
}

impl Transaction {
    /// Make it so.
    ///
    /// # Errors
    /// The server refused, or is lost: then nobody can tell whether it is so.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        Manages::commit(&mut self.session).await?;
        self.end();
        Ok(())
    }

    /// Leave everything as it was.
    ///
    /// # Errors
    /// The server is lost, and everything is as it was.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        Manages::rollback(&mut self.session).await?;
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        self.session.good = true;
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.session
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.session
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended && self.session.session.is_some() {
            // Goes out with the question whether the session is still good.
            Manages::start_rollback(&mut self.session);
        }
    }
}

/// Each statement in a session of its own, which it gives back.
impl<'p> Executor<'p> for &'_ Sessions {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let sessions = self.clone();
        let answer = async move {
            let mut session = sessions.acquire().await?;
            let asked = session.fetch_many(query).try_collect();
            let all: Vec<_> = sessions.in_time(asked).await?;
            session.give_back();
            Ok::<_, sqlx::Error>(stream::iter(all.into_iter().map(Ok)))
        };
        stream::once(answer).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let sessions = self.clone();
        Box::pin(async move {
            let mut session = sessions.acquire().await?;
            let row = sessions.in_time(session.fetch_optional(query)).await?;
            session.give_back();
            Ok(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let sessions = self.clone();
        Box::pin(async move {
            let mut session = sessions.acquire().await?;
            let statement = session.prepare_with(sql, parameters).await?;
            session.give_back();
            Ok(statement)
        })
    }
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let sessions = self.clone();
        Box::pin(async move {
            let mut session = sessions.acquire().await?;
            let described = session.describe(sql).await?;
            session.give_back();
            Ok(described)
        })
    }
}
