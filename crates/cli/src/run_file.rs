//! What `firstline up` leaves for other terminals to find it by. Addresses only: no key, no password, no token.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::Service;
use serde::{Deserialize, Serialize};
use url::Url;

/// A running fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    /// Its process.
    pub(crate) pid: u32,
    /// Base addresses of the six.
    pub(crate) services: BTreeMap<Service, Url>,
    /// Base addresses of the simulated systems.
    pub(crate) simulators: Simulators,
}

/// Base addresses of the simulated systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Simulators {
    pub(crate) halo: Url,
    pub(crate) entra: Url,
    pub(crate) openai: Url,
    pub(crate) teams: Url,
    pub(crate) twilio: Url,
}

impl RunFile {
    fn path(data: &Path) -> PathBuf {
        data.join("run.json")
    }

    /// Write it; it appears complete or not at all.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let path = Self::path(data);
        let part = path.with_extension("part");
        std::fs::write(&part, serde_json::to_string_pretty(self)?)
            .and_then(|()| std::fs::rename(&part, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The fleet of `data`, where there is one.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let path = Self::path(data);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                anyhow::bail!("no fleet is running here: start one with `firstline up`")
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not what `firstline up` writes", path.display()))
    }

    /// Take it away: the fleet has ended.
    pub(crate) fn remove(data: &Path) {
        // Gone already is as good.
        let _ = std::fs::remove_file(Self::path(data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_fleet_the_reader_is_told_how_to_start_one() {
        let home = tempfile::tempdir().unwrap();
        let error = RunFile::read(home.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no fleet is running here: start one with `firstline up`"
        );
    }

    #[test]
    fn what_was_written_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        let url: Url = "http://127.0.0.1:9081/".parse().unwrap();
        let simulators = Simulators {
            halo: url.clone(),
            entra: url.clone(),
            openai: url.clone(),
            teams: url.clone(),
            twilio: url.clone(),
        };
        let services = Service::ALL.map(|service| (service, url.clone())).into();
        let file = RunFile {
            pid: 7,
            services,
            simulators,
        };
        file.write(home.path()).unwrap();
        assert_eq!(RunFile::read(home.path()).unwrap(), file);
        RunFile::remove(home.path());
        assert!(RunFile::read(home.path()).is_err());
    }
}
