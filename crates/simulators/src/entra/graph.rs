//! What all Graph endpoints share: the caller and its permissions, the error envelope, the query options.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use axum::{Json, extract::OriginalUri};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::EntraSim;
use crate::company::Person;
use crate::text::{bearer, media_type, pairs, value};
use crate::tokens::{Audience, Grant};

/// Graph's error envelope.
#[derive(Debug)]
pub(crate) struct GraphError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl GraphError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    pub(crate) fn denied() -> Self {
        let message = "Insufficient privileges to complete the operation.";
        Self::new(StatusCode::FORBIDDEN, "Authorization_RequestDenied", message)
    }

    pub(crate) fn no_object(key: &str) -> Self {
        let message = format!(
            "Resource '{key}' does not exist or one of its queried reference-property objects are not present."
        );
        Self::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
    }

    fn unauthenticated() -> Self {
        let message = "Access token validation failure. Invalid token.";
        Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    }
}

impl IntoResponse for GraphError {
    fn into_response(self) -> Response {
        let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        let request = Uuid::new_v4();
        let body = json!({ "error": { "code": self.code, "message": self.message, "innerError": {
            "date": OffsetDateTime::now_utc().format(&format).unwrap_or_default(),
            "request-id": request, "client-request-id": request,
        } } });
        (self.status, [("request-id", request.to_string())], Json(body)).into_response()
    }
}

pub(crate) async fn no_such_segment(OriginalUri(uri): OriginalUri) -> GraphError {
    GraphError::bad_request(format!("Resource not found for the segment '{}'.", uri.path()))
}

/// A program with a live token for Graph.
pub(crate) struct Caller(Grant);

impl Caller {
    /// At least one of these application permissions is needed.
    pub(crate) fn needs(&self, permissions: &[&str]) -> Result<(), GraphError> {
        if self.has(permissions) {
            Ok(())
        } else {
            Err(GraphError::denied())
        }
    }

    pub(crate) fn has(&self, permissions: &[&str]) -> bool {
        self.0
            .rights
            .iter()
            .any(|right| permissions.contains(&right.as_str()))
    }
}

impl FromRequestParts<EntraSim> for Caller {
    type Rejection = GraphError;

    async fn from_request_parts(parts: &mut Parts, entra: &EntraSim) -> Result<Self, GraphError> {
        let grant = entra.core.tokens.check(bearer(&parts.headers), Audience::Graph);
        grant.map(Self).ok_or_else(GraphError::unauthenticated)
    }
}

/// `$select`, `$filter`, `$top`, ...; an option that Graph does not know is refused.
pub(crate) struct Options(Vec<(String, String)>);

impl FromRequestParts<EntraSim> for Options {
    type Rejection = GraphError;

    async fn from_request_parts(parts: &mut Parts, _: &EntraSim) -> Result<Self, GraphError> {
        let known = [
            "$select",
            "$filter",
            "$top",
            "$count",
            "$expand",
            "$skiptoken",
            "$orderby",
            "$search",
        ];
        let given = pairs(parts.uri.query().unwrap_or_default().as_bytes());
        for (name, _) in &given {
            if name.starts_with('$') && !known.contains(&name.as_str()) {
                return Err(GraphError::bad_request(format!(
                    "Unrecognized query option '{name}'."
                )));
            }
        }
        Ok(Self(given))
    }
}

impl Options {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        value(&self.0, name)
    }

    pub(crate) fn top(&self) -> Result<Option<usize>, GraphError> {
        match self.get("$top").map(str::parse) {
            None => Ok(None),
            Some(Ok(top @ 1..=999)) => Ok(Some(top)),
            Some(_) => Err(GraphError::bad_request(
                "Invalid page size specified. Must be between 1 and 999.",
            )),
        }
    }

    /// Keep the properties of `$select`, or those of `default` where there is none. The type always stays.
    pub(crate) fn select(&self, entity: &Value, default: &[&str]) -> Result<Value, GraphError> {
        let Some(full) = entity.as_object() else {
            return Ok(entity.clone());
        };
        let chosen: Vec<&str> = match self.get("$select") {
            Some(list) if !list.trim().is_empty() => list.split(',').map(str::trim).collect(),
            _ => default.to_vec(),
        };
        let mut kept = Map::new();
        if let Some(kind) = full.get("@odata.type") {
            kept.insert("@odata.type".into(), kind.clone());
        }
        for name in chosen {
            let Some((key, value)) = full.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) else {
                return Err(GraphError::bad_request(format!(
                    "Could not find a property named '{name}'."
                )));
            };
            kept.insert(key.clone(), value.clone());
        }
        Ok(Value::Object(kept))
    }
}

/// The posted JSON object; a body and its content type are required.
pub(crate) fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, GraphError> {
    if media_type(headers) != "application/json" {
        let message =
            "A supported MIME type could not be found that matches the content type of the request.";
        return Err(GraphError::bad_request(message));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(GraphError::bad_request("Unable to read JSON request payload.")),
    }
}

impl EntraSim {
    /// The person that a path names by object id or sign-in name.
    pub(crate) fn person(&self, key: &str) -> Result<Person, GraphError> {
        self.core
            .directory
            .by_key(key)
            .ok_or_else(|| GraphError::no_object(key))
    }

    pub(crate) fn context(&self, what: &str) -> String {
        format!("{}v1.0/$metadata#{what}", self.core.urls.entra)
    }
}
