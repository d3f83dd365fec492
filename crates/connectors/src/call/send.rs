//! Sending: one request with its time limit, size limit and retry budget, counted and traced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::window::RollingWindow;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tracing::Instrument;
use zeroize::Zeroizing;

use super::clock::Clocks;
use super::window::Window;
use super::wire::{date, now_there, retry_after, without_address};
use super::{CallError, System};

/// Tries of one call, the first included: enough to get over a dropped connection, too few to hold up a request.
const TRIES: u32 = 3;
/// First pause between tries; doubles, and is jittered between half and whole.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A `Retry-After` up to this is waited out here; a longer one is the caller's to plan for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or the same thing to the same value.
    Safe,
    /// It does something each time. Repeated only where it certainly was not processed.
    Never,
}

/// One call, ready to be sent.
pub(crate) struct Call {
    /// Names it in spans; no values.
    pub(crate) operation: &'static str,
    pub(crate) repeat: Repeat,
    /// For one try, answer included.
    pub(crate) timeout: Duration,
    /// Largest answer that is read.
    pub(crate) limit_bytes: usize,
    /// Asked again, an answer that is too large would be as large: so it is with what is stored there, and not with what a model
    /// says.
    pub(crate) as_large_again: bool,
    /// Tries at most.
    pub(crate) tries: u32,
    /// A 503 that comes this soon means "not taken", by this vendor and for this call: where a mistake would cost little.
    pub(crate) not_taken_on_503: Option<Duration>,
    /// Which bodies of a 429 mean "never" and not "later"; they come back as an answer.
    pub(crate) hopeless: fn(&[u8]) -> bool,
    pub(crate) builder: reqwest::RequestBuilder,
}

/// The code of a refusal to read an answer to its end.
pub(crate) const TOO_LARGE: &str = "too_large";

impl Call {
    pub(crate) fn new(operation: &'static str, repeat: Repeat, builder: reqwest::RequestBuilder) -> Self {
        Self {
            operation,
            repeat,
            timeout: Duration::from_secs(15),
            limit_bytes: 4 * 1024 * 1024,
            as_large_again: false,
            tries: TRIES,
            not_taken_on_503: None,
            hopeless: |_| false,
            builder,
        }
    }

    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn bearer(mut self, token: &SecretString) -> Self {
        self.builder = self.builder.bearer_auth(token.expose_secret());
        self
    }
}

/// An answer that was read whole. May hold a token or a pass, hence wiped when dropped.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// What the vendor's clock said when it answered; `None` where it did not say.
    pub(crate) fn date(&self) -> Option<OffsetDateTime> {
        date(&self.headers)
    }

    /// The same, and our own clock for one that says nothing. To tell how long ago something happened there.
    pub(crate) fn now(&self) -> OffsetDateTime {
        now_there(&self.headers)
    }

    /// Read the body as JSON. The error tells where it is malformed, never what it says.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_slice(&self.body).map_err(|error| Malformed {
            status: self.status.as_u16(),
            line: error.line(),
            column: error.column(),
        })
    }
}

/// An answer that is not what the vendor documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer ({status}) is not what was agreed, at line {line}, column {column}")]
pub(crate) struct Malformed {
    status: u16,
    line: usize,
    column: usize,
}

/// What became of one try.
enum Seen {
    Answered(Answer),
    /// Certainly not processed: no connection, or 429.
    NotDone {
        detail: String,
        retry_after: Option<Duration>,
    },
    /// Possibly processed: 5xx, a time-out, a connection that broke.
    Unclear {
        detail: String,
        retry_after: Option<Duration>,
    },
    /// Can never work.
    Impossible {
        detail: String,
    },
    /// Well answered, and with more than is ever read; asked again, it would be the same.
    TooLarge {
        detail: String,
    },
}

impl Seen {
    const fn outcome(&self, status: Option<StatusCode>) -> &'static str {
        match (self, status) {
            (Self::Answered(answer), _) if answer.status.as_u16() < 400 => "ok",
            (Self::Answered(_), _) => "refused",
            (Self::NotDone { .. }, Some(_)) => "throttled",
            (Self::NotDone { .. }, None) => "unreachable",
            (Self::Unclear { .. }, Some(_)) => "failed",
            (Self::Unclear { .. }, None) => "unanswered",
            (Self::Impossible { .. }, _) => "impossible",
            (Self::TooLarge { .. }, _) => "too_large",
        }
    }
}

/// Sends the calls of one system.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) system: System,
    pub(crate) http: reqwest::Client,
    window: Option<Arc<Window>>,
    clocks: Clocks,
}

impl Caller {
    pub(crate) fn new(system: System, http: reqwest::Client) -> Self {
        Self {
            system,
            http,
            window: None,
            clocks: Clocks::default(),
        }
    }

    /// Never send more than `limit` calls in five minutes; `shared` counts those of other processes too.
    pub(crate) fn limited(mut self, limit: Option<u32>, shared: Option<Arc<dyn RollingWindow>>) -> Self {
        self.window = limit.map(|limit| Arc::new(Window::new(limit, shared)));
        self
    }

    /// Make the call, within its retry budget. Every answer but 429 and 5xx comes back for the vendor's module to read.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let span = tracing::info_span!(
            "outside_call",
            otel.kind = "client",
            outside.system = self.system.label(),
            outside.operation = call.operation,
            http.response.status_code = tracing::field::Empty,
            outside.tries = tracing::field::Empty,
        );
        self.tries(call).instrument(span).await
    }

    async fn tries(&self, call: Call) -> Result<Answer, CallError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1_u32.. {
            // Bodies here are always in memory, so that a request can be copied.
            let builder = call.builder.try_clone();
            let builder =
                builder.ok_or_else(|| self.refused("not_sendable", "the request can't be repeated"))?;
            let seen = self.once(&call, builder).await?;
            let (detail, wait, repeatable) = match seen {
                Seen::Answered(answer) => {
                    tracing::Span::current().record("outside.tries", attempt);
                    return Ok(answer);
                }
                Seen::Impossible { detail } => return Err(self.refused("not_sendable", &detail)),
                Seen::TooLarge { detail } => return Err(self.refused(TOO_LARGE, &detail)),
                Seen::NotDone { detail, retry_after } => (detail, retry_after, true),
                Seen::Unclear { detail, retry_after } => (detail, retry_after, call.repeat == Repeat::Safe),
            };
            tracing::debug!(attempt, %detail, "outside call did not succeed");
            let patient = wait.is_none_or(|wait| wait <= LONGEST_PAUSE);
            if !repeatable || attempt >= call.tries || !patient {
                tracing::Span::current().record("outside.tries", attempt);
                return Err(self.given_up(detail, wait, repeatable));
            }
            tokio::time::sleep(wait.unwrap_or_else(|| jittered(pause))).await;
            pause *= 2;
        }
        unreachable!("the loop above ends after its last try")
    }

    fn given_up(&self, detail: String, wait: Option<Duration>, nothing_happened: bool) -> CallError {
        if nothing_happened {
            CallError::Busy {
                system: self.system,
                detail,
                retry_after: wait.map(|wait| wait.min(super::LONGEST_WAIT)),
            }
        } else {
            CallError::unknown(self.system, detail)
        }
    }

    fn refused(&self, code: &str, detail: &str) -> CallError {
        CallError::refused(self.system, code, detail)
    }

    async fn once(&self, call: &Call, builder: reqwest::RequestBuilder) -> Result<Seen, CallError> {
        if let Some(window) = &self.window
            && let Some(wait) = window.take().await
        {
            return Err(CallError::Busy {
                system: self.system,
                detail: "our own limit of requests in five minutes is reached".to_owned(),
                retry_after: Some(wait),
            });
        }
        let begun = Instant::now();
        let mut status = None;
        let seen = match builder.timeout(call.timeout).send().await {
            Ok(response) => {
                status = Some(response.status());
                self.clocks.compare(self.system, response.headers());
                read(response, call, begun).await
            }
            Err(error) => failed(error),
        };
        if let Some(status) = status {
            tracing::Span::current().record("http.response.status_code", status.as_u16());
        }
        let system = self.system.label();
        metrics::counter!("firstline_outside_calls_total", "system" => system, "outcome" => seen.outcome(status))
            .increment(1);
        metrics::histogram!("firstline_outside_call_seconds", "system" => system).record(begun.elapsed());
        Ok(seen)
    }
}

fn failed(error: reqwest::Error) -> Seen {
    // `is_connect` covers time-outs while connecting: nothing was sent yet.
    let not_done = error.is_connect();
    let impossible = error.is_builder();
    let detail = without_address(error);
    if impossible {
        Seen::Impossible { detail }
    } else if not_done {
        Seen::NotDone {
            detail,
            retry_after: None,
        }
    } else {
        Seen::Unclear {
            detail,
            retry_after: None,
        }
    }
}

async fn read(mut response: reqwest::Response, call: &Call, begun: Instant) -> Seen {
    let limit_bytes = call.limit_bytes;
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let headers = response.headers().clone();
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit_bytes => {
                let detail = format!("{status} with more than {limit_bytes} bytes");
                return if call.as_large_again && status.is_success() {
                    Seen::TooLarge { detail }
                } else {
                    Seen::Unclear { detail, retry_after }
                };
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => {
                return Seen::Unclear {
                    detail: without_address(error),
                    retry_after,
                };
            }
        }
    }
    let detail = status.to_string();
    match status.as_u16() {
        429 if !(call.hopeless)(&body) => Seen::NotDone { detail, retry_after },
        503 if call.not_taken_on_503.is_some_and(|soon| begun.elapsed() <= soon) => {
            Seen::NotDone { detail, retry_after }
        }
        500.. => Seen::Unclear { detail, retry_after },
        _ => Seen::Answered(Answer {
            status,
            headers,
            body,
        }),
    }
}

/// Between half of `pause` and the whole, so that replicas that failed together don't come back together.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
