//! What is kept of requests that are long over.

use common::clock;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};

/// What came of looking at old requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// The youngest that was looked at.
    pub upto: Uuid,
    /// Of how many something was forgotten.
    pub forgotten: i64,
}

impl Store {
    /// Forget the words of up to `most` requests that were begun after `beyond` and over before `before`, the oldest first: why
    /// somebody asks and with which parameters, and what they typed. A choice stays, for it is the playbook's word. `None`: there
    /// are none.
    ///
    /// What was not over by then is looked at and stays as it is: look again from the beginning now and then.
    pub async fn forget(
        &self,
        beyond: Uuid,
        before: OffsetDateTime,
        most: i64,
    ) -> Result<Option<Looked>, StoreError> {
        let looked = sqlx::query!(
            r#"WITH old AS (
                 SELECT id FROM verifications
                 WHERE tenant_id = $1 AND id > $2 AND id < $3
                 ORDER BY id
                 LIMIT $4
             ), forgotten AS (
                 UPDATE verifications request
                 SET shown = shown || '{"reason": "", "parameters": []}',
                     authorizes = authorizes || '{"parameters": {}}',
                     answer = CASE WHEN jsonb_typeof(question -> 'answers') = 'string' THEN '' ELSE answer END
                 FROM old
                 WHERE request.tenant_id = $1 AND request.id = old.id AND ended_at < $5 AND wake_at IS NULL
                   AND (shown ->> 'reason' <> ''
                     OR shown -> 'parameters' <> '[]'
                     OR authorizes -> 'parameters' <> '{}'
                     OR jsonb_typeof(question -> 'answers') = 'string' AND answer <> '')
                 RETURNING request.id
             )
             SELECT (SELECT id FROM old ORDER BY id DESC LIMIT 1) AS upto,
                 (SELECT count(*) FROM forgotten) AS "forgotten!""#,
            self.tenant.as_str(),
            beyond,
            clock::first_id_at(before),
            most,
            before,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(looked.upto.map(|upto| Looked {
            upto,
            forgotten: looked.forgotten,
        }))
    }
}
