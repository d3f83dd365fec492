//! What an operation begins as: pure, but for the ids that it draws.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{OperationId, Person, StepRequest};
use rand::Rng as _;
use time::{Duration, OffsetDateTime};

use super::AskError;
use super::whom::Lookup;
use crate::operation::{Ended, Ending, Facts, Method, Obstacle, Operation, Party, Request, State};
use crate::words;

/// What `verification.manager` may be told in `with:` to show as the reason.
const REASON: &str = "reason";

/// What an operation is begun for; people have `longest` at most, and else as long as its step says. While nobody can be
/// asked, that time does not run, for as long as `outside` may be away.
pub(super) fn facts(
    request: &StepRequest,
    method: Method,
    longest: Option<Duration>,
    outside: Duration,
    now: OffsetDateTime,
) -> Facts {
    let deadline = longest.map_or(request.deadline, |longest| request.deadline.min(now + longest));
    Facts {
        id: OperationId::fresh(),
        tenant: request.tenant_id.clone(),
        ticket: request.ticket_id.clone(),
        execution: request.execution_id,
        call: request.step.clone(),
        method,
        subject: Party {
            id: request.subject.user_id.clone(),
            name: "The requester".to_owned(),
        },
        authorizes: request.authorizes.clone(),
        asked_at: now,
        deadline,
        latest: deadline.max(now + outside),
        trace: chassis::telemetry::trace_context(),
    }
}

pub(super) fn named(facts: Facts, person: &Person) -> Facts {
    Facts {
        // The id that was asked for, letter by letter: permits and repeats are held against it.
        subject: Party {
            id: facts.subject.id.clone(),
            name: person.display_name.clone(),
        },
        ..facts
    }
}

/// What the manager is asked.
pub(super) fn asked(request: &StepRequest, facts: &Facts, subject: &Person, manager: &Person) -> Request {
    let reason = request.parameters.get(REASON).and_then(|reason| reason.as_str());
    let shown = words::shown(
        subject,
        request.authorizes.as_ref(),
        reason,
        &facts.ticket,
        facts.deadline,
    );
    Request {
        approver: party(manager),
        reference: reference("apr"),
        shown,
    }
}

fn party(person: &Person) -> Party {
    Party {
        id: person.id.clone(),
        name: person.display_name.clone(),
    }
}

/// An operation that ends as it begins. Its result is the answer, so no signal is owed.
pub(super) fn impossible(
    facts: Facts,
    person: Option<&Person>,
    reason: Lookup,
    now: OffsetDateTime,
) -> Result<Operation, AskError> {
    let obstacle = match reason {
        Lookup::Away(error) => return Err(AskError::Away(error)),
        Lookup::Obstacle(obstacle) => obstacle,
    };
    let facts = match person {
        Some(person) => named(facts, person),
        None => facts,
    };
    Ok(ended(facts, obstacle, now))
}

pub(super) fn ended(facts: Facts, obstacle: Obstacle, now: OffsetDateTime) -> Operation {
    let ended = Ended {
        signal: None,
        ..Ended::owing(Ending::Impossible(obstacle), now)
    };
    Operation {
        facts,
        state: State::Ended(Box::new(ended)),
        permit: None,
    }
}

/// 128 random bits, after a word that says what they name.
pub(super) fn reference(of: &str) -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    format!("{of}_{}", URL_SAFE_NO_PAD.encode(bytes))
}
