//! `firstline audit`: whether the record of who did what is whole, and what of it a person can take elsewhere.

mod database;
mod evidence;
mod export;
mod verify;

use std::path::Path;

use anyhow::Context;
use trust::TrustedKeys;
pub(crate) use verify::whole;

use crate::arguments::Audit;
use crate::exit::{BadInput, Ending};

pub(crate) async fn run(command: &Audit) -> anyhow::Result<Ending> {
    match command {
        Audit::Verify {
            file: Some(file),
            keys,
            json,
            ..
        } => evidence::verify(file, &trusted(keys)?, *json),
        Audit::Verify {
            file: None,
            keys,
            json,
            database_url,
        } => {
            let Some(url) = database_url else {
                let text = "name a file of evidence, or the database by --database-url or DATABASE_URL";
                return Err(BadInput(text.to_owned()).into());
            };
            verify::run(url, &trusted(keys)?, *json).await
        }
        Audit::Export {
            ticket,
            tenant,
            out,
            database_url,
        } => export::run(database_url, tenant, ticket, out.as_deref()).await,
    }
}

fn trusted(file: &Path) -> anyhow::Result<TrustedKeys> {
    let text = std::fs::read(file).map_err(|error| {
        BadInput(format!(
            "the public keys in `{}` cannot be read: {error}",
            file.display()
        ))
    })?;
    TrustedKeys::from_json(&text)
        .map_err(|error| BadInput(error.to_string()))
        .with_context(|| format!("`{}` holds no public keys", file.display()))
}
