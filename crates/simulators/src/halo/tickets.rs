//! `GET /Tickets/{id}` and `POST /Tickets`: reading, creating and updating, one record or several.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::fields::{int, records, text};
use super::refusal::Refusal;
use super::script::Actor;
use super::state::{Names, field_text, opened};
use super::tenant::{AGENTS, CLIENT, FIELDS, SITE, STATUSES, TEAMS, TICKET_TYPES, name_of};
use super::webhooks::Happening;
use super::{API_AGENT, HaloSim};
use crate::journal::Event;

/// What a write changes, checked before anything is touched.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) status: Option<i64>,
    pub(crate) agent: Option<i64>,
    pub(crate) team: Option<String>,
    pub(crate) priority: Option<i64>,
    pub(crate) ticket_type: Option<i64>,
    pub(crate) summary: Option<String>,
    pub(crate) details: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) fields: Vec<(i64, Value)>,
}

pub(crate) fn team_id(name: &str) -> i64 {
    TEAMS
        .iter()
        .find(|(_, known)| *known == name)
        .map_or(0, |(id, _)| *id)
}

fn known(table: &[(i64, &'static str)], id: Option<i64>, what: &str) -> Result<Option<i64>, Refusal> {
    match id {
        Some(id) if name_of(table, id).is_empty() => Err(Refusal::invalid(format!("Invalid {what}"))),
        id => Ok(id),
    }
}

impl Change {
    /// `prefix` is `new_` on actions; on tickets the names differ a little.
    pub(crate) fn of_action(record: &Map<String, Value>) -> Result<Self, Refusal> {
        let agent = known(&AGENTS, int(record, "new_agent")?.filter(|id| *id > 0), "agent")?;
        let team = text(record, "new_team")
            .filter(|team| !team.is_empty())
            .map(str::to_owned);
        let change = Self {
            // -1 says "no change".
            status: known(
                &STATUSES,
                int(record, "new_status")?.filter(|id| *id > 0),
                "status",
            )?,
            agent,
            team,
            ..Self::default()
        };
        change.checked()
    }

    fn of_ticket(record: &Map<String, Value>) -> Result<Self, Refusal> {
        let owned = |name: &str| text(record, name).map(str::to_owned);
        let change = Self {
            status: known(&STATUSES, int(record, "status_id")?, "status")?,
            agent: known(&AGENTS, int(record, "agent_id")?, "agent")?,
            team: owned("team"),
            priority: int(record, "priority_id")?,
            ticket_type: known(&TICKET_TYPES, int(record, "tickettype_id")?, "ticket type")?,
            summary: owned("summary"),
            details: owned("details")
                .or_else(|| owned("details_html").map(|html| super::fields::plain(&html))),
            category: owned("category_1"),
            fields: custom_fields(record)?,
        };
        change.checked()
    }

    fn checked(self) -> Result<Self, Refusal> {
        if self.agent == Some(API_AGENT) {
            return Err(Refusal::invalid(
                "Tickets cannot be assigned to an API-only agent",
            ));
        }
        if self.team.as_ref().is_some_and(|team| team_id(team) == 0) {
            return Err(Refusal::invalid("Invalid team"));
        }
        Ok(self)
    }
}

/// Fields are addressed by id; unknown ones, and those addressed by name, are ignored silently.
fn custom_fields(record: &Map<String, Value>) -> Result<Vec<(i64, Value)>, Refusal> {
    let mut fields = Vec::new();
    let Some(given) = record.get("customfields") else {
        return Ok(fields);
    };
    let Some(items) = given.as_array() else {
        return Err(Refusal::Unbindable {
            path: "[0].customfields".into(),
            value: given.to_string(),
        });
    };
    for item in items.iter().filter_map(Value::as_object) {
        if let Some(id) = int(item, "id")?.filter(|id| FIELDS.iter().any(|(known, ..)| known == id)) {
            fields.push((id, item.get("value").cloned().unwrap_or(Value::Null)));
        }
    }
    Ok(fields)
}

impl HaloSim {
    /// Carry `change` out on ticket `id` and tell the journal and the webhooks. False when there is no such ticket.
    pub(crate) fn apply(&self, id: i64, change: Change, by: &Actor) -> bool {
        let now = self.desk.core.clock.now();
        let mut told = Vec::new();
        let mut moved = false;
        {
            let mut state = self.desk.state.lock();
            let Some(ticket) = state.tickets.get_mut(&id) else {
                return false;
            };
            ticket.updated = now;
            if let Some(status) = change.status.filter(|status| *status != ticket.status_id) {
                told.push(Event::StatusChanged {
                    ticket: id,
                    from: name_of(&STATUSES, ticket.status_id).into(),
                    to: name_of(&STATUSES, status).into(),
                    by: by.name.clone(),
                });
                ticket.set_status(status, now);
                moved = true;
            }
            let reassigned = change.agent.is_some_and(|agent| agent != ticket.agent_id)
                || change.team.as_ref().is_some_and(|team| *team != ticket.team);
            ticket.agent_id = change.agent.unwrap_or(ticket.agent_id);
            ticket.team = change.team.unwrap_or_else(|| ticket.team.clone());
            if reassigned {
                told.push(Event::Assigned {
                    ticket: id,
                    agent: name_of(&AGENTS, ticket.agent_id).into(),
                    team: ticket.team.clone(),
                    by: by.name.clone(),
                });
            }
            ticket.priority_id = change.priority.unwrap_or(ticket.priority_id);
            ticket.tickettype_id = change.ticket_type.unwrap_or(ticket.tickettype_id);
            ticket.summary = change.summary.unwrap_or_else(|| ticket.summary.clone());
            ticket.details = change.details.unwrap_or_else(|| ticket.details.clone());
            ticket.category = change.category.unwrap_or_else(|| ticket.category.clone());
            for (field, value) in change.fields {
                let name = FIELDS
                    .iter()
                    .find(|(known, ..)| *known == field)
                    .map_or("", |(_, name, _)| name);
                if ticket.fields.get(&field) != Some(&value) {
                    let shown = field_text(&value);
                    told.push(Event::CustomFieldChanged {
                        ticket: id,
                        field: name.into(),
                        value: shown,
                    });
                }
                ticket.fields.insert(field, value);
            }
        }
        for event in told {
            self.desk.core.journal.record(event);
        }
        let happening = if moved {
            Happening::StatusChanged
        } else {
            Happening::Updated
        };
        self.fire(happening, id, by.agent_id, None);
        true
    }

    /// A write's answer: the record, or a list of one, or of all, as the version and the caller please.
    pub(crate) fn written(&self, mut records: Vec<Value>, return_all: bool) -> Json<Value> {
        if return_all {
            return Json(Value::Array(records));
        }
        let last = records.pop().unwrap_or_default();
        if self.desk.options.lock().posts_answer_as_array {
            Json(json!([last]))
        } else {
            Json(last)
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reading {
    #[serde(default)]
    includedetails: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Writing {
    #[serde(default)]
    pub(crate) returnall: bool,
}

pub(crate) async fn read(
    State(halo): State<HaloSim>,
    caller: Caller,
    Path(id): Path<i64>,
    Query(reading): Query<Reading>,
) -> Result<Json<Value>, Refusal> {
    caller.may("read", "tickets")?;
    let state = halo.desk.state.lock();
    match state.tickets.get(&id) {
        Some(ticket) if reading.includedetails => Ok(Json(ticket.details(Names::Read))),
        Some(ticket) => Ok(Json(Value::Object(ticket.row(Names::Read)))),
        None if halo.desk.options.lock().unknown_ticket_is_empty_object => Ok(Json(json!({}))),
        None => Err(Refusal::Missing),
    }
}

pub(crate) async fn write(
    State(halo): State<HaloSim>,
    caller: Caller,
    Query(writing): Query<Writing>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    caller.may("edit", "tickets")?;
    let mut answers = Vec::new();
    for record in records(&headers, &body)? {
        let id = match int(&record, "id")? {
            Some(id) => update(&halo, id, &record)?,
            None => create(&halo, &record)?,
        };
        let mut shown = halo
            .desk
            .state
            .lock()
            .tickets
            .get(&id)
            .map(|t| t.details(Names::Written))
            .unwrap_or_default();
        if let Some(warning) = &halo.desk.options.lock().warning {
            shown["_warning"] = json!(warning);
        }
        answers.push(shown);
    }
    Ok(halo.written(answers, writing.returnall))
}

fn update(halo: &HaloSim, id: i64, record: &Map<String, Value>) -> Result<i64, Refusal> {
    // Halo looks the record up by type and client too, and does not find it without them.
    let client = int(record, "client_id")?;
    let ticket_type = int(record, "tickettype_id")?;
    let exists = halo.desk.state.lock().tickets.contains_key(&id);
    if client != Some(CLIENT) || ticket_type.is_none() || !exists {
        return Err(Refusal::record_not_found());
    }
    let change = Change::of_ticket(record)?;
    if change.status.is_some() && halo.desk.options.lock().workflow_refuses_bare_status {
        return Err(Refusal::invalid("The workflow does not allow this status change"));
    }
    halo.apply(id, change, &Actor::api());
    Ok(id)
}

fn create(halo: &HaloSim, record: &Map<String, Value>) -> Result<i64, Refusal> {
    let change = Change::of_ticket(record)?;
    let user = match int(record, "user_id")? {
        Some(_) if int(record, "site_id")? != Some(SITE) => return Err(Refusal::invalid("Invalid site")),
        Some(user) => halo.desk.core.directory.find(|person| person.halo_id == user),
        None => text(record, "users_name").and_then(|email| halo.desk.core.directory.by_email(email)),
    };
    let summary = change.summary.clone().filter(|summary| !summary.is_empty());
    let Some(summary) = summary else {
        return Err(Refusal::invalid("A Summary must be entered"));
    };
    let id = {
        let mut state = halo.desk.state.lock();
        let id = state.next_id();
        let guid = halo.desk.core.fresh("halo/ticket");
        let details = change.details.clone().unwrap_or_default();
        let mut ticket = opened(id, guid, &summary, &details, halo.desk.core.clock.now());
        ticket.reported_by = user.as_ref().map(|user| user.email.clone()).unwrap_or_default();
        ticket.user = user;
        state.tickets.insert(id, ticket);
        id
    };
    halo.apply(id, change, &Actor::api());
    Ok(id)
}
