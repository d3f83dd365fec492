//! Operators' verbs and switches, through the doors of one and of two replicas, on a real database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails loudly, on its stage as well"
)]

#[expect(dead_code, reason = "shared with the other tests")]
mod stage;

use std::time::Duration;

use common::client::{OrchestrationClient, PeerError};
use common::execution::ExecutionStatus;
use common::operate::{CancelExecution, OperateExecution, Position, SetSwitch};
use common::{
    ExecutionId, ExecutionView, OperationId, Outcome, Service, Signal, Standstill, StepCall, StepResult,
    Switch,
};
use launcher::testing::Running;
use serde_json::{Value, json};
use stage::people::People;
use stage::{DELETE_PASS, MANAGER, MFA, PLAYBOOK, RESET, SMS, Stage, done, eventually, pending};
use wiremock::ResponseTemplate;

/// Long enough for an operator to come in between.
const SLOW: Duration = Duration::from_secs(2);

fn why(reason: &str) -> OperateExecution {
    OperateExecution {
        reason: Some(reason.parse().unwrap()),
    }
}

fn stop(reason: &str) -> CancelExecution {
    CancelExecution {
        reason: reason.parse().unwrap(),
    }
}

fn set(switch: Switch, position: Position) -> SetSwitch {
    SetSwitch {
        switch,
        position,
        reason: "The directory behaves oddly.".parse().unwrap(),
    }
}

fn of_the_playbook() -> Switch {
    Switch::Playbook {
        name: "password_reset".parse().unwrap(),
    }
}

fn refused_with<T: std::fmt::Debug>(answer: Result<T, PeerError>) -> (u16, String) {
    match answer {
        Err(PeerError::Refused { problem, .. }) => (problem.status, problem.code),
        other => panic!("not refused: {other:?}"),
    }
}

fn signal(step: &str, operation: OperationId, outcome: Outcome) -> Signal {
    let mut result = StepResult::new(outcome, "It was answered.");
    result.permit = Some(common::PermitToken::from_text("a.permit"));
    Signal {
        tenant_id: "default".parse().unwrap(),
        operation,
        step: StepCall {
            id: step.parse().unwrap(),
            visit: 1,
            attempt: 1,
        },
        result,
    }
}

/// The stage's playbook, in which a reset can be taken back.
fn playbook() -> String {
    let service = "service: executor.reset_password";
    PLAYBOOK.replace(service, &format!("{service}\n    undo: executor.delete_pass"))
}

/// One stage, one login, one replica.
struct House {
    stage: Stage,
    people: People,
    running: Running,
}

impl House {
    async fn set() -> Self {
        let (stage, people) = (Stage::playing(&playbook(), &[]).await, People::start().await);
        let running = people.orchestration(&stage, &[]);
        Self {
            stage,
            people,
            running,
        }
    }

    fn operator(&self) -> OrchestrationClient {
        self.people.client(&self.running, "operator")
    }

    async fn begun(&self) -> ExecutionId {
        self.stage.execute(&self.running).await.execution_id
    }

    async fn ended(&self, id: ExecutionId) -> ExecutionView {
        self.stage.ended(&self.running, id).await
    }

    /// A call of this path is out.
    async fn called(&self, path: &str) {
        eventually("the call is out", async || {
            (!self.stage.steps.asked(path).is_empty()).then_some(())
        })
        .await;
    }

    /// The step waits for somebody.
    async fn asked(&self, id: ExecutionId, step: &str) {
        eventually("somebody is asked", async || {
            let view = self.stage.view(&self.running, id).await;
            let open = view.current_step.filter(|call| call.id.as_str() == step);
            (open.is_some() && view.status == ExecutionStatus::Waiting).then_some(())
        })
        .await;
    }

    /// So many times something that was away was put on record.
    async fn parked(&self, times: usize) {
        eventually("it is parked", async || {
            let audit = self.stage.audit().await;
            let parked = audit.iter().filter(|event| *event == "step.parked").count();
            (parked == times).then_some(())
        })
        .await;
    }

    /// Ended because nobody could prove who is asking, and the ticket says so.
    async fn escalated(&self) -> ExecutionId {
        self.stage.steps.answer(MFA, [done("failure")]);
        self.stage.steps.answer(MANAGER, [done("failure")]);
        let id = self.begun().await;
        self.ended(id).await;
        self.stage.told().await;
        id
    }
}

/// What somebody did, as the audit has it.
#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Recorded {
    kind: String,
    actor: String,
    ticket_id: String,
    detail: Value,
}

impl House {
    /// What people did to an execution, oldest first.
    async fn on_record(&self, id: ExecutionId) -> Vec<Recorded> {
        let by_people = "SELECT kind, actor, ticket_id, detail
             FROM audit_events WHERE execution_id = $1 AND actor NOT LIKE 'service:%' ORDER BY id";
        sqlx::query_as(by_people)
            .bind(id.0)
            .fetch_all(&self.stage.database.owner().await)
            .await
            .unwrap()
    }
}

fn slowly(answer: &ResponseTemplate) -> ResponseTemplate {
    answer.clone().set_delay(SLOW)
}

fn outcome(view: &ExecutionView, step: &str) -> Option<String> {
    let step = view.steps.iter().find(|row| row.call.id.as_str() == step)?;
    step.outcome.as_ref().map(Outcome::to_string)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_hears_the_call_that_is_out_and_lets_no_other_go_out_until_it_is_resumed() {
    let house = House::set().await;
    house.stage.steps.answer(RESET, [slowly(&done("success"))]);
    let id = house.begun().await;
    house.called(RESET).await;
    let operator = house.operator();
    let view = operator.pause(id, &why("Asked by the user.")).await.unwrap();
    assert!(
        matches!(&view.standstill, Some(Standstill::Operator { reason: Some(reason), .. }) if reason == "Asked by the user."),
        "{view:#?}"
    );
    house.stage.stands_still(id).await;
    let view = operator.pause(id, &OperateExecution::default()).await.unwrap();
    assert_eq!(outcome(&view, "reset_password").as_deref(), Some("success"));
    assert_eq!(view.steps.len(), 2, "nothing was begun: {view:#?}");
    assert_eq!(house.stage.steps.asked(SMS).len(), 0);

    let view = operator.resume(id, &OperateExecution::default()).await.unwrap();
    assert_eq!(view.standstill, None);
    assert_eq!(house.ended(id).await.status, ExecutionStatus::Resolved);
    assert_eq!(
        (
            house.stage.steps.asked(RESET).len(),
            house.stage.steps.asked(SMS).len()
        ),
        (1, 1)
    );
    house.stage.told().await;
    let notes = format!("{:?}", house.stage.desk.notes());
    for words in [
        "Paused by Adele Vance",
        "Reason: Asked by the user.",
        "Resumed by Adele Vance",
    ] {
        assert!(notes.contains(words), "{words} is missing in {notes}");
    }
    let audit = house.stage.audit().await;
    let times = |kind: &str| audit.iter().filter(|event| *event == kind).count();
    assert_eq!(
        (times("execution.paused"), times("execution.resumed")),
        (1, 1),
        "{audit:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_answer_while_it_is_paused_and_the_next_step_waits() {
    let house = House::set().await;
    let operation = OperationId::fresh();
    house.stage.steps.answer(MFA, [pending(operation)]);
    let id = house.begun().await;
    house.asked(id, "verify_mfa").await;
    let operator = house.operator();
    operator.pause(id, &OperateExecution::default()).await.unwrap();
    let yes = signal("verify_mfa", operation, Outcome::Success);
    house
        .stage
        .signal(&house.running, Service::Verification, id, &yes)
        .await
        .unwrap();
    house.stage.stands_still(id).await;
    let view = house.stage.view(&house.running, id).await;
    assert_eq!(outcome(&view, "verify_mfa").as_deref(), Some("success"));
    assert_eq!(house.stage.steps.asked(RESET).len(), 0);
    operator.resume(id, &OperateExecution::default()).await.unwrap();
    assert_eq!(house.ended(id).await.status, ExecutionStatus::Resolved);
    assert_eq!(house.stage.steps.asked(MFA).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_takes_back_what_it_did_and_a_late_answer_changes_nothing() {
    let house = House::set().await;
    let operation = OperationId::fresh();
    house.stage.steps.answer(SMS, [pending(operation)]);
    let id = house.begun().await;
    house.asked(id, "deliver").await;
    let operator = house.operator();
    operator
        .cancel(id, &stop("It is the wrong ticket."))
        .await
        .unwrap();
    let ended = house.ended(id).await;
    assert_eq!(
        (ended.status, ended.reason.as_deref()),
        (
            ExecutionStatus::Escalated,
            Some("Cancelled by Adele Vance: It is the wrong ticket.")
        )
    );
    assert_eq!(outcome(&ended, "deliver").as_deref(), Some("dropped"));
    assert_eq!(house.stage.steps.asked(DELETE_PASS).len(), 1);
    let late = signal("deliver", operation, Outcome::Success);
    house
        .stage
        .signal(&house.running, Service::Delivery, id, &late)
        .await
        .unwrap();
    assert_eq!(house.stage.view(&house.running, id).await, ended);
    assert!(house.stage.audit().await.contains(&"signal.late".to_owned()));
    // Once more is no error, and other verbs come too late.
    operator.cancel(id, &stop("Again.")).await.unwrap();
    let paused = operator.pause(id, &OperateExecution::default()).await;
    assert_eq!(refused_with(paused), (409, "execution_ended".to_owned()));
    house.stage.told().await;
    let notes = format!("{:?}", house.stage.desk.notes());
    assert!(notes.contains("Cancelled by Adele Vance."), "{notes}");
    assert_eq!(house.stage.desk.agent(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_out_is_heard_before_it_is_taken_back() {
    let house = House::set().await;
    house.stage.steps.answer(RESET, [slowly(&done("success"))]);
    let id = house.begun().await;
    house.called(RESET).await;
    house.operator().cancel(id, &stop("Stop.")).await.unwrap();
    let ended = house.ended(id).await;
    assert_eq!(
        outcome(&ended, "reset_password").as_deref(),
        Some("success"),
        "{ended:#?}"
    );
    assert_eq!(ended.reason.as_deref(), Some("Cancelled by Adele Vance: Stop."));
    assert_eq!(
        (
            house.stage.steps.asked(SMS).len(),
            house.stage.steps.asked(DELETE_PASS).len()
        ),
        (0, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_can_be_cancelled() {
    let house = House::set().await;
    house.stage.steps.answer(MFA, [pending(OperationId::fresh())]);
    let id = house.begun().await;
    house.asked(id, "verify_mfa").await;
    let operator = house.operator();
    operator.pause(id, &OperateExecution::default()).await.unwrap();
    let view = operator.cancel(id, &stop("Stop.")).await.unwrap();
    assert_eq!(view.standstill, None, "or nothing could be taken back");
    assert_eq!(house.ended(id).await.status, ExecutionStatus::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_failed_is_tried_again_in_a_further_visit() {
    let house = House::set().await;
    let id = house.escalated().await;
    house.stage.steps.answer(MANAGER, [done("success")]);
    house.operator().retry(id, &why("She is back.")).await.unwrap();
    let view = house.ended(id).await;
    assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    let keys: Vec<String> = house
        .stage
        .steps
        .asked(MANAGER)
        .into_iter()
        .map(|asked| asked.key)
        .collect();
    assert_eq!(
        keys,
        [
            format!("{id}/verify_manager/1/1"),
            format!("{id}/verify_manager/2/1")
        ]
    );
    assert_eq!(house.stage.steps.asked(MFA).len(), 1);
    house.stage.told().await;
    let notes = format!("{:?}", house.stage.desk.notes());
    assert!(notes.contains("Tried again by Adele Vance."), "{notes}");
    assert_eq!(
        (
            house.stage.desk.status(),
            house.stage.desk.field().last().map(String::as_str)
        ),
        (Some(10), Some("resolved"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_again_where_it_could_do_harm_and_the_refusal_says_why() {
    let refusal = async |house: &House, id: ExecutionId| {
        refused_with(house.operator().retry(id, &OperateExecution::default()).await)
    };
    let not_retriable = (409, "execution_not_retriable".to_owned());
    // The permit is spent.
    let house = House::set().await;
    house.stage.steps.answer(RESET, [done("failure")]);
    let id = house.begun().await;
    house.ended(id).await;
    assert_eq!(
        refusal(&house, id).await,
        (409, "retry_needs_new_proof".to_owned())
    );
    // What was done was taken back.
    house.stage.steps.answer(RESET, [done("success")]);
    house.stage.steps.answer(SMS, [done("failure")]);
    let id = house.begun().await;
    house.ended(id).await;
    assert_eq!(refusal(&house, id).await, not_retriable);
    // It ended well.
    house.stage.steps.answer(SMS, [done("success")]);
    let id = house.begun().await;
    house.ended(id).await;
    assert_eq!(refusal(&house, id).await, not_retriable);
    // A "No" is no failure.
    house.stage.steps.answer(MFA, [done("denied")]);
    let id = house.begun().await;
    house.ended(id).await;
    assert_eq!(refusal(&house, id).await, not_retriable);
    // It is under way.
    house.stage.steps.answer(MFA, [pending(OperationId::fresh())]);
    let id = house.begun().await;
    house.asked(id, "verify_mfa").await;
    assert_eq!(refusal(&house, id).await, not_retriable);
    assert_eq!(
        refusal(&house, ExecutionId::fresh()).await,
        (404, "execution_not_found".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_is_on_record_once_with_who_asked_for_it_and_why() {
    let house = House::set().await;
    let tried_again = house.escalated().await;
    let operator = house.operator();
    operator.retry(tried_again, &why("She is back.")).await.unwrap();
    house.ended(tried_again).await;
    house.stage.steps.answer(MFA, [pending(OperationId::fresh())]);
    let cancelled = house.begun().await;
    house.asked(cancelled, "verify_mfa").await;
    // What stands so already is not done once more.
    for _ in 0..2 {
        operator
            .pause(cancelled, &why("Asked by the user."))
            .await
            .unwrap();
    }
    for _ in 0..2 {
        operator
            .resume(cancelled, &why("They called back."))
            .await
            .unwrap();
    }
    // Nobody needs to say why.
    operator
        .pause(cancelled, &OperateExecution::default())
        .await
        .unwrap();
    for reason in ["It is the wrong ticket.", "Again."] {
        operator.cancel(cancelled, &stop(reason)).await.unwrap();
    }
    house.ended(cancelled).await;

    let by = house.people.actor();
    let said = |kind: &str, reason: Option<&str>| Recorded {
        kind: kind.to_owned(),
        actor: by.clone(),
        ticket_id: "4242".to_owned(),
        detail: json!({"name": "Adele Vance", "reason": reason}),
    };
    assert_eq!(
        house.on_record(tried_again).await,
        [said("execution.retried", Some("She is back."))]
    );
    assert_eq!(
        house.on_record(cancelled).await,
        [
            said("execution.paused", Some("Asked by the user.")),
            said("execution.resumed", Some("They called back.")),
            said("execution.paused", None),
            said("execution.cancelled", Some("It is the wrong ticket.")),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_somebody_took_is_left_to_them() {
    let house = House::set().await;
    let id = house.escalated().await;
    house.stage.desk.assign(7);
    let retried = house.operator().retry(id, &OperateExecution::default()).await;
    assert_eq!(refused_with(retried), (409, "execution_not_retriable".to_owned()));
    // Nor is anything begun beside another execution of the ticket.
    house.stage.desk.assign(1);
    house.stage.steps.answer(MFA, [pending(OperationId::fresh())]);
    house.begun().await;
    let retried = house.operator().retry(id, &OperateExecution::default()).await;
    assert_eq!(refused_with(retried), (409, "execution_not_retriable".to_owned()));
}

/// What is away for ten minutes.
fn away(outside: &str) -> ResponseTemplate {
    ResponseTemplate::new(503)
        .insert_header("retry-after", "600")
        .set_body_json(common::Problem::outside_unavailable(outside, Some(600)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_outside_is_tried_at_once_where_an_operator_knows_better() {
    let house = House::set().await;
    house.stage.steps.answer(SMS, [away("Twilio"), done("success")]);
    let id = house.begun().await;
    house.parked(1).await;
    house
        .operator()
        .retry(id, &OperateExecution::default())
        .await
        .unwrap();
    assert_eq!(house.ended(id).await.status, ExecutionStatus::Resolved);
    assert_eq!(house.stage.steps.asked(SMS).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_a_retry_of_what_waits_for_the_outside() {
    let house = House::set().await;
    house.stage.steps.answer(SMS, [away("Twilio"), done("success")]);
    let id = house.begun().await;
    house.parked(1).await;
    let operator = house.operator();
    operator.pause(id, &why("Asked by the user.")).await.unwrap();
    let retried = operator.retry(id, &OperateExecution::default()).await;
    let Err(PeerError::Refused { problem, .. }) = retried else {
        panic!("{retried:?}")
    };
    assert_eq!(
        (problem.status, problem.code.as_str(), problem.detail.as_str()),
        (409, "execution_paused", "it is paused by Adele Vance; resume it")
    );
    let view = house.stage.view(&house.running, id).await;
    assert!(
        matches!(&view.standstill, Some(Standstill::Operator { reason: Some(reason), .. }) if reason == "Asked by the user."),
        "{view:#?}"
    );
    operator.resume(id, &OperateExecution::default()).await.unwrap();
    operator.retry(id, &OperateExecution::default()).await.unwrap();
    assert_eq!(house.ended(id).await.status, ExecutionStatus::Resolved);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_and_has_not_ended_is_not_tried_again() {
    let house = House::set().await;
    house.stage.steps.answer(RESET, [slowly(&done("success"))]);
    let id = house.begun().await;
    house.called(RESET).await;
    let operator = house.operator();
    operator.cancel(id, &stop("Stop.")).await.unwrap();
    let cancelled = (409, "execution_cancelled".to_owned());
    let retried = operator.retry(id, &OperateExecution::default()).await;
    assert_eq!(refused_with(retried), cancelled);
    assert_eq!(house.ended(id).await.status, ExecutionStatus::Escalated);
    assert_eq!(house.stage.steps.asked(DELETE_PASS).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_off_stops_the_next_call_on_every_replica_and_nothing_is_lost() {
    const RUNS: usize = 6;
    let house = House::set().await;
    let other = house.people.orchestration(&house.stage, &[]);
    house.stage.steps.answer(RESET, [slowly(&done("success"))]);
    let mut runs = vec![];
    for run in 0..RUNS {
        let replica = if run % 2 == 0 { &house.running } else { &other };
        let client = house.stage.client(replica, Service::Classifier);
        let request = house.stage.request(&format!("{}", 6000 + run));
        let accepted = eventually("it is accepted", async || client.execute(&request).await.ok()).await;
        runs.push(accepted.execution_id);
    }
    eventually("every call is out", async || {
        (house.stage.steps.asked(RESET).len() == RUNS).then_some(())
    })
    .await;
    let off = set(of_the_playbook(), Position::Off);
    let view = house
        .people
        .client(&other, "operator")
        .switch(&off)
        .await
        .unwrap();
    assert!(view.off.is_some());
    // What comes now is accepted and waits.
    let client = house.stage.client(&house.running, Service::Classifier);
    let late = client.execute(&house.stage.request("6100")).await.unwrap();
    runs.push(late.execution_id);
    for id in &runs {
        house.stage.stands_still(*id).await;
    }
    assert_eq!(house.stage.steps.asked(SMS).len(), 0);
    assert_eq!(house.stage.steps.asked(MFA).len(), RUNS);
    let view = house.stage.view(&house.running, late.execution_id).await;
    assert_eq!(
        (view.status, view.steps.len()),
        (ExecutionStatus::Queued, 0),
        "{view:#?}"
    );
    assert!(
        matches!(&view.standstill, Some(Standstill::Switch { switch, .. }) if *switch == of_the_playbook()),
        "{view:#?}"
    );

    let on = set(of_the_playbook(), Position::On);
    house.operator().switch(&on).await.unwrap();
    for id in runs {
        let view = house.ended(id).await;
        assert_eq!(view.status, ExecutionStatus::Resolved, "{view:#?}");
    }
    assert_eq!(house.stage.steps.asked(SMS).len(), RUNS + 1);
    let audit = house.stage.audit().await;
    let place = |kind: &str| audit.iter().position(|event| event == kind);
    assert!(place("switch.off") < place("switch.on"), "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_put_through_one_replica_is_heard_by_another_that_never_looks_by_itself() {
    const NEVER: Duration = Duration::from_hours(1);
    let (stage, people) = (Stage::playing(&playbook(), &[]).await, People::start().await);
    // Nor is anybody woken to tell the ticket.
    let quiet = [("OUTAGE_NOTE_AFTER_S", "3600")];
    let deaf_but_for_news = || people.orchestration_looking(&stage, NEVER, &quiet);
    let (one, other) = (deaf_but_for_news(), deaf_but_for_news());
    let (here, there) = (people.client(&one, "operator"), people.client(&other, "operator"));
    eventually("both serve", async || {
        let (here, there) = (here.switches().await.ok()?, there.switches().await.ok()?);
        (here.len() == there.len()).then_some(())
    })
    .await;
    // More than once: what starts looks once by itself.
    for switch in [Switch::Global, Switch::Tenant, of_the_playbook()] {
        here.switch(&set(switch.clone(), Position::Off)).await.unwrap();
        let held = stage.execute(&other).await.execution_id;
        stage.stands_still(held).await;
        let view = stage.view(&other, held).await;
        assert!(
            matches!(&view.standstill, Some(Standstill::Switch { switch: by, .. }) if *by == switch),
            "{view:#?}"
        );
        assert!(view.steps.is_empty(), "{view:#?}");
        here.switch(&set(switch, Position::On)).await.unwrap();
        assert_eq!(stage.ended(&other, held).await.status, ExecutionStatus::Resolved);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_holds_and_what_is_both_paused_and_switched_off_needs_both_to_go_on() {
    let house = House::set().await;
    let operator = house.operator();
    for switch in [Switch::Global, Switch::Tenant, of_the_playbook()] {
        operator
            .switch(&set(switch.clone(), Position::Off))
            .await
            .unwrap();
        let off = operator.switches().await.unwrap();
        assert_eq!(
            off.iter().filter(|view| view.off.is_some()).count(),
            1,
            "{off:#?}"
        );
        let id = house.begun().await;
        house.stage.stands_still(id).await;
        operator.pause(id, &OperateExecution::default()).await.unwrap();
        operator.switch(&set(switch, Position::On)).await.unwrap();
        operator.resume(id, &OperateExecution::default()).await.unwrap();
        assert_eq!(house.ended(id).await.status, ExecutionStatus::Resolved);
    }
    // No step began before its execution was resumed.
    let audit = house.stage.audit().await;
    let kinds = ["execution.accepted", "execution.resumed", "step.begun"];
    let mut order: Vec<&String> = audit
        .iter()
        .filter(|kind| kinds.contains(&kind.as_str()))
        .collect();
    order.dedup();
    assert_eq!(order, kinds.repeat(3), "{audit:?}");
    let other = Switch::Playbook {
        name: "another_one".parse().unwrap(),
    };
    operator.switch(&set(other, Position::Off)).await.unwrap();
    let id = house.begun().await;
    assert_eq!(house.ended(id).await.status, ExecutionStatus::Resolved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_was_told_of_an_outage_is_told_of_the_switch_after_it_and_of_the_outage_again() {
    let (stage, people) = (Stage::playing(&playbook(), &[]).await, People::start().await);
    let running = people.orchestration(&stage, &[("OUTAGE_NOTE_AFTER_S", "2")]);
    let house = House {
        stage,
        people,
        running,
    };
    let away = common::Problem::outside_unavailable("Entra ID", Some(600));
    let away = ResponseTemplate::new(503)
        .insert_header("retry-after", "600")
        .set_body_json(away);
    house.stage.steps.answer(MFA, [away]);
    let operator = house.operator();
    let id = house.begun().await;
    let says = async |words: &str, times: usize| {
        eventually("the ticket says it", async || {
            let notes = house.stage.desk.notes();
            let said = notes.iter().filter(|(_, note)| note.contains(words)).count();
            (said == times).then_some(())
        })
        .await;
    };
    let outage = "Entra ID does not answer";
    says(outage, 1).await;

    operator
        .switch(&set(Switch::Tenant, Position::Off))
        .await
        .unwrap();
    let back = "UPDATE playbook_executions SET wake_at = now() WHERE id = $1";
    sqlx::query(back)
        .bind(id.0)
        .execute(&house.stage.database.owner().await)
        .await
        .unwrap();
    says("The automation stands still", 1).await;
    let audit = house.stage.audit().await;
    let held = audit.iter().filter(|kind| *kind == "execution.held").count();
    assert_eq!(held, 1, "{audit:?}");

    operator.switch(&set(Switch::Tenant, Position::On)).await.unwrap();
    says(outage, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ticket_is_told_once_why_nothing_moves() {
    let house = House::set().await;
    let operator = house.operator();
    operator
        .switch(&set(Switch::Tenant, Position::Off))
        .await
        .unwrap();
    let id = house.begun().await;
    house.stage.stands_still(id).await;
    let owner = house.stage.database.owner().await;
    for _ in 0..2 {
        let long = "UPDATE playbook_executions SET parked_since = parked_since - interval '2 minutes', wake_at = now()
            WHERE id = $1";
        sqlx::query(long).bind(id.0).execute(&owner).await.unwrap();
        eventually("somebody looked at it", async || {
            let put_off = "SELECT wake_at > now() AND parked_told FROM playbook_executions WHERE id = $1";
            let put_off: bool = sqlx::query_scalar(put_off)
                .bind(id.0)
                .fetch_one(&owner)
                .await
                .unwrap();
            put_off.then_some(())
        })
        .await;
    }
    let away = common::Problem::outside_unavailable("Twilio", Some(1));
    let away = ResponseTemplate::new(503).set_body_json(away);
    house.stage.steps.answer(MFA, [away, done("success")]);
    operator.switch(&set(Switch::Tenant, Position::On)).await.unwrap();
    house.ended(id).await;
    let audit = house.stage.audit().await;
    assert!(
        audit.iter().any(|kind| kind == "step.parked"),
        "that the outside was away next is another story: {audit:?}"
    );
    house.stage.told().await;
    let notes: Vec<String> = house
        .stage
        .desk
        .notes()
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let told = notes
        .iter()
        .filter(|text| text.contains("The automation stands still"))
        .count();
    assert_eq!(told, 1, "{notes:#?}");
    let words = notes.iter().find(|text| text.contains("stands still")).unwrap();
    assert!(words.contains("Reason: The directory behaves oddly."), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_published_meanwhile_changes_nothing_about_what_runs() {
    let house = House::set().await;
    let operation = OperationId::fresh();
    house.stage.steps.answer(MFA, [pending(operation)]);
    let id = house.begun().await;
    house.asked(id, "verify_mfa").await;
    let operator = house.operator();
    operator.pause(id, &OperateExecution::default()).await.unwrap();
    let source = playbook()
        .replace("version: \"1.2\"", "version: \"1.3\"")
        .replace("on_success: reset_password", "on_success: resolved");
    let published = house.stage.publish_instead(&source).await;
    assert_ne!(published.digest, house.stage.playbook.digest);
    let yes = signal("verify_mfa", operation, Outcome::Success);
    house
        .stage
        .signal(&house.running, Service::Verification, id, &yes)
        .await
        .unwrap();
    // Another replica, which has read nothing yet, goes on.
    let House {
        stage,
        people,
        running,
    } = house;
    running.stop().await;
    let heir = people.orchestration(&stage, &[]);
    let operator = people.client(&heir, "operator");
    eventually("it is resumed", async || {
        operator.resume(id, &OperateExecution::default()).await.ok()
    })
    .await;
    let view = stage.ended(&heir, id).await;
    assert_eq!(
        (view.status, &view.playbook),
        (ExecutionStatus::Resolved, &stage.playbook)
    );
    assert_eq!(stage.steps.asked(RESET).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_admins_act_and_auditors_only_look() {
    let house = House::set().await;
    let nobody = ExecutionId::fresh();
    eventually("it serves", async || house.operator().switches().await.ok()).await;
    for (role, acts, looks) in [
        ("admin", true, true),
        ("operator", true, true),
        ("auditor", false, true),
        ("user", false, false),
    ] {
        let client = house.people.client(&house.running, role);
        let may = |answer: Result<ExecutionView, PeerError>| match refused_with(answer).0 {
            403 => false,
            404 => true,
            other => panic!("{other}"),
        };
        let body = OperateExecution::default();
        let verbs = [
            may(client.pause(nobody, &body).await),
            may(client.resume(nobody, &body).await),
            may(client.cancel(nobody, &stop("Stop.")).await),
            may(client.retry(nobody, &body).await),
            client.switch(&set(Switch::Tenant, Position::On)).await.is_ok(),
        ];
        assert_eq!(verbs, [acts; 5], "{role}");
        assert_eq!(client.switches().await.is_ok(), looks, "{role}");
    }
    // No service may either.
    let service = house.stage.client(&house.running, Service::Classifier);
    let paused = service.pause(nobody, &OperateExecution::default()).await;
    assert_eq!(refused_with(paused).0, 403);
}
