//! `application/problem+json` (RFC 9457): every refusal of the fleet, with a stable `code`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::step::Values;

/// Media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The outside system that a step needs is away (429, 5xx, no answer): nothing was done, ask again later. The caller
/// parks the work and spends no attempt.
pub const OUTSIDE_UNAVAILABLE: &str = "outside_unavailable";
/// The member of such a problem that says which system is away.
pub const SYSTEM: &str = "system";
/// What a permit proved was proven too long ago; verification may renew it.
pub const PERMIT_EXPIRED: &str = "permit_expired";
/// The same `Idempotency-Key` is still being worked on: ask again with the same key.
pub const IDEMPOTENCY_IN_FLIGHT: &str = "idempotency_in_flight";
/// The same `Idempotency-Key` came with another body.
pub const IDEMPOTENCY_MISMATCH: &str = "idempotency_mismatch";

/// A refusal, for people (`title`, `detail`) and for programs (`status`, `code`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem: `https://firstline.dev/problems/{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words, the same each time.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, snake_case.
    pub code: String,
    /// What happened this time and what to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The request id, to find the log line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Seconds until asking again makes sense; also sent as `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// More members, for instance `findings`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extra: Values,
}

impl Problem {
    /// A problem of `status` with a stable `code` and this occurrence's `detail`.
    pub fn new(status: http::StatusCode, code: &str, detail: impl fmt::Display) -> Self {
        Self {
            kind: format!("https://firstline.dev/problems/{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.to_string(),
            instance: None,
            retry_after_s: None,
            extra: Values::new(),
        }
    }

    /// 400.
    pub fn bad_request(code: &str, detail: impl fmt::Display) -> Self {
        Self::new(http::StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401.
    pub fn unauthorized(code: &str, detail: impl fmt::Display) -> Self {
        Self::new(http::StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 403.
    pub fn forbidden(code: &str, detail: impl fmt::Display) -> Self {
        Self::new(http::StatusCode::FORBIDDEN, code, detail)
    }

    /// 404.
    pub fn not_found(code: &str, detail: impl fmt::Display) -> Self {
        Self::new(http::StatusCode::NOT_FOUND, code, detail)
    }

    /// 409.
    pub fn conflict(code: &str, detail: impl fmt::Display) -> Self {
        Self::new(http::StatusCode::CONFLICT, code, detail)
    }

    /// 422.
    pub fn unprocessable(code: &str, detail: impl fmt::Display) -> Self {
        Self::new(http::StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 503 [`OUTSIDE_UNAVAILABLE`]. `system` is said in the detail and, for programs, in the member [`SYSTEM`]: services that
    /// need the same one call it alike.
    pub fn outside_unavailable(system: &str, retry_after_s: Option<u64>) -> Self {
        let detail = format!("{system} does not answer at the moment; nothing was done, ask again later");
        let mut problem = Self::new(http::StatusCode::SERVICE_UNAVAILABLE, OUTSIDE_UNAVAILABLE, detail);
        problem.retry_after_s = retry_after_s;
        problem.with(SYSTEM, system)
    }

    /// 500 without detail: what went wrong is for the log, not for the caller.
    pub fn internal() -> Self {
        Self::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something went wrong on our side; the log has it under this request id",
        )
    }

    /// Add a member, for instance `findings`.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.extra.insert(name.to_owned(), value);
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_like_rfc_9457_and_survives_the_wire() {
        let problem = Problem::unprocessable("playbook_findings", "2 findings").with("findings", ["a", "b"]);
        let wire = serde_json::to_value(&problem).unwrap();
        insta::assert_json_snapshot!(wire);
        assert_eq!(serde_json::from_value::<Problem>(wire).unwrap(), problem);
    }
}
