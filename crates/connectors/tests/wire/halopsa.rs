//! HaloPSA has no public extract: its requests are held against the contract's examples.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use common::TicketId;
use connectors::halopsa::{
    Agent, Changes, Halo, HaloSettings, NewNote, Outcome, Seen, TicketFields, TicketNotes, TicketRef,
    TicketStub,
};
use connectors::{CallError, http_client};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::{answer, arrived, header, on, once, only, pairs, query, token_form, tokens};

fn halo(server: &MockServer) -> Halo {
    let at = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
    let settings = HaloSettings {
        resource_url: at("/api"),
        auth_url: at("/auth"),
        tenant: Some("acme".to_owned()),
        client_id: "our-id".to_owned(),
        client_secret: "our-secret".into(),
        rate_per_5min: None,
    };
    Halo::new(settings, http_client().unwrap(), None)
}

async fn start() -> (MockServer, Halo) {
    let server = MockServer::start().await;
    tokens(&server, "/auth/token").await;
    let halo = halo(&server);
    (server, halo)
}

fn id(text: &str) -> TicketId {
    text.parse().unwrap()
}

fn reference() -> TicketRef {
    TicketRef {
        id: id("4242"),
        ticket_type_id: Some(25),
        client_id: Some(1),
    }
}

#[tokio::test]
async fn a_ticket_is_asked_for_with_a_token_of_the_tenant() {
    let (server, halo) = start().await;
    let sample: Value = serde_json::from_str(include_str!("../data/halo-new-ticket.json")).unwrap();
    on(
        &server,
        "GET",
        "/api/Tickets/4242",
        answer(200, &sample["ticket"]),
    )
    .await;

    let ticket = halo.ticket(&id("4242")).await.unwrap().unwrap();
    assert_eq!(
        (ticket.id.as_str(), ticket.user_id, ticket.agent_id),
        ("4242", Some(345), None)
    );

    let request = only(&server).await;
    assert_eq!(header(&request, "authorization"), "Bearer the-token");
    assert_eq!(
        query(&request),
        pairs(&[("includedetails", "true"), ("includelastaction", "false")])
    );
    let token = server.received_requests().await.unwrap().remove(0);
    assert_eq!(query(&token), pairs(&[("tenant", "acme")]));
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "our-id"),
        ("client_secret", "our-secret"),
        ("scope", "read:tickets edit:tickets read:customers"),
    ];
    assert_eq!(token_form(&server).await, pairs(&expected));
}

#[tokio::test]
async fn an_unknown_ticket_is_none_in_both_ways_that_halo_says_so() {
    let (server, halo) = start().await;
    on(&server, "GET", "/api/Tickets/1", ResponseTemplate::new(404)).await;
    on(&server, "GET", "/api/Tickets/2", answer(200, &json!({}))).await;
    assert_eq!(halo.ticket(&id("1")).await.unwrap(), None);
    assert_eq!(halo.ticket(&id("2")).await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_is_no_ticket_does_not_make_the_ticket_unknown() {
    for other in [
        json!(null),
        json!("maintenance"),
        json!([]),
        json!({ "id": "soon" }),
    ] {
        let (server, halo) = start().await;
        on(&server, "GET", "/api/Tickets/4242", answer(200, &other)).await;
        on(&server, "GET", "/api/Users/345", answer(200, &other)).await;
        let error = halo.ticket(&id("4242")).await.unwrap_err();
        assert!(matches!(error, CallError::Busy { .. }), "{error}");
        let error = halo.user(345).await.unwrap_err();
        assert!(matches!(error, CallError::Busy { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_ticket_without_a_status_is_a_ticket() {
    let (server, halo) = start().await;
    let bare = json!({ "id": 4242, "summary": "I can't log in", "status": "New" });
    on(&server, "GET", "/api/Tickets/4242", answer(200, &bare)).await;
    let ticket = halo.ticket(&id("4242")).await.unwrap().unwrap();
    assert_eq!(
        (ticket.summary.as_str(), ticket.status_id),
        ("I can't log in", None)
    );
}

#[tokio::test]
async fn a_ticket_id_can_not_leave_its_place_in_the_path() {
    let (server, halo) = start().await;
    on(&server, "GET", "/api/Tickets/%2342", ResponseTemplate::new(404)).await;
    assert_eq!(halo.ticket(&id("#42")).await.unwrap(), None);
    assert_eq!(only(&server).await.url.path(), "/api/Tickets/%2342");
    assert!(
        "../Users?x".parse::<TicketId>().is_err(),
        "no such number is taken"
    );
}

#[tokio::test]
async fn a_forced_early_401_costs_one_new_token() {
    let (server, halo) = start().await;
    once(&server, "GET", "/api/Users/345", ResponseTemplate::new(401)).await;
    let user =
        json!({ "id": "345", "name": "Alice Archer", "emailaddress": "alice@example.test", "site_id": 18.0 });
    on(&server, "GET", "/api/Users/345", answer(200, &user)).await;
    let user = halo.user(345).await.unwrap().unwrap();
    assert_eq!(
        (user.id, user.email.as_deref()),
        (345, Some("alice@example.test"))
    );
    assert_eq!(arrived(&server).await.len(), 2);
    assert_eq!(server.received_requests().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_note_is_posted_as_the_contract_shows() {
    let (server, halo) = start().await;
    on(
        &server,
        "POST",
        "/api/Actions",
        answer(201, &json!([{ "id": 1, "ticket_id": 4242 }])),
    )
    .await;
    let note = NewNote {
        text: "Adele <approved> the request.\nThen it was done.",
        private: true,
        outcome: Outcome::Id(7),
        new_status: Some(9),
        new_agent: Some(Agent::Nobody),
        marker: "fl-01",
    };
    halo.add_note(&id("4242"), &note).await.unwrap();
    let body: Value = only(&server).await.body_json().unwrap();
    let expected = json!([{
        "ticket_id": 4242,
        "outcome_id": 7,
        "note_html": "<p>Adele &lt;approved&gt; the request.<br>Then it was done.</p><p><small>fl-01</small></p>",
        "hiddenfromuser": true,
        "sendemail": false,
        "new_status": 9,
        "new_agent": 1,
        "dont_do_rules": true,
        "_includeticketinresponse": true,
    }]);
    assert_eq!(body, expected);
}

#[tokio::test]
async fn several_notes_are_one_call_and_a_warning_about_any_of_them_is_seen() {
    let (server, halo) = start().await;
    let warned = json!([
        { "id": 1, "ticket_id": 4242, "_warning": "The status was not changed.", "_warning_is_error": true },
        { "id": 2, "ticket_id": 4242 },
    ]);
    on(&server, "POST", "/api/Actions", answer(201, &warned)).await;
    let note = |text, marker| NewNote {
        text,
        private: true,
        outcome: Outcome::Id(7),
        new_status: None,
        new_agent: None,
        marker,
    };
    let (one, other) = (id("4242"), id("4243"));
    let notes = [
        TicketNotes {
            ticket: &one,
            notes: vec![note("one", "fl-01"), note("two", "fl-02")],
        },
        TicketNotes {
            ticket: &other,
            notes: vec![note("three", "fl-03")],
        },
    ];
    let error = halo.add_notes(&notes).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Refused { code, .. } if code == "warning"),
        "{error}"
    );
    let request = only(&server).await;
    assert_eq!(request.url.query(), Some("returnall=true"));
    let body: Value = request.body_json().unwrap();
    let actions: Vec<_> = body
        .as_array()
        .unwrap()
        .iter()
        .map(|action| {
            (
                &action["ticket_id"],
                &action["note_html"],
                &action["_includeticketinresponse"],
            )
        })
        .collect();
    let note = |text: &str, marker: &str| json!(format!("<p>{text}</p><p><small>{marker}</small></p>"));
    let expected = [
        (&json!(4242), &note("one", "fl-01"), &json!(null)),
        (&json!(4242), &note("two", "fl-02"), &json!(true)),
        (&json!(4243), &note("three", "fl-03"), &json!(true)),
    ];
    assert_eq!(actions, expected, "of each ticket the last asks what it came to");
}

#[tokio::test]
async fn of_what_an_answer_shows_only_whole_tickets_that_were_asked_for_count() {
    let (server, halo) = start().await;
    let ticket = |id: i64, status: Value| json!({ "id": id, "status_id": status, "tickettype_id": 25, "client_id": 1 });
    let shown = json!([
        { "id": 1, "ticket_id": 4242, "ticket": ticket(4242, json!(9)) },
        { "id": 2, "ticket_id": 4243, "ticket": ticket(4243, json!(null)) },
        { "id": 3, "ticket_id": 4244, "ticket": ticket(666, json!(9)) },
        { "id": 4, "ticket_id": 4245 },
    ]);
    on(&server, "POST", "/api/Actions", answer(201, &shown)).await;
    let ids = ["4242", "4243", "4244", "4245"].map(id);
    let note = NewNote {
        text: "one",
        private: true,
        outcome: Outcome::Id(7),
        new_status: None,
        new_agent: None,
        marker: "fl-01",
    };
    let notes: Vec<_> = ids
        .iter()
        .map(|ticket| TicketNotes {
            ticket,
            notes: vec![note.clone()],
        })
        .collect();
    let seen = halo.add_notes(&notes).await.unwrap();
    let statuses: Vec<_> = seen
        .iter()
        .map(|seen| seen.as_ref().and_then(|seen| seen.status_id))
        .collect();
    assert_eq!(statuses, [Some(9), None, None, None]);
}

#[tokio::test]
async fn fields_of_several_tickets_are_one_call_and_its_answer_tells_how_each_stands() {
    let (server, halo) = start().await;
    let ticket = |id: i64| json!({ "id": id, "status_id": 10, "tickettype_id": 25, "client_id": 1 });
    on(
        &server,
        "POST",
        "/api/Tickets",
        answer(201, &json!([ticket(4243), ticket(4242)])),
    )
    .await;
    let of = |ticket: &str| TicketFields {
        ticket: TicketRef {
            id: id(ticket),
            ..reference()
        },
        fields: vec![(178, json!("resolved"))],
    };
    let seen = halo.set_fields(&[of("4242"), of("4243")]).await.unwrap();
    let seen: Vec<_> = seen
        .iter()
        .flatten()
        .map(|seen| (seen.id.as_str(), seen.status_id))
        .collect();
    assert_eq!(seen, [("4242", Some(10)), ("4243", Some(10))]);
    let request = only(&server).await;
    assert_eq!(request.url.query(), Some("returnall=true"));
}

#[tokio::test]
async fn a_note_that_failed_unclearly_is_not_posted_again_and_can_be_looked_for() {
    let (server, halo) = start().await;
    on(&server, "POST", "/api/Actions", ResponseTemplate::new(500)).await;
    let history = json!({ "record_count": 1, "actions": [
        { "id": 3, "who_agentid": 1, "note_html": "<p>done</p><p><small>fl-01</small></p>", "hiddenfromuser": true },
    ]});
    on(&server, "GET", "/api/Actions", answer(200, &history)).await;
    let note = NewNote {
        text: "done",
        private: true,
        outcome: Outcome::Name("Internal Note".to_owned()),
        new_status: None,
        new_agent: None,
        marker: "fl-01",
    };
    let error = halo.add_note(&id("4242"), &note).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert!(halo.find_marker(&id("4242"), "fl-01").await.unwrap());
    assert!(!halo.find_marker(&id("4242"), "fl-02").await.unwrap());

    let requests = arrived(&server).await;
    assert_eq!(
        requests.iter().filter(|request| request.method == "POST").count(),
        1
    );
    let expected = [
        ("ticket_id", "4242"),
        ("excludesys", "true"),
        ("includehtmlnote", "true"),
        ("count", "500"),
    ];
    assert_eq!(query(&requests[1]), pairs(&expected));
}

#[tokio::test]
async fn a_history_that_can_not_be_read_is_no_empty_history() {
    let others = [
        ResponseTemplate::new(404),
        answer(200, &json!({})),
        answer(
            200,
            &json!({ "record_count": 1, "rows": [{ "id": 3, "who_agentid": 17 }] }),
        ),
        answer(200, &json!({ "record_count": 1, "actions": [[3, 17]] })),
        answer(
            200,
            &json!({ "record_count": 1, "actions": [{ "id": 3, "who_agentid": "Bob" }] }),
        ),
    ];
    for other in others {
        let (server, halo) = start().await;
        on(&server, "GET", "/api/Actions", other).await;
        let error = halo.actions(&id("4242")).await.unwrap_err();
        assert!(matches!(error, CallError::Busy { .. }), "{error}");
        let error = halo.find_marker(&id("4242"), "fl-01").await.unwrap_err();
        assert!(matches!(error, CallError::Busy { .. }), "{error}");
    }
}

#[tokio::test]
async fn of_a_history_that_is_too_long_what_was_written_last_is_looked_through() {
    let (server, halo) = start().await;
    let picture = "x".repeat(100_000);
    let entries = move |request: &Request| {
        let count = query(request).into_iter().find(|(name, _)| name == "count");
        let count: usize = count.unwrap().1.parse().unwrap();
        let older = (1..count).map(|id| json!({ "id": id, "note": picture }));
        let all: Vec<_> = [json!({ "id": 900, "note": "fl-01" })]
            .into_iter()
            .chain(older)
            .collect();
        answer(200, &json!({ "record_count": count, "actions": all }))
    };
    Mock::given(method("GET"))
        .and(path("/api/Actions"))
        .respond_with(entries)
        .mount(&server)
        .await;
    assert!(halo.find_marker(&id("4242"), "fl-01").await.unwrap());
    assert_eq!(halo.latest_actions(&id("4242")).await.unwrap().len(), 20);
    // Whether a person was at work on it is not told by a part.
    let error = halo.actions(&id("4242")).await.unwrap_err();
    assert!(error.is_refused("too_large"), "{error}");
}

#[tokio::test]
async fn an_action_without_a_number_is_an_action() {
    let (server, halo) = start().await;
    let history = json!({ "record_count": 2, "actions": [
        { "who_agentid": "17", "note": "I take this one" },
        { "id": 0, "who_agentid": null, "note": "fl-01" },
    ]});
    on(&server, "GET", "/api/Actions", answer(200, &history)).await;
    let actions = halo.actions(&id("4242")).await.unwrap();
    let agents: Vec<Option<i64>> = actions.iter().map(|action| action.agent_id).collect();
    assert_eq!(agents, [Some(17), None]);
    assert!(halo.find_marker(&id("4242"), "fl-01").await.unwrap());
}

#[tokio::test]
async fn updates_name_type_and_customer_and_set_off_no_rules() {
    let (server, halo) = start().await;
    on(
        &server,
        "POST",
        "/api/Tickets",
        answer(201, &json!({ "id": 4242 })),
    )
    .await;
    halo.set_custom_fields(&reference(), &[(178, json!("running"))])
        .await
        .unwrap();
    halo.set_status(&reference(), 9).await.unwrap();
    halo.unassign(&reference()).await.unwrap();
    let bodies: Vec<Value> = arrived(&server)
        .await
        .iter()
        .map(|request| request.body_json().unwrap())
        .collect();
    let with = |name: &str, value: Value| {
        let mut record = json!({ "id": 4242, "tickettype_id": 25, "client_id": 1, "dont_do_rules": true });
        record[name] = value;
        json!([record])
    };
    let expected = [
        with("customfields", json!([{ "id": 178, "value": "running" }])),
        with("status_id", json!(9)),
        with("agent_id", json!(1)),
    ];
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn a_write_that_was_taken_with_an_error_is_refused() {
    let (server, halo) = start().await;
    let taken = json!({ "id": 4242, "_warning": "status not allowed", "_warning_is_error": true });
    on(&server, "POST", "/api/Tickets", answer(200, &taken)).await;
    let error = halo.set_status(&reference(), 9).await.unwrap_err();
    assert!(error.is_refused("warning"), "{error}");
}

#[tokio::test]
async fn statuses_and_fields_are_found_by_name_or_number() {
    let (server, halo) = start().await;
    let statuses = json!([{ "id": 1, "name": "New" }, { "id": "10", "name": "Resolved" }]);
    on(&server, "GET", "/api/Status", answer(200, &statuses)).await;
    let fields =
        json!([{ "id": 178, "name": "automation_status" }, { "id": 179.0, "name": "CFplaybook_id" }]);
    on(&server, "GET", "/api/FieldInfo", answer(200, &fields)).await;
    assert_eq!(halo.status_id("resolved").await.unwrap(), Some(10));
    assert_eq!(halo.status_id("1").await.unwrap(), Some(1));
    assert_eq!(halo.status_id("Gone").await.unwrap(), None);
    let ids = halo
        .field_ids(&["CFautomation_status", "179", "CFmissing"])
        .await
        .unwrap();
    let expected = [("179".to_owned(), 179), ("CFautomation_status".to_owned(), 178)];
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn rows_are_read_from_the_list_that_was_asked_for() {
    let (server, halo) = start().await;
    let row = json!({ "id": 4242, "last_update": "2026-02-10T09:15:00.123" });
    let listed = json!({ "columns": [{ "id": 7 }, { "id": 8 }], "record_count": 1, "tickets": [row] });
    on(&server, "GET", "/api/Tickets", answer(200, &listed)).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(numbers(&changes), BTreeSet::from([4242]));
}

#[tokio::test]
async fn a_lookup_that_answers_something_else_is_asked_again_and_no_tenant_without_fields() {
    for other in [
        ResponseTemplate::new(404),
        answer(200, &json!({ "record_count": 0 })),
    ] {
        let (server, halo) = start().await;
        on(&server, "GET", "/api/Status", other.clone()).await;
        on(&server, "GET", "/api/FieldInfo", other).await;
        let error = halo.status_id("Resolved").await.unwrap_err();
        assert!(matches!(error, CallError::Busy { .. }), "{error}");
        let error = halo.field_ids(&["CFautomation_status"]).await.unwrap_err();
        assert!(matches!(error, CallError::Busy { .. }), "{error}");
    }
}

/// Open tickets by number, each with the moment of its change, listed as HaloPSA does.
struct Listing {
    tickets: Mutex<Vec<(i64, OffsetDateTime)>>,
    /// After the first page this ticket changes, and moves to the end.
    restless: Option<i64>,
    in_order: bool,
    date: &'static str,
    /// What people wrote in each, in bytes.
    written: usize,
    /// This one holds more than any answer may.
    giant: Option<i64>,
    /// From this moment on it is away.
    away_from: Option<OffsetDateTime>,
}

const NINE: OffsetDateTime = datetime!(2026-02-10 09:00 UTC);

impl Listing {
    /// Number n changed n times `pace` after nine.
    fn of(count: i32, pace: Duration) -> Self {
        Self {
            tickets: Mutex::new((1..=count).map(|id| (i64::from(id), NINE + pace * id)).collect()),
            restless: None,
            in_order: true,
            date: "Tue, 10 Feb 2026 17:59:00 GMT",
            written: 0,
            giant: None,
            away_from: None,
        }
    }
}

/// What [`Listing`]'s clock says.
const ASKED_AT: OffsetDateTime = datetime!(2026-02-10 17:59 UTC);

impl Respond for Listing {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let asked: HashMap<String, String> = query(request).into_iter().collect();
        let from = OffsetDateTime::parse(&asked["lastupdatefromdate"], &Rfc3339).unwrap();
        if self.away_from.is_some_and(|away| from >= away) {
            return ResponseTemplate::new(503);
        }
        let size: usize = asked["page_size"].parse().unwrap();
        let before = size * (asked["page_no"].parse::<usize>().unwrap() - 1);
        let mut tickets = self.tickets.lock().unwrap();
        if self.in_order {
            tickets.sort_by_key(|(_, changed)| *changed);
        }
        let found: Vec<_> = tickets.iter().filter(|(_, changed)| *changed >= from).collect();
        let row = |(id, changed): &&(i64, OffsetDateTime)| {
            let giant = self.giant == Some(*id);
            let written = if giant { 5 * 1024 * 1024 } else { self.written };
            let changed = changed.format(&Rfc3339).unwrap();
            json!({ "id": id, "last_update": changed, "details": "x".repeat(written) })
        };
        let rows: Vec<Value> = found.iter().skip(before).take(size.min(100)).map(row).collect();
        let listed = answer(200, &json!({ "record_count": found.len(), "tickets": rows }));
        let listed = listed.insert_header("date", self.date);
        if let Some((_, changed)) = tickets.iter_mut().find(|(id, _)| Some(*id) == self.restless) {
            *changed = NINE + Duration::hours(9);
        }
        listed
    }
}

async fn list(listing: Listing) -> (MockServer, Halo) {
    let (server, halo) = start().await;
    let tickets = Mock::given(method("GET")).and(path("/api/Tickets"));
    tickets.respond_with(listing).mount(&server).await;
    (server, halo)
}

fn numbers(changes: &Changes) -> BTreeSet<i64> {
    let number = |stub: &TicketStub| stub.id.as_str().parse().unwrap();
    changes.tickets.iter().map(number).collect()
}

#[tokio::test]
async fn changes_are_read_on_from_the_last_one_and_each_once() {
    let (server, halo) = list(Listing::of(150, Duration::SECOND)).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(changes.tickets.len(), 150);
    assert_eq!(changes.seen, Some(Seen::AllUntil(ASKED_AT)));
    assert_eq!(numbers(&changes), (1..=150).collect());
    let requests = arrived(&server).await;
    let expected = [
        ("open_only", "true"),
        ("lastupdatefromdate", "2026-02-10T09:01:40.000Z"),
        ("order", "lastupdate"),
        ("orderdesc", "false"),
        ("pageinate", "true"),
        ("page_size", "100"),
        ("page_no", "1"),
    ];
    assert_eq!(query(&requests[1]), pairs(&expected));
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn a_ticket_that_changes_while_the_pages_are_read_hides_no_other() {
    let listing = Listing {
        restless: Some(5),
        ..Listing::of(150, Duration::SECOND)
    };
    let (_server, halo) = list(listing).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(numbers(&changes), (1..=150).collect());
    assert_eq!(changes.tickets.len(), 151, "number 5 changed twice");
}

#[tokio::test]
async fn more_than_one_look_reads_is_read_by_the_next_ones() {
    let (_server, halo) = list(Listing::of(2500, Duration::SECOND)).await;
    let first = halo.updated_since(NINE).await.unwrap();
    let Some(Seen::NotFrom(on)) = first.seen else {
        panic!("{:?}", first.seen)
    };
    let second = halo.updated_since(on).await.unwrap();
    assert_eq!(second.seen, Some(Seen::AllUntil(ASKED_AT)));
    let both: BTreeSet<i64> = &numbers(&first) | &numbers(&second);
    assert_eq!(both, (1..=2500).collect());
}

#[tokio::test]
async fn changes_of_one_moment_and_rows_in_no_order_are_read_by_the_pages_number() {
    let (_server, halo) = list(Listing::of(250, Duration::ZERO)).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(numbers(&changes), (1..=250).collect());

    let newest_first = Listing::of(250, Duration::SECOND);
    newest_first.tickets.lock().unwrap().reverse();
    let listing = Listing {
        in_order: false,
        ..newest_first
    };
    let (_server, halo) = list(listing).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(numbers(&changes), (1..=250).collect());
    assert_eq!(changes.seen, Some(Seen::AllUntil(ASKED_AT)));
}

#[tokio::test]
async fn pages_that_are_too_long_to_be_read_are_read_in_halves() {
    let listing = Listing {
        written: 60_000,
        ..Listing::of(150, Duration::SECOND)
    };
    let (_server, halo) = list(listing).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(numbers(&changes), (1..=150).collect());
    assert_eq!(changes.seen, Some(Seen::AllUntil(ASKED_AT)));
}

#[tokio::test]
async fn a_ticket_that_is_too_large_even_alone_hides_no_other() {
    let listing = Listing {
        giant: Some(5),
        ..Listing::of(9, Duration::SECOND)
    };
    let (_server, halo) = list(listing).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(numbers(&changes), (1..=9).filter(|id| *id != 5).collect());
    assert_eq!(changes.seen, Some(Seen::AllUntil(ASKED_AT)));
}

#[tokio::test]
async fn what_was_read_before_a_look_was_broken_off_counts() {
    let listing = Listing {
        away_from: Some(NINE + Duration::seconds(150)),
        ..Listing::of(250, Duration::SECOND)
    };
    let (_server, halo) = list(listing).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!(
        numbers(&changes),
        (1..=199).collect(),
        "two pages that share a row"
    );
    assert_eq!(changes.seen, Some(Seen::NotFrom(NINE + Duration::seconds(199))));
}

#[tokio::test]
async fn a_web_page_in_the_place_of_the_api_is_waited_out() {
    let (server, halo) = start().await;
    let page = || ResponseTemplate::new(404).set_body_raw("<html>nginx</html>", "text/html");
    on(&server, "GET", "/api/Tickets/4242", page()).await;
    on(&server, "POST", "/api/Tickets", page()).await;
    let error = halo.ticket(&id("4242")).await.unwrap_err();
    assert!(error.is_busy(), "{error}");
    let error = halo.set_status(&reference(), 9).await.unwrap_err();
    assert!(error.is_busy(), "{error}");
}

#[tokio::test]
async fn an_answer_that_does_not_say_what_time_it_is_has_not_seen_until_any_time() {
    let listing = Listing {
        date: "soon",
        ..Listing::of(1, Duration::SECOND)
    };
    let (_server, halo) = list(listing).await;
    let changes = halo.updated_since(NINE).await.unwrap();
    assert_eq!((numbers(&changes), changes.seen), (BTreeSet::from([1]), None));
}

#[tokio::test]
async fn the_rolling_limit_of_the_vendor_is_the_callers_to_wait_out() {
    let (server, halo) = start().await;
    let text = "Rate Limit Reached - 300 Requests per rolling 5 minute window.";
    let throttled = ResponseTemplate::new(429)
        .insert_header("retry-after", "120")
        .set_body_string(text);
    on(&server, "GET", "/api/Tickets/1", throttled).await;
    let error = halo.ticket(&id("1")).await.unwrap_err();
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(120));
}
