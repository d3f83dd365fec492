//! `firstline gate report` and `firstline ticket review`: how the gate does, and whether it was right.

use std::path::Path;

use anyhow::Context as _;
use common::TicketId;
use common::client::PeerError;
use common::modes::{GateReport, Judgement, ManualReason, PlaybookReport, ReviewDecision};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::since::moment;
use crate::arguments::{Report, Review};
use crate::connect::Connection;
use crate::exit::{BadInput, Ending};
use crate::terminal;

/// Reasons that are told.
const MOST_REASONS: usize = 8;
/// Days that are told one by one; the picture shows more.
const MOST_DAYS: usize = 7;

pub(super) async fn run(command: &Report) -> anyhow::Result<Ending> {
    let Report {
        since,
        json,
        svg,
        fleet,
    } = command;
    let since = moment(since, OffsetDateTime::now_utc())?.format(&Rfc3339)?;
    let classifier = Connection::to(fleet).await?.classifier()?;
    if let Some(file) = svg {
        let picture = classifier.report_picture(Some(&since)).await?;
        write(file, &picture)?;
        terminal::line(&format!("the report is in {}", file.display()));
        return Ok(Ending::Well);
    }
    let report = classifier.report(Some(&since)).await?;
    if *json {
        terminal::line(&serde_json::to_string_pretty(&report)?);
    } else {
        for line in told(&report) {
            terminal::line(&line);
        }
    }
    Ok(Ending::Well)
}

fn write(file: &Path, picture: &str) -> anyhow::Result<()> {
    std::fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))
}

/// An operator's word on the decision on a ticket.
pub(crate) async fn review(command: &Review) -> anyhow::Result<Ending> {
    let Review {
        id,
        right,
        reason,
        fleet,
        ..
    } = command;
    let ticket: TicketId = id
        .parse()
        .map_err(|_| BadInput(format!("`{id}` is no number of a ticket")))?;
    let review = ReviewDecision {
        right: *right,
        reason: reason.clone(),
    };
    let classifier = Connection::to(fleet).await?.classifier()?;
    match classifier.review(&ticket, &review).await {
        Ok(reviewed) => {
            let word = if *right { "right" } else { "wrong" };
            terminal::line(&format!(
                "it is on record that {} was {word} for ticket {ticket}",
                reviewed.playbook
            ));
            Ok(Ending::Well)
        }
        Err(PeerError::Refused { problem, .. }) => {
            terminal::complain(&format!("{} ({})", problem.detail, problem.code));
            Ok(Ending::Findings)
        }
        Err(error) => Err(error.into()),
    }
}

/// The report in lines.
fn told(report: &GateReport) -> Vec<String> {
    let mut lines = vec![format!(
        "{} tickets decided on since {}, {} of them without a playbook",
        report.seen,
        report.since.date(),
        report.without_playbook
    )];
    because("  ", &report.manual_without_playbook, &mut lines);
    for playbook in &report.playbooks {
        lines.push(String::new());
        of_playbook(playbook, &mut lines);
    }
    lines
}

fn of_playbook(playbook: &PlaybookReport, lines: &mut Vec<String>) {
    lines.push(format!("{}: {}", playbook.playbook, mode(playbook)));
    if let Some(lost) = playbook
        .active
        .as_ref()
        .and_then(|active| active.fell_back.as_ref())
    {
        lines.push(format!(
            "  acts no more by itself since {}: {}",
            lost.at.date(),
            lost.reason
        ));
        lines.push(format!(
            "  to give it another try: firstline playbook activate {} {} --mode auto",
            playbook.playbook,
            playbook
                .active
                .as_ref()
                .map_or("VERSION", |active| active.version.as_str())
        ));
    }
    let coverage = playbook.coverage.map_or_else(String::new, |coverage| {
        format!(" ({:.0} % of them)", coverage * 100.0)
    });
    lines.push(format!(
        "  {} seen, {} would be automated{coverage}, {} were",
        playbook.seen, playbook.would_automate, playbook.automated
    ));
    lines.push(format!("  {}", precision(&playbook.judgement)));
    let bins = playbook.calibration.iter().filter(|bin| bin.judged > 0);
    for bin in bins {
        let mean = bin.mean_confidence.unwrap_or_default();
        lines.push(format!(
            "    confidence {:.1} to {:.1} (mean {mean:.2}): {} of {} right",
            bin.from, bin.to, bin.agreed, bin.judged
        ));
    }
    because("    ", &playbook.manual, lines);
    let newest = playbook.trend.len().saturating_sub(MOST_DAYS);
    for day in playbook.trend.iter().skip(newest) {
        lines.push(format!(
            "  {}: {} seen, {} would be automated, {} of {} judged were right",
            day.day, day.seen, day.would_automate, day.agreed, day.judged
        ));
    }
}

/// Why tickets were left to people.
fn because(indent: &str, reasons: &[ManualReason], lines: &mut Vec<String>) {
    let told = reasons.iter().take(MOST_REASONS);
    lines
        .extend(told.map(|reason| format!("{indent}left to people {} times: {}", reason.count, reason.code)));
}

fn mode(playbook: &PlaybookReport) -> String {
    let Some(active) = &playbook.active else {
        return "not active".to_owned();
    };
    let overridden = if active.overridden { ", overridden" } else { "" };
    let asked = if active.asked == active.effective {
        String::new()
    } else {
        format!(", asked for {}", active.asked)
    };
    format!(
        "{} {}{asked}{overridden}, bar {}",
        active.version, active.effective, active.bar
    )
}

fn precision(judgement: &Judgement) -> String {
    let Judgement {
        agreed,
        disagreed,
        unclear,
        ..
    } = judgement;
    match (judgement.precision, judgement.lower_bound, judgement.upper_bound) {
        (Some(precision), Some(lower), Some(upper)) => format!(
            "precision {precision:.3}, {lower:.3} to {upper:.3} (95 % each way): {agreed} right, {disagreed} wrong, \
             {unclear} unclear"
        ),
        _ => format!("precision unknown: nobody judged a ticket yet ({unclear} unclear)"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_report_reads_from_the_mode_to_the_last_day() {
        let report = json!({
            "since": "2026-10-29T12:00:00Z", "until": "2026-11-28T12:00:00Z", "seen": 160, "without_playbook": 40,
            "manual_without_playbook": [{"code": "no_active_playbook", "count": 40}],
            "playbooks": [
                {
                    "playbook": "password_reset",
                    "active": {
                        "version": "1.2", "asked": "auto", "effective": "suggest", "bar": 0.95, "overridden": false,
                        "fell_back": {
                            "at": "2026-11-27T08:00:00Z",
                            "reason": "24 of the newest 30 judged decisions were right: at most 0.926 with 99 % confidence, and the bar is 0.95",
                        },
                    },
                    "seen": 120, "would_automate": 90, "automated": 3,
                    "judgement": {
                        "agreed": 80, "disagreed": 2, "unclear": 5, "precision": 0.9756, "lower_bound": 0.9252,
                        "upper_bound": 0.9956,
                    },
                    "coverage": 0.75,
                    "manual": [{"code": "awaits_agent", "count": 87}, {"code": "below_threshold", "count": 28}],
                    "calibration": [
                        {"from": 0.8, "to": 0.9, "judged": 22, "agreed": 20, "mean_confidence": 0.85},
                        {"from": 0.9, "to": 1.0, "judged": 60, "agreed": 60, "mean_confidence": 0.95},
                        {"from": 0.7, "to": 0.8, "judged": 0, "agreed": 0},
                    ],
                    "trend": (20..28).map(|day| json!({
                        "day": format!("2026-11-{day}"), "seen": day, "would_automate": 3, "judged": 2, "agreed": 1,
                    })).collect::<Vec<_>>(),
                },
                {
                    "playbook": "unlock", "seen": 0, "would_automate": 0, "automated": 0,
                    "judgement": {"agreed": 0, "disagreed": 0, "unclear": 0}, "manual": [], "calibration": [],
                    "trend": [],
                },
            ],
        });
        let report: GateReport = serde_json::from_value(report).unwrap();
        insta::assert_snapshot!(told(&report).join("\n"));
    }
}
