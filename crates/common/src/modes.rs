//! Contracts of earned automation: in which mode a playbook is active, what people said about the gate's decisions, and
//! the report on both.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{PlaybookName, PlaybookVersion};
use crate::operate::Reason;

/// What becomes of a ticket that an active playbook could answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It stays with a person; what would have been done is on record.
    Shadow,
    /// It stays with a person, who is offered to have it done.
    Suggest,
    /// It is done.
    Auto,
}

impl Mode {
    /// All of them, from the most careful on.
    pub const ALL: [Self; 3] = [Self::Shadow, Self::Suggest, Self::Auto];

    /// As the wire, the database and the settings write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Suggest => "suggest",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a mode is `shadow`, `suggest` or `auto`")]
pub struct InvalidMode;

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(word: &str) -> Result<Self, InvalidMode> {
        let same = |mode: &Self| mode.as_str() == word;
        Self::ALL.into_iter().find(same).ok_or(InvalidMode)
    }
}

/// The lower bound of precision that a playbook must have shown before it acts by itself.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, utoipa::ToSchema)]
#[schema(value_type = f64, minimum = 0.5, maximum = 0.999)]
pub struct Bar(f64);

/// The number is no bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a bar is a number from {} to {}", Bar::LOWEST, Bar::HIGHEST)]
pub struct InvalidBar;

/// A bar is a number.
impl Eq for Bar {}

impl Bar {
    /// Below it, chance would do.
    pub const LOWEST: f64 = 0.5;
    /// Beyond it takes more judged tickets than a help desk has in years: three thousand without an error.
    pub const HIGHEST: f64 = 0.999;

    /// The share.
    pub const fn share(self) -> f64 {
        self.0
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self(0.95)
    }
}

impl TryFrom<f64> for Bar {
    type Error = InvalidBar;

    fn try_from(share: f64) -> Result<Self, InvalidBar> {
        if (Self::LOWEST..=Self::HIGHEST).contains(&share) {
            Ok(Self(share))
        } else {
            Err(InvalidBar)
        }
    }
}

impl FromStr for Bar {
    type Err = InvalidBar;

    fn from_str(text: &str) -> Result<Self, InvalidBar> {
        text.trim().parse::<f64>().map_err(|_| InvalidBar)?.try_into()
    }
}

impl<'de> Deserialize<'de> for Bar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?
            .try_into()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a version was made the active one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Activation {
    /// This activation: what was lost under it comes back with another one only.
    pub id: Uuid,
    /// The mode that was asked for; `DEFAULT_MODE` of the classifier where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What it takes to act by itself.
    #[serde(default)]
    pub bar: Bar,
    /// Why an admin lets it act without having shown that; then nothing takes it away by itself either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<String>,
}

/// How far a playbook is from what it takes to act by itself: `GET /api/v1/gate/standing/{playbook}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Standing {
    /// Which.
    pub playbook: PlaybookName,
    /// The newest decisions in its favour that somebody judged.
    pub judged: u64,
    /// Of these, the right ones.
    pub agreed: u64,
    /// The share of right ones; none of nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Exact one-sided lower bound of the precision, at 95 %.
    pub lower_bound: f64,
    /// What the bound is held against.
    pub bar: Bar,
    /// So many more tickets, all right, and the bound reaches the bar; 0: it does.
    pub needed: u64,
}

impl Standing {
    /// It may act by itself.
    pub fn is_earned(&self) -> bool {
        self.lower_bound >= self.bar.share()
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            judged,
            agreed,
            lower_bound,
            bar,
            needed,
            ..
        } = self;
        if *judged == 0 {
            write!(f, "nobody has judged a decision yet")?;
        } else {
            let precision = self.precision.unwrap_or_default();
            write!(
                f,
                "{agreed} of {judged} judged decisions were right (precision {precision:.3}, at least {lower_bound:.3} \
                 with 95 % confidence)"
            )?;
        }
        write!(f, "; the bar is {bar}")?;
        match needed {
            0 => Ok(()),
            1 => write!(f, ", and 1 more right one is needed"),
            more => write!(f, ", and {more} more, all right, are needed"),
        }
    }
}

/// `PUT /api/v1/decisions/{ticket_id}/review`: an operator's word on what the gate made of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewDecision {
    /// Whether the playbook was the right answer to the ticket.
    pub right: bool,
    /// Why.
    pub reason: Reason,
}

/// What is said of a decision.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The playbook was the right answer.
    Agreed,
    /// It was not.
    Disagreed,
    /// Nobody can tell.
    Unclear,
}

impl Verdict {
    /// As the wire and the database write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Disagreed => "disagreed",
            Self::Unclear => "unclear",
        }
    }
}

/// A review, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reviewed {
    /// The playbook that the decision named.
    pub playbook: PlaybookName,
    /// What the operator said.
    pub verdict: Verdict,
}

/// `GET /api/v1/gate/report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GateReport {
    /// Decisions from here on.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Up to here.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// All decisions.
    pub seen: u64,
    /// Those that no active playbook fitted.
    pub without_playbook: u64,
    /// Why those were left to people, the most frequent reason first.
    #[serde(default)]
    pub manual_without_playbook: Vec<ManualReason>,
    /// By name.
    pub playbooks: Vec<PlaybookReport>,
}

/// How the gate does with one playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlaybookReport {
    /// Which.
    pub playbook: PlaybookName,
    /// Its mode; none while no version is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveMode>,
    /// Decisions that named it.
    pub seen: u64,
    /// Of these, those against which nothing spoke but perhaps its mode.
    pub would_automate: u64,
    /// Of these, those that were carried out.
    pub automated: u64,
    /// Of those that would have been automated: what people said of them.
    pub judgement: Judgement,
    /// The share of `seen` that would be automated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Why tickets were left to people, the most frequent reason first.
    pub manual: Vec<ManualReason>,
    /// Ten bins of confidence from 0 to 1.
    pub calibration: Vec<CalibrationBin>,
    /// Day by day (UTC), days without a decision left out.
    pub trend: Vec<ReportDay>,
}

/// In which mode a playbook is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ActiveMode {
    /// The active version.
    pub version: PlaybookVersion,
    /// The mode that was asked for.
    pub asked: Mode,
    /// The mode that counts.
    pub effective: Mode,
    /// What it takes to act by itself.
    pub bar: Bar,
    /// An admin lets it act without having shown that.
    pub overridden: bool,
    /// Why it does not act by itself any more, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fell_back: Option<FellBack>,
}

/// Automation that was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FellBack {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Why, with the numbers.
    pub reason: String,
}

/// What people said of decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Judgement {
    /// Right.
    pub agreed: u64,
    /// Wrong.
    pub disagreed: u64,
    /// Looked at, and nobody can tell.
    pub unclear: u64,
    /// The share of right ones among those that were right or wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Its exact one-sided lower bound, at 95 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_bound: Option<f64>,
    /// Its exact one-sided upper bound, at 95 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_bound: Option<f64>,
}

/// One reason why tickets were left to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ManualReason {
    /// The blocker's code.
    pub code: String,
    /// How many decisions have it.
    pub count: u64,
}

/// What became of decisions of one confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CalibrationBin {
    /// From this confidence on.
    pub from: f64,
    /// Below this one; 1 belongs to the last.
    pub to: f64,
    /// Decisions in it that somebody judged.
    pub judged: u64,
    /// Of these, the right ones.
    pub agreed: u64,
    /// Their mean confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_confidence: Option<f64>,
}

/// One day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReportDay {
    /// `2026-11-28`.
    pub day: String,
    /// Decisions that named the playbook.
    pub seen: u64,
    /// Of these, those that would be automated.
    pub would_automate: u64,
    /// Of these, those that somebody judged right or wrong.
    pub judged: u64,
    /// Of these, the right ones.
    pub agreed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        assert_eq!("AUTO".parse::<Mode>(), Err(InvalidMode));
    }

    #[test]
    fn what_cannot_be_reached_or_says_nothing_is_no_bar() {
        assert_eq!(Bar::try_from(0.97).unwrap().to_string(), "0.97");
        for no_bar in [0.0, 0.49, 1.0, 95.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Bar::try_from(no_bar), Err(InvalidBar), "{no_bar}");
        }
        assert!(serde_json::from_str::<Bar>("1.5").is_err());
        assert_eq!(serde_json::to_string(&Bar::default()).unwrap(), "0.95");
    }

    #[test]
    fn a_standing_says_its_numbers() {
        let standing = Standing {
            playbook: "password_reset".parse().unwrap(),
            judged: 58,
            agreed: 58,
            precision: Some(1.0),
            lower_bound: 0.9497,
            bar: Bar::default(),
            needed: 1,
        };
        assert_eq!(
            standing.to_string(),
            "58 of 58 judged decisions were right (precision 1.000, at least 0.950 with 95 % confidence); the bar is \
             0.95, and 1 more right one is needed"
        );
        let none = Standing {
            judged: 0,
            agreed: 0,
            precision: None,
            lower_bound: 0.0,
            needed: 59,
            ..standing
        };
        assert_eq!(
            none.to_string(),
            "nobody has judged a decision yet; the bar is 0.95, and 59 more, all right, are needed"
        );
    }
}
