//! What every internal call carries: the service token over its exact body, the trace context, the request id.

use common::client::Outbound;
use common::clock;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use trust::Identity;

use crate::key_files::Watched;
use crate::{request_id, telemetry};

/// Stamps calls in the name of one identity.
pub(crate) struct Stamp(pub(crate) Watched<Identity>);

impl Outbound for Stamp {
    fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap) {
        telemetry::inject(headers);
        let id = request_id::current().unwrap_or_else(request_id::fresh);
        if let Some(id) = request_id::header_value(&id) {
            headers.insert(request_id::HEADER, id);
        }
        let token = trust::token::issue(&self.0.now(), callee, body, clock::now(), clock::fresh_id());
        let bearer = token
            .map_err(|error| tracing::error!(error = %crate::chain(&error), callee, "could not sign a service token"))
            .ok()
            .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        // Without a token the callee answers 401, which says more to the operator than a silent drop.
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
    }
}
