//! No text makes the check panic, the formatter write nonsense, or the fixer lose a byte.

use proptest::prelude::*;

use super::{shelf_of_shipped, shipped};
use crate::check::{Shelf, check_bytes, check_calling};
use crate::print::format;
use crate::registry::Registry;

/// Everything that takes a text, on this one.
fn survive(source: &str, shelf: &Shelf) -> Result<(), TestCaseError> {
    let registry = Registry::builtin();
    let report = check_calling(source, &registry, shelf);
    let errors = report
        .findings
        .iter()
        .any(|finding| finding.severity == common::Severity::Error);
    prop_assert_eq!(report.ok(), !errors);
    if let Some(formatted) = format(source) {
        let twice = format(&formatted);
        prop_assert_eq!(twice.as_ref(), Some(&formatted));
        let again = check_calling(&formatted, &registry, shelf);
        let codes = |report: &crate::Report| {
            let mut codes: Vec<String> = report
                .findings
                .iter()
                .map(|finding| finding.code.clone())
                .collect();
            codes.sort();
            codes
        };
        prop_assert_eq!(codes(&again), codes(&report), "{}\n{}", source, formatted);
    }
    if let Some(fixed) = crate::fix(source, &registry, shelf) {
        prop_assert!(!fixed.added.is_empty() && fixed.source.len() > source.len());
        prop_assert_eq!(crate::fix(&fixed.source, &registry, shelf), None);
    }
    crate::calls(source);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_check_panic(text in "(\\PC|[\\n\\t \\-:{}\\[\\]#&*!|>'\"%@`])*") {
        survive(&text, &Shelf::default())?;
    }

    #[test]
    fn no_bytes_make_the_check_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check_bytes(&bytes, &Registry::builtin(), &Shelf::default());
    }

    #[test]
    fn no_damage_to_a_playbook_makes_the_check_panic(
        which: prop::sample::Index,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[\\x00-\\x7f]{0,3}"), 1..4)
    ) {
        let shipped = shipped();
        let mut characters: Vec<char> = which.get(&shipped).1.chars().collect();
        for (place, length, text) in cuts {
            let at = place.index(characters.len());
            let end = (at + length).min(characters.len());
            characters.splice(at..end, text.chars());
        }
        let source: String = characters.into_iter().collect();
        survive(&source, &shelf_of_shipped())?;
    }

    #[test]
    fn no_lines_in_the_wrong_place_make_the_check_panic(
        which: prop::sample::Index,
        moves in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4)
    ) {
        let shipped = shipped();
        let mut lines: Vec<&str> = which.get(&shipped).1.lines().collect();
        for (from, to) in moves {
            let line = lines[from.index(lines.len())];
            lines.insert(to.index(lines.len()), line);
        }
        survive(&lines.join("\n"), &shelf_of_shipped())?;
    }
}
