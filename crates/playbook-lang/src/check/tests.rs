//! Checks by example: the requirement's own sample, and one small document for each finding.

mod budget;
mod calls;
mod hostile;
mod names;
mod parallel;
mod paths;
mod shape;
mod steps;

use common::{Digest, Severity};

use super::*;
use crate::findings::code;

/// The requirement's own sample, which names two escalation steps that it never defines.
pub(crate) const REQUIREMENT_SAMPLE: &str = r#"name: password_reset
version: "1.2"
enabled: true
description: "Automated password reset with MFA or manager approval"
category: REQUEST
sub_category: PASSWORD_RESET
steps:
  - id: verify_mfa
    name: "Verify User via MFA"
    service: verification.mfa
    timeout: 300
    on_success: reset_password
    on_failure: verify_manager
  - id: verify_manager
    name: "Manager Approval"
    service: verification.manager
    timeout: 600
    on_success: reset_password
    on_failure: escalate_not_verified
  - id: reset_password
    service: executor.reset_password
    timeout: 60
    retry: {max_attempts: 3, backoff: exponential}
    on_success: deliver_credentials
    on_failure: escalate_reset_failed
  - id: deliver_credentials
    service: delivery.sms
    on_success: resolved
    on_failure: escalate_delivery_failed
  - id: resolved
    type: terminal
    status: RESOLVED
  - id: escalate_not_verified
    type: escalation
    reason: "Nobody could verify the requester"
"#;

/// A document around `steps`, which begin in line 4, column 1.
fn document(steps: &str) -> String {
    format!("name: t\nversion: \"1\"\nsteps:\n{steps}")
}

fn codes(source: &str) -> Vec<(String, usize, usize)> {
    check(source, &Registry::builtin())
        .findings
        .into_iter()
        .map(|finding| (finding.code, finding.line, finding.column))
        .collect()
}

/// The findings of a document around `steps`, without places.
fn found(steps: &str) -> Vec<String> {
    codes(&document(steps))
        .into_iter()
        .map(|(code, ..)| code)
        .collect()
}

const ENDS: &str = "- {id: done, type: terminal, status: RESOLVED}\n- {id: person, type: escalation, reason: \"see above\"}\n";

fn with_ends(steps: &str) -> String {
    format!("{steps}{ENDS}")
}

const ACT: &str = "- {id: act, service: executor.reset_password, on_success: done, on_failure: person}\n";

#[test]
fn the_requirements_own_sample_is_refused_for_exactly_its_two_undefined_steps() {
    let report = check(REQUIREMENT_SAMPLE, &Registry::builtin());
    insta::assert_json_snapshot!(report.findings);
    assert!(!report.ok());
}

#[test]
fn the_shipped_playbook_is_clean() {
    let source = include_str!("../../../../playbooks/password_reset.yml");
    let report = check(source, &Registry::builtin());
    assert_eq!(report.findings, []);
    let playbook = report.playbook.unwrap();
    assert_eq!(playbook.name().as_str(), "password_reset");
    assert_eq!(*playbook.digest(), Digest::of(source));
    assert!(playbook.enabled());
    for verification in ["verify_mfa", "verify_manager"] {
        let step = playbook.step(&verification.parse().unwrap()).unwrap();
        let authorizes = step.action().unwrap().authorizes.clone().unwrap();
        assert_eq!(authorizes.as_str(), "reset_password");
    }
}
