//! The blockers: what stands against automating a ticket whose text was worth reading.

use chassis::switches::SWITCHED_OFF;

use super::Answer;
use crate::classify::{About, Classification};
use crate::explain::told_apart;
use crate::facts::{Execution, Known, NotAsked, Objection, Plan, Reading, Requester};

/// Of checks that look at a person's account.
pub(super) const NOBODY: &str = "it is not known who asks";
const RULED: &str = "a rule leaves the ticket to a person whatever it says, so the classifier was not asked";
const NOTHING_OFFERED: &str =
    "no active playbook takes tickets like this one, so the classifier was not asked";
const TOO_EARLY: &str = "something that comes first could not be read, so the classifier was not asked";
const UNREAD: &str = "the classifier gave no answer";
const NO_CATEGORY: &str = "the classifier found no category that a playbook covers";
const NOT_SOUGHT: &str = "there is no category to look for";
const SWITCHED: &str = "automation is switched off";
/// Of checks that are asked only while an automated decision is being recorded.
pub(crate) const NOT_RECORDED: &str = "it is asked only where the ticket is about to be automated";

fn of_known(requester: &Requester, check: impl FnOnce(&Known) -> Answer) -> Answer {
    match requester {
        Requester::Known(known) => check(known),
        _ => Answer::Moot(NOBODY),
    }
}

/// A disabled account was disabled for a reason.
pub fn account(requester: &Requester) -> Answer {
    of_known(requester, |known| {
        if known.person.account_enabled {
            Answer::Clear
        } else {
            Answer::against("account_disabled", "the requester's account is disabled")
        }
    })
}

/// A guest's password is not ours to reset.
pub fn guest(requester: &Requester) -> Answer {
    of_known(requester, |known| {
        if known.person.guest {
            Answer::against("guest_account", "the requester is a guest of the directory")
        } else {
            Answer::Clear
        }
    })
}

/// Administrators, break-glass accounts and VIPs are for people.
pub fn protection(requester: &Requester) -> Answer {
    of_known(requester, |known| match &known.protection {
        None => Answer::Clear,
        Some(why) => Answer::against(
            why.code(),
            &format!("the requester is protected from automation: {why}"),
        ),
    })
}

/// A phone that came a few days ago may be an attacker's.
pub fn methods(requester: &Requester) -> Answer {
    of_known(requester, |known| match &known.changed {
        None => Answer::Clear,
        Some(change) => Answer::against(
            "method_changed",
            &format!("the requester has {change}; confirm in another way that it is theirs"),
        ),
    })
}

/// There is a reading at all.
pub fn reading(reading: &Reading) -> Answer {
    match reading {
        Reading::Read(_) => Answer::Clear,
        Reading::Declined => Answer::against(
            "classifier_declined",
            "the classifier does not answer this ticket",
        ),
        Reading::Unread => Answer::against(
            "classifier_unavailable",
            "the classifier gave no usable answer in time",
        ),
        Reading::NotAsked(why) => Answer::Moot(not_asked(*why)),
    }
}

const fn not_asked(why: NotAsked) -> &'static str {
    match why {
        NotAsked::Ruled => RULED,
        NotAsked::NothingOffered => NOTHING_OFFERED,
        NotAsked::Unread => TOO_EARLY,
    }
}

fn of_read(reading: &Reading, check: impl FnOnce(&Classification) -> Answer) -> Answer {
    match reading {
        Reading::Read(classification) => check(classification),
        Reading::Declined | Reading::Unread => Answer::Moot(UNREAD),
        Reading::NotAsked(why) => Answer::Moot(not_asked(*why)),
    }
}

/// The category is certain enough. That no category fits is the plan's affair.
pub fn confidence(reading: &Reading, threshold: f64) -> Answer {
    of_read(reading, |classification| {
        if classification.choice.is_none() {
            return Answer::Moot(NO_CATEGORY);
        }
        // `>=` is false for what is no number: silence is a no.
        if classification.confidence >= threshold {
            return Answer::Clear;
        }
        let (confidence, threshold) = told_apart(classification.confidence, threshold);
        let detail = format!("the confidence {confidence} is below {threshold}");
        Answer::against("below_threshold", &detail)
    })
}

/// The request is for the one who asks.
pub fn affected(reading: &Reading) -> Answer {
    of_read(reading, |classification| {
        match (classification.choice, classification.about) {
            (None, _) => Answer::Moot(NO_CATEGORY),
            (Some(_), About::Requester) => Answer::Clear,
            (Some(_), About::SomebodyElse) => {
                Answer::against("about_somebody_else", "the request is for somebody else")
            }
            (Some(_), About::Unclear) => {
                Answer::against("about_unclear", "it is not clear whom the request is for")
            }
        }
    })
}

/// No turn of phrase, nothing hidden and no second reader speaks against it. However sure a classifier is, that stands.
pub fn text(reading: &Reading) -> Answer {
    of_read(reading, |classification| {
        match (classification.choice, &classification.refusal) {
            (None, _) => Answer::Moot(NO_CATEGORY),
            (Some(_), None) => Answer::Clear,
            (Some(_), Some(refusal)) => Answer::against(refusal.code(), &refusal.to_string()),
        }
    })
}

/// Exactly one active playbook stands for the category.
pub fn plan(plan: &Plan) -> Answer {
    match plan {
        Plan::Fits(_) => Answer::Clear,
        Plan::Several => Answer::against(
            "several_playbooks",
            "more than one active playbook stands for the category",
        ),
        Plan::Nothing => Answer::against("no_active_playbook", "no active playbook covers the ticket"),
        Plan::NotSought => Answer::Moot(NOT_SOUGHT),
    }
}

/// Nobody has automated this ticket yet.
pub fn execution(execution: Execution) -> Answer {
    match execution {
        Execution::None => Answer::Clear,
        Execution::Open => Answer::against("execution_open", "an execution for the ticket is under way"),
        Execution::Ended => Answer::against(
            "already_automated",
            "an execution for the ticket has already ended",
        ),
        Execution::Unread => {
            Answer::against("executions_unavailable", "executions could not be read in time")
        }
    }
}

/// Nothing is switched off. Asked last, while the decision is being recorded.
pub fn switch(objection: Option<&Objection>) -> Answer {
    match objection {
        None | Some(Objection::Limit(_)) => Answer::Clear,
        Some(Objection::SwitchedOff(off)) => Answer::against(SWITCHED_OFF, &off.to_string()),
    }
}

/// There was not too much of it lately. Asked last, while the decision is being recorded, and where nothing is switched off.
pub fn velocity(objection: Option<&Objection>) -> Answer {
    match objection {
        None => Answer::Clear,
        Some(Objection::SwitchedOff(_)) => Answer::Moot(SWITCHED),
        Some(Objection::Limit(exceeded)) => Answer::against(exceeded.code(), &exceeded.to_string()),
    }
}
