//! The report of the gate, added up from counted decisions. Pure.

use std::collections::{BTreeMap, BTreeSet};

use common::PlaybookName;
use common::modes::{
    ActiveMode, CalibrationBin, GateReport, Judgement, ManualReason, PlaybookReport, ReportDay, Verdict,
};
use time::{Date, OffsetDateTime};
use triage::bound::{lower, upper};

use super::standing::{CONFIDENCE, share};

/// Bins of confidence.
const BINS: usize = 10;

/// Decisions that are alike in all that the report tells apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The playbook that they name, where one fitted.
    pub playbook: Option<PlaybookName>,
    /// When, in UTC.
    pub day: Date,
    /// 0 to 9, by confidence.
    pub bin: usize,
    /// Nothing spoke against it but perhaps the mode.
    pub would_automate: bool,
    /// It was carried out.
    pub automated: bool,
    /// What people said of it.
    pub verdict: Option<Verdict>,
    /// So many.
    pub count: u64,
    /// The sum of their confidences.
    pub confidence: f64,
}

/// How often tickets of a playbook, or of none, were left to people for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasons {
    /// Which playbook, where one fitted.
    pub playbook: Option<PlaybookName>,
    /// The blocker's code.
    pub code: String,
    /// How often.
    pub count: u64,
}

/// Add it all up. `active`: the playbooks that are active now, by name.
pub fn build(
    since: OffsetDateTime,
    until: OffsetDateTime,
    cells: &[Cell],
    reasons: &[Reasons],
    active: &BTreeMap<PlaybookName, ActiveMode>,
) -> GateReport {
    let named: BTreeSet<&PlaybookName> = cells
        .iter()
        .filter_map(|cell| cell.playbook.as_ref())
        .chain(active.keys())
        .collect();
    let playbooks = named.into_iter().map(|name| {
        let of_it: Vec<&Cell> = cells
            .iter()
            .filter(|cell| cell.playbook.as_ref() == Some(name))
            .collect();
        playbook(name, active.get(name).cloned(), &of_it, reasons)
    });
    GateReport {
        since,
        until,
        seen: sum(cells, |_| true),
        without_playbook: sum(cells, |cell| cell.playbook.is_none()),
        manual_without_playbook: manual(None, reasons),
        playbooks: playbooks.collect(),
    }
}

fn playbook(
    name: &PlaybookName,
    active: Option<ActiveMode>,
    cells: &[&Cell],
    reasons: &[Reasons],
) -> PlaybookReport {
    let seen = sum(cells.iter().copied(), |_| true);
    let would_automate = sum(cells.iter().copied(), |cell| cell.would_automate);
    PlaybookReport {
        playbook: name.clone(),
        active,
        seen,
        would_automate,
        automated: sum(cells.iter().copied(), |cell| cell.automated),
        judgement: judgement(cells),
        coverage: share(would_automate, seen),
        manual: manual(Some(name), reasons),
        calibration: calibration(cells),
        trend: trend(cells),
    }
}

fn sum<'c>(cells: impl IntoIterator<Item = &'c Cell>, counts: impl Fn(&Cell) -> bool) -> u64 {
    let counted = cells.into_iter().filter(|cell| counts(cell));
    counted.map(|cell| cell.count).sum()
}

/// A decision in favour of which somebody said this.
fn said(cell: &Cell, verdict: Verdict) -> bool {
    cell.would_automate && cell.verdict == Some(verdict)
}

fn judged(cell: &Cell) -> bool {
    said(cell, Verdict::Agreed) || said(cell, Verdict::Disagreed)
}

fn judgement(cells: &[&Cell]) -> Judgement {
    let count = |verdict| sum(cells.iter().copied(), |cell| said(cell, verdict));
    let (agreed, disagreed) = (count(Verdict::Agreed), count(Verdict::Disagreed));
    let all = agreed + disagreed;
    let known = all > 0;
    Judgement {
        agreed,
        disagreed,
        unclear: count(Verdict::Unclear),
        precision: share(agreed, all),
        lower_bound: known.then(|| lower(agreed, all, CONFIDENCE)),
        upper_bound: known.then(|| upper(agreed, all, CONFIDENCE)),
    }
}

fn manual(name: Option<&PlaybookName>, reasons: &[Reasons]) -> Vec<ManualReason> {
    let mut manual: Vec<ManualReason> = reasons
        .iter()
        .filter(|reason| reason.playbook.as_ref() == name)
        .map(|reason| ManualReason {
            code: reason.code.clone(),
            count: reason.count,
        })
        .collect();
    manual.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
    manual
}

fn calibration(cells: &[&Cell]) -> Vec<CalibrationBin> {
    let edge = |at: usize| f64::from(u32::try_from(at).unwrap_or_default()) / 10.0;
    let bin = |at: usize| {
        let of_it: Vec<&Cell> = cells
            .iter()
            .copied()
            .filter(|cell| cell.bin == at && judged(cell))
            .collect();
        let all = sum(of_it.iter().copied(), |_| true);
        let confidence: f64 = of_it.iter().map(|cell| cell.confidence).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts of tickets are far below 2^53")]
        let mean_confidence = (all > 0).then(|| confidence / all as f64);
        CalibrationBin {
            from: edge(at),
            to: edge(at + 1),
            judged: all,
            agreed: sum(of_it, |cell| said(cell, Verdict::Agreed)),
            mean_confidence,
        }
    };
    (0..BINS).map(bin).collect()
}

fn trend(cells: &[&Cell]) -> Vec<ReportDay> {
    let mut days: BTreeMap<Date, Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        days.entry(cell.day).or_default().push(cell);
    }
    let day = |(day, cells): (Date, Vec<&Cell>)| ReportDay {
        day: day.to_string(),
        seen: sum(cells.iter().copied(), |_| true),
        would_automate: sum(cells.iter().copied(), |cell| cell.would_automate),
        judged: sum(cells.iter().copied(), judged),
        agreed: sum(cells.iter().copied(), |cell| said(cell, Verdict::Agreed)),
    };
    days.into_iter().map(day).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use common::Mode;
    use common::modes::Bar;
    use proptest::prelude::*;
    use time::macros::{date, datetime};

    use super::*;

    const SINCE: OffsetDateTime = datetime!(2026-10-29 00:00 UTC);
    const UNTIL: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    fn name(name: &str) -> PlaybookName {
        name.parse().unwrap()
    }

    fn cell(playbook: Option<&str>, day: Date, count: u64) -> Cell {
        Cell {
            playbook: playbook.map(name),
            day,
            bin: 9,
            would_automate: true,
            automated: false,
            verdict: None,
            count,
            confidence: 0.0,
        }
    }

    /// What the picture and the text are drawn of in tests.
    pub(crate) fn example() -> GateReport {
        let reset = |day, bin, verdict, count: u32| Cell {
            bin,
            verdict,
            confidence: f64::from(count) * (0.05 + f64::from(u32::try_from(bin).unwrap()) / 10.0),
            ..cell(Some("password_reset"), day, count.into())
        };
        let cells = [
            reset(date!(2026 - 11 - 25), 9, Some(Verdict::Agreed), 60),
            reset(date!(2026 - 11 - 25), 8, Some(Verdict::Disagreed), 2),
            reset(date!(2026 - 11 - 26), 8, Some(Verdict::Agreed), 20),
            reset(date!(2026 - 11 - 26), 9, Some(Verdict::Unclear), 5),
            Cell {
                automated: true,
                ..reset(date!(2026 - 11 - 27), 9, None, 3)
            },
            Cell {
                would_automate: false,
                ..reset(date!(2026 - 11 - 27), 4, Some(Verdict::Disagreed), 30)
            },
            cell(None, date!(2026 - 11 - 27), 40),
        ];
        let reset = Some("password_reset");
        let reasons = [
            (reset, "shadow_mode", 87),
            (reset, "below_threshold", 28),
            (reset, "touched_by_agent", 2),
            (None, "no_active_playbook", 31),
            (None, "ticket_type_not_admitted", 9),
        ]
        .map(|(playbook, code, count)| Reasons {
            playbook: playbook.map(name),
            code: code.to_owned(),
            count,
        });
        let mode = |asked, effective| ActiveMode {
            version: "1.2".parse().unwrap(),
            asked,
            effective,
            bar: Bar::default(),
            overridden: false,
            fell_back: None,
        };
        let active = [
            (name("password_reset"), mode(Mode::Shadow, Mode::Shadow)),
            (name("unlock"), mode(Mode::Auto, Mode::Suggest)),
        ];
        build(SINCE, UNTIL, &cells, &reasons, &active.into())
    }

    #[test]
    fn the_report_adds_up() {
        let report = example();
        assert_eq!((report.seen, report.without_playbook), (160, 40));
        let [reset, unlock] = report.playbooks.as_slice() else {
            panic!("two playbooks: {report:?}");
        };
        assert_eq!((reset.seen, reset.would_automate, reset.automated), (120, 90, 3));
        assert_eq!(reset.coverage, Some(0.75));
        let Judgement {
            agreed,
            disagreed,
            unclear,
            precision,
            lower_bound,
            upper_bound,
        } = reset.judgement;
        // What would not have been automated is no error of it.
        assert_eq!((agreed, disagreed, unclear), (80, 2, 5));
        assert_eq!(precision, Some(80.0 / 82.0));
        assert!(lower_bound < precision && precision < upper_bound);
        assert_eq!(reset.manual[0].code, "shadow_mode");
        assert_eq!(reset.calibration.len(), 10);
        assert_eq!(
            (reset.calibration[8].judged, reset.calibration[8].agreed),
            (22, 20)
        );
        assert_eq!(
            reset.trend.iter().map(|day| day.day.as_str()).collect::<Vec<_>>(),
            ["2026-11-25", "2026-11-26", "2026-11-27"]
        );
        assert_eq!(
            (unlock.seen, unlock.coverage, unlock.judgement.precision),
            (0, None, None)
        );
    }

    fn any_cell() -> impl Strategy<Value = Cell> {
        let verdict = prop_oneof![
            Just(None),
            Just(Some(Verdict::Agreed)),
            Just(Some(Verdict::Disagreed)),
            Just(Some(Verdict::Unclear)),
        ];
        let playbook = prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
        (playbook, 1_u8..28, 0_usize..10, any::<bool>(), verdict, 0_u64..50).prop_map(
            |(playbook, day, bin, would_automate, verdict, count)| Cell {
                bin,
                would_automate,
                verdict,
                ..cell(
                    playbook,
                    Date::from_calendar_date(2026, time::Month::November, day).unwrap(),
                    count,
                )
            },
        )
    }

    proptest! {
        #[test]
        fn every_decision_is_in_exactly_one_place(cells in proptest::collection::vec(any_cell(), 0..40)) {
            let report = build(SINCE, UNTIL, &cells, &[], &BTreeMap::new());
            let named: u64 = report.playbooks.iter().map(|playbook| playbook.seen).sum();
            prop_assert_eq!(report.seen, named + report.without_playbook);
            for playbook in &report.playbooks {
                let judged = playbook.judgement.agreed + playbook.judgement.disagreed;
                prop_assert!(playbook.would_automate <= playbook.seen);
                prop_assert_eq!(judged, playbook.calibration.iter().map(|bin| bin.judged).sum::<u64>());
                prop_assert_eq!(judged, playbook.trend.iter().map(|day| day.judged).sum::<u64>());
                prop_assert_eq!(playbook.seen, playbook.trend.iter().map(|day| day.seen).sum::<u64>());
            }
        }
    }
}
