//! The figures as one picture: an SVG of its own that a browser, a wiki and a mail show alike.
//!
//! No script, no font, nothing from elsewhere. Light or dark as the reader's screen is; in print, light.

mod bars;
mod chart;
mod heat;
mod pen;

use pen::Pen;

use crate::measure::{Figures, Passed, Subject};
use crate::words::{self, decimal, interval, label, percent};

const WIDTH: f64 = 1120.0;
const MARGIN: f64 = 36.0;
/// Where the right half begins.
const RIGHT: f64 = 640.0;

/// Colours by what they say, each for a light and for a dark screen; the text on either is readable (4.5 : 1 or more).
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:#1b232d}\
.paper{fill:#ffffff}.card{fill:#f4f6f8}.muted{fill:#566170}.grid{stroke:#d5dae0}.axis{stroke:#8a94a1}\
.good{fill:#2563eb}.bad{fill:#d97706}.second{fill:#0d9488}.third{fill:#94a3b8}.line{stroke:#2563eb}.alarm{fill:#b42318}\
@media (prefers-color-scheme:dark){text{fill:#e7ebf0}.paper{fill:#10151b}.card{fill:#1a212a}.muted{fill:#a3adba}\
.grid{stroke:#303944}.axis{stroke:#77828f}.good{fill:#5b9bf8}.bad{fill:#f0a33a}.second{fill:#2cb5a8}.third{fill:#64748b}\
.line{stroke:#5b9bf8}.alarm{fill:#ff8a7a}}\
@media print{text{fill:#1b232d}.paper{fill:#ffffff}.card{fill:#f4f6f8}.muted{fill:#566170}.alarm{fill:#b42318}}";

/// All figures as one SVG. Every text that comes from outside is escaped.
pub fn svg(subject: &Subject, figures: &Figures) -> String {
    let mut pen = Pen::new();
    heading(&mut pen, subject, figures);
    tiles(&mut pen, figures);
    heat::draw(&mut pen, figures, MARGIN, 290.0);
    chart::coverage(&mut pen, figures, RIGHT, 290.0);
    chart::reliability(&mut pen, figures, RIGHT, 580.0);
    let left = bars::draw(&mut pen, figures, MARGIN, 894.0);
    let right = rest(&mut pen, figures, RIGHT, 894.0);
    let high = left.max(right) + MARGIN;
    let name = pen::escape(&words::subject(subject, figures.tickets));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{high}\" viewBox=\"0 0 {WIDTH} \
         {high}\" role=\"img\" aria-label=\"{name}\">\n<title>{name}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{}</svg>\n",
        pen.drawn()
    )
}

fn heading(pen: &mut Pen, subject: &Subject, figures: &Figures) {
    pen.text(MARGIN, 56.0, 24.0, "700", "", "How well tickets are told apart");
    let told = pen::fit(&words::subject(subject, figures.tickets), 130);
    pen.text(MARGIN, 82.0, 14.0, "400", "muted", &told);
    let data = words::unanswered(subject.unanswered)
        .unwrap_or_else(|| format!("data {}", subject.data.chars().take(16).collect::<String>()));
    pen.text(MARGIN, 104.0, 12.0, "400", "muted", &data);
}

fn tiles(pen: &mut Pen, figures: &Figures) {
    let automation = &figures.automation;
    let tiles = [
        (
            "accuracy",
            "",
            percent(figures.accuracy.share),
            interval(figures.accuracy),
        ),
        (
            "macro-F1",
            "",
            decimal(figures.macro_f1),
            "each kind alike".to_owned(),
        ),
        (
            "precision at 50 %",
            "",
            percent(figures.precision_at_50),
            format!("at 80 %: {}", percent(figures.precision_at_80)),
        ),
        (
            "calibration error",
            "",
            decimal(figures.calibration.error),
            "0 is honest".to_owned(),
        ),
        (
            "wrong automations",
            alarm(automation.all),
            words::wrong(automation.all),
            short_bound(automation.all),
        ),
        (
            "privileged ones",
            alarm(automation.privileged),
            words::wrong(automation.privileged),
            short_bound(automation.privileged),
        ),
    ];
    let wide = 164.0;
    let mut x = MARGIN;
    for (name, class, value, beside) in &tiles {
        pen.rect("card", x, 128.0, wide, 104.0, 8.0);
        pen.text(x + 14.0, 152.0, 12.0, "400", "muted", name);
        pen.text(x + 14.0, 188.0, 26.0, "700", class, value);
        pen.text(x + 14.0, 214.0, 12.0, "400", "muted", beside);
        x += wide + 12.8;
    }
}

const fn alarm(passed: Passed) -> &'static str {
    if passed.wrong > 0 { "alarm" } else { "" }
}

fn short_bound(passed: Passed) -> String {
    if passed.automated == 0 {
        "nothing is known".to_owned()
    } else {
        words::bound(passed)
    }
}

/// What is better read than drawn. Answers where it ends.
fn rest(pen: &mut Pen, figures: &Figures, x: f64, y: f64) -> f64 {
    let automation = &figures.automation;
    let latency = figures.latency;
    let scope = &figures.out_of_scope;
    let mut lines = vec![
        format!(
            "Automated: {} of {} tickets, {} ({})",
            automation.coverage.count,
            automation.coverage.of,
            percent(automation.coverage.share),
            interval(automation.coverage)
        ),
        format!(
            "Wrong among them: {}; {}",
            words::wrong(automation.all),
            words::bound(automation.all)
        ),
        format!(
            "Wrong privileged ones: {}; {}",
            words::wrong(automation.privileged),
            words::bound(automation.privileged)
        ),
        format!(
            "Time for a ticket: {:.1} ms at the median, 95 % within {:.1} ms",
            latency.p50_ms, latency.p95_ms
        ),
        format!("    the longest took {:.1} ms", latency.max_ms),
        format!(
            "Of no known kind and left so: {} of {}",
            scope.stayed.count, scope.stayed.of
        ),
    ];
    lines.extend(
        scope
            .taken_for
            .iter()
            .map(|taken| format!("    {} taken for {}", taken.tickets, label(taken.kind))),
    );
    pen.heading(x, y, "Automation, scope, time", "bounds and intervals at 95 %");
    let mut y = y + 54.0;
    for line in &lines {
        let detail = line.starts_with(' ');
        let (class, indent) = if detail { ("muted", 14.0) } else { ("", 0.0) };
        pen.text(x + indent, y, 13.0, "400", class, line.trim_start());
        y += 22.0;
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Unanswered, figures, tests::ten};

    fn subject(file: &str) -> Subject {
        Subject {
            files: vec![file.to_owned()],
            classifier: "embedded/2".to_owned(),
            data: "5a0c".to_owned(),
            folds: Some(5),
            unanswered: Unanswered::default(),
        }
    }

    #[test]
    fn the_picture_of_ten_tickets() {
        insta::assert_snapshot!(svg(&subject("tickets.csv"), &figures(&ten()).unwrap()));
    }

    #[test]
    fn the_name_of_a_file_is_text_and_nothing_runs() {
        let drawn = svg(
            &subject("<script>alert(1)</script>\"'&\u{1}.csv"),
            &figures(&ten()).unwrap(),
        );
        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(
            drawn.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"),
            "{drawn}"
        );
        assert!(
            !drawn.contains('\u{1}'),
            "XML has no place for control characters"
        );
        for elsewhere in ["href", "url(", "@import"] {
            assert!(!drawn.contains(elsewhere));
        }
    }
}
