//! What the outside world saw, read from the simulators' journal: which ticket it belongs to, where it happened, and a
//! sentence. What only machines care about is left out.

use simulators::entra::PushAnswer;
use simulators::{Event, World};

use super::cast::Part;
use super::words::{dense, mask_number, mask_pass, quote};

/// The lane (where one can be told), the place and the sentence.
type Seen = (Option<usize>, &'static str, String);

/// One lane for each ticket, with what events name it by.
pub(super) struct Lanes<'a> {
    world: &'a World,
    lanes: Vec<Lane>,
}

struct Lane {
    ticket: i64,
    email: String,
    given_name: String,
    manager: Option<String>,
    phone: Option<String>,
}

impl<'a> Lanes<'a> {
    /// The lanes of `parts`, whose tickets are `tickets`.
    pub(super) fn of(world: &'a World, parts: &[Part], tickets: &[i64]) -> Self {
        let lane = |(part, ticket): (&Part, &i64)| Lane {
            ticket: *ticket,
            email: part.person.email.clone(),
            given_name: part.person.given_name().to_owned(),
            manager: part.person.manager.clone(),
            phone: part.person.e164(),
        };
        let lanes = parts.iter().zip(tickets).map(lane).collect();
        Self { world, lanes }
    }

    /// `#4243 Adele`.
    pub(super) fn title(&self, lane: usize) -> String {
        let lane = self.lanes.get(lane);
        lane.map(|lane| format!("#{} {}", lane.ticket, lane.given_name))
            .unwrap_or_default()
    }

    /// How an event is told, where it is.
    pub(super) fn seen(&self, event: &Event) -> Option<Seen> {
        self.at_the_help_desk(event)
            .or_else(|| self.in_the_directory(event))
            .or_else(|| self.in_teams(event))
            .or_else(|| self.elsewhere(event))
    }

    fn at_the_help_desk(&self, event: &Event) -> Option<Seen> {
        let (ticket, what) = match event {
            Event::TicketFiled {
                ticket,
                from,
                summary,
            } => (ticket, format!("{} writes: \"{summary}\"", self.name(from))),
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
                // What the requester reads is told whole; colleagues' notes say what the story says anyway.
                let told = if *private {
                    quote(text.trim().lines().next().unwrap_or_default())
                } else {
                    format!("\n{}", dense(text))
                };
                (ticket, format!("{kind}: {told}"))
            }
            Event::CustomFieldChanged { ticket, field, value } => {
                let value = if value.is_empty() { "(empty)" } else { value };
                (ticket, format!("{} = {value}", field.trim_start_matches("CF")))
            }
            Event::StatusChanged { ticket, from, to, .. } => (ticket, format!("status {from} -> {to}")),
            Event::Assigned {
                ticket, agent, team, ..
            } => (ticket, format!("assigned to {agent}, team {team}")),
            _ => return None,
        };
        let lane = self.lanes.iter().position(|lane| lane.ticket == *ticket);
        Some((lane, "HaloPSA", what))
    }

    fn in_the_directory(&self, event: &Event) -> Option<Seen> {
        let (email, place, what) = match event {
            Event::PushShown { email } => (email, "phone", "sees a sign-in request on the phone".to_owned()),
            Event::PushAnswered { email, answer } => (email, "phone", pressed(answer)),
            Event::PassCreated { email, .. } => {
                (email, "Entra", "now has a Temporary Access Pass".to_owned())
            }
            Event::PassDeleted { email, .. } => (
                email,
                "Entra",
                "no longer has that Temporary Access Pass".to_owned(),
            ),
            _ => return None,
        };
        let lane = self.lanes.iter().position(|lane| lane.email == *email);
        Some((lane, place, format!("{} {what}", self.name(email))))
    }

    fn in_teams(&self, event: &Event) -> Option<Seen> {
        let (email, text, what) = match event {
            Event::BotInstalled { email } => (email, "", "gets the bot".to_owned()),
            Event::CardShown { email, text, .. } => {
                (email, text.as_str(), format!("gets a card:\n{}", quote(text)))
            }
            Event::CardUpdated { email, text, .. } => (
                email,
                text.as_str(),
                format!("sees the card change:\n{}", quote(text)),
            ),
            Event::ButtonPressed { email, verb, .. } => (email, "", format!("presses {}", button(verb))),
            _ => return None,
        };
        Some((
            self.lane_of_card(email, text),
            "Teams",
            format!("{} {what}", self.name(email)),
        ))
    }

    fn elsewhere(&self, event: &Event) -> Option<Seen> {
        Some(match event {
            Event::SmsReceived { to, body, .. } => {
                let lane = self.lanes.iter().position(|lane| lane.phone.as_ref() == Some(to));
                let body = mask_pass(body, &self.passes_of(to));
                (
                    lane,
                    "SMS",
                    format!("the phone {} gets:\n{}", mask_number(to), quote(&body)),
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

    /// A card names the ticket it is about; otherwise it is about the last of those who report to its reader.
    fn lane_of_card(&self, email: &str, text: &str) -> Option<usize> {
        let named = self
            .lanes
            .iter()
            .position(|lane| text.contains(&lane.ticket.to_string()));
        named.or_else(|| {
            self.lanes
                .iter()
                .rposition(|lane| lane.manager.as_deref() == Some(email))
        })
    }

    fn name(&self, email: &str) -> String {
        let company = self.world.company();
        let person = company.iter().find(|person| person.email == email);
        person.map_or_else(|| email.to_owned(), |person| person.name.clone())
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

/// The button as its reader sees it, by the last word of its verb: `firstline.approval.approve` is `Approve`.
fn button(verb: &str) -> String {
    let word = verb.rsplit('.').next().unwrap_or_default();
    let mut signs = word.chars();
    signs
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(signs).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_is_called_as_its_reader_sees_it() {
        assert_eq!(button("firstline.approval.approve"), "Approve");
        assert_eq!(button("deny"), "Deny");
        assert_eq!(button(""), "");
    }
}
