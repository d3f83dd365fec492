//! The playbook service through its door, on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so at once")]

mod house;
mod modes;

use common::playbook::{CheckAnswer, PlaybookView};
use common::{Digest, Finding, PlaybookRef, Problem, Service};
use house::{ADMIN, House, SHIPPED, Who};
use http::Method;
use launcher::testing::Running;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const LIST: &str = "api/v1/playbooks";
const ONE: &str = "api/v1/playbooks/password_reset";
const CLASSIFIER: Who = Who::Fleet(Service::Classifier);

fn version(number: &str) -> String {
    SHIPPED.replace("version: \"1.3\"", &format!("version: \"{number}\""))
}

/// What was done to playbooks, and to which version. Refused callers are on record too, a moment after their answer.
/// What was done with which version, and what was refused with which code.
async fn audited(house: &House) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT kind, COALESCE(detail ->> 'code', detail ->> 'version') FROM audit_events
         WHERE service = 'playbook' AND kind LIKE 'playbook.%' ORDER BY id",
    )
    .fetch_all(&house.owner)
    .await
    .unwrap()
}

fn refused_with(code: &str) -> (String, String) {
    ("playbook.refused".to_owned(), code.to_owned())
}

#[tokio::test]
async fn what_is_shipped_is_there_after_the_first_start_for_everybody_who_works_with_playbooks() {
    let house = House::new().await;
    house.ship("password_reset.yml", SHIPPED);
    house.ship("password_reset.scenarios.yml", "- not a playbook");
    house.ship(
        "asleep.yml",
        &version("1")
            .replace("name: password_reset", "name: asleep")
            .replace("enabled: true", "enabled: false"),
    );
    let running = house.run().await;
    for who in [
        CLASSIFIER,
        Who::Fleet(Service::Orchestration),
        ADMIN,
        Who::Person(&["user"]),
    ] {
        let list: Vec<PlaybookView> = house.get(&running, &who, LIST).await.expect(200);
        let [only] = list.as_slice() else {
            panic!("{list:?}");
        };
        assert_eq!(only.playbook.digest, Digest::of(SHIPPED));
        assert!(only.active && only.source.is_none() && only.examples.len() > 3);
    }
    let one: PlaybookView = house.get(&running, &CLASSIFIER, ONE).await.expect(200);
    assert_eq!(one.source.as_deref(), Some(SHIPPED));
    let asleep = house.get(&running, &CLASSIFIER, "api/v1/playbooks/asleep").await;
    assert_eq!(asleep.code(), (404, "playbook_not_active".to_owned()));

    assert_eq!(house.get(&running, &Who::Nobody, LIST).await.status, 401);
    assert_eq!(house.get(&running, &Who::Person(&[]), LIST).await.status, 403);
}

#[tokio::test]
async fn a_version_is_published_once_and_never_changes() {
    let house = House::new().await;
    let running = house.run().await;
    let first: PlaybookRef = house.publish(&running, &ADMIN, SHIPPED).await.expect(201);
    assert_eq!(first.digest, Digest::of(SHIPPED));
    let again: PlaybookRef = house.publish(&running, &ADMIN, SHIPPED).await.expect(201);
    assert_eq!(again, first);
    let other = SHIPPED.replace("timeout: 300", "timeout: 301");
    let refused = house.publish(&running, &ADMIN, &other).await;
    assert_eq!(refused.code(), (409, "playbook_version_published".to_owned()));
    let stored: PlaybookView = house
        .get(&running, &ADMIN, &format!("{ONE}?version=1.3"))
        .await
        .expect(200);
    assert_eq!(stored.source.as_deref(), Some(SHIPPED));
    assert!(!stored.active, "publishing does not activate");
    assert_eq!(
        audited(&house).await,
        [
            ("playbook.published".to_owned(), "1.3".to_owned()),
            refused_with("playbook_version_published"),
        ]
    );

    // Not even the service itself could change it.
    let pool = house.database.pool(Service::Playbook).await;
    let refused = sqlx::query("UPDATE playbooks SET source = 'x'")
        .execute(&pool)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}

#[tokio::test]
async fn one_version_is_active_and_new_executions_get_it() {
    let house = House::new().await;
    let running = house.run().await;
    for number in ["1.3", "1.4"] {
        house
            .publish(&running, &ADMIN, &version(number))
            .await
            .expect::<PlaybookRef>(201);
    }
    assert_eq!(
        house.get(&running, &CLASSIFIER, ONE).await.code(),
        (404, "playbook_not_active".to_owned())
    );
    let (first, second) = tokio::join!(
        house.activate(&running, &ADMIN, "1.3"),
        house.activate(&running, &ADMIN, "1.4")
    );
    assert!(first.expect::<PlaybookView>(200).active && second.expect::<PlaybookView>(200).active);
    let versions: Vec<PlaybookView> = house
        .get(&running, &CLASSIFIER, &format!("{ONE}/versions"))
        .await
        .expect(200);
    let numbers: Vec<&str> = versions
        .iter()
        .map(|view| view.playbook.version.as_str())
        .collect();
    assert_eq!(numbers, ["1.4", "1.3"], "newest first");
    assert_eq!(versions.iter().filter(|view| view.active).count(), 1);

    house
        .activate(&running, &ADMIN, "1.4")
        .await
        .expect::<PlaybookView>(200);
    let active: PlaybookView = house.get(&running, &CLASSIFIER, ONE).await.expect(200);
    assert_eq!(active.playbook.version.as_str(), "1.4");

    let path = format!("{ONE}/deactivate");
    for _ in 0..2 {
        let view: PlaybookView = house
            .send(
                &running,
                &ADMIN,
                Method::PUT,
                &path,
                "application/json",
                Vec::new(),
            )
            .await
            .expect(200);
        assert!(!view.active);
    }
    assert_eq!(
        house
            .get(&running, &CLASSIFIER, LIST)
            .await
            .expect::<Vec<PlaybookView>>(200),
        []
    );
    let kinds = audited(&house).await;
    assert_eq!(
        kinds.last(),
        Some(&("playbook.deactivated".to_owned(), "1.4".to_owned()))
    );
    assert_eq!(
        kinds
            .iter()
            .filter(|(kind, _)| kind == "playbook.deactivated")
            .count(),
        1,
        "{kinds:?}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let house = House::new().await;
    house.ship("password_reset.yml", SHIPPED);
    let running = house.run().await;
    for (path, code) in [
        (format!("{ONE}?version=9"), "playbook_version_not_found"),
        (format!("{ONE}?version="), "playbook_version_not_found"),
        ("api/v1/playbooks/nothing".to_owned(), "playbook_not_found"),
        (
            "api/v1/playbooks/nothing/versions".to_owned(),
            "playbook_not_found",
        ),
        ("api/v1/playbooks/%00".to_owned(), "playbook_not_found"),
    ] {
        assert_eq!(
            house.get(&running, &ADMIN, &path).await.code(),
            (404, code.to_owned()),
            "{path}"
        );
    }
    let missing = house.activate(&running, &ADMIN, "9").await;
    assert_eq!(missing.code(), (404, "playbook_version_not_found".to_owned()));
    let refused = audited(&house).await;
    assert_eq!(refused.last(), Some(&refused_with("playbook_version_not_found")));
    let looked = refused.iter().filter(|(kind, _)| kind == "playbook.refused");
    assert_eq!(
        looked.count(),
        1,
        "whoever looks for something attempts nothing: {refused:?}"
    );
}

#[tokio::test]
async fn only_admins_publish_and_activate() {
    let house = House::new().await;
    let running = house.run().await;
    for (who, status) in [
        (Who::Nobody, 401),
        (Who::Person(&["operator"]), 403),
        (Who::Person(&["auditor", "user"]), 403),
        (Who::Fleet(Service::Orchestration), 403),
    ] {
        assert_eq!(
            house.publish(&running, &who, SHIPPED).await.status.as_u16(),
            status
        );
        assert_eq!(
            house.activate(&running, &who, "1.3").await.status.as_u16(),
            status
        );
    }
    assert_eq!(audited(&house).await, [], "nothing was done");
}

#[tokio::test]
async fn a_playbook_with_findings_is_refused_with_all_of_them_and_their_places() {
    let house = House::new().await;
    let running = house.run().await;
    let unsafe_source = SHIPPED.replace("on_failure: verify_manager ", "on_failure: reset_password ");
    let refused = house.publish(&running, &ADMIN, &unsafe_source).await;
    let problem: Problem = refused.expect(422);
    assert_eq!(problem.code, "playbook_findings");
    let findings: Vec<Finding> = serde_json::from_value(problem.extra["findings"].clone()).unwrap();
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
    assert!(codes.contains(&"unverified-privileged-step"), "{codes:?}");
    assert!(
        findings
            .iter()
            .all(|finding| finding.line > 1 && finding.column > 1)
    );

    let yaml = unsafe_source.clone().into_bytes();
    let path = "api/v1/playbooks/check";
    let media_type = "application/yaml; charset=utf-8";
    let checked: CheckAnswer = house
        .send(&running, &CLASSIFIER, Method::POST, path, media_type, yaml)
        .await
        .expect(200);
    assert!(!checked.ok);
    assert_eq!(checked.findings, findings);
    assert_eq!(
        audited(&house).await,
        [refused_with("playbook_findings")],
        "whoever only asks attempts nothing"
    );
    let (actor, detail): (String, serde_json::Value) =
        sqlx::query_as("SELECT actor, detail FROM audit_events WHERE kind = 'playbook.refused'")
            .fetch_one(&house.owner)
            .await
            .unwrap();
    assert!(actor.starts_with("person:"), "{actor}");
    assert_eq!(detail["verb"], "publish");
    assert_eq!(detail["digest"], Digest::of(&unsafe_source).as_str());
    let named = detail["findings"].as_array().unwrap();
    assert!(named.contains(&"unverified-privileged-step".into()), "{detail}");
}

#[tokio::test]
async fn what_is_no_playbook_at_all_is_a_clear_refusal() {
    let house = House::new().await;
    let running = house.run().await;
    let post = async |media_type: &str, body: Vec<u8>| {
        house
            .send(&running, &ADMIN, Method::POST, LIST, media_type, body)
            .await
            .code()
    };
    let code = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(
        post("application/json", b"{}".to_vec()).await,
        code(415, "yaml_expected")
    );
    assert_eq!(post("", SHIPPED.into()).await, code(415, "yaml_expected"));
    assert_eq!(
        post("application/yaml", vec![b'a', 0xff]).await,
        code(400, "yaml_not_utf8")
    );
    assert_eq!(
        post("application/yaml", b"a: [".to_vec()).await,
        code(422, "playbook_findings")
    );
    assert_eq!(
        post("application/yaml", Vec::new()).await,
        code(422, "playbook_findings")
    );
    let large = |bytes: usize| format!("name: {}", "x".repeat(bytes)).into_bytes();
    assert_eq!(
        post("application/yaml", large(1 << 20)).await,
        code(413, "playbook_too_large")
    );
    assert_eq!(
        post("application/yaml", large(3 << 20)).await,
        code(413, "body_too_large")
    );
    let huge_version = SHIPPED.replace("version: \"1.3\"", &format!("version: {}", "9".repeat(300)));
    assert_eq!(
        post("application/yaml", huge_version.into()).await,
        code(422, "playbook_findings")
    );
}

#[tokio::test]
async fn a_restart_overrides_nothing_that_people_did() {
    let house = House::new().await;
    house.ship("password_reset.yml", SHIPPED);
    let running = house.run().await;
    let path = format!("{ONE}/deactivate");
    house
        .send(
            &running,
            &ADMIN,
            Method::PUT,
            &path,
            "application/json",
            Vec::new(),
        )
        .await
        .expect::<PlaybookView>(200);
    drop(running);

    // The file has moved on, too, under the same and under a new version.
    house.ship(
        "password_reset.yml",
        &SHIPPED.replace("timeout: 300", "timeout: 301"),
    );
    house.ship(
        "newer.yml",
        &version("2").replace("enabled: true", "enabled: false"),
    );
    house.ship(
        "another.yml",
        &version("1").replace("name: password_reset", "name: another"),
    );
    let running = house.run().await;
    let list: Vec<PlaybookView> = house.get(&running, &CLASSIFIER, LIST).await.expect(200);
    let names: Vec<&str> = list.iter().map(|view| view.playbook.name.as_str()).collect();
    assert_eq!(names, ["another"], "a name that was never there is new");
    let versions: Vec<PlaybookView> = house
        .get(&running, &CLASSIFIER, &format!("{ONE}/versions"))
        .await
        .expect(200);
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].playbook.digest, Digest::of(SHIPPED));
}

#[tokio::test]
async fn it_does_not_start_with_a_bad_playbook_and_names_all_that_is_wrong() {
    let house = House::new().await;
    house.ship(
        "a.yml",
        &SHIPPED.replace("on_failure: escalate_reset_failed", "on_failure: nowhere"),
    );
    house.ship("b.yml", "name: [");
    house.ship("c.yml", &version("7"));
    house.ship("d.yml", &version("8"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = playbook::serve(house.settings(), listener, CancellationToken::new())
        .await
        .unwrap_err();
    let said = chassis::chain(&error).replace(&house.playbooks().display().to_string(), "DIR");
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn the_api_describes_itself() {
    let house = House::new().await;
    let running = house.run().await;
    let description: serde_json::Value = house
        .get(&running, &Who::Nobody, "openapi.json")
        .await
        .expect(200);
    let paths: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
    insta::assert_json_snapshot!(paths);
}

const LATER: &str = r#"
name: later
version: "1.0"
enabled: true
trigger:
  on: created
  when: {field: ticket.team, operator: equals, value: "1st Line"}
inputs:
  days: {type: whole, least: 1, most: 30, default: 3, description: "how long"}
steps:
  - {id: verify, service: verification.mfa, on_success: unlock, on_failure: person, on_denied: person}
  - {id: unlock, service: executor.unlock_account, on_success: resolved, on_failure: person}
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "A person must do it"}
"#;

const PROVE: &str = r#"
name: prove_it
version: "1.0"
enabled: true
steps:
  - {id: push, service: verification.mfa, on_success: proven, on_failure: not_proven, on_denied: not_proven}
  - {id: proven, type: terminal, status: RESOLVED}
  - {id: not_proven, type: escalation, reason: "Nobody proved anything"}
"#;

const CALLER: &str = r#"
name: a_caller
version: "1.0"
enabled: true
steps:
  - {id: prove, type: call, playbook: prove_it, version: "1.0", on_success: reset}
  - {id: reset, service: executor.reset_password, on_success: deliver, on_failure: person}
  - {id: deliver, service: delivery.sms, on_success: resolved, on_failure: person}
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "It did not work out"}
"#;

async fn activate(house: &House, running: &Running, name: &str) -> house::Answer {
    let body = json!({"version": "1.0"}).to_string().into_bytes();
    let path = format!("{LIST}/{name}/activate");
    house
        .send(running, &ADMIN, Method::PUT, &path, "application/json", body)
        .await
}

#[tokio::test]
async fn what_no_service_offers_yet_can_be_published_and_not_activated() {
    let house = House::new().await;
    house.ship("password_reset.yml", SHIPPED);
    house.ship("later.yml", LATER);
    let running = house.run().await;
    let list: Vec<PlaybookView> = house.get(&running, &CLASSIFIER, LIST).await.expect(200);
    let names: Vec<&str> = list.iter().map(|view| view.playbook.name.as_str()).collect();
    assert_eq!(names, ["password_reset"], "published, and not active");
    let view: PlaybookView = house
        .get(&running, &CLASSIFIER, &format!("{LIST}/later?version=1.0"))
        .await
        .expect(200);
    assert_eq!(view.planned, ["executor.unlock_account".parse().unwrap()]);
    let refused: Problem = activate(&house, &running, "later").await.expect(409);
    assert_eq!(refused.code, "playbook_planned");
    assert_eq!(refused.extra["actions"], json!(["executor.unlock_account"]));
    assert!(
        refused.detail.contains("executor.unlock_account"),
        "{}",
        refused.detail
    );
    let again = LATER.replace("name: later", "name: much_later");
    house
        .publish(&running, &ADMIN, &again)
        .await
        .expect::<PlaybookRef>(201);
}

#[tokio::test]
async fn a_view_says_what_the_document_says() {
    let house = House::new().await;
    let running = house.run().await;
    house
        .publish(&running, &ADMIN, LATER)
        .await
        .expect::<PlaybookRef>(201);
    let versions: Vec<PlaybookView> = house
        .get(&running, &CLASSIFIER, &format!("{LIST}/later/versions"))
        .await
        .expect(200);
    let view = &versions[0];
    assert!(view.source.is_none());
    assert_eq!(
        serde_json::to_value(&view.trigger).unwrap(),
        json!({"on": ["created"], "when": {"field": "ticket.team", "operator": "equals", "value": "1st Line"}})
    );
    let days = &view.inputs_schema["properties"]["days"];
    assert_eq!(
        (&days["minimum"], &days["maximum"], &days["default"]),
        (&json!(1), &json!(30), &json!(3))
    );
}

#[tokio::test]
async fn a_caller_is_proven_with_what_it_calls() {
    let house = House::new().await;
    let running = house.run().await;
    let early: Problem = house.publish(&running, &ADMIN, CALLER).await.expect(422);
    assert!(
        early.extra["findings"].to_string().contains("unknown-playbook"),
        "{early:?}"
    );
    let called: PlaybookRef = house.publish(&running, &ADMIN, PROVE).await.expect(201);
    house
        .publish(&running, &ADMIN, CALLER)
        .await
        .expect::<PlaybookRef>(201);
    let view: PlaybookView = activate(&house, &running, "a_caller").await.expect(200);
    assert_eq!(view.calls, [called]);
    let list: Vec<PlaybookView> = house.get(&running, &CLASSIFIER, LIST).await.expect(200);
    assert_eq!((list.len(), list[0].calls.len()), (1, 1));
}

#[tokio::test]
async fn shipped_playbooks_may_call_each_other_and_run_only_with_what_they_were_proven_with() {
    let house = House::new().await;
    house.ship("a_caller.yml", CALLER);
    house.ship("prove_it.yml", PROVE);
    let running = house.run().await;
    let list: Vec<PlaybookView> = house.get(&running, &CLASSIFIER, LIST).await.expect(200);
    assert_eq!(list.len(), 2);
    drop(running);

    // Somebody else's `prove_it` is here already: what was proven with ours is not for it.
    let house = House::new().await;
    let running = house.run().await;
    let theirs = PROVE.replace("Nobody proved anything", "Not proven");
    house
        .publish(&running, &ADMIN, &theirs)
        .await
        .expect::<PlaybookRef>(201);
    drop(running);
    house.ship("a_caller.yml", CALLER);
    house.ship("prove_it.yml", PROVE);
    let running = house.run().await;
    let list: Vec<PlaybookView> = house.get(&running, &CLASSIFIER, LIST).await.expect(200);
    assert_eq!(list, [], "published, and left to an admin");
}

#[tokio::test]
async fn declared_actions_are_known_to_the_checks_and_a_bad_declaration_is_named_at_the_start() {
    let house = House::new().await;
    let actions = house.playbooks().join("actions");
    std::fs::write(
        &actions,
        "actions:\n  - {name: cmdb.look_up, path: /look_up, timeout: 30}\n",
    )
    .unwrap();
    let path = actions.display().to_string();
    let running = Running::start(
        Service::Playbook,
        house.settings_with(&[("STEP_ACTIONS_FILE", &path)]).unwrap(),
        playbook::serve,
    );
    house.ready(&running).await;
    let source = "name: look\nversion: \"1.0\"\nsteps:\n  - {id: look, service: cmdb.look_up, on_success: done, on_failure: person}\n  - {id: done, type: terminal, status: RESOLVED}\n  - {id: person, type: escalation, reason: \"Not found\"}\n";
    house
        .publish(&running, &ADMIN, source)
        .await
        .expect::<PlaybookRef>(201);
    activate(&house, &running, "look")
        .await
        .expect::<PlaybookView>(200);

    std::fs::write(
        &actions,
        "actions:\n  - {name: cmdb.look_up, path: look_up}\n  - {name: executor.x, path: /x}\n",
    )
    .unwrap();
    let Err(errors) = house.settings_with(&[("STEP_ACTIONS_FILE", &path)]) else {
        panic!("started with bad declarations");
    };
    let said = errors.messages().join("\n");
    for words in ["STEP_ACTIONS_FILE", "cmdb.look_up", "executor.x"] {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn the_whole_shipped_library_is_published_and_what_can_run_is_active() {
    let house = House::new().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks");
    let mut shipped = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        house.ship(&file, &std::fs::read_to_string(&path).unwrap());
        shipped += i64::from(
            file.strip_suffix(".yml")
                .is_some_and(|name| !name.ends_with(".scenarios")),
        );
    }
    let running = house.run().await;
    let published: i64 = sqlx::query_scalar("SELECT count(*) FROM playbooks")
        .fetch_one(&house.owner)
        .await
        .unwrap();
    assert_eq!(published, shipped);
    let active: Vec<PlaybookView> = house.get(&running, &CLASSIFIER, LIST).await.expect(200);
    assert!(active.iter().all(|view| view.planned.is_empty()));
    let reset = |view: &PlaybookView| view.playbook.name.as_str() == "password_reset";
    assert!(active.iter().any(reset), "{active:?}");
}
