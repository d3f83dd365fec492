//! Executions as people and services look at them. Permits and sealed credentials never leave.

use std::collections::HashMap;

use common::execution::{ExecutionStatus, StepView};
use common::{
    Digest, Ending, ExecutionId, ExecutionView, Outcome, PlaybookRef, Standstill, StepCall, TicketId, Values,
};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::story::{Chapter, Story};

/// How many executions a list shows.
const RECENT: i64 = 100;

struct ExecutionRow {
    id: Uuid,
    ticket_id: String,
    decision_id: Uuid,
    playbook_name: String,
    playbook_version: String,
    playbook_digest: String,
    requester_name: String,
    status: String,
    reason: Option<String>,
    started_at: time::OffsetDateTime,
    ended_at: Option<time::OffsetDateTime>,
}

impl ExecutionRow {
    fn playbook(&self) -> Result<PlaybookRef, StoreError> {
        Ok(PlaybookRef {
            name: self
                .playbook_name
                .parse()
                .map_err(StoreError::corrupt("playbook_executions"))?,
            version: self
                .playbook_version
                .parse()
                .map_err(StoreError::corrupt("playbook_executions"))?,
            digest: self
                .playbook_digest
                .parse::<Digest>()
                .map_err(StoreError::corrupt("playbook_executions"))?,
        })
    }

    fn view(
        self,
        tenant: &common::TenantId,
        chapters: Vec<Chapter>,
        standstill: Option<Standstill>,
    ) -> Result<ExecutionView, StoreError> {
        let steps: Vec<StepView> = chapters.into_iter().map(|chapter| chapter.step).collect();
        let open = steps.iter().rev().find(|step| step.outcome.is_none());
        Ok(ExecutionView {
            execution_id: ExecutionId(self.id),
            tenant_id: tenant.clone(),
            ticket_id: self
                .ticket_id
                .parse()
                .map_err(StoreError::corrupt("playbook_executions"))?,
            playbook: self.playbook()?,
            status: status(&self.status)?,
            current_step: open.map(|step| step.call.clone()),
            standstill,
            reason: self.reason,
            steps,
            started_at: self.started_at,
            ended_at: self.ended_at,
        })
    }

    /// `None` while it runs.
    fn story(self, chapters: Vec<Chapter>) -> Result<Option<Story>, StoreError> {
        let ending = match (status(&self.status)?, self.reason.clone()) {
            (ExecutionStatus::Resolved, _) => Ending::Resolved,
            (ExecutionStatus::Escalated, reason) => Ending::Escalated {
                reason: reason.unwrap_or_default(),
            },
            (ExecutionStatus::Queued | ExecutionStatus::Running | ExecutionStatus::Waiting, _) => {
                return Ok(None);
            }
        };
        Ok(Some(Story {
            execution: ExecutionId(self.id),
            decision: common::DecisionId(self.decision_id),
            playbook: self.playbook()?,
            ending,
            started_at: self.started_at,
            ended_at: self.ended_at.unwrap_or(self.started_at),
            requester_name: self.requester_name,
            chapters,
        }))
    }
}

impl Store {
    /// One execution with its steps.
    pub(crate) async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionView>, StoreError> {
        let Some(row) = self.row(id).await? else {
            return Ok(None);
        };
        let chapters = self.chapters(&[id.0]).await?.remove(&id);
        let standstill = self.standstills(&[id.0]).await?.remove(&id);
        row.view(&self.tenant, chapters.unwrap_or_default(), standstill)
            .map(Some)
    }

    /// The newest execution of a ticket, with its steps.
    pub(crate) async fn of_ticket(&self, ticket: &TicketId) -> Result<Option<ExecutionView>, StoreError> {
        let newest = sqlx::query_scalar!(
            "SELECT MAX(id::text)::uuid
             FROM (
                 SELECT id FROM playbook_executions WHERE tenant_id = $1 AND ticket_id = $2
                 UNION ALL
                 SELECT id FROM archived_executions WHERE tenant_id = $1 AND ticket_id = $2
             ) AS every",
            self.tenant_id(),
            ticket.as_str(),
        )
        .fetch_one(&self.pool)
        .await?;
        match newest {
            Some(id) => self.execution(ExecutionId(id)).await,
            None => Ok(None),
        }
    }

    /// The newest executions, newest first, without steps.
    pub(crate) async fn recent(&self) -> Result<Vec<ExecutionView>, StoreError> {
        let rows = sqlx::query_as!(
            ExecutionRow,
            "SELECT id, ticket_id, decision_id, playbook_name, playbook_version, playbook_digest, requester_name,
                    status, reason, started_at, ended_at
             FROM playbook_executions
             WHERE tenant_id = $1
             ORDER BY id DESC
             LIMIT $2",
            self.tenant_id(),
            RECENT,
        )
        .fetch_all(&self.pool)
        .await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let mut standstills = self.standstills(&ids).await?;
        rows.into_iter()
            .map(|row| {
                let standstill = standstills.remove(&ExecutionId(row.id));
                row.view(&self.tenant, vec![], standstill)
            })
            .collect()
    }

    /// What executions did; those that still run are left out.
    pub(crate) async fn stories(
        &self,
        ids: &[ExecutionId],
    ) -> Result<HashMap<ExecutionId, Story>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query_as!(
            ExecutionRow,
            "SELECT id, ticket_id, decision_id, playbook_name, playbook_version, playbook_digest, requester_name,
                    status, reason, started_at, ended_at
             FROM playbook_executions
             WHERE tenant_id = $1 AND id = ANY($2)",
            self.tenant_id(),
            &ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut chapters = self.chapters(&ids).await?;
        let mut stories = HashMap::with_capacity(rows.len());
        for row in rows {
            let id = ExecutionId(row.id);
            if let Some(story) = row.story(chapters.remove(&id).unwrap_or_default())? {
                stories.insert(id, story);
            }
        }
        Ok(stories)
    }

    /// Also one that was archived.
    async fn row(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError> {
        let row = sqlx::query_as!(
            ExecutionRow,
            r#"SELECT id AS "id!", ticket_id AS "ticket_id!", decision_id AS "decision_id!",
                    playbook_name AS "playbook_name!", playbook_version AS "playbook_version!",
                    playbook_digest AS "playbook_digest!", requester_name AS "requester_name!", status AS "status!",
                    reason, started_at AS "started_at!", ended_at
             FROM playbook_executions
             WHERE tenant_id = $1 AND id = $2
             UNION ALL
             SELECT was.id, was.ticket_id, was.decision_id, was.playbook_name, was.playbook_version,
                    was.playbook_digest, was.requester_name, was.status, was.reason, was.started_at, was.ended_at
             FROM archived_executions archived,
                  jsonb_populate_record(NULL::playbook_executions, archived.record -> 'execution') AS was
             WHERE archived.tenant_id = $1 AND archived.id = $2"#,
            self.tenant_id(),
            id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row)
    }

    /// The calls of executions, each execution's in their order; also of those that were archived.
    async fn chapters(&self, executions: &[Uuid]) -> Result<HashMap<ExecutionId, Vec<Chapter>>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT execution_id AS "execution_id!", step_id AS "step_id!", visit AS "visit!", attempt AS "attempt!",
                    name AS "name!", action, asked, outcome, explanation, output AS "output!",
                    started_at AS "started_at!", ended_at
             FROM (
                 SELECT * FROM playbook_step_executions WHERE tenant_id = $1 AND execution_id = ANY($2)
                 UNION ALL
                 SELECT was.*
                 FROM archived_executions archived,
                      jsonb_populate_recordset(NULL::playbook_step_executions, archived.record -> 'steps') AS was
                 WHERE archived.tenant_id = $1 AND archived.id = ANY($2)
             ) AS every
             ORDER BY execution_id, ordinal"#,
            self.tenant_id(),
            executions,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut chapters: HashMap<ExecutionId, Vec<Chapter>> = HashMap::new();
        for row in rows {
            let call = StepCall {
                id: row
                    .step_id
                    .parse()
                    .map_err(StoreError::corrupt("playbook_step_executions"))?,
                visit: u32::try_from(row.visit).map_err(StoreError::corrupt("playbook_step_executions"))?,
                attempt: u32::try_from(row.attempt)
                    .map_err(StoreError::corrupt("playbook_step_executions"))?,
            };
            let output: Values = serde_json::from_value(row.output)
                .map_err(StoreError::corrupt("playbook_step_executions"))?;
            let step = StepView {
                call,
                name: row.name,
                service: row.action,
                outcome: row.outcome.map(Outcome::from),
                explanation: row.explanation.or_else(|| row.asked.clone()).unwrap_or_default(),
                output,
                started_at: row.started_at,
                ended_at: row.ended_at,
            };
            let chapter = Chapter {
                step,
                asked: row.asked,
            };
            chapters
                .entry(ExecutionId(row.execution_id))
                .or_default()
                .push(chapter);
        }
        Ok(chapters)
    }
}

/// As the column writes it.
pub(super) fn status(text: &str) -> Result<ExecutionStatus, StoreError> {
    const ALL: [ExecutionStatus; 5] = [
        ExecutionStatus::Queued,
        ExecutionStatus::Running,
        ExecutionStatus::Waiting,
        ExecutionStatus::Resolved,
        ExecutionStatus::Escalated,
    ];
    let known = ALL.into_iter().find(|status| status.as_str() == text);
    known.ok_or_else(|| StoreError::corrupt("playbook_executions")(format!("status `{text}`")))
}
