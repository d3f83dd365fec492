//! Playbooks that call playbooks.

use super::*;

/// What `main` is found to be with these on the shelf.
fn calling(main: &str, others: &[String]) -> Report {
    let mut shelf = Shelf::default();
    for other in others {
        shelf.put(other);
    }
    check_calling(main, &Registry::builtin(), &shelf)
}

fn codes_of(report: &Report) -> Vec<&str> {
    report
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn named(name: &str, head: &str, steps: &str) -> String {
    format!("name: {name}\nversion: \"1\"\n{head}steps:\n{steps}")
}

const CALL: &str =
    "- {id: verify, type: call, playbook: verify, version: \"1\", on_success: act, on_failure: person}\n";
const UNDONE: &str = "- {id: act, service: executor.reset_password, undo: executor.delete_pass, on_success: done, on_failure: person}\n";

fn verifying() -> String {
    named(
        "verify",
        "",
        &with_ends(
            "- {id: mfa, service: verification.mfa, on_success: done, on_failure: person, on_denied: person}\n",
        ),
    )
}

#[test]
fn what_a_called_playbook_proves_is_proven_and_a_denial_in_it_counts() {
    let main = named("main", "", &with_ends(&format!("{CALL}{UNDONE}")));
    let report = calling(&main, &[verifying()]);
    assert_eq!(codes_of(&report), [""; 0], "{:?}", report.findings);
    let playbook = report.playbook.unwrap();
    assert_eq!(playbook.start().unwrap().id.as_str(), "verify.mfa");
    assert_eq!(playbook.calls().len(), 1);

    // Where a failed verification leads on, a denied one does as well.
    let on = main.replace("on_failure: person}\n- {id: act", "on_failure: act}\n- {id: act");
    let report = calling(&on, &[verifying()]);
    assert_eq!(
        codes_of(&report),
        [code::UNVERIFIED_PRIVILEGED_STEP, code::PRIVILEGED_AFTER_DENIAL]
    );
    let denied = report
        .findings
        .iter()
        .find(|finding| finding.code == code::PRIVILEGED_AFTER_DENIAL)
        .unwrap();
    assert_eq!(denied.path, ["verify.mfa", "on_denied", "act"]);

    // What is wrong within is said where the call stands.
    let acting = named("verify", "", &with_ends(UNDONE));
    let report = calling(&main, &[acting]);
    let finding = report
        .findings
        .iter()
        .find(|finding| finding.code == code::UNVERIFIED_PRIVILEGED_STEP)
        .unwrap();
    assert_eq!(
        (finding.step.as_ref().unwrap().as_str(), finding.line),
        ("verify", 4)
    );
}

#[test]
fn a_call_needs_a_playbook_that_is_there_and_can_be_read() {
    let main = named("main", "", &with_ends(&format!("{CALL}{UNDONE}")));
    let of = |others: &[String]| {
        calling(&main, others)
            .findings
            .iter()
            .map(|finding| finding.code.clone())
            .collect::<Vec<_>>()
    };
    assert!(of(&[]).contains(&code::UNKNOWN_PLAYBOOK.to_owned()));
    let broken = verifying().replace("on_denied", "on_denid");
    assert!(of(&[broken]).contains(&code::BAD_CALL.to_owned()));
    let itself = main.replace("playbook: verify", "playbook: main");
    let report = calling(&itself, std::slice::from_ref(&itself));
    assert!(codes_of(&report).contains(&code::CYCLIC_CALL));
    // By way of another.
    let other = named(
        "verify",
        "",
        &with_ends(
            "- {id: back, type: call, playbook: main, version: \"1\", on_success: done, on_failure: person}\n",
        ),
    );
    assert!(of(&[other, main.clone()]).contains(&code::CYCLIC_CALL.to_owned()));
}

#[test]
fn what_is_passed_is_what_the_called_playbook_asks_for() {
    let adding = named(
        "add",
        "inputs:\n  group: {type: text}\n  days: {type: whole, least: 1, most: 9, default: 3}\n  note: {type: text, optional: true}\n",
        &with_ends(
            "- {id: add, service: executor.add_to_group, undo: executor.remove_from_group, with: {group: \"{{ inputs.group }}\", expires_days: \"{{ inputs.days }}\"}, on_success: done, on_failure: person}\n",
        ),
    );
    let main = |with: &str| {
        let call = format!(
            "- {{id: v, service: verification.mfa, on_success: c, on_failure: person}}\n- {{id: c, type: call, playbook: add, version: \"1\", with: {{{with}}}, on_success: done, on_failure: person}}\n"
        );
        calling(
            &named("main", "", &with_ends(&call)),
            std::slice::from_ref(&adding),
        )
    };
    let report = main("group: staff");
    assert_eq!(codes_of(&report), [""; 0], "{:?}", report.findings);
    let playbook = report.playbook.unwrap();
    let step = playbook
        .step(&"c.add".parse().unwrap())
        .unwrap()
        .action()
        .unwrap();
    assert_eq!(
        serde_json::to_value(&step.parameters).unwrap(),
        serde_json::json!({"group": "staff", "expires_days": 3})
    );
    assert_eq!(
        codes_of(&main("")),
        [code::MISSING_PARAMETER, code::MISSING_PARAMETER]
    );
    assert_eq!(
        codes_of(&main("group: staff, gruop: x")),
        [code::UNKNOWN_PARAMETER]
    );
    assert!(codes_of(&main("group: 3")).contains(&code::BAD_VALUE));
    assert!(codes_of(&main("group: \"a {{ requester.name }}\"")).contains(&code::BAD_TEMPLATE));
    // Where it comes from counts, by whatever name it goes.
    assert_eq!(
        codes_of(&main("group: \"{{ ticket.summary }}\"")),
        [code::UNTRUSTED_TARGET]
    );
    assert_eq!(codes_of(&main("group: \"{{ requester.name }}\"")), [""; 0]);
    assert_eq!(
        codes_of(&main("group: g, days: \"{{ requester.name }}\"")),
        [code::BAD_TEMPLATE]
    );
}

#[test]
fn an_optional_input_that_is_left_out_leaves_its_parameter_out() {
    let noting = |visibility: &str| {
        named(
            "noting",
            "inputs:\n  text: {type: text, optional: true}\n  visibility: {type: one_of, words: [internal, public], optional: true}\n",
            &with_ends(&format!(
                "- {{id: n, service: ticket.note, with: {{text: {visibility}, visibility: \"{{{{ inputs.visibility }}}}\"}}, on_success: done, on_failure: person}}\n"
            )),
        )
    };
    let main = named(
        "main",
        "",
        &with_ends(
            "- {id: c, type: call, playbook: noting, version: \"1\", on_success: done, on_failure: person}\n",
        ),
    );
    let report = calling(&main, &[noting("x")]);
    assert_eq!(codes_of(&report), [""; 0], "{:?}", report.findings);
    let playbook = report.playbook.unwrap();
    let step = playbook.step(&"c.n".parse().unwrap()).unwrap().action().unwrap();
    assert_eq!(
        serde_json::to_value(&step.parameters).unwrap(),
        serde_json::json!({"text": "x"})
    );
    // What the action cannot do without is missed.
    let report = calling(&main, &[noting("\"{{ inputs.text }}\"")]);
    assert_eq!(codes_of(&report), [code::MISSING_PARAMETER]);
}

#[test]
fn an_output_of_a_called_playbook_is_waited_for_within_it() {
    let waiting = named(
        "waiting",
        "",
        &with_ends(
            "- {id: r, service: executor.reset_synced_password, undo: executor.revert_synced_password, on_success: n, on_failure: person}\n- {id: n, service: executor.confirm_synced_password, with: {operation: \"{{ steps.r.output.operation }}\"}, on_success: done, on_failure: person, outcomes: {pending: n}, max_visits: 3}\n",
        ),
    );
    let main = named(
        "main",
        "",
        &with_ends(
            "- {id: v, service: verification.mfa, on_success: c, on_failure: person}\n- {id: c, type: call, playbook: waiting, version: \"1\", on_success: done, on_failure: person}\n",
        ),
    );
    let report = calling(&main, &[waiting]);
    assert_eq!(codes_of(&report), [""; 0], "{:?}", report.findings);
}

#[test]
fn ids_along_deep_calls_are_no_longer_than_an_id_may_be() {
    let long = "x".repeat(64);
    let mut shelf = vec![named(
        "p0",
        "",
        &with_ends(&format!(
            "- {{id: {long}, service: verification.mfa, on_success: done, on_failure: person}}\n"
        )),
    )];
    let call = |level: usize| {
        with_ends(&format!(
            "- {{id: {long}, type: call, playbook: p{level}, version: \"1\", on_success: done, on_failure: person}}\n"
        ))
    };
    for level in 1..5 {
        shelf.push(named(&format!("p{level}"), "", &call(level - 1)));
    }
    let codes = |level: usize| {
        let report = calling(&named("main", "", &call(level)), &shelf);
        report
            .findings
            .iter()
            .map(|finding| finding.code.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(1), [""; 0]);
    assert_eq!(codes(4).first().unwrap(), code::BAD_CALL);
}

#[test]
fn what_a_called_playbook_brings_into_a_branch_may_be_dropped_with_it() {
    // Its own branches are waited for; whoever calls it may drop them all the same.
    let called = named(
        "reset",
        "",
        &with_ends(
            "- id: two\n  type: parallel\n  join: all\n  branches:\n    p:\n      - {id: act, service: executor.reset_password, undo: executor.delete_pass, on_success: d, on_failure: e}\n      - {id: d, type: terminal, status: RESOLVED}\n      - {id: e, type: escalation, reason: r}\n    q:\n      - {id: f, type: terminal, status: RESOLVED}\n  on_success: done\n  on_failure: person\n",
        ),
    );
    let main = |join: &str| {
        named(
            "main",
            "",
            &with_ends(&format!(
                "- {{id: before, service: verification.mfa, on_success: race, on_failure: person}}\n- id: race\n  type: parallel\n  join: {join}\n  branches:\n    a:\n      - {{id: reset, type: call, playbook: reset, version: \"1\", on_success: well, on_failure: badly}}\n      - {{id: well, type: terminal, status: RESOLVED}}\n      - {{id: badly, type: escalation, reason: r}}\n    b:\n      - {{id: note, service: ticket.note, with: {{text: x}}, on_success: also, on_failure: not}}\n      - {{id: also, type: terminal, status: RESOLVED}}\n      - {{id: not, type: escalation, reason: r}}\n  on_success: done\n  on_failure: person\n",
            )),
        )
    };
    let others = [called];
    assert!(calling(&main("all"), &others).ok());
    let report = calling(&main("any"), &others);
    let wrong: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    // Where the call stands: the other playbook cannot be mended from here.
    let [wrong] = wrong[..] else { panic!("{wrong:?}") };
    assert_eq!(
        (wrong.code.as_str(), wrong.line, wrong.column),
        (code::BAD_BRANCH, 10, 14)
    );
    assert!(
        wrong
            .message
            .starts_with("`reset.act` acts in a branch of `race`"),
        "{wrong:?}"
    );
}
