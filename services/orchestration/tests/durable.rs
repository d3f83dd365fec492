//! Orchestration through its door, on a real database, with scripted services around it: what it promises whatever
//! happens to it or to them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails loudly, on its stage as well"
)]

#[expect(dead_code, reason = "shared with the other tests")]
mod stage;

use std::time::Duration;

use common::client::PeerError;
use common::execution::ExecutionStatus;
use common::{ExecutionId, OperationId, Outcome, Service, Signal, StepCall, StepResult};
use launcher::testing::Running;
use serde_json::json;
use stage::{MANAGER, MFA, RESET, SMS, Stage, done, eventually, ok, pending};
use wiremock::ResponseTemplate;

/// So many executions, each on a ticket of its own.
async fn accepted(stage: &Stage, running: &Running, count: usize) -> Vec<ExecutionId> {
    let client = stage.client(running, Service::Classifier);
    let mut runs = vec![];
    for ticket in 0..count {
        let request = stage.request(&format!("{}", 5000 + ticket));
        let accepted = eventually("it is accepted", async || client.execute(&request).await.ok()).await;
        runs.push(accepted.execution_id);
    }
    runs
}

/// Each of them ends well.
async fn all_resolved(stage: &Stage, running: &Running, runs: Vec<ExecutionId>) {
    for id in runs {
        let view = stage.ended(running, id).await;
        assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    }
}

fn outcomes(view: &common::ExecutionView) -> Vec<(String, String)> {
    let outcome = |step: &common::StepView| {
        step.outcome
            .as_ref()
            .map_or("open".to_owned(), Outcome::to_string)
    };
    view.steps
        .iter()
        .map(|step| (step.call.id.to_string(), outcome(step)))
        .collect()
}

fn signal(operation: OperationId, outcome: Outcome) -> Signal {
    let mut result = StepResult::new(outcome, "Adele Vance answered on her phone.");
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

fn refused_with<T: std::fmt::Debug>(answer: Result<T, PeerError>) -> (u16, String) {
    match answer {
        Err(PeerError::Refused { problem, .. }) => (problem.status, problem.code),
        other => panic!("not refused: {other:?}"),
    }
}

/// How often each marker stands on the ticket.
fn markers(notes: &[(bool, String)]) -> Vec<usize> {
    let text: String = notes.iter().map(|(_, text)| text.as_str()).collect();
    let mut all: Vec<&str> = text
        .split("fl-")
        .skip(1)
        .filter_map(|rest| rest.get(..16))
        .collect();
    all.sort_unstable();
    all.chunk_by(|a, b| a == b).map(<[&str]>::len).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_from_step_to_step_and_its_whole_story_stands_on_the_ticket() {
    let stage = Stage::set().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let running = stage.orchestration(&[]);
    let id = stage.execute(&running).await.execution_id;
    eventually("the user is asked", async || {
        let view = stage.view(&running, id).await;
        (view.status == ExecutionStatus::Waiting).then_some(())
    })
    .await;
    stage
        .signal(
            &running,
            Service::Verification,
            id,
            &signal(operation, Outcome::Success),
        )
        .await
        .unwrap();
    let view = stage.ended(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved);
    let path = [
        ("verify_mfa", "success"),
        ("reset_password", "success"),
        ("deliver", "success"),
        ("resolved", "success"),
    ];
    assert_eq!(
        outcomes(&view),
        path.map(|(step, outcome)| (step.to_owned(), outcome.to_owned()))
    );

    // What a step brought went to the next one, and all of it is one trace.
    let (reset, sms) = (&stage.steps.asked(RESET)[0], &stage.steps.asked(SMS)[0]);
    assert!(reset.request.permit.is_some() && sms.request.sealed.is_some());
    assert_eq!(reset.key, format!("{id}/reset_password/1/1"));
    for asked in [reset, sms] {
        let trace = asked.traceparent.as_deref().unwrap_or_default();
        assert!(trace.contains("0af7651916cd43dd8448eb211c80319c"), "{trace}");
    }

    stage.told().await;
    let notes = stage.desk.notes();
    assert_eq!(
        (stage.desk.status(), stage.desk.field().last().map(String::as_str)),
        (Some(10), Some("resolved"))
    );
    assert!(markers(&notes).iter().all(|times| *times == 1), "{notes:#?}");
    let public: Vec<_> = notes.iter().filter(|(private, _)| !private).collect();
    assert_eq!(public.len(), 1, "{notes:#?}");
    let story = &notes.last().unwrap().1;
    for words in [
        "Automation record",
        "Verify User via MFA",
        "asked to approve on her phone",
        "Ending: resolved",
    ] {
        assert!(story.contains(words), "{story}");
    }
    let audit = stage.audit().await;
    for kind in [
        "execution.accepted",
        "step.asked",
        "signal.received",
        "step.ended",
        "execution.ended",
        "ticket_update.sent",
    ] {
        assert!(
            audit.iter().any(|event| event == kind),
            "{kind} is missing in {audit:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_raises_the_alarm_and_the_ticket_goes_back_to_its_queue() {
    let stage = Stage::set().await;
    stage.steps.answer(MFA, [done("denied")]);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(
        view.reason.as_deref(),
        Some("The user denied the request: possible account takeover")
    );
    assert!(stage.steps.asked(RESET).is_empty());
    stage.told().await;
    assert_eq!(
        (stage.desk.agent(), stage.desk.field().last().map(String::as_str)),
        (Some(1), Some("escalated"))
    );
    assert!(
        stage.desk.notes().iter().all(|(private, _)| *private),
        "an alarm is not for the requester's eyes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_nobody_answers_goes_to_the_manager_who_reads_why() {
    let stage = Stage::set().await;
    stage.steps.answer(MFA, [done("timeout")]);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    let asked = &stage.steps.asked(MANAGER)[0].request;
    assert_eq!(asked.parameters["reason"], "Adele Vance: I can't log in");
    let allowed = asked.authorizes.as_ref().unwrap();
    assert_eq!(
        (allowed.action.as_str(), allowed.step.as_str()),
        ("executor.reset_password", "reset_password")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_starts_one_execution_and_a_ticket_has_one_open() {
    let stage = Stage::set().await;
    stage.steps.answer(MFA, [pending(OperationId::fresh())]);
    let running = stage.orchestration(&[]);
    let client = stage.client(&running, Service::Classifier);
    let request = stage.request("4242");
    let first = eventually("it is accepted", async || client.execute(&request).await.ok()).await;
    assert_eq!(
        client.execute(&request).await.unwrap().execution_id,
        first.execution_id
    );
    let other = stage.request("4242");
    assert_eq!(
        refused_with(client.execute(&other).await),
        (409, "execution_open".to_owned())
    );
    let mut foreign = stage.request("4243");
    foreign.subject.tenant_id = "other".parse().unwrap();
    assert_eq!(
        refused_with(client.execute(&foreign).await),
        (403, "wrong_tenant".to_owned())
    );
    let mut changed = stage.request("4243");
    changed.playbook.digest = common::Digest::of("another document");
    assert_eq!(
        refused_with(client.execute(&changed).await),
        (422, "playbook_digest".to_owned())
    );
    let mut unknown = stage.request("4243");
    unknown.playbook.name = "nobody_s".parse().unwrap();
    unknown.playbook.digest = common::Digest::of("a third document");
    assert_eq!(
        refused_with(client.execute(&unknown).await),
        (422, "playbook_unknown".to_owned())
    );
    let executor = stage.client(&running, Service::Executor);
    assert_eq!(
        refused_with(executor.execute(&stage.request("4244")).await).0,
        403
    );
    let refused: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT detail->>'code', ticket_id FROM audit_events WHERE kind = 'execution.refused' ORDER BY id",
    )
    .fetch_all(&stage.database.owner().await)
    .await
    .unwrap();
    let expected = [
        ("execution_open", Some("4242")),
        // Whose ticket that is, is not ours to say.
        ("wrong_tenant", None),
        ("playbook_digest", Some("4243")),
        ("playbook_unknown", Some("4243")),
    ]
    .map(|(code, ticket)| (code.to_owned(), ticket.map(str::to_owned)));
    assert_eq!(refused, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_repeated_and_foreign_signals_change_nothing() {
    let stage = Stage::set().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let running = stage.orchestration(&[]);
    let id = stage.execute(&running).await.execution_id;
    eventually("the user is asked", async || {
        let view = stage.view(&running, id).await;
        view.steps
            .first()
            .is_some_and(|step| step.explanation.contains("was asked"))
            .then_some(())
    })
    .await;
    let yes = signal(operation, Outcome::Success);
    let unknown = stage
        .signal(&running, Service::Verification, ExecutionId::fresh(), &yes)
        .await;
    assert_eq!(refused_with(unknown), (404, "execution_not_found".to_owned()));
    let not_theirs = stage.signal(&running, Service::Executor, id, &yes).await;
    assert_eq!(refused_with(not_theirs), (409, "operation_foreign".to_owned()));
    let other = signal(OperationId::fresh(), Outcome::Success);
    let not_ours = stage.signal(&running, Service::Verification, id, &other).await;
    assert_eq!(refused_with(not_ours), (409, "operation_foreign".to_owned()));
    stage
        .signal(&running, Service::Verification, id, &yes)
        .await
        .unwrap();
    let ended = stage.ended(&running, id).await;
    let no = signal(operation, Outcome::Denied);
    // Another body under the same key is refused by the idempotency layer; the same one it answers as before.
    assert_eq!(
        refused_with(stage.signal(&running, Service::Verification, id, &no).await).0,
        422
    );
    stage
        .signal(&running, Service::Verification, id, &yes)
        .await
        .unwrap();
    assert_eq!(repeated(&stage).await, 0);
    // Under another key it comes as far as the store, whatever it says by now.
    for (key, signal) in [("again", &yes), ("and-now-no", &no)] {
        let answer = stage.signal_under(key, &running, Service::Verification, id, signal);
        assert!((200..300).contains(&answer.await), "{key}");
    }
    assert_eq!(repeated(&stage).await, 2);
    assert_eq!(stage.view(&running, id).await, ended);
}

/// How many signals are on record as repeated.
async fn repeated(stage: &Stage) -> usize {
    let audit = stage.audit().await;
    audit.iter().filter(|kind| *kind == "signal.repeated").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_callback_costs_latency_and_nothing_else() {
    let stage = Stage::set().await;
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    let result = signal(operation, Outcome::Success).result;
    let stands = json!({
        "operation": operation, "execution_id": ExecutionId::fresh(), "step": {"id": "verify_mfa", "visit": 1, "attempt": 1},
        "explanation": "It is over.", "deadline": "2026-11-22T02:30:00Z", "result": result,
    });
    stage.operation_stands(operation, ok(stands)).await;
    let running = stage.orchestration(&[("MFA_TIMEOUT_S", "2")]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_parks_the_work_and_spends_no_attempt() {
    let stage = Stage::set().await;
    let away = common::Problem::outside_unavailable("Twilio", Some(1));
    let away = ResponseTemplate::new(503)
        .insert_header("retry-after", "1")
        .set_body_json(away);
    stage.steps.answer(SMS, [away.clone(), away, done("success")]);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    let keys: Vec<String> = stage
        .steps
        .asked(SMS)
        .into_iter()
        .map(|asked| asked.key)
        .collect();
    // Each with a fresh deadline, so each under a fresh key of the same visit.
    assert_eq!(keys.len(), 3);
    for (key, attempt) in keys.iter().zip(1..) {
        assert!(key.ends_with(&format!("/deliver/1/{attempt}")), "{keys:?}");
    }
    assert_eq!(
        view.steps.len(),
        4,
        "an outage is no step of its own: {:#?}",
        view.steps
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_probed_by_one_and_the_others_go_on_when_it_is_over() {
    const RUNS: usize = 5;
    const PROBES: usize = 3;
    let stage = Stage::set().await;
    let away = common::Problem::outside_unavailable("Twilio", None);
    let away = ResponseTemplate::new(503).set_body_json(away);
    let answers = std::iter::repeat_n(away, RUNS + PROBES).chain([done("success")]);
    stage.steps.answer(SMS, answers);
    let running = stage.orchestration(&[("CIRCUIT_PROBE_S", "1")]);
    let runs = accepted(&stage, &running, RUNS).await;
    all_resolved(&stage, &running, runs).await;
    let asked = stage.steps.asked(SMS);
    let who: Vec<ExecutionId> = asked.iter().map(|asked| asked.request.execution_id).collect();
    // Some were begun when it was known already: they never asked in vain.
    let probes = who.get(RUNS..RUNS + PROBES).unwrap();
    assert!(
        probes.iter().all(|prober| Some(prober) == probes.first()),
        "{who:?}"
    );
    assert_eq!(who.len(), RUNS + PROBES + RUNS, "{who:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_itself_is_asked_by_one_and_the_others_go_on_when_it_is_back() {
    const RUNS: usize = 5;
    const PROBES: usize = 3;
    let stage = Stage::set().await;
    // As whatever stands before a service says it that is being restarted.
    let away = ResponseTemplate::new(503).set_body_string("no upstream");
    let answers = std::iter::repeat_n(away, RUNS + PROBES).chain([done("success")]);
    stage.steps.answer(SMS, answers);
    let running = stage.orchestration(&[]);
    let runs = accepted(&stage, &running, RUNS).await;
    all_resolved(&stage, &running, runs).await;
    let asked = stage.steps.asked(SMS);
    let who: Vec<ExecutionId> = asked.iter().map(|asked| asked.request.execution_id).collect();
    let probes = who.get(RUNS..RUNS + PROBES).unwrap();
    assert!(
        probes.iter().all(|prober| Some(prober) == probes.first()),
        "{who:?}"
    );
    assert_eq!(who.len(), RUNS + PROBES + RUNS, "{who:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_says_when_to_come_back_is_asked_then_under_the_same_key() {
    let stage = Stage::set().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "5");
    stage.steps.answer(SMS, [busy, done("success")]);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    let asked = stage.steps.asked(SMS);
    let [first, second] = &asked[..] else {
        panic!("{asked:#?}");
    };
    assert_eq!(first.key, second.key);
    let waited = second.at - first.at;
    assert!(waited >= Duration::from_secs(5), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_outage_is_told_on_the_ticket_when_it_is_long_however_long_it_is_left_alone() {
    let stage = Stage::set().await;
    let away = common::Problem::outside_unavailable("Twilio", Some(600));
    let away = ResponseTemplate::new(503)
        .insert_header("retry-after", "600")
        .set_body_json(away);
    stage.steps.answer(SMS, [away]);
    let running = stage.orchestration(&[("OUTAGE_NOTE_AFTER_S", "2")]);
    let id = stage.execute(&running).await.execution_id;
    eventually("the ticket says what is away", async || {
        let notes = stage.desk.notes();
        notes
            .iter()
            .any(|(_, note)| note.contains("Twilio does not answer"))
            .then_some(())
    })
    .await;
    assert_eq!(stage.steps.asked(SMS).len(), 1, "it wants to be left alone");
    let view = stage.view(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Waiting, "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_in_hand_than_there_are_places() {
    const RUNS: usize = 12;
    let stage = Stage::set().await;
    stage.count_held().await;
    for path in [MFA, RESET, SMS] {
        let slow = done("success").set_delay(Duration::from_millis(50));
        stage.steps.answer(path, [slow]);
    }
    let running = stage.orchestration(&[("MAX_IN_FLIGHT", "3")]);
    let runs = accepted(&stage, &running, RUNS).await;
    all_resolved(&stage, &running, runs).await;
    assert_eq!(stage.most_held().await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_found_also_where_its_notification_was_lost() {
    let source = stage::PLAYBOOK.replace("timeout: 60", "timeout: 3000");
    let stage = Stage::playing(&source, &[]).await;
    stage.steps.answer(MFA, [pending(OperationId::fresh())]);
    let running = stage.orchestration(&[("MFA_TIMEOUT_S", "3000")]);
    let id = stage.execute(&running).await.execution_id;
    let owner = stage.database.owner().await;
    let fence = async || -> Option<i64> {
        let let_go = "SELECT fence FROM playbook_executions WHERE id = $1 AND runner IS NULL";
        sqlx::query_scalar(let_go)
            .bind(id.0)
            .fetch_optional(&owner)
            .await
            .unwrap()
    };
    let before = eventually("it waits in nobody's hands", fence).await;
    // The runner has found that nothing is due for most of an hour. Nobody tells it otherwise.
    sqlx::query("UPDATE playbook_executions SET wake_at = now() WHERE id = $1")
        .bind(id.0)
        .execute(&owner)
        .await
        .unwrap();
    eventually("it is taken up all the same", async || {
        fence().await.filter(|fence| *fence > before)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_nobody_declared_is_a_failure_and_on_record() {
    let stage = Stage::set().await;
    stage.steps.answer(RESET, [done("marvellous")]);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(view.status, ExecutionStatus::Escalated, "{view:#?}");
    assert!(
        stage
            .audit()
            .await
            .contains(&"step.outcome_undeclared".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_runner_held_is_taken_over_and_asked_for_under_the_same_key() {
    let stage = Stage::set().await;
    let slow = done("success").set_delay(Duration::from_secs(20));
    stage.steps.answer(RESET, [slow, done("success")]);
    let lease = [("LEASE_S", "2")];
    let first = stage.orchestration(&lease);
    let id = stage.execute(&first).await.execution_id;
    eventually("the call is out", async || {
        stage.steps.asked(RESET).first().cloned()
    })
    .await;
    first.kill();
    let second = stage.orchestration(&lease);
    let view = stage.ended(&second, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    let asked = stage.steps.asked(RESET);
    assert_eq!(asked.len(), 2);
    assert_eq!(
        (&asked[0].key, &asked[0].request),
        (&asked[1].key, &asked[1].request),
        "the very same call"
    );
    assert_eq!(stage.steps.asked(SMS).len(), 1);
    stage.told().await;
    assert!(markers(&stage.desk.notes()).iter().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_runner_gives_back_what_it_holds_at_once() {
    let stage = Stage::set().await;
    let slow = done("success").set_delay(Duration::from_secs(25));
    stage.steps.answer(RESET, [slow, done("success")]);
    let lease = [("LEASE_S", "600")];
    let first = stage.orchestration(&lease);
    let second = stage.orchestration(&lease);
    let id = stage.execute(&first).await.execution_id;
    eventually("the call is out", async || {
        stage.steps.asked(RESET).first().cloned()
    })
    .await;
    // Whoever of the two drives it: the other one goes on, long before any lease runs out.
    first.stop().await;
    let third = stage.orchestration(&lease);
    second.stop().await;
    let view = stage.ended(&third, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    assert_eq!(stage.steps.asked(SMS).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_whose_answer_was_lost_is_looked_for_and_not_repeated() {
    let stage = Stage::set().await;
    stage.desk.swallow(2);
    stage.desk.blind(4);
    let running = stage.orchestration(&[]);
    stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    stage.told().await;
    let notes = stage.desk.notes();
    assert!(markers(&notes).iter().all(|times| *times == 1), "{notes:#?}");
    assert!(
        notes.last().unwrap().1.contains("Automation record"),
        "{notes:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_help_desk_that_is_away_is_told_everything_once_it_is_back() {
    let stage = Stage::set().await;
    stage.desk.away(true);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(view.status, ExecutionStatus::Resolved);
    assert!(stage.desk.notes().is_empty());
    stage.desk.away(false);
    stage.told().await;
    assert_eq!(
        (stage.desk.status(), stage.desk.field()),
        (Some(10), vec!["resolved".to_owned()])
    );
    assert_eq!(stage.desk.notes().len(), 3, "{:#?}", stage.desk.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_the_workflow_forbids_costs_no_words_and_is_on_record() {
    let stage = Stage::set().await;
    stage.desk.stubborn();
    let running = stage.orchestration(&[]);
    stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    stage.told().await;
    let notes = stage.desk.notes();
    assert!(
        notes.last().unwrap().1.contains("Automation record"),
        "{notes:#?}"
    );
    assert_eq!(notes.iter().filter(|(private, _)| !private).count(), 1);
    assert_eq!(
        (stage.desk.status(), stage.desk.field().last().map(String::as_str)),
        (None, Some("resolved"))
    );
    assert!(stage.audit().await.contains(&"ticket_update.refused".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_runs_survive_the_death_of_their_runners() {
    const RUNS: usize = 40;
    let stage = Stage::set().await;
    for path in [MFA, RESET, SMS] {
        stage
            .steps
            .answer(path, [done("success").set_delay(Duration::from_millis(100))]);
    }
    let lease = [("LEASE_S", "1"), ("MAX_IN_FLIGHT", "8")];
    let (doomed, leaving) = (stage.orchestration(&lease), stage.orchestration(&lease));
    let runs = accepted(&stage, &doomed, RUNS).await;
    eventually("some have got somewhere", async || {
        (stage.steps.asked(RESET).len() > 3).then_some(())
    })
    .await;
    doomed.kill();
    let heir = stage.orchestration(&lease);
    eventually("some more have", async || {
        (stage.steps.asked(RESET).len() > 12).then_some(())
    })
    .await;
    leaving.stop().await;
    for id in runs {
        let view = stage.ended(&heir, id).await;
        assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
        assert_eq!(view.steps.len(), 4, "{view:#?}");
    }
    // Calls may repeat, and then they are the very same.
    for path in [MFA, RESET, SMS] {
        let mut keys: Vec<String> = stage
            .steps
            .asked(path)
            .into_iter()
            .map(|asked| asked.key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), RUNS, "{path}");
    }
    stage.told().await;
    let notes = stage.desk.notes();
    assert!(markers(&notes).iter().all(|times| *times == 1));
    assert_eq!(notes.iter().filter(|(private, _)| !private).count(), RUNS);
}

/// A permit, as far as orchestration reads one: `{"jti":"01890000-0000-7000-8000-000000000007"}`.
const PERMIT: &str = "e30.eyJqdGkiOiIwMTg5MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDcifQ.c2ln";
const RENEWED: &str = "e30.eyJqdGkiOiIwMTg5MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDcifQ.bGF0ZXI";
const RENEWAL: &str = "/api/v1/verification/01890000-0000-7000-8000-000000000007/permit";

/// An answer of success with [`PERMIT`].
fn proven() -> ResponseTemplate {
    let mut result = StepResult::new(Outcome::Success, "Adele Vance approved.");
    result.permit = Some(common::PermitToken::from_text(PERMIT));
    ok(serde_json::to_value(result).unwrap())
}

fn refusal(problem: &common::Problem) -> ResponseTemplate {
    ResponseTemplate::new(problem.status).set_body_json(problem)
}

fn run_out() -> ResponseTemplate {
    let detail = "Nothing was reset: the permit has expired.";
    refusal(&common::Problem::forbidden("permit_expired", detail))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_ran_out_while_the_work_was_parked_is_renewed_and_the_step_goes_on() {
    let stage = Stage::set().await;
    stage.steps.answer(MFA, [proven()]);
    let away = refusal(&common::Problem::outside_unavailable("Graph", Some(1)));
    // First parked, then too late; renewed, and parked once more before it is done.
    stage
        .steps
        .answer(RESET, [away.clone(), run_out(), away, run_out(), done("success")]);
    stage.steps.answer(RENEWAL, [ok(json!({ "permit": RENEWED }))]);
    let running = stage.orchestration(&[]);
    let id = stage.execute(&running).await.execution_id;
    let view = stage.ended(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved);

    let asked = stage.steps.asked(RESET);
    let permits: Vec<_> = asked
        .iter()
        .map(|asked| asked.request.permit.as_ref().unwrap().as_text())
        .collect();
    assert_eq!(permits, [PERMIT, PERMIT, RENEWED, PERMIT, RENEWED]);
    for (refused, renewed) in [(1, 2), (3, 4)] {
        let (refused, renewed) = (&asked[refused], &asked[renewed]);
        assert_eq!(refused.request.step, renewed.request.step, "it cost no attempt");
        let key = format!("{}/", refused.key);
        assert!(
            renewed.key.starts_with(&key),
            "another body has another key: {}",
            renewed.key
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_cannot_be_renewed_any_more_fails_the_step_and_says_why() {
    let stage = Stage::set().await;
    stage.steps.answer(MFA, [proven()]);
    stage.steps.answer(RESET, [run_out()]);
    let late = "the proof has run out: it was given more than half an hour ago";
    let refused = refusal(&common::Problem::conflict("permit_not_renewable", late));
    stage.steps.answer(RENEWAL, [refused]);
    let running = stage.orchestration(&[]);
    let id = stage.execute(&running).await.execution_id;
    let view = stage.ended(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Escalated);
    assert_eq!(stage.steps.asked(RESET).len(), 1);
    assert!(stage.steps.asked(SMS).is_empty());
    stage.told().await;
    let notes: String = stage.desk.notes().into_iter().map(|(_, text)| text).collect();
    assert!(notes.contains("The proof has run out"), "{notes}");
}

/// An execution whose text, its last step, is under way for long.
async fn while_a_text_takes_its_time() -> (Stage, Running, ExecutionId) {
    let stage = Stage::set().await;
    stage
        .steps
        .answer(SMS, [done("success").set_delay(Duration::from_mins(1))]);
    let running = stage.orchestration(&[]);
    let id = stage.execute(&running).await.execution_id;
    (stage, running, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_step_takes_its_time_the_ticket_says_what_was_done_before() {
    let (stage, running, id) = while_a_text_takes_its_time().await;
    let steps = eventually("the ticket says what was done", async || {
        let notes = stage.desk.notes();
        notes
            .into_iter()
            .map(|(_, text)| text)
            .find(|text| text.contains("Reset"))
    })
    .await;
    assert!(!steps.contains("Deliver Credentials: "), "{steps}");
    eventually("and that it is under way", async || {
        (stage.desk.field() == ["running"]).then_some(())
    })
    .await;
    let view = stage.view(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Running);

    // Whoever takes it up next says none of it again.
    drop(running);
    stage.steps.answer(SMS, [done("success")]);
    let running = stage.orchestration(&[]);
    stage.ended(&running, id).await;
    stage.told().await;
    let all: String = stage.desk.notes().into_iter().map(|(_, text)| text).collect();
    for step in ["Verify User via MFA", "Reset Password", "Deliver Credentials"] {
        assert_eq!(all.matches(&format!("{step}: ")).count(), 1, "{step}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_cannot_go_on_says_what_it_did_before() {
    let (stage, running, id) = while_a_text_takes_its_time().await;
    eventually("the text is asked for", async || {
        (!stage.steps.asked(SMS).is_empty()).then_some(())
    })
    .await;
    running.kill();
    // As it stands when it dies in that very second, and its playbook makes no sense any more.
    let broken = r#"
        UPDATE playbook_executions SET state = state || '{"untold": {"since": "2026-12-01T09:00:00Z", "news": [{
            "kind": "note", "call": {"id": "reset_password", "visit": 1, "attempt": 1}, "name": "Reset Password",
            "text": "The pass was made.", "public": false
        }]}}';
        UPDATE pinned_playbooks SET source = 'steps: none';"#;
    sqlx::raw_sql(broken)
        .execute(&stage.database.owner().await)
        .await
        .unwrap();
    let running = stage.orchestration(&[]);
    let view = stage.ended(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Escalated, "{view:#?}");
    stage.told().await;
    let notes: Vec<String> = stage.desk.notes().into_iter().map(|(_, text)| text).collect();
    let place = |words: &str| notes.iter().position(|note| note.contains(words));
    let (said, ended) = (place("The pass was made."), place("cannot go on"));
    assert!(said.is_some() && said <= ended, "{notes:#?}");
    let left: bool = sqlx::query_scalar("SELECT state ? 'untold' FROM playbook_executions")
        .fetch_one(&stage.database.owner().await)
        .await
        .unwrap();
    assert!(!left, "nobody says it again");
}
