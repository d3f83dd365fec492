//! The keys of a whole fleet, made at once: what `firstline keys init DIR` writes.

use std::collections::BTreeMap;

use common::Service;
use rand::CryptoRng;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::keys::{Identity, KeyError, SigningKey, TrustedKeys};
use crate::seal::SealKey;

/// A key per service and delivery's key pair for sealed credentials.
pub struct FleetKeys {
    services: BTreeMap<Service, SigningKey>,
    seal: SealKey,
}

/// One file of a key directory.
pub struct KeyFile {
    /// `{service}.key`, `trusted.json`, `seal.key` or `seal.pub`.
    pub name: String,
    /// What to write.
    pub contents: Zeroizing<String>,
    /// Only its owner may read it (mode 0600).
    pub secret: bool,
}

impl FleetKeys {
    /// Fresh keys throughout.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<Self, KeyError> {
        let mut services = BTreeMap::new();
        for service in Service::ALL {
            services.insert(service, SigningKey::generate(rng)?);
        }
        let seal = SealKey::generate(rng);
        Ok(Self { services, seal })
    }

    /// The key of one service.
    pub fn signing_key(&self, service: Service) -> Option<&SigningKey> {
        self.services.get(&service)
    }

    /// Delivery's key for sealed credentials.
    pub fn seal_key(&self) -> &SealKey {
        &self.seal
    }

    /// Everybody's public key.
    pub fn trusted(&self) -> Result<TrustedKeys, KeyError> {
        let mut trusted = TrustedKeys::new();
        for (service, key) in &self.services {
            trusted.trust(*service, key.verifying_key()?)?;
        }
        Ok(trusted)
    }

    /// The same, saying that they were made at `now`.
    fn trusted_from(&self, now: OffsetDateTime) -> Result<TrustedKeys, KeyError> {
        let mut trusted = TrustedKeys::new();
        for (service, key) in &self.services {
            trusted.trust_from(*service, key.verifying_key()?, now)?;
        }
        Ok(trusted)
    }

    /// Keep the one identity, drop the other keys.
    pub fn into_identity(mut self, service: Service) -> Result<Identity, KeyError> {
        let trusted = self.trusted()?;
        let key = self.services.remove(&service).ok_or(KeyError::NotMade)?;
        Identity::new(service, key, trusted)
    }

    /// The nine files, of keys that were made at `now`.
    pub fn files(&self, now: OffsetDateTime) -> Result<Vec<KeyFile>, KeyError> {
        let mut files = Vec::new();
        let mut add = |name: String, contents, secret| {
            files.push(KeyFile {
                name,
                contents,
                secret,
            });
        };
        for (service, key) in &self.services {
            add(format!("{service}.key"), key.to_pem()?, true);
        }
        let trusted = Zeroizing::new(self.trusted_from(now)?.to_json());
        add("trusted.json".to_owned(), trusted, false);
        add("seal.key".to_owned(), self.seal.to_pem(), true);
        add("seal.pub".to_owned(), self.seal.public().to_pem(), false);
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SealPublicKey;
    use time::macros::datetime;

    #[test]
    fn the_nine_files_of_a_fleet_read_back_and_only_the_private_ones_are_secret() {
        let keys = FleetKeys::generate(&mut rand::rng()).unwrap();
        let files = keys.files(datetime!(2026-03-02 09:15 UTC)).unwrap();
        let names: Vec<_> = files
            .iter()
            .map(|file| (file.name.as_str(), file.secret))
            .collect();
        assert_eq!(
            names,
            [
                ("classifier.key", true),
                ("playbook.key", true),
                ("orchestration.key", true),
                ("verification.key", true),
                ("executor.key", true),
                ("delivery.key", true),
                ("trusted.json", false),
                ("seal.key", true),
                ("seal.pub", false),
            ]
        );
        let file = |name: &str| {
            files
                .iter()
                .find(|file| file.name == name)
                .unwrap()
                .contents
                .as_bytes()
        };
        let trusted = TrustedKeys::from_json(file("trusted.json")).unwrap();
        for service in Service::ALL {
            let key = SigningKey::from_pem(file(&format!("{service}.key"))).unwrap();
            assert!(Identity::new(service, key, trusted.clone()).is_ok());
        }
        let seal = SealKey::from_pem(file("seal.key")).unwrap();
        let public = SealPublicKey::from_pem(file("seal.pub")).unwrap();
        assert!(seal.public() == public);
    }
}
