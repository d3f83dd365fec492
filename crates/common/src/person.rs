//! People as the directory knows them.

use serde::{Deserialize, Serialize};

use crate::ids::{TenantId, UserId};

/// The person a step acts on, named by directory object id and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The tenant whose directory holds the person.
    pub tenant_id: TenantId,
    /// The person's object id there.
    pub user_id: UserId,
}

/// Somebody in the directory as people call them: to be shown, never to be acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Named {
    /// Object id.
    pub id: UserId,
    /// The name to show to people.
    pub name: String,
}

/// What Firstline needs to know of a person in the directory, read afresh each time it matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// Object id.
    pub id: UserId,
    /// Sign-in name; what an MFA push is addressed to.
    pub user_principal_name: String,
    /// The name to show to people.
    pub display_name: String,
    /// Primary mail address, where there is one.
    pub mail: Option<String>,
    /// Department, where the directory says so.
    pub department: Option<String>,
    /// Job title, where the directory says so.
    pub job_title: Option<String>,
    /// `false` also where the directory does not say: silence is a no.
    pub account_enabled: bool,
    /// An external guest; never automated.
    pub guest: bool,
    /// In a restricted management administrative unit (`isManagementRestricted`); never automated.
    pub management_restricted: bool,
    /// Contact number from the directory, free text; for reaching a manager, never for a credential.
    pub mobile_phone: Option<String>,
}
