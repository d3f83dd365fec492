//! `/servicePrincipals`: finding the MFA principal, adding a short-lived secret to it, removing it again.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::EntraSim;
use super::filter::parse;
use super::graph::{Caller, GraphError, Options, object};
use crate::journal::Event;
use crate::text::rfc3339;

/// "Azure Multi-Factor Auth Client", the same application in every tenant.
pub(crate) const MFA_APP: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";

const READ: [&str; 3] = [
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Directory.Read.All",
];
const WRITE: [&str; 1] = ["Application.ReadWrite.All"];

#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) key: Uuid,
    pub(crate) secret: String,
    pub(crate) start: OffsetDateTime,
    pub(crate) end: OffsetDateTime,
    /// Token requests that still fail until the secret has spread.
    pub(crate) unspread: u32,
    name: Option<String>,
}

impl Credential {
    /// As Graph lists it: the secret is shown only once.
    fn json(&self) -> Value {
        json!({
            "keyId": self.key, "secretText": null, "hint": &self.secret[..3], "displayName": self.name,
            "startDateTime": rfc3339(self.start), "endDateTime": rfc3339(self.end), "customKeyIdentifier": null,
        })
    }
}

impl EntraSim {
    fn principal(&self, id: Uuid) -> Value {
        let credentials: Vec<Value> = self
            .state
            .lock()
            .credentials
            .iter()
            .map(Credential::json)
            .collect();
        json!({
            "id": id, "appId": MFA_APP, "displayName": "Azure Multi-Factor Auth Client",
            "accountEnabled": true, "servicePrincipalType": "Application", "passwordCredentials": credentials,
        })
    }

    /// The MFA principal, which is the only one a caller has a reason to touch.
    fn known_principal(&self, id: &str) -> Result<Uuid, GraphError> {
        let principal = self.state.lock().mfa_principal;
        principal
            .filter(|known| known.to_string() == id)
            .ok_or_else(|| GraphError::no_object(id))
    }
}

const DEFAULT_PROPERTIES: [&str; 6] = [
    "id",
    "appId",
    "displayName",
    "accountEnabled",
    "servicePrincipalType",
    "passwordCredentials",
];

pub(crate) async fn list(
    State(entra): State<EntraSim>,
    caller: Caller,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ)?;
    let principal = entra.state.lock().mfa_principal;
    let alternatives = options.get("$filter").map(parse).transpose()?;
    let mut value = Vec::new();
    if let Some(id) = principal {
        let wanted = alternatives.is_none_or(|alternatives| {
            alternatives.iter().any(|terms| {
                terms
                    .iter()
                    .all(|term| term.property == "appId" && term.value.eq_ignore_ascii_case(MFA_APP))
            })
        });
        if wanted {
            value.push(options.select(&entra.principal(id), &DEFAULT_PROPERTIES)?);
        }
    }
    Ok(Json(
        json!({ "@odata.context": entra.context("servicePrincipals"), "value": value }),
    ))
}

pub(crate) async fn read(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(id): Path<String>,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ)?;
    let id = entra.known_principal(&id)?;
    Ok(Json(options.select(&entra.principal(id), &DEFAULT_PROPERTIES)?))
}

pub(crate) async fn create(
    State(entra): State<EntraSim>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, GraphError> {
    caller.needs(&WRITE)?;
    let app = object(&headers, &body)?
        .get("appId")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if app != MFA_APP {
        return Err(GraphError::bad_request(format!(
            "The appId '{app}' does not reference a valid application."
        )));
    }
    let id = entra.core.seed.uuid("entra/mfa-principal");
    if entra.state.lock().mfa_principal.replace(id).is_some() {
        let message = "The service principal cannot be created because the appId is already in use.";
        return Err(GraphError::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            message,
        ));
    }
    Ok((StatusCode::CREATED, Json(entra.principal(id))).into_response())
}

pub(crate) async fn add_password(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&WRITE)?;
    entra.known_principal(&id)?;
    let given = object(&headers, &body)?;
    let credential = given
        .get("passwordCredential")
        .cloned()
        .unwrap_or_else(|| json!({}));
    let date = |name: &str, default: OffsetDateTime| match credential[name].as_str() {
        None => Ok(default),
        Some(date) => OffsetDateTime::parse(date, &Rfc3339)
            .map_err(|_| GraphError::bad_request(format!("Cannot convert '{name}' to Edm.DateTimeOffset."))),
    };
    let now = OffsetDateTime::now_utc();
    let (start, end) = (
        date("startDateTime", now)?,
        date("endDateTime", now + Duration::days(730))?,
    );
    if end <= now || end <= start {
        return Err(GraphError::bad_request(
            "The endDateTime of the credential is invalid.",
        ));
    }
    let name = credential["displayName"].as_str().map(str::to_owned);
    let secret = format!(
        "{}~{}",
        &entra.core.fresh_hex("entra/secret")[..6],
        entra.core.fresh_hex("entra/secret")
    );
    let credential = {
        let mut state = entra.state.lock();
        if state.additions_forbidden {
            let message = "Credential type not allowed as per assigned policy 'passwordAddition'.";
            return Err(GraphError::bad_request(message));
        }
        let unspread = state.propagation;
        let credential = Credential {
            key: entra.core.fresh("entra/key"),
            secret,
            start,
            end,
            unspread,
            name,
        };
        state.credentials.push(credential.clone());
        credential
    };
    entra.core.journal.record(Event::SecretAdded {
        key: credential.key.to_string(),
    });
    let mut shown = credential.json();
    shown["secretText"] = json!(credential.secret);
    shown["@odata.context"] = json!(entra.context("microsoft.graph.passwordCredential"));
    Ok(Json(shown))
}

pub(crate) async fn remove_password(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, GraphError> {
    caller.needs(&WRITE)?;
    entra.known_principal(&id)?;
    let key = object(&headers, &body)?
        .get("keyId")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    {
        let mut state = entra.state.lock();
        let before = state.credentials.len();
        state
            .credentials
            .retain(|credential| credential.key.to_string() != key);
        if state.credentials.len() == before {
            return Err(GraphError::bad_request("No credentials found to be removed."));
        }
    }
    entra.core.journal.record(Event::SecretRemoved { key });
    Ok(StatusCode::NO_CONTENT)
}
