//! What trust costs: a service token, a permit and a sealed credential, made and checked; an event of the audit, checked.
//!
//! `cargo bench -p trust`. Must reach: permit issue + check under 200 µs, seal + open under 500 µs, 50,000 events of the audit
//! checked a second.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::hint::black_box;

use common::{Assurance, ExecutionId, PermitId, Service, TenantId, UserId, Values};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use trust::audit::{Event, Hash, Walk};
use trust::{
    Binding, Credential, Expected, FleetKeys, Identity, Method, Permit, PermitClaims, Purpose, SealKey,
    parameters_digest,
};
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-03-02 09:15 UTC);

/// A whole fleet: the checks look a key up among those of six services.
fn identity(service: Service) -> Identity {
    FleetKeys::generate(&mut rand::rng())
        .unwrap()
        .into_identity(service)
        .unwrap()
}

fn parameters() -> Values {
    let json = serde_json::json!({"lifetime_minutes": 60});
    json.as_object().unwrap().clone()
}

fn token(c: &mut Criterion) {
    let orchestration = identity(Service::Orchestration);
    let body = vec![b'x'; 2048];
    c.bench_function("service token, issue + check", |b| {
        b.iter(|| {
            let token = trust::token::issue(&orchestration, "executor", &body, NOW, Uuid::nil()).unwrap();
            trust::token::verify(black_box(&token), "executor", &body, orchestration.trusted(), NOW).unwrap()
        });
    });
}

fn permit(c: &mut Criterion) {
    let verification = identity(Service::Verification);
    let parameters = parameters();
    let claims = PermitClaims {
        id: PermitId(Uuid::from_u128(7)),
        tenant: "default".parse().unwrap(),
        execution: ExecutionId(Uuid::from_u128(1)),
        ticket: "4242".parse().unwrap(),
        subject: "5c0f1e2a-0000-4000-8000-00000000000a".parse().unwrap(),
        action: "executor.reset_password".parse().unwrap(),
        step: "reset_password".parse().unwrap(),
        parameters: parameters_digest(&parameters),
        assurance: Assurance::Substantial,
        method: Method::MfaPush,
        approver: None,
        shown: None,
        issued: NOW,
        expires: NOW + trust::permit::LIFETIME,
    };
    let expected = Expected {
        tenant: &claims.tenant,
        execution: claims.execution,
        ticket: &claims.ticket,
        subject: &claims.subject,
        action: &claims.action,
        step: &claims.step,
        parameters: &parameters,
        at_least: Assurance::Substantial,
    };
    c.bench_function("permit, issue + check", |b| {
        b.iter(|| {
            let token = Permit::issue(black_box(&claims), &verification).unwrap();
            Permit::verify(&token, &expected, verification.trusted(), NOW).unwrap()
        });
    });
}

fn seal(c: &mut Criterion) {
    let executor = identity(Service::Executor);
    let (tenant, subject): (TenantId, UserId) = ("default".parse().unwrap(), "5c0f1e2a".parse().unwrap());
    let ticket = "4242".parse().unwrap();
    let binding = Binding {
        tenant: &tenant,
        execution: ExecutionId(Uuid::from_u128(1)),
        ticket: &ticket,
        subject: &subject,
        purpose: Purpose::TemporaryAccessPass,
    };
    let one = SealKey::generate(&mut rand::rng());
    let old = one.public();
    // As while the key is replaced: what was sealed to the old one is tried with the new one first.
    let two = one.succeeded(&mut rand::rng());
    let new = two.public();
    for (name, to) in [
        ("seal + open", &new),
        ("seal + open, sealed to the replaced key", &old),
    ] {
        c.bench_function(name, |b| {
            b.iter(|| {
                let credential = Credential {
                    secret: "Tc5?vA9kTc5?vA9k".into(),
                    destination: "+447700900123".into(),
                    expires: NOW + Duration::HOUR,
                };
                let sealed =
                    trust::seal::seal(&credential, &binding, to, &executor, &mut rand::rng()).unwrap();
                trust::seal::open(black_box(&sealed), &binding, &two, executor.trusted(), NOW).unwrap()
            });
        });
    }
}

/// One event of a chain, read and checked: what `firstline audit verify` does for each.
fn audit(c: &mut Criterion) {
    let event = Event {
        tenant: "default".parse().unwrap(),
        service: Service::Verification,
        id: Uuid::from_u128(7),
        ticket: Some("4242".to_owned()),
        execution: Some(Uuid::from_u128(1)),
        kind: "verification.asked".to_owned(),
        actor: "service:verification".to_owned(),
        detail: serde_json::json!({
            "subject": "5c0f1e2a-0000-4000-8000-00000000000a", "step": "verify_mfa", "visit": 1,
            "authorizes": "executor.reset_password", "approver": null, "shown": null,
        }),
        at: NOW,
    };
    let link = Hash::NONE.then(event.digest().unwrap());
    let mut group = c.benchmark_group("audit");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one event, checked", |b| {
        b.iter(|| {
            let mut walk = Walk::from_start(event.chain());
            walk.event(1, black_box(&event), link).unwrap();
            walk
        });
    });
    group.finish();
}

criterion_group!(benches, token, permit, seal, audit);
criterion_main!(benches);
