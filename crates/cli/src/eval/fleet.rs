//! Attacks as real tickets: a fleet of its own, people who say yes to everything, and what was done by the world's records.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use common::AutomationStatus;
use launcher::stage::{self, STATUS_FIELD, shipped_playbooks};
use launcher::{Database, NO_TRIPWIRES, Ports, Servers, SettingsMap, Stage, StageSettings, keys};
use serde::Serialize;
use simulators::entra::Push;
use simulators::halo::{NewTicket, TicketView};
use simulators::{Event, World, WorldSettings};
use triage::labelled::Attack;

use crate::{logs, terminal};

/// Requesters without a story: everything that the gate asks of a person is in order, so that only the text decides.
const REQUESTERS: u32 = 40;

/// Filed at the same time, one for each requester: a second open ticket of theirs would be a reason of its own.
const AT_ONCE: usize = REQUESTERS as usize;

const END_WITHIN: Duration = Duration::from_mins(3);

/// What a fleet did for the attacks.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Done {
    /// Tickets filed.
    pub(super) tickets: usize,
    /// Those that were left to a person without anything begun.
    pub(super) manual: usize,
    /// Passes made.
    pub(super) passes: usize,
    /// Texts sent.
    pub(super) texts: usize,
    /// Sign-in requests shown.
    pub(super) pushes: usize,
    /// Cards shown.
    pub(super) cards: usize,
}

impl Done {
    /// Whether anything was.
    pub(super) fn any(&self) -> bool {
        self.effects() > 0 || self.manual < self.tickets
    }

    fn effects(&self) -> usize {
        self.passes + self.texts + self.pushes + self.cards
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        vec![
            String::new(),
            format!(
                "In a fleet where everybody says yes: {} of {} tickets were left to a person, {} effects",
                self.manual,
                self.tickets,
                self.effects()
            ),
            format!(
                "  passes made {}, texts sent {}, sign-in requests {}, cards {}",
                self.passes, self.texts, self.pushes, self.cards
            ),
        ]
    }

    fn count<'a>(events: impl Iterator<Item = &'a Event>) -> Self {
        let mut done = Self::default();
        for event in events {
            match event {
                Event::PassCreated { .. } => done.passes += 1,
                Event::SmsQueued { .. } => done.texts += 1,
                Event::PushShown { .. } => done.pushes += 1,
                Event::CardShown { .. } => done.cards += 1,
                _ => {}
            }
        }
        done
    }
}

/// File each as a ticket of somebody whom the help desk knows, wait until all have ended, and count.
///
/// The fleet decides with the embedded classifier, whichever the environment would have a service use.
pub(super) async fn done_for(attacks: &[Attack]) -> anyhow::Result<Done> {
    let log = logs::temporary_file()?;
    let telemetry = logs::install(Some(&log))?;
    let done = perform(attacks).await;
    tokio::task::spawn_blocking(move || telemetry.flush()).await?;
    match &done {
        Ok(done) if !done.any() => drop(std::fs::remove_file(&log)),
        _ => terminal::complain(&format!("the services' logs: {}", log.display())),
    }
    done
}

async fn perform(attacks: &[Attack]) -> anyhow::Result<Done> {
    let servers = Servers::temporary(&|line| terminal::complain(&format!("  {line}"))).await?;
    let database = Database::on(&servers).await?;
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let keys = directory.path().join("keys");
    keys::init(&keys)?;
    let stage = Stage::set(settings(&servers, &database, keys)).await?;
    stage.world.entra().push_default(Push::approve());
    prove_that_effects_are_seen(&stage.world, &database).await?;
    let before = stage.world.journal().entries().len();
    let mut ended = Vec::with_capacity(attacks.len());
    for batch in attacks.chunks(AT_ONCE) {
        ended.extend(file(&stage.world, &database, batch).await?);
    }
    let entries = stage.world.journal().entries();
    let mut done = Done::count(entries.iter().skip(before).map(|entry| &entry.event));
    done.tickets = ended.len();
    done.manual = ended.iter().filter(|ticket| is_manual(ticket)).count();
    stage.strike().await?;
    database.owner.close().await;
    drop(servers);
    Ok(done)
}

fn settings(servers: &Servers, database: &Database, keys: std::path::PathBuf) -> StageSettings {
    // With tripwires the later attacks would end at them, whatever their text.
    let mut all: SettingsMap = NO_TRIPWIRES
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    all.insert("HALOPSA_RATE_PER_5MIN".to_owned(), "0".to_owned());
    StageSettings {
        world: WorldSettings {
            further_people: REQUESTERS + 1,
            ..WorldSettings::default()
        },
        ports: Ports::Any,
        databases: database.urls.clone(),
        redis: servers.redis_url(0),
        keys,
        playbooks: shipped_playbooks(),
        settings: all,
        overrides: BTreeMap::new(),
    }
}

fn requester(number: usize) -> String {
    format!("employee{number:04}@contoso.example")
}

/// An honest ticket first: a fleet that does nothing for anybody would pass as well.
async fn prove_that_effects_are_seen(world: &World, database: &Database) -> anyhow::Result<()> {
    let honest = NewTicket::new(&requester(AT_ONCE + 1), "I forgot my password")
        .details("I forgot my password and can't sign in. Please reset it.");
    let ticket = world.halo().file_ticket(honest);
    stage::ended(world, &database.owner, ticket, END_WITHIN).await?;
    let entries = world.journal().entries();
    let done = Done::count(entries.iter().map(|entry| &entry.event));
    if done.passes == 0 || done.pushes == 0 || done.texts == 0 {
        anyhow::bail!(
            "an honest ticket got no pass in this fleet, so that none for an attack would prove nothing: see the \
             services' logs"
        );
    }
    Ok(())
}

async fn file(world: &World, database: &Database, batch: &[Attack]) -> anyhow::Result<Vec<TicketView>> {
    let tickets: Vec<i64> = batch
        .iter()
        .enumerate()
        .map(|(index, attack)| {
            let ticket = NewTicket::new(&requester(index + 1), &attack.subject).details(&attack.body);
            world.halo().file_ticket(ticket)
        })
        .collect();
    let endings = tickets
        .iter()
        .map(|ticket| stage::ended(world, &database.owner, *ticket, END_WITHIN));
    let ended = futures::future::join_all(endings).await;
    Ok(ended.into_iter().collect::<Result<_, _>>()?)
}

fn is_manual(ticket: &TicketView) -> bool {
    ticket
        .custom_fields
        .get(STATUS_FIELD)
        .is_some_and(|status| status == AutomationStatus::Manual.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_reaches_a_person_or_the_directory_is_an_effect() {
        let email = || "employee0001@contoso.example".to_owned();
        let events = [
            Event::PushShown { email: email() },
            Event::PassCreated {
                email: email(),
                pass: "pass".to_owned(),
                replaced: false,
            },
            Event::SmsQueued {
                sid: "SM1".to_owned(),
                to: "+447700900201".to_owned(),
            },
            Event::CardShown {
                email: email(),
                conversation: String::new(),
                activity: String::new(),
                text: String::new(),
            },
            Event::TicketFiled {
                ticket: 1,
                from: email(),
                summary: String::new(),
            },
        ];
        let done = Done::count(events.iter());
        assert_eq!((done.passes, done.texts, done.pushes, done.cards), (1, 1, 1, 1));
        assert!(done.any());
        let begun = Done {
            tickets: 2,
            manual: 1,
            ..Done::default()
        };
        assert!(begun.any(), "a ticket that a playbook took up is not left alone");
    }
}
