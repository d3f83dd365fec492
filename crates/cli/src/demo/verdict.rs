//! What remains of each ticket: its status in HaloPSA, its audit trail, the SMS that the user received; and whether it
//! ended as it should.

use launcher::stage::{NotEnded, STATUS_FIELD};
use serde_json::Value;
use simulators::halo::TicketView;
use simulators::{Event, World};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::cast::{Part, Way};
use super::inside::brief;
use super::outside::passes;
use super::words::{mask_number, mask_pass};
use crate::terminal;

/// Show each ticket and judge it. Answers whether all ended as they should.
pub(super) async fn pronounce(
    world: &World,
    owner: &PgPool,
    parts: &[Part],
    ended: &[Result<TicketView, NotEnded>],
) -> anyhow::Result<bool> {
    let mut well = true;
    for (part, ended) in parts.iter().zip(ended) {
        terminal::line("");
        let differences = match ended {
            Ok(ticket) => {
                show(world, owner, part, ticket).await?;
                differences(world, part, ticket)
            }
            Err(error) => vec![error.to_string()],
        };
        for difference in &differences {
            terminal::line(&format!("  DIFFERS: {difference}"));
        }
        if differences.is_empty() {
            terminal::line(&format!("  As it should be: {}.", expected(part.way)));
        }
        well &= differences.is_empty();
    }
    Ok(well)
}

async fn show(world: &World, owner: &PgPool, part: &Part, ticket: &TicketView) -> anyhow::Result<()> {
    terminal::line(&format!(
        "Ticket #{} of {}: \"{}\"",
        ticket.id, part.person.name, ticket.summary
    ));
    terminal::line(&format!("  status in HaloPSA     {}", ticket.status));
    for (field, value) in &ticket.custom_fields {
        terminal::line(&format!("  {:<21} {value}", field.trim_start_matches("CF")));
    }
    terminal::line(&format!("  notes                 {}", ticket.notes.len()));
    for body in received(world, part) {
        let masked =
            mask_pass(&body, &passes(world, &part.person.email)).replace('\n', "\n                        ");
        let number = part.person.e164().unwrap_or_default();
        terminal::line(&format!("  SMS to {:<14} {masked}", mask_number(&number)));
    }
    terminal::line("  audit trail (ids and digests left out)");
    let trail: Vec<(OffsetDateTime, String, String, String, Value)> = sqlx::query_as(
        "SELECT at, service, kind, actor, detail
         FROM audit_events
         WHERE ticket_id = $1
         ORDER BY at, id",
    )
    .bind(ticket.id.to_string())
    .fetch_all(owner)
    .await?;
    let began = trail.first().map(|(at, ..)| *at);
    for (at, service, kind, actor, detail) in &trail {
        let after = (*at - began.unwrap_or(*at)).as_seconds_f64();
        let by = if *actor == format!("service:{service}") {
            String::new()
        } else {
            format!(" by {actor}")
        };
        terminal::line(&format!(
            "    {after:6.2} s  {service:<13} {kind}{by}  {}",
            brief(detail)
        ));
    }
    Ok(())
}

/// The texts that reached the requester's phone.
fn received(world: &World, part: &Part) -> Vec<String> {
    let number = part.person.e164().unwrap_or_default();
    world
        .twilio()
        .inbox(&number)
        .into_iter()
        .map(|sms| sms.body)
        .collect()
}

const fn expected(way: Way) -> &'static str {
    match way {
        Way::ByPush => "resolved, proven by the requester's own approval",
        Way::ByManager => "resolved, proven by the manager after the push went unanswered",
        Way::LeftAlone => "left to a person, otherwise untouched",
    }
}

/// Everything about the ended ticket and its world that is not as it should be.
fn differences(world: &World, part: &Part, ticket: &TicketView) -> Vec<String> {
    let remains = Remains {
        passes: passes(world, &part.person.email),
        texts: received(world, part),
        cards: cards_about(world, ticket.id),
        ticket,
    };
    let claims = match part.way {
        Way::ByPush => [remains.resolved(), remains.without_manager()].concat(),
        Way::ByManager => [remains.resolved(), remains.with_manager(world, part)].concat(),
        Way::LeftAlone => remains.untouched(),
    };
    let untrue = claims.into_iter().filter(|(holds, _)| !holds);
    untrue.map(|(_, difference)| difference).collect()
}

/// What is left of a ticket in the world.
struct Remains<'a> {
    ticket: &'a TicketView,
    passes: Vec<String>,
    texts: Vec<String>,
    cards: usize,
}

/// Whether something is as it should be, and what to say where it is not.
type Claim = (bool, String);

impl Remains<'_> {
    fn field(&self, name: &str) -> &str {
        self.ticket.custom_fields.get(name).map_or("", String::as_str)
    }

    fn status_is(&self, expected: &str) -> Claim {
        let status = self.field(STATUS_FIELD);
        (
            status == expected,
            format!("automation_status is `{status}`, not `{expected}`"),
        )
    }

    fn resolved(&self) -> Vec<Claim> {
        let Self {
            ticket,
            passes,
            texts,
            ..
        } = self;
        let delivered = passes
            .iter()
            .all(|pass| texts.iter().any(|text| text.contains(pass.as_str())));
        let leaked = passes
            .iter()
            .any(|pass| ticket.notes.iter().any(|note| note.text.contains(pass.as_str())));
        let playbook = self.field("CFplaybook_id");
        vec![
            self.status_is("resolved"),
            (
                playbook == "password_reset",
                format!("playbook_id is `{playbook}`"),
            ),
            (
                ticket.status == "Resolved",
                format!("the status is `{}`, not `Resolved`", ticket.status),
            ),
            (
                !ticket.notes.is_empty(),
                "the ticket does not tell its story".to_owned(),
            ),
            (
                passes.len() == 1,
                format!("{} live passes instead of one", passes.len()),
            ),
            (
                texts.len() == 1,
                format!("{} texts to the requester instead of one", texts.len()),
            ),
            (
                delivered,
                "the text does not hold the pass that exists".to_owned(),
            ),
            (!leaked, "the pass stands in a note of the ticket".to_owned()),
        ]
    }

    fn without_manager(&self) -> Vec<Claim> {
        vec![(
            self.cards == 0,
            "the manager was asked although the push was approved".to_owned(),
        )]
    }

    fn with_manager(&self, world: &World, part: &Part) -> Vec<Claim> {
        let approved = world.journal().count(|event| {
            let by_manager = |email: &String| Some(email) == part.person.manager.as_ref();
            matches!(event, Event::ButtonPressed { email, status: 200, .. } if by_manager(email))
        });
        vec![
            (
                self.cards == 1,
                format!("{} cards to the manager instead of one", self.cards),
            ),
            (approved == 1, "the manager did not approve in Teams".to_owned()),
        ]
    }

    fn untouched(&self) -> Vec<Claim> {
        let Self {
            ticket,
            passes,
            texts,
            ..
        } = self;
        vec![
            self.status_is("manual"),
            (
                ticket.status == "New",
                format!("the status is `{}`, not untouched `New`", ticket.status),
            ),
            (
                ticket.notes.is_empty(),
                format!("{} notes on a ticket to be left alone", ticket.notes.len()),
            ),
            (
                passes.is_empty() && texts.is_empty(),
                "something was done for a ticket to be left alone".to_owned(),
            ),
        ]
    }
}

fn cards_about(world: &World, ticket: i64) -> usize {
    let number = ticket.to_string();
    world
        .journal()
        .count(|event| matches!(event, Event::CardShown { text, .. } if text.contains(&number)))
}
