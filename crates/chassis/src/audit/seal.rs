//! Signing the ends of a service's chains, a few seconds after they grew: many at once, one signature for all.

use std::sync::Arc;

use crate::sessions::Sessions;
use common::{TenantId, clock};
use trust::Identity;
use trust::audit::{HEADS_IN_SEAL, Hash, Head, Seal};
use uuid::Uuid;

use crate::Did;

/// Why nothing was sealed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The database is away.
    #[error("the database did not take the seal")]
    Database(#[from] sqlx::Error),
    /// The service's own key.
    #[error("cannot sign the heads of the audit")]
    Key(#[from] trust::SigningFailed),
}

/// Seal the heads that nobody has sealed, as many as go into one. Of several replicas one does, and the others find nothing.
pub(crate) async fn step(
    pool: &Sessions,
    tenant: &TenantId,
    identity: &Arc<Identity>,
) -> Result<Did, SealError> {
    let service = identity.service().name();
    let mut transaction = pool.begin().await?;
    let most = i32::try_from(HEADS_IN_SEAL).unwrap_or(i32::MAX);
    let unsealed = sqlx::query!(
        r#"SELECT chain AS "chain!", seq AS "seq!", link AS "link!" FROM audit_unsealed($1, $2, $3)"#,
        tenant.as_str(),
        service,
        most,
    )
    .fetch_all(&mut *transaction)
    .await?;
    if unsealed.is_empty() {
        return Ok(Did::Nothing);
    }
    let before = sqlx::query_scalar!("SELECT audit_last_seal($1, $2)", tenant.as_str(), service)
        .fetch_one(&mut *transaction)
        .await?;
    let heads = unsealed.iter().map(|head| Head {
        execution: Some(head.chain).filter(|chain| !chain.is_nil()),
        seq: u64::try_from(head.seq).unwrap_or_default(),
        link: Hash::from_bytes(&head.link).unwrap_or(Hash::NONE),
    });
    let seal = Seal {
        iss: identity.service(),
        tenant: tenant.clone(),
        iat: clock::now().unix_timestamp(),
        before: before
            .and_then(|digest| Hash::from_bytes(&digest))
            .unwrap_or(Hash::NONE),
        heads: heads.collect(),
    };
    let chains: Vec<Uuid> = unsealed.iter().map(|head| head.chain).collect();
    sqlx::query_scalar!(
        "SELECT audit_seal($1, $2, $3, $4)",
        tenant.as_str(),
        service,
        seal.sign(identity)?,
        &chains,
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(if chains.len() < HEADS_IN_SEAL {
        Did::Nothing
    } else {
        Did::Work
    })
}
