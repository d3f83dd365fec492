//! What a sender does where the help desk fails, or another one takes over.

use common::StepCall;
use connectors::halopsa::{Halo, HaloSettings};
use launcher::testing::TestDatabase;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::settings::DeskSettings;
use crate::store::stored;
use crate::update::Asked;

#[test]
fn patience_grows_and_stays_within_the_vendors_window() {
    let waits: Vec<u64> = [0, 1, 2, 7, 1000]
        .map(|failures| backoff(failures, 0.5).as_secs())
        .to_vec();
    assert_eq!(waits, [1, 2, 5, 120, 120]);
    assert!(backoff(3, 0.0) < backoff(3, 1.0));
}

/// A ticket with something to be told, and a help desk that fails whatever it is asked.
async fn a_ticket_and_a_failing_desk() -> (TestDatabase, MockServer, Sender) {
    let (database, server) = (launcher::testing::database().await, MockServer::start().await);
    Mock::given(any())
        .respond_with(ResponseTemplate::new(500))
        .mount(&server)
        .await;
    let store = stored::store(&database).await;
    // In the company of a story it does not linger.
    stored::execution(&store, "4242", &[asked(), Update::Story]).await;
    let url = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
    let halo = HaloSettings {
        resource_url: url("/api"),
        auth_url: url("/auth"),
        tenant: None,
        client_id: "id".to_owned(),
        client_secret: "secret".into(),
        rate_per_5min: None,
    };
    let sender = Sender::new(store, desk(halo, "Note"));
    (database, server, sender)
}

/// That somebody was asked.
pub(super) fn asked() -> Update {
    Update::Asked(Asked {
        call: StepCall {
            id: "verify_mfa".parse().unwrap(),
            visit: 1,
            attempt: 1,
        },
        name: "Verify User via MFA".to_owned(),
        asked: "Adele Vance was asked to approve on her phone.".to_owned(),
    })
}

/// The help desk at `halo`, whose notes are filed under this outcome.
pub(super) fn desk(halo: HaloSettings, outcome_note: &str) -> Arc<Desk> {
    let halo = Halo::new(halo, connectors::http_client().unwrap(), None);
    let settings = DeskSettings {
        field_status: "CFautomation_status".to_owned(),
        status_resolved: "Resolved".to_owned(),
        status_escalated: None,
        outcome_note: outcome_note.to_owned(),
    };
    Arc::new(Desk::new(halo, settings))
}

async fn claim(sender: &Sender, lease: Duration) -> Turn {
    let mut turn = Turn::new(sender.store.claim_tickets(1, lease).await.unwrap().remove(0));
    sender.look_up(vec![&mut turn]).await.unwrap();
    turn
}

#[tokio::test]
async fn a_call_of_the_help_desk_that_may_outlast_the_lease_begins_it_anew() {
    let (_database, server, sender) = a_ticket_and_a_failing_desk().await;
    let mut turn = claim(&sender, LONGEST_TELLING).await;
    let told = sender.tell(&mut turn).await;
    assert!(matches!(told, Err(Stopped::Desk(_))));
    assert!(!server.received_requests().await.unwrap().is_empty());
    let lease = sender.store.next_ticket_due().await.unwrap().unwrap();
    assert!(lease > LONGEST_TELLING, "{lease:?}");
}

#[tokio::test]
async fn a_sender_whose_ticket_was_taken_over_says_nothing_more() {
    let (_database, server, sender) = a_ticket_and_a_failing_desk().await;
    let overslept = claim(&sender, Duration::ZERO).await;
    let heir = sender.store.claim_tickets(1, LEASE).await.unwrap().remove(0);
    assert!(heir.fence > overslept.claimed.fence && heir.doubt);
    for doubt in [false, true] {
        let mut turn = Turn::new(ClaimedTicket {
            doubt,
            ..overslept.claimed.clone()
        });
        turn.due.clone_from(&overslept.due);
        turn.plan.clone_from(&overslept.plan);
        let told = sender.tell(&mut turn).await;
        assert!(matches!(told, Err(Stopped::Store(StoreError::Fenced))));
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_was_told_before_the_help_desk_failed_is_put_down_and_not_told_again() {
    let (_database, _server, sender) = a_ticket_and_a_failing_desk().await;
    let mut turn = claim(&sender, LEASE).await;
    let (first, rest) = turn.due.split_first().unwrap();
    let (first, rest): (i64, Vec<i64>) = (first.position, rest.iter().map(|due| due.position).collect());
    let told = Told {
        what: "private note",
        covers: &[first],
    };
    turn.settle(&told, Settled::Sent, None);
    sender.let_go(turn, Duration::ZERO, true).await;
    let again = claim(&sender, LEASE).await;
    let due: Vec<i64> = again.due.iter().map(|due| due.position).collect();
    assert_eq!(
        (due, again.claimed.doubt, again.claimed.failures),
        (rest, true, 1)
    );
}

#[test]
fn after_many_failures_to_change_a_ticket_the_words_are_sent_alone() {
    let note = || Note {
        covers: vec![1],
        parts: vec![plan::Part {
            marker: Marker::stored("fl-1".to_owned()),
            text: "It is done.".to_owned(),
            change: Some(plan::Change::Resolve),
        }],
        private: false,
    };
    let changes = |standing: Option<&[String]>, failures| {
        let left = still(vec![note()], standing, failures);
        left.iter().filter_map(Note::change).count()
    };
    assert_eq!(changes(Some(&[]), STUBBORN - 1), 1);
    assert_eq!(changes(Some(&[]), STUBBORN), 0);
    // Where the ticket was not looked at it may be the whole help desk that fails.
    assert_eq!(changes(None, STUBBORN), 1);
    let left = still(vec![note()], Some(&[]), STUBBORN);
    assert_eq!(left[0].text().unwrap().0, "It is done.");
}
