//! Where a schedule comes from: a seed, or a script of choices that is followed as far as it goes. What was chosen is
//! kept, so that any schedule can be had again, and a shorter one tried.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// One choice: which, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) taken: usize,
    pub(super) of: usize,
}

/// Makes choices.
#[derive(Debug)]
pub(super) struct Choices {
    script: std::vec::IntoIter<usize>,
    /// Where the script ends: by these dice, or always the first.
    dice: Option<StdRng>,
    pub(super) made: Vec<Choice>,
}

impl Choices {
    /// Random, and the same for the same seed.
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            script: vec![].into_iter(),
            dice: Some(StdRng::seed_from_u64(seed)),
            made: vec![],
        }
    }

    /// As written, and after that always the first.
    pub(super) fn scripted(script: Vec<usize>) -> Self {
        Self {
            script: script.into_iter(),
            dice: None,
            made: vec![],
        }
    }

    /// One of `of`; the first is the one in which least happens out of the ordinary.
    pub(super) fn pick(&mut self, of: usize) -> usize {
        self.pick_rather(0, of)
    }

    /// As [`Self::pick`]; the dice prefer the first `some`, or what is under way would never get on.
    pub(super) fn pick_rather(&mut self, some: usize, of: usize) -> usize {
        if of <= 1 {
            return 0;
        }
        let taken = match (self.script.next(), &mut self.dice) {
            (Some(written), _) => written.min(of - 1),
            (None, Some(dice)) => {
                let of = if some > 0 && dice.random_bool(0.6) {
                    some
                } else {
                    of
                };
                dice.random_range(0..of)
            }
            (None, None) => 0,
        };
        self.made.push(Choice { taken, of });
        taken
    }
}
