//! Playbooks that have not earned to act by themselves, those that have, and those that lose it.

use common::modes::{GateReport, Standing};
use common::{Blocker, Decision, Problem, Service};
use http::{Method, StatusCode};
use launcher::testing::seen_within;
use serde_json::{Value, json};
use simulators::halo::HUMAN_AGENT;
use uuid::Uuid;

use crate::story::{Story, codes, playbook};

const ADELE: &str = "adele@contoso.example";
const RESET: &str = "I forgot my password";
const NAME: &str = "password_reset";
/// For what is written down beside an answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
const PUBLIC: &str = "https://desk.example/";

/// `password_reset`, activated like this.
fn activated(activation: &Value) -> Value {
    let mut offered = playbook(NAME);
    offered["activation"] = activation.clone();
    offered
}

fn in_mode(mode: &str) -> Value {
    activated(&json!({"id": Uuid::now_v7(), "mode": mode, "bar": 0.95}))
}

impl Story {
    /// A classifier, and `offered` as the only playbook.
    async fn with(offered: Value) -> Self {
        let mut story = Self::prepare(&[]).await;
        story.now_offered(offered).await;
        story.start();
        story
    }

    async fn now_offered(&self, offered: Value) {
        self.peers_forget().await;
        self.offer(&[offered]).await;
        self.accept_executions().await;
    }

    async fn decided_on(&self, from: &str) -> (i64, Decision) {
        let ticket = self.file(from, RESET);
        assert_eq!(self.settled(ticket).await, "DONE");
        (ticket, self.decision(ticket).await)
    }

    /// The path of the only link on the ticket.
    fn link(&self, ticket: i64) -> String {
        let notes = self.ticket(ticket).notes;
        let [note] = notes.as_slice() else {
            panic!("one note: {notes:?}");
        };
        assert!(note.private, "a suggestion is for agents only");
        let found = note
            .text
            .split_whitespace()
            .find_map(|word| word.strip_prefix(PUBLIC));
        found
            .unwrap_or_else(|| panic!("a link in {}", note.text))
            .to_owned()
    }

    async fn open(&self, link: &str) -> (StatusCode, String) {
        told(self.request(Method::GET, link)).await
    }

    async fn press(&self, link: &str) -> (StatusCode, String) {
        told(self.request(Method::POST, link)).await
    }

    async fn as_person(&self, role: &str, method: Method, path: &str, body: Value) -> (StatusCode, String) {
        let token = self.world.token_for(ADELE, &[role]);
        let request = self.request(method, path).bearer_auth(token);
        told(if body.is_null() {
            request
        } else {
            request.json(&body)
        })
        .await
    }

    async fn report(&self) -> GateReport {
        let (status, body) = self
            .as_person("auditor", Method::GET, "/api/v1/gate/report", Value::Null)
            .await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn review(&self, ticket: i64, right: bool) -> (StatusCode, String) {
        let path = format!("/api/v1/decisions/{ticket}/review");
        let body = json!({"right": right, "reason": "looked into it"});
        self.as_person("operator", Method::PUT, &path, body).await
    }

    async fn change(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        let done = sqlx::query(statement).execute(&self.database.owner().await).await;
        assert!(done.unwrap().rows_affected() > 0);
    }

    /// What is said of a ticket's decision, by source.
    async fn outcomes(&self, ticket: i64) -> Vec<(String, String)> {
        sqlx::query_as(
            "SELECT o.source, o.verdict FROM gate_outcomes o
             JOIN classification_results d ON d.decision_id = o.decision_id
             WHERE d.ticket_id = $1 ORDER BY o.at",
        )
        .bind(ticket.to_string())
        .fetch_all(&self.database.owner().await)
        .await
        .unwrap()
    }

    async fn outcome(&self, ticket: i64, source: &str) -> String {
        self.until("a verdict", async || {
            let outcomes = self.outcomes(ticket).await;
            outcomes
                .into_iter()
                .find_map(|(by, verdict)| (by == source).then_some(verdict))
        })
        .await
    }

    /// So many judged decisions of `password_reset`, older than those to come.
    async fn history(&self, right: u32, wrong: u32) {
        let statement = format!(
            "WITH past AS (
                 SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(before + n), 12, '0'))::uuid AS id, n
                 FROM generate_series(1, {right} + {wrong}) AS n,
                      (SELECT count(*) AS before FROM classification_results) AS known
             ), decided AS (
                 INSERT INTO classification_results (
                     tenant_id, decision_id, ticket_id, automated, category, confidence, model, prompt_version, reasoning,
                     blockers, playbook, decided_at
                 )
                 SELECT 'default', id, 'past-' || id, false, 'REQUEST', 0.95, 'm', '1', '',
                        '[{{\"code\": \"shadow_mode\", \"detail\": \"\"}}]',
                        '{{\"name\": \"password_reset\", \"version\": \"1.2\"}}', now()
                 FROM past
             )
             INSERT INTO gate_outcomes (
                 tenant_id, decision_id, source, playbook, would_automate, verdict, reason, at
             )
             SELECT 'default', id, 'closed_ticket', 'password_reset', true,
                    CASE WHEN n <= {right} THEN 'agreed' ELSE 'disagreed' END, 'test', now()
             FROM past"
        );
        self.change(&statement).await;
    }

    async fn standing(&self, bar: &str) -> Standing {
        let path = format!("/api/v1/gate/standing/{NAME}?bar={bar}");
        let answer = self.as_service(Service::Playbook, &path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    async fn kinds(&self, kind: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE kind = $1")
            .bind(kind)
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }
}

async fn told(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_shadow_nothing_starts_and_the_ticket_is_left_alone() {
    let story = Story::with(in_mode("shadow")).await;
    let (ticket, decision) = story.decided_on(ADELE).await;
    assert_eq!(codes(&decision), ["shadow_mode"]);
    assert_eq!(
        decision.blockers[0].detail,
        "would have run playbook `password_reset` 1.2, which is in shadow mode"
    );
    assert!(
        decision.confidence > 0.8 && decision.playbook.is_some(),
        "{decision:?}"
    );
    assert_eq!(
        story.field(ticket, "CFautomation_status").as_deref(),
        Some("manual")
    );
    assert_eq!(story.ticket(ticket).notes, []);
    assert_eq!(story.executions().await.len(), 0);
    assert_eq!(story.audit(ticket).await, ["decision.recorded", "ticket.marked"]);
    assert_eq!(
        story.count("gate_windows").await,
        0,
        "what is not done uses nothing up"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_gets_the_default_and_what_speaks_against_a_ticket_goes_first() {
    let mut story = Story::prepare(&[("DEFAULT_MODE", "shadow")]).await;
    story.accept_executions().await;
    story.start();
    let (_, held) = story.decided_on(ADELE).await;
    assert_eq!(codes(&held), ["shadow_mode"]);
    let printer = story.file(ADELE, "The printer on the second floor is out of paper");
    story.settled(printer).await;
    let blocked = codes_of(&story.decision(printer).await);
    assert!(!blocked.contains(&"shadow_mode".to_owned()), "{blocked:?}");
}

fn codes_of(decision: &Decision) -> Vec<String> {
    decision
        .blockers
        .iter()
        .map(|Blocker { code, .. }| code.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_presses_once_and_it_runs_once() {
    let story = Story::with(in_mode("suggest")).await;
    let (ticket, decision) = story.decided_on(ADELE).await;
    assert_eq!(codes(&decision), ["awaits_agent"]);
    assert_eq!(
        story.field(ticket, "CFautomation_status").as_deref(),
        Some("manual")
    );
    let link = story.link(ticket);

    // Whoever looks at links before their readers do changes nothing.
    for _ in 0..3 {
        let (status, page) = story.open(&link).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            page.contains("<form method=\"post\">") && page.contains(NAME),
            "{page}"
        );
    }
    assert_eq!(story.executions().await.len(), 0);

    let (first, second) = tokio::join!(story.press(&link), story.press(&link));
    let mut statuses = [first.0.as_u16(), second.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 410], "{first:?} {second:?}");
    let executions = story
        .until("the execution", async || {
            let executions = story.executions().await;
            (!executions.is_empty()).then_some(executions)
        })
        .await;
    let (key, request) = &executions[0];
    assert_eq!(*key, format!("decision/{}", decision.decision_id));
    let adele = story.world.person(ADELE);
    assert_eq!(request["subject"]["user_id"], adele.id.to_string());
    assert_eq!(story.settled(ticket).await, "DONE");
    assert!(story.decision(ticket).await.execution_id.is_some());

    for again in [story.open(&link).await, story.press(&link).await] {
        assert_eq!(again.0, StatusCode::GONE);
        assert!(again.1.contains("Already approved"), "{}", again.1);
    }
    story.refused("suggestion.refused", "stranger", "used").await;
    assert_eq!(story.executions().await.len(), 1);
    assert_eq!(
        story.outcomes(ticket).await,
        [("approval".to_owned(), "agreed".to_owned())]
    );
    assert_eq!(
        story.audit(ticket).await,
        [
            "decision.recorded",
            "suggestion.offered",
            "ticket.marked",
            "suggestion.approved",
            "decision.judged",
            "ticket.marked",
            "execution.requested"
        ]
    );
}

impl Story {
    /// How often an approval of a ticket was told, with who is on record for it and what it says.
    async fn approvals(&self, ticket: i64) -> Vec<(String, String)> {
        sqlx::query_as(
            "SELECT actor, detail->>'by' FROM audit_events WHERE kind = 'suggestion.approved' AND ticket_id = $1",
        )
        .bind(ticket.to_string())
        .fetch_all(&self.database.owner().await)
        .await
        .unwrap()
    }

    /// A refusal is in the audit: its kind, who it was and why. It is written down beside the answer.
    async fn refused(&self, kind: &str, actor: &str, why: &str) {
        let owner = self.database.owner().await;
        let query =
            "SELECT actor, COALESCE(detail->>'reason', detail->>'code') FROM audit_events WHERE kind = $1";
        let recorded = async || -> Vec<(String, String)> {
            sqlx::query_as(query).bind(kind).fetch_all(&owner).await.unwrap()
        };
        let wanted = (actor.to_owned(), why.to_owned());
        let seen = seen_within(PATIENCE, async || {
            recorded().await.contains(&wanted).then_some(())
        })
        .await;
        assert!(seen.is_some(), "{wanted:?} is not in {:?}", recorded().await);
    }

    async fn approved_by(&self, ticket: i64) -> Option<String> {
        sqlx::query_scalar("SELECT approved_by FROM suggestions WHERE ticket_id = $1")
            .bind(ticket.to_string())
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }

    async fn press_as(&self, role: &str, link: &str) -> (StatusCode, String) {
        self.as_person(role, Method::POST, link, Value::Null).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_approved_is_on_record_as_far_as_it_is_proven() {
    let story = Story::with(in_mode("suggest")).await;
    let (by_link, _) = story.decided_on(ADELE).await;
    let (by_person, _) = story.decided_on("alex@contoso.example").await;
    let link = story.link(by_link);
    let (_, page) = story.open(&link).await;
    assert!(page.contains("and not by whom"), "{page}");
    assert_eq!(story.press(&link).await.0, StatusCode::OK);
    let said = format!("approved by the link in the private note of ticket {by_link}, shown to agents only");
    assert_eq!(
        story.approvals(by_link).await,
        [("vendor:halopsa".to_owned(), said)]
    );
    assert_eq!(story.approved_by(by_link).await, None);

    let link = story.link(by_person);
    assert_eq!(story.press_as("auditor", &link).await.0, StatusCode::FORBIDDEN);
    let forged = story.request(Method::POST, &link).bearer_auth("no.token.at-all");
    assert_eq!(
        told(forged).await.0,
        StatusCode::UNAUTHORIZED,
        "a bad token is no link alone"
    );
    assert_eq!(story.approved_by(by_person).await, None);
    let auditor = format!("person:{}", story.world.person(ADELE).id);
    story
        .refused("suggestion.refused", &auditor, "not_operator")
        .await;
    story
        .refused("access.unproven", "stranger", "token_invalid")
        .await;
    let (_, page) = story.as_person("operator", Method::GET, &link, Value::Null).await;
    assert!(page.contains("that you approved it, Adele Vance"), "{page}");
    assert_eq!(story.press_as("operator", &link).await.0, StatusCode::OK);
    let operator = format!("person:{}", story.world.person(ADELE).id);
    let approvals = story.approvals(by_person).await;
    assert_eq!(approvals.len(), 1);
    assert_eq!(approvals[0].0, operator);
    assert_eq!(story.approved_by(by_person).await, Some(operator));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_person_is_wanted_a_link_alone_shows_and_starts_nothing() {
    let mut story = Story::prepare(&[("SUGGESTION_APPROVER", "person")]).await;
    story.now_offered(in_mode("suggest")).await;
    story.start();
    let (ticket, _) = story.decided_on(ADELE).await;
    let link = story.link(ticket);
    for (status, page) in [story.open(&link).await, story.press(&link).await] {
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(page.contains("Sign in") && !page.contains(NAME), "{page}");
    }
    story
        .refused("access.unproven", "stranger", "token_missing")
        .await;
    assert_eq!(story.executions().await.len(), 0);
    assert_eq!(story.press_as("operator", &link).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_gives_its_address_away_to_nobody() {
    let story = Story::with(in_mode("suggest")).await;
    let (ticket, _) = story.decided_on(ADELE).await;
    let answer = story
        .request(Method::GET, &story.link(ticket))
        .send()
        .await
        .unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
    assert!(header("content-security-policy").starts_with("default-src 'none'"));
    let code = story.link(ticket).replace("suggestions/", "");
    let kept: Vec<String> = sqlx::query_scalar("SELECT to_jsonb(suggestions)::text FROM suggestions")
        .fetch_all(&story.database.owner().await)
        .await
        .unwrap();
    assert!(
        kept.iter().all(|row| !row.contains(&code)),
        "only the digest is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_unknown_or_too_old_starts_nothing() {
    let story = Story::with(in_mode("suggest")).await;
    let (ticket, _) = story.decided_on(ADELE).await;
    let link = story.link(ticket);
    for unknown in [
        "suggestions/nonsense",
        "suggestions/0123456789abcdef0123456789abcdef",
    ] {
        for answer in [story.open(unknown).await, story.press(unknown).await] {
            assert_eq!(answer.0, StatusCode::NOT_FOUND);
            assert!(answer.1.contains("There is no such suggestion"), "{}", answer.1);
        }
    }
    story.refused("suggestion.refused", "stranger", "unknown").await;
    assert_eq!(
        story.kinds("suggestion.refused").await,
        1,
        "codes are anybody's to try: a row for the first, and their number in a minute"
    );
    story
        .change("UPDATE suggestions SET expires_at = now() - interval '1 second'")
        .await;
    for answer in [story.open(&link).await, story.press(&link).await] {
        assert_eq!(answer.0, StatusCode::GONE);
        assert!(answer.1.contains("Too late"), "{}", answer.1);
    }
    story.refused("suggestion.refused", "stranger", "expired").await;
    assert_eq!(story.executions().await.len(), 0);
    assert_eq!(story.outcomes(ticket).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_since_it_was_suggested_stands_against_it() {
    let story = Story::with(in_mode("suggest")).await;
    let (taken, _) = story.decided_on(ADELE).await;
    let (other, _) = story.decided_on("alex@contoso.example").await;
    assert!(story.world.halo().assign(taken, HUMAN_AGENT));
    let (status, page) = story.press(&story.link(taken)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(
        page.contains("an agent has already taken up the ticket"),
        "{page}"
    );

    // Another document under the same name is not what was suggested.
    let mut changed = in_mode("suggest");
    changed["version"] = json!("1.3");
    story.now_offered(changed).await;
    let (status, page) = story.press(&story.link(other)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(page.contains("not the one for whom it was suggested"), "{page}");

    // Neither does it matter in which mode the playbook is by now.
    story.now_offered(in_mode("shadow")).await;
    story
        .change(
            "INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason)
             VALUES ('default', 'tenant', '', now(), 'Holly', 'drill')",
        )
        .await;
    let (status, page) = story.press(&story.link(other)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(page.contains("drill"), "{page}");
    assert_eq!(story.executions().await.len(), 0);
    assert_eq!(story.kinds("suggestion.refused").await, 3);
    story.change("DELETE FROM switches").await;
    assert_eq!(story.press(&story.link(other)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_approved_while_it_cannot_be_checked() {
    let story = Story::with(in_mode("suggest")).await;
    let (ticket, _) = story.decided_on(ADELE).await;
    story.peers.reset().await;
    let (status, page) = story.press(&story.link(ticket)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
    story.now_offered(in_mode("suggest")).await;
    assert_eq!(story.press(&story.link(ticket)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_it_suggests_once_and_starts_once() {
    let mut story = Story::with(in_mode("suggest")).await;
    let (ticket, decision) = story.decided_on(ADELE).await;
    let link = story.link(ticket);
    // As after a kill between the note and the writing down of it.
    story.kill();
    story
        .change(
            "UPDATE tickets SET state = 'DECIDED', work_at = now(), leased_until = NULL, fence = fence + 1",
        )
        .await;
    story.start();
    assert_eq!(story.settled(ticket).await, "DONE");
    assert_eq!(story.link(ticket), link, "the note is found again");
    assert_eq!(story.kinds("suggestion.offered").await, 1);

    // And between the approval and the start.
    let away = Problem::outside_unavailable("orchestration's database", Some(1));
    story.executions_answer(503, away, 1).await;
    assert_eq!(story.press(&link).await.0, StatusCode::OK);
    story.kill();
    story.start();
    story
        .until("the execution", async || {
            story.decision(ticket).await.execution_id
        })
        .await;
    let keys: Vec<String> = story.executions().await.into_iter().map(|(key, _)| key).collect();
    let key = format!("decision/{}", decision.decision_id);
    assert!(keys.iter().all(|asked| *asked == key), "{keys:?}");
    assert_eq!(story.kinds("suggestion.approved").await, 1);
    assert_eq!(story.kinds("execution.requested").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket_says_whether_the_gate_was_right_and_an_operator_has_the_last_word() {
    let story = Story::with(in_mode("shadow")).await;
    let halo = story.world.halo();
    let (right, _) = story.decided_on(ADELE).await;
    let (wrong, _) = story.decided_on(ADELE).await;
    let (mute, _) = story.decided_on(ADELE).await;
    for (ticket, category) in [(right, "Accounts>Password Reset"), (wrong, "Hardware>Printer")] {
        assert!(halo.categorise(ticket, category));
        assert!(halo.set_status(ticket, "Closed"));
    }
    assert!(halo.agent_note(mute, "Reset the password, she had forgot her password"));
    assert!(halo.set_status(mute, "Closed"));
    assert_eq!(story.outcome(right, "closed_ticket").await, "agreed");
    assert_eq!(story.outcome(wrong, "closed_ticket").await, "disagreed");
    assert_ne!(story.outcome(mute, "closed_ticket").await, "disagreed");

    let (status, body) = story.review(wrong, true).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"playbook": NAME, "verdict": "agreed"})
    );
    let report = story.report().await;
    let judged = report.playbooks[0].judgement;
    assert_eq!(judged.disagreed, 0, "{report:?}");
    assert!(judged.agreed >= 2);
    story.review(right, false).await;
    assert_eq!(story.report().await.playbooks[0].judgement.disagreed, 1);
    assert_eq!(story.review(404_404, true).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_automated_and_reviewed_as_wrong_counts() {
    let story = Story::with(playbook(NAME)).await;
    let (ticket, decision) = story.decided_on(ADELE).await;
    assert!(decision.automated);
    assert_eq!(story.review(ticket, false).await.0, StatusCode::OK);
    let standing = story.standing("0.9").await;
    assert_eq!((standing.judged, standing.agreed), (1, 0));
    let body = json!({"right": true});
    let path = format!("/api/v1/decisions/{ticket}/review");
    let (status, _) = story.as_person("operator", Method::PUT, &path, body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a review says why");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standing_counts_what_was_judged() {
    let story = Story::with(in_mode("shadow")).await;
    let none = story.standing("0.95").await;
    assert_eq!((none.judged, none.precision, none.needed), (0, None, 59));
    story.history(58, 0).await;
    let near = story.standing("0.95").await;
    assert_eq!((near.judged, near.agreed, near.needed), (58, 58, 1));
    story.history(1, 0).await;
    assert!(story.standing("0.95").await.is_earned());
    assert!(!story.standing("0.99").await.is_earned());
}

#[tokio::test(flavor = "multi_thread")]
async fn automation_that_drifts_is_taken_back_once_and_returns_by_a_new_activation_only() {
    let earned = in_mode("auto");
    let story = Story::with(earned.clone()).await;
    story.history(100, 0).await;
    let (_, before) = story.decided_on(ADELE).await;
    assert!(before.automated, "{before:?}");

    story.history(0, 3).await;
    for _ in 0..2 {
        let (_, after) = story.decided_on(ADELE).await;
        assert_eq!(codes(&after), ["awaits_agent"], "{after:?}");
    }
    assert_eq!(story.kinds("gate.mode_fell_back").await, 1);
    let report = story.report().await;
    let active = report.playbooks[0].active.clone().unwrap();
    assert_eq!(
        (active.asked.as_str(), active.effective.as_str()),
        ("auto", "suggest")
    );
    assert!(active.fell_back.unwrap().reason.contains("the bar is 0.95"));

    // Better numbers alone bring nothing back.
    story.history(200, 0).await;
    story
        .change("DELETE FROM gate_outcomes WHERE verdict = 'disagreed'")
        .await;
    assert_eq!(codes(&story.decided_on(ADELE).await.1), ["awaits_agent"]);
    story.now_offered(in_mode("auto")).await;
    assert!(story.decided_on(ADELE).await.1.automated);
    assert_eq!(story.kinds("gate.mode_fell_back").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_overrides_is_not_taken_back() {
    let overridden = activated(&json!({
        "id": Uuid::now_v7(), "mode": "auto", "bar": 0.95, "override_reason": "pilot with the service desk",
    }));
    let story = Story::with(overridden).await;
    story.history(0, 40).await;
    assert!(story.decided_on(ADELE).await.1.automated);
    let report = story.report().await;
    assert!(report.playbooks[0].active.as_ref().unwrap().overridden);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_for_operators_and_auditors_as_numbers_and_as_a_picture() {
    let story = Story::with(in_mode("shadow")).await;
    story.decided_on(ADELE).await;
    let report = story.report().await;
    assert_eq!((report.seen, report.without_playbook), (1, 0));
    let [reset] = report.playbooks.as_slice() else {
        panic!("one playbook: {report:?}");
    };
    assert_eq!((reset.seen, reset.would_automate, reset.automated), (1, 1, 0));
    assert_eq!(reset.manual[0].code, "shadow_mode");

    let token = story.world.token_for(ADELE, &["operator"]);
    let picture = story
        .request(Method::GET, "/api/v1/gate/report?since=2026-01-01T00:00:00Z")
        .bearer_auth(&token)
        .header("accept", "image/svg+xml")
        .send()
        .await
        .unwrap();
    assert_eq!(picture.headers()["content-type"], "image/svg+xml");
    assert!(picture.text().await.unwrap().starts_with("<svg"));
    let (status, _) = story
        .as_person("user", Method::GET, "/api/v1/gate/report", Value::Null)
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, body) = story
        .as_person(
            "auditor",
            Method::GET,
            "/api/v1/gate/report?since=monday",
            Value::Null,
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}
