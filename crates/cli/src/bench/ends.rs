//! Learns when executions end, from the log line that orchestration writes once the end is committed. Asking for it over
//! and over would be a load of its own, and a trigger in the database would lengthen the very commits that are measured.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::figures::count;
use super::say;

/// Longest wait for an end, or an answer, before a measurement is given up.
pub(super) const GIVEN_UP_AFTER: Duration = Duration::from_mins(3);

/// So many reasons are told of many failures.
const REASONS: usize = 3;

/// The line of `orchestration` that says it.
const ENDED: &str = "\"the execution ended\"";

/// An execution has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) at: Instant,
    pub(super) resolved: bool,
}

/// What is to come.
pub(super) type End = oneshot::Receiver<Ended>;

/// When it ended, if it ended well.
pub(super) async fn resolved(end: End) -> anyhow::Result<Instant> {
    let ended = tokio::time::timeout(GIVEN_UP_AFTER, well(end)).await;
    ended.with_context(|| format!("no end within {GIVEN_UP_AFTER:?}"))?
}

async fn well(end: End) -> anyhow::Result<Instant> {
    let ended = end
        .await
        .context("nobody is there any more to say when it ends")?;
    if ended.resolved {
        Ok(ended.at)
    } else {
        bail!("it ended, and was not resolved")
    }
}

/// What is under way, by a name for people.
pub(super) struct Awaited {
    pub(super) name: String,
    pub(super) end: End,
}

impl Awaited {
    /// When it was resolved.
    pub(super) async fn resolved(self) -> anyhow::Result<Instant> {
        resolved(self.end).await.context(self.name)
    }
}

/// Wait until all have ended: how many were not resolved. However many there are, they are given up only when none has ended
/// for [`GIVEN_UP_AFTER`].
pub(super) async fn unresolved(awaited: Vec<Awaited>) -> u32 {
    unresolved_within(GIVEN_UP_AFTER, awaited).await
}

async fn unresolved_within(patience: Duration, awaited: Vec<Awaited>) -> u32 {
    let ended = |Awaited { name, end }| async move { well(end).await.context(name) };
    let mut ends: FuturesUnordered<_> = awaited.into_iter().map(ended).collect();
    let mut reasons = Vec::new();
    loop {
        match tokio::time::timeout(patience, ends.next()).await {
            Ok(Some(ended)) => reasons.extend(ended.err().map(|error| format!("{error:#}"))),
            Ok(None) => break,
            Err(_) => {
                let given_up = format!("no end, and none of any other for {patience:?}");
                reasons.extend(std::iter::repeat_n(given_up, ends.len()));
                break;
            }
        }
    }
    for reason in reasons.iter().take(REASONS) {
        say(&format!("  failed: {reason}"));
    }
    count(reasons.len())
}

/// Who waits for the end of which ticket.
#[derive(Clone, Default)]
pub(super) struct Ends(Arc<Mutex<HashMap<String, Known>>>);

/// A ticket that somebody asked for, or that ended before anybody did.
enum Known {
    AskedBy(oneshot::Sender<Ended>),
    Ended(Ended),
}

impl Ends {
    /// The end of `ticket`.
    pub(super) fn of(&self, ticket: &str) -> End {
        let (sender, receiver) = oneshot::channel();
        let mut all = self.lock();
        if let Some(Known::Ended(ended)) = all.remove(ticket) {
            // The receiver is in our hands.
            let _ = sender.send(ended);
        } else {
            all.insert(ticket.to_owned(), Known::AskedBy(sender));
        }
        receiver
    }

    /// Follow the log of orchestration until it ends, and keep the rest of it in `file`.
    pub(super) fn follow(&self, log: impl Read + Send + 'static, file: &Path) -> std::io::Result<()> {
        let ends = self.clone();
        follow(log, file, move |line| {
            let ended = ended(line);
            if let Some((ticket, resolved)) = &ended {
                ends.tell(ticket, *resolved);
            }
            ended.is_some()
        })
    }

    /// The end of `ticket` has come.
    pub(super) fn tell(&self, ticket: &str, resolved: bool) {
        let ended = Ended {
            at: Instant::now(),
            resolved,
        };
        let mut all = self.lock();
        match all.remove(ticket) {
            // Nobody listens any more where the measurement was given up.
            Some(Known::AskedBy(waiting)) => drop(waiting.send(ended)),
            _ => drop(all.insert(ticket.to_owned(), Known::Ended(ended))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Read the log of a process until it ends, line by line; what nobody `heard` is kept in `file`.
pub(super) fn follow(
    log: impl Read + Send + 'static,
    file: &Path,
    heard: impl Fn(&str) -> bool + Send + 'static,
) -> std::io::Result<()> {
    let mut file = std::fs::File::options().create(true).append(true).open(file)?;
    std::thread::Builder::new()
        .name("ends".to_owned())
        .spawn(move || {
            let mut lines = BufReader::with_capacity(1 << 16, log);
            let mut line = String::new();
            // A line that is no text belongs to none of ours; the pipe ends with the process.
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                if !heard(&line) {
                    let _ = file.write_all(line.as_bytes());
                }
                line.clear();
            }
        })
        .map(drop)
}

#[derive(Deserialize)]
struct Line {
    ending: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    #[serde(rename = "ticket.id")]
    ticket: String,
}

/// The ticket whose execution a line says has ended, and whether it was resolved.
fn ended(line: &str) -> Option<(String, bool)> {
    if !line.contains(ENDED) {
        return None;
    }
    let line: Line = serde_json::from_str(line).ok()?;
    Some((line.span.ticket, line.ending == "resolved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_execution_is_read_from_its_log_line_and_other_lines_are_not_mistaken_for_it() {
        let line = r#"{"timestamp":"2026-11-27T19:00:00Z","level":"INFO","message":"the execution ended","ending":"resolved","took_s":0.1,"target":"orchestration::drive::run","span":{"execution.id":"e","ticket.id":"4243","name":"drive"}}"#;
        assert_eq!(ended(line), Some(("4243".to_owned(), true)));
        assert_eq!(
            ended(&line.replace("resolved", "escalated")),
            Some(("4243".to_owned(), false))
        );
        assert_eq!(ended(&line.replace("execution ended", "execution began")), None);
    }

    #[tokio::test]
    async fn an_end_is_heard_by_who_asked_before_and_by_who_asks_after() {
        let ends = Ends::default();
        let before = ends.of("1");
        ends.tell("1", true);
        ends.tell("2", false);
        assert!(before.await.unwrap().resolved);
        assert!(!ends.of("2").await.unwrap().resolved);
    }

    #[tokio::test]
    async fn whatever_ends_otherwise_than_well_or_not_at_all_is_counted() {
        let ends = Ends::default();
        let awaited = ["1", "2", "3"].map(|name| Awaited {
            name: name.to_owned(),
            end: ends.of(name),
        });
        ends.tell("1", true);
        ends.tell("2", false);
        let failed = unresolved_within(Duration::from_millis(10), awaited.into()).await;
        assert_eq!(failed, 2, "one ended badly, one not at all");
    }
}
