//! Who may call what: every route of the six services with the services and the people's roles that may pass it.
//!
//! One table, to be read aloud. The chassis mounts no route that has no row here, and asks this table about each call;
//! webhooks are not in it, they prove their callers as each vendor does it. `tests/tests/fleet/matrix.rs` holds the
//! answers that are expected, written down a second time.

use http::Method;

use crate::service::{
    Role::{self, Admin, Auditor, Operator, User},
    Service::{self, Classifier, Delivery, Executor, Orchestration, Playbook, Verification},
};

/// One route and who may pass. Empty lists let nobody pass.
#[derive(Debug)]
pub struct Door {
    /// The route's method.
    pub method: Method,
    /// As it is mounted: `/api/v1/playbooks/{id}`.
    pub path: &'static str,
    /// Services that may call it.
    pub services: &'static [Service],
    /// People who may call it hold one of these.
    pub roles: &'static [Role],
}

impl Door {
    /// A row.
    pub const fn new(
        method: Method,
        path: &'static str,
        services: &'static [Service],
        roles: &'static [Role],
    ) -> Self {
        Self {
            method,
            path,
            services,
            roles,
        }
    }
}

/// The doors of one service.
pub fn of(service: Service) -> &'static [Door] {
    match service {
        Classifier => CLASSIFIER,
        Playbook => PLAYBOOK,
        Orchestration => ORCHESTRATION,
        Verification => VERIFICATION,
        Executor => EXECUTOR,
        Delivery => DELIVERY,
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;

/// No service, or nobody of the people.
const NONE: &[Service] = &[];
const NOBODY: &[Role] = &[];

static CLASSIFIER: &[Door] = &[
    Door::new(
        POST,
        "/api/v1/classify_ticket",
        &[Orchestration, Playbook],
        NOBODY,
    ),
    Door::new(
        GET,
        "/api/v1/decisions/{ticket_id}",
        &[Orchestration],
        &[Operator, Auditor],
    ),
    Door::new(PUT, "/api/v1/decisions/{ticket_id}/review", NONE, &[Operator]),
    // Whether a playbook may act by itself is asked by who activates it.
    Door::new(GET, "/api/v1/gate/standing/{playbook}", &[Playbook], NOBODY),
    Door::new(GET, "/api/v1/gate/report", NONE, WATCHERS),
];

/// Playbooks are read by those who decide on them and those who run them, and by everybody with a role.
const PLAYBOOK_READERS: &[Service] = &[Classifier, Orchestration];
const ANY_ROLE: &[Role] = &[Admin, Operator, Auditor, User];

static PLAYBOOK: &[Door] = &[
    Door::new(GET, "/api/v1/playbooks", PLAYBOOK_READERS, ANY_ROLE),
    Door::new(GET, "/api/v1/playbooks/{id}", PLAYBOOK_READERS, ANY_ROLE),
    Door::new(GET, "/api/v1/playbooks/{id}/versions", PLAYBOOK_READERS, ANY_ROLE),
    Door::new(POST, "/api/v1/playbooks/check", PLAYBOOK_READERS, ANY_ROLE),
    Door::new(POST, "/api/v1/playbooks", NONE, &[Admin]),
    Door::new(PUT, "/api/v1/playbooks/{id}/activate", NONE, &[Admin]),
    Door::new(PUT, "/api/v1/playbooks/{id}/deactivate", NONE, &[Admin]),
];

/// Who performs steps, and so may bring their results.
const STEP_SERVICES: &[Service] = &[Verification, Executor, Delivery];
/// The gate asks whether an execution is open on a ticket.
const TICKET_READERS: &[Service] = &[Classifier];
/// And whoever asks people late, whether there still is somebody who waits for their answer.
const EXECUTION_READERS: &[Service] = &[Classifier, Verification];
const WATCHERS: &[Role] = &[Operator, Auditor];
/// Who is on duty must be able to stop things.
const ON_DUTY: &[Role] = &[Operator, Admin];
/// And to find them.
const ON_DUTY_OR_WATCHING: &[Role] = &[Operator, Admin, Auditor];

static ORCHESTRATION: &[Door] = &[
    Door::new(
        POST,
        "/api/v1/orchestration/execute_playbook",
        &[Classifier],
        NOBODY,
    ),
    Door::new(
        POST,
        "/api/v1/orchestration/executions/{id}/signals",
        STEP_SERVICES,
        NOBODY,
    ),
    Door::new(
        GET,
        "/api/v1/orchestration/execution/{ticket_id}",
        TICKET_READERS,
        ON_DUTY_OR_WATCHING,
    ),
    Door::new(GET, "/api/v1/orchestration/executions", NONE, ON_DUTY_OR_WATCHING),
    Door::new(
        GET,
        "/api/v1/orchestration/executions/{id}",
        EXECUTION_READERS,
        ON_DUTY_OR_WATCHING,
    ),
    Door::new(POST, "/api/v1/orchestration/executions/{id}/pause", NONE, ON_DUTY),
    Door::new(
        POST,
        "/api/v1/orchestration/executions/{id}/resume",
        NONE,
        ON_DUTY,
    ),
    Door::new(
        POST,
        "/api/v1/orchestration/executions/{id}/cancel",
        NONE,
        ON_DUTY,
    ),
    Door::new(POST, "/api/v1/orchestration/executions/{id}/retry", NONE, ON_DUTY),
    Door::new(GET, "/api/v1/orchestration/switches", NONE, ON_DUTY_OR_WATCHING),
    Door::new(PUT, "/api/v1/orchestration/switches", NONE, ON_DUTY),
];

static VERIFICATION: &[Door] = &[
    Door::new(POST, "/api/v1/verification/mfa", &[Orchestration], NOBODY),
    Door::new(
        POST,
        "/api/v1/verification/manager_approval",
        &[Orchestration],
        NOBODY,
    ),
    Door::new(POST, "/api/v1/verification/ask", &[Orchestration], NOBODY),
    Door::new(GET, "/api/v1/verification/{id}", &[Orchestration], NOBODY),
    Door::new(POST, "/api/v1/verification/{id}/permit", &[Orchestration], NOBODY),
];

static EXECUTOR: &[Door] = &[
    Door::new(POST, "/api/v1/executor/reset_password", &[Orchestration], NOBODY),
    Door::new(POST, "/api/v1/executor/delete_pass", &[Orchestration], NOBODY),
];

static DELIVERY: &[Door] = &[
    Door::new(POST, "/api/v1/delivery/sms", &[Orchestration], NOBODY),
    Door::new(GET, "/api/v1/delivery/{id}", &[Orchestration], NOBODY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_has_two_rows_and_nobody_calls_themselves() {
        for service in Service::ALL {
            let doors = of(service);
            for (at, door) in doors.iter().enumerate() {
                let twin = doors
                    .iter()
                    .skip(at + 1)
                    .find(|other| (&other.method, other.path) == (&door.method, door.path));
                assert!(twin.is_none(), "{} {} has two rows", door.method, door.path);
                assert!(
                    !door.services.contains(&service),
                    "{} {} lets {service} call itself",
                    door.method,
                    door.path
                );
            }
        }
    }

    #[test]
    fn no_door_of_a_service_that_acts_or_proves_opens_to_people() {
        for service in [Verification, Executor, Delivery] {
            assert!(of(service).iter().all(|door| door.roles.is_empty()), "{service}");
        }
    }
}
