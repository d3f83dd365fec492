//! A picture in its places as SVG.

use std::fmt::Write as _;

use super::layout::{HEAD, Layout, MOST_LETTERS, Placed, Way};
use super::picture::{Arrow, Box, Look, Picture, Tone};

pub(super) fn written(picture: &Picture, layout: &Layout) -> String {
    let (width, height) = (layout.width, layout.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\">\n<title>{}</title>\n{STYLE}\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        escaped(&picture.title)
    );
    let _ = write!(
        svg,
        "<text x=\"24\" y=\"32\" font-size=\"20\" font-weight=\"700\" fill=\"#0f172a\">{}</text>\n\
         <text x=\"24\" y=\"{}\" font-size=\"13\" fill=\"#475569\">{}</text>\n",
        escaped(&picture.title),
        HEAD - 16,
        escaped(&cut(&picture.description, 110))
    );
    // Pale ones first: what was taken lies on top.
    for taken in [false, true] {
        for (arrow, way) in picture.arrows.iter().zip(&layout.ways) {
            if arrow.taken == taken {
                draw_arrow(&mut svg, picture, arrow, way);
            }
        }
    }
    for (shown, place) in picture.boxes.iter().zip(&layout.boxes) {
        draw_box(&mut svg, picture, shown, *place);
    }
    for (arrow, way) in picture.arrows.iter().zip(&layout.ways) {
        draw_label(&mut svg, picture, arrow, way);
    }
    legend(&mut svg, picture, layout);
    svg.push_str("</svg>\n");
    svg
}

const STYLE: &str = "<defs>\
<marker id=\"good\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" fill=\"#334155\"/></marker>\
<marker id=\"bad\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" fill=\"#94a3b8\"/></marker>\
<marker id=\"denied\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" fill=\"#dc2626\"/></marker>\
</defs>";

/// Fill, border, width of the border.
const fn colours(look: Look) -> (&'static str, &'static str, u8) {
    match look {
        Look::Start => ("#0f172a", "#0f172a", 1),
        Look::Verification => ("#dbeafe", "#1d4ed8", 2),
        Look::Privileged => ("#fee2e2", "#b91c1c", 4),
        Look::Delivery => ("#ede9fe", "#6d28d9", 2),
        Look::Action => ("#f8fafc", "#64748b", 1),
        Look::Ask => ("#ecfeff", "#0e7490", 2),
        Look::Decision => ("#fefce8", "#a16207", 2),
        Look::Wait => ("#f1f5f9", "#475569", 1),
        Look::Parallel => ("#e2e8f0", "#334155", 3),
        Look::Resolved => ("#dcfce7", "#15803d", 2),
        Look::Escalation => ("#ffedd5", "#c2410c", 2),
    }
}

/// The outline of a box.
fn outline(look: Look, place: Placed) -> String {
    let Placed { x, y, width, height } = place;
    let (right, bottom) = (x + width, y + height);
    let (middle, half) = (x + width / 2, y + height / 2);
    match look {
        Look::Decision => format!("<path d=\"M{middle} {y}L{right} {half}L{middle} {bottom}L{x} {half}z\""),
        Look::Escalation => format!(
            "<path d=\"M{} {y}L{} {y}L{right} {half}L{} {bottom}L{} {bottom}L{x} {half}z\"",
            x + 16,
            right - 16,
            right - 16,
            x + 16
        ),
        Look::Delivery => format!(
            "<path d=\"M{} {y}L{right} {y}L{} {bottom}L{x} {bottom}z\"",
            x + 14,
            right - 14
        ),
        Look::Privileged | Look::Action | Look::Parallel => {
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\"")
        }
        Look::Verification | Look::Ask => {
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"14\"")
        }
        Look::Start | Look::Wait | Look::Resolved => format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{}\"",
            height / 2
        ),
    }
}

fn draw_box(svg: &mut String, picture: &Picture, shown: &Box, place: Placed) {
    let (fill, border, weight) = colours(shown.look);
    let pale = picture.highlights && !shown.taken;
    let opacity = if pale { " opacity=\"0.35\"" } else { "" };
    let weight = if picture.highlights && shown.taken {
        weight + 2
    } else {
        weight
    };
    let _ = write!(
        svg,
        "<g{opacity}><title>{}</title>{} fill=\"{fill}\" stroke=\"{border}\" stroke-width=\"{weight}\"/>",
        escaped(&told(shown)),
        outline(shown.look, place)
    );
    if shown.look == Look::Privileged {
        // A second border, so that privilege is seen without colours too.
        let inner = Placed {
            x: place.x + 5,
            y: place.y + 5,
            width: place.width - 10,
            height: place.height - 10,
        };
        let _ = write!(
            svg,
            "{} fill=\"none\" stroke=\"{border}\" stroke-width=\"1\"/>",
            outline(shown.look, inner)
        );
    }
    let ink = if shown.look == Look::Start {
        "#ffffff"
    } else {
        "#0f172a"
    };
    let lines = shown.lines.len();
    let middle = place.middle();
    let mut y = place.y + place.height / 2 + 5 - lines * 17 / 2;
    let _ = write!(
        svg,
        "<text x=\"{middle}\" y=\"{y}\" font-size=\"13\" font-weight=\"600\" text-anchor=\"middle\" fill=\"{ink}\">{}</text>",
        escaped(&cut(&shown.title, MOST_LETTERS))
    );
    for line in &shown.lines {
        y += 17;
        let strong = if line == "privileged" {
            " font-weight=\"700\""
        } else {
            ""
        };
        let _ = write!(
            svg,
            "<text x=\"{middle}\" y=\"{y}\" font-size=\"11\"{strong} text-anchor=\"middle\" fill=\"#334155\">{}</text>",
            escaped(&cut(line, MOST_LETTERS))
        );
    }
    svg.push_str("</g>\n");
}

/// What a pointer that rests on a box is told.
fn told(shown: &Box) -> String {
    let mut told = format!("{}: {}", shown.id, shown.look.meaning());
    if let Some(branch) = &shown.branch {
        let _ = write!(told, ", in branch {branch}");
    }
    told
}

fn draw_arrow(svg: &mut String, picture: &Picture, arrow: &Arrow, way: &Way) {
    let (colour, marker, dash) = match arrow.tone {
        Tone::Good => ("#334155", "good", ""),
        Tone::Bad => ("#94a3b8", "bad", ""),
        Tone::Denied => ("#dc2626", "denied", " stroke-dasharray=\"6 4\""),
    };
    let pale = picture.highlights && !arrow.taken;
    let opacity = if pale { " opacity=\"0.35\"" } else { "" };
    let weight = if picture.highlights && arrow.taken {
        "4"
    } else {
        "1.6"
    };
    let _ = writeln!(
        svg,
        "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{weight}\"{dash}{opacity} marker-end=\"url(#{marker})\"/>",
        curve(&way.points)
    );
}

/// A smooth line: between two points it leaves and arrives upright.
fn curve(points: &[(usize, usize)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        match index.checked_sub(1).and_then(|before| points.get(before)) {
            None => {
                let _ = write!(path, "M{x} {y}");
            }
            Some((_, before_y)) if before_y == y => {
                let _ = write!(path, "L{x} {y}");
            }
            Some((before_x, before_y)) => {
                let half = usize::midpoint(*before_y, *y);
                let _ = write!(path, "C{before_x} {half} {x} {half} {x} {y}");
            }
        }
    }
    path
}

/// The label stands near the box that the arrow leaves, where ways have not yet met others.
fn draw_label(svg: &mut String, picture: &Picture, arrow: &Arrow, way: &Way) {
    let (Some((x, y)), Some((to_x, to_y))) = (way.points.first(), way.points.get(1)) else {
        return;
    };
    if arrow.labels.is_empty() {
        return;
    }
    let text = cut(&arrow.labels.join(", "), 40);
    let (from, to) = ((*x, *y), (*to_x, *to_y));
    // A third of the way: several arrows leave one box at one point and have parted by then.
    let along = |a: usize, b: usize| {
        if a <= b {
            a + (b - a) * 2 / 5
        } else {
            a - (a - b) * 2 / 5
        }
    };
    let (x, y) = (along(from.0, to.0), along(from.1, to.1));
    let colour = match arrow.tone {
        Tone::Good => "#334155",
        Tone::Bad => "#64748b",
        Tone::Denied => "#dc2626",
    };
    let pale = picture.highlights && !arrow.taken;
    let opacity = if pale { " opacity=\"0.45\"" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"11\" text-anchor=\"middle\" fill=\"{colour}\" stroke=\"#ffffff\" stroke-width=\"4\" \
         paint-order=\"stroke\"{opacity}>{}</text>",
        escaped(&text)
    );
}

/// What the looks mean: those that occur.
fn legend(svg: &mut String, picture: &Picture, layout: &Layout) {
    let mut looks: Vec<Look> = Vec::new();
    for shown in &picture.boxes {
        if shown.look != Look::Start && !looks.contains(&shown.look) {
            looks.push(shown.look);
        }
    }
    let (mut x, mut y) = (24, layout.height - 46);
    for look in looks {
        let meaning = look.meaning();
        let width = 44 + meaning.chars().count() * 7;
        if x + width > layout.width {
            (x, y) = (24, y + 24);
        }
        let (fill, border, weight) = colours(look);
        let sample = Placed {
            x,
            y: y - 11,
            width: 30,
            height: 15,
        };
        let shape = match look {
            // Too small for a point at each side.
            Look::Escalation | Look::Delivery | Look::Decision => {
                format!("<path d=\"M{} {}l15 -7.5l15 7.5l-15 7.5z\"", x, y - 4)
            }
            look => outline(look, sample),
        };
        let _ = writeln!(
            svg,
            "{shape} fill=\"{fill}\" stroke=\"{border}\" stroke-width=\"{}\"/><text x=\"{}\" y=\"{y}\" font-size=\"11\" fill=\"#475569\">{meaning}</text>",
            weight.min(3),
            x + 36
        );
        x += width;
    }
}

/// An author's text, as text.
fn escaped(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).fold(
        String::with_capacity(text.len()),
        |mut escaped, letter| {
            match letter {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                // XML has no place for these, escaped or not.
                '\u{fffe}' | '\u{ffff}' => {}
                other => escaped.push(other),
            }
            escaped
        },
    )
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
