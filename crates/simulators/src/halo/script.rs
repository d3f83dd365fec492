//! The hands of people in the help desk: users who write, agents who act, an admin who changes options.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::actions::Note;
use super::state::{TicketView, opened};
use super::tenant::{AGENTS, STATUSES, name_of};
use super::tickets::Change;
use super::webhooks::Happening;
use super::{API_AGENT, HUMAN_AGENT, HaloSim, INTERNAL_NOTE};
use crate::journal::Event;
use crate::tokens::Audience;

/// Who does something to a ticket; agent 0 is the end user.
pub(crate) struct Actor {
    pub(crate) agent_id: i64,
    pub(crate) name: String,
}

impl Actor {
    pub(crate) fn agent(agent_id: i64) -> Self {
        Self {
            agent_id,
            name: name_of(&AGENTS, agent_id).to_owned(),
        }
    }

    /// Whoever holds a token of our application.
    pub(crate) fn api() -> Self {
        Self::agent(API_AGENT)
    }
}

/// A message that becomes a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTicket {
    /// Sender address; the help desk matches its users by it.
    pub from: String,
    /// Subject.
    pub summary: String,
    /// Text.
    #[serde(default)]
    pub details: String,
    /// Address of the user to whom the help desk links it, whoever sent it: an agent may have entered it, or a mail rule.
    /// The sender where it is left out.
    #[serde(default)]
    pub user: Option<String>,
}

impl NewTicket {
    /// A message without text.
    pub fn new(from: &str, summary: &str) -> Self {
        Self {
            from: from.to_owned(),
            summary: summary.to_owned(),
            details: String::new(),
            user: None,
        }
    }

    /// The same, linked to the user with the address `user`.
    pub fn linked_to(self, user: &str) -> Self {
        Self {
            user: Some(user.to_owned()),
            ..self
        }
    }

    /// The same with `details`.
    pub fn details(self, details: &str) -> Self {
        Self {
            details: details.to_owned(),
            ..self
        }
    }
}

/// How this version and this tenant behave where Halo's versions and tenants differ.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a difference of its own")]
pub struct HaloOptions {
    /// A write answers with a list of one.
    pub posts_answer_as_array: bool,
    /// An unknown ticket is 200 with an empty object rather than 404.
    pub unknown_ticket_is_empty_object: bool,
    /// `_warning` in the answers of writes.
    pub warning: Option<String>,
    /// An action that asks for its ticket is answered with it.
    pub actions_show_tickets: bool,
    /// The workflow lets status changes through actions only.
    pub workflow_refuses_bare_status: bool,
    /// Requests per rolling five minutes.
    pub rate_per_5min: Option<u32>,
    /// `Retry-After` of a 429, in seconds.
    pub retry_after: Option<u64>,
    /// How long new tokens really live; they always say an hour.
    pub token_life: Duration,
}

impl Default for HaloOptions {
    fn default() -> Self {
        Self {
            posts_answer_as_array: false,
            unknown_ticket_is_empty_object: false,
            warning: None,
            actions_show_tickets: true,
            workflow_refuses_bare_status: false,
            rate_per_5min: None,
            retry_after: None,
            token_life: Duration::from_hours(1),
        }
    }
}

impl HaloSim {
    /// A user writes; the ticket's number comes back and the webhook goes out.
    pub fn file_ticket(&self, new: NewTicket) -> i64 {
        let NewTicket {
            from,
            summary,
            details,
            user,
        } = new;
        let core = &self.desk.core;
        let address = user.as_deref().unwrap_or(&from);
        let user = core
            .directory
            .by_address(address)
            .or_else(|| self.desk.state.lock().outsider(address))
            .filter(|person| !person.halo_inactive);
        let guid = core.fresh("halo/ticket");
        let id = {
            let mut state = self.desk.state.lock();
            let id = state.next_id();
            let mut ticket = opened(id, guid, &summary, &details, self.desk.core.clock.now());
            ticket.user = user;
            ticket.reported_by.clone_from(&from);
            state.tickets.insert(id, ticket);
            id
        };
        core.journal.record(Event::TicketFiled {
            ticket: id,
            from,
            summary,
        });
        self.fire(Happening::Created, id, super::UNASSIGNED, None);
        id
    }

    /// The help desk makes a user of its own of somebody who wrote, as desks do that take mail from anybody: with this
    /// address, and in no directory.
    pub fn register(&self, name: &str, email: &str) {
        self.desk.state.lock().register(name, email);
    }

    /// A human agent writes a private note. False: no such ticket.
    pub fn agent_note(&self, ticket: i64, words: &str) -> bool {
        let note = Note::plain((INTERNAL_NOTE, "Internal Note"), words, true);
        self.annotate(ticket, note, &Actor::agent(HUMAN_AGENT)).is_some()
    }

    /// The user writes again. False: no such ticket.
    pub fn user_note(&self, ticket: i64, words: &str) -> bool {
        let name = self
            .desk
            .state
            .lock()
            .tickets
            .get(&ticket)
            .and_then(|t| t.user.as_ref().map(|u| u.name.clone()));
        let user = Actor {
            agent_id: 0,
            name: name.unwrap_or_else(|| "General User".into()),
        };
        self.annotate(ticket, Note::plain((2, "Email User"), words, false), &user)
            .is_some()
    }

    /// A human takes the ticket, or gives it to `agent`. False: no such ticket.
    pub fn assign(&self, ticket: i64, agent: i64) -> bool {
        let change = Change {
            agent: Some(agent),
            ..Change::default()
        };
        self.apply(ticket, change, &Actor::agent(HUMAN_AGENT))
    }

    /// A human moves the ticket to the status called `status`. False: no such ticket or status.
    pub fn set_status(&self, ticket: i64, status: &str) -> bool {
        let Some((id, _)) = STATUSES
            .into_iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(status))
        else {
            return false;
        };
        let change = Change {
            status: Some(id),
            ..Change::default()
        };
        self.apply(ticket, change, &Actor::agent(HUMAN_AGENT))
    }

    /// A human files the ticket under `category`. False: no such ticket.
    pub fn categorise(&self, ticket: i64, category: &str) -> bool {
        let change = Change {
            category: Some(category.to_owned()),
            ..Change::default()
        };
        self.apply(ticket, change, &Actor::agent(HUMAN_AGENT))
    }

    /// A ticket as it stands.
    pub fn ticket(&self, id: i64) -> Option<TicketView> {
        self.desk.state.lock().tickets.get(&id).map(TicketView::from)
    }

    /// All tickets, oldest first.
    pub fn tickets(&self) -> Vec<TicketView> {
        self.desk
            .state
            .lock()
            .tickets
            .values()
            .map(TicketView::from)
            .collect()
    }

    /// Every access token stops working at once.
    pub fn expire_tokens(&self) {
        self.desk.core.tokens.revoke(Audience::Halo);
    }

    /// Behave like another version or tenant from now on.
    pub fn options(&self, options: HaloOptions) {
        *self.desk.options.lock() = options;
    }

    /// Mark a user record inactive. False: nobody has that address.
    pub fn deactivate_user(&self, email: &str) -> bool {
        self.desk
            .core
            .directory
            .change(email, |person| person.halo_inactive = true)
    }

    /// Mark a user as a VIP, or no longer. False: nobody has that address.
    pub fn set_vip(&self, email: &str, vip: bool) -> bool {
        self.desk
            .core
            .directory
            .change(email, |person| person.halo_vip = vip)
    }
}
