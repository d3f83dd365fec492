//! Decisions and playbooks as the database has them. Everything is read in one transaction that can write nothing.

use anyhow::Context;
use classifier::considered::Considered;
use common::playbook::PlaybookView;
use common::{Decision, DecisionId, PlaybookRef};
use futures::{Stream, StreamExt};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A decision with what it was made of.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) decision: Decision,
    pub(super) kept: Kept,
}

/// What a decision was made of.
#[derive(Debug)]
pub(super) enum Kept {
    Considered(Box<Considered>),
    /// It was decided before that was kept.
    Nothing,
    /// In the form of another release.
    Unreadable,
}

#[derive(sqlx::FromRow)]
struct DecisionRow {
    decision_id: Uuid,
    tenant_id: String,
    ticket_id: String,
    automated: bool,
    category: String,
    sub_category: Option<String>,
    confidence: f64,
    model: String,
    prompt_version: String,
    reasoning: String,
    blockers: Value,
    playbook: Option<Value>,
    decided_at: OffsetDateTime,
    considered: Option<Value>,
}

impl DecisionRow {
    fn read(self) -> anyhow::Result<Row> {
        let id = self.decision_id;
        let unreadable = move || format!("decision {id} cannot be read");
        let decision = Decision {
            decision_id: DecisionId(id),
            tenant_id: self.tenant_id.parse().with_context(unreadable)?,
            ticket_id: self.ticket_id.parse().with_context(unreadable)?,
            automated: self.automated,
            category: self.category,
            sub_category: self.sub_category,
            confidence: self.confidence,
            model: self.model,
            prompt_version: self.prompt_version,
            reasoning: self.reasoning,
            blockers: serde_json::from_value(self.blockers).with_context(unreadable)?,
            playbook: self
                .playbook
                .map(serde_json::from_value)
                .transpose()
                .with_context(unreadable)?,
            execution_id: None,
            decided_at: self.decided_at,
        };
        let kept = match self.considered.map(serde_json::from_value::<Considered>) {
            None => Kept::Nothing,
            Some(Ok(considered)) => Kept::Considered(Box::new(considered)),
            Some(Err(_)) => Kept::Unreadable,
        };
        Ok(Row { decision, kept })
    }
}

/// From here on nothing can be written, and what is read belongs together.
pub(super) async fn only_look(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(connection)
        .await
        .context("the database does not answer")?;
    Ok(())
}

/// The decisions since then, as they were made.
pub(super) fn decisions<'c>(
    connection: &'c mut PgConnection,
    tenant: &'c str,
    since: OffsetDateTime,
) -> impl Stream<Item = anyhow::Result<Row>> + 'c {
    sqlx::query_as::<_, DecisionRow>(
        "SELECT decision_id, tenant_id, ticket_id, automated, category, sub_category, confidence, model, prompt_version,
                reasoning, blockers, playbook, decided_at, considered
         FROM classification_results
         WHERE tenant_id = $1 AND decided_at >= $2
         ORDER BY decision_id",
    )
    .bind(tenant)
    .bind(since)
    .fetch(connection)
    .map(|row| row.context("the decisions cannot be read: is the database at the newest schema (`firstline migrate`)?")?.read())
}

#[derive(sqlx::FromRow)]
struct DocumentRow {
    name: String,
    version: String,
    digest: String,
    description: String,
    category: String,
    sub_category: Option<String>,
    examples: Vec<String>,
    published_at: OffsetDateTime,
}

/// Every version that was published, by name. What their triggers said of a ticket stands with its decision.
pub(super) async fn documents(
    connection: &mut PgConnection,
    tenant: &str,
) -> anyhow::Result<Vec<PlaybookView>> {
    let rows: Vec<DocumentRow> = sqlx::query_as(
        "SELECT name, version, digest, description, category, sub_category, examples, published_at
         FROM playbooks
         WHERE tenant_id = $1
         ORDER BY name, version",
    )
    .bind(tenant)
    .fetch_all(connection)
    .await
    .context("the playbooks cannot be read")?;
    rows.into_iter().map(document).collect()
}

fn document(row: DocumentRow) -> anyhow::Result<PlaybookView> {
    let unreadable = || format!("playbook {} {} cannot be read", row.name, row.version);
    Ok(PlaybookView {
        playbook: PlaybookRef {
            name: row.name.parse().with_context(unreadable)?,
            version: row.version.parse().with_context(unreadable)?,
            digest: row.digest.parse().with_context(unreadable)?,
        },
        active: false,
        activation: None,
        description: row.description,
        category: row.category,
        sub_category: row.sub_category,
        examples: row.examples,
        trigger: None,
        inputs_schema: Value::Null,
        planned: vec![],
        // What it does is not read here; whoever is not told takes care.
        privileged: true,
        calls: vec![],
        published_at: row.published_at,
        source: None,
    })
}
