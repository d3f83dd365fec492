//! The longest that an execution may take.

use super::*;

fn budget(budget: &str, steps: &str) -> Vec<Finding> {
    let source = format!(
        "name: t\nversion: \"1\"\nbudget: {budget}\nsteps:\n{}",
        with_ends(steps)
    );
    check(&source, &Registry::builtin()).findings
}

#[test]
fn every_attempt_and_every_wait_between_counts() {
    let steps = "- {id: a, service: verification.mfa, timeout: 60, retry: {max_attempts: 3, backoff: fixed, initial: 10, jitter: 0}, on_success: w, on_failure: person}\n- {id: w, type: wait, for: 5m, on_success: done}\n";
    assert_eq!(budget("500", steps), []);
    let findings = budget("499", steps);
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].code.as_str(), findings[0].line),
        (code::OVER_BUDGET, 3)
    );
    assert_eq!(findings[0].path, ["a", "on_success", "w", "on_success", "done"]);
    assert!(findings[0].message.contains("8m 20s"), "{}", findings[0].message);
}

#[test]
fn a_loop_counts_as_often_as_it_may_go_round_and_branches_count_once() {
    let steps = "- {id: a, service: verification.mfa, timeout: 60, max_visits: 3, on_success: done, on_failure: a}\n- {id: x, type: decision, cases: [], otherwise: person}\n";
    let over = |findings: Vec<Finding>| findings.iter().any(|finding| finding.code == code::OVER_BUDGET);
    assert!(!over(budget("180", steps)) && over(budget("179", steps)));
    let branch = |name: &str, wait: &str| {
        format!(
            "{name}: [{{id: {name}, type: wait, for: {wait}, on_success: {name}e}}, {{id: {name}e, type: terminal, status: RESOLVED}}]"
        )
    };
    let both = format!(
        "- {{id: p, type: parallel, branches: {{{}, {}}}, on_success: done, on_failure: person}}\n",
        branch("l", "3m"),
        branch("r", "2m")
    );
    assert!(!over(budget("180", &both)) && over(budget("179", &both)));
}
