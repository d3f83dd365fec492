//! The doors: three ways to ask, one look-up, two webhooks.

pub mod steps;
pub mod teams;
pub mod twilio;

use chassis::{Api, Shell};
use common::{Role, Service};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Verifier;

/// All routes with who may use them.
pub fn api(shell: &Shell, verifier: &Verifier) -> Api {
    let questions = OpenApiRouter::new()
        .routes(routes!(steps::mfa))
        .routes(routes!(steps::manager_approval))
        .routes(routes!(steps::ask))
        .with_state(verifier.clone());
    let look_up = OpenApiRouter::new()
        .routes(routes!(steps::operation))
        .with_state(verifier.clone());
    let webhooks = OpenApiRouter::new()
        .routes(routes!(teams::approval_action))
        .routes(routes!(twilio::sms_response))
        .with_state(verifier.clone());
    Api::new(shell)
        .internal(&[Service::Orchestration], questions)
        .either(
            &[Service::Orchestration],
            &[Role::Operator, Role::Auditor],
            look_up,
        )
        .webhooks(webhooks)
}
