//! How the keys in a directory stand, and what is wrong with them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use common::Service;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::{KeyState, SealPublicKey, TrustedKeys};

use super::rotate::{key_path, next_path, read_key, read_seal_key};
use super::{KeysError, SEAL_KEY, SEAL_PUBLIC, TRUSTED, failed, read_trusted, unfit};

/// What [`show`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The name of the list of trusted keys, as `/readyz` of a service says it.
    pub trusted: String,
    /// A row for each key, retired ones among them.
    pub rows: Vec<Row>,
    /// What is wrong, each with how to mend it.
    pub faults: Vec<String>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The service, or `seal`.
    pub owner: String,
    /// Its name.
    pub kid: String,
    /// `signs`, `next`, `trusted`, `replaced`, `retired`; of the seal key `sealed to`, `opens`.
    pub state: &'static str,
    /// Since when it is in that state, or listed.
    pub since: Option<OffsetDateTime>,
    /// Where its private half is, if it is here, with the file's permissions.
    pub file: Option<String>,
}

/// Look at the keys in `directory`, which may be a part of what `init` made: one machine has one service's.
///
/// # Errors
/// There is no list of trusted keys that could be read, or a key file is none.
pub fn show(directory: &Path) -> Result<Listing, KeysError> {
    let trusted = read_trusted(directory)?;
    let mut faults = vec![];
    protected(&directory.join(TRUSTED), 0o022, &mut faults)?;
    let mut rows = vec![];
    for service in Service::ALL {
        rows.extend(of_service(directory, service, &trusted, &mut faults)?);
    }
    rows.extend(of_seal(directory, &mut faults)?);
    Ok(Listing {
        trusted: trusted.fingerprint(),
        rows,
        faults,
    })
}

fn of_service(
    directory: &Path,
    service: Service,
    trusted: &TrustedKeys,
    faults: &mut Vec<String>,
) -> Result<Vec<Row>, KeysError> {
    let (own, next) = (key_path(directory, service), next_path(directory, service));
    let here = [(own, "signs"), (next, "next")];
    let mut files: Vec<(String, PathBuf, &'static str)> = vec![];
    for (path, state) in here.into_iter().filter(|(path, _)| path.exists()) {
        protected(&path, 0o077, faults)?;
        files.push((read_key(&path)?.kid().to_string(), path, state));
    }
    let mut rows = vec![];
    for listed in trusted.of(service) {
        let kid = listed.kid().to_string();
        let file = files.iter().find(|(here, ..)| *here == kid);
        let (state, since) = match listed.state() {
            KeyState::Active => (file.map_or("trusted", |(_, _, state)| *state), listed.since()),
            KeyState::Replaced { at } => ("replaced", Some(at)),
            KeyState::Retired { at } => ("retired", Some(at)),
        };
        rows.push(Row {
            owner: service.to_string(),
            file: file.map(|(_, path, _)| described(path)),
            kid,
            state,
            since,
        });
    }
    if rows.is_empty() {
        faults.push(format!(
            "nobody believes `{service}`: {TRUSTED} lists no key of it"
        ));
    }
    for (kid, path, _) in files {
        if trusted.find(&kid).is_none_or(|(owner, _)| owner != service) {
            faults.push(format!(
                "nobody believes the key in `{}`: {TRUSTED} does not list `{kid}` for `{service}`, or as retired",
                path.display()
            ));
        }
    }
    Ok(rows)
}

fn of_seal(directory: &Path, faults: &mut Vec<String>) -> Result<Vec<Row>, KeysError> {
    let (private, public) = (directory.join(SEAL_KEY), directory.join(SEAL_PUBLIC));
    let mut used = None;
    if public.exists() {
        protected(&public, 0o022, faults)?;
        let contents = std::fs::read(&public).map_err(failed(&public))?;
        used = Some(SealPublicKey::from_pem(&contents).map_err(unfit(&public))?.kid());
    }
    let row = |kid: &trust::KeyId, state, file| Row {
        owner: "seal".to_owned(),
        kid: kid.to_string(),
        state,
        since: None,
        file,
    };
    if !private.exists() {
        return Ok(used.iter().map(|kid| row(kid, "sealed to", None)).collect());
    }
    protected(&private, 0o077, faults)?;
    let held: Vec<_> = read_seal_key(&private)?
        .publics()
        .map(|public| public.kid())
        .collect();
    if let Some(used) = used.as_ref().filter(|used| !held.contains(used)) {
        faults.push(format!(
            "delivery cannot open what is sealed to `{used}`: `{}` and `{}` do not belong together",
            public.display(),
            private.display()
        ));
    }
    let state = |kid: &trust::KeyId| {
        if Some(kid) == used.as_ref() {
            "sealed to"
        } else {
            "opens"
        }
    };
    Ok(held
        .iter()
        .map(|kid| row(kid, state(kid), Some(described(&private))))
        .collect())
}

fn mode(path: &Path) -> std::io::Result<u32> {
    Ok(path.metadata()?.mode() & 0o7777)
}

fn described(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match mode(path) {
        Ok(mode) => format!("{name} {mode:04o}"),
        Err(_) => name.into_owned(),
    }
}

/// Nobody but the owner has any of the rights in `forbidden`.
fn protected(path: &Path, forbidden: u32, faults: &mut Vec<String>) -> Result<(), KeysError> {
    let mode = mode(path).map_err(failed(path))?;
    if mode & forbidden != 0 {
        let (may, right) = match forbidden {
            0o077 => ("read", "600"),
            _ => ("change", "644"),
        };
        let path = path.display();
        faults.push(format!(
            "others than its owner may {may} `{path}` ({mode:04o}): run `chmod {right} {path}`"
        ));
    }
    Ok(())
}

impl Row {
    /// As a line of a table: owner, key, state, since, file.
    pub fn cells(&self) -> Vec<String> {
        let since = self.since.and_then(|at| at.replace_nanosecond(0).ok());
        let since = since.and_then(|at| at.format(&Rfc3339).ok());
        vec![
            self.owner.clone(),
            self.kid.clone(),
            self.state.to_owned(),
            since.unwrap_or_else(|| "-".to_owned()),
            self.file.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::keys::{Rotated, Rotation, init, rotate};

    #[test]
    fn each_key_is_shown_with_its_state_and_no_private_half() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path();
        init(directory).unwrap();
        let now = OffsetDateTime::now_utc();
        rotate(
            directory,
            Rotated::Service(Service::Executor),
            Rotation::Begin,
            now,
        )
        .unwrap();
        rotate(
            directory,
            Rotated::Service(Service::Verification),
            Rotation::Begin,
            now,
        )
        .unwrap();
        rotate(
            directory,
            Rotated::Service(Service::Verification),
            Rotation::Switch,
            now,
        )
        .unwrap();
        rotate(directory, Rotated::Seal, Rotation::Begin, now).unwrap();
        let listing = show(directory).unwrap();
        assert_eq!(listing.faults, Vec::<String>::new());
        let states: Vec<_> = listing
            .rows
            .iter()
            .map(|row| (row.owner.as_str(), row.state))
            .collect();
        assert_eq!(
            states,
            [
                ("classifier", "signs"),
                ("playbook", "signs"),
                ("orchestration", "signs"),
                ("verification", "replaced"),
                ("verification", "signs"),
                ("executor", "signs"),
                ("executor", "next"),
                ("delivery", "signs"),
                ("seal", "opens"),
                ("seal", "sealed to"),
            ]
        );
        let shown = format!("{listing:?}");
        assert!(
            shown.contains("executor.key.next 0600") && !shown.contains("PRIVATE"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_how_to_mend_it() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path();
        init(directory).unwrap();
        for (name, mode) in [
            ("executor.key", 0o640),
            ("seal.key", 0o604),
            ("trusted.json", 0o664),
            ("seal.pub", 0o646),
        ] {
            std::fs::set_permissions(directory.join(name), Permissions::from_mode(mode)).unwrap();
        }
        // The key of another fleet.
        let other = tempfile::tempdir().unwrap();
        init(other.path()).unwrap();
        std::fs::copy(other.path().join("delivery.key"), directory.join("delivery.key")).unwrap();
        std::fs::copy(other.path().join("seal.key"), directory.join("seal.key")).unwrap();
        let faults = show(directory).unwrap().faults;
        for (name, remedy) in [
            ("executor.key", "600"),
            ("trusted.json", "644"),
            ("seal.pub", "644"),
        ] {
            let mended = format!("chmod {remedy} {}", directory.join(name).display());
            assert!(
                faults.iter().any(|fault| fault.contains(&mended)),
                "{name}: {faults:?}"
            );
        }
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("nobody believes the key in")),
            "{faults:?}"
        );
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("do not belong together")),
            "{faults:?}"
        );
    }
}
