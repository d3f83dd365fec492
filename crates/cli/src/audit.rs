//! `firstline audit`: whether the record of who did what is whole, and what of it a person can take elsewhere.

mod database;
mod evidence;
mod export;
mod kept;
mod records;
mod signed;
mod verify;

use std::path::{Path, PathBuf};

use trust::TrustedKeys;
pub(crate) use verify::whole;

use crate::arguments::{Audit, Record};
use crate::exit::{BadInput, Ending};
use crate::record::Database;

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
