//! The tenant's own tables: statuses, ticket types, outcomes, agents, teams, custom fields. Ids are this tenant's.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::auth::Caller;
use super::refusal::Refusal;
use super::{API_AGENT, HUMAN_AGENT, HaloSim, INTERNAL_NOTE, UNASSIGNED};

pub(crate) const NEW: i64 = 1;
pub(crate) const CLOSED: i64 = 9;
pub(crate) const INCIDENT: i64 = 25;
pub(crate) const CLIENT: i64 = 12;
pub(crate) const CLIENT_NAME: &str = "Contoso";
pub(crate) const SITE: i64 = 18;
pub(crate) const SERVICE_DESK: &str = "Service Desk";

pub(crate) const STATUSES: [(i64, &str); 5] = [
    (NEW, "New"),
    (2, "In Progress"),
    (CLOSED, "Closed"),
    (10, "Resolved"),
    (23, "On Hold"),
];
pub(crate) const TICKET_TYPES: [(i64, &str); 2] = [(INCIDENT, "Incident"), (26, "Service Request")];
/// Id, name, and whether its notes are private unless told otherwise.
pub(crate) const OUTCOMES: [(i64, &str, bool); 5] = [
    (2, "Email User", false),
    (3, "Re-Assign", true),
    (INTERNAL_NOTE, "Internal Note", true),
    (8, "Resolve", false),
    (9, "Change Status", true),
];
pub(crate) const AGENTS: [(i64, &str); 4] = [
    (UNASSIGNED, "Unassigned"),
    (API_AGENT, "Firstline API"),
    (HUMAN_AGENT, "Holly Desk"),
    (4, "Sam Support"),
];
pub(crate) const TEAMS: [(i64, &str); 2] = [(5, SERVICE_DESK), (6, "Field Support")];
/// Custom fields, all of type text, all on every ticket type.
pub(crate) const FIELDS: [(i64, &str, &str); 4] = [
    (178, "CFautomation_status", "Automation status"),
    (179, "CFplaybook_id", "Playbook"),
    (180, "CFautomation_confidence", "Automation confidence"),
    (181, "CFasset_tag", "Asset tag"),
];

/// The name behind `id`; an unknown id has none.
pub(crate) fn name_of(table: &[(i64, &'static str)], id: i64) -> &'static str {
    table
        .iter()
        .find(|(known, _)| *known == id)
        .map_or("", |(_, name)| name)
}

fn named(table: &[(i64, &str)], extra: &Value) -> Json<Value> {
    let rows = table.iter().enumerate().map(|(sequence, (id, name))| {
        let mut row = json!({ "id": id, "name": name, "sequence": sequence, "use": 0 });
        if let (Some(row), Some(extra)) = (row.as_object_mut(), extra.as_object()) {
            row.extend(extra.clone());
        }
        row
    });
    Json(rows.collect())
}

pub(crate) async fn auth_info(State(halo): State<HaloSim>) -> Json<Value> {
    let core = &halo.desk.core;
    Json(json!({ "auth_url": format!("{}auth", core.urls.halo), "tenant_id": core.secrets.halo_tenant }))
}

pub(crate) async fn statuses(_: Caller) -> Json<Value> {
    let rows = STATUSES.iter().enumerate().map(|(sequence, (id, name))| {
        json!({ "id": id, "name": name, "shortname": name, "sequence": sequence, "type": 0, "colour": "#3498db" })
    });
    Json(rows.collect())
}

pub(crate) async fn ticket_types(_: Caller) -> Json<Value> {
    named(&TICKET_TYPES, &json!({ "workflow_id": 1 }))
}

pub(crate) async fn ticket_type(_: Caller, Path(id): Path<i64>) -> Result<Json<Value>, Refusal> {
    let (id, name) = TICKET_TYPES
        .into_iter()
        .find(|(known, _)| *known == id)
        .ok_or(Refusal::Missing)?;
    Ok(Json(json!({ "id": id, "name": name, "workflow_id": 1 })))
}

pub(crate) async fn outcomes(_: Caller) -> Json<Value> {
    let rows = OUTCOMES.iter().map(|(id, name, private)| {
        json!({ "id": id, "outcome": name, "buttonname": name, "hidden": private, "sequence": id })
    });
    Json(rows.collect())
}

/// One row per priority and SLA: the id is a GUID, and the number that tickets carry is `priorityid`, a string.
pub(crate) async fn priorities(State(halo): State<HaloSim>, _: Caller) -> Json<Value> {
    let names = ["Critical", "High", "Medium", "Low"];
    let rows = names.iter().enumerate().map(|(index, name)| {
        let guid = halo.desk.core.seed.uuid(&format!("halo/priority/{index}"));
        json!({ "id": guid, "priorityid": (index + 1).to_string(), "slaid": 1, "name": name })
    });
    Json(rows.collect())
}

pub(crate) async fn teams(_: Caller) -> Json<Value> {
    named(&TEAMS, &json!({ "inactive": false, "fortickets": true }))
}

pub(crate) async fn agents(_: Caller) -> Json<Value> {
    let rows = AGENTS.iter().map(|(id, name)| {
        json!({ "id": id, "name": name, "isdisabled": false, "is_api_only": *id == API_AGENT, "team": SERVICE_DESK })
    });
    Json(rows.collect())
}

pub(crate) async fn field_info(_: Caller) -> Json<Value> {
    let rows = FIELDS.iter().map(|(id, name, label)| {
        json!({ "id": id, "name": name, "label": label, "type": 0, "usage": 1, "table_id": 0, "inactive": false })
    });
    Json(rows.collect())
}

pub(crate) async fn clients(caller: Caller) -> Result<Json<Value>, Refusal> {
    caller.may("read", "customers")?;
    Ok(Json(
        json!({ "record_count": 1, "clients": [{ "id": CLIENT, "name": CLIENT_NAME, "inactive": false }] }),
    ))
}

pub(crate) async fn no_attachments(caller: Caller) -> Result<Json<Value>, Refusal> {
    caller.may("read", "tickets")?;
    Ok(Json(json!({ "record_count": 0, "attachments": [] })))
}
