//! Following a chain from its first event to its end, and everything that can be wrong with it.

use super::{Chain, Event, Hash};

/// A place in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1 on.
    pub seq: u64,
    /// Its link.
    pub link: Hash,
}

/// Something that is not as it was written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Rows are gone, or came in between.
    #[error("event {expected} is missing: after it comes event {found}")]
    Missing {
        /// What should come next.
        expected: u64,
        /// What comes.
        found: u64,
    },
    /// The event says something else than when it was written down.
    #[error("event {seq} ({id}, `{kind}`) was changed after it was written down")]
    Changed {
        /// Its place.
        seq: u64,
        /// Its id.
        id: uuid::Uuid,
        /// What it says happened.
        kind: String,
    },
    /// The event is whole, and does not follow the one before it.
    #[error("event {seq} does not follow the one before it: something was put in, taken out or moved")]
    Unlinked {
        /// Its place.
        seq: u64,
    },
    /// The events end elsewhere than the chain does.
    #[error("the chain has {expected} events, and {found} are there")]
    Truncated {
        /// As its end says.
        expected: u64,
        /// As there are.
        found: u64,
    },
    /// What is there is linked, and not what was signed.
    #[error("event {seq} is not the one that was signed: the chain was rewritten up to there")]
    Rewritten {
        /// The place that was signed.
        seq: u64,
    },
}

/// Somebody who follows one chain.
#[derive(Debug)]
pub struct Walk {
    chain: Chain,
    seq: u64,
    link: Hash,
}

impl Walk {
    /// At the beginning.
    pub fn from_start(chain: Chain) -> Self {
        Self::from(
            chain,
            Place {
                seq: 0,
                link: Hash::NONE,
            },
        )
    }

    /// After a place that is known to be sound.
    pub fn from(chain: Chain, after: Place) -> Self {
        Self {
            chain,
            seq: after.seq,
            link: after.link,
        }
    }

    /// Which chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// How far.
    pub fn place(&self) -> Place {
        Place {
            seq: self.seq,
            link: self.link,
        }
    }

    /// Take the next event, which says that it is at `seq` and that its link is `link`.
    ///
    /// # Errors
    /// It is not what was written down there.
    pub fn event(&mut self, seq: u64, event: &Event, link: Hash) -> Result<(), Broken> {
        self.follow(seq, event, None, link)
    }

    /// The same, knowing which digest the event had: tells an event that was changed from one that was moved.
    ///
    /// # Errors
    /// As [`Walk::event`].
    pub fn stored(&mut self, seq: u64, event: &Event, digest: Hash, link: Hash) -> Result<(), Broken> {
        self.follow(seq, event, Some(digest), link)
    }

    fn follow(&mut self, seq: u64, event: &Event, stored: Option<Hash>, link: Hash) -> Result<(), Broken> {
        self.must_be_next(seq)?;
        let digest = event
            .digest()
            .filter(|digest| stored.is_none_or(|stored| stored == *digest))
            .filter(|_| event.chain() == self.chain);
        let Some(digest) = digest else {
            return Err(Broken::Changed {
                seq,
                id: event.id,
                kind: event.kind.clone(),
            });
        };
        self.pass(seq, digest, link)
    }

    fn must_be_next(&self, seq: u64) -> Result<(), Broken> {
        let expected = self.seq + 1;
        if seq == expected {
            Ok(())
        } else {
            Err(Broken::Missing { expected, found: seq })
        }
    }

    /// Pass an event of which nothing but the digest is shown.
    ///
    /// # Errors
    /// It is not what was written down there.
    pub fn pass(&mut self, seq: u64, digest: Hash, link: Hash) -> Result<(), Broken> {
        self.must_be_next(seq)?;
        if self.link.then(digest) != link {
            return Err(Broken::Unlinked { seq });
        }
        (self.seq, self.link) = (seq, link);
        Ok(())
    }

    /// The chain is said to end here.
    ///
    /// # Errors
    /// It does not.
    pub fn ends(&self, end: Place) -> Result<(), Broken> {
        if end.seq != self.seq {
            return Err(Broken::Truncated {
                expected: end.seq,
                found: self.seq,
            });
        }
        self.is_signed(end)
    }

    /// This place was signed; we are there.
    ///
    /// # Errors
    /// Something else was signed.
    pub fn is_signed(&self, signed: Place) -> Result<(), Broken> {
        if signed == self.place() {
            Ok(())
        } else {
            Err(Broken::Rewritten { seq: signed.seq })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Service;
    use proptest::prelude::*;
    use serde_json::json;
    use time::macros::datetime;
    use uuid::Uuid;

    #[derive(Debug, Clone)]
    struct Row {
        seq: u64,
        event: Event,
        digest: Hash,
        link: Hash,
    }

    fn chain() -> Chain {
        Chain {
            tenant: "default".parse().unwrap(),
            service: Service::Delivery,
            execution: Some(Uuid::from_u128(1)),
        }
    }

    fn rows(count: u64) -> Vec<Row> {
        let mut link = Hash::NONE;
        (1..=count)
            .map(|seq| {
                let event = Event {
                    tenant: "default".parse().unwrap(),
                    service: Service::Delivery,
                    id: Uuid::from_u128(u128::from(seq)),
                    ticket: Some("1".to_owned()),
                    execution: Some(Uuid::from_u128(1)),
                    kind: format!("kind.{seq}"),
                    actor: "service:delivery".to_owned(),
                    detail: json!({"seq": seq}),
                    at: datetime!(2026-03-02 09:15 UTC),
                };
                let digest = event.digest().unwrap();
                link = link.then(digest);
                Row {
                    seq,
                    event,
                    digest,
                    link,
                }
            })
            .collect()
    }

    fn walk(rows: &[Row], end: Place) -> Result<(), Broken> {
        let mut walk = Walk::from_start(chain());
        for row in rows {
            walk.stored(row.seq, &row.event, row.digest, row.link)?;
        }
        walk.ends(end)
    }

    fn end(rows: &[Row]) -> Place {
        let last = rows.last().unwrap();
        Place {
            seq: last.seq,
            link: last.link,
        }
    }

    #[test]
    fn a_whole_chain_is_sound() {
        let rows = rows(5);
        assert_eq!(walk(&rows, end(&rows)), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let sound = rows(4);
        let end = end(&sound);
        let broken = |spoil: fn(&mut Vec<Row>)| {
            let mut rows = sound.clone();
            spoil(&mut rows);
            walk(&rows, end).unwrap_err().to_string()
        };
        let told = [
            broken(|rows| rows[1].event.detail = json!({"seq": 9})),
            broken(|rows| {
                rows[1].event.detail = json!({"seq": 9});
                rows[1].digest = rows[1].event.digest().unwrap();
            }),
            broken(|rows| {
                rows.remove(2);
            }),
            broken(|rows| {
                rows.pop();
            }),
            broken(|rows| {
                rows[0].event.kind = "kind.2".to_owned();
                let mut link = Hash::NONE;
                for row in rows {
                    row.digest = row.event.digest().unwrap();
                    link = link.then(row.digest);
                    row.link = link;
                }
            }),
        ];
        assert_eq!(
            told,
            [
                "event 2 (00000000-0000-0000-0000-000000000002, `kind.2`) was changed after it was written down",
                "event 2 does not follow the one before it: something was put in, taken out or moved",
                "event 3 is missing: after it comes event 4",
                "the chain has 4 events, and 3 are there",
                "event 4 is not the one that was signed: the chain was rewritten up to there",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_row_can_be_changed_moved_doubled_or_taken_out(
            count in 2_u64..12,
            at in any::<prop::sample::Index>(),
            how in 0_u8..5,
            bit in 0_u8..=255,
        ) {
            let sound = rows(count);
            let mut rows = sound.clone();
            let at = at.index(rows.len());
            match how {
                0 => rows[at].link.0[usize::from(bit) / 8] ^= 1 << (bit % 8),
                1 => rows[at].digest.0[usize::from(bit) / 8] ^= 1 << (bit % 8),
                2 => { rows.remove(at); }
                3 => { let row = rows[at].clone(); rows.insert(at, row); }
                _ => { let other = (at + 1) % rows.len(); rows.swap(at, other); }
            }
            prop_assert!(walk(&rows, end(&sound)).is_err());
        }
    }
}
