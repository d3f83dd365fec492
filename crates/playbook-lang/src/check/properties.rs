//! What must hold of any graph: the proof agrees with brute force, a reported path really leads there, no mutant of the
//! shipped playbook acts on an unverified person, and no text makes the check panic.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use common::Outcome;
use proptest::prelude::*;

use std::time::Duration;

use super::*;
use crate::findings::code;
use crate::playbook::Step;
use crate::registry::Action;

const SERVICES: [&str; 4] = [
    "verification.mfa",
    "verification.manager",
    "executor.reset_password",
    "delivery.sms",
];

/// A step of a random graph: which service, and where success, failure, denial and time-out lead.
pub(crate) type RandomStep = (usize, usize, usize, Option<usize>, Option<usize>);

/// `least..=most` action steps; targets are steps or, beyond the last, the two endings.
pub(crate) fn graphs(least: usize, most: usize) -> impl Strategy<Value = Vec<RandomStep>> {
    (least..=most).prop_flat_map(|count| {
        let to = 0..count + 2;
        let step = (
            0..SERVICES.len(),
            to.clone(),
            to.clone(),
            proptest::option::of(to.clone()),
            proptest::option::of(to),
        );
        proptest::collection::vec(step, count)
    })
}

/// The graph as a playbook. Every step may be entered three times, so that loops are allowed.
pub(crate) fn written(graph: &[RandomStep]) -> String {
    let name = |target: usize| match target.checked_sub(graph.len()) {
        None => format!("s{target}"),
        Some(0) => "done".to_owned(),
        Some(_) => "person".to_owned(),
    };
    let mut source = "name: random\nversion: \"1\"\nsteps:\n".to_owned();
    for (index, (service, success, failure, denied, timeout)) in graph.iter().enumerate() {
        let _ = write!(
            source,
            "- id: s{index}\n  service: {}\n  max_visits: 3\n  retry: {{max_attempts: 2}}\n  on_success: {}\n  on_failure: {}\n",
            SERVICES[*service],
            name(*success),
            name(*failure)
        );
        if let Some(denied) = denied {
            let _ = writeln!(source, "  on_denied: {}", name(*denied));
        }
        if let Some(timeout) = timeout {
            let _ = writeln!(source, "  on_timeout: {}", name(*timeout));
        }
    }
    source + "- {id: done, type: terminal, status: RESOLVED}\n- {id: person, type: escalation, reason: r}\n"
}

/// The playbook of `source` whatever is wrong with it, as long as everything it names exists.
pub(crate) fn unchecked(source: &str) -> Option<Playbook> {
    let registry = Registry::builtin();
    let shelf = Shelf::default();
    let mut findings = Findings::default();
    let document = read::document(yaml::parse(source, &mut findings)?, &mut findings);
    let (graph, whole) = examine(&document, &registry, &shelf, &mut findings);
    compile::playbook(&document, &graph, &whole, source)
}

/// The rules of the house by hand, along one path: what has been proven, and what is at hand.
#[derive(Clone, Copy, Default)]
struct Path {
    verified: bool,
    denied: bool,
    credential: bool,
}

impl Path {
    fn complaint(self, action: &Action) -> Option<&'static str> {
        match action.name.as_str() {
            "executor.reset_password" if self.denied => Some(code::PRIVILEGED_AFTER_DENIAL),
            "executor.reset_password" if !self.verified => Some(code::UNVERIFIED_PRIVILEGED_STEP),
            "delivery.sms" if !self.credential => Some(code::MISSING_CREDENTIAL),
            _ => None,
        }
    }

    fn after(self, action: &Action, outcome: &Outcome) -> Self {
        let success = *outcome == Outcome::Success;
        Self {
            verified: self.verified || (success && action.name.service() == "verification"),
            denied: self.denied || *outcome == Outcome::Denied,
            credential: self.credential || (success && action.name.service() == "executor"),
        }
    }
}

const OUTCOMES: [Outcome; 4] = [
    Outcome::Success,
    Outcome::Failure,
    Outcome::Denied,
    Outcome::Timeout,
];

/// Follow every path of at most `left` steps and note what it does wrong, step by step.
fn brute_force(
    playbook: &Playbook,
    step: &Step,
    path: Path,
    left: usize,
    wrong: &mut BTreeSet<(String, &'static str)>,
) {
    let Some(call) = step.action() else {
        return;
    };
    if let Some(code) = path.complaint(&call.action) {
        wrong.insert((step.id.to_string(), code));
    }
    if left == 0 {
        return;
    }
    for outcome in &OUTCOMES {
        if let Some(next) = step.edge(outcome).and_then(|next| playbook.step(next)) {
            brute_force(playbook, next, path.after(&call.action, outcome), left - 1, wrong);
        }
    }
}

const PROVEN: [&str; 3] = [
    code::UNVERIFIED_PRIVILEGED_STEP,
    code::PRIVILEGED_AFTER_DENIAL,
    code::MISSING_CREDENTIAL,
];

fn by_check(source: &str) -> BTreeSet<(String, &'static str)> {
    let report = check(source, &Registry::builtin());
    report
        .findings
        .iter()
        .filter_map(|finding| {
            let code = PROVEN.into_iter().find(|code| *code == finding.code)?;
            Some((finding.step.as_ref()?.to_string(), code))
        })
        .collect()
}

fn by_brute_force(source: &str, longest: usize) -> BTreeSet<(String, &'static str)> {
    let mut wrong = BTreeSet::new();
    let playbook = unchecked(source).unwrap();
    brute_force(
        &playbook,
        playbook.start().unwrap(),
        Path::default(),
        longest,
        &mut wrong,
    );
    wrong
}

/// Walk a reported path and see whether it is one and does what it is accused of.
fn replay(playbook: &Playbook, path: &[String], code: &str) {
    let mut state = Path::default();
    let (start, legs) = path.split_first().unwrap();
    let mut here = playbook.start().unwrap();
    assert_eq!(here.id.as_str(), start);
    for leg in legs.chunks(2) {
        let [edge, to] = leg else {
            panic!("half a leg in {path:?}");
        };
        let call = here.action().unwrap();
        let outcome = Outcome::from(edge.trim_start_matches("on_"));
        let next = here.edge(&outcome).unwrap();
        assert_eq!(next.as_str(), to, "{path:?}");
        state = state.after(&call.action, &outcome);
        here = playbook.step(next).unwrap();
    }
    assert_eq!(
        state.complaint(&here.action().unwrap().action),
        Some(code),
        "{path:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three steps have at most 3 × 6 pairs of step and fact, and facts only grow: nine steps see them all.
    #[test]
    fn the_proof_agrees_with_brute_force_on_small_graphs(graph in graphs(1, 3)) {
        let source = written(&graph);
        prop_assert_eq!(by_check(&source), by_brute_force(&source, 9), "{}", source);
    }

    #[test]
    fn every_path_that_a_proof_reports_exists_and_does_wrong(graph in graphs(1, 12)) {
        let source = written(&graph);
        let playbook = unchecked(&source).unwrap();
        for finding in check(&source, &Registry::builtin()).findings {
            if PROVEN.contains(&finding.code.as_str()) {
                replay(&playbook, &finding.path, &finding.code);
            }
        }
    }

    #[test]
    fn no_text_makes_the_check_panic(text in "(\\PC|[\\n\\t \\-:{}\\[\\]#&*!|>'\"%@`])*") {
        check(&text, &Registry::builtin());
    }

    #[test]
    fn no_damage_to_a_playbook_makes_the_check_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), "[\\x00-\\x7f]{0,3}"), 1..4)
    ) {
        let mut characters: Vec<char> = SHIPPED.chars().collect();
        for (place, text) in cuts {
            let at = place.index(characters.len());
            characters.splice(at..=at, text.chars());
        }
        let source: String = characters.into_iter().collect();
        check(&source, &Registry::builtin());
    }
}

const SHIPPED: &str = include_str!("../../../../playbooks/password_reset.yml");

#[test]
fn no_unsafe_mutant_of_the_shipped_playbook_passes() {
    let steps: Vec<String> = check(SHIPPED, &Registry::builtin())
        .playbook
        .unwrap()
        .steps()
        .map(|step| step.id.to_string())
        .collect();
    let lines: Vec<&str> = SHIPPED.lines().collect();
    let (mut refused, mut passed) = (0, 0);
    for (index, line) in lines.iter().enumerate() {
        let Some((edge, _)) = line
            .split_once(':')
            .filter(|(edge, _)| edge.trim().starts_with("on_"))
        else {
            continue;
        };
        let dropped = std::iter::once(String::new());
        for mutant in steps.iter().map(|to| format!("{edge}: {to}")).chain(dropped) {
            let mut lines = lines.clone();
            lines[index] = &mutant;
            let source = lines.join("\n");
            let ok = check(&source, &Registry::builtin()).ok();
            let wrong = by_brute_force(&source, 8);
            assert!(!ok || wrong.is_empty(), "passed with {wrong:?}:\n{source}");
            if ok { passed += 1 } else { refused += 1 }
        }
    }
    assert!(refused > 40 && passed > 8, "{refused} refused, {passed} passed");
}

#[test]
fn the_largest_playbook_is_checked_within_a_second() {
    let ring: Vec<RandomStep> = (0..1998)
        .map(|n| (n % 3, (n + 1) % 2000, (n + 7) % 2000, Some((n + 31) % 2000), None))
        .collect();
    let began = std::time::Instant::now();
    let report = check(&written(&ring), &Registry::builtin());
    assert!(!report.ok());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let many = format!("name: t\nversion: \"1\"\nsteps:\n{}", "- {}\n".repeat(150_000));
    check(&many, &Registry::builtin());
    let mut words = String::new();
    for n in 0..60_000 {
        let _ = writeln!(words, "w{n}: x");
    }
    check(&words, &Registry::builtin());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
