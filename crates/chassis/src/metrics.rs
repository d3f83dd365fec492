//! Prometheus metrics: one recorder per process, shared by all services in it and told apart by the label `service`.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// A scrape comes every 15 s or so.
const UPKEEP: Duration = Duration::from_secs(10);

/// Upper bounds in seconds: internal calls take milliseconds, outside calls up to half a minute.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// The process's recorder, installed at the first call.
pub(crate) fn handle() -> &'static PrometheusHandle {
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)
            .expect("the list of buckets is not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // A recorder of somebody else's (a test) stays; ours then renders nothing.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        handle
    })
}

/// Fold histogram samples away until `stopping`: without it they pile up between two scrapes, and for ever without any.
pub(crate) async fn upkeep(stopping: CancellationToken) {
    let folding = async {
        let mut beat = tokio::time::interval(UPKEEP);
        loop {
            beat.tick().await;
            handle().run_upkeep();
        }
    };
    stopping.run_until_cancelled(folding).await;
}

fn describe() {
    metrics::describe_counter!(
        "firstline_http_requests_total",
        "requests by service, method, route and status"
    );
    metrics::describe_histogram!(
        "firstline_http_request_seconds",
        "time to the answer by service and route"
    );
    metrics::describe_gauge!("firstline_redis_up", "1 while the idempotency store answers");
    metrics::describe_gauge!("firstline_postgres_up", "1 while the database answers");
    metrics::describe_gauge!(
        "firstline_clock_ahead_seconds",
        "how far the database's clock is ahead of this machine's"
    );
    metrics::describe_gauge!(
        "firstline_outside_clock_ahead_seconds",
        "how far a vendor's clock is ahead of the database's, by system"
    );
    metrics::describe_gauge!(
        "firstline_key_files_unfit",
        "1 while key files cannot be used and the service goes on with what it knew"
    );
    metrics::describe_counter!(
        "firstline_idempotency_total",
        "keyed requests by service and result: fresh, replayed, in_flight, mismatch, skipped"
    );
    metrics::describe_counter!(
        "firstline_worker_steps_total",
        "steps by service, worker and result"
    );
}
