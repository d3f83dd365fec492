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

/// Why Postgres takes nothing at the moment. In each case nothing was changed, and the same request is good later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It could not be reached, or took no connection.
    Away,
    /// It answers and writes nothing: a standby, or a primary that a fail-over or an operator has put out of service.
    ReadOnly,
    /// Its disk is full.
    Full,
}

impl Trouble {
    /// What stands in the chain of `error`.
    ///
    /// A connection lost in the middle of a statement is none: whether that statement took effect is unknown.
    fn of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            match error.downcast_ref::<sqlx::Error>() {
                Some(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => return Some(Self::Away),
                Some(sqlx::Error::Database(said)) => return Self::of_state(said.code().as_deref()?),
                // Refused: nothing was sent.
                Some(sqlx::Error::Io(io)) => {
                    return (io.kind() == std::io::ErrorKind::ConnectionRefused).then_some(Self::Away);
                }
                _ => cause = error.source(),
            }
        }
        None
    }

    /// Source: Postgres manual, appendix A, `SQLSTATE` codes.
    fn of_state(code: &str) -> Option<Self> {
        match code {
            // Cannot connect now (it is starting or stopping); too many connections.
            "57P03" | "53300" => Some(Self::Away),
            // The statement needs a transaction that writes.
            "25006" => Some(Self::ReadOnly),
            // The transaction is rolled back. A disk that fills up while it commits stops the server instead.
            "53100" => Some(Self::Full),
            _ => None,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Away => "database_away",
            Self::ReadOnly => "database_read_only",
            Self::Full => "database_full",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::Away => "the database does not answer at the moment; nothing was changed, ask again",
            Self::ReadOnly => {
                "the database takes no writes at the moment; nothing was changed, ask again (operators: see whether \
                 DATABASE_URL names a standby)"
            }
            Self::Full => {
                "the database has no room left; nothing was changed, ask again (operators: give it room, or archive \
                 with RETENTION_DAYS)"
            }
        }
    }
}

/// A problem on its way out. A service's error enums convert into it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError(pub Problem);

impl ApiError {
    /// 500 without detail, or 503 `database_away`, `database_read_only`, `database_full` where Postgres is what failed; `error` is logged with its whole chain.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(trouble) = Trouble::of(error) {
            match trouble {
                Trouble::Away => tracing::warn!(error = %chain(error), "the database is away"),
                // No waiting mends it.
                Trouble::ReadOnly | Trouble::Full => {
                    tracing::error!(error = %chain(error), code = trouble.code(), "the database takes no writes");
                }
            }
            let (status, detail) = (StatusCode::SERVICE_UNAVAILABLE, trouble.detail());
            let mut problem = Problem::new(status, trouble.code(), detail);
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
    fn a_database_that_takes_no_writes_says_which_kind_it_is() {
        for (state, trouble) in [
            ("25006", Some(Trouble::ReadOnly)),
            ("53100", Some(Trouble::Full)),
            ("53300", Some(Trouble::Away)),
            ("57P03", Some(Trouble::Away)),
            // Of ours: a row that is there, a statement that took too long.
            ("23505", None),
            ("57014", None),
        ] {
            assert_eq!(Trouble::of_state(state), trouble, "{state}");
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
