//! What we write: notes with their side effects, custom fields, statuses.

use common::TicketId;
use serde_json::{Value, json};

use super::lenient::Fields;
use super::{Halo, Ticket, TicketRef};
use crate::call::{CallError, Repeat, System};

/// Which outcome a note is filed under; HaloPSA demands one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By number; 7 is the built-in *Internal Note*.
    Id(i64),
    /// By name.
    Name(String),
}

impl From<&str> for Outcome {
    /// As a setting gives it: digits are a number, anything else a name.
    fn from(text: &str) -> Self {
        text.trim()
            .parse()
            .map_or_else(|_| Self::Name(text.trim().to_owned()), Self::Id)
    }
}

/// Who a ticket is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Nobody: back to its team's queue.
    Nobody,
    /// The agent with this number.
    Number(i64),
}

impl Agent {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Nobody => super::UNASSIGNED,
            Self::Number(number) => number,
        }
    }
}

/// A note to add to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNote<'a> {
    /// Plain text; escaped to HTML, line breaks kept.
    pub text: &'a str,
    /// Hidden from the end user.
    pub private: bool,
    /// The outcome it is filed under.
    pub outcome: Outcome,
    /// Status to set with it.
    pub new_status: Option<i64>,
    /// Agent to set with it.
    pub new_agent: Option<Agent>,
    /// Unique text by which [`super::Halo::find_marker`] finds the note again; letters, digits and `-_.:/` only.
    pub marker: &'a str,
}

/// Notes for one ticket, in their order.
#[derive(Debug, Clone)]
pub struct TicketNotes<'a> {
    /// Which.
    pub ticket: &'a TicketId,
    /// What.
    pub notes: Vec<NewNote<'a>>,
}

/// Custom fields of one ticket, by number.
#[derive(Debug, Clone)]
pub struct TicketFields {
    /// Which.
    pub ticket: TicketRef,
    /// Their new values.
    pub fields: Vec<(i64, Value)>,
}

impl Halo {
    /// Add a note, and set status or agent with it. Not repeatable: after [`CallError::Unknown`],
    /// [`Halo::find_marker`] tells whether it arrived.
    pub async fn add_note(&self, ticket: &TicketId, note: &NewNote<'_>) -> Result<(), CallError> {
        let notes = vec![note.clone()];
        self.add_notes(&[TicketNotes { ticket, notes }]).await?;
        Ok(())
    }

    /// Add notes to tickets in their order, in one call: the vendor counts calls, not notes. HaloPSA takes them one after the
    /// other: where it refuses one, those before it stand there, and [`Halo::find_marker`] tells which.
    ///
    /// Each ticket as its notes left it, where the answer shows it (contract, section 4.1, `_includeticketinresponse`): that
    /// spares whoever has more to do on it a call.
    pub async fn add_notes(&self, tickets: &[TicketNotes<'_>]) -> Result<Vec<Option<Ticket>>, CallError> {
        let mut actions = Vec::new();
        for TicketNotes { ticket, notes } in tickets {
            let number = number(ticket)?;
            actions.extend(notes.iter().map(|note| action(number, note)));
            if let Some(last) = actions.last_mut() {
                last["_includeticketinresponse"] = json!(true);
            }
        }
        let written = self.post("add_note", Repeat::Never, "Actions", &actions).await?;
        let shown: Vec<Ticket> = written
            .iter()
            .filter_map(|written| whole(written.get("ticket")?))
            .collect();
        Ok(of_each(tickets.iter().map(|notes| notes.ticket), &shown))
    }

    /// Set custom fields by number. Safe to repeat. Fields that the ticket's type does not list are ignored by HaloPSA.
    pub async fn set_custom_fields(
        &self,
        ticket: &TicketRef,
        fields: &[(i64, Value)],
    ) -> Result<Option<Ticket>, CallError> {
        let (ticket, fields) = (ticket.clone(), fields.to_vec());
        let set = self.set_fields(&[TicketFields { ticket, fields }]).await?;
        Ok(set.into_iter().next().flatten())
    }

    /// Set custom fields of tickets, in one call. Safe to repeat. Each ticket as it stands then, where the answer shows it.
    pub async fn set_fields(&self, tickets: &[TicketFields]) -> Result<Vec<Option<Ticket>>, CallError> {
        let mut updates = Vec::with_capacity(tickets.len());
        for TicketFields { ticket, fields } in tickets {
            let fields = fields
                .iter()
                .map(|(id, value)| json!({"id": id, "value": value}))
                .collect();
            updates.push(update(ticket, "customfields", fields)?);
        }
        let written = self
            .post("set_custom_fields", Repeat::Safe, "Tickets", &updates)
            .await?;
        let shown: Vec<Ticket> = written.iter().filter_map(whole).collect();
        Ok(of_each(tickets.iter().map(|fields| &fields.ticket.id), &shown))
    }

    /// Set the status without a note. Safe to repeat. A rule of the tenant may keep the old one: read it back.
    pub async fn set_status(&self, ticket: &TicketRef, status: i64) -> Result<(), CallError> {
        let update = update(ticket, "status_id", status.into())?;
        self.post("set_status", Repeat::Safe, "Tickets", &[update])
            .await?;
        Ok(())
    }

    /// Give the ticket back to its team's queue. Safe to repeat.
    pub async fn unassign(&self, ticket: &TicketRef) -> Result<(), CallError> {
        let update = update(ticket, "agent_id", super::UNASSIGNED.into())?;
        self.post("unassign", Repeat::Safe, "Tickets", &[update]).await?;
        Ok(())
    }
}

/// One change of a ticket.
fn update(ticket: &TicketRef, name: &str, value: Value) -> Result<Value, CallError> {
    let mut record = json!({ "id": number(&ticket.id)?, "dont_do_rules": true });
    // Without these two HaloPSA answers *Record not found*.
    for (name, number) in [
        ("tickettype_id", ticket.ticket_type_id),
        ("client_id", ticket.client_id),
    ] {
        if let Some(number) = number {
            record[name] = json!(number);
        }
    }
    record[name] = value;
    Ok(record)
}

/// The ticket that an answer shows, where it has what the next update must name and how it stands.
fn whole(answer: &Value) -> Option<Ticket> {
    let shown = Fields::of(answer).and_then(Ticket::read)?;
    let whole = shown.status_id.is_some() && shown.ticket_type_id.is_some() && shown.client_id.is_some();
    whole.then_some(shown)
}

/// Those of `shown` that were asked for, in the order of asking: as each was shown last.
fn of_each<'t>(tickets: impl Iterator<Item = &'t TicketId>, shown: &[Ticket]) -> Vec<Option<Ticket>> {
    let last = |id: &TicketId| shown.iter().rev().find(|shown| shown.id == *id).cloned();
    tickets.map(last).collect()
}

/// A note as the action that it is.
fn action(ticket: i64, note: &NewNote<'_>) -> Value {
    let mut action = json!({
        "ticket_id": ticket,
        "note_html": note_html(note.text, note.marker),
        // The default differs from outcome to outcome: a note must never become public by itself.
        "hiddenfromuser": note.private,
        "sendemail": false,
        "dont_do_rules": true,
    });
    let (name, value) = match &note.outcome {
        Outcome::Id(id) => ("outcome_id", json!(id)),
        Outcome::Name(name) => ("outcome", json!(name)),
    };
    action[name] = value;
    if let Some(status) = note.new_status {
        action["new_status"] = json!(status);
    }
    if let Some(agent) = note.new_agent {
        action["new_agent"] = json!(agent.number());
    }
    action
}

/// HaloPSA wants plain integers.
fn number(ticket: &TicketId) -> Result<i64, CallError> {
    let number = ticket.as_str().parse();
    number.map_err(|_| {
        CallError::refused(
            System::HaloPsa,
            "not_a_ticket_number",
            "tickets have numbers here",
        )
    })
}

/// The text as HTML, nothing of it live, with the marker behind it in small print.
fn note_html(text: &str, marker: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    format!(
        "<p>{}</p><p><small>{}</small></p>",
        lines.join("<br>"),
        escape(marker)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_note_is_live() {
        let html = note_html("<img src=x onerror=\"a\">\nUSER & 'co'", "fl-01/2");
        assert_eq!(
            html,
            "<p>&lt;img src=x onerror=&quot;a&quot;&gt;<br>USER &amp; &#39;co&#39;</p><p><small>fl-01/2</small></p>"
        );
    }

    #[test]
    fn an_outcome_is_a_number_or_a_name() {
        assert_eq!(Outcome::from("7"), Outcome::Id(7));
        assert_eq!(
            Outcome::from(" Internal Note "),
            Outcome::Name("Internal Note".to_owned())
        );
    }
}
