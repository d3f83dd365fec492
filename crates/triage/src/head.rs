//! The head: what was learned from labelled tickets, and how sure it may be of what it says.

mod file;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Kind;
use crate::calibration::Temperature;
use crate::features::Features;
use crate::linear::{Linear, Row};
use crate::threshold::{NEVER, Threshold};
use crate::vocabulary::Vocabulary;
pub use file::NotAHead;
pub(crate) use file::rounded;

/// Classes of "whose account": somebody else's or nobody's in particular, and the requester's own.
pub(crate) const WHOSE: usize = 2;
/// The requester's own.
pub(crate) const OWN: usize = 1;

/// What a head was made of and what it is worth: stored with it, shown to whoever asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What it learned from: digests of labelled sets ([`crate::labelled::digest`]) and how many tickets each has.
    pub learned_from: Vec<Source>,
    /// Calibrates the kinds by words alone.
    pub words_at: Temperature,
    /// Calibrates the kinds by words and meaning together.
    pub kinds_at: Temperature,
    /// Calibrates whose account it is about.
    pub whose_at: Temperature,
    /// From how sure on a kind may go to the automation. A kind that is not here never does.
    pub thresholds: BTreeMap<Kind, Threshold>,
}

/// A set of labelled tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// SHA-256, hex.
    pub digest: String,
    /// How many.
    pub tickets: usize,
}

/// A classifier for the kinds of ticket: two views of a text, and whose account it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub(crate) card: Card,
    pub(crate) view: View,
}

/// What was learned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) vocabulary: Vocabulary,
    /// The kinds by words and pieces of words.
    pub(crate) words: Linear,
    /// The kinds by the meaning of the whole text.
    pub(crate) meaning: Linear,
    /// Whose account, by words.
    pub(crate) whose: Linear,
}

/// What a head makes of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The likeliest kind.
    pub kind: Kind,
    /// Calibrated probability of each kind, in the order of [`Kind::ALL`].
    pub kinds: Vec<f64>,
    /// Calibrated probability that it is plainly about the requester's own account. Means something for privileged kinds alone.
    pub own_account: f64,
    /// Whether its words alone were enough.
    pub by_words: bool,
}

impl Reading {
    /// Calibrated probability of the likeliest kind.
    pub fn confidence(&self) -> f64 {
        self.of(self.kind)
    }

    /// Calibrated probability of a kind.
    pub fn of(&self, kind: Kind) -> f64 {
        self.kinds.get(kind.index()).copied().unwrap_or(0.0)
    }

    /// How sure it is that the ticket may go to the automation of `kind`: that it is of this kind, and, where a mistake would be
    /// a breach, about the requester's own account. This is what thresholds are chosen and compared by.
    pub fn fitness(&self, kind: Kind) -> f64 {
        if kind.is_privileged() {
            self.of(kind) * self.own_account
        } else {
            self.of(kind)
        }
    }
}

impl Head {
    /// What it was made of.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Weigh a ticket. Its `meaning` ([`crate::learn::Lesson::meaning`]) is asked for only where its words leave room for doubt; where
    /// there is none to be had, the words decide. The same text, the same answer, on any machine.
    pub fn read(&self, subject: &str, body: &str, meaning: impl FnOnce() -> Option<Vec<f32>>) -> Reading {
        let (words, whose) = self.view.by_words(&Features::of(subject, body));
        Scores {
            words,
            whose,
            meaning: || meaning().map(|meaning| self.view.by_meaning(&meaning)),
        }
        .reading(&self.card.temperatures())
    }

    /// From how sure on ([`Reading::fitness`]) a ticket of `kind` may go to the automation; [`NEVER`] where nothing carries it.
    pub fn threshold(&self, kind: Kind) -> f64 {
        self.card
            .thresholds
            .get(&kind)
            .map_or(NEVER, |threshold| threshold.score)
    }
}

/// From here on, words are enough: asking for the meaning as well would cost a hundred times as much and change next to nothing.
const ENOUGH: f64 = 0.97;
/// How much the meaning's scores count against those of the words. Chosen on the held-out tickets.
const MEANING_COUNTS: f32 = 0.7;
/// A direction has a length of one, which is short beside a row of words: longer, it is penalised less.
const MEANING_LENGTH: f32 = 2.0;

/// What makes probabilities of scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Temperatures {
    pub(crate) words: Temperature,
    pub(crate) both: Temperature,
    pub(crate) whose: Temperature,
}

impl Card {
    pub(crate) fn temperatures(&self) -> Temperatures {
        Temperatures {
            words: self.words_at,
            both: self.kinds_at,
            whose: self.whose_at,
        }
    }
}

impl View {
    /// Scores of the kinds, and of whose account.
    pub(crate) fn by_words(&self, features: &Features) -> (Vec<f32>, Vec<f32>) {
        let row = self.vocabulary.row(features);
        (self.words.scores(&row), self.whose.scores(&row))
    }

    /// Scores of the kinds.
    pub(crate) fn by_meaning(&self, meaning: &[f32]) -> Vec<f32> {
        self.meaning.scores(&meaning_row(meaning))
    }
}

/// A direction as a row to learn from.
pub(crate) fn meaning_row(meaning: &[f32]) -> Row {
    meaning
        .iter()
        .enumerate()
        .map(|(at, part)| (at, MEANING_LENGTH * part))
        .collect()
}

/// Both views of a text added up.
pub(crate) fn together(words: &[f32], meaning: &[f32]) -> Vec<f32> {
    words
        .iter()
        .zip(meaning)
        .map(|(words, meaning)| words + MEANING_COUNTS * meaning)
        .collect()
}

/// What the views say of a text.
pub(crate) struct Scores<M> {
    pub(crate) words: Vec<f32>,
    pub(crate) whose: Vec<f32>,
    /// Scores of the kinds by meaning, where they are wanted and there are any.
    pub(crate) meaning: M,
}

impl<M: FnOnce() -> Option<Vec<f32>>> Scores<M> {
    pub(crate) fn reading(self, at: &Temperatures) -> Reading {
        let whose = at.whose.probabilities(&self.whose);
        let by_words = at.words.probabilities(&self.words);
        let sure = by_words.iter().any(|share| *share >= ENOUGH);
        let meaning = if sure { None } else { (self.meaning)() };
        let kinds = meaning.as_ref().map_or(by_words, |meaning| {
            at.both.probabilities(&together(&self.words, meaning))
        });
        Reading {
            kind: likeliest(&kinds),
            kinds,
            own_account: whose.get(OWN).copied().unwrap_or(0.0),
            by_words: meaning.is_none(),
        }
    }
}

/// The first of the greatest.
fn likeliest(kinds: &[f64]) -> Kind {
    let mut best = (Kind::Other, f64::NEG_INFINITY);
    for (kind, share) in Kind::ALL.into_iter().zip(kinds) {
        if *share > best.1 {
            best = (kind, *share);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labelled::Labelled;
    use crate::learn::{Lesson, Origin, learn};
    use crate::threshold::Risk;

    /// Tickets of three plain kinds, each a little different, with a meaning of their own.
    fn lessons() -> Vec<Lesson> {
        let floors = [
            "north wing",
            "south wing",
            "second floor",
            "depot",
            "ward four",
            "front desk",
        ];
        let said = [
            (Kind::Printer, "the printer is out of toner in the", None),
            (
                Kind::PasswordReset,
                "i forgot my password please reset my password, greetings from the",
                Some(true),
            ),
            (
                Kind::PasswordReset,
                "reset the password of the trainee in the",
                Some(false),
            ),
            (Kind::Other, "please order a new chair for the", None),
        ];
        let mut lessons = vec![];
        for round in 0..5_u8 {
            for floor in floors {
                for (kind, text, automatable) in said {
                    let ticket = Labelled {
                        id: None,
                        subject: String::new(),
                        body: format!("{text} {floor} {}", "thanks ".repeat(round.into())),
                        kind,
                        automatable,
                        row: 1,
                    };
                    let mut meaning = vec![0.0, 0.0, 0.0, 0.1];
                    meaning[kind.index() % 3] = 1.0;
                    lessons.push(Lesson { ticket, meaning });
                }
            }
        }
        lessons
    }

    fn head() -> Head {
        let lessons = lessons();
        learn(
            &lessons,
            &lessons,
            Origin::Queue,
            Risk {
                alpha: 0.1,
                delta: 0.1,
            },
        )
        .unwrap()
        .head
    }

    #[test]
    fn a_head_tells_kinds_and_whose_account_apart() {
        let head = head();
        let own = head.read("", "I forgot my password, please reset my password", || None);
        assert_eq!(own.kind, Kind::PasswordReset);
        let other = head.read("", "reset the password of the trainee", || None);
        assert!(
            own.own_account > 0.8 && other.own_account < 0.2,
            "{own:?} {other:?}"
        );
        let toner = head.read("toner", "printer", || None);
        assert_eq!(toner.kind, Kind::Printer);
        assert!(head.threshold(Kind::Printer) < NEVER);
        assert!((head.threshold(Kind::VpnNetwork) - NEVER).abs() < f64::EPSILON);
    }

    #[test]
    fn the_meaning_is_asked_for_only_where_words_leave_doubt() {
        let head = head();
        let sure = head.read("", "the printer is out of toner in the depot", || {
            panic!("the words were enough")
        });
        assert!(sure.by_words);
        let mut asked = false;
        let unsure = head.read("", "please reset the printer", || {
            asked = true;
            Some(vec![0.0, 0.0, 1.0, 0.1])
        });
        assert!(asked && !unsure.by_words);
        let without = head.read("", "please reset the printer", || None);
        assert!(without.by_words && unsure.of(Kind::Printer) > without.of(Kind::Printer));
    }

    #[test]
    fn a_head_is_the_same_after_a_file_and_a_damaged_file_is_refused() {
        let head = head();
        let bytes = head.to_bytes();
        assert_eq!(Head::from_bytes(&bytes).unwrap(), head);
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(matches!(Head::from_bytes(&changed), Err(NotAHead::Damaged(_))));
        assert!(matches!(
            Head::from_bytes(&bytes[..bytes.len() - 8]),
            Err(NotAHead::Damaged(_))
        ));
        assert!(matches!(Head::from_bytes(b"PK"), Err(NotAHead::Foreign)));
        assert!(matches!(
            Head::from_bytes(b"firstline head 1\n{}\n"),
            Err(NotAHead::Card(_))
        ));
    }

    #[test]
    fn too_few_tickets_teach_nothing() {
        let lessons = lessons();
        let risk = Risk {
            alpha: 0.1,
            delta: 0.1,
        };
        assert!(
            learn(&lessons, &lessons[..10], Origin::Queue, risk)
                .unwrap_err()
                .to_string()
                .contains("too few")
        );
        let printers: Vec<Lesson> = lessons
            .iter()
            .filter(|lesson| lesson.ticket.kind == Kind::Printer)
            .cloned()
            .cycle()
            .take(60)
            .collect();
        assert!(
            learn(&lessons, &printers, Origin::Queue, risk)
                .unwrap_err()
                .to_string()
                .contains("one category")
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]
        #[test]
        fn no_text_makes_it_panic_or_leave_the_scale(subject in ".{0,80}", body in ".{0,300}") {
            static HEAD: std::sync::LazyLock<Head> = std::sync::LazyLock::new(head);
            let reading = HEAD.read(&subject, &body, || None);
            proptest::prop_assert!((reading.kinds.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            proptest::prop_assert!((0.0..=1.0).contains(&reading.own_account));
        }
    }
}
