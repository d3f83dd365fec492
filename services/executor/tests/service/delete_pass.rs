//! `executor.delete_pass` through its door: what a reset did is taken back, and nothing else.

use common::client::PeerError;
use common::{Outcome, Service, StepRequest, StepResult};
use launcher::testing::{next_attempt, refusal, until};
use serde_json::json;
use simulators::System;
use simulators::faults::{Fault, FaultKind};

use crate::house::{ADELE, ALEX, House, path};

const PASSES: &str = "temporaryAccessPassMethods";

/// What somebody confused, or hostile, makes of an honest request.
type Spoil<'a> = Box<dyn Fn(&mut StepRequest) + 'a>;

fn lost_answers() -> Fault {
    Fault::new(FaultKind::DropAfter).on(PASSES).method("POST")
}

fn slow(method: &str) -> Fault {
    Fault::new(FaultKind::Latency(std::time::Duration::from_millis(500)))
        .on(PASSES)
        .method(method)
}

fn last(audit: &[String]) -> Option<&str> {
    audit.last().map(String::as_str)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_deletes_the_pass_that_the_visit_made_and_says_so() {
    let house = House::new().await;
    let running = house.run();
    let (request, _) = house.reset(&running, ADELE).await;

    let result = house.ask(&running, &House::undo_of(&request)).await.unwrap();

    let name = house.world.person(ADELE).name;
    let told = format!("The Temporary Access Pass for {name} was deleted.");
    assert_eq!(result, StepResult::new(Outcome::Success, told));
    assert!(house.world.entra().live_passes(ADELE).is_empty());
    assert_eq!(
        house.audit(&request).await,
        ["permit.spent", "effect.intended", "effect.done", "effect.undone"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_it_answers_the_same_and_deletes_nothing() {
    let house = House::new().await;
    let running = house.run();
    let (request, _) = house.reset(&running, ADELE).await;
    let undo = House::undo_of(&request);

    let first = house.ask(&running, &undo).await.unwrap();
    let repeated = house.ask(&running, &undo).await.unwrap();
    house.world.faults(System::Entra).outage(true);
    let retried = house.ask(&running, &next_attempt(&undo)).await.unwrap();

    assert_eq!(first, repeated);
    assert_eq!(first, retried);
    assert_eq!(house.passes_deleted(), 1);
    assert_eq!(house.audit(&request).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_repeated_after_its_undo_answers_as_before_and_makes_nothing() {
    let house = House::new().await;
    let running = house.run();
    let (request, made) = house.reset(&running, ADELE).await;
    house.ask(&running, &House::undo_of(&request)).await.unwrap();

    let repeated = house.ask(&running, &next_attempt(&request)).await.unwrap();

    assert_eq!(repeated, made);
    assert_eq!(house.world.entra().passes_created(ADELE), 1);
    assert!(house.world.entra().live_passes(ADELE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_made_for_another_execution_stays() {
    let house = House::new().await;
    let running = house.run();
    let (first, _) = house.reset(&running, ADELE).await;
    // It replaced the first one.
    let (second, made) = house.reset(&running, ADELE).await;

    let result = house.ask(&running, &House::undo_of(&first)).await.unwrap();

    assert_eq!(result.outcome, Outcome::Success);
    assert!(house.is_live(ADELE, &second, &made));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_was_done_there_is_nothing_to_undo_and_nothing_begins_any_more() {
    let house = House::new().await;
    let running = house.run();
    let late = house.request(ADELE);
    let undo = House::undo_of(&late);

    let result = house.ask(&running, &undo).await.unwrap();
    assert_eq!(
        result,
        StepResult::new(
            Outcome::Success,
            "There was nothing to undo: the step had made no pass."
        )
    );
    assert_eq!(house.ask(&running, &next_attempt(&undo)).await.unwrap(), result);

    assert_eq!(refusal(house.ask(&running, &late).await), "effect_undone");
    assert_eq!(house.world.entra().passes_created(ADELE), 0);
    assert_eq!(
        house.audit(&late).await,
        ["effect.nothing_to_undo", "effect.refused"]
    );
    // Only that visit: the next one comes with a permit of its own.
    let mut again = late.clone();
    again.step.visit = 2;
    again.permit = Some(house.permit(&again, |_| {}));
    let made = house.ask(&running, &again).await.unwrap();
    house.assert_delivers_the_one_live_pass(ADELE, &again, &made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_failed_left_nothing_to_undo() {
    let house = House::new().await;
    let running = house.run();
    let refused = Fault::new(FaultKind::Status(403)).on(PASSES).method("POST");
    house.world.faults(System::Entra).inject(refused.times(1));
    let request = house.request(ADELE);
    let failed = house.ask(&running, &request).await.unwrap();
    assert_eq!(failed.outcome, Outcome::Failure);

    let result = house.ask(&running, &House::undo_of(&request)).await.unwrap();

    assert_eq!(result.outcome, Outcome::Success);
    assert_eq!(house.passes_deleted(), 0);
    assert_eq!(
        house.ask(&running, &next_attempt(&request)).await.unwrap(),
        failed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_for_somebody_else_is_not_undone_and_the_audit_says_why() {
    let house = House::new().await;
    let running = house.run();
    let (request, made) = house.reset(&running, ADELE).await;
    let alex = house.unproven(ALEX).subject;
    let cases: [(&str, Spoil<'_>); 7] = [
        ("effect_mismatch", Box::new(|undo| undo.subject = alex.clone())),
        (
            "effect_mismatch",
            Box::new(|undo| undo.ticket_id = "4243".parse().unwrap()),
        ),
        (
            "misdirected",
            Box::new(|undo| undo.step.id = "reset_password".parse().unwrap()),
        ),
        (
            "misdirected",
            Box::new(|undo| undo.action = "executor.reset_password".parse().unwrap()),
        ),
        (
            "misdirected",
            Box::new(|undo| undo.tenant_id = "another".parse().unwrap()),
        ),
        (
            "parameters_invalid",
            Box::new(|undo| {
                undo.parameters.insert("visit".to_owned(), json!(0));
            }),
        ),
        (
            "parameters_invalid",
            Box::new(|undo| {
                undo.parameters.insert("pass".to_owned(), json!("of my choice"));
            }),
        ),
    ];
    for (attempt, (expected, spoil)) in (1..).zip(cases) {
        let mut undo = House::undo_of(&request);
        undo.step.attempt = attempt;
        spoil(&mut undo);
        let answer = house
            .client(&running, Service::Orchestration)
            .perform("/api/v1/executor/delete_pass", &undo)
            .await;
        assert_eq!(refusal(answer), expected);
        assert_eq!(last(&house.audit(&request).await), Some("effect.refused"));
    }
    assert!(house.is_live(ADELE, &request, &made));
    assert_eq!(house.passes_deleted(), 0);

    // Another execution has no claim to it, and its asking costs this one nothing.
    let mut foreign = House::undo_of(&request);
    foreign.execution_id = common::ExecutionId::fresh();
    house.ask(&running, &foreign).await.unwrap();
    assert!(house.is_live(ADELE, &request, &made));
    let mut honest = House::undo_of(&request);
    honest.step.attempt = 10;
    house.ask(&running, &honest).await.unwrap();
    assert!(!house.is_live(ADELE, &request, &made));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_from_the_answer_that_somebody_else_s_undo_was_settled() {
    let house = House::new().await;
    let running = house.run();
    let undo = House::undo_of(&house.unproven(ADELE));
    house.ask(&running, &undo).await.unwrap();

    let mut other = next_attempt(&undo);
    other.subject = house.unproven(ALEX).subject;

    assert_eq!(refusal(house.ask(&running, &other).await), "effect_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_away_loses_nothing() {
    let house = House::new().await;
    let running = house.run();
    let (request, made) = house.reset(&running, ADELE).await;
    let undo = House::undo_of(&request);
    house.world.faults(System::Entra).outage(true);

    assert_eq!(refusal(house.ask(&running, &undo).await), "outside_unavailable");
    assert_eq!(last(&house.audit(&request).await), Some("effect.done"));
    house.world.faults(System::Entra).outage(false);
    let result = house.ask_until_answered(&running, &next_attempt(&undo)).await;

    assert_eq!(result.outcome, Outcome::Success);
    assert!(!house.is_live(ADELE, &request, &made));
    assert_eq!(last(&house.audit(&request).await), Some("effect.undone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_answer_was_lost_is_found_done() {
    let house = House::new().await;
    let running = house.run();
    let (request, _) = house.reset(&running, ADELE).await;
    let undo = House::undo_of(&request);
    let faults = house.world.faults(System::Entra);
    let silence = faults.inject(Fault::new(FaultKind::DropAfter).on(PASSES).method("DELETE"));

    assert_eq!(refusal(house.ask(&running, &undo).await), "outside_unavailable");
    faults.lift(silence);
    let result = house.ask_until_answered(&running, &next_attempt(&undo)).await;

    assert_eq!(result.outcome, Outcome::Success);
    assert_eq!(house.passes_deleted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_refuses_is_a_matter_for_people_and_the_undo_stays_open() {
    let house = House::new().await;
    let running = house.run();
    let (request, made) = house.reset(&running, ADELE).await;
    let undo = House::undo_of(&request);
    let refused = Fault::new(FaultKind::Status(403)).on(PASSES).method("DELETE");
    house.world.faults(System::Entra).inject(refused.times(1));

    assert_eq!(refusal(house.ask(&running, &undo).await), "directory_refused");
    assert!(house.is_live(ADELE, &request, &made));
    house.ask(&running, &next_attempt(&undo)).await.unwrap();

    assert!(!house.is_live(ADELE, &request, &made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_whose_answer_was_lost_is_withdrawn_with_the_pass_it_left() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    faults.inject(lost_answers());
    let request = house.request(ADELE);
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    faults.lift_all();
    assert_eq!(house.world.entra().live_passes(ADELE).len(), 1);

    let result = house
        .ask_until_answered(&running, &House::undo_of(&request))
        .await;

    assert_eq!(
        result,
        StepResult::new(
            Outcome::Success,
            "The reset was withdrawn before it was complete, and the pass it had left was deleted."
        )
    );
    assert!(house.world.entra().live_passes(ADELE).is_empty());
    assert_eq!(
        house.audit(&request).await,
        [
            "permit.spent",
            "effect.intended",
            "effect.failed",
            "effect.undone"
        ]
    );
    let created = house.world.entra().passes_created(ADELE);
    let repeated = house.ask(&running, &next_attempt(&request)).await.unwrap();
    assert_eq!(repeated.outcome, Outcome::Failure);
    assert_eq!(house.world.entra().passes_created(ADELE), created);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_is_being_withdrawn_does_not_go_on_while_the_directory_is_away() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    faults.inject(lost_answers());
    let request = house.request(ADELE);
    let undo = House::undo_of(&request);
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    let created = house.world.entra().passes_created(ADELE);
    faults.lift_all();
    faults.outage(true);
    assert_eq!(refusal(house.ask(&running, &undo).await), "outside_unavailable");
    faults.outage(false);

    assert_eq!(
        refusal(house.ask(&running, &next_attempt(&request)).await),
        "effect_undone"
    );
    house.ask_until_answered(&running, &next_attempt(&undo)).await;

    assert_eq!(house.world.entra().passes_created(ADELE), created);
    assert!(house.world.entra().live_passes(ADELE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_leaves_what_another_execution_has_handed_on_since() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    faults.inject(lost_answers());
    let lost = house.request(ADELE);
    assert_eq!(refusal(house.ask(&running, &lost).await), "outside_unavailable");
    faults.lift_all();
    let other = house.request(ADELE);
    let made = house.ask_until_answered(&running, &other).await;

    let result = house.ask(&running, &House::undo_of(&lost)).await.unwrap();

    assert_eq!(
        result.explanation,
        "The reset was withdrawn before it was complete; it had left no pass."
    );
    assert!(house.is_live(ADELE, &other, &made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_waits_while_another_execution_is_making_a_pass_for_the_same_person() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    faults.inject(lost_answers());
    let lost = house.request(ADELE);
    assert_eq!(refusal(house.ask(&running, &lost).await), "outside_unavailable");
    faults.lift_all();
    faults.inject(slow("POST").times(1));
    let other = house.request(ADELE);
    let undo = House::undo_of(&lost);
    let (made, ()) = tokio::join!(house.ask_until_answered(&running, &other), async {
        until("the other pass is being made", || house.is_asking(&other)).await;
        let early = house.ask(&running, &undo).await;
        assert_eq!(refusal(early), "effect_in_flight");
    });

    let result = house.ask_until_answered(&running, &next_attempt(&undo)).await;

    assert_eq!(result.outcome, Outcome::Success);
    assert!(house.is_live(ADELE, &other, &made));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_reset_is_under_way_its_undo_waits_and_then_deletes() {
    let house = House::new().await;
    let running = house.run();
    house.world.faults(System::Entra).inject(slow("POST"));
    let request = house.request(ADELE);
    let undo = House::undo_of(&request);
    let (made, ()) = tokio::join!(house.ask(&running, &request), async {
        until("the directory is being asked", || house.is_asking(&request)).await;
        let early = house.ask(&running, &undo).await;
        assert_eq!(refusal(early), "effect_in_flight");
    });

    assert!(house.is_live(ADELE, &request, &made.unwrap()));
    house.ask(&running, &next_attempt(&undo)).await.unwrap();
    assert!(house.world.entra().live_passes(ADELE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_undos_at_once_one_deletes() {
    let house = House::new().await;
    let running = house.run();
    let (request, _) = house.reset(&running, ADELE).await;
    house.world.faults(System::Entra).inject(slow("DELETE"));
    let attempts = [1, 2, 3, 4].map(|attempt| {
        let mut undo = House::undo_of(&request);
        undo.step.attempt = attempt;
        undo
    });

    let [a, b, c, d] = &attempts;
    let (a, b, c, d) = tokio::join!(
        house.ask(&running, a),
        house.ask(&running, b),
        house.ask(&running, c),
        house.ask(&running, d)
    );

    let (done, others): (Vec<_>, Vec<_>) = [a, b, c, d].into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for other in others {
        assert_eq!(refusal(other), "effect_in_flight");
    }
    assert_eq!(house.passes_deleted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_dies_in_the_middle_is_taken_up_by_the_next() {
    let house = House::new().await;
    let running = house.run();
    let (request, _) = house.reset(&running, ADELE).await;
    house.world.faults(System::Entra).inject(slow("DELETE").times(1));
    let undo = House::undo_of(&request);
    let asked: tokio::task::JoinHandle<Result<_, PeerError>> = {
        let client = house.client(&running, Service::Orchestration);
        let undo = undo.clone();
        tokio::spawn(async move { client.perform(&path(&undo), &undo).await })
    };
    until("the undo has begun", || house.is_undoing(&request)).await;
    // From here on its maker can write nothing more.
    let mut hold = house.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM effect_undos FOR UPDATE")
        .execute(&mut *hold)
        .await
        .unwrap();
    until("the pass is deleted", || async { house.passes_deleted() == 1 }).await;
    drop(running);
    asked.abort();
    hold.rollback().await.unwrap();

    let restarted = house.run();
    let early = house.ask(&restarted, &next_attempt(&undo)).await;
    assert_eq!(refusal(early), "effect_in_flight");
    house.let_leases_run_out().await;
    let result = house
        .ask(&restarted, &next_attempt(&next_attempt(&undo)))
        .await
        .unwrap();

    assert_eq!(result.outcome, Outcome::Success);
    assert_eq!(house.passes_deleted(), 1);
    assert_eq!(last(&house.audit(&request).await), Some("effect.undone"));
}
