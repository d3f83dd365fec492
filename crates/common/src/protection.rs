//! Who must never be acted on by a program, and why. One pure function for the gate, for verification and for the
//! executor, so that they cannot disagree.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::person::Person;

/// Something a person belongs to, directly or through others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// A directory role, active or theirs on demand, by name.
    Role(String),
    /// A group.
    Group {
        /// Object id.
        id: String,
        /// Name.
        name: String,
        /// It may hold directory roles (`isAssignableToRole`).
        role_assignable: bool,
    },
    /// An administrative unit, which gives no power.
    Unit,
    /// Something of which we may read no more than its id.
    Unreadable {
        /// Object id.
        id: String,
    },
}

/// Why somebody is protected from automation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// On the list of protected users: break-glass accounts, VIPs.
    Listed,
    /// The help desk marks them as a VIP.
    Vip,
    /// Holds a directory role (any), by name.
    Role(String),
    /// Belongs to a group that may hold directory roles, by name.
    RoleAssignableGroup(String),
    /// Belongs to a group on the list of protected groups, by name where it can be read.
    ListedGroup(String),
    /// In a restricted management administrative unit.
    ManagementRestricted,
    /// Not all of its memberships can be read. Silence is a yes.
    Unreadable,
}

impl Protection {
    /// Stable: of blockers and the audit.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Listed => "protected_user",
            Self::Vip => "protected_vip",
            Self::Role(_) => "protected_role",
            Self::RoleAssignableGroup(_) => "protected_role_assignable_group",
            Self::ListedGroup(_) => "protected_group",
            Self::ManagementRestricted => "protected_restricted",
            Self::Unreadable => "protected_unreadable",
        }
    }
}

/// Fits behind "is protected from automation:".
impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed => f.write_str("on the list of protected users"),
            Self::Vip => f.write_str("marked as a VIP in the help desk"),
            Self::Role(role) => write!(f, "directory role {role}"),
            Self::RoleAssignableGroup(group) => {
                write!(f, "member of {group}, which may hold directory roles")
            }
            Self::ListedGroup(group) => {
                write!(f, "member of {group}, which is on the list of protected groups")
            }
            Self::ManagementRestricted => f.write_str("in a restricted administrative unit"),
            Self::Unreadable => f.write_str("not all of its memberships can be read"),
        }
    }
}

/// Whom the settings protect beside those whom the directory does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protected {
    /// Object ids or sign-in names (`PROTECTED_USERS`).
    pub users: Listed,
    /// Object ids of groups, members of members included (`PROTECTED_GROUPS`).
    pub groups: GroupIds,
}

impl Protected {
    /// Why `person` is not to be acted on; `None` where nothing says so and everything could be read.
    pub fn why(&self, person: &Person, memberships: &[Membership]) -> Option<Protection> {
        if self.users.has(person.id.as_str()) || self.users.has(&person.user_principal_name) {
            return Some(Protection::Listed);
        }
        if person.management_restricted {
            return Some(Protection::ManagementRestricted);
        }
        memberships.iter().find_map(|membership| match membership {
            Membership::Role(name) => Some(Protection::Role(name.clone())),
            Membership::Group {
                name,
                role_assignable: true,
                ..
            } => Some(Protection::RoleAssignableGroup(name.clone())),
            Membership::Group { id, name, .. } if self.groups.0.has(id) => {
                Some(Protection::ListedGroup(name.clone()))
            }
            Membership::Group { .. } | Membership::Unit => None,
            Membership::Unreadable { id } if self.groups.0.has(id) => {
                Some(Protection::ListedGroup(format!("group {id}")))
            }
            Membership::Unreadable { .. } => Some(Protection::Unreadable),
        })
    }
}

/// Object ids and sign-in names, compared without case; written with commas or spaces between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed(BTreeSet<String>);

/// Object ids of groups, written as [`Listed`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupIds(Listed);

/// Why a text is no such list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is not {wanted}")]
pub struct InvalidList {
    entry: String,
    wanted: &'static str,
}

impl Listed {
    fn has(&self, entry: &str) -> bool {
        self.0.contains(&entry.to_lowercase())
    }

    /// A slip of the pen would protect nobody: each entry must look like one.
    fn read(text: &str, fits: impl Fn(&str) -> bool, wanted: &'static str) -> Result<Self, InvalidList> {
        let entries = text
            .split([',', ' ', '\n', '\t', ';'])
            .filter(|entry| !entry.is_empty());
        let checked = entries.map(|entry| {
            fits(entry)
                .then(|| entry.to_lowercase())
                .ok_or_else(|| InvalidList {
                    entry: entry.to_owned(),
                    wanted,
                })
        });
        Ok(Self(checked.collect::<Result<_, _>>()?))
    }
}

fn is_object_id(entry: &str) -> bool {
    entry.len() == 36 && uuid::Uuid::try_parse(entry).is_ok()
}

fn is_sign_in_name(entry: &str) -> bool {
    let parts = entry.split_once('@');
    parts.is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.') && !domain.contains('@'))
}

impl FromStr for Listed {
    type Err = InvalidList;

    fn from_str(text: &str) -> Result<Self, InvalidList> {
        let fits = |entry: &str| is_object_id(entry) || is_sign_in_name(entry);
        Self::read(text, fits, "an object id or a sign-in name")
    }
}

impl FromStr for GroupIds {
    type Err = InvalidList;

    fn from_str(text: &str) -> Result<Self, InvalidList> {
        Listed::read(text, is_object_id, "the object id of a group").map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADELE: &str = "5c0f1e2a-0000-4000-8000-00000000000a";
    const BOARD: &str = "5c0f1e2a-0000-4000-8000-0000000000b0";

    fn adele() -> Person {
        Person {
            id: ADELE.parse().unwrap(),
            user_principal_name: "Adele@contoso.example".to_owned(),
            display_name: "Adele Vance".to_owned(),
            mail: None,
            department: None,
            job_title: None,
            account_enabled: true,
            guest: false,
            management_restricted: false,
            mobile_phone: None,
        }
    }

    fn group(role_assignable: bool) -> Membership {
        Membership::Group {
            id: BOARD.to_owned(),
            name: "Board".to_owned(),
            role_assignable,
        }
    }

    fn why(users: &str, groups: &str, memberships: &[Membership]) -> Option<&'static str> {
        let protected = Protected {
            users: users.parse().unwrap(),
            groups: groups.parse().unwrap(),
        };
        protected.why(&adele(), memberships).map(|why| why.code())
    }

    #[test]
    fn each_thing_alone_protects_and_none_of_them_does_not() {
        let hidden = || Membership::Unreadable { id: BOARD.to_owned() };
        let role = Membership::Role("Helpdesk Administrator".to_owned());
        let table = [
            ("", "", vec![], None),
            ("", "", vec![group(false), Membership::Unit], None),
            ("grady@contoso.example", ADELE, vec![group(false)], None),
            (ADELE, "", vec![], Some("protected_user")),
            ("adele@CONTOSO.example", "", vec![], Some("protected_user")),
            ("", "", vec![role], Some("protected_role")),
            ("", "", vec![group(true)], Some("protected_role_assignable_group")),
            ("", BOARD, vec![group(false)], Some("protected_group")),
            ("", BOARD, vec![hidden()], Some("protected_group")),
            ("", "", vec![group(false), hidden()], Some("protected_unreadable")),
        ];
        for (users, groups, memberships, expected) in table {
            assert_eq!(why(users, groups, &memberships), expected, "{memberships:?}");
        }
        let restricted = Person {
            management_restricted: true,
            ..adele()
        };
        let found = Protected::default().why(&restricted, &[]);
        assert_eq!(found, Some(Protection::ManagementRestricted));
    }

    #[test]
    fn a_list_with_a_slip_of_the_pen_is_refused_rather_than_protecting_nobody() {
        let two = format!("{ADELE}, grady@contoso.example");
        assert!(two.parse::<Listed>().is_ok());
        assert_eq!("".parse::<Listed>(), Ok(Listed::default()));
        for bad in [
            "Adele Vance",
            "adele",
            "adele@",
            "@contoso.example",
            "adele@contoso",
            "5c0f1e2a",
        ] {
            assert!(bad.parse::<Listed>().is_err(), "{bad:?}");
        }
        let error = "grady@contoso.example".parse::<GroupIds>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`grady@contoso.example` is not the object id of a group"
        );
    }
}
