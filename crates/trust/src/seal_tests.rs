//! Tests of sealed credentials: delivery reads them, in their own execution, in time; nobody else ever does.

use super::*;
use crate::fleet::FleetKeys;
use proptest::prelude::*;
use time::macros::datetime;
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-03-02 09:15 UTC);
const PASS: &str = "Tc5?vA9k\"\\+&<é";

struct World {
    executor: Identity,
    seal: SealKey,
    tenant: TenantId,
    ticket: TicketId,
    subject: UserId,
}

impl World {
    fn new() -> Self {
        let keys = FleetKeys::generate(&mut rand::rng()).unwrap();
        Self {
            executor: keys.into_identity(Service::Executor).unwrap(),
            seal: SealKey::generate(&mut rand::rng()),
            tenant: "default".parse().unwrap(),
            ticket: "4242".parse().unwrap(),
            subject: "5c0f1e2a".parse().unwrap(),
        }
    }

    fn binding(&self) -> Binding<'_> {
        Binding {
            tenant: &self.tenant,
            execution: ExecutionId(Uuid::from_u128(1)),
            ticket: &self.ticket,
            subject: &self.subject,
            purpose: Purpose::TemporaryAccessPass,
        }
    }

    fn sealed(&self) -> SealedCredential {
        let credential = Credential {
            secret: PASS.into(),
            destination: "+447700900123".into(),
            expires: NOW + Duration::HOUR,
        };
        seal(
            &credential,
            &self.binding(),
            &self.seal.public(),
            &self.executor,
            &mut rand::rng(),
        )
        .unwrap()
    }

    fn open(
        &self,
        sealed: &SealedCredential,
        binding: &Binding<'_>,
        now: OffsetDateTime,
    ) -> Result<OpenedCredential, SealError> {
        open(sealed, binding, &self.seal, self.executor.trusted(), now)
    }
}

#[test]
fn delivery_opens_what_the_executor_sealed() {
    let world = World::new();
    let opened = world.open(&world.sealed(), &world.binding(), NOW).ok().unwrap();
    assert_eq!(opened.secret().expose_secret(), PASS);
    assert_eq!(opened.destination().expose_secret(), "+447700900123");
    assert_eq!(opened.expires(), NOW + Duration::HOUR);
}

#[test]
fn the_sealed_text_shows_nothing_and_never_repeats() {
    let world = World::new();
    let (one, other) = (world.sealed(), world.sealed());
    assert_ne!(fingerprint(&one), fingerprint(&other));
    let payload = one.as_text().split('.').nth(1).unwrap().to_owned();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    for clear in ["Tc5?vA9k", "447700900123"] {
        assert!(
            !bytes
                .windows(clear.len())
                .any(|window| window == clear.as_bytes())
        );
        assert!(!format!("{one:?}{}", one.as_text()).contains(clear));
    }
}

#[test]
fn moved_to_another_tenant_execution_ticket_or_subject_it_is_unreadable() {
    let world = World::new();
    let sealed = world.sealed();
    let (tenant, subject) = ("other".parse().unwrap(), "another".parse().unwrap());
    let ticket = "4243".parse().unwrap();
    let honest = world.binding();
    for moved in [
        Binding {
            tenant: &tenant,
            ..honest
        },
        Binding {
            subject: &subject,
            ..honest
        },
        Binding {
            ticket: &ticket,
            ..honest
        },
        Binding {
            execution: ExecutionId(Uuid::from_u128(2)),
            ..honest
        },
    ] {
        assert_eq!(
            world.open(&sealed, &moved, NOW).err(),
            Some(SealError::Unreadable)
        );
    }
}

#[test]
fn another_key_cannot_open_it() {
    let world = World::new();
    let stranger = SealKey::generate(&mut rand::rng());
    let opened = open(
        &world.sealed(),
        &world.binding(),
        &stranger,
        world.executor.trusted(),
        NOW,
    );
    assert_eq!(opened.err(), Some(SealError::Unreadable));
}

#[test]
fn what_was_sealed_to_the_old_key_opens_until_the_old_key_is_dropped() {
    let mut world = World::new();
    let to_old = world.sealed();
    world.seal = world.seal.succeeded(&mut rand::rng());
    let to_new = world.sealed();
    // As delivery reads it from its file, with both keys in it.
    world.seal = SealKey::from_pem(world.seal.to_pem().as_bytes()).unwrap();
    assert_eq!(world.seal.publics().count(), 2);
    for sealed in [&to_old, &to_new] {
        assert!(world.open(sealed, &world.binding(), NOW).is_ok());
    }
    world.seal = world.seal.without_older();
    assert!(world.open(&to_new, &world.binding(), NOW).is_ok());
    let shut = world.open(&to_old, &world.binding(), NOW);
    assert_eq!(shut.err(), Some(SealError::Unreadable));
}

#[test]
fn an_expired_credential_stays_shut_and_so_does_an_eternal_one() {
    let world = World::new();
    let sealed = world.sealed();
    let at = |now| world.open(&sealed, &world.binding(), now).err();
    assert_eq!(at(NOW + Duration::HOUR - Duration::SECOND), None);
    assert_eq!(at(NOW + Duration::HOUR), Some(SealError::Expired));
    assert_eq!(at(NOW - LONGEST_LIFE), Some(SealError::Malformed));
}

#[test]
fn nobody_but_the_executor_seals() {
    let world = World::new();
    let keys = FleetKeys::generate(&mut rand::rng()).unwrap();
    let trusted = keys.trusted().unwrap();
    let orchestration = keys.into_identity(Service::Orchestration).unwrap();
    let credential = Credential {
        secret: "call this number".into(),
        destination: "+447700900999".into(),
        expires: NOW + Duration::HOUR,
    };
    let attempt = seal(
        &credential,
        &world.binding(),
        &world.seal.public(),
        &orchestration,
        &mut rand::rng(),
    );
    assert_eq!(attempt.err(), Some(SealError::WrongIssuer));
    // A hostile one does not ask our code: it takes the payload and signs it itself.
    let payload = world.sealed().as_text().split('.').nth(1).unwrap().to_owned();
    let payload = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    let forged = jws::sign(orchestration.signing_key(), TYP, &payload).unwrap();
    let opened = open(
        &SealedCredential::from_text(forged),
        &world.binding(),
        &world.seal,
        &trusted,
        NOW,
    );
    assert_eq!(opened.err(), Some(SealError::WrongIssuer));
}

#[test]
fn keys_survive_their_files_and_other_kinds_of_keys_do_not_pass() {
    let world = World::new();
    let read = SealKey::from_pem(world.seal.to_pem().as_bytes()).ok().unwrap();
    let opened = open(
        &world.sealed(),
        &world.binding(),
        &read,
        world.executor.trusted(),
        NOW,
    );
    assert_eq!(opened.ok().unwrap().secret().expose_secret(), PASS);
    let signing = world.executor.signing_key().to_pem().unwrap();
    assert_eq!(
        SealKey::from_pem(signing.as_bytes()).err(),
        Some(KeyError::WrongKind("X25519"))
    );
    assert!(SealPublicKey::from_pem(world.seal.to_pem().as_bytes()).is_err());
    assert!(SealKey::from_pem(b"").is_err());
}

proptest! {
    #[test]
    fn no_changed_character_survives(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
        let world = World::new();
        let sealed = world.sealed();
        let mut text = sealed.as_text().to_owned();
        let at = at.index(text.len());
        text.replace_range(at..=at, &with);
        prop_assume!(text != sealed.as_text());
        let changed = SealedCredential::from_text(text);
        prop_assert!(world.open(&changed, &world.binding(), NOW).is_err());
    }

    // The signature alone would catch those above; this looks at the encryption by itself.
    #[test]
    fn no_flipped_bit_survives_even_when_the_executor_signs_it(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let world = World::new();
        let payload = world.sealed().as_text().split('.').nth(1).unwrap().to_owned();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let mut payload = base64::Engine::decode(&engine, payload).unwrap();
        let at = at.index(payload.len());
        // X25519 ignores the top bit of a point (RFC 7748, section 5), but HPKE hashes the bytes as sent.
        payload[at] ^= 1 << bit;
        let signed = jws::sign(world.executor.signing_key(), TYP, &payload).unwrap();
        let opened = world.open(&SealedCredential::from_text(signed), &world.binding(), NOW);
        prop_assert_eq!(opened.err(), Some(SealError::Unreadable));
    }

    #[test]
    fn any_secret_comes_back_as_it_was(secret in ".{0,60}") {
        let world = World::new();
        let credential = Credential {
            secret: secret.as_str().into(),
            destination: "+447700900123".into(),
            expires: NOW + Duration::HOUR,
        };
        let sealed = seal(&credential, &world.binding(), &world.seal.public(), &world.executor, &mut rand::rng()).unwrap();
        let opened = world.open(&sealed, &world.binding(), NOW).ok().unwrap();
        prop_assert_eq!(opened.secret().expose_secret(), secret.as_str());
    }
}
