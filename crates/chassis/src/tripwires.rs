//! Limits on how fast things happen, counted where it cannot be lost: each service keeps its windows in a table of its
//! own, in the transaction of what it counts. A row is locked while it is decided whether one more fits, so that two
//! replicas never share the last place.

use std::fmt;

use common::TenantId;
use common::protection::Protected;
use common::velocity::{Limit, Limited, Place, Use, Windows};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::settings::Reader;

/// A window as it is stored.
pub struct Row {
    /// What is limited.
    pub limited: String,
    /// Of whom.
    pub key: String,
    /// Oldest first.
    pub uses: Json<Vec<Use>>,
}

/// A table of windows; [`windows_table`](crate::windows_table) makes one.
pub trait Table {
    /// Lock these windows, in this order, making those that are not there.
    fn open(
        connection: &mut PgConnection,
        tenant: &str,
        limited: &[&str],
        keys: &[&str],
    ) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send;

    /// Write these windows.
    fn keep(
        connection: &mut PgConnection,
        tenant: &str,
        limited: &[&str],
        keys: &[&str],
        uses: &[serde_json::Value],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Implement [`tripwires::Table`](Table) over a table of the calling service, as checked queries.
#[macro_export]
macro_rules! windows_table {
    ($(#[$doc:meta])* $name:ident, $table:literal) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl $crate::tripwires::Table for $name {
            async fn open(
                connection: &mut sqlx::PgConnection,
                tenant: &str,
                limited: &[&str],
                keys: &[&str],
            ) -> Result<Vec<$crate::tripwires::Row>, sqlx::Error> {
                sqlx::query_as!(
                    $crate::tripwires::Row,
                    "INSERT INTO " + $table + " AS kept (tenant_id, limited, key)
                     SELECT $1, asked.limited, asked.key
                     FROM UNNEST($2::text[], $3::text[]) WITH ORDINALITY AS asked (limited, key, place)
                     ORDER BY asked.place
                     ON CONFLICT (tenant_id, limited, key) DO UPDATE SET uses = kept.uses
                     RETURNING limited, key, uses AS \"uses: _\"",
                    tenant,
                    limited as &[&str],
                    keys as &[&str],
                )
                .fetch_all(connection)
                .await
            }

            async fn keep(
                connection: &mut sqlx::PgConnection,
                tenant: &str,
                limited: &[&str],
                keys: &[&str],
                uses: &[serde_json::Value],
            ) -> Result<(), sqlx::Error> {
                sqlx::query!(
                    "UPDATE " + $table + " AS kept
                     SET uses = new.uses
                     FROM UNNEST($2::text[], $3::text[], $4::jsonb[]) AS new (limited, key, uses)
                     WHERE kept.tenant_id = $1 AND kept.limited = new.limited AND kept.key = new.key",
                    tenant,
                    limited as &[&str],
                    keys as &[&str],
                    uses,
                )
                .execute(connection)
                .await?;
                Ok(())
            }
        }
    };
}

/// Hold the windows of `places` against everybody else, until the transaction ends. Whoever holds several kinds of rows
/// holds windows first.
///
/// # Errors
/// The database is away.
pub async fn open<T: Table>(
    connection: &mut PgConnection,
    tenant: &TenantId,
    places: impl IntoIterator<Item = &Place>,
) -> Result<Windows, sqlx::Error> {
    // Sorted and each once: two transactions that want the same windows want them in the same order.
    let wanted: std::collections::BTreeSet<(&str, &str)> = places
        .into_iter()
        .map(|place| (place.limited.as_str(), place.key.as_str()))
        .collect();
    let mut windows = Windows::default();
    if wanted.is_empty() {
        return Ok(windows);
    }
    let (limited, keys): (Vec<&str>, Vec<&str>) = wanted.into_iter().unzip();
    for row in T::open(connection, tenant.as_str(), &limited, &keys).await? {
        if let Some(limited) = Limited::from_word(&row.limited) {
            windows.insert(limited, row.key, row.uses.0);
        }
    }
    Ok(windows)
}

/// Write down what was used of windows that [`open`] holds.
///
/// # Errors
/// The database is away.
pub async fn keep<T: Table>(
    connection: &mut PgConnection,
    tenant: &TenantId,
    windows: &Windows,
) -> Result<(), sqlx::Error> {
    let changed = windows.changed();
    if changed.is_empty() {
        return Ok(());
    }
    let ((limited, keys), uses): ((Vec<&str>, Vec<&str>), Vec<serde_json::Value>) = changed
        .into_iter()
        .map(|((limited, key), uses)| ((limited.as_str(), key), serde_json::json!(uses)))
        .unzip();
    T::keep(connection, tenant.as_str(), &limited, &keys, &uses).await
}

/// What froze a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// What was counted.
    pub limited: Limited,
    /// How much of it is too much.
    pub limit: Limit,
}

/// One sentence for the ticket and for whoever is to lift it.
impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.limited {
            Limited::Denials => "people who were asked said that it was not them, or said no",
            _ => "requests came with a proof that does not hold",
        };
        let setting = self.limited.setting();
        write!(
            f,
            "Possible attack: {what} ({setting} {}). Look into these tickets before switching on.",
            self.limit
        )
    }
}

impl Alarm {
    /// What follows whatever else the ticket is told that tripped it.
    pub fn on_ticket(reason: &str) -> String {
        format!(
            "With this, Firstline froze the whole tenant: nothing more is done until a person switches it on. {reason}"
        )
    }
}

/// A limit, by the name of what is limited.
pub fn limit(from: &mut Reader<'_>, limited: Limited, default: Limit, meaning: &str) -> Option<Limit> {
    from.or(
        limited.setting(),
        default,
        &format!("{meaning}, as count/seconds (0: no limit)"),
    )
}

/// Whom to leave to people.
#[derive(Debug, Clone, Default)]
pub struct Caution {
    /// By the directory, and by the settings.
    pub protected: Protected,
    /// A phone or another sign-in method is too new to be believed for so many days; 0: never.
    pub method_change_days: u16,
}

impl Caution {
    /// Read it: the same settings in every service that looks.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let users = from.optional(
            "PROTECTED_USERS",
            "people never to be acted on beside those with privileges (break-glass accounts, VIPs): object ids or \
             sign-in names, with commas between",
        );
        let groups = from.optional(
            "PROTECTED_GROUPS",
            "groups whose members, direct or not, are never to be acted on: object ids, with commas between",
        );
        let days = from.or(
            "METHOD_CHANGE_DAYS",
            7,
            "days for which a new phone or sign-in method is not believed; an unknown date is not new (0: off)",
        );
        Some(Self {
            protected: Protected {
                users: users?.unwrap_or_default(),
                groups: groups?.unwrap_or_default(),
            },
            method_change_days: days?,
        })
    }
}
