//! The whole language through orchestration's door, on a real database: branches at once, waits, decisions, taking back,
//! calls, inputs, and what a playbook writes to its ticket.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails loudly, on its stage as well"
)]

#[expect(dead_code, reason = "shared with the other tests")]
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use common::client::PeerError;
use common::execution::ExecutionStatus;
use common::{ExecutionView, OperationId, Outcome, Service, Signal, StepCall, StepResult, Values};
use serde_json::json;
use stage::{DELETE_PASS, MFA, SMS, Stage, done, eventually, pending};
use wiremock::ResponseTemplate;

const LEFT: &str = "/api/v1/cmdb/left";
const RIGHT: &str = "/api/v1/cmdb/right";

const ACTIONS: &str = "
actions:
  - {name: cmdb.left, path: /api/v1/cmdb/left, timeout: 30}
  - {name: cmdb.right, path: /api/v1/cmdb/right, timeout: 30, outcomes: [success, odd]}
";

const BRANCHES: &str = r#"
name: look_around
version: "1.0"
steps:
  - id: look
    name: "Look around"
    type: parallel
    join: JOIN
    branches:
      left:
        - {id: left, service: cmdb.left, on_success: left_ok, on_failure: left_bad}
        - {id: left_ok, type: terminal, status: RESOLVED}
        - {id: left_bad, type: escalation, reason: "left"}
      right:
        - {id: right, service: cmdb.right, on_success: right_note, outcomes: {odd: right_bad}, on_failure: right_bad}
        - {id: right_note, service: ticket.note, with: {text: "Right was seen"}, on_success: right_ok, on_failure: right_bad}
        - {id: right_ok, type: terminal, status: RESOLVED}
        - {id: right_bad, type: escalation, reason: "right"}
    on_success: resolved
    on_failure: person
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "Something was not seen"}
"#;

/// The declared actions, in a file that lives as long as the test.
struct Actions(PathBuf);

impl Actions {
    fn declared() -> Self {
        let path = std::env::temp_dir().join(format!("firstline-{}.yml", OperationId::fresh()));
        std::fs::write(&path, ACTIONS).unwrap();
        Self(path)
    }

    fn setting(&self) -> (&'static str, String) {
        ("STEP_ACTIONS_FILE", self.0.display().to_string())
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn outcomes(view: &ExecutionView) -> Vec<String> {
    let mut all: Vec<String> = view
        .steps
        .iter()
        .map(|step| {
            let outcome = step
                .outcome
                .as_ref()
                .map_or("open".to_owned(), Outcome::to_string);
            format!("{} {outcome}", step.call.id)
        })
        .collect();
    all.sort();
    all
}

fn said(stage: &Stage) -> String {
    stage
        .desk
        .notes()
        .into_iter()
        .map(|(_, text)| text + "\n")
        .collect()
}

fn branches(join: &str) -> String {
    BRANCHES.replace("JOIN", join)
}

fn slowly(answer: ResponseTemplate, milliseconds: u64) -> ResponseTemplate {
    answer.set_delay(Duration::from_millis(milliseconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_walked_at_once_whoever_answers_first() {
    for (left, right) in [(1500, 0), (0, 1500)] {
        let (stage, actions) = (Stage::playing(&branches("all"), &[]).await, Actions::declared());
        stage.steps.answer(LEFT, [slowly(done("success"), left)]);
        stage.steps.answer(RIGHT, [slowly(done("success"), right)]);
        let (name, path) = actions.setting();
        let running = stage.orchestration(&[(name, &path)]);
        let id = stage.execute(&running).await.execution_id;
        eventually("both are asked before either has answered", async || {
            (stage.steps.asked(LEFT).len() == 1 && stage.steps.asked(RIGHT).len() == 1).then_some(())
        })
        .await;
        let view = stage.view(&running, id).await;
        assert_eq!(view.status, ExecutionStatus::Running, "{view:#?}");
        let view = stage.ended(&running, id).await;
        assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
        let expected = [
            "left success",
            "left_ok success",
            "look success",
            "resolved success",
            "right success",
            "right_note success",
            "right_ok success",
        ];
        assert_eq!(outcomes(&view), expected);
        assert_eq!(
            (stage.steps.asked(LEFT).len(), stage.steps.asked(RIGHT).len()),
            (1, 1)
        );
        stage.told().await;
        assert!(said(&stage).contains("&gt; Right was seen"), "{}", said(&stage));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_branches_repeats_only_what_was_not_answered_and_under_the_same_key() {
    let (stage, actions) = (Stage::playing(&branches("all"), &[]).await, Actions::declared());
    stage
        .steps
        .answer(LEFT, [slowly(done("success"), 20_000), done("success")]);
    stage.steps.answer(RIGHT, [done("success")]);
    let (name, path) = actions.setting();
    let settings = [(name, path.as_str()), ("LEASE_S", "2")];
    let first = stage.orchestration(&settings);
    let id = stage.execute(&first).await.execution_id;
    eventually("one branch is done and the other under way", async || {
        let view = stage.view(&first, id).await;
        let right = outcomes(&view).contains(&"right_ok success".to_owned());
        (right && stage.steps.asked(LEFT).len() == 1).then_some(())
    })
    .await;
    first.kill();
    let second = stage.orchestration(&settings);
    let view = stage.ended(&second, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    let left = stage.steps.asked(LEFT);
    assert_eq!((left.len(), stage.steps.asked(RIGHT).len()), (2, 1));
    assert_eq!((&left[0].key, &left[0].request), (&left[1].key, &left[1].request));
    stage.told().await;
    assert_eq!(
        said(&stage).matches("&gt; Right was seen").count(),
        1,
        "{}",
        said(&stage)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_any_more_is_dropped_and_on_record() {
    let (stage, actions) = (Stage::playing(&branches("any"), &[]).await, Actions::declared());
    stage.steps.answer(LEFT, [slowly(done("success"), 25_000)]);
    stage.steps.answer(RIGHT, [done("success")]);
    let (name, path) = actions.setting();
    let running = stage.orchestration(&[(name, &path)]);
    let id = stage.execute(&running).await.execution_id;
    let view = tokio::time::timeout(Duration::from_secs(15), stage.ended(&running, id))
        .await
        .unwrap();
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    assert!(outcomes(&view).contains(&"left dropped".to_owned()), "{view:#?}");
    let left = view
        .steps
        .iter()
        .find(|step| step.call.id.as_str() == "left")
        .unwrap();
    assert_eq!(left.explanation, "It is no longer needed.");
    assert!(stage.audit().await.contains(&"step.dropped".to_owned()));
}

const ASKED_IN_A_BRANCH: &str = r#"
name: prove_and_look
version: "1.0"
steps:
  - id: both
    type: parallel
    join: all
    branches:
      prove:
        - {id: verify_mfa, service: verification.mfa, on_success: proven, on_failure: not_proven, on_denied: not_proven}
        - {id: proven, type: terminal, status: RESOLVED}
        - {id: not_proven, type: escalation, reason: "Nobody proved anything"}
      look:
        - {id: left, service: cmdb.left, on_success: looked, on_failure: unseen}
        - {id: looked, type: terminal, status: RESOLVED}
        - {id: unseen, type: escalation, reason: "left"}
    on_success: resolved
    on_failure: person
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "A person must look"}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_for_one_branch_is_heard_while_a_call_of_the_other_is_out() {
    let (stage, actions) = (Stage::playing(ASKED_IN_A_BRANCH, &[]).await, Actions::declared());
    let operation = OperationId::fresh();
    stage.steps.answer(MFA, [pending(operation)]);
    stage.steps.answer(LEFT, [slowly(done("success"), 12_000)]);
    let (name, path) = actions.setting();
    let running = stage.orchestration(&[(name, &path)]);
    let id = stage.execute(&running).await.execution_id;
    eventually("the user is asked", async || {
        let view = stage.view(&running, id).await;
        view.steps
            .iter()
            .any(|step| step.explanation.contains("was asked"))
            .then_some(())
    })
    .await;
    let mut result = StepResult::new(Outcome::Success, "Adele Vance answered on her phone.");
    result.permit = Some(common::PermitToken::from_text("a.permit"));
    let call = StepCall {
        id: "verify_mfa".parse().unwrap(),
        visit: 1,
        attempt: 1,
    };
    let signal = Signal {
        tenant_id: "default".parse().unwrap(),
        operation,
        step: call,
        result,
    };
    stage
        .signal(&running, Service::Verification, id, &signal)
        .await
        .unwrap();
    let view = eventually("the branch is done", async || {
        let view = stage.view(&running, id).await;
        outcomes(&view)
            .contains(&"proven success".to_owned())
            .then_some(view)
    })
    .await;
    assert!(
        outcomes(&view).contains(&"left open".to_owned()),
        "heard in between: {view:#?}"
    );
    let view = stage.ended(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    stage.told().await;
    let progress = said(&stage);
    assert!(
        progress.contains("Asked: Adele Vance was asked to approve on her phone."),
        "{progress}"
    );
}

const SORTED: &str = r#"
name: sort_out
version: "1.0"
inputs:
  pause: {type: moment, description: "when to go on"}
  floor: {type: whole, least: 0, most: 9, default: 3}
steps:
  - id: what
    name: "What is it about"
    type: decision
    cases:
      - {name: log_in, when: {field: ticket.summary, operator: contains, value: "log in"}, then: later}
    otherwise: person
  - {id: later, name: "Let it rest", type: wait, until: "{{ inputs.pause }}", on_success: note}
  - id: note
    name: "Tell the requester"
    service: ticket.note
    with: {text: "{{ requester.name }} <b>says</b>:\n{{ ticket.summary }}", visibility: public}
    on_success: fields
    on_failure: person
  - id: fields
    name: "Note the floor"
    service: ticket.set_fields
    with: {fields: {FIELD: "{{ inputs.floor }}"}}
    on_success: resolved
    on_failure: person
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "A person must read it"}
"#;

fn soon(seconds: i64) -> serde_json::Value {
    let at = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    json!(at.format(&time::format_description::well_known::Rfc3339).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_takes_no_time_a_wait_costs_a_row_and_the_ticket_reads_what_the_playbook_writes() {
    let stage = Stage::playing(&SORTED.replace("FIELD", "CFfloor"), &[]).await;
    stage.count_writes().await;
    let running = stage.orchestration(&[]);
    let client = stage.client(&running, Service::Classifier);
    let mut request = stage.request("4242");
    request.inputs = Values::from_iter([("pause".to_owned(), soon(6))]);
    let id = eventually("it is accepted", async || client.execute(&request).await.ok())
        .await
        .execution_id;
    let waiting = eventually("it waits", async || {
        let view = stage.view(&running, id).await;
        (view.status == ExecutionStatus::Waiting).then_some(view)
    })
    .await;
    assert_eq!(outcomes(&waiting), ["later open", "what log_in"]);
    assert!(
        waiting.steps[1]
            .explanation
            .starts_with("Nothing happens until 20"),
        "{waiting:#?}"
    );
    assert!(stage.audit().await.contains(&"step.waiting".to_owned()));
    let view = stage.ended(&running, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    // Claimed, decided and left to wait; claimed, done to the end.
    assert!(stage.writes(id).await <= 5, "{} writes", stage.writes(id).await);
    stage.told().await;
    assert_eq!(stage.desk.others(), [(179, json!(3))], "the default, as a number");
    let public: Vec<String> = stage
        .desk
        .notes()
        .into_iter()
        .filter(|(private, _)| !private)
        .map(|(_, text)| text)
        .collect();
    assert!(
        public[0].contains("Adele Vance &lt;b&gt;says&lt;/b&gt;:"),
        "{public:#?}"
    );
    assert!(public[0].contains("I can"), "{public:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_help_desk_does_not_have_is_refused_and_told() {
    for (field, why) in [("CFceiling", "no custom field"), ("automation_status", "own")] {
        let stage = Stage::playing(&SORTED.replace("FIELD", field), &[]).await;
        let running = stage.orchestration(&[]);
        let client = stage.client(&running, Service::Classifier);
        let mut request = stage.request("4242");
        request.inputs = Values::from_iter([("pause".to_owned(), soon(-60))]);
        let id = eventually("it is accepted", async || client.execute(&request).await.ok())
            .await
            .execution_id;
        stage.ended(&running, id).await;
        stage.told().await;
        let said = said(&stage);
        assert!(
            said.contains(&format!("The fields {field} were not set")) && said.contains(why),
            "{said}"
        );
        assert_eq!(stage.desk.others(), []);
        assert_eq!(stage.desk.field().last().map(String::as_str), Some("resolved"));
        assert!(stage.audit().await.contains(&"ticket_update.refused".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_the_playbook_does_not_want_are_all_named() {
    let stage = Stage::playing(&SORTED.replace("FIELD", "CFfloor"), &[]).await;
    let running = stage.orchestration(&[]);
    let client = stage.client(&running, Service::Classifier);
    let mut request = stage.request("4242");
    request.inputs = Values::from_iter([("floor".to_owned(), json!(12)), ("roof".to_owned(), json!(1))]);
    let refused = eventually("it answers", async || match client.execute(&request).await {
        Err(PeerError::Refused { problem, .. }) => Some(problem),
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!((refused.status, refused.code.as_str()), (422, "playbook_inputs"));
    let complaints = refused.extra["complaints"].to_string();
    for input in ["roof", "floor", "pause"] {
        assert!(complaints.contains(input), "{complaints}");
    }
    assert_eq!(stage.audit().await, ["execution.refused"]);
}

const UNDONE: &str = r#"
name: reset
version: "1.0"
steps:
  - {id: verify, service: verification.mfa, on_success: reset, on_failure: person, on_denied: person}
  - {id: reset, name: "Reset Password", service: executor.reset_password, undo: executor.delete_pass, on_success: deliver, on_failure: person}
  - {id: deliver, service: delivery.sms, on_success: resolved, on_failure: person}
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "It could not be delivered"}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_is_taken_back_before_a_person_takes_over() {
    let stage = Stage::playing(UNDONE, &[]).await;
    stage.steps.answer(SMS, [done("failure")]);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert_eq!(view.reason.as_deref(), Some("It could not be delivered"));
    let undone = &stage.steps.asked(DELETE_PASS)[0].request;
    assert_eq!(
        (undone.step.id.as_str(), undone.parameters["step"].clone()),
        ("reset.undo", json!("reset"))
    );
    let names: Vec<(&str, String)> = view
        .steps
        .iter()
        .map(|step| {
            (
                step.name.as_str(),
                step.outcome.as_ref().map(Outcome::to_string).unwrap_or_default(),
            )
        })
        .collect();
    assert!(
        names.contains(&("Undo: Reset Password", "success".to_owned())),
        "{names:?}"
    );
    stage.told().await;
    assert!(
        said(&stage).contains("Taken back: Reset Password"),
        "{}",
        said(&stage)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_is_told_to_the_person() {
    let stage = Stage::playing(UNDONE, &[]).await;
    stage.steps.answer(SMS, [done("failure")]);
    let refused = common::Problem::unprocessable("pass_used", "the pass is in use");
    stage
        .steps
        .answer(DELETE_PASS, [ResponseTemplate::new(422).set_body_json(refused)]);
    let running = stage.orchestration(&[]);
    let view = stage
        .ended(&running, stage.execute(&running).await.execution_id)
        .await;
    assert!(
        view.reason.as_deref().unwrap().contains("a person must do it"),
        "{view:#?}"
    );
    stage.told().await;
    assert!(
        said(&stage).contains("Not taken back: Reset Password (The pass is in use.)"),
        "{}",
        said(&stage)
    );
}

const PROVE: &str = r#"
name: prove_it
version: "2.1"
steps:
  - {id: push, service: verification.mfa, on_success: proven, on_failure: not_proven, on_denied: not_proven}
  - {id: proven, type: terminal, status: RESOLVED}
  - {id: not_proven, type: escalation, reason: "Nobody proved anything"}
"#;

const CALLER: &str = r#"
name: caller
version: "1.0"
steps:
  - {id: prove, type: call, playbook: prove_it, version: "2.1", on_success: reset}
  - {id: reset, service: executor.reset_password, on_success: deliver, on_failure: person}
  - {id: deliver, service: delivery.sms, on_success: resolved, on_failure: person}
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "It did not work out"}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_playbook_calls_is_pinned_with_it_and_the_playbook_service_is_needed_no_more() {
    let stage = Stage::playing(CALLER, &[PROVE]).await;
    stage.steps.answer(MFA, [slowly(done("success"), 3_000)]);
    let first = stage.orchestration(&[("LEASE_S", "600")]);
    let id = stage.execute(&first).await.execution_id;
    eventually("the called playbook's step is asked for", async || {
        stage.steps.asked(MFA).first().cloned()
    })
    .await;
    first.stop().await;
    // Another process reads what was pinned; no playbook service answers it.
    let second = stage.orchestration(&[("PLAYBOOK_URL", "http://127.0.0.1:9/")]);
    let view = stage.ended(&second, id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    assert_eq!(
        outcomes(&view),
        [
            "deliver success",
            "prove.push success",
            "reset success",
            "resolved success"
        ]
    );
    // The called one may be started by itself as well.
    let mut request = stage.request("4243");
    request.playbook.name = "prove_it".parse().unwrap();
    request.playbook.version = "2.1".parse().unwrap();
    request.playbook.digest = common::Digest::of(PROVE);
    let client = stage.client(&second, Service::Classifier);
    client.execute(&request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_whose_callee_is_not_there_is_not_begun() {
    let stage = Stage::playing(CALLER, &[]).await;
    let running = stage.orchestration(&[]);
    let client = stage.client(&running, Service::Classifier);
    let answer = client.execute(&stage.request("4242")).await;
    let Err(PeerError::Refused { problem, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(
        (problem.code.as_str(), problem.detail.contains("unknown-playbook")),
        ("playbook_findings", true)
    );
    assert_eq!(stage.audit().await, ["execution.refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_single_steps_is_begun_as_it_is_accepted_and_costs_one_commit_for_each_of_them() {
    let stage = Stage::playing(UNDONE, &[]).await;
    stage.count_writes().await;
    let running = stage.orchestration(&[]);
    eventually("it drives", async || (stage.runners().await > 0).then_some(())).await;
    let id = stage.execute(&running).await.execution_id;
    stage.ended(&running, id).await;
    // Answered and begun, twice; answered and ended.
    assert_eq!(stage.writes(id).await, 3);
}
