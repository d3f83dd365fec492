//! For each blocker, what would have had to be different, in words.

use common::explain::{Check, ConsideredView};
use common::{Blocker, Decision};

use super::{category, stopless, told_apart};

/// What would have had to be different for `blocker` to be gone. A blocker that nobody here knows is told by its own words.
pub(super) fn words(
    check: Option<Check>,
    blocker: &Blocker,
    decision: &Decision,
    considered: Option<&ConsideredView>,
) -> String {
    let detail = || stopless(&blocker.detail);
    match blocker.code.as_str() {
        "below_threshold" => confident(decision, considered),
        "no_active_playbook" if check == Some(Check::Trigger) => {
            "a playbook would have to be active".to_owned()
        }
        "several_playbooks" => one_playbook(considered),
        "trigger_not_met" => format!("what the playbooks start on would have to hold ({})", detail()),
        "switched_off" => format!("automation would have to be switched on ({})", detail()),
        "method_changed" => format!(
            "the requester's sign-in methods would have to be older, or confirmed by a person ({})",
            detail()
        ),
        code => match of_code(code) {
            Some(words) => words.to_owned(),
            None if code.starts_with("protected_") => {
                format!("nothing may protect the requester from automation ({})", detail())
            }
            None if code.starts_with("velocity_") => {
                format!(
                    "there would have to be less of it in the same time ({})",
                    detail()
                )
            }
            None => format!("this would have to be gone: {}", detail()),
        },
    }
}

/// Of blockers that always mean the same.
fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "ticket_over" => "the ticket would have to be open",
        "made_by_agent" => "the person would have to write to the help desk themselves",
        "touched_by_agent" => "no agent may have taken the ticket up",
        "ticket_unreadable" => "the help desk would have to show us the ticket's history and its user",
        "ticket_type_not_admitted" => "the ticket would have to be of a type that may be automated",
        "no_requester" => "the help desk would have to link the ticket to a person",
        "requester_not_active" => "the help desk's user would have to be active, and a person",
        "requester_without_address" => "the help desk would have to know the requester's e-mail address",
        "requester_not_in_directory" => {
            "somebody in the directory would have to have the requester's address"
        }
        "requester_ambiguous" => "exactly one account would have to be the requester's",
        "directory_unavailable" => "the directory would have had to answer in time",
        "sender_unverified" => {
            "the ticket would have had to come from the requester's own address, or an alias that the directory has for them"
        }
        "playbooks_unavailable" => "the playbook service would have had to answer in time",
        "trigger_unreadable" => "the playbook's trigger would have to be one that can be read",
        "no_active_playbook" => {
            "a playbook for what the ticket asks would have to be active and start on tickets like this one"
        }
        "classifier_declined" => "the classifier would have had to answer this ticket",
        "classifier_unavailable" => "the classifier would have had to answer in time",
        "about_somebody_else" => "the person whom it is for would have to ask themselves",
        "about_unclear" => "it would have to be clear that the request is for the one who asks",
        "text_objection" => "the ticket would have to be written without what speaks against it",
        "second_reader" => "the two classifiers would have to read the ticket alike",
        "account_disabled" => "the requester's account would have to be enabled",
        "guest_account" => "the requester's account would have to be the company's own, and no guest's",
        "execution_open" => "no execution for the ticket may be under way",
        "already_automated" => "nothing may have been automated for the ticket before",
        "shadow_mode" => "the playbook would have to be active in mode `suggest` or `auto`",
        "awaits_agent" => {
            "an agent would have to approve it, or the playbook would have to be active in mode `auto`"
        }
        "executions_unavailable" => "the orchestration service would have had to answer in time",
        _ => return None,
    })
}

fn confident(decision: &Decision, considered: Option<&ConsideredView>) -> String {
    let Some(considered) = considered else {
        let confidence = decision.confidence;
        return format!("the confidence would have had to reach the threshold (it was {confidence:.2})");
    };
    let (confidence, threshold) = told_apart(decision.confidence, considered.threshold);
    format!("the confidence would have had to be at least {threshold} (it was {confidence})")
}

fn one_playbook(considered: Option<&ConsideredView>) -> String {
    let chosen = considered.and_then(|considered| considered.scores.iter().find(|scored| scored.chosen));
    let of = chosen.map_or("the category".to_owned(), |scored| {
        category(&scored.category, scored.sub_category.as_deref())
    });
    format!("only one of the active playbooks for {of} may start on the ticket")
}
