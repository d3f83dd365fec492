//! What the report is made of: decisions counted by all that it distinguishes.

use common::modes::Verdict;
use common::{PlaybookName, clock};
use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::modes::report::{Cell, Reasons};

impl Store {
    /// All decisions from `since` on, counted.
    pub(crate) async fn cells(&self, since: OffsetDateTime) -> Result<Vec<Cell>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT playbook, day AS "day!", bin AS "bin!", would_automate AS "would_automate!",
                    automated AS "automated!", verdict, count(*) AS "count!", sum(confidence) AS "confidence!"
             FROM (
                 SELECT d.playbook->>'name' AS playbook, (d.decided_at AT TIME ZONE 'UTC')::date AS day,
                        least(floor(d.confidence * 10)::integer, 9) AS bin, d.confidence,
                        d.automated OR d.blockers->0->>'code' IN ('shadow_mode', 'awaits_agent') AS would_automate,
                        d.automated OR s.approved_at IS NOT NULL AS automated, v.verdict
                 FROM classification_results d
                 LEFT JOIN suggestions s ON s.tenant_id = d.tenant_id AND s.decision_id = d.decision_id
                 LEFT JOIN gate_verdicts v ON v.tenant_id = d.tenant_id AND v.decision_id = d.decision_id
                                          AND v.playbook = d.playbook->>'name'
                 WHERE d.tenant_id = $1 AND d.decision_id >= $2
             ) AS seen
             GROUP BY playbook, day, bin, would_automate, automated, verdict"#,
            self.tenant.as_str(),
            clock::first_id_at(since),
        )
        .fetch_all(&self.pool)
        .await?;
        let cells = rows.into_iter().map(|row| {
            Ok(Cell {
                playbook: row.playbook.map(|name| named(&name)).transpose()?,
                day: row.day,
                bin: usize::try_from(row.bin).unwrap_or_default(),
                would_automate: row.would_automate,
                automated: row.automated,
                verdict: row.verdict.map(|verdict| said(&verdict)).transpose()?,
                count: row.count.unsigned_abs(),
                confidence: row.confidence,
            })
        });
        cells.collect()
    }

    /// Why tickets of each playbook, and of none, were left to people.
    pub(crate) async fn reasons(&self, since: OffsetDateTime) -> Result<Vec<Reasons>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT d.playbook->>'name' AS "playbook?", blocker->>'code' AS "code!", count(*) AS "count!"
             FROM classification_results d, jsonb_array_elements(d.blockers) AS blocker
             WHERE d.tenant_id = $1 AND d.decision_id >= $2 AND NOT d.automated
             GROUP BY 1, 2"#,
            self.tenant.as_str(),
            clock::first_id_at(since),
        )
        .fetch_all(&self.pool)
        .await?;
        let reasons = rows.into_iter().map(|row| {
            Ok(Reasons {
                playbook: row.playbook.map(|name| named(&name)).transpose()?,
                code: row.code,
                count: row.count.unsigned_abs(),
            })
        });
        reasons.collect()
    }
}

fn named(name: &str) -> Result<PlaybookName, StoreError> {
    name.parse().map_err(|_| StoreError::Corrupt {
        ticket: String::new(),
        what: format!("`{name}` is no name of a playbook"),
    })
}

fn said(verdict: &str) -> Result<Verdict, StoreError> {
    let all = [Verdict::Agreed, Verdict::Disagreed, Verdict::Unclear];
    let same = |known: &Verdict| known.as_str() == verdict;
    all.into_iter().find(same).ok_or_else(|| StoreError::Corrupt {
        ticket: String::new(),
        what: format!("`{verdict}` is no verdict"),
    })
}
