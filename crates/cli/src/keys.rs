//! `firstline keys`.

use anyhow::Context;

use crate::arguments::Keys;
use crate::exit::Ending;
use crate::terminal;

pub(crate) fn run(command: &Keys) -> anyhow::Result<Ending> {
    let Keys::Init { directory } = command;
    let paths = launcher::keys::init(directory)
        .with_context(|| format!("no keys were made in {}", directory.display()))?;
    for path in paths {
        terminal::line(&path.display().to_string());
    }
    Ok(Ending::Well)
}
