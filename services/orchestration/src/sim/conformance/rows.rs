//! What stands in the tables, on both sides, in words that can be compared.

use std::collections::BTreeMap;

use common::TicketId;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use time::OffsetDateTime;

use super::Pair;
use crate::store::Settled;

/// Two clocks read one after the other.
const NEAR: time::Duration = time::Duration::seconds(3);

/// A row, and its time, by a key that sorts both sides alike.
type Rows = BTreeMap<String, (String, Option<OffsetDateTime>)>;

impl Pair {
    /// The same rows stand on both sides.
    pub(super) async fn compare(&mut self) {
        let pairs = [
            (
                "playbook_executions",
                self.executions_stored().await,
                self.executions_modelled(),
            ),
            (
                "playbook_step_executions",
                self.steps_stored().await,
                self.steps_modelled(),
            ),
            (
                "execution_signals",
                self.signals_stored().await,
                self.signals_modelled(),
            ),
            (
                "execution_runners",
                self.runners_stored().await,
                self.runners_modelled(),
            ),
            (
                "ticket_updates",
                self.updates_stored().await,
                self.updates_modelled(),
            ),
            (
                "ticket_outboxes",
                self.outboxes_stored().await,
                self.outboxes_modelled(),
            ),
            ("audit_events", self.audit_stored().await, self.audit_modelled()),
        ];
        for (table, stored, modelled) in pairs {
            let near = |(one, other): (&Option<OffsetDateTime>, &Option<OffsetDateTime>)| match (one, other) {
                (Some(one), Some(other)) => (*one - *other).abs() < NEAR,
                (one, other) => one == other,
            };
            let times = stored.values().zip(modelled.values());
            let times = times.map(|((_, one), (_, other))| (one, other));
            let agree = times.into_iter().all(near);
            let words = |rows: &Rows| -> Vec<String> {
                rows.iter()
                    .map(|(key, (row, _))| format!("{key}: {row}"))
                    .collect()
            };
            self.same(table, words(&stored), words(&modelled));
            if !agree {
                let all = |rows: &Rows| format!("{rows:#?}");
                self.same(table, all(&stored), all(&modelled));
            }
        }
    }

    async fn rows(&self, sql: &str) -> Vec<PgRow> {
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&self.owner)
            .await
            .expect("the owner may look into every table")
    }

    /// Rows of `key, row, time`.
    async fn stored(&self, sql: &str) -> Rows {
        let rows = self.rows(sql).await;
        rows.iter()
            .map(|row| (row.get(0), (row.get(1), row.get(2))))
            .collect()
    }

    async fn executions_stored(&self) -> Rows {
        self.stored(
            "SELECT id::text,
                    concat_ws(' ', status, COALESCE(reason, '-'), state ->> 'nth', signals, parked_since IS NOT NULL,
                              parked_told, COALESCE(runner::text, '-'), fence, ended_at IS NOT NULL,
                              paused_at IS NOT NULL, COALESCE(cancelled, '-'), held, insisted),
                    wake_at
             FROM playbook_executions",
        )
        .await
    }

    fn executions_modelled(&self) -> Rows {
        let rows = self.model.executions.iter().map(|(id, row)| {
            let words = format!(
                "{} {} {} {} {} {} {} {} {} {} {} {} {}",
                row.status.as_str(),
                row.reason.as_deref().unwrap_or("-"),
                row.state.value()["nth"].as_str().unwrap_or_default(),
                row.signals,
                flag(row.parked_since.is_some()),
                flag(row.parked_told),
                row.runner
                    .map_or_else(|| "-".to_owned(), |runner| runner.0.to_string()),
                row.fence,
                flag(row.ended_at.is_some()),
                flag(row.paused),
                row.cancelled.as_deref().unwrap_or("-"),
                flag(row.held),
                flag(row.insisted),
            );
            (id.0.to_string(), (words, row.wake_at))
        });
        rows.collect()
    }

    async fn steps_stored(&self) -> Rows {
        self.stored(
            "SELECT concat_ws('/', execution_id, step_id, visit, attempt),
                    concat_ws(' ', COALESCE(action, '-'), COALESCE(operation_id::text, '-'), COALESCE(asked, '-'),
                              COALESCE(outcome, '-'), COALESCE(explanation, '-')),
                    NULL::timestamptz
             FROM playbook_step_executions",
        )
        .await
    }

    fn steps_modelled(&self) -> Rows {
        let rows = self.model.steps.iter().map(|((id, step, visit, attempt), row)| {
            let or = |word: Option<String>| word.unwrap_or_else(|| "-".to_owned());
            let words = [
                or(row.action.as_ref().map(ToString::to_string)),
                or(row.operation.map(|operation| operation.0.to_string())),
                or(row.asked.clone()),
                or(row.outcome.as_ref().map(ToString::to_string)),
                or(row.explanation.clone()),
            ];
            (
                format!("{}/{step}/{visit}/{attempt}", id.0),
                (words.join(" "), None),
            )
        });
        rows.collect()
    }

    async fn signals_stored(&self) -> Rows {
        self.stored(
            "SELECT concat_ws('/', execution_id, operation_id), COALESCE(effect, '-'), NULL::timestamptz
             FROM execution_signals",
        )
        .await
    }

    fn signals_modelled(&self) -> Rows {
        let rows = self.model.signals.iter().map(|((id, operation), row)| {
            let effect = match row.applied {
                None => "-",
                Some(true) => "applied",
                Some(false) => "late",
            };
            (format!("{}/{}", id.0, operation.0), (effect.to_owned(), None))
        });
        rows.collect()
    }

    async fn runners_stored(&self) -> Rows {
        self.stored("SELECT id::text, '', leased_until FROM execution_runners")
            .await
    }

    fn runners_modelled(&self) -> Rows {
        let rows = self.model.runners.iter();
        rows.map(|(id, row)| (id.to_string(), (String::new(), Some(row.leased_until))))
            .collect()
    }

    /// In their order for each ticket; the numbers themselves may have gaps.
    async fn updates_stored(&self) -> Rows {
        self.stored(
            "SELECT ticket_id || ' ' || to_char(row_number() OVER (PARTITION BY ticket_id ORDER BY position), '0000'),
                    concat_ws(' ', execution_id, kind, COALESCE(settled, '-')), NULL::timestamptz
             FROM ticket_updates",
        )
        .await
    }

    fn updates_modelled(&self) -> Rows {
        let mut nth: BTreeMap<TicketId, usize> = BTreeMap::new();
        let rows = self.model.updates.iter().map(|row| {
            let nth = nth.entry(row.ticket.clone()).or_default();
            *nth += 1;
            let settled = row.settled.map_or("-", Settled::as_str);
            let words = format!("{} {} {settled}", row.execution.0, row.update.kind());
            (format!("{}  {nth:04}", row.ticket), (words, None))
        });
        rows.collect()
    }

    async fn outboxes_stored(&self) -> Rows {
        self.stored(
            "SELECT ticket_id, concat_ws(' ', held, fence, enqueued, doubt, failures), wake_at FROM ticket_outboxes",
        )
        .await
    }

    fn outboxes_modelled(&self) -> Rows {
        let rows = self.model.outboxes.iter().map(|(ticket, row)| {
            let words = format!(
                "{} {} {} {} {}",
                flag(row.held),
                row.fence,
                row.enqueued,
                flag(row.doubt),
                row.failures
            );
            (ticket.to_string(), (words, row.wake_at))
        });
        rows.collect()
    }

    /// Who was accepted is on record, and what was written of it: of what met another one nothing is.
    async fn audit_stored(&self) -> Rows {
        self.stored(
            "SELECT execution_id::text,
                    concat_ws(' ', count(*) FILTER (WHERE kind = 'execution.accepted'), count(*) FILTER (WHERE kind = 'step.ended')),
                    NULL::timestamptz
             FROM audit_events
             WHERE kind IN ('execution.accepted', 'step.ended')
             GROUP BY execution_id",
        )
        .await
    }

    fn audit_modelled(&self) -> Rows {
        let rows = self.model.executions.keys().map(|id| {
            let written = self.model.written.get(id).copied().unwrap_or_default();
            (id.to_string(), (format!("1 {written}"), None))
        });
        rows.collect()
    }
}

/// As Postgres writes it.
const fn flag(set: bool) -> &'static str {
    if set { "t" } else { "f" }
}
