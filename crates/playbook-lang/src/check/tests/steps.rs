//! What can be said of a step by itself.

use super::*;

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

const VERIFY: &str = "- {id: v, service: verification.mfa, on_success: act, on_failure: person}\n";

#[test]
fn what_takes_a_step_back_is_made_for_it() {
    let acting = |undo: &str| {
        with_ends(&format!(
            "{VERIFY}- {{id: act, service: executor.reset_password, {undo}on_success: done, on_failure: person}}\n"
        ))
    };
    assert_eq!(found(&acting("undo: executor.delete_pass, ")), [""; 0]);
    assert_eq!(
        found(&acting("undo: executor.remove_from_group, ")),
        [code::BAD_UNDO]
    );
    assert_eq!(
        found(&acting("undo: executor.delete_pas, ")),
        [code::UNKNOWN_SERVICE]
    );
    assert_eq!(
        found(&acting("undo: {service: executor.delete_pass, with: {a: 1}}, ")),
        [code::UNKNOWN_PARAMETER]
    );
    let alone = with_ends("- {id: v, service: executor.delete_pass, on_success: done, on_failure: person}\n");
    assert_eq!(found(&alone), [code::BAD_UNDO]);
}

#[test]
fn what_could_be_taken_back_before_a_person_takes_over_is_advice() {
    let steps = |behind: &str| {
        with_ends(&format!(
            "{VERIFY}- {{id: act, service: executor.reset_password, on_success: {behind}, on_failure: person}}\n- {{id: send, service: delivery.sms, on_success: done, on_failure: person}}\n"
        ))
    };
    let report = check(&document(&steps("send")), &Registry::builtin());
    let finding = report.findings.first().unwrap();
    assert!(report.ok());
    assert_eq!(
        (finding.code.as_str(), finding.severity),
        (code::MISSING_UNDO, Severity::Warning)
    );
    assert!(
        finding.message.contains("undo: executor.delete_pass"),
        "{}",
        finding.message
    );
}

#[test]
fn an_ask_is_answered_by_its_choices_or_by_what_is_typed() {
    let ask = |fields: &str| {
        with_ends(&format!(
            "- {{id: q, type: ask, question: Which?, {fields}, on_timeout: person}}\n"
        ))
    };
    let chosen = "choices: {home: At home, office: At work}, outcomes: {home: done, office: person}";
    assert_eq!(found(&ask(chosen)), [""; 0]);
    assert_eq!(found(&ask("answer: date, on_success: done")), [""; 0]);
    let half = "choices: {home: At home, office: At work}, outcomes: {home: done}";
    assert_eq!(found(&ask(half)), [code::MISSING_OUTCOME]);
    let other = "choices: {home: At home}, outcomes: {home: done, offise: done}";
    assert_eq!(found(&ask(other)), [code::UNKNOWN_OUTCOME]);
    let both = "choices: {home: At home}, answer: text, outcomes: {home: done}";
    assert_eq!(found(&ask(both)), [code::BAD_VALUE]);
    assert_eq!(
        found(&ask("choices: {denied: No}, outcomes: {x: done}"))[0],
        code::BAD_VALUE
    );
    let called = "- {id: q, service: verification.ask, with: {question: Which?, answer: text}, on_success: done, on_failure: person}\n";
    assert_eq!(
        found(&with_ends(called)),
        [code::BAD_VALUE],
        "a question is asked by its own type of step"
    );
}

#[test]
fn a_case_is_not_named_like_an_outcome() {
    let steps = with_ends(
        "- {id: a, type: decision, cases: [{name: denied, when: {field: ticket.team, operator: exists}, then: done}], otherwise: person}\n",
    );
    assert_eq!(found(&steps), [code::BAD_VALUE]);
}

/// A note and what comes after it by `depends_on`.
fn dependent(steps: &str) -> Vec<String> {
    found(&with_ends(steps))
}

#[test]
fn what_depends_on_steps_comes_after_them() {
    let note = |rest: &str| {
        format!("service: ticket.note, with: {{text: x}}, on_failure: person, {rest}")
            .trim_end_matches(", ")
            .to_owned()
    };
    let chain = format!(
        "- {{id: c, {}}}\n- {{id: a, {}}}\n- {{id: b, {}}}\n",
        note("depends_on: [a, b], on_success: done"),
        note(""),
        note("depends_on: a"),
    );
    assert_eq!(dependent(&chain), [""; 0]);
    let playbook = check(&document(&with_ends(&chain)), &Registry::builtin())
        .playbook
        .unwrap();
    assert_eq!(playbook.start().unwrap().id.as_str(), "a");
    let next = |id: &str| {
        playbook
            .step(&id.parse().unwrap())
            .unwrap()
            .edge(&common::Outcome::Success)
            .cloned()
    };
    assert_eq!(next("a").unwrap().as_str(), "b");
    assert_eq!(next("b").unwrap().as_str(), "c");
}

#[test]
fn a_dependency_that_cannot_be_kept_is_named() {
    let note = "service: ticket.note, with: {text: x}, on_failure: person";
    let bad = |steps: &str| {
        let found = dependent(steps);
        assert!(
            found.iter().any(|code| code == code::BAD_DEPENDENCY),
            "{found:?}:\n{steps}"
        );
    };
    // Nobody, one another, an ending, a decision.
    bad(&format!(
        "- {{id: a, {note}, on_success: done}}\n- {{id: b, {note}, depends_on: nobody, on_success: done}}\n"
    ));
    bad(&format!(
        "- {{id: s, {note}, on_success: a}}\n- {{id: a, {note}, depends_on: b}}\n- {{id: b, {note}, depends_on: a}}\n"
    ));
    bad(&format!(
        "- {{id: a, {note}, on_success: done}}\n- {{id: b, {note}, depends_on: done, on_success: done}}\n"
    ));
    let decision = "{id: d, type: decision, cases: [], otherwise: done}";
    bad(&format!(
        "- {decision}\n- {{id: b, {note}, depends_on: d, on_success: done}}\n"
    ));
    // A decision or an ending in the middle of the order.
    bad(&format!(
        "- {{id: a, {note}}}\n- {{id: d, type: decision, depends_on: a, cases: [], otherwise: b}}\n- {{id: b, {note}, depends_on: a, on_success: done}}\n"
    ));
    bad(&format!(
        "- {{id: a, {note}}}\n- {{id: e, type: terminal, status: RESOLVED, depends_on: a}}\n- {{id: f, type: escalation, reason: r, depends_on: a}}\n"
    ));
    // What `on_success` says otherwise, and what never ends in success.
    bad(&format!(
        "- {{id: a, {note}, on_success: done}}\n- {{id: b, {note}, depends_on: a, on_success: done}}\n"
    ));
    bad(&format!(
        "- {{id: a, service: network.check_dns, on_failure: person, outcomes: {{up: b, down: person}}}}\n- {{id: b, {note}, depends_on: a, on_success: done}}\n"
    ));
    // Another branch.
    bad(&format!(
        "- id: p\n  type: parallel\n  branches:\n    one: [{{id: a, {note}, on_success: x}}, {{id: x, type: terminal, status: RESOLVED}}]\n    two: [{{id: b, {note}, depends_on: a, on_success: y}}, {{id: y, type: terminal, status: RESOLVED}}]\n  on_success: done\n  on_failure: person\n"
    ));
}

#[test]
fn the_first_error_is_named_behind_any_number_of_warnings() {
    let mut steps = String::new();
    for n in 0..250 {
        let next = if n == 249 {
            "act".to_owned()
        } else {
            format!("s{}", n + 1)
        };
        steps += &format!(
            "- {{id: s{n}, service: ticket.note, with: {{text: x}}, on_success: {next}, on_failure: person, on_denied: person}}\n"
        );
    }
    let source = document(&with_ends(&format!("{steps}{ACT}")));
    let report = check(&source, &Registry::builtin());
    assert!(!report.ok());
    let errors: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].step.as_ref().unwrap().as_str(), "act");
}
