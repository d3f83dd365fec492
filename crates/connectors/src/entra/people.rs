//! People: who somebody is, who their manager is, and whether their account is one that automation must not touch.

use common::{Person, UserId};
use http::StatusCode;
use serde::Deserialize;

use super::Entra;
use super::client::{Request, message, read, user_not_found};
use crate::call::CallError;
use crate::phone::PhoneNumber;

/// Without `$select` half of these are simply absent (contract, section 0).
const PERSON: (&str, &str) = (
    "$select",
    "id,userPrincipalName,displayName,mail,accountEnabled,userType,department,jobTitle,mobilePhone",
);
/// The fixed id of everybody's `mobile` phone method.
const MOBILE_METHOD: &str = "3179e48a-750b-4051-897c-87b9720928f7";

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

impl Entra {
    /// A person by object id; `None` where the directory does not know them.
    pub async fn user(&self, id: &UserId) -> Result<Option<Person>, CallError> {
        let path = ["users", id.as_str()];
        let found: Option<User> = self
            .graph()
            .find(Request::get("user", &path).with(&[PERSON]))
            .await?;
        Ok(found.map(Person::from))
    }

    /// The one person whose mail address or sign-in name is `mail`; `None` where there is none.
    pub async fn user_by_mail(&self, mail: &str) -> Result<Option<Person>, LookupError> {
        let mail = mail.trim();
        let quoted = mail.replace('\'', "''");
        let filter = format!("mail eq '{quoted}' or userPrincipalName eq '{quoted}'");
        let query = [("$filter", filter.as_str()), PERSON, ("$top", "2")];
        let found = self
            .graph()
            .list(Request::get("user_by_mail", &["users"]).with(&query), 2)
            .await?;
        let found: Vec<User> = found.unwrap_or_default();
        let same = |text: &str| text.to_lowercase() == mail.to_lowercase();
        let mut found = found
            .into_iter()
            .filter(|user| same(&user.user_principal_name) || user.mail.as_deref().is_some_and(same));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(LookupError::Ambiguous),
            (found, _) => Ok(found.map(Person::from)),
        }
    }

    /// The manager on record, as the directory says now; `None` where there is none or it is no person. An unknown `id`
    /// is refused with `user_not_found`.
    pub async fn manager(&self, id: &UserId) -> Result<Option<Person>, CallError> {
        let path = ["users", id.as_str(), "manager"];
        let answer = self
            .graph()
            .send(Request::get("manager", &path).with(&[PERSON]))
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            // The same status and code as for an unknown person; only the words differ.
            let no_manager = message(&answer).starts_with("Resource 'manager' does not exist");
            return if no_manager {
                Ok(None)
            } else {
                Err(user_not_found())
            };
        }
        let manager: Manager = read(&answer)?;
        // It may be an organisational contact, who has no account to approve with.
        let person = manager
            .kind
            .as_deref()
            .is_none_or(|kind| kind == "#microsoft.graph.user");
        Ok(person.then_some(manager.user).flatten().map(Person::from))
    }

    /// Why the account is privileged; `None` where nothing says so and everything could be read. PIM-eligible roles that
    /// are not active do not show. An unknown `id` is refused with `user_not_found`.
    pub async fn privilege(&self, id: &UserId) -> Result<Option<Privilege>, CallError> {
        let path = ["users", id.as_str()];
        let query = [("$select", "id,isManagementRestricted")];
        let restricted: Option<Restricted> = self
            .graph()
            .find(Request::get("user", &path).with(&query))
            .await?;
        if restricted.ok_or_else(user_not_found)?.is_management_restricted == Some(true) {
            return Ok(Some(Privilege::ManagementRestricted));
        }
        let path = ["users", id.as_str(), "transitiveMemberOf"];
        let query = [
            ("$select", "id,displayName,roleTemplateId,isAssignableToRole"),
            ("$top", "999"),
        ];
        let request = Request::get("memberships", &path).with(&query);
        let memberships: Option<Vec<Membership>> = self.graph().list(request, usize::MAX).await?;
        let memberships = memberships.ok_or_else(user_not_found)?;
        Ok(memberships.into_iter().find_map(Membership::privilege))
    }

    /// [`Self::privilege`] as a yes or no.
    pub async fn is_privileged(&self, id: &UserId) -> Result<bool, CallError> {
        Ok(self.privilege(id).await?.is_some())
    }

    /// The person's `mobile` phone method: the verified number, not the contact data; `None` where there is none, or none
    /// that takes SMS (extension). An unknown `id` is refused with `user_not_found`.
    pub async fn mobile_phone_method(&self, id: &UserId) -> Result<Option<PhoneNumber>, CallError> {
        let path = ["users", id.as_str(), "authentication", "phoneMethods"];
        let methods: Option<Vec<PhoneMethod>> = self
            .graph()
            .list(Request::get("phone_methods", &path), usize::MAX)
            .await?;
        let mobile = methods
            .ok_or_else(user_not_found)?
            .into_iter()
            .find(|method| method.id == MOBILE_METHOD || method.phone_type.as_deref() == Some("mobile"));
        Ok(mobile.and_then(|method| PhoneNumber::from_directory(&method.phone_number?).ok()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: UserId,
    #[serde(default)]
    user_principal_name: String,
    display_name: Option<String>,
    mail: Option<String>,
    account_enabled: Option<bool>,
    user_type: Option<String>,
    department: Option<String>,
    job_title: Option<String>,
    mobile_phone: Option<String>,
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Self {
            display_name: filled(user.display_name).unwrap_or_else(|| user.user_principal_name.clone()),
            id: user.id,
            user_principal_name: user.user_principal_name,
            mail: filled(user.mail),
            department: filled(user.department),
            job_title: filled(user.job_title),
            account_enabled: user.account_enabled == Some(true),
            guest: user
                .user_type
                .is_some_and(|kind| kind.eq_ignore_ascii_case("guest")),
            mobile_phone: filled(user.mobile_phone),
        }
    }
}

#[derive(Deserialize)]
struct Manager {
    #[serde(rename = "@odata.type")]
    kind: Option<String>,
    #[serde(flatten)]
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Restricted {
    is_management_restricted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    #[serde(rename = "@odata.type", default)]
    kind: String,
    display_name: Option<String>,
    is_assignable_to_role: Option<bool>,
}

impl Membership {
    fn privilege(self) -> Option<Privilege> {
        match (self.kind.as_str(), self.display_name) {
            ("#microsoft.graph.directoryRole", name) => Some(Privilege::Role(
                name.unwrap_or_else(|| "a role we may not read".to_owned()),
            )),
            ("#microsoft.graph.group", Some(name)) if self.is_assignable_to_role == Some(true) => {
                Some(Privilege::RoleAssignableGroup(name))
            }
            ("#microsoft.graph.group", Some(_)) | ("#microsoft.graph.administrativeUnit", _) => None,
            // A group without a name is one whose members' details we may not read; a kind that we don't know may be
            // anything.
            _ => Some(Privilege::Unreadable),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneMethod {
    #[serde(default)]
    id: String,
    phone_number: Option<String>,
    phone_type: Option<String>,
}
