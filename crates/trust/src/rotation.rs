//! Replacing a service's key while the fleet runs: first everybody learns the new one, then its owner signs with it,
//! then, once nothing that the old one signed is on its way any more, the old one is retired.

use common::Service;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::keys::{KeyError, KeyId, KeyState, TrustedKeys, VerifyingKey};
use crate::{permit, seal, token};

/// How long what the key of `service` signed may still be shown to somebody.
///
/// The executor's sealed credentials are good for as long as what is in them. For the others it is a permit that was
/// renewed as late as it may be, and the tokens of the calls that carry it.
pub const fn outlives(service: Service) -> Duration {
    match service {
        Service::Executor => seal::LONGEST_LIFE,
        Service::Classifier
        | Service::Playbook
        | Service::Orchestration
        | Service::Verification
        | Service::Delivery => permit::RENEWABLE
            .saturating_add(permit::LIFETIME)
            .saturating_add(permit::SKEW)
            .saturating_add(token::LIFETIME),
    }
}

/// Why a rotation does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The key is no key, or another service's.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nobody would believe the new key yet.
    #[error("the key `{kid}` is not among the trusted keys of `{service}`")]
    NotAnnounced {
        /// Whose.
        service: Service,
        /// Which.
        kid: KeyId,
    },
    /// What the old key signed may still be on its way.
    #[error("what the replaced key `{kid}` of `{service}` signed is good until {}", minute(*until))]
    TooEarly {
        /// Whose.
        service: Service,
        /// Which.
        kid: KeyId,
        /// When to come again.
        until: OffsetDateTime,
    },
    /// There is no key that could be retired.
    #[error("no key of `{0}` has been replaced")]
    NothingReplaced(Service),
}

/// The next full minute, as people read it: `2026-03-02 09:56 UTC`.
pub fn minute(at: OffsetDateTime) -> String {
    let at = (at + Duration::MINUTE).to_offset(UtcOffset::UTC);
    format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute())
}

/// List `key` beside those that `service` has: from now on everybody who reads the list believes it.
pub fn announce(
    trusted: &mut TrustedKeys,
    service: Service,
    key: VerifyingKey,
    now: OffsetDateTime,
) -> Result<(), RotationError> {
    Ok(trusted.trust_from(service, key, now)?)
}

/// `service` signs with `kid` from now on: its other keys are replaced. Those that were replaced before stay so from
/// when they were.
pub fn replace(
    trusted: &mut TrustedKeys,
    service: Service,
    kid: &KeyId,
    now: OffsetDateTime,
) -> Result<(), RotationError> {
    if trusted
        .find(kid.as_str())
        .is_none_or(|(owner, _)| owner != service)
    {
        return Err(RotationError::NotAnnounced {
            service,
            kid: kid.clone(),
        });
    }
    for (other, state) in trusted.of_mut(service) {
        if other == kid {
            *state = KeyState::Active;
        } else if *state == KeyState::Active {
            *state = KeyState::Replaced { at: now };
        }
    }
    Ok(())
}

/// When to retire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retirement {
    /// Once nothing that the key signed can be on its way ([`outlives`]).
    WhenItsWorkIsDone,
    /// Now, at the price of the calls and permits under way: somebody else holds the key.
    AtOnce,
}

/// Nobody believes the replaced keys of `service` from now on. They stay listed, for the record of what they signed.
/// Answers which.
pub fn retire(
    trusted: &mut TrustedKeys,
    service: Service,
    when: Retirement,
    now: OffsetDateTime,
) -> Result<Vec<KeyId>, RotationError> {
    let replaced: Vec<(KeyId, OffsetDateTime)> = trusted
        .of(service)
        .iter()
        .filter_map(|listed| match listed.state() {
            KeyState::Replaced { at } => Some((listed.kid().clone(), at)),
            KeyState::Active | KeyState::Retired { .. } => None,
        })
        .collect();
    if replaced.is_empty() {
        return Err(RotationError::NothingReplaced(service));
    }
    if when == Retirement::WhenItsWorkIsDone {
        for (kid, at) in &replaced {
            let until = *at + outlives(service);
            if now < until {
                return Err(RotationError::TooEarly {
                    service,
                    kid: kid.clone(),
                    until,
                });
            }
        }
    }
    for (_, state) in trusted.of_mut(service) {
        if matches!(state, KeyState::Replaced { .. }) {
            *state = KeyState::Retired { at: now };
        }
    }
    Ok(replaced.into_iter().map(|(kid, _)| kid).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-03-02 09:15 UTC);
    const WHO: Service = Service::Verification;

    fn key() -> SigningKey {
        SigningKey::generate(&mut rand::rng()).unwrap()
    }

    fn speak(trusted: &TrustedKeys, key: &SigningKey) -> bool {
        trusted.find(key.kid().as_str()).is_some()
    }

    #[test]
    fn old_and_new_overlap_until_nothing_of_the_old_can_be_on_its_way() {
        let (old, new) = (key(), key());
        let mut trusted = TrustedKeys::new();
        trusted.trust(WHO, old.verifying_key().unwrap()).unwrap();
        announce(&mut trusted, WHO, new.verifying_key().unwrap(), NOW).unwrap();
        assert!(speak(&trusted, &old) && speak(&trusted, &new));

        replace(&mut trusted, WHO, new.kid(), NOW).unwrap();
        assert!(speak(&trusted, &old) && speak(&trusted, &new));
        let early = retire(
            &mut trusted,
            WHO,
            Retirement::WhenItsWorkIsDone,
            NOW + outlives(WHO) - Duration::SECOND,
        );
        assert!(matches!(early, Err(RotationError::TooEarly { until, .. }) if until == NOW + outlives(WHO)));
        assert!(speak(&trusted, &old));

        let retired = retire(
            &mut trusted,
            WHO,
            Retirement::WhenItsWorkIsDone,
            NOW + outlives(WHO),
        );
        assert_eq!(retired, Ok(vec![old.kid().clone()]));
        assert!(!speak(&trusted, &old) && speak(&trusted, &new));
        assert!(trusted.find_for_record(old.kid().as_str(), NOW).is_some());
    }

    #[test]
    fn a_stolen_key_is_retired_at_once() {
        let (old, new) = (key(), key());
        let mut trusted = TrustedKeys::new();
        trusted.trust(WHO, old.verifying_key().unwrap()).unwrap();
        announce(&mut trusted, WHO, new.verifying_key().unwrap(), NOW).unwrap();
        replace(&mut trusted, WHO, new.kid(), NOW).unwrap();
        assert!(retire(&mut trusted, WHO, Retirement::AtOnce, NOW).is_ok());
        assert!(!speak(&trusted, &old));
    }

    #[test]
    fn nobody_signs_with_a_key_that_nobody_knows_and_the_only_key_is_not_retired() {
        let (old, new) = (key(), key());
        let mut trusted = TrustedKeys::new();
        trusted.trust(WHO, old.verifying_key().unwrap()).unwrap();
        let unknown = replace(&mut trusted, WHO, new.kid(), NOW);
        assert!(matches!(unknown, Err(RotationError::NotAnnounced { .. })));
        let nothing = retire(&mut trusted, WHO, Retirement::AtOnce, NOW);
        assert_eq!(nothing, Err(RotationError::NothingReplaced(WHO)));
        trusted
            .trust(Service::Executor, new.verifying_key().unwrap())
            .unwrap();
        let foreign = replace(&mut trusted, WHO, new.kid(), NOW);
        assert!(matches!(foreign, Err(RotationError::NotAnnounced { .. })));
    }

    #[test]
    fn saying_it_twice_changes_nothing() {
        let (old, new) = (key(), key());
        let mut trusted = TrustedKeys::new();
        trusted.trust(WHO, old.verifying_key().unwrap()).unwrap();
        for later in [NOW, NOW + Duration::HOUR] {
            announce(&mut trusted, WHO, new.verifying_key().unwrap(), later).unwrap();
            replace(&mut trusted, WHO, new.kid(), later).unwrap();
        }
        let states: Vec<_> = trusted
            .of(WHO)
            .iter()
            .map(crate::keys::ListedKey::state)
            .collect();
        assert_eq!(states, [KeyState::Replaced { at: NOW }, KeyState::Active]);
        assert_eq!(trusted.of(WHO)[1].since(), Some(NOW));
    }
}
