//! Who presses the button of a suggestion, as far as that is proven. HaloPSA signs nobody in at a link of ours: by itself a
//! link proves that its holder could read a private note. A gateway that signs people in says more.

use chassis::{AuditEvent, PersonCaller, Refusal, Shell};
use common::{Role, TicketId};
use http::{HeaderMap, StatusCode};

use super::page::Page;

/// Who may approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whoever has the link; who signs in besides is on record.
    Link,
    /// An operator who signs in besides.
    Person,
}

/// Who does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Approver {
    /// An operator who has signed in.
    Person(PersonCaller),
    /// Somebody who has the link.
    Link,
}

impl Approver {
    /// As it is audited; the help desk's people have no name here.
    pub(crate) fn actor(&self) -> String {
        self.person().unwrap_or_else(|| "vendor:halopsa".to_owned())
    }

    /// The person, where it is known who they are.
    pub(crate) fn person(&self) -> Option<String> {
        match self {
            Self::Person(person) => Some(format!("person:{}", person.id)),
            Self::Link => None,
        }
    }

    /// What is on record of it, as the reason of an agreement.
    pub(crate) fn in_words(&self, ticket: &TicketId) -> String {
        match self {
            Self::Person(_) => {
                format!("approved by an operator who had signed in, by the link on ticket {ticket}")
            }
            Self::Link => {
                format!("approved by the link in the private note of ticket {ticket}, shown to agents only")
            }
        }
    }

    /// What they are told of that before they press.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Person(person) => format!("It will be on record that you approved it, {}.", person.name),
            Self::Link => "It will be on record that it was approved by the link in the private note, which only agents see, \
                           and not by whom."
                .to_owned(),
        }
    }
}

/// Finds out.
#[derive(Clone)]
pub(crate) struct Approvers {
    pub(crate) shell: Shell,
    pub(crate) wanted: Wanted,
}

impl Approvers {
    /// Who sent these headers, or the page that they see instead: that somebody was refused is on record.
    pub(crate) async fn who(&self, headers: &HeaderMap) -> Result<Approver, Page> {
        match chassis::signed_in(&self.shell, headers).await {
            Ok(person) => self.admitted(person),
            Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16() => {
                Err(Page::Away("whoever signs people in".to_owned()))
            }
            Err(problem) => {
                tracing::info!(code = problem.code, "refused to believe who opens a suggestion");
                self.shell.refusals().note(Refusal::Caller { code: problem.code });
                Err(Page::SignIn)
            }
        }
    }

    fn admitted(&self, person: Option<PersonCaller>) -> Result<Approver, Page> {
        let known = person.as_ref().map(|person| person.id.clone());
        let admitted = admitted(person, self.wanted);
        match (&admitted, known) {
            (Err(Page::NotYours), Some(id)) => self.shell.spawn(not_theirs(self.shell.clone(), id)),
            (Err(_), _) => self.shell.refusals().note(Refusal::Caller {
                code: "token_missing".to_owned(),
            }),
            (Ok(_), _) => {}
        }
        admitted
    }
}

/// Somebody we know may not approve: each attempt is a row. Beside the answer, which does not wait for the database.
async fn not_theirs(shell: Shell, id: String) {
    let detail = serde_json::json!({ "reason": "not_operator" });
    let event = AuditEvent::new("suggestion.refused", detail).actor(format!("person:{id}"));
    let recorded = async {
        let mut connection = shell.pool().acquire().await?;
        shell.audit().record(&mut connection, &event).await
    };
    if let Err(error) = recorded.await {
        tracing::error!(error = %chassis::chain(&error), person = id, "a refusal is not on record");
    }
}

/// Whether they may approve. Who proves to be somebody without that right may not fall back to being nobody.
fn admitted(person: Option<PersonCaller>, wanted: Wanted) -> Result<Approver, Page> {
    match (person, wanted) {
        (Some(person), _) if person.roles.contains(&Role::Operator) => Ok(Approver::Person(person)),
        (Some(_), _) => Err(Page::NotYours),
        (None, Wanted::Link) => Ok(Approver::Link),
        (None, Wanted::Person) => Err(Page::SignIn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(roles: &[Role]) -> PersonCaller {
        PersonCaller {
            id: "7".to_owned(),
            name: "Grady Archie".to_owned(),
            roles: roles.iter().copied().collect(),
        }
    }

    #[test]
    fn a_person_counts_by_their_role_and_a_link_where_no_person_is_wanted() {
        let (operator, auditor) = (person(&[Role::Operator]), person(&[Role::Auditor]));
        for (who, wanted, expected) in [
            (None, Wanted::Link, Ok(Approver::Link)),
            (None, Wanted::Person, Err(Page::SignIn)),
            (Some(auditor.clone()), Wanted::Link, Err(Page::NotYours)),
            (Some(auditor), Wanted::Person, Err(Page::NotYours)),
            (
                Some(operator.clone()),
                Wanted::Link,
                Ok(Approver::Person(operator.clone())),
            ),
            (
                Some(operator.clone()),
                Wanted::Person,
                Ok(Approver::Person(operator)),
            ),
        ] {
            assert_eq!(admitted(who.clone(), wanted), expected, "{who:?} {wanted:?}");
        }
    }

    #[test]
    fn a_link_names_nobody_and_says_so() {
        let ticket = "2041".parse().unwrap();
        assert_eq!(
            (Approver::Link.person(), Approver::Link.actor()),
            (None, "vendor:halopsa".to_owned())
        );
        assert_eq!(
            Approver::Link.in_words(&ticket),
            "approved by the link in the private note of ticket 2041, shown to agents only"
        );
        let somebody = Approver::Person(person(&[Role::Operator]));
        assert_eq!(somebody.actor(), "person:7");
        assert!(!somebody.in_words(&ticket).contains("Grady"), "a name is no id");
    }
}
