//! The permit: what a success of this service allows. Made from facts in the row whenever it is asked for, since the
//! signature is deterministic; the token itself is kept nowhere.

use common::{Assurance, PermitToken};
use trust::Identity;
use trust::permit::{Method as PermitMethod, Permit, PermitClaims, PermitError, parameters_digest};

use crate::operation::{Channel, Ending, Method, Operation};

/// What the permit of this operation claims; `None` where it did not succeed or authorizes nothing.
pub fn claims(operation: &Operation) -> Option<PermitClaims> {
    let facts = &operation.facts;
    let permit = operation.permit.as_ref()?;
    let authorized = facts.authorizes.as_ref()?;
    let ended = operation.state.ended()?;
    let Ending::Approved { channel, .. } = &ended.ending else {
        return None;
    };
    let request = ended.request();
    let method = match (facts.method, channel) {
        (Method::Mfa, Channel::Push) => PermitMethod::MfaPush,
        (Method::Manager, Channel::Teams) => PermitMethod::ManagerTeams,
        (Method::Manager, Channel::Sms) => PermitMethod::ManagerSms,
        (Method::Mfa, Channel::Teams | Channel::Sms)
        | (Method::Manager, Channel::Push)
        | (Method::Question, Channel::Push | Channel::Teams | Channel::Sms) => return None,
    };
    Some(PermitClaims {
        id: permit.id,
        tenant: facts.tenant.clone(),
        execution: facts.execution,
        ticket: facts.ticket.clone(),
        subject: facts.subject.id.clone(),
        action: authorized.action.clone(),
        step: authorized.step.clone(),
        parameters: parameters_digest(&authorized.parameters),
        assurance: Assurance::Substantial,
        method,
        approver: request.map(|request| request.approver.id.clone()),
        shown: request.map(|request| request.shown.digest()),
        issued: permit.issued_at,
        expires: permit.expires_at,
    })
}

/// The permit, signed; the same one each time.
pub fn token(operation: &Operation, identity: &Identity) -> Result<Option<PermitToken>, PermitError> {
    claims(operation)
        .map(|claims| Permit::issue(&claims, identity))
        .transpose()
}
