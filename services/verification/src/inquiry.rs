//! What a requester is asked and what may be answered to it. Pure.
//!
//! An answer is what somebody typed or pressed: it is held against the question and stays untrusted.

use common::{Digest, Outcome, Values};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::Date;
use time::macros::format_description;

use crate::words::{cut, one_line};

/// Longest question and longest answer, in characters: a line for people.
pub const LONGEST: usize = 500;
/// Longest way to write a number, in characters.
const LONGEST_NUMBER: usize = 30;
/// Choices of one question, as playbooks have them.
const MOST_CHOICES: usize = 100;

/// A question on its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// Names the question on its card. Unguessable, and no authority all the same.
    pub reference: String,
    /// What is asked.
    pub asked: Asked,
}

/// What a requester is asked, in plain words before any escaping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The question: one line.
    pub question: String,
    /// What may be answered.
    pub answers: Answers,
}

/// What may be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// One of these.
    OneOf(Vec<Choice>),
    /// A line of text.
    Text,
    /// A number.
    Number,
    /// A date.
    Date,
}

/// One answer to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The playbook's word for it: the outcome of the step.
    pub word: String,
    /// How it reads.
    pub text: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A choice, by its word.
    Chosen(String),
    /// What they typed, as the question wants it. Untrusted.
    Typed(String),
}

/// Why a step asks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoQuestion {
    /// No words.
    #[error("the step has no `question`")]
    Words,
    /// Neither `choices` nor `answer`, or both, or too many.
    #[error(
        "the step needs `choices` (up to 100, each with its text), or an `answer` of `text`, `number` or `date`"
    )]
    Answers,
    /// A choice that would end the step in another way.
    #[error("a choice of the step is named like an outcome that every step has")]
    Reserved,
}

/// Why an answer does not fit its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// None of the choices.
    Choice,
    /// No text, or too much.
    Text,
    /// No number.
    Number,
    /// No date.
    Date,
}

impl Asked {
    /// What the parameters of a step ask.
    pub fn read(parameters: &Values) -> Result<Self, NoQuestion> {
        let question = parameters.get("question").and_then(Value::as_str);
        let question = cut(one_line(question.unwrap_or_default()), LONGEST);
        if question.is_empty() {
            return Err(NoQuestion::Words);
        }
        let kind = parameters.get("answer").map(Value::as_str);
        let answers = match (parameters.get("choices"), kind) {
            (Some(Value::Object(choices)), None) => Answers::OneOf(read_choices(choices)?),
            (None, Some(Some("text"))) => Answers::Text,
            (None, Some(Some("number"))) => Answers::Number,
            (None, Some(Some("date"))) => Answers::Date,
            _ => return Err(NoQuestion::Answers),
        };
        Ok(Self { question, answers })
    }

    /// Hold what came back from the card against the question: the id of a choice, or what was typed.
    pub fn given(&self, answer: &str) -> Result<Given, Unfit> {
        let line = one_line(answer);
        let typed = |fits: bool, unfit: Unfit| fits.then_some(Given::Typed(line.clone())).ok_or(unfit);
        match &self.answers {
            Answers::OneOf(choices) => choices
                .iter()
                .zip(1..)
                .find(|(_, place)| id_at(*place) == answer)
                .map(|(choice, _)| Given::Chosen(choice.word.clone()))
                .ok_or(Unfit::Choice),
            Answers::Text => {
                let fits = !line.is_empty() && line.chars().count() <= LONGEST;
                typed(fits, Unfit::Text)
            }
            Answers::Number => typed(is_number(&line), Unfit::Number),
            Answers::Date => typed(is_date(&line), Unfit::Date),
        }
    }

    /// The choices as the card carries them, each with the id that comes back; none where the answer is typed.
    pub fn choices(&self) -> Vec<(String, &Choice)> {
        match &self.answers {
            Answers::OneOf(choices) => choices
                .iter()
                .zip(1..)
                .map(|(choice, place)| (id_at(place), choice))
                .collect(),
            Answers::Text | Answers::Number | Answers::Date => vec![],
        }
    }

    /// How an answer reads.
    pub fn reads<'a>(&'a self, given: &'a Given) -> &'a str {
        match (given, &self.answers) {
            (Given::Typed(text), _) => text,
            (Given::Chosen(word), Answers::OneOf(choices)) => choices
                .iter()
                .find(|choice| choice.word == *word)
                .map_or(word.as_str(), |choice| choice.text.as_str()),
            (Given::Chosen(word), Answers::Text | Answers::Number | Answers::Date) => word,
        }
    }

    /// An answer as it was stored, held against the question once more; `None` where it cannot have been given.
    pub fn restored(&self, answer: String) -> Option<Given> {
        match &self.answers {
            Answers::OneOf(choices) => choices
                .iter()
                .any(|choice| choice.word == answer)
                .then_some(Given::Chosen(answer)),
            Answers::Text | Answers::Number | Answers::Date => Some(Given::Typed(answer)),
        }
    }

    /// The digest that the audit trail keeps of what was shown.
    pub fn digest(&self) -> Digest {
        // Destructured on purpose: what is shown is in it.
        let Self { question, answers } = self;
        let choices: Vec<(&str, &str)> = match answers {
            Answers::OneOf(choices) => choices
                .iter()
                .map(|Choice { word, text }| (word.as_str(), text.as_str()))
                .collect(),
            Answers::Text | Answers::Number | Answers::Date => vec![],
        };
        Digest::of_json(
            &serde_json::json!({"question": question, "choices": choices, "answer": answers.kind()}),
        )
    }
}

impl Answers {
    /// The word for it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OneOf(_) => "choice",
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
        }
    }
}

impl Given {
    /// As the step's output and the database write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Chosen(word) => word,
            Self::Typed(text) => text,
        }
    }
}

/// A place rather than the word, which can be of any length: a card must stay small.
fn id_at(place: usize) -> String {
    place.to_string()
}

fn read_choices(written: &Values) -> Result<Vec<Choice>, NoQuestion> {
    if written.is_empty() || written.len() > MOST_CHOICES {
        return Err(NoQuestion::Answers);
    }
    let choice = |(word, text): (&String, &Value)| {
        if !matches!(Outcome::from(word.as_str()), Outcome::Word(_)) {
            return Err(NoQuestion::Reserved);
        }
        let text = match text {
            Value::String(text) => one_line(text),
            // A fact that fills all of a choice keeps its type.
            Value::Number(_) | Value::Bool(_) => text.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return Err(NoQuestion::Answers),
        };
        let text = if text.is_empty() { one_line(word) } else { text };
        Ok(Choice {
            word: word.clone(),
            text: cut(text, LONGEST),
        })
    };
    written.iter().map(choice).collect()
}

/// Digits with a point in them at most: `12`, `-3`, `0.5`.
fn is_number(line: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|sign| sign.is_ascii_digit());
    let unsigned = line.strip_prefix('-').unwrap_or(line);
    line.len() <= LONGEST_NUMBER
        && match unsigned.split_once('.') {
            Some((whole, part)) => digits(whole) && digits(part),
            None => digits(unsigned),
        }
}

/// A day of the calendar: `2026-11-28`.
fn is_date(line: &str) -> bool {
    line.len() == "2026-11-28".len() && Date::parse(line, format_description!("[year]-[month]-[day]")).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(parameters: &Value) -> Result<Asked, NoQuestion> {
        Asked::read(parameters.as_object().unwrap())
    }

    fn typed(kind: &str) -> Asked {
        asked(&json!({"question": "Since when?", "answer": kind})).unwrap()
    }

    #[test]
    fn choices_come_back_by_their_ids_and_as_the_playbooks_words() {
        let asked =
            asked(&json!({"question": "Where?", "choices": {"office": "In the office", "home": "At home"}}))
                .unwrap();
        let shown: Vec<(String, &str)> = asked
            .choices()
            .into_iter()
            .map(|(id, choice)| (id, choice.text.as_str()))
            .collect();
        assert_eq!(
            shown,
            [("1".to_owned(), "At home"), ("2".to_owned(), "In the office")]
        );
        let given = asked.given("2").unwrap();
        assert_eq!(given, Given::Chosen("office".to_owned()));
        assert_eq!(asked.reads(&given), "In the office");
        for other in ["0", "3", "office", "", " 2", "02"] {
            assert_eq!(asked.given(other), Err(Unfit::Choice), "{other:?}");
        }
    }

    #[test]
    fn a_text_is_one_line_of_plain_text_and_no_longer_than_it_may_be() {
        let text = typed("text");
        assert_eq!(
            text.given(" since\r\n\u{202e}Monday\u{200b} "),
            Ok(Given::Typed("since Monday".to_owned()))
        );
        let longest = "ü".repeat(LONGEST);
        assert_eq!(text.given(&longest), Ok(Given::Typed(longest.clone())));
        for unfit in [format!("{longest}ü"), String::new(), " \n ".to_owned()] {
            assert_eq!(text.given(&unfit), Err(Unfit::Text));
        }
    }

    #[test]
    fn a_number_is_digits_and_a_date_is_a_day_of_the_calendar() {
        for (kind, unfit, good, bad) in [
            (
                "number",
                Unfit::Number,
                ["12", "-3", "0.5"],
                ["", "twelve", "1e9", "NaN", "1,5", "1.", ".5", "--1", "١٢"],
            ),
            (
                "date",
                Unfit::Date,
                ["2026-11-28", "2024-02-29", "1999-12-31"],
                [
                    "",
                    "tomorrow",
                    "2026-02-29",
                    "2026-13-01",
                    "28.11.2026",
                    "2026-11-28T09:00",
                    "2026-1-1",
                    "-2026-01-1",
                    "+026-01-01",
                ],
            ),
        ] {
            for answer in good {
                assert_eq!(typed(kind).given(answer), Ok(Given::Typed(answer.to_owned())));
            }
            for answer in bad {
                assert_eq!(typed(kind).given(answer), Err(unfit), "{answer:?}");
            }
        }
        assert_eq!(typed("number").given(&"1".repeat(31)), Err(Unfit::Number));
    }

    #[test]
    fn a_step_that_asks_nothing_answerable_is_told_why() {
        for (parameters, why) in [
            (json!({"answer": "text"}), NoQuestion::Words),
            (json!({"question": "  ", "answer": "text"}), NoQuestion::Words),
            (json!({"question": "Which?"}), NoQuestion::Answers),
            (json!({"question": "Which?", "choices": {}}), NoQuestion::Answers),
            (
                json!({"question": "Which?", "answer": "colour"}),
                NoQuestion::Answers,
            ),
            (json!({"question": "Which?", "answer": 3}), NoQuestion::Answers),
            (
                json!({"question": "Which?", "answer": "text", "choices": {"a": "A"}}),
                NoQuestion::Answers,
            ),
            (
                json!({"question": "Which?", "choices": {"success": "Yes"}}),
                NoQuestion::Reserved,
            ),
        ] {
            assert_eq!(asked(&parameters), Err(why), "{parameters}");
        }
    }

    #[test]
    fn every_word_that_is_shown_is_in_the_digest() {
        let ask = |text: &str| asked(&json!({"question": "Where?", "choices": {"home": text}})).unwrap();
        assert_ne!(ask("At home").digest(), ask("At home.").digest());
        assert_ne!(typed("text").digest(), typed("date").digest());
    }
}
