//! Fixing by example, and what must hold of every fix.

use proptest::prelude::*;

use super::*;
use crate::check::properties::{blocks, flow_without_person, shelf_of_shipped, shipped};
use crate::check::tests::REQUIREMENT_SAMPLE;
use crate::check::{check, check_calling};
use crate::findings::code;
use crate::print::print;
use crate::print::tests::blind;
use crate::print::tests::documents::documents;

fn fixed(source: &str) -> Option<Fixed> {
    fix(source, &Registry::builtin(), &Shelf::default())
}

fn added(fixed: &Fixed) -> Vec<&str> {
    fixed.added.iter().map(StepId::as_str).collect()
}

/// The fixed text begins and goes on with the author's, byte for byte, and what stands between reads as the new steps and
/// nothing else.
fn holds(source: &str) -> Result<Option<Fixed>, TestCaseError> {
    let Some(fixed) = fixed(source) else {
        return Ok(None);
    };
    // Nothing was taken away or changed: the author's text is found in the new one, in order.
    let mut rest = fixed.source.as_str();
    for line in source.split_inclusive('\n') {
        // A comma may be put in between.
        let mut letters = line.chars();
        let mut wanted = letters.next();
        let mut left = rest.chars();
        while let Some(letter) = wanted {
            match left.next() {
                Some(found) if found == letter => wanted = letters.next(),
                Some(_) => {}
                None => return Err(TestCaseError::fail(format!("lost {line:?} in\n{}", fixed.source))),
            }
        }
        rest = left.as_str();
    }
    let before = readable(source).unwrap();
    let mut after = readable(&fixed.source).unwrap();
    after.steps.retain(|step| !fixed.added.contains(&step.id.value));
    prop_assert_eq!(blind(&after), blind(&before), "{}", &fixed.source);
    // What is left has a near name.
    let document = readable(&fixed.source).unwrap();
    for (_, target) in undefined(&document, &Registry::builtin(), &Shelf::default()) {
        let known = before.steps.iter().map(|step| step.id.value.as_str());
        prop_assert!(
            nearest(target.as_str(), known).is_some(),
            "`{}` in\n{}",
            target,
            &fixed.source
        );
    }
    let again = fix(&fixed.source, &Registry::builtin(), &Shelf::default());
    prop_assert_eq!(again, None, "twice:\n{}", &fixed.source);
    Ok(Some(fixed))
}

#[test]
fn the_requirements_own_sample_is_mended_by_its_two_missing_steps() {
    let fixed = holds(REQUIREMENT_SAMPLE).unwrap().unwrap();
    assert_eq!(
        added(&fixed),
        ["escalate_reset_failed", "escalate_delivery_failed"]
    );
    let report = check(&fixed.source, &Registry::builtin());
    assert!(report.ok());
    // That the pass could be taken back is advice, and stays the author's affair.
    let codes: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(codes, [code::MISSING_UNDO]);
    let new = fixed.source.strip_prefix(REQUIREMENT_SAMPLE).unwrap();
    insta::assert_snapshot!(new);
}

const HEAD: &str = "name: t\nversion: \"1\"\n";

#[expect(clippy::too_many_lines, reason = "a table of ways to write steps")]
#[test]
fn a_step_is_put_in_as_its_author_writes_steps() {
    let ask = "{id: ask, service: verification.mfa, on_success: done, on_failure: help_desk}";
    let done = "{id: done, type: terminal, status: RESOLVED}";
    let new = "{id: help_desk, name: \"Escalate: Help Desk\", type: escalation, reason: \"Help desk\"}";
    let block = |indent: &str, gap: &str| {
        let inner = format!("{indent} {gap}");
        format!(
            "{indent}-{gap}id: help_desk\n{inner}name: \"Escalate: Help Desk\"\n{inner}type: escalation\n{inner}reason: \"Help desk\"\n"
        )
    };
    let column_0 = block("", " ");
    let wide = block("    ", "   ");
    let two = block("  ", " ");
    for (name, before, after, put_in) in [
        (
            "flow",
            format!("steps: [{ask}, {done}"),
            "]\n",
            format!(", {new}"),
        ),
        (
            "flow, comma behind",
            format!("steps: [{ask}, {done}"),
            ",]\n",
            format!(", {new}"),
        ),
        (
            "flow, lines",
            format!("steps: [\n    {ask},\n    {done},"),
            "\n  ]\n",
            format!("\n    {new},"),
        ),
        (
            "flow items",
            format!("steps:\n- {ask}\n- {done}\n"),
            "",
            format!("- {new}\n"),
        ),
        (
            "no newline",
            format!("steps:\n- {ask}\n- {done}"),
            "",
            format!("\n- {new}"),
        ),
        (
            "column 0, comments, not the last field",
            format!(
                "steps:\n- {ask} # why\n\n# done\n- id: done\n  type: terminal\n  status: RESOLVED # so\n  # and so\n"
            ),
            "\n# how long\nbudget: 1h\n",
            format!("\n{column_0}"),
        ),
        (
            "a wide dash",
            format!(
                "steps:\n    -   {ask}\n    -   id: done\n        type: terminal\n        status: RESOLVED\n"
            ),
            "budget: 1h\n",
            wide,
        ),
        (
            "a dash of its own",
            format!("steps:\n  - {ask}\n  -\n    id: done\n    type: terminal\n    status: RESOLVED\n"),
            "",
            two.clone(),
        ),
        (
            "ends with a text of its own lines",
            format!(
                "steps:\n  - {ask}\n  - {done}\n  - id: x\n    type: escalation\n    reason: |\n      a\n      # b\n"
            ),
            "\n# c\nbudget: 1h\n",
            two,
        ),
    ] {
        let source = format!("{HEAD}{before}{after}");
        let fixed = holds(&source)
            .unwrap()
            .unwrap_or_else(|| panic!("{name}: nothing fixed"));
        // A block text keeps the empty lines behind it.
        let moved = format!("{HEAD}{before}\n{put_in}{}", after.trim_start_matches('\n'));
        let expected = format!("{HEAD}{before}{put_in}{after}");
        assert!(
            fixed.source == expected || fixed.source == moved,
            "{name}:\n{}\ninstead of\n{expected}",
            fixed.source
        );
        // The same with the other line ends.
        let source = source.replace('\n', "\r\n");
        let again = holds(&source)
            .unwrap()
            .unwrap_or_else(|| panic!("{name}: nothing fixed with CR LF"));
        assert_eq!(again.source, fixed.source.replace('\n', "\r\n"), "{name}");
        let marked = format!("\u{feff}{source}");
        assert_eq!(
            holds(&marked).unwrap().unwrap().source,
            format!("\u{feff}{}", again.source)
        );
    }
}

#[test]
fn what_a_branch_lacks_is_put_into_the_branch() {
    let source = format!(
        "{HEAD}steps:\n- id: both\n  type: parallel\n  branches:\n    left:\n    - id: v\n      service: verification.mfa\n      on_success: well\n      on_failure: lost\n    - {{id: well, type: terminal, status: RESOLVED}}\n    right: [{{id: w, type: wait, for: 5m, on_success: over}}]\n  on_success: end\n  on_failure: person\n- {{id: end, type: terminal, status: RESOLVED}}\n- id: third\n  type: parallel\n  branches:\n    one:\n    - {{id: q, type: wait, for: 5m, on_success: nowhere}}"
    );
    let fixed = holds(&source).unwrap().unwrap();
    assert_eq!(added(&fixed), ["person", "lost", "over", "nowhere"]);
    let document = readable(&fixed.source).unwrap();
    let place = |id: &str| {
        let step = document
            .steps
            .iter()
            .find(|step| step.id.value.as_str() == id)
            .unwrap();
        step.within.as_ref().map(|place| place.branch.clone())
    };
    assert_eq!(place("person"), None);
    assert_eq!(place("lost").as_deref(), Some("left"));
    assert_eq!(place("over").as_deref(), Some("right"));
    assert_eq!(place("nowhere").as_deref(), Some("one"));
}

#[test]
fn a_likely_typo_and_what_is_no_playbook_is_left_alone() {
    let typo = format!(
        "{HEAD}steps:\n- {{id: ask, service: verification.mfa, on_success: don, on_failure: persn}}\n- {{id: done, type: terminal, status: RESOLVED}}\n- {{id: person, type: escalation, reason: r}}\n"
    );
    assert_eq!(fixed(&typo), None);
    for source in ["", "name: [", "steps: 3\n", "name: t\nsteps: []\n", "- a\n"] {
        assert_eq!(fixed(source), None, "{source:?}");
    }
    for (name, source) in shipped() {
        assert_eq!(
            fix(&source, &Registry::builtin(), &shelf_of_shipped()),
            None,
            "{name}"
        );
    }
}

/// Every shipped playbook without its escalations gets them back, with other words.
#[test]
fn a_shipped_playbook_without_its_escalations_is_mended() {
    for (name, source) in shipped() {
        let mut document = readable(&source).unwrap();
        let outside = |step: &crate::document::StepDocument| {
            step.within.is_none() && matches!(step.kind, crate::document::KindDocument::Escalation { .. })
        };
        document.steps.retain(|step| !outside(step));
        let without = print(&document);
        let shelf = shelf_of_shipped();
        let Some(fixed) = fix(&without, &Registry::builtin(), &shelf) else {
            continue;
        };
        let report = check_calling(&fixed.source, &Registry::builtin(), &shelf);
        assert!(
            report
                .findings
                .iter()
                .all(|finding| finding.code != code::UNDEFINED_STEP
                    || finding.message.contains("did you mean")),
            "{name}: {:?}",
            report.findings
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fix_adds_steps_and_changes_nothing_else(document in documents(), crlf: bool, open: bool) {
        let mut source = print(&document);
        if crlf {
            source = source.replace('\n', "\r\n");
        }
        if open {
            source.truncate(source.trim_end().len());
        }
        holds(&source)?;
    }

    #[test]
    fn a_fix_of_steps_in_brackets_adds_steps_and_changes_nothing_else(block in blocks(3, 1)) {
        let source = flow_without_person(&block);
        let fixed = holds(&source)?;
        prop_assert!(fixed.is_none_or(|fixed| added(&fixed) == ["person"]));
    }
}
