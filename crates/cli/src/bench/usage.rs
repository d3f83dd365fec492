//! What processes use, from `/proc`; and what the database was asked to write.

use std::collections::BTreeMap;

use anyhow::Context;
use launcher::servers::ServerProcesses;
use sqlx::PgPool;

use super::figures::Cpu;

/// `/proc` counts CPU time in hundredths of a second on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU used so far by `ours`, the servers and this process.
pub(super) fn cpu(ours: &[u32], servers: ServerProcesses) -> anyhow::Result<Cpu> {
    let all = all()?;
    let own = |id: &u32| all.get(id).map_or(0.0, |process| process.own);
    // A backend that has ended is in its parent's sum.
    let backends = all.values().filter(|process| process.parent == servers.postgres);
    let backends: f64 = backends.map(|process| process.own).sum();
    let postmaster = all.get(&servers.postgres);
    Ok(Cpu {
        ours: ours.iter().map(own).sum(),
        postgres: backends + postmaster.map_or(0.0, |process| process.own + process.ended_children),
        redis: own(&servers.redis),
        outside: own(&std::process::id()),
    })
}

/// Resident memory of a process, bytes. Zero where it is gone.
pub(super) fn memory(id: u32) -> u64 {
    of_status(id, "VmRSS:")
}

/// The most that ever was resident of a process, bytes. Zero where it is gone.
pub(super) fn most_memory(id: u32) -> u64 {
    of_status(id, "VmHWM:")
}

fn of_status(id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    bytes(&status, name).unwrap_or_default()
}

fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// How many transactions ever wrote in this Postgres. Every one that does takes a number, and no other; reading it takes
/// none.
pub(super) async fn commits(owner: &PgPool) -> anyhow::Result<i64> {
    let next = sqlx::query_scalar("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint");
    Ok(next.fetch_one(owner).await?)
}

/// How many transactions ever ended in this database, those that only read among them; as much as sessions have told so
/// far, which they do within ten seconds.
pub(super) async fn transactions(owner: &PgPool) -> anyhow::Result<i64> {
    let ended = sqlx::query_scalar(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()",
    );
    Ok(ended.fetch_one(owner).await?)
}

struct Process {
    parent: u32,
    /// CPU seconds of its own threads.
    own: f64,
    /// CPU seconds of children that have ended.
    ended_children: f64,
}

fn all() -> anyhow::Result<BTreeMap<u32, Process>> {
    let entries =
        std::fs::read_dir("/proc").context("CPU and memory are read from /proc, which Linux has")?;
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let process = |id: u32| {
        // One that ended meanwhile is in its parent's sum.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        Some((id, parsed(&stat)?))
    };
    Ok(ids.filter_map(process).collect())
}

/// `proc(5)`: the name in parentheses may hold anything; state, parent, ten more, then user and system time, own and of
/// children that were waited for.
fn parsed(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth)?.parse::<f64>().ok();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        ended_children: (ticks(13)? + ticks(14)?) / TICKS_PER_SECOND,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_that_looks_like_fields() {
        let stat = "42 (a) R (b) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 25 75 20 0 1 0 9";
        let process = parsed(stat).unwrap();
        assert_eq!(process.parent, 7);
        assert!((process.own - 2.0).abs() < 1e-9 && (process.ended_children - 1.0).abs() < 1e-9);
    }

    #[test]
    fn resident_memory_is_told_in_bytes() {
        assert_eq!(
            bytes("Name:\tx\nVmRSS:\t    2048 kB\nThreads: 1\n", "VmRSS:"),
            Some(2 << 20)
        );
        assert_eq!(bytes("Name:\tx\n", "VmRSS:"), None);
    }
}
