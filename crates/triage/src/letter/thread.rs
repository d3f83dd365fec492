//! Where a letter's own words end and an earlier letter begins.

mod mark;

use std::ops::Range;

use mark::Mark;

use super::{Thread, closing};

/// A text taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) own: String,
    pub(super) quoted: String,
    pub(super) thread: Thread,
}

/// A subject without the prefixes that mail programs set, and what they say.
pub(super) fn called(subject: &str) -> (&str, Thread) {
    const REPLY: [&str; 10] = ["re", "aw", "sv", "antw", "odp", "res", "rif", "ref", "réf", "vá"];
    const FORWARD: [&str; 12] = [
        "fw", "fwd", "wg", "tr", "rv", "enc", "doorst", "pd", "vs", "vb", "vl", "i",
    ];
    let mut thread = Thread::None;
    let mut rest = subject.trim();
    loop {
        let lower = rest.get(..10).unwrap_or(rest).to_lowercase();
        if lower.starts_with("[extern")
            && let Some((_, after)) = rest.split_once(']')
        {
            rest = after.trim_start();
            continue;
        }
        let Some((prefix, after)) = rest.split_once(':') else {
            break;
        };
        // `Re[2]`, `AW (3)`.
        let word = prefix.split(['[', '(']).next().unwrap_or_default().trim();
        let lower = word.to_lowercase();
        if FORWARD.contains(&lower.as_str()) && (lower != "i" || word == "I") {
            thread = Thread::Forwarded;
        } else if !REPLY.contains(&lower.as_str()) {
            break;
        } else if thread == Thread::None {
            thread = Thread::Replied;
        }
        rest = after.trim_start();
    }
    (rest, thread)
}

/// Take a text apart. What is passed on is the text where its sender adds nothing of their own.
pub(super) fn split(text: &str, called: Thread) -> Parts {
    let lines: Vec<&str> = text.lines().collect();
    let mut parts = cut(&lines, 0);
    let forwarded = called == Thread::Forwarded
        || parts.mark == Some(Mark::Forward)
        || (matches!(parts.mark, Some(Mark::Headers | Mark::Original))
            && says_nothing(&parts.own.join("\n")));
    let thread = match (forwarded, parts.mark, called) {
        (true, ..) => Thread::Forwarded,
        (_, None, Thread::None) => Thread::None,
        _ => Thread::Replied,
    };
    // Each turn begins further down, so this ends.
    while forwarded && says_nothing(&parts.own.join("\n")) {
        let Some(head) = parts.next.clone() else { break };
        let inner = cut(&lines, head.end);
        // Nothing below either: keep what little there is.
        if inner.next.is_none() && inner.marked.is_empty() && says_nothing(&inner.own.join("\n")) {
            break;
        }
        parts = inner;
    }
    if forwarded && says_nothing(&parts.own.join("\n")) && !parts.marked.is_empty() {
        parts.own = std::mem::take(&mut parts.marked)
            .into_iter()
            .filter_map(mark::quoted)
            .collect();
    }
    let below = parts
        .next
        .as_ref()
        .map(|head| lines.get(head.start..).unwrap_or_default())
        .unwrap_or_default();
    parts.marked.extend(below);
    Parts {
        own: parts.own.join("\n"),
        quoted: parts.marked.join("\n"),
        thread,
    }
}

/// The letter that begins at a line.
#[derive(Default)]
struct Piece<'a> {
    own: Vec<&'a str>,
    /// The lines of earlier letters between its own: marked with `>`, or telling whose they are.
    marked: Vec<&'a str>,
    mark: Option<Mark>,
    /// The head of the next letter.
    next: Option<Range<usize>>,
}

fn cut<'a>(lines: &[&'a str], start: usize) -> Piece<'a> {
    let mut piece = Piece::default();
    let mut at = start;
    while let Some(line) = lines.get(at) {
        if mark::quoted(line).is_some() {
            piece.mark = piece.mark.or(Some(Mark::Quote));
            piece.marked.push(line);
            at += 1;
            continue;
        }
        let Some((mark, length)) = mark::at(lines, at) else {
            piece.own.push(line);
            at += 1;
            continue;
        };
        piece.mark = Some(mark);
        // An attribution goes with the `>` lines behind it; own words may follow them.
        let behind = lines
            .iter()
            .skip(at + length)
            .find(|line| !line.trim().is_empty());
        if mark == Mark::Attribution && behind.is_some_and(|line| mark::quoted(line).is_some()) {
            piece.marked.extend(lines.iter().skip(at).take(length));
            at += length;
        } else {
            piece.next = Some(at..at + length);
            break;
        }
    }
    piece
}

/// Whether somebody who passes a letter on leaves it at a greeting or a pointer downwards.
fn says_nothing(own: &str) -> bool {
    closing::split(own)
        .said
        .lines()
        .all(|line| line.trim().is_empty() || mark::is_greeting(line))
}

#[cfg(test)]
mod tests;
