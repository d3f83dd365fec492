//! What is decided before a text is read, what is kept of a decision, and that it can be made again.

use classifier::classify::Embedded;
use classifier::considered::Considered;
use classifier::replay::{Change, Outcome, Reader, again};
use common::Decision;
use common::explain::{Check, Said};
use common::playbook::PlaybookView;
use serde_json::{Value, json};
use simulators::halo::{HUMAN_AGENT, NewTicket, WebhookMode};

use crate::intake::{CREATED, envelope, signed};
use crate::story::{Story, codes, playbook};

const ADELE: &str = "adele@contoso.example";
const RESET: &str = "I forgot my password";

impl Story {
    /// From now on the help desk tells of nothing by itself.
    fn keep_silent(&self) {
        self.world.halo().webhooks(WebhookMode {
            silent: true,
            ..WebhookMode::default()
        });
    }

    /// Nothing is heard of a ticket but by webhooks.
    async fn poll_in_an_hour(&self) {
        let row = "INSERT INTO ticket_polls (tenant_id, seen_until, due_at) VALUES ('default', now(), now() + interval '1 hour')";
        sqlx::query(row)
            .execute(&self.database.owner().await)
            .await
            .unwrap();
    }

    async fn told_by(&self, ticket: i64, agent: i64) {
        let body = envelope(&format!("d-{ticket}"), ticket, "new ticket logged", agent);
        let answer = self.push(CREATED, signed(self, body.as_bytes()), body).await;
        assert_eq!(answer.status(), 202);
    }

    /// What orchestration was, or will be, asked.
    async fn request_of(&self, ticket: i64) -> Option<Value> {
        sqlx::query_scalar("SELECT execution_request FROM classification_results WHERE ticket_id = $1")
            .bind(ticket.to_string())
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }

    async fn kept(&self, ticket: i64) -> Value {
        sqlx::query_scalar("SELECT considered FROM classification_results WHERE ticket_id = $1")
            .bind(ticket.to_string())
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }
}

fn said(considered: &common::explain::ConsideredView, check: Check) -> &Said {
    let mut checks = considered.checks.iter();
    &checks.find(|checked| checked.check == check).unwrap().said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_not_asked_about_tickets_that_a_rule_leaves_to_a_person() {
    let mut story = Story::prepare(&[]).await;
    story.accept_executions().await;
    story.use_model();
    story.poll_in_an_hour().await;
    story.start();
    story.keep_silent();
    let closed = story.file(ADELE, RESET);
    story.world.halo().set_status(closed, "Closed");
    let made = story.file(ADELE, RESET);
    let stranger = story.file("nobody@elsewhere.example", RESET);
    let noted = story.file(ADELE, RESET);
    story.world.halo().agent_note(noted, "calling her");
    for (ticket, agent, code) in [
        (closed, 1, "ticket_over"),
        (made, HUMAN_AGENT, "made_by_agent"),
        (stranger, 1, "no_requester"),
        (noted, 1, "touched_by_agent"),
    ] {
        story.told_by(ticket, agent).await;
        let explained = story.explained(ticket).await;
        assert_eq!(codes(&explained.decision), [code]);
        assert_eq!(explained.decision.model, "none");
        let considered = explained.considered.unwrap();
        assert!(
            matches!(said(&considered, Check::Reading), Said::Moot { .. }),
            "{considered:?}"
        );
        assert!(
            explained
                .explanation
                .iter()
                .any(|told| told.contains("the classifier was not asked"))
        );
    }
    assert_eq!(story.world.openai().calls(), 0);
    let plain = story.file(ADELE, RESET);
    story.told_by(plain, 1).await;
    assert!(story.decision(plain).await.automated);
    assert_eq!(story.world.openai().calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_offered_only_what_starts_on_the_ticket_and_nothing_is_not_asked() {
    let mut story = Story::prepare(&[]).await;
    story.peers_forget().await;
    let mut other = playbook("another_reset");
    other["trigger"] =
        json!({"when": {"field": "ticket.summary", "operator": "contains", "value": "printer"}});
    story.offer(&[playbook("password_reset"), other]).await;
    story.accept_executions().await;
    story.use_model();
    story.start();
    // Two playbooks of one category would be nobody's; only one of them starts on this ticket.
    let ticket = story.file(ADELE, RESET);
    let explained = story.explained(ticket).await;
    assert!(explained.decision.automated, "{explained:?}");
    assert_eq!(explained.considered.unwrap().scores.len(), 1);
    assert_eq!(story.world.openai().calls(), 1);
    story.peers_forget().await;
    let mut only = playbook("password_reset");
    only["trigger"] = json!({"on": ["status_changed"], "when": {"all": []}});
    story.offer(&[only]).await;
    let ticket = story.file("alex@contoso.example", RESET);
    assert_eq!(codes(&story.decision(ticket).await), ["trigger_not_met"]);
    assert_eq!(story.world.openai().calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tickets_of_admitted_types_are_automated() {
    for (types, automated) in [("999", false), ("1,2,3,999,25", true)] {
        let story = Story::begin(&[("HALOPSA_TICKET_TYPES", types)]).await;
        let ticket = story.file(ADELE, RESET);
        let decision = story.decision(ticket).await;
        assert_eq!(decision.automated, automated, "{decision:?}");
        if !automated {
            assert_eq!(codes(&decision), ["ticket_type_not_admitted"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_its_owners_as_long_as_the_directory_says_so() {
    let alias = "Vance.A@contoso.example";
    let mut story = Story::prepare(&[]).await;
    story.accept_executions().await;
    story.poll_in_an_hour().await;
    story.start();
    assert!(story.world.entra().set_aliases(ADELE, &[alias]));
    let own = story.file(alias, RESET);
    assert!(story.decision(own).await.automated);
    // The help desk has linked them by it, and the directory knows nothing of it any more.
    story.keep_silent();
    let another = story.file(alias, RESET);
    assert!(story.world.entra().set_aliases(ADELE, &[]));
    story.told_by(another, 1).await;
    assert_eq!(codes(&story.decision(another).await), ["sender_unverified"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_says_what_was_considered_and_never_what_the_ticket_says() {
    let story = Story::begin(&[]).await;
    let secret = "my locker code is 90210\u{0}";
    let ticket = story
        .world
        .halo()
        .file_ticket(NewTicket::new(ADELE, "I forgot my SAP password").details(secret));
    let explained = story.explained(ticket).await;
    assert!(codes(&explained.decision).contains(&"below_threshold"));
    let mode = explained
        .considered
        .as_ref()
        .and_then(|considered| considered.mode.as_deref());
    assert_eq!(
        mode, None,
        "another reason decided, so nobody asked whether the mode still held"
    );
    let answer = serde_json::to_string(&explained).unwrap();
    for words in ["90210", "SAP", ADELE, "personal"] {
        assert!(!answer.contains(words), "{words}: {answer}");
    }
    let considered = explained.considered.unwrap();
    assert_eq!(considered.checks.len(), Check::ALL.len());
    assert!(
        considered
            .scores
            .iter()
            .any(|scored| scored.chosen && scored.score.is_some())
    );
    assert!(
        explained.otherwise[0]
            .words
            .starts_with("the confidence would have had to be at least 0.85")
    );
    let kept = story.kept(ticket).await;
    assert_eq!(kept["personal"]["text"]["details"], "my locker code is 90210");
    let audited: Vec<String> =
        sqlx::query_scalar("SELECT detail::text FROM audit_events WHERE ticket_id = $1")
            .bind(ticket.to_string())
            .fetch_all(&story.database.owner().await)
            .await
            .unwrap();
    assert!(!audited.is_empty() && audited.iter().all(|detail| !detail.contains("90210")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_wrote_is_forgotten_with_retention_and_the_reasons_stay() {
    let mut story = Story::begin(&[]).await;
    let ticket = story.file(ADELE, RESET);
    assert_eq!(story.settled(ticket).await, "DONE");
    story.stop().await;
    let owner = story.database.owner().await;
    // The same decision, made for another ticket 31 days ago.
    let copy = "INSERT INTO classification_results
        SELECT (jsonb_populate_record(d, jsonb_build_object('ticket_id', '7', 'decision_id',
            lpad(to_hex((EXTRACT(EPOCH FROM now() - interval '31 days') * 1000)::bigint), 12, '0') || '70008000000000000000'))).*
        FROM classification_results d";
    sqlx::query(copy).execute(&owner).await.unwrap();
    let personal = async |ticket: i64| story.kept(ticket).await.get("personal").cloned();
    assert!(personal(7).await.is_some());
    assert_eq!(story.request_of(7).await.unwrap()["requester_mail"], ADELE);
    story.extra.insert("RETENTION_DAYS".to_owned(), "30".to_owned());
    let before = story.kept(7).await;
    story.start();
    let forgotten = story
        .until("the words forgotten", async || {
            let kept = story.kept(7).await;
            kept.get("personal").is_none().then_some(kept)
        })
        .await;
    assert_eq!(forgotten["checks"], before["checks"]);
    assert_eq!(forgotten["facts"], before["facts"]);
    assert!(
        story.kept(ticket).await.get("personal").is_some(),
        "it is not old"
    );
    serde_json::from_value::<Considered>(forgotten).unwrap();
    assert_eq!(story.request_of(7).await, None, "what orchestration was asked");
    assert!(story.request_of(ticket).await.is_some(), "it is not old");
    let row: String =
        sqlx::query_scalar("SELECT to_jsonb(d)::text FROM classification_results d WHERE ticket_id = '7'")
            .fetch_one(&owner)
            .await
            .unwrap();
    for words in [RESET, ADELE, "Adele"] {
        assert!(!row.contains(words), "{words}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_to_be_carried_out_is_not_forgotten() {
    let mut story = Story::begin(&[]).await;
    let (late, done) = (
        story.file(ADELE, RESET),
        story.file("alex@contoso.example", RESET),
    );
    for ticket in [late, done] {
        assert_eq!(story.settled(ticket).await, "DONE");
    }
    story.stop().await;
    let owner = story.database.owner().await;
    // Both were decided on 31 days ago, and one of them could not be started since.
    for statement in [
        "ALTER TABLE tickets DROP CONSTRAINT tickets_tenant_id_decision_id_fkey".to_owned(),
        "UPDATE classification_results d SET decision_id = (lpad(to_hex((EXTRACT(EPOCH FROM now() - interval '31 days')
             * 1000)::bigint), 12, '0') || '7000' || lpad(d.ticket_id, 16, '8'))::uuid"
            .to_owned(),
        "UPDATE tickets t SET decision_id = d.decision_id FROM classification_results d WHERE d.ticket_id = t.ticket_id"
            .to_owned(),
        format!("UPDATE tickets SET state = 'DECIDED', execution_id = NULL, work_at = now() + interval '1 hour' WHERE ticket_id = '{late}'"),
    ] {
        let statement = sqlx::AssertSqlSafe(statement);
        sqlx::query(statement).execute(&owner).await.unwrap();
    }
    story.extra.insert("RETENTION_DAYS".to_owned(), "30".to_owned());
    story.start();
    story
        .until("the words forgotten", async || {
            story.request_of(done).await.is_none().then_some(())
        })
        .await;
    assert!(
        story.request_of(late).await.is_some(),
        "it is still to be started"
    );
}

/// Every decision of a story, with what it was made of.
async fn decisions(story: &Story, tickets: &[i64]) -> Vec<(Decision, Considered)> {
    let mut all = vec![];
    for ticket in tickets {
        let decision = story.decision(*ticket).await;
        let considered = serde_json::from_value(story.kept(*ticket).await).unwrap();
        all.push((decision, considered));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_made_again_with_nothing_changed_differ_nowhere() {
    let story = Story::begin(&[]).await;
    let texts = [
        (ADELE, RESET),
        (ADELE, "I forgot my SAP password"),
        ("alex@contoso.example", "My laptop screen is broken"),
        ("diego@contoso.example", RESET),
        ("grady@contoso.example", RESET),
        ("nobody@elsewhere.example", RESET),
        ("alex@contoso.example", "reset password for my colleague Bob"),
    ];
    let mut tickets: Vec<i64> = texts.iter().map(|(from, text)| story.file(from, text)).collect();
    let _ = decisions(&story, &tickets).await;
    story.keep_silent();
    let closed = story.file(ADELE, RESET);
    story.world.halo().set_status(closed, "Closed");
    story.told_by(closed, 1).await;
    tickets.push(closed);
    let decisions = decisions(&story, &tickets).await;
    assert!(decisions.iter().any(|(decision, _)| decision.automated));
    let documents: Vec<PlaybookView> = vec![serde_json::from_value(playbook("password_reset")).unwrap()];
    let embedded = Embedded::shipped();
    let unchanged = Change {
        threshold: None,
        playbooks: None,
        reader: Reader::WhereOffersDiffer(&embedded),
    };
    let reread = Change {
        reader: Reader::Every(&embedded),
        ..unchanged
    };
    let same_playbooks = Change {
        playbooks: Some(&documents),
        ..unchanged
    };
    for (decision, considered) in &decisions {
        for change in [unchanged, reread, same_playbooks] {
            let outcome = again(decision, considered, &documents, change).await.unwrap();
            assert!(
                !outcome.differs(&Outcome::recorded(decision)),
                "{decision:?} became {outcome:?}"
            );
        }
    }
    let all_needed = Change {
        threshold: Some(1.0),
        ..unchanged
    };
    let (decision, considered) = decisions.iter().find(|(decision, _)| decision.automated).unwrap();
    let outcome = again(decision, considered, &documents, all_needed).await.unwrap();
    assert_eq!(outcome.codes(), ["below_threshold"]);
}
