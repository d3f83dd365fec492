//! The whole way of a ticket, from the help desk's webhook to the last write-back, through all six services and a world in
//! which everybody answers at once.

use std::time::{Duration, Instant};

use common::Service;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use simulators::Event;

use super::ends::GIVEN_UP_AFTER;
use super::figures::{Load, Recovery, Ticket, count};
use super::history::{self, Past};
use super::house::House;
use super::patience::Patience;
use super::waiting;
use super::{AT_ONCE, MIDDLE, SETTLING, half_of, say, wanted};
use crate::arguments::{Bench, Part};

/// People who write: more than have an open ticket at the same time, so that nobody has two.
const PEOPLE: u32 = 1100;
/// In flight when orchestration is killed.
const IN_FLIGHT: usize = 1000;
/// What becomes of their tickets.
const PLAYBOOK: &str = "password_reset";

/// Measure what is wanted of it.
pub(super) async fn measure(command: &Bench) -> anyhow::Result<Ticket> {
    let mut ticket = Ticket::default();
    if command.only != Some(Part::Waiting) {
        ticket = answered_at_once(command).await?;
    }
    if wanted(command, Part::Waiting) {
        say("ticket: setting up all of it for people who do not answer ...");
        let patience = Patience::new(command.waiting).await?;
        say(&format!("ticket: {} wait for an approval ...", command.waiting));
        ticket.waiting = Some(waiting::measure(&patience, command.waiting).await?);
    }
    Ok(ticket)
}

/// Everything but the wait.
async fn answered_at_once(command: &Bench) -> anyhow::Result<Ticket> {
    say("ticket: setting up a private Postgres, Redis, the six services and a simulated world ...");
    let mut house = House::new(PEOPLE).await?;
    let window = Duration::from_secs(command.seconds);
    say("ticket: settling in ...");
    closed(&house, MIDDLE, SETTLING).await?;
    house.ground.analyse().await?;
    let mut ticket = Ticket::default();
    if wanted(command, Part::Closed) {
        for at_once in AT_ONCE {
            say(&format!("ticket: {at_once} at a time ..."));
            ticket.closed.push(closed(&house, at_once, window).await?);
        }
    }
    if wanted(command, Part::Open) {
        let rate = match (command.rate, half_of(&ticket.closed)) {
            (Some(rate), _) => f64::from(rate),
            (None, Some(half)) => half,
            (None, None) => closed(&house, MIDDLE, window).await?.per_second / 2.0,
        };
        say(&format!("ticket: {rate:.0} a second ..."));
        ticket.open = Some(open(&house, rate.max(1.0), window).await?);
    }
    if wanted(command, Part::Recovery) {
        say(&format!(
            "ticket: orchestration is killed with {IN_FLIGHT} in flight ..."
        ));
        ticket.recovery = Some(recovery(&mut house).await?);
    }
    if wanted(command, Part::History) {
        say(&format!("ticket: {} have finished long ago ...", command.history));
        let past = Past {
            playbook: PLAYBOOK,
            people: house.street.writers().map(|(id, _)| id).collect(),
        };
        let load = || closed(&house, MIDDLE, window);
        ticket.history = Some(history::measure(&house.ground.owner, &past, command.history, load).await?);
    }
    Ok(ticket)
}

async fn closed(house: &House, at_once: u32, window: Duration) -> anyhow::Result<Load> {
    let street = house.street.clone();
    let one = move || {
        let street = street.clone();
        async move { street.ticket().await }
    };
    house.ground.closed(&house.processes, at_once, window, one).await
}

async fn open(house: &House, per_second: f64, window: Duration) -> anyhow::Result<Load> {
    let one = || {
        let street = house.street.clone();
        async move { street.ticket().await }
    };
    house.ground.open(&house.processes, per_second, window, one).await
}

/// 1,000 people write at once; orchestration is killed when a tenth of them has a pass.
async fn recovery(house: &mut House) -> anyhow::Result<Recovery> {
    let street = house.street.clone();
    let writers: Vec<String> = (0..IN_FLIGHT)
        .map(|_| street.somebody())
        .collect::<Result<_, _>>()?;
    let passes = |email: &String| street.world.entra().passes_created(email);
    let before: Vec<usize> = writers.iter().map(passes).collect();
    let position = street.world.journal().position();
    let mut tickets: FuturesUnordered<_> = writers
        .iter()
        .map(|email| {
            let (street, email) = (street.clone(), email.clone());
            tokio::spawn(async move { street.write(&email).resolved().await })
        })
        .collect();
    let mut made = 0;
    let a_tenth = |event: &Event| {
        made += usize::from(matches!(event, Event::PassCreated { .. }));
        made > IN_FLIGHT / 10
    };
    street
        .world
        .journal()
        .wait_from(position, GIVEN_UP_AFTER, a_tenth)
        .await?;
    house.processes.kill(Service::Orchestration);
    let began = Instant::now();
    house.processes.start(Service::Orchestration)?;
    let mut lost = 0;
    while let Some(ended) = tickets.next().await {
        if !matches!(ended, Ok(Ok(_))) {
            lost += 1;
        }
    }
    let finished_in = began.elapsed();
    house.ground.written_back().await?;
    let repeated = writers
        .iter()
        .zip(before)
        .filter(|(email, before)| passes(email) > before + 1);
    let repeated = count(repeated.count());
    street.are_done(writers);
    Ok(Recovery {
        in_flight: count(IN_FLIGHT),
        finished_in_s: finished_in.as_secs_f64(),
        lost,
        repeated,
    })
}
