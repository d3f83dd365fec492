//! Finds the programs of Postgres and Redis on this machine (and what puts clocks wrong, for who asks), and has the system's package manager install what is
//! missing, saying so. It installs nothing else and configures nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use super::ServersError;

/// The oldest major version of Postgres that the migrations are written for.
const OLDEST_POSTGRES: u32 = 15;

/// Where distributions put Postgres beside the search path; `*` is one directory.
const POSTGRES_HOMES: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/libexec", ""),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/usr/local/pgsql", "bin"),
];

/// Where distributions put the library that fakes clocks.
const CLOCK_FAKERS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// Directory with `initdb` and `postgres`, and the major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PostgresPrograms {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
    pub(super) major: u32,
}

/// What is missing, by the names that package managers know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Postgres,
    Redis,
    ClockFaker,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL 15 or newer",
            Self::Redis => "Redis 7 or newer",
            Self::ClockFaker => "libfaketime",
        }
    }

    /// Package for `apt-get`, `dnf`, `apk`, `brew`.
    const fn package(self, manager: Manager) -> &'static str {
        match (self, manager) {
            (Self::Postgres, Manager::Brew) => "postgresql@16",
            (Self::Postgres, Manager::Dnf) => "postgresql-server",
            (Self::Postgres, Manager::Apt | Manager::Apk) => "postgresql",
            (Self::Redis, Manager::Apt) => "redis-server",
            (Self::Redis, Manager::Dnf | Manager::Apk | Manager::Brew) => "redis",
            (Self::ClockFaker, Manager::Apt) => "faketime",
            (Self::ClockFaker, Manager::Dnf | Manager::Apk | Manager::Brew) => "libfaketime",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Apk,
    Brew,
}

impl Manager {
    const ALL: [Self; 4] = [Self::Apt, Self::Dnf, Self::Apk, Self::Brew];

    const fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Apk => "apk",
            Self::Brew => "brew",
        }
    }

    /// The commands that install `package`, in order.
    fn commands(self, package: &str) -> Vec<Vec<String>> {
        let words = |line: &str| {
            line.split(' ')
                .map(str::to_owned)
                .chain([package.to_owned()])
                .collect()
        };
        match self {
            // Another installation may be under way; it is waited for.
            Self::Apt => vec![
                "apt-get -qq update".split(' ').map(str::to_owned).collect(),
                words("apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends"),
            ],
            Self::Dnf => vec![words("dnf -q -y install")],
            Self::Apk => vec![words("apk add --quiet")],
            Self::Brew => vec![words("brew install --quiet")],
        }
    }
}

/// `initdb` and `postgres`, installed now where they were missing. `say` gets a line about what is being installed.
pub(super) fn postgres(say: &dyn Fn(&str)) -> Result<PostgresPrograms, ServersError> {
    found_or_installed(Program::Postgres, find_postgres, say)
}

/// `redis-server` (or its successor `valkey-server`), installed now where it was missing.
pub(super) fn redis(say: &dyn Fn(&str)) -> Result<PathBuf, ServersError> {
    found_or_installed(Program::Redis, find_redis, say)
}

/// The library that fakes the clock of a process, installed now where it was missing.
pub(super) fn clock_faker(say: &dyn Fn(&str)) -> Result<PathBuf, ServersError> {
    let find = || CLOCK_FAKERS.iter().map(PathBuf::from).find(|path| path.is_file());
    found_or_installed(Program::ClockFaker, find, say)
}

fn found_or_installed<T>(
    program: Program,
    find: impl Fn() -> Option<T>,
    say: &dyn Fn(&str),
) -> Result<T, ServersError> {
    if let Some(found) = find() {
        return Ok(found);
    }
    install(program, say)?;
    find().ok_or_else(|| ServersError::Missing {
        program: program.name(),
        advice: "the package manager says it installed it, but the programs are not where they belong"
            .to_owned(),
    })
}

fn find_postgres() -> Option<PostgresPrograms> {
    let under_homes = POSTGRES_HOMES.iter().flat_map(|(home, bin)| {
        let entries = std::fs::read_dir(home).into_iter().flatten().flatten();
        let versions = entries
            .filter(move |entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                // `/usr/lib/postgresql/15`, `/usr/pgsql-16`, `/opt/homebrew/opt/postgresql@16`
                name.starts_with("postgresql") || name.starts_with("pgsql") || name.parse::<u32>().is_ok()
            })
            .map(move |entry| entry.path().join(bin));
        versions.chain([Path::new(home).join(bin)])
    });
    search_path()
        .chain(under_homes)
        .filter_map(|bin| postgres_in(&bin))
        .filter(|found| found.major >= OLDEST_POSTGRES)
        .max_by_key(|found| found.major)
}

fn postgres_in(bin: &Path) -> Option<PostgresPrograms> {
    let (initdb, postgres) = (bin.join("initdb"), bin.join("postgres"));
    if !initdb.is_file() || !postgres.is_file() {
        return None;
    }
    let answer = Command::new(&postgres).arg("--version").output().ok()?;
    let major = major_version(&String::from_utf8_lossy(&answer.stdout))?;
    Some(PostgresPrograms {
        initdb,
        postgres,
        major,
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` -> 15.
fn major_version(answer: &str) -> Option<u32> {
    let version = answer.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn find_redis() -> Option<PathBuf> {
    let beside = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let places: Vec<PathBuf> = search_path().chain(beside).collect();
    ["redis-server", "valkey-server"].into_iter().find_map(|name| {
        places
            .iter()
            .map(|bin| bin.join(name))
            .find(|path| path.is_file())
    })
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn install(program: Program, say: &dyn Fn(&str)) -> Result<(), ServersError> {
    let Some(manager) = Manager::ALL
        .into_iter()
        .find(|manager| search_path().any(|bin| bin.join(manager.program()).is_file()))
    else {
        return Err(ServersError::Missing {
            program: program.name(),
            advice: "install it and put it on the PATH".to_owned(),
        });
    };
    let package = program.package(manager);
    let prefix = privilege(manager).ok_or_else(|| ServersError::Missing {
        program: program.name(),
        advice: format!("run `sudo {} install {package}` first", manager.program()),
    })?;
    say(&format!(
        "{} is missing: installing the package `{package}` with {}",
        program.name(),
        manager.program()
    ));
    for words in manager.commands(package) {
        run(&prefix, &words, program)?;
    }
    Ok(())
}

/// What to put before a command so that it may install: nothing for root and for brew, `sudo -n` where that needs no
/// password; `None` where we may not install.
fn privilege(manager: Manager) -> Option<Vec<String>> {
    if Uid::effective().is_root() || manager == Manager::Brew {
        return Some(vec![]);
    }
    let allowed = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    allowed.then(|| vec!["sudo".to_owned(), "-n".to_owned()])
}

fn run(prefix: &[String], words: &[String], program: Program) -> Result<(), ServersError> {
    // `RUNLEVEL=1` keeps Debian's packages from starting a server of their own; ours is private.
    let environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"].map(str::to_owned);
    let line: Vec<&String> = prefix.iter().chain(&environment).chain(words).collect();
    let answer = Command::new(line[0])
        .args(&line[1..])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| ServersError::files(Path::new(line[0]), error))?;
    if answer.status.success() {
        return Ok(());
    }
    Err(ServersError::Missing {
        program: program.name(),
        advice: format!(
            "`{}` did not work: {}",
            words.join(" "),
            String::from_utf8_lossy(&answer.stderr).trim()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major_version("redis"), None);
    }

    #[test]
    fn installing_names_the_package_last_and_waits_for_another_installation() {
        let commands = Manager::Apt.commands(Program::Redis.package(Manager::Apt));
        assert_eq!(commands[0].join(" "), "apt-get -qq update");
        assert_eq!(
            commands[1].join(" "),
            "apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends redis-server"
        );
    }
}
