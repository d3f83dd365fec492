//! Who lives: a runner registers, keeps its lease, and holds a lock for as long as its process does.
//!
//! The lease is the promise that holds whatever happens to the network. The lock is only news: Postgres lets go of it the
//! moment the session is gone, so a crash is noticed within a second and not at the end of the lease. Whoever is declared
//! dead wrongly (its session broke, its process lives) finds its writes fenced, and repeats its calls under the same keys.

use std::collections::HashSet;
use std::time::Duration;

use common::ExecutionId;
use common::clock;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::claim::interval;
use super::{EXECUTIONS, RunnerId, Store, StoreError};

/// How long our session has to say that it is there: who claims waits for it.
const ANSWER: Duration = Duration::from_secs(2);

/// A registered runner, and the session that shows that it lives.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) runner: RunnerId,
    session: PgConnection,
}

impl Store {
    /// Become a runner whose lease lasts `lease`.
    pub(crate) async fn register(&self, lease: Duration) -> Result<Presence, StoreError> {
        let runner = RunnerId(clock::fresh_id());
        let mut session = self.pool.alone().await?;
        // Before anybody can see the runner: without its lock it would count as dead.
        lock(&mut session, runner).await?;
        sqlx::query!(
            "INSERT INTO execution_runners (tenant_id, id, leased_until, locked)
             VALUES ($1, $2, now() + $3, true)",
            self.tenant_id(),
            runner.0,
            interval(lease),
        )
        .execute(&self.pool)
        .await?;
        Ok(Presence { runner, session })
    }

    /// Say that we live, and let go of what no task of ours drives any more. `false`: we were declared dead and must
    /// register anew.
    ///
    /// What is driven is asked for after it was read what we hold: an execution that we take meanwhile is in neither, and
    /// stays ours.
    pub(crate) async fn heartbeat(
        &self,
        presence: &mut Presence,
        driven: impl AsyncFnOnce() -> HashSet<ExecutionId>,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        self.keep_session(presence).await?;
        let runner = presence.runner.0;
        let alive = sqlx::query!(
            "UPDATE execution_runners
             SET leased_until = now() + $3
             WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            runner,
            interval(lease),
        )
        .execute(&self.pool)
        .await?;
        let held = sqlx::query!(
            "SELECT id, fence FROM playbook_executions WHERE tenant_id = $1 AND runner = $2",
            self.tenant_id(),
            runner,
        )
        .fetch_all(&self.pool)
        .await?;
        let driven = driven().await;
        let undriven = held
            .into_iter()
            .filter(|held| !driven.contains(&ExecutionId(held.id)))
            .map(|held| (held.id, held.fence));
        let (ids, fences): (Vec<Uuid>, Vec<i64>) = undriven.unzip();
        if !ids.is_empty() {
            sqlx::query!(
                "UPDATE playbook_executions execution
                 SET runner = NULL, wake_at = now()
                 FROM UNNEST($3::uuid[], $4::bigint[]) AS undriven (id, fence)
                 WHERE tenant_id = $1 AND execution.id = undriven.id AND execution.fence = undriven.fence
                   AND runner = $2",
                self.tenant_id(),
                runner,
                &ids,
                &fences,
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(alive.rows_affected() == 1)
    }

    /// A session that broke is replaced, before others notice if we are quick. So is one over a wire that has gone dead; its
    /// backend, which waits for us for hours, must not keep the lock.
    async fn keep_session(&self, presence: &mut Presence) -> Result<(), StoreError> {
        let there = tokio::time::timeout(ANSWER, presence.session.ping()).await;
        if matches!(there, Ok(Ok(()))) {
            return Ok(());
        }
        tracing::warn!("the session that shows that we live is gone; another one takes its place");
        let mut session = self.pool.alone().await?;
        sqlx::query!(
            r#"SELECT pg_terminate_backend(pid) AS "ended!"
             FROM pg_locks
             WHERE locktype = 'advisory' AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)"#,
            presence.runner.0.to_string(),
        )
        .fetch_all(&mut session)
        .await?;
        lock(&mut session, presence.runner).await?;
        presence.session = session;
        Ok(())
    }

    /// Declare dead whoever fell silent or is gone, and wake everybody: what they held is due at once. How many they were.
    pub(crate) async fn take_over(&self) -> Result<u64, StoreError> {
        // The foreign key lets go of what they held. A lock taken here is given back with the statement.
        let seen = sqlx::query!(
            r#"WITH dead AS (
                 DELETE FROM execution_runners
                 WHERE tenant_id = $1
                   AND id IN (
                       SELECT id FROM execution_runners
                       WHERE tenant_id = $1
                         AND (leased_until < now()
                              OR (locked AND pg_try_advisory_xact_lock(hashtextextended(id::text, 0))))
                       FOR UPDATE SKIP LOCKED
                   )
                 RETURNING id
             ), counted AS (
                 SELECT count(*) AS dead FROM dead
             )
             SELECT dead AS "dead!", CASE WHEN dead > 0 THEN pg_notify($2, '')::text END AS told
             FROM counted"#,
            self.tenant_id(),
            EXECUTIONS,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(seen.dead).unwrap_or_default())
    }

    /// Give back all we hold, at once.
    pub(crate) async fn leave(&self, runner: RunnerId) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH gone AS (DELETE FROM execution_runners WHERE tenant_id = $1 AND id = $2)
             SELECT pg_notify($3, '')::text AS told",
            self.tenant_id(),
            runner.0,
            EXECUTIONS,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }
}

/// The lock that shows that `runner` lives; waits for whoever looks at it in this moment.
async fn lock(session: &mut PgConnection, runner: RunnerId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT pg_advisory_lock(hashtextextended($1, 0))",
        runner.0.to_string()
    )
    .execute(session)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use common::Service;
    use launcher::testing::{Wire, until};

    use super::super::stored;
    use super::*;

    const LONG: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn who_is_gone_is_taken_over_long_before_its_lease_runs_out() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let id = stored::execution(&store, "4242", &[]).await;
        let (gone, alive) = (
            store.register(LONG).await.unwrap(),
            store.register(LONG).await.unwrap(),
        );
        assert_eq!(store.claim_due(gone.runner, 1).await.unwrap().len(), 1);
        assert_eq!(store.take_over().await.unwrap(), 0, "both live");
        gone.session.close().await.unwrap();
        // Its backend may be some moments behind.
        until("it is taken over", async || store.take_over().await.unwrap() == 1).await;
        let claimed = store.claim_due(alive.runner, 1).await.unwrap();
        assert_eq!(claimed.first().map(|claimed| claimed.id), Some(id));
    }

    #[tokio::test]
    async fn a_broken_session_is_replaced_and_its_runner_lives_on() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let mut presence = store.register(LONG).await.unwrap();
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut presence.session)
            .await
            .unwrap();
        let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 5000)")
            .bind(pid)
            .fetch_one(&database.owner().await)
            .await
            .unwrap();
        assert!(ended);
        assert!(
            store
                .heartbeat(&mut presence, async || HashSet::new(), LONG)
                .await
                .unwrap()
        );
        assert_eq!(store.take_over().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_session_whose_wire_is_dead_is_replaced_though_its_backend_stands() {
        let database = launcher::testing::database().await;
        let direct = stored::store(&database).await;
        let mut presence = direct.register(LONG).await.unwrap();
        let wire = Wire::to(&database.url(Service::Orchestration)).await;
        let over = wire.url().as_str().parse().unwrap();
        presence.session = chassis::Sessions::new(over).alone().await.unwrap();
        // The first session has ended; its backend may be some moments behind.
        lock(&mut presence.session, presence.runner).await.unwrap();
        wire.freeze();
        let alive = direct.heartbeat(&mut presence, async || HashSet::new(), LONG);
        assert!(alive.await.unwrap());
        assert_eq!(direct.take_over().await.unwrap(), 0, "the new one has the lock");
        presence.session.close().await.unwrap();
        until("and the old one has not", async || {
            direct.take_over().await.unwrap() == 1
        })
        .await;
    }

    #[tokio::test]
    async fn who_fell_silent_is_taken_over_though_its_session_stands() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let mut silent = store.register(Duration::ZERO).await.unwrap();
        assert_eq!(store.take_over().await.unwrap(), 1);
        assert!(
            !store
                .heartbeat(&mut silent, async || HashSet::new(), LONG)
                .await
                .unwrap(),
            "it learns of it"
        );
    }

    #[tokio::test]
    async fn what_is_taken_during_a_heartbeat_is_not_let_go_by_it() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let mut presence = store.register(LONG).await.unwrap();
        let runner = presence.runner;
        let abandoned = stored::execution(&store, "4242", &[]).await;
        store.claim_due(runner, 1).await.unwrap();
        let taken = stored::execution(&store, "4243", &[]).await;
        let driven = async || {
            // Nobody drives the one any more; the other one comes to us at this moment.
            store.claim_due(runner, 1).await.unwrap();
            HashSet::new()
        };
        assert!(store.heartbeat(&mut presence, driven, LONG).await.unwrap());
        let due: Vec<ExecutionId> = store
            .claim_due(runner, 2)
            .await
            .unwrap()
            .iter()
            .map(|claimed| claimed.id)
            .collect();
        assert_eq!(due, [abandoned], "and not {taken}");
    }
}
