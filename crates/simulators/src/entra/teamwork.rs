//! Teams' side of Graph: is the bot installed for a person, and installing it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::EntraSim;
use super::filter::parse;
use super::graph::{Caller, GraphError, Options, object};
use crate::company::Person;
use crate::journal::Event;

const INSTALL: [&str; 1] = ["TeamsAppInstallation.ReadWriteSelfForUser.All"];

fn installation(entra: &EntraSim, person: &Person) -> String {
    entra
        .core
        .seed
        .uuid(&format!("installation/{}", person.email))
        .to_string()
}

/// The bot in the organisation's catalogue.
pub(crate) async fn catalogue(
    State(entra): State<EntraSim>,
    caller: Caller,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&["AppCatalog.Read.All", "AppCatalog.ReadWrite.All", INSTALL[0]])?;
    let (id, external) = (
        &entra.core.secrets.teams_catalog_app_id,
        &entra.core.secrets.teams_app_id,
    );
    let alternatives = options.get("$filter").map(parse).transpose()?;
    let wanted = alternatives.is_none_or(|alternatives| {
        alternatives.iter().any(|terms| {
            terms.iter().all(|term| match term.property.as_str() {
                "externalId" => term.value.eq_ignore_ascii_case(external),
                "id" => term.value.eq_ignore_ascii_case(id),
                _ => false,
            })
        })
    });
    let app = json!({ "id": id, "externalId": external, "displayName": "Firstline", "distributionMethod": "organization" });
    let value: Vec<Value> = wanted.then_some(app).into_iter().collect();
    Ok(Json(
        json!({ "@odata.context": entra.context("appCatalogs/teamsApps"), "value": value }),
    ))
}

pub(crate) async fn installed(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&INSTALL)?;
    let person = entra.person(&key)?;
    let app = &entra.core.secrets.teams_catalog_app_id;
    let alternatives = options.get("$filter").map(parse).transpose()?;
    let wanted = alternatives.is_none_or(|alternatives| {
        alternatives.iter().any(|terms| {
            let same = |value: &str| value.eq_ignore_ascii_case(app);
            terms
                .iter()
                .all(|term| term.property == "teamsApp/id" && same(&term.value))
        })
    });
    let mut value = Vec::new();
    if wanted && entra.core.installed.lock().contains(&person.email) {
        let mut found = json!({ "id": installation(&entra, &person) });
        if options
            .get("$expand")
            .is_some_and(|expand| expand.starts_with("teamsApp"))
        {
            found["teamsApp"] =
                json!({ "id": app, "displayName": "Firstline", "distributionMethod": "organization" });
        }
        value.push(found);
    }
    Ok(Json(
        json!({ "@odata.context": entra.context("userScopeTeamsAppInstallation"), "value": value }),
    ))
}

pub(crate) async fn install(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, GraphError> {
    caller.needs(&INSTALL)?;
    let person = entra.person(&key)?;
    let given = object(&headers, &body)?;
    let bound = given
        .get("teamsApp@odata.bind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let app = &entra.core.secrets.teams_catalog_app_id;
    if !bound.ends_with(&format!("/appCatalogs/teamsApps/{app}")) {
        return Err(GraphError::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "The app is not in the catalogue.",
        ));
    }
    if !entra.core.installed.lock().insert(person.email.clone()) {
        return Err(GraphError::new(
            StatusCode::CONFLICT,
            "Conflict",
            "The app is already installed.",
        ));
    }
    entra
        .core
        .journal
        .record(Event::BotInstalled { email: person.email });
    Ok(StatusCode::CREATED)
}

/// The personal chat between the person and the bot.
pub(crate) async fn chat(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path((key, id)): Path<(String, String)>,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&INSTALL)?;
    let person = entra.person(&key)?;
    if id != installation(&entra, &person) || !entra.core.installed.lock().contains(&person.email) {
        return Err(GraphError::no_object(&id));
    }
    let chat = crate::teams::conversation_of(&entra.core, &person);
    Ok(Json(
        json!({ "@odata.context": entra.context("chats/$entity"), "id": chat, "chatType": "oneOnOne" }),
    ))
}
