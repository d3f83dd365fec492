//! Checks by example: the requirement's own sample, and one small document for each finding.

use std::time::Duration;

use common::Digest;

use super::*;
use crate::findings::code;
use common::Severity;

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

#[test]
fn the_requirements_own_sample_is_refused_for_exactly_its_two_undefined_steps() {
    let report = check(REQUIREMENT_SAMPLE, &Registry::builtin());
    insta::assert_json_snapshot!(report.findings);
    assert!(!report.ok());
}

#[test]
fn an_escaped_control_character_is_refused_like_a_written_one() {
    for escaped in [r"\0", r"\x01", r"\e"] {
        let source = include_str!("../../../../playbooks/password_reset.yml").replace(
            "Automated password reset",
            &format!("Automated{escaped} password reset"),
        );
        let report = check(&source, &Registry::builtin());
        assert!(!report.ok(), "{escaped}");
        assert_eq!(report.findings[0].line, 6, "{escaped}: {:?}", report.findings);
    }
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

#[test]
fn a_version_keeps_its_zeros_with_and_without_quotes() {
    for version in ["1.20", "\"1.20\""] {
        let source =
            format!("name: t\nversion: {version}\nsteps:\n- {{id: done, type: terminal, status: RESOLVED}}");
        let playbook = check(&source, &Registry::builtin()).playbook.unwrap();
        assert_eq!(playbook.version().as_str(), "1.20");
    }
}

#[test]
fn an_unknown_field_names_the_nearest_known_one_and_its_place() {
    let source = document(&with_ends(
        "- id: ask\n  service: verification.mfa\n  on_sucess: done\n  on_failure: person\n  on_success: done\n",
    ));
    let findings = check(&source, &Registry::builtin()).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    let finding = findings.first().unwrap();
    assert_eq!(
        (finding.code.as_str(), finding.line, finding.column),
        (code::UNKNOWN_FIELD, 6, 3)
    );
    assert!(
        finding.message.contains("did you mean `on_success`?"),
        "{}",
        finding.message
    );
    assert_eq!(finding.step.as_ref().unwrap().as_str(), "ask");
}

#[test]
fn a_field_of_another_kind_of_step_is_told_where_it_belongs() {
    let source = document("- {id: done, type: terminal, status: RESOLVED, reason: \"x\"}\n");
    let findings = check(&source, &Registry::builtin()).findings;
    assert!(
        findings
            .first()
            .unwrap()
            .message
            .contains("belongs to steps of type `escalation`")
    );
}

#[test]
fn what_is_no_playbook_is_one_finding_at_its_place() {
    let deep = format!("name: {}", "[".repeat(100_000));
    let deep_block = (0..200).fold(String::new(), |yaml, n| yaml + &" ".repeat(n) + "a:\n");
    let big = format!("name: t\ndescription: \"{}\"", "x".repeat(2 * 1024 * 1024));
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: t\n";
    for (source, at) in [
        ("", (1, 1)),
        ("\n# nothing\n", (1, 1)),
        ("name: [", (2, 1)),
        ("name: t\n\tversion: 1", (2, 1)),
        ("name: a\u{0}b", (1, 8)),
        ("name: t\n--- \nname: u\n", (2, 1)),
        (bomb, (1, 4)),
        ("name: !!str t\n", (1, 7)),
        ("? [a, b]\n: c\n", (1, 3)),
        (deep.as_str(), (1, 262)),
        (deep_block.as_str(), (33, 33)),
        (big.as_str(), (1, 1)),
    ] {
        let shown: String = source.chars().take(40).collect();
        let findings = codes(source);
        assert_eq!(findings.len(), 1, "{shown:?} gave {findings:?}");
        let (code, line, column) = findings.first().unwrap();
        assert_eq!(code, code::SYNTAX, "{shown:?}");
        assert_eq!((*line, *column), at, "{shown:?}");
    }
}

#[test]
fn a_repeated_key_and_a_repeated_step_are_named() {
    assert_eq!(
        codes("name: t\nversion: \"1\"\nname: u\nsteps: [{id: done, type: terminal, status: RESOLVED}]\n"),
        [(code::DUPLICATE_KEY.to_owned(), 3, 1)]
    );
    let twice = document(&format!(
        "{ENDS}- id: done\n  type: terminal\n  status: RESOLVED\n"
    ));
    let found = codes(&twice);
    assert!(
        found.contains(&(code::DUPLICATE_STEP.to_owned(), 6, 7)),
        "{found:?}"
    );
}

#[test]
fn what_is_missing_and_what_has_no_such_value_is_named() {
    assert_eq!(codes("steps: []\n").len(), 3);
    let wrong = [
        "timeout: 0",
        "timeout: -5",
        "timeout: 31d",
        "timeout: soon",
        "timeout: [1]",
        "retry: {max_attempts: 0}",
        "retry: {backoff: exponential}",
        "retry: {max_attempts: 2, backoff: cubic}",
        "retry: {max_attempts: 2, jitter: 2}",
        "retry: 3",
        "max_visits: many",
        "service: verification",
        "type: decisoin",
        "with: [a]",
        "with: {reason: \"{{ ticket.summary }}\"}",
        "with: {a: 1}",
        "outcomes: {sideways: done}",
        "outcomes: {denied: done}",
    ];
    for field in wrong {
        let base = if field.starts_with("service") {
            "on_success: done\n  on_failure: person"
        } else {
            "service: verification.mfa\n  on_success: done\n  on_failure: person"
        };
        let source = document(&with_ends(&format!("- id: ask\n  {base}\n  {field}\n")));
        let report = check(&source, &Registry::builtin());
        assert!(!report.ok(), "{field} passed");
        let at = if field.starts_with("service") { 7 } else { 8 };
        assert!(
            report
                .findings
                .iter()
                .any(|finding| finding.line == at && finding.step.is_some()),
            "{field} gave {:?}",
            report.findings
        );
    }
}

#[test]
fn durations_read_seconds_and_units() {
    for (text, seconds) in [
        ("300", 300),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("3d", 259_200),
    ] {
        let source = document(&with_ends(&format!(
            "- {{id: ask, service: verification.mfa, timeout: {text}, on_success: done, on_failure: person}}\n"
        )));
        let playbook = check(&source, &Registry::builtin()).playbook.unwrap();
        let step = playbook.start().unwrap().action().unwrap().clone();
        assert_eq!(step.timeout, Duration::from_secs(seconds), "{text}");
    }
}

#[test]
fn services_actions_and_outcomes_that_nobody_has_are_named() {
    let step = |fields: &str| with_ends(&format!("- {{id: a, {fields}}}\n"));
    assert_eq!(
        found(&step(
            "service: verification.nfa, on_success: done, on_failure: person"
        )),
        [code::UNKNOWN_SERVICE]
    );
    assert_eq!(
        found(&step(
            "service: verification.mfa, on_success: done, on_failure: person, outcomes: {up: done}"
        )),
        [code::UNKNOWN_OUTCOME]
    );
    // A warning: the edge is never taken.
    let never = check(
        &document(&with_ends(
            "- {id: v, service: verification.mfa, on_success: a, on_failure: person}\n- {id: a, service: executor.reset_password, on_success: done, on_failure: person, on_denied: person}\n",
        )),
        &Registry::builtin(),
    );
    assert!(never.ok());
    assert_eq!(never.findings.first().unwrap().severity, Severity::Warning);
    assert_eq!(
        found(&step("service: verification.mfa, on_success: done")),
        [code::MISSING_OUTCOME, code::UNREACHABLE_STEP]
    );
}

#[test]
fn a_declared_service_brings_words_and_parameters_of_its_own() {
    let mut registry = Registry::builtin();
    let mut ping = registry.action(&"delivery.sms".parse().unwrap()).unwrap().clone();
    ping.name = "network.ping".parse().unwrap();
    ping.path = "/ping".to_owned();
    ping.credential = crate::Credential::None;
    ping.outcomes = vec!["up".into(), "down".into()];
    ping.parameters.insert(
        "host".to_owned(),
        crate::Parameter {
            kind: crate::Kind::Text,
            role: crate::Role::Plain,
            required: true,
            meaning: "what to ping".to_owned(),
        },
    );
    registry.declare(ping.clone()).unwrap();
    assert!(registry.declare(ping.clone()).is_err(), "twice");
    ping.name = "verification.face".parse().unwrap();
    assert!(
        registry.declare(ping).is_err(),
        "the fleet's own services are closed"
    );

    let step = |rest: &str| {
        document(&with_ends(&format!(
            "- {{id: a, service: network.ping, on_failure: person, {rest}}}\n"
        )))
    };
    let codes = |source: &str| -> Vec<String> {
        let findings = check(source, &registry).findings;
        findings.into_iter().map(|finding| finding.code).collect()
    };
    assert_eq!(
        codes(&step("outcomes: {up: done, down: person}, with: {host: gateway}")),
        [""; 0]
    );
    assert_eq!(
        codes(&step("outcomes: {up: done}, with: {host: gateway}")),
        [code::MISSING_OUTCOME]
    );
    assert_eq!(
        codes(&step("outcomes: {up: done, down: person}")),
        [code::MISSING_PARAMETER]
    );
    assert_eq!(
        codes(&step(
            "outcomes: {up: done, down: person}, with: {host: 7, hots: x}"
        )),
        [code::BAD_VALUE, code::UNKNOWN_PARAMETER]
    );
}

#[test]
fn a_field_of_a_ticket_takes_any_value_but_a_credential() {
    let set = |value: &str| {
        found(&with_ends(
            &"- {id: a, service: ticket.set_fields, on_success: done, on_failure: person, with: {fields: {CFx: VALUE}}}\n"
                .replace("VALUE", value),
        ))
    };
    for value in [
        "\"{{ ticket.type }}\"",
        "\"{{ requester.name }}\"",
        "\"by {{ requester.name }}\"",
        "true",
    ] {
        assert_eq!(set(value), [""; 0], "{value}");
    }
    assert_eq!(set("\"{{ ticket.typ }}\""), [code::BAD_TEMPLATE]);
}

#[test]
fn a_template_is_checked_where_it_may_be_and_refused_where_it_may_not() {
    let manager = |reason: &str| {
        found(&with_ends(
            &"- {id: a, service: verification.manager, on_success: done, on_failure: person, with: {reason: \"REASON\"}}\n"
                .replace("REASON", reason),
        ))
    };
    assert_eq!(manager("{{ ticket.summary }} from {{requester.name}}"), [""; 0]);
    assert_eq!(manager("{{ ticket.sumary }}"), [code::BAD_TEMPLATE]);
    assert_eq!(manager("{{ ticket.summary"), [code::BAD_TEMPLATE]);
    assert_eq!(manager("{% for x in y %}"), [code::BAD_TEMPLATE]);
    let privileged = with_ends(
        "- {id: v, service: verification.mfa, on_success: a, on_failure: person}\n- {id: a, service: executor.reset_password, on_success: done, on_failure: person, with: {lifetime_minutes: \"{{ ticket.summary }}\"}}\n",
    );
    assert_eq!(found(&privileged), [code::UNTRUSTED_TARGET]);
}

#[test]
fn a_loop_needs_a_bound_and_an_end() {
    let ring = |extra: &str| {
        with_ends(&format!(
            "- {{id: a, service: verification.mfa, on_success: done, on_failure: b{extra}}}\n- {{id: b, service: verification.manager, on_success: person, on_failure: a}}\n"
        ))
    };
    let report = check(&document(&ring("")), &Registry::builtin());
    let finding = report.findings.first().unwrap();
    assert_eq!(finding.code, code::UNBOUNDED_LOOP);
    assert_eq!(finding.path, ["a", "on_failure", "b", "on_failure", "a"]);
    assert_eq!(found(&ring(", max_visits: 3")), [""; 0]);

    let trap = with_ends(
        "- {id: a, service: verification.mfa, on_success: done, on_failure: b, on_denied: person}\n- {id: b, service: verification.manager, on_success: b, on_failure: b, on_denied: b}\n",
    );
    assert_eq!(found(&trap), [code::NEVER_ENDS, code::UNBOUNDED_LOOP]);
}

const ACT: &str = "- {id: act, service: executor.reset_password, on_success: done, on_failure: person}\n";

#[test]
fn a_privileged_step_without_proof_is_refused_with_the_path() {
    let source = document(&with_ends(&format!(
        "- {{id: ask, service: verification.mfa, on_success: act, on_failure: boss}}\n- {{id: boss, service: verification.manager, on_success: act, on_failure: person, on_timeout: act}}\n{ACT}"
    )));
    let report = check(&source, &Registry::builtin());
    let finding = report.findings.first().unwrap();
    assert_eq!(finding.code, code::UNVERIFIED_PRIVILEGED_STEP);
    assert_eq!(finding.path, ["ask", "on_failure", "boss", "on_timeout", "act"]);
    assert_eq!(finding.step.as_ref().unwrap().as_str(), "act");
    // A step without `on_timeout` times out along its `on_failure`, so that path is found as well.
    let silent = with_ends(&format!(
        "- {{id: ask, service: verification.mfa, on_success: act, on_failure: act}}\n{ACT}"
    ));
    assert_eq!(found(&silent), [code::UNVERIFIED_PRIVILEGED_STEP]);
}

#[test]
fn no_later_success_lifts_a_denial() {
    let source = document(&with_ends(&format!(
        "- {{id: ask, service: verification.mfa, on_success: act, on_failure: person, on_denied: boss}}\n- {{id: boss, service: verification.manager, on_success: act, on_failure: person}}\n{ACT}"
    )));
    let report = check(&source, &Registry::builtin());
    let codes: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(codes, [code::PRIVILEGED_AFTER_DENIAL]);
    let path = &report.findings.first().unwrap().path;
    assert_eq!(path, &["ask", "on_denied", "boss", "on_success", "act"]);
}

#[test]
fn a_delivery_needs_something_to_deliver_on_every_path() {
    let steps = with_ends(
        "- {id: ask, service: verification.mfa, on_success: act, on_failure: person}\n- {id: act, service: executor.reset_password, on_success: send, on_failure: send}\n- {id: send, service: delivery.sms, on_success: done, on_failure: person}\n",
    );
    let report = check(&document(&steps), &Registry::builtin());
    let finding = report.findings.first().unwrap();
    assert_eq!(finding.code, code::MISSING_CREDENTIAL);
    assert_eq!(finding.path, ["ask", "on_success", "act", "on_failure", "send"]);
}

#[test]
fn one_verification_for_two_acts_is_a_warning() {
    let steps = with_ends(
        "- {id: ask, service: verification.mfa, on_success: one, on_failure: person}\n- {id: one, service: executor.reset_password, on_success: two, on_failure: person}\n- {id: two, service: executor.reset_password, on_success: done, on_failure: person}\n",
    );
    let report = check(&document(&steps), &Registry::builtin());
    assert!(report.ok());
    let about = |code| report.findings.iter().find(|finding| finding.code == code);
    let finding = about(code::MISSING_PERMIT).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.path, ["ask", "on_success", "one", "on_success", "two"]);
}
