//! What can only be said of paths.

use super::*;

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

#[test]
fn a_permit_is_spent_with_its_step_and_verifying_again_brings_another() {
    let again = |to: &str| {
        let steps = with_ends(&format!(
            "- {{id: ask, service: verification.mfa, max_visits: 3, on_success: act, on_failure: person}}\n- {{id: act, service: executor.reset_password, on_success: done, on_failure: rest}}\n- {{id: rest, type: wait, for: 1m, max_visits: 2, on_success: {to}}}\n"
        ));
        let report = check(&document(&steps), &Registry::builtin());
        assert!(report.ok(), "{:#?}", report.findings);
        let warned = report
            .findings
            .into_iter()
            .find(|finding| finding.code == code::MISSING_PERMIT);
        warned.map(|finding| finding.path)
    };
    assert_eq!(
        again("act").unwrap(),
        [
            "ask",
            "on_success",
            "act",
            "on_failure",
            "rest",
            "on_success",
            "act"
        ]
    );
    assert_eq!(again("ask"), None);
}

#[test]
fn a_permit_does_not_reach_past_a_decision() {
    let steps = with_ends(&format!(
        "- {{id: ask, service: verification.mfa, on_success: d, on_failure: person}}\n- {{id: d, type: decision, cases: [], otherwise: act}}\n{ACT}"
    ));
    let report = check(&document(&steps), &Registry::builtin());
    assert!(report.ok());
    let finding = report
        .findings
        .iter()
        .find(|finding| finding.code == code::MISSING_PERMIT)
        .unwrap();
    assert_eq!(finding.path, ["ask", "on_success", "d", "otherwise", "act"]);
}

#[test]
fn an_undefined_step_names_the_nearest_one_calls_included() {
    let source = document(&with_ends(
        "- {id: start, service: verification.mfa, on_success: cal, on_failure: persn, on_denied: elsewhere}\n- {id: call, type: call, playbook: p, version: \"1\", on_success: done, on_failure: person}\n",
    ));
    let findings = check(&source, &Registry::builtin()).findings;
    let messages: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.code == code::UNDEFINED_STEP)
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].ends_with("did you mean `call`?"), "{messages:?}");
    assert!(messages[1].ends_with("did you mean `person`?"), "{messages:?}");
    assert!(!messages[2].contains("did you mean"), "{messages:?}");
}
