//! Lookups of a tenant: users, statuses, custom fields.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Halo;
use super::lenient::{Fields, known};
use crate::call::CallError;

/// A status of the tenant; numbers differ from tenant to tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// A user (requester) as the help desk knows them. Contact data may be edited by the user: identity, never a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaloUser {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Primary e-mail address.
    pub email: Option<String>,
    /// Object id in the directory, where the help desk is synchronised with it (`azureoid`).
    pub directory_id: Option<String>,
    /// No longer active.
    pub inactive: bool,
    /// A machine's account.
    pub service_account: bool,
    /// Marked as a VIP (`is_vip`, or `isimportantcontact`).
    pub vip: bool,
    /// Customer.
    pub client_id: Option<i64>,
}

impl Halo {
    /// A user; `None` where HaloPSA does not know them.
    pub async fn user(&self, id: i64) -> Result<Option<HaloUser>, CallError> {
        let id = id.to_string();
        let found = self
            .find("user", &["Users", &id], &[("includedetails", "true")])
            .await?;
        let Some(body) = found else { return Ok(None) };
        Ok(known(&body)?.and_then(HaloUser::read))
    }

    /// All statuses of the tenant.
    pub async fn statuses(&self) -> Result<Vec<Status>, CallError> {
        let query = [("showall", "true")];
        let rows = self.rows("statuses", "Status", &query, "statuses").await?;
        Ok(rows.iter().filter_map(Status::read).collect())
    }

    /// The number of a status given by name (case ignored) or number, checked against the tenant.
    pub async fn status_id(&self, name_or_id: &str) -> Result<Option<i64>, CallError> {
        let wanted = name_or_id.trim();
        let statuses = self.statuses().await?;
        let found = statuses
            .iter()
            .find(|status| status.name.eq_ignore_ascii_case(wanted) || status.id.to_string() == wanted);
        Ok(found.map(|status| status.id))
    }

    /// Numbers of custom fields given by name (with or without `CF`, case ignored) or number, under the names as given;
    /// those that the tenant lacks are missing from the answer.
    pub async fn field_ids(&self, names: &[&str]) -> Result<BTreeMap<String, i64>, CallError> {
        let rows = self.rows("fields", "FieldInfo", &[], "fields").await?;
        let known: Vec<(i64, String)> = rows.iter().filter_map(field).collect();
        let number = |wanted: &&str| {
            let found = known.iter().find(|(id, name)| {
                bare(name).eq_ignore_ascii_case(bare(wanted)) || id.to_string() == wanted.trim()
            });
            found.map(|(id, _)| ((*wanted).to_owned(), *id))
        };
        Ok(names.iter().filter_map(number).collect())
    }
}

fn field(row: &Value) -> Option<(i64, String)> {
    let fields = Fields::of(row)?;
    Some((fields.id(&["id"])?, fields.text(&["name"])?))
}

/// The name without the prefix that HaloPSA puts before custom fields.
fn bare(name: &str) -> &str {
    let name = name.trim();
    name.strip_prefix("CF")
        .or_else(|| name.strip_prefix("cf"))
        .unwrap_or(name)
}

impl Status {
    fn read(row: &Value) -> Option<Self> {
        let fields = Fields::of(row)?;
        Some(Self {
            id: fields.id(&["id"])?,
            name: fields.text(&["name"])?,
        })
    }
}

impl HaloUser {
    fn read(fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            id: fields.id(&["id"])?,
            name: fields.text(&["name"]).unwrap_or_default(),
            email: fields.text(&["emailaddress"]),
            directory_id: fields.text(&["azureoid", "azure_id", "aaduserid"]),
            inactive: fields.flag(&["inactive"]),
            service_account: fields.flag(&["isserviceaccount"]),
            vip: fields.flag(&["is_vip"]) || fields.flag(&["isimportantcontact"]),
            client_id: fields.id(&["client_id"]),
        })
    }
}
