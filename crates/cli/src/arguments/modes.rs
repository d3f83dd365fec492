//! What playbooks may do by themselves, and how well that goes.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use common::{Bar, Mode, Reason};

use super::Fleet;

/// Of when, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// From when on: a day or moment (2026-11-01, RFC 3339), or so long ago (12h, 30d, 2w).
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: String,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "svg")]
    pub(crate) json: bool,
    /// Write it as a picture into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) fleet: Fleet,
}

/// An operator's word on a decision.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("word").required(true).args(["right", "wrong"])))]
pub(crate) struct Review {
    /// The ticket's number.
    #[arg(value_name = "TICKET")]
    pub(crate) id: String,
    /// The playbook was the right answer to it.
    #[arg(long)]
    pub(crate) right: bool,
    /// It was not.
    #[arg(long)]
    pub(crate) wrong: bool,
    /// Why, for the record: at most 300 characters.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Reason,
    #[command(flatten)]
    pub(crate) fleet: Fleet,
}

/// In which mode a version is made the active one.
#[derive(Debug, Args)]
pub(crate) struct Terms {
    /// shadow: tickets stay with people, and what would have been done is on record; suggest: an agent is offered to have
    /// it done; auto: it is done, once what was measured allows it. Left out: DEFAULT_MODE of the classifier.
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,
    /// The lower bound of precision that it must have shown to act by itself, and must go on showing [default: 0.95]
    #[arg(long, value_name = "SHARE")]
    pub(crate) bar: Option<Bar>,
    /// Let it act without having shown that, for this reason, which stays on record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) override_reason: Option<Reason>,
}
