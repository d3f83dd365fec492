//! `firstline`: the fleet on one machine, its demonstration, and the commands of the people who run it.

mod archive;
mod arguments;
mod audit;
mod bench;
mod connect;
mod demo;
mod eval;
mod execution;
mod exit;
mod gate;
mod keys;
mod logs;
mod migrate;
mod playbook;
mod record;
mod run_file;
mod switch;
mod terminal;
mod ticket;
mod torture;
mod up;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use exit::Ending;

fn main() -> ExitCode {
    // Started by a measurement or a storm, as one of its services.
    if let Some(code) = launcher::processes::as_service() {
        return code;
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(Err(error.into())),
    };
    let code = exit::report(runtime.block_on(run(arguments.command)));
    // Nothing is left to wait for: what must end well has ended before `run` answered.
    runtime.shutdown_background();
    code
}

async fn run(command: Command) -> anyhow::Result<Ending> {
    match command {
        Command::Demo(demo) => demo::run(&demo).await,
        Command::Up(up) => up::run(&up).await,
        Command::Ticket(ticket) => ticket::run(&ticket).await,
        Command::Playbook(playbook) => playbook::run(&playbook).await,
        Command::Gate(gate) => gate::run(&gate).await,
        Command::Execution(execution) => execution::run(&execution).await,
        Command::Eval(eval) => eval::run(&eval).await,
        Command::Bench(bench) => bench::run(&bench).await,
        Command::Switch(switch) => switch::run(&switch).await,
        Command::Torture(torture) => torture::run(&torture).await,
        Command::Keys(keys) => keys::run(&keys),
        Command::Migrate(migrate) => migrate::run(&migrate).await,
        Command::Audit(audit) => audit::run(&audit).await,
        Command::Archive(archive) => archive::run(&archive).await,
    }
}
