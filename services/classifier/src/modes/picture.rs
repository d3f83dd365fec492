//! The report as a picture: one SVG document without scripts or fonts of its own, readable on light and on dark ground.

use std::fmt::Write as _;

use common::modes::{CalibrationBin, GateReport, PlaybookReport, ReportDay};

use super::page::escaped;

const WIDTH: u32 = 840;
const HEAD: u32 = 60;
/// One playbook.
const ROW: u32 = 250;
/// A plot: left edge of each, top within its row, size.
const CALIBRATION_LEFT: u32 = 300;
const TREND_LEFT: u32 = 580;
const PLOT_TOP: u32 = 54;
const PLOT_WIDTH: u32 = 230;
const PLOT_HEIGHT: u32 = 150;
/// Reasons that fit.
const MOST_REASONS: usize = 5;
/// Days that fit.
const MOST_DAYS: usize = 60;
/// A day is drawn no wider than this, or a few days look like many tickets.
const WIDEST_DAY: f64 = 24.0;
/// What the colours of the trend mean, and where each stands from the right edge.
const LEGEND: [(&str, &str, u32); 3] = [("g", "right", 190), ("r", "wrong", 130), ("n", "not judged", 70)];

const STYLE: &str = ".p{fill:#fff}text{font:13px system-ui,sans-serif;fill:#1f2328}.t{font-size:18px}.b{font-weight:600}.s{font-size:11px;\
fill:#59636e}.x{stroke:#818b98;fill:none}.d{stroke:#818b98;stroke-dasharray:4 4;fill:none}.g{fill:#1a7f37}.r{fill:#cf222e}.n{\
fill:#afb8c1}.e{text-anchor:end}.m{text-anchor:middle}@media(prefers-color-scheme:dark){.p{fill:#0d1117}text{fill:#f0f6fc}.s{fill:#9198a1}.g{fill:#3fb950}.r{fill:#f85149}.n{\
fill:#565e67}}";

/// Draw it.
pub fn svg(report: &GateReport) -> String {
    let rows = u32::try_from(report.playbooks.len()).unwrap_or(u32::MAX);
    let height = HEAD.saturating_add(rows.saturating_mul(ROW)).saturating_add(20);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Report of the gate\">\n<style>{STYLE}</style>\n<rect class=\"p\" width=\"100%\" height=\"100%\"/>\n"
    );
    let head = format!("The gate, {} to {}", report.since.date(), report.until.date());
    text(&mut svg, 20, 28, "t b", &head);
    let mostly = report.manual_without_playbook.first();
    let mostly = mostly.map_or_else(String::new, |reason| format!(" (mostly {})", reason.code));
    let seen = format!(
        "{} tickets decided on, {} of them without a playbook{mostly}",
        report.seen, report.without_playbook
    );
    text(&mut svg, 20, 48, "s", &seen);
    for (class, words, from_right) in LEGEND {
        let left = WIDTH - 20 - from_right;
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{left}\" y=\"39\" width=\"9\" height=\"9\"/>"
        );
        text(&mut svg, left + 13, 48, "s", words);
    }
    let mut top = HEAD;
    for playbook in &report.playbooks {
        row(&mut svg, top, playbook);
        top = top.saturating_add(ROW);
    }
    svg.push_str("</svg>\n");
    svg
}

fn row(svg: &mut String, top: u32, playbook: &PlaybookReport) {
    let _ = writeln!(
        svg,
        "<path class=\"x\" d=\"M20 {y}H{right}\"/>",
        y = top + 6,
        right = WIDTH - 20
    );
    text(svg, 20, top + 30, "b", playbook.playbook.as_str());
    text(svg, CALIBRATION_LEFT, top + 30, "s", "right, by confidence");
    let most = most(&playbook.trend);
    let head = if most > 0 {
        format!("would automate, by day: up to {most}")
    } else {
        "would automate, by day".to_owned()
    };
    text(svg, TREND_LEFT, top + 30, "s", &head);
    for (line, words) in (0_u32..).zip(facts(playbook)) {
        text(svg, 20, top + PLOT_TOP + line * 17, "", &words);
    }
    let manual = playbook.manual.iter().take(MOST_REASONS);
    for (line, reason) in (0_u32..).zip(manual) {
        let words = format!("{} {}", reason.count, reason.code);
        text(svg, 20, top + PLOT_TOP + 96 + line * 15, "s", &words);
    }
    calibration(svg, top + PLOT_TOP, &playbook.calibration);
    trend(svg, top + PLOT_TOP, &playbook.trend);
}

/// The numbers, in words.
fn facts(playbook: &PlaybookReport) -> Vec<String> {
    let mode = match &playbook.active {
        None => "not active".to_owned(),
        Some(active) if active.asked == active.effective => format!("{} ({})", active.asked, active.version),
        Some(active) => format!(
            "{}, asked for {} ({})",
            active.effective, active.asked, active.version
        ),
    };
    let judgement = &playbook.judgement;
    let precision = match (judgement.precision, judgement.lower_bound, judgement.upper_bound) {
        (Some(precision), Some(lower), Some(upper)) => {
            format!("precision {precision:.3} ({lower:.3} to {upper:.3})")
        }
        _ => "precision unknown".to_owned(),
    };
    let bar = playbook
        .active
        .as_ref()
        .map(|active| format!(", bar {}", active.bar));
    vec![
        mode + &bar.unwrap_or_default(),
        format!(
            "{} seen, {} would, {} did",
            playbook.seen, playbook.would_automate, playbook.automated
        ),
        precision,
        format!(
            "{} right, {} wrong, {} unclear",
            judgement.agreed, judgement.disagreed, judgement.unclear
        ),
    ]
}

fn frame(svg: &mut String, left: u32, top: u32) {
    let _ = writeln!(
        svg,
        "<rect class=\"x\" x=\"{left}\" y=\"{top}\" width=\"{PLOT_WIDTH}\" height=\"{PLOT_HEIGHT}\"/>"
    );
}

/// Bars of how many were right; on the dashed line, the classifier is as sure as it is right.
fn calibration(svg: &mut String, top: u32, bins: &[CalibrationBin]) {
    frame(svg, CALIBRATION_LEFT, top);
    let bottom = top + PLOT_HEIGHT;
    for bin in bins.iter().filter(|bin| bin.judged > 0) {
        let left = f64::from(CALIBRATION_LEFT) + bin.from * f64::from(PLOT_WIDTH);
        let width = (bin.to - bin.from) * f64::from(PLOT_WIDTH);
        let height = part(bin.agreed, bin.judged) * f64::from(PLOT_HEIGHT);
        let _ = writeln!(
            svg,
            "<rect class=\"g\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{:.1} to {:.1}: {} of \
             {} right</title></rect>",
            left + 2.0,
            f64::from(bottom) - height,
            width - 4.0,
            bin.from,
            bin.to,
            bin.agreed,
            bin.judged
        );
    }
    let right = CALIBRATION_LEFT + PLOT_WIDTH;
    // Above the bars, or those that reach beyond it would hide it.
    let _ = writeln!(
        svg,
        "<path class=\"d\" d=\"M{CALIBRATION_LEFT} {bottom}L{right} {top}\"/>"
    );
    if bins.iter().all(|bin| bin.judged == 0) {
        nothing(svg, CALIBRATION_LEFT, top, "nothing judged yet");
    }
    text(svg, CALIBRATION_LEFT, bottom + 14, "s", "0");
    text(svg, CALIBRATION_LEFT + PLOT_WIDTH, bottom + 14, "s e", "1");
}

fn trend(svg: &mut String, top: u32, days: &[ReportDay]) {
    frame(svg, TREND_LEFT, top);
    let days = days.get(days.len().saturating_sub(MOST_DAYS)..).unwrap_or(days);
    let (Some(first), Some(last), most @ 1..) = (days.first(), days.last(), most(days)) else {
        nothing(svg, TREND_LEFT, top, "nothing yet");
        return;
    };
    let step = f64::from(PLOT_WIDTH) / f64::from(u32::try_from(days.len()).unwrap_or(u32::MAX));
    let width = (step - 1.0).clamp(0.5, WIDEST_DAY);
    let bottom = top + PLOT_HEIGHT;
    let mut left = f64::from(TREND_LEFT);
    for day in days {
        let (wrong, open) = (
            day.judged.saturating_sub(day.agreed),
            day.would_automate.saturating_sub(day.judged),
        );
        let mut y = f64::from(bottom);
        for (class, count) in [("g", day.agreed), ("r", wrong), ("n", open)] {
            let height = part(count, most) * f64::from(PLOT_HEIGHT - 10);
            if count > 0 {
                y -= height;
                let _ = writeln!(
                    svg,
                    "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}: \
                     {count}</title></rect>",
                    left + (step - width) / 2.0,
                    width,
                    escaped(&day.day)
                );
            }
        }
        left += step;
    }
    text(svg, TREND_LEFT, bottom + 14, "s", &first.day);
    if last != first {
        text(svg, TREND_LEFT + PLOT_WIDTH, bottom + 14, "s e", &last.day);
    }
}

/// Of the days that fit.
fn most(days: &[ReportDay]) -> u64 {
    let days = days.get(days.len().saturating_sub(MOST_DAYS)..).unwrap_or(days);
    let would = days.iter().map(|day| day.would_automate);
    would.max().unwrap_or_default()
}

/// An empty plot says that it is meant to be.
fn nothing(svg: &mut String, left: u32, top: u32, words: &str) {
    text(
        svg,
        left + PLOT_WIDTH / 2,
        top + PLOT_HEIGHT / 2 - 8,
        "s m",
        words,
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts of tickets are far below 2^53")]
fn part(of: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { of as f64 / whole as f64 }
}

fn text(svg: &mut String, x: u32, y: u32, class: &str, words: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>",
        escaped(words)
    );
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::example;
    use super::*;

    #[test]
    fn the_picture_shows_each_playbook_and_runs_nothing() {
        let svg = svg(&example());
        insta::assert_snapshot!(svg);
        assert!(!svg.contains("<script") && !svg.contains("href"), "{svg}");
    }

    #[test]
    fn nothing_seen_is_a_picture_too() {
        let empty = GateReport {
            seen: 0,
            without_playbook: 0,
            manual_without_playbook: vec![],
            playbooks: vec![],
            ..example()
        };
        let svg = svg(&empty);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
