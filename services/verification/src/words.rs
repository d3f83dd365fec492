//! What people read: explanations for the ticket, the question for the manager, the replies to text messages. Pure.
//!
//! Never a phone number in clear, never ticket text or what a requester typed in an explanation.

use chassis::tripwires::Alarm;
use common::{AuthorizedAction, OperationView, Outcome, Person, StepResult, TicketId};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::approval::{Approval, Sms};
use crate::inquiry::Given;
use crate::operation::{
    Channel, Ended, Ending, Facts, Method, Obstacle, Operation, Parameter, Shown, Silence, State,
};
use crate::posting::Card;

/// Longest reason shown to a manager, in characters; a card has some 20 KB, a reader has less.
const LONGEST_REASON: usize = 300;

/// Longest name or value of what a manager is asked to allow, in characters.
const LONGEST_PARAMETER: usize = 120;
/// Most parameters shown.
const MOST_PARAMETERS: usize = 12;
/// Most of them in a text message, in characters: with the rest it stays within three parts.
const LONGEST_IN_TEXT: usize = 100;

/// What a manager is asked to allow.
pub fn shown(
    subject: &Person,
    authorizes: Option<&AuthorizedAction>,
    reason: Option<&str>,
    ticket: &TicketId,
    deadline: OffsetDateTime,
) -> Shown {
    let name = &subject.display_name;
    let title = match authorizes.map(|authorized| authorized.action.as_str()) {
        Some("executor.reset_password") => format!("Reset the password of {name}"),
        Some(action) => format!("Allow `{action}` for {name}"),
        None => format!("Confirm a request of {name}"),
    };
    Shown {
        title,
        parameters: authorizes.map(parameters).unwrap_or_default(),
        employee: name.clone(),
        department: subject.department.clone(),
        ticket: ticket.to_string(),
        reason: cut(one_line(reason.unwrap_or_default()), LONGEST_REASON),
        expires: clock(deadline),
    }
}

/// With what it is to be allowed, a line each. What is too much for a card is said to be there.
fn parameters(authorizes: &AuthorizedAction) -> Vec<Parameter> {
    let line = |text: &str| cut(one_line(text), LONGEST_PARAMETER);
    let all = &authorizes.parameters;
    let mut shown: Vec<Parameter> = all
        .iter()
        .take(MOST_PARAMETERS)
        .map(|(name, value)| Parameter {
            name: line(&name.replace('_', " ")),
            value: line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        })
        .collect();
    let further = all.len().saturating_sub(MOST_PARAMETERS);
    if further > 0 {
        shown.push(Parameter {
            name: "and more".to_owned(),
            value: format!("{further} that do not fit here; ask what they are before you approve"),
        });
    }
    shown
}

/// `09:50 UTC`.
pub fn clock(at: OffsetDateTime) -> String {
    let format = format_description!("[hour]:[minute] UTC");
    at.to_offset(time::UtcOffset::UTC)
        .format(&format)
        .unwrap_or_else(|_| at.unix_timestamp().to_string())
}

/// `28 November 2026, 09:50 UTC`: a question may wait for days.
pub fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    at.to_offset(time::UtcOffset::UTC)
        .format(&format)
        .unwrap_or_else(|_| at.unix_timestamp().to_string())
}

/// People type line breaks and worse; whoever reads it gets one line of plain text.
pub(crate) fn one_line(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|sign| {
            if sign.is_whitespace() || is_invisible(sign) {
                ' '
            } else {
                sign
            }
        })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join(" ")
}

/// No more than `longest` characters of a line, and a mark where there was more.
pub(crate) fn cut(line: String, longest: usize) -> String {
    if line.chars().count() <= longest {
        return line;
    }
    let cut: String = line.chars().take(longest).collect();
    format!("{cut}…")
}

/// Control characters, and marks that turn the direction of writing or hide: they make text say what it does not.
fn is_invisible(sign: char) -> bool {
    sign.is_control()
        || matches!(sign,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text message to a manager. `code` is what the answer must repeat.
pub fn question(shown: &Shown, code: &str) -> String {
    let Shown {
        title,
        ticket,
        expires,
        ..
    } = shown;
    let with = in_text(shown);
    format!(
        "Firstline: {title}?{with} Ticket {ticket}. Reply YES {code} to approve or NO {code} to deny until {expires}. \
         If they have not spoken to you, reply NO {code}."
    )
}

/// With what, where all of it has room; never an address, which a phone would make clickable.
fn in_text(shown: &Shown) -> String {
    let lines: Vec<String> = shown
        .parameters
        .iter()
        .map(|parameter| format!("{}: {}", parameter.name, parameter.value))
        .collect();
    let joined = lines.join(", ");
    let clickable = shown
        .parameters
        .iter()
        .any(|parameter| parameter.value.contains(['.', ':', '/', '@']));
    if joined.is_empty() {
        String::new()
    } else if clickable || joined.chars().count() > LONGEST_IN_TEXT {
        " With what exactly is on the card in Teams; if you cannot see it, reply NO.".to_owned()
    } else {
        format!(" With {joined}.")
    }
}

/// What is being waited for.
pub fn waiting(operation: &Operation) -> String {
    let subject = &operation.facts.subject.name;
    match &operation.state {
        State::Mfa(_) => format!("{subject} was asked to approve a sign-in request on their phone."),
        State::Approval(approval) => asked(approval),
        State::Question(_) => format!("{subject} was asked a question in Teams."),
        State::Ended(ended) => explanation(&operation.facts, ended),
    }
}

fn asked(approval: &Approval) -> String {
    let manager = &approval.request.approver.name;
    if let Some(kept) = &approval.kept {
        return format!(
            "{manager} approved {}; the directory cannot be asked at the moment whether they still may.",
            by(kept.answer.channel)
        );
    }
    let in_teams = matches!(
        approval.posting.card,
        Card::Due(_) | Card::Sending(_) | Card::Sent(_)
    );
    let masked = match &approval.sms {
        Sms::Sending { code, .. } | Sms::Sent { code } => Some(&code.masked),
        Sms::Due { .. } | Sms::Off => None,
    };
    match (in_teams, masked) {
        (true, None) => format!("{manager} was asked in Teams to approve."),
        (true, Some(masked)) => {
            format!("{manager} was asked in Teams and by text message ({masked}) to approve.")
        }
        (false, Some(masked)) => format!("{manager} was asked by text message ({masked}) to approve."),
        (false, None) => format!("{manager} is being asked to approve."),
    }
}

/// How it ended, for the ticket.
pub fn explanation(facts: &Facts, ended: &Ended) -> String {
    let said = ending_in_words(facts, ended);
    match &ended.alarm {
        Some(reason) => format!("{said} {}", Alarm::on_ticket(reason)),
        None => said,
    }
}

fn ending_in_words(facts: &Facts, ended: &Ended) -> String {
    let subject = facts.subject.name.as_str();
    let manager = ended
        .request()
        .map_or("The manager", |request| request.approver.name.as_str());
    match (&ended.ending, facts.method) {
        (Ending::Approved { .. }, Method::Mfa) => {
            format!("{subject} approved the sign-in request on their phone.")
        }
        (Ending::Approved { channel, .. }, Method::Manager | Method::Question) => {
            format!("{manager} approved {}.", by(*channel))
        }
        (Ending::Denied { fraud: true, .. }, _) => {
            format!("{subject} denied the sign-in request and reported it as fraud.")
        }
        (Ending::Denied { .. }, Method::Mfa) => format!("{subject} denied the sign-in request."),
        (Ending::Denied { channel, .. }, Method::Manager | Method::Question) => {
            format!("{manager} denied {}.", by(*channel))
        }
        (Ending::Answered { given, .. }, _) => match given {
            Given::Chosen(word) => format!("{subject} answered the question in Teams: `{word}`."),
            Given::Typed(_) => format!("{subject} answered the question in Teams."),
        },
        (Ending::TimedOut(silence), method) => silent(*silence, method, subject, manager),
        (Ending::Impossible(obstacle), _) => obstacle_in_words(*obstacle, subject, manager),
    }
}

const fn by(channel: Channel) -> &'static str {
    match channel {
        Channel::Push => "on their phone",
        Channel::Teams => "in Teams",
        Channel::Sms => "by text message",
    }
}

fn silent(silence: Silence, method: Method, subject: &str, manager: &str) -> String {
    match (silence, method) {
        (Silence::NoAnswer, Method::Mfa) => format!("{subject} did not answer the sign-in request in time."),
        (Silence::NoAnswer, Method::Manager) => format!("{manager} did not answer in time."),
        (Silence::NoAnswer, Method::Question) => format!("{subject} did not answer the question in time."),
        (Silence::Unreachable, Method::Mfa) => {
            format!(
                "{subject} could not be asked in time: the sign-in request service did not answer, or another request was on their phone."
            )
        }
        (Silence::Unreachable, Method::Manager) => {
            format!("{manager} could not be asked in time: neither Teams nor text messages were available.")
        }
        (Silence::Unreachable, Method::Question) => {
            format!("{subject} could not be asked in time: Teams was not available.")
        }
        (Silence::CalledOff, Method::Mfa | Method::Question) => {
            format!("The step was over before {subject} could be asked; nobody was asked.")
        }
        (Silence::CalledOff, Method::Manager) => {
            format!("The step was over before {manager} could be asked; nobody was asked.")
        }
        (Silence::Overtaken, Method::Mfa | Method::Question) => {
            format!("The step was over before {subject} answered; nobody was asked again.")
        }
        (Silence::Overtaken, Method::Manager) => {
            format!("The step was over before {manager} answered; nobody was asked again.")
        }
        (Silence::NotJudged, _) => {
            format!(
                "{manager} approved, but for too long the directory could not be asked whether they still may, so it does not count."
            )
        }
        (Silence::AnswerLost, _) => {
            format!(
                "The answer of {subject} to the sign-in request was lost on its way, so it does not count."
            )
        }
    }
}

fn obstacle_in_words(obstacle: Obstacle, subject: &str, manager: &str) -> String {
    match obstacle {
        Obstacle::SubjectUnknown => "The requester was not found in the directory.".to_owned(),
        Obstacle::SubjectDisabled => format!("The account of {subject} is disabled."),
        Obstacle::SubjectGuest => {
            format!("{subject} is a guest in the directory; guests are left to a person.")
        }
        Obstacle::SubjectListed => {
            format!(
                "{subject} is on the list of people whom automation must not touch; a person must see to it."
            )
        }
        Obstacle::SubjectPrivileged => {
            format!(
                "{subject} has administrative rights in the directory, or it is not certain that they have none; a person must see to it."
            )
        }
        Obstacle::MethodChanged => {
            format!(
                "{subject} registered a phone or another sign-in method only a few days ago, so a proof by it does not count. Confirm in another way that it is theirs."
            )
        }
        Obstacle::SubjectLimit => {
            format!(
                "{subject} has had as many requests in a short time as automation may see to; look into it before you help."
            )
        }
        Obstacle::ApproverLimit => {
            format!("The manager of {subject} was asked as often in a short time as automation may ask.")
        }
        Obstacle::PushLimit => {
            format!(
                "{subject} was asked on their phone as often in a short time as automation may ask; so many requests can be an attack."
            )
        }
        Obstacle::SaidNo => {
            format!(
                "{subject} said no to another request that was open at the same time, so they were not asked about this one; so many requests can be an attack."
            )
        }
        Obstacle::NoMethod => format!("{subject} has no sign-in method that can be asked for approval."),
        Obstacle::Blocked => format!("{subject} is blocked from approving sign-in requests."),
        Obstacle::SetUp => {
            format!(
                "{subject} could not be asked: the sign-in request service does not accept the set-up of this tenant."
            )
        }
        Obstacle::NoManager => format!("The directory has no manager for {subject}."),
        Obstacle::ManagerDisabled => format!("The account of the manager of {subject} is disabled."),
        Obstacle::ManagerGuest => format!("The manager of {subject} is a guest in the directory."),
        Obstacle::ManagerIsSubject => {
            format!(
                "The directory names {subject} as their own manager, who cannot approve their own request."
            )
        }
        Obstacle::ManagerReplaced => {
            format!(
                "{manager} was asked and is not the manager of {subject} in the directory any more, so their approval does not count."
            )
        }
        Obstacle::DirectoryRefused => {
            "The directory does not let us look people up; its set-up needs a person.".to_owned()
        }
        Obstacle::SubjectUnreachable => {
            format!(
                "{subject} could not be asked in Teams: the bot is not installed for them, they have blocked it, or its set-up needs a person."
            )
        }
        Obstacle::ManagerNumberShared => {
            format!(
                "{manager} could not be reached in Teams, and is not asked by text message, for the number on record is one of {subject}'s."
            )
        }
        Obstacle::ManagerUnreachable => {
            format!("{manager} could be reached neither in Teams nor by text message.")
        }
    }
}

/// The result as orchestration gets it, without its permit.
pub fn result(facts: &Facts, ended: &Ended) -> StepResult {
    let (outcome, channel) = match &ended.ending {
        Ending::Approved { channel, .. } => (Outcome::Success, Some(*channel)),
        Ending::Denied { channel, .. } => (Outcome::Denied, Some(*channel)),
        Ending::Answered { given, .. } => (answered(given), None),
        Ending::TimedOut(_) => (Outcome::Timeout, None),
        // INVARIANT: a no is never lifted: nobody else is asked to say yes instead of them.
        Ending::Impossible(Obstacle::SaidNo) => (Outcome::Denied, None),
        Ending::Impossible(_) => (Outcome::Failure, None),
    };
    let mut result = StepResult::new(outcome, explanation(facts, ended));
    if let Ending::Answered { given, .. } = &ended.ending {
        result.output.insert("answer".to_owned(), given.as_str().into());
    }
    if let Some(channel) = channel {
        result
            .output
            .insert("channel".to_owned(), channel.as_str().into());
    }
    if let Some(request) = ended.request() {
        let approver = &request.approver;
        result
            .output
            .insert("approver".to_owned(), approver.id.as_str().into());
        result
            .output
            .insert("approver_name".to_owned(), approver.name.as_str().into());
    }
    result
}

/// A choice ends the step with its own word, which the playbook routes.
fn answered(given: &Given) -> Outcome {
    match given {
        Given::Chosen(word) => Outcome::from(word.as_str()),
        Given::Typed(_) => Outcome::Success,
    }
}

/// The operation as others see it.
pub fn view(operation: &Operation, result: Option<StepResult>) -> OperationView {
    let facts = &operation.facts;
    OperationView {
        operation: facts.id,
        execution_id: facts.execution,
        step: facts.call.clone(),
        explanation: waiting(operation),
        deadline: operation.deadline(),
        result,
    }
}
