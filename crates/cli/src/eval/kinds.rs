//! The kinds of ticket as categories that a classifier may choose from.

use classifier::classify::Category;
use triage::Kind;

/// All that a ticket may be taken for. `OTHER` is no offer: it is what none of them is.
pub(super) fn offered() -> Vec<(Kind, Category)> {
    Kind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, category(kind, description(kind)?))))
        .collect()
}

fn category(kind: Kind, description: &str) -> Category {
    Category {
        category: "REQUEST".to_owned(),
        sub_category: Some(kind.name().to_owned()),
        description: description.to_owned(),
        examples: vec![],
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
        let kinds: Vec<Kind> = offered().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds.as_slice(), &Kind::ALL[..9]);
    }
}
