//! What the classifier says in its log that a measurement waits for. Asking over and over would be a load of its own.

use serde::Deserialize;

/// Written once the decision is committed.
const DECIDED: &str = "decided";
/// Written once the model is in memory.
const LOADED: &str = "the embedded classifier is loaded";

/// News from the classifier.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// The decision on this ticket is stored.
    Decided(String),
    /// The model is loaded; it took so many seconds.
    Loaded(f64),
}

#[derive(Deserialize)]
struct Line {
    message: String,
    span: Option<Span>,
    took_s: Option<f64>,
}

#[derive(Deserialize)]
struct Span {
    #[serde(rename = "ticket.id")]
    ticket: Option<String>,
}

/// What a line of its log tells us; `None` where that is nothing.
pub(super) fn heard(line: &str) -> Option<Heard> {
    let line: Line = serde_json::from_str(line).ok()?;
    match line.message.as_str() {
        DECIDED => Some(Heard::Decided(line.span?.ticket?)),
        LOADED => Some(Heard::Loaded(line.took_s?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_heard_with_its_ticket_and_the_model_with_its_time() {
        let decided = r#"{"level":"INFO","message":"decided","automated":false,"span":{"ticket.id":"4243","name":"gate"}}"#;
        assert_eq!(heard(decided), Some(Heard::Decided("4243".to_owned())));
        let loaded = r#"{"message":"the embedded classifier is loaded","took_s":0.5}"#;
        assert_eq!(heard(loaded), Some(Heard::Loaded(0.5)));
    }

    #[test]
    fn other_lines_are_not_mistaken_for_news() {
        let other = r#"{"message":"took in what the help desk told","span":{"ticket.id":"1"}}"#;
        assert_eq!(heard(other), None);
        assert_eq!(heard(r#"{"message":"decided"}"#), None);
        assert_eq!(heard("no JSON: decided"), None);
    }
}
