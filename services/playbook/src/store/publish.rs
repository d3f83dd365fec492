//! What changes the table: publishing, and which version is the active one. Each change with its event, in one transaction.

use chassis::AuditEvent;
use common::clock;
use common::modes::Bar;
use common::operate::Reason;
use common::{ActionName, Digest, Mode, PlaybookName, PlaybookRef, PlaybookVersion};
use playbook_lang::Playbook;
use serde_json::json;
use sqlx::PgConnection;

use super::{Store, StoreError};
use crate::earn::Terms;
use crate::shipped::Shipped;

/// What became of a publication.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    New,
    /// The version is there, with this content.
    There(Digest),
}

/// What became of the shipped playbooks that were new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Introduced {
    /// All of them, by name.
    pub(crate) published: Vec<PlaybookName>,
    /// Enabled and not activated, with the actions that no service offers yet; none where a playbook that it calls is
    /// here with other content.
    pub(crate) inactive: Vec<(PlaybookRef, Vec<ActionName>)>,
}

impl Store {
    /// Add a version, unless it is there.
    pub(crate) async fn publish(
        &self,
        playbook: &Playbook,
        source: &str,
        actor: &str,
    ) -> Result<Inserted, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if self.insert(&mut transaction, playbook, source, actor).await? {
            transaction.commit().await?;
            return Ok(Inserted::New);
        }
        // The insert has waited for whoever was first, so their row is visible now.
        let digest = sqlx::query_scalar!(
            "SELECT digest FROM playbooks WHERE tenant_id = $1 AND name = $2 AND version = $3",
            self.tenant.as_str(),
            playbook.name().as_str(),
            playbook.version().as_str(),
        )
        .fetch_one(&mut *transaction)
        .await?;
        digest
            .parse()
            .map(Inserted::There)
            .map_err(|_| StoreError::Corrupt {
                name: playbook.name().to_string(),
                version: playbook.version().to_string(),
            })
    }

    /// Whether it was new.
    async fn insert(
        &self,
        connection: &mut PgConnection,
        playbook: &Playbook,
        source: &str,
        actor: &str,
    ) -> Result<bool, StoreError> {
        let inserted = sqlx::query!(
            r#"
            INSERT INTO playbooks (
                tenant_id, name, version, digest, source, description, category, sub_category, examples,
                published_at, published_by
            )
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), $10)
            ON CONFLICT (tenant_id, name, version) DO NOTHING
            "#,
            self.tenant.as_str(),
            playbook.name().as_str(),
            playbook.version().as_str(),
            playbook.digest().as_str(),
            source,
            playbook.description(),
            playbook.category(),
            playbook.sub_category(),
            playbook.examples(),
            actor,
        )
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if inserted == 1 {
            self.record(connection, "playbook.published", playbook.reference(), actor)
                .await?;
        }
        Ok(inserted == 1)
    }

    /// Make this version the active one; where it is already and nothing is said about its mode, nothing happens.
    pub(crate) async fn activate(
        &self,
        playbook: &PlaybookRef,
        terms: &Terms,
        actor: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        self.lock(&mut transaction, &playbook.name).await?;
        self.make_active(&mut transaction, playbook, terms, actor).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Under the lock.
    async fn make_active(
        &self,
        connection: &mut PgConnection,
        playbook: &PlaybookRef,
        terms: &Terms,
        actor: &str,
    ) -> Result<(), StoreError> {
        let (tenant, name, version) = (
            self.tenant.as_str(),
            playbook.name.as_str(),
            playbook.version.as_str(),
        );
        // First the old one: there is no moment with two.
        sqlx::query!(
            "UPDATE playbooks SET active = false WHERE tenant_id = $1 AND name = $2 AND version <> $3 AND active",
            tenant,
            name,
            version,
        )
        .execute(&mut *connection)
        .await?;
        let changed = sqlx::query!(
            "UPDATE playbooks
             SET active = true, activation_id = $4, mode = $5, bar = $6, override_reason = $7
             WHERE tenant_id = $1 AND name = $2 AND version = $3
               AND (NOT active OR mode IS NOT NULL OR bar IS NOT NULL OR $5::text IS NOT NULL OR $6::float8 IS NOT NULL)",
            tenant,
            name,
            version,
            clock::fresh_id(),
            terms.mode.map(Mode::as_str),
            terms.bar.map(Bar::share),
            terms.override_reason.as_ref().map(Reason::as_str),
        )
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if changed == 1 {
            let detail = json!({
                "playbook": playbook.name,
                "version": playbook.version,
                "digest": playbook.digest,
                "mode": terms.mode,
                "bar": terms.bar,
                "override_reason": terms.override_reason,
                "standing": terms.standing,
            });
            let event = AuditEvent::new("playbook.activated", detail).actor(actor);
            self.audit.record(connection, &event).await?;
        }
        Ok(())
    }

    /// Make no version active. Answers the one that was.
    pub(crate) async fn deactivate(
        &self,
        name: &PlaybookName,
        actor: &str,
    ) -> Result<Option<PlaybookVersion>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        self.lock(&mut transaction, name).await?;
        let row = sqlx::query!(
            r#"
            UPDATE playbooks
            SET active = false
            WHERE tenant_id = $1 AND name = $2 AND active
            RETURNING version, digest
            "#,
            self.tenant.as_str(),
            name.as_str(),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let corrupt = || StoreError::Corrupt {
            name: name.to_string(),
            version: row.version.clone(),
        };
        let stopped = PlaybookRef {
            name: name.clone(),
            version: row.version.parse().map_err(|_| corrupt())?,
            digest: row.digest.parse().map_err(|_| corrupt())?,
        };
        self.record(&mut transaction, "playbook.deactivated", &stopped, actor)
            .await?;
        transaction.commit().await?;
        Ok(Some(stopped.version))
    }

    /// Publish what is shipped under names that the database does not know, and activate what can run, all or none.
    pub(crate) async fn introduce(&self, shipped: &[Shipped]) -> Result<Introduced, StoreError> {
        const ACTOR: &str = "service:playbook";
        let mut transaction = self.pool.begin().await?;
        // Replicas start together; the second one then finds the names known.
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtext('playbooks/' || $1))",
            self.tenant.as_str()
        )
        .execute(&mut *transaction)
        .await?;
        let known: Vec<String> = sqlx::query_scalar!(
            "SELECT DISTINCT name FROM playbooks WHERE tenant_id = $1",
            self.tenant.as_str(),
        )
        .fetch_all(&mut *transaction)
        .await?;
        let new: Vec<&Shipped> = shipped
            .iter()
            .filter(|shipped| !known.iter().any(|name| name == shipped.playbook.name().as_str()))
            .collect();
        let mut introduced = Introduced::default();
        for Shipped { playbook, source } in &new {
            self.insert(&mut transaction, playbook, source, ACTOR).await?;
            introduced.published.push(playbook.name().clone());
        }
        for Shipped { playbook, .. } in new.into_iter().filter(|new| new.playbook.enabled()) {
            let planned: Vec<ActionName> = playbook.planned().into_iter().cloned().collect();
            // What it calls may be known by that name, and be another document than the one that was shipped.
            if !planned.is_empty() || !self.hold(&mut transaction, playbook.calls()).await? {
                introduced.inactive.push((playbook.reference().clone(), planned));
                continue;
            }
            self.make_active(&mut transaction, playbook.reference(), &Terms::default(), ACTOR)
                .await?;
        }
        transaction.commit().await?;
        Ok(introduced)
    }

    /// Whether every one of these documents is there, word for word.
    async fn hold(
        &self,
        connection: &mut PgConnection,
        documents: &[PlaybookRef],
    ) -> Result<bool, StoreError> {
        for document in documents {
            let there = sqlx::query_scalar!(
                r#"
                SELECT EXISTS (
                    SELECT FROM playbooks WHERE tenant_id = $1 AND name = $2 AND version = $3 AND digest = $4
                ) AS "there!"
                "#,
                self.tenant.as_str(),
                document.name.as_str(),
                document.version.as_str(),
                document.digest.as_str(),
            )
            .fetch_one(&mut *connection)
            .await?;
            if !there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Two admins who activate at once do so one after the other.
    async fn lock(&self, connection: &mut PgConnection, name: &PlaybookName) -> Result<(), StoreError> {
        sqlx::query!(
            "SELECT version FROM playbooks WHERE tenant_id = $1 AND name = $2 ORDER BY version FOR UPDATE",
            self.tenant.as_str(),
            name.as_str(),
        )
        .fetch_all(connection)
        .await?;
        Ok(())
    }

    async fn record(
        &self,
        connection: &mut PgConnection,
        kind: &'static str,
        playbook: &PlaybookRef,
        actor: &str,
    ) -> Result<(), StoreError> {
        let detail = json!({
            "playbook": playbook.name,
            "version": playbook.version,
            "digest": playbook.digest,
        });
        let event = AuditEvent::new(kind, detail).actor(actor);
        self.audit.record(connection, &event).await?;
        Ok(())
    }
}
