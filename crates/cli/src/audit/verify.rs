//! `firstline audit verify` of a database: every digest, link, end and seal.

use std::time::Instant;

use anyhow::Context;
use futures::TryStreamExt;
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::TrustedKeys;
use trust::audit::{Broken, Chain, Hash, Place, Seal, Walk};

use super::database::{self, Row, Stored, StoredSeal};
use super::signed::{Signed, Sorted, Sorter};
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
    let signed = match signed(connection, trusted, report).await? {
        Ok(signed) => signed,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut chains = Chains {
        signed,
        following: None,
        report,
    };
    // One row at a time, each chain after the other: however long the record is, no more of it is here.
    let mut rows = std::pin::pin!(database::chains(connection));
    while let Some(row) = rows.try_next().await? {
        if let Err(broken) = chains.take(row)? {
            return Ok(Err(broken));
        }
    }
    chains.end()
}

/// The chains one after the other, in the order of [`Signed`].
struct Chains<'r> {
    signed: Sorted,
    following: Option<Follow>,
    report: &'r mut Report,
}

/// A chain being followed, and what is known of it beside its events.
struct Follow {
    walk: Walk,
    end: Option<Place>,
    unsigned: u64,
    since_signed: Option<OffsetDateTime>,
}

impl Chains<'_> {
    /// The inner error is what is broken, as everywhere here.
    fn take(&mut self, row: Row) -> anyhow::Result<Result<(), String>> {
        let chain = match &row {
            Row::Event(stored) => stored.event.chain(),
            Row::End(chain, _) => chain.clone(),
        };
        if self
            .following
            .as_ref()
            .is_none_or(|follow| *follow.walk.chain() != chain)
            && let Err(broken) = self.turn_to(chain)?
        {
            return Ok(Err(broken));
        }
        let Some(follow) = &mut self.following else {
            return Ok(Ok(()));
        };
        match row {
            Row::End(_, end) => follow.end = Some(end),
            Row::Event(stored) => {
                self.report.events += 1;
                return follow.take(&stored, &mut self.signed);
            }
        }
        Ok(Ok(()))
    }

    /// Whatever came before is over.
    fn turn_to(&mut self, chain: Chain) -> anyhow::Result<Result<(), String>> {
        if let Err(broken) = self.leave()? {
            return Ok(Err(broken));
        }
        let first = Signed::of(
            &chain,
            Place {
                seq: 0,
                link: Hash::NONE,
            },
        );
        if let Some(passed) = self.signed.next_if(|signed| *signed < first)? {
            return Ok(Err(gone(&passed.chain()?)));
        }
        self.report.chains += 1;
        self.following = Some(Follow {
            end: None,
            unsigned: 0,
            since_signed: None,
            walk: Walk::from_start(chain),
        });
        Ok(Ok(()))
    }

    fn leave(&mut self) -> anyhow::Result<Result<(), String>> {
        match self.following.take() {
            Some(follow) => follow.end(&mut self.signed, self.report),
            None => Ok(Ok(())),
        }
    }

    fn end(&mut self) -> anyhow::Result<Result<(), String>> {
        if let Err(broken) = self.leave()? {
            return Ok(Err(broken));
        }
        Ok(match self.signed.peek() {
            Some(signed) => Err(gone(&signed.chain()?)),
            None => Ok(()),
        })
    }
}

fn gone(chain: &Chain) -> String {
    format!("{chain}: none of its events is there any more")
}

impl Follow {
    fn take(&mut self, stored: &Stored, signed: &mut Sorted) -> anyhow::Result<Result<(), String>> {
        let Stored {
            seq,
            event,
            digest,
            link,
        } = stored;
        if let Err(broken) = self.walk.stored(*seq, event, *digest, *link) {
            return Ok(Err(self.told(&broken)));
        }
        self.unsigned += 1;
        self.since_signed.get_or_insert(event.at);
        while let Some(place) =
            signed.next_if(|signed| signed.is_of(self.walk.chain()) && signed.place().seq <= *seq)?
        {
            if let Err(broken) = self.walk.is_signed(place.place()) {
                return Ok(Err(self.told(&broken)));
            }
            (self.unsigned, self.since_signed) = (0, None);
        }
        Ok(Ok(()))
    }

    fn end(self, signed: &mut Sorted, report: &mut Report) -> anyhow::Result<Result<(), String>> {
        let found = self.walk.place().seq;
        let mut signed_until = None;
        while let Some(place) = signed.next_if(|signed| signed.is_of(self.walk.chain()))? {
            signed_until = Some(place.place().seq);
        }
        if found == 0 {
            return Ok(Err(gone(self.walk.chain())));
        }
        if let Some(expected) = signed_until {
            return Ok(Err(self.told(&Broken::Truncated { expected, found })));
        }
        let Some(end) = self.end else {
            return Ok(Err(format!("{}: its end is gone", self.walk.chain())));
        };
        if let Err(broken) = self.walk.ends(end) {
            return Ok(Err(self.told(&broken)));
        }
        report.unsealed += self.unsigned;
        report.oldest_unsealed = [report.oldest_unsealed, self.since_signed]
            .into_iter()
            .flatten()
            .min();
        Ok(Ok(()))
    }

    fn told(&self, broken: &Broken) -> String {
        format!("{}: {broken}", self.walk.chain())
    }
}

/// What was signed of each chain; the inner error is what is wrong with a seal.
async fn signed(
    connection: &mut PgConnection,
    trusted: &TrustedKeys,
    report: &mut Report,
) -> anyhow::Result<Result<Sorted, String>> {
    let mut signed = Sorter::default();
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
            signed.add(Signed::of(&chain, place))?;
        }
        let digest = Seal::digest(&stored.seal);
        before = Some((stored, digest));
    }
    Ok(Ok(signed.sorted()?))
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
