//! What others say, cut to what a note, a row and an audit event can take.
//!
//! A step service may be a customer's own, and a ticket's words are anybody's: a NUL would make Postgres refuse the whole
//! step again and again, and megabytes would drown the story.

use common::{Named, Outcome, StepResult, TicketSnapshot, Values};

/// One sentence for people has room in this.
const LONGEST_SENTENCE: usize = 500;
/// The opening text of a ticket: enough to see what it is about.
const LONGEST_DETAILS: usize = 4000;
/// No action declares a longer word.
const LONGEST_WORD: usize = 64;
/// Declared values are few and small.
const LARGEST_OUTPUT: usize = 64 * 1024;

/// At most `most` characters, none of them a control character.
pub(crate) fn words(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .map(|sign| if sign.is_control() { ' ' } else { sign })
        .collect()
}

/// An explanation as notes show it.
pub(crate) fn sentence(text: &str) -> String {
    words(text, LONGEST_SENTENCE)
}

/// A service's result, fit to be stored and shown. What is cut was never promised.
pub(crate) fn result(result: StepResult) -> StepResult {
    let outcome = match result.outcome {
        Outcome::Word(word) => Outcome::Word(words(&word, LONGEST_WORD)),
        common => common,
    };
    StepResult {
        outcome,
        explanation: sentence(&result.explanation),
        output: output(result.output),
        ..result
    }
}

fn output(output: Values) -> Values {
    let text = serde_json::to_string(&output).unwrap_or_default();
    if text.len() <= LARGEST_OUTPUT && !text.contains("\\u0000") {
        return output;
    }
    tracing::warn!(
        size_bytes = text.len(),
        "a step's output cannot be stored and was dropped"
    );
    Values::new()
}

/// What templates may show of a ticket, fit to be stored.
pub(crate) fn ticket(ticket: &TicketSnapshot) -> TicketSnapshot {
    TicketSnapshot {
        summary: sentence(&ticket.summary),
        client_name: ticket.client_name.as_deref().map(sentence),
        details: ticket.details.as_deref().map(details),
        category: ticket.category.as_deref().map(sentence),
        team: ticket.team.as_deref().map(sentence),
        source: ticket.source,
        status: ticket.status,
        ticket_type: ticket.ticket_type,
    }
}

fn details(text: &str) -> String {
    lines(text, LONGEST_DETAILS)
}

/// At most `most` characters in several lines, without anything that Postgres would refuse.
pub(crate) fn lines(text: &str, most: usize) -> String {
    let stored = |sign: &char| !sign.is_control() || matches!(sign, '\n' | '\t');
    text.chars().filter(stored).take(most).collect()
}

/// Somebody's name, fit to be stored.
pub(crate) fn named(person: &Named) -> Named {
    Named {
        id: person.id.clone(),
        name: sentence(&person.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_postgres_would_refuse_gets_through() {
        let mut said = StepResult::new(Outcome::from("a\0b"), format!("x\0\n{}", "y".repeat(10_000)));
        said.output.insert("name".to_owned(), "a\0b".into());
        let kept = result(said);
        assert_eq!(
            (kept.outcome.as_str(), kept.explanation.len(), kept.output.len()),
            ("a b", LONGEST_SENTENCE, 0)
        );
        assert!(kept.explanation.starts_with("x  yy"));
    }

    #[test]
    fn what_is_well_mannered_stays_as_it_is() {
        let mut said = StepResult::new(Outcome::Success, "It was done.");
        said.output.insert("speed".to_owned(), 100.into());
        assert_eq!(result(said.clone()), said);
    }
}
