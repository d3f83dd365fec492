//! `GET /Tickets`: the filtered, ordered, paged list that a poller reads.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::HaloSim;
use super::auth::Caller;
use super::refusal::Refusal;
use super::state::{Names, Ticket};
use super::tenant::CLIENT;

/// The vendor's maximum for `page_size`.
const PAGE_LIMIT: usize = 100;

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the vendor's query parameters")]
pub(crate) struct Filter {
    #[serde(default)]
    open_only: bool,
    #[serde(default)]
    closed_only: bool,
    lastupdatefromdate: Option<String>,
    lastupdatetodate: Option<String>,
    client_id: Option<i64>,
    user_id: Option<i64>,
    agent_id: Option<i64>,
    status: Option<String>,
    status_id: Option<i64>,
    requesttype: Option<i64>,
    requesttype_id: Option<i64>,
    search: Option<String>,
    ticketids: Option<String>,
    #[serde(default)]
    ticketidonly: bool,
    include_custom_fields: Option<String>,
    order: Option<String>,
    #[serde(default)]
    orderdesc: bool,
    #[serde(default)]
    pageinate: bool,
    page_no: Option<usize>,
    page_size: Option<usize>,
    count: Option<usize>,
}

/// Dates come with a zone, or naive and meaning UTC.
fn date(given: Option<&str>) -> Result<Option<OffsetDateTime>, Refusal> {
    let Some(given) = given else { return Ok(None) };
    let parsed = OffsetDateTime::parse(given, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{given}Z"), &Rfc3339));
    parsed.map(Some).map_err(|_| Refusal::Unbindable {
        path: "lastupdatefromdate".into(),
        value: given.to_owned(),
    })
}

/// Ids, comma separated.
fn ids(given: Option<&str>) -> Option<Vec<i64>> {
    Some(
        given?
            .split(',')
            .filter_map(|id| id.trim().parse().ok())
            .collect(),
    )
}

impl Filter {
    fn takes(&self, ticket: &Ticket, from: Option<OffsetDateTime>, to: Option<OffsetDateTime>) -> bool {
        let among = |list: Option<&str>, id| ids(list).is_none_or(|ids| ids.contains(&id));
        let is = |wanted: Option<i64>, id| wanted.is_none_or(|wanted| wanted == id);
        let searched = self.search.as_ref().is_none_or(|wanted| {
            let wanted = wanted.to_lowercase();
            ticket.summary.to_lowercase().contains(&wanted) || ticket.details.to_lowercase().contains(&wanted)
        });
        (!self.open_only || !ticket.has_been_closed())
            && (!self.closed_only || ticket.has_been_closed())
            && from.is_none_or(|from| ticket.updated >= from)
            && to.is_none_or(|to| ticket.updated <= to)
            && is(self.client_id, CLIENT)
            && is(self.user_id, ticket.user.as_ref().map_or(0, |user| user.halo_id))
            && is(self.agent_id, ticket.agent_id)
            && is(self.status_id, ticket.status_id)
            && is(self.requesttype.or(self.requesttype_id), ticket.tickettype_id)
            && among(self.status.as_deref(), ticket.status_id)
            && among(self.ticketids.as_deref(), ticket.id)
            && searched
    }
}

pub(crate) async fn list(
    State(halo): State<HaloSim>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Refusal> {
    caller.may("read", "tickets")?;
    let from = date(filter.lastupdatefromdate.as_deref())?;
    let to = date(filter.lastupdatetodate.as_deref())?;
    let state = halo.desk.state.lock();
    let mut found: Vec<&Ticket> = state
        .tickets
        .values()
        .filter(|ticket| filter.takes(ticket, from, to))
        .collect();
    match filter.order.as_deref() {
        Some("lastupdate" | "last_update") => found.sort_by_key(|ticket| (ticket.updated, ticket.id)),
        _ => found.sort_by_key(|ticket| ticket.id),
    }
    // Without an order the newest come first.
    if filter.orderdesc || filter.order.is_none() {
        found.reverse();
    }
    let total = found.len();
    let (skip, take) = if filter.pageinate {
        let size = filter.page_size.unwrap_or(50).clamp(1, PAGE_LIMIT);
        ((filter.page_no.unwrap_or(1).max(1) - 1) * size, size)
    } else {
        (0, filter.count.unwrap_or(usize::MAX))
    };
    let fields = ids(filter.include_custom_fields.as_deref());
    let tickets: Vec<Value> = found
        .into_iter()
        .skip(skip)
        .take(take)
        .map(|ticket| {
            if filter.ticketidonly {
                return json!({ "id": ticket.id });
            }
            let mut row = ticket.row(Names::Read);
            if let Some(fields) = &fields {
                row.insert("customfields".into(), ticket.custom_fields(Some(fields)));
            }
            Value::Object(row)
        })
        .collect();
    Ok(Json(json!({ "record_count": total, "tickets": tickets })))
}
