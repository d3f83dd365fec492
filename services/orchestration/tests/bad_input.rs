//! What nobody should send, and a database that takes nothing: each is told to whoever caused it, is on record, and leaves
//! the execution to end in good order.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails loudly, on its stage as well"
)]

#[expect(dead_code, reason = "shared with the other tests")]
mod stage;

use std::collections::HashSet;

use common::client::PeerError;
use common::execution::ExecutionStatus;
use common::{
    ExecutionId, ExecutionView, OperationId, Outcome, Service, Signal, StepCall, StepResult, TenantId,
};
use launcher::testing::Running;
use serde_json::{Value, json};
use sqlx::PgPool;
use stage::{MFA, PLAYBOOK, RESET, SMS, Stage, done, eventually, ok, pending};
use wiremock::ResponseTemplate;

fn signal(operation: OperationId) -> Signal {
    let mut result = StepResult::new(Outcome::Success, "Adele Vance approved on her phone.");
    result.permit = Some(common::PermitToken::from_text("a.permit"));
    Signal {
        tenant_id: "default".parse().unwrap(),
        operation,
        step: StepCall {
            id: "verify_mfa".parse().unwrap(),
            visit: 1,
            attempt: 1,
        },
        result,
    }
}

/// The problem of a refusal, or of a request that is good later.
fn said<T: std::fmt::Debug>(answer: Result<T, PeerError>) -> (u16, String) {
    match answer {
        Err(PeerError::Refused { problem, .. }) => (problem.status, problem.code),
        Err(PeerError::Busy { code: Some(code), .. }) => (503, code),
        other => panic!("not refused: {other:?}"),
    }
}

/// Begun, and Adele has been asked.
async fn waiting(stage: &Stage, running: &Running) -> ExecutionId {
    let id = stage.execute(running).await.execution_id;
    eventually("the user is asked", async || {
        let view = stage.view(running, id).await;
        let asked = view.steps.first()?.explanation.contains("was asked");
        asked.then_some(())
    })
    .await;
    id
}

/// Details of the audit events of this kind, oldest first.
async fn on_record(owner: &PgPool, kind: &str) -> Vec<Value> {
    sqlx::query_scalar("SELECT detail FROM audit_events WHERE kind = $1 ORDER BY id")
        .bind(kind)
        .fetch_all(owner)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_for_an_execution_that_is_unknown_foreign_or_over_changes_nothing_and_is_on_record() {
    let stage = Stage::set().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let running = stage.orchestration(&[]);
    let id = waiting(&stage, &running).await;
    let yes = signal(operation);
    let other = signal(OperationId::fresh());
    let mut of_another_tenant = signal(OperationId::fresh());
    of_another_tenant.tenant_id = "fabrikam".parse().unwrap();
    let nobody_s = ExecutionId::fresh();
    for (from, to, signal, expected) in [
        (
            Service::Verification,
            nobody_s,
            &yes,
            (404, "execution_not_found"),
        ),
        (
            Service::Verification,
            id,
            &of_another_tenant,
            (403, "wrong_tenant"),
        ),
        // Of a call that this service was not asked for, and of another operation than the one that it began.
        (Service::Executor, id, &yes, (409, "operation_foreign")),
        (Service::Verification, id, &other, (409, "operation_foreign")),
    ] {
        let (status, code) = said(stage.signal(&running, from, to, signal).await);
        assert_eq!((status, code.as_str()), expected);
    }
    let view = stage.view(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Waiting, "{view:#?}");
    let owner = stage.database.owner().await;
    let codes: Vec<Value> = on_record(&owner, "signal.refused")
        .await
        .into_iter()
        .map(|mut detail| detail["code"].take())
        .collect();
    assert_eq!(
        codes,
        [
            "execution_not_found",
            "wrong_tenant",
            "operation_foreign",
            "operation_foreign"
        ]
    );

    let sound = stage.signal(&running, Service::Verification, id, &yes).await;
    sound.unwrap();
    let ended = stage.ended(&running, id).await;
    assert_eq!(ended.status, ExecutionStatus::Resolved, "{ended:#?}");
    // Told again by a service that lost our answer and its key.
    let again = stage.signal_under("another", &running, Service::Verification, id, &yes);
    assert!((200..300).contains(&again.await));
    assert_eq!(stage.view(&running, id).await, ended);
    let repeated = on_record(&owner, "signal.repeated").await;
    assert!(
        matches!(&repeated[..], [detail] if detail["operation"] == json!(operation)),
        "{repeated:?}"
    );
}

/// Run the playbook for `ticket`, to its end.
async fn run(stage: &Stage, running: &Running, ticket: u32) -> ExecutionView {
    let client = stage.client(running, Service::Classifier);
    let request = stage.request(&ticket.to_string());
    let accepted = eventually("it is accepted", async || client.execute(&request).await.ok()).await;
    stage.ended(running, accepted.execution_id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_answers_rubbish_is_asked_again_under_the_same_key_and_loses_nothing() {
    let stage = Stage::set().await;
    let rubbish = [
        (
            "no JSON",
            ResponseTemplate::new(200).set_body_string("<html>It works!</html>"),
        ),
        ("nothing", ResponseTemplate::new(200)),
        ("other JSON", ok(json!({"status": "fine"}))),
        ("a list", ok(json!([1, 2, 3]))),
        (
            "no bytes of UTF-8",
            ResponseTemplate::new(200).set_body_bytes(vec![0xff_u8; 64]),
        ),
        (
            "a pending operation without its id",
            ResponseTemplate::new(202).set_body_json(json!({})),
        ),
        (
            "ten megabytes",
            ResponseTemplate::new(200).set_body_bytes(vec![b' '; 10_000_000]),
        ),
        (
            "ten megabytes of refusal",
            ResponseTemplate::new(422).set_body_bytes(vec![b'x'; 10_000_000]),
        ),
    ];
    let running = stage.orchestration(&[]);
    let owner = stage.database.owner().await;
    for ((what, answer), ticket) in rubbish.into_iter().zip(5000..) {
        let before = stage.steps.asked(RESET).len();
        stage.steps.answer(RESET, [answer, done("success")]);
        let view = run(&stage, &running, ticket).await;
        assert_eq!(view.status, ExecutionStatus::Resolved, "{what}: {view:#?}");
        let asked = stage.steps.asked(RESET).split_off(before);
        let keys: Vec<&str> = asked.iter().map(|asked| asked.key.as_str()).collect();
        assert!(
            matches!(keys.as_slice(), [first, second] if first == second),
            "{what}: whether it was done is not known, so it is the same request: {keys:?}"
        );
        let kinds: Vec<String> = sqlx::query_scalar(
            "SELECT kind FROM audit_events WHERE execution_id = $1 AND kind = 'step.unanswered'",
        )
        .bind(view.execution_id.0)
        .fetch_all(&owner)
        .await
        .unwrap();
        assert_eq!(kinds.len(), 1, "{what} is on record, once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_answers_anything_else_costs_the_step_its_time_and_a_person_takes_over() {
    let stage = Stage::playing(&PLAYBOOK.replace("timeout: 20", "timeout: 2"), &[]).await;
    let megabytes = ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 10_000_000]);
    stage.steps.answer(RESET, [megabytes]);
    let running = stage.orchestration(&[]);
    let view = run(&stage, &running, 5000).await;
    assert_eq!(view.status, ExecutionStatus::Escalated, "{view:#?}");
    assert!(
        stage.steps.asked(SMS).is_empty(),
        "nothing is delivered of what nobody saw"
    );
    stage.told().await;
    let notes: String = stage.desk.notes().into_iter().map(|(_, note)| note).collect();
    assert!(
        !notes.contains("xxxx") && notes.len() < 20_000,
        "what it answered is not told: {notes}"
    );
    let audit = stage.audit().await;
    assert!(audit.contains(&"execution.ended".to_owned()));
    assert!(audit.contains(&"step.unanswered".to_owned()), "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_that_is_taken_out_of_use_meanwhile_ends_as_it_began() {
    let stage = Stage::set().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let running = stage.orchestration(&[]);
    let id = waiting(&stage, &running).await;
    // From now on the playbook service knows nothing of it; and another replica, which has read nothing yet, goes on.
    stage.withdraw().await;
    running.stop().await;
    let heir = stage.orchestration(&[]);
    let yes = signal(operation);
    eventually("the heir takes the signal", async || {
        let heard = stage.signal(&heir, Service::Verification, id, &yes).await;
        heard.ok()
    })
    .await;
    let view = stage.ended(&heir, id).await;
    assert_eq!(
        (view.status, &view.playbook),
        (ExecutionStatus::Resolved, &stage.playbook),
        "{view:#?}"
    );
}

/// Every session that the service has is ended, and gone: the next ones are as the database says.
async fn begin_anew(owner: &PgPool) {
    sqlx::query(
        "SELECT pg_terminate_backend(pid, 10000)
         FROM pg_stat_activity
         WHERE datname = current_database() AND usename = 'firstline_orchestration'",
    )
    .execute(owner)
    .await
    .unwrap();
}

/// As an operator would do it, or a fail-over.
async fn writes(owner: &PgPool, taken: bool) {
    let read_only = if taken { "off" } else { "on" };
    let change = format!(
        "DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {read_only}', current_database());
         END $$"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(change))
        .execute(owner)
        .await
        .unwrap();
    begin_anew(owner).await;
}

/// Refused with `code`. `None` for anything else that can be asked again: the session may just have been ended under it.
fn not_stored<T: std::fmt::Debug>(answer: Result<T, PeerError>, code: &str) -> Option<()> {
    match answer {
        Err(PeerError::Busy { code: Some(said), .. }) => (said == code).then_some(()),
        Err(_) => None,
        Ok(stored) => panic!("it cannot have been stored: {stored:?}"),
    }
}

/// What the service says to a new request and to a signal, once it says `code`.
async fn takes_nothing(stage: &Stage, running: &Running, id: ExecutionId, yes: &Signal, code: &str) {
    let client = stage.client(running, Service::Classifier);
    let request = stage.request("4243");
    eventually("a new execution is not accepted", async || {
        not_stored(client.execute(&request).await, code)
    })
    .await;
    eventually("a signal is not taken", async || {
        not_stored(stage.signal(running, Service::Verification, id, yes).await, code)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_takes_no_writes_nothing_is_accepted_and_nothing_is_lost() {
    let stage = Stage::set().await;
    let owner = stage.database.owner().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let running = stage.orchestration(&[]);
    let id = waiting(&stage, &running).await;
    let yes = signal(operation);

    writes(&owner, false).await;
    takes_nothing(&stage, &running, id, &yes, "database_read_only").await;
    let ready = running.base.join("/readyz").unwrap();
    eventually("it is not ready, and says why", async || {
        let answer = reqwest::get(ready.clone()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        let report: Value = answer.json().await.unwrap();
        let why = report["waiting_for"]["postgres"].as_str()?;
        why.contains("takes no writes").then_some(())
    })
    .await;

    writes(&owner, true).await;
    goes_on(&stage, &running, id, &yes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_has_no_room_nothing_is_accepted_and_nothing_is_lost() {
    let stage = Stage::set().await;
    let owner = stage.database.owner().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let running = stage.orchestration(&[]);
    let id = waiting(&stage, &running).await;
    let yes = signal(operation);

    // What Postgres says where a table cannot grow. A disk that is really full takes a mount of its own, and so root.
    let full = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'could not extend file \"base/1/2\": No space left on device'
                 USING ERRCODE = 'disk_full', HINT = 'Check free disk space.';
         END $$;
         CREATE TRIGGER no_room BEFORE INSERT ON playbook_executions EXECUTE FUNCTION no_room();
         CREATE TRIGGER no_room BEFORE INSERT ON execution_signals EXECUTE FUNCTION no_room();
         CREATE TRIGGER no_room BEFORE INSERT ON playbook_step_executions EXECUTE FUNCTION no_room();";
    sqlx::raw_sql(full).execute(&owner).await.unwrap();
    takes_nothing(&stage, &running, id, &yes, "database_full").await;

    let room = "DROP FUNCTION no_room CASCADE";
    sqlx::raw_sql(room).execute(&owner).await.unwrap();
    goes_on(&stage, &running, id, &yes).await;
}

/// What waited goes on, once, and a new request is accepted.
async fn goes_on(stage: &Stage, running: &Running, id: ExecutionId, yes: &Signal) {
    eventually("the signal is taken", async || {
        let heard = stage.signal(running, Service::Verification, id, yes).await;
        heard.ok()
    })
    .await;
    let view = stage.ended(running, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    for path in [RESET, SMS] {
        // Where its answer could not be stored the request is repeated, and its key says that it is the same one.
        let asked = stage.steps.asked(path);
        let keys: HashSet<&str> = asked.iter().map(|asked| asked.key.as_str()).collect();
        assert_eq!(keys.len(), 1, "{path}: {asked:#?}");
    }
    stage.steps.answer(MFA, [done("success")]);
    let next = run(stage, running, 4243).await;
    assert_eq!(next.status, ExecutionStatus::Resolved, "{next:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ticket_number_in_two_tenants_is_two_tickets() {
    let stage = Stage::set().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let ours = stage.orchestration(&[]);
    let theirs = stage.orchestration(&[("TENANT_ID", "fabrikam")]);
    let id = waiting(&stage, &ours).await;

    let client = stage.client(&theirs, Service::Classifier);
    let fabrikam: TenantId = "fabrikam".parse().unwrap();
    let wholly = stage.request("4242");
    let mut partly = stage.request("4242");
    partly.tenant_id = fabrikam.clone();
    for wrong in [&wholly, &partly] {
        assert_eq!(
            said(client.execute(wrong).await),
            (403, "wrong_tenant".to_owned())
        );
    }
    let mut request = stage.request("4242");
    request.tenant_id = fabrikam.clone();
    request.subject.tenant_id = fabrikam.clone();
    let second = OperationId::fresh();
    stage.steps.answer(MFA, [pending(second)]);
    let accepted = eventually("theirs is accepted beside ours", async || {
        client.execute(&request).await.ok()
    })
    .await;
    assert_ne!(accepted.execution_id, id);

    // Neither fleet knows the other's execution, whoever tells of it.
    let mut told = signal(operation);
    told.tenant_id = fabrikam;
    let of_ours = stage.signal(&theirs, Service::Verification, id, &told).await;
    assert_eq!(said(of_ours), (404, "execution_not_found".to_owned()));
    let seen = client.execution(id).await;
    assert!(seen.is_err_and(|error| error.is_not_found()));
    stage
        .signal(&ours, Service::Verification, id, &signal(operation))
        .await
        .unwrap();
    assert_eq!(stage.ended(&ours, id).await.status, ExecutionStatus::Resolved);
    let other = eventually("theirs still waits", async || {
        client.execution(accepted.execution_id).await.ok()
    })
    .await;
    assert!(!other.status.ended(), "{other:#?}");

    let owner = stage.database.owner().await;
    let refused: Vec<(String, String)> = sqlx::query_as(
        "SELECT tenant_id, detail->>'code' FROM audit_events WHERE kind = 'execution.refused' ORDER BY id",
    )
    .fetch_all(&owner)
    .await
    .unwrap();
    let expected = ("fabrikam".to_owned(), "wrong_tenant".to_owned());
    assert_eq!(refused, [expected.clone(), expected]);
}
