//! Tells what happens while it happens: what the outside world saw (its journal) and what the services decided (their
//! audit trail), in the order of time, one lane for each ticket.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use owo_colors::{AnsiColors, OwoColorize};
use serde_json::Value;
use simulators::entra::PushAnswer;
use simulators::{Event, World};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use super::cast::Part;
use crate::terminal;

/// How often something is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// An audit event is seen a moment after its time, when its transaction has ended. What is younger than this is not
/// told yet, so that the story keeps to the order of time.
const SETTLED_AFTER: Duration = Duration::from_millis(300);

/// So that the eye finds a ticket; the number in front says the same without colours.
const COLOURS: [AnsiColors; 3] = [AnsiColors::Cyan, AnsiColors::Yellow, AnsiColors::Magenta];

/// The longest text of a card or message that is told.
const LONGEST_QUOTE: usize = 400;

/// Where the sentences begin, and how wide they may be: together they fit a terminal of 120 columns.
const INDENT: usize = 41;
const WIDTH: usize = 79;

struct Lane {
    ticket: i64,
    email: String,
    given_name: String,
    manager: Option<String>,
    phone: Option<String>,
    colour: AnsiColors,
}

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
    lanes: Vec<Lane>,
    began: OffsetDateTime,
    heard_until: u64,
    known: BTreeSet<Uuid>,
    scenes: VecDeque<Scene>,
    colours: bool,
}

impl<'a> Story<'a> {
    /// The story of `parts`, whose tickets are `tickets`.
    pub(super) fn of(world: &'a World, owner: PgPool, parts: &[Part], tickets: &[i64]) -> Self {
        let lanes = parts
            .iter()
            .zip(tickets)
            .zip(COLOURS)
            .map(|((part, ticket), colour)| Lane {
                ticket: *ticket,
                email: part.person.email.clone(),
                given_name: part.person.given_name().to_owned(),
                manager: part.person.manager.clone(),
                phone: part.person.e164(),
                colour,
            });
        let lanes: Vec<Lane> = lanes.collect();
        let entries = world.journal().entries();
        let first = entries
            .iter()
            .find(|entry| matches!(entry.event, Event::TicketFiled { .. }));
        Self {
            world,
            owner,
            lanes,
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
            if let Some((lane, place, what)) = self.seen_outside(&entry.event) {
                self.scenes.push_back(Scene {
                    at: entry.at,
                    lane,
                    place: place.to_owned(),
                    what,
                });
            }
        }
        let tickets: Vec<String> = self.lanes.iter().map(|lane| lane.ticket.to_string()).collect();
        let events: Vec<(Uuid, OffsetDateTime, String, String, String, Value)> = sqlx::query_as(
            "SELECT id, at, service, ticket_id, kind, detail
             FROM audit_events
             WHERE ticket_id = ANY($1)
             ORDER BY id",
        )
        .bind(&tickets)
        .fetch_all(&self.owner)
        .await?;
        for (id, at, service, ticket, kind, detail) in events {
            let lane = tickets.iter().position(|known| *known == ticket);
            if self.known.insert(id)
                && let Some(what) = decided_inside(&kind, &detail)
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
        let lane = scene.lane.and_then(|lane| self.lanes.get(lane));
        let who = lane
            .map(|lane| format!("#{} {}", lane.ticket, lane.given_name))
            .unwrap_or_default();
        let what = wrapped(&scene.what, WIDTH).join(&format!("\n{}", " ".repeat(INDENT)));
        let text = format!("{after:6.1} s  {who:<14}{:<16}  {what}", scene.place);
        match lane {
            Some(lane) if self.colours => terminal::line(&text.color(lane.colour).to_string()),
            _ => terminal::line(&text),
        }
    }

    fn lane_of_ticket(&self, ticket: i64) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.ticket == ticket)
    }

    fn lane_of_person(&self, email: &str) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.email == email)
    }

    fn lane_of_phone(&self, number: &str) -> Option<usize> {
        self.lanes
            .iter()
            .position(|lane| lane.phone.as_deref() == Some(number))
    }

    /// A card names the ticket it is about; otherwise the manager is asked for the one who reports to them.
    fn lane_of_card(&self, email: &str, text: &str) -> Option<usize> {
        let named = self
            .lanes
            .iter()
            .position(|lane| text.contains(&lane.ticket.to_string()));
        named.or_else(|| {
            let mut reports = self
                .lanes
                .iter()
                .enumerate()
                .filter(|(_, lane)| lane.manager.as_deref() == Some(email));
            reports.next_back().map(|(lane, _)| lane)
        })
    }

    fn name(&self, email: &str) -> String {
        let company = self.world.company();
        company
            .iter()
            .find(|person| person.email == email)
            .map_or_else(|| email.to_owned(), |person| person.name.clone())
    }

    /// The lane, the place and the sentence for what the outside world saw; nothing for what only machines care about.
    fn seen_outside(&self, event: &Event) -> Option<(Option<usize>, &'static str, String)> {
        Some(match event {
            Event::TicketFiled {
                ticket,
                from,
                summary,
            } => (
                self.lane_of_ticket(*ticket),
                "HaloPSA",
                format!("{} writes: \"{summary}\"", self.name(from)),
            ),
            Event::NoteAdded {
                ticket,
                text,
                private,
                ..
            } => {
                let kind = if *private {
                    "private note"
                } else {
                    "note to the requester"
                };
                let first = text.trim().lines().next().unwrap_or_default();
                (
                    self.lane_of_ticket(*ticket),
                    "HaloPSA",
                    format!("{kind}: {}", quote(first)),
                )
            }
            Event::CustomFieldChanged { ticket, field, value } => (
                self.lane_of_ticket(*ticket),
                "HaloPSA",
                format!("{} is now `{value}`", field.trim_start_matches("CF")),
            ),
            Event::StatusChanged { ticket, from, to, .. } => (
                self.lane_of_ticket(*ticket),
                "HaloPSA",
                format!("status {from} -> {to}"),
            ),
            Event::Assigned {
                ticket, agent, team, ..
            } => (
                self.lane_of_ticket(*ticket),
                "HaloPSA",
                format!("assigned to {agent}, team {team}"),
            ),
            Event::PushShown { email } => (
                self.lane_of_person(email),
                "phone",
                format!("a sign-in request appears on the phone of {}", self.name(email)),
            ),
            Event::PushAnswered { email, answer } => (
                self.lane_of_person(email),
                "phone",
                format!("{} {}", self.name(email), pressed(answer)),
            ),
            Event::PassCreated { email, .. } => (
                self.lane_of_person(email),
                "Entra",
                format!("a Temporary Access Pass exists for {}", self.name(email)),
            ),
            Event::PassDeleted { email, .. } => (
                self.lane_of_person(email),
                "Entra",
                format!("a Temporary Access Pass of {} is deleted", self.name(email)),
            ),
            Event::BotInstalled { email } => (
                self.lane_of_card(email, ""),
                "Teams",
                format!("the bot is installed for {}", self.name(email)),
            ),
            Event::CardShown { email, text, .. } => (
                self.lane_of_card(email, text),
                "Teams",
                format!("{} gets a card:\n{}", self.name(email), quote(text)),
            ),
            Event::CardUpdated { email, text, .. } => (
                self.lane_of_card(email, text),
                "Teams",
                format!("the card of {} now reads:\n{}", self.name(email), quote(text)),
            ),
            Event::ButtonPressed { email, verb, .. } => (
                self.lane_of_card(email, ""),
                "Teams",
                format!("{} presses `{verb}`", self.name(email)),
            ),
            Event::SmsReceived { to, body, .. } => {
                let passes = self.passes_of(to);
                (
                    self.lane_of_phone(to),
                    "SMS",
                    format!(
                        "the phone {} gets:\n{}",
                        mask_number(to),
                        quote(&mask_pass(body, &passes))
                    ),
                )
            }
            Event::WebhookDelivered {
                system,
                event,
                status,
                ..
            } if !status.is_some_and(|status| status < 300) => (
                None,
                "webhook",
                format!("{system:?} {event}: answered {status:?}"),
            ),
            Event::FaultStruck { system, fault, path } => {
                (None, "fault", format!("{system:?} {path}: {fault}"))
            }
            _ => return None,
        })
    }

    fn passes_of(&self, number: &str) -> Vec<String> {
        let company = self.world.company();
        let owner = company
            .iter()
            .find(|person| person.e164().as_deref() == Some(number));
        owner
            .map(|person| passes(self.world, &person.email))
            .unwrap_or_default()
    }
}

/// The values of a person's live passes.
pub(super) fn passes(world: &World, email: &str) -> Vec<String> {
    world
        .entra()
        .live_passes(email)
        .into_iter()
        .map(|pass| pass.value)
        .collect()
}

/// What a service decided, from its audit event; nothing for what a neighbouring line says already.
fn decided_inside(kind: &str, detail: &Value) -> Option<String> {
    let text = |name: &str| {
        detail
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let step = || {
        detail
            .pointer("/step/id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Some(match kind {
        "decision.recorded" => decision(detail),
        "execution.accepted" => format!("starts the playbook {} {}", text("playbook"), text("version")),
        "step.begun" => format!("step `{}` begins", step()),
        "step.asked" => text("explanation"),
        "step.ended" => {
            let next = detail.get("next").and_then(Value::as_str);
            let next = next
                .map(|next| format!("\nnext step: `{next}`"))
                .unwrap_or_default();
            format!(
                "step `{}`: {}. {}{next}",
                step(),
                text("outcome"),
                text("explanation")
            )
        }
        "step.failed" | "step.parked" => format!("step `{}`: {}", step(), text("explanation")),
        "execution.ended" => format!("the playbook has ended at `{}`", text("step")),
        "permit.issued" => format!(
            "signs a permit for {}, good once and for 10 minutes",
            text("action")
        ),
        "permit.spent" => format!("checks and burns the permit (method {})", text("method")),
        "effect.done" => {
            "seals the pass to delivery's key, with the phone number from the directory".to_owned()
        }
        "delivery.sent" => "opens the seal and hands one SMS to Twilio".to_owned(),
        // Told by their neighbours: the step's own lines, the help desk's, the phone's.
        "ticket.marked"
        | "execution.requested"
        | "signal.received"
        | "ticket_update.sent"
        | "effect.intended"
        | "delivery.intended"
        | "delivery.done"
        | "verification.asked"
        | "verification.push_sent"
        | "verification.card_sent"
        | "verification.answered"
        | "verification.ended" => return None,
        other => format!("{other} {}", brief(detail)),
    })
}

/// The gate's verdict with its reasons.
fn decision(detail: &Value) -> String {
    let confidence = detail
        .get("confidence")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let blockers = detail
        .get("blockers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let blockers: Vec<&str> = blockers.filter_map(Value::as_str).collect();
    let named = |name: &str| detail.get(name).and_then(Value::as_str);
    let category = named("sub_category")
        .or_else(|| named("category"))
        .unwrap_or("no category");
    if blockers.is_empty() {
        format!("may be automated: {category}, confidence {confidence:.2}")
    } else {
        format!(
            "is left to a person: {} ({category}, confidence {confidence:.2})",
            blockers.join(", ")
        )
    }
}

/// The values of an event that tell a person something: no ids, no digests.
pub(super) fn brief(detail: &Value) -> String {
    let Some(members) = detail.as_object() else {
        return String::new();
    };
    let told = members
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", plain(value)?)));
    told.collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(format!("[{}]", items.join(", "))).filter(|text| text != "[]")
        }
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(number) => number
            .as_f64()
            .map(|number| format!("{}", (number * 100.0).round() / 100.0)),
        Value::String(text) if text.is_empty() || is_machine_readable(text) => None,
        Value::String(text) => Some(shortened(text, 100)),
        // A step by its id, anything else by what is inside.
        Value::Object(members) => match members.get("id").and_then(Value::as_str) {
            Some(id) => Some(id.to_owned()),
            None => Some(format!("({})", brief(value))).filter(|text| text != "()"),
        },
    }
}

/// An id, a digest or a token: long, and nothing but letters, digits and dashes with at least one digit among them.
fn is_machine_readable(text: &str) -> bool {
    let marks = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '_');
    text.len() > 16 && text.chars().all(marks) && text.contains(|c: char| c.is_ascii_digit())
}

fn pressed(answer: &PushAnswer) -> String {
    match answer {
        PushAnswer::Approve => "approves it".to_owned(),
        PushAnswer::Deny => "denies it".to_owned(),
        PushAnswer::Fraud => "denies it and reports fraud".to_owned(),
        PushAnswer::NoAnswer => "has not answered it".to_owned(),
        other => format!("ends it: {other:?}"),
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", shortened(text.trim(), LONGEST_QUOTE))
}

/// The lines of `text`, none wider than `width` where its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.trim().lines() {
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines
}

fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest).chain(['…']).collect()
}

/// `+447700900102` -> `+44•••••102`.
pub(super) fn mask_number(number: &str) -> String {
    let characters: Vec<char> = number.chars().collect();
    let shown_end = characters.len().saturating_sub(3);
    let hide = |(place, character): (usize, &char)| {
        if (3..shown_end).contains(&place) {
            '•'
        } else {
            *character
        }
    };
    characters.iter().enumerate().map(hide).collect()
}

/// A pass in a text becomes dots: by its value where the directory still knows it, and by its looks in any case.
pub(super) fn mask_pass(body: &str, passes: &[String]) -> String {
    let known = passes.iter().fold(body.to_owned(), |body, pass| {
        body.replace(pass.as_str(), "••••••••")
    });
    let word = |word: &str| {
        let letters = word.chars().filter(char::is_ascii_alphabetic).count();
        let others = word.chars().filter(|c| !c.is_ascii_alphabetic()).count();
        if word.chars().count() >= 8 && letters > 0 && others > 1 {
            "••••••••".to_owned()
        } else {
            word.to_owned()
        }
    };
    known.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_masked_by_value_and_by_looks() {
        let body = "Your pass is Tb8#kQ2x9 until 14:30, Adele. Details: contoso.";
        let by_value = mask_pass(body, &["Tb8#kQ2x9".to_owned()]);
        let by_looks = mask_pass(body, &[]);
        assert_eq!(
            by_value,
            "Your pass is •••••••• until 14:30, Adele. Details: contoso."
        );
        assert_eq!(by_looks, by_value);
    }

    #[test]
    fn long_sentences_wrap_between_words() {
        assert_eq!(wrapped("one two three\nfour", 8), ["one two", "three", "four"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
    }

    #[test]
    fn a_number_keeps_its_country_and_its_last_digits() {
        assert_eq!(mask_number("+447700900102"), "+44•••••••102");
    }

    #[test]
    fn every_outcome_of_a_step_names_the_next_one() {
        let detail = serde_json::json!({
            "step": {"id": "verify_mfa", "visit": 1, "attempt": 1},
            "outcome": "timeout",
            "explanation": "Alex Wilber did not answer.",
            "next": "verify_manager",
        });
        assert_eq!(
            decided_inside("step.ended", &detail).unwrap(),
            "step `verify_mfa`: timeout. Alex Wilber did not answer.\nnext step: `verify_manager`"
        );
    }
}
