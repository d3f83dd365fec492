//! Permits that ran out while the work was parked.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what fails here fails the test"
)]

use common::client::PeerError;
use common::{ExecutionId, OperationId, PermitId, PermitToken, Service, StepRequest, StepResult};
use launcher::testing::Running;
use simulators::entra::Push;
use uuid::Uuid;

use crate::MFA;
use crate::house::{ADELE, House};

/// Adele has approved, as told by the answer.
async fn approved(house: &House, running: &Running) -> (OperationId, StepRequest, StepResult) {
    let request = house.request(MFA, ADELE);
    let pending = house.begin(running, &request).await;
    (pending.operation, request, house.told(&pending).await)
}

/// Everything about this verification happened so much earlier.
async fn minutes_pass(house: &House, operation: OperationId, minutes: i32) {
    let aged = sqlx::query(
        "UPDATE verifications
         SET asked_at = asked_at - shift, deadline = deadline - shift, ended_at = ended_at - shift,
            permit_issued_at = permit_issued_at - shift, permit_expires_at = permit_expires_at - shift
         FROM (SELECT make_interval(mins => $2) AS shift) AS by
         WHERE id = $1",
    )
    .bind(operation.0)
    .bind(minutes)
    .execute(&house.owner)
    .await
    .unwrap();
    assert_eq!(aged.rows_affected(), 1);
}

async fn renew(
    house: &House,
    running: &Running,
    id: PermitId,
    execution: ExecutionId,
) -> Result<PermitToken, PeerError> {
    let client = house.client(running, Service::Orchestration);
    client
        .renew_permit(id, execution)
        .await
        .map(|renewed| renewed.permit)
}

fn code(refused: Result<PermitToken, PeerError>) -> String {
    match refused {
        Err(PeerError::Refused { problem, .. }) => problem.code,
        other => panic!("it should be refused: {other:?}"),
    }
}

/// How often this is in the audit.
async fn recorded(house: &House, kind: &str) -> usize {
    house
        .audit()
        .await
        .iter()
        .filter(|recorded| recorded.as_str() == kind)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_ran_out_gets_more_time_and_stays_the_same_permit() {
    let house = House::new().await;
    let running = house.run(&[]);
    let (operation, request, result) = approved(&house, &running).await;
    let first = house.permit(&request, &result);
    let given = result.permit.clone().unwrap();
    let execution = request.execution_id;

    let fresh = renew(&house, &running, first.id, execution).await.unwrap();
    assert_eq!(fresh, given, "what is good is left as it is");
    minutes_pass(&house, operation, 11).await;
    let renewed = renew(&house, &running, first.id, execution).await.unwrap();
    assert_eq!(recorded(&house, "permit.renewed").await, 1);
    let again = renew(&house, &running, PermitId(operation.0), execution)
        .await
        .unwrap();
    assert_eq!(again, renewed, "asked twice, by whichever id, it is the same");

    let mut later = result.clone();
    later.permit = Some(renewed);
    let claims = house.permit(&request, &later);
    assert_eq!(claims.id, first.id, "whichever is used, it is used up");
    assert!(claims.expires - time::OffsetDateTime::now_utc() > time::Duration::minutes(9));
    assert_eq!((claims.subject, claims.method), (first.subject, first.method));
    assert_eq!(recorded(&house, "permit.issued").await, 1);
    assert_eq!(recorded(&house, "permit.renewed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_hour_after_the_answer_there_is_no_more_time() {
    let house = House::new().await;
    let running = house.run(&[]);
    let (operation, request, result) = approved(&house, &running).await;
    let first = house.permit(&request, &result);
    minutes_pass(&house, operation, 25).await;
    let renewed = renew(&house, &running, first.id, request.execution_id)
        .await
        .unwrap();
    let mut later = result.clone();
    later.permit = Some(renewed);
    let left = house.permit(&request, &later).expires - time::OffsetDateTime::now_utc();
    assert!(
        left <= time::Duration::minutes(5),
        "not beyond the half hour: {left}"
    );

    minutes_pass(&house, operation, 6).await;
    let refused = renew(&house, &running, first.id, request.execution_id).await;
    assert_eq!(code(refused), "permit_not_renewable");
    assert_eq!(recorded(&house, "permit.refused").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_approved_and_what_is_another_execution_s_is_not_renewed() {
    let house = House::new().await;
    let running = house.run(&[]);
    let (_, request, result) = approved(&house, &running).await;
    let first = house.permit(&request, &result);
    let foreign = renew(&house, &running, first.id, ExecutionId::fresh()).await;
    assert_eq!(code(foreign), "permit_not_found");
    let unknown = renew(&house, &running, PermitId::fresh(), request.execution_id).await;
    assert_eq!(code(unknown), "permit_not_found");

    house.world.entra().push(ADELE, Push::deny());
    let denied = house.request(MFA, ADELE);
    let pending = house.begin(&running, &denied).await;
    house.told(&pending).await;
    let refused = renew(
        &house,
        &running,
        PermitId(pending.operation.0),
        denied.execution_id,
    )
    .await;
    assert_eq!(code(refused), "permit_not_given");
    let on_record: Vec<(String, Option<Uuid>)> = sqlx::query_as(
        "SELECT detail->>'code', execution_id FROM audit_events WHERE kind = 'permit.refused' ORDER BY id",
    )
    .fetch_all(&house.owner)
    .await
    .unwrap();
    let expected = [
        // In the chain of no execution: it is only named by whoever asks.
        ("permit_not_found".to_owned(), None),
        ("permit_not_found".to_owned(), None),
        ("permit_not_given".to_owned(), Some(denied.execution_id.0)),
    ];
    assert_eq!(on_record, expected);
    let delivery = house.client(&running, Service::Delivery);
    let wrong = delivery.renew_permit(first.id, request.execution_id).await;
    assert_eq!(code(wrong.map(|renewed| renewed.permit)), "caller_not_allowed");
}
