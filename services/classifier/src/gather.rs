//! Finds out what the gate weighs: reads the ticket and its requester from the help desk, the person from the directory,
//! the playbooks and executions from their services, and asks the classifier.
//!
//! Everything is read afresh; nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use chassis::tripwires::Caution;
use common::client::{OrchestrationClient, PeerError, PlaybookClient};
use common::clock;
use common::methods::recent_change;
use common::playbook::PlaybookView;
use common::protection::Protection;
use common::{Named, TenantId, TicketId};
use connectors::CallError;
use connectors::entra::{Entra, LookupError};
use connectors::halopsa::{Halo, HaloUser, Ticket, UNASSIGNED};
use playbook_lang::Occasion;
use serde_json::json;

use crate::classify::{Category, Classify, ClassifyError, Embedded, Text};
use crate::facts::{Circumstances, Desk, Execution, Facts, Known, Offered, Plan, Reading, Requester};
use crate::gate::conclude::snapshot;

/// Where facts come from.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) halo: Halo,
    pub(crate) entra: Entra,
    pub(crate) classifier: Arc<dyn Classify>,
    pub(crate) playbooks: PlaybookClient,
    pub(crate) executions: OrchestrationClient,
    pub(crate) own_agent: i64,
    pub(crate) tenant: TenantId,
    pub(crate) caution: Arc<Caution>,
}

/// All that is known of a ticket now.
#[derive(Debug, Clone)]
pub(crate) struct Dossier {
    pub(crate) ticket: Ticket,
    pub(crate) facts: Facts,
    /// Sources that could not be read; their facts say `Unread`.
    pub(crate) gaps: Vec<Gap>,
}

/// A source that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Which, for people.
    pub(crate) source: &'static str,
    /// How long it asked us to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Gap {
    fn new(
        source: &'static str,
        error: &(dyn std::error::Error + 'static),
        retry_after: Option<Duration>,
    ) -> Self {
        tracing::warn!(source, error = %chassis::chain(error), "a source could not be read");
        Self { source, retry_after }
    }
}

impl Sources {
    /// Read everything about `ticket`, to which this `happened`; `None` where the help desk does not know it.
    ///
    /// # Errors
    /// The help desk itself is away: then nothing can be said or done about the ticket.
    pub(crate) async fn gather(
        &self,
        ticket: &TicketId,
        happened: Vec<Occasion>,
    ) -> Result<Option<Dossier>, CallError> {
        let Some(ticket) = self.halo.ticket(ticket).await? else {
            return Ok(None);
        };
        let (desk, user) = tokio::try_join!(self.desk(&ticket), self.user(&ticket))?;
        let (requester, choice, execution) = tokio::join!(
            self.requester(user),
            self.choose(&ticket),
            self.execution(&ticket.id),
        );
        let mut gaps = vec![];
        let (reading, plan) = choice;
        let reading = or_gap(reading, Reading::Unread, &mut gaps);
        let plan = or_gap(plan, Plan::Unread, &mut gaps);
        let requester = or_gap(requester, Requester::Unread, &mut gaps);
        let circumstances = Circumstances {
            known: self.known(&ticket, &requester),
            happened,
        };
        let facts = Facts {
            desk,
            requester,
            reading,
            plan,
            execution: or_gap(execution, Execution::Unread, &mut gaps),
            circumstances,
        };
        Ok(Some(Dossier { ticket, facts, gaps }))
    }

    /// What triggers may look at, as executions would know it.
    fn known(&self, ticket: &Ticket, requester: &Requester) -> playbook_lang::Facts {
        let mut facts = playbook_lang::Facts::about(&snapshot(ticket))
            .with("ticket.id", json!(ticket.id))
            .with("tenant.id", json!(self.tenant));
        if let Requester::Known(known) = requester {
            facts.set("requester.id", json!(known.person.id));
            facts.set("requester.name", json!(known.person.display_name));
            facts.set("requester.mail", json!(known.person.mail));
            if let Some(manager) = &known.manager {
                facts.set("manager.id", json!(manager.id));
                facts.set("manager.name", json!(manager.name));
            }
        }
        facts
    }

    async fn desk(&self, ticket: &Ticket) -> Result<Desk, CallError> {
        let over = ticket.closed || ticket.deleted || ticket.merged_into.is_some();
        let another =
            |agent: Option<i64>| agent.is_some_and(|agent| agent != self.own_agent && agent != UNASSIGNED);
        let touched = another(ticket.agent_id)
            || self
                .halo
                .actions(&ticket.id)
                .await?
                .iter()
                .any(|action| another(action.agent_id));
        Ok(Desk { over, touched })
    }

    /// The help desk's own record of who asks. What the ticket's text says about that counts for nothing.
    async fn user(&self, ticket: &Ticket) -> Result<Option<HaloUser>, CallError> {
        match ticket.user_id {
            Some(user) => self.halo.user(user).await,
            None => Ok(None),
        }
    }

    async fn requester(&self, user: Option<HaloUser>) -> Result<Requester, Gap> {
        let Some(user) = user else {
            return Ok(Requester::Nobody);
        };
        if user.inactive || user.service_account {
            return Ok(Requester::NotAPerson);
        }
        let Some(address) = user.email else {
            return Ok(Requester::WithoutAddress);
        };
        let person = match self.entra.user_by_mail(&address).await {
            Ok(Some(person)) => person,
            Ok(None) => return Ok(Requester::Stranger),
            Err(LookupError::Ambiguous) => return Ok(Requester::Ambiguous),
            Err(LookupError::Call(error)) => return Err(directory(&error)),
        };
        let disagree = |id: String| !id.eq_ignore_ascii_case(person.id.as_str());
        if user.directory_id.is_some_and(disagree) {
            return Ok(Requester::Ambiguous);
        }
        let days = self.caution.method_change_days;
        let methods = async {
            match days {
                0 => Ok(vec![]),
                _ => self.entra.sign_in_methods(&person.id).await,
            }
        };
        let (memberships, methods, manager) = tokio::try_join!(
            self.entra.memberships(&person.id),
            methods,
            self.entra.manager(&person.id)
        )
        .map_err(|error| directory(&error))?;
        let by_the_desk = || user.vip.then_some(Protection::Vip);
        Ok(Requester::Known(Box::new(Known {
            protection: self
                .caution
                .protected
                .why(&person, &memberships)
                .or_else(by_the_desk),
            changed: recent_change(&methods, days, clock::now()),
            person,
            manager: manager.map(|manager| Named {
                id: manager.id,
                name: manager.display_name,
            }),
        })))
    }

    /// What the ticket asks for, and which playbook stands for that.
    async fn choose(&self, ticket: &Ticket) -> (Result<Reading, Gap>, Result<Plan, Gap>) {
        let playbooks = match self.playbooks.list().await {
            Ok(playbooks) => playbooks
                .into_iter()
                .filter(|playbook| playbook.active)
                .collect::<Vec<_>>(),
            Err(error) => return (Ok(Reading::NotAsked), Err(peer("the playbooks", &error))),
        };
        let categories = categories(&playbooks);
        let text = Text {
            summary: &ticket.summary,
            details: &ticket.details,
        };
        let answer = if categories.is_empty() {
            Embedded.classify(text, &[]).await
        } else {
            self.classifier.classify(text, &categories).await
        };
        match answer {
            Ok(classification) => {
                let chosen = classification.choice.and_then(|choice| categories.get(choice));
                let plan = chosen.map_or(Plan::Nothing, |category| plan(category, &playbooks));
                (Ok(Reading::Read(classification)), Ok(plan))
            }
            Err(ClassifyError::Declined(why)) => {
                tracing::info!(why, "the classifier does not answer this ticket");
                (Ok(Reading::Declined), Ok(Plan::NotSought))
            }
            Err(error) => {
                let retry_after = match &error {
                    ClassifyError::Away(error) => error.retry_after(),
                    ClassifyError::Malformed(_) | ClassifyError::Declined(_) => None,
                };
                (
                    Err(Gap::new("the classifier", &error, retry_after)),
                    Ok(Plan::NotSought),
                )
            }
        }
    }

    async fn execution(&self, ticket: &TicketId) -> Result<Execution, Gap> {
        match self.executions.of_ticket(ticket).await {
            Ok(view) if view.status.ended() => Ok(Execution::Ended),
            Ok(_) => Ok(Execution::Open),
            Err(error) if error.is_not_found() => Ok(Execution::None),
            Err(error) => Err(peer("the executions", &error)),
        }
    }
}

fn or_gap<T>(found: Result<T, Gap>, unread: T, gaps: &mut Vec<Gap>) -> T {
    found.unwrap_or_else(|gap| {
        gaps.push(gap);
        unread
    })
}

fn directory(error: &CallError) -> Gap {
    Gap::new("the directory", error, error.retry_after())
}

fn peer(source: &'static str, error: &PeerError) -> Gap {
    let retry_after = match error {
        PeerError::Busy { retry_after, .. } => *retry_after,
        PeerError::Refused { .. } | PeerError::Unknown { .. } => None,
    };
    Gap::new(source, error, retry_after)
}

/// Each category once, in the order of the playbooks, with all examples that were given for it.
fn categories(playbooks: &[PlaybookView]) -> Vec<Category> {
    let mut categories: Vec<Category> = vec![];
    for playbook in playbooks {
        let same = |known: &&mut Category| stands_for(playbook, known);
        if let Some(known) = categories.iter_mut().find(same) {
            known.examples.extend(playbook.examples.iter().cloned());
        } else {
            categories.push(Category {
                category: playbook.category.clone(),
                sub_category: playbook.sub_category.clone(),
                description: playbook.description.clone(),
                examples: playbook.examples.clone(),
            });
        }
    }
    categories
}

fn stands_for(playbook: &PlaybookView, category: &Category) -> bool {
    playbook.category == category.category && playbook.sub_category == category.sub_category
}

fn plan(category: &Category, playbooks: &[PlaybookView]) -> Plan {
    let mut fitting = playbooks.iter().filter(|playbook| stands_for(playbook, category));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Plan::Fits(Box::new(Offered {
            playbook: only.playbook.clone(),
            category: only.category.clone(),
            sub_category: only.sub_category.clone(),
            trigger: only.trigger.clone(),
        })),
        (Some(_), Some(_)) => Plan::Several,
        (None, _) => Plan::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use common::{Digest, PlaybookRef};
    use time::OffsetDateTime;

    use super::*;

    fn playbook(name: &str, sub_category: &str) -> PlaybookView {
        PlaybookView {
            playbook: PlaybookRef {
                name: name.parse().unwrap(),
                version: "1".parse().unwrap(),
                digest: Digest::of(name),
            },
            active: true,
            description: format!("{name} does it"),
            category: "REQUEST".to_owned(),
            sub_category: Some(sub_category.to_owned()),
            examples: vec![format!("example of {name}")],
            trigger: None,
            inputs_schema: serde_json::Value::Null,
            planned: vec![],
            calls: vec![],
            published_at: OffsetDateTime::UNIX_EPOCH,
            source: None,
        }
    }

    #[test]
    fn a_category_is_offered_once_with_the_examples_of_all_its_playbooks() {
        let playbooks = [
            playbook("a", "RESET"),
            playbook("b", "UNLOCK"),
            playbook("c", "RESET"),
        ];
        let categories = categories(&playbooks);
        assert_eq!(categories.len(), 2);
        assert_eq!(categories[0].examples, ["example of a", "example of c"]);
    }

    #[test]
    fn a_category_with_two_playbooks_is_nobodys() {
        let playbooks = [
            playbook("a", "RESET"),
            playbook("b", "UNLOCK"),
            playbook("c", "RESET"),
        ];
        let categories = categories(&playbooks);
        assert_eq!(plan(&categories[0], &playbooks), Plan::Several);
        let Plan::Fits(offered) = plan(&categories[1], &playbooks) else {
            panic!("one playbook fits");
        };
        assert_eq!(offered.playbook.name.as_str(), "b");
    }
}
