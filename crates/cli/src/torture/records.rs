//! What the world remembers after a storm: the help desk's tickets, people's passes and phones, and what happened in which
//! order. The audit trail is the one thing of ours: it is itself on trial.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use simulators::halo::TicketView;
use simulators::{Event, World};
use sqlx::PgPool;

/// Everything that invariants look at.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Records {
    /// As the help desk has them.
    pub(super) tickets: Vec<TicketView>,
    /// As the directory has them.
    pub(super) people: Vec<Holder>,
    /// What happened, oldest first.
    pub(super) events: Vec<Event>,
    /// Our audit trail, oldest first.
    pub(super) audit: Vec<AuditLine>,
}

/// A person, and with what they could sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Holder {
    /// Their address.
    pub(super) email: String,
    /// Where texts to them go.
    pub(super) number: Option<String>,
    /// Their manager's address.
    pub(super) manager: Option<String>,
    /// Values of the passes that work now.
    pub(super) passes: Vec<String>,
}

/// An event of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AuditLine {
    /// The ticket it belongs to.
    pub(super) ticket: i64,
    /// What happened, as `audit_events` names it.
    pub(super) kind: String,
    /// The permit it speaks of.
    pub(super) permit: Option<String>,
}

/// A text with a pass in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PassText<'a> {
    /// The ticket it names.
    pub(super) ticket: i64,
    /// The number it went to.
    pub(super) to: &'a str,
    /// The pass.
    pub(super) pass: &'a str,
}

impl Records {
    /// What `world` and the audit trail hold now.
    pub(super) async fn of(world: &World, owner: &PgPool) -> anyhow::Result<Self> {
        let people = world.company().into_iter().map(|person| Holder {
            number: person.e164(),
            passes: world
                .entra()
                .live_passes(&person.email)
                .into_iter()
                .map(|pass| pass.value)
                .collect(),
            email: person.email,
            manager: person.manager,
        });
        let audit: Vec<(i64, String, Option<String>)> = sqlx::query_as(
            "SELECT ticket_id::bigint, kind, detail ->> 'permit'
             FROM audit_events
             WHERE ticket_id ~ '^[0-9]{1,18}$'
             ORDER BY at, id",
        )
        .fetch_all(owner)
        .await?;
        Ok(Self {
            tickets: world.halo().tickets(),
            people: people.collect(),
            events: world
                .journal()
                .entries()
                .into_iter()
                .map(|entry| entry.event)
                .collect(),
            audit: audit
                .into_iter()
                .map(|(ticket, kind, permit)| AuditLine { ticket, kind, permit })
                .collect(),
        })
    }

    /// Keep them in a file, as JSON.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The texts that arrived, oldest first: number and body.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.events.iter().filter_map(|event| match event {
            Event::SmsReceived { to, body, .. } => Some((to.as_str(), body.as_str())),
            _ => None,
        })
    }

    /// Those with a pass.
    pub(super) fn pass_texts(&self) -> impl Iterator<Item = PassText<'_>> {
        self.texts().filter_map(|(to, body)| {
            let (_, told) = body.split_once(", ticket ")?;
            let (ticket, rest) = told.split_once(": your one-time sign-in pass is\n")?;
            let ticket = ticket.parse().ok()?;
            let pass = rest.lines().next()?;
            Some(PassText { ticket, to, pass })
        })
    }
}
