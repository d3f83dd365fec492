//! Who a process is: its own key, and whom it believes.

use common::Service;

use super::{KeyError, SigningKey, TrustedKeys};

/// Who this process is, and whom it believes.
pub struct Identity {
    service: Service,
    key: SigningKey,
    trusted: TrustedKeys,
}

impl Identity {
    /// Put the three together.
    ///
    /// # Errors
    /// [`KeyError::NotListed`] where the fleet would not believe this key: better said at start than as 401s later.
    pub fn new(service: Service, key: SigningKey, trusted: TrustedKeys) -> Result<Self, KeyError> {
        let identity = Self::unchecked(service, key, trusted);
        identity.believed().map(|()| identity)
    }

    /// The same, whether or not the fleet would believe it: for a service that already runs, whose list of others must
    /// be heeded even where it lacks the service itself. Ask [`believed`](Self::believed).
    pub fn unchecked(service: Service, key: SigningKey, trusted: TrustedKeys) -> Self {
        Self {
            service,
            key,
            trusted,
        }
    }

    /// Whether the fleet believes what it signs.
    ///
    /// # Errors
    /// [`KeyError::NotListed`].
    pub fn believed(&self) -> Result<(), KeyError> {
        match self.trusted.find(self.key.kid.as_str()) {
            Some((owner, _)) if owner == self.service => Ok(()),
            _ => Err(KeyError::NotListed {
                service: self.service,
                kid: self.key.kid.clone(),
            }),
        }
    }

    /// Who.
    pub fn service(&self) -> Service {
        self.service
    }

    /// What it signs with.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// Whom it believes.
    pub fn trusted(&self) -> &TrustedKeys {
        &self.trusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::generate(&mut rand::rng()).unwrap()
    }

    #[test]
    fn a_service_whose_key_nobody_trusts_does_not_start() {
        let key = key();
        let mut trusted = TrustedKeys::new();
        trusted
            .trust(Service::Delivery, key.verifying_key().unwrap())
            .unwrap();
        let identity = Identity::new(Service::Executor, key, trusted);
        assert!(matches!(identity, Err(KeyError::NotListed { .. })));
    }
}
