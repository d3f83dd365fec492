//! `firstline migrate`.

use anyhow::Context;
use chassis::settings::{Environment, secret};
use launcher::migrate::role_passwords;
use sqlx::postgres::PgConnectOptions;

use crate::arguments::Migrate;
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(crate) async fn run(command: &Migrate) -> anyhow::Result<Ending> {
    let owner = owner(&command.database_url)?;
    let passwords = role_passwords(|name| secret(&Environment, name)).map_err(BadInput)?;
    launcher::migrate(&owner, &passwords, &terminal::complain)
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

/// Where the owner of the database reaches it.
pub(crate) fn owner(url: &str) -> anyhow::Result<PgConnectOptions> {
    // The address holds a password: a refusal must not repeat it.
    let nonsense = || {
        BadInput(
            "the database's address is none of a Postgres database: postgres://user@host/name".to_owned(),
        )
    };
    if !is_postgres(url) {
        return Err(nonsense().into());
    }
    Ok(url.parse().map_err(|_| nonsense())?)
}

/// The driver takes any scheme and would then try the host in vain.
fn is_postgres(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| ["postgres", "postgresql"].contains(&scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_postgres_address_will_do() {
        assert!(is_postgres("postgres://owner@localhost/firstline"));
        assert!(is_postgres("postgresql://owner@localhost/firstline"));
        for other in ["mysql://owner@localhost/firstline", "localhost", "", "http://x"] {
            assert!(!is_postgres(other), "{other}");
        }
    }
}
