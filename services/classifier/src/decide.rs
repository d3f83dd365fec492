//! The gate's decision: every check is a small function from facts to an answer, and silence is a no.

use chassis::switches::SWITCHED_OFF;
use common::Blocker;

use crate::classify::{About, Classification};
use crate::facts::{Circumstances, Desk, Execution, Facts, Known, Objection, Plan, Reading, Requester};

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing against automation.
    Clear,
    /// This against it.
    Against(Blocker),
    /// Another check has the reason why this one has nothing to look at.
    Moot,
}

impl Answer {
    fn against(code: &str, detail: &str) -> Self {
        Self::Against(Blocker {
            code: code.to_owned(),
            detail: detail.to_owned(),
        })
    }
}

/// The answers of all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// [`open`].
    pub open: Answer,
    /// [`untouched`].
    pub untouched: Answer,
    /// [`requester`].
    pub requester: Answer,
    /// [`account`].
    pub account: Answer,
    /// [`guest`].
    pub guest: Answer,
    /// [`protection`].
    pub protection: Answer,
    /// [`methods`].
    pub methods: Answer,
    /// [`reading`].
    pub reading: Answer,
    /// [`confidence`].
    pub confidence: Answer,
    /// [`affected`].
    pub affected: Answer,
    /// [`plan`].
    pub plan: Answer,
    /// [`trigger`].
    pub trigger: Answer,
    /// [`execution`].
    pub execution: Answer,
    /// [`tripwire`].
    pub tripwire: Answer,
}

/// The verdict and every reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Automate,
    /// At least one thing does.
    Manual {
        /// All of them; never empty.
        against: Vec<Blocker>,
    },
}

/// Ask every check. `threshold`: confidence from which a category is believed; `objection`: what recording it ran into.
pub fn weigh(facts: &Facts, threshold: f64, objection: Option<&Objection>) -> Answers {
    Answers {
        open: open(facts.desk),
        untouched: untouched(facts.desk),
        requester: requester(&facts.requester),
        account: account(&facts.requester),
        guest: guest(&facts.requester),
        protection: protection(&facts.requester),
        methods: methods(&facts.requester),
        reading: reading(&facts.reading),
        confidence: confidence(&facts.reading, threshold),
        affected: affected(&facts.reading),
        plan: plan(&facts.plan),
        trigger: trigger(&facts.plan, &facts.circumstances),
        execution: execution(facts.execution),
        tripwire: tripwire(objection),
    }
}

/// The verdict. A moot answer counts for nothing; where no check is clear, that is a no as well.
pub fn decide(answers: Answers) -> Verdict {
    // Destructured on purpose: a new check does not compile until it is weighed here.
    let Answers {
        open,
        untouched,
        requester,
        account,
        guest,
        protection,
        methods,
        reading,
        confidence,
        affected,
        plan,
        trigger,
        execution,
        tripwire,
    } = answers;
    let all = [
        open, untouched, requester, account, guest, protection, methods, reading, confidence, affected, plan,
        trigger, execution, tripwire,
    ];
    let unanswered = all.contains(&Answer::Moot);
    let mut against: Vec<Blocker> = all
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Against(blocker) => Some(blocker),
            Answer::Clear | Answer::Moot => None,
        })
        .collect();
    if against.is_empty() && unanswered {
        against.push(Blocker {
            code: "check_unanswered".to_owned(),
            detail: "a check had nothing to look at".to_owned(),
        });
    }
    if against.is_empty() {
        Verdict::Automate
    } else {
        Verdict::Manual { against }
    }
}

/// A ticket that is over needs nothing.
pub fn open(desk: Desk) -> Answer {
    if desk.over {
        Answer::against("ticket_over", "the ticket is closed, deleted or merged")
    } else {
        Answer::Clear
    }
}

/// Where an agent has begun, an agent goes on.
pub fn untouched(desk: Desk) -> Answer {
    if desk.touched {
        Answer::against("touched_by_agent", "an agent has already taken up the ticket")
    } else {
        Answer::Clear
    }
}

/// Exactly one account of a person stands behind the ticket.
pub fn requester(requester: &Requester) -> Answer {
    match requester {
        Requester::Known(_) => Answer::Clear,
        Requester::Nobody => {
            Answer::against("no_requester", "the help desk links no requester to the ticket")
        }
        Requester::NotAPerson => Answer::against(
            "requester_not_active",
            "the help desk's user is inactive or a machine's account",
        ),
        Requester::WithoutAddress => Answer::against(
            "requester_without_address",
            "the help desk knows no e-mail address of the requester",
        ),
        Requester::Stranger => Answer::against(
            "requester_not_in_directory",
            "the directory knows nobody with the requester's address",
        ),
        Requester::Ambiguous => Answer::against(
            "requester_ambiguous",
            "it is not certain which account is the requester's",
        ),
        Requester::Unread => {
            Answer::against("directory_unavailable", "the directory could not be read in time")
        }
    }
}

fn of_known(requester: &Requester, check: impl FnOnce(&Known) -> Answer) -> Answer {
    match requester {
        Requester::Known(known) => check(known),
        _ => Answer::Moot,
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
        Reading::NotAsked => Answer::Moot,
    }
}

fn of_read(reading: &Reading, check: impl FnOnce(&Classification) -> Answer) -> Answer {
    match reading {
        Reading::Read(classification) => check(classification),
        Reading::Declined | Reading::Unread | Reading::NotAsked => Answer::Moot,
    }
}

/// The category is certain enough. That no category fits is the plan's affair.
pub fn confidence(reading: &Reading, threshold: f64) -> Answer {
    of_read(reading, |classification| {
        // `>=` is false for what is no number: silence is a no.
        if classification.choice.is_none() || classification.confidence >= threshold {
            return Answer::Clear;
        }
        let detail = format!(
            "the confidence {:.2} is below {threshold:.2}",
            classification.confidence
        );
        Answer::against("below_threshold", &detail)
    })
}

/// The request is for the one who asks.
pub fn affected(reading: &Reading) -> Answer {
    of_read(reading, |classification| {
        match (classification.choice, classification.about) {
            (None, _) | (Some(_), About::Requester) => Answer::Clear,
            (Some(_), About::SomebodyElse) => {
                Answer::against("about_somebody_else", "the request is for somebody else")
            }
            (Some(_), About::Unclear) => {
                Answer::against("about_unclear", "it is not clear whom the request is for")
            }
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
        Plan::Unread => Answer::against("playbooks_unavailable", "the playbooks could not be read in time"),
        Plan::NotSought => Answer::Moot,
    }
}

/// The playbook is for tickets like this one. Where its trigger cannot be read, for none.
pub fn trigger(plan: &Plan, circumstances: &Circumstances) -> Answer {
    let Plan::Fits(offered) = plan else {
        // Which playbook it would be is the plan's affair.
        return match plan {
            Plan::NotSought => Answer::Moot,
            _ => Answer::Clear,
        };
    };
    let Some(trigger) = &offered.trigger else {
        return Answer::Clear;
    };
    let Circumstances { known, happened } = circumstances;
    let admitted: Result<Vec<bool>, String> = happened
        .iter()
        .map(|happened| playbook_lang::admits(trigger, known, *happened))
        .collect();
    match (admitted, playbook_lang::in_words(trigger)) {
        (Ok(admitted), Some(_)) if admitted.contains(&true) => Answer::Clear,
        (Ok(_), Some(words)) => {
            let detail = format!("the playbook starts only where {words}");
            Answer::against("trigger_not_met", &detail)
        }
        (Err(_), _) | (_, None) => {
            Answer::against("trigger_unreadable", "the playbook's trigger cannot be read")
        }
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

/// Nothing is switched off, and there was not too much of it. Asked last, while the decision is being recorded.
pub fn tripwire(objection: Option<&Objection>) -> Answer {
    match objection {
        None => Answer::Clear,
        Some(Objection::SwitchedOff(off)) => Answer::against(SWITCHED_OFF, &off.to_string()),
        Some(Objection::Limit(exceeded)) => Answer::against(exceeded.code(), &exceeded.to_string()),
    }
}

#[cfg(test)]
mod tests;
