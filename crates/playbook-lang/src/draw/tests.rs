//! What a picture must show, whatever the playbook.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use quick_xml::events::Event;

use super::card::Card;
use super::examples::{Draft, every_kind, id, password_reset, thirty};
use super::layout::{Layout, Rect};
use super::picture::{Look, Picture};
use super::*;
use crate::playbook::{Join, Playbook};

fn path(steps: &[(&str, Option<Outcome>)]) -> Taken {
    Taken::of(steps.iter().map(|(step, outcome)| (id(step), outcome.clone())))
}

/// By a manager, after the push went unanswered.
fn by_the_manager() -> Taken {
    path(&[
        ("verify_mfa", Some(Outcome::Timeout)),
        ("verify_manager", Some(Outcome::Success)),
        ("reset_password", Some(Outcome::Success)),
        ("deliver_credentials", Some(Outcome::Success)),
        ("resolved", None),
    ])
}

/// All text and all step groups of a drawing, which must be XML.
fn read(drawing: &str) -> (String, BTreeSet<String>) {
    let mut reader = quick_xml::Reader::from_str(drawing);
    let (mut text, mut steps) = (String::new(), BTreeSet::new());
    let mut open = 0;
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) => {
                open += 1;
                assert_ne!(start.name().as_ref(), b"script");
                for attribute in start.attributes() {
                    let attribute = attribute.expect("each attribute once");
                    assert!(!attribute.key.as_ref().starts_with(b"on"), "no handlers");
                    if attribute.key.as_ref() == b"data-step" {
                        steps.insert(String::from_utf8(attribute.value.to_vec()).unwrap());
                    }
                }
            }
            Event::End(_) => open -= 1,
            Event::Text(words) => {
                text.push_str(&words.decode().unwrap());
                text.push(' ');
            }
            Event::GeneralRef(name) => text.push_str(&name.decode().unwrap()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0);
    (text, steps)
}

fn arranged(playbook: &Playbook) -> (Picture, Layout) {
    let picture = Picture::of(playbook, None);
    let cards: Vec<Card> = picture.nodes.iter().map(Card::of).collect();
    let layout = svg::arrange(&picture, &cards);
    (picture, layout)
}

fn overlap(one: &Rect, other: &Rect) -> bool {
    one.x < other.right() && other.x < one.right() && one.y < other.bottom() && other.y < one.bottom()
}

fn assert_nothing_overlaps(picture: &Picture, layout: &Layout) {
    let boxes: Vec<_> = picture
        .nodes
        .iter()
        .zip(&layout.boxes)
        .filter(|(node, _)| node.look != Look::Parallel)
        .collect();
    for (index, (node, rect)) in boxes.iter().enumerate() {
        assert!(rect.x >= -0.1 && rect.y >= -0.1 && rect.right() <= layout.size.width + 0.1);
        for (other, its) in &boxes[index + 1..] {
            assert!(!overlap(rect, its), "{} covers {}", node.title, other.title);
        }
    }
    for (node, rect) in picture.nodes.iter().zip(&layout.boxes) {
        let Some(frame) = node.frame.map(|frame| layout.boxes[frame]) else {
            continue;
        };
        let inside = rect.x >= frame.x && rect.right() <= frame.right();
        assert!(
            inside && rect.y >= frame.y && rect.bottom() <= frame.bottom(),
            "{}",
            node.title
        );
    }
}

#[test]
fn the_shipped_playbook_as_mermaid() {
    insta::assert_snapshot!(mermaid(&password_reset(), None));
}

#[test]
fn the_shipped_playbook_as_mermaid_with_a_path() {
    insta::assert_snapshot!(mermaid(&password_reset(), Some(&by_the_manager())));
}

#[test]
fn every_kind_of_step_as_mermaid() {
    insta::assert_snapshot!(mermaid(&every_kind(), None));
}

#[test]
fn a_drawing_names_every_step_and_nothing_covers_anything() {
    for playbook in [password_reset(), every_kind(), thirty()] {
        let (text, steps) = read(&svg(&playbook, None));
        for step in playbook.steps() {
            assert!(
                text.contains(&format!("{} ({})", step.name, step.id)),
                "{}",
                step.id
            );
            assert!(steps.contains(step.id.as_str()), "{}", step.id);
        }
        let (picture, layout) = arranged(&playbook);
        assert_nothing_overlaps(&picture, &layout);
    }
}

#[test]
fn a_missing_denied_edge_is_drawn_as_what_it_means() {
    let drawing = svg(&every_kind(), None);
    assert_eq!(drawing.matches("no edge is written for `denied`").count(), 1);
    assert!(!svg(&password_reset(), None).contains("no edge is written"));
}

#[test]
fn a_time_out_that_falls_back_shares_the_line_of_the_failure() {
    let picture = Picture::of(&password_reset(), None);
    let labels: Vec<&str> = picture.lines.iter().map(|line| line.label.as_str()).collect();
    assert!(labels.contains(&"failure, timeout") && !labels.contains(&"timeout"));
}

#[test]
fn of_a_path_exactly_what_was_entered_is_lit() {
    let picture = Picture::of(&password_reset(), Some(&by_the_manager()));
    let lit: Vec<&str> = picture
        .nodes
        .iter()
        .filter(|node| node.lit)
        .map(|node| node.title.as_str())
        .collect();
    assert_eq!(
        lit,
        [
            "Start",
            "Verify User via MFA",
            "Manager Approval",
            "Reset Password",
            "Deliver Credentials via SMS",
            "Resolved"
        ]
    );
    assert_eq!(picture.lines.iter().filter(|line| line.lit).count(), 5);
    assert!(svg(&password_reset(), Some(&by_the_manager())).contains("opacity=\".3\""));
    assert!(!svg(&password_reset(), None).contains("opacity=\".3\""));
}

#[test]
fn a_step_that_was_taken_back_says_so() {
    let taken = path(&[
        ("reset", Some(Outcome::Success)),
        ("reset.undo", Some(Outcome::Success)),
    ]);
    assert!(svg(&every_kind(), Some(&taken)).contains("undone: executor.delete_pass"));
}

#[test]
fn authors_write_text_and_not_markup() {
    let hostile = "</text><script>alert(1)</script>\" onload=\"x\u{202e}\u{0}\u{ffff}'&amp; ]]> `\"] --> n0 %%{init}%%;#35;\n  click n0";
    let mut playbook = every_kind();
    playbook.description = hostile.to_owned();
    for step in playbook.steps.values_mut() {
        step.name = hostile.to_owned();
    }
    let taken = path(&[("verify", Some(Outcome::Word(hostile.to_owned())))]);
    for taken in [None, Some(&taken)] {
        let (text, _) = read(&svg(&playbook, taken));
        assert!(!text.contains('\u{202e}'));
        let chart = mermaid(&playbook, taken);
        assert!(!chart.contains("<script") && !chart.contains("init}") && !chart.contains("\n  click"));
        assert!(chart.lines().all(|line| line.matches('"').count() % 2 == 0));
    }
}

/// A chain in which every step may fail into the same escalation, and leaps ahead now and then.
fn chain(steps: usize) -> Playbook {
    let mut draft = Draft::new("chain", "");
    for nth in 0..steps {
        let next = if nth + 1 == steps {
            "resolved".to_owned()
        } else {
            format!("s{}", nth + 1)
        };
        let leap = format!("s{}", (nth * 7919 + 13) % steps);
        let edges = [
            ("success", next.as_str()),
            ("failure", "failed"),
            ("word", leap.as_str()),
        ];
        draft = draft.action(&format!("s{nth}"), "ticket.note", &edges);
    }
    draft.terminal("resolved").escalation("failed", "It failed").0
}

#[test]
fn large_playbooks_are_drawn_quickly() {
    for (steps, most) in [(30, 5), (500, 20), (2000, 60)] {
        let playbook = chain(steps);
        let began = Instant::now();
        let drawing = svg(&playbook, None);
        // Generous: these run unoptimised, on machines that do other things.
        assert!(
            began.elapsed() < Duration::from_secs(most),
            "{steps} steps took {:?}",
            began.elapsed()
        );
        assert_eq!(read(&drawing).1.len(), steps + 2);
    }
}

#[test]
fn frames_stand_in_frames_and_never_in_themselves() {
    let nested = Draft::new("nested", "")
        .parallel(
            "outer",
            &[("a", "inner"), ("b", "b_end")],
            Join::All,
            &[("success", "end"), ("failure", "end")],
        )
        .parallel(
            "inner",
            &[("x", "x_end"), ("y", "y_end")],
            Join::Any,
            &[("success", "a_end"), ("failure", "a_end")],
        )
        .within("outer", "a")
        .terminal("x_end")
        .within("inner", "x")
        .terminal("y_end")
        .within("inner", "y")
        .terminal("a_end")
        .within("outer", "a")
        .terminal("b_end")
        .within("outer", "b")
        .terminal("end")
        .0;
    let (picture, layout) = arranged(&nested);
    assert_nothing_overlaps(&picture, &layout);
    let mut knot = nested;
    let within = knot.steps[&id("inner")].within.clone();
    knot.steps[&id("outer")].within = within.map(|within| crate::Within {
        parallel: id("inner"),
        ..within
    });
    read(&svg(&knot, None));
    mermaid(&knot, None);
}

prop_compose! {
    fn any_playbook()(
        steps in prop::collection::vec((0_usize..6, prop::collection::vec((0_usize..5, 0_usize..24), 0..5), prop::option::of(0_usize..24)), 1..24),
    ) -> Playbook {
        let words = ["success", "failure", "denied", "timeout", "word"];
        let mut draft = Draft::new("any", "");
        for (nth, (kind, edges, frame)) in steps.iter().enumerate() {
            let targets: Vec<(&str, String)> = edges.iter().map(|(word, to)| (words[*word], format!("s{to}"))).collect();
            let edges: Vec<(&str, &str)> = targets.iter().map(|(word, to)| (*word, to.as_str())).collect();
            let name = format!("s{nth}");
            draft = match kind {
                0 => draft.decision(&name, &edges),
                1 => draft.parallel(&name, &edges, Join::All, &edges),
                2 => draft.terminal(&name),
                3 => draft.action(&name, "verification.mfa", &edges),
                4 => draft.action(&name, "executor.reset_password", &edges),
                _ => draft.wait(&name, 60, edges.first().map_or("s0", |edge| edge.1)),
            };
            if let Some(frame) = frame {
                draft = draft.within(&format!("s{frame}"), "a");
            }
        }
        draft.0
    }
}

proptest! {
    #[test]
    fn any_graph_can_be_drawn(playbook in any_playbook()) {
        let (text, steps) = read(&svg(&playbook, None));
        prop_assert_eq!(steps.len(), playbook.steps.len());
        prop_assert!(!text.contains("NaN") && !text.contains("inf"));
        let (picture, layout) = arranged(&playbook);
        assert_nothing_overlaps(&picture, &layout);
        mermaid(&playbook, None);
    }
}

/// `PICTURES=/tmp cargo test -p playbook-lang -- --ignored pictures`
#[test]
#[ignore = "writes pictures for people to look at"]
fn pictures() {
    let folder = std::env::var("PICTURES").expect("a folder");
    let taken = by_the_manager();
    for (name, drawing) in [
        ("reset", svg(&password_reset(), None)),
        ("taken", svg(&password_reset(), Some(&taken))),
        ("every", svg(&every_kind(), None)),
        ("thirty", svg(&thirty(), None)),
        ("chain", svg(&chain(500), None)),
    ] {
        std::fs::write(format!("{folder}/{name}.svg"), drawing).unwrap();
    }
}
