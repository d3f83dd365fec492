//! `firstline execution`: what was done for a ticket.

use common::{ExecutionId, ExecutionView, StepView, TicketId};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::arguments::Execution;
use crate::connect::Connection;
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(crate) async fn run(command: &Execution) -> anyhow::Result<Ending> {
    match command {
        Execution::List { fleet } => {
            let executions = Connection::to(fleet).await?.orchestration()?.recent().await?;
            list(&executions);
        }
        Execution::Show { id, fleet } => {
            let orchestration = Connection::to(fleet).await?.orchestration()?;
            let found = match id.parse::<ExecutionId>() {
                Ok(execution) => orchestration.execution(execution).await,
                Err(_) => orchestration.of_ticket(&ticket(id)?).await,
            };
            match found {
                Ok(execution) => show(&execution),
                Err(error) if error.is_not_found() => {
                    terminal::complain(&format!(
                        "there is no execution of `{id}`: it was left to a person, or not seen yet"
                    ));
                    return Ok(Ending::Findings);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(Ending::Well)
}

fn ticket(id: &str) -> Result<TicketId, BadInput> {
    id.trim_start_matches('#')
        .parse()
        .map_err(|error| BadInput(format!("{error}")))
}

fn list(executions: &[ExecutionView]) {
    if executions.is_empty() {
        terminal::line("nothing has been executed yet");
        return;
    }
    let mut rows = vec![
        ["TICKET", "STATUS", "PLAYBOOK", "STARTED (UTC)", "EXECUTION"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(executions.iter().map(|execution| {
        vec![
            format!("#{}", execution.ticket_id),
            execution.status.to_string(),
            format!("{} {}", execution.playbook.name, execution.playbook.version),
            moment(execution.started_at),
            execution.execution_id.to_string(),
        ]
    }));
    terminal::table(&rows);
}

/// Every step with what was asked and what came back.
pub(crate) fn show(execution: &ExecutionView) {
    let playbook = &execution.playbook;
    terminal::line(&format!(
        "ticket #{} is {}",
        execution.ticket_id, execution.status
    ));
    terminal::line(&format!(
        "  playbook   {} {} (sha256 {})",
        playbook.name, playbook.version, playbook.digest
    ));
    terminal::line(&format!("  execution  {}", execution.execution_id));
    terminal::line(&format!("  started    {} UTC", moment(execution.started_at)));
    if let Some(ended) = execution.ended_at {
        terminal::line(&format!("  ended      {} UTC", moment(ended)));
    }
    if let Some(reason) = &execution.reason {
        terminal::line(&format!("  because    {reason}"));
    }
    for step in &execution.steps {
        terminal::line(&step_line(step));
        terminal::line(&format!("      {}", step.explanation));
    }
}

fn step_line(step: &StepView) -> String {
    let by = step
        .service
        .as_deref()
        .map(|service| format!(" by {service}"))
        .unwrap_or_default();
    let attempt = match (step.call.visit, step.call.attempt) {
        (1, 1) => String::new(),
        (visit, attempt) => format!(" (visit {visit}, attempt {attempt})"),
    };
    let outcome = step.outcome.as_ref().map_or("under way", common::Outcome::as_str);
    format!(
        "  {}  {}{attempt}{by}: {outcome}",
        moment(step.started_at),
        step.name
    )
}

fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    // Fails for no time that a service wrote.
    at.format(&format).unwrap_or_default()
}
