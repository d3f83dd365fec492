//! Who plays: three people with a ticket each, what the others do, and how each ticket should end.

use std::time::Duration;

use simulators::World;
use simulators::company::Person;
use simulators::entra::Push;
use simulators::halo::NewTicket;
use simulators::teams::CardReaction;

/// How a ticket should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The requester approves the push.
    ByPush,
    /// Nobody answers the push; the manager approves in Teams.
    ByManager,
    /// No playbook fits: a person does it.
    LeftAlone,
}

/// A person and their ticket.
pub(super) struct Part {
    pub(super) person: Person,
    pub(super) summary: &'static str,
    details: &'static str,
    pub(super) way: Way,
}

impl Part {
    /// Send the ticket to the help desk.
    pub(super) fn file(&self, world: &World) -> i64 {
        world
            .halo()
            .file_ticket(NewTicket::new(&self.person.email, self.summary).details(self.details))
    }
}

/// The three, with everybody told what to do.
pub(super) fn cast(world: &World) -> [Part; 3] {
    let (adele, alex) = ("adele@contoso.example", "alex@contoso.example");
    world
        .entra()
        .push(adele, Push::approve().after(Duration::from_millis(1500)));
    world.entra().push(alex, Push::no_answer());
    world.teams().react(
        "megan@contoso.example",
        CardReaction::approve().after(Duration::from_secs(2)),
    );
    let part = |email, summary, details, way| Part {
        person: world.person(email),
        summary,
        details,
        way,
    };
    [
        part(
            adele,
            "I can't log in",
            "It says that my password is wrong.",
            Way::ByPush,
        ),
        part(
            alex,
            "I can't log in",
            "I forgot my password, and my phone is at home.",
            Way::ByManager,
        ),
        part(
            "isaiah@contoso.example",
            "My laptop screen is broken",
            "It fell from the desk and shows nothing but lines.",
            Way::LeftAlone,
        ),
    ]
}
