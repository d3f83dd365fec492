//! The fleet's database on private servers: made where it is missing, at the newest schema, one role per service.

use std::collections::BTreeMap;

use common::Service;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use url::Url;

use crate::migrate::{MigrationError, RolePasswords, migrate};
use crate::servers::Servers;

/// Its name on private servers.
pub const NAME: &str = "firstline";

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It could not be made or reached.
    #[error("the private database refused")]
    Refused(#[from] sqlx::Error),
    /// It is there, and not at the newest schema.
    #[error("the private database was not migrated to the end")]
    Migration(#[from] MigrationError),
}

/// A migrated database and how to get in.
pub struct Database {
    /// Each service's `DATABASE_URL`, with a password: treat them as secrets.
    pub urls: BTreeMap<Service, Url>,
    /// Connections as its owner, who may look into every table.
    pub owner: PgPool,
}

impl Database {
    /// The fleet's database on `servers`. Safe to repeat.
    pub async fn on(servers: &Servers) -> Result<Self, DatabaseError> {
        let superuser = servers.superuser();
        let mut connection = PgConnection::connect_with(&superuser).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(NAME)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            // A name takes no parameter; this one is a literal of ours.
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {NAME}")))
                .execute(&mut connection)
                .await?;
        }
        connection.close().await?;
        let password = servers.role_password();
        let passwords: RolePasswords = Service::ALL
            .map(|service| (service, password.clone().into()))
            .into();
        let owner = superuser.database(NAME);
        migrate(&owner, &passwords, &|_| {}).await?;
        let url = |service: Service| servers.url(NAME, &service.database_role(), &password);
        Ok(Self {
            urls: Service::ALL.map(|service| (service, url(service))).into(),
            owner: PgPoolOptions::new()
                .max_connections(4)
                .connect_with(owner)
                .await?,
        })
    }

    /// The highest ticket number that the fleet has seen; 0 where it has seen none.
    pub async fn highest_ticket(&self) -> Result<i64, DatabaseError> {
        let highest = sqlx::query_scalar(
            "SELECT coalesce(max(ticket_id::bigint), 0) FROM audit_events WHERE ticket_id ~ '^[0-9]{1,18}$'",
        );
        Ok(highest.fetch_one(&self.owner).await?)
    }
}
