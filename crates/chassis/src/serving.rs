//! The HTTP server itself: one task for each connection, which has so long to send the head of a request; when told to
//! stop it takes no more and lets those under way finish.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// A head that trickles in slower than this is an attack or a broken line, and a connection that rests longer is closed:
/// whoever keeps connections to us must let go of them sooner ([`common::client::IDLE_LIMIT`]).
pub(crate) const HEAD_LIMIT: Duration = Duration::from_secs(30);

const _: () = assert!(
    common::client::IDLE_LIMIT.as_secs() < HEAD_LIMIT.as_secs(),
    "a request on a connection that is being closed is lost"
);

/// Serve `app` until `stopping`, then until the last request under way is answered.
pub(crate) async fn serve<L>(mut listener: L, app: Router, head_limit: Duration, stopping: CancellationToken)
where
    L: Listener,
    L::Io: Unpin,
{
    let app = app.map_request(|request: http::Request<Incoming>| request.map(Body::new));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_limit);
    let connections = TaskTracker::new();
    loop {
        let io = tokio::select! {
            // Waits and goes on where the process has no more files to open.
            (io, _) = listener.accept() => io,
            () = stopping.cancelled() => break,
        };
        let connection = http.serve_connection(TokioIo::new(io), TowerToHyperService::new(app.clone()));
        let stopping = stopping.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error = %crate::chain(&error), "a connection ended early");
            }
        });
    }
    // Nobody else may wait in the line of a process that takes no more.
    drop(listener);
    connections.close();
    connections.wait().await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    use super::*;

    /// Short, for the test's sake; a head that is sent at once is far quicker on any machine.
    const SOON: Duration = Duration::from_millis(500);

    async fn start() -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/", get(|| async { "whole" }))
            .route("/", post(|body: String| async { body }));
        let stopping = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, app, SOON, stopping.clone()));
        (address, stopping, serving)
    }

    /// Everything until the other side closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut said = vec![];
        // A reset is an end as well.
        _ = stream.read_to_end(&mut said).await;
        String::from_utf8(said).unwrap()
    }

    #[tokio::test]
    async fn half_a_head_is_cut_off_while_others_are_served() {
        let (address, stopping, serving) = start().await;
        let began = Instant::now();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nhost: firstline\r\nx-slow: ")
            .await
            .unwrap();
        let mut silent = TcpStream::connect(address).await.unwrap();

        let mut whole = TcpStream::connect(address).await.unwrap();
        whole
            .write_all(b"GET / HTTP/1.1\r\nhost: firstline\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(rest(&mut whole).await.ends_with("whole"));

        let answer = rest(&mut half).await;
        assert!(!answer.contains("200 OK") && began.elapsed() >= SOON, "{answer}");
        assert_eq!(
            rest(&mut silent).await,
            "",
            "who says nothing at all is cut off too"
        );
        stopping.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_head_that_trickles_gets_no_more_time_than_one_that_stands_still() {
        let (address, stopping, serving) = start().await;
        let began = Instant::now();
        let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        write.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let trickle = tokio::spawn(async move {
            let mut every = tokio::time::interval(SOON / 10);
            loop {
                every.tick().await;
                if write.write_all(b"x-slow: 1\r\n").await.is_err() {
                    return;
                }
            }
        });
        _ = read.read_to_end(&mut vec![]).await;
        let took = began.elapsed();
        assert!(took >= SOON && took < 20 * SOON, "{took:?}");
        trickle.await.unwrap();
        stopping.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_slow_body_is_not_cut_off_by_the_limit_of_the_head() {
        let (address, stopping, serving) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(
                b"POST / HTTP/1.1\r\nhost: firstline\r\nconnection: close\r\ncontent-length: 4\r\n\r\nsl",
            )
            .await
            .unwrap();
        // The other connection's end is how this test knows that the limit has passed.
        let mut clock = TcpStream::connect(address).await.unwrap();
        assert_eq!(rest(&mut clock).await, "");
        stream.write_all(b"ow").await.unwrap();
        assert!(rest(&mut stream).await.ends_with("slow"));
        stopping.cancel();
        serving.await.unwrap();
    }
}
