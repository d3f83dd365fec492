//! What can be measured of the classifier.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use triage::Kind;

use super::Actions;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Eval {
    #[command(subcommand)]
    pub(crate) subject: Option<Subject>,
    #[command(flatten)]
    pub(crate) tickets: Tickets,
}

/// What else can be measured than labelled tickets.
#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    /// Count how many tickets with attacks in them change the decision, and how many would be automated.
    ///
    /// Exit codes: 0 none would be automated; 1 some would, or something was done for one; 2 the file makes no sense.
    Injection(Attacks),
    /// Learn a head of your own from your labelled tickets, beside what the shipped one learned from. Takes seconds.
    ///
    /// Each ticket is first judged by a head that has not seen it: by these answers the new head is calibrated, and its thresholds
    /// are chosen by them. Give the file to the classifier as EMBEDDED_HEAD_FILE. Exit codes: 0 written; 1 it could not be; 2 a
    /// file or an option makes no sense. Nothing is ever written in part.
    Train(Train),
}

/// What to learn from.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// CSV or JSON Lines with `subject`, `body`, `category`, and where known `automatable` and `id`.
    #[arg(value_name = "FILE", required_unless_present = "corpus")]
    pub(crate) files: Vec<PathBuf>,
    /// Write the head into this file.
    #[arg(long, value_name = "HEAD")]
    pub(crate) out: PathBuf,
    /// The highest share of wrong ones among automated tickets that you bear; of kinds that act on how somebody proves who
    /// they are, half of it.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub(crate) alpha: f64,
    /// With which probability more may slip through unnoticed.
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.05)]
    pub(crate) delta: f64,
    /// Make the shipped head anew from this folder of labelled files and the examples of this release's playbooks, and what
    /// their texts mean. Takes minutes.
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    pub(crate) corpus: Option<PathBuf>,
    /// Learn from the `examples:` of the playbooks in this folder (*.yml) as well, enabled or not.
    #[arg(long, value_name = "DIR", conflicts_with = "corpus")]
    pub(crate) playbooks: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) actions: Actions,
    /// Print what was found out as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Labelled tickets, and what to make of them.
#[derive(Debug, Args)]
pub(crate) struct Tickets {
    /// CSV or JSON Lines with `subject`, `body`, `category`, and where known `automatable` and `id`.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Print the figures as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the figures as one SVG page into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Split the tickets into so many parts, and judge each by a classifier that has learnt from the others.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(2..=20))]
    pub(crate) folds: Option<u8>,
    /// Find out what the language model's own confidence is worth, and write that into this file: for each kind, from how sure
    /// on a ticket may be automated. Give the file to the classifier as MODEL_CALIBRATION_FILE.
    ///
    /// It holds for this model and this release's prompt alone.
    #[arg(long, value_name = "OUT", conflicts_with_all = ["folds", "svg"])]
    pub(crate) calibrate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// Tickets that carry an attack.
#[derive(Debug, Args)]
pub(crate) struct Attacks {
    /// JSON Lines with `subject` and `body`, and where known `id`, `attack_kind`, and as `injection_text` the words that
    /// are the attack: the decision without them is compared.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print the findings as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// File each as a ticket in a fleet of its own, in which everybody says yes to everything, and count what is done.
    #[arg(long)]
    pub(crate) fleet: bool,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// Who judges.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// Which classifier; left out, the one that the service would use with the same settings.
    ///
    /// `openai` needs OPENAI_API_KEY; OPENAI_BASE_URL, OPENAI_MODEL, MODEL_CALIBRATION_FILE and CONFIDENCE_THRESHOLD are as for
    /// the service, and the embedded classifier has its veto.
    #[arg(long, value_enum)]
    pub(crate) classifier: Option<Reader>,
    /// A head that `firstline eval train` wrote; left out, the shipped one.
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// A category that a playbook would be active for; may be given several times.
    #[arg(long, value_name = "CATEGORY", default_values = ["PASSWORD_RESET", "ACCOUNT_UNLOCK"])]
    pub(crate) automate: Vec<Kind>,
}

/// A classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Reader {
    /// The one that needs no network.
    Embedded,
    /// A language model behind an OpenAI-compatible endpoint.
    Openai,
}
