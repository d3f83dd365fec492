//! Figures against those that a person counts, and what holds for any tickets.

use proptest::prelude::*;

use super::*;

pub(crate) fn ticket(truth: Kind, said: Kind, confidence: f64) -> Measured {
    Measured {
        truth,
        automatable: None,
        said,
        confidence,
        automated: false,
        took: Duration::from_millis(10),
    }
}

/// Ten tickets that a person can count.
pub(crate) fn ten() -> Vec<Measured> {
    use Kind::{AccountUnlock, Other, PasswordReset, Printer};
    let mut tickets = vec![
        ticket(PasswordReset, PasswordReset, 0.99),
        ticket(PasswordReset, PasswordReset, 0.95),
        ticket(AccountUnlock, PasswordReset, 0.91),
        ticket(AccountUnlock, AccountUnlock, 0.85),
        ticket(Printer, Printer, 0.80),
        ticket(Printer, Printer, 0.75),
        ticket(Other, Other, 0.65),
        ticket(Other, Printer, 0.55),
        ticket(Other, Other, 0.45),
        ticket(PasswordReset, Other, 0.35),
    ];
    for (index, (ticket, ms)) in tickets.iter_mut().zip(1_u32..).enumerate() {
        ticket.automated = index < 5;
        ticket.took = Duration::from_millis(u64::from(ms));
    }
    tickets[1].automatable = Some(false);
    tickets
}

fn near(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-9, "{left} is not {right}");
}

#[test]
fn ten_tickets_are_counted_as_a_person_counts_them() {
    let figures = figures(&ten()).unwrap();
    assert_eq!((figures.accuracy.count, figures.accuracy.of), (7, 10));
    near(figures.accuracy.share, 0.7);
    assert!(figures.accuracy.low < 0.36 && figures.accuracy.high > 0.93);
    let of = |kind: Kind| *figures.kinds.iter().find(|of| of.kind == kind).unwrap();
    // 2 of 3 called so are; 2 of 3 that are were called so.
    near(of(Kind::PasswordReset).precision, 2.0 / 3.0);
    near(of(Kind::PasswordReset).recall, 2.0 / 3.0);
    near(of(Kind::AccountUnlock).precision, 1.0);
    near(of(Kind::AccountUnlock).recall, 0.5);
    near(of(Kind::Printer).f1, 0.8);
    near(of(Kind::Other).f1, 2.0 / 3.0);
    near(figures.macro_f1, (2.0 / 3.0 + 2.0 / 3.0 + 0.8 + 2.0 / 3.0) / 4.0);
    assert_eq!(figures.kinds.len(), 4, "kinds without tickets are no zeros");
    near(figures.precision_at_50, 0.8);
    near(figures.precision_at_80, 6.0 / 8.0);
    assert_eq!(
        figures.confusion[Kind::AccountUnlock.index()][Kind::PasswordReset.index()],
        1
    );
}

#[test]
fn a_wrong_automation_is_of_another_kind_or_not_fit_for_it() {
    let automation = figures(&ten()).unwrap().automation;
    assert_eq!((automation.coverage.count, automation.coverage.of), (5, 10));
    assert_eq!((automation.all.automated, automation.all.wrong), (5, 2));
    assert_eq!(
        (automation.privileged.automated, automation.privileged.wrong),
        (4, 2)
    );
    near(automation.all.bound, bound::upper(2, 5, 0.95));
    let none: Vec<Measured> = ten().into_iter().filter(|ticket| !ticket.automated).collect();
    let automation = figures(&none).unwrap().automation;
    near(automation.all.rate, 0.0);
    near(automation.all.bound, 1.0);
}

#[test]
fn what_is_out_of_scope_and_how_long_it_took_is_told() {
    let figures = figures(&ten()).unwrap();
    assert_eq!(
        (figures.out_of_scope.stayed.count, figures.out_of_scope.stayed.of),
        (2, 3)
    );
    assert_eq!(figures.out_of_scope.taken_for[0].kind, Kind::Printer);
    near(figures.latency.p50_ms, 5.0);
    near(figures.latency.p95_ms, 10.0);
    near(figures.latency.max_ms, 10.0);
}

#[test]
fn calibration_weighs_each_bin_by_its_tickets() {
    // Two at 0.25, one of them right; two at 1.0, both right.
    let tickets = [
        ticket(Kind::Other, Kind::Other, 0.25),
        ticket(Kind::Other, Kind::Printer, 0.25),
        ticket(Kind::Other, Kind::Other, 1.0),
        ticket(Kind::Other, Kind::Other, 1.0),
    ];
    let calibration = figures(&tickets).unwrap().calibration;
    near(calibration.error, 0.5 * 0.25);
    assert_eq!(calibration.bins.len(), 10);
    assert_eq!(calibration.bins[2].tickets, 2);
    assert_eq!(calibration.bins[9].tickets, 2, "1.0 belongs to the last bin");
}

#[test]
fn a_confidence_that_is_none_is_refused_rather_than_averaged() {
    for value in [f64::NAN, f64::INFINITY, 7.0, -0.1] {
        let mut tickets = ten();
        tickets[3].confidence = value;
        assert!(matches!(
            figures(&tickets),
            Err(MeasureError::Confidence { index: 3, .. })
        ));
    }
    assert_eq!(figures(&[]), Err(MeasureError::Nothing));
}

fn many() -> impl Strategy<Value = Vec<Measured>> {
    let kind = || prop::sample::select(Kind::ALL.to_vec());
    let one = (
        kind(),
        kind(),
        0.0..=1.0_f64,
        any::<bool>(),
        any::<Option<bool>>(),
    )
        .prop_map(|(truth, said, confidence, automated, automatable)| Measured {
            automatable,
            automated,
            ..ticket(truth, said, confidence)
        });
    prop::collection::vec(one, 1..120)
}

proptest! {
    #[test]
    fn every_ticket_is_counted_once(tickets in many()) {
        let figures = figures(&tickets).unwrap();
        let all = tickets.len() as u64;
        prop_assert_eq!(figures.confusion.iter().flatten().sum::<u64>(), all);
        prop_assert_eq!(figures.calibration.bins.iter().map(|bin| bin.tickets).sum::<u64>(), all);
        prop_assert_eq!(figures.kinds.iter().map(|kind| kind.support).sum::<u64>(), all);
        prop_assert_eq!(figures.kinds.iter().map(|kind| kind.said).sum::<u64>(), all);
        let diagonal: u64 = (0..10).map(|kind| figures.confusion[kind][kind]).sum();
        prop_assert_eq!(figures.accuracy.count, diagonal);
        let last = figures.curve.last().unwrap();
        prop_assert!((last.coverage - 1.0).abs() < 1e-12);
        prop_assert!((last.precision - figures.accuracy.share).abs() < 1e-12);
        prop_assert!(figures.curve.len() <= 100);
    }

    #[test]
    fn every_share_lies_in_its_interval_and_between_nought_and_one(tickets in many()) {
        let figures = figures(&tickets).unwrap();
        for share in [figures.accuracy, figures.automation.coverage, figures.out_of_scope.stayed] {
            prop_assert!(0.0 <= share.low && share.low <= share.share);
            prop_assert!(share.share <= share.high && share.high <= 1.0);
        }
        prop_assert!((0.0..=1.0).contains(&figures.macro_f1));
        prop_assert!((0.0..=1.0).contains(&figures.calibration.error));
        for passed in [figures.automation.all, figures.automation.privileged] {
            prop_assert!(passed.wrong <= passed.automated && passed.rate <= passed.bound);
        }
        prop_assert!(figures.automation.privileged.wrong <= figures.automation.all.wrong);
    }
}
