//! Rows of `verifications` to operations, by one exhaustive match; `rows` is the way there.

use common::{AuthorizedAction, ExecutionId, OperationId, PermitId, StepCall, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::approval::{Approval, Code, Kept, Sms};
use crate::inquiry::{Asked, Inquiry};
use crate::mfa::{Mfa, Push};
use crate::operation::{
    Answer, CardMessage, Channel, Duty, Ended, Ending, Facts, Matter, Method, Obstacle, Operation, Party,
    PermitFacts, Request, Shown, Silence, State, Verdict,
};
use crate::patience::Patience;
use crate::posting::{Card, Posting};
use crate::question::Question;

/// A row as it is read.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) method: String,
    pub(super) ticket_id: String,
    pub(super) execution_id: Uuid,
    pub(super) step_id: String,
    pub(super) visit: i32,
    pub(super) attempt: i32,
    pub(super) subject_id: String,
    pub(super) subject_name: String,
    pub(super) user_principal_name: Option<String>,
    pub(super) authorizes: Option<serde_json::Value>,
    pub(super) approver_id: Option<String>,
    pub(super) approver_name: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) shown: Option<serde_json::Value>,
    pub(super) question: Option<serde_json::Value>,
    pub(super) asked_at: OffsetDateTime,
    pub(super) deadline: OffsetDateTime,
    pub(super) trace_context: Option<String>,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) answer: Option<String>,
    pub(super) answered_by: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) ended_at: Option<OffsetDateTime>,
    pub(super) pushes: Option<i16>,
    pub(super) push_attempts: Option<i16>,
    pub(super) push_at: Option<OffsetDateTime>,
    pub(super) push_open: bool,
    pub(super) card: Option<String>,
    pub(super) card_attempts: Option<i16>,
    pub(super) card_at: Option<OffsetDateTime>,
    pub(super) card_service_url: Option<String>,
    pub(super) card_conversation: Option<String>,
    pub(super) card_activity: Option<String>,
    pub(super) cards_unconfirmed: i16,
    pub(super) sms: Option<String>,
    pub(super) sms_attempts: Option<i16>,
    pub(super) sms_at: Option<OffsetDateTime>,
    pub(super) sms_count: i16,
    pub(super) sms_number_hash: Option<String>,
    pub(super) sms_answer_hash: Option<String>,
    pub(super) sms_masked: Option<String>,
    pub(super) sms_wrong: i16,
    pub(super) permit_id: Option<Uuid>,
    pub(super) permit_issued_at: Option<OffsetDateTime>,
    pub(super) permit_expires_at: Option<OffsetDateTime>,
    pub(super) signal_attempts: Option<i16>,
    pub(super) signal_at: Option<OffsetDateTime>,
    pub(super) alarm: Option<String>,
    pub(super) latest: Option<OffsetDateTime>,
    pub(super) moved_deadline: Option<OffsetDateTime>,
    pub(super) kept_at: Option<OffsetDateTime>,
    pub(super) kept_channel: Option<String>,
    pub(super) kept_provenance: Option<serde_json::Value>,
    pub(super) look_up_attempts: Option<i16>,
    pub(super) look_up_at: Option<OffsetDateTime>,
}

impl Row {
    pub(super) fn read(self, tenant: &common::TenantId) -> Result<Operation, StoreError> {
        let id = OperationId(self.id);
        self.operation(tenant)
            .map_err(|what| StoreError::Corrupt { id, what })
    }

    fn operation(self, tenant: &common::TenantId) -> Result<Operation, &'static str> {
        let method = match self.method.as_str() {
            "mfa" => Method::Mfa,
            "manager" => Method::Manager,
            "question" => Method::Question,
            _ => return Err("its method is unknown"),
        };
        let authorizes: Option<AuthorizedAction> = self
            .authorizes
            .clone()
            .map(serde_json::from_value)
            .transpose()
            .map_err(|_| "what it authorizes cannot be read")?;
        let facts = Facts {
            id: OperationId(self.id),
            tenant: tenant.clone(),
            ticket: self.ticket_id.parse().map_err(|_| "its ticket is no id")?,
            execution: ExecutionId(self.execution_id),
            call: StepCall {
                id: self.step_id.parse().map_err(|_| "its step is no id")?,
                visit: self.visit.try_into().map_err(|_| "its visit is no count")?,
                attempt: self.attempt.try_into().map_err(|_| "its attempt is no count")?,
            },
            method,
            subject: Party {
                id: self.subject_id.parse().map_err(|_| "its subject is no id")?,
                name: self.subject_name.clone(),
            },
            authorizes,
            asked_at: self.asked_at,
            deadline: self.deadline,
            latest: self.latest.unwrap_or(self.deadline),
            trace: self.trace_context.clone(),
        };
        let permit = match (self.permit_id, self.permit_issued_at, self.permit_expires_at) {
            (None, None, None) => None,
            (Some(id), Some(issued_at), Some(expires_at)) => Some(PermitFacts {
                id: PermitId(id),
                issued_at,
                expires_at,
            }),
            _ => return Err("its permit is incomplete"),
        };
        let state = self.state(&facts)?;
        Ok(Operation { facts, state, permit })
    }

    fn state(self, facts: &Facts) -> Result<State, &'static str> {
        match (self.state.as_str(), facts.method, self.ended_at) {
            ("open", Method::Mfa, None) => self.mfa(facts).map(State::Mfa),
            ("open", Method::Manager, None) => {
                self.approval(facts).map(|open| State::Approval(Box::new(open)))
            }
            ("open", Method::Question, None) => self.question(facts).map(State::Question),
            ("approved" | "denied" | "answered" | "timed_out" | "impossible", _, Some(at)) => {
                self.ended(at).map(|ended| State::Ended(Box::new(ended)))
            }
            _ => Err("its state is unknown"),
        }
    }

    fn mfa(self, facts: &Facts) -> Result<Mfa, &'static str> {
        let (Some(pushes), Some(attempts), Some(at)) = (self.pushes, self.push_attempts, self.push_at) else {
            return Err("its push is incomplete");
        };
        let count = u8::try_from(pushes).map_err(|_| "its pushes are no count")?;
        let attempts = u16::try_from(attempts).map_err(|_| "its attempts are no count")?;
        let push = if self.push_open {
            Push::Open {
                number: count,
                attempts,
                since: at,
            }
        } else {
            Push::Due {
                sent: count,
                attempts,
                at,
            }
        };
        Ok(Mfa {
            subject: facts.subject.id.clone(),
            user_principal_name: self
                .user_principal_name
                .clone()
                .ok_or("it names no sign-in name")?,
            patience: self.patience(facts),
            push,
        })
    }

    fn approval(self, facts: &Facts) -> Result<Approval, &'static str> {
        let sms_duty = duty(self.sms_attempts, self.sms_at)?;
        let sent = u8::try_from(self.sms_count).map_err(|_| "its text messages are no count")?;
        let sms = match (self.sms.as_deref(), sms_duty, self.code()?) {
            (Some("due"), Some(duty), None) => Sms::Due { sent, duty },
            (Some("sending"), Some(duty), Some(code)) => Sms::Sending { sent, duty, code },
            (Some("sent"), None, Some(code)) => Sms::Sent { code },
            (Some("off"), None, None) => Sms::Off,
            _ => return Err("its text message is incomplete"),
        };
        let request = self.request()?.ok_or("it names no approver")?;
        Ok(Approval {
            kept: self.kept(&request)?,
            request,
            patience: self.patience(facts),
            posting: self.posting()?,
            sms,
        })
    }

    fn question(self, facts: &Facts) -> Result<Question, &'static str> {
        Ok(Question {
            inquiry: self.inquiry()?.ok_or("it asks no question")?,
            patience: self.patience(facts),
            posting: self.posting()?,
        })
    }

    fn patience(&self, facts: &Facts) -> Patience {
        let patience = facts.patience();
        Patience {
            deadline: self.moved_deadline.unwrap_or(patience.deadline),
            ..patience
        }
    }

    /// A yes of the manager that waits for the directory.
    fn kept(&self, request: &Request) -> Result<Option<Kept>, &'static str> {
        let look_up = duty(self.look_up_attempts, self.look_up_at)?;
        let channel = self.kept_channel.as_deref();
        match (self.kept_at, channel, &self.kept_provenance, look_up) {
            (None, None, None, None) => Ok(None),
            (Some(at), Some(channel), Some(provenance), Some(duty)) => Ok(Some(Kept {
                answer: Answer {
                    verdict: Verdict::Approve,
                    by: request.approver.id.clone(),
                    channel: read_channel(channel)?,
                    card: None,
                    provenance: provenance.clone(),
                },
                at,
                duty,
            })),
            _ => Err("its kept answer is incomplete"),
        }
    }

    fn posting(&self) -> Result<Posting, &'static str> {
        let due = duty(self.card_attempts, self.card_at)?;
        let unconfirmed = u8::try_from(self.cards_unconfirmed).map_err(|_| "its cards are no count")?;
        let card = match (self.card.as_deref(), due, self.message()?) {
            (Some("due"), Some(duty), None) => Card::Due(duty),
            (Some("sending"), Some(duty), None) => Card::Sending(duty),
            (Some("sent"), None, Some(message)) => Card::Sent(message),
            (Some("off"), None, None) => Card::Off,
            _ => return Err("its card is incomplete"),
        };
        Ok(Posting { card, unconfirmed })
    }

    fn ended(self, at: OffsetDateTime) -> Result<Ended, &'static str> {
        let channel = self.channel.as_deref().map(read_channel).transpose()?;
        let by: Option<UserId> = self
            .answered_by
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|_| "who answered is no id")?;
        let matter = self.matter()?;
        let ending = match (self.state.as_str(), by, channel, self.reason.as_deref()) {
            ("approved", Some(by), Some(channel), None) => Ending::Approved { by, channel },
            ("denied", Some(by), Some(channel), reason @ (None | Some("fraud"))) => Ending::Denied {
                by,
                channel,
                fraud: reason.is_some(),
            },
            ("answered", Some(by), Some(Channel::Teams), None) => {
                let (Some(Matter::Question(inquiry)), Some(answer)) = (&matter, self.answer.clone()) else {
                    return Err("its answer is incomplete");
                };
                let given = inquiry.asked.restored(answer);
                Ending::Answered {
                    by,
                    given: given.ok_or("its answer is none of the choices")?,
                }
            }
            ("timed_out", None, None, Some(word)) => {
                Ending::TimedOut(Silence::from_word(word).ok_or("its reason is unknown")?)
            }
            ("impossible", None, None, Some(word)) => {
                Ending::Impossible(Obstacle::from_word(word).ok_or("its reason is unknown")?)
            }
            _ => return Err("its ending is incomplete"),
        };
        let open_card = match (self.message()?, duty(self.card_attempts, self.card_at)?) {
            (Some(message), Some(duty)) => Some((message, duty)),
            (None, None) => None,
            _ => return Err("its card is incomplete"),
        };
        Ok(Ended {
            ending,
            at,
            matter,
            code: self.code()?,
            open_card,
            signal: duty(self.signal_attempts, self.signal_at)?,
            alarm: self.alarm,
        })
    }

    fn matter(&self) -> Result<Option<Matter>, &'static str> {
        match (self.request()?, self.inquiry()?) {
            (None, None) => Ok(None),
            (Some(request), None) => Ok(Some(Matter::Approval(request))),
            (None, Some(inquiry)) => Ok(Some(Matter::Question(inquiry))),
            (Some(_), Some(_)) => Err("it asks two things"),
        }
    }

    fn request(&self) -> Result<Option<Request>, &'static str> {
        match (
            &self.approver_id,
            &self.approver_name,
            &self.reference,
            &self.shown,
        ) {
            (None, None, _, None) => Ok(None),
            (Some(id), Some(name), Some(reference), Some(shown)) => Ok(Some(Request {
                approver: Party {
                    id: id.parse().map_err(|_| "its approver is no id")?,
                    name: name.clone(),
                },
                reference: reference.clone(),
                shown: serde_json::from_value::<Shown>(shown.clone())
                    .map_err(|_| "what was shown cannot be read")?,
            })),
            _ => Err("its request is incomplete"),
        }
    }

    fn inquiry(&self) -> Result<Option<Inquiry>, &'static str> {
        let Some(question) = &self.question else {
            return Ok(None);
        };
        Ok(Some(Inquiry {
            reference: self.reference.clone().ok_or("its question has no reference")?,
            asked: serde_json::from_value::<Asked>(question.clone())
                .map_err(|_| "its question cannot be read")?,
        }))
    }

    fn message(&self) -> Result<Option<CardMessage>, &'static str> {
        match (
            &self.card_service_url,
            &self.card_conversation,
            &self.card_activity,
        ) {
            (None, None, None) => Ok(None),
            (Some(service_url), Some(conversation), Some(activity)) => Ok(Some(CardMessage {
                service_url: service_url.clone(),
                conversation: conversation.clone(),
                activity: activity.clone(),
            })),
            _ => Err("where its card lies is incomplete"),
        }
    }

    fn code(&self) -> Result<Option<Code>, &'static str> {
        match (&self.sms_number_hash, &self.sms_answer_hash, &self.sms_masked) {
            (None, None, None) => Ok(None),
            (Some(number_hash), Some(answer_hash), Some(masked)) => Ok(Some(Code {
                number_hash: number_hash.clone(),
                answer_hash: answer_hash.clone(),
                masked: masked.clone(),
                wrong: u8::try_from(self.sms_wrong).map_err(|_| "its wrong codes are no count")?,
            })),
            _ => Err("its code is incomplete"),
        }
    }
}

fn read_channel(word: &str) -> Result<Channel, &'static str> {
    match word {
        "push" => Ok(Channel::Push),
        "teams" => Ok(Channel::Teams),
        "sms" => Ok(Channel::Sms),
        _ => Err("its channel is unknown"),
    }
}

fn duty(attempts: Option<i16>, at: Option<OffsetDateTime>) -> Result<Option<Duty>, &'static str> {
    match (attempts, at) {
        (None, None) => Ok(None),
        (Some(attempts), Some(at)) => Ok(Some(Duty {
            attempts: u16::try_from(attempts).map_err(|_| "its attempts are no count")?,
            at,
        })),
        _ => Err("a duty of it is incomplete"),
    }
}
