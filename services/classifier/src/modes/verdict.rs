//! What shows whether the gate was right about a ticket: one small function for each sign. A sign that could mean either
//! is unclear, and an unclear one counts nowhere.

use std::collections::BTreeSet;

use common::modes::Verdict;

/// By what a verdict came. A later word of the same source replaces the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An operator looked and said so.
    Operator,
    /// An agent had a suggestion carried out.
    Approval,
    /// People worked on the ticket and closed it.
    ClosedTicket,
}

impl Source {
    /// As the database writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Approval => "approval",
            Self::ClosedTicket => "closed_ticket",
        }
    }
}

/// A verdict and the sign that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// What it says.
    pub verdict: Verdict,
    /// Which sign, for people.
    pub reason: &'static str,
}

const fn sign(verdict: Verdict, reason: &'static str) -> Sign {
    Sign { verdict, reason }
}

/// An operator's word.
pub fn of_operator(right: bool) -> Verdict {
    if right {
        Verdict::Agreed
    } else {
        Verdict::Disagreed
    }
}

/// An agent who has it done agrees with it. Who it was is the approver's to say.
pub const fn of_approval() -> Verdict {
    Verdict::Agreed
}

/// Who carried out what the ticket asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoneBy {
    /// A person.
    People,
    /// We did: that the ticket fits what we did says nothing, for it was we who left it so.
    Firstline,
}

/// A closed ticket as people left it.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// Deleted, or merged into another.
    pub gone: bool,
    /// The name of its status.
    pub status: Option<&'a str>,
    /// The help desk's category.
    pub category: Option<&'a str>,
    /// Whether the closing note reads as the same kind of ticket, where there is one.
    pub note_is_alike: Option<bool>,
}

/// What the playbook stands for.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'a> {
    /// `REQUEST`, ...
    pub category: &'a str,
    /// `PASSWORD_RESET`, ...
    pub sub_category: Option<&'a str>,
}

/// The signs of a closed ticket, the stronger first.
pub fn of_closed(left: Left<'_>, kind: Kind<'_>, done_by: DoneBy) -> Sign {
    let sign = of_ending(left)
        .or_else(|| of_category(left.category, kind))
        .unwrap_or_else(|| of_note(left.note_is_alike));
    match (sign.verdict, done_by) {
        (Verdict::Agreed, DoneBy::Firstline) => Sign {
            verdict: Verdict::Unclear,
            reason: "the ticket is as the automation left it",
        },
        _ => sign,
    }
}

/// Whether neither the ending nor the category says anything, so that a note is worth reading.
pub fn says_nothing(left: Left<'_>, kind: Kind<'_>) -> bool {
    of_ending(left)
        .or_else(|| of_category(left.category, kind))
        .is_none()
}

/// Words by which help desks name the end of a ticket on which nobody worked.
const UNWORKED: [&str; 9] = [
    "cancelled",
    "canceled",
    "duplicate",
    "merged",
    "deleted",
    "withdrawn",
    "spam",
    "rejected",
    "abandoned",
];

/// A ticket on which nobody worked says nothing.
fn of_ending(left: Left<'_>) -> Option<Sign> {
    if left.gone {
        return Some(sign(Verdict::Unclear, "the ticket was deleted or merged"));
    }
    let words = folded(left.status?);
    let unworked = UNWORKED.iter().any(|word| words.contains(*word));
    unworked.then_some(sign(Verdict::Unclear, "the ticket was cancelled"))
}

/// Words that stand in categories of whatever kind.
const EMPTY_WORDS: [&str; 13] = [
    "request",
    "requests",
    "incident",
    "incidents",
    "service",
    "it",
    "support",
    "general",
    "other",
    "misc",
    "and",
    "the",
    "of",
];

/// The category that people gave it. Nothing where they gave it none that means anything.
fn of_category(category: Option<&str>, kind: Kind<'_>) -> Option<Sign> {
    let mut given = folded(category?);
    given.retain(|word| !EMPTY_WORDS.contains(&word.as_str()));
    if given.is_empty() {
        return None;
    }
    let meant = folded(kind.sub_category.unwrap_or(kind.category));
    Some(if meant.is_subset(&given) {
        sign(
            Verdict::Agreed,
            "people closed the ticket in the playbook's category",
        )
    } else if meant.is_disjoint(&given) {
        sign(Verdict::Disagreed, "people closed the ticket in another category")
    } else {
        sign(
            Verdict::Unclear,
            "people closed the ticket in a category that is near the playbook's",
        )
    })
}

/// What the closing note sounds like is a weak sign: it may confirm, and never contradict.
fn of_note(is_alike: Option<bool>) -> Sign {
    match is_alike {
        Some(true) => sign(
            Verdict::Agreed,
            "the closing note reads as the playbook's kind of ticket",
        ),
        Some(false) => sign(
            Verdict::Unclear,
            "the closing note reads as another kind of ticket",
        ),
        None => sign(Verdict::Unclear, "the ticket says nothing about what it was"),
    }
}

/// Words in lower case, whatever stands between them.
fn folded(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESET: Kind<'_> = Kind {
        category: "REQUEST",
        sub_category: Some("PASSWORD_RESET"),
    };

    const CLOSED: Left<'_> = Left {
        gone: false,
        status: Some("Closed"),
        category: None,
        note_is_alike: None,
    };

    fn categorised(category: &str) -> Verdict {
        let left = Left {
            category: Some(category),
            ..CLOSED
        };
        of_closed(left, RESET, DoneBy::People).verdict
    }

    #[test]
    fn the_category_is_compared_by_its_words() {
        assert_eq!(categorised("Password Reset"), Verdict::Agreed);
        assert_eq!(categorised("Accounts>Password - reset"), Verdict::Agreed);
        assert_eq!(categorised("password_reset"), Verdict::Agreed);
        assert_eq!(categorised("Hardware>Printer"), Verdict::Disagreed);
        assert_eq!(categorised("Password Expiry"), Verdict::Unclear);
    }

    #[test]
    fn a_category_that_means_nothing_leaves_it_to_the_note() {
        for (alike, expected) in [
            (Some(true), Verdict::Agreed),
            (Some(false), Verdict::Unclear),
            (None, Verdict::Unclear),
        ] {
            for category in [None, Some("General request"), Some("Other"), Some(" > ")] {
                let left = Left {
                    category,
                    note_is_alike: alike,
                    ..CLOSED
                };
                assert_eq!(
                    of_closed(left, RESET, DoneBy::People).verdict,
                    expected,
                    "{category:?}"
                );
            }
        }
    }

    #[test]
    fn a_note_does_not_contradict_a_category() {
        let left = Left {
            category: Some("Hardware>Printer"),
            note_is_alike: Some(true),
            ..CLOSED
        };
        assert_eq!(of_closed(left, RESET, DoneBy::People).verdict, Verdict::Disagreed);
    }

    #[test]
    fn what_nobody_worked_on_says_nothing() {
        let right = Some("Password Reset");
        for left in [
            Left {
                gone: true,
                category: right,
                ..CLOSED
            },
            Left {
                status: Some("Cancelled by user"),
                category: right,
                ..CLOSED
            },
            Left {
                status: Some("Closed - Duplicate"),
                category: Some("Printer"),
                ..CLOSED
            },
        ] {
            assert_eq!(
                of_closed(left, RESET, DoneBy::People).verdict,
                Verdict::Unclear,
                "{left:?}"
            );
        }
    }

    #[test]
    fn our_own_work_does_not_confirm_itself_and_may_be_contradicted() {
        let as_we_left_it = Left {
            category: Some("Password Reset"),
            ..CLOSED
        };
        assert_eq!(
            of_closed(as_we_left_it, RESET, DoneBy::Firstline).verdict,
            Verdict::Unclear
        );
        let corrected = Left {
            category: Some("Hardware>Printer"),
            ..CLOSED
        };
        assert_eq!(
            of_closed(corrected, RESET, DoneBy::Firstline).verdict,
            Verdict::Disagreed
        );
    }

    #[test]
    fn a_playbook_without_a_sub_category_is_known_by_its_category() {
        let kind = Kind {
            category: "ONBOARDING",
            sub_category: None,
        };
        let left = Left {
            category: Some("HR>Onboarding"),
            ..CLOSED
        };
        assert_eq!(of_closed(left, kind, DoneBy::People).verdict, Verdict::Agreed);
    }

    #[test]
    fn an_agent_who_approves_agrees_and_an_operator_may_say_either() {
        assert_eq!(of_approval(), Verdict::Agreed);
        assert_eq!(of_operator(true), Verdict::Agreed);
        assert_eq!(of_operator(false), Verdict::Disagreed);
    }
}
