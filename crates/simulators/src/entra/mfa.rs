//! The MFA connector: `BeginTwoWayAuthentication` blocks while the person thinks, and says 200 to every outcome.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use tokio::sync::watch;
use uuid::Uuid;

use super::xml::{Answer, Document, parse};
use super::{CONNECTOR_PATH, EntraSim, Push, PushAnswer};
use crate::company::Person;
use crate::journal::Event;
use crate::text::{bearer, media_type};
use crate::tokens::Audience;

/// When the service itself gives up on a person.
const GIVES_UP: Duration = Duration::from_mins(1);

/// The order that the service's serialiser insists on.
const BEGIN_ORDER: [&str; 10] = [
    "Version",
    "UserPrincipalName",
    "Lcid",
    "AuthenticationMethodId",
    "AuthenticationMethodProperties",
    "ContextId",
    "SyncCall",
    "RequireUserMatch",
    "CallerName",
    "CallerIP",
];
/// Without these nothing can begin.
const BEGIN_REQUIRED: [&str; 5] = ["Version", "UserPrincipalName", "Lcid", "ContextId", "SyncCall"];

/// A sign-in request under way; `None` while the person thinks.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    upn: String,
    answer: watch::Receiver<Option<PushAnswer>>,
}

fn xml(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], body).into_response()
}

fn checked(entra: &EntraSim, headers: &HeaderMap, body: &[u8], root: &str) -> Result<Document, StatusCode> {
    if entra
        .core
        .tokens
        .check(bearer(headers), Audience::MfaConnector)
        .is_none()
    {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if !matches!(media_type(headers).as_str(), "application/xml" | "text/xml") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    parse(body)
        .filter(|document| document.root == root)
        .ok_or(StatusCode::BAD_REQUEST)
}

/// Elements out of order are lost to the service, and so is the request.
fn in_order(document: &Document) -> bool {
    let places: Option<Vec<usize>> = document
        .children
        .iter()
        .map(|(name, _)| BEGIN_ORDER.iter().position(|known| known == name))
        .collect();
    let required = BEGIN_REQUIRED.iter().all(|name| !document.text(name).is_empty());
    required && places.is_some_and(|places| places.is_sorted_by(|one, next| one < next))
}

impl EntraSim {
    fn next_push(&self, person: &Person) -> Push {
        let mut state = self.state.lock();
        let queued = state
            .push_queued
            .get_mut(&person.email)
            .and_then(std::collections::VecDeque::pop_front);
        let standing = || state.push_standing.get(&person.email).cloned();
        let push = queued
            .or_else(standing)
            .unwrap_or_else(|| state.push_default.clone());
        if person.authenticator {
            push
        } else {
            Push::no_method()
        }
    }

    /// Show the request on the phone. The person answers in their own time, whoever is still listening.
    fn show(&self, person: &Person) -> watch::Receiver<Option<PushAnswer>> {
        let Push { answer, after } = self.next_push(person);
        let (tell, hear) = watch::channel(None);
        if answer == PushAnswer::NoMethod {
            tell.send_replace(Some(answer));
            return hear;
        }
        *self.state.lock().pushes.entry(person.email.clone()).or_default() += 1;
        let email = person.email.clone();
        self.core
            .journal
            .record(Event::PushShown { email: email.clone() });
        let usual = if answer == PushAnswer::NoAnswer {
            GIVES_UP
        } else {
            self.core.think
        };
        let journal = self.core.journal.clone();
        self.core.tasks.later(after.unwrap_or(usual), async move {
            journal.record(Event::PushAnswered {
                email,
                answer: answer.clone(),
            });
            tell.send_replace(Some(answer));
        });
        hear
    }

    fn written(&self, root: &str, session: Uuid, upn: &str, answer: Option<&PushAnswer>) -> Response {
        if answer == Some(&PushAnswer::Malformed) {
            return xml(format!("<{root}><Result><Value>Success</Value>"));
        }
        let (value, result) = answer.map_or(("AuthenticationPending", None), PushAnswer::wire);
        let session = session.to_string();
        let base = self.core.urls.entra.as_str().trim_end_matches('/');
        let affinity = format!("{base}{CONNECTOR_PATH}/EndTwoWayAuthentication?dc=SIM");
        let retry = answer.is_none();
        xml(Answer {
            root,
            value,
            retry,
            result,
            session: &session,
            upn,
            affinity: &affinity,
        }
        .write())
    }
}

pub(crate) async fn begin(State(entra): State<EntraSim>, headers: HeaderMap, body: Bytes) -> Response {
    const ROOT: &str = "BeginTwoWayAuthenticationResponse";
    let document = match checked(&entra, &headers, &body, "BeginTwoWayAuthenticationRequest") {
        Ok(document) => document,
        Err(status) => return status.into_response(),
    };
    let session = entra.core.fresh("entra/session");
    let upn = document.text("UserPrincipalName").to_owned();
    let refused = |value: &str| entra.written(ROOT, session, &upn, Some(&PushAnswer::Other(value.into())));
    if !in_order(&document) || Uuid::parse_str(document.text("ContextId")).is_err() {
        return refused("StrongAuthenticationServiceInvalidParameter");
    }
    // The sign-in name, not the mail address.
    let Some(person) = entra
        .core
        .directory
        .find(|person| person.upn.eq_ignore_ascii_case(&upn))
    else {
        return refused("UserNotFound");
    };
    let mut hear = entra.show(&person);
    if document.text("SyncCall") != "true" {
        let pending = Session {
            upn: upn.clone(),
            answer: hear,
        };
        entra.state.lock().sessions.insert(session, pending);
        return entra.written(ROOT, session, &upn, None);
    }
    // The other end is dropped only when the world ends.
    let answer = hear
        .wait_for(Option::is_some)
        .await
        .map(|answer| answer.clone())
        .unwrap_or_default();
    entra.written(ROOT, session, &upn, answer.as_ref())
}

pub(crate) async fn end(State(entra): State<EntraSim>, headers: HeaderMap, body: Bytes) -> Response {
    const ROOT: &str = "EndTwoWayAuthenticationResponse";
    let document = match checked(&entra, &headers, &body, "EndTwoWayAuthenticationRequest") {
        Ok(document) => document,
        Err(status) => return status.into_response(),
    };
    let id = Uuid::parse_str(document.text("SessionId")).unwrap_or_default();
    let session = entra.state.lock().sessions.get(&id).cloned();
    match session {
        Some(Session { upn, answer }) => {
            let answer = answer.borrow().clone();
            entra.written(ROOT, id, &upn, answer.as_ref())
        }
        None => entra.written(ROOT, id, "", Some(&PushAnswer::Other("InvalidSession".into()))),
    }
}
