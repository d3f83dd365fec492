//! Who the servers run as: ourselves, or an unprivileged account where we are root (Postgres refuses root).

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User};

use super::ServersError;

/// The accounts tried where we are root, in this order.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The owner of server processes and of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// `None`: we are unprivileged ourselves, nothing to change.
    other: Option<(u32, u32)>,
}

impl Account {
    /// Ourselves, or where that is root the first of `postgres` and `nobody` that exists.
    pub(super) fn unprivileged() -> Result<Self, ServersError> {
        if !Uid::effective().is_root() {
            return Ok(Self { other: None });
        }
        UNPRIVILEGED
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                other: Some((user.uid.as_raw(), user.gid.as_raw())),
            })
            .ok_or(ServersError::NoAccount)
    }

    /// The user id that files of the servers belong to.
    pub(super) fn uid(self) -> u32 {
        self.other
            .map_or_else(|| Uid::effective().as_raw(), |(uid, _)| uid)
    }

    /// Make `command` run as this account; supplementary groups are dropped with it.
    pub(super) fn runs(self, command: &mut Command) {
        if let Some((uid, gid)) = self.other {
            command.gid(gid).uid(uid);
        }
    }

    /// Give `path` to this account, for nobody else to read.
    pub(super) fn owns(self, path: &Path, mode: u32) -> Result<(), ServersError> {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .and_then(|()| {
                self.other
                    .map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)))
            })
            .map_err(|error| ServersError::files(path, error))
    }

    /// Create the directory `path` (its parents must exist), or take it over where it is ours already.
    ///
    /// # Errors
    /// It belongs to somebody else, who could then put a server of theirs in our place.
    pub(super) fn directory(self, path: &Path) -> Result<(), ServersError> {
        match std::fs::create_dir(path) {
            Ok(()) => self.owns(path, 0o700),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => self.check_owner(path),
            Err(error) => Err(ServersError::files(path, error)),
        }
    }

    fn check_owner(self, path: &Path) -> Result<(), ServersError> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::symlink_metadata(path).map_err(|error| ServersError::files(path, error))?;
        let ours = [self.uid(), Uid::effective().as_raw()];
        if found.is_dir() && ours.contains(&found.uid()) {
            self.owns(path, 0o700)
        } else {
            Err(ServersError::NotOurs(path.to_owned()))
        }
    }

    /// Write `text` to `path`, readable by this account only.
    pub(super) fn write(self, path: &Path, text: &str) -> Result<(), ServersError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| ServersError::files(path, error))?;
        self.owns(path, 0o600)
    }
}
