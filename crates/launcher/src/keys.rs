//! The keys of a fleet as files: made, replaced while the fleet runs, and shown. Whatever is written is complete or not
//! there: services read these files whenever they change.

mod rotate;
mod show;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use trust::rotation::{self, RotationError};
use trust::{FleetKeys, KeyError, KeyFile, TrustedKeys};

pub use rotate::{Rotated, Rotation, rotate};
pub use show::{Listing, Row, show};

const TRUSTED: &str = "trusted.json";
const SEAL_KEY: &str = "seal.key";
const SEAL_PUBLIC: &str = "seal.pub";

/// Only its owner reads it.
const SECRET: u32 = 0o600;
/// Only its owner changes it.
const PUBLIC: u32 = 0o644;

/// Why key files are not as they were wanted.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// At least one of the files is there already. Nothing was written.
    #[error("`{0}` is there already; keys are never overwritten")]
    Exists(PathBuf),
    /// A key could not be made.
    #[error("cannot make the keys")]
    Key(#[from] KeyError),
    /// A file could not be read or written.
    #[error("cannot read or write `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is there and is no key.
    #[error("`{path}` does not fit")]
    Unfit {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The rotation cannot go on like this.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// There is no new key.
    #[error("`{0}` has no new key to switch to: begin with `firstline keys rotate {0} DIR`")]
    NothingToSwitchTo(String),
    /// What was sealed to the old key may still have to be opened.
    #[error("what was sealed to the old key is good until {}", rotation::minute(*.0))]
    SealedTooLately(OffsetDateTime),
    /// Delivery holds one key only.
    #[error("delivery has no old seal key left, or the executor still seals to it: `--switch` comes first")]
    NoOldSealKey,
}

/// Make fresh keys for a fleet and write them to `directory` (made where it is missing, for its owner only): for each
/// service `{service}.key`, then `trusted.json`, `seal.key` and `seal.pub`. Secret ones get mode 0600. Answers the paths.
pub fn init(directory: &Path) -> Result<Vec<PathBuf>, KeysError> {
    let files = FleetKeys::generate(&mut rand::rng())?.files(OffsetDateTime::now_utc())?;
    let paths: Vec<PathBuf> = files.iter().map(|file| directory.join(&file.name)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(KeysError::Exists(there.clone()));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed(directory))?;
    for (file, path) in files.iter().zip(&paths) {
        write_new(file, path).map_err(failed(path))?;
    }
    Ok(paths)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> KeysError {
    let path = path.to_owned();
    move |source| KeysError::File { path, source }
}

fn unfit(path: &Path) -> impl FnOnce(KeyError) -> KeysError {
    let path = path.to_owned();
    move |source| KeysError::Unfit { path, source }
}

fn write_new(file: &KeyFile, path: &Path) -> std::io::Result<()> {
    let mode = if file.secret { SECRET } else { PUBLIC };
    create(path, mode, file.contents.as_bytes())
}

/// `create_new`: somebody may have been faster since the caller looked.
fn create(path: &Path, mode: u32, contents: &[u8]) -> std::io::Result<()> {
    let mut handle = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    handle.write_all(contents)?;
    handle.sync_all()
}

/// Put `contents` in place of what `path` holds, at once and for whoever owns it now: a service reads the old or the
/// new, never a part.
fn replace(path: &Path, mode: u32, contents: &[u8]) -> Result<(), KeysError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".writing");
    let beside = path.with_file_name(name);
    let replaced = || {
        // What an earlier try left behind.
        if beside.exists() {
            std::fs::remove_file(&beside)?;
        }
        create(&beside, mode, contents)?;
        like_before(path, &beside)?;
        std::fs::rename(&beside, path)?;
        sync_directory_of(path)
    };
    replaced().map_err(failed(path))
}

/// Give `new` the owner of `old`: the administrator who writes it is seldom the user that reads it.
fn like_before(old: &Path, new: &Path) -> std::io::Result<()> {
    let Ok(before) = old.metadata() else {
        return Ok(());
    };
    let now = new.metadata()?;
    if (now.uid(), now.gid()) == (before.uid(), before.gid()) {
        return Ok(());
    }
    std::os::unix::fs::chown(new, Some(before.uid()), Some(before.gid()))
}

fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(directory) if directory != Path::new("") => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn read_trusted(directory: &Path) -> Result<TrustedKeys, KeysError> {
    let path = directory.join(TRUSTED);
    let contents = std::fs::read(&path).map_err(failed(&path))?;
    TrustedKeys::from_json(&contents).map_err(unfit(&path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_for_their_owner_only_and_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("keys");
        let paths = init(&directory).unwrap();
        assert_eq!(paths.len(), 9);
        let key = directory.join("executor.key");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&key).unwrap();
        assert!(matches!(init(&directory), Err(KeysError::Exists(_))));
        assert_eq!(std::fs::read(&key).unwrap(), before);
    }
}
