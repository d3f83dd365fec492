//! How a command ends: 0 well, 1 with findings or a failure, 2 with input that makes no sense.

use std::process::ExitCode;

use crate::terminal;

/// A command that did what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// All is well.
    Well,
    /// It ran, and what it found is not well; it has said so.
    Findings,
    /// Part of the input could not be read; it has said so, and did the rest.
    Unreadable,
}

/// The person's input makes no sense; repeating it will not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadInput(pub(crate) String);

/// The exit code, and where something failed its chain of reasons on stderr.
pub(crate) fn report(ended: anyhow::Result<Ending>) -> ExitCode {
    match ended {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::Findings) => ExitCode::from(1),
        Ok(Ending::Unreadable) => ExitCode::from(2),
        Err(error) => {
            terminal::complain(&format!("firstline: {error:#}"));
            ExitCode::from(if error.is::<BadInput>() { 2 } else { 1 })
        }
    }
}
