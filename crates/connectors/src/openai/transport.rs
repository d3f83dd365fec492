//! How the client library sends: through our own sender, with its limits, and with errors read by us. Left to itself the
//! library would wait as long as any `Retry-After` says, lose the status of errors that are not exactly OpenAI's, and log
//! bodies.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures::future::BoxFuture;
use http::{HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use tower::Service;

use super::ChatError;
use super::answer::{is_hopeless, refusal};
use super::habits::Parameter;
use crate::call::{Answer, Call, Caller, Repeat, System, unreadable};

/// Real answers have a few kilobytes.
const LIMIT_BYTES: usize = 1024 * 1024;

/// The question's own limit, which spans all tries, ends it first and counts it once.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Transport {
    pub(super) caller: Caller,
    pub(super) timeout: Duration,
    /// Shown in Azure's own header, and in no other.
    pub(super) azure_key: Option<SecretString>,
    pub(super) api_version: Option<Arc<str>>,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(super) struct Failure {
    /// What the server does not take of the request: it may take the rest.
    pub(super) untaken: Option<Parameter>,
    pub(super) error: ChatError,
}

impl Failure {
    pub(super) fn of(error: impl Into<ChatError>) -> Self {
        Self {
            untaken: None,
            error: error.into(),
        }
    }
}

impl Service<HttpRequestFactory> for Transport {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = BoxFuture<'static, Result<reqwest::Response, OpenAIError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            let mut request = factory.build().await?;
            transport.address(&mut request);
            let sent = transport.send(request).await;
            sent.map_err(|error| OpenAIError::Boxed(Box::new(error)))
        })
    }
}

impl Transport {
    /// Where the vendor wants key and version. A key that no header can carry is left out, and refused by the server.
    fn address(&self, request: &mut reqwest::Request) {
        if let Some(key) = &self.azure_key {
            request.headers_mut().remove(header::AUTHORIZATION);
            if let Ok(mut value) = HeaderValue::from_str(key.expose_secret()) {
                value.set_sensitive(true);
                request.headers_mut().insert("api-key", value);
            }
        }
        if let Some(version) = &self.api_version {
            request
                .url_mut()
                .query_pairs_mut()
                .append_pair("api-version", version);
        }
    }

    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, Failure> {
        let builder = reqwest::RequestBuilder::from_parts(self.caller.http.clone(), request);
        let mut call = Call::new("chat", Repeat::Safe, builder).within(self.timeout + GRACE);
        call.limit_bytes = LIMIT_BYTES;
        call.hopeless = is_hopeless;
        let answer = self.caller.call(call).await.map_err(Failure::of)?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        // The library would log a body that it can't read.
        answer
            .json::<IgnoredAny>()
            .map_err(|malformed| Failure::of(unreadable(System::OpenAi, malformed)))?;
        Ok(rebuilt(&answer))
    }
}

fn rebuilt(answer: &Answer) -> reqwest::Response {
    let mut response = http::Response::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    response.into()
}
