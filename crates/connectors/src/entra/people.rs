//! People: who somebody is, who their manager is, and whether their account is one that automation must not touch.

use crate::call::CallError;

/// Why a look-up by address gave nobody to work with.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// More than one account answers to the address: nobody may be chosen by a program.
    #[error("more than one account has this address")]
    Ambiguous,
    /// The directory could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why an account is privileged. Silence is a yes: what cannot be read counts as privileged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privilege {
    /// Holds a directory role (any), by name.
    Role(String),
    /// Belongs to a group that may hold directory roles, by name.
    RoleAssignableGroup(String),
    /// Belongs to a restricted management administrative unit.
    ManagementRestricted,
    /// A membership that we may not read.
    Unreadable,
}
