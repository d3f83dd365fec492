//! The id under which a request is found in the logs of every service it passes through.

use common::clock;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, in and out.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request under way in this task, where there is one.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Run `work` as part of the request `id`; durable workers take one of their own for each piece of work.
pub async fn scope<F: Future>(id: String, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// Run `work` under an id of its own: nobody asked for it.
pub async fn scope_fresh<F: Future>(work: F) -> F::Output {
    scope(fresh(), work).await
}

/// A fresh id.
pub(crate) fn fresh() -> String {
    clock::fresh_id().to_string()
}

/// The caller's id where it is one we would write into a log, else a fresh one.
pub(crate) fn of(headers: &HeaderMap) -> String {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_loggable(id))
        .map_or_else(fresh, str::to_owned)
}

fn is_loggable(id: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= 64 && id.bytes().all(harmless)
}

/// `id` as a header; ids are made of header characters only.
pub(crate) fn header_value(id: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_break_a_log_line_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("from-the-gateway.1"));
        assert_eq!(of(&headers), "from-the-gateway.1");
        headers.insert(HEADER, HeaderValue::from_static("a b\tc"));
        assert_ne!(of(&headers), "a b\tc");
    }
}
