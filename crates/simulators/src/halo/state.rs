//! Tickets and their actions, as the help desk keeps them, and the shapes in which it shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::tenant::{
    AGENTS, CLIENT, CLIENT_NAME, CLOSED, FIELDS, SERVICE_DESK, SITE, STATUSES, TICKET_TYPES, name_of,
};
use crate::company::{Person, outsider};
use crate::text::naive;

/// What Halo writes where there is no date.
const NO_DATE: &str = "1900-01-01T00:00:00";

#[derive(Debug)]
pub(crate) struct HaloState {
    pub(crate) tickets: BTreeMap<i64, Ticket>,
    next: i64,
    /// Users whom no directory knows.
    pub(crate) outsiders: Vec<Person>,
}

/// Their numbers, above everybody's in the directory.
const FIRST_OUTSIDER: i64 = 900_000;

impl HaloState {
    pub(crate) fn starting_at(first_ticket: i64) -> Self {
        Self {
            tickets: BTreeMap::new(),
            next: first_ticket,
            outsiders: vec![],
        }
    }

    pub(crate) fn register(&mut self, name: &str, email: &str) {
        let number = FIRST_OUTSIDER + i64::try_from(self.outsiders.len()).unwrap_or_default();
        self.outsiders.push(outsider(number, name, email));
    }

    /// Letter by letter: what looks alike is somebody else.
    pub(crate) fn outsider(&self, address: &str) -> Option<Person> {
        let same = |person: &&Person| person.email.eq_ignore_ascii_case(address);
        self.outsiders.iter().find(same).cloned()
    }

    pub(crate) fn next_id(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) id: i64,
    pub(crate) guid: Uuid,
    pub(crate) summary: String,
    pub(crate) details: String,
    pub(crate) status_id: i64,
    pub(crate) tickettype_id: i64,
    pub(crate) priority_id: i64,
    pub(crate) category: String,
    pub(crate) user: Option<Person>,
    pub(crate) reported_by: String,
    pub(crate) team: String,
    pub(crate) agent_id: i64,
    pub(crate) fields: BTreeMap<i64, Value>,
    pub(crate) actions: Vec<Action>,
    pub(crate) created: OffsetDateTime,
    pub(crate) updated: OffsetDateTime,
    pub(crate) closed: Option<OffsetDateTime>,
}

#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) id: i64,
    pub(crate) guid: Uuid,
    pub(crate) outcome_id: i64,
    pub(crate) outcome: String,
    pub(crate) who: String,
    /// 0 for the end user.
    pub(crate) agent_id: i64,
    pub(crate) application: Option<String>,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) private: bool,
    pub(crate) at: OffsetDateTime,
    pub(crate) new_status: Option<i64>,
}

/// Field names differ between reading, and writing or webhooks (contract 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Read,
    Written,
}

impl Names {
    fn pick(self, read: &'static str, written: &'static str) -> &'static str {
        match self {
            Self::Read => read,
            Self::Written => written,
        }
    }
}

impl Ticket {
    pub(crate) fn has_been_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(crate) fn custom_fields(&self, only: Option<&[i64]>) -> Value {
        let rows = FIELDS
            .iter()
            .filter(|(id, ..)| only.is_none_or(|only| only.contains(id)));
        rows.map(|(id, name, label)| {
            let value = self.fields.get(id).cloned().unwrap_or(Value::Null);
            let display = value.as_str().map_or(Value::Null, |text| json!(text));
            json!({ "id": id, "name": name, "label": label, "type": 0, "value": value, "display": display })
        })
        .collect()
    }

    /// A row of a list.
    pub(crate) fn row(&self, names: Names) -> Map<String, Value> {
        let user_id = self.user.as_ref().map_or(0, |user| user.halo_id);
        let user_name = self
            .user
            .as_ref()
            .map_or("General User", |user| user.name.as_str());
        let row = json!({
            "id": self.id, "guid": self.guid, "summary": self.summary, "details": self.details,
            "status_id": self.status_id,
            "tickettype_id": self.tickettype_id, "tickettype_name": name_of(&TICKET_TYPES, self.tickettype_id),
            "priority_id": self.priority_id, "impact": 3, "urgency": 3, "sla_id": 1,
            "client_id": CLIENT, "client_name": CLIENT_NAME, "site_id": SITE, "site_name": "Main",
            "user_id": user_id, "user_name": user_name, "reportedby": self.reported_by,
            "team": self.team, "agent_id": self.agent_id, "agent_name": name_of(&AGENTS, self.agent_id),
            "dateoccurred": naive(self.created), "datecreated": naive(self.created),
            "lastactiondate": self.actions.last().map_or_else(|| NO_DATE.to_owned(), |last| naive(last.at)),
            "dateclosed": self.closed.map_or_else(|| NO_DATE.to_owned(), naive),
            "responsedate": NO_DATE, "hasbeenclosed": self.has_been_closed(),
            "inactive": false, "deleted": false, "merged_into_id": 0, "onhold": self.status_id == 23,
            "parent_id": 0, "attachment_count": 0, "source": 0, "workflow_id": 1, "workflow_step": 1,
            "use": "ticket",
        });
        let mut row = match row {
            Value::Object(row) => row,
            _ => Map::new(),
        };
        let email = self.user.as_ref().map_or("", |user| user.email.as_str());
        row.insert(names.pick("user_email", "useremail").into(), json!(email));
        row.insert(
            names.pick("last_update", "lastupdate").into(),
            json!(naive(self.updated)),
        );
        row.insert(names.pick("category_1", "category1").into(), json!(self.category));
        row
    }

    /// A ticket with `includedetails=true`.
    pub(crate) fn details(&self, names: Names) -> Value {
        let mut row = self.row(names);
        row.insert(
            "details_html".into(),
            json!(format!("<p>{}</p>", escape(&self.details))),
        );
        row.insert("status_name".into(), json!(name_of(&STATUSES, self.status_id)));
        row.insert("team_id".into(), json!(super::tickets::team_id(&self.team)));
        row.insert("customfields".into(), self.custom_fields(None));
        row.insert("attachments".into(), json!([]));
        Value::Object(row)
    }

    pub(crate) fn set_status(&mut self, status_id: i64, now: OffsetDateTime) {
        self.status_id = status_id;
        if status_id == CLOSED {
            self.closed = Some(now);
        }
    }
}

impl Action {
    pub(crate) fn json(&self, ticket: i64) -> Value {
        json!({
            "id": self.id, "guid": self.guid, "ticket_id": ticket,
            "outcome": self.outcome, "outcome_id": self.outcome_id,
            "who": self.who, "who_type": i64::from(self.agent_id != 0), "who_agentid": self.agent_id,
            "actionby_agent_id": self.agent_id, "actionby_application_id": self.application,
            "datetime": naive(self.at), "actioncompletiondate": naive(self.at),
            "note": self.text, "note_html": self.html, "hiddenfromuser": self.private,
            "new_status": self.new_status.unwrap_or(-1),
            "new_status_name": self.new_status.map(|id| name_of(&STATUSES, id)),
            "new_slastatus": -1, "timetaken": 0.0,
        })
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A ticket, for tests and the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TicketView {
    /// The ticket's number.
    pub id: i64,
    /// Subject.
    pub summary: String,
    /// Opening text.
    pub details: String,
    /// Name of the status.
    pub status: String,
    /// Number of the status.
    pub status_id: i64,
    /// [`super::UNASSIGNED`] or an agent.
    pub agent_id: i64,
    /// Name of the team.
    pub team: String,
    /// The help desk's user record; `None` where the sender matched nobody.
    pub user_id: Option<i64>,
    /// Sender address.
    pub from: String,
    /// Oldest first.
    pub notes: Vec<NoteView>,
    /// By the field's name; unset fields are absent.
    pub custom_fields: BTreeMap<String, String>,
}

/// A note on a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoteView {
    /// Who wrote it.
    pub by: String,
    /// Their agent number; 0 for the end user.
    pub agent_id: i64,
    /// Name of the outcome.
    pub outcome: String,
    /// As plain text.
    pub text: String,
    /// Hidden from the user.
    pub private: bool,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

pub(crate) fn field_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl From<&Ticket> for TicketView {
    fn from(ticket: &Ticket) -> Self {
        let notes = ticket.actions.iter().map(|action| NoteView {
            by: action.who.clone(),
            agent_id: action.agent_id,
            outcome: action.outcome.clone(),
            text: action.text.clone(),
            private: action.private,
            at: action.at,
        });
        let fields = FIELDS.iter().filter_map(|(id, name, _)| {
            let value = ticket.fields.get(id).filter(|value| !value.is_null())?;
            Some(((*name).to_owned(), field_text(value)))
        });
        Self {
            id: ticket.id,
            summary: ticket.summary.clone(),
            details: ticket.details.clone(),
            status: name_of(&STATUSES, ticket.status_id).to_owned(),
            status_id: ticket.status_id,
            agent_id: ticket.agent_id,
            team: ticket.team.clone(),
            user_id: ticket.user.as_ref().map(|user| user.halo_id),
            from: ticket.reported_by.clone(),
            notes: notes.collect(),
            custom_fields: fields.collect(),
        }
    }
}

/// A fresh ticket, before it has a place in the list.
pub(crate) fn opened(id: i64, guid: Uuid, summary: &str, details: &str, now: OffsetDateTime) -> Ticket {
    Ticket {
        id,
        guid,
        summary: summary.to_owned(),
        details: details.to_owned(),
        status_id: super::tenant::NEW,
        tickettype_id: super::tenant::INCIDENT,
        priority_id: 3,
        category: String::new(),
        user: None,
        reported_by: String::new(),
        team: SERVICE_DESK.to_owned(),
        agent_id: super::UNASSIGNED,
        fields: BTreeMap::new(),
        actions: Vec::new(),
        created: now,
        updated: now,
        closed: None,
    }
}
