//! `firstline gate`: which tickets are automated, and what would change that.

mod replay;
pub(crate) mod report;
mod since;

use crate::arguments::Gate;
use crate::exit::Ending;

pub(crate) async fn run(command: &Gate) -> anyhow::Result<Ending> {
    match command {
        Gate::Replay(replay) => replay::run(replay).await,
        Gate::Report(report) => report::run(report).await,
    }
}
