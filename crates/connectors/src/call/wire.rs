//! Small things of HTTP that every client needs.

use std::time::Duration;

use common::clock;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use super::send::Malformed;
use super::{CallError, System};

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `base` with more path segments, each percent-encoded; a trailing slash of the base does not matter.
pub(crate) fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The deepest cause, in words. The address is dropped: it may carry a person's id or mail address.
pub(crate) fn without_address(error: reqwest::Error) -> String {
    let error = error.without_url();
    let kind = if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection failed"
    };
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    if error.is_timeout() {
        kind.to_owned()
    } else {
        format!("{kind}: {cause}")
    }
}

/// `Retry-After`, in seconds or as a date; or Azure's `retry-after-ms`, which says it more exactly.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers
        .get("retry-after-ms")
        .and_then(|value| value.to_str().ok());
    if let Some(millis) = millis.and_then(|text| text.trim().parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Duration::try_from(http_date(text)? - now_there(headers)).ok()
}

/// What the other end's clock says, and our own for one that says nothing.
pub(crate) fn now_there(headers: &HeaderMap) -> OffsetDateTime {
    date(headers).unwrap_or_else(clock::now)
}

/// What the other end's clock says, to the second (`Date`, RFC 9110 section 6.6.1). `None` where it does not say, or not readably.
pub(crate) fn date(headers: &HeaderMap) -> Option<OffsetDateTime> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    // It ends in `GMT`, which RFC 2822 reads as its obsolete zone.
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

/// An answer of success that is not what was agreed: for a call that did something, it was done all the same.
pub(crate) fn malformed(system: System, malformed: Malformed) -> CallError {
    CallError::unknown(system, malformed)
}

/// An answer to a mere question that can't be read: nothing happened, ask again later.
pub(crate) fn unreadable(system: System, malformed: Malformed) -> CallError {
    CallError::Busy {
        system,
        detail: malformed.to_string(),
        retry_after: None,
    }
}

/// Vendor text made fit for our own messages: one line, at most 200 characters.
pub(crate) fn one_line(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|sign| !sign.is_control()).take(200).collect()
}
