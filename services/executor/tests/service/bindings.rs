//! A permit that verification did sign, for something else: wrong in one place only, and refused by the name of that place.

#![expect(clippy::unwrap_used, reason = "a test may")]

use common::client::PeerError;
use common::{Problem, Service, StepRequest, Values};
use launcher::testing::refusal;
use serde_json::{Value, json};
use trust::{PermitClaims, parameters_digest};

use crate::house::{ADELE, ALEX, House};

const DOOR: &str = "/api/v1/executor/reset_password";

type Change<'a> = Box<dyn Fn(&mut PermitClaims) + 'a>;
type Redirect = fn(&mut StepRequest);

impl House {
    /// What the audit says of an execution in which nothing was done: kind, code, action and subject of each refusal.
    async fn refusals(&self, request: &StepRequest) -> Vec<(String, String, String, String)> {
        let refusals = "SELECT kind, detail->>'code', detail->>'action', detail->>'subject'
             FROM audit_events WHERE execution_id = $1 ORDER BY id";
        sqlx::query_as(refusals)
            .bind(request.execution_id.0)
            .fetch_all(&self.owner)
            .await
            .unwrap()
    }

    /// One refusal, of exactly what was asked for.
    async fn assert_on_record(&self, request: &StepRequest, kind: &str, code: &str) {
        let user = &request.subject.user_id;
        let expected = [kind, code, request.action.as_str(), user.as_str()].map(str::to_owned);
        assert_eq!(self.refusals(request).await, [expected.into()], "{code}");
    }

    /// Nobody was given anything.
    fn assert_no_passes(&self) {
        for email in [ADELE, ALEX] {
            assert_eq!(self.world.entra().passes_created(email), 0, "{email}");
        }
    }
}

fn problem<T: std::fmt::Debug>(answer: Result<T, PeerError>) -> Problem {
    match answer {
        Err(PeerError::Refused { problem, .. }) => *problem,
        other => panic!("not refused: {other:?}"),
    }
}

/// Each binding of a permit with a claim that names something else, one at a time.
fn each_binding(house: &House) -> [(&'static str, Change<'static>); 9] {
    let alex = house.unproven(ALEX).subject.user_id;
    let edited = Values::from_iter([("lifetime_minutes".to_owned(), json!(480))]);
    [
        (
            "tenant",
            Box::new(|claims| claims.tenant = "fabrikam".parse().unwrap()),
        ),
        (
            "execution",
            Box::new(|claims| claims.execution = common::ExecutionId::fresh()),
        ),
        (
            "ticket",
            Box::new(|claims| claims.ticket = "4243".parse().unwrap()),
        ),
        ("subject", Box::new(move |claims| claims.subject = alex.clone())),
        (
            "action",
            Box::new(|claims| claims.action = "executor.delete_pass".parse().unwrap()),
        ),
        (
            "audience",
            Box::new(|claims| claims.action = "delivery.sms".parse().unwrap()),
        ),
        (
            "step",
            Box::new(|claims| claims.step = "another".parse().unwrap()),
        ),
        (
            "set of parameters",
            Box::new(move |claims| claims.parameters = parameters_digest(&edited)),
        ),
        (
            "approver than its subject",
            Box::new(|claims| claims.approver = Some(claims.subject.clone())),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_differs_in_one_place_is_refused_by_the_name_of_that_place() {
    let house = House::new().await;
    let running = house.run();
    for (differs, change) in each_binding(&house) {
        let mut request = house.unproven(ADELE);
        request.permit = Some(house.permit(&request, change));
        let said = problem(house.ask(&running, &request).await);
        assert_eq!(
            (said.status, said.code.as_str(), said.detail),
            (
                403,
                "permit_mismatch",
                format!("Nothing was reset: the permit is for another {differs}.")
            )
        );
        house
            .assert_on_record(&request, "permit.refused", "permit_mismatch")
            .await;
    }
    house.assert_no_passes();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_tenant_or_action_is_refused_whatever_was_proven_for_it() {
    let house = House::new().await;
    let running = house.run();
    let cases: [(&str, Redirect); 4] = [
        ("tenant", |request| {
            request.tenant_id = "fabrikam".parse().unwrap();
            request.subject.tenant_id = request.tenant_id.clone();
        }),
        ("tenant", |request| {
            request.tenant_id = "fabrikam".parse().unwrap();
        }),
        ("tenant", |request| {
            request.subject.tenant_id = "fabrikam".parse().unwrap();
        }),
        ("action", |request| {
            request.action = "executor.delete_pass".parse().unwrap();
        }),
    ];
    for (differs, redirect) in cases {
        let mut request = house.unproven(ADELE);
        redirect(&mut request);
        // For exactly this request, as verification would sign it.
        request.permit = Some(house.permit(&request, |_| {}));
        let client = house.client(&running, Service::Orchestration);
        let said = problem(client.perform(DOOR, &request).await);
        assert_eq!((said.status, said.code.as_str()), (422, "misdirected"));
        assert!(said.detail.contains(differs), "{differs}: {}", said.detail);
        house
            .assert_on_record(&request, "effect.refused", "misdirected")
            .await;
    }
    house.assert_no_passes();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_was_refused_elsewhere_is_still_good_for_what_it_names() {
    let house = House::new().await;
    let running = house.run();
    let honest = house.request(ADELE);
    let mut edited = honest.clone();
    let longer: Value = json!(480);
    edited.parameters.insert("lifetime_minutes".to_owned(), longer);

    assert_eq!(refusal(house.ask(&running, &edited).await), "permit_mismatch");
    house
        .assert_on_record(&edited, "permit.refused", "permit_mismatch")
        .await;
    house.assert_no_passes();
    let result = house
        .ask(&running, &launcher::testing::next_attempt(&honest))
        .await
        .unwrap();
    house.assert_delivers_the_one_live_pass(ADELE, &honest, &result);
}
