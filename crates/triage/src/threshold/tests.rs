//! What the procedure promises, and what it says.

use proptest::prelude::*;

use super::*;

const RISK: Risk = Risk {
    alpha: 0.1,
    delta: 0.1,
};

fn right(score: f64) -> Scored {
    Scored { score, correct: true }
}

fn wrong(score: f64) -> Scored {
    Scored {
        score,
        correct: false,
    }
}

#[test]
fn too_little_data_means_never_and_says_how_much_there_must_be() {
    // 0.9^22 = 0.098 is the first below 0.1.
    let chosen = choose(&[right(0.9); 21], RISK, "digest").unwrap();
    assert_eq!((chosen.score, chosen.needed, chosen.held_out), (NEVER, 22, 21));
    assert_eq!(chosen.first, None);
    assert!(!chosen.admits(1.0));
    let chosen = choose(&[right(0.9); 22], RISK, "digest").unwrap();
    assert_eq!((chosen.score, chosen.passing), (0.9, 22));
    assert!(chosen.bound <= RISK.alpha);
    assert!(chosen.admits(0.9) && !chosen.admits(0.899) && !chosen.admits(f64::NAN));
}

#[test]
fn where_a_mistake_is_a_breach_half_as_many_are_borne() {
    let borne = |kind| RISK.of(kind);
    assert_eq!(borne(Kind::Printer), RISK);
    for kind in [Kind::PasswordReset, Kind::AccountUnlock, Kind::MfaReset] {
        assert_eq!(borne(kind), Risk { alpha: 0.05, ..RISK });
    }
}

#[test]
fn five_per_cent_at_ninety_five_needs_the_fifty_nine_of_the_books() {
    let risk = Risk {
        alpha: 0.05,
        delta: 0.05,
    };
    assert_eq!(needed(risk), 59);
    let risk = Risk {
        alpha: 0.01,
        delta: 0.05,
    };
    assert_eq!(needed(risk), 299);
}

#[test]
fn luck_below_a_failure_is_not_taken() {
    // Sure of 40, wrong in 12 of the next fifteen: more than alpha, and the many good ones below come too late.
    let mut tickets = vec![right(0.95); 40];
    tickets.extend([wrong(0.9); 12]);
    tickets.extend([right(0.8); 48]);
    let chosen = choose(&tickets, RISK, "").unwrap();
    assert_eq!((chosen.score, chosen.passing, chosen.errors), (0.95, 40, 0));
}

#[test]
fn one_error_among_the_surest_bars_nothing_where_there_are_many_tickets() {
    let mut tickets = vec![wrong(0.99)];
    tickets.extend((0_u32..149).map(|at| right(0.98 - f64::from(at) / 1_000.0)));
    let chosen = choose(&tickets, RISK, "").unwrap();
    assert_eq!(
        chosen.first,
        Some(Trial {
            passing: 52,
            errors: 1
        })
    );
    assert_eq!((chosen.held_out, chosen.errors), (150, 1));
    assert!(chosen.passing > 130, "{chosen:?}");
    // With few, the first test bears none.
    let chosen = choose(&tickets[..50], RISK, "").unwrap();
    assert_eq!(
        (chosen.score, chosen.first),
        (
            NEVER,
            Some(Trial {
                passing: 22,
                errors: 1
            })
        )
    );
}

#[test]
fn the_ranks_bear_one_more_error_each_and_begin_a_third_down() {
    let risk = Risk {
        alpha: 0.1,
        delta: 0.05,
    };
    assert!(ranks(28, risk).is_empty());
    assert_eq!(ranks(29, risk), [29_u64]);
    assert_eq!(ranks(90, risk), [46, 61, 76, 89]);
    assert_eq!(ranks(180, risk)[0], 61);
    // Where the only one lies before the third, it is that one.
    let strict = Risk {
        alpha: 0.1,
        delta: 1e-9,
    };
    assert_eq!(ranks(200, strict), [197]);
}

#[test]
fn equal_scores_pass_together_or_not_at_all() {
    let mut tickets = vec![right(0.9); 22];
    tickets.extend([wrong(0.9); 10]);
    let chosen = choose(&tickets, RISK, "").unwrap();
    assert_eq!((chosen.score, chosen.held_out), (NEVER, 32));
}

#[test]
fn what_is_no_risk_or_no_score_is_refused() {
    for risk in [
        Risk { alpha: 0.0, ..RISK },
        Risk { delta: 1.0, ..RISK },
        Risk {
            alpha: f64::NAN,
            ..RISK
        },
    ] {
        assert!(matches!(choose(&[], risk, ""), Err(ThresholdError::Risk { .. })));
    }
    for score in [f64::NAN, f64::INFINITY, 7.0, -0.1] {
        assert!(matches!(
            choose(&[right(0.5), right(score)], RISK, ""),
            Err(ThresholdError::Score { index: 1, .. })
        ));
    }
}

#[test]
fn the_record_is_read_back_as_it_was_written() {
    let chosen = choose(&[right(0.9); 40], RISK, "digest").unwrap();
    let written = serde_json::to_string(&chosen).unwrap();
    assert_eq!(serde_json::from_str::<Threshold>(&written).unwrap(), chosen);
    assert!(written.contains("\"alpha\":0.1"), "{written}");
    // A head that was learned before the first test was written down.
    let mut older: serde_json::Value = serde_json::from_str(&written).unwrap();
    older.as_object_mut().unwrap().remove("first");
    let older: Threshold = serde_json::from_value(older).unwrap();
    assert_eq!(
        older,
        Threshold {
            first: None,
            ..chosen
        }
    );
}

fn tickets() -> impl Strategy<Value = Vec<Scored>> {
    let ticket = (0_u32..16, prop::bool::weighted(0.95)).prop_map(|(score, correct)| Scored {
        score: f64::from(score) / 16.0,
        correct,
    });
    prop::collection::vec(ticket, 0..160)
}

/// The procedure as a sentence: of the scores at which a rank is reached, the lowest before which none fails.
fn by_trying_all(tickets: &[Scored], risk: Risk) -> f64 {
    let ranks = ranks(tickets.len() as u64, risk);
    let passing = |score: f64| tickets.iter().filter(move |ticket| ticket.score >= score);
    let good = |score: f64| {
        let errors = passing(score).filter(|ticket| !ticket.correct).count() as u64;
        bound::upper(errors, passing(score).count() as u64, 1.0 - risk.delta) <= risk.alpha
    };
    let strictest_first = (0..16).rev().map(|sixteenth| f64::from(sixteenth) / 16.0);
    strictest_first
        .filter(|score| {
            let (with, above) = (
                passing(*score).count() as u64,
                passing(*score + 0.01).count() as u64,
            );
            ranks.iter().any(|rank| (above + 1..=with).contains(rank))
        })
        .take_while(|score| good(*score))
        .fold(NEVER, f64::min)
}

proptest! {
    #[test]
    fn it_is_the_lowest_that_trying_all_finds(tickets in tickets(), alpha in 0.03..0.3_f64) {
        let risk = Risk { alpha, delta: 0.1 };
        let chosen = choose(&tickets, risk, "").unwrap();
        prop_assert!((chosen.score - by_trying_all(&tickets, risk)).abs() < 1e-12);
        if chosen.score < NEVER {
            prop_assert!(chosen.bound <= alpha);
            prop_assert!(chosen.passing >= chosen.needed);
        }
    }

    #[test]
    fn the_order_of_tickets_is_nothing_to_it(tickets in tickets()) {
        let mut turned = tickets.clone();
        turned.reverse();
        prop_assert_eq!(choose(&tickets, RISK, "").unwrap(), choose(&turned, RISK, "").unwrap());
    }

    #[test]
    fn how_many_are_needed_is_exact(alpha in 0.005..0.5_f64, delta in 0.001..0.5_f64) {
        let risk = Risk { alpha, delta };
        let needed = needed(risk);
        prop_assert!(holds(0, needed, risk));
        prop_assert!(needed == 1 || !holds(0, needed - 1, risk));
        let stricter = Risk { alpha: alpha / 2.0, delta };
        prop_assert!(super::needed(stricter) >= needed, "bearing less takes no less data");
    }
}

/// A generator of numbers that is the same everywhere.
fn numbers(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    }
}

/// Tickets whose scores are spread evenly over [0, 1), the rate of errors at each of them being known.
fn draw(next: &mut impl FnMut() -> f64, tickets: usize, rate: fn(f64) -> f64) -> Vec<Scored> {
    let mut ticket = || {
        let score = next() * 0.999;
        let correct = next() > rate(score);
        Scored { score, correct }
    };
    (0..tickets).map(|_| ticket()).collect()
}

/// Of many draws, the share whose threshold lets more than alpha through, and the share that has one at all.
fn broken(tickets: usize, (rate, above): Stream) -> (f64, f64) {
    const DRAWS: u32 = 200;
    let mut next = numbers(7 + tickets as u64);
    let (mut broken, mut some) = (0, 0);
    for _ in 0..DRAWS {
        let chosen = choose(&draw(&mut next, tickets, rate), RISK, "").unwrap();
        let admits = chosen.score < NEVER;
        some += u32::from(admits);
        broken += u32::from(admits && above(chosen.score) > RISK.alpha);
    }
    (
        f64::from(broken) / f64::from(DRAWS),
        f64::from(some) / f64::from(DRAWS),
    )
}

/// The rate of errors at a score, and among all of that score and more.
type Stream = (fn(f64) -> f64, fn(f64) -> f64);

/// What chance may add to `delta` in so many draws: three standard deviations.
const CHANCE: f64 = 0.064;

#[test]
fn over_many_draws_the_promise_is_broken_no_more_often_than_delta() {
    // Wrong a little more often than is borne, whatever the score: any threshold breaks it, and none is harder to tell.
    let flat: Stream = (|_| 0.1001, |_| 0.1001);
    // Errors fall linearly from 0.4 to 0, so that the rate above a score is 0.2 (1 - score).
    let linear: Stream = (|score| 0.4 * (1.0 - score), |score| 0.2 * (1.0 - score));
    // Good for the upper 0.3 only, which ends between two ranks: .02, and .5 below.
    let cliff: Stream = (
        |score| if score > 0.7 { 0.02 } else { 0.5 },
        |score| 0.02 + 0.48 * ((0.7 - score) / (1.0 - score)).max(0.0),
    );
    let mut most = 0.0_f64;
    for stream in [flat, linear, cliff] {
        for tickets in [30, 160] {
            let (share, _) = broken(tickets, stream);
            assert!(
                share <= RISK.delta + CHANCE,
                "{share} of draws with {tickets} tickets"
            );
            most = most.max(share);
        }
    }
    assert!(
        most > RISK.delta / 2.0,
        "what is never wrong lets less pass than it could: {most}"
    );
}

#[test]
fn a_few_wrong_labels_among_many_tickets_do_not_bar_a_kind() {
    // Wrong in four of a hundred from the surest on, as labels are. Were no error borne among the first 22, it would be .41.
    let (_, some) = broken(160, (|_| 0.04, |_| 0.04));
    assert!(some > 0.6, "{some}");
}
