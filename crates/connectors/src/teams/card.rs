//! Adaptive Cards 1.5: the question and its end. Everything that people typed is escaped, so that it can't become a link.

use serde::Serialize;
use serde_json::{Value, json};

pub(super) const VERB_APPROVE: &str = "firstline.approval.approve";
pub(super) const VERB_DENY: &str = "firstline.approval.deny";

/// Longest text of people on a card, in characters.
const LONGEST: usize = 300;

/// A rendered card.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Card(pub Value);

/// What a manager is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalCard<'a> {
    /// Unguessable; comes back with the answer.
    pub approval_id: &'a str,
    /// What will be done, for instance `Reset the password of Adele Vance`.
    pub title: &'a str,
    /// With what: name and value.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Who asks.
    pub employee: &'a str,
    /// Their department, where known.
    pub department: Option<&'a str>,
    /// Ticket number.
    pub ticket: &'a str,
    /// The ticket's subject line.
    pub reason: &'a str,
    /// Until when, for people: `09:50 UTC`.
    pub expires: &'a str,
    /// Advice in small print, for instance `Only approve if you have spoken to Adele.`
    pub hint: Option<&'a str>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Granted.
    Approved,
    /// Refused.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// No longer needed.
    Withdrawn,
}

/// The same card once it is decided: no actions left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedCard<'a> {
    /// As in the question.
    pub title: &'a str,
    /// As in the question.
    pub employee: &'a str,
    /// As in the question.
    pub ticket: &'a str,
    /// How it ended.
    pub verdict: Verdict,
    /// Who decided, how and when, for people: `by Megan Bowen, 09:41 UTC`.
    pub note: Option<&'a str>,
}

/// The question, with `Action.Execute` and, for old clients, `Action.Submit` as its fallback.
///
/// Source: contract, section 4.
pub fn approval_card(card: &ApprovalCard<'_>) -> Card {
    let employee = match card.department {
        Some(department) => format!("{} ({department})", card.employee),
        None => card.employee.to_owned(),
    };
    let known = [
        ("Employee", employee.as_str()),
        ("Ticket", card.ticket),
        ("Reason", card.reason),
        ("Expires", card.expires),
    ];
    let mut body = vec![heading(card.title)];
    // Apart from what is known of the request, whose names a parameter may bear, too.
    if !card.parameters.is_empty() {
        body.push(facts(card.parameters, LONGEST));
    }
    body.push(facts(&known, LONGEST));
    body.extend(card.hint.map(small_print));
    body.push(json!({
        "type": "Input.Text",
        "id": "comment",
        "label": "Comment (optional)",
        "maxLength": 200,
    }));
    let action = |id: &str, title: &str, verb: &str| {
        json!({
            "type": "Action.Execute",
            "id": id,
            "title": title,
            "verb": verb,
            "data": { "approvalId": card.approval_id },
            "fallback": {
                "type": "Action.Submit",
                "title": title,
                "data": { "verb": verb, "approvalId": card.approval_id },
            },
        })
    };
    let actions = [
        action("approve", "Approve", VERB_APPROVE),
        action("deny", "Deny", VERB_DENY),
    ];
    Card(document("approval", &body, &actions))
}

/// Its end: the same heading, how it ended, and no actions.
pub fn decided_card(card: &DecidedCard<'_>) -> Card {
    let verdict = match card.verdict {
        Verdict::Approved => "Approved",
        Verdict::Denied => "Denied",
        Verdict::Expired => "Expired without an answer",
        Verdict::Withdrawn => "No longer needed",
    };
    let known = [
        ("Employee", card.employee),
        ("Ticket", card.ticket),
        ("Decision", verdict),
    ];
    let mut body = vec![heading(card.title), facts(&known, LONGEST)];
    body.extend(card.note.map(small_print));
    Card(document("approval", &body, &[]))
}

/// `what` it is, for a client too old to show it.
pub(super) fn document(what: &str, body: &[Value], actions: &[Value]) -> Value {
    let mut document = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "fallbackText": format!("Please update Teams to see this {what}."),
        "body": body,
    });
    if !actions.is_empty() {
        document["actions"] = actions.into();
    }
    document
}

pub(super) fn heading(text: &str) -> Value {
    json!({ "type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": plain(text) })
}

pub(super) fn small_print(text: &str) -> Value {
    json!({ "type": "TextBlock", "wrap": true, "isSubtle": true, "text": plain(text) })
}

/// Each value in `longest` characters at most.
pub(super) fn facts(facts: &[(&str, &str)], longest: usize) -> Value {
    let facts: Vec<Value> = facts
        .iter()
        .map(|(title, value)| json!({ "title": plain(title), "value": plain_up_to(value, longest) }))
        .collect();
    json!({ "type": "FactSet", "facts": facts })
}

/// People's text as Teams shows it and nothing more: no Markdown, no address that Teams would make clickable, no
/// mention, so that no link or emphasis gets into a card that its reader trusts; one line; at most [`LONGEST`] characters,
/// since the whole card must stay small.
fn plain(text: &str) -> String {
    plain_up_to(text, LONGEST)
}

/// As [`plain`], with another length.
pub(super) fn plain_up_to(text: &str, longest: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let signs: Vec<char> = line
        .chars()
        .filter(|sign| !sign.is_control())
        .take(longest)
        .collect();
    let mut plain = String::with_capacity(line.len().min(longest.saturating_mul(4)));
    for (place, sign) in signs.iter().enumerate() {
        let (before, after) = (signs.get(..place), signs.get(place + 1..));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        match sign {
            ':' | '.' if begins_an_address(before, *sign, after) => {
                plain.extend(['[', *sign, ']']);
                continue;
            }
            '[' | ']' | '*' | '_' | '\\' | '<' | '>' => plain.push('\\'),
            // Of a link only; elsewhere a bracket is a bracket.
            '(' if before.last() == Some(&']') => plain.push('\\'),
            _ => {}
        }
        plain.push(*sign);
    }
    // Template syntax, which Teams does not evaluate and other hosts do.
    plain.replace("${", "$ {")
}

/// Whether `sign` is where a client recognises an address in bare text: `https://`, `mailto:`, `www.`. Broken there,
/// people still read all of it, and nothing can be clicked.
fn begins_an_address(before: &[char], sign: char, after: &[char]) -> bool {
    let word: String = before
        .iter()
        .rev()
        .take_while(|sign| sign.is_alphanumeric())
        .flat_map(|sign| sign.to_lowercase())
        .collect();
    // Backwards, as it was collected.
    let word_is = |known: &str| word.chars().rev().eq(known.chars());
    match sign {
        ':' => after.starts_with(&['/', '/']) || CLICKABLE_SCHEMES.into_iter().any(word_is),
        _ => word_is("www"),
    }
}

/// Schemes without `//` that clients open from bare text.
const CLICKABLE_SCHEMES: [&str; 7] = ["mailto", "tel", "sms", "sip", "callto", "im", "msteams"];

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> ApprovalCard<'static> {
        ApprovalCard {
            approval_id: "apr_01JQ",
            title: "Reset the password of Maya Okafor?",
            parameters: &[("deliver_by", "*text* to https://evil.example")],
            employee: "Maya Okafor",
            department: Some("Finance"),
            ticket: "48213",
            reason: "[Click here](https://evil.example) **now**\n${user.name}",
            expires: "09:50 UTC",
            hint: Some("Only approve if you have spoken to Maya."),
        }
    }

    #[test]
    fn the_question_reads_like_this() {
        insta::assert_json_snapshot!(approval_card(&question()));
    }

    #[test]
    fn its_end_reads_like_this_and_has_no_actions() {
        let card = decided_card(&DecidedCard {
            title: "Reset the password of Maya Okafor?",
            employee: "Maya Okafor",
            ticket: "48213",
            verdict: Verdict::Approved,
            note: Some("by Jo Manager, 09:41 UTC"),
        });
        assert!(card.0.get("actions").is_none());
        insta::assert_json_snapshot!(card);
    }

    #[test]
    fn the_requesters_words_can_not_become_a_link() {
        assert_eq!(
            plain("[a](b) *c* _d_ \\ e\nf"),
            "\\[a\\]\\(b) \\*c\\* \\_d\\_ \\\\ e f"
        );
    }

    #[test]
    fn an_address_in_the_requesters_words_can_be_read_and_not_clicked() {
        let broken = [
            ("see https://evil.example/a", "see https[:]//evil.example/a"),
            ("HTTP://evil.example", "HTTP[:]//evil.example"),
            ("(WWW.evil.example)", "(WWW[.]evil.example)"),
            ("mailto:eve@evil.example", "mailto[:]eve@evil.example"),
            ("<https://evil.example>", "\\<https[:]//evil.example\\>"),
            ("<at>Megan</at>", "\\<at\\>Megan\\</at\\>"),
        ];
        for (words, shown) in broken {
            assert_eq!(plain(words), shown);
        }
    }

    #[test]
    fn ordinary_words_stay_as_they_were_typed() {
        let words = "Locked out (since 09:50): error 0x80070005, see ticket #7. Thanks!";
        assert_eq!(plain(words), words);
    }

    #[test]
    fn endless_words_leave_the_card_small() {
        let endless = "x (".repeat(50_000);
        let card = approval_card(&ApprovalCard {
            reason: &endless,
            title: &endless,
            ..question()
        });
        assert!(card.0.to_string().len() < 20 * 1024);
    }
}
