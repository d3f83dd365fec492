//! What an effect uses up: a place of its person's, of the phone number's that its credential goes to, and of the
//! tenant's.

use chassis::tripwires::{self, Alarm};
use chassis::{AuditEvent, switches};
use common::clock;
use common::velocity::{Limited, Place};
use common::{TenantId, UserId};
use connectors::PhoneNumber;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use sqlx::PgConnection;

use crate::settings::Tripwires;

chassis::windows_table!(
    /// The executor's own.
    EffectWindows,
    "effect_windows"
);

/// The limits, and what makes a phone number unreadable.
pub(crate) struct Limits {
    tripwires: Tripwires,
    /// The secret of our app registration, which the database never sees. With a new one, numbers count anew.
    key: SecretString,
}

impl Limits {
    pub(crate) const fn new(tripwires: Tripwires, key: SecretString) -> Self {
        Self { tripwires, key }
    }

    /// The windows in which a credential for `subject`, sent to `destination`, counts.
    pub(super) fn places(
        &self,
        tenant: &TenantId,
        subject: &UserId,
        destination: &PhoneNumber,
    ) -> Vec<Place> {
        let Tripwires {
            per_subject,
            per_destination,
            per_tenant,
            refusals: _,
        } = self.tripwires;
        let number = self.pseudonym(tenant, destination);
        [
            Place::of(Limited::Subject, subject.as_str(), per_subject),
            Place::of(Limited::Destination, &number, per_destination),
            Place::of(Limited::Tenant, tenant.as_str(), per_tenant),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What is kept of a number: enough to count, not enough to call.
    fn pseudonym(&self, tenant: &TenantId, number: &PhoneNumber) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        for part in ["firstline/destination", tenant.as_str(), number.as_e164()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        hex::encode(mac.finalize().into_bytes())
    }

    /// Count a proof that does not hold; where it is one too many, freeze the tenant.
    pub(super) async fn alarm(
        &self,
        connection: &mut PgConnection,
        tenant: &TenantId,
    ) -> Result<Option<(AuditEvent, Alarm)>, sqlx::Error> {
        let limit = self.tripwires.refusals;
        let Some(place) = Place::of(Limited::Refusals, tenant.as_str(), limit) else {
            return Ok(None);
        };
        let mut windows = tripwires::open::<EffectWindows>(connection, tenant, [&place]).await?;
        let too_many = windows.alarm(&place, clock::fresh_id(), clock::now());
        tripwires::keep::<EffectWindows>(connection, tenant, &windows).await?;
        if !too_many {
            return Ok(None);
        }
        let limited = place.limited;
        let alarm = Alarm { limited, limit };
        let frozen = switches::freeze(connection, tenant, alarm).await?;
        Ok(frozen.map(|event| (event, alarm)))
    }
}

#[cfg(test)]
mod tests {
    use common::velocity::Limit;

    use super::*;

    fn limits(key: &str) -> Limits {
        let one = Limit::new(1, 60);
        let tripwires = Tripwires {
            per_subject: one,
            per_destination: one,
            per_tenant: Limit::OFF,
            refusals: one,
        };
        Limits::new(tripwires, key.into())
    }

    #[test]
    fn a_number_counts_as_a_digest_that_depends_on_the_key_and_the_tenant() {
        let number: PhoneNumber = "+447700900102".parse().unwrap();
        let other: PhoneNumber = "+447700900103".parse().unwrap();
        let of = |key: &str, tenant: &str, number: &PhoneNumber| {
            let places = limits(key).places(&tenant.parse().unwrap(), &"a".parse().unwrap(), number);
            assert_eq!(places.len(), 2, "what is off counts nowhere");
            places[1].key.clone()
        };
        let kept = of("secret", "contoso", &number);
        assert!(kept.len() == 64 && !kept.contains("7700900102"), "{kept}");
        assert_eq!(kept, of("secret", "contoso", &number));
        for different in [
            of("other", "contoso", &number),
            of("secret", "fabrikam", &number),
            of("secret", "contoso", &other),
        ] {
            assert_ne!(kept, different);
        }
    }
}
