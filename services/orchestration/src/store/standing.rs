//! What stands still, and why: paused executions and switches. Looked up in the very statement that claims or commits, so
//! that no replica acts on what it knew before; and let go by whoever finds that nothing holds it any more.

use std::collections::HashMap;

use chassis::PersonCaller;
use chassis::audit::AuditEvent;
use common::operate::{Position, SetSwitch, SwitchView, SwitchedOff};
use common::{ExecutionId, PlaybookName, Standstill, Switch};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{EXECUTIONS, OPERATORS, Store, StoreError, notify};
use crate::manners;

/// Executions let go in one statement.
const BATCH: i64 = 256;

/// Whether steps of an execution may begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They may.
    #[default]
    Free,
    /// An operator paused it.
    Paused,
    /// A switch that concerns it is off.
    SwitchedOff,
}

impl Standing {
    /// As the statements tell it.
    pub(crate) const fn of(paused: bool, switched_off: bool) -> Self {
        match (paused, switched_off) {
            (true, _) => Self::Paused,
            (false, true) => Self::SwitchedOff,
            (false, false) => Self::Free,
        }
    }

    /// No step may begin.
    pub(crate) fn is_still(self) -> bool {
        self != Self::Free
    }
}

/// A switch that is off, as it is stored.
struct OffRow {
    scope: String,
    name: String,
    off_since: OffsetDateTime,
    off_by: String,
    reason: String,
}

impl OffRow {
    fn read(self) -> Result<(Switch, SwitchedOff), StoreError> {
        let switch = match self.scope.as_str() {
            "global" => Switch::Global,
            "tenant" => Switch::Tenant,
            _ => Switch::Playbook {
                name: self.name.parse().map_err(StoreError::corrupt("switches"))?,
            },
        };
        let off = SwitchedOff {
            name: self.off_by,
            reason: self.reason,
            since: self.off_since,
        };
        Ok((switch, off))
    }
}

impl Store {
    /// What came for an execution in our hands: how many signals ever, and whether its steps may begin.
    pub(crate) async fn news(&self, execution: ExecutionId) -> Result<(i64, Standing), StoreError> {
        let row = sqlx::query!(
            r#"SELECT signals, paused_at IS NOT NULL AS "paused!",
                      EXISTS (
                          SELECT FROM switches
                          WHERE switches.tenant_id IN (execution.tenant_id, '')
                            AND switches.name IN ('', execution.playbook_name)
                      ) AS "switched_off!"
             FROM playbook_executions execution
             WHERE tenant_id = $1 AND id = $2"#,
            self.tenant_id(),
            execution.0,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.signals, Standing::of(row.paused, row.switched_off)))
    }

    /// Why an operator wants an execution to end; `None` while nobody does.
    pub(crate) async fn cancelled(&self, execution: ExecutionId) -> Result<Option<String>, StoreError> {
        let cancelled = sqlx::query_scalar!(
            "SELECT cancelled FROM playbook_executions WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            execution.0,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(cancelled)
    }

    /// Wake whatever was let go of while it stood still and is held by nothing any more: how many. Of what it misses otherwise its
    /// ticket is told anew: the last word there is that it goes on.
    pub(crate) async fn wake_free(&self) -> Result<u64, StoreError> {
        let seen = sqlx::query!(
            r#"WITH free AS (
                 SELECT id
                 FROM playbook_executions held
                 WHERE tenant_id = $1 AND held AND ended_at IS NULL AND runner IS NULL AND paused_at IS NULL
                   AND NOT EXISTS (
                       SELECT FROM switches
                       WHERE switches.tenant_id IN (held.tenant_id, '') AND switches.name IN ('', held.playbook_name)
                   )
                 LIMIT $2
                 FOR UPDATE SKIP LOCKED
             ), woken AS (
                 UPDATE playbook_executions execution
                 SET held = false, parked_told = false, wake_at = now()
                 FROM free
                 WHERE execution.tenant_id = $1 AND execution.id = free.id
                 RETURNING execution.id
             ), counted AS (
                 SELECT count(*) AS woken FROM woken
             )
             SELECT woken AS "woken!", CASE WHEN woken > 0 THEN pg_notify($3, '')::text END AS told
             FROM counted"#,
            self.tenant_id(),
            BATCH,
            EXECUTIONS,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(seen.woken).unwrap_or_default())
    }

    /// The global switch, the tenant's, and those of playbooks that are off.
    pub(crate) async fn switches(&self) -> Result<Vec<SwitchView>, StoreError> {
        let mut off: HashMap<Switch, SwitchedOff> = self.off().await?.into_iter().collect();
        let mut views: Vec<SwitchView> = [Switch::Global, Switch::Tenant]
            .map(|switch| SwitchView {
                off: off.remove(&switch),
                switch,
            })
            .into();
        views.extend(off.into_iter().map(|(switch, off)| SwitchView {
            switch,
            off: Some(off),
        }));
        views.sort_by_key(|view| match &view.switch {
            Switch::Global => (0, String::new()),
            Switch::Tenant => (1, String::new()),
            Switch::Playbook { name } => (2, name.to_string()),
        });
        Ok(views)
    }

    /// How one switch stands.
    pub(crate) async fn switch(&self, switch: Switch) -> Result<SwitchView, StoreError> {
        let off = self.off().await?;
        let off = off.into_iter().find(|(other, _)| *other == switch);
        Ok(SwitchView {
            switch,
            off: off.map(|(_, off)| off),
        })
    }

    /// The widest switch that holds executions of `playbook`.
    pub(crate) async fn switch_of(
        &self,
        playbook: &PlaybookName,
    ) -> Result<Option<(Switch, SwitchedOff)>, StoreError> {
        let off = self.off().await?;
        let concerns = |(switch, _): &(Switch, SwitchedOff)| match switch {
            Switch::Global | Switch::Tenant => true,
            Switch::Playbook { name } => name == playbook,
        };
        Ok(off.into_iter().find(concerns))
    }

    /// Every switch that is off and concerns this tenant, the widest first.
    async fn off(&self) -> Result<Vec<(Switch, SwitchedOff)>, StoreError> {
        let rows = sqlx::query_as!(
            OffRow,
            "SELECT scope, name, off_since, off_by, reason
             FROM switches
             WHERE tenant_id IN ($1, '')
             ORDER BY tenant_id, name",
            self.tenant_id(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(OffRow::read).collect()
    }

    /// Put a switch in a position: with its audit, and every replica learns of it. What stands so already is left alone.
    pub(crate) async fn set_switch(&self, set: &SetSwitch, by: &PersonCaller) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let changed = match set.position {
            Position::Off => self.switch_off(&mut transaction, set, by).await?,
            Position::On => self.switch_on(&mut transaction, set).await?,
        };
        if !changed {
            return Ok(());
        }
        let kind = match set.position {
            Position::Off => "switch.off",
            Position::On => "switch.on",
        };
        let detail = json!({"switch": set.switch, "name": manners::sentence(&by.name), "reason": set.reason});
        let event = AuditEvent::new(kind, detail).actor(format!("person:{}", by.id));
        self.record(&mut transaction, &[event]).await?;
        notify(&mut transaction, OPERATORS).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn switch_off(
        &self,
        connection: &mut PgConnection,
        set: &SetSwitch,
        by: &PersonCaller,
    ) -> Result<bool, StoreError> {
        let (tenant, name) = self.key(&set.switch);
        let inserted = sqlx::query!(
            "INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason)
             VALUES ($1, $2, $3, now(), $4, $5)
             ON CONFLICT DO NOTHING",
            tenant,
            set.switch.scope(),
            name,
            manners::sentence(&by.name),
            set.reason.as_str(),
        )
        .execute(connection)
        .await?;
        Ok(inserted.rows_affected() > 0)
    }

    async fn switch_on(&self, connection: &mut PgConnection, set: &SetSwitch) -> Result<bool, StoreError> {
        let (tenant, name) = self.key(&set.switch);
        let deleted = sqlx::query!(
            "DELETE FROM switches WHERE tenant_id = $1 AND scope = $2 AND name = $3",
            tenant,
            set.switch.scope(),
            name,
        )
        .execute(connection)
        .await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// The columns `tenant_id` and `name`.
    fn key<'s>(&'s self, switch: &'s Switch) -> (&'s str, &'s str) {
        match switch {
            Switch::Global => ("", ""),
            Switch::Tenant => (self.tenant_id(), ""),
            Switch::Playbook { name } => (self.tenant_id(), name.as_str()),
        }
    }

    /// Why executions that have not ended stand still; those that do not are left out.
    pub(super) async fn standstills(
        &self,
        executions: &[Uuid],
    ) -> Result<HashMap<ExecutionId, Standstill>, StoreError> {
        let rows = sqlx::query!(
            "SELECT id, playbook_name, paused_at, paused_by, paused_because
             FROM playbook_executions
             WHERE tenant_id = $1 AND id = ANY($2) AND ended_at IS NULL",
            self.tenant_id(),
            executions,
        )
        .fetch_all(&self.pool)
        .await?;
        if rows.is_empty() {
            return Ok(HashMap::new());
        }
        let off = self.off().await?;
        let standstills = rows.into_iter().filter_map(|row| {
            let paused = row.paused_at.map(|since| Standstill::Operator {
                name: row.paused_by.unwrap_or_default(),
                reason: row.paused_because,
                since,
            });
            let held = || {
                let (switch, off) = off.iter().find(|(switch, _)| match switch {
                    Switch::Global | Switch::Tenant => true,
                    Switch::Playbook { name } => name.as_str() == row.playbook_name,
                })?;
                Some(Standstill::Switch {
                    switch: switch.clone(),
                    off: off.clone(),
                })
            };
            Some((ExecutionId(row.id), paused.or_else(held)?))
        });
        Ok(standstills.collect())
    }
}
