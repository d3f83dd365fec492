//! Asking the services for steps: which service, with what, and what its answer means to the machine.
//!
//! Repeats nothing by itself: whether to ask again, and when, is the machine's decision.

use std::collections::BTreeMap;
use std::time::Duration;

use common::client::{PeerError, StepClient};
use common::problem::{OUTSIDE_UNAVAILABLE, PERMIT_EXPIRED};
use common::{
    ActionName, ExecutionId, OperationId, OperationView, Pending, Service, StepAnswer, StepCall, StepRequest,
    Subject, TicketId,
};
use playbook_lang::{Call, Event};
use trust::permit;

use crate::breaker::Sign;
use crate::manners;
use crate::store::Claimed;

/// A service is told the deadline and answers by then; a little more for the way back.
const AFTER_DEADLINE: Duration = Duration::from_secs(2);
/// Even past its deadline a call gets this long: it may only be asking for an answer that lies ready.
const AT_LEAST: Duration = Duration::from_secs(5);
/// No call of a service blocks for longer; what takes longer is an operation (202).
const AT_MOST: Duration = Duration::from_secs(30);

/// Whose step it is.
#[derive(Debug, Clone)]
pub(crate) struct OnBehalf {
    pub(crate) execution: ExecutionId,
    pub(crate) ticket: TicketId,
    pub(crate) subject: Subject,
    /// An operator wants the call made, whatever is known of the outside.
    pub(crate) insisted: bool,
}

impl OnBehalf {
    /// Of an execution in our hands.
    pub(crate) fn of(claimed: &Claimed) -> Self {
        Self {
            execution: claimed.id,
            ticket: claimed.ticket.clone(),
            subject: claimed.subject.clone(),
            insisted: claimed.insisted,
        }
    }
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Heard {
    /// To the machine.
    pub(crate) event: Event,
    /// To the breakers.
    pub(crate) sign: Sign,
}

/// The services that perform steps, by the part of an action before its dot.
#[derive(Clone)]
pub(crate) struct StepServices(BTreeMap<String, StepClient>);

impl StepServices {
    pub(crate) const fn new(by_name: BTreeMap<String, StepClient>) -> Self {
        Self(by_name)
    }

    /// Ask for a step. `left` is the time to its deadline.
    pub(crate) async fn call(&self, whose: &OnBehalf, call: Call, left: Duration) -> Heard {
        let Some(client) = self.0.get(call.action.service()) else {
            let (event, sign) = (nobody_offers(call.call, &call.action), Sign::Nothing);
            return Heard { event, sign };
        };
        let (step, path) = (call.call.clone(), call.path.clone());
        let request = request(whose, call);
        let limit = (left + AFTER_DEADLINE).clamp(AT_LEAST, AT_MOST);
        match tokio::time::timeout(limit, self.perform(client, &path, request)).await {
            Ok(answer) => Heard {
                sign: sign(&answer),
                event: answered(step, answer),
            },
            Err(_) => Heard {
                event: Event::Unanswered { call: step },
                sign: Sign::Nothing,
            },
        }
    }

    /// Ask, and where the permit ran out while the work was parked, once more with the permit renewed.
    ///
    /// Nothing of it has to be remembered: whoever asks again with the old permit is refused again, gets the same permit
    /// renewed, and asks under the same key.
    async fn perform(
        &self,
        client: &StepClient,
        path: &str,
        mut request: StepRequest,
    ) -> Result<StepAnswer, PeerError> {
        let refused = match client.perform(path, &request).await {
            Err(refused @ PeerError::Refused { .. }) if has_run_out(&refused) => refused,
            answer => return answer,
        };
        let permit = request.permit.as_ref().and_then(permit::claimed_id);
        let (Some(permit), Some(verification)) = (permit, self.0.get(Service::Verification.name())) else {
            return Err(refused);
        };
        tracing::info!(execution.id = %request.execution_id, %permit, "the permit ran out; asking for its renewal");
        let renewed = verification.renew_permit(permit, request.execution_id).await;
        let renewed = renewed.map_err(nothing_happened)?;
        request.permit = Some(renewed.permit);
        client.perform_renewed(path, &request).await
    }

    /// Ask how an operation stands.
    pub(crate) async fn operation(
        &self,
        action: &ActionName,
        call: StepCall,
        operation: OperationId,
    ) -> Event {
        let Some(client) = self.0.get(action.service()) else {
            return nobody_offers(call, action);
        };
        match tokio::time::timeout(AT_MOST, client.operation(action, operation)).await {
            Ok(seen) => seen_as(call, operation, seen),
            Err(_) => Event::Unanswered { call },
        }
    }
}

/// Whatever became of the renewal, the service that refused has done nothing.
fn nothing_happened(error: PeerError) -> PeerError {
    match error {
        PeerError::Unknown { callee, detail } => PeerError::Busy {
            callee,
            detail,
            code: None,
            system: None,
            retry_after: None,
        },
        error => error,
    }
}

fn has_run_out(error: &PeerError) -> bool {
    matches!(error, PeerError::Refused { problem, .. } if problem.code == PERMIT_EXPIRED)
}

fn nobody_offers(call: StepCall, action: &ActionName) -> Event {
    let explanation = format!("No service is set up that offers `{action}`.");
    Event::Refused { call, explanation }
}

fn request(whose: &OnBehalf, call: Call) -> StepRequest {
    let Call {
        call,
        action,
        path: _,
        parameters,
        deadline,
        authorizes,
        permit,
        sealed,
    } = call;
    StepRequest {
        tenant_id: whose.subject.tenant_id.clone(),
        execution_id: whose.execution,
        ticket_id: whose.ticket.clone(),
        step: call,
        action,
        subject: whose.subject.clone(),
        parameters,
        deadline,
        authorizes,
        permit,
        sealed,
    }
}

/// What an answer to a call says of whatever is behind it.
fn sign(answer: &Result<StepAnswer, PeerError>) -> Sign {
    match answer {
        // It did not get as far as to need anything.
        Err(PeerError::Refused { problem, .. }) if problem.status == 401 => Sign::ServiceThere,
        Ok(_) | Err(PeerError::Refused { .. }) => Sign::There,
        Err(PeerError::Busy {
            code: Some(code),
            system,
            retry_after,
            ..
        }) if code == OUTSIDE_UNAVAILABLE => Sign::OutsideAway {
            system: system.clone(),
            retry_after: *retry_after,
            explanation: outside_away(system.as_deref()),
        },
        // For instance that the same request is being worked on: a matter of this call alone.
        Err(PeerError::Busy { code: Some(_), .. }) => Sign::ServiceThere,
        // No connection, or whatever stands before it says that it is not ready.
        Err(PeerError::Busy {
            code: None,
            retry_after,
            ..
        }) => Sign::ServiceAway {
            retry_after: *retry_after,
        },
        Err(PeerError::Unknown { .. }) => Sign::Nothing,
    }
}

/// What an answer to a call means.
fn answered(call: StepCall, answer: Result<StepAnswer, PeerError>) -> Event {
    match answer {
        Ok(StepAnswer::Done(result)) => Event::Answered {
            call,
            result: manners::result(result),
        },
        Ok(StepAnswer::Pending(pending)) => {
            let explanation = manners::sentence(&pending.explanation);
            let pending = Pending {
                explanation,
                ..pending
            };
            Event::Accepted { call, pending }
        }
        Err(error) => not_answered(call, error),
    }
}

/// What an answer to the question how an operation stands means.
fn seen_as(call: StepCall, operation: OperationId, seen: Result<OperationView, PeerError>) -> Event {
    match seen {
        // Somebody else's operation under our number is as good as no answer.
        Ok(view) if view.operation != operation => Event::Unanswered { call },
        Ok(view) => Event::OperationSeen {
            operation,
            result: view.result.map(manners::result),
        },
        Err(error) => not_answered(call, error),
    }
}

fn not_answered(call: StepCall, error: PeerError) -> Event {
    tracing::warn!(step = %call.id, %error, "the service did not do it");
    match error {
        // A clock that is off, a key that is just being renewed: says nothing about the step, and is mended without it.
        PeerError::Refused { problem, .. } if problem.status == 401 => Event::Unreached {
            call,
            retry_after: None,
        },
        PeerError::Refused { problem, .. } => {
            let why = if problem.detail.is_empty() {
                problem.title
            } else {
                problem.detail
            };
            Event::Refused {
                call,
                explanation: sentence(&why),
            }
        }
        PeerError::Busy {
            code,
            system,
            retry_after,
            ..
        } if code.as_deref() == Some(OUTSIDE_UNAVAILABLE) => Event::OutsideAway {
            call,
            retry_after,
            explanation: outside_away(system.as_deref()),
        },
        PeerError::Busy { retry_after, .. } => Event::Unreached { call, retry_after },
        PeerError::Unknown { .. } => Event::Unanswered { call },
    }
}

/// What is away, for people who read the ticket: the problem's own words tell the calling service what to do.
fn outside_away(system: Option<&str>) -> String {
    let system = system.unwrap_or("what it needs outside");
    sentence(&format!(
        "{system} does not answer at the moment, and nothing was done"
    ))
}

/// As people write one: a capital in front, a full stop behind.
fn sentence(words: &str) -> String {
    let words = manners::sentence(words);
    let words = words.trim().trim_end_matches('.');
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{Outcome, Problem, StepResult};

    fn call() -> StepCall {
        StepCall {
            id: "reset_password".parse().unwrap(),
            visit: 1,
            attempt: 2,
        }
    }

    fn busy(code: Option<&str>, detail: &str) -> PeerError {
        PeerError::Busy {
            callee: "executor".to_owned(),
            detail: detail.to_owned(),
            code: code.map(str::to_owned),
            system: code.map(|_| "Twilio".to_owned()),
            retry_after: Some(Duration::from_secs(7)),
        }
    }

    #[test]
    fn every_answer_of_a_service_means_exactly_one_thing() {
        let done = StepResult::new(Outcome::Success, "It was done.");
        let pending = Pending {
            operation: OperationId::fresh(),
            explanation: "Adele was asked.".to_owned(),
        };
        let refused = PeerError::Refused {
            callee: "executor".to_owned(),
            problem: Box::new(Problem::unprocessable("protected", "the account is protected")),
        };
        let stranger = PeerError::Refused {
            callee: "executor".to_owned(),
            problem: Box::new(Problem::unauthorized("token_expired", "the token is too old")),
        };
        let away = Problem::outside_unavailable("Twilio", Some(7)).to_string();
        let unknown = PeerError::Unknown {
            callee: "executor".to_owned(),
            detail: "500".to_owned(),
        };
        let wait = Some(Duration::from_secs(7));
        let words = "Twilio does not answer at the moment, and nothing was done.".to_owned();
        let unreached = |seconds: Option<u64>| Event::Unreached {
            call: call(),
            retry_after: seconds.map(Duration::from_secs),
        };
        let table = [
            (
                Ok(StepAnswer::Done(done.clone())),
                Event::Answered {
                    call: call(),
                    result: done,
                },
                Sign::There,
            ),
            (
                Ok(StepAnswer::Pending(pending.clone())),
                Event::Accepted {
                    call: call(),
                    pending,
                },
                Sign::There,
            ),
            (
                Err(refused),
                Event::Refused {
                    call: call(),
                    explanation: "The account is protected.".to_owned(),
                },
                Sign::There,
            ),
            (
                Err(busy(Some(OUTSIDE_UNAVAILABLE), &away)),
                Event::OutsideAway {
                    call: call(),
                    retry_after: wait,
                    explanation: words.clone(),
                },
                Sign::OutsideAway {
                    system: Some("Twilio".to_owned()),
                    retry_after: wait,
                    explanation: words,
                },
            ),
            (
                Err(busy(Some("idempotency_in_flight"), "409")),
                unreached(Some(7)),
                Sign::ServiceThere,
            ),
            (
                Err(busy(None, "503 Service Unavailable")),
                unreached(Some(7)),
                Sign::ServiceAway { retry_after: wait },
            ),
            (Err(stranger), unreached(None), Sign::ServiceThere),
            (Err(unknown), Event::Unanswered { call: call() }, Sign::Nothing),
        ];
        for (answer, event, says) in table {
            assert_eq!(sign(&answer), says);
            assert_eq!(answered(call(), answer), event);
        }
    }

    #[test]
    fn an_operation_of_somebody_else_is_no_answer() {
        let (ours, theirs) = (OperationId::fresh(), OperationId::fresh());
        let view = OperationView {
            operation: theirs,
            execution_id: ExecutionId::fresh(),
            step: call(),
            explanation: "Waiting.".to_owned(),
            deadline: time::OffsetDateTime::UNIX_EPOCH,
            result: Some(StepResult::new(Outcome::Success, "Yes.")),
        };
        assert_eq!(
            seen_as(call(), ours, Ok(view.clone())),
            Event::Unanswered { call: call() }
        );
        let ours_seen = seen_as(call(), theirs, Ok(view));
        assert!(
            matches!(ours_seen, Event::OperationSeen { result: Some(_), .. }),
            "{ours_seen:?}"
        );
    }
}
