//! People: who somebody is, who their manager is, what their account may do, and by which methods they sign in.

use common::methods::{MethodKind, SignInMethod};
use common::protection::Membership;
use common::{Person, UserId};
use http::StatusCode;
use serde::Deserialize;
use time::OffsetDateTime;

use super::Entra;
use super::client::{Request, message, read, user_not_found};
use crate::call::{CallError, System};
use crate::phone::PhoneNumber;

/// Without `$select` half of these are simply absent (contract, section 0).
const PERSON: (&str, &str) = (
    "$select",
    "id,userPrincipalName,displayName,mail,accountEnabled,userType,department,jobTitle,mobilePhone,isManagementRestricted",
);
/// The fixed id of everybody's `mobile` phone method.
const MOBILE_METHOD: &str = "3179e48a-750b-4051-897c-87b9720928f7";

const ELIGIBLE_ROLES: [&str; 3] = ["roleManagement", "directory", "roleEligibilityScheduleInstances"];

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

    /// Every address at which the mailbox of `id` takes mail: its own and its aliases, in lower case. Empty where the
    /// directory does not know them.
    ///
    /// Exchange and administrators write them, within the organisation's domains, and no two people share one. `otherMails`
    /// is not among them: people enter those themselves.
    pub async fn mail_addresses(&self, id: &UserId) -> Result<Vec<String>, CallError> {
        let path = ["users", id.as_str()];
        let request = Request::get("mail_addresses", &path).with(&[("$select", "proxyAddresses")]);
        let found: Option<Mailbox> = self.graph().find(request).await?;
        let addresses = found.map(|mailbox| mailbox.proxy_addresses).unwrap_or_default();
        Ok(addresses.iter().filter_map(|address| by_mail(address)).collect())
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

    /// What the person belongs to, directly or through others, and the directory roles that they may make active whenever
    /// they like (PIM). An unknown `id` is refused with `user_not_found`.
    ///
    /// Not seen: whoever may make themselves a member of a role-assignable group (PIM for groups).
    pub async fn memberships(&self, id: &UserId) -> Result<Vec<Membership>, CallError> {
        // Both are waited for: that the person is not known is said first.
        let (belongs_to, eligible) = tokio::join!(self.belongs_to(id), self.eligible_roles(id));
        let mut memberships = belongs_to?;
        memberships.extend(eligible?);
        Ok(memberships)
    }

    async fn belongs_to(&self, id: &UserId) -> Result<Vec<Membership>, CallError> {
        let path = ["users", id.as_str(), "transitiveMemberOf"];
        let query = [
            ("$select", "id,displayName,roleTemplateId,isAssignableToRole"),
            ("$top", "999"),
        ];
        let request = Request::get("memberships", &path).with(&query);
        let memberships: Option<Vec<Belonging>> = self.graph().list(request, usize::MAX).await?;
        let memberships = memberships.ok_or_else(user_not_found)?;
        Ok(memberships.into_iter().map(Belonging::read).collect())
    }

    /// The roles that are theirs on demand: `/transitiveMemberOf` shows active ones only. What we may not read is reported
    /// as such. A directory without the licence has none (contract, section 3).
    ///
    /// Source: Microsoft Graph v1.0, List roleEligibilityScheduleInstances.
    async fn eligible_roles(&self, id: &UserId) -> Result<Vec<Membership>, CallError> {
        let filter = format!("principalId eq '{}'", id.as_str().replace('\'', "''"));
        let query = [
            ("$filter", filter.as_str()),
            ("$expand", "roleDefinition($select=displayName)"),
        ];
        let request = Request::get("eligible_roles", &ELIGIBLE_ROLES).with(&query);
        match self.graph().list::<Eligibility>(request, usize::MAX).await {
            Ok(Some(roles)) => Ok(roles.into_iter().map(Eligibility::read).collect()),
            Ok(None) => Err(CallError::refused(
                System::Entra,
                "not_found",
                "the directory keeps no list of eligible roles",
            )),
            Err(error) if error.is_refused("AadPremiumLicenseRequired") => Ok(Vec::new()),
            Err(error) if error.is_refused("forbidden") => Ok(vec![Membership::Unreadable {
                id: "eligible roles".to_owned(),
            }]),
            Err(error) => Err(error),
        }
    }

    /// By which methods the person proves who they are, and since when; without their password and passes, which are ours
    /// to give. An unknown `id` is refused with `user_not_found`.
    pub async fn sign_in_methods(&self, id: &UserId) -> Result<Vec<SignInMethod>, CallError> {
        let path = ["users", id.as_str(), "authentication", "methods"];
        let methods: Option<Vec<Method>> = self
            .graph()
            .list(Request::get("sign_in_methods", &path), usize::MAX)
            .await?;
        let methods = methods.ok_or_else(user_not_found)?;
        Ok(methods.into_iter().filter_map(Method::read).collect())
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
    is_management_restricted: Option<bool>,
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
            management_restricted: user.is_management_restricted == Some(true),
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
struct Belonging {
    #[serde(rename = "@odata.type", default)]
    kind: String,
    #[serde(default)]
    id: String,
    display_name: Option<String>,
    is_assignable_to_role: Option<bool>,
}

impl Belonging {
    fn read(self) -> Membership {
        match (self.kind.as_str(), self.display_name) {
            ("#microsoft.graph.directoryRole", name) => {
                Membership::Role(name.unwrap_or_else(|| "that we may not read".to_owned()))
            }
            ("#microsoft.graph.group", Some(name)) => Membership::Group {
                id: self.id,
                name,
                role_assignable: self.is_assignable_to_role == Some(true),
            },
            ("#microsoft.graph.administrativeUnit", _) => Membership::Unit,
            // A group without a name is one whose members' details we may not read; a kind that we don't know may be
            // anything.
            _ => Membership::Unreadable { id: self.id },
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eligibility {
    role_definition_id: Option<String>,
    role_definition: Option<RoleDefinition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleDefinition {
    display_name: Option<String>,
}

impl Eligibility {
    fn read(self) -> Membership {
        let name = self.role_definition.and_then(|role| role.display_name);
        let name = name.or(self.role_definition_id);
        let name = name.unwrap_or_else(|| "that we may not read".to_owned());
        Membership::Role(format!("{name}, eligible"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    #[serde(rename = "@odata.type", default)]
    kind: String,
    #[serde(default, with = "time::serde::rfc3339::option")]
    created_date_time: Option<OffsetDateTime>,
}

impl Method {
    fn read(self) -> Option<SignInMethod> {
        let kind = match self.kind.as_str() {
            // Neither proves possession of anything.
            "#microsoft.graph.passwordAuthenticationMethod"
            | "#microsoft.graph.temporaryAccessPassAuthenticationMethod" => return None,
            "#microsoft.graph.phoneAuthenticationMethod" => MethodKind::Phone,
            "#microsoft.graph.microsoftAuthenticatorAuthenticationMethod" => MethodKind::App,
            _ => MethodKind::Other,
        };
        Some(SignInMethod {
            kind,
            created: self.created_date_time,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mailbox {
    #[serde(default)]
    proxy_addresses: Vec<String>,
}

/// `SMTP:` is the primary address, `smtp:` another one; `x500:`, `SIP:` and what else there is are no addresses of mail.
fn by_mail(address: &str) -> Option<String> {
    let (scheme, address) = address.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("smtp")
        .then(|| address.to_lowercase())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneMethod {
    #[serde(default)]
    id: String,
    phone_number: Option<String>,
    phone_type: Option<String>,
}
