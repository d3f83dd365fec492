//! Tickets that wait: nobody has a phone that could be asked, so each waits for the requester's manager, who has a card in
//! Teams and takes their time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt};
use launcher::stage::shipped_playbooks;
use launcher::{Processes, SettingsMap};
use simulators::Event;
use simulators::entra::Push;
use simulators::teams::{CardReaction, Choice, Press};
use tokio::sync::Semaphore;

use super::ends::{Awaited, GIVEN_UP_AFTER};
use super::ground::Ground;
use super::house::{House, LONG};
use super::waiting::{Approvals, HANDS, WARM_UP};

/// The playbook and its step that asks the manager.
const PLAYBOOK: &str = "password_reset.yml";
const STEP: &str = "verify_manager";

/// The six services, and managers who let everybody wait. Dropped, they are gone.
pub(super) struct Patience {
    house: House,
    /// Cards on which a button was pressed, from the first on.
    pressed: AtomicUsize,
}

impl Patience {
    /// With as many people as are to wait at the same time.
    pub(super) async fn new(tickets: u32) -> anyhow::Result<Self> {
        let ground = Ground::new().await?;
        let playbooks = patient_playbooks(&ground.directory().join("playbooks"))?;
        let people = tickets.saturating_add(WARM_UP);
        let house = House::on(ground, people, playbooks, settings()).await?;
        let world = &house.street.world;
        world.entra().push_default(Push::no_method());
        world.teams().react_default(CardReaction::ignore());
        Ok(Self {
            house,
            pressed: AtomicUsize::new(0),
        })
    }

    /// People write, as many at the same time as there are hands: another does when one's manager has a card.
    async fn write(&self, tickets: u32, hands: &Semaphore) -> anyhow::Result<Vec<Awaited>> {
        let street = &self.house.street;
        let mut written = Vec::new();
        for _ in 0..tickets {
            a_card_each(hands, 1).await?;
            written.push(street.write(&street.somebody()?));
        }
        a_card_each(hands, HANDS).await?;
        Ok(written)
    }
}

/// Take `hands`, each of which is free when a manager has a card.
async fn a_card_each(hands: &Semaphore, count: usize) -> anyhow::Result<()> {
    let count = u32::try_from(count).context("more hands than anybody has")?;
    let free = tokio::time::timeout(GIVEN_UP_AFTER, hands.acquire_many(count)).await;
    let free = free.with_context(|| {
        format!("no manager was asked for {GIVEN_UP_AFTER:?}: see what became of the tickets in the services' logs")
    })?;
    free?.forget();
    Ok(())
}

impl Approvals for Patience {
    fn ground(&self) -> &Ground {
        &self.house.ground
    }

    fn processes(&self) -> &Processes {
        &self.house.processes
    }

    fn calls(&self) -> u64 {
        self.house.street.world.calls()
    }

    async fn begin(&self, tickets: u32) -> anyhow::Result<Vec<Awaited>> {
        let journal = self.house.street.world.journal();
        let hands = Semaphore::new(HANDS);
        let a_card = |event: &Event| {
            if matches!(event, Event::CardShown { .. }) {
                hands.add_permits(1);
            }
            false
        };
        tokio::select! {
            written = self.write(tickets, &hands) => written,
            // It never sees what it waits for; it sees everything.
            never = journal.wait_from(journal.position(), LONG, a_card) => never.map(|_| vec![]).map_err(Into::into),
        }
    }

    async fn approve(&self) -> anyhow::Result<()> {
        let teams = self.house.street.world.teams();
        let cards = teams.cards().split_off(self.pressed.load(Ordering::Relaxed));
        self.pressed.fetch_add(cards.len(), Ordering::Relaxed);
        let presses = futures::stream::iter(cards).map(|card| async move {
            let answer = teams.press(&card, Press::new(Choice::Approve)).await;
            ensure!(answer.status == 200, "an approval was not taken: {}", answer.seen);
            Ok(())
        });
        presses.buffer_unordered(HANDS).try_collect().await
    }
}

fn settings() -> SettingsMap {
    let ours = [
        // Nobody answers before all are asked, and no text message is to remind them.
        ("APPROVAL_TIMEOUT_S", "3600"),
        ("APPROVAL_SMS_AFTER_S", "3600"),
        // It reads what has changed lately, whoever waits, and would be all there is to count.
        ("HALOPSA_POLL_INTERVAL_S", "86400"),
    ];
    ours.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The shipped playbooks, but for the time that a manager has.
fn patient_playbooks(directory: &Path) -> anyhow::Result<PathBuf> {
    let shipped = shipped_playbooks();
    let read = || format!("cannot read the playbooks in {}", shipped.display());
    std::fs::create_dir(directory)?;
    for entry in std::fs::read_dir(&shipped).with_context(read)? {
        let entry = entry.with_context(read)?;
        let mut source = std::fs::read_to_string(entry.path()).with_context(read)?;
        if entry.file_name() == PLAYBOOK {
            source = patient(&source).with_context(|| {
                format!("step `{STEP}` of {PLAYBOOK} has no time-out: the wait is measured on that step")
            })?;
        }
        std::fs::write(directory.join(entry.file_name()), source)?;
    }
    Ok(directory.to_owned())
}

/// The same playbook with an hour for its step that asks the manager; nothing where that has no time-out.
fn patient(source: &str) -> Option<String> {
    let (before, step) = source.split_once(&format!("- id: {STEP}\n"))?;
    let (step_before, timeout) = step.split_once("timeout: ")?;
    let (_, after) = timeout.split_once('\n')?;
    // Another step has begun where this one has none.
    (!step_before.contains("- id: "))
        .then(|| format!("{before}- id: {STEP}\n{step_before}timeout: 1h\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_has_an_hour_and_nothing_else_of_the_playbook_is_changed() {
        let shipped = std::fs::read_to_string(shipped_playbooks().join(PLAYBOOK)).unwrap();
        let patient = patient(&shipped).unwrap();
        let changed: Vec<_> = shipped
            .lines()
            .zip(patient.lines())
            .filter(|(one, other)| one != other)
            .collect();
        assert_eq!(changed, [("    timeout: 600", "    timeout: 1h")]);
        assert_eq!(shipped.lines().count(), patient.lines().count());
    }

    #[test]
    fn the_time_out_of_another_step_is_not_taken_for_it() {
        let without = "steps:\n  - id: verify_manager\n    on_success: next\n  - id: next\n    timeout: 60\n";
        assert_eq!(patient(without), None);
    }
}
