//! A hostile author of playbooks: what would act unproven is never published, by anybody.

use common::Service;

use super::{assert_no_effects, codes_of};
use crate::access::knock;
use crate::{ADELE, automation, fleet};

/// Ways to write a reset that nobody proved, and the finding that each gets.
const UNPROVEN: [(&str, &str, &str); 5] = [
    (
        "nobody is asked",
        "unverified-privileged-step",
        "
  - id: reset
    service: executor.reset_password
    on_success: deliver
    on_failure: person",
    ),
    (
        "a failed proof goes on",
        "unverified-privileged-step",
        "
  - id: ask
    service: verification.mfa
    timeout: 300
    on_success: reset
    on_failure: reset
    on_denied: person
  - id: reset
    service: executor.reset_password
    on_success: deliver
    on_failure: person",
    ),
    (
        "a \"no\" goes on",
        "privileged-after-denial",
        "
  - id: ask
    service: verification.mfa
    timeout: 300
    on_success: reset
    on_failure: person
    on_denied: reset
  - id: reset
    service: executor.reset_password
    on_success: deliver
    on_failure: person",
    ),
    (
        "somebody else's text is the phone",
        "unknown-parameter",
        "
  - id: ask
    service: verification.mfa
    timeout: 300
    on_success: reset
    on_failure: person
    on_denied: person
  - id: reset
    service: executor.reset_password
    on_success: elsewhere
    on_failure: person
  - id: elsewhere
    service: delivery.sms
    with:
      to: \"{{ ticket.summary }}\"
    on_success: done
    on_failure: person",
    ),
    (
        "the ticket names who is reset",
        "unknown-parameter",
        "
  - id: ask
    service: verification.mfa
    timeout: 300
    on_success: reset
    on_failure: person
    on_denied: person
  - id: reset
    service: executor.reset_password
    with:
      user: \"{{ ticket.summary }}\"
    on_success: deliver
    on_failure: person",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_playbook_that_acts_unproven_is_published() {
    let fleet = fleet().await;
    let admin = fleet.world().token_for("grady@contoso.example", &["admin"]);
    let post = async |path: &str, source: String| {
        let url = fleet.fleet.url(Service::Playbook).join(path).unwrap();
        let http = common::client::http_client(crate::SOON).unwrap();
        let answer = http
            .post(url)
            .bearer_auth(&admin)
            .header("content-type", "application/yaml")
            .body(source)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (what, finding, steps) in UNPROVEN {
        let source = format!(
            "name: quick_reset
version: \"1\"
enabled: true
description: Fast
category: REQUEST
sub_category: PASSWORD_RESET
steps:{steps}
  - id: deliver
    service: delivery.sms
    on_success: done
    on_failure: person
  - id: done
    type: terminal
    status: RESOLVED
  - id: person
    type: escalation
    reason: A person sees to it
"
        );
        let (status, text) = post("/api/v1/playbooks", source).await;
        assert_eq!(status, 422, "{what}: {text}");
        assert!(text.contains(finding), "{what}: {text}");
    }
    let path = "/api/v1/playbooks/quick_reset/activate";
    let body = br#"{"version": "1"}"#;
    let (status, _) = knock(&fleet, Service::Playbook, "PUT", path, body, Some(&admin), None).await;
    assert_eq!(status, 404, "there is nothing to activate");
    let mut refused = vec!["playbook_findings"; UNPROVEN.len()];
    refused.push("playbook_not_found");
    assert_eq!(codes_of(&fleet, &["playbook.refused"]).await, refused);
    let authors: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT actor FROM audit_events WHERE kind = 'playbook.refused'")
            .fetch_all(fleet.owner())
            .await
            .unwrap();
    let grady = fleet.world().person("grady@contoso.example").id;
    assert_eq!(authors, [format!("person:{grady}")], "who it was is on record");
    assert_no_effects(&fleet);
    // And what is shipped goes on as it was.
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
}
