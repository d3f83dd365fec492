//! `firstline execution`: what was done for a ticket, and what operators do about it.

mod operate;

use common::client::{ClassifierClient, OrchestrationClient, PeerError};
use common::{Decision, ExecutionId, ExecutionStatus, ExecutionView, Standstill, StepView, TicketId};
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
            Ok(Ending::Well)
        }
        Execution::Show { id, fleet } => {
            let asked = Asked::from(id)?;
            let connection = Connection::to(fleet).await?;
            let classifier = connection.classifier()?;
            let found = asked.find(&connection.orchestration()?).await;
            match (found, asked) {
                (Ok(execution), _) => {
                    show(&execution);
                    Ok(Ending::Well)
                }
                (Err(error), Asked::Ticket(ticket)) if error.is_not_found() => {
                    explain(&classifier, &ticket).await
                }
                (Err(error), Asked::Execution(execution)) if error.is_not_found() => {
                    terminal::complain(&format!("there is no execution `{execution}`"));
                    Ok(Ending::Findings)
                }
                (Err(error), _) => Err(error.into()),
            }
        }
        Execution::Pause { operate } => operate::pause(operate).await,
        Execution::Resume { operate } => operate::resume(operate).await,
        Execution::Cancel { operate } => operate::cancel(operate).await,
        Execution::Retry { operate } => operate::retry(operate).await,
    }
}

/// What a person may name an execution by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Execution(ExecutionId),
    Ticket(TicketId),
}

impl Asked {
    /// Ask for it; of a ticket the newest one.
    pub(crate) async fn find(&self, orchestration: &OrchestrationClient) -> Result<ExecutionView, PeerError> {
        match self {
            Self::Execution(execution) => orchestration.execution(*execution).await,
            Self::Ticket(ticket) => orchestration.of_ticket(ticket).await,
        }
    }

    pub(crate) fn from(id: &str) -> Result<Self, BadInput> {
        if let Ok(execution) = id.parse() {
            return Ok(Self::Execution(execution));
        }
        let nonsense = || {
            BadInput(format!(
                "`{id}` is neither the number of a ticket nor the id of an execution"
            ))
        };
        let number = id.strip_prefix('#').unwrap_or(id);
        if number.is_empty() || !number.chars().all(|sign| sign.is_ascii_digit()) {
            return Err(nonsense());
        }
        number.parse().map(Self::Ticket).map_err(|_| nonsense())
    }
}

/// Why a ticket has no execution: the classifier knows.
async fn explain(classifier: &ClassifierClient, ticket: &TicketId) -> anyhow::Result<Ending> {
    match classifier.decision(ticket).await {
        Ok(decision) => {
            for line in decided(&decision) {
                terminal::line(&line);
            }
            Ok(Ending::Well)
        }
        Err(error) if error.is_not_found() => {
            terminal::complain(&format!(
                "ticket #{ticket} has not been seen yet: nothing was decided or done"
            ));
            Ok(Ending::Findings)
        }
        Err(error) => Err(error.into()),
    }
}

/// The decision on a ticket without an execution: its verdict, then a sentence for each reason.
fn decided(decision: &Decision) -> Vec<String> {
    let sub_category = decision.sub_category.as_deref();
    let sub_category = sub_category.map(|sub| format!("/{sub}")).unwrap_or_default();
    let (ticket, category) = (&decision.ticket_id, &decision.category);
    let fits = format!(
        "({category}{sub_category}, confidence {:.2})",
        decision.confidence
    );
    if decision.automated {
        return vec![format!(
            "ticket #{ticket} may be automated {fits}; its execution has not begun yet"
        )];
    }
    let codes: Vec<&str> = decision
        .blockers
        .iter()
        .map(|blocker| blocker.code.as_str())
        .collect();
    let verdict = format!(
        "ticket #{ticket} was left to a person: {} {fits}",
        codes.join(", ")
    );
    let reasons = decision
        .blockers
        .iter()
        .map(|blocker| format!("  {:<22} {}", blocker.code, blocker.detail));
    std::iter::once(verdict).chain(reasons).collect()
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
            match execution.standstill {
                Some(_) => format!("{} (held)", execution.status),
                None => execution.status.to_string(),
            },
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
    if let Some(standstill) = &execution.standstill {
        terminal::line(&format!("  stands     {}", stands_still(standstill)));
    }
    if let Some(reason) = &execution.reason {
        terminal::line(&format!("  because    {reason}"));
    }
    for step in &execution.steps {
        terminal::line(&step_line(step, execution));
        terminal::line(&format!("      {}", step.explanation));
    }
}

/// Why no step of an execution begins.
pub(crate) fn stands_still(standstill: &Standstill) -> String {
    match standstill {
        Standstill::Operator { name, reason, since } => {
            let reason = reason.as_ref().map(|reason| format!(": {reason}"));
            format!(
                "still: paused by {name} since {} UTC{}",
                moment(*since),
                reason.unwrap_or_default()
            )
        }
        Standstill::Switch { switch, off } => format!(
            "still: {switch} has been off since {} UTC, by {}: {}",
            moment(off.since),
            off.name,
            off.reason
        ),
    }
}

fn step_line(step: &StepView, execution: &ExecutionView) -> String {
    let by = step
        .service
        .as_deref()
        .map(|service| format!(" by {service}"))
        .unwrap_or_default();
    let attempt = match (step.call.visit, step.call.attempt) {
        (1, 1) => String::new(),
        (visit, attempt) => format!(" (visit {visit}, attempt {attempt})"),
    };
    let outcome = match &step.outcome {
        // The step that gives up has done its own work, which is no success of the request.
        Some(_) if hands_over(step, execution) => "handed over to a person",
        Some(outcome) => outcome.as_str(),
        None => "under way",
    };
    format!(
        "  {}  {}{attempt}{by}: {outcome}",
        moment(step.started_at),
        step.name
    )
}

/// The escalation step with which the execution ended: nobody was called, and its sentence is the reason.
fn hands_over(step: &StepView, execution: &ExecutionView) -> bool {
    execution.status == ExecutionStatus::Escalated
        && step.service.is_none()
        && execution.reason.as_ref() == Some(&step.explanation)
}

pub(crate) fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    // Fails for no time that a service wrote.
    at.format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decision(automated: bool, blockers: &serde_json::Value) -> Decision {
        serde_json::from_value(json!({
            "decision_id": "0199a7c0-0000-7000-8000-000000000002",
            "tenant_id": "0199a7c0-0000-7000-8000-000000000003",
            "ticket_id": "1013",
            "automated": automated,
            "category": "REQUEST",
            "sub_category": "PASSWORD_RESET",
            "confidence": 0.9312,
            "model": "embedded/1",
            "prompt_version": "1",
            "reasoning": "",
            "blockers": blockers,
            "decided_at": "2026-11-22T02:30:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_ticket_left_to_a_person_tells_every_reason() {
        let blockers = json!([{"code": "protected_role", "detail": "Grady Archie holds a directory role."}]);
        assert_eq!(
            decided(&decision(false, &blockers)),
            [
                "ticket #1013 was left to a person: protected_role (REQUEST/PASSWORD_RESET, confidence 0.93)",
                "  protected_role         Grady Archie holds a directory role.",
            ]
        );
    }

    #[test]
    fn a_ticket_that_is_about_to_begin_is_not_called_left_to_a_person() {
        let told = decided(&decision(true, &json!([]))).join("\n");
        assert!(told.contains("has not begun yet"), "{told}");
    }

    #[test]
    fn what_is_no_ticket_number_is_nonsense_before_anybody_is_asked() {
        assert!(matches!(Asked::from("#1013"), Ok(Asked::Ticket(_))));
        assert!(matches!(
            Asked::from("0199a7c0-0000-7000-8000-000000000002"),
            Ok(Asked::Execution(_))
        ));
        for nonsense in ["", "#", "abc", "12a", "-1", "1 2"] {
            assert!(Asked::from(nonsense).is_err(), "{nonsense}");
        }
    }
}
