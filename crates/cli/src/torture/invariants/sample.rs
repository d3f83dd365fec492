//! A sound record to be doctored: one ticket resolved, one left to a person.

use std::collections::BTreeMap;

use launcher::stage::STATUS_FIELD;
use simulators::Event;
use simulators::entra::PushAnswer;
use simulators::halo::{NoteView, TicketView};
use time::OffsetDateTime;

use crate::torture::records::{AuditLine, Holder, Records};

pub(super) const RESOLVED: i64 = 4243;
pub(super) const MANUAL: i64 = 4244;
pub(super) const PASS: &str = "Tc5?vA9k";
const ADELE: &str = "adele@contoso.example";
const MEGAN: &str = "megan@contoso.example";
const HER_NUMBER: &str = "+447700900102";
const MEGANS_NUMBER: &str = "+447700900101";

pub(super) fn records() -> Records {
    let person = |email: &str, number: &str, manager: Option<&str>| Holder {
        email: email.to_owned(),
        number: Some(number.to_owned()),
        manager: manager.map(str::to_owned),
        passes: Vec::new(),
    };
    let mut adele = person(ADELE, HER_NUMBER, Some(MEGAN));
    adele.passes.push(PASS.to_owned());
    let trail = [
        "decision.recorded",
        "execution.accepted",
        "permit.issued",
        "permit.spent",
        "execution.ended",
    ];
    Records {
        tickets: vec![resolved(), manual()],
        people: vec![adele, person(MEGAN, MEGANS_NUMBER, None)],
        events: events(),
        audit: trail
            .map(|kind| audit(RESOLVED, kind, kind.starts_with("permit").then_some("p-1")))
            .into(),
    }
}

fn events() -> Vec<Event> {
    vec![
        state(RESOLVED, "queued"),
        state(MANUAL, "manual"),
        Event::PushAnswered {
            email: ADELE.to_owned(),
            answer: PushAnswer::Approve,
        },
        Event::PassCreated {
            email: ADELE.to_owned(),
            pass: "a-pass".to_owned(),
            replaced: false,
        },
        pass_text(RESOLVED, PASS),
        Event::StatusChanged {
            ticket: RESOLVED,
            from: "New".to_owned(),
            to: "Resolved".to_owned(),
            by: "Firstline".to_owned(),
        },
        state(RESOLVED, "resolved"),
    ]
}

fn resolved() -> TicketView {
    let record = "Automation record (times in UTC)\n\
                  1. 2026-11-22 02:30:01 Verify User via MFA by verification.mfa\n\
                  2. 2026-11-22 02:30:07 Reset Password (attempt 2) by executor.reset_password\n\
                  3. 2026-11-22 02:30:12 Resolved by orchestration\nfl-0000000000000004";
    TicketView {
        notes: vec![
            note("Verify User via MFA: done.\nfl-0000000000000001", true),
            note("Reset Password (attempt 2): done.\nfl-0000000000000002", true),
            note(
                "Hello Adele Vance,\nyour request was completed automatically.\nfl-0000000000000003",
                false,
            ),
            note(record, true),
        ],
        status: "Resolved".to_owned(),
        ..filed(RESOLVED, "resolved")
    }
}

fn manual() -> TicketView {
    filed(MANUAL, "manual")
}

fn filed(id: i64, state: &str) -> TicketView {
    TicketView {
        id,
        summary: "I can't log in".to_owned(),
        details: String::new(),
        status: "New".to_owned(),
        status_id: 1,
        agent_id: 1,
        team: "Service Desk".to_owned(),
        user_id: Some(342),
        from: ADELE.to_owned(),
        notes: Vec::new(),
        custom_fields: BTreeMap::from([(STATUS_FIELD.to_owned(), state.to_owned())]),
    }
}

pub(super) fn ticket(records: &mut Records, id: i64) -> &mut TicketView {
    let mut tickets = records.tickets.iter_mut();
    tickets
        .find(|ticket| ticket.id == id)
        .expect("it is in the sample")
}

pub(super) fn note(text: &str, private: bool) -> NoteView {
    NoteView {
        by: "Firstline".to_owned(),
        agent_id: 30,
        outcome: "Internal Note".to_owned(),
        text: text.to_owned(),
        private,
        at: OffsetDateTime::UNIX_EPOCH,
    }
}

pub(super) fn state(ticket: i64, value: &str) -> Event {
    Event::CustomFieldChanged {
        ticket,
        field: STATUS_FIELD.to_owned(),
        value: value.to_owned(),
    }
}

pub(super) fn pass_text(ticket: i64, pass: &str) -> Event {
    Event::SmsReceived {
        sid: "SM1".to_owned(),
        from: "+447400000001".to_owned(),
        to: HER_NUMBER.to_owned(),
        body: format!("Contoso IT, ticket {ticket}: your one-time sign-in pass is\n{pass}\nIt works once."),
    }
}

pub(super) fn question(code: &str) -> Event {
    Event::SmsReceived {
        sid: "SM2".to_owned(),
        from: "+447400000001".to_owned(),
        to: MEGANS_NUMBER.to_owned(),
        body: format!(
            "Firstline: Reset the password of Adele Vance? Ticket {RESOLVED}. Reply YES {code} to approve."
        ),
    }
}

pub(super) fn yes_by_text() -> Event {
    Event::SmsReplied {
        from: MEGANS_NUMBER.to_owned(),
        body: "YES 4821".to_owned(),
        status: Some(200),
    }
}

pub(super) fn audit(ticket: i64, kind: &str, permit: Option<&str>) -> AuditLine {
    AuditLine {
        ticket,
        kind: kind.to_owned(),
        permit: permit.map(str::to_owned),
    }
}
