//! Tells what happens while it happens: what the outside world saw (its journal) and what the services decided (their
//! audit trail), in the order of time, one lane for each ticket.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use owo_colors::{AnsiColors, OwoColorize};
use serde_json::Value;
use simulators::{Event, World};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use super::cast::Part;
use super::inside;
use super::outside::Lanes;
use super::words::wrapped;
use crate::terminal;

/// How often something is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// An audit event is seen a moment after its time, when its transaction has ended. What is younger than this is not
/// told yet, so that the story keeps to the order of time.
const SETTLED_AFTER: Duration = Duration::from_millis(300);

/// So that the eye finds a ticket; the number in front says the same without colours.
const COLOURS: [AnsiColors; 3] = [AnsiColors::Cyan, AnsiColors::Yellow, AnsiColors::Magenta];

/// Where the sentences begin, and how wide they may be: together they fit a terminal of 120 columns.
const INDENT: usize = 41;
const WIDTH: usize = 79;

struct Scene {
    at: OffsetDateTime,
    lane: Option<usize>,
    place: String,
    what: String,
}

/// The teller.
pub(super) struct Story<'a> {
    world: &'a World,
    owner: PgPool,
    lanes: Lanes<'a>,
    tickets: Vec<String>,
    began: OffsetDateTime,
    heard_until: u64,
    known: BTreeSet<Uuid>,
    scenes: VecDeque<Scene>,
    colours: bool,
}

impl<'a> Story<'a> {
    /// The story of `parts`, whose tickets are `tickets`.
    pub(super) fn of(world: &'a World, owner: PgPool, parts: &[Part], tickets: &[i64]) -> Self {
        let entries = world.journal().entries();
        let first = entries
            .iter()
            .find(|entry| matches!(entry.event, Event::TicketFiled { .. }));
        Self {
            world,
            owner,
            lanes: Lanes::of(world, parts, tickets),
            tickets: tickets.iter().map(ToString::to_string).collect(),
            began: first.map_or_else(OffsetDateTime::now_utc, |entry| entry.at),
            heard_until: first.map_or(0, |entry| entry.seq),
            known: BTreeSet::new(),
            scenes: VecDeque::new(),
            colours: terminal::colours(),
        }
    }

    /// Tell what happens until it is `over`.
    pub(super) async fn tell_until(&mut self, over: &Notify) -> anyhow::Result<()> {
        let over = over.notified();
        tokio::pin!(over);
        loop {
            self.listen().await?;
            self.tell_before(OffsetDateTime::now_utc() - SETTLED_AFTER);
            tokio::select! {
                () = &mut over => return Ok(()),
                () = tokio::time::sleep(TELL_EVERY) => {}
            }
        }
    }

    /// Tell all that is left.
    pub(super) async fn tell_rest(&mut self) -> anyhow::Result<()> {
        self.listen().await?;
        self.tell_before(OffsetDateTime::now_utc());
        Ok(())
    }

    async fn listen(&mut self) -> anyhow::Result<()> {
        for entry in self.world.journal().since(self.heard_until) {
            self.heard_until = entry.seq + 1;
            if let Some((lane, place, what)) = self.lanes.seen(&entry.event) {
                self.scenes.push_back(Scene {
                    at: entry.at,
                    lane,
                    place: place.to_owned(),
                    what,
                });
            }
        }
        let events: Vec<(Uuid, OffsetDateTime, String, String, String, Value)> = sqlx::query_as(
            "SELECT id, at, service, ticket_id, kind, detail
             FROM audit_events
             WHERE ticket_id = ANY($1)
             ORDER BY id",
        )
        .bind(&self.tickets)
        .fetch_all(&self.owner)
        .await?;
        for (id, at, service, ticket, kind, detail) in events {
            let lane = self.tickets.iter().position(|known| *known == ticket);
            if self.known.insert(id)
                && let Some(what) = inside::told(&kind, &detail)
            {
                self.scenes.push_back(Scene {
                    at,
                    lane,
                    place: service,
                    what,
                });
            }
        }
        self.scenes.make_contiguous().sort_by_key(|scene| scene.at);
        Ok(())
    }

    fn tell_before(&mut self, moment: OffsetDateTime) {
        while self.scenes.front().is_some_and(|scene| scene.at <= moment) {
            if let Some(scene) = self.scenes.pop_front() {
                self.tell(&scene);
            }
        }
    }

    fn tell(&self, scene: &Scene) {
        let after = (scene.at - self.began).as_seconds_f64().max(0.0);
        let who = scene.lane.map(|lane| self.lanes.title(lane)).unwrap_or_default();
        let what = wrapped(&scene.what, WIDTH).join(&format!("\n{}", " ".repeat(INDENT)));
        let text = format!("{after:6.1} s  {who:<14}{:<16}  {what}", scene.place);
        match scene.lane.and_then(|lane| COLOURS.get(lane)) {
            Some(colour) if self.colours => terminal::line(&text.color(*colour).to_string()),
            _ => terminal::line(&text),
        }
    }
}
