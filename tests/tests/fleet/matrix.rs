//! Who may call what, once more: every endpoint of the six services, asked by everybody there is. The table here is
//! written by hand and knows nothing of the one in `common::doors`; an endpoint without a row fails, and so does a row
//! without an endpoint.

use std::collections::BTreeSet;

use common::Service::{self, Classifier, Delivery, Executor, Orchestration, Playbook, Verification};
use common::problem::Problem;
use launcher::testing::{TestFleet, until};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::access::knock;
use crate::{ADELE, fleet};

/// Whoever knocks, in the order of the columns: nobody, the six services, people by their role, strangers.
const CALLERS: [&str; 15] = [
    "nobody",
    "classifier",
    "playbook",
    "orchestration",
    "verification",
    "executor",
    "delivery",
    "admin",
    "operator",
    "auditor",
    "user",
    "a person without a role",
    "all roles at another application",
    "all roles by another issuer",
    "a service that means another service",
];

/// `-`: 401, not believed. `x`: 403, known, and may not. `o`: let in.
#[rustfmt::skip]
const ROWS: [(Service, &str, &str, &str); 32] = [
    // services: c(lassifier) p(laybook) o(rchestration) v(erification) e(xecutor) d(elivery);
    // people: a(dmin) o(perator) a(uditor) u(ser) and no role.                  - cpoved aoau. strangers
    (Classifier, "post", "/api/v1/classify_ticket",                             "- xoo xxx xxxxx ---"),
    (Classifier, "get", "/api/v1/decisions/{ticket_id}",                        "- xxo xxx xoox x ---"),
    (Classifier, "put", "/api/v1/decisions/{ticket_id}/review",                 "- xxx xxx xoxx x ---"),
    (Classifier, "get", "/api/v1/gate/standing/{playbook}",                     "- xox xxx xxxxx ---"),
    (Classifier, "get", "/api/v1/gate/report",                                  "- xxx xxx xoox x ---"),
    (Playbook, "get", "/api/v1/playbooks",                                      "- oxo xxx oooox ---"),
    (Playbook, "get", "/api/v1/playbooks/{id}",                                 "- oxo xxx oooox ---"),
    (Playbook, "get", "/api/v1/playbooks/{id}/versions",                        "- oxo xxx oooox ---"),
    (Playbook, "post", "/api/v1/playbooks/check",                               "- oxo xxx oooox ---"),
    (Playbook, "post", "/api/v1/playbooks",                                     "- xxx xxx oxxxx ---"),
    (Playbook, "put", "/api/v1/playbooks/{id}/activate",                        "- xxx xxx oxxxx ---"),
    (Playbook, "put", "/api/v1/playbooks/{id}/deactivate",                      "- xxx xxx oxxxx ---"),
    (Orchestration, "post", "/api/v1/orchestration/execute_playbook",           "- oxx xxx xxxxx ---"),
    (Orchestration, "post", "/api/v1/orchestration/executions/{id}/signals",    "- xxx ooo xxxxx ---"),
    (Orchestration, "get", "/api/v1/orchestration/execution/{ticket_id}",       "- oxx xxx ooox x ---"),
    (Orchestration, "get", "/api/v1/orchestration/executions",                  "- xxx xxx ooox x ---"),
    (Orchestration, "get", "/api/v1/orchestration/executions/{id}",             "- oxx oxx ooox x ---"),
    (Orchestration, "post", "/api/v1/orchestration/executions/{id}/pause",      "- xxx xxx ooxx x ---"),
    (Orchestration, "post", "/api/v1/orchestration/executions/{id}/resume",     "- xxx xxx ooxx x ---"),
    (Orchestration, "post", "/api/v1/orchestration/executions/{id}/cancel",     "- xxx xxx ooxx x ---"),
    (Orchestration, "post", "/api/v1/orchestration/executions/{id}/retry",      "- xxx xxx ooxx x ---"),
    (Orchestration, "get", "/api/v1/orchestration/switches",                    "- xxx xxx ooox x ---"),
    (Orchestration, "put", "/api/v1/orchestration/switches",                    "- xxx xxx ooxx x ---"),
    // These three know no people: a person's token is no more to them than a stranger's.
    (Verification, "post", "/api/v1/verification/mfa",                          "- xxo xxx ----- ---"),
    (Verification, "post", "/api/v1/verification/manager_approval",             "- xxo xxx ----- ---"),
    (Verification, "post", "/api/v1/verification/ask",                          "- xxo xxx ----- ---"),
    (Verification, "get", "/api/v1/verification/{id}",                          "- xxo xxx ----- ---"),
    (Verification, "post", "/api/v1/verification/{id}/permit",                  "- xxo xxx ----- ---"),
    (Executor, "post", "/api/v1/executor/reset_password",                       "- xxo xxx ----- ---"),
    (Executor, "post", "/api/v1/executor/delete_pass",                          "- xxo xxx ----- ---"),
    (Delivery, "post", "/api/v1/delivery/sms",                                  "- xxo xxx ----- ---"),
    (Delivery, "get", "/api/v1/delivery/{id}",                                  "- xxo xxx ----- ---"),
];

/// Doors of vendors, at which `webhooks.rs` knocks as vendors do, and the page of a suggestion, whose address is the
/// proof: no token of ours opens them.
const WEBHOOKS: [(Service, &str); 6] = [
    (Classifier, "/suggestions/{code}"),
    (Classifier, "/webhooks/halopsa/ticket_created"),
    (Classifier, "/webhooks/halopsa/ticket_updated"),
    (Verification, "/webhooks/teams/approval_action"),
    (Verification, "/webhooks/twilio/sms_response"),
    (Delivery, "/webhooks/twilio/sms_status"),
];

fn body_for(method: &str) -> &'static [u8] {
    if method == "get" { b"" } else { b"{}" }
}

/// What `caller` would show at this door.
fn token(fleet: &TestFleet, caller: &str, at: Service, body: &[u8]) -> Option<String> {
    let all = ["admin", "operator", "auditor", "user"];
    let issue = |from: Service, to: Service| {
        let (now, id) = (OffsetDateTime::now_utc(), uuid::Uuid::now_v7());
        trust::token::issue(&fleet.identity(from), to.name(), body, now, id).unwrap()
    };
    let claiming = |name: &str, value: &str| {
        let genuine = fleet.world().token_for(ADELE, &all);
        let mut claims = claims_of(&genuine);
        claims[name] = json!(value);
        fleet.world().entra().sign(&claims)
    };
    match caller {
        "nobody" => None,
        "a person without a role" => Some(fleet.world().token_for(ADELE, &[])),
        "all roles at another application" => Some(claiming("aud", "another-application")),
        "all roles by another issuer" => Some(claiming("iss", "https://login.elsewhere.example/v2.0")),
        "a service that means another service" => {
            let other = if at == Executor { Delivery } else { Executor };
            Some(issue(Orchestration, other))
        }
        role if all.contains(&role) => Some(fleet.world().token_for(ADELE, &[role])),
        service => Some(issue(service.parse().unwrap(), at)),
    }
}

fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// A caller that is refused for who they are, as the audit names them.
fn actor(fleet: &TestFleet, caller: &str) -> String {
    if let Ok(service) = caller.parse::<Service>() {
        return format!("service:{service}");
    }
    let claims = claims_of(&fleet.world().token_for(ADELE, &[]));
    format!("person:{}", claims["oid"].as_str().unwrap())
}

fn answered(status: u16, text: &str) -> char {
    let code = serde_json::from_str::<Problem>(text).map(|problem| problem.code);
    match (status, code.as_deref()) {
        (401, Ok(_)) => '-',
        (403, Ok("caller_not_allowed")) => 'x',
        // Past the door it is the body that is judged, or what it names that is missing.
        (200..=299 | 400 | 403 | 404 | 409 | 415 | 422, _) => 'o',
        _ => '?',
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_the_answer_that_is_written_down_at_every_endpoint() {
    let fleet = fleet().await;
    let mut wrong = vec![];
    let mut refused = BTreeSet::new();
    for (service, method, path, row) in ROWS {
        let expected: Vec<char> = row.chars().filter(|cell| *cell != ' ').collect();
        assert_eq!(
            expected.len(),
            CALLERS.len(),
            "{method} {path} has a cell for each caller"
        );
        let real = path
            .replace("{ticket_id}", "1")
            .replace("{playbook}", "password_reset")
            .replace("{id}", "01890000-0000-7000-8000-000000000000");
        let body = body_for(method);
        for (caller, expected) in CALLERS.into_iter().zip(expected) {
            let token = token(&fleet, caller, service, body);
            let method = method.to_uppercase();
            if expected == 'x' {
                refused.insert((actor(&fleet, caller), format!("{method} {path}")));
            }
            let (status, text) = knock(&fleet, service, &method, &real, body, token.as_deref(), None).await;
            if answered(status, &text) != expected {
                wrong.push(format!(
                    "{method} {path} as {caller}: expected `{expected}`, got {status} {text}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Whoever is known and tried a door that is not theirs is on record; beside the answer, so a moment later. Whoever tries it
    // again within a minute, and all these people are Adele, is counted.
    let recorded = async || -> BTreeSet<(String, String)> {
        let recorded: Vec<(String, String)> = sqlx::query_as(
            "SELECT DISTINCT actor, detail->>'route' FROM audit_events WHERE kind = 'access.refused'",
        )
        .fetch_all(fleet.owner())
        .await
        .unwrap();
        recorded.into_iter().collect()
    };
    until("as many refusals in the audit as there were", async || {
        recorded().await.len() >= refused.len()
    })
    .await;
    assert_eq!(recorded().await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_has_its_row_here_and_in_the_table_of_the_code() {
    let fleet = fleet().await;
    for service in Service::ALL {
        let (_, text) = knock(&fleet, service, "GET", "/openapi.json", b"", None, None).await;
        let document: Value = serde_json::from_str(&text).unwrap();
        let mut guarded = BTreeSet::new();
        let mut webhooks = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                if path.starts_with("/webhooks/") || path.starts_with("/suggestions/") {
                    webhooks.insert(path.clone());
                } else {
                    guarded.insert(format!("{method} {path}"));
                }
            }
        }
        let written: BTreeSet<_> = ROWS
            .iter()
            .filter(|(of, ..)| *of == service)
            .map(|(_, method, path, _)| format!("{method} {path}"))
            .collect();
        assert_eq!(written, guarded, "{service}: this table against its endpoints");
        let doors: BTreeSet<_> = common::doors::of(service)
            .iter()
            .map(|door| format!("{} {}", door.method.as_str().to_lowercase(), door.path))
            .collect();
        assert_eq!(
            doors, guarded,
            "{service}: the table of the code against its endpoints"
        );
        let known: BTreeSet<_> = WEBHOOKS
            .iter()
            .filter(|(of, _)| *of == service)
            .map(|(_, path)| (*path).to_owned())
            .collect();
        assert_eq!(known, webhooks, "{service}: webhooks");
    }
}
