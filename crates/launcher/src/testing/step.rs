//! A step as orchestration asks a service for it, and how a test looks at what came of it.

use std::fmt::Debug;

use common::client::PeerError;
use common::{ExecutionId, StepCall, StepRequest, Subject, TenantId, Values};
use sqlx::PgPool;
use time::OffsetDateTime;

/// The first attempt of `step` in a fresh execution for ticket 4242, about `user` of the tenant `default`, to be answered
/// within a minute. It has no parameters, authorizes nothing and brings no proof.
///
/// # Panics
/// One of the three is no name.
pub fn step_request(step: &str, action: &str, user: &str) -> StepRequest {
    let tenant: TenantId = "default".parse().expect("a tenant");
    StepRequest {
        tenant_id: tenant.clone(),
        execution_id: ExecutionId::fresh(),
        ticket_id: "4242".parse().expect("a ticket"),
        step: StepCall {
            id: step.parse().expect("a step"),
            visit: 1,
            attempt: 1,
        },
        action: action.parse().expect("an action"),
        subject: Subject {
            tenant_id: tenant,
            user_id: user.parse().expect("a user"),
        },
        parameters: Values::new(),
        deadline: OffsetDateTime::now_utc() + time::Duration::MINUTE,
        authorizes: None,
        permit: None,
        sealed: None,
    }
}

/// The same request once more, as orchestration repeats what may have failed.
pub fn next_attempt(request: &StepRequest) -> StepRequest {
    let mut next = request.clone();
    next.step.attempt += 1;
    next
}

/// The code of a refusal.
///
/// # Panics
/// It was none.
pub fn refusal<T: Debug>(answer: Result<T, PeerError>) -> String {
    match answer {
        Err(PeerError::Refused { problem, .. }) => problem.code,
        Err(PeerError::Busy { code, detail, .. }) => code.unwrap_or(detail),
        other => panic!("not refused: {other:?}"),
    }
}

/// The kinds of the audit events of an execution, oldest first.
///
/// # Panics
/// The database does not answer.
pub async fn audit_of(owner: &PgPool, execution: ExecutionId) -> Vec<String> {
    sqlx::query_scalar("SELECT kind FROM audit_events WHERE execution_id = $1 ORDER BY id")
        .bind(execution.0)
        .fetch_all(owner)
        .await
        .expect("the audit trail is readable for the owner")
}
