//! What an operation is about: who is asked for what, how it can end, what its permit says. Plain values.

use common::protection::Protection;
use common::velocity::{Exceeded, Limited};
use common::{
    AuthorizedAction, Digest, ExecutionId, OperationId, PermitId, StepCall, TenantId, TicketId, UserId,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::inquiry::{Given, Inquiry};
use crate::patience::Patience;

/// A person, by object id, with the name to show to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Object id in the directory.
    pub id: UserId,
    /// Display name.
    pub name: String,
}

/// The way of proof, or of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A push to the subject's own phone.
    Mfa,
    /// The manager of the subject says yes.
    Manager,
    /// The subject answers a question, which proves nothing.
    Question,
}

impl Method {
    /// As the database writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mfa => "mfa",
            Self::Manager => "manager",
            Self::Question => "question",
        }
    }
}

/// The way an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The push on the subject's phone.
    Push,
    /// The card in Teams.
    Teams,
    /// A text message.
    Sms,
}

impl Channel {
    /// As the database and the audit trail write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Teams => "teams",
            Self::Sms => "sms",
        }
    }
}

/// What an operation was begun for; never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// This operation.
    pub id: OperationId,
    /// The tenant.
    pub tenant: TenantId,
    /// The ticket.
    pub ticket: TicketId,
    /// The execution.
    pub execution: ExecutionId,
    /// The call that began it.
    pub call: StepCall,
    /// The way of proof, or of asking.
    pub method: Method,
    /// Whose identity is to be proven, or who is asked, as the directory knew them then.
    pub subject: Party,
    /// What success allows.
    pub authorizes: Option<AuthorizedAction>,
    /// When it was begun.
    pub asked_at: OffsetDateTime,
    /// When we stop waiting, as its step says.
    pub deadline: OffsetDateTime,
    /// When we stop at the latest, where nobody could be asked because the outside was away.
    pub latest: OffsetDateTime,
    /// The ticket's trace (`traceparent`), to go on with.
    pub trace: Option<String>,
}

impl Facts {
    /// Until when an answer is waited for.
    pub fn patience(&self) -> Patience {
        Patience {
            deadline: self.deadline,
            timeout: self.deadline,
            time: self.deadline - self.asked_at,
            latest: self.latest,
        }
    }
}

/// What a manager is asked, word for word; the permit binds its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The manager on record when it was begun.
    pub approver: Party,
    /// Names the request on its card. Unguessable, and no authority all the same.
    pub reference: String,
    /// What they are shown.
    pub shown: Shown,
}

/// What somebody is asked by card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matter {
    /// The manager, whether to allow it.
    Approval(Request),
    /// The requester, a question.
    Question(Inquiry),
}

/// The text a manager decides on, in plain words before any escaping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What they are asked to allow: `Reset the password of Adele Vance`.
    pub title: String,
    /// With what: `group`, `Project Files`. Rows of before know none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Who asks.
    pub employee: String,
    /// Their department, where the directory has one.
    pub department: Option<String>,
    /// The ticket.
    pub ticket: String,
    /// Why, in the requester's own words. Untrusted; empty where the playbook passes none.
    pub reason: String,
    /// Until when an answer counts: `09:50 UTC`.
    pub expires: String,
}

/// One parameter of what is to be allowed, as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value, one line. May be the requester's own words.
    pub value: String,
}

impl Shown {
    /// The digest that a permit carries.
    pub fn digest(&self) -> Digest {
        // Destructured on purpose: what is shown is bound.
        let Self {
            title,
            parameters,
            employee,
            department,
            ticket,
            reason,
            expires,
        } = self;
        let mut shown = serde_json::json!({
            "title": title, "employee": employee, "department": department,
            "ticket": ticket, "reason": reason, "expires": expires,
        });
        // Without any the digest is the one of before: a permit is made again from its row, byte for byte.
        if !parameters.is_empty() {
            shown["parameters"] = serde_json::json!(parameters);
        }
        Digest::of_json(&shown)
    }
}

/// Where a card lies in Teams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardMessage {
    /// The regional connector that holds the conversation.
    pub service_url: String,
    /// The 1:1 conversation with its reader.
    pub conversation: String,
    /// The message.
    pub activity: String,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No. An alarm.
    Deny,
}

/// Why nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// They were asked and did not answer.
    NoAnswer,
    /// No channel could be used in time.
    Unreachable,
    /// They were asked, and what they answered was lost on the way.
    AnswerLost,
    /// They approved, and while their answer was fresh the directory could not say whether they still may.
    NotJudged,
    /// Before anybody was asked, there was nobody left who waits for an answer.
    CalledOff,
    /// They were asked, and before they answered there was nobody left who waits for it.
    Overtaken,
}

impl Silence {
    /// An answer was not waited for until its time was over.
    pub const fn is_called_off(self) -> bool {
        match self {
            Self::CalledOff | Self::Overtaken => true,
            Self::NoAnswer | Self::Unreachable | Self::AnswerLost | Self::NotJudged => false,
        }
    }

    /// What it is called off as.
    pub const fn called_off(was_asked: bool) -> Self {
        if was_asked {
            Self::Overtaken
        } else {
            Self::CalledOff
        }
    }
}

/// Why somebody could not be asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The directory does not know the subject.
    SubjectUnknown,
    /// The subject's account is disabled.
    SubjectDisabled,
    /// The subject is a guest.
    SubjectGuest,
    /// The subject is on a list of protected people or in a protected group.
    SubjectListed,
    /// The subject has power over the directory: a role, a group that may hold one, a restricted unit; or nobody can tell.
    SubjectPrivileged,
    /// A phone or another method of the subject is too new to be believed.
    MethodChanged,
    /// Too much was proven for the subject lately.
    SubjectLimit,
    /// The manager was asked too often lately.
    ApproverLimit,
    /// The subject's phone was asked too often lately.
    PushLimit,
    /// The subject said no to another prompt while this one waited for their phone.
    SaidNo,
    /// The subject has no method that can be asked.
    NoMethod,
    /// The subject is blocked from multi-factor sign-in.
    Blocked,
    /// The set-up of the tenant does not allow it.
    SetUp,
    /// The directory has no manager for the subject.
    NoManager,
    /// The manager's account is disabled.
    ManagerDisabled,
    /// The manager is a guest.
    ManagerGuest,
    /// The manager is the subject.
    ManagerIsSubject,
    /// Another one is the manager by now.
    ManagerReplaced,
    /// Neither Teams nor a text message reaches the manager.
    ManagerUnreachable,
    /// Teams does not reach the manager, and their number on record is one of the subject's.
    ManagerNumberShared,
    /// Teams does not reach the subject.
    SubjectUnreachable,
    /// The directory does not let us look.
    DirectoryRefused,
}

impl From<&Protection> for Obstacle {
    fn from(protection: &Protection) -> Self {
        match protection {
            Protection::Listed | Protection::ListedGroup(_) | Protection::Vip => Self::SubjectListed,
            Protection::Role(_)
            | Protection::RoleAssignableGroup(_)
            | Protection::ManagementRestricted
            | Protection::Unreadable => Self::SubjectPrivileged,
        }
    }
}

impl From<&Exceeded> for Obstacle {
    fn from(exceeded: &Exceeded) -> Self {
        match exceeded.limited {
            Limited::Approver => Self::ApproverLimit,
            Limited::Pushes => Self::PushLimit,
            // Nothing else is limited here; whatever it is, it is too much for this person.
            _ => Self::SubjectLimit,
        }
    }
}

macro_rules! words {
    ($kind:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl $kind {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As the database and the audit trail write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Read back what [`Self::as_str`] wrote.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words!(Silence {
    NoAnswer = "no_answer", Unreachable = "unreachable", AnswerLost = "answer_lost",
    NotJudged = "not_judged", CalledOff = "called_off", Overtaken = "overtaken",
});
words!(Obstacle {
    SubjectUnknown = "subject_unknown",
    SubjectDisabled = "subject_disabled",
    SubjectGuest = "subject_guest",
    SubjectListed = "subject_listed",
    SubjectPrivileged = "subject_privileged",
    MethodChanged = "method_changed",
    SubjectLimit = "velocity_subject",
    ApproverLimit = "velocity_approver",
    PushLimit = "velocity_pushes",
    SaidNo = "said_no",
    NoMethod = "no_method",
    Blocked = "blocked",
    SetUp = "set_up",
    NoManager = "no_manager",
    ManagerDisabled = "manager_disabled",
    ManagerGuest = "manager_guest",
    ManagerIsSubject = "manager_is_subject",
    ManagerReplaced = "manager_replaced",
    ManagerUnreachable = "manager_unreachable",
    ManagerNumberShared = "manager_number_shared",
    SubjectUnreachable = "subject_unreachable",
    DirectoryRefused = "directory_refused",
});

/// How an operation ended. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Yes.
    Approved {
        /// Who said it.
        by: UserId,
        /// How.
        channel: Channel,
    },
    /// No.
    Denied {
        /// Who said it.
        by: UserId,
        /// How.
        channel: Channel,
        /// They also reported an attack.
        fraud: bool,
    },
    /// The requester answered our question.
    Answered {
        /// Who: the subject.
        by: UserId,
        /// What.
        given: Given,
    },
    /// Nobody said anything in time.
    TimedOut(Silence),
    /// Nobody could be asked.
    Impossible(Obstacle),
}

/// The permit of a successful verification: enough to make the very same token again, never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitFacts {
    /// Single-use id.
    pub id: PermitId,
    /// When it was issued.
    pub issued_at: OffsetDateTime,
    /// When it runs out.
    pub expires_at: OffsetDateTime,
}
