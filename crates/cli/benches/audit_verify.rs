//! `firstline audit verify` over a large record: the whole command as an auditor runs it, reading from Postgres included.
//!
//! `cargo bench -p firstline --bench audit_verify [-- EVENTS]`, 1,000,000 where nothing is said. The record is that of
//! tickets as a fleet writes it: events of 64 tickets at a time between each other, the ends of their chains signed when
//! they are through. A tenth of it is checked first: what is used then and later must be the same, or the command would
//! need more memory the longer a fleet runs. Must reach: 50,000 events a second.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Service, TenantId};
use launcher::testing::TestKeys;
use launcher::{Database, Servers};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use trust::Identity;
use trust::audit::{Chain, Event, HEADS_IN_SEAL, Hash, Head, Place, Seal};
use uuid::Uuid;

const AT_ONCE: usize = 64;
const START: OffsetDateTime = datetime!(2026-01-05 08:00 UTC);
const MUST_REACH: f64 = 50_000.0;

/// What is written of a ticket whose password is reset, in this order.
const STORY: [(Service, &str); 20] = [
    (Service::Classifier, "decision.recorded"),
    (Service::Orchestration, "execution.accepted"),
    (Service::Orchestration, "step.called"),
    (Service::Verification, "verification.asked"),
    (Service::Verification, "verification.push_sent"),
    (Service::Verification, "verification.answered"),
    (Service::Verification, "verification.ended"),
    (Service::Verification, "permit.issued"),
    (Service::Orchestration, "signal.received"),
    (Service::Orchestration, "step.ended"),
    (Service::Orchestration, "step.called"),
    (Service::Executor, "permit.spent"),
    (Service::Executor, "effect.intended"),
    (Service::Executor, "effect.done"),
    (Service::Orchestration, "step.ended"),
    (Service::Orchestration, "step.called"),
    (Service::Delivery, "delivery.intended"),
    (Service::Delivery, "delivery.done"),
    (Service::Orchestration, "ticket_update.sent"),
    (Service::Orchestration, "execution.ended"),
];

#[tokio::main]
async fn main() {
    let events = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let events: usize = events.unwrap_or(1_000_000);
    let servers = Servers::measured(&|text| println!("{text}")).await.unwrap();
    let database = Database::on(&servers).await.unwrap();
    let keys = TestKeys::fresh();
    let mut record = Record::new(&keys);
    let url = servers.owner_url(launcher::database::NAME);
    let mut before = None;
    for share in [events / 10, events] {
        record.write_until(&database.owner, share).await;
        sqlx::query("VACUUM ANALYZE audit_events, audit_heads, audit_seals")
            .execute(&database.owner)
            .await
            .unwrap();
        let Run { took, peak_kib, told } = run(url.as_str(), &keys);
        assert_eq!(
            (&told["ok"], &told["events"]),
            (&json!(true), &json!(record.events)),
            "{told}"
        );
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = record.events as f64 / seconds;
        let verdict = if rate > MUST_REACH { "holds" } else { "missed" };
        println!(
            "{} events in {} chains, {} seals: {seconds:.2} s, {rate:.0} events a second ({verdict}), at most {} MiB",
            record.events,
            told["chains"],
            told["seals"],
            peak_kib / 1024
        );
        if let Some(before) = before.replace(peak_kib) {
            println!(
                "ten times the events took {} KiB more memory",
                peak_kib.saturating_sub(before)
            );
        }
    }
}

struct Run {
    took: Duration,
    peak_kib: u64,
    told: Value,
}

/// The command, from its start to its end, in a process of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody tells of a new peak: it is looked at until there is no process"
)]
fn run(url: &str, keys: &TestKeys) -> Run {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_firstline"))
        .args(["audit", "verify", "--json"])
        .env("DATABASE_URL", url)
        .env("TRUSTED_KEYS_FILE", keys.file("trusted.json"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        peak_kib = peak_of(&child).unwrap_or(peak_kib);
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    let output = child.wait_with_output().unwrap();
    Run {
        took,
        peak_kib,
        told: serde_json::from_slice(&output.stdout).unwrap(),
    }
}

/// The most memory that a process ever had in use; nothing once it is gone.
fn peak_of(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.split_whitespace().next()?.parse().ok()
}

/// What is being written.
struct Record {
    tenant: TenantId,
    identities: BTreeMap<&'static str, Identity>,
    events: usize,
    tickets: usize,
    /// The last seal of each service, and how many there are.
    sealed: BTreeMap<&'static str, (i64, Hash)>,
    /// Where the chains of what belongs to no execution stand.
    common: BTreeMap<&'static str, Place>,
}

impl Record {
    fn new(keys: &TestKeys) -> Self {
        Self {
            tenant: "default".parse().unwrap(),
            identities: Service::ALL
                .map(|service| (service.name(), keys.identity(service)))
                .into(),
            events: 0,
            tickets: 0,
            sealed: BTreeMap::new(),
            common: BTreeMap::new(),
        }
    }

    async fn write_until(&mut self, owner: &PgPool, events: usize) {
        while self.events < events {
            self.write_some(owner).await;
        }
    }

    /// A few tickets, from their decisions to their ends, and the seals over them.
    async fn write_some(&mut self, owner: &PgPool) {
        let mut rows = Rows::default();
        let mut ends: BTreeMap<Chain, Place> = BTreeMap::new();
        for (service, kind) in STORY {
            for ticket in self.tickets..self.tickets + AT_ONCE {
                let event = self.event(service, kind, ticket);
                let (chain, digest) = (event.chain(), event.digest().unwrap());
                let start = Place {
                    seq: 0,
                    link: Hash::NONE,
                };
                let end = match chain.execution {
                    None => self.common.entry(service.name()).or_insert(start),
                    Some(_) => ends.entry(chain.clone()).or_insert(start),
                };
                *end = Place {
                    seq: end.seq + 1,
                    link: end.link.then(digest),
                };
                let end = *end;
                ends.insert(chain, end);
                rows.push(&event, digest, end);
                self.events += 1;
            }
        }
        self.tickets += AT_ONCE;
        let mut transaction = owner.begin().await.unwrap();
        rows.insert(&mut transaction).await;
        for (service, identity) in &self.identities {
            let chains: Vec<(&Chain, &Place)> = ends
                .iter()
                .filter(|(chain, _)| chain.service.name() == *service)
                .collect();
            for some in chains.chunks(HEADS_IN_SEAL) {
                let (nth, before) = self.sealed.get(service).copied().unwrap_or((0, Hash::NONE));
                let text = seal(&self.tenant, identity, before, some);
                let digest = Seal::digest(&text);
                insert_seal(&mut transaction, nth + 1, (service, &text, digest), some).await;
                self.sealed.insert(service, (nth + 1, digest));
            }
        }
        transaction.commit().await.unwrap();
    }

    fn event(&self, service: Service, kind: &str, ticket: usize) -> Event {
        let nth = u128::try_from(self.events).unwrap();
        let execution =
            Uuid::from_u128(0x01a2_0001_0000_7000_8000_0000_0000_0000 + u128::try_from(ticket).unwrap());
        let at = START + Duration::from_micros(u64::try_from(self.events).unwrap() * 1_700);
        Event {
            tenant: self.tenant.clone(),
            service,
            id: Uuid::from_u128(0x01a2_0000_0000_7000_8000_0000_0000_0000 + nth),
            ticket: Some(ticket.to_string()),
            execution: (service != Service::Classifier).then_some(execution),
            kind: kind.to_owned(),
            actor: format!("service:{service}"),
            detail: json!({
                "subject": "5c0f1e2a-0000-4000-8000-00000000000a", "step": "verify_mfa", "visit": 1, "confidence": 0.93,
                "authorizes": "executor.reset_password", "approver": null, "positions": [nth, nth + 1],
                "text": Hash::of(&nth.to_be_bytes()), "blockers": [],
            }),
            at,
        }
    }
}

fn seal(tenant: &TenantId, identity: &Identity, before: Hash, ends: &[(&Chain, &Place)]) -> String {
    let heads = ends.iter().map(|(chain, end)| Head {
        execution: chain.execution,
        seq: end.seq,
        link: end.link,
    });
    let seal = Seal {
        iss: identity.service(),
        tenant: tenant.clone(),
        iat: OffsetDateTime::now_utc().unix_timestamp(),
        before,
        heads: heads.collect(),
    };
    seal.sign(identity).unwrap()
}

/// The ends of the chains, and the seal over them.
async fn insert_seal(
    connection: &mut sqlx::PgConnection,
    nth: i64,
    (service, text, digest): (&str, &str, Hash),
    ends: &[(&Chain, &Place)],
) {
    let chains: Vec<Uuid> = ends
        .iter()
        .map(|(chain, _)| chain.execution.unwrap_or_default())
        .collect();
    let places: Vec<i64> = ends
        .iter()
        .map(|(_, end)| i64::try_from(end.seq).unwrap())
        .collect();
    let links: Vec<Vec<u8>> = ends.iter().map(|(_, end)| end.link.0.to_vec()).collect();
    sqlx::query(
        "INSERT INTO audit_heads (tenant_id, service, chain, seq, link, before, fresh, sealed)
         SELECT 'default', $1, chain, seq, link, link, ARRAY[link], true
         FROM UNNEST($2::uuid[], $3::bigint[], $4::bytea[]) AS ends (chain, seq, link)
         ON CONFLICT (tenant_id, service, chain) DO UPDATE SET seq = EXCLUDED.seq, link = EXCLUDED.link",
    )
    .bind(service)
    .bind(&chains)
    .bind(places)
    .bind(links)
    .execute(&mut *connection)
    .await
    .unwrap();
    sqlx::query("INSERT INTO audit_seals (tenant_id, service, nth, seal, digest, chains) VALUES ('default', $1, $2, $3, $4, $5)")
        .bind(service)
        .bind(nth)
        .bind(text)
        .bind(digest.0.to_vec())
        .bind(chains)
        .execute(connection)
        .await
        .unwrap();
}

/// Events by column.
#[derive(Default)]
struct Rows {
    services: Vec<&'static str>,
    ids: Vec<Uuid>,
    tickets: Vec<Option<String>>,
    executions: Vec<Option<Uuid>>,
    kinds: Vec<String>,
    actors: Vec<String>,
    details: Vec<Value>,
    at: Vec<OffsetDateTime>,
    places: Vec<i64>,
    digests: Vec<Vec<u8>>,
    links: Vec<Vec<u8>>,
}

impl Rows {
    fn push(&mut self, event: &Event, digest: Hash, end: Place) {
        self.services.push(event.service.name());
        self.ids.push(event.id);
        self.tickets.push(event.ticket.clone());
        self.executions.push(event.execution);
        self.kinds.push(event.kind.clone());
        self.actors.push(event.actor.clone());
        self.details.push(event.detail.clone());
        self.at.push(event.at);
        self.places.push(i64::try_from(end.seq).unwrap());
        self.digests.push(digest.0.to_vec());
        self.links.push(end.link.0.to_vec());
    }

    async fn insert(self, connection: &mut sqlx::PgConnection) {
        sqlx::query(
            "INSERT INTO audit_events (tenant_id, service, id, ticket_id, execution_id, kind, actor, detail, at, seq, digest, link)
             SELECT 'default', *
             FROM UNNEST($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::jsonb[],
                         $8::timestamptz[], $9::bigint[], $10::bytea[], $11::bytea[])",
        )
        .bind(self.services)
        .bind(self.ids)
        .bind(self.tickets)
        .bind(self.executions)
        .bind(self.kinds)
        .bind(self.actors)
        .bind(self.details)
        .bind(self.at)
        .bind(self.places)
        .bind(self.digests)
        .bind(self.links)
        .execute(connection)
        .await
        .unwrap();
    }
}
