//! What every measurement stands on: private servers, a database, keys; and a load between two looks at everything it uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use common::Service;
use launcher::fleet::{FleetSettings, Ports};
use launcher::servers::ServerProcesses;
use launcher::{Database, Processes, Servers, SettingsMap, keys};
use sqlx::PgPool;
use tempfile::TempDir;
use url::Url;

use super::ends::GIVEN_UP_AFTER;
use super::figures::{Cpu, Latency, Load, Pace, count, each};
use super::load::{self, Clock, Outcomes};
use super::probe::Prober;
use super::{MIDDLE, WARM_UP, say, usage};

/// Between two looks at whether write-backs are done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// All of it. Dropped, it is gone.
pub(super) struct Ground {
    pub(super) owner: PgPool,
    databases: BTreeMap<Service, Url>,
    prober: Prober,
    server_processes: ServerProcesses,
    servers: Servers,
    directory: TempDir,
}

impl Ground {
    /// Prepare it.
    pub(super) async fn new() -> anyhow::Result<Self> {
        let servers = Servers::measured(&say).await?;
        let database = Database::on(&servers).await?;
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        keys::init(&directory.path().join("keys"))?;
        Ok(Self {
            prober: Prober::new(&servers, directory.path()).await?,
            server_processes: servers.processes().await?,
            owner: database.owner,
            databases: database.urls,
            servers,
            directory,
        })
    }

    /// For whatever is written.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the keys of the fleet are.
    pub(super) fn keys(&self) -> PathBuf {
        self.directory().join("keys")
    }

    /// Processes of a fleet on it, none of them started.
    pub(super) fn processes(
        &self,
        settings: SettingsMap,
        overrides: BTreeMap<Service, SettingsMap>,
        playbooks: PathBuf,
    ) -> anyhow::Result<Processes> {
        let settings = FleetSettings {
            ports: Ports::Any,
            databases: self.databases.clone(),
            redis: self.servers.redis_url(0),
            keys: self.keys(),
            playbooks,
            settings,
            overrides,
        };
        Ok(Processes::new(settings, self.directory().to_owned())?)
    }

    /// Tell the planner what the tables look like, as autovacuum does within a minute: a database that has never been
    /// analysed plans by guesses, and a measurement of its first minute would say nothing of any other.
    pub(super) async fn analyse(&self) -> anyhow::Result<()> {
        sqlx::raw_sql("ANALYZE").execute(&self.owner).await?;
        Ok(())
    }

    /// CPU used so far by `processes`, the servers and ourselves.
    pub(super) fn cpu(&self, processes: &Processes) -> anyhow::Result<Cpu> {
        usage::cpu(&processes.ids(), self.server_processes)
    }

    /// Wait until the help desk has been told everything.
    pub(super) async fn written_back(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + GIVEN_UP_AFTER;
        loop {
            let open = sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM ticket_outboxes WHERE wake_at IS NOT NULL)
                      + (SELECT count(*) FROM tickets WHERE work_at IS NOT NULL)",
            );
            let open: i64 = open.fetch_one(&self.owner).await?;
            if open == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{open} tickets were not told everything within {GIVEN_UP_AFTER:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Keep `at_once` under way for a while: one after the other of `one`, which ends when it says.
    pub(super) async fn closed<O, F>(
        &self,
        processes: &Processes,
        at_once: u32,
        window: Duration,
        one: O,
    ) -> anyhow::Result<Load>
    where
        O: Fn() -> F + Clone + Send + 'static,
        F: Future<Output = anyhow::Result<Instant>> + Send,
    {
        let clock = Clock::new(WARM_UP, window, at_once);
        let loaded = || load::closed(at_once, clock, one);
        self.measured(processes, Pace::AtOnce(at_once), at_once, loaded)
            .await
    }

    /// Begin `per_second` of `one` for a while, however long each takes.
    pub(super) async fn open<O, F>(
        &self,
        processes: &Processes,
        per_second: f64,
        window: Duration,
        one: O,
    ) -> anyhow::Result<Load>
    where
        O: Fn() -> F,
        F: Future<Output = anyhow::Result<Instant>> + Send + 'static,
    {
        let loaded = || load::open(per_second, window, one);
        self.measured(processes, Pace::PerSecond(per_second), MIDDLE, loaded)
            .await
    }

    /// Run a load between two looks at everything it uses, and between two probes with as many `clients`.
    async fn measured<F>(
        &self,
        processes: &Processes,
        pace: Pace,
        clients: u32,
        loaded: impl FnOnce() -> F,
    ) -> anyhow::Result<Load>
    where
        F: Future<Output = Outcomes>,
    {
        let before = self.prober.probe(clients).await?;
        let (commits, cpu) = (usage::commits(&self.owner).await?, self.cpu(processes)?);
        let outcomes = loaded().await;
        let (memory, ended) = (memory(processes), Instant::now());
        self.written_back().await?;
        let write_backs = ended.elapsed();
        let commits = usage::commits(&self.owner).await? - commits;
        let cpu = self.cpu(processes)?.since(cpu);
        let probe = before.between(self.prober.probe(clients).await?);
        for reason in &outcomes.reasons {
            say(&format!("  failed: {reason}"));
        }
        let (all, per_second) = (count(outcomes.all), outcomes.per_second());
        say(&format!(
            "  {per_second:.1} a second, pgbench {:.1}, write-backs {:.1} s more",
            probe.workflows_per_second,
            write_backs.as_secs_f64()
        ));
        Ok(Load {
            pace,
            finished: count(outcomes.took.len()),
            failed: count(outcomes.failed),
            per_second,
            latency_ms: Latency::of(outcomes.took),
            cpu_s: cpu.for_1000_of(all),
            memory_mib: mib(memory),
            commits_each: each(commits, all),
            write_backs_s: write_backs.as_secs_f64(),
            probe,
            ratio: per_second / probe.workflows_per_second,
        })
    }
}

/// Resident memory of `processes`, bytes.
pub(super) fn memory(processes: &Processes) -> u64 {
    processes.ids().into_iter().map(usage::memory).sum()
}

/// Bytes in MiB.
#[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
