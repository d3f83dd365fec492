//! The `examples:` of playbooks as tickets to learn from: their authors have said what such a text means.
//!
//! They say nothing of whose account it is, so nothing is learned of that from them.

use std::collections::{BTreeMap, BTreeSet};

use playbook_lang::{Playbook, Registry, Shelf, check_calling};
use triage::Kind;
use triage::labelled::Labelled;

/// What the examples of some playbooks teach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// One for each text, in an order that does not depend on the playbooks'.
    pub tickets: Vec<Labelled>,
    /// Categories that are none of the kinds, with the number of examples that teach nothing for that reason.
    pub left_out: BTreeMap<String, usize>,
}

/// A playbook that comes with the release cannot be read; a test finds that first.
#[derive(Debug, thiserror::Error)]
#[error("`playbooks/{0}` is no playbook that could run; `firstline playbook check` tells why")]
pub struct ExamplesError(&'static str);

macro_rules! playbooks {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../playbooks/", $name)))),*]
    };
}

static SHIPPED: [(&str, &str); 11] = playbooks![
    "account_unlock.yml",
    "application_access.yml",
    "group_membership.yml",
    "licence_assignment.yml",
    "mfa_reset.yml",
    "network_connectivity.yml",
    "password_reset.yml",
    "password_reset_synced.yml",
    "printer_trouble.yml",
    "verify_requester.yml",
    "vpn_trouble.yml",
];

/// Those of the playbooks that come with this release.
///
/// # Errors
/// One of them cannot be read.
pub fn shipped() -> Result<Examples, ExamplesError> {
    let mut shelf = Shelf::default();
    for (_, source) in SHIPPED {
        shelf.put(source);
    }
    let registry = Registry::builtin();
    let playbooks: Vec<Playbook> = SHIPPED
        .iter()
        .map(|(name, source)| {
            check_calling(source, &registry, &shelf)
                .playbook
                .ok_or(ExamplesError(name))
        })
        .collect::<Result<_, _>>()?;
    Ok(of(&playbooks))
}

/// Those of `playbooks`.
pub fn of(playbooks: &[Playbook]) -> Examples {
    let mut texts: BTreeSet<(Kind, &str)> = BTreeSet::new();
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    for playbook in playbooks
        .iter()
        .filter(|playbook| !playbook.examples().is_empty())
    {
        let category = playbook.sub_category().unwrap_or(playbook.category());
        match taught(category) {
            Some(kind) => texts.extend(playbook.examples().iter().map(|text| (kind, text.as_str()))),
            None => *left_out.entry(category.to_owned()).or_default() += playbook.examples().len(),
        }
    }
    let tickets = texts.into_iter().zip(1..).map(|((kind, text), row)| Labelled {
        id: None,
        subject: String::new(),
        body: text.to_owned(),
        kind,
        automatable: None,
        row,
    });
    Examples {
        tickets: tickets.collect(),
        left_out,
    }
}

/// What a category's examples teach. A narrower one than a kind teaches that kind; it is still no offer for all of it, so that
/// only the examples themselves lead to such a playbook.
pub(super) fn taught(category: &str) -> Option<Kind> {
    match category {
        "NETWORK" | "VPN" => Some(Kind::VpnNetwork),
        "LICENCE" => Some(Kind::SoftwareInstall),
        "GROUP_MEMBERSHIP" | "APPLICATION_ACCESS" => Some(Kind::AccessRequest),
        // What fits none of the others is for its author to know.
        named => named.parse().ok().filter(|kind| *kind != Kind::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playbook(name: &str, sub_category: &str, examples: &[&str]) -> Playbook {
        let examples: Vec<String> = examples.iter().map(|text| format!("  - \"{text}\"")).collect();
        let examples = examples.join("\n");
        let source = format!(
            "name: {name}\nversion: \"1.0\"\nenabled: true\ndescription: \"d\"\ncategory: REQUEST\n\
             sub_category: {sub_category}\nexamples:\n{examples}\nsteps:\n  - id: ended\n    name: \"Ended\"\n    \
             type: escalation\n    reason: \"r\"\n"
        );
        let report = check_calling(&source, &Registry::builtin(), &Shelf::default());
        report.playbook.unwrap_or_else(|| panic!("{:?}", report.findings))
    }

    #[test]
    fn all_playbooks_of_the_release_are_among_them_and_each_example_teaches() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.split_once('.').is_some_and(|(_, ending)| ending == "yml"))
            .collect();
        there.sort();
        let shipped_names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        assert_eq!(shipped_names, there);
        let shipped = shipped().unwrap();
        assert!(shipped.left_out.is_empty(), "{shipped:?}");
        let texts: usize = SHIPPED
            .iter()
            .map(|(_, source)| source.matches("\n  - \"").count())
            .sum();
        assert_eq!(shipped.tickets.len(), texts);
    }

    #[test]
    fn they_teach_the_kind_of_their_category_once_each_and_nothing_of_whose_account() {
        let playbooks = [
            playbook("two", "VPN", &["no tunnel from the train"]),
            playbook("one", "PASSWORD_RESET", &["quibble forgotten", "quibble gone"]),
            playbook("three", "PASSWORD_RESET", &["quibble gone"]),
            playbook("four", "COFFEE", &["no milk", "no beans"]),
        ];
        let examples = of(&playbooks);
        let taught: Vec<_> = examples
            .tickets
            .iter()
            .map(|ticket| (ticket.kind, ticket.body.as_str(), ticket.automatable))
            .collect();
        assert_eq!(
            taught,
            [
                (Kind::PasswordReset, "quibble forgotten", None),
                (Kind::PasswordReset, "quibble gone", None),
                (Kind::VpnNetwork, "no tunnel from the train", None),
            ]
        );
        assert_eq!(examples.left_out, BTreeMap::from([("COFFEE".to_owned(), 2)]));
        let turned: Vec<Playbook> = playbooks.into_iter().rev().collect();
        assert_eq!(of(&turned), examples);
    }
}
