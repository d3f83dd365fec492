//! Templates and conditions: is there such a value, may it go there, and is it certainly there.

use super::*;

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

/// The findings of a playbook with these inputs that does one thing after the requester has been verified.
fn verified(inputs: &str, act: &str) -> Vec<String> {
    let source = format!(
        "name: t\nversion: \"1\"\n{inputs}steps:\n- {{id: v, service: verification.mfa, on_success: a, on_failure: person}}\n- {{id: a, {act}, on_success: done, on_failure: person}}\n{ENDS}"
    );
    codes(&source).into_iter().map(|(code, ..)| code).collect()
}

#[test]
fn what_people_wrote_decides_nothing() {
    let group = |group: &str| {
        verified(
            "inputs: {g: {type: text}}\n",
            &format!(
                "service: executor.add_to_group, undo: executor.remove_from_group, with: {{group: {group}}}"
            ),
        )
    };
    assert_eq!(group("staff"), [""; 0]);
    for untrusted in ["ticket.summary", "inputs.g", "ticket.client_name"] {
        assert_eq!(
            group(&format!("\"{{{{ {untrusted} }}}}\"")),
            [code::UNTRUSTED_TARGET]
        );
        assert_eq!(
            group(&format!("\"staff {{{{ {untrusted} }}}}\"")),
            [code::UNTRUSTED_TARGET]
        );
    }
    assert_eq!(group("\"{{ requester.name }}\""), [""; 0]);
    let url = |url: &str| {
        found(&with_ends(&format!(
            "- {{id: n, service: network.check_http, with: {{url: {url}}}, on_failure: person, outcomes: {{up: done, down: person}}}}\n"
        )))
    };
    assert_eq!(url("\"https://example.com\""), [""; 0]);
    assert_eq!(
        url("\"https://{{ ticket.client_name }}.example.com\""),
        [code::UNTRUSTED_TARGET]
    );
}

#[test]
fn a_credential_goes_to_its_delivery_and_nowhere_else() {
    let credential = "{{ steps.act.output.credential }}";
    let steps = |service: &str, with: &str, when: &str| {
        found(&with_ends(&format!(
            "- {{id: v, service: verification.mfa, on_success: act, on_failure: person}}\n- {{id: act, service: executor.reset_password, undo: executor.delete_pass, on_success: d, on_failure: person}}\n- {{id: d, type: decision, cases: [{when}], otherwise: send}}\n- {{id: send, service: {service}, with: {{{with}}}, on_success: done, on_failure: person}}\n"
        )))
    };
    assert_eq!(
        steps("delivery.sms", &format!("credential: \"{credential}\""), ""),
        [""; 0]
    );
    for (service, with) in [
        ("ticket.note", format!("text: \"{credential}\"")),
        ("ticket.note", format!("text: \"it is {credential}\"")),
        ("ticket.set_fields", format!("fields: {{CFx: \"{credential}\"}}")),
        ("delivery.sms", format!("credential: \"x{credential}\"")),
    ] {
        let found = steps(service, &with, "");
        assert!(
            found.iter().any(|code| code == code::SECRET_LEAK),
            "{service} {with}: {found:?}"
        );
    }
    assert_eq!(
        steps(
            "delivery.sms",
            &format!("credential: {{a: \"{credential}\"}}"),
            ""
        ),
        [code::BAD_VALUE, code::SECRET_LEAK]
    );
    let looked_at = "{when: {field: steps.act.output.credential, operator: exists}, then: send}";
    assert_eq!(steps("delivery.sms", "", looked_at), [code::BAD_CONDITION]);
}

#[test]
fn what_a_template_gives_is_what_its_parameter_holds() {
    let note = |with: &str| {
        found(&with_ends(&format!(
            "- {{id: n, service: ticket.note, with: {{{with}}}, on_success: done, on_failure: person}}\n"
        )))
    };
    assert_eq!(note("text: \"{{ ticket.status }}\""), [""; 0]);
    assert_eq!(
        note("text: x, visibility: \"{{ requester.name }}\""),
        [code::BAD_TEMPLATE]
    );
    assert_eq!(
        note("text: x, visibility: \"internal{{ requester.name }}\""),
        [code::BAD_TEMPLATE]
    );
    assert_eq!(note("text: [\"{{ ticket.status }}\"]"), [code::BAD_VALUE]);
    assert_eq!(note("text: {a: \"{{ ticket.status }}\"}"), [code::BAD_VALUE]);
    let days = |days: &str| {
        verified(
            "",
            &format!(
                "service: executor.add_to_group, undo: executor.remove_from_group, with: {{group: g, expires_days: \"{days}\"}}"
            ),
        )
    };
    assert_eq!(days("{{ requester.name }}"), [code::BAD_TEMPLATE]);
    let fields = |fields: &str| {
        found(&with_ends(&format!(
            "- {{id: n, service: ticket.set_fields, with: {{fields: {fields}}}, on_success: done, on_failure: person}}\n"
        )))
    };
    assert_eq!(
        fields("{a: \"{{ ticket.summary }}\", b: \"for {{ requester.name }}\", c: 1}"),
        [""; 0]
    );
    assert_eq!(fields("{a: \"{{ ticket.summary }}\", c: [1]}"), [code::BAD_VALUE]);
    assert_eq!(fields("\"{{ ticket.summary }}\""), [code::BAD_TEMPLATE]);
    assert_eq!(fields("\"a {{ ticket.summary }}\""), [code::BAD_TEMPLATE]);
    let until = |until: &str| {
        found(&with_ends(&format!(
            "- {{id: w, type: wait, until: \"{until}\", on_success: done}}\n- {{id: x, type: decision, cases: [], otherwise: person}}\n"
        )))
    };
    let unreachable = code::UNREACHABLE_STEP.to_owned();
    let without = |found: Vec<String>| -> Vec<String> {
        found.into_iter().filter(|code| *code != unreachable).collect()
    };
    assert_eq!(without(until("2026-11-30T08:00:00Z")), [""; 0]);
    assert_eq!(without(until("tomorrow")), [code::BAD_VALUE]);
    assert_eq!(without(until("{{ requester.name }}")), [code::BAD_TEMPLATE]);
}

#[test]
fn an_output_is_used_where_its_step_has_brought_it_on_every_path() {
    let steps = |question_fails_to: &str, note_of: &str| {
        found(&with_ends(&format!(
            "- {{id: q, type: ask, question: Which?, answer: text, on_success: n, on_timeout: {question_fails_to}}}\n- {{id: n, service: ticket.note, with: {{text: \"{{{{ steps.{note_of}.output.answer }}}}\"}}, on_success: done, on_failure: person}}\n"
        )))
    };
    assert_eq!(steps("person", "q"), [""; 0]);
    assert_eq!(steps("n", "q"), [code::BAD_TEMPLATE]);
    assert_eq!(steps("person", "nobody"), [code::BAD_TEMPLATE]);
    // A decision may ask whether it is there.
    let asked = with_ends(
        "- {id: q, type: ask, question: Which?, answer: text, on_success: d, on_timeout: d}\n- {id: d, type: decision, cases: [{when: {field: steps.q.output.answer, operator: exists}, then: done}], otherwise: person}\n",
    );
    assert_eq!(found(&asked), [""; 0]);
}

#[test]
fn a_join_is_certain_of_what_every_branch_that_counts_has_brought() {
    let both = |join: &str, outcome: &str, used: &str| {
        let (well, badly) = if outcome == "success" {
            ("n", "person")
        } else {
            ("person", "n")
        };
        let branch = |name: &str, ends_badly: &str| {
            format!(
                "{name}: [{{id: {name}, type: ask, question: Which?, answer: text, on_success: {name}w, on_timeout: {name}{ends_badly}}}, {{id: {name}w, type: terminal, status: RESOLVED}}, {{id: {name}b, type: escalation, reason: r}}]"
            )
        };
        found(&with_ends(&format!(
            "- id: p\n  type: parallel\n  join: {join}\n  branches: {{{}, {}}}\n  on_success: {well}\n  on_failure: {badly}\n- {{id: n, service: ticket.note, with: {{text: \"{{{{ steps.{used}.output.answer }}}}\"}}, on_success: done, on_failure: person}}\n",
            branch("l", "b"),
            branch("r", "b"),
        )))
    };
    assert_eq!(both("all", "success", "l"), [""; 0]);
    assert_eq!(both("all", "failure", "l"), [code::BAD_TEMPLATE]);
    assert_eq!(both("any", "success", "r"), [code::BAD_TEMPLATE]);
}

#[test]
fn a_condition_compares_what_can_be_compared() {
    let when = |condition: &str| {
        found(&with_ends(&format!(
            "- {{id: d, type: decision, cases: [{{when: {condition}, then: done}}], otherwise: person}}\n"
        )))
    };
    for good in [
        "{field: ticket.summary, operator: matches, value: \"vpn|wifi\"}",
        "{field: ticket.status, operator: greater, value: 3}",
        "[{field: ticket.team, operator: in, value: [a, b]}, {not: {any: [{field: requester.id, operator: exists}]}}]",
        "{all: []}",
    ] {
        assert_eq!(when(good), [""; 0], "{good}");
    }
    for bad in [
        "{field: ticket.sumary, operator: exists}",
        "{field: nothing.there, operator: exists}",
        "{field: steps.d, operator: exists}",
        "{field: steps.nobody.output.x, operator: exists}",
        "{field: inputs.nothing, operator: exists}",
        "{field: ticket.summary, operator: is, value: a}",
        "{field: ticket.summary, operator: equals}",
        "{field: ticket.summary, operator: equals, value: 3}",
        "{field: ticket.summary, operator: contains, value: 3}",
        "{field: ticket.summary, operator: matches, value: \"(\"}",
        "{field: ticket.summary, operator: matches, value: \"((((a{99}){99}){99}){99})\"}",
        "{field: ticket.status, operator: contains, value: a}",
        "{field: ticket.status, operator: in, value: [1, a]}",
        "{field: ticket.status, operator: in, value: []}",
        "{field: ticket.summary, operator: greater, value: 3}",
        "{field: ticket.status, operator: greater, value: soon}",
        "{field: ticket.summary, operator: exists, value: 3}",
    ] {
        assert_eq!(when(bad), [code::BAD_CONDITION], "{bad}");
    }
    // A part beside another would be ignored.
    assert_eq!(when("{all: [], field: ticket.summary}"), [code::UNKNOWN_FIELD]);
}

#[test]
fn of_two_comparisons_of_one_value_the_wrong_one_is_named() {
    let trigger = "name: t\nversion: \"1\"\ntrigger:\n  when:\n    - {field: ticket.summary, operator: contains, value: vpn}\n    - {field: ticket.summary, operator: greater, value: 3}\nsteps:\n- {id: done, type: terminal, status: RESOLVED}\n";
    let decision = with_ends(
        "- id: d\n  type: decision\n  cases:\n    - when:\n        - {field: ticket.summary, operator: contains, value: vpn}\n        - not: {field: ticket.summary, operator: greater, value: 3}\n      then: done\n  otherwise: person\n",
    );
    for source in [trigger.to_owned(), document(&decision)] {
        let wrong = source.lines().position(|line| line.contains("greater")).unwrap() + 1;
        let said = codes(&source);
        let [(code, line, _)] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!((code.as_str(), *line), (code::BAD_CONDITION, wrong), "{source}");
    }
}

#[test]
fn a_trigger_looks_at_what_is_known_when_a_ticket_comes_in() {
    let trigger = |when: &str| {
        let source = format!(
            "name: t\nversion: \"1\"\ninputs: {{a: {{type: text}}}}\ntrigger: {{on: [created, updated], when: {when}}}\nsteps:\n- {{id: done, type: terminal, status: RESOLVED}}\n"
        );
        codes(&source)
            .into_iter()
            .map(|(code, ..)| code)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        trigger("{field: ticket.team, operator: equals, value: a}"),
        [""; 0]
    );
    for bad in ["inputs.a", "steps.done.output.x"] {
        assert_eq!(
            trigger(&format!("{{field: {bad}, operator: exists}}")),
            [code::BAD_CONDITION]
        );
    }
    assert_eq!(
        trigger("{field: ticket.type, operator: equals, value: a}"),
        [code::BAD_CONDITION]
    );
}

#[test]
fn the_default_of_an_input_is_a_value() {
    let input = |fields: &str| {
        let source = format!(
            "name: t\nversion: \"1\"\ninputs: {{a: {{{fields}}}}}\nsteps:\n- {{id: done, type: terminal, status: RESOLVED}}\n"
        );
        codes(&source)
            .into_iter()
            .map(|(code, ..)| code)
            .collect::<Vec<_>>()
    };
    assert_eq!(input("type: whole, least: 1, most: 3, default: 2"), [""; 0]);
    assert_eq!(
        input("type: whole, least: 1, most: 3, default: 4"),
        [code::BAD_VALUE]
    );
    assert_eq!(
        input("type: text, default: \"{{ ticket.summary }}\""),
        [code::BAD_TEMPLATE]
    );
    assert_eq!(input("type: one_of"), [code::MISSING_FIELD]);
    assert_eq!(input("type: txet"), [code::BAD_VALUE]);
}
