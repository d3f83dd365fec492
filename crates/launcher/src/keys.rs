//! The keys of a fleet as files. They are made here and nowhere else, and never overwritten.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use trust::{FleetKeys, KeyError, KeyFile};

/// Why there are no key files.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// At least one of the files is there already. Nothing was written.
    #[error("`{0}` is there already; keys are never overwritten")]
    Exists(PathBuf),
    /// A key could not be made.
    #[error("cannot make the keys")]
    Key(#[from] KeyError),
    /// A file could not be written.
    #[error("cannot write `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Make fresh keys for a fleet and write them to `directory` (made where it is missing, for its owner only): for each
/// service `{service}.key`, then `trusted.json`, `seal.key` and `seal.pub`. Secret ones get mode 0600. Answers the paths.
pub fn init(directory: &Path) -> Result<Vec<PathBuf>, KeysError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| KeysError::File { path, source }
    };
    let files = FleetKeys::generate(&mut rand::rng())?.files()?;
    let paths: Vec<PathBuf> = files.iter().map(|file| directory.join(&file.name)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(KeysError::Exists(there.clone()));
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed(directory))?;
    for (file, path) in files.iter().zip(&paths) {
        write(file, path).map_err(failed(path))?;
    }
    Ok(paths)
}

fn write(file: &KeyFile, path: &Path) -> std::io::Result<()> {
    let mode = if file.secret { 0o600 } else { 0o644 };
    // `create_new` once more: somebody may have been faster since the look above.
    let mut handle = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    handle.write_all(file.contents.as_bytes())?;
    handle.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
