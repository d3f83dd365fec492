//! `/users`: look-up, manager, and the writes that this tenant does not let an application do.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::EntraSim;
use super::filter::{Term, parse};
use super::graph::{Caller, GraphError, Options, object};
use crate::company::Person;

/// What comes without `$select`. Neither `accountEnabled` nor `department` nor `userType` is in it.
pub(crate) const DEFAULT_PROPERTIES: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];

const READ: [&str; 4] = [
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];

/// Every property that `$select` may name.
fn user(person: &Person) -> Value {
    json!({
        "id": person.id, "userPrincipalName": person.upn, "displayName": person.name,
        "givenName": person.given_name(), "surname": person.surname(),
        "mail": person.email, "otherMails": [], "proxyAddresses": proxy_addresses(person),
        "accountEnabled": person.enabled, "userType": person.user_type,
        "department": person.department, "jobTitle": person.job_title, "companyName": "Contoso",
        "mobilePhone": person.contact_phone, "businessPhones": [], "officeLocation": "18/2111",
        "onPremisesSyncEnabled": person.synced.then_some(true), "onPremisesImmutableId": null,
        "usageLocation": "GB", "preferredLanguage": "en-GB", "employeeId": person.halo_id.to_string(),
        "createdDateTime": "2021-03-01T08:00:00Z", "lastPasswordChangeDateTime": "2026-01-07T08:12:44Z",
        "signInSessionsValidFromDateTime": "2026-01-07T08:12:44Z", "isManagementRestricted": person.management_restricted.then_some(true),
        "externalUserState": null, "creationType": null,
    })
}

/// The primary address in capitals, as Exchange writes it.
fn proxy_addresses(person: &Person) -> Vec<String> {
    let aliases = person.aliases.iter().map(|alias| format!("smtp:{alias}"));
    std::iter::once(format!("SMTP:{}", person.email))
        .chain(aliases)
        .collect()
}

fn holds(person: &Person, term: &Term) -> Result<bool, GraphError> {
    let same = |field: &str| field.eq_ignore_ascii_case(&term.value);
    match term.property.as_str() {
        "mail" => Ok(same(&person.email)),
        "userPrincipalName" => Ok(same(&person.upn)),
        "id" => Ok(same(&person.id.to_string())),
        "displayName" => Ok(same(&person.name)),
        "proxyAddresses" => Ok(proxy_addresses(person).iter().any(|address| same(address))),
        "otherMails" => Ok(false),
        other => Err(GraphError::bad_request(format!(
            "Invalid filter clause: '{other}'."
        ))),
    }
}

pub(crate) async fn list(
    State(entra): State<EntraSim>,
    caller: Caller,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ)?;
    let alternatives = options.get("$filter").map(parse).transpose()?;
    let mut found = entra.core.directory.with_all(|people| {
        let mut found = Vec::new();
        for person in people {
            let mut taken = alternatives.is_none();
            for terms in alternatives.iter().flatten() {
                let mut all = true;
                for term in terms {
                    all &= holds(person, term)?;
                }
                taken |= all;
            }
            if taken {
                found.push(options.select(&user(person), &DEFAULT_PROPERTIES)?);
            }
        }
        Ok(found)
    })?;
    found.truncate(options.top()?.unwrap_or(100));
    Ok(Json(
        json!({ "@odata.context": entra.context("users"), "value": found }),
    ))
}

pub(crate) async fn read(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ)?;
    let person = entra.person(&key)?;
    let mut shown = options.select(&user(&person), &DEFAULT_PROPERTIES)?;
    shown["@odata.context"] = json!(entra.context("users/$entity"));
    Ok(Json(shown))
}

pub(crate) async fn manager(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ)?;
    let person = entra.person(&key)?;
    let manager = person
        .manager
        .and_then(|email| entra.core.directory.by_email(&email));
    let manager = manager.ok_or_else(|| GraphError::no_object("manager"))?;
    let mut shown = user(&manager);
    shown["@odata.type"] = json!("#microsoft.graph.user");
    let mut shown = options.select(&shown, &DEFAULT_PROPERTIES)?;
    shown["@odata.context"] = json!(entra.context("directoryObjects/$entity"));
    Ok(Json(shown))
}

/// An app-only password reset also needs a directory role on the service principal, which ours lacks.
pub(crate) async fn patch(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, GraphError> {
    caller.needs(&[
        "User-PasswordProfile.ReadWrite.All",
        "User.EnableDisableAccount.All",
        "User.ReadWrite.All",
    ])?;
    let person = entra.person(&key)?;
    let change = object(&headers, &body)?;
    if change.contains_key("passwordProfile") {
        return Err(GraphError::denied());
    }
    match change.get("accountEnabled") {
        Some(Value::Bool(enabled)) => {
            entra
                .core
                .directory
                .change(&person.email, |person| person.enabled = *enabled);
            Ok(StatusCode::NO_CONTENT)
        }
        _ => Err(GraphError::bad_request("No supported property to update.")),
    }
}

/// There is no application permission for this: with client credentials it cannot work.
pub(crate) async fn reset_password(_: Caller) -> GraphError {
    GraphError::new(
        StatusCode::FORBIDDEN,
        "accessDenied",
        "Request Authorization failed",
    )
}

pub(crate) async fn revoke_sessions(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&["User.RevokeSessions.All", "User.ReadWrite.All"])?;
    let person = entra.person(&key)?;
    *entra.state.lock().sessions_revoked.entry(person.id).or_default() += 1;
    Ok(Json(
        json!({ "@odata.context": entra.context("Edm.Boolean"), "value": true }),
    ))
}
