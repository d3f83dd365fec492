//! `firstline audit verify` of a database: every digest, link, end and seal.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use anyhow::Context;
use futures::TryStreamExt;
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::TrustedKeys;
use trust::audit::{Broken, Chain, Hash, Place, Seal, Walk};

use super::database::{self, Stored, StoredSeal};
use crate::exit::Ending;
use crate::migrate::owner;
use crate::terminal;

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    ok: bool,
    events: u64,
    chains: u64,
    seals: u64,
    /// Events after the last signed one of their chain: of the last few seconds, where the services run.
    unsealed: u64,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    oldest_unsealed: Option<OffsetDateTime>,
    /// Events from before there were chains: nothing is known of them.
    unchained: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
}

pub(super) async fn run(url: &str, trusted: &TrustedKeys, json: bool) -> anyhow::Result<Ending> {
    let mut connection = PgConnection::connect_with(&owner(url)?)
        .await
        .context("the database does not answer")?;
    let began = Instant::now();
    let report = check(&mut connection, trusted).await?;
    if json {
        terminal::line(&serde_json::to_string(&report)?);
    } else {
        tell(&report, began.elapsed().as_secs_f64());
    }
    Ok(if report.ok { Ending::Well } else { Ending::Findings })
}

/// How many events there are, all of them whole, or the first thing that is not.
pub(crate) async fn whole(
    connection: &mut PgConnection,
    trusted: &TrustedKeys,
) -> anyhow::Result<Result<u64, String>> {
    let report = check(connection, trusted).await?;
    Ok(report.broken.map_or(Ok(report.events), Err))
}

async fn check(connection: &mut PgConnection, trusted: &TrustedKeys) -> anyhow::Result<Report> {
    // One view of all of it: services go on writing.
    let mut transaction = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    let mut report = Report {
        unchained: database::unchained(&mut transaction).await?,
        ..Report::default()
    };
    let found = look(&mut transaction, trusted, &mut report).await?;
    report.ok = found.is_ok();
    report.broken = found.err();
    Ok(report)
}

/// The inner error is what is broken.
async fn look(
    connection: &mut PgConnection,
    trusted: &TrustedKeys,
    report: &mut Report,
) -> anyhow::Result<Result<(), String>> {
    let mut signed = match signed(connection, trusted, report).await? {
        Ok(signed) => signed,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut ends: HashMap<Chain, Place> = database::heads(connection).await?.into_iter().collect();
    report.chains = ends.len() as u64;
    let mut walk: Option<Follow> = None;
    let mut events = std::pin::pin!(database::events(connection));
    while let Some(stored) = events.try_next().await? {
        report.events += 1;
        let chain = stored.event.chain();
        if walk.as_ref().is_none_or(|walk| *walk.walk.chain() != chain) {
            if let Some(Err(broken)) = walk.take().map(|walk| walk.end(report)) {
                return Ok(Err(broken));
            }
            walk = Some(Follow {
                end: ends.remove(&chain),
                signed: signed.remove(&chain).unwrap_or_default(),
                since_signed: None,
                unsigned: 0,
                walk: Walk::from_start(chain),
            });
        }
        if let Some(Err(broken)) = walk.as_mut().map(|walk| walk.take(&stored)) {
            return Ok(Err(broken));
        }
    }
    if let Some(Err(broken)) = walk.map(|walk| walk.end(report)) {
        return Ok(Err(broken));
    }
    let gone = ends.into_keys().chain(signed.into_keys()).next();
    Ok(match gone {
        Some(chain) => Err(format!("{chain}: none of its events is there any more")),
        None => Ok(()),
    })
}

/// A chain being followed, and what is known of it beside its events.
struct Follow {
    walk: Walk,
    end: Option<Place>,
    signed: BTreeMap<u64, Hash>,
    unsigned: u64,
    since_signed: Option<OffsetDateTime>,
}

impl Follow {
    fn take(&mut self, stored: &Stored) -> Result<(), String> {
        let Stored {
            seq,
            event,
            digest,
            link,
        } = stored;
        let followed = self.walk.stored(*seq, event, *digest, *link);
        followed.map_err(|broken| self.told(&broken))?;
        if let Some(link) = self.signed.remove(seq) {
            let signed = self.walk.is_signed(Place { seq: *seq, link });
            signed.map_err(|broken| self.told(&broken))?;
            (self.unsigned, self.since_signed) = (0, None);
        } else {
            self.unsigned += 1;
            self.since_signed.get_or_insert(event.at);
        }
        Ok(())
    }

    fn end(self, report: &mut Report) -> Result<(), String> {
        if let Some(seq) = self.signed.keys().next_back() {
            let broken = Broken::Truncated {
                expected: *seq,
                found: self.walk.place().seq,
            };
            return Err(self.told(&broken));
        }
        let Some(end) = self.end else {
            return Err(format!("{}: its end is gone", self.walk.chain()));
        };
        self.walk.ends(end).map_err(|broken| self.told(&broken))?;
        report.unsealed += self.unsigned;
        report.oldest_unsealed = [report.oldest_unsealed, self.since_signed]
            .into_iter()
            .flatten()
            .min();
        Ok(())
    }

    fn told(&self, broken: &Broken) -> String {
        format!("{}: {broken}", self.walk.chain())
    }
}

type Signed = HashMap<Chain, BTreeMap<u64, Hash>>;

/// What was signed of each chain; the inner error is what is wrong with a seal.
async fn signed(
    connection: &mut PgConnection,
    trusted: &TrustedKeys,
    report: &mut Report,
) -> anyhow::Result<Result<Signed, String>> {
    let mut signed = Signed::new();
    let mut before: Option<(StoredSeal, Hash)> = None;
    let mut seals = std::pin::pin!(database::seals(connection));
    while let Some(stored) = seals.try_next().await? {
        report.seals += 1;
        let follows = before
            .as_ref()
            .filter(|(last, _)| (&last.tenant_id, &last.service) == (&stored.tenant_id, &stored.service));
        let (expected, link) = follows.map_or((1, Hash::NONE), |(last, digest)| (last.nth + 1, *digest));
        let seal = match sound(&stored, trusted, expected, link) {
            Ok(seal) => seal,
            Err(broken) => {
                let whose = format!("seal {} of {} ({})", stored.nth, stored.service, stored.tenant_id);
                return Ok(Err(format!("{whose}: {broken}")));
            }
        };
        for (chain, place) in seal.ends() {
            signed.entry(chain).or_default().insert(place.seq, place.link);
        }
        let digest = Seal::digest(&stored.seal);
        before = Some((stored, digest));
    }
    Ok(Ok(signed))
}

fn sound(stored: &StoredSeal, trusted: &TrustedKeys, expected: i64, before: Hash) -> Result<Seal, String> {
    if stored.nth != expected {
        return Err(format!("seal {expected} is missing"));
    }
    let seal = Seal::open(&stored.seal, trusted).map_err(|broken| broken.to_string())?;
    if seal.iss.name() != stored.service || seal.tenant.as_str() != stored.tenant_id {
        return Err("it is another service's, or another tenant's".to_owned());
    }
    if seal.before != before {
        return Err("it does not follow the seal before it".to_owned());
    }
    Ok(seal)
}

fn tell(report: &Report, seconds: f64) {
    if let Some(broken) = &report.broken {
        terminal::line(&format!("BROKEN  {broken}"));
        return;
    }
    // Far below 2^52: exact.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = report.events as f64 / seconds.max(0.001);
    terminal::line(&format!(
        "whole: {} events in {} chains, {} seals, {rate:.0} events a second",
        report.events, report.chains, report.seals
    ));
    if let Some(since) = report
        .oldest_unsealed
        .and_then(|since| since.format(&Rfc3339).ok())
    {
        terminal::line(&format!(
            "{} events are not sealed yet, the oldest of {since}: where that is more than a minute ago, a service does not run",
            report.unsealed
        ));
    }
    if report.unchained > 0 {
        terminal::line(&format!(
            "{} events are from before there were chains: nothing is known of them",
            report.unchained
        ));
    }
}
