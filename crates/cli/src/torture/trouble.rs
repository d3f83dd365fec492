//! What can go wrong, in words that fit a line.

use std::fmt;

use common::Service;
use simulators::System;

/// One thing that goes wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// `kill -9`, and started again when it is over.
    Killed(Victim),
    /// Asked to stop, as in a rolling restart; when it is over it has stopped in good order, and is started again.
    Stopped(Victim),
    /// A server that the fleet stands on is away.
    Gone(Backing),
    /// A vendor behaves badly.
    Struck(System, Weather),
    /// HaloPSA's webhooks come otherwise than hoped for.
    Webhooks(Manner),
    /// Whatever vendors push comes twice.
    PushedTwice,
}

/// One of two that share the work of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Replica {
    First,
    Second,
}

impl Replica {
    pub(super) const BOTH: [Self; 2] = [Self::First, Self::Second];
}

/// Which processes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    /// One replica of a service.
    One(Replica, Service),
    /// Both, so that nobody does its work.
    Both(Service),
}

impl Victim {
    pub(super) fn service(self) -> Service {
        match self {
            Self::One(_, service) | Self::Both(service) => service,
        }
    }

    pub(super) fn replicas(self) -> impl Iterator<Item = Replica> {
        Replica::BOTH.into_iter().filter(move |replica| match self {
            Self::One(one, _) => one == *replica,
            Self::Both(_) => true,
        })
    }
}

/// What the fleet stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backing {
    /// Stopped at once, and recovering when it comes back.
    Postgres,
    /// Killed, and empty when it comes back.
    Redis,
}

/// How a vendor behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// No connection holds.
    Down,
    /// Each answer takes so many milliseconds longer.
    Slow(u64),
    /// Each answer has this status and nothing is done.
    Failing(u16),
    /// 429 with so many seconds in `Retry-After`; nothing is done.
    Throttling(u64),
    /// Connections break before anything is done.
    BreakingBefore,
    /// It is done, and the connection breaks instead of an answer.
    BreakingAfter,
    /// It is done, and the answer breaks off in the middle.
    CuttingAnswers,
}

/// How webhooks come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Each five times.
    FiveTimes,
    /// Held back, and the last one first.
    LastFirst,
    /// Several in one body.
    InBatches,
    /// Not at all, nor later: the poller must find out.
    Never,
}

impl Trouble {
    /// How it is called while it lasts.
    pub(super) fn begun(self) -> String {
        match self {
            Self::Killed(victim) => format!("{victim}: killed"),
            Self::Stopped(victim) => format!("{victim}: asked to stop"),
            Self::Gone(Backing::Postgres) => "Postgres: crashed".to_owned(),
            Self::Gone(Backing::Redis) => "Redis: killed".to_owned(),
            Self::Struck(system, weather) => format!("{}: {weather}", name(system)),
            Self::Webhooks(manner) => format!("HaloPSA's webhooks: {manner}"),
            Self::PushedTwice => "all that vendors push: twice".to_owned(),
        }
    }

    /// How its end is called.
    pub(super) fn over(self) -> String {
        match self {
            Self::Killed(victim) | Self::Stopped(victim) => format!("{victim}: started again"),
            Self::Gone(Backing::Postgres) => "Postgres: recovered".to_owned(),
            Self::Gone(Backing::Redis) => "Redis: back, and empty".to_owned(),
            Self::Struck(system, _) => format!("{}: as usual", name(system)),
            Self::Webhooks(_) => "HaloPSA's webhooks: as usual".to_owned(),
            Self::PushedTwice => "all that vendors push: once".to_owned(),
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(Replica::First, service) => write!(to, "first {service}"),
            Self::One(Replica::Second, service) => write!(to, "second {service}"),
            Self::Both(service) => write!(to, "both of {service}"),
        }
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => to.write_str("down"),
            Self::Slow(ms) => write!(to, "slower by {ms} ms"),
            Self::Failing(status) => write!(to, "answers {status}"),
            Self::Throttling(seconds) => write!(to, "answers 429, try again in {seconds} s"),
            Self::BreakingBefore => to.write_str("breaks connections before it acts"),
            Self::BreakingAfter => to.write_str("breaks connections after it acted"),
            Self::CuttingAnswers => to.write_str("breaks off in the middle of its answers"),
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::FiveTimes => "each five times",
            Self::LastFirst => "the last one first",
            Self::InBatches => "in batches",
            Self::Never => "none at all",
        })
    }
}

/// As people call it.
fn name(system: System) -> &'static str {
    match system {
        System::Halo => "HaloPSA",
        System::Entra => "Entra",
        System::OpenAi => "OpenAI",
        System::Teams => "Teams",
        System::Twilio => "Twilio",
    }
}
