//! A whole fleet in its world for one test, with waits that fit a test.
//!
//! ```no_run
//! # async fn test() {
//! use std::time::Duration;
//! let stage = launcher::testing::TestFleet::start().await;
//! let ticket = stage.file_ticket("adele@contoso.example", "I can't log in");
//! let ended = stage.wait_for_end(ticket).await;
//! assert_eq!(ended.status, "Resolved");
//! # }
//! ```

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use common::client::{OrchestrationClient, PlaybookClient};
use common::{ExecutionView, Service};
use serde_json::Value;
use simulators::halo::{NewTicket, TicketView};
use simulators::{World, WorldSettings};
use sqlx::PgPool;
use trust::Identity;

use super::{TestDatabase, TestKeys, chain, database};
use crate::fleet::{Fleet, Ports, SettingsMap};
use crate::people;
use crate::stage::{Stage, StageSettings, ended, shipped_playbooks};
use crate::tripwires::NO_TRIPWIRES;

/// Long enough for every short wait below, twice over, on a machine that compiles beside the tests.
const END_WITHIN: Duration = Duration::from_secs(90);

/// What people get to answer and how soon things are tried again, in seconds; production waits minutes.
pub const SHORT_WAITS: [(&str, &str); 7] = [
    ("MFA_TIMEOUT_S", "4"),
    ("APPROVAL_TIMEOUT_S", "8"),
    ("APPROVAL_SMS_AFTER_S", "3"),
    ("HALOPSA_POLL_INTERVAL_S", "2"),
    ("CIRCUIT_PROBE_S", "1"),
    ("LEASE_S", "3"),
    ("GATE_PATIENCE_S", "30"),
];

/// What a test may change about its fleet; `default()` is the shipped fleet with [`SHORT_WAITS`] and [`NO_TRIPWIRES`].
#[derive(Default)]
pub struct TestFleetSettings {
    /// The outside world.
    pub world: WorldSettings,
    /// For all services.
    pub settings: SettingsMap,
    /// For one service, before all others.
    pub overrides: BTreeMap<Service, SettingsMap>,
}

/// A stage (`fleet`, `world`) on a database of its own. Dropped, all of it is gone.
pub struct TestFleet {
    // In the order in which they must go.
    stage: Stage,
    owner: PgPool,
    /// Postgres and Redis of this test.
    pub database: TestDatabase,
    keys: TestKeys,
}

impl Deref for TestFleet {
    type Target = Stage;
    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for TestFleet {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

impl TestFleet {
    /// The shipped fleet with [`SHORT_WAITS`] and [`NO_TRIPWIRES`].
    ///
    /// # Panics
    /// It does not start; the message says why.
    pub async fn start() -> Self {
        Self::with(TestFleetSettings::default()).await
    }

    /// A fleet with other settings.
    ///
    /// # Panics
    /// It does not start; the message says why.
    pub async fn with(settings: TestFleetSettings) -> Self {
        let database = database().await;
        let keys = TestKeys::fresh();
        let short = SHORT_WAITS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut all = SettingsMap::from(short);
        all.extend(NO_TRIPWIRES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        all.extend(settings.settings);
        let stage = Stage::set(StageSettings {
            world: settings.world,
            ports: Ports::Any,
            databases: Service::ALL
                .map(|service| (service, database.url(service)))
                .into(),
            redis: database.redis_url(),
            keys: keys.directory().to_owned(),
            playbooks: shipped_playbooks(),
            settings: all,
            overrides: settings.overrides,
        })
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
        Self {
            stage,
            owner: database.owner().await,
            database,
            keys,
        }
    }

    /// The outside.
    pub fn world(&self) -> &World {
        &self.stage.world
    }

    /// The six services, to stop, crash and start.
    pub fn fleet(&mut self) -> &mut Fleet {
        &mut self.stage.fleet
    }

    /// The database as its owner: may look into every table.
    pub fn owner(&self) -> &PgPool {
        &self.owner
    }

    /// File a ticket in the simulated HaloPSA, which tells the classifier. Answers its number.
    pub fn file_ticket(&self, from: &str, summary: &str) -> i64 {
        self.world().halo().file_ticket(NewTicket::new(from, summary))
    }

    /// Wait until the ticket is manual, resolved or escalated and the help desk knows everything.
    ///
    /// # Panics
    /// It does not end in time; the message tells the last state seen.
    pub async fn wait_for_end(&self, ticket: i64) -> TicketView {
        match ended(self.world(), &self.owner, ticket, END_WITHIN).await {
            Ok(ticket) => ticket,
            Err(error) => panic!("{error}\n{}", self.told(ticket).await),
        }
    }

    /// The newest execution of a ticket, as an operator sees it; `None` where there is none.
    ///
    /// # Panics
    /// Orchestration refuses, or answers something else.
    pub async fn execution(&self, ticket: i64) -> Option<ExecutionView> {
        let id = ticket.to_string().parse().expect("a number is a ticket id");
        match self.orchestration(&["operator"]).of_ticket(&id).await {
            Ok(view) => Some(view),
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("no view of ticket {ticket}: {error}"),
        }
    }

    /// Who a service of this fleet is, to knock at the others' doors in its name.
    ///
    /// # Panics
    /// Its key files are gone.
    pub fn identity(&self, service: Service) -> Identity {
        self.keys.identity(service)
    }

    /// The key files of this fleet.
    pub fn keys(&self) -> &TestKeys {
        &self.keys
    }

    /// Orchestration, for a person with these roles.
    ///
    /// # Panics
    /// This machine has no HTTP client.
    pub fn orchestration(&self, roles: &[&str]) -> OrchestrationClient {
        let token = self.world().token_for("grady@contoso.example", roles);
        people::orchestration(self.stage.fleet.url(Service::Orchestration), token.into())
            .expect("an http client")
    }

    /// The playbook service, for a person with these roles.
    ///
    /// # Panics
    /// This machine has no HTTP client.
    pub fn playbooks(&self, roles: &[&str]) -> PlaybookClient {
        let token = self.world().token_for("grady@contoso.example", roles);
        people::playbooks(self.stage.fleet.url(Service::Playbook), token.into()).expect("an http client")
    }

    /// The audit trail of a ticket, oldest first: kind, actor, detail.
    ///
    /// # Panics
    /// The database does not answer.
    pub async fn audit(&self, ticket: i64) -> Vec<(String, String, Value)> {
        sqlx::query_as("SELECT kind, actor, detail FROM audit_events WHERE ticket_id = $1 ORDER BY id")
            .bind(ticket.to_string())
            .fetch_all(&self.owner)
            .await
            .expect("the audit trail is readable for the owner")
    }

    /// Everything worth knowing about a ticket that did not do as expected.
    async fn told(&self, ticket: i64) -> String {
        let audit = self.audit(ticket).await.into_iter();
        let audit = audit.map(|(kind, actor, detail)| format!("  {kind} by {actor}: {detail}"));
        let entries = self.world().journal().entries();
        let last = entries.iter().skip(entries.len().saturating_sub(30));
        let seen = last.map(|entry| format!("  {:?}", entry.event));
        let lines = ["audit trail:".to_owned()].into_iter().chain(audit);
        let lines = lines.chain(["the world:".to_owned()]).chain(seen);
        lines.collect::<Vec<_>>().join("\n")
    }
}
