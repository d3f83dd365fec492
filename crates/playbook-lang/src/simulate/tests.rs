//! Scenarios: read, played, counted, and written.

use std::time::Duration;

use common::{Finding, Outcome};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::condition::{Condition, Test};
use crate::kind::Kind;
use crate::machine::properties;
use crate::machine::tests::build::{
    self, action, decision, escalation, id, is, parallel, terminal, wait_for,
};
use crate::roots::Name;
use crate::{Input, Join, Registry, Step, check, code};

fn shipped() -> Playbook {
    let source = include_str!("../../../../playbooks/password_reset.yml");
    check(source, &Registry::builtin()).playbook.unwrap()
}

fn read(list: &str) -> Vec<Scenario> {
    let source = format!("playbook: password_reset\nscenarios:\n{list}");
    match scenarios(&source) {
        Ok(scenarios) => scenarios.list,
        Err(findings) => panic!("{findings:#?}\n{source}"),
    }
}

fn wrong(source: &str) -> Vec<Finding> {
    scenarios(source).expect_err("it is wrong")
}

const SILENT: &str = r#"
  - name: "the phone stays silent, the manager approves"
    given:
      ticket: {summary: "I can't log in", source: 3}
      requester: {name: Adele}
    answers:
      verify_mfa: timeout
      deliver_credentials: [failure, {outcome: success, output: {}}]
    expect:
      path: [verify_mfa, verify_manager, reset_password, deliver_credentials, resolved]
      end: resolved
"#;

#[test]
fn a_scenario_says_what_is_given_how_services_answer_and_what_comes_of_it() {
    let scenario = read(SILENT).remove(0);
    assert_eq!(scenario.name, "the phone stays silent, the manager approves");
    assert_eq!(
        scenario.facts.value("ticket.summary"),
        Some(&json!("I can't log in"))
    );
    assert_eq!(scenario.facts.value("ticket.source"), Some(&json!(3)));
    let run = simulate(&shipped(), &scenario);
    assert_eq!(run.complaints, Vec::<String>::new());
    assert!(run.passed);
    // Five minutes of silence, and two seconds before the second text message.
    assert_eq!(run.took, Duration::from_secs(302));
    let edges: Vec<String> = run.edges.iter().map(ToString::to_string).collect();
    assert_eq!(
        edges,
        [
            "verify_mfa --timeout--> verify_manager",
            "verify_manager --success--> reset_password",
            "reset_password --success--> deliver_credentials",
            "deliver_credentials --success--> resolved",
        ]
    );
}

#[test]
fn a_word_is_repeated_for_each_attempt_so_a_failure_is_followed_after_the_last_one() {
    let scenario = read(
        "  - {name: a, answers: {reset_password: failure}, expect: {end: escalated, path: [verify_mfa, reset_password, escalate_reset_failed]}}",
    );
    let run = simulate(&shipped(), &scenario[0]);
    assert_eq!(run.complaints, Vec::<String>::new());
    let attempts = run.story.iter().filter(
        |record| matches!(record, Record::Began { call, .. } if call.id.as_str() == "reset_password"),
    );
    assert_eq!(attempts.count(), 3);
}

#[test]
fn a_wrong_expectation_is_complained_about_with_both_paths() {
    let scenario = read(
        "  - {name: a, answers: {verify_mfa: denied}, expect: {end: resolved, path: [verify_mfa, resolved], undone: [reset_password]}}",
    );
    let run = simulate(&shipped(), &scenario[0]);
    assert!(!run.passed);
    assert_eq!(
        run.complaints,
        [
            "expected the path `verify_mfa > resolved`, but it went `verify_mfa > escalate_denied`",
            "expected it to end `resolved`, but it ended `escalated`: The request was denied: possible account takeover, contact the user by a known number before doing anything",
            "expected `reset_password` to be taken back, but it was `nothing`",
        ]
    );
}

#[test]
fn answers_that_no_service_gives_are_complained_about_by_step() {
    for (answers, complaint) in [
        ("nowhere: success", "no step `nowhere`"),
        ("resolved: success", "calls nobody"),
        ("reset_password: denied", "cannot end in `denied`"),
        ("verify_mfa: up", "cannot end in `up`"),
        (
            "verify_mfa: {outcome: success, output: {x: 1}}",
            "cannot answer `x`",
        ),
    ] {
        let scenario = read(&format!(
            "  - {{name: a, answers: {{{answers}}}, expect: {{end: resolved}}}}"
        ));
        let run = simulate(&shipped(), &scenario[0]);
        assert!(
            run.complaints[0].contains(complaint),
            "{answers}: {:?}",
            run.complaints
        );
        assert!(!run.passed && run.story.is_empty());
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let findings = wrong(
        "playbook: p\nscenarios:\n  - name: a\n    givn: {}\n    given: {ticket: {sumary: x, source: many}}\n    answers: {x: []}\n    expect: {ends: resolved}\n  - name: a\n    expect: {end: somehow, path: [[]]}\nmore: 1\n",
    );
    let shown: Vec<(&str, usize, usize)> = findings
        .iter()
        .map(|finding| (finding.code.as_str(), finding.line, finding.column))
        .collect();
    assert_eq!(
        shown,
        [
            (code::UNKNOWN_FIELD, 4, 5),
            (code::UNKNOWN_FIELD, 5, 22),
            (code::BAD_VALUE, 5, 41),
            (code::BAD_VALUE, 6, 18),
            (code::MISSING_FIELD, 7, 13),
            (code::UNKNOWN_FIELD, 7, 14),
            (code::BAD_VALUE, 9, 19),
            (code::BAD_VALUE, 9, 35),
            (code::UNKNOWN_FIELD, 10, 1),
        ],
        "{findings:#?}"
    );
    assert!(findings[1].message.contains("did you mean `ticket.summary`?"));
    assert_eq!(wrong("")[0].code, code::SYNTAX);
    assert_eq!(
        wrong("playbook: p\nscenarios: [{name: a, expect: {end: resolved}}, {name: a, expect: {end: resolved}}]\n")[0]
            .code,
        code::BAD_VALUE
    );
}

/// Every edge of `playbook`, from scenarios that were written from nothing, read again and played.
fn written(playbook: &Playbook) -> (String, Vec<Run>, Coverage) {
    let text = generate(playbook, &[]);
    let list = if text.contains("- name") {
        read(&text)
    } else {
        Vec::new()
    };
    let runs: Vec<Run> = list.iter().map(|scenario| simulate(playbook, scenario)).collect();
    for run in &runs {
        assert_eq!(run.complaints, Vec::<String>::new(), "{text}");
    }
    let coverage = coverage(playbook, &runs);
    (text, runs, coverage)
}

#[test]
fn scenarios_written_from_nothing_cover_the_shipped_playbook_and_pass() {
    let (text, runs, coverage) = written(&shipped());
    assert_eq!(coverage.missing, [], "{text}");
    assert_eq!((coverage.covered, coverage.total), (14, 14));
    assert!((coverage.percent() - 100.0).abs() < f64::EPSILON);
    assert_eq!(generate(&shipped(), &runs), "", "nothing is missing any more");
    insta::assert_snapshot!(text);
}

#[test]
fn scenarios_are_written_only_for_what_is_missing() {
    let playbook = shipped();
    let run = simulate(&playbook, &read(SILENT)[0]);
    let some = coverage(&playbook, std::slice::from_ref(&run));
    assert_eq!((some.covered, some.total), (4, 14));
    let mut runs = vec![run.clone()];
    for scenario in read(&generate(&playbook, &[run])) {
        let run = simulate(&playbook, &scenario);
        assert!(coverage(&playbook, std::slice::from_ref(&run)).covered > 0);
        runs.push(run);
    }
    assert_eq!(coverage(&playbook, &runs).missing, []);
}

fn test(field: &str, test: Test) -> Condition {
    Condition::Test {
        field: Name::read(field).unwrap(),
        test,
    }
}

/// Decisions on facts, inputs and answers, a loop, a wait, and branches within branches.
fn rich() -> Playbook {
    let look = |id: &str| {
        action(id, "house.look")
            .on("success", "which")
            .on("up", "which")
            .on("down", "look")
    };
    let steps = [
        decision(
            "sort",
            &[
                ("vpn", is("ticket.category", json!("VPN"))),
                (
                    "error",
                    Condition::All(vec![
                        test("ticket.summary", Test::Contains("error".to_owned())),
                        test("ticket.summary", Test::Contains("809".to_owned())),
                    ]),
                ),
                (
                    "long",
                    Condition::Not(Box::new(test("inputs.days", Test::Less(json!(10))))),
                ),
            ],
        )
        .on("vpn", "look")
        .on("error", "both")
        .on("long", "rest")
        .on("otherwise", "look"),
        look("look").on("failure", "person").at_most(3),
        decision("which", &[("red", is("steps.look.output.colour", json!("red")))])
            .on("red", "rest")
            .on("otherwise", "person"),
        wait_for("rest", Duration::from_mins(3)).on("success", "done"),
        terminal("done"),
        escalation("person"),
    ];
    let mut playbook = build::playbook(steps.into_iter().chain(branches()));
    let input = Input {
        kind: Kind::Whole { least: 1, most: 30 },
        default: None,
        optional: false,
        description: String::new(),
    };
    playbook.inputs.insert("days".to_owned(), input);
    playbook
}

fn branches() -> Vec<Step> {
    let inside = |step: Step, branch| step.within("both", branch);
    let deep = |step: Step, branch| step.within("either", branch);
    vec![
        parallel("both", Join::All, &[("a", "a1"), ("b", "either")])
            .on("success", "done")
            .on("failure", "person"),
        inside(
            action("a1", "house.look")
                .on("success", "a_well")
                .on("failure", "a_ill")
                .on("up", "a_well")
                .on("down", "a_ill"),
            "a",
        ),
        inside(terminal("a_well"), "a"),
        inside(escalation("a_ill"), "a"),
        inside(
            parallel("either", Join::Any, &[("p", "p1"), ("q", "q1")])
                .on("success", "b_well")
                .on("failure", "b_ill"),
            "b",
        ),
        inside(terminal("b_well"), "b"),
        inside(escalation("b_ill"), "b"),
        deep(
            action("p1", "ticket.note")
                .on("success", "p_well")
                .on("failure", "p_ill")
                .trying(2),
            "p",
        ),
        deep(terminal("p_well"), "p"),
        deep(escalation("p_ill"), "p"),
        deep(
            decision("q1", &[("nobody", test("manager.id", Test::Exists(false)))])
                .on("nobody", "q_ill")
                .on("otherwise", "q2"),
            "q",
        ),
        deep(
            action("q2", "ticket.note")
                .on("success", "q_well")
                .on("failure", "q_ill"),
            "q",
        ),
        deep(terminal("q_well"), "q"),
        deep(escalation("q_ill"), "q"),
    ]
}

#[test]
fn scenarios_find_facts_for_decisions_answers_for_branches_and_ways_through_loops() {
    let (text, _, coverage) = written(&rich());
    assert_eq!(coverage.missing, [], "{text}");
    assert_eq!(coverage.unreached, [], "{text}");
    assert!(!text.contains('#'), "{text}");
}

#[test]
fn one_visit_more_than_allowed_is_an_ending_that_wants_a_scenario() {
    let playbook = build::playbook([
        action("ask", "house.look")
            .at_most(3)
            .on("success", "done")
            .on("failure", "ask"),
        terminal("done"),
    ]);
    let with = |answers: &str| {
        let scenario = format!(
            "  - name: {answers:?}\n    answers: {{ask: {answers}}}\n    expect: {{end: resolved}}\n"
        );
        simulate(&playbook, &read(&scenario)[0])
    };
    let mut runs: Vec<Run> = ["[failure, success]", "[timeout, success]", "up", "down"]
        .map(with)
        .into();
    let before = coverage(&playbook, &runs);
    assert_eq!((before.missing.len(), before.unreached.len()), (0, 1));
    assert_eq!(
        before.unreached[0].to_string(),
        "ask --more than 3 visits--> (a person)"
    );
    assert!(before.percent() < 100.0);

    let text = generate(&playbook, &runs);
    assert!(text.contains("ask once more than allowed"), "{text}");
    runs.push(simulate(&playbook, &read(&text)[0]));
    let last = runs.last().unwrap();
    assert!(
        matches!(&last.ending, Ending::Escalated { reason } if reason.contains("more often")),
        "{:?}",
        last.ending
    );
    assert_eq!(coverage(&playbook, &runs).unreached, []);
}

#[test]
fn what_no_way_leads_to_is_named_in_a_comment() {
    let never = Condition::Any(Vec::new());
    let playbook = build::playbook([
        decision("sort", &[("never", never)])
            .on("never", "lost")
            .on("otherwise", "done"),
        terminal("lost"),
        terminal("done"),
    ]);
    let (text, runs, coverage) = written(&playbook);
    assert_eq!((runs.len(), coverage.covered, coverage.total), (1, 1, 2));
    assert!(
        text.ends_with("  # no way was found to: sort --never--> lost\n"),
        "{text}"
    );
}

#[test]
fn a_missing_input_is_complained_about_and_a_step_that_cannot_succeed_wants_an_answer() {
    let run = simulate(&rich(), &Scenario::default());
    assert_eq!(run.complaints, ["the input `days` is missing"]);

    let mut choose = action("choose", "house.look").on("up", "done");
    if let crate::StepKind::Action(action) = &mut choose.kind {
        action.action.outcomes.remove(0);
    }
    let playbook = build::playbook([choose, terminal("done")]);
    let run = simulate(&playbook, &Scenario::default());
    assert!(run.complaints[0].contains("step `choose` was asked"), "{run:?}");
    assert_eq!(written(&playbook).2.missing, []);
}

#[test]
fn what_was_taken_back_is_told_newest_first_and_a_silent_branch_loses() {
    let undone = |id: &str, next: &str| {
        action(id, "house.look")
            .on("success", next)
            .undone_by(&format!("{id}.undo"))
    };
    let playbook = build::playbook([
        undone("one", "two"),
        undone("two", "race"),
        parallel("race", Join::Any, &[("a", "slow"), ("b", "fast")]).on("success", "person"),
        action("slow", "house.look")
            .on("success", "a_well")
            .on("failure", "a_ill")
            .within("race", "a"),
        terminal("a_well").within("race", "a"),
        escalation("a_ill").within("race", "a"),
        wait_for("fast", Duration::from_secs(20))
            .on("success", "b_well")
            .within("race", "b"),
        terminal("b_well").within("race", "b"),
        escalation("person"),
        action("one.undo", "house.look"),
        action("two.undo", "house.look"),
    ]);
    let scenario = Scenario {
        answers: [(id("slow"), vec![Outcome::Timeout.into()])].into(),
        expect: Expectation {
            path: Some(
                ["one", "two", "race", "slow", "fast", "b_well", "person"]
                    .map(id)
                    .into(),
            ),
            end: End::Escalated,
            undone: ["two", "one"].map(id).into(),
        },
        ..Scenario::default()
    };
    let run = simulate(&playbook, &scenario);
    assert_eq!(run.complaints, Vec::<String>::new());
    assert_eq!(run.took, Duration::from_secs(20));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// On graphs that the check would refuse, too.
    #[test]
    fn what_is_written_passes_whatever_the_graph(
        random in properties::steps(6),
        inner in proptest::collection::vec(properties::steps(3), 0..=2),
    ) {
        written(&properties::playbook(&random, &inner));
    }

    #[test]
    fn no_text_makes_reading_panic(text in "(\\PC|[\\n\\t \\-:{}\\[\\]#&*!|>'\"%@`])*") {
        let _ = scenarios(&text);
    }
}
