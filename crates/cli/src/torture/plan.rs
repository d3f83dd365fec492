//! What happens when: which ticket is filed by whom, how each person answers, which trouble begins and ends. A pure
//! function of the seed, so that a storm can be had again.

use std::time::Duration;

use common::Service;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use simulators::System;

use super::trouble::{Backing, Manner, Replica, Trouble, Victim, Weather};

/// What is asked for; the plan follows from it and the people alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orders {
    /// Everything random comes from it.
    pub(super) seed: u64,
    /// How long there is trouble.
    pub(super) storm: Duration,
    /// How many tickets are filed meanwhile.
    pub(super) tickets: u32,
}

/// The whole story, before it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Everybody's, by the order in which they were given.
    pub(super) habits: Vec<Habit>,
    /// Oldest first.
    pub(super) filings: Vec<Filing>,
    /// By their beginning.
    pub(super) spells: Vec<Spell>,
}

/// How a person answers, all through the storm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Habit {
    /// Who.
    pub(super) email: String,
    /// To a push on their phone.
    pub(super) push: OnPush,
    /// As a manager, to a card or a text.
    pub(super) asked: OnAsked,
    /// How long it takes them.
    pub(super) after: Duration,
}

/// To a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnPush {
    Approve,
    Deny,
    NoAnswer,
}

/// To a question about somebody else's ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnAsked {
    /// Approve the card.
    Approve,
    /// Approve the card, twice.
    ApproveTwice,
    /// Deny the card.
    Deny,
    /// Never look at Teams; approve the text.
    ApproveByText,
    /// Look at neither.
    NoAnswer,
}

/// A ticket to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filing {
    /// Since the beginning of the storm.
    pub(super) at: Duration,
    /// Whose address it comes from.
    pub(super) from: String,
    /// What they write.
    pub(super) summary: &'static str,
}

/// A trouble and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spell {
    /// Since the beginning of the storm.
    pub(super) begins: Duration,
    /// Never after the end of the storm.
    pub(super) ends: Duration,
    /// What it is.
    pub(super) trouble: Trouble,
}

/// What people write; most of it is what the fleet is for.
const SUMMARIES: [&str; 8] = [
    "I can't log in",
    "I forgot my password",
    "Please reset my password",
    "I cannot sign in, it says my password is wrong",
    "Need a new password for my account",
    "My password has expired and I am locked out of my mail",
    "My laptop screen is broken",
    "My colleague forgot his password, please reset it",
];

/// Kinds of trouble that take turns; of each lane there is one at a time, so that what they do to the same thing never
/// overlaps.
struct Lane {
    troubles: Vec<Trouble>,
    /// Milliseconds of quiet before each.
    quiet: std::ops::Range<u64>,
    /// Milliseconds that each lasts.
    lasts: std::ops::Range<u64>,
}

impl Plan {
    /// The story of `orders` among `people` (addresses).
    pub(super) fn of(orders: Orders, people: &[String]) -> Self {
        let mut rng = StdRng::seed_from_u64(orders.seed);
        let habits = people.iter().map(|email| habit(&mut rng, email)).collect();
        let mut filings: Vec<Filing> = (0..orders.tickets)
            .filter_map(|_| filing(&mut rng, orders.storm, people))
            .collect();
        filings.sort_by_key(|filing| filing.at);
        let mut spells: Vec<Spell> = lanes()
            .into_iter()
            .flat_map(|lane| lane.spells(&mut rng, orders.storm))
            .collect();
        spells.sort_by_key(|spell| spell.begins);
        Self {
            habits,
            filings,
            spells,
        }
    }
}

fn habit(rng: &mut StdRng, email: &str) -> Habit {
    // Most people do what they should; or the way behind a proof would hardly be tried.
    let push = match rng.random_range(0..10) {
        0 => OnPush::Deny,
        1..=3 => OnPush::NoAnswer,
        _ => OnPush::Approve,
    };
    let asked = match rng.random_range(0..10) {
        0 => OnAsked::Deny,
        1 => OnAsked::NoAnswer,
        2 | 3 => OnAsked::ApproveByText,
        4 | 5 => OnAsked::ApproveTwice,
        _ => OnAsked::Approve,
    };
    Habit {
        email: email.to_owned(),
        push,
        asked,
        after: Duration::from_millis(rng.random_range(50..2_000)),
    }
}

/// None where nobody works there.
fn filing(rng: &mut StdRng, storm: Duration, people: &[String]) -> Option<Filing> {
    Some(Filing {
        at: storm.mul_f64(rng.random_range(0.0..0.95)),
        from: people.choose(rng)?.clone(),
        summary: SUMMARIES.choose(rng)?,
    })
}

fn lanes() -> Vec<Lane> {
    let before = [Service::Classifier, Service::Playbook, Service::Verification];
    let behind = [Service::Orchestration, Service::Executor, Service::Delivery];
    let processes = [before, behind].map(|services| services.into_iter().flat_map(ends_of).collect());
    let processes = processes.into_iter().map(|troubles| Lane {
        troubles,
        quiet: 500..4_000,
        lasts: 100..2_500,
    });
    let backings = Lane {
        troubles: [Backing::Postgres, Backing::Redis].map(Trouble::Gone).to_vec(),
        quiet: 5_000..12_000,
        lasts: 300..3_000,
    };
    let manners = [
        Manner::FiveTimes,
        Manner::LastFirst,
        Manner::InBatches,
        Manner::Never,
    ];
    let webhooks = Lane {
        troubles: manners.map(Trouble::Webhooks).to_vec(),
        quiet: 500..3_000,
        lasts: 2_000..7_000,
    };
    let systems = [
        System::Halo,
        System::Entra,
        System::OpenAi,
        System::Teams,
        System::Twilio,
    ];
    let vendors = systems.map(|system| Lane {
        troubles: weathers()
            .map(|weather| Trouble::Struck(system, weather))
            .to_vec(),
        quiet: 1_500..6_000,
        lasts: 500..4_000,
    });
    let twice = Lane {
        troubles: vec![Trouble::PushedTwice],
        quiet: 3_000..9_000,
        lasts: 2_000..7_000,
    };
    processes
        .chain([backings, webhooks, twice])
        .chain(vendors)
        .collect()
}

/// How processes of a service end, while the other replica does its work or nobody does.
fn ends_of(service: Service) -> impl Iterator<Item = Trouble> {
    let one = Replica::BOTH.into_iter().flat_map(move |replica| {
        let victim = Victim::One(replica, service);
        [Trouble::Killed(victim), Trouble::Stopped(victim)]
    });
    one.chain([Trouble::Killed(Victim::Both(service))])
}

fn weathers() -> [Weather; 8] {
    [
        Weather::Down,
        Weather::Slow(1_500),
        Weather::Failing(500),
        Weather::Failing(503),
        Weather::Throttling(1),
        Weather::BreakingBefore,
        Weather::BreakingAfter,
        Weather::CuttingAnswers,
    ]
}

impl Lane {
    /// Each trouble once before any comes again.
    fn spells(self, rng: &mut StdRng, storm: Duration) -> Vec<Spell> {
        let mut spells = Vec::new();
        let mut deck: Vec<Trouble> = Vec::new();
        let mut clock = Duration::ZERO;
        loop {
            let begins = clock + Duration::from_millis(rng.random_range(self.quiet.clone()));
            clock = begins + Duration::from_millis(rng.random_range(self.lasts.clone()));
            if deck.is_empty() {
                deck.clone_from(&self.troubles);
                deck.shuffle(rng);
            }
            match deck.pop() {
                Some(trouble) if clock <= storm => spells.push(Spell {
                    begins,
                    ends: clock,
                    trouble,
                }),
                _ => return spells,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn orders(seed: u64) -> Orders {
        Orders {
            seed,
            storm: Duration::from_mins(2),
            tickets: 50,
        }
    }

    fn people() -> Vec<String> {
        ["adele", "alex", "megan"]
            .map(|name| format!("{name}@contoso.example"))
            .into()
    }

    #[test]
    fn the_plan_is_a_function_of_the_seed() {
        assert_eq!(Plan::of(orders(7), &people()), Plan::of(orders(7), &people()));
        assert_ne!(Plan::of(orders(7), &people()), Plan::of(orders(8), &people()));
    }

    #[test]
    fn all_trouble_is_over_when_the_storm_is() {
        let plan = Plan::of(orders(7), &people());
        let storm = orders(7).storm;
        assert!(
            plan.spells
                .iter()
                .all(|spell| spell.begins < spell.ends && spell.ends <= storm)
        );
        assert_eq!(plan.filings.len(), 50);
        assert!(plan.filings.iter().all(|filing| filing.at < storm));
    }

    #[test]
    fn two_minutes_hold_every_kind_of_trouble() {
        let plan = Plan::of(orders(7), &people());
        let seen: BTreeSet<String> = plan.spells.iter().map(|spell| spell.trouble.begun()).collect();
        let all = lanes().into_iter().flat_map(|lane| lane.troubles);
        let missing: Vec<String> = all
            .map(Trouble::begun)
            .filter(|trouble| !seen.contains(trouble))
            .collect();
        assert!(missing.is_empty(), "never happens: {missing:?}");
    }

    #[test]
    fn what_befalls_the_same_thing_never_overlaps() {
        let plan = Plan::of(orders(7), &people());
        for (index, one) in plan.spells.iter().enumerate() {
            for other in plan.spells.iter().skip(index + 1) {
                let same = match (one.trouble, other.trouble) {
                    (Trouble::Struck(one, _), Trouble::Struck(other, _)) => one == other,
                    (
                        Trouble::Killed(one) | Trouble::Stopped(one),
                        Trouble::Killed(other) | Trouble::Stopped(other),
                    ) => one.service() == other.service(),
                    (one, other) => std::mem::discriminant(&one) == std::mem::discriminant(&other),
                };
                assert!(!same || one.ends <= other.begins, "{one:?} and {other:?}");
            }
        }
    }
}
