//! The question to a requester as an Adaptive Card 1.5, and its end. What was typed, by them or by whoever wrote the
//! playbook, is escaped like all words on a card.

use serde_json::{Value, json};

use super::card::{Card, document, facts, heading, plain_up_to, small_print};

pub(super) const VERB_ANSWER: &str = "firstline.question.answer";
/// What the answer is called, whether a button carries it or an input.
pub(super) const ANSWER: &str = "answer";

/// So many buttons Teams shows. More choices become a list.
const MOST_BUTTONS: usize = 6;
/// Longest question and longest answer on a card, in characters: as much as may be typed.
const LONGEST: usize = 500;
/// Longest title of a button or an entry, in characters: a hundred of them must leave the card small.
const LONGEST_TITLE: usize = 60;

/// What a requester is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuestionCard<'a> {
    /// Unguessable; comes back with the answer.
    pub question_id: &'a str,
    /// The question.
    pub question: &'a str,
    /// Ticket number.
    pub ticket: &'a str,
    /// Until when, for people: `28 November 2026, 09:50 UTC`.
    pub until: &'a str,
    /// How it is answered.
    pub answers: Answers<'a>,
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers<'a> {
    /// By one of these.
    OneOf(&'a [Choice<'a>]),
    /// By a line of text of so many characters at most.
    Text {
        /// In characters.
        longest: usize,
    },
    /// By a number.
    Number,
    /// By a date.
    Date,
}

/// One answer to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Comes back when it is chosen.
    pub id: &'a str,
    /// How it reads.
    pub text: &'a str,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionEnd<'a> {
    /// So.
    Answered(&'a str),
    /// Nobody answered in time.
    Expired,
    /// No longer needed.
    Withdrawn,
}

/// The same card once it is over: no actions left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedQuestionCard<'a> {
    /// As in the question.
    pub question: &'a str,
    /// As in the question.
    pub ticket: &'a str,
    /// How it ended.
    pub end: QuestionEnd<'a>,
    /// When, for people: `on 28 November 2026, 09:41 UTC`.
    pub note: &'a str,
}

/// The question: a button for each of a few choices, a list of more, or an input; each with `Action.Execute` and, for
/// old clients, `Action.Submit` as its fallback.
///
/// Source: contract, section 4.
pub fn question_card(card: &QuestionCard<'_>) -> Card {
    let mut body = opening(
        card.question,
        &[("Ticket", card.ticket), ("Answer until", card.until)],
    );
    let action = |id: &str, title: &str, answer: Option<&str>| {
        let mut data = json!({ "questionId": card.question_id });
        if let Some(answer) = answer {
            data[ANSWER] = answer.into();
        }
        let mut submitted = data.clone();
        submitted["verb"] = VERB_ANSWER.into();
        json!({
            "type": "Action.Execute",
            "id": id,
            "title": title,
            "verb": VERB_ANSWER,
            "data": data,
            "fallback": { "type": "Action.Submit", "title": title, "data": submitted },
        })
    };
    let actions = match card.answers {
        Answers::OneOf(choices) if choices.len() <= MOST_BUTTONS => choices
            .iter()
            .map(|choice| {
                action(
                    &format!("answer-{}", choice.id),
                    &title(choice.text),
                    Some(choice.id),
                )
            })
            .collect(),
        answers => {
            body.push(input(answers));
            vec![action("send", "Send", None)]
        }
    };
    Card(document("question", &body, &actions))
}

/// Its end: the same question, what they answered, and no actions.
pub fn closed_question_card(card: &ClosedQuestionCard<'_>) -> Card {
    let end = match card.end {
        QuestionEnd::Answered(answer) => ("You answered", answer),
        QuestionEnd::Expired => ("Answer", "Expired without an answer"),
        QuestionEnd::Withdrawn => ("Answer", "No longer needed"),
    };
    let mut body = opening(card.question, &[("Ticket", card.ticket), end]);
    body.push(small_print(card.note));
    Card(document("question", &body, &[]))
}

fn opening(question: &str, known: &[(&str, &str)]) -> Vec<Value> {
    vec![
        heading("A question about your ticket"),
        json!({ "type": "TextBlock", "wrap": true, "text": plain_up_to(question, LONGEST) }),
        facts(known, LONGEST),
    ]
}

/// Where the answer is typed or picked. Clients check it first, old ones do not.
fn input(answers: Answers<'_>) -> Value {
    let (kind, wanted) = match answers {
        Answers::OneOf(_) => ("Input.ChoiceSet", "Please choose an answer."),
        Answers::Text { .. } => ("Input.Text", "Please type an answer."),
        Answers::Number => ("Input.Number", "Please type a number."),
        Answers::Date => ("Input.Date", "Please choose a date."),
    };
    let mut input = json!({
        "type": kind,
        "id": ANSWER,
        "label": "Your answer",
        "isRequired": true,
        "errorMessage": wanted,
    });
    match answers {
        Answers::OneOf(choices) => {
            let entry = |choice: &Choice<'_>| json!({ "title": title(choice.text), "value": choice.id });
            input["style"] = "compact".into();
            input["choices"] = choices.iter().map(entry).collect();
        }
        Answers::Text { longest } => input["maxLength"] = longest.into(),
        Answers::Number | Answers::Date => {}
    }
    input
}

/// The title of a button or an entry. Teams shows it as it stands, without Markdown, so there is nothing to escape.
fn title(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = line
        .chars()
        .filter(|sign| !sign.is_control())
        .take(LONGEST_TITLE)
        .collect();
    let cut = line.chars().nth(LONGEST_TITLE).map_or("", |_| "…");
    format!("{shown}{cut}").replace("${", "$ {")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "[Where](https://evil.example) are **you**?\n${user.name}";

    fn card(answers: Answers<'_>) -> Value {
        let card = QuestionCard {
            question_id: "qst_01JQ",
            question: HOSTILE,
            ticket: "48213",
            until: "28 November 2026, 09:50 UTC",
            answers,
        };
        question_card(&card).0
    }

    fn choices(count: usize) -> Vec<(String, String)> {
        (1..=count)
            .map(|n| (n.to_string(), format!("Answer number {n}")))
            .collect()
    }

    fn chosen(choices: &[(String, String)]) -> Vec<Choice<'_>> {
        choices.iter().map(|(id, text)| Choice { id, text }).collect()
    }

    #[test]
    fn a_question_with_a_few_choices_reads_like_this() {
        insta::assert_json_snapshot!(card(Answers::OneOf(&chosen(&choices(2)))));
    }

    #[test]
    fn a_question_to_type_into_reads_like_this() {
        insta::assert_json_snapshot!(card(Answers::Text { longest: 500 }));
    }

    #[test]
    fn more_choices_than_teams_has_buttons_are_a_list_with_one_button() {
        let (six, seven) = (choices(6), choices(7));
        let buttons = card(Answers::OneOf(&chosen(&six)));
        assert_eq!(buttons["actions"].as_array().unwrap().len(), 6);
        let list = card(Answers::OneOf(&chosen(&seven)));
        assert_eq!(list["actions"].as_array().unwrap().len(), 1);
        let input = list["body"].as_array().unwrap().last().unwrap();
        assert_eq!(input["type"], "Input.ChoiceSet");
        assert_eq!(input["choices"].as_array().unwrap().len(), 7);
        assert_eq!(input["choices"][6]["value"], "7");
    }

    #[test]
    fn its_end_shows_the_answer_and_has_no_actions() {
        let card = closed_question_card(&ClosedQuestionCard {
            question: HOSTILE,
            ticket: "48213",
            end: QuestionEnd::Answered("[Mail](https://evil.example)"),
            note: "on 28 November 2026, 09:41 UTC",
        });
        insta::assert_json_snapshot!(card);
    }

    #[test]
    fn endless_words_and_a_hundred_choices_leave_the_card_small() {
        let endless = "ü (".repeat(50_000);
        let many: Vec<(String, String)> = (0..100).map(|n| (n.to_string(), endless.clone())).collect();
        let card = QuestionCard {
            question_id: "qst_01JQ",
            question: &endless,
            ticket: "48213",
            until: "soon",
            answers: Answers::OneOf(&chosen(&many)),
        };
        assert!(question_card(&card).0.to_string().len() < 20 * 1024);
    }
}
