//! The doors: three ways to ask, one look-up, two webhooks.

pub mod steps;
pub mod teams;
pub mod twilio;

use chassis::{Api, Shell};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Verifier;

/// All routes with who may use them.
pub fn api(shell: &Shell, verifier: &Verifier) -> Api {
    let questions = OpenApiRouter::new()
        .routes(routes!(steps::mfa))
        .routes(routes!(steps::manager_approval))
        .routes(routes!(steps::ask))
        .routes(routes!(steps::operation))
        .routes(routes!(steps::renew_permit))
        .with_state(verifier.clone());
    let webhooks = OpenApiRouter::new()
        .routes(routes!(teams::approval_action))
        .routes(routes!(twilio::sms_response))
        .with_state(verifier.clone());
    Api::new(shell).guarded(questions).webhooks(webhooks)
}
