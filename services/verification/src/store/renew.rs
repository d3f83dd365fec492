//! More time for a permit that was given: the same row, the same id, with its audit.

use common::{ExecutionId, OperationId};
use time::OffsetDateTime;
use trust::permit::{Renewal, renew};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::operation::{Ending, Operation};
use crate::record;

/// What became of it.
#[derive(Debug)]
pub enum Renewing {
    /// It is good, for longer or as before.
    Good(Box<Operation>),
    /// There is none of this id in this execution.
    Unknown,
    /// Nothing was approved that allows anything.
    NotGiven,
    /// The person answered too long ago.
    TooLate,
}

impl Store {
    /// Give the permit of the verification `id`, or the one whose own id that is, the time that it may have at `now`.
    /// What is refused is on record as well.
    pub async fn renew_permit(
        &self,
        id: Uuid,
        execution: ExecutionId,
        now: OffsetDateTime,
    ) -> Result<Renewing, StoreError> {
        let mut tx = self.pool.begin().await?;
        let found = sqlx::query_scalar!(
            "SELECT id
             FROM verifications
             WHERE tenant_id = $1 AND execution_id = $3 AND (id = $2 OR permit_id = $2)",
            self.tenant.as_str(),
            id,
            execution.0,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(found) = found else {
            self.audit
                .record(&mut tx, &record::no_permit(id, execution))
                .await?;
            tx.commit().await?;
            return Ok(Renewing::Unknown);
        };
        let mut operation = self.lock(&mut tx, OperationId(found)).await?;
        let answered = operation.state.ended().and_then(|ended| match ended.ending {
            Ending::Approved { .. } => Some(ended.at),
            _ => None,
        });
        let (Some(answered), Some(permit)) = (answered, operation.permit.as_mut()) else {
            let refused = record::not_renewed(&operation, "permit_not_given");
            self.audit.record(&mut tx, &refused).await?;
            tx.commit().await?;
            return Ok(Renewing::NotGiven);
        };
        match renew(answered, permit.expires_at, now) {
            Renewal::StillGood => return Ok(Renewing::Good(Box::new(operation))),
            Renewal::TooLate => {
                let refused = record::not_renewed(&operation, "permit_not_renewable");
                self.audit.record(&mut tx, &refused).await?;
                tx.commit().await?;
                return Ok(Renewing::TooLate);
            }
            Renewal::Renewed { issued, expires } => {
                (permit.issued_at, permit.expires_at) = (issued, expires);
                sqlx::query!(
                    "UPDATE verifications
                     SET permit_issued_at = $3, permit_expires_at = $4
                     WHERE tenant_id = $1 AND id = $2",
                    self.tenant.as_str(),
                    found,
                    issued,
                    expires,
                )
                .execute(&mut *tx)
                .await?;
            }
        }
        self.audit.record(&mut tx, &record::renewed(&operation)).await?;
        tx.commit().await?;
        Ok(Renewing::Good(Box::new(operation)))
    }
}
