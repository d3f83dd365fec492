//! `POST /Actions` and `GET /Actions`: notes, and status changes with a note.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::HaloSim;
use super::auth::Caller;
use super::fields::{flag, int, plain, records, text};
use super::refusal::Refusal;
use super::script::Actor;
use super::state::{Action, Names, escape};
use super::tenant::OUTCOMES;
use super::tickets::{Change, Writing};
use super::webhooks::Happening;
use crate::journal::Event;

/// A note to be written.
pub(crate) struct Note {
    pub(crate) outcome: (i64, &'static str),
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) private: bool,
    pub(crate) new_status: Option<i64>,
    pub(crate) application: Option<String>,
}

impl Note {
    pub(crate) fn plain(outcome: (i64, &'static str), words: &str, private: bool) -> Self {
        let html = format!("<p>{}</p>", escape(words));
        Self {
            outcome,
            text: words.to_owned(),
            html,
            private,
            new_status: None,
            application: None,
        }
    }
}

impl HaloSim {
    /// Add an action to a ticket. `None` when there is no such ticket.
    pub(crate) fn annotate(&self, ticket: i64, note: Note, by: &Actor) -> Option<Value> {
        let action = {
            let mut state = self.desk.state.lock();
            let record = state.tickets.get_mut(&ticket)?;
            let now = self.desk.core.clock.now();
            let action = Action {
                // Unique within its ticket only.
                id: i64::try_from(record.actions.len()).unwrap_or_default() + 1,
                guid: self.desk.core.fresh("halo/action"),
                outcome_id: note.outcome.0,
                outcome: note.outcome.1.to_owned(),
                who: by.name.clone(),
                agent_id: by.agent_id,
                application: note.application,
                text: note.text,
                html: note.html,
                private: note.private,
                at: now,
                new_status: note.new_status,
            };
            record.updated = now;
            record.actions.push(action.clone());
            action
        };
        self.desk.core.journal.record(Event::NoteAdded {
            ticket,
            by: action.who.clone(),
            outcome: action.outcome.clone(),
            text: action.text.clone(),
            private: action.private,
        });
        let happening = if by.agent_id == 0 {
            Happening::UpdatedByUser
        } else {
            Happening::Updated
        };
        let shown = action.json(ticket);
        self.fire(happening, ticket, by.agent_id, Some(shown.clone()));
        Some(shown)
    }
}

fn outcome(record: &Map<String, Value>) -> Result<(i64, &'static str, bool), Refusal> {
    let by_id = int(record, "outcome_id")?;
    let by_name = text(record, "outcome");
    OUTCOMES
        .into_iter()
        .find(|(id, name, _)| by_id == Some(*id) || (by_id.is_none() && by_name == Some(*name)))
        .ok_or_else(|| Refusal::invalid("An Outcome must be entered for this Action"))
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
        let ticket = int(&record, "ticket_id")?.ok_or_else(Refusal::record_not_found)?;
        let (id, name, private) = outcome(&record)?;
        let change = Change::of_action(&record)?;
        let html = text(&record, "note_html").map(str::to_owned);
        let words = html
            .as_deref()
            .map_or_else(|| text(&record, "note").unwrap_or_default().to_owned(), plain);
        let note = Note {
            outcome: (id, name),
            html: html.unwrap_or_else(|| format!("<p>{}</p>", escape(&words))),
            text: words,
            private: flag(&record, "hiddenfromuser").unwrap_or(private),
            new_status: change.status,
            application: Some(caller.application().to_owned()),
        };
        let by = Actor::api();
        let mut answer = halo
            .annotate(ticket, note, &by)
            .ok_or_else(Refusal::record_not_found)?;
        if change.status.is_some() || change.agent.is_some() || change.team.is_some() {
            halo.apply(ticket, change, &by);
        }
        if flag(&record, "_includeticketinresponse") == Some(true)
            && halo.desk.options.lock().actions_show_tickets
            && let Some(shown) = halo.desk.state.lock().tickets.get(&ticket)
        {
            answer["ticket"] = shown.details(Names::Written);
        }
        answers.push(answer);
    }
    Ok(halo.written(answers, writing.returnall))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Filter {
    ticket_id: Option<i64>,
    #[serde(default)]
    excludeprivate: bool,
    #[serde(default)]
    agentonly: bool,
    #[serde(default)]
    includehtmlnote: bool,
    count: Option<usize>,
}

pub(crate) async fn list(
    State(halo): State<HaloSim>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Refusal> {
    caller.may("read", "tickets")?;
    let id = filter
        .ticket_id
        .ok_or_else(|| Refusal::invalid("ticket_id is required"))?;
    let state = halo.desk.state.lock();
    let ticket = state.tickets.get(&id).ok_or(Refusal::Missing)?;
    let found: Vec<&Action> = ticket
        .actions
        .iter()
        .rev()
        .filter(|action| !filter.excludeprivate || !action.private)
        .filter(|action| !filter.agentonly || action.agent_id != 0)
        .collect();
    let total = found.len();
    let actions: Vec<Value> = found
        .into_iter()
        .take(filter.count.unwrap_or(usize::MAX))
        .map(|action| {
            let mut shown = action.json(id);
            if let Some(shown) = shown.as_object_mut().filter(|_| !filter.includehtmlnote) {
                shown.remove("note_html");
            }
            shown
        })
        .collect();
    Ok(Json(json!({ "record_count": total, "actions": actions })))
}
