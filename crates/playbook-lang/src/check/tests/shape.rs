//! What a document looks like: fields, values, and what is no playbook at all.

use std::time::Duration;

use super::*;

#[test]
fn an_escaped_control_character_is_refused_like_a_written_one() {
    for escaped in [r"\0", r"\x01", r"\e"] {
        let source = include_str!("../../../../../playbooks/password_reset.yml").replace(
            "Automated password reset",
            &format!("Automated{escaped} password reset"),
        );
        let report = check(&source, &Registry::builtin());
        assert!(!report.ok(), "{escaped}");
        assert_eq!(report.findings[0].line, 6, "{escaped}: {:?}", report.findings);
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
