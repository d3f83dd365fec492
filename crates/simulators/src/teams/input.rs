//! Inputs of cards: what Teams accepts of them, and what they hold when the reader presses a button.

use serde_json::Value;

/// Every input of Adaptive Cards 1.5.
const KINDS: [&str; 6] = [
    "Input.Text",
    "Input.Number",
    "Input.Date",
    "Input.Time",
    "Input.Toggle",
    "Input.ChoiceSet",
];

fn all(card: &Value) -> impl Iterator<Item = &Value> {
    let body = card["body"].as_array().into_iter().flatten();
    body.filter(|element| {
        element["type"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("Input."))
    })
}

/// Why Teams would not show the card's inputs.
pub(super) fn fault(card: &Value) -> Option<&'static str> {
    let mut seen: Vec<&str> = Vec::new();
    for input in all(card) {
        let kind = input["type"].as_str().unwrap_or_default();
        if !KINDS.contains(&kind) {
            return Some("An input of the card is not supported.");
        }
        match input["id"].as_str() {
            Some(id) if !id.is_empty() && !seen.contains(&id) => seen.push(id),
            _ => return Some("An input of the card has no id of its own."),
        }
        if kind == "Input.ChoiceSet" && !is_choice_set(input) {
            return Some("A choice of the card has no title or no value.");
        }
        if input["isRequired"] == true && !input["label"].is_string() {
            return Some("A required input of the card has no label.");
        }
    }
    None
}

fn is_choice_set(input: &Value) -> bool {
    let choices = input["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
    !choices.is_empty()
        && choices
            .iter()
            .all(|choice| choice["title"].is_string() && choice["value"].is_string())
}

/// The values that the card's inputs have when nobody touched them.
pub(super) fn untouched(card: &Value) -> Vec<(String, String)> {
    all(card)
        .filter_map(|input| {
            let value = input["value"].as_str().unwrap_or_default();
            Some((input["id"].as_str()?.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The id of the list that has an entry of this title, and the entry's value.
pub(super) fn entry(card: &Value, title: &str) -> Option<(String, String)> {
    all(card).find_map(|input| {
        let choices = input["choices"].as_array()?;
        let chosen = choices.iter().find(|choice| choice["title"] == title)?;
        Some((
            input["id"].as_str()?.to_owned(),
            chosen["value"].as_str()?.to_owned(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inputs_hold_what_they_were_given_and_lists_are_picked_from_by_title() {
        let card = json!({"body": [{"type": "TextBlock", "text": "Where?"}, {"type": "Input.Text", "id": "comment"},
            {"type": "Input.ChoiceSet", "id": "answer", "choices": [
                {"title": "At home", "value": "1"}, {"title": "At work", "value": "2"}]}]});
        assert_eq!(fault(&card), None);
        let held = [("comment", ""), ("answer", "")].map(|(id, value)| (id.to_owned(), value.to_owned()));
        assert_eq!(untouched(&card), held);
        assert_eq!(
            entry(&card, "At work"),
            Some(("answer".to_owned(), "2".to_owned()))
        );
        assert_eq!(entry(&card, "2"), None);
    }

    #[test]
    fn inputs_that_teams_does_not_show_are_faults() {
        let faulty = |inputs: Value| fault(&json!({ "body": inputs })).is_some();
        assert!(faulty(json!([{"type": "Input.Colour", "id": "a"}])));
        assert!(faulty(json!([{"type": "Input.Text"}])));
        assert!(faulty(
            json!([{"type": "Input.Text", "id": "a"}, {"type": "Input.Date", "id": "a"}])
        ));
        assert!(faulty(json!([{"type": "Input.ChoiceSet", "id": "a"}])));
        assert!(faulty(
            json!([{"type": "Input.ChoiceSet", "id": "a", "choices": [{"title": "A"}]}])
        ));
        assert!(
            faulty(json!([{"type": "Input.Date", "id": "a", "isRequired": true}])),
            "no label"
        );
    }
}
