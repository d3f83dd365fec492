//! Replacing one key of a fleet, in three steps that may lie as far apart as the fleet is wide. Each may be repeated: a
//! step that was cut off is completed by the next try.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::Service;
use time::OffsetDateTime;
use trust::rotation::{self, Retirement};
use trust::{KeyState, SealKey, SealPublicKey, SigningKey, TrustedKeys, seal};
use zeroize::Zeroizing;

use super::{
    KeysError, PUBLIC, SEAL_KEY, SEAL_PUBLIC, SECRET, TRUSTED, create, failed, like_before, read_trusted,
    replace, sync_directory_of, unfit,
};

/// What is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// The key that a service signs with.
    Service(Service),
    /// Delivery's key, to which the executor seals.
    Seal,
}

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Make the new key and let those know it who must understand it.
    Begin,
    /// Use the new key from now on.
    Switch,
    /// Give up the old key.
    Finish(Retirement),
}

/// Take one step. Answers the files that were written; the services that use them read them by themselves.
///
/// # Errors
/// It is too early, the step before is missing, or a file cannot be read or written.
pub fn rotate(
    directory: &Path,
    what: Rotated,
    step: Rotation,
    now: OffsetDateTime,
) -> Result<Vec<PathBuf>, KeysError> {
    // One administrator at a time: two who write the same list would lose one of two keys.
    let lock = File::open(directory).map_err(failed(directory))?;
    lock.lock().map_err(failed(directory))?;
    match (what, step) {
        (Rotated::Service(service), Rotation::Begin) => begin(directory, service, now),
        (Rotated::Service(service), Rotation::Switch) => switch(directory, service, now),
        (Rotated::Service(service), Rotation::Finish(when)) => {
            let mut trusted = read_trusted(directory)?;
            rotation::retire(&mut trusted, service, when, now)?;
            write_trusted(directory, &trusted).map(|path| vec![path])
        }
        (Rotated::Seal, Rotation::Begin) => begin_seal(directory),
        (Rotated::Seal, Rotation::Switch) => switch_seal(directory),
        (Rotated::Seal, Rotation::Finish(when)) => finish_seal(directory, when, now),
    }
}

fn begin(directory: &Path, service: Service, now: OffsetDateTime) -> Result<Vec<PathBuf>, KeysError> {
    let (own, next) = (key_path(directory, service), next_path(directory, service));
    // The one that it replaces must be there and be a key: a wrong directory is noticed before anything is written.
    read_key(&own)?;
    let mut trusted = read_trusted(directory)?;
    let key = if next.exists() {
        read_key(&next)?
    } else {
        let key = SigningKey::generate(&mut rand::rng())?;
        create(&next, SECRET, key.to_pem()?.as_bytes())
            .and_then(|()| like_before(&own, &next))
            .and_then(|()| sync_directory_of(&next))
            .map_err(failed(&next))?;
        key
    };
    rotation::announce(&mut trusted, service, key.verifying_key()?, now)?;
    let listed = write_trusted(directory, &trusted)?;
    Ok(vec![next, listed])
}

fn switch(directory: &Path, service: Service, now: OffsetDateTime) -> Result<Vec<PathBuf>, KeysError> {
    let (own, next) = (key_path(directory, service), next_path(directory, service));
    let mut trusted = read_trusted(directory)?;
    let begun = next.exists();
    let key = read_key(if begun { &next } else { &own })?;
    // Before anything moves: a service that signs with a key that nobody knows is cut off.
    let before = trusted.clone();
    rotation::replace(&mut trusted, service, key.kid(), now)?;
    if begun {
        std::fs::rename(&next, &own)
            .and_then(|()| sync_directory_of(&own))
            .map_err(failed(&own))?;
    } else if active(&before, service) <= 1 {
        return Err(KeysError::NothingToSwitchTo(service.to_string()));
    }
    let listed = write_trusted(directory, &trusted)?;
    Ok(vec![own, listed])
}

fn active(trusted: &TrustedKeys, service: Service) -> usize {
    let keys = trusted.of(service).iter();
    keys.filter(|listed| listed.state() == KeyState::Active).count()
}

fn begin_seal(directory: &Path) -> Result<Vec<PathBuf>, KeysError> {
    let path = directory.join(SEAL_KEY);
    let key = read_seal_key(&path)?;
    if in_use(directory)? == key.public() {
        let key = key.succeeded(&mut rand::rng());
        replace(&path, SECRET, key.to_pem().as_bytes())?;
    }
    Ok(vec![path])
}

fn switch_seal(directory: &Path) -> Result<Vec<PathBuf>, KeysError> {
    let key = read_seal_key(&directory.join(SEAL_KEY))?;
    if in_use(directory)? == key.public() {
        return Err(KeysError::NothingToSwitchTo("seal".to_owned()));
    }
    let path = directory.join(SEAL_PUBLIC);
    replace(&path, PUBLIC, key.public().to_pem().as_bytes())?;
    Ok(vec![path])
}

fn finish_seal(directory: &Path, when: Retirement, now: OffsetDateTime) -> Result<Vec<PathBuf>, KeysError> {
    let path = directory.join(SEAL_KEY);
    let key = read_seal_key(&path)?;
    if key.publics().count() == 1 || in_use(directory)? != key.public() {
        return Err(KeysError::NoOldSealKey);
    }
    // The public key was written when it was switched to.
    let public = directory.join(SEAL_PUBLIC);
    let switched = public.metadata().and_then(|metadata| metadata.modified());
    let until = OffsetDateTime::from(switched.unwrap_or_else(|_| SystemTime::now())) + seal::LONGEST_LIFE;
    if when == Retirement::WhenItsWorkIsDone && now < until {
        return Err(KeysError::SealedTooLately(until));
    }
    replace(&path, SECRET, key.without_older().to_pem().as_bytes())?;
    Ok(vec![path])
}

pub(super) fn key_path(directory: &Path, service: Service) -> PathBuf {
    directory.join(format!("{service}.key"))
}

pub(super) fn next_path(directory: &Path, service: Service) -> PathBuf {
    directory.join(format!("{service}.key.next"))
}

pub(super) fn read_key(path: &Path) -> Result<SigningKey, KeysError> {
    let contents = Zeroizing::new(std::fs::read(path).map_err(failed(path))?);
    SigningKey::from_pem(&contents).map_err(unfit(path))
}

pub(super) fn read_seal_key(path: &Path) -> Result<SealKey, KeysError> {
    let contents = Zeroizing::new(std::fs::read(path).map_err(failed(path))?);
    SealKey::from_pem(&contents).map_err(unfit(path))
}

/// The key to which the executor seals.
fn in_use(directory: &Path) -> Result<SealPublicKey, KeysError> {
    let path = directory.join(SEAL_PUBLIC);
    let contents = std::fs::read(&path).map_err(failed(&path))?;
    SealPublicKey::from_pem(&contents).map_err(unfit(&path))
}

fn write_trusted(directory: &Path, trusted: &TrustedKeys) -> Result<PathBuf, KeysError> {
    let path = directory.join(TRUSTED);
    replace(&path, PUBLIC, trusted.to_json().as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use time::Duration;
    use trust::rotation::{RotationError, outlives};

    use super::*;
    use crate::keys::{init, show};

    const WHO: Rotated = Rotated::Service(Service::Executor);
    const IN_TIME: Rotation = Rotation::Finish(Retirement::WhenItsWorkIsDone);
    const AT_ONCE: Rotation = Rotation::Finish(Retirement::AtOnce);

    fn fleet() -> (tempfile::TempDir, OffsetDateTime) {
        let directory = tempfile::tempdir().unwrap();
        init(directory.path()).unwrap();
        (directory, OffsetDateTime::now_utc())
    }

    fn kid(directory: &Path) -> String {
        read_key(&key_path(directory, Service::Executor))
            .unwrap()
            .kid()
            .to_string()
    }

    #[test]
    fn a_service_gets_a_new_key_in_three_steps_and_never_loses_both() {
        let (home, now) = fleet();
        let directory = home.path();
        let old = kid(directory);
        rotate(directory, WHO, Rotation::Begin, now).unwrap();
        assert_eq!(kid(directory), old, "it still signs with the old one");
        let next = next_path(directory, Service::Executor);
        assert_eq!(next.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let new = read_key(&next).unwrap().kid().to_string();
        let both = read_trusted(directory).unwrap();
        assert!(both.find(&old).is_some() && both.find(&new).is_some());

        rotate(directory, WHO, Rotation::Switch, now).unwrap();
        assert_eq!(kid(directory), new);
        assert!(!next.exists());
        assert!(read_trusted(directory).unwrap().find(&old).is_some());

        let early = rotate(directory, WHO, IN_TIME, now + Duration::HOUR);
        assert!(matches!(
            early,
            Err(KeysError::Rotation(RotationError::TooEarly { .. }))
        ));
        rotate(directory, WHO, IN_TIME, now + outlives(Service::Executor)).unwrap();
        let after = read_trusted(directory).unwrap();
        assert!(after.find(&old).is_none() && after.find(&new).is_some());
        assert!(
            after.find_for_record(&old, now).is_some(),
            "the audit still reads it"
        );
        assert!(show(directory).unwrap().faults.is_empty());
    }

    #[test]
    fn steps_that_were_cut_off_are_completed_and_steps_out_of_order_are_refused() {
        let (home, now) = fleet();
        let directory = home.path();
        let nothing = rotate(directory, WHO, Rotation::Switch, now);
        assert!(
            matches!(nothing, Err(KeysError::NothingToSwitchTo(_))),
            "{nothing:?}"
        );
        let nothing = rotate(directory, WHO, AT_ONCE, now);
        assert!(matches!(
            nothing,
            Err(KeysError::Rotation(RotationError::NothingReplaced(_)))
        ));

        rotate(directory, WHO, Rotation::Begin, now).unwrap();
        let new = read_key(&next_path(directory, Service::Executor)).unwrap();
        rotate(directory, WHO, Rotation::Begin, now).unwrap();
        assert_eq!(
            kid_of_next(directory),
            new.kid().to_string(),
            "twice begun is once begun"
        );
        // Cut off between the two files of the switch.
        std::fs::rename(
            next_path(directory, Service::Executor),
            key_path(directory, Service::Executor),
        )
        .unwrap();
        rotate(directory, WHO, Rotation::Switch, now).unwrap();
        rotate(directory, WHO, AT_ONCE, now).unwrap();
        let trusted = read_trusted(directory).unwrap();
        let speaking = trusted
            .of(Service::Executor)
            .iter()
            .filter(|key| key.state() == KeyState::Active);
        assert_eq!(
            speaking.map(|key| key.kid().to_string()).collect::<Vec<_>>(),
            [new.kid().to_string()]
        );
    }

    fn kid_of_next(directory: &Path) -> String {
        read_key(&next_path(directory, Service::Executor))
            .unwrap()
            .kid()
            .to_string()
    }

    #[test]
    fn a_new_key_that_nobody_was_told_of_is_not_switched_to() {
        let (home, now) = fleet();
        let directory = home.path();
        let stray = SigningKey::generate(&mut rand::rng()).unwrap();
        let next = next_path(directory, Service::Executor);
        std::fs::write(&next, stray.to_pem().unwrap().as_bytes()).unwrap();
        let old = kid(directory);
        let refused = rotate(directory, WHO, Rotation::Switch, now);
        assert!(matches!(
            refused,
            Err(KeysError::Rotation(RotationError::NotAnnounced { .. }))
        ));
        assert_eq!(kid(directory), old);
    }

    #[test]
    fn delivery_learns_to_open_before_the_executor_seals_and_forgets_after_the_last_seal() {
        let (home, now) = fleet();
        let directory = home.path();
        let old = in_use(directory).unwrap();
        let early = rotate(directory, Rotated::Seal, AT_ONCE, now);
        assert!(matches!(early, Err(KeysError::NoOldSealKey)));
        rotate(directory, Rotated::Seal, Rotation::Begin, now).unwrap();
        rotate(directory, Rotated::Seal, Rotation::Begin, now).unwrap();
        let held = read_seal_key(&directory.join(SEAL_KEY)).unwrap();
        assert_eq!(held.publics().count(), 2);
        assert!(
            in_use(directory).unwrap() == old,
            "the executor seals to the old one"
        );
        let early = rotate(directory, Rotated::Seal, AT_ONCE, now);
        assert!(
            matches!(early, Err(KeysError::NoOldSealKey)),
            "not while it is sealed to"
        );

        rotate(directory, Rotated::Seal, Rotation::Switch, now).unwrap();
        assert!(in_use(directory).unwrap() == held.public());
        let twice = rotate(directory, Rotated::Seal, Rotation::Switch, now);
        assert!(matches!(twice, Err(KeysError::NothingToSwitchTo(_))));
        let early = rotate(directory, Rotated::Seal, IN_TIME, now + Duration::DAY);
        assert!(matches!(early, Err(KeysError::SealedTooLately(_))));
        rotate(
            directory,
            Rotated::Seal,
            IN_TIME,
            now + Duration::DAY + seal::LONGEST_LIFE,
        )
        .unwrap();
        let held = read_seal_key(&directory.join(SEAL_KEY)).unwrap();
        assert!(held.publics().count() == 1 && held.public() == in_use(directory).unwrap());
        let mode = directory.join(SEAL_KEY).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
