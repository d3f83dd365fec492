//! The kinds of ticket as categories that a classifier may choose from, with the examples that the gate would show it.

use classifier::classify::Category;
use classifier::embedded::examples::{self, ExamplesError};
use triage::Kind;

/// All that a ticket may be taken for, as if every playbook of this release were active. `OTHER` is no offer: it is what none of
/// them is. A playbook for a part of a kind gives that kind its examples.
pub(super) fn offered() -> Result<Vec<(Kind, Category)>, ExamplesError> {
    let examples = examples::shipped()?.tickets;
    let of = |kind: Kind| {
        let ours = examples.iter().filter(|example| example.kind == kind);
        ours.map(|example| example.body.clone()).collect()
    };
    Ok(Kind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, category(kind, description(kind)?, of(kind)))))
        .collect())
}

fn category(kind: Kind, description: &str, examples: Vec<String>) -> Category {
    Category {
        category: "REQUEST".to_owned(),
        sub_category: Some(kind.name().to_owned()),
        description: description.to_owned(),
        examples,
        privileged: kind.is_privileged(),
    }
}

/// What a model is told of a kind; playbooks say it of theirs.
const fn description(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::PasswordReset => "A forgotten, expired or refused password is to be replaced by a new one",
        Kind::AccountUnlock => {
            "An account that was locked after failed sign-ins is to be opened again; the password is known"
        }
        Kind::MfaReset => {
            "A second factor is to be registered anew: a new or lost phone, authenticator or token"
        }
        Kind::SoftwareInstall => {
            "Software or an operating system is to be installed, updated, licensed or removed"
        }
        Kind::AccessRequest => "Permission to a folder, a site, a system, a group or a role is asked for",
        Kind::VpnNetwork => "The network, the line, wireless or the VPN does not work, or a site is offline",
        Kind::EmailIssue => "Trouble with Outlook, a mailbox or a calendar",
        Kind::HardwareIssue => {
            "A device is broken, missing or to be replaced; no printer, scanner or plotter"
        }
        Kind::Printer => "Trouble with a printer, a scanner or a plotter",
        Kind::Other => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_other_is_offered_once() {
        let kinds: Vec<Kind> = offered().unwrap().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds.as_slice(), &Kind::ALL[..9]);
    }

    #[test]
    fn the_examples_of_every_playbook_are_shown_under_its_kind() {
        let offered = offered().unwrap();
        let shown = |kind: Kind| -> &[String] {
            let of = offered.iter().find(|(offered, _)| *offered == kind);
            of.map_or(&[], |(_, category)| &category.examples)
        };
        assert!(shown(Kind::PasswordReset).contains(&"I can't log in".to_owned()));
        // Of `licence_assignment`, whose category is a part of the kind.
        let licence = "I need a Visio licence to draw network plans".to_owned();
        assert!(shown(Kind::SoftwareInstall).contains(&licence));
        let all: usize = offered.iter().map(|(_, category)| category.examples.len()).sum();
        assert_eq!(all, examples::shipped().unwrap().tickets.len());
    }
}
