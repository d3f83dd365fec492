//! The table `playbooks`: all SQL of the service. A row is never changed but for whether and how it is active, and the service's
//! role could not change more.

mod publish;

use chassis::{AuditEvent, AuditLog, Sessions, Shell};
use common::modes::{Activation, Bar};
use common::playbook::PlaybookView;
use common::{PlaybookName, PlaybookRef, PlaybookVersion, TenantId};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use publish::{Inserted, Introduced};

/// The database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It is away or refused.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
    /// A row says what no code of ours wrote.
    #[error("version `{version}` of playbook `{name}` is corrupt in the database")]
    Corrupt { name: String, version: String },
}

/// One row.
struct Row {
    name: String,
    version: String,
    digest: String,
    source: Option<String>,
    description: String,
    category: String,
    sub_category: Option<String>,
    examples: Vec<String>,
    active: bool,
    activation_id: Option<Uuid>,
    mode: Option<String>,
    bar: Option<f64>,
    override_reason: Option<String>,
    published_at: OffsetDateTime,
}

impl Row {
    /// How it was made the active one.
    fn activation(&self) -> Result<Option<Activation>, Unreadable> {
        let Some(id) = self.activation_id else {
            return Ok(None);
        };
        let mode = self.mode.as_deref().map(str::parse).transpose();
        let bar = self.bar.map_or(Ok(Bar::default()), Bar::try_from);
        Ok(Some(Activation {
            id,
            mode: mode.map_err(|_| Unreadable)?,
            bar: bar.map_err(|_| Unreadable)?,
            override_reason: self.override_reason.clone(),
        }))
    }
}

/// A column says what no code of ours wrote.
struct Unreadable;

/// The columns. What the document itself says is read from it.
impl TryFrom<Row> for PlaybookView {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let reference = || {
            Some(PlaybookRef {
                name: row.name.parse().ok()?,
                version: row.version.parse().ok()?,
                digest: row.digest.parse().ok()?,
            })
        };
        // A mode that cannot be read must not become the default one.
        let (Some(playbook), Ok(activation)) = (reference(), row.activation()) else {
            return Err(StoreError::Corrupt {
                name: row.name,
                version: row.version,
            });
        };
        Ok(Self {
            playbook,
            activation: activation.filter(|_| row.active),
            active: row.active,
            description: row.description,
            category: row.category,
            sub_category: row.sub_category,
            examples: row.examples,
            trigger: None,
            inputs_schema: Value::Null,
            planned: vec![],
            privileged: true,
            calls: vec![],
            published_at: row.published_at,
            source: row.source,
        })
    }
}

/// The playbooks of one tenant.
#[derive(Clone)]
pub(crate) struct Store {
    pool: Sessions,
    tenant: TenantId,
    audit: AuditLog,
}

impl Store {
    pub(crate) fn new(shell: &Shell) -> Self {
        Self {
            pool: shell.pool().clone(),
            tenant: shell.tenant().clone(),
            audit: shell.audit(),
        }
    }

    /// Every active version, by name, without sources: they are large, and asked for with each ticket.
    pub(crate) async fn all_active(&self) -> Result<Vec<PlaybookView>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"
            SELECT name, version, digest, NULL::text AS source, description, category, sub_category, examples,
                active, activation_id, mode, bar, override_reason, published_at
            FROM playbooks
            WHERE tenant_id = $1 AND active
            ORDER BY name
            "#,
            self.tenant.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(PlaybookView::try_from).collect()
    }

    /// Every version of one playbook, newest first.
    pub(crate) async fn versions(&self, name: &PlaybookName) -> Result<Vec<PlaybookView>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"
            SELECT name, version, digest, source, description, category, sub_category, examples,
                active, activation_id, mode, bar, override_reason, published_at
            FROM playbooks
            WHERE tenant_id = $1 AND name = $2
            ORDER BY published_at DESC, version DESC
            "#,
            self.tenant.as_str(),
            name.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(PlaybookView::try_from).collect()
    }

    /// One version with its source.
    pub(crate) async fn version(
        &self,
        name: &PlaybookName,
        version: &PlaybookVersion,
    ) -> Result<Option<PlaybookView>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            SELECT name, version, digest, source, description, category, sub_category, examples,
                active, activation_id, mode, bar, override_reason, published_at
            FROM playbooks
            WHERE tenant_id = $1 AND name = $2 AND version = $3
            "#,
            self.tenant.as_str(),
            name.as_str(),
            version.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(PlaybookView::try_from).transpose()
    }

    /// The document of one version.
    pub(crate) async fn source(
        &self,
        name: &PlaybookName,
        version: &PlaybookVersion,
    ) -> Result<Option<String>, StoreError> {
        let source = sqlx::query_scalar!(
            "SELECT source FROM playbooks WHERE tenant_id = $1 AND name = $2 AND version = $3",
            self.tenant.as_str(),
            name.as_str(),
            version.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(source)
    }

    /// The active version with its source.
    pub(crate) async fn active(&self, name: &PlaybookName) -> Result<Option<PlaybookView>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            SELECT name, version, digest, source, description, category, sub_category, examples,
                active, activation_id, mode, bar, override_reason, published_at
            FROM playbooks
            WHERE tenant_id = $1 AND name = $2 AND active
            "#,
            self.tenant.as_str(),
            name.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(PlaybookView::try_from).transpose()
    }

    /// Whether any version of it was ever published.
    pub(crate) async fn exists(&self, name: &PlaybookName) -> Result<bool, StoreError> {
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM playbooks WHERE tenant_id = $1 AND name = $2) AS "exists!""#,
            self.tenant.as_str(),
            name.as_str(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(exists)
    }

    /// Put on record what changed nothing.
    pub(crate) async fn note(&self, event: &AuditEvent) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        self.audit.record(&mut connection, event).await?;
        Ok(())
    }
}
