//! `firstline playbook diff`: what changed, in words, what matters for security first.

use std::path::Path;

use playbook_lang::{Weight, diff};

use super::documents::Documents;
use crate::arguments::Actions;
use crate::exit::Ending;
use crate::terminal;

pub(super) fn run(old: &Path, new: &Path, actions: &Actions) -> anyhow::Result<Ending> {
    let (before, after) = (
        Documents::playbook(old, actions)?,
        Documents::playbook(new, actions)?,
    );
    let changes = diff(&before, &after);
    if changes.is_empty() {
        terminal::line("nothing changed that an execution would notice");
        return Ok(Ending::Well);
    }
    for change in &changes {
        let weight = match change.weight {
            Weight::Security => "security ",
            Weight::Behaviour => "behaviour",
            Weight::Cosmetic => "cosmetic ",
        };
        terminal::line(&format!("{weight}  {change}"));
    }
    Ok(Ending::Well)
}
