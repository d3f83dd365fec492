//! Who may approve a suggestion.

use chassis::{BaseSettings, Reader};

use crate::modes::approver::Wanted;

pub(super) fn read(from: &mut Reader<'_>, base: Option<&BaseSettings>) -> Option<Wanted> {
    let wanted = from.one_of(
        "SUGGESTION_APPROVER",
        &[("link", Wanted::Link), ("person", Wanted::Person)],
        "who may approve a suggestion: whoever has its link, or an operator whom the gateway has signed in besides",
    )?;
    if wanted == Wanted::Person && base.is_some_and(|base| base.oidc.is_none()) {
        return from
            .reject("SUGGESTION_APPROVER is person, and OIDC_ISSUER is not set: nobody could approve");
    }
    Some(wanted)
}
