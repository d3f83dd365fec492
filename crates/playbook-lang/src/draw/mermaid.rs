//! A picture as a Mermaid flowchart.

use std::fmt::Write as _;

use super::picture::{Arrow, Box, Look, Picture, Tone};

pub(super) fn written(picture: &Picture) -> String {
    let mut text = format!("---\ntitle: {}\n---\nflowchart TD\n", plain(&picture.title));
    for (index, shown) in picture.boxes.iter().enumerate() {
        let (open, close) = brackets(shown.look);
        let _ = writeln!(
            text,
            "    n{index}{open}\"{}\"{close}:::{}",
            inside(shown),
            class(shown.look)
        );
    }
    for arrow in &picture.arrows {
        let _ = writeln!(text, "    n{} {} n{}", arrow.from, line(arrow), arrow.to);
    }
    text.push_str(CLASSES);
    if picture.highlights {
        let taken: Vec<String> = picture
            .boxes
            .iter()
            .enumerate()
            .filter(|(_, shown)| shown.taken)
            .map(|(index, _)| format!("n{index}"))
            .collect();
        let _ = writeln!(
            text,
            "    classDef taken stroke-width:4px,stroke:#111\n    class {} taken",
            taken.join(",")
        );
        for (index, _) in picture.arrows.iter().enumerate().filter(|(_, arrow)| arrow.taken) {
            let _ = writeln!(text, "    linkStyle {index} stroke:#111,stroke-width:4px");
        }
    }
    text
}

const CLASSES: &str = "    classDef start fill:#111,color:#fff,stroke:#111
    classDef verification fill:#dbeafe,stroke:#1d4ed8
    classDef privileged fill:#fee2e2,stroke:#b91c1c,stroke-width:3px
    classDef delivery fill:#ede9fe,stroke:#6d28d9
    classDef action fill:#f8fafc,stroke:#64748b
    classDef ask fill:#ecfeff,stroke:#0e7490
    classDef decision fill:#fefce8,stroke:#a16207
    classDef wait fill:#f1f5f9,stroke:#475569
    classDef parallel fill:#e2e8f0,stroke:#334155
    classDef resolved fill:#dcfce7,stroke:#15803d
    classDef escalation fill:#ffedd5,stroke:#c2410c
";

const fn brackets(look: Look) -> (&'static str, &'static str) {
    match look {
        Look::Start => ("((", "))"),
        Look::Verification | Look::Ask => ("(", ")"),
        Look::Privileged => ("[[", "]]"),
        Look::Delivery => ("[/", "/]"),
        Look::Action | Look::Parallel => ("[", "]"),
        Look::Decision => ("{", "}"),
        Look::Wait => ("([", "])"),
        Look::Resolved => ("([", "])"),
        Look::Escalation => ("{{", "}}"),
    }
}

const fn class(look: Look) -> &'static str {
    match look {
        Look::Start => "start",
        Look::Verification => "verification",
        Look::Privileged => "privileged",
        Look::Delivery => "delivery",
        Look::Action => "action",
        Look::Ask => "ask",
        Look::Decision => "decision",
        Look::Wait => "wait",
        Look::Parallel => "parallel",
        Look::Resolved => "resolved",
        Look::Escalation => "escalation",
    }
}

fn inside(shown: &Box) -> String {
    let mut text = format!("<b>{}</b>", plain(&shown.title));
    for line in &shown.lines {
        let _ = write!(text, "<br/>{}", plain(line));
    }
    text
}

fn line(arrow: &Arrow) -> String {
    let label = arrow.labels.join(", ");
    let (open, close) = match arrow.tone {
        Tone::Good => ("--", "-->"),
        Tone::Bad | Tone::Denied => ("-.", ".->"),
    };
    if label.is_empty() {
        return close.to_owned();
    }
    format!("{open} \"{}\" {close}", plain(&label))
}

/// Mermaid reads markup and entities in labels; an author's text is neither.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .map(|letter| match letter {
            letter if letter.is_alphanumeric() || " _-.,:()/?!'+%=".contains(letter) => letter.to_string(),
            other => format!("#{};", u32::from(other)),
        })
        .collect()
}
