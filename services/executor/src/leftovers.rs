//! Passes that somebody made and never learnt the value of: the answer was lost, or the actor died with it.

use common::clock;
use connectors::CallError;
use connectors::entra::{Entra, PassInfo};
use time::OffsetDateTime;

use crate::store::{Mandate, Store, StoreError};

/// The directory tells the time to the second, and not all of its machines tell the same.
const CLOCKS: time::Duration = time::Duration::seconds(30);

/// Whether a pass may be one that was asked for then or later.
pub(crate) fn may_be_of(pass: &PassInfo, asked_at: OffsetDateTime) -> bool {
    pass.age <= clock::now() - asked_at + CLOCKS
}

/// What the ticket says where the directory does not let go of what may be there.
const REMAINS: &str = "An earlier try may have made one all the same, and the directory refuses to have it deleted: \
                                  delete the person's Temporary Access Pass by hand.";

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

/// Delete whatever was asked for at `since` or later, and tell of it: `sentence`, with a warning behind it where the
/// directory refuses for good.
pub(crate) async fn told_without(
    store: &Store,
    entra: &Entra,
    mandate: &Mandate,
    since: Option<OffsetDateTime>,
    sentence: String,
) -> Result<String, LeftoverError> {
    let Some(since) = since else {
        return Ok(sentence);
    };
    match delete_since(store, entra, mandate, since).await {
        Ok(_) => Ok(sentence),
        Err(LeftoverError::Directory(CallError::Refused { code, .. })) => {
            tracing::error!(effect.id = %mandate.effect(), code, "the directory refuses to have a pass deleted");
            Ok(format!("{sentence} {REMAINS}"))
        }
        Err(error) => Err(error),
    }
}

/// Delete whatever an earlier actor of `mandate` may have made: nobody will ever know its value. Answers the ids.
///
/// A pass that another effect made and handed on stays. Safe to repeat.
pub(crate) async fn delete(
    store: &Store,
    entra: &Entra,
    mandate: &Mandate,
) -> Result<Vec<String>, LeftoverError> {
    match mandate.asked_at() {
        Some(since) => delete_since(store, entra, mandate, since).await,
        None => Ok(Vec::new()),
    }
}

/// The same, of whatever was asked for then or later.
async fn delete_since(
    store: &Store,
    entra: &Entra,
    mandate: &Mandate,
    since: OffsetDateTime,
) -> Result<Vec<String>, LeftoverError> {
    let passes = match entra.list_passes(mandate.subject()).await {
        Ok(passes) => passes,
        // Without an account there is no pass.
        Err(error) if error.is_refused("user_not_found") => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let found: Vec<String> = passes
        .into_iter()
        .filter(|pass| may_be_of(pass, since))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_one_that_was_asked_for_by_how_old_it_is_whatever_the_two_clocks_say() {
        let pass = |age| PassInfo {
            id: "one".to_owned(),
            age: time::Duration::seconds(age),
            start: OffsetDateTime::UNIX_EPOCH,
            lifetime: std::time::Duration::from_hours(1),
            usable: true,
        };
        let asked_at = clock::now() - time::Duration::minutes(2);
        assert!(may_be_of(&pass(0), asked_at));
        assert!(may_be_of(&pass(145), asked_at), "within the doubt");
        assert!(!may_be_of(&pass(155), asked_at));
    }
}
