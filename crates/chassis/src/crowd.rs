//! No more requests at once than a process can carry: whoever comes beyond that is told at once to come again, instead of
//! waiting in memory that grows.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use common::Problem;
use http::StatusCode;
use tokio::sync::Semaphore;

use crate::body::refuse;

/// Twice the largest burst that a fleet is measured with. Each holds its body, 2 MiB at the most and hardly ever a tenth.
pub(crate) const MOST_AT_ONCE: usize = 2048;
/// Nothing of it was done; a second later half of those before it are through.
const COME_AGAIN_S: u64 = 1;
/// Whoever looks after the process must see it when it is busiest.
const ALWAYS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Let a request in while there is one of `places`.
pub(crate) async fn bounded(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if ALWAYS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let Ok(_place) = places.try_acquire() else {
        let detail = "too many requests at once; nothing was done, come again";
        let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_busy", detail);
        problem.retry_after_s = Some(COME_AGAIN_S);
        return refuse(problem);
    };
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use http::header::RETRY_AFTER;
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    use super::*;

    /// Far longer than a refusal takes, and no test waits for it where it is given.
    const AT_ONCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn who_comes_beyond_is_told_to_come_again_and_the_process_is_still_looked_after() {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (enters, left) = (Arc::clone(&entered), Arc::clone(&leave));
        let slow = move || {
            let (enters, left) = (Arc::clone(&enters), Arc::clone(&left));
            async move {
                enters.notify_one();
                left.notified().await;
            }
        };
        let app = Router::new()
            .route("/slow", get(slow))
            .route("/healthz", get(|| async {}))
            .layer(from_fn_with_state(Arc::new(Semaphore::new(1)), bounded));
        let ask = |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            app.clone().oneshot(request)
        };
        let first = tokio::spawn(ask("/slow"));
        entered.notified().await;
        let refused = tokio::time::timeout(AT_ONCE, ask("/slow"))
            .await
            .expect("nobody waits where there is no place")
            .unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[RETRY_AFTER], "1");
        assert_eq!(ask("/healthz").await.unwrap().status(), StatusCode::OK);
        leave.notify_one();
        assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
        leave.notify_one();
        assert_eq!(ask("/slow").await.unwrap().status(), StatusCode::OK);
    }
}
