//! Passes that somebody made and never learnt the value of: the answer was lost, or the actor died with it.

use connectors::CallError;
use connectors::entra::Entra;

use crate::store::{Mandate, Store, StoreError};

/// How far the directory's clock may be behind ours when we look for a pass of ours.
pub(crate) const CLOCKS: time::Duration = time::Duration::seconds(30);

/// Why they may still be there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeftoverError {
    /// The directory is away, or refuses.
    #[error("the directory did not do it")]
    Directory(#[from] CallError),
    /// The same person is being given a pass for another reason: which is whose shows in a moment.
    #[error("another effect on the same person is under way")]
    UnderWay,
    /// The ledger failed.
    #[error("cannot read the ledger")]
    Store(#[from] StoreError),
}

/// Delete whatever an earlier actor of `mandate` may have made: nobody will ever know its value. Answers the ids.
///
/// A pass that another effect made and handed on stays. Safe to repeat.
pub(crate) async fn delete(
    store: &Store,
    entra: &Entra,
    mandate: &Mandate,
) -> Result<Vec<String>, LeftoverError> {
    let Some(since) = mandate.asked_at() else {
        return Ok(Vec::new());
    };
    let passes = match entra.list_passes(mandate.subject()).await {
        Ok(passes) => passes,
        // Without an account there is no pass.
        Err(error) if error.is_refused("user_not_found") => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let found: Vec<String> = passes
        .into_iter()
        .filter(|pass| pass.created >= since - CLOCKS)
        .map(|pass| pass.id)
        .collect();
    // INVARIANT: asked after the directory, so whoever made one of these is in the ledger, or still at it.
    let others = store.others(mandate).await?;
    if !found.is_empty() && others.asking {
        return Err(LeftoverError::UnderWay);
    }
    let mut deleted = Vec::new();
    for id in found.into_iter().filter(|id| !others.made.contains(id)) {
        entra.delete_pass(mandate.subject(), &id).await?;
        deleted.push(id);
    }
    Ok(deleted)
}
