//! Who may pass which door: services by their tokens, people by their OpenID Connect tokens and roles.
//!
//! Routes get a door by being handed to [`Api`](crate::Api); there is no way to mount one without, save webhooks,
//! which authenticate themselves.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use common::clock;
use common::doors::Door;
use common::{Problem, Service};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};
use jsonwebtoken::Algorithm;
use trust::token::{ServiceToken, TokenError as ServiceTokenError};

use crate::ApiError;
use crate::body::Buffered;
use crate::jwks::TokenError;
pub use crate::oidc::PersonCaller;
use crate::refused::Refusal;
use crate::shell::{Shell, unknown_method};

/// Who asks; the door has checked it. An extractor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// One of the six.
    Service(Service),
    /// Somebody with a role that the route asks for.
    Person(PersonCaller),
}

impl Caller {
    /// As `audit_events.actor` writes it: `service:orchestration`, `person:{object id}`.
    pub fn actor(&self) -> String {
        match self {
            Self::Service(service) => format!("service:{service}"),
            Self::Person(person) => format!("person:{}", person.id),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler asks for its caller behind no door");
            ApiError(Problem::internal())
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PersonCaller {
    type Rejection = ApiError;

    /// Only behind a door for people.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::Person(person) => Ok(person),
            Caller::Service(_) => Err(Problem::forbidden("caller_not_allowed", "this takes a person").into()),
        }
    }
}

/// The door of a route; `None` where nobody has said who may call it.
pub(crate) fn door<'d>(doors: &'d [Door], method: &Method, path: &str) -> Option<&'d Door> {
    // What answers GET answers HEAD.
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    doors
        .iter()
        .find(|door| door.path == path && door.method == *method)
}

fn admits(door: &Door, caller: &Caller) -> bool {
    match caller {
        Caller::Service(service) => door.services.contains(service),
        Caller::Person(person) => door.roles.iter().any(|role| person.roles.contains(role)),
    }
}

fn wanted(door: &Door) -> String {
    let services = door
        .services
        .iter()
        .map(|service| format!("the service `{service}`"));
    let roles = door
        .roles
        .iter()
        .map(|role| format!("the role `{}`", format!("{role:?}").to_lowercase()));
    services.chain(roles).collect::<Vec<_>>().join(" or ")
}

#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) shell: Shell,
    pub(crate) doors: &'static [Door],
}

/// Authenticate, then authorize, then let the request pass with its [`Caller`].
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let Guard { shell, doors } = guard.as_ref();
    let path = request.extensions().get::<MatchedPath>();
    let Some(door) = door(doors, request.method(), path.map_or("", MatchedPath::as_str)) else {
        return unknown_method(request.method().clone(), request.uri().clone())
            .await
            .into_response();
    };
    let body = request.extensions().get::<Buffered>().cloned();
    let body = body.as_ref().map_or(&[][..], |buffered| &buffered.0);
    let caller = match authenticate(shell, door, request.headers(), body).await {
        Ok(caller) => caller,
        Err(problem) => {
            // A busy issuer or a clock that is not known yet is nobody's attempt.
            if problem.status == 401 {
                shell.refusals().note(Refusal::Caller {
                    code: problem.code.clone(),
                });
            }
            return refuse(shell, problem);
        }
    };
    if !admits(door, &caller) {
        let detail = format!("`{}` may not do this: it takes {}", caller.actor(), wanted(door));
        shell.refusals().note(Refusal::Known {
            actor: caller.actor(),
            route: route(&request),
        });
        return refuse(shell, Problem::forbidden("caller_not_allowed", detail));
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn route(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>();
    format!("{} {}", request.method(), path.map_or("", MatchedPath::as_str))
}

fn refuse(shell: &Shell, problem: Problem) -> Response {
    tracing::info!(code = problem.code, status = problem.status, "refused a caller");
    let labels = [
        ("service", shell.service().name().to_owned()),
        ("code", problem.code.clone()),
    ];
    metrics::counter!("firstline_refused_callers_total", &labels).increment(1);
    ApiError(problem).into_response()
}

async fn authenticate(
    shell: &Shell,
    door: &Door,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Caller, Problem> {
    let token = bearer(headers).ok_or_else(|| missing(shell, door))?;
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| Problem::unauthorized("token_malformed", "the bearer token is no signed token"))?;
    if header.alg == Algorithm::EdDSA {
        let token = service_token(shell, token, body)
            .await
            .map_err(|error| unbelieved(error, clock::ahead().is_some()))?;
        return Ok(Caller::Service(token.caller));
    }
    person(shell, token).await.map(Caller::Person)
}

/// The person whose token came with a request to a route without a door; `None` where none came. A token that is not
/// believed is a refusal: nobody becomes a stranger by a bad one.
///
/// # Errors
/// The token is not believed, people are not configured, or (503) whoever issues tokens is away.
pub async fn signed_in(shell: &Shell, headers: &HeaderMap) -> Result<Option<PersonCaller>, Problem> {
    match bearer(headers) {
        Some(token) => person(shell, token).await.map(Some),
        None => Ok(None),
    }
}

async fn person(shell: &Shell, token: &str) -> Result<PersonCaller, Problem> {
    let people = shell.people().ok_or_else(people_unknown)?;
    match people.authenticate(token).await {
        Ok(person) => Ok(person),
        Err(error @ TokenError::Invalid(_)) => Err(Problem::unauthorized("token_invalid", &error)),
        Err(TokenError::IssuerAway(detail)) => {
            tracing::warn!(detail, "the token issuer is away");
            Err(Problem::outside_unavailable("the token issuer", Some(5)))
        }
    }
}

async fn service_token(shell: &Shell, token: &str, body: &[u8]) -> Result<ServiceToken, ServiceTokenError> {
    let check = || {
        let keys = shell.keys().now();
        trust::token::verify(token, shell.service().name(), body, keys.trusted(), clock::now())
    };
    match check() {
        // Its owner may have got a new key this moment.
        Err(ServiceTokenError::UnknownKey) if shell.keys().look_again().await => check(),
        checked => checked,
    }
}

/// A 401 is final to callers, so whether a token is of this minute is not for a clock to say that may be minutes off.
fn unbelieved(error: ServiceTokenError, clock_known: bool) -> Problem {
    match error {
        ServiceTokenError::Expired | ServiceTokenError::NotYetValid if !clock_known => {
            Problem::outside_unavailable("the database, whose clock a token is checked by,", Some(1))
        }
        error => Problem::unauthorized(error.code(), error),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn missing(shell: &Shell, door: &Door) -> Problem {
    if shell.people().is_none() && !door.roles.is_empty() {
        return people_unknown();
    }
    Problem::unauthorized("token_missing", "send a token: `Authorization: Bearer ...`")
}

fn people_unknown() -> Problem {
    Problem::unauthorized(
        "people_not_configured",
        "tokens of people are not accepted here: set OIDC_ISSUER and OIDC_AUDIENCE",
    )
}

#[cfg(test)]
mod tests {
    use trust::token::TokenError;

    use super::*;

    #[test]
    fn a_token_is_refused_by_its_time_only_where_the_time_is_known() {
        for error in [TokenError::Expired, TokenError::NotYetValid] {
            assert_eq!(unbelieved(error, true).code, error.code());
            let unknown = unbelieved(error, false);
            assert_eq!((unknown.status, unknown.retry_after_s), (503, Some(1)));
        }
        assert_eq!(unbelieved(TokenError::BadSignature, false).status, 401);
    }
}
