//! `firstline ticket`: a person of the simulated company writes to the help desk.

use serde::Deserialize;
use serde_json::json;

use crate::arguments::Ticket;
use crate::connect::script;
use crate::exit::Ending;
use crate::run_file::RunFile;
use crate::terminal;

#[derive(Deserialize)]
struct Filed {
    id: i64,
}

pub(crate) async fn run(command: &Ticket) -> anyhow::Result<Ending> {
    let Ticket::New {
        from,
        summary,
        details,
        home,
    } = command;
    let run = RunFile::read(&home.data)?;
    let body = json!({"from": from, "summary": summary, "details": details});
    let Filed { id } = script(&run.simulators.halo, "tickets", &body).await?;
    terminal::line(&format!("ticket {id} is filed"));
    terminal::line(&format!("see what becomes of it: firstline execution show {id}"));
    Ok(Ending::Well)
}
