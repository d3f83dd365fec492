//! The picture as an SVG of its own.

mod legend;
mod shape;

use std::fmt::Write as _;

use super::Taken;
use super::card::{self, Card, Text, Voice};
use super::layout::{Heading, Layout, Piece, Point, Route, Size, Tie};
use super::picture::{Line, Look, Node, Picture, Tone};
use super::text::{fit, width, xml};
use crate::playbook::Playbook;

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const INK: &str = "#0f172a";
const MUTED: &str = "#475569";
const MARGIN: f64 = 28.0;
/// Above the drawing, for name and description.
const HEADER: f64 = 66.0;
const NARROWEST: f64 = 560.0;
const LABEL: f64 = 11.0;
/// An arrow's length, and half its width.
const ARROW: (f64, f64) = (9.0, 4.2);

/// The playbook as an SVG; with `taken`, the path of an execution in colour and the rest dimmed.
///
/// Self-contained: no script, no style sheet, no font, no ids; it may stand inline in a page or in a file. Every text of
/// the author's is escaped. Each step is a group `<g class="step" data-step="ID">`.
pub fn svg(playbook: &Playbook, taken: Option<&Taken>) -> String {
    let picture = Picture::of(playbook, taken);
    let cards: Vec<Card> = picture.nodes.iter().map(Card::of).collect();
    let layout = arrange(&picture, &cards);
    draw(&picture, &cards, &layout)
}

/// Where everything stands in a picture.
pub(super) fn arrange(picture: &Picture, cards: &[Card]) -> Layout {
    let items: Vec<_> = picture
        .nodes
        .iter()
        .zip(cards)
        .map(|(node, card)| card::item(node, card))
        .collect();
    let ties: Vec<Tie> = picture.lines.iter().map(tie).collect();
    Layout::of(&items, &ties)
}

fn tie(line: &Line) -> Tie {
    let label = if line.label.is_empty() {
        Size::default()
    } else {
        Size {
            width: width(&label(line), LABEL) + 10.0,
            height: 16.0,
        }
    };
    Tie {
        from: line.from,
        to: line.to,
        label,
        trunk: match line.tone {
            Tone::Plain => 0,
            Tone::Failure => 1,
            Tone::Denied => 2,
        },
        pull: if line.main { 400.0 } else { 1.0 },
        first: line.lit,
    }
}

fn label(line: &Line) -> String {
    fit(&line.label, LABEL, 200.0)
}

fn draw(picture: &Picture, cards: &[Card], layout: &Layout) -> String {
    let wide = layout.size.width.max(NARROWEST) + 2.0 * MARGIN;
    let (legend, legend_height) = legend::legend(picture, wide - 2.0 * MARGIN);
    let high = HEADER + MARGIN + layout.size.height + 30.0 + legend_height + MARGIN;
    let name = xml(&format!("{} {}", picture.name, picture.version));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.0} \
         {high:.0}\" role=\"img\" aria-label=\"Playbook {name}\" font-family=\"{FONT}\" fill=\"{INK}\">\n\
         <title>Playbook {name}</title>\n<desc>{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        xml(&picture.description),
    );
    heading(&mut out, picture, wide);
    let x = (wide - layout.size.width) / 2.0;
    let _ = writeln!(
        out,
        "<g transform=\"translate({} {})\">",
        n(x),
        n(HEADER + MARGIN)
    );
    frames(&mut out, picture, cards, layout);
    // What is dimmed lies below what is lit.
    for lit in [false, true] {
        for (line, route) in picture.lines.iter().zip(&layout.routes) {
            if line.lit == lit {
                stroke(&mut out, picture, line, route);
            }
        }
    }
    for ((node, card), rect) in picture.nodes.iter().zip(cards).zip(&layout.boxes) {
        if node.look != Look::Parallel {
            let at = Point { x: rect.x, y: rect.y };
            let size = Size {
                width: rect.width,
                height: rect.height,
            };
            place(&mut out, picture, node, card, at, size);
        }
    }
    for (line, route) in picture.lines.iter().zip(&layout.routes) {
        name_line(&mut out, picture, line, route);
    }
    let top = n(high - MARGIN - legend_height);
    let _ = write!(
        out,
        "</g>\n<g transform=\"translate({MARGIN} {top})\">\n{legend}</g>\n</svg>\n"
    );
    out
}

fn heading(out: &mut String, picture: &Picture, wide: f64) {
    let name = fit(&picture.name, 20.0, wide - 2.0 * MARGIN - 90.0);
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"44\" font-size=\"20\" font-weight=\"700\">{} <tspan font-size=\"13\" \
         font-weight=\"400\" fill=\"{MUTED}\">version {}</tspan></text>",
        xml(&name),
        xml(&fit(&picture.version, 13.0, 120.0)),
    );
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"66\" font-size=\"13\" fill=\"{MUTED}\">{}</text>",
        xml(&fit(&picture.description, 13.0, wide - 2.0 * MARGIN)),
    );
}

/// The frames lie below everything, the outer ones below the inner ones.
fn frames(out: &mut String, picture: &Picture, cards: &[Card], layout: &Layout) {
    let mut frames: Vec<_> = picture
        .nodes
        .iter()
        .zip(cards)
        .zip(&layout.boxes)
        .filter(|((node, _), _)| node.look == Look::Parallel)
        .collect();
    frames.sort_by(|(_, one), (_, other)| (other.width * other.height).total_cmp(&(one.width * one.height)));
    for ((node, card), rect) in frames {
        let at = Point { x: rect.x, y: rect.y };
        let size = Size {
            width: rect.width,
            height: rect.height,
        };
        place(out, picture, node, card, at, size);
    }
}

fn place(out: &mut String, picture: &Picture, node: &Node, card: &Card, at: Point, size: Size) {
    let step = match &node.step {
        Some(step) => format!(" class=\"step\" data-step=\"{}\"", xml(step.as_str())),
        None => String::new(),
    };
    let opacity = opacity(picture, node.lit);
    let _ = writeln!(
        out,
        "<g{step}{opacity} transform=\"translate({} {})\"><title>{}</title>",
        n(at.x),
        n(at.y),
        xml(&node.tip)
    );
    shape::outline(out, node.look, size, picture.dims && node.lit);
    for text in &card.texts {
        write_text(out, node.look, text);
    }
    out.push_str("</g>\n");
}

fn write_text(out: &mut String, look: Look, text: &Text) {
    let Text {
        words, voice, x, y, ..
    } = text;
    let (x, y) = (*x, *y);
    if *voice == Voice::Tag {
        let wide = width(words, voice.size()) + 12.0;
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"15\" rx=\"3\" fill=\"#b91c1c\"/>\
             <text x=\"{}\" y=\"{}\" font-size=\"10.5\" font-weight=\"700\" text-anchor=\"middle\" \
             fill=\"#ffffff\">{}</text>",
            n(x),
            n(y - 11.5),
            n(wide),
            n(x + wide / 2.0),
            n(y),
            xml(words)
        );
        return;
    }
    let style = match (voice, look) {
        (_, Look::Start) => " font-weight=\"600\" fill=\"#ffffff\"",
        (_, Look::Unwritten) => " font-style=\"italic\" fill=\"#b91c1c\"",
        (Voice::Detail, Look::Resolved) => " font-weight=\"600\" fill=\"#15803d\" letter-spacing=\".4\"",
        (Voice::Title, _) => " font-weight=\"650\"",
        (Voice::Note, _) => " font-style=\"italic\" fill=\"#475569\"",
        (Voice::Detail | Voice::Tag, _) => " fill=\"#475569\"",
    };
    let anchor = if text.centred {
        " text-anchor=\"middle\""
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{anchor}{style}>{}</text>",
        n(x),
        n(y),
        voice.size(),
        xml(words)
    );
}

fn opacity(picture: &Picture, lit: bool) -> &'static str {
    if picture.dimmed(lit) {
        " opacity=\".3\""
    } else {
        ""
    }
}

fn colour(line: &Line) -> &'static str {
    match line.tone {
        Tone::Plain => "#334155",
        Tone::Failure => "#94a3b8",
        Tone::Denied => "#dc2626",
    }
}

fn stroke(out: &mut String, picture: &Picture, line: &Line, route: &Route) {
    let mut path = format!("M{} {}", n(route.start.x), n(route.start.y));
    let pieces = route.pieces.len();
    for (index, piece) in route.pieces.iter().enumerate() {
        let last = index + 1 == pieces;
        let end = |point: &Point| match route.arrow.filter(|_| last) {
            Some((_, Heading::Down)) => Point {
                y: point.y - ARROW.0 + 1.0,
                ..*point
            },
            Some((_, Heading::Up)) => Point {
                y: point.y + ARROW.0 - 1.0,
                ..*point
            },
            Some((_, Heading::Left)) => Point {
                x: point.x + ARROW.0 - 1.0,
                ..*point
            },
            None => *point,
        };
        let _ = match piece {
            Piece::Straight(point) => write!(path, "L{} {}", n(end(point).x), n(end(point).y)),
            Piece::Curve(one, other, point) => write!(
                path,
                "C{} {} {} {} {} {}",
                n(one.x),
                n(one.y),
                n(other.x),
                n(other.y),
                n(end(point).x),
                n(end(point).y)
            ),
        };
    }
    let bold = picture.dims && line.lit;
    let colour = if bold && line.tone == Tone::Failure {
        "#334155"
    } else {
        colour(line)
    };
    let dash = if line.tone == Tone::Denied {
        " stroke-dasharray=\"6 4\""
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<g{}><path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{}\"{dash}/>{}</g>",
        opacity(picture, line.lit),
        if bold { "3.2" } else { "1.6" },
        route.arrow.map_or_else(String::new, |arrow| head(arrow, colour)),
    );
}

fn head((tip, heading): (Point, Heading), colour: &str) -> String {
    let (long, half) = ARROW;
    let (one, other) = match heading {
        Heading::Down => ((-half, -long), (half, -long)),
        Heading::Up => ((-half, long), (half, long)),
        Heading::Left => ((long, -half), (long, half)),
    };
    format!(
        "<path d=\"M{} {}l{} {}L{} {}Z\" fill=\"{colour}\"/>",
        n(tip.x),
        n(tip.y),
        n(one.0),
        n(one.1),
        n(tip.x + other.0),
        n(tip.y + other.1)
    )
}

fn name_line(out: &mut String, picture: &Picture, line: &Line, route: &Route) {
    if line.label.is_empty() {
        return;
    }
    let words = label(line);
    let wide = width(&words, LABEL) + 8.0;
    let fill = if line.tone == Tone::Denied {
        "#b91c1c"
    } else {
        MUTED
    };
    let weight = if picture.dims && line.lit {
        " font-weight=\"700\""
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"15\" rx=\"4\" fill=\"#ffffff\" fill-opacity=\".92\"/>\
         <text{} x=\"{}\" y=\"{}\" font-size=\"{LABEL}\" text-anchor=\"middle\" fill=\"{fill}\"{weight}>{}</text>",
        n(route.label.x - wide / 2.0),
        n(route.label.y - 7.5),
        n(wide),
        opacity(picture, line.lit),
        n(route.label.x),
        n(route.label.y + 4.0),
        xml(&words)
    );
}

/// A length with at most one decimal.
fn n(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
