//! Authentication methods: phones, the authenticator app, the password.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::EntraSim;
use super::graph::{Caller, GraphError};
use crate::company::Person;
use crate::text::rfc3339;

/// The id of every user's `mobile` phone method.
const MOBILE: &str = "3179e48a-750b-4051-897c-87b9720928f7";
/// The id of every user's password method.
const PASSWORD: &str = "28c10230-6103-485e-b985-444c60001490";

pub(crate) const READ_ALL: [&str; 2] = [
    "UserAuthenticationMethod.Read.All",
    "UserAuthenticationMethod.ReadWrite.All",
];

fn phone(person: &Person) -> Option<Value> {
    person.mobile.as_ref().map(|number| {
        json!({
            "@odata.type": "#microsoft.graph.phoneAuthenticationMethod", "id": MOBILE,
            "phoneNumber": number, "phoneType": "mobile", "smsSignInState": "notAllowedByPolicy",
            "createdDateTime": person.mobile_since.map(rfc3339),
        })
    })
}

fn authenticator(entra: &EntraSim, person: &Person) -> Option<Value> {
    person.authenticator.then(|| {
        json!({
            "@odata.type": "#microsoft.graph.microsoftAuthenticatorAuthenticationMethod",
            "id": entra.core.seed.uuid(&format!("authenticator/{}", person.email)),
            "displayName": "Pixel 8", "deviceTag": "SoftwareTokenActivated",
            "phoneAppVersion": "6.2404.2229", "createdDateTime": person.authenticator_since.map(rfc3339),
        })
    })
}

fn password() -> Value {
    json!({
        "@odata.type": "#microsoft.graph.passwordAuthenticationMethod", "id": PASSWORD,
        "password": null, "createdDateTime": "2025-01-07T08:12:44Z",
    })
}

/// A typed collection names its type in the context, not in each member.
fn typed(
    entra: &EntraSim,
    person: &Person,
    kind: &str,
    methods: impl IntoIterator<Item = Value>,
) -> Json<Value> {
    let value: Vec<Value> = methods
        .into_iter()
        .map(|mut method| {
            if let Some(fields) = method.as_object_mut() {
                fields.remove("@odata.type");
            }
            method
        })
        .collect();
    let context = entra.context(&format!("users('{}')/authentication/{kind}", person.id));
    Json(json!({ "@odata.context": context, "value": value }))
}

pub(crate) async fn all(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ_ALL)?;
    let person = entra.person(&key)?;
    let pass = entra.state.lock().passes.get(&person.id).map(|pass| {
        let mut shown = pass.json(None, entra.core.clock.now());
        shown["@odata.type"] = json!("#microsoft.graph.temporaryAccessPassAuthenticationMethod");
        shown
    });
    let methods: Vec<Value> = phone(&person)
        .into_iter()
        .chain(authenticator(&entra, &person))
        .chain(pass)
        .chain([password()])
        .collect();
    let context = entra.context(&format!("users('{}')/authentication/methods", person.id));
    Ok(Json(json!({ "@odata.context": context, "value": methods })))
}

pub(crate) async fn phones(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&[
        READ_ALL[0],
        READ_ALL[1],
        "UserAuthMethod-Phone.Read.All",
        "UserAuthMethod-Phone.ReadWrite.All",
    ])?;
    let person = entra.person(&key)?;
    Ok(typed(&entra, &person, "phoneMethods", phone(&person)))
}

pub(crate) async fn authenticators(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&[
        READ_ALL[0],
        READ_ALL[1],
        "UserAuthMethod-MicrosoftAuthApp.Read.All",
    ])?;
    let person = entra.person(&key)?;
    Ok(typed(
        &entra,
        &person,
        "microsoftAuthenticatorMethods",
        authenticator(&entra, &person),
    ))
}

pub(crate) async fn passwords(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ_ALL)?;
    let person = entra.person(&key)?;
    Ok(typed(&entra, &person, "passwordMethods", [password()]))
}

/// `userRegistrationDetails`: needs a permission of its own.
pub(crate) async fn registration(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&["AuditLog.Read.All"])?;
    let person = entra.person(&key)?;
    let registered = person.authenticator || person.mobile.is_some();
    Ok(Json(json!({
        "@odata.context": entra.context("reports/authenticationMethods/userRegistrationDetails/$entity"),
        "id": person.id, "userPrincipalName": person.upn, "isMfaRegistered": registered,
        "isMfaCapable": registered, "isAdmin": !person.roles.is_empty(),
        "methodsRegistered": if person.authenticator { json!(["microsoftAuthenticatorPush"]) } else { json!([]) },
        "userPreferredMethodForSecondaryAuthentication": if person.authenticator { "push" } else { "none" },
    })))
}
