//! What must hold of every picture, and what the shipped playbook looks like.

use std::fmt::Write as _;

use common::Outcome;
use proptest::prelude::*;

use super::layout::Layout;
use super::picture::Picture;
use super::*;
use crate::check::properties::{graphs, unchecked, written};
use crate::{Registry, check};

const SHIPPED: &str = include_str!("../../../../playbooks/password_reset.yml");

fn playbook(source: &str) -> Playbook {
    let report = check(source, &Registry::builtin());
    report
        .playbook
        .unwrap_or_else(|| panic!("{:#?}", report.findings))
}

/// A chain of `count` decisions with a way to a person from each: as wide and as deep as playbooks get.
fn long(count: usize) -> Playbook {
    let mut source = "name: long\nversion: \"1\"\nsteps:\n".to_owned();
    for n in 0..count {
        let _ = writeln!(
            source,
            "- {{id: s{n}, type: decision, cases: [{{when: {{field: ticket.summary, operator: contains, value: w{n}}}, then: n{n}}}], otherwise: {}}}\n- {{id: n{n}, service: ticket.note, with: {{text: t}}, on_success: done, on_failure: person}}",
            if n + 1 < count {
                format!("s{}", n + 1)
            } else {
                "person".to_owned()
            }
        );
    }
    source.push_str(
        "- {id: done, type: terminal, status: RESOLVED}\n- {id: person, type: escalation, reason: r}\n",
    );
    playbook(&source)
}

fn assert_nothing_overlaps(layout: &Layout) {
    for (index, one) in layout.boxes.iter().enumerate() {
        assert!(one.x + one.width <= layout.width && one.bottom() <= layout.height);
        for other in layout.boxes.iter().skip(index + 1) {
            let apart = one.x + one.width <= other.x
                || other.x + other.width <= one.x
                || one.bottom() <= other.y
                || other.bottom() <= one.y;
            assert!(apart, "{one:?} and {other:?}");
        }
    }
}

/// The text of a document that is well-formed XML.
fn text_of(svg: &str) -> String {
    let mut reader = quick_xml::Reader::from_str(svg);
    let mut text = String::new();
    loop {
        match reader.read_event().expect("well-formed XML") {
            quick_xml::events::Event::Eof => return text,
            quick_xml::events::Event::Text(part) => text.push_str(&part.decode().unwrap()),
            quick_xml::events::Event::GeneralRef(name) => {
                let _ = write!(text, "&{};", name.decode().unwrap());
            }
            _ => {}
        }
    }
}

#[test]
fn the_shipped_playbook_as_mermaid() {
    insta::assert_snapshot!(mermaid(&playbook(SHIPPED), None));
}

#[test]
fn the_picture_names_every_step_and_its_service_and_nothing_overlaps() {
    let playbook = playbook(SHIPPED);
    let text = text_of(&svg(&playbook, None));
    for step in playbook.steps() {
        assert!(text.contains(&step.name), "{}", step.name);
        if let Some(action) = step.action() {
            assert!(text.contains(action.name().as_str()), "{}", action.name());
        }
    }
    assert!(text.contains("privileged") && text.contains("undo: executor.delete_pass"));
    assert_nothing_overlaps(&Layout::of(&Picture::of(&playbook, None)));
}

#[test]
fn the_way_that_was_taken_is_highlighted_and_the_rest_is_pale() {
    let playbook = playbook(SHIPPED);
    let step = |id: &str, outcome: Outcome| (id.parse().unwrap(), Some(outcome));
    let taken = Taken::of([
        step("verify_mfa", Outcome::Timeout),
        step("verify_manager", Outcome::Denied),
        step("escalate_denied", Outcome::Success),
    ]);
    let picture = Picture::of(&playbook, Some(&taken));
    let walked: Vec<&str> = picture
        .boxes
        .iter()
        .filter(|shown| shown.taken)
        .map(|shown| shown.id.as_str())
        .collect();
    assert_eq!(
        walked,
        ["(start)", "verify_mfa", "verify_manager", "escalate_denied"]
    );
    let followed: Vec<(&str, &str)> = picture
        .arrows
        .iter()
        .filter(|arrow| arrow.taken)
        .map(|arrow| {
            (
                picture.boxes[arrow.from].id.as_str(),
                picture.boxes[arrow.to].id.as_str(),
            )
        })
        .collect();
    assert_eq!(
        followed,
        [
            ("(start)", "verify_mfa"),
            ("verify_mfa", "verify_manager"),
            ("verify_manager", "escalate_denied")
        ]
    );
    assert!(svg(&playbook, Some(&taken)).contains("opacity=\"0.35\""));
    assert!(!svg(&playbook, None).contains("opacity"));
}

#[test]
fn an_authors_text_stays_text() {
    let source = SHIPPED.replace(
        "Verify User via MFA",
        r#"</text><script>alert('x')</script> \"]; click n0 &amp;"#,
    );
    let playbook = playbook(&source);
    let drawn = svg(&playbook, None);
    assert!(!drawn.contains("<script"));
    text_of(&drawn);
    let flowchart = mermaid(&playbook, None);
    assert!(!flowchart.contains("<script") && !flowchart.contains("\"]; click"));
}

#[test]
fn thirty_and_five_hundred_steps_are_laid_out_without_overlap() {
    for count in [15, 250] {
        let playbook = long(count);
        let layout = Layout::of(&Picture::of(&playbook, None));
        assert_nothing_overlaps(&layout);
        text_of(&svg(&playbook, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_can_be_drawn(graph in graphs(1, 14)) {
        let playbook = unchecked(&written(&graph)).unwrap();
        assert_nothing_overlaps(&Layout::of(&Picture::of(&playbook, None)));
        text_of(&svg(&playbook, None));
        mermaid(&playbook, None);
    }
}
