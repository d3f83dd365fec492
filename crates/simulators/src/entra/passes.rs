//! Temporary Access Passes: shown once, at most one per person, a new one kills the old one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::EntraSim;
use super::graph::{Caller, GraphError, object};
use super::methods::READ_ALL;
use crate::journal::Event;
use crate::text::rfc3339;

/// Includes what is special in XML, in URLs and in GSM-7, as the vendor's do.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789&?+<>!%*#@";

const READ: [&str; 2] = ["UserAuthMethod-TAP.Read.All", "UserAuthMethod-TAP.ReadWrite.All"];
const WRITE: [&str; 2] = [
    "UserAuthMethod-TAP.ReadWrite.All",
    "UserAuthenticationMethod.ReadWrite.All",
];

/// The tenant's policy; the default is that of a tenant which just enabled passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapPolicy {
    /// Passes are allowed at all.
    pub enabled: bool,
    /// Shortest lifetime in minutes.
    pub minimum_minutes: i64,
    /// Longest lifetime in minutes.
    pub maximum_minutes: i64,
    /// Lifetime where none is asked for, in minutes.
    pub default_minutes: i64,
    /// Length of the value.
    pub length: usize,
    /// Every pass must be one-time.
    pub once_only: bool,
    /// So long nobody can use a new pass.
    pub delay_minutes: i64,
}

impl Default for TapPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            minimum_minutes: 60,
            maximum_minutes: 480,
            default_minutes: 60,
            length: 8,
            once_only: false,
            delay_minutes: 0,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Pass {
    pub(crate) id: Uuid,
    pub(crate) value: String,
    pub(crate) minutes: i64,
    pub(crate) once: bool,
    pub(crate) used: bool,
    pub(crate) created: OffsetDateTime,
    pub(crate) start: OffsetDateTime,
}

impl Pass {
    fn usability(&self, now: OffsetDateTime) -> &'static str {
        if now < self.start {
            "NotYetValid"
        } else if now >= self.start + Duration::minutes(self.minutes) {
            "Expired"
        } else if self.once && self.used {
            "OneTimeUsed"
        } else {
            "EnabledByPolicy"
        }
    }

    pub(crate) fn live(&self, now: OffsetDateTime) -> bool {
        matches!(self.usability(now), "EnabledByPolicy" | "NotYetValid")
    }

    /// `value` is given to the creator only.
    pub(crate) fn json(&self, value: Option<&str>, now: OffsetDateTime) -> Value {
        let usability = self.usability(now);
        json!({
            "id": self.id, "temporaryAccessPass": value,
            "createdDateTime": rfc3339(self.created), "startDateTime": rfc3339(self.start),
            "lifetimeInMinutes": self.minutes, "isUsableOnce": self.once,
            "isUsable": usability == "EnabledByPolicy", "methodUsabilityReason": usability,
        })
    }
}

/// A live pass, value and all: what its holder could type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassView {
    /// The method's id.
    pub id: Uuid,
    /// The secret itself.
    pub value: String,
    /// Lifetime.
    pub minutes: i64,
    /// Works once.
    pub once: bool,
    /// Creation time.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
}

impl From<&Pass> for PassView {
    fn from(pass: &Pass) -> Self {
        Self {
            id: pass.id,
            value: pass.value.clone(),
            minutes: pass.minutes,
            once: pass.once,
            created: pass.created,
        }
    }
}

fn bad(message: &str) -> GraphError {
    GraphError::new(StatusCode::BAD_REQUEST, "badRequest", message)
}

struct Asked {
    minutes: i64,
    once: bool,
    start: OffsetDateTime,
}

fn asked(
    policy: &TapPolicy,
    headers: &HeaderMap,
    body: &[u8],
    now: OffsetDateTime,
) -> Result<Asked, GraphError> {
    let given = object(headers, body)?;
    let known = [
        "lifetimeInMinutes",
        "isUsableOnce",
        "startDateTime",
        "@odata.type",
    ];
    if let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(bad(&format!(
            "The property '{name}' does not exist on this type."
        )));
    }
    if !policy.enabled {
        return Err(bad(
            "Converged UserCredentialPolicy does not allow creating or updating this authentication method. \
             AuthMethodType [TemporaryAccessPass].",
        ));
    }
    let minutes = match given.get("lifetimeInMinutes") {
        None | Some(Value::Null) => policy.default_minutes,
        Some(minutes) => minutes
            .as_i64()
            .ok_or_else(|| bad("Cannot convert lifetimeInMinutes to Edm.Int32."))?,
    };
    let once = match given.get("isUsableOnce") {
        None | Some(Value::Null) => policy.once_only,
        Some(once) => once
            .as_bool()
            .ok_or_else(|| bad("Cannot convert isUsableOnce to Edm.Boolean."))?,
    };
    if !(10..=43200).contains(&minutes)
        || !(policy.minimum_minutes..=policy.maximum_minutes).contains(&minutes)
    {
        return Err(bad(
            "The lifetime of the Temporary Access Pass is outside the allowed range.",
        ));
    }
    if policy.once_only && !once {
        return Err(bad("The policy allows one-time passes only."));
    }
    let start = match given.get("startDateTime").and_then(Value::as_str) {
        None => now + Duration::minutes(policy.delay_minutes),
        Some(start) => OffsetDateTime::parse(start, &Rfc3339).map_err(|_| bad("Invalid startDateTime."))?,
    };
    Ok(Asked { minutes, once, start })
}

impl EntraSim {
    fn pass_value(&self, length: usize) -> String {
        let mut value = String::with_capacity(length);
        while value.len() < length {
            let bytes = self.core.fresh("entra/pass");
            let picked = bytes
                .as_bytes()
                .iter()
                .map(|byte| ALPHABET[usize::from(*byte) % ALPHABET.len()]);
            value.extend(picked.take(length - value.len()).map(char::from));
        }
        value
    }
}

pub(crate) async fn create(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, GraphError> {
    caller.needs(&WRITE)?;
    let person = entra.person(&key)?;
    let policy = entra.state.lock().policy.clone();
    let now = entra.core.clock.now();
    let Asked { minutes, once, start } = asked(&policy, &headers, &body, now)?;
    if person.user_type == "Guest" {
        return Err(bad(
            "Temporary Access Pass cannot be added to an external guest user.",
        ));
    }
    let pass = Pass {
        id: entra.core.fresh("entra/pass-id"),
        value: entra.pass_value(policy.length),
        minutes,
        once,
        used: false,
        created: now,
        start,
    };
    let mut shown = pass.json(Some(&pass.value), now);
    let context = format!(
        "users('{}')/authentication/temporaryAccessPassMethods/$entity",
        person.id
    );
    shown["@odata.context"] = json!(entra.context(&context));
    let id = pass.id.to_string();
    let replaced = {
        let mut state = entra.state.lock();
        *state.passes_created.entry(person.id).or_default() += 1;
        let old = state.passes.insert(person.id, pass);
        old.is_some_and(|old| old.live(now))
    };
    entra.core.journal.record(Event::PassCreated {
        email: person.email,
        pass: id,
        replaced,
    });
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

pub(crate) async fn list(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&[READ[0], READ[1], READ_ALL[0], READ_ALL[1]])?;
    let person = entra.person(&key)?;
    let passes: Vec<Value> = entra
        .state
        .lock()
        .passes
        .get(&person.id)
        .map(|pass| pass.json(None, entra.core.clock.now()))
        .into_iter()
        .collect();
    let context = format!("users('{}')/authentication/temporaryAccessPassMethods", person.id);
    Ok(Json(
        json!({ "@odata.context": entra.context(&context), "value": passes }),
    ))
}

pub(crate) async fn read(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path((key, id)): Path<(String, String)>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&[READ[0], READ[1], READ_ALL[0], READ_ALL[1]])?;
    let person = entra.person(&key)?;
    let state = entra.state.lock();
    let pass = state
        .passes
        .get(&person.id)
        .filter(|pass| pass.id.to_string() == id);
    pass.map(|pass| Json(pass.json(None, entra.core.clock.now())))
        .ok_or_else(|| GraphError::no_object(&id))
}

pub(crate) async fn delete(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path((key, id)): Path<(String, String)>,
) -> Result<StatusCode, GraphError> {
    caller.needs(&WRITE)?;
    let person = entra.person(&key)?;
    {
        let mut state = entra.state.lock();
        if state
            .passes
            .get(&person.id)
            .is_none_or(|pass| pass.id.to_string() != id)
        {
            return Err(GraphError::no_object(&id));
        }
        state.passes.remove(&person.id);
    }
    entra.core.journal.record(Event::PassDeleted {
        email: person.email,
        pass: id,
    });
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn policy(State(entra): State<EntraSim>, caller: Caller) -> Result<Json<Value>, GraphError> {
    caller.needs(&["Policy.Read.AuthenticationMethod", "Policy.Read.All"])?;
    let policy = entra.state.lock().policy.clone();
    Ok(Json(json!({
        "@odata.type": "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",
        "id": "TemporaryAccessPass", "state": if policy.enabled { "enabled" } else { "disabled" },
        "defaultLifetimeInMinutes": policy.default_minutes, "defaultLength": policy.length,
        "minimumLifetimeInMinutes": policy.minimum_minutes, "maximumLifetimeInMinutes": policy.maximum_minutes,
        "isUsableOnce": policy.once_only,
        "includeTargets": [{ "targetType": "group", "id": "all_users", "isRegistrationRequired": false }],
        "excludeTargets": [],
    })))
}
