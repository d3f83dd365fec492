//! Tickets and their actions as HaloPSA tells them, freed of its name variants, placeholders and naive dates.

use common::TicketId;
use serde_json::Value;
use time::OffsetDateTime;

use super::lenient::{Fields, unlike, whole};
use crate::call::CallError;

/// A ticket as it stands now. Texts are what people typed: untrusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Its number.
    pub id: TicketId,
    /// Subject line.
    pub summary: String,
    /// Opening text, plain.
    pub details: String,
    /// Number of the status, where it is said; names come from [`super::Halo::statuses`].
    pub status_id: Option<i64>,
    /// Ticket type; every update must repeat it.
    pub ticket_type_id: Option<i64>,
    /// Customer; every update must repeat it.
    pub client_id: Option<i64>,
    /// The customer's name.
    pub client_name: Option<String>,
    /// Number of the user the help desk linked: the authenticated requester. May be a "General User".
    pub user_id: Option<i64>,
    /// That user's name.
    pub user_name: Option<String>,
    /// That user's e-mail address, where the ticket carries it; else ask [`super::Halo::user`].
    pub user_email: Option<String>,
    /// Who says to have reported it. Free text, never an identity.
    pub reported_by: Option<String>,
    /// The agent it is assigned to; `None` while unassigned.
    pub agent_id: Option<i64>,
    /// Team, by name.
    pub team: Option<String>,
    /// It has been closed at some time.
    pub closed: bool,
    /// It was deleted or made inactive.
    pub deleted: bool,
    /// The ticket it was merged into.
    pub merged_into: Option<TicketId>,
    /// Path of the category, levels joined with `>`.
    pub category: Option<String>,
    /// Channel number, meaning configured per tenant.
    pub source: Option<i64>,
    /// Custom fields, as far as the ticket's type lists them.
    pub custom_fields: Vec<CustomField>,
    /// When it was opened.
    pub created: Option<OffsetDateTime>,
    /// When it last changed.
    pub updated: Option<OffsetDateTime>,
}

impl Ticket {
    /// What an update must name.
    pub fn reference(&self) -> TicketRef {
        TicketRef {
            id: self.id.clone(),
            ticket_type_id: self.ticket_type_id,
            client_id: self.client_id,
        }
    }

    /// The value of a custom field by name (`CFautomation_status`), case ignored; `None` where absent or null.
    pub fn custom_field(&self, name: &str) -> Option<&Value> {
        self.custom_fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| &field.value)
            .filter(|value| !value.is_null())
    }
}

/// A ticket with the two numbers without which HaloPSA answers *Record not found* to an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRef {
    /// Its number.
    pub id: TicketId,
    /// Its type.
    pub ticket_type_id: Option<i64>,
    /// Its customer.
    pub client_id: Option<i64>,
}

/// What one look for changes has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Each change once, so a ticket that changed meanwhile is there twice.
    pub tickets: Vec<TicketStub>,
    /// How far it has seen. `None` where the answer does not say what time it is there.
    pub seen: Option<Seen>,
}

/// How far a look for changes has seen, by the vendor's clock. Ours may be minutes off, and what is looked for with a moment that
/// is still to come there is never found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Whatever changed until then.
    AllUntil(OffsetDateTime),
    /// Whatever changed before then; there is more.
    NotFrom(OffsetDateTime),
}

/// A row of a ticket list: enough to know that something changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TicketStub {
    /// Its number.
    pub id: TicketId,
    /// When it last changed.
    pub updated: Option<OffsetDateTime>,
}

/// One custom field of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomField {
    /// Number of the field.
    pub id: i64,
    /// Name, begins with `CF`.
    pub name: String,
    /// Value; for selects the option's number.
    pub value: Value,
}

/// One entry of a ticket's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Unique within its ticket only; `None` where HaloPSA leaves it out: what was done was done all the same.
    pub id: Option<i64>,
    /// Who, by name.
    pub who: Option<String>,
    /// The agent who acted; `None` for end users and the system.
    pub agent_id: Option<i64>,
    /// Name of the outcome, for instance `Internal Note`.
    pub outcome: Option<String>,
    /// Its text (HTML where there is any). Untrusted.
    pub note: String,
    /// Not shown to the end user.
    pub private: bool,
    /// When.
    pub at: Option<OffsetDateTime>,
}

impl Ticket {
    /// `None` where the record has no number; everything else may be missing (contract, section 2, rule 5).
    pub(super) fn read(fields: Fields<'_>) -> Option<Self> {
        let custom_fields = fields.value(&["customfields"]).and_then(Value::as_array);
        Some(Self {
            id: ticket_id(fields, &["id"])?,
            summary: fields.text(&["summary"]).unwrap_or_default(),
            details: fields.text(&["details"]).unwrap_or_default(),
            status_id: fields.number(&["status_id"]),
            ticket_type_id: fields.id(&["tickettype_id"]),
            client_id: fields.id(&["client_id"]),
            client_name: fields.text(&["client_name"]),
            user_id: fields.id(&["user_id"]),
            user_name: fields.text(&["user_name"]),
            user_email: fields.text(&["user_email", "useremail"]),
            reported_by: fields.text(&["reportedby"]),
            agent_id: fields
                .id(&["agent_id"])
                .filter(|agent| *agent != super::UNASSIGNED),
            team: fields.text(&["team"]),
            closed: fields.flag(&["hasbeenclosed"]),
            deleted: fields.flag(&["deleted"]) || fields.flag(&["inactive"]),
            merged_into: ticket_id(fields, &["merged_into_id"]),
            category: fields.text(&["category_1", "category1"]),
            source: fields.number(&["source"]),
            custom_fields: custom_fields
                .into_iter()
                .flatten()
                .filter_map(CustomField::read)
                .collect(),
            created: fields.moment(&["dateoccurred", "datecreated"]),
            updated: fields.moment(&["last_update", "lastupdate"]),
        })
    }
}

/// A ticket's number, where there is one.
pub(super) fn ticket_id(fields: Fields<'_>, names: &[&str]) -> Option<TicketId> {
    fields.id(names)?.to_string().parse().ok()
}

impl TicketStub {
    pub(super) fn read(row: &Value) -> Option<Self> {
        let fields = Fields::of(row)?;
        Some(Self {
            id: ticket_id(fields, &["id"])?,
            updated: fields.moment(&["last_update", "lastupdate"]),
        })
    }
}

impl CustomField {
    fn read(row: &Value) -> Option<Self> {
        let fields = Fields::of(row)?;
        Some(Self {
            id: fields.id(&["id"])?,
            name: fields.text(&["name"])?,
            value: fields.value(&["value"]).cloned().unwrap_or_default(),
        })
    }
}

impl Action {
    /// # Errors
    /// It is no record, or who acted can't be read: a person's touch must not vanish from the history.
    pub(super) fn read(row: &Value) -> Result<Self, CallError> {
        let fields = Fields::of(row).ok_or_else(|| unlike("an action"))?;
        let who = fields.value(&["who_agentid"]);
        if who.is_some_and(|who| whole(who).is_none()) {
            return Err(unlike("an action of an agent or nobody"));
        }
        let texts = [fields.text(&["note_html"]), fields.text(&["note"])];
        Ok(Self {
            id: fields.id(&["id"]),
            who: fields.text(&["who"]),
            agent_id: fields.id(&["who_agentid"]),
            outcome: fields.text(&["outcome"]),
            note: texts.into_iter().flatten().next().unwrap_or_default(),
            private: fields.flag(&["hiddenfromuser"]),
            at: fields.moment(&["datetime", "actiondatecreated"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_ticket_of_a_webhook_sample_is_read_whole() {
        let envelope: Value =
            serde_json::from_str(include_str!("../../tests/data/halo-new-ticket.json")).unwrap();
        let ticket = Ticket::read(Fields::of(&envelope["ticket"]).unwrap()).unwrap();
        assert_eq!(ticket.id.as_str(), "4242");
        assert_eq!(ticket.agent_id, None);
        assert_eq!(ticket.user_email.as_deref(), Some("alice@example.test"));
        assert_eq!(ticket.created, Some(datetime!(2026-09-25 06:30:10.897 UTC)));
        assert_eq!(ticket.category.as_deref(), Some("Accounts>Password"));
        assert_eq!(ticket.custom_field("cffirstlinerunid"), None);
        assert!(!ticket.closed);
        assert_eq!(
            (ticket.reference().ticket_type_id, ticket.reference().client_id),
            (Some(25), Some(12))
        );
    }

    #[test]
    fn the_action_of_a_webhook_sample_is_an_end_users() {
        let envelope: Value =
            serde_json::from_str(include_str!("../../tests/data/halo-ticket-updated.json")).unwrap();
        let action = Action::read(&envelope["action"]).unwrap();
        assert_eq!(action.agent_id, None);
        assert_eq!(action.outcome.as_deref(), Some("User Update"));
        assert!(!action.private);
    }

    #[test]
    fn a_number_makes_a_ticket_whatever_else_is_missing() {
        let bare = serde_json::json!({"id": 4242, "status_id": null});
        let ticket = Ticket::read(Fields::of(&bare).unwrap()).unwrap();
        assert_eq!((ticket.id.as_str(), ticket.status_id), ("4242", None));
    }

    #[test]
    fn an_object_without_a_number_is_no_ticket() {
        assert_eq!(
            Ticket::read(Fields::of(&serde_json::json!({"summary": "x"})).unwrap()),
            None
        );
    }
}
