//! What remains of each ticket: its status in HaloPSA, its audit trail, the SMS that the user received; and whether it
//! ended as it should.

use launcher::stage::{NotEnded, STATUS_FIELD};
use serde_json::Value;
use simulators::halo::TicketView;
use simulators::{Event, World};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::cast::{Part, Way};
use super::story::{brief, mask_number, mask_pass, passes};
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
    let mut found = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    let field = |name: &str| ticket.custom_fields.get(name).cloned().unwrap_or_default();
    let passes = passes(world, &part.person.email);
    let texts = received(world, part);
    let cards = cards_about(world, ticket.id);
    if part.way == Way::LeftAlone {
        check(
            field(STATUS_FIELD) == "manual",
            format!("automation_status is `{}`, not `manual`", field(STATUS_FIELD)),
        );
        check(
            ticket.status == "New",
            format!("the status is `{}`, not untouched `New`", ticket.status),
        );
        check(
            ticket.notes.is_empty(),
            format!(
                "{} notes on a ticket that should be left alone",
                ticket.notes.len()
            ),
        );
        check(
            passes.is_empty() && texts.is_empty(),
            "something was done for a ticket that should be left alone".to_owned(),
        );
        return found;
    }
    check(
        field(STATUS_FIELD) == "resolved",
        format!("automation_status is `{}`, not `resolved`", field(STATUS_FIELD)),
    );
    check(
        field("CFplaybook_id").starts_with("password_reset"),
        format!("playbook_id is `{}`", field("CFplaybook_id")),
    );
    check(
        ticket.status == "Resolved",
        format!("the status is `{}`, not `Resolved`", ticket.status),
    );
    check(
        !ticket.notes.is_empty(),
        "the ticket does not tell its story".to_owned(),
    );
    check(
        passes.len() == 1,
        format!("{} live passes instead of one", passes.len()),
    );
    check(
        texts.len() == 1,
        format!("{} texts to the requester instead of one", texts.len()),
    );
    let delivered = passes
        .iter()
        .all(|pass| texts.iter().any(|text| text.contains(pass.as_str())));
    check(
        delivered,
        "the text does not hold the pass that exists".to_owned(),
    );
    let leaked = ticket
        .notes
        .iter()
        .any(|note| passes.iter().any(|pass| note.text.contains(pass.as_str())));
    check(!leaked, "the pass stands in a note of the ticket".to_owned());
    match part.way {
        Way::ByPush => check(
            cards == 0,
            "the manager was asked although the push was approved".to_owned(),
        ),
        Way::ByManager => {
            check(cards == 1, format!("{cards} cards to the manager instead of one"));
            let pressed = world.journal().count(|event| {
                matches!(event, Event::ButtonPressed { email, status: 200, .. } if Some(email) == part.person.manager.as_ref())
            });
            check(pressed == 1, "the manager did not approve in Teams".to_owned());
        }
        Way::LeftAlone => {}
    }
    found
}

fn cards_about(world: &World, ticket: i64) -> usize {
    let number = ticket.to_string();
    world
        .journal()
        .count(|event| matches!(event, Event::CardShown { text, .. } if text.contains(&number)))
}
