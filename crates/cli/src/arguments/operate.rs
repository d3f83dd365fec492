//! What operators can ask for.

use clap::{Args, Subcommand};
use common::{PlaybookName, Reason};

use super::Fleet;

/// Which execution, and why something is done to it.
#[derive(Debug, Args)]
pub(crate) struct Operate {
    /// The number of a ticket, of which the newest execution is meant, or the id of an execution.
    #[arg(value_name = "TICKET|EXECUTION")]
    pub(crate) id: String,
    /// Why, for the ticket and the record: at most 300 characters.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<Reason>,
    #[command(flatten)]
    pub(crate) fleet: Fleet,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Switch {
    /// The global switch, the tenant's, and those of playbooks that are off.
    List {
        #[command(flatten)]
        fleet: Fleet,
    },
    /// Let no step of these executions begin, on any replica, until the switch is on again. Tickets that come
    /// meanwhile go to a person; whoever was asked may still answer, and time goes on.
    Off {
        #[command(flatten)]
        which: Which,
    },
    /// Let them go on.
    On {
        #[command(flatten)]
        which: Which,
    },
}

/// Which switch, and why it is put.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Whose executions are meant.
    #[arg(value_enum)]
    pub(crate) scope: Scope,
    /// The `name` of the playbook.
    #[arg(value_name = "NAME", required_if_eq("scope", "playbook"))]
    pub(crate) name: Option<PlaybookName>,
    /// Why, for the record and for tickets that wait: at most 300 characters.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Reason,
    #[command(flatten)]
    pub(crate) fleet: Fleet,
}

/// Whose executions a switch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scope {
    /// Everybody's.
    Global,
    /// The tenant's.
    Tenant,
    /// Those of one playbook.
    Playbook,
}
