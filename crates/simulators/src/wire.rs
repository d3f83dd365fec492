//! The door of every simulated system: reads the request, logs it, lets faults strike, passes it on.
//!
//! A broken connection is a real one here: the socket refuses to carry the answer, so the client sees a reset and
//! not a polite error.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::serve::{IncomingStream, Listener};
use futures::stream::{self, StreamExt as _};
use http::{StatusCode, header};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::ServiceExt as _;

use crate::System;
use crate::clock::Clock;
use crate::core::{Core, Shared};
use crate::faults::{FaultKind, Faults};
use crate::journal::{Event, Journal};

/// Larger requests get a 413, as any front end would answer.
const BODY_LIMIT_BYTES: usize = 4 << 20;

/// The log keeps this many requests, the newest, and so much of each body.
const LOG_LENGTH: usize = 4096;
const LOG_BODY_BYTES: usize = 16 << 10;

/// A request as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// 0, 1, 2, ... per system.
    pub seq: u64,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `GET`, `POST`, ...
    pub method: String,
    /// As sent, percent-encoding and all.
    pub path: String,
    /// As sent, without the question mark.
    pub query: String,
    /// Names in lower case; of credentials only the scheme.
    pub headers: BTreeMap<String, String>,
    /// The body, as far as it is text, up to 16 KiB.
    pub body: String,
    /// What was answered; `None` while it is open or when the connection broke.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct RequestLog {
    next: u64,
    requests: VecDeque<LoggedRequest>,
}

/// The faults and the log of one system.
#[derive(Debug)]
pub(crate) struct Door {
    system: System,
    pub(crate) faults: Faults,
    log: Shared<RequestLog>,
    journal: Journal,
}

impl Door {
    pub(crate) fn new(system: System, journal: Journal) -> Arc<Self> {
        Arc::new(Self {
            system,
            faults: Faults::default(),
            log: Shared::default(),
            journal,
        })
    }

    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        self.log.lock().requests.iter().cloned().collect()
    }

    /// How many there ever were, those that the log no longer keeps among them.
    pub(crate) fn calls(&self) -> u64 {
        self.log.lock().next
    }

    fn log(&self, parts: &http::request::Parts, body: &[u8]) -> u64 {
        let headers = parts.headers.iter().map(|(name, value)| {
            let shown = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let shown = if *name == header::AUTHORIZATION {
                shown.split(' ').next().unwrap_or_default().to_owned()
            } else {
                shown
            };
            (name.as_str().to_owned(), shown)
        });
        let kept = body.get(..LOG_BODY_BYTES).unwrap_or(body);
        let mut log = self.log.lock();
        let seq = log.next;
        log.next += 1;
        if log.requests.len() == LOG_LENGTH {
            log.requests.pop_front();
        }
        log.requests.push_back(LoggedRequest {
            seq,
            at: OffsetDateTime::now_utc(),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(kept).into_owned(),
            status: None,
        });
        seq
    }

    fn answered(&self, seq: u64, status: StatusCode) {
        let mut log = self.log.lock();
        if let Some(request) = log.requests.iter_mut().rev().find(|request| request.seq == seq) {
            request.status = Some(status.as_u16());
        }
    }
}

/// A system behind its door, ready to serve.
#[derive(Clone)]
struct Behind {
    door: Arc<Door>,
    clock: Clock,
    inner: Router,
    /// What is under `/_sim/`: neither logged nor struck by faults.
    script: Router,
    /// The vendor's way to say 429 or 5xx.
    complain: fn(StatusCode) -> Response,
}

/// Serve `inner` on `listener` behind `door` until the world ends.
pub(crate) fn serve(
    core: &Core,
    listener: TcpListener,
    door: Arc<Door>,
    inner: Router,
    script: Router,
    complain: fn(StatusCode) -> Response,
) {
    let ended = core.tasks.ended();
    let behind = Behind {
        door,
        clock: core.clock.clone(),
        inner,
        script,
        complain,
    };
    let app = Router::new().fallback(dated).with_state(behind);
    let wires = Wires {
        listener,
        ended: ended.clone(),
    };
    let service = app.into_make_service_with_connect_info::<Wire>();
    core.tasks.spawn_to_the_end(async move {
        // The listener never fails, and each wire ends with the world.
        let _ = axum::serve(wires, service)
            .with_graceful_shutdown(ended.cancelled_owned())
            .await;
    });
}

/// An answer, and the time by its vendor's clock.
async fn dated(state: State<Behind>, wire: ConnectInfo<Wire>, request: Request) -> Response {
    let clock = state.clock.clone();
    let mut answer = pass(state, wire, request).await;
    answer.headers_mut().insert(header::DATE, clock.date());
    answer
}

async fn pass(
    State(behind): State<Behind>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
) -> Response {
    let Behind {
        door,
        inner,
        script,
        complain,
        ..
    } = behind;
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return complain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    if parts.uri.path().starts_with("/_sim/") {
        return call(script, parts, body).await;
    }
    let seq = door.log(&parts, &body);
    let path = parts.uri.path().to_owned();
    let mut break_after = false;
    let mut cut = false;
    for fault in door.faults.take(parts.method.as_str(), &path) {
        let told = format!("{fault:?}");
        door.journal.record(Event::FaultStruck {
            system: door.system,
            fault: told,
            path: path.clone(),
        });
        match fault {
            FaultKind::Latency(delay) => tokio::time::sleep(delay).await,
            FaultKind::TooManyRequests { retry_after } => {
                let mut answer = complain(StatusCode::TOO_MANY_REQUESTS);
                if let Some(seconds) = retry_after {
                    answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                }
                door.answered(seq, answer.status());
                return answer;
            }
            FaultKind::Status(status) => {
                let answer = complain(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY));
                door.answered(seq, answer.status());
                return answer;
            }
            FaultKind::DropBefore => return wire.cut(),
            FaultKind::DropAfter => break_after = true,
            FaultKind::CutBody => cut = true,
        }
    }
    let answer = call(inner, parts, body).await;
    if break_after {
        return wire.cut();
    }
    door.answered(seq, answer.status());
    if cut { half(answer).await } else { answer }
}

async fn call(inner: Router, parts: http::request::Parts, body: Bytes) -> Response {
    match inner.oneshot(Request::from_parts(parts, Body::from(body))).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// The first half of the body, then a broken connection.
async fn half(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, BODY_LIMIT_BYTES).await.unwrap_or_default();
    let first = body.slice(..body.len() / 2);
    parts.headers.remove(header::CONTENT_LENGTH);
    let reset = stream::once(async {
        // One turn of waiting lets the server send what it has; an error at once would swallow the head too.
        tokio::task::yield_now().await;
        Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into())
    });
    let pieces = stream::once(async move { Ok(first) }).chain(reset);
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// One connection's cable, cuttable from within a handler.
#[derive(Debug, Clone, Default)]
struct Wire {
    severed: Arc<AtomicBool>,
}

impl Wire {
    /// Whatever is answered now never leaves.
    fn cut(&self) -> Response {
        self.severed.store(true, Ordering::SeqCst);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl Connected<IncomingStream<'_, Wires>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Wires>) -> Self {
        stream.io().wire.clone()
    }
}

/// Accepts connections whose cable can be cut, and which end with the world even in the middle of a request.
struct Wires {
    listener: TcpListener,
    ended: CancellationToken,
}

impl Listener for Wires {
    type Io = Cable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cable, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let ended = Box::pin(self.ended.clone().cancelled_owned());
        (
            Cable {
                stream,
                ended,
                wire: Wire::default(),
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Cable {
    stream: TcpStream,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    wire: Wire,
}

impl Cable {
    fn check(&self) -> io::Result<()> {
        if self.wire.severed.load(Ordering::SeqCst) {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(())
        }
    }
}

impl AsyncRead for Cable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
