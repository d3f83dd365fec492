//! `firstline audit`: whether the record of who did what is whole, and what of it a person can take elsewhere.

mod database;
mod evidence;
mod export;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::Context;
use launcher::Servers;
use trust::TrustedKeys;
pub(crate) use verify::whole;

use crate::arguments::{Audit, Record};
use crate::exit::{BadInput, Ending};
use crate::run_file::RunFile;
use crate::terminal;

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
            let database = Database::of(record).await?;
            verify::run(&database.url, &trusted(&keys(record))?, *json).await
        }
        Audit::Export {
            ticket,
            tenant,
            out,
            record,
        } => {
            let database = Database::of(record).await?;
            export::run(&database.url, tenant, ticket, out.as_deref()).await
        }
    }
}

/// Where the record is.
struct Database {
    url: String,
    /// Those of `firstline up`, kept while we look.
    _servers: Option<Servers>,
}

impl Database {
    async fn of(record: &Record) -> anyhow::Result<Self> {
        if let Some(url) = &record.database_url {
            return Ok(Self {
                url: url.clone(),
                _servers: None,
            });
        }
        RunFile::read(&record.home.data).context("name a database by --database-url or DATABASE_URL, or")?;
        let servers =
            Servers::lasting(&record.home.data.join("servers"), &|line| terminal::line(line)).await?;
        Ok(Self {
            url: servers.owner_url(launcher::database::NAME).into(),
            _servers: Some(servers),
        })
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
