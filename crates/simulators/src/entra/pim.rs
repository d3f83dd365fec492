//! Privileged Identity Management: the directory roles that people may make active whenever they like.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::EntraSim;
use super::filter::{self, Term};
use super::graph::{Caller, GraphError, Options};
use crate::company::Person;

const READ: [&str; 3] = [
    "RoleEligibilitySchedule.Read.Directory",
    "RoleManagement.Read.Directory",
    "RoleManagement.Read.All",
];

pub(crate) async fn eligible(
    State(entra): State<EntraSim>,
    caller: Caller,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ)?;
    if entra.state.lock().pim_unlicensed {
        return Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "AadPremiumLicenseRequired",
            "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.",
        ));
    }
    let alternatives = filter::parse(options.get("$filter").unwrap_or_default())?;
    let [terms] = alternatives.as_slice() else {
        return Err(GraphError::bad_request("One principal at a time."));
    };
    let [Term { property, value }] = terms.as_slice() else {
        return Err(GraphError::bad_request("One principal at a time."));
    };
    if property != "principalId" {
        return Err(GraphError::bad_request("Only principalId is filtered by."));
    }
    let expanded = options
        .get("$expand")
        .is_some_and(|expand| expand.starts_with("roleDefinition"));
    // Nobody of that id is nobody with a role.
    let person = entra.person(value).ok();
    let value: Vec<Value> = person
        .iter()
        .flat_map(|person| person.eligible_roles.iter().map(move |role| (person, role)))
        .map(|(person, role)| instance(&entra, person, role, expanded))
        .collect();
    Ok(Json(json!({
        "@odata.context": entra.context("roleManagement/directory/roleEligibilityScheduleInstances"),
        "value": value,
    })))
}

fn instance(entra: &EntraSim, person: &Person, (name, template): &(String, String), expanded: bool) -> Value {
    let id = entra
        .core
        .seed
        .uuid(&format!("eligible/{}/{template}", person.id));
    let mut instance = json!({
        "id": id, "principalId": person.id, "roleDefinitionId": template, "directoryScopeId": "/",
        "appScopeId": null, "startDateTime": "2026-01-05T08:00:00Z", "endDateTime": null, "memberType": "Direct",
        "roleEligibilityScheduleId": id,
    });
    if expanded {
        instance["roleDefinition"] = json!({ "id": template, "displayName": name });
    }
    instance
}
