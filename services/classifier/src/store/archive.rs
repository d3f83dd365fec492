//! Retention: what was told long ago of tickets that are done with is moved to where it is in nobody's way, and what
//! people wrote is forgotten.

use std::time::Duration;

use common::clock;

use super::{Store, StoreError};

impl Store {
    /// Move up to `most` events that were received `age` ago or earlier to the archive: how many. Those of tickets that are
    /// still to be worked on stay. Of two replicas at once, one waits and finds them gone.
    pub(crate) async fn archive(&self, age: Duration, most: i64) -> Result<u64, StoreError> {
        let received = clock::now() - age;
        let done = sqlx::query!(
            "WITH gone AS (
                 DELETE FROM ticket_events
                 WHERE tenant_id = $1 AND id = ANY(ARRAY(
                     SELECT event.id
                     FROM ticket_events event
                     WHERE event.tenant_id = $1 AND event.id < $2
                       AND NOT EXISTS (
                           SELECT FROM tickets
                           WHERE tickets.tenant_id = $1 AND tickets.ticket_id = event.ticket_id
                             AND tickets.work_at IS NOT NULL
                       )
                     ORDER BY event.id
                     LIMIT $3
                 ))
                 RETURNING *
             )
             INSERT INTO archived_ticket_events (tenant_id, id, record)
             SELECT tenant_id, id, to_jsonb(gone) FROM gone",
            self.tenant.as_str(),
            clock::first_id_at(received),
            most,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Forget who asked and in which words, for up to `most` decisions that were made `age` ago or earlier: how many. Why
    /// they were made stays. What is still to be carried out, or may be approved yet, is needed and waits.
    pub(crate) async fn forget(&self, age: Duration, most: i64) -> Result<u64, StoreError> {
        let now = clock::now();
        let done = sqlx::query!(
            "WITH old AS (
                 SELECT d.decision_id
                 FROM classification_results d
                 WHERE d.tenant_id = $1 AND d.decision_id < $2
                   AND (d.considered ? 'personal' OR d.execution_request IS NOT NULL)
                   AND NOT EXISTS (
                       SELECT FROM tickets
                       WHERE tickets.tenant_id = $1 AND tickets.ticket_id = d.ticket_id
                         AND tickets.work_at IS NOT NULL
                   )
                   AND NOT EXISTS (
                       SELECT FROM suggestions s
                       WHERE s.tenant_id = $1 AND s.decision_id = d.decision_id
                         AND s.approved_at IS NULL AND s.expires_at > $4
                   )
                 ORDER BY d.decision_id
                 LIMIT $3
             ), approved AS (
                 UPDATE suggestions
                 SET execution_request = NULL, forgotten_at = $4
                 WHERE tenant_id = $1 AND decision_id IN (SELECT decision_id FROM old) AND approved_at IS NOT NULL
             )
             UPDATE classification_results
             SET considered = considered - 'personal', execution_request = NULL, forgotten_at = $4
             WHERE tenant_id = $1 AND decision_id = ANY(ARRAY(SELECT decision_id FROM old))",
            self.tenant.as_str(),
            clock::first_id_at(now - age),
            most,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
