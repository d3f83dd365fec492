//! Circuit breakers: while something is away that steps need, one call at a time finds out when it is back, and the rest waits.
//!
//! Each thing that can be away has a breaker of its own: an outside system, which several actions may stand on, and each step
//! service. A service says that an outside system is away, by its name, and that nothing was done; that the service itself is
//! away shows by itself. Which action stands on what is learned from what services say. From then on calls are parked without
//! being made, all but one probe now and then. When a probe gets an answer, what was parked for its sake goes on at once.
//! Every replica has its own breakers: they only save calls, and nothing depends on their memory.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::{ActionName, Service};

/// A probe that has not come back for so long was lost; the next call is one.
const LONGEST_PROBE: Duration = Duration::from_secs(35);
/// What is parked without having been asked looks again by itself after about this long, should nobody wake it.
const BY_ITSELF: Duration = Duration::from_mins(1);
/// A step service that cannot be reached is most likely being restarted, and is asked again this soon: by whoever found it
/// away, whose call the machine repeats about then.
const RESTART: Duration = Duration::from_secs(2);
/// However long something wants to be left alone, it is asked this often, as the machine does.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// Systems that one action may name. A service that makes up more is taken at its word no longer.
const MOST_SYSTEMS: usize = 8;
/// The longest name of a system.
const LONGEST_NAME: usize = 64;

/// Something that calls of an action stand on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Behind {
    /// The step service itself.
    Service(String),
    /// An outside system. The fleet's own services mean the same by the same name; a customer's is known by its service, too.
    System(String),
    /// Whatever it is: the service did not name it.
    Unnamed(ActionName),
}

impl Behind {
    fn service(action: &ActionName) -> Self {
        Self::Service(action.service().to_owned())
    }

    fn system(action: &ActionName, name: &str) -> Self {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let service = action.service();
        if service.parse::<Service>().is_ok() {
            Self::System(name)
        } else {
            Self::System(format!("{service}: {name}"))
        }
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "the service {name}"),
            Self::System(name) => f.write_str(name),
            Self::Unnamed(action) => write!(f, "what {action} stands on"),
        }
    }
}

/// What became of a call says this of what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It was answered: all of it is there.
    There,
    /// The service is there; of what it needs nobody knows.
    ServiceThere,
    /// The service cannot be reached, or is not ready for anybody.
    ServiceAway {
        /// As it said, or whatever stands before it.
        retry_after: Option<Duration>,
    },
    /// The service is there, and something that it needs is away.
    OutsideAway {
        /// What, where the service has a name for it.
        system: Option<String>,
        /// As it said.
        retry_after: Option<Duration>,
        /// What is away, for people.
        explanation: String,
    },
    /// It says nothing: the answer was lost.
    Nothing,
}

/// A breaker that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    /// Until then no call goes out; whoever comes after it is the probe.
    until: Instant,
    /// How long it is left alone after it was found away.
    pause: Duration,
    /// The call that finds out is out.
    probing: bool,
    /// What is away, for the ticket.
    explanation: String,
    /// Actions whose calls found it away, or did not go out: they are woken when it is back.
    missed_by: BTreeSet<ActionName>,
}

impl Open {
    /// Whether a call goes out all the same. A row's timer and this clock agree only roughly: who was told to come back then
    /// is not sent away for a moment.
    fn lets_through(&self, now: Instant) -> bool {
        now + self.pause / 4 >= self.until
    }
}

/// Whether a call may go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may.
    Go,
    /// It would be in vain.
    Blocked {
        /// For about this long, unless somebody wakes it.
        wait: Duration,
        /// Why, for the ticket.
        explanation: String,
    },
}

/// The breakers of everything that steps stand on.
#[derive(Debug)]
pub(crate) struct Breakers {
    known: Mutex<Known>,
    /// How long an outside system is left alone after it was found away, unless it asks for longer.
    probe: Duration,
}

/// What is known of it.
#[derive(Debug, Default)]
struct Known {
    open: HashMap<Behind, Open>,
    /// What each action was found to stand on, beside its service.
    stands_on: HashMap<ActionName, BTreeSet<Behind>>,
}

impl Known {
    /// Everything that calls of `action` stand on, as far as we know.
    fn behind(&self, action: &ActionName) -> Vec<Behind> {
        let learned = self.stands_on.get(action).into_iter().flatten().cloned();
        std::iter::once(Behind::service(action)).chain(learned).collect()
    }

    /// What an action stands on that misses something of this name.
    fn learn(&mut self, action: &ActionName, system: Option<&str>) -> Behind {
        let learned = self.stands_on.entry(action.clone()).or_default();
        let named = system.map(|name| Behind::system(action, name));
        let named = named.filter(|named| learned.contains(named) || learned.len() < MOST_SYSTEMS);
        let behind = named.unwrap_or_else(|| Behind::Unnamed(action.clone()));
        learned.insert(behind.clone());
        behind
    }

    fn open(&mut self, behind: Behind, action: &ActionName, found: Open) {
        let label = behind.to_string();
        if let Some(open) = self.open.get_mut(&behind) {
            // A call that went out before says less than what was said since.
            let until = if open.probing {
                found.until
            } else {
                open.until.max(found.until)
            };
            open.missed_by.insert(action.clone());
            let missed_by = std::mem::take(&mut open.missed_by);
            *open = Open {
                until,
                missed_by,
                ..found
            };
        } else {
            tracing::warn!(behind = label, %action, "it is away: calls are parked, and one at a time finds out when it is back");
            metrics::gauge!("firstline_circuits_open", "behind" => label).set(1.0);
            self.open.insert(behind, found);
        }
    }

    /// It is there: who missed it.
    fn close(&mut self, behind: &Behind) -> BTreeSet<ActionName> {
        let Some(open) = self.open.remove(behind) else {
            return BTreeSet::new();
        };
        let label = behind.to_string();
        tracing::info!(behind = label, "it is back");
        metrics::gauge!("firstline_circuits_open", "behind" => label).set(0.0);
        open.missed_by
    }

    /// A call that stands on these came to nothing: where it was the probe, another one is due.
    fn probe_again(&mut self, behind: &[Behind], now: Instant) {
        for behind in behind {
            if let Some(open) = self.open.get_mut(behind).filter(|open| open.probing) {
                open.until = now + open.pause;
                open.probing = false;
            }
        }
    }
}

impl Breakers {
    /// All closed.
    pub(crate) fn new(probe: Duration) -> Self {
        Self {
            known: Mutex::default(),
            probe,
        }
    }

    /// Whether a call of `action` may go out now. `chance` (0 to 1) spreads those that may not.
    pub(crate) fn gate(&self, action: &ActionName, now: Instant, chance: f64) -> Gate {
        let mut known = self.lock();
        let behind = known.behind(action);
        let open = || behind.iter().filter_map(|behind| known.open.get(behind));
        let away = open()
            .filter(|open| !open.lets_through(now))
            .max_by_key(|open| open.until);
        let blocked = away.map(|away| Gate::Blocked {
            wait: away.until.saturating_duration_since(now) + BY_ITSELF.mul_f64(0.5 + chance.clamp(0.0, 1.0)),
            explanation: away.explanation.clone(),
        });
        for behind in &behind {
            let Some(open) = known.open.get_mut(behind) else {
                continue;
            };
            open.missed_by.insert(action.clone());
            if blocked.is_none() {
                (open.until, open.probing) = (now + LONGEST_PROBE, true);
            }
        }
        blocked.unwrap_or(Gate::Go)
    }

    /// A call of `action` came to this: the actions whose parked calls may go on because of it.
    pub(crate) fn saw(&self, action: &ActionName, sign: &Sign, now: Instant) -> BTreeSet<ActionName> {
        let mut known = self.lock();
        let (service, behind) = (Behind::service(action), known.behind(action));
        match sign {
            Sign::There => behind.iter().flat_map(|behind| known.close(behind)).collect(),
            Sign::ServiceThere => {
                known.probe_again(&behind, now);
                known.close(&service)
            }
            Sign::ServiceAway { retry_after } => {
                let explanation = format!("The service `{}` does not answer.", action.service());
                let found = found(action, *retry_after, RESTART, explanation, now);
                known.open(service, action, found);
                known.probe_again(&behind, now);
                BTreeSet::new()
            }
            Sign::OutsideAway {
                system,
                retry_after,
                explanation,
            } => {
                let outside = known.learn(action, system.as_deref());
                let found = found(action, *retry_after, self.probe, explanation.clone(), now);
                known.open(outside, action, found);
                known.probe_again(&behind, now);
                known.close(&service)
            }
            Sign::Nothing => {
                known.probe_again(&behind, now);
                BTreeSet::new()
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Away, and left alone for `pause`, or as long as it asks.
fn found(
    action: &ActionName,
    retry_after: Option<Duration>,
    pause: Duration,
    explanation: String,
    now: Instant,
) -> Open {
    Open {
        until: now + retry_after.unwrap_or_default().min(LONGEST_PAUSE).max(pause),
        pause,
        probing: false,
        explanation,
        missed_by: BTreeSet::from([action.clone()]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROBE: Duration = Duration::from_secs(10);
    const RESET: &str = "executor.reset_password";
    const DELETE: &str = "executor.delete_pass";
    const MFA: &str = "verification.mfa";
    const SMS: &str = "delivery.sms";
    const LOOK_UP: &str = "cmdb.look_up";

    fn action(name: &str) -> ActionName {
        name.parse().unwrap()
    }

    fn actions(names: &[&str]) -> BTreeSet<ActionName> {
        names.iter().map(|name| action(name)).collect()
    }

    fn away(system: Option<&str>, retry_after: Option<Duration>) -> Sign {
        Sign::OutsideAway {
            system: system.map(str::to_owned),
            retry_after,
            explanation: "It does not answer.".to_owned(),
        }
    }

    /// A story of calls, at a time that passes by hand.
    struct Story {
        breakers: Breakers,
        now: Instant,
    }

    impl Story {
        fn begin() -> Self {
            Self {
                breakers: Breakers::new(PROBE),
                now: Instant::now(),
            }
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
        }

        fn goes_out(&self, name: &str) -> bool {
            self.breakers.gate(&action(name), self.now, 0.5) == Gate::Go
        }

        fn saw(&self, name: &str, sign: &Sign) -> BTreeSet<ActionName> {
            self.breakers.saw(&action(name), sign, self.now)
        }
    }

    #[test]
    fn while_the_outside_is_away_one_call_at_a_time_goes_out() {
        let mut story = Story::begin();
        assert!(story.goes_out(RESET));
        assert_eq!(story.saw(RESET, &away(Some("the directory"), None)), actions(&[]));
        story.pass(Duration::from_secs(1));
        let blocked = Gate::Blocked {
            wait: Duration::from_secs(9) + BY_ITSELF,
            explanation: "It does not answer.".to_owned(),
        };
        assert_eq!(story.breakers.gate(&action(RESET), story.now, 0.5), blocked);
        assert!(story.goes_out(SMS), "others have nothing to do with it");
        story.pass(PROBE);
        assert!(story.goes_out(RESET), "the probe");
        assert!(!story.goes_out(RESET), "one at a time");
        story.saw(RESET, &away(Some("the directory"), None));
        assert!(!story.goes_out(RESET));
    }

    #[test]
    fn actions_that_stand_on_the_same_system_are_parked_and_woken_together() {
        let mut story = Story::begin();
        for name in [RESET, MFA] {
            assert!(story.goes_out(name), "nobody knows yet what it stands on");
            story.saw(name, &away(Some("the directory"), None));
        }
        story.saw(SMS, &away(Some("the SMS gateway"), None));
        assert_eq!(story.saw(RESET, &Sign::There), actions(&[RESET, MFA]));
        assert!(!story.goes_out(SMS), "that is still away");

        // The next time what one of them finds is known of the other.
        story.saw(MFA, &away(Some("the directory"), None));
        assert!(!story.goes_out(RESET));
        story.pass(PROBE);
        assert!(
            story.goes_out(RESET) && !story.goes_out(MFA),
            "one probe for both"
        );
        assert_eq!(story.saw(RESET, &Sign::There), actions(&[RESET, MFA]));
        assert_eq!(story.saw(RESET, &Sign::There), actions(&[]), "told once");
    }

    #[test]
    fn a_customers_service_says_nothing_of_the_systems_of_ours() {
        let story = Story::begin();
        story.saw(RESET, &away(Some("the directory"), None));
        story.saw(RESET, &Sign::There);
        story.saw(LOOK_UP, &away(Some("the directory"), None));
        assert!(story.goes_out(RESET));
        story.saw(RESET, &away(Some("the directory"), None));
        assert_eq!(story.saw(LOOK_UP, &Sign::There), actions(&[LOOK_UP]));
        assert!(!story.goes_out(RESET));
    }

    #[test]
    fn what_has_no_name_is_a_matter_of_one_action_and_many_names_are_none() {
        let story = Story::begin();
        story.saw(LOOK_UP, &away(None, None));
        assert!(!story.goes_out(LOOK_UP));
        assert!(story.goes_out("cmdb.ask"));
        for number in 0..1000 {
            story.saw(LOOK_UP, &away(Some(&format!("request {number}")), None));
        }
        let known = story.breakers.lock();
        assert!(known.open.len() <= MOST_SYSTEMS + 1, "{}", known.open.len());
    }

    #[test]
    fn a_service_that_cannot_be_reached_is_asked_by_one_until_it_is_back() {
        let mut story = Story::begin();
        let gone = Sign::ServiceAway { retry_after: None };
        story.saw(RESET, &gone);
        assert!(
            !story.goes_out(RESET) && !story.goes_out(DELETE),
            "all of its actions"
        );
        assert!(story.goes_out(MFA));
        // Whoever found it away comes back by itself about then, and finds out.
        story.pass(RESTART.mul_f64(0.75));
        assert!(story.goes_out(RESET) && !story.goes_out(DELETE));
        story.saw(RESET, &gone);
        assert!(!story.goes_out(RESET));
        story.pass(RESTART);
        assert!(story.goes_out(RESET));
        // It is back, and what it stands on is not.
        let back = story.saw(RESET, &away(Some("the directory"), None));
        assert_eq!(back, actions(&[RESET, DELETE]));
        assert!(story.goes_out(DELETE) && !story.goes_out(RESET));
    }

    #[test]
    fn an_answer_that_concerns_one_call_alone_shows_that_the_service_is_there() {
        let story = Story::begin();
        story.saw(RESET, &Sign::ServiceAway { retry_after: None });
        story.saw(DELETE, &away(Some("the directory"), None));
        story.saw(RESET, &Sign::ServiceAway { retry_after: None });
        assert_eq!(story.saw(RESET, &Sign::ServiceThere), actions(&[RESET]));
        assert!(story.goes_out(RESET) && !story.goes_out(DELETE));
    }

    #[test]
    fn it_is_left_alone_for_as_long_as_it_asks_and_not_for_ever() {
        let mut story = Story::begin();
        story.saw(RESET, &away(None, Some(Duration::from_mins(2))));
        // A call that was out already knows less.
        story.saw(RESET, &away(None, None));
        story.saw(RESET, &Sign::Nothing);
        story.pass(PROBE);
        assert!(!story.goes_out(RESET));
        story.pass(Duration::from_mins(2));
        assert!(story.goes_out(RESET));
        story.saw(RESET, &away(None, Some(Duration::MAX)));
        story.pass(LONGEST_PAUSE);
        assert!(story.goes_out(RESET));
    }

    #[test]
    fn a_probe_that_is_lost_is_followed_by_another() {
        let mut story = Story::begin();
        story.saw(RESET, &away(None, None));
        story.pass(PROBE);
        assert!(story.goes_out(RESET));
        story.saw(RESET, &Sign::Nothing);
        assert!(!story.goes_out(RESET));
        story.pass(PROBE);
        assert!(story.goes_out(RESET), "its answer was lost");
        // This one is never heard of at all.
        story.pass(LONGEST_PROBE);
        assert!(story.goes_out(RESET));
    }

    const ALL: [&str; 5] = [RESET, DELETE, MFA, SMS, LOOK_UP];

    fn sign() -> impl Strategy<Value = Sign> {
        let system = proptest::option::of(prop_oneof![Just("the directory"), Just("the SMS gateway")]);
        let wait = || proptest::option::of((0..2000_u64).prop_map(Duration::from_secs));
        prop_oneof![
            Just(Sign::There),
            Just(Sign::ServiceThere),
            Just(Sign::Nothing),
            wait().prop_map(|retry_after| Sign::ServiceAway { retry_after }),
            (system, wait()).prop_map(|(system, wait)| away(system, wait)),
        ]
    }

    proptest! {
        #[test]
        fn nobody_who_was_sent_away_is_forgotten_and_no_more_than_one_asks(
            happens in proptest::collection::vec((0..ALL.len(), 0..30_u64, proptest::option::of(sign())), 1..120),
        ) {
            let mut story = Story::begin();
            let mut parked = BTreeSet::new();
            for (which, seconds, sign) in happens {
                story.pass(Duration::from_secs(seconds));
                let name = action(ALL[which]);
                match sign {
                    None => {
                        let probing: Vec<bool> = {
                            let known = story.breakers.lock();
                            let open = |behind: &Behind| known.open.get(behind).cloned();
                            let out = |open: Open| open.probing && !open.lets_through(story.now);
                            known.behind(&name).iter().filter_map(open).map(out).collect()
                        };
                        if story.goes_out(ALL[which]) {
                            prop_assert!(!probing.contains(&true), "two probes at a time");
                        } else {
                            parked.insert(name);
                        }
                    }
                    Some(sign) => {
                        let woken = story.saw(ALL[which], &sign);
                        parked.retain(|parked| !woken.contains(parked));
                    }
                }
                let known = story.breakers.lock();
                for parked in &parked {
                    let away = known.behind(parked).iter().any(|behind| known.open.contains_key(behind));
                    prop_assert!(away, "{parked} waits for nothing any more");
                }
            }
        }
    }
}
