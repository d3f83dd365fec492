//! Branches.

use super::*;

/// A parallel step of two branches, each with a good and a bad ending, and what comes behind it.
fn both(join: &str, left: &str, right: &str, behind: &str) -> String {
    let branch = |name: &str, steps: &str| {
        format!(
            "    {name}:\n{}    - {{id: {name}_well, type: terminal, status: RESOLVED}}\n    - {{id: {name}_badly, type: escalation, reason: r}}\n",
            steps
                .lines()
                .map(|line| format!("    {line}\n"))
                .collect::<String>()
        )
    };
    with_ends(&format!(
        "- id: both\n  type: parallel\n  join: {join}\n  branches:\n{}{}  on_success: behind\n  on_failure: person\n{behind}",
        branch("l", left),
        branch("r", right)
    ))
}

const LEFT: &str =
    "- {id: lv, service: verification.mfa, on_success: l_well, on_failure: l_badly, on_denied: l_badly}";
const RIGHT: &str =
    "- {id: rv, service: verification.manager, on_success: r_well, on_failure: r_badly, on_denied: r_badly}";
const NOTE: &str =
    "- {id: rn, service: ticket.note, with: {text: x}, on_success: r_well, on_failure: r_badly}";
const BEHIND: &str = "- {id: behind, service: executor.reset_password, undo: executor.delete_pass, on_success: done, on_failure: person}\n";

fn wrong(steps: &str) -> Vec<(String, Vec<String>)> {
    let findings = check(&document(steps), &Registry::builtin()).findings;
    findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| (finding.code, finding.path))
        .collect()
}

#[test]
fn where_all_must_end_well_what_one_branch_proves_is_proven() {
    assert_eq!(wrong(&both("all", LEFT, NOTE, BEHIND)), []);
    assert_eq!(wrong(&both("all", LEFT, RIGHT, BEHIND)), []);
    // Where the first will do, only what all of them prove.
    let any = wrong(&both("any", LEFT, NOTE, BEHIND));
    assert_eq!(any[0].0, code::BAD_BRANCH);
    assert_eq!(any[1].0, code::UNVERIFIED_PRIVILEGED_STEP);
    assert_eq!(any[1].1, ["both", "on_success", "behind"]);
}

#[test]
fn a_denial_in_one_branch_is_a_denial_for_all() {
    // Whoever is first proves enough; the other may have been denied meanwhile.
    let any = wrong(&both("any", LEFT, RIGHT, BEHIND));
    assert!(
        any.iter().any(|(code, _)| code == code::PRIVILEGED_AFTER_DENIAL),
        "{any:?}"
    );
    // The same while another branch acts.
    let verify = "- {id: before, service: verification.mfa, on_success: both, on_failure: person}\n";
    let acts = "- {id: la, service: executor.reset_password, undo: executor.delete_pass, on_success: l_well, on_failure: l_badly}";
    let note =
        "- {id: behind, service: ticket.note, with: {text: x}, on_success: done, on_failure: person}\n";
    let findings = wrong(&format!("{verify}{}", both("all", acts, RIGHT, note)));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].0, code::PRIVILEGED_AFTER_DENIAL);
    assert_eq!(
        findings[0].1,
        [
            "before",
            "on_success",
            "both",
            "branches.l",
            "la",
            "meanwhile branches.r",
            "la"
        ]
    );
    // A silent denial ends the execution, other branches and all.
    let silent = RIGHT.replace(", on_denied: r_badly", "");
    assert_eq!(
        wrong(&format!("{verify}{}", both("all", acts, &silent, note))),
        []
    );
}

#[test]
fn only_its_parallel_step_leads_into_a_branch_and_only_its_endings_out() {
    let out = LEFT.replace("on_failure: l_badly", "on_failure: person");
    let found = wrong(&both("all", &out, RIGHT, BEHIND));
    assert_eq!(
        found.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(),
        [code::BAD_BRANCH]
    );
    let into = BEHIND.replace("on_failure: person", "on_failure: lv");
    let found = wrong(&both("all", LEFT, RIGHT, &into));
    assert!(
        found.iter().any(|(code, _)| code == code::BAD_BRANCH),
        "{found:?}"
    );
    let across = LEFT.replace("on_failure: l_badly", "on_failure: r_badly");
    let found = wrong(&both("all", &across, RIGHT, BEHIND));
    assert!(
        found.iter().any(|(code, _)| code == code::BAD_BRANCH),
        "{found:?}"
    );
}

#[test]
fn a_branch_that_may_be_dropped_does_nothing_that_matters_and_one_branch_is_none() {
    let verify = "- {id: before, service: verification.mfa, on_success: both, on_failure: person}\n";
    let acts = "- {id: la, service: executor.reset_password, undo: executor.delete_pass, on_success: l_well, on_failure: l_badly}";
    let note =
        "- {id: behind, service: ticket.note, with: {text: x}, on_success: done, on_failure: person}\n";
    let found = wrong(&format!("{verify}{}", both("any", acts, NOTE, note)));
    assert_eq!(
        found.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(),
        [code::BAD_BRANCH]
    );
    let one = with_ends(
        "- {id: p, type: parallel, branches: {a: [{id: x, type: terminal, status: RESOLVED}]}, on_success: done, on_failure: person}\n",
    );
    assert!(wrong(&one).iter().any(|(code, _)| code == code::BAD_BRANCH));
    let none = with_ends("- {id: p, type: parallel, branches: {}, on_success: done}\n");
    let found: Vec<String> = wrong(&none).into_iter().map(|(code, _)| code).collect();
    assert!(
        found.contains(&code::BAD_BRANCH.to_owned()) && found.contains(&code::MISSING_OUTCOME.to_owned()),
        "{found:?}"
    );
}

#[test]
fn nobody_is_asked_for_proof_in_a_branch_whose_no_may_come_when_nobody_listens() {
    // Nothing is written for a denial, so one ends the execution: while somebody listens.
    let silent = |verification: &str| {
        let end = verification.find(", on_denied").unwrap();
        format!("{}}}", &verification[..end])
    };
    let (left, right) = (silent(LEFT), silent(RIGHT));
    let source = document(&both("any", &left, &right, BEHIND));
    let findings = check(&source, &Registry::builtin()).findings;
    let said: Vec<_> = findings
        .iter()
        .map(|finding| (finding.code.as_str(), finding.line, finding.column))
        .collect();
    assert_eq!(said, [(code::BAD_BRANCH, 9, 12), (code::BAD_BRANCH, 13, 12)]);
    assert_eq!(
        findings[0].message,
        "`lv` asks for proof in a branch of `both` (`join: any`), which is dropped when another branch ends well, and then nobody hears a denial; verify before `both` or after it, or write `join: all`"
    );
    assert_eq!(wrong(&both("all", &left, &right, BEHIND)), []);
    // Questions that nobody can deny may race.
    let asks = "- {id: la, type: ask, question: q, choices: {yes: y, no: n}, outcomes: {yes: l_well, no: l_badly}, on_failure: l_badly}";
    let note =
        "- {id: behind, service: ticket.note, with: {text: x}, on_success: done, on_failure: person}\n";
    assert_eq!(wrong(&both("any", asks, NOTE, note)), []);
}

#[test]
fn a_branch_within_a_branch_that_may_be_dropped_may_be_dropped_too() {
    let verify = "- {id: before, service: verification.mfa, on_success: both, on_failure: person}\n";
    let acts = "- {id: la, service: executor.reset_password, undo: executor.delete_pass, on_success: d, on_failure: e}";
    let inner = |acts: &str| {
        format!(
            "- id: inner\n  type: parallel\n  join: all\n  branches:\n    p:\n      {acts}\n      - {{id: d, type: terminal, status: RESOLVED}}\n      - {{id: e, type: escalation, reason: r}}\n    q:\n      - {{id: f, type: terminal, status: RESOLVED}}\n  on_success: l_well\n  on_failure: l_badly"
        )
    };
    let note =
        "- {id: behind, service: ticket.note, with: {text: x}, on_success: done, on_failure: person}\n";
    let within = |join: &str, acts: &str| format!("{verify}{}", both(join, &inner(acts), NOTE, note));
    assert_eq!(wrong(&within("all", acts)), []);
    let asks = "- {id: la, service: verification.manager, on_success: d, on_failure: e}";
    for step in [acts, asks] {
        let report = check(&document(&within("any", step)), &Registry::builtin());
        let said: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| (finding.code.as_str(), finding.step.as_ref().unwrap().as_str()))
            .collect();
        assert_eq!(said, [(code::BAD_BRANCH, "la")]);
        assert!(
            report.findings[0].message.contains("a branch of `both`"),
            "{report:?}"
        );
    }
}
