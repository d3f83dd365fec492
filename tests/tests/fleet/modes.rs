//! Playbooks that have yet to earn to act by themselves: what agents can have done, and what admins are refused.

use common::Mode;
use common::client::PeerError;
use common::playbook::ActivatePlaybook;
use launcher::testing::{TestFleet, until};

use crate::{ADELE, assert_no_effect, assert_one_pass_delivered, automation, fleet_with};

const FORGOT: &str = "I can't log in";

async fn resolved(fleet: &TestFleet, ticket: i64) {
    until("the ticket is resolved", async || {
        let ticket = fleet.world().halo().ticket(ticket).unwrap();
        automation(&ticket) == "resolved"
    })
    .await;
}

fn link_on(fleet: &TestFleet, ticket: i64) -> String {
    let notes = fleet.world().halo().ticket(ticket).unwrap().notes;
    let words = notes.iter().flat_map(|note| note.text.split_whitespace());
    let mut links = words.filter(|word| word.contains("/suggestions/"));
    let link = links.next().expect("a suggestion is on the ticket").to_owned();
    assert_eq!(links.next(), None, "there is one link");
    link
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_a_suggestion_carried_out_and_the_requester_proves_who_they_are() {
    let fleet = fleet_with(&[("DEFAULT_MODE", "suggest")]).await;
    let ticket = fleet.file_ticket(ADELE, FORGOT);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "manual");
    let link = link_on(&fleet, ticket);
    let http = common::client::http_client(std::time::Duration::from_secs(10)).unwrap();
    let page = http.get(&link).send().await.unwrap();
    assert!(page.status().is_success() && page.text().await.unwrap().contains("password_reset"));
    assert_no_effect(&fleet, ADELE);

    // The note is there a moment before the gate has let go of the ticket.
    until("the agent's press counts", async || {
        http.post(&link).send().await.unwrap().status().is_success()
    })
    .await;
    resolved(&fleet, ticket).await;
    assert_one_pass_delivered(&fleet, ADELE);
    assert_eq!(http.post(&link).send().await.unwrap().status().as_u16(), 410);
    let audit = fleet.audit(ticket).await;
    let told = |wanted: &str| audit.iter().filter(|(kind, ..)| kind == wanted).count();
    assert_eq!(
        (told("suggestion.approved"), told("permit.issued")),
        (1, 1),
        "{audit:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn acting_by_itself_is_refused_until_it_is_earned_or_an_admin_says_why() {
    let fleet = fleet_with(&[("DEFAULT_MODE", "shadow")]).await;
    let held = fleet.file_ticket(ADELE, FORGOT);
    assert_eq!(automation(&fleet.wait_for_end(held).await), "manual");
    let playbooks = fleet.playbooks(&["admin"]);
    let name = "password_reset".parse().unwrap();
    let version = playbooks.playbook(&name, None).await.unwrap().playbook.version;
    let mut wanted = ActivatePlaybook {
        mode: Some(Mode::Auto),
        ..ActivatePlaybook::version(version)
    };
    let refused = playbooks.activate_as(&name, &wanted).await;
    let Err(PeerError::Refused { problem, .. }) = refused else {
        panic!("nothing was earned yet: {refused:?}");
    };
    assert_eq!(problem.code, "mode_not_earned");
    assert!(problem.detail.contains("59 more"), "{problem}");
    assert_no_effect(&fleet, ADELE);

    wanted.override_reason = Some("a pilot with the service desk".parse().unwrap());
    playbooks.activate_as(&name, &wanted).await.unwrap();
    let ticket = fleet.file_ticket(ADELE, FORGOT);
    resolved(&fleet, ticket).await;
    assert_one_pass_delivered(&fleet, ADELE);
}
