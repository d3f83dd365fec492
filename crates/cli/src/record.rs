//! The database in which a fleet keeps its records: the one of `firstline up`, or another one that is named.

use anyhow::Context;
use launcher::Servers;

use crate::arguments::Home;
use crate::run_file::RunFile;
use crate::terminal;

/// Where the record is.
pub(crate) struct Database {
    pub(crate) url: String,
    /// Those of `firstline up`, kept while we look.
    _servers: Option<Servers>,
}

impl Database {
    /// The one at `url`, or that of the fleet that runs in `home`.
    pub(crate) async fn of(home: &Home, url: Option<&str>) -> anyhow::Result<Self> {
        if let Some(url) = url {
            return Ok(Self {
                url: url.to_owned(),
                _servers: None,
            });
        }
        RunFile::read(&home.data).context("name a database by --database-url or DATABASE_URL, or")?;
        let servers = Servers::lasting(&home.data.join("servers"), &|line| terminal::complain(line)).await?;
        Ok(Self {
            url: servers.owner_url(launcher::database::NAME).into(),
            _servers: Some(servers),
        })
    }
}
