//! How the client library sends: through our own sender, with its limits, and with errors read by us. Left to itself the
//! library would wait as long as any `Retry-After` says, lose the status of errors that are not exactly OpenAI's, and log
//! bodies.

use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures::future::BoxFuture;
use serde::de::IgnoredAny;
use tower::Service;

use super::ChatError;
use super::answer::{is_hopeless, refusal};
use crate::call::{Answer, Call, Caller, Repeat, System, unreadable};

/// Real answers have a few kilobytes.
const LIMIT_BYTES: usize = 1024 * 1024;

#[derive(Clone)]
pub(super) struct Transport {
    pub(super) caller: Caller,
    pub(super) timeout: Duration,
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
            let request = factory.build().await?;
            let sent = transport.send(request).await;
            sent.map_err(|error| OpenAIError::Boxed(Box::new(error)))
        })
    }
}

impl Transport {
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, ChatError> {
        let builder = reqwest::RequestBuilder::from_parts(self.caller.http.clone(), request);
        let mut call = Call::new("chat", Repeat::Safe, builder).within(self.timeout);
        call.limit_bytes = LIMIT_BYTES;
        call.hopeless = is_hopeless;
        let answer = self.caller.call(call).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        // The library would log a body that it can't read.
        answer
            .json::<IgnoredAny>()
            .map_err(|malformed| unreadable(System::OpenAi, malformed))?;
        Ok(rebuilt(&answer))
    }
}

fn rebuilt(answer: &Answer) -> reqwest::Response {
    let mut response = http::Response::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    response.into()
}
