//! What Postgres alone gets done: workflows of dependent commits by `pgbench`, on the same server and disk.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail};
use launcher::Servers;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use super::figures::Probe;

/// Its own database on the server.
const DATABASE: &str = "probe";
/// Dependent commits in a workflow: what an execution of three steps may take.
const COMMITS: u32 = 5;
/// More sessions than this no fleet opens; more of them at once would measure Postgres' scheduling.
const MOST_CLIENTS: u32 = 100;

/// How long it runs, from the first connection on: on a busy machine making a hundred of them may take all of it.
const SECONDS: [u32; 3] = [2, 4, 8];

/// A row as small as a step's.
const INSERT: &str = "INSERT INTO step (workflow, body) VALUES (:client_id, repeat('x', 200));\n";

/// Ready to probe.
pub(super) struct Prober {
    program: PathBuf,
    url: String,
    script: PathBuf,
}

impl Prober {
    /// A database for it on `servers`, a script in `directory`.
    pub(super) async fn new(servers: &Servers, directory: &std::path::Path) -> anyhow::Result<Self> {
        let program = servers.program("pgbench").context(
            "`pgbench` is missing: it is in PostgreSQL's package of contributed programs (postgresql-contrib), else in the server's",
        )?;
        let mut owner = PgConnection::connect(servers.owner_url("postgres").as_str()).await?;
        sqlx::raw_sql("CREATE DATABASE probe").execute(&mut owner).await?;
        owner.close().await?;
        let url = servers.owner_url(DATABASE).to_string();
        let mut owner = PgConnection::connect(&url).await?;
        sqlx::raw_sql("CREATE TABLE step (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workflow bigint NOT NULL, body text NOT NULL)")
            .execute(&mut owner)
            .await?;
        owner.close().await?;
        let script = directory.join("workflow.sql");
        std::fs::write(&script, INSERT.repeat(COMMITS as usize))?;
        Ok(Self { program, url, script })
    }

    /// A second or two of it with as many clients, at most 100.
    pub(super) async fn probe(&self, clients: u32) -> anyhow::Result<Probe> {
        let clients = clients.clamp(1, MOST_CLIENTS);
        let mut said = String::new();
        for seconds in SECONDS {
            said = self.run(clients, seconds).await?;
            if let Some(workflows_per_second) = workflows_per_second(&said) {
                return Ok(Probe {
                    clients,
                    commits: COMMITS,
                    workflows_per_second,
                });
            }
        }
        bail!("pgbench got nothing done: {}", said.trim())
    }

    async fn run(&self, clients: u32, seconds: u32) -> anyhow::Result<String> {
        let answer = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--time={seconds}"))
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={}", clients.min(2)))
            .arg(format!("--file={}", self.script.display()))
            // In the environment and not among the arguments, which everybody on the machine can read.
            .envs(connection(&self.url)?)
            .stdin(Stdio::null())
            .output()
            .await
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        if !answer.status.success() {
            bail!(
                "pgbench failed: {}",
                String::from_utf8_lossy(&answer.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }
}

/// libpq's variables for a URL.
fn connection(url: &str) -> anyhow::Result<[(&'static str, String); 5]> {
    let url: url::Url = url.parse()?;
    Ok([
        ("PGHOST", url.host_str().unwrap_or_default().to_owned()),
        ("PGPORT", url.port().unwrap_or(5432).to_string()),
        ("PGUSER", url.username().to_owned()),
        ("PGPASSWORD", url.password().unwrap_or_default().to_owned()),
        ("PGDATABASE", url.path().trim_start_matches('/').to_owned()),
    ])
}

/// `tps = 812.345678 (without initial connection time)`.
fn workflows_per_second(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split(' ').next()?.parse().ok().filter(|tps| *tps > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_got_done_is_read_from_what_it_says() {
        let said = "transaction type: workflow.sql\nlatency average = 1.2 ms\n\
                    tps = 812.345678 (without initial connection time)\n";
        assert_eq!(workflows_per_second(said), Some(812.345_678));
        assert_eq!(
            workflows_per_second("tps = 0.000000 (without initial connection time)\n"),
            None
        );
        assert_eq!(workflows_per_second(""), None);
    }
}
