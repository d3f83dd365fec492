//! Doors of earned automation: what was measured, an operator's word on a decision, and the page of a suggestion.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::{ApiError, Caller, Json, Path, Query};
use common::client::PlaybookClient;
use common::modes::{Bar, GateReport, ReviewDecision, Reviewed, Standing};
use common::{PlaybookName, Problem, TicketId, clock};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::gate::Gate;
use crate::modes::approver::Approvers;
use crate::modes::page::Page;
use crate::modes::verdict::{Source, of_operator};
use crate::modes::{Modes, picture, report};
use crate::store::{Outcome, Store, would_automate};

/// What the report covers where nobody says since when.
const REPORTED: Duration = Duration::days(30);
const SVG: &str = "image/svg+xml";

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HeldAgainst {
    /// 0.5 to 0.999; 0.95 where it is left out.
    #[param(value_type = Option<f64>)]
    bar: Option<Bar>,
}

/// How far a playbook is from acting by itself.
#[utoipa::path(
    get, path = "/api/v1/gate/standing/{playbook}",
    params(("playbook" = String, Path, description = "its name"), HeldAgainst),
    responses((status = 200, body = Standing))
)]
pub(super) async fn standing(
    State(modes): State<Modes>,
    Path(playbook): Path<PlaybookName>,
    Query(against): Query<HeldAgainst>,
) -> Result<Json<Standing>, ApiError> {
    let bar = against.bar.unwrap_or_default();
    Ok(Json(modes.standing(&playbook, bar).await?))
}

/// Say whether the decision on a ticket was right. An operator's word goes before every other sign.
#[utoipa::path(
    put, path = "/api/v1/decisions/{ticket_id}/review", request_body = ReviewDecision,
    params(("ticket_id" = String, Path, description = "as the help desk numbers it")),
    responses(
        (status = 200, body = Reviewed),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`decision_without_playbook`: there is nothing to be right or wrong")
    )
)]
pub(super) async fn review(
    State(store): State<Store>,
    caller: Caller,
    Path(ticket): Path<TicketId>,
    Json(review): Json<ReviewDecision>,
) -> Result<Json<Reviewed>, ApiError> {
    let missing = || {
        let why = format!("ticket `{ticket}` has not been decided on");
        Problem::not_found("decision_not_found", why)
    };
    let decision = store.decision(&ticket).await?.ok_or_else(missing)?;
    let Some(playbook) = decision.playbook.clone() else {
        let why =
            format!("the decision on ticket `{ticket}` names no playbook, so it was neither right nor wrong");
        return Err(Problem::conflict("decision_without_playbook", why).into());
    };
    let verdict = of_operator(review.right);
    let outcome = Outcome {
        ticket,
        decision: decision.decision_id,
        playbook: playbook.name.clone(),
        would_automate: would_automate(&decision),
        source: Source::Operator,
        verdict,
        reason: review.reason.to_string(),
        said_by: Some(caller.actor()),
    };
    store.say(&outcome).await?;
    Ok(Json(Reviewed {
        playbook: playbook.name,
        verdict,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportSince {
    /// RFC 3339; the last 30 days where it is left out.
    since: Option<String>,
}

/// How the gate does, playbook by playbook.
#[utoipa::path(
    get, path = "/api/v1/gate/report", params(ReportSince),
    responses(
        (status = 200, description = "as JSON, or as a picture", content((GateReport = "application/json"), (String = "image/svg+xml"))),
        (status = 503, body = Problem, description = "which playbooks are active is not known now")
    )
)]
pub(super) async fn gate_report(
    State(store): State<Store>,
    State(modes): State<Modes>,
    State(playbooks): State<PlaybookClient>,
    Query(asked): Query<ReportSince>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let until = clock::now();
    let unreadable = || {
        let why = "`since` is a moment as `2026-11-01T00:00:00Z`; write a `+` in it as `%2B`";
        Problem::bad_request("bad_since", why)
    };
    let since = since(asked.since.as_deref(), until).ok_or_else(unreadable)?;
    let active = playbooks.list().await;
    let active = active.map_err(|_| Problem::outside_unavailable("the library of playbooks", Some(5)))?;
    let mut shown = BTreeMap::new();
    for view in active.iter().filter(|view| view.active) {
        shown.insert(view.playbook.name.clone(), modes.shown(view).await?);
    }
    let (cells, reasons) = tokio::try_join!(store.cells(since), store.reasons(since))?;
    let report = report::build(since, until, &cells, &reasons, &shown);
    Ok(if wants_picture(&headers) {
        let picture = [(CONTENT_TYPE, SVG), (VARY, "accept")];
        (picture, picture::svg(&report)).into_response()
    } else {
        ([(VARY, "accept")], Json(report)).into_response()
    })
}

/// `None` for what is no moment.
fn since(asked: Option<&str>, now: OffsetDateTime) -> Option<OffsetDateTime> {
    match asked {
        None => Some(now - REPORTED),
        Some(asked) => OffsetDateTime::parse(asked, &Rfc3339).ok(),
    }
}

fn wants_picture(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains(SVG))
}

/// The page of a suggestion: what would be done, with a button. Looking changes nothing.
#[utoipa::path(
    get, path = "/suggestions/{code}", params(("code" = String, Path, description = "as it stands on the ticket")),
    responses(
        (status = 200, content_type = "text/html", body = String),
        (status = 401, content_type = "text/html", body = String, description = "whoever approves must have signed in"),
        (status = 403, content_type = "text/html", body = String, description = "they may not approve"),
        (status = 404, content_type = "text/html", body = String),
        (status = 410, content_type = "text/html", body = String)
    )
)]
pub(super) async fn suggestion(
    State(gate): State<Gate>,
    State(approvers): State<Approvers>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Ok(match approvers.who(&headers).await {
        Ok(approver) => answer(&gate.suggested(&code, &approver).await?),
        Err(page) => answer(&page),
    })
}

/// Have a suggestion carried out. Everything is checked once more.
#[utoipa::path(
    post, path = "/suggestions/{code}", params(("code" = String, Path, description = "as it stands on the ticket")),
    responses(
        (status = 200, content_type = "text/html", body = String),
        (status = 401, content_type = "text/html", body = String, description = "whoever approves must have signed in"),
        (status = 403, content_type = "text/html", body = String, description = "they may not approve"),
        (status = 404, content_type = "text/html", body = String),
        (status = 409, content_type = "text/html", body = String),
        (status = 410, content_type = "text/html", body = String),
        (status = 503, content_type = "text/html", body = String)
    )
)]
pub(super) async fn approve(
    State(gate): State<Gate>,
    State(approvers): State<Approvers>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Ok(match approvers.who(&headers).await {
        Ok(approver) => answer(&Box::pin(gate.approve(&code, &approver)).await?),
        Err(page) => answer(&page),
    })
}

/// The address is the secret: it is neither kept, nor sent on, nor framed.
fn answer(page: &Page) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    (page.status(), headers, page.html()).into_response()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_report_begins_a_while_back_or_where_it_is_told_to() {
        let now = datetime!(2026-11-28 12:00 UTC);
        assert_eq!(since(None, now), Some(datetime!(2026-10-29 12:00 UTC)));
        assert_eq!(
            since(Some("2026-11-01T00:00:00+02:00"), now),
            Some(datetime!(2026-10-31 22:00 UTC))
        );
        assert_eq!(since(Some("yesterday"), now), None);
    }
}
