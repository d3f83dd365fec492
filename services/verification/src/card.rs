//! The cards that people see: what they are asked, and its end without buttons. Rendering and escaping is the connector's.

use common::UserId;
use connectors::teams::{
    Answers as ShownAnswers, ApprovalCard, Card, Choice as ShownChoice, ClosedQuestionCard, DecidedCard,
    QuestionCard, QuestionEnd, Verdict as Shows, approval_card, closed_question_card, decided_card,
    question_card,
};

use crate::inquiry::{self, Answers, Inquiry};
use crate::operation::{Channel, Ended, Ending, Facts, Matter, Operation, Request};
use crate::words;
use time::OffsetDateTime;

/// A card as it goes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing<'o> {
    /// To whom.
    pub to: &'o UserId,
    /// The toast that announces it.
    pub summary: String,
    /// The card.
    pub card: Card,
}

/// The card that an open operation asks by; none where it asks in another way.
pub fn outgoing(operation: &Operation) -> Option<Outgoing<'_>> {
    let facts = &operation.facts;
    let state = &operation.state;
    let approval = state.request().map(|request| Outgoing {
        to: &request.approver.id,
        summary: format!("Your approval is asked for: {}", request.shown.title),
        card: question(request),
    });
    let asked = state.inquiry().map(|inquiry| Outgoing {
        to: &facts.subject.id,
        summary: format!("A question about your ticket {}", facts.ticket),
        card: inquiry_card(facts, inquiry, operation.deadline()),
    });
    approval.or(asked)
}

/// The end, for everybody who looks at the card; none where there never was one.
pub fn closed(facts: &Facts, ended: &Ended) -> Option<Card> {
    Some(match ended.matter.as_ref()? {
        Matter::Approval(request) => decided(request, ended, &note(request, ended)),
        Matter::Question(inquiry) => end_of_inquiry(facts, inquiry, ended, &on(ended)),
    })
}

/// The end, for somebody who pressed after it.
pub fn too_late(facts: &Facts, ended: &Ended) -> Option<Card> {
    let after = |note: String| format!("{note}. An answer after that changes nothing.");
    Some(match ended.matter.as_ref()? {
        Matter::Approval(request) => decided(request, ended, &after(note(request, ended))),
        Matter::Question(inquiry) => end_of_inquiry(facts, inquiry, ended, &after(on(ended))),
    })
}

/// What a manager is asked.
pub fn question(request: &Request) -> Card {
    let shown = &request.shown;
    let parameters: Vec<(&str, &str)> = shown
        .parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), parameter.value.as_str()))
        .collect();
    approval_card(&ApprovalCard {
        approval_id: &request.reference,
        title: &shown.title,
        parameters: &parameters,
        employee: &shown.employee,
        department: shown.department.as_deref(),
        ticket: &shown.ticket,
        reason: &shown.reason,
        expires: &shown.expires,
        hint: None,
    })
}

fn decided(request: &Request, ended: &Ended, note: &str) -> Card {
    let shown = &request.shown;
    decided_card(&DecidedCard {
        title: &shown.title,
        employee: &shown.employee,
        ticket: &shown.ticket,
        verdict: match &ended.ending {
            Ending::Approved { .. } => Shows::Approved,
            Ending::Denied { .. } => Shows::Denied,
            Ending::TimedOut(silence) if silence.is_called_off() => Shows::Withdrawn,
            Ending::TimedOut(_) => Shows::Expired,
            Ending::Answered { .. } | Ending::Impossible(_) => Shows::Withdrawn,
        },
        note: Some(note),
    })
}

fn note(request: &Request, ended: &Ended) -> String {
    match &ended.ending {
        Ending::Approved { channel, .. } | Ending::Denied { channel, .. } => {
            let how = if *channel == Channel::Sms {
                "by text message"
            } else {
                "in Teams"
            };
            format!("by {} {how}, {}", request.approver.name, words::clock(ended.at))
        }
        Ending::Answered { .. } | Ending::TimedOut(_) | Ending::Impossible(_) => at(ended),
    }
}

fn at(ended: &Ended) -> String {
    format!("at {}", words::clock(ended.at))
}

fn on(ended: &Ended) -> String {
    format!("on {}", words::moment(ended.at))
}

/// What a requester is asked.
fn inquiry_card(facts: &Facts, inquiry: &Inquiry, until: OffsetDateTime) -> Card {
    let asked = &inquiry.asked;
    let choices = asked.choices();
    let choices: Vec<ShownChoice<'_>> = choices
        .iter()
        .map(|(id, choice)| ShownChoice {
            id,
            text: &choice.text,
        })
        .collect();
    question_card(&QuestionCard {
        question_id: &inquiry.reference,
        question: &asked.question,
        ticket: facts.ticket.as_str(),
        until: &words::moment(until),
        answers: match &asked.answers {
            Answers::OneOf(_) => ShownAnswers::OneOf(&choices),
            Answers::Text => ShownAnswers::Text {
                longest: inquiry::LONGEST,
            },
            Answers::Number => ShownAnswers::Number,
            Answers::Date => ShownAnswers::Date,
        },
    })
}

fn end_of_inquiry(facts: &Facts, inquiry: &Inquiry, ended: &Ended, note: &str) -> Card {
    let asked = &inquiry.asked;
    closed_question_card(&ClosedQuestionCard {
        question: &asked.question,
        ticket: facts.ticket.as_str(),
        end: match &ended.ending {
            Ending::Answered { given, .. } => QuestionEnd::Answered(asked.reads(given)),
            Ending::TimedOut(silence) if silence.is_called_off() => QuestionEnd::Withdrawn,
            Ending::TimedOut(_) => QuestionEnd::Expired,
            Ending::Approved { .. } | Ending::Denied { .. } | Ending::Impossible(_) => QuestionEnd::Withdrawn,
        },
        note,
    })
}
