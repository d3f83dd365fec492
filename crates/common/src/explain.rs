//! How a decision came about: what was looked at, in its order, and what each look said. For people, and for replay.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decision::Decision;

/// Longest text that stands inside a sentence: names and conditions fit, what somebody pours in does not.
const LONGEST: usize = 300;

/// Something that the gate looks at before it decides, in the order in which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The ticket is open.
    Open,
    /// Nobody of the help desk made it.
    Made,
    /// No agent has taken it up.
    Untouched,
    /// Its type is admitted.
    Kind,
    /// Exactly one account of a person stands behind it.
    Requester,
    /// Whoever sent it is that person.
    Sender,
    /// An active playbook starts on tickets like this one.
    Trigger,
    /// The classifier answers.
    Reading,
    /// It is sure enough.
    Confidence,
    /// The request is for the one who asks.
    Affected,
    /// Nothing in its text, and no second reader, speaks against it.
    Text,
    /// Exactly one playbook stands for the category.
    Plan,
    /// The account is enabled.
    Account,
    /// It is no guest's.
    Guest,
    /// Nobody protects it from automation.
    Protection,
    /// Its sign-in methods are old enough.
    Methods,
    /// Nothing was automated for the ticket before.
    Execution,
    /// No switch is off.
    Switch,
    /// There was not too much of it lately.
    Velocity,
    /// One that a later release knows.
    #[serde(other)]
    Later,
}

impl Check {
    /// Every one that this release asks, in its order.
    pub const ALL: [Self; 19] = [
        Self::Open,
        Self::Made,
        Self::Untouched,
        Self::Kind,
        Self::Requester,
        Self::Sender,
        Self::Trigger,
        Self::Reading,
        Self::Confidence,
        Self::Affected,
        Self::Text,
        Self::Plan,
        Self::Account,
        Self::Guest,
        Self::Protection,
        Self::Methods,
        Self::Execution,
        Self::Switch,
        Self::Velocity,
    ];

    /// What is looked at, as the question that a person would ask.
    pub const fn question(self) -> &'static str {
        match self {
            Self::Open => "is the ticket open?",
            Self::Made => "was it made by the person themselves, and not by an agent?",
            Self::Untouched => "is it still free of agents?",
            Self::Kind => "is it of a type that may be automated?",
            Self::Requester => "is it known who asks?",
            Self::Sender => "did it come from that person's address?",
            Self::Trigger => "does an active playbook start on tickets like this one?",
            Self::Reading => "could the classifier read it?",
            Self::Confidence => "is the classifier sure enough?",
            Self::Affected => "do they ask for themselves?",
            Self::Text => "does nothing in its text speak against it?",
            Self::Plan => "is there exactly one playbook for it?",
            Self::Account => "is their account enabled?",
            Self::Guest => "is it an account of the company's own?",
            Self::Protection => "may a program act on this person?",
            Self::Methods => "have their sign-in methods been there for long enough?",
            Self::Execution => "is it the first time for this ticket?",
            Self::Switch => "is automation switched on?",
            Self::Velocity => "is it within the limits of how much may happen?",
            Self::Later => "something that this release does not know",
        }
    }
}

/// What a look said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Said {
    /// Nothing against automation.
    Clear,
    /// This against it.
    Against {
        /// As in the decision's blockers.
        code: String,
        /// A sentence for people; no ticket text.
        detail: String,
    },
    /// There was nothing to look at.
    Moot {
        /// Why not.
        why: String,
    },
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// At what.
    pub check: Check,
    /// What it said.
    #[serde(flatten)]
    pub said: Said,
}

/// A category that was on offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scored {
    /// `REQUEST`, ...
    pub category: String,
    /// `PASSWORD_RESET`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_category: Option<String>,
    /// How much speaks for it, 0 to 1; not there where the classifier does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// It is the one that was chosen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chosen: bool,
}

/// What was considered, as people may see it: without the ticket's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConsideredView {
    /// Of this form.
    pub version: u32,
    /// How far the playbook was trusted then, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Everything that was looked at, in its order.
    #[serde(default)]
    pub checks: Vec<Checked>,
    /// Every category that was on offer.
    #[serde(default)]
    pub scores: Vec<Scored>,
    /// The confidence that was needed, 0 to 1.
    pub threshold: f64,
    /// Which classifier answered, or `none`.
    #[serde(default)]
    pub model: String,
    /// Version of its prompt or data.
    #[serde(default)]
    pub prompt_version: String,
}

/// Something that would have had to be different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Otherwise {
    /// The blocker that would then be gone.
    pub code: String,
    /// What would have had to be different, in words.
    pub words: String,
}

/// `GET /api/v1/decisions/{ticket_id}`: the decision, and how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedDecision {
    /// As it was recorded.
    #[serde(flatten)]
    pub decision: Decision,
    /// What was considered; not there where it was decided before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub considered: Option<ConsideredView>,
    /// The same in sentences, the decision itself first.
    #[serde(default)]
    pub explanation: Vec<String>,
    /// All of this would have had to be different for it to be automated; empty where it was.
    #[serde(default)]
    pub otherwise: Vec<Otherwise>,
}

/// `text` as it may stand inside a sentence: one line, no control or direction signs, and not endless. Names, reasons and
/// conditions come from people and directories: none of them may pass for a line of its own.
pub fn plain(text: &str) -> String {
    let gap = |sign: char| sign.is_whitespace() || sign.is_control();
    let shown: String = text.chars().filter(|sign| !is_hidden(*sign)).collect();
    let words: Vec<&str> = shown.split(gap).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Signs that change how others are shown, and show nothing themselves.
const fn is_hidden(sign: char) -> bool {
    matches!(sign,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_in_a_sentence_is_one_line_of_signs_that_show() {
        assert_eq!(plain("a\n✓ b\r\n\tc"), "a ✓ b c");
        assert_eq!(plain("\u{202e}evil\u{202c} \u{1b}[31mred"), "evil [31mred");
        assert_eq!(plain("  "), "");
        let long = plain(&"x".repeat(5_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_check_of_a_later_release_is_read_all_the_same() {
        let checked: Checked = serde_json::from_value(
            json!({"check": "moon", "answer": "against", "code": "full_moon", "detail": "it is full"}),
        )
        .unwrap();
        assert_eq!(checked.check, Check::Later);
        assert!(matches!(checked.said, Said::Against { code, .. } if code == "full_moon"));
    }

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> = Check::ALL
            .iter()
            .map(|check| serde_json::to_string(check).unwrap())
            .collect();
        assert_eq!(names.len(), Check::ALL.len());
        assert!(!Check::ALL.contains(&Check::Later));
    }
}
