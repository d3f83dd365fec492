//! Cards: what Teams accepts of them, what a person reads of them, which button means what.

use serde::Serialize;
use serde_json::Value;

use super::input;

/// Teams refuses larger activities.
const LIMIT_BYTES: usize = 28 << 10;

/// So many buttons are shown.
const ACTIONS: usize = 6;

const ADAPTIVE: &str = "application/vnd.microsoft.card.adaptive";

#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) conversation: String,
    pub(crate) activity: String,
    pub(crate) email: String,
    /// As it was sent: what a device that never saw an update still shows.
    pub(crate) original: Value,
    pub(crate) current: Value,
    pub(crate) updates: u32,
    pub(crate) deleted: bool,
}

/// A card in somebody's chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CardView {
    /// The personal conversation.
    pub conversation: String,
    /// The message's id.
    pub activity: String,
    /// Whose chat it is.
    pub email: String,
    /// The adaptive card as it was sent.
    pub card: Value,
    /// The adaptive card as it is now.
    pub current: Value,
    /// Everything one can read on it now, line by line.
    pub text: String,
    /// How often it was replaced.
    pub updates: u32,
    /// It was taken back.
    pub deleted: bool,
}

impl From<&Card> for CardView {
    fn from(card: &Card) -> Self {
        Self {
            conversation: card.conversation.clone(),
            activity: card.activity.clone(),
            email: card.email.clone(),
            card: card.original.clone(),
            current: card.current.clone(),
            text: readable(&card.current),
            updates: card.updates,
            deleted: card.deleted,
        }
    }
}

/// The adaptive card of a message activity, or why Teams would not take it.
pub(crate) fn checked(activity: &Value) -> Result<Value, (&'static str, String)> {
    let bad = |why: &str| ("BadSyntax", why.to_owned());
    if activity.to_string().len() > LIMIT_BYTES {
        return Err(("MessageSizeTooBig", "Message size too large.".into()));
    }
    if activity["type"] != "message" {
        return Err(bad("Activity type must be 'message'."));
    }
    let Some(attachments) = activity["attachments"].as_array() else {
        let text = activity["text"].as_str().filter(|text| !text.is_empty());
        return text
            .map(|text| Value::String(text.to_owned()))
            .ok_or_else(|| bad("The activity is empty."));
    };
    let [attachment] = attachments.as_slice() else {
        return Err(bad("One attachment is expected."));
    };
    let card = &attachment["content"];
    if attachment["contentType"] != ADAPTIVE || card["type"] != "AdaptiveCard" {
        return Err(bad("The attachment is not an adaptive card."));
    }
    let version = card["version"]
        .as_str()
        .and_then(|version| version.split_once('.'));
    let supported =
        version.is_some_and(|(major, minor)| major == "1" && minor.parse().is_ok_and(|minor: u8| minor <= 5));
    if !supported {
        return Err(bad("The card's version is missing or not supported."));
    }
    let actions = actions(card);
    if actions.len() > ACTIONS {
        return Err(bad("Too many actions."));
    }
    let known = [
        "Action.Execute",
        "Action.Submit",
        "Action.OpenUrl",
        "Action.ShowCard",
        "Action.ToggleVisibility",
    ];
    for action in &actions {
        let kind = action["type"].as_str().unwrap_or_default();
        if !known.contains(&kind) || (kind == "Action.Execute" && !action["verb"].is_string()) {
            return Err(bad("An action of the card is not supported."));
        }
    }
    let mut ids: Vec<&str> = actions
        .iter()
        .filter_map(|action| action["id"].as_str())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < count {
        return Err(bad("Two actions of the card have the same id."));
    }
    if let Some(why) = input::fault(card) {
        return Err(bad(why));
    }
    if card.to_string().contains(r#""type":"Media""#) {
        return Err(bad("The element Media is not supported."));
    }
    Ok(card.clone())
}

/// The card's own buttons, and those of its action sets.
pub(crate) fn actions(card: &Value) -> Vec<&Value> {
    let own = card["actions"].as_array().into_iter().flatten();
    let body = card["body"].as_array().into_iter().flatten();
    let sets = body.filter(|element| element["type"] == "ActionSet");
    own.chain(sets.flat_map(|set| set["actions"].as_array().into_iter().flatten()))
        .collect()
}

/// The button whose id, title or verb speaks of `word`.
pub(crate) fn action_of<'a>(card: &'a Value, word: &str) -> Option<&'a Value> {
    actions(card).into_iter().find(|action| {
        ["id", "verb", "title"].iter().any(|name| {
            action[name]
                .as_str()
                .is_some_and(|text| text.to_lowercase().contains(word))
        })
    })
}

/// As Teams shows its Markdown subset: a backslash keeps the next mark from meaning anything, and is not shown.
fn rendered(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let kept = letters.next_if(|mark| letter == '\\' && mark.is_ascii_punctuation());
        shown.push(kept.unwrap_or(letter));
    }
    shown
}

/// All texts of a card, in reading order.
pub(crate) fn readable(card: &Value) -> String {
    fn walk(value: &Value, lines: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let (Some(title), Some(value)) = (fields.get("title"), fields.get("value")) {
                    let text = |value: &Value| rendered(value.as_str().unwrap_or_default());
                    lines.push(format!("{}: {}", text(title), text(value)));
                }
                if let Some(text) = fields.get("text").and_then(Value::as_str) {
                    lines.push(rendered(text));
                }
                for inner in ["body", "items", "columns", "facts", "inlines"] {
                    if let Some(inner) = fields.get(inner) {
                        walk(inner, lines);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, lines)),
            Value::String(text) => lines.push(rendered(text)),
            _ => {}
        }
    }
    let mut lines = Vec::new();
    walk(card, &mut lines);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(card: &Value) -> Value {
        json!({"type": "message", "attachments": [{"contentType": ADAPTIVE, "content": card}]})
    }

    #[test]
    fn a_card_is_read_line_by_line_and_its_buttons_are_found_by_what_they_say() {
        let card = json!({"type": "AdaptiveCard", "version": "1.5", "body": [
            {"type": "TextBlock", "text": "Approve?"},
            {"type": "FactSet", "facts": [{"title": "Ticket", "value": "4711 \\(new\\)"}]},
            {"type": "Input.Text", "id": "comment"}],
            "actions": [{"type": "Action.Execute", "id": "a", "verb": "x.approve"},
                        {"type": "Action.Execute", "id": "d", "verb": "x.deny"}]});
        assert_eq!(checked(&message(&card)).unwrap(), card);
        assert_eq!(readable(&card), "Approve?\nTicket: 4711 (new)");
        assert_eq!(action_of(&card, "deny").unwrap()["id"], "d");
    }

    #[test]
    fn what_teams_does_not_show_is_refused() {
        let card = |version: &str, action: Value| {
            message(&json!({"type": "AdaptiveCard", "version": version, "body": [], "actions": [action]}))
        };
        let fine = json!({"type": "Action.Submit"});
        assert!(checked(&card("1.5", fine.clone())).is_ok());
        assert!(checked(&card("1.6", fine)).is_err(), "newer than Teams");
        assert!(checked(&card("1.5", json!({"type": "Action.Http"}))).is_err());
        assert!(
            checked(&card("1.5", json!({"type": "Action.Execute"}))).is_err(),
            "without a verb"
        );
        assert!(checked(&json!({"type": "message"})).is_err(), "empty");
        let large = json!({"type": "message", "text": "x".repeat(LIMIT_BYTES)});
        assert_eq!(checked(&large).unwrap_err().0, "MessageSizeTooBig");
    }
}
