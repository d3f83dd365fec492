//! The card a manager sees: the question, and its end without buttons. Rendering and escaping is the connector's.

use connectors::teams::{ApprovalCard, Card, DecidedCard, Verdict as Shows, approval_card, decided_card};

use crate::operation::{Channel, Ended, Ending, Request};
use crate::words;

/// The toast that announces the card.
pub fn summary(request: &Request) -> String {
    format!("Your approval is asked for: {}", request.shown.title)
}

/// The question.
pub fn question(request: &Request) -> Card {
    let shown = &request.shown;
    approval_card(&ApprovalCard {
        approval_id: &request.reference,
        title: &shown.title,
        employee: &shown.employee,
        department: shown.department.as_deref(),
        ticket: &shown.ticket,
        reason: &shown.reason,
        expires: &shown.expires,
        hint: None,
    })
}

/// The end, for everybody who looks at the card.
pub fn closed(request: &Request, ended: &Ended) -> Card {
    rendered(request, ended, &note(request, ended))
}

/// The end, for somebody who pressed after it.
pub fn too_late(request: &Request, ended: &Ended) -> Card {
    let note = format!("{}. An answer after that changes nothing.", note(request, ended));
    rendered(request, ended, &note)
}

fn rendered(request: &Request, ended: &Ended, note: &str) -> Card {
    let shown = &request.shown;
    decided_card(&DecidedCard {
        title: &shown.title,
        employee: &shown.employee,
        ticket: &shown.ticket,
        verdict: match &ended.ending {
            Ending::Approved { .. } => Shows::Approved,
            Ending::Denied { .. } => Shows::Denied,
            Ending::TimedOut(_) => Shows::Expired,
            Ending::Impossible(_) => Shows::Withdrawn,
        },
        note: Some(note),
    })
}

fn note(request: &Request, ended: &Ended) -> String {
    let at = words::clock(ended.at);
    match &ended.ending {
        Ending::Approved { channel, .. } | Ending::Denied { channel, .. } => {
            let how = if *channel == Channel::Sms {
                "by text message"
            } else {
                "in Teams"
            };
            format!("by {} {how}, {at}", request.approver.name)
        }
        Ending::TimedOut(_) | Ending::Impossible(_) => format!("at {at}"),
    }
}
