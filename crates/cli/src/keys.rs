//! `firstline keys`.

use std::path::Path;

use anyhow::Context as _;
use launcher::keys::{KeysError, Rotated, Rotation};
use time::OffsetDateTime;
use trust::rotation::Retirement;

use crate::arguments::{Keys, RotateKey};
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(crate) fn run(command: &Keys) -> anyhow::Result<Ending> {
    match command {
        Keys::Init { directory } => init(directory),
        Keys::Show { directory } => show(directory),
        Keys::Rotate(rotate) => rotate_key(rotate),
    }
}

fn init(directory: &Path) -> anyhow::Result<Ending> {
    let paths = launcher::keys::init(directory)
        .with_context(|| format!("no keys were made in {}", directory.display()))?;
    for path in paths {
        terminal::line(&path.display().to_string());
    }
    Ok(Ending::Well)
}

fn show(directory: &Path) -> anyhow::Result<Ending> {
    let listing = launcher::keys::show(directory)
        .with_context(|| format!("the keys in {} cannot be shown", directory.display()))?;
    let head = ["OWNER", "KEY", "STATE", "SINCE", "FILE"]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<_> = std::iter::once(head)
        .chain(listing.rows.iter().map(launcher::keys::Row::cells))
        .collect();
    terminal::table(&rows);
    terminal::line(&format!("\ntrusted.json is {}", listing.trusted));
    for fault in &listing.faults {
        terminal::complain(fault);
    }
    Ok(if listing.faults.is_empty() {
        Ending::Well
    } else {
        Ending::Findings
    })
}

fn rotate_key(rotate: &RotateKey) -> anyhow::Result<Ending> {
    let what = what(&rotate.what)?;
    let step = match (rotate.switch, rotate.finish, rotate.at_once) {
        (true, ..) => Rotation::Switch,
        (false, true, false) => Rotation::Finish(Retirement::WhenItsWorkIsDone),
        (false, true, true) => Rotation::Finish(Retirement::AtOnce),
        (false, false, _) => Rotation::Begin,
    };
    let directory = &rotate.directory;
    let written = launcher::keys::rotate(directory, what, step, OffsetDateTime::now_utc());
    let written = written.map_err(|error| out_of_order(error, &rotate.what))?;
    for path in written {
        terminal::line(&path.display().to_string());
    }
    terminal::line(&next(what, step, &rotate.what, directory));
    Ok(Ending::Well)
}

fn what(name: &str) -> Result<Rotated, BadInput> {
    if name == "seal" {
        return Ok(Rotated::Seal);
    }
    let service = name.parse().map(Rotated::Service);
    service.map_err(|error| BadInput(format!("{error}; `seal` is the key that delivery opens with")))
}

/// A step that does not fit now is the person's to choose anew; a file that fails is not.
fn out_of_order(error: KeysError, name: &str) -> anyhow::Error {
    match error {
        KeysError::NothingToSwitchTo(_)
        | KeysError::SealedTooLately(_)
        | KeysError::NoOldSealKey
        | KeysError::Rotation(_) => BadInput(error.to_string()).into(),
        error => anyhow::Error::new(error).context(format!("the key of `{name}` was not replaced")),
    }
}

/// What the person does next.
fn next(what: Rotated, step: Rotation, name: &str, directory: &Path) -> String {
    let directory = directory.display();
    match (what, step) {
        (Rotated::Service(_), Rotation::Begin) => format!(
            "Give trusted.json to all six services. Once `/readyz` of each names it (`firstline keys show {directory}`), go on:\n  \
             firstline keys rotate {name} {directory} --switch"
        ),
        (Rotated::Seal, Rotation::Begin) => format!(
            "Give seal.key to delivery, and go on once it has read it:\n  \
             firstline keys rotate seal {directory} --switch"
        ),
        (Rotated::Service(_), Rotation::Switch) => format!(
            "Give {name}.key to {name}, and trusted.json to all. Once `/readyz` of {name} says that it signs with the new \
             key, and nothing that the old one signed is good any more:\n  \
             firstline keys rotate {name} {directory} --finish"
        ),
        (Rotated::Seal, Rotation::Switch) => format!(
            "Give seal.pub to the executor. Once nothing that was sealed to the old key is good any more:\n  \
             firstline keys rotate seal {directory} --finish"
        ),
        (Rotated::Service(_), Rotation::Finish(_)) => "Give trusted.json to all six services.".to_owned(),
        (Rotated::Seal, Rotation::Finish(_)) => "Give seal.key to delivery.".to_owned(),
    }
}
