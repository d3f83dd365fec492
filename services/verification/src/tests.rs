//! Builders for the tests of this crate: Adele asks, Megan decides, at a fixed time.

use common::{AuthorizedAction, ExecutionId, OperationId, PermitId, Person, StepCall, Values};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::approval::{Approval, Code};
use crate::inquiry::{Asked, Inquiry};
use crate::mfa::{Mfa, Push};
use crate::operation::{
    Answer, CardMessage, Channel, Facts, Method, Operation, Party, Reply, Request, State, Verdict,
};
use crate::question::Question;
use crate::words;

mod late;
mod machine;
mod presses;
mod questions;
mod stored;
mod texts;

pub(crate) const START: OffsetDateTime = datetime!(2026-11-22 09:40 UTC);
pub(crate) const ADELE: &str = "5c0f1e2a-0000-4000-8000-00000000000a";
pub(crate) const MEGAN: &str = "9d1e7b60-0000-4000-8000-0000000000aa";
pub(crate) const DIRECTORY: &str = "72f988bf-0000-4000-8000-000000000001";

pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    START + Duration::seconds(seconds)
}

pub(crate) fn adele() -> Person {
    Person {
        id: ADELE.parse().unwrap(),
        user_principal_name: "adele@contoso.example".to_owned(),
        display_name: "Adele Vance".to_owned(),
        mail: Some("adele@contoso.example".to_owned()),
        department: Some("Finance".to_owned()),
        job_title: None,
        account_enabled: true,
        guest: false,
        management_restricted: false,
        mobile_phone: None,
    }
}

pub(crate) fn reset() -> AuthorizedAction {
    AuthorizedAction {
        action: "executor.reset_password".parse().unwrap(),
        step: "reset_password".parse().unwrap(),
        parameters: Values::new(),
    }
}

fn facts(method: Method) -> Facts {
    Facts {
        id: OperationId::fresh(),
        tenant: "default".parse().unwrap(),
        ticket: "4242".parse().unwrap(),
        execution: ExecutionId::fresh(),
        call: StepCall {
            id: "verify".parse().unwrap(),
            visit: 1,
            attempt: 1,
        },
        method,
        subject: Party {
            id: ADELE.parse().unwrap(),
            name: "Adele Vance".to_owned(),
        },
        authorizes: Some(reset()),
        asked_at: START,
        deadline: at(600),
        latest: at(7200),
        trace: None,
    }
}

pub(crate) fn request() -> Request {
    let ticket = "4242".parse().unwrap();
    let reason = Some("I can't log in since this morning");
    Request {
        approver: Party {
            id: MEGAN.parse().unwrap(),
            name: "Megan Bowen".to_owned(),
        },
        reference: "apr_AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        shown: words::shown(&adele(), Some(&reset()), reason, &ticket, at(600)),
    }
}

/// Adele is to be asked by push until 09:50.
pub(crate) fn push_operation() -> Operation {
    let facts = facts(Method::Mfa);
    Operation {
        state: State::Mfa(Mfa {
            subject: ADELE.parse().unwrap(),
            user_principal_name: "adele@contoso.example".to_owned(),
            patience: facts.patience(),
            push: Push::Due {
                sent: 0,
                attempts: 0,
                at: START,
            },
        }),
        facts,
        permit: None,
    }
}

/// Megan is to be asked until 09:50, by text message from 09:45.
pub(crate) fn approval_operation() -> Operation {
    let facts = facts(Method::Manager);
    let approval = Approval::new(request(), facts.patience(), at(300), START);
    Operation {
        facts,
        state: State::Approval(Box::new(approval)),
        permit: None,
    }
}

/// Adele is to be asked where she is, until tomorrow.
pub(crate) fn question_operation() -> Operation {
    let choices = serde_json::json!({"home": "At home or on the road", "office": "In the office"});
    question_of(&serde_json::json!({"question": "Where are you working from?", "choices": choices}))
}

/// Adele is to be asked what the parameters of a step say, until tomorrow.
pub(crate) fn question_of(parameters: &serde_json::Value) -> Operation {
    let deadline = START + Duration::days(1);
    let inquiry = Inquiry {
        reference: "qst_AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        asked: Asked::read(parameters.as_object().unwrap()).unwrap(),
    };
    let facts = Facts {
        authorizes: None,
        deadline,
        latest: deadline + Duration::days(1),
        ..facts(Method::Question)
    };
    Operation {
        state: State::Question(Question::new(inquiry, facts.patience(), START)),
        facts,
        permit: None,
    }
}

/// Adele's answer to [`question_operation`], as her card sends it.
pub(crate) fn reply(answer: &str) -> Reply {
    reply_to(&question_operation(), answer)
}

pub(crate) fn reply_to(operation: &Operation, answer: &str) -> Reply {
    Reply {
        given: operation.state.inquiry().unwrap().asked.given(answer).unwrap(),
        by: ADELE.parse().unwrap(),
        card: card_message(),
        provenance: serde_json::json!({}),
    }
}

pub(crate) fn card_message() -> CardMessage {
    CardMessage {
        service_url: "https://smba.example/emea/".to_owned(),
        conversation: "a:1megan".to_owned(),
        activity: "1772443412345".to_owned(),
    }
}

pub(crate) fn code() -> Code {
    Code {
        number_hash: "n".to_owned(),
        answer_hash: "a".to_owned(),
        masked: "+44•••••123".to_owned(),
        wrong: 0,
    }
}

pub(crate) fn answer(verdict: Verdict, channel: Channel) -> Answer {
    Answer {
        verdict,
        by: MEGAN.parse().unwrap(),
        channel,
        card: (channel == Channel::Teams).then(card_message),
        provenance: serde_json::json!({}),
    }
}

pub(crate) fn permit_id() -> PermitId {
    PermitId::fresh()
}
