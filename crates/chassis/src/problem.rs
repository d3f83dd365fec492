//! Refusals as HTTP answers: [`ApiError`].
//!
//! What goes wrong inside is logged once with its chain, and answered without it.

use axum::response::{IntoResponse, Response};
use common::Problem;
use common::problem::PROBLEM_JSON;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

/// A Postgres that restarts is back in seconds.
const DATABASE_PAUSE_S: u64 = 2;

/// Whether somewhere in the chain Postgres could not be reached, or took no connection.
///
/// A connection lost in the middle of a statement is not among them: whether that statement took effect is unknown.
fn database_away(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<sqlx::Error>() {
            Some(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => return true,
            // 57P03, cannot connect now: it is starting or stopping.
            Some(sqlx::Error::Database(said)) => return said.code().as_deref() == Some("57P03"),
            // Refused: nothing was sent.
            Some(sqlx::Error::Io(io)) => return io.kind() == std::io::ErrorKind::ConnectionRefused,
            _ => cause = error.source(),
        }
    }
    false
}

/// A problem on its way out. A service's error enums convert into it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError(pub Problem);

impl ApiError {
    /// 500 without detail, or 503 `database_away` where Postgres is what failed; `error` is logged with its whole chain.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        if database_away(error) {
            tracing::warn!(error = %chain(error), "the database is away");
            let detail = "the database does not answer at the moment; nothing was changed, ask again";
            let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database_away", detail);
            problem.retry_after_s = Some(DATABASE_PAUSE_S);
            return Self(problem);
        }
        tracing::error!(error = %chain(error), "the request failed inside");
        Self(Problem::internal())
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut problem = self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        problem.instance = problem
            .instance
            .or_else(|| crate::request_id::current().map(|id| format!("urn:request:{id}")));
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = problem.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// An error with all its causes in one line: `cannot record the pause: connection refused`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let words = source.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot record the pause")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Outer(std::io::Error::other("connection refused"));
        assert_eq!(chain(&error), "cannot record the pause: connection refused");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the row")]
    struct Store(#[from] sqlx::Error);

    #[test]
    fn a_database_that_is_away_is_a_reason_to_ask_again_and_a_lost_connection_is_not() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for (error, status) in [
            (sqlx::Error::PoolTimedOut, 503),
            (sqlx::Error::Io(refused), 503),
            (
                sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::BrokenPipe)),
                500,
            ),
            (sqlx::Error::RowNotFound, 500),
        ] {
            assert_eq!(ApiError::internal(&Store(error)).0.status, status);
        }
    }

    #[test]
    fn a_problem_answers_with_its_status_media_type_and_retry_after() {
        let response = ApiError(Problem::outside_unavailable("HaloPSA", Some(7))).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
    }
}
