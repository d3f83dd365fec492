//! The kinds of ticket that a first line sees.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the requester needs done. Playbooks name these in `sub_category`, labelled files in `category`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// A forgotten, expired or refused password is to be replaced.
    PasswordReset,
    /// An account that was locked is to be opened again; the password is known.
    AccountUnlock,
    /// A second factor is to be registered anew: a new phone, a lost token.
    MfaReset,
    /// Software is to be installed, updated, licensed or removed.
    SoftwareInstall,
    /// Permission to a folder, a system, a role.
    AccessRequest,
    /// The network, the line, the tunnel.
    VpnNetwork,
    /// Mail and calendar.
    EmailIssue,
    /// A device.
    HardwareIssue,
    /// Printers, scanners, plotters.
    Printer,
    /// Everything else. What is not known belongs here, not to the nearest of the others.
    Other,
}

impl Kind {
    /// All of them, in the order of tables and charts.
    pub const ALL: [Self; 10] = [
        Self::PasswordReset,
        Self::AccountUnlock,
        Self::MfaReset,
        Self::SoftwareInstall,
        Self::AccessRequest,
        Self::VpnNetwork,
        Self::EmailIssue,
        Self::HardwareIssue,
        Self::Printer,
        Self::Other,
    ];

    /// `PASSWORD_RESET`, as files and playbooks write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "PASSWORD_RESET",
            Self::AccountUnlock => "ACCOUNT_UNLOCK",
            Self::MfaReset => "MFA_RESET",
            Self::SoftwareInstall => "SOFTWARE_INSTALL",
            Self::AccessRequest => "ACCESS_REQUEST",
            Self::VpnNetwork => "VPN_NETWORK",
            Self::EmailIssue => "EMAIL_ISSUE",
            Self::HardwareIssue => "HARDWARE_ISSUE",
            Self::Printer => "PRINTER",
            Self::Other => "OTHER",
        }
    }

    /// Whether acting on it changes how somebody proves who they are. A mistake here is a breach.
    pub const fn is_privileged(self) -> bool {
        matches!(self, Self::PasswordReset | Self::AccountUnlock | Self::MfaReset)
    }

    /// Its place in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No kind has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no category")]
pub struct NotAKind(pub String);

impl FromStr for Kind {
    type Err = NotAKind;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| NotAKind(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_by_its_name_and_stands_at_its_index() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(kind.index(), index);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(
            "password_reset".parse::<Kind>(),
            Err(NotAKind("password_reset".to_owned()))
        );
    }
}
