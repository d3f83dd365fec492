//! What can be asked of the gate.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Actions, Home, Report};

#[derive(Debug, Subcommand)]
pub(crate) enum Gate {
    /// Decide on stored tickets again with something changed, and list the decisions that would differ. Nothing is written.
    ///
    /// With nothing changed nothing differs. Exit codes: 0 told; 1 with --fail-on-change where a decision would differ, or
    /// the classifier gave no answer about one; 2 the input makes no sense.
    Replay(Replay),
    /// How the gate does, playbook by playbook: mode, precision, coverage, and why tickets were left to people.
    Report(Report),
}

/// Which decisions are made again, and with what changed.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// From when on: a day or moment (2026-11-01, RFC 3339), or so long ago (12h, 30d, 2w).
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: String,
    /// Another confidence from which a category is believed, 0 to 1; in place of the setting and of what was measured.
    #[arg(long, value_name = "CONFIDENCE")]
    pub(crate) threshold: Option<f64>,
    /// The playbooks that are enabled in this folder (*.yml) instead of those that were active.
    #[arg(long, value_name = "DIR")]
    pub(crate) playbooks: Option<PathBuf>,
    /// Let this classifier read every text again. openai: the model that OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL
    /// name; each ticket costs a question. Without it, what was read then counts.
    #[arg(long, value_enum)]
    pub(crate) model: Option<Model>,
    /// The head of the embedded classifier, as `firstline eval train` wrote it; the release's own where none is named.
    #[arg(long, value_name = "FILE", env = "EMBEDDED_HEAD_FILE")]
    pub(crate) head: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 1 where a decision would differ.
    #[arg(long)]
    pub(crate) fail_on_change: bool,
    /// Whose decisions.
    #[arg(long, value_name = "TENANT", env = "TENANT_ID", default_value = "default")]
    pub(crate) tenant: String,
    /// Address of another database, as its owner or as anybody who may read decisions and playbooks.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    #[command(flatten)]
    pub(crate) actions: Actions,
    #[command(flatten)]
    pub(crate) home: Home,
}

/// Who reads texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Model {
    /// The embedded classifier of this very program, with the head that --head names.
    Embedded,
    /// A language model.
    Openai,
}
