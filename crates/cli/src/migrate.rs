//! `firstline migrate`.

use anyhow::Context;
use launcher::migrate::role_passwords;
use sqlx::postgres::PgConnectOptions;

use crate::arguments::Migrate;
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(crate) async fn run(command: &Migrate) -> anyhow::Result<Ending> {
    // The address holds a password: a refusal must not repeat it.
    let owner: PgConnectOptions = command
        .database_url
        .parse()
        .map_err(|_| BadInput("DATABASE_URL is no address of a Postgres database".to_owned()))?;
    let passwords = role_passwords(|name| std::env::var(name).ok());
    launcher::migrate(&owner, &passwords)
        .await
        .context("the database was not migrated to the end")?;
    for service in common::Service::ALL {
        let password = if passwords.contains_key(&service) {
            "with its password"
        } else {
            "password unchanged"
        };
        terminal::line(&format!("role {} is there, {password}", service.database_role()));
    }
    terminal::line("the database is at the newest schema");
    Ok(Ending::Well)
}
