//! `firstline audit`: whether the record of who did what is whole, and what of it a person can take elsewhere.

mod check;
mod database;
mod evidence;
mod export;
mod kept;
mod records;
mod signed;
mod verify;
mod witness;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trust::TrustedKeys;
pub(crate) use verify::whole;

use crate::arguments::{Audit, Record};
use crate::exit::{BadInput, Ending};
use crate::record::Database;

/// Services sign what they write down within seconds; what nobody has signed for after this is a finding.
const SIGNED_WITHIN: time::Duration = time::Duration::MINUTE;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flaw {
    /// It is not as it was written down.
    Broken(String),
    /// It may be, and nothing shows it.
    Unproven(String),
}

impl Flaw {
    /// With it in an answer of JSON.
    fn told(&self, mut answer: Value) -> Value {
        let (member, what) = match self {
            Self::Broken(what) => ("broken", what),
            Self::Unproven(what) => ("unproven", what),
        };
        if let Some(answer) = answer.as_object_mut() {
            answer.insert(member.to_owned(), Value::from(what.as_str()));
        }
        answer
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(what) => write!(f, "BROKEN  {what}"),
            Self::Unproven(what) => write!(f, "UNPROVEN  {what}"),
        }
    }
}

/// Whether an event of this kind tells of something that was not done. It names what somebody asked for, and that may be
/// another's ticket or execution.
fn is_refusal(kind: &str) -> bool {
    kind.ends_with("refused")
}

pub(crate) async fn run(command: &Audit) -> anyhow::Result<Ending> {
    match command {
        Audit::Verify {
            file: Some(file),
            json,
            record,
        } => evidence::verify(file, &trusted(&keys(record))?, *json),
        Audit::Verify {
            file: None,
            json,
            record,
        } => {
            let database = Database::of(&record.home, record.database_url.as_deref()).await?;
            verify::run(&database.url, &trusted(&keys(record))?, *json).await
        }
        Audit::Export {
            ticket,
            tenant,
            out,
            record,
        } => {
            let database = Database::of(&record.home, record.database_url.as_deref()).await?;
            export::run(&database.url, tenant, ticket, out.as_deref()).await
        }
    }
}

fn keys(record: &Record) -> PathBuf {
    let of_up = || record.home.data.join("keys").join("trusted.json");
    record.keys.clone().unwrap_or_else(of_up)
}

fn trusted(file: &Path) -> anyhow::Result<TrustedKeys> {
    let text = std::fs::read(file).map_err(|error| {
        let name = file.display();
        BadInput(format!(
            "the public keys in `{name}` cannot be read ({error}): name them by --keys"
        ))
    })?;
    TrustedKeys::from_json(&text)
        .map_err(|error| BadInput(format!("`{}` holds no public keys: {error}", file.display())).into())
}
