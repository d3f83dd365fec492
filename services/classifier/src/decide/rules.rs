//! The rules: what is looked at before anybody reads the text. Where one says no, the classifier is not asked.

use super::Answer;
use crate::facts::{Admission, Candidate, Desk, Kind, Requester, Sender, Triggered};

/// Reasons of so many playbooks fit into a sentence.
const NAMED: usize = 3;

/// A ticket that is over needs nothing.
pub fn open(desk: Desk) -> Answer {
    if desk.over {
        Answer::against("ticket_over", "the ticket is closed, deleted or merged")
    } else {
        Answer::Clear
    }
}

/// What an agent writes down for somebody is the agent's: nobody has proven yet that this person asks.
pub fn made(desk: Desk) -> Answer {
    if desk.made_by_agent {
        Answer::against("made_by_agent", "an agent made the ticket")
    } else {
        Answer::Clear
    }
}

/// Where an agent has begun, an agent goes on. Whether one has is not known of what cannot be read.
pub fn untouched(desk: Desk) -> Answer {
    if desk.touched {
        Answer::against("touched_by_agent", "an agent has already taken up the ticket")
    } else if desk.unread {
        Answer::against(
            "ticket_unreadable",
            "the help desk does not show us the ticket's history, or its user",
        )
    } else {
        Answer::Clear
    }
}

/// Only tickets of the types that were admitted: a change or a problem is no request.
pub fn kind(desk: Desk) -> Answer {
    match desk.kind {
        Kind::Admitted => Answer::Clear,
        Kind::Other(Some(kind)) => {
            let detail = format!("tickets of type {kind} are not automated");
            Answer::against("ticket_type_not_admitted", &detail)
        }
        Kind::Other(None) => Answer::against(
            "ticket_type_not_admitted",
            "the ticket has no type, and only some types are automated",
        ),
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

/// The help desk links somebody, and the message came from elsewhere: whoever wrote it is not known.
pub fn sender(desk: Desk, requester: &Requester) -> Answer {
    match desk.sender {
        Sender::Unsaid if !matches!(requester, Requester::Known(_)) => Answer::Moot(super::blockers::NOBODY),
        Sender::Unsaid | Sender::Requester => Answer::Clear,
        Sender::Another => Answer::against(
            "sender_unverified",
            "the ticket came from an address that is not the requester's",
        ),
    }
}

/// At least one active playbook starts on tickets like this one. Where a trigger cannot be read, its playbook does not.
pub fn trigger(requester: &Requester, admission: &Admission) -> Answer {
    let candidates = match admission {
        Admission::Unread => {
            return Answer::against("playbooks_unavailable", "the playbooks could not be read in time");
        }
        Admission::Of(candidates) => candidates.as_slice(),
    };
    let said = |of: &Candidate| (of.offered.playbook.name.clone(), of.trigger.clone());
    match candidates {
        [] => Answer::against("no_active_playbook", "no playbook is active"),
        // Triggers look at the requester too; what they say of nobody means nothing.
        _ if !matches!(requester, Requester::Known(_)) => Answer::Moot(super::blockers::NOBODY),
        some if some.iter().any(|of| of.trigger == Triggered::Admits) => Answer::Clear,
        [only] => match said(only) {
            (_, Triggered::NotMet(words)) => Answer::against(
                "trigger_not_met",
                &format!("the playbook starts only where {words}"),
            ),
            (name, _) => Answer::against(
                "trigger_unreadable",
                &format!("the trigger of playbook {name} cannot be read"),
            ),
        },
        several => {
            let reasons = several.iter().take(NAMED).map(|of| match said(of) {
                (name, Triggered::NotMet(words)) => format!("{name} starts only where {words}"),
                (name, _) => format!("the trigger of {name} cannot be read"),
            });
            let reasons = reasons.collect::<Vec<_>>().join("; ");
            let more = match several.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let detail = format!("no active playbook starts on a ticket like this one: {reasons}{more}");
            let all_unreadable = several.iter().all(|of| of.trigger == Triggered::Unreadable);
            let code = if all_unreadable {
                "trigger_unreadable"
            } else {
                "trigger_not_met"
            };
            Answer::against(code, &detail)
        }
    }
}
