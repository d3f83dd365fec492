//! The places of chains that seals sign, in the order of the chains, however many there are: what is too much for memory
//! lies sorted in temporary files until it is its turn. Seals sign in the order in which chains grew, and events are read
//! chain by chain.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use anyhow::Context;
use common::Service;
use trust::audit::{Chain, Hash, Place};
use uuid::Uuid;

/// Places in memory before they go to a file: some ten megabytes of them.
const IN_MEMORY: usize = 100_000;

/// A signed place. They sort as the database sorts the events: by the bytes of tenant and service, by execution, by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Signed {
    tenant: String,
    service: &'static str,
    /// All zeros: of no execution.
    execution: Uuid,
    seq: u64,
    link: Hash,
}

impl Signed {
    /// What a seal says of `chain`.
    pub(super) fn of(chain: &Chain, place: Place) -> Self {
        Self {
            tenant: chain.tenant.as_str().to_owned(),
            service: chain.service.name(),
            execution: chain.execution.unwrap_or_default(),
            seq: place.seq,
            link: place.link,
        }
    }

    /// Whether it is of `chain`.
    pub(super) fn is_of(&self, chain: &Chain) -> bool {
        self.tenant == chain.tenant.as_str()
            && self.service == chain.service.name()
            && self.execution == chain.execution.unwrap_or_default()
    }

    /// Of which chain.
    pub(super) fn chain(&self) -> anyhow::Result<Chain> {
        Ok(Chain {
            tenant: self.tenant.parse()?,
            service: self.service.parse()?,
            execution: Some(self.execution).filter(|execution| !execution.is_nil()),
        })
    }

    pub(super) const fn place(&self) -> Place {
        Place {
            seq: self.seq,
            link: self.link,
        }
    }

    fn write(&self, file: &mut impl Write) -> anyhow::Result<()> {
        for text in [&self.tenant, self.service] {
            file.write_all(&u16::try_from(text.len())?.to_be_bytes())?;
            file.write_all(text.as_bytes())?;
        }
        file.write_all(self.execution.as_bytes())?;
        file.write_all(&self.seq.to_be_bytes())?;
        file.write_all(&self.link.0)?;
        Ok(())
    }

    fn read(file: &mut impl Read) -> anyhow::Result<Self> {
        Ok(Self {
            tenant: text(file)?,
            service: text(file)?.parse::<Service>()?.name(),
            execution: Uuid::from_bytes(bytes(file)?),
            seq: u64::from_be_bytes(bytes(file)?),
            link: Hash(bytes(file)?),
        })
    }
}

fn bytes<const N: usize>(file: &mut impl Read) -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(file: &mut impl Read) -> anyhow::Result<String> {
    let mut text = vec![0; usize::from(u16::from_be_bytes(bytes(file)?))];
    file.read_exact(&mut text)?;
    Ok(String::from_utf8(text)?)
}

/// A sorted part of them: still in memory, or in a file.
enum Run {
    Memory(std::vec::IntoIter<Signed>),
    File { file: BufReader<File>, left: usize },
}

impl Run {
    fn next(&mut self) -> anyhow::Result<Option<Signed>> {
        match self {
            Self::Memory(run) => Ok(run.next()),
            Self::File { left: 0, .. } => Ok(None),
            Self::File { file, left } => {
                *left -= 1;
                Signed::read(file)
                    .context("what the seals sign cannot be read again")
                    .map(Some)
            }
        }
    }
}

/// Collects them in any order.
pub(super) struct Sorter {
    most: usize,
    fresh: Vec<Signed>,
    runs: Vec<Run>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self::with(IN_MEMORY)
    }
}

impl Sorter {
    fn with(most: usize) -> Self {
        Self {
            most,
            fresh: vec![],
            runs: vec![],
        }
    }

    pub(super) fn add(&mut self, signed: Signed) -> anyhow::Result<()> {
        self.fresh.push(signed);
        if self.fresh.len() >= self.most {
            self.spill()
                .context("what the seals sign cannot be kept in a temporary file")?;
        }
        Ok(())
    }

    fn spill(&mut self) -> anyhow::Result<()> {
        let mut run = std::mem::take(&mut self.fresh);
        run.sort_unstable();
        let mut file = BufWriter::new(tempfile::tempfile()?);
        for signed in &run {
            signed.write(&mut file)?;
        }
        let mut file = file.into_inner()?;
        file.seek(SeekFrom::Start(0))?;
        self.runs.push(Run::File {
            file: BufReader::new(file),
            left: run.len(),
        });
        Ok(())
    }

    /// All of them, in order.
    pub(super) fn sorted(mut self) -> anyhow::Result<Sorted> {
        self.fresh.sort_unstable();
        self.runs.push(Run::Memory(self.fresh.into_iter()));
        let mut sorted = Sorted {
            runs: self.runs,
            next: BinaryHeap::new(),
        };
        for run in 0..sorted.runs.len() {
            sorted.refill(run)?;
        }
        Ok(sorted)
    }
}

/// Gives them in order.
pub(super) struct Sorted {
    runs: Vec<Run>,
    /// The first of each run that has any left, and which run.
    next: BinaryHeap<Reverse<(Signed, usize)>>,
}

impl Sorted {
    /// The next one, which stays.
    pub(super) fn peek(&self) -> Option<&Signed> {
        self.next.peek().map(|Reverse((signed, _))| signed)
    }

    /// The next one, where it is as wanted.
    pub(super) fn next_if(&mut self, wanted: impl FnOnce(&Signed) -> bool) -> anyhow::Result<Option<Signed>> {
        if !self.peek().is_some_and(wanted) {
            return Ok(None);
        }
        let Some(Reverse((signed, run))) = self.next.pop() else {
            return Ok(None);
        };
        self.refill(run)?;
        Ok(Some(signed))
    }

    fn refill(&mut self, run: usize) -> anyhow::Result<()> {
        let next = self.runs.get_mut(run).map(Run::next).transpose()?.flatten();
        self.next.extend(next.map(|signed| Reverse((signed, run))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(execution: u128, seq: u64) -> Signed {
        let chain = Chain {
            tenant: "default".parse().unwrap(),
            service: Service::ALL[usize::try_from(seq).unwrap() % Service::ALL.len()],
            execution: Some(Uuid::from_u128(execution)).filter(|execution| !execution.is_nil()),
        };
        let link = Hash::of(&seq.to_be_bytes());
        Signed::of(&chain, Place { seq, link })
    }

    #[test]
    fn they_come_in_order_wherever_they_lay_meanwhile() {
        let mut all: Vec<Signed> = (0..100)
            .map(|nth| signed(nth * 37 % 11, u64::try_from(nth * 7 % 50).unwrap()))
            .collect();
        for most in [1, 7, 99, 1000] {
            let mut sorter = Sorter::with(most);
            for one in &all {
                sorter.add(one.clone()).unwrap();
            }
            let mut sorted = sorter.sorted().unwrap();
            let mut found = vec![];
            while let Some(one) = sorted.next_if(|_| true).unwrap() {
                found.push(one);
            }
            all.sort_unstable();
            assert_eq!(found, all, "{most} in memory");
        }
    }

    #[test]
    fn one_that_is_not_wanted_stays() {
        let mut sorter = Sorter::with(1);
        sorter.add(signed(0, 3)).unwrap();
        let mut sorted = sorter.sorted().unwrap();
        assert_eq!(sorted.next_if(|_| false).unwrap(), None);
        assert_eq!(sorted.peek(), Some(&signed(0, 3)));
        let chain = sorted.peek().unwrap().chain().unwrap();
        assert!(chain.execution.is_none() && sorted.peek().unwrap().is_of(&chain));
    }
}
