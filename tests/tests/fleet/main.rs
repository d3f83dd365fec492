//! The whole fleet from outside: six services over REST, real Postgres and Redis, the simulated world around them.
//!
//! One file for each thing that is promised. Tests tell what happened from the world's own records (the help desk, the
//! directory, the phones), not from our tables.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod access;
mod attacks;
mod database_roles;
mod dialogue;
mod journeys;
mod keys;
mod matrix;
mod modes;
mod outages;
mod questions;
mod tripwires;
mod twice;
mod undo;
mod webhooks;

use std::time::Duration;

use common::Service;
use launcher::testing::{TestFleet, TestFleetSettings};
use simulators::halo::TicketView;
use simulators::{Event, WorldSettings};

pub(crate) const ADELE: &str = "adele@contoso.example";
pub(crate) const ALEX: &str = "alex@contoso.example";
pub(crate) const MEGAN: &str = "megan@contoso.example";

/// Long enough for a busy machine; a wait ends as soon as it sees what it waits for.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// A fleet whose bot is installed for everybody and whose people answer at once.
pub(crate) async fn fleet() -> TestFleet {
    fleet_with(&[]).await
}

/// The same with other settings for all services.
pub(crate) async fn fleet_with(settings: &[(&str, &str)]) -> TestFleet {
    let settings = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let world = WorldSettings {
        teams_auto_install: true,
        think: Duration::from_millis(20),
        ..WorldSettings::default()
    };
    TestFleet::with(TestFleetSettings {
        world,
        settings: settings.collect(),
        ..TestFleetSettings::default()
    })
    .await
}

/// A world whose people answer at once, with the bot installed for all of them.
pub(crate) fn quick_world() -> WorldSettings {
    WorldSettings {
        teams_auto_install: true,
        think: Duration::from_millis(20),
        ..WorldSettings::default()
    }
}

/// Let a model classify. Its address is known only once the world stands, so the classifier is started again with it.
pub(crate) async fn ask_a_model(fleet: &mut TestFleet) {
    let settings = fleet.world().openai_settings();
    fleet.fleet().stop(Service::Classifier).await.unwrap();
    for (name, value) in settings {
        fleet.fleet().set(Service::Classifier, &name, value);
    }
    fleet.fleet().start_service(Service::Classifier).await.unwrap();
}

/// What `automation_status` says.
pub(crate) fn automation(ticket: &TicketView) -> &str {
    ticket
        .custom_fields
        .get("CFautomation_status")
        .map_or("", String::as_str)
}

/// The person's mobile number in the directory, as texts are sent to it.
pub(crate) fn number_of(fleet: &TestFleet, email: &str) -> String {
    fleet
        .world()
        .person(email)
        .mobile
        .expect("this person has a phone")
        .replace(' ', "")
}

/// The texts that the person received, newest last. Their number is the directory's.
pub(crate) fn texts_to(fleet: &TestFleet, email: &str) -> Vec<String> {
    let number = fleet
        .world()
        .person(email)
        .mobile
        .expect("this person has a phone")
        .replace(' ', "");
    fleet
        .world()
        .twilio()
        .inbox(&number)
        .into_iter()
        .map(|sms| sms.body)
        .collect()
}

/// The user ends with one pass that works, and it is the one they received; nobody got it twice.
pub(crate) fn assert_one_pass_delivered(fleet: &TestFleet, email: &str) {
    let passes = fleet.world().entra().live_passes(email);
    assert_eq!(passes.len(), 1, "live passes of {email}");
    let texts = texts_to(fleet, email);
    let with_pass: Vec<_> = texts
        .iter()
        .filter(|text| text.contains(&passes[0].value))
        .collect();
    assert_eq!(
        with_pass.len(),
        1,
        "texts with the pass that works, `{}`, of {texts:?}",
        passes[0].value
    );
}

/// Nothing privileged happened for this person.
pub(crate) fn assert_no_effect(fleet: &TestFleet, email: &str) {
    assert_eq!(
        fleet.world().entra().passes_created(email),
        0,
        "no pass may have been created for {email}"
    );
}

/// How often an event was seen.
pub(crate) fn count(fleet: &TestFleet, what: impl FnMut(&Event) -> bool) -> usize {
    fleet.world().journal().count(what)
}
