//! Retention: what ended long ago is moved, whole, to where it is in nobody's way.

use std::time::Duration;

use common::clock;
use sqlx::PgConnection;
use uuid::Uuid;

use super::claim::interval;
use super::{Store, StoreError};

impl Store {
    /// Move up to `most` executions that ended `age` ago or earlier to the archive: how many. Those whose ticket is still
    /// to be told something stay. Replicas move different ones.
    pub(crate) async fn archive(&self, age: Duration, most: i64) -> Result<usize, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // Ids sort by time, and nothing ends before it begins: the key finds the oldest without an index of its own, which
        // every ending would have to pay for, and ends where they are too young.
        let old: Vec<Uuid> = sqlx::query_scalar!(
            "SELECT id
             FROM playbook_executions execution
             WHERE tenant_id = $1 AND id < $4 AND ended_at < now() - $2::interval
               AND NOT EXISTS (
                   SELECT FROM ticket_updates update
                   WHERE update.tenant_id = $1 AND update.ticket_id = execution.ticket_id AND update.settled IS NULL
               )
             ORDER BY id
             LIMIT $3
             FOR UPDATE SKIP LOCKED",
            self.tenant_id(),
            interval(age),
            most,
            clock::first_id_at(clock::now() - age),
        )
        .fetch_all(&mut *transaction)
        .await?;
        if !old.is_empty() {
            self.copy(&mut transaction, &old).await?;
            self.forget(&mut transaction, &old).await?;
        }
        transaction.commit().await?;
        Ok(old.len())
    }

    /// The whole record of each, as one document.
    async fn copy(&self, connection: &mut PgConnection, old: &[Uuid]) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO archived_executions (tenant_id, id, ticket_id, decision_id, ended_at, record)
             SELECT tenant_id, id, ticket_id, decision_id, ended_at, jsonb_build_object(
                 'execution', to_jsonb(execution) - 'state',
                 'steps', (
                     SELECT COALESCE(jsonb_agg(to_jsonb(step) ORDER BY step.ordinal), '[]')
                     FROM playbook_step_executions step
                     WHERE step.tenant_id = $1 AND step.execution_id = execution.id
                 ),
                 'signals', (
                     SELECT COALESCE(jsonb_agg(to_jsonb(signal) - 'result' ORDER BY signal.received_at), '[]')
                     FROM execution_signals signal
                     WHERE signal.tenant_id = $1 AND signal.execution_id = execution.id
                 ),
                 'updates', (
                     SELECT COALESCE(jsonb_agg(to_jsonb(update) ORDER BY update.position), '[]')
                     FROM ticket_updates update
                     WHERE update.tenant_id = $1 AND update.ticket_id = execution.ticket_id
                       AND update.execution_id = execution.id
                 )
             )
             FROM playbook_executions execution
             WHERE tenant_id = $1 AND id = ANY($2)",
            self.tenant_id(),
            old,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Their rows, what belongs to them first.
    async fn forget(&self, connection: &mut PgConnection, old: &[Uuid]) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM ticket_updates update
             USING playbook_executions execution
             WHERE execution.tenant_id = $1 AND execution.id = ANY($2)
               AND update.tenant_id = $1 AND update.ticket_id = execution.ticket_id
               AND update.execution_id = execution.id",
            self.tenant_id(),
            old,
        )
        .execute(&mut *connection)
        .await?;
        // A ticket that nothing is known of any more begins anew; no sender has overslept for so long.
        sqlx::query!(
            "DELETE FROM ticket_outboxes outbox
             USING playbook_executions execution
             WHERE execution.tenant_id = $1 AND execution.id = ANY($2)
               AND outbox.tenant_id = $1 AND outbox.ticket_id = execution.ticket_id
               AND NOT outbox.held AND outbox.wake_at IS NULL
               AND NOT EXISTS (
                   SELECT FROM playbook_executions other
                   WHERE other.tenant_id = $1 AND other.ticket_id = outbox.ticket_id AND NOT (other.id = ANY($2))
               )",
            self.tenant_id(),
            old,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "DELETE FROM execution_signals WHERE tenant_id = $1 AND execution_id = ANY($2)",
            self.tenant_id(),
            old,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "DELETE FROM playbook_step_executions WHERE tenant_id = $1 AND execution_id = ANY($2)",
            self.tenant_id(),
            old,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "DELETE FROM playbook_executions WHERE tenant_id = $1 AND id = ANY($2)",
            self.tenant_id(),
            old,
        )
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::{ExecutionId, OperationId};
    use launcher::testing::TestDatabase;
    use uuid::{NoContext, Timestamp};

    use super::super::{Entry, Left, NewExecution, Settled, Take, Then, stored};
    use super::*;
    use crate::store::Closing;
    use crate::update::Update;

    const MONTH: Duration = Duration::from_hours(24 * 30);

    /// One that was made `days` ago.
    fn made(store: &Store, ticket: &str, days: u64) -> NewExecution {
        let at = clock::now() - Duration::from_hours(24 * days);
        let seconds = u64::try_from(at.unix_timestamp()).unwrap();
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, at.nanosecond()));
        NewExecution {
            id: ExecutionId(id),
            ..stored::new(store, ticket, crate::facts::Given::default())
        }
    }

    async fn store_it(store: &Store, new: NewExecution) -> ExecutionId {
        let id = new.id;
        let committed = store.commit(&[Entry::New(Box::new(new))], Take::default()).await;
        assert_ne!(committed.unwrap().found, [None]);
        id
    }

    /// As if it had begun and ended `days` ago, with a step and a signal.
    async fn ended(database: &TestDatabase, id: ExecutionId, days: i32) {
        let owner = database.owner().await;
        for statement in [
            "UPDATE playbook_executions SET status = 'RESOLVED', wake_at = NULL,
                 started_at = now() - make_interval(days => $2), ended_at = now() - make_interval(days => $2)
             WHERE id = $1",
            "INSERT INTO playbook_step_executions (tenant_id, execution_id, step_id, visit, attempt, name, outcome,
                 explanation, output, started_at, ended_at)
             SELECT tenant_id, id, 'resolved', 1, 1, 'Resolved', 'success', 'It ended well.', '{}', ended_at, ended_at
             FROM playbook_executions WHERE id = $1 AND $2 > 0",
        ] {
            sqlx::query(statement)
                .bind(id.0)
                .bind(days)
                .execute(&owner)
                .await
                .unwrap();
        }
        sqlx::query(
            "INSERT INTO execution_signals (tenant_id, execution_id, operation_id, step_id, visit, attempt, result,
                 sender, received_at)
             VALUES ('default', $1, $2, 'resolved', 1, 1, '{\"permit\": \"a secret\"}', 'verification', now())",
        )
        .bind(id.0)
        .bind(OperationId::fresh().0)
        .execute(&owner)
        .await
        .unwrap();
    }

    async fn left(database: &TestDatabase) -> i64 {
        let tables =
            "SELECT (SELECT count(*) FROM playbook_executions) + (SELECT count(*) FROM execution_signals)
             + (SELECT count(*) FROM playbook_step_executions) + (SELECT count(*) FROM ticket_updates)
             + (SELECT count(*) FROM ticket_outboxes)";
        sqlx::query_scalar(tables)
            .fetch_one(&database.owner().await)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_ended_long_ago_leaves_the_tables_and_can_still_be_read() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let id = store_it(&store, made(&store, "4242", 31)).await;
        stored::told(&store, "4242", id, &[Update::Story]).await;
        ended(&database, id, 31).await;
        let before = store.execution(id).await.unwrap().unwrap();
        assert_eq!(
            store.archive(MONTH, 10).await.unwrap(),
            0,
            "its ticket is still to be told"
        );

        let claimed = store.claim_tickets(1, MONTH).await.unwrap().remove(0);
        let due = store.due_updates(&[&claimed.ticket]).await.unwrap();
        let closing = Closing {
            ticket: claimed.ticket.clone(),
            fence: claimed.fence,
            enqueued: claimed.enqueued,
            settled: due[&claimed.ticket]
                .iter()
                .map(|due| (due.position, Settled::Sent))
                .collect(),
            words: vec![(due[&claimed.ticket][0].position, "Adele was asked.".to_owned())],
            audit: vec![],
            then: Then::Rest,
            lease: MONTH,
        };
        assert_eq!(store.close(&[closing]).await.unwrap(), [Some(Left::Gone)]);
        assert_eq!(store.archive(MONTH, 10).await.unwrap(), 1);
        assert_eq!(left(&database).await, 0);
        assert_eq!(store.execution(id).await.unwrap(), Some(before.clone()));
        assert_eq!(store.of_ticket(&claimed.ticket).await.unwrap(), Some(before));
        let record: String = sqlx::query_scalar("SELECT record::text FROM archived_executions")
            .fetch_one(&database.owner().await)
            .await
            .unwrap();
        assert!(
            record.contains("\"told\": \"Adele was asked.\"") && !record.contains("a secret"),
            "{record}"
        );
        assert_eq!(store.archive(MONTH, 10).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_decision_whose_execution_was_archived_starts_nothing() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let mut new = made(&store, "4242", 31);
        let (id, decision) = (new.id, new.request.decision_id);
        store
            .commit(&[Entry::New(Box::new(new.clone()))], Take::default())
            .await
            .unwrap();
        ended(&database, id, 31).await;
        assert_eq!(store.archive(MONTH, 10).await.unwrap(), 1);
        new.id = ExecutionId::fresh();
        let again = store
            .commit(&[Entry::New(Box::new(new))], Take::default())
            .await
            .unwrap();
        assert_eq!(again.found, [None]);
        let known = store.of_decision(decision).await.unwrap().unwrap();
        assert_eq!(known.execution_id, id);
    }

    #[tokio::test]
    async fn what_is_open_or_young_stays() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        store_it(&store, made(&store, "4241", 31)).await;
        let young = store_it(&store, made(&store, "4242", 29)).await;
        ended(&database, young, 29).await;
        let lasted = store_it(&store, made(&store, "4243", 31)).await;
        ended(&database, lasted, 29).await;
        assert_eq!(store.archive(MONTH, 10).await.unwrap(), 0);
    }
}
