//! Clocks that are wrong: each process lives minutes before or behind the true time, which only the servers have; vendors
//! are behind it. What fakes it is `libfaketime`, put under a process by its environment.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use common::Service;
use launcher::{ServersError, SettingsMap};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::trouble::Replica;

/// Minutes matter: a service token lives for one.
const OFF_S: RangeInclusive<i64> = 60..=180;

/// Vendors are so far behind: further than what a poll looks at again, or a clock that is taken for theirs would not show.
const VENDORS_OFF_S: RangeInclusive<u64> = 180..=300;

/// How far the clock of every process is off, and that of vendors: a pure function of the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clocks {
    processes: Vec<(Replica, Service, Skew)>,
    vendors: Duration,
}

/// Seconds before the true time; behind it where negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skew(i64);

impl Clocks {
    /// Those of `seed`. The replicas of a service are on different sides of the true time.
    pub(super) fn of(seed: u64) -> Self {
        // Dice of its own: clocks change nothing else in the story of a seed.
        let mut rng = StdRng::seed_from_u64(seed);
        let processes = Service::ALL.into_iter().flat_map(|service| {
            let side = if rng.random() { 1 } else { -1 };
            Replica::BOTH.map(|replica| {
                let side = if replica == Replica::First { side } else { -side };
                (replica, service, Skew(side * rng.random_range(OFF_S)))
            })
        });
        Self {
            processes: processes.collect(),
            vendors: Duration::from_secs(rng.random_range(VENDORS_OFF_S)),
        }
    }

    /// Each process and how far it is off.
    pub(super) fn all(&self) -> &[(Replica, Service, Skew)] {
        &self.processes
    }

    /// How far the clock of vendors is behind.
    pub(super) fn vendors(&self) -> Duration {
        self.vendors
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.0 < 0 { "behind" } else { "ahead" };
        write!(to, "{} s {side}", self.0.abs())
    }
}

/// The library that fakes clocks.
#[derive(Debug, Clone)]
pub(super) struct Faker(PathBuf);

impl Faker {
    /// Find it, or have it installed.
    pub(super) fn found(say: &dyn Fn(&str)) -> Result<Self, ServersError> {
        launcher::servers::clock_faker(say).map(Self)
    }

    /// What goes into the environment of a process. Only the time of day is faked: timers go by the monotonic clock.
    pub(super) fn environment(&self, skew: Skew) -> SettingsMap {
        let pairs = [
            ("LD_PRELOAD", self.0.display().to_string()),
            ("FAKETIME", format!("{:+}", skew.0)),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Remove what the library leaves behind of a process that was killed: the next one with its number would stumble over it.
pub(super) fn tidy_after(process: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        // It is not there where the clock was not faked.
        let _ = std::fs::remove_file(format!("/dev/shm/{name}{process}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skew(clocks: &Clocks, replica: Replica, service: Service) -> i64 {
        let mut all = clocks.all().iter();
        let found = all.find(|(one, of, _)| (*one, *of) == (replica, service));
        found.expect("every process has a clock").2.0
    }

    #[test]
    fn clocks_are_a_function_of_the_seed() {
        assert_eq!(Clocks::of(7), Clocks::of(7));
        assert_ne!(Clocks::of(7), Clocks::of(8));
    }

    #[test]
    fn replicas_are_on_different_sides_of_the_true_time() {
        let firsts = (0..50).flat_map(|seed| {
            let clocks = Clocks::of(seed);
            Service::ALL.map(|service| {
                let [first, second] = Replica::BOTH.map(|replica| skew(&clocks, replica, service).signum());
                assert_eq!(first, -second, "{service}, seed {seed}");
                first
            })
        });
        let firsts: std::collections::BTreeSet<i64> = firsts.collect();
        assert_eq!(firsts.into_iter().collect::<Vec<_>>(), [-1, 1]);
    }

    #[test]
    fn every_clock_is_minutes_off_and_no_more_than_three() {
        for seed in 0..50 {
            for (replica, service, skew) in Clocks::of(seed).all() {
                assert!(OFF_S.contains(&skew.0.abs()), "{replica:?} {service}: {skew}");
            }
        }
    }

    #[test]
    fn the_library_is_told_on_which_side_it_is() {
        let faker = Faker("/faketime.so".into());
        assert_eq!(faker.environment(Skew(90))["FAKETIME"], "+90");
        assert_eq!(faker.environment(Skew(-90))["FAKETIME"], "-90");
    }
}
