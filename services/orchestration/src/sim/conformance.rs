//! The model against the SQL: the same random operations on both, one after the other, must answer the same and leave the
//! same rows. So what the simulation finds out about the model holds of the tables.
//!
//! Time passes by setting back what is stored, on both sides; no operation ever waits.

mod drives;
mod operators;
mod outbox;
mod rows;
mod signals;

use std::time::Duration;

use common::clock;
use common::{ExecutionId, OperationId, StepId, TicketId};
use launcher::testing::TestDatabase;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::PgPool;

use super::guard::Guard;
use super::model::{self, Model};
use crate::store::{self, Claimed, ClaimedTicket, Presence, Store, stored};

/// Operations on each database.
const OPERATIONS: usize = 300;
/// Databases.
const SEEDS: u64 = 10;
/// A guard that is left out is found missing on one of so many.
const SEEDS_WITHOUT: u64 = 12;
/// Longer than a test takes, so that nothing runs out by itself.
const LONG: Duration = Duration::from_mins(10);
/// What is due that soon may be due on one side and not yet on the other.
const SOON: Duration = Duration::from_secs(4);
const TICKETS: [&str; 6] = ["4241", "4242", "4243", "4244", "4245", "4246"];

/// Both of them, and what whoever works with them would have in hand.
struct Pair {
    store: Store,
    owner: PgPool,
    model: Model,
    dice: StdRng,
    presences: Vec<Presence>,
    /// What was ever claimed, much of it lost since.
    claims: Vec<Claimed>,
    executions: Vec<ExecutionId>,
    operations: Vec<(ExecutionId, StepId, OperationId)>,
    turns: Vec<ClaimedTicket>,
    /// What operators saw.
    stopped: Vec<(ExecutionId, store::Stopped, model::Stopped)>,
    trace: Vec<String>,
    difference: Option<String>,
}

impl Pair {
    async fn new(database: &TestDatabase, seed: u64, without: Option<Guard>) -> Self {
        let store = stored::store(database).await;
        let tenant = store.tenant().clone();
        Self {
            store,
            owner: database.owner().await,
            model: Model::new(clock::now(), tenant, without),
            dice: StdRng::seed_from_u64(seed),
            presences: vec![],
            claims: vec![],
            executions: vec![],
            operations: vec![],
            turns: vec![],
            stopped: vec![],
            trace: vec![],
            difference: None,
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.dice.random_bool(probability)
    }

    fn below(&mut self, most: usize) -> usize {
        self.dice.random_range(0..most)
    }

    /// One of what there is.
    fn one_of<T: Clone>(&mut self, things: &[T]) -> Option<T> {
        if things.is_empty() {
            return None;
        }
        things.get(self.dice.random_range(0..things.len())).cloned()
    }

    fn ticket(&mut self) -> TicketId {
        let ticket = self.one_of(&TICKETS).expect("there are some");
        ticket.parse().expect("a ticket's number")
    }

    /// Both should have answered the same. The first time that they did not counts.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was answered is asked for where it is compared"
    )]
    fn same<T: std::fmt::Debug + PartialEq>(&mut self, what: &str, real: T, model: T) {
        if real != model && self.difference.is_none() {
            let before = self.trace.join("\n");
            let difference = format!("{what}: the tables {real:#?}, the model {model:#?}, after\n{before}");
            self.difference = Some(difference);
        }
    }

    fn say(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    /// The clocks agree, and nothing is due in this very moment.
    async fn tick(&mut self) {
        self.model.now = clock::now();
        let (now, soon) = (self.model.now, self.model.now + SOON);
        if self.model.times().any(|time| *time > now && *time < soon) {
            self.pass(SOON).await;
        }
    }

    /// Time passes.
    async fn pass(&mut self, time: Duration) {
        self.say(format!("{time:?} pass"));
        self.model.times().for_each(|stored| *stored -= time);
        let seconds = time.as_secs_f64();
        for update in [
            "UPDATE playbook_executions SET wake_at = wake_at - make_interval(secs => $1)",
            "UPDATE execution_runners SET leased_until = leased_until - make_interval(secs => $1)",
            "UPDATE ticket_outboxes SET wake_at = wake_at - make_interval(secs => $1)",
        ] {
            sqlx::query(update)
                .bind(seconds)
                .execute(&self.owner)
                .await
                .expect("the owner may change every table");
        }
    }

    /// One operation on both.
    async fn act(&mut self) {
        self.tick().await;
        match self.below(100) {
            0..14 => self.accept().await,
            14..30 => self.claim().await,
            30..48 => self.write().await,
            48..54 => self.ask().await,
            54..60 => self.hear().await,
            60..64 => self.presence().await,
            64..68 => self.look().await,
            68..74 => self.operate().await,
            74..78 => self.retry().await,
            78..84 => self.take_tickets().await,
            84..95 => self.close().await,
            _ => {
                let span = [1, 40, 700].map(Duration::from_secs);
                let span = self.one_of(&span).expect("there are some");
                self.pass(span).await;
            }
        }
    }
}

/// Random operations on a fresh database and a fresh model: where they differ.
async fn difference(seed: u64, without: Option<Guard>) -> Option<String> {
    let database = launcher::testing::database().await;
    let mut pair = Pair::new(&database, seed, without).await;
    for _ in 0..OPERATIONS {
        pair.act().await;
        pair.compare().await;
        if pair.difference.is_some() {
            return pair.difference;
        }
    }
    let little = pair.claims.len() < 5 || pair.turns.is_empty();
    little.then(|| format!("too little happened: {} claims", pair.claims.len()))
}

#[tokio::test]
async fn the_model_answers_and_writes_what_the_tables_do() {
    for seed in 0..SEEDS {
        if let Some(difference) = difference(seed, None).await {
            panic!("seed {seed}: {difference}");
        }
    }
}

#[tokio::test]
async fn a_model_that_leaves_a_guard_out_is_found_out() {
    for guard in [
        Guard::Fence,
        Guard::StandingAtCommit,
        Guard::UpdatesKnown,
        Guard::CancelledEndsWithAPerson,
    ] {
        let mut found = false;
        for seed in 0..SEEDS_WITHOUT {
            found |= difference(seed, Some(guard)).await.is_some();
            if found {
                break;
            }
        }
        assert!(found, "the tables do the same without {guard:?}");
    }
}
