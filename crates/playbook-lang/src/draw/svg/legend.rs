//! What the shapes and lines mean; only those that occur.

use std::fmt::Write as _;

use super::{MUTED, n, shape};
use crate::draw::picture::{Look, Picture, Tone};
use crate::draw::text::width;

const LOOKS: [(Look, &str); 11] = [
    (Look::Verification, "verification"),
    (Look::Privileged, "privileged action"),
    (Look::Delivery, "delivery"),
    (Look::Action, "harmless action"),
    (Look::Ask, "question"),
    (Look::Decision, "decision"),
    (Look::Wait, "wait"),
    (Look::Fork, "parallel branches"),
    (Look::Resolved, "resolved"),
    (Look::Escalation, "escalation to a person"),
    (Look::Unwritten, "escalates by itself"),
];

const TONES: [(Tone, &str, &str); 3] = [
    (Tone::Plain, "success, or a case", "stroke=\"#334155\""),
    (Tone::Failure, "failure or time-out", "stroke=\"#94a3b8\""),
    (
        Tone::Denied,
        "denied",
        "stroke=\"#dc2626\" stroke-dasharray=\"6 4\"",
    ),
];

const ROW: f64 = 26.0;

/// The legend and its height, in rows no wider than this.
pub(super) fn legend(picture: &Picture, room: f64) -> (String, f64) {
    let looks = LOOKS
        .into_iter()
        .filter(|(look, _)| picture.nodes.iter().any(|node| node.look == *look))
        .map(|(look, words)| (shape::swatch(look), words));
    let tones = TONES
        .into_iter()
        .filter(|(tone, ..)| {
            picture
                .lines
                .iter()
                .any(|line| line.tone == *tone && !line.label.is_empty())
        })
        .map(|(_, words, style)| {
            let line = format!("<path d=\"M0 8h26\" fill=\"none\" stroke-width=\"2\" {style}/>");
            (line, words)
        });
    let mut out = String::new();
    let (mut x, mut y) = (0.0, 14.0);
    let _ = writeln!(out, "<path d=\"M0 0h{}\" stroke=\"#e2e8f0\"/>", n(room));
    for (sign, words) in looks.chain(tones) {
        let wide = 34.0 + width(words, 11.0) + 18.0;
        if x > 0.0 && x + wide - 18.0 > room {
            x = 0.0;
            y += ROW;
        }
        let _ = writeln!(
            out,
            "<g transform=\"translate({} {})\">{sign}<text x=\"34\" y=\"12\" font-size=\"11\" fill=\"{MUTED}\">{words}</text></g>",
            n(x),
            n(y)
        );
        x += wide;
    }
    (out, y + 20.0)
}
