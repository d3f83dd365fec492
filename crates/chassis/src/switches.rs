//! Kill switches, as whoever acts looks at them: in the transaction in which it writes what it is about to do, so that
//! no notification has to arrive first. They are orchestration's rows; a service can put the tenant's off, and none on
//! again.

use common::operate::SwitchedOff;
use common::{PlaybookName, Switch, TenantId};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;

use crate::audit::AuditEvent;
use crate::tripwires::Alarm;

/// What stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Off {
    /// The widest switch that is off.
    pub switch: Switch,
    /// Who switched it off, when and why.
    pub off: SwitchedOff,
}

/// The code of the problem with which a step is refused while a switch is off. It is a 503: nothing was done, and the
/// same request is good later.
pub const SWITCHED_OFF: &str = "switched_off";

/// `the tenant's switch has been off since 2026-11-28 09:50 UTC (service:verification: three people said no)`.
impl std::fmt::Display for Off {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        let since = self.off.since.to_offset(time::UtcOffset::UTC).format(&format);
        let (since, by, reason) = (since.unwrap_or_default(), &self.off.name, &self.off.reason);
        write!(
            f,
            "{} has been off since {since} ({by}: {})",
            self.switch,
            reason.trim_end_matches('.')
        )
    }
}

impl Off {
    /// A step that was not begun because of it.
    pub fn problem(&self) -> common::Problem {
        let detail = format!("nothing was done: {self}");
        let mut problem = common::Problem::new(http::StatusCode::SERVICE_UNAVAILABLE, SWITCHED_OFF, detail);
        problem.retry_after_s = Some(1);
        problem
    }
}

struct OffRow {
    scope: String,
    off_since: OffsetDateTime,
    off_by: String,
    reason: String,
}

/// The widest switch that is off and concerns this tenant and, where one is named, this playbook.
///
/// # Errors
/// The database did not say: then nothing may be done either.
pub async fn off(
    connection: impl PgExecutor<'_>,
    tenant: &TenantId,
    playbook: Option<&PlaybookName>,
) -> Result<Option<Off>, sqlx::Error> {
    let row = sqlx::query_as!(
        OffRow,
        "SELECT scope, off_since, off_by, reason
         FROM switches
         WHERE tenant_id IN ($1, '') AND name IN ('', $2)
         ORDER BY tenant_id, name
         LIMIT 1",
        tenant.as_str(),
        playbook.map_or("", PlaybookName::as_str),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Off {
        switch: match (row.scope.as_str(), playbook) {
            ("playbook", Some(name)) => Switch::Playbook { name: name.clone() },
            ("tenant", _) => Switch::Tenant,
            // Whatever it is, it is off.
            _ => Switch::Global,
        },
        off: SwitchedOff {
            name: row.off_by,
            reason: row.reason,
            since: row.off_since,
        },
    }))
}

/// Put the tenant's switch off because of `alarm`, in the name of the calling service. The event to record, where it
/// was on.
///
/// # Errors
/// The database refused, or is away.
pub async fn freeze(
    connection: &mut PgConnection,
    tenant: &TenantId,
    alarm: Alarm,
) -> Result<Option<AuditEvent>, sqlx::Error> {
    let reason = alarm.to_string();
    let frozen = sqlx::query_scalar!(
        r#"SELECT freeze_tenant($1, $2) AS "frozen!""#,
        tenant.as_str(),
        reason
    )
    .fetch_one(connection)
    .await?;
    if !frozen {
        return Ok(None);
    }
    tracing::error!(%tenant, reason, "froze the tenant");
    metrics::counter!("firstline_freezes_total", "alarm" => alarm.limited.code()).increment(1);
    let detail = serde_json::json!({
        "switch": Switch::Tenant, "reason": reason, "alarm": alarm.limited.code(), "limit": alarm.limit.to_string(),
    });
    Ok(Some(AuditEvent::new("switch.off", detail)))
}
