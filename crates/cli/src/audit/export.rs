//! `firstline audit export`: everything that was written down about a ticket, with what proves it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use trust::audit::{Chain, Hash, Place};
use uuid::Uuid;

use super::database::{self, Stored};
use super::evidence::{At, Entry, Evidence, Stretch, VERSION};
use super::{is_refusal, kept};
use crate::exit::{BadInput, Ending};
use crate::migrate::owner;
use crate::terminal;

pub(super) async fn run(url: &str, tenant: &str, ticket: &str, out: Option<&Path>) -> anyhow::Result<Ending> {
    let (evidence, unsigned) = gather(url, tenant, ticket).await?;
    let text = serde_json::to_string_pretty(&evidence)?;
    match out {
        Some(file) => {
            std::fs::write(file, text + "\n")
                .with_context(|| format!("cannot write `{}`", file.display()))?;
            terminal::line(&format!(
                "the evidence of ticket {ticket} is in {}; whoever has the public keys checks it with \
                 `firstline audit verify {} --keys trusted.json`",
                file.display(),
                file.display()
            ));
            if unsigned > 0 {
                terminal::line(&format!(
                    "{unsigned} of its events are not signed yet, and prove nothing: export it again in a minute, before you \
                     hand it on. Where it is the same then, `firstline audit verify` says which service does not sign"
                ));
            }
        }
        None => terminal::line(&text),
    }
    Ok(Ending::Well)
}

/// The file, and how many of its events nobody has signed for yet.
async fn gather(url: &str, tenant: &str, ticket: &str) -> anyhow::Result<(Evidence, usize)> {
    let mut connection = PgConnection::connect_with(&owner(url)?)
        .await
        .context("the database does not answer")?;
    let mut view = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    let events = database::of_ticket(&mut view, tenant, ticket).await?;
    if events.is_empty() {
        return Err(BadInput(format!(
            "nothing was ever written down about ticket `{ticket}` of `{tenant}`"
        ))
        .into());
    }
    let mut evidence = Evidence {
        version: VERSION,
        tenant: tenant.parse()?,
        ticket: ticket.to_owned(),
        exported_at: database::now(&mut view).await?,
        stretches: vec![],
        seals: vec![],
        records: vec![],
    };
    // An attempt that was refused may name somebody else's execution: that one is not opened for it.
    let executions: BTreeSet<Uuid> = events
        .iter()
        .map(|stored| &stored.event)
        .filter(|event| event.ticket.as_deref() == Some(ticket) && !is_refusal(&event.kind))
        .filter_map(|event| event.execution)
        .collect();
    let mut unsigned = 0;
    let mut chains: BTreeMap<Chain, Vec<Stored>> = BTreeMap::new();
    for stored in events {
        chains.entry(stored.event.chain()).or_default().push(stored);
    }
    for (chain, mut stored) in chains {
        stored.sort_by_key(|stored| stored.seq);
        let sealed = sealed(&mut view, &chain).await?;
        let signed_until = sealed.last_key_value().map_or(0, |(seq, _)| *seq);
        unsigned += stored.iter().filter(|stored| stored.seq > signed_until).count();
        let whole = chain
            .execution
            .is_some_and(|execution| executions.contains(&execution));
        for part in parts(&stored, &sealed, whole) {
            let rows = database::stretch(&mut view, &chain, part.after.seq + 1, part.until).await?;
            let stretch = shown(&chain, part.after, rows, &evidence.ticket, whole);
            for event in stretch.entries.iter().filter_map(|entry| entry.event.as_ref()) {
                evidence.records.extend(kept::records(&mut view, event).await?);
            }
            evidence.stretches.push(stretch);
            evidence.seals.extend(part.seals.into_iter().map(str::to_owned));
        }
    }
    evidence.seals.sort();
    evidence.seals.dedup();
    Ok((evidence, unsigned))
}

/// The places of a chain that were signed, each with its seal.
async fn sealed(
    connection: &mut PgConnection,
    chain: &Chain,
) -> anyhow::Result<BTreeMap<u64, (Hash, String)>> {
    let mut sealed = BTreeMap::new();
    for seal in database::seals_of(connection, chain).await? {
        let head = trust::audit::Seal::heads_unverified(&seal)
            .into_iter()
            .find(|head| head.execution == chain.execution);
        if let Some(head) = head {
            sealed.insert(head.seq, (head.link, seal));
        }
    }
    Ok(sealed)
}

/// A part of a chain that proves some of its events.
struct Part<'s> {
    after: Place,
    until: u64,
    seals: Vec<&'s str>,
}

/// For each event, from the signed place before it to the signed place at or after it; of the chain of one of its executions all of it.
fn parts<'s>(stored: &[Stored], sealed: &'s BTreeMap<u64, (Hash, String)>, whole: bool) -> Vec<Part<'s>> {
    let mut parts: Vec<Part<'s>> = vec![];
    for Stored { seq, .. } in stored {
        if parts.last().is_some_and(|part| *seq <= part.until) {
            continue;
        }
        let before = sealed.range(..*seq).next_back().filter(|_| !whole);
        let after = if whole {
            sealed.iter().next_back()
        } else {
            sealed.range(*seq..).next()
        };
        let last = stored.last().map_or(*seq, |last| last.seq);
        // What nobody has signed yet is shown up to its last event.
        let until = match after {
            Some((signed, _)) if !whole => *signed,
            Some((signed, _)) => last.max(*signed),
            None => last,
        };
        let place = before.map_or(
            Place {
                seq: 0,
                link: Hash::NONE,
            },
            |(seq, (link, _))| Place {
                seq: *seq,
                link: *link,
            },
        );
        let seals = [before, after].into_iter().flatten();
        parts.push(Part {
            after: place,
            until,
            seals: seals.map(|(_, (_, seal))| seal.as_str()).collect(),
        });
    }
    parts
}

/// Of other tickets' events, nothing but the digest.
fn shown(chain: &Chain, after: Place, rows: Vec<Stored>, ticket: &str, whole: bool) -> Stretch {
    let entries = rows.into_iter().map(|stored| {
        let ours = whole || stored.event.ticket.as_deref() == Some(ticket);
        Entry {
            seq: stored.seq,
            digest: stored.digest,
            link: stored.link,
            event: Some(stored.event).filter(|_| ours),
        }
    });
    Stretch {
        service: chain.service,
        execution: chain.execution,
        after: At {
            seq: after.seq,
            link: after.link,
        },
        entries: entries.collect(),
    }
}
