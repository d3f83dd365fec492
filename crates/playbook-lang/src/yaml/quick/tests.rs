//! The quick reader says what the full parser says, or nothing.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::check::properties::shipped;
use crate::findings::Findings;
use crate::yaml::full;

/// The full parser's answer, where it found nothing wrong.
fn in_full(source: &str) -> Option<Node> {
    let mut findings = Findings::default();
    let root = full(source, &mut findings);
    root.filter(|_| !findings.any_error())
}

fn agree(source: &str) -> Result<(), TestCaseError> {
    if let Some(root) = read(source) {
        prop_assert_eq!(Some(root), in_full(source), "{}", source);
    }
    Ok(())
}

/// What lines are made of, the ordinary and the treacherous.
fn piece() -> impl Strategy<Value = &'static str> {
    select(&[
        "a",
        "b:",
        "key:",
        "k-1.x_:",
        "a: b",
        "a:b",
        "- ",
        "-",
        "- a",
        "- a: b",
        "- - a",
        "-5",
        "---",
        "...",
        "é",
        "é: ü",
        " ",
        "  ",
        "    ",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n- ",
        "\n  - ",
        "#",
        " # note",
        "\"",
        "\"q\"",
        "\"\\n\\\"\"",
        "'",
        "'s'",
        "'it''s'",
        "{",
        "}",
        "[",
        "]",
        ",",
        ", ",
        "{a: b, c: [1, \"2\"]}",
        "{}",
        "[]",
        "[a, b]",
        "{a: b}: c",
        "|",
        ">",
        "|\n  a",
        "&a",
        "*a",
        "!t",
        "? ",
        ": ",
        ":",
        "%",
        "@",
        "`",
        "~",
        "null",
        "on",
        "09:30",
        "http://a",
        "\t",
        "\r\n",
        "\\",
        "x y z",
        "\u{85}",
        "\u{feff}",
        "$",
    ])
}

/// A well-formed document, its lines then broken here and there.
fn lines_of_a_document() -> impl Strategy<Value = String> {
    let line = (
        0_usize..4,
        select(&[
            "a:",
            "b:",
            "c: d",
            "d: \"e f\" # g",
            "e: {a: b}",
            "f: [a, 'b']",
            "- a",
            "- a: b",
            "- b:",
            "-",
            "- [a]",
            "# note",
            "",
            "g: h i",
            "h: -1",
            "i: a: b",
            "j: 'k' l",
            "- \"m\"",
            "n: 09:30",
        ]),
    );
    proptest::collection::vec(line, 0..12).prop_map(|lines| {
        let lines = lines.into_iter();
        lines
            .map(|(depth, line)| format!("{}{line}\n", "  ".repeat(depth)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_yaml_read_as_the_full_parser_reads_them(pieces in proptest::collection::vec(piece(), 0..14)) {
        agree(&pieces.concat())?;
    }

    #[test]
    fn lines_at_any_depth_read_as_the_full_parser_reads_them(source in lines_of_a_document()) {
        agree(&source)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shipped_playbook_with_a_slip_of_the_hand_reads_alike(
        playbook in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        sign in select(&["", ":", "-", "\"", "'", " ", "  ", "#", " #", "\n", "{", "]", ","]),
    ) {
        let sources = shipped();
        let (_, source) = playbook.get(&sources);
        let (place, _) = place.get(&source.char_indices().collect::<Vec<_>>()).to_owned();
        let (before, after) = source.split_at(place);
        let mut rest = after.chars();
        rest.next();
        agree(&format!("{before}{sign}{after}"))?;
        agree(&format!("{before}{sign}{}", rest.as_str()))?;
    }
}

#[test]
fn every_shipped_playbook_is_read_quickly_and_alike() {
    for (name, source) in shipped() {
        let root = read(&source).unwrap_or_else(|| panic!("{name} needs the full parser"));
        assert_eq!(Some(root), in_full(&source), "{name}");
    }
}

#[test]
fn what_it_does_not_know_it_leaves_to_the_full_parser() {
    let left = [
        "a: |\n  b",
        "a: >\n  b",
        "a: b\n  c",
        "a: &x b",
        "a: !t b",
        "a:",
        "a: \"b\n  c\"",
        "\"a\": b",
        "- - a",
        "a: b\ta",
        "a: b\r\n",
        "--- \na: b",
        "a: b\na: c",
        "a: [b,\n  c]",
        "a: {b}",
        "a: {b: c, b: d}",
    ];
    for source in left {
        assert_eq!(read(source), None, "{source:?}");
    }
    let deep = format!("a: {}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!(read(&deep), None);
}
