//! What draws: rectangles, lines and texts by the classes of the page's style.

use std::fmt::Write as _;

/// A drawing in the making.
pub(super) struct Pen(String);

impl Pen {
    pub(super) const fn new() -> Self {
        Self(String::new())
    }

    pub(super) fn drawn(self) -> String {
        self.0
    }

    /// Title of a part, and what it shows.
    pub(super) fn heading(&mut self, x: f64, y: f64, title: &str, beside: &str) {
        self.text(x, y, 16.0, "700", "", title);
        self.text(x, y + 20.0, 12.0, "400", "muted", beside);
    }

    pub(super) fn text(&mut self, x: f64, y: f64, size: f64, weight: &str, class: &str, text: &str) {
        self.anchored("start", x, y, size, weight, class, text);
    }

    pub(super) fn centred(&mut self, x: f64, y: f64, size: f64, weight: &str, class: &str, text: &str) {
        self.anchored("middle", x, y, size, weight, class, text);
    }

    pub(super) fn right(&mut self, x: f64, y: f64, size: f64, class: &str, text: &str) {
        self.anchored("end", x, y, size, "400", class, text);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "private: each is an attribute of the element"
    )]
    fn anchored(&mut self, anchor: &str, x: f64, y: f64, size: f64, weight: &str, class: &str, text: &str) {
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(" class=\"{class}\"")
        };
        let _ = writeln!(
            self.0,
            "<text{class} x=\"{}\" y=\"{}\" font-size=\"{size}\" font-weight=\"{weight}\" \
             text-anchor=\"{anchor}\">{}</text>",
            n(x),
            n(y),
            escape(text)
        );
    }

    /// A text that climbs to the right from its beginning.
    pub(super) fn slanted(&mut self, x: f64, y: f64, size: f64, text: &str) {
        let _ = writeln!(
            self.0,
            "<text class=\"muted\" font-size=\"{size}\" transform=\"translate({} {}) rotate(-40)\">{}</text>",
            n(x),
            n(y),
            escape(text)
        );
    }

    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, wide: f64, high: f64, round: f64) {
        self.tinted(class, x, y, wide, high, round, 1.0);
    }

    #[expect(clippy::too_many_arguments, reason = "each is an attribute of the element")]
    pub(super) fn tinted(
        &mut self,
        class: &str,
        x: f64,
        y: f64,
        wide: f64,
        high: f64,
        round: f64,
        strength: f64,
    ) {
        let _ = writeln!(
            self.0,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\" fill-opacity=\"{}\"/>",
            n(x),
            n(y),
            n(wide),
            n(high),
            n(round),
            n(strength)
        );
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64), dashed: bool) {
        let dashes = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            self.0,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{dashes}/>",
            n(from.0),
            n(from.1),
            n(to.0),
            n(to.1)
        );
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{},{}", n(*x), n(*y)))
            .collect();
        let _ = writeln!(
            self.0,
            "<polyline class=\"line\" fill=\"none\" stroke-width=\"2.5\" stroke-linejoin=\"round\" points=\"{}\"/>",
            points.join(" ")
        );
    }

    pub(super) fn dot(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let _ = writeln!(
            self.0,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            n(at.0),
            n(at.1),
            n(radius)
        );
    }
}

/// A number as short as a picture needs it.
fn n(value: f64) -> String {
    let written = format!("{value:.2}");
    written.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// For element and attribute alike; what XML does not allow at all is left out.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => {}
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// The beginning of a text, where it is longer than `letters`.
pub(super) fn fit(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(letters.saturating_sub(1)).collect();
    short.push('\u{2026}');
    short
}
