//! `firstline audit verify` of a database: every digest, link, end and seal.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context;
use common::Service;
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::TrustedKeys;
use trust::audit::{Broken, Chain, Hash, Place, Seal, Walk};

use super::database::{self, Row, Stored, StoredSeal};
use super::signed::{Signed, Sorted, Sorter};
use super::{Flaw, SIGNED_WITHIN};
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
    #[serde(skip)]
    flaw: Option<Flaw>,
    /// What was to be signed by now, of each service.
    #[serde(skip)]
    overdue: BTreeMap<Service, Overdue>,
}

/// Events that no seal covers, and that are older than the newest may be.
#[derive(Debug)]
struct Overdue {
    events: u64,
    /// The first of them to be found, and its chain.
    first: String,
}

pub(super) async fn run(url: &str, trusted: &TrustedKeys, json: bool) -> anyhow::Result<Ending> {
    let mut connection = PgConnection::connect_with(&owner(url)?)
        .await
        .context("the database does not answer")?;
    let began = Instant::now();
    let report = check(&mut connection, trusted).await?;
    if json {
        terminal::line(&report.as_json()?.to_string());
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
    Ok(match report.flaw {
        // Services that were just killed have signed nothing of the last minutes; they will.
        Some(Flaw::Broken(broken)) => Err(broken),
        Some(Flaw::Unproven(_)) | None => Ok(report.events),
    })
}

async fn check(connection: &mut PgConnection, trusted: &TrustedKeys) -> anyhow::Result<Report> {
    // One view of all of it: services go on writing.
    let mut transaction = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    let (unchained, last_unchained) = database::unchained(&mut transaction).await?;
    let now = database::now(&mut transaction).await?;
    let mut report = Report {
        unchained,
        ..Report::default()
    };
    let found = look(&mut transaction, trusted, &mut report, now).await?;
    let found = found.and_then(|oldest| before_chains(last_unchained, oldest));
    report.flaw = found.map_err(Flaw::Broken).err().or_else(|| report.unproven());
    report.ok = report.flaw.is_none();
    Ok(report)
}

/// Since there are chains every event stands in one.
fn before_chains(
    last_unchained: Option<OffsetDateTime>,
    oldest: Option<OffsetDateTime>,
) -> Result<(), String> {
    let since = oldest.and_then(|oldest| oldest.format(&Rfc3339).ok());
    match (last_unchained, oldest, since) {
        (Some(last), Some(oldest), Some(since)) if last > oldest => Err(format!(
            "there are chains since {since}, and an event after that stands in none: it was taken out of its chain"
        )),
        _ => Ok(()),
    }
}

impl Report {
    fn as_json(&self) -> serde_json::Result<Value> {
        let told = serde_json::to_value(self)?;
        Ok(match &self.flaw {
            Some(flaw) => flaw.told(told),
            None => told,
        })
    }

    /// What nobody signed for although there was time.
    fn unproven(&self) -> Option<Flaw> {
        if self.events == 0 && self.unchained > 0 {
            return Some(Flaw::Unproven(format!(
                "none of the {} events stands in a chain, so anybody who may write to the database may have written them: \
                 either no service has run since there are chains, or all of them were taken out of theirs",
                self.unchained
            )));
        }
        let whose: Vec<String> = self
            .overdue
            .iter()
            .map(|(service, overdue)| format!("{} of {service} ({})", overdue.events, overdue.first))
            .collect();
        (!whose.is_empty()).then(|| {
            Flaw::Unproven(format!(
                "nobody signed for these events, so anybody who may write to the database may have written them: {}. A \
                 service signs what it writes down within seconds, and what it left unsigned as soon as it runs again: start \
                 it and check again in a minute. Where that changes nothing, its seals were taken out, or it may not write \
                 them: its log says",
                whose.join(", ")
            ))
        })
    }
}

/// When the oldest event in a chain was; the inner error is what is broken.
async fn look(
    connection: &mut PgConnection,
    trusted: &TrustedKeys,
    report: &mut Report,
    now: OffsetDateTime,
) -> anyhow::Result<Result<Option<OffsetDateTime>, String>> {
    let signed = match signed(connection, trusted, report).await? {
        Ok(signed) => signed,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut chains = Chains {
        signed,
        following: None,
        oldest: None,
        now,
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
    /// When the oldest event of all was.
    oldest: Option<OffsetDateTime>,
    now: OffsetDateTime,
    report: &'r mut Report,
}

/// A chain being followed, and what is known of it beside its events.
struct Follow {
    walk: Walk,
    end: Option<Place>,
    unsigned: u64,
    since_signed: Option<OffsetDateTime>,
    /// Of those that are unsigned: how many should not be, and the first of them.
    overdue: u64,
    first_overdue: Option<(u64, OffsetDateTime)>,
    now: OffsetDateTime,
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
                self.oldest = self.oldest.into_iter().chain([stored.event.at]).min();
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
            overdue: 0,
            first_overdue: None,
            now: self.now,
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

    fn end(&mut self) -> anyhow::Result<Result<Option<OffsetDateTime>, String>> {
        if let Err(broken) = self.leave()? {
            return Ok(Err(broken));
        }
        Ok(match self.signed.peek() {
            Some(signed) => Err(gone(&signed.chain()?)),
            None => Ok(self.oldest),
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
        // Neither of the last minute nor, but for a clock that runs ahead, of one to come.
        if (self.now - event.at).abs() > SIGNED_WITHIN {
            self.overdue += 1;
            self.first_overdue.get_or_insert((*seq, event.at));
        }
        while let Some(place) =
            signed.next_if(|signed| signed.is_of(self.walk.chain()) && signed.place().seq <= *seq)?
        {
            if let Err(broken) = self.walk.is_signed(place.place()) {
                return Ok(Err(self.told(&broken)));
            }
            (self.unsigned, self.since_signed) = (0, None);
            (self.overdue, self.first_overdue) = (0, None);
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
        if let Some((seq, at)) = self.first_overdue {
            let at = at.format(&Rfc3339).unwrap_or_default();
            let chain = self.walk.chain();
            let overdue = report.overdue.entry(chain.service).or_insert_with(|| Overdue {
                events: 0,
                first: format!("from event {seq} of {chain} on, of {at}"),
            });
            overdue.events += self.overdue;
        }
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
    if let Some(flaw) = &report.flaw {
        terminal::line(&flaw.to_string());
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
            "{} events of the last minute are not signed yet, the oldest of {since}",
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
