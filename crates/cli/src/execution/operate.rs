//! `firstline execution pause|resume|cancel|retry`: what operators do, and what came of it.

use common::client::{OrchestrationClient, PeerError};
use common::operate::{CancelExecution, OperateExecution};
use common::{ExecutionId, ExecutionView};

use super::{Asked, stands_still};
use crate::arguments::Operate;
use crate::connect::Connection;
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(super) async fn pause(operate: &Operate) -> anyhow::Result<Ending> {
    let (fleet, id) = found(operate).await?;
    told(fleet.pause(id, &why(operate)).await, "is paused")
}

pub(super) async fn resume(operate: &Operate) -> anyhow::Result<Ending> {
    let (fleet, id) = found(operate).await?;
    told(fleet.resume(id, &why(operate)).await, "goes on")
}

pub(super) async fn cancel(operate: &Operate) -> anyhow::Result<Ending> {
    let Some(reason) = operate.reason.clone() else {
        let why = "say why with --reason: the person who takes over reads it on the ticket";
        return Err(BadInput(why.to_owned()).into());
    };
    let (fleet, id) = found(operate).await?;
    let cancelled = fleet.cancel(id, &CancelExecution { reason }).await;
    told(
        cancelled,
        "is cancelled: what it did and can be taken back is taken back",
    )
}

pub(super) async fn retry(operate: &Operate) -> anyhow::Result<Ending> {
    let (fleet, id) = found(operate).await?;
    told(
        fleet.retry(id, &why(operate)).await,
        "tries again now what had failed or had to wait",
    )
}

fn why(operate: &Operate) -> OperateExecution {
    OperateExecution {
        reason: operate.reason.clone(),
    }
}

/// The execution that is meant; of a ticket the newest one.
async fn found(operate: &Operate) -> anyhow::Result<(OrchestrationClient, ExecutionId)> {
    let asked = Asked::from(&operate.id)?;
    let fleet = Connection::to(&operate.fleet).await?.orchestration()?;
    let id = match &asked {
        Asked::Execution(id) => *id,
        Asked::Ticket(ticket) => match fleet.of_ticket(ticket).await {
            Ok(view) => view.execution_id,
            Err(error) if error.is_not_found() => {
                anyhow::bail!(
                    "ticket #{ticket} has no execution: `firstline execution show {ticket}` tells why"
                )
            }
            Err(error) => return Err(error.into()),
        },
    };
    Ok((fleet, id))
}

/// What the fleet answered; a refusal in its own words.
fn told(answer: Result<ExecutionView, PeerError>, done: &str) -> anyhow::Result<Ending> {
    match answer {
        Ok(view) => {
            terminal::line(&format!(
                "ticket #{} ({}) {done}",
                view.ticket_id, view.execution_id
            ));
            if let Some(standstill) = &view.standstill {
                terminal::line(&format!("  stands {}", stands_still(standstill)));
            }
            Ok(Ending::Well)
        }
        Err(PeerError::Refused { problem, .. }) => {
            terminal::complain(&format!("{} ({})", problem.detail, problem.code));
            Ok(Ending::Findings)
        }
        Err(error) => Err(error.into()),
    }
}
