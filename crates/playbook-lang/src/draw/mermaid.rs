//! The picture as Mermaid text, for wikis and Markdown.

use std::fmt::Write as _;

use super::Taken;
use super::picture::{Look, Node, Picture, Tone};
use super::text::clean;
use crate::playbook::Playbook;

/// The colours of each look: outline and fill. The SVG has the same.
const CLASSES: [(&str, &str); 10] = [
    ("start", "fill:#0f172a,stroke:#0f172a,color:#ffffff"),
    (
        "verification",
        "fill:#eff6ff,stroke:#1d4ed8,stroke-width:2px,color:#0f172a",
    ),
    (
        "privileged",
        "fill:#fef2f2,stroke:#b91c1c,stroke-width:4px,color:#0f172a",
    ),
    (
        "delivery",
        "fill:#f0fdfa,stroke:#0f766e,stroke-width:2px,color:#0f172a",
    ),
    ("action", "fill:#f8fafc,stroke:#64748b,color:#0f172a"),
    (
        "ask",
        "fill:#f5f3ff,stroke:#7c3aed,stroke-width:2px,color:#0f172a",
    ),
    (
        "decision",
        "fill:#fefce8,stroke:#a16207,stroke-width:2px,color:#0f172a",
    ),
    ("wait", "fill:#f1f5f9,stroke:#475569,color:#0f172a"),
    (
        "resolved",
        "fill:#dcfce7,stroke:#15803d,stroke-width:2px,color:#0f172a",
    ),
    (
        "escalation",
        "fill:#ffedd5,stroke:#c2410c,stroke-width:2px,color:#0f172a",
    ),
];

/// The playbook as a Mermaid flow chart; with `taken`, the path of an execution in bold.
///
/// Every name is escaped: an author can write whatever they like and gets a label.
pub fn mermaid(playbook: &Playbook, taken: Option<&Taken>) -> String {
    let picture = Picture::of(playbook, taken);
    let mut out = format!(
        "---\ntitle: \"{} {}\"\n---\nflowchart TD\n",
        label(&picture.name),
        label(&picture.version)
    );
    let mut inside = vec![Vec::new(); picture.nodes.len()];
    let mut top = Vec::new();
    for (index, node) in picture.nodes.iter().enumerate() {
        match node.frame.and_then(|frame| inside.get_mut(frame)) {
            Some(members) => members.push(index),
            None => top.push(index),
        }
    }
    write_nodes(&mut out, &picture, &inside, &top);
    let _ = write_lines(&mut out, &picture);
    let _ = write_classes(&mut out, &picture);
    out
}

/// Frames are opened and closed with a list of what is still to be written, not with a call for each depth.
fn write_nodes(out: &mut String, picture: &Picture, inside: &[Vec<usize>], top: &[usize]) {
    let mut todo: Vec<Option<usize>> = top.iter().rev().map(|index| Some(*index)).collect();
    while let Some(next) = todo.pop() {
        let Some(index) = next else {
            out.push_str("  end\n");
            continue;
        };
        let Some(node) = picture.nodes.get(index) else {
            continue;
        };
        let text = words(node);
        let _ = match node.look {
            Look::Parallel => {
                todo.push(None);
                let members = inside.get(index).into_iter().flatten().rev();
                todo.extend(members.map(|member| Some(*member)));
                writeln!(out, "  subgraph n{index}[\"{text}\"]")
            }
            Look::Fork => writeln!(out, "  n{index}@{{ shape: fork }}"),
            Look::Start | Look::Resolved => writeln!(out, "  n{index}([\"{text}\"])"),
            Look::Verification => writeln!(out, "  n{index}(\"{text}\")"),
            Look::Privileged => writeln!(out, "  n{index}[[\"{text}\"]]"),
            Look::Delivery => writeln!(out, "  n{index}[/\"{text}\"/]"),
            Look::Action => writeln!(out, "  n{index}[\"{text}\"]"),
            Look::Ask => writeln!(out, "  n{index}>\"{text}\"]"),
            Look::Decision => writeln!(out, "  n{index}{{\"{text}\"}}"),
            Look::Wait => writeln!(out, "  n{index}[\\\"{text}\"/]"),
            Look::Escalation | Look::Unwritten => writeln!(out, "  n{index}{{{{\"{text}\"}}}}"),
        };
    }
}

fn words(node: &Node) -> String {
    let mut lines = vec![label(&node.title)];
    if node.look == Look::Privileged {
        lines.push("privileged".to_owned());
    }
    lines.extend(node.detail.as_deref().map(label));
    if node.planned {
        lines.push("(planned)".to_owned());
    }
    lines.extend(node.notes.iter().map(|note| label(note)));
    lines.join("<br/>")
}

fn write_lines(out: &mut String, picture: &Picture) -> std::fmt::Result {
    for line in &picture.lines {
        let arrow = match (picture.dims && line.lit, line.tone) {
            (true, _) => "==>",
            (false, Tone::Denied) => "-.->",
            (false, Tone::Plain | Tone::Failure) => "-->",
        };
        let (from, to) = (line.from, line.to);
        if line.label.is_empty() {
            writeln!(out, "  n{from} {arrow} n{to}")?;
        } else {
            writeln!(out, "  n{from} {arrow}|\"{}\"| n{to}", label(&line.label))?;
        }
    }
    for (index, line) in picture.lines.iter().enumerate() {
        let colour = match line.tone {
            _ if picture.dimmed(line.lit) => "stroke:#cbd5e1",
            Tone::Denied => "stroke:#b91c1c",
            Tone::Failure => "stroke:#94a3b8",
            Tone::Plain => continue,
        };
        writeln!(out, "  linkStyle {index} {colour}")?;
    }
    Ok(())
}

fn write_classes(out: &mut String, picture: &Picture) -> std::fmt::Result {
    for (class, style) in CLASSES {
        let members: Vec<String> = picture
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| self::class(node.look) == Some(class))
            .map(|(index, _)| format!("n{index}"))
            .collect();
        if !members.is_empty() {
            writeln!(
                out,
                "  classDef {class} {style}\n  class {} {class}",
                members.join(",")
            )?;
        }
    }
    let dimmed: Vec<String> = picture
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| picture.dimmed(node.lit) && class(node.look).is_some())
        .map(|(index, _)| format!("n{index}"))
        .collect();
    if !dimmed.is_empty() {
        writeln!(
            out,
            "  classDef dimmed opacity:0.35\n  class {} dimmed",
            dimmed.join(",")
        )?;
    }
    Ok(())
}

const fn class(look: Look) -> Option<&'static str> {
    Some(match look {
        Look::Start => "start",
        Look::Verification => "verification",
        Look::Privileged => "privileged",
        Look::Delivery => "delivery",
        Look::Action => "action",
        Look::Ask => "ask",
        Look::Decision => "decision",
        Look::Wait => "wait",
        Look::Resolved => "resolved",
        Look::Escalation | Look::Unwritten => "escalation",
        Look::Parallel | Look::Fork => return None,
    })
}

/// Safe between double quotes: everything that Mermaid, HTML or Markdown could take for its own becomes a number.
fn label(text: &str) -> String {
    let mut safe = String::new();
    for letter in clean(text).chars() {
        match letter {
            letter if letter.is_alphanumeric() => safe.push(letter),
            ' ' | '.' | ',' | ':' | '-' | '_' | '/' | '!' | '?' | '(' | ')' | '\u{2026}' => safe.push(letter),
            letter => {
                let _ = write!(safe, "#{};", u32::from(letter));
            }
        }
    }
    safe
}
