//! Several tickets at the simulated help desk, which takes records one after the other as the vendor does.

use std::sync::Arc;

use connectors::halopsa::HaloSettings;
use launcher::testing::TestDatabase;
use simulators::faults::{Fault, FaultKind};
use simulators::halo::{HaloOptions, NewTicket, TicketView};
use simulators::{System, World, WorldSettings};

use super::super::LEASE;
use super::super::tests::{asked, desk};
use crate::outbox::Sender;
use crate::store::{Store, stored};
use crate::update::Update;
use common::AutomationStatus;

/// A help desk, and a sender whose tickets there have something to be told.
struct Scene {
    world: World,
    tickets: Vec<i64>,
    store: Store,
    sender: Arc<Sender>,
    database: TestDatabase,
}

const WAITING: Update = Update::Status {
    status: AutomationStatus::Waiting,
};

impl Scene {
    /// Three tickets.
    async fn set() -> Self {
        let world = World::start(WorldSettings::default()).await.unwrap();
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let file = |_| {
            world
                .halo()
                .file_ticket(NewTicket::new("adele@contoso.example", "I can't log in"))
        };
        let tickets: Vec<i64> = (0..3).map(file).collect();
        for ticket in &tickets {
            stored::execution(&store, &ticket.to_string(), &[asked(), WAITING]).await;
        }
        let settings = world.settings_map();
        let halo = HaloSettings {
            resource_url: settings["HALOPSA_URL"].parse().unwrap(),
            auth_url: settings["HALOPSA_AUTH_URL"].parse().unwrap(),
            tenant: Some(settings["HALOPSA_TENANT"].clone()),
            client_id: settings["HALOPSA_CLIENT_ID"].clone(),
            client_secret: settings["HALOPSA_CLIENT_SECRET"].clone().into(),
            rate_per_5min: None,
        };
        let sender = Arc::new(Sender::new(store.clone(), desk(halo, "7")));
        Self {
            world,
            tickets,
            store,
            sender,
            database,
        }
    }

    /// Tell whatever is due now.
    async fn tell(&self) {
        // What lingers is due.
        stored::all_due(&self.store).await;
        let claimed = self.store.claim_tickets(8, LEASE).await.unwrap();
        self.sender.tell_all(claimed).await.unwrap();
    }

    /// The writes of the help desk since this was asked last, without what is looked up once.
    fn calls(&self, from: usize) -> Vec<String> {
        let requests = self.world.requests(System::Halo);
        let told = requests.iter().skip(from).filter(|request| {
            ["/actions", "/tickets"]
                .iter()
                .any(|path| request.path.to_ascii_lowercase().contains(path))
        });
        told.map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    fn so_far(&self) -> usize {
        self.world.requests(System::Halo).len()
    }

    fn ticket(&self, nth: usize) -> TicketView {
        self.world.halo().ticket(self.tickets[nth]).unwrap()
    }

    /// How many notes stand on each ticket, and what its field says.
    fn told(&self) -> Vec<(usize, Option<String>)> {
        let told = |nth| {
            let ticket: TicketView = self.ticket(nth);
            let field = ticket.custom_fields.get("CFautomation_status").cloned();
            (ticket.notes.len(), field)
        };
        (0..self.tickets.len()).map(told).collect()
    }

    async fn still_due(&self) -> usize {
        let tickets: Vec<_> = self
            .tickets
            .iter()
            .map(|ticket| ticket.to_string().parse().unwrap())
            .collect();
        let due = self
            .store
            .due_updates(&tickets.iter().collect::<Vec<_>>())
            .await
            .unwrap();
        due.values().map(Vec::len).sum()
    }
}

fn waiting() -> (usize, Option<String>) {
    (1, Some("waiting".to_owned()))
}

#[tokio::test]
async fn news_that_cannot_be_read_keep_no_other_ticket_from_being_told() {
    let scene = Scene::set().await;
    let owner = scene.database.owner().await;
    let spoil = "UPDATE ticket_updates SET body = '{\"kind\": \"of a newer version\"}' WHERE ticket_id = $1";
    let spoilt = sqlx::query(spoil).bind(scene.tickets[1].to_string());
    spoilt.execute(&owner).await.unwrap();
    scene.tell().await;
    assert_eq!(scene.told(), [waiting(), (0, None), waiting()]);
    let next = scene.store.next_ticket_due().await.unwrap().unwrap();
    assert!(
        next > std::time::Duration::from_secs(30),
        "looked at later: {next:?}"
    );
}

#[tokio::test]
async fn three_tickets_are_told_in_two_calls() {
    let scene = Scene::set().await;
    scene.tell().await;
    assert_eq!(scene.told(), [waiting(), waiting(), waiting()]);
    assert_eq!(scene.calls(0), ["POST /api/Actions", "POST /api/Tickets"]);
    assert_eq!(scene.still_due().await, 0);
}

#[tokio::test]
async fn one_that_is_refused_keeps_nothing_from_the_others() {
    let scene = Scene::set().await;
    let unknown = "1".parse().unwrap();
    stored::execution(&scene.store, "1", &[asked(), WAITING]).await;
    scene.tell().await;
    assert_eq!(scene.told(), [waiting(), waiting(), waiting()]);
    let due = scene.store.due_updates(&[&unknown]).await.unwrap();
    assert_eq!(due.len(), 0, "what will never be taken is on record as that");
}

#[tokio::test]
async fn what_was_taken_before_the_refusal_is_looked_for_however_long_that_takes() {
    let scene = Scene::set().await;
    stored::execution(&scene.store, "1", &[asked(), WAITING]).await;
    let away = Fault::new(FaultKind::TooManyRequests { retry_after: None });
    let away = scene
        .world
        .faults(System::Halo)
        .inject(away.on("actions").method("GET"));
    scene.tell().await;
    let taken: usize = scene.told().iter().map(|(notes, _)| notes).sum();
    assert!(taken > 0, "the help desk took some before it refused one");
    scene.world.faults(System::Halo).lift(away);
    scene.tell().await;
    assert_eq!(scene.told(), [waiting(), waiting(), waiting()]);
    assert_eq!(scene.still_due().await, 0);
}

#[tokio::test]
async fn where_the_answer_is_lost_each_is_looked_for_and_none_is_told_twice() {
    let scene = Scene::set().await;
    let lost = Fault::new(FaultKind::DropAfter)
        .on("actions")
        .method("POST")
        .times(1);
    scene.world.faults(System::Halo).inject(lost);
    scene.tell().await;
    assert_eq!(scene.still_due().await, 6, "nobody knows what was told");
    let before = scene.so_far();
    scene.tell().await;
    assert_eq!(scene.told(), [waiting(), waiting(), waiting()]);
    let looked = scene
        .calls(before)
        .iter()
        .filter(|call| *call == "GET /api/Actions")
        .count();
    assert_eq!(looked, 3);
    assert_eq!(scene.still_due().await, 0);
}

#[tokio::test]
async fn a_help_desk_that_is_away_is_told_everything_when_it_is_back() {
    let scene = Scene::set().await;
    let away = Fault::new(FaultKind::TooManyRequests {
        retry_after: Some(60),
    });
    let away = scene.world.faults(System::Halo).inject(away.on("api"));
    scene.tell().await;
    assert_eq!(scene.still_due().await, 6);
    scene.world.faults(System::Halo).lift(away);
    let before = scene.so_far();
    scene.tell().await;
    assert_eq!(scene.told(), [waiting(), waiting(), waiting()]);
    assert_eq!(
        scene.calls(before),
        ["POST /api/Actions", "POST /api/Tickets"],
        "together again: nothing is in doubt"
    );
}

#[tokio::test]
async fn a_version_that_shows_no_tickets_is_asked_for_each() {
    let scene = Scene::set().await;
    scene.world.halo().options(HaloOptions {
        actions_show_tickets: false,
        ..HaloOptions::default()
    });
    scene.tell().await;
    assert_eq!(scene.told(), [waiting(), waiting(), waiting()]);
    let mut calls = scene.calls(0);
    assert_eq!(calls.remove(0), "POST /api/Actions");
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.starts_with("GET /api/Tickets/"))
            .count(),
        3
    );
}

#[tokio::test]
async fn a_ticket_whose_status_did_not_follow_its_note_is_seen_to_by_itself() {
    let scene = Scene::set().await;
    for (ticket, update) in scene
        .tickets
        .iter()
        .zip([Update::Resolved, Update::Resolved, Update::Story])
    {
        let execution = scene
            .store
            .open_on(&ticket.to_string().parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        stored::resolved(&scene.store, execution).await;
        let status = Update::Status {
            status: AutomationStatus::Resolved,
        };
        stored::told(&scene.store, &ticket.to_string(), execution, &[update, status]).await;
    }
    scene.tell().await;
    let statuses: Vec<String> = (0..3).map(|nth| scene.ticket(nth).status).collect();
    assert_eq!(
        statuses,
        ["Resolved", "Resolved", "Resolved"],
        "also where no note says so"
    );
    let calls = scene.calls(0);
    let alone = format!("GET /api/Tickets/{}", scene.tickets[2]);
    assert_eq!(
        calls,
        [
            "POST /api/Actions",
            "POST /api/Tickets",
            alone.as_str(),
            "POST /api/Tickets"
        ]
    );
}
