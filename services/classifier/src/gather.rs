//! Finds out what the gate weighs: reads the ticket and its requester from the help desk, the person from the directory,
//! the playbooks and executions from their services, and, where that is worth it, asks the classifier.
//!
//! Everything is read afresh; nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use chassis::tripwires::Caution;
use common::client::{OrchestrationClient, PeerError, PlaybookClient};
use common::clock;
use common::methods::recent_change;
use common::modes::Activation;
use common::playbook::PlaybookView;
use common::protection::Protection;
use common::{Named, TenantId, TicketId};
use connectors::CallError;
use connectors::entra::{Entra, LookupError};
use connectors::halopsa::{Halo, HaloUser, Ticket, UNASSIGNED};
use serde_json::json;

use crate::admission;
use crate::classify::{Category, Classify, ClassifyError, Text};
use crate::decide;
use crate::facts::{
    Admission, Circumstances, Desk, Execution, Facts, Heard, Kind, Known, NotAsked, Reading, Requester,
    Sender,
};
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
    /// Types of tickets that may be automated; empty: all.
    pub(crate) ticket_types: Arc<[i64]>,
    pub(crate) tenant: TenantId,
    pub(crate) caution: Arc<Caution>,
}

/// All that is known of a ticket now.
#[derive(Debug, Clone)]
pub(crate) struct Dossier {
    pub(crate) ticket: Ticket,
    pub(crate) facts: Facts,
    /// What the classifier had to choose from.
    pub(crate) offers: Vec<Category>,
    /// How the playbook that fits was made active.
    pub(crate) activation: Option<Activation>,
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
    /// Read everything about `ticket`, of which this was heard; `None` where the help desk does not know it.
    ///
    /// The classifier comes last, and only where it is worth asking.
    ///
    /// # Errors
    /// The help desk itself is away, or does not show the ticket: then nothing can be said or done about it.
    pub(crate) async fn gather(&self, ticket: &TicketId, heard: Heard) -> Result<Option<Dossier>, CallError> {
        let Some(ticket) = self.halo.ticket(ticket).await? else {
            return Ok(None);
        };
        let mut gaps = vec![];
        let (touched, user) = tokio::join!(self.touched(&ticket), self.user(&ticket));
        let touched = shown("the ticket's history", touched, &mut gaps)?;
        let user = shown("the ticket's user", user, &mut gaps)?;
        let unread = touched.is_none() || user.is_none();
        let address = user.iter().flatten().find_map(|user| user.email.clone());
        let requester = async {
            match user {
                Some(user) => Box::pin(self.requester(user)).await,
                None => Ok(Requester::Unread),
            }
        };
        let (requester, playbooks, execution) =
            tokio::join!(requester, self.active_playbooks(), self.execution(&ticket.id),);
        let requester = or_gap(requester, Requester::Unread, &mut gaps);
        let execution = or_gap(execution, Execution::Unread, &mut gaps);
        let playbooks = or_gap(playbooks.map(Some), None, &mut gaps);
        let circumstances = Circumstances {
            known: self.known(&ticket, &requester),
            happened: heard.happened,
        };
        let desk = Desk {
            over: ticket.closed || ticket.deleted || ticket.merged_into.is_some(),
            made_by_agent: heard.made_by_agent,
            touched: touched.unwrap_or_default(),
            unread,
            kind: admitted_kind(&self.ticket_types, ticket.ticket_type_id),
            sender: self
                .sender(&ticket, address.as_deref(), &requester, &mut gaps)
                .await,
        };
        let admission = playbooks.as_ref().map_or(Admission::Unread, |playbooks| {
            admission::admit(playbooks, &circumstances)
        });
        // What is missing is tried again, or leaves the ticket to a person: a model is not asked before that is clear.
        let worth_it = if gaps.is_empty() {
            decide::worth_reading(desk, &requester, &admission)
        } else {
            Err(NotAsked::Unread)
        };
        let text = Text {
            summary: &ticket.summary,
            details: &ticket.details,
        };
        let (reading, offers) = match worth_it {
            Ok(()) => {
                let offers = admission::categories(playbooks.as_deref().unwrap_or_default(), &admission);
                let read = self.read(text, &offers).await;
                (or_gap(read, Reading::Unread, &mut gaps), offers)
            }
            Err(why) => (Reading::NotAsked(why), vec![]),
        };
        let plan = admission::plan_of(&reading, &offers, &admission);
        let fits = |view: &&PlaybookView| {
            plan.offered()
                .is_some_and(|offered| offered.playbook == view.playbook)
        };
        let activation = playbooks.iter().flatten().find(fits);
        let activation = activation.and_then(|view| view.activation.clone());
        let facts = Facts {
            desk,
            requester,
            admission,
            reading,
            plan,
            execution,
            circumstances,
        };
        Ok(Some(Dossier {
            ticket,
            facts,
            offers,
            activation,
            gaps,
        }))
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

    /// The help desk is there, and shows this ticket.
    pub(crate) async fn shows(&self, ticket: &TicketId) -> bool {
        matches!(self.halo.ticket(ticket).await, Ok(Some(_)))
    }

    async fn touched(&self, ticket: &Ticket) -> Result<bool, CallError> {
        let another =
            |agent: Option<i64>| agent.is_some_and(|agent| agent != self.own_agent && agent != UNASSIGNED);
        Ok(another(ticket.agent_id)
            || self
                .halo
                .actions(&ticket.id)
                .await?
                .iter()
                .any(|action| another(action.agent_id)))
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

    /// Whose address the ticket came from. An address that is not theirs at first sight may be an alias, which only the
    /// directory can say: what the help desk or the ticket calls theirs, somebody may have entered.
    async fn sender(
        &self,
        ticket: &Ticket,
        address: Option<&str>,
        requester: &Requester,
        gaps: &mut Vec<Gap>,
    ) -> Sender {
        let reported = ticket.reported_by.as_deref();
        let at_first_sight = sender(reported, address, requester);
        match (at_first_sight, requester) {
            (Sender::Another, Requester::Known(known)) => {
                let own = self.entra.mail_addresses(&known.person.id).await;
                let own = or_gap(own.map_err(|error| directory(&error)), vec![], gaps);
                alias(reported, &own)
            }
            _ => at_first_sight,
        }
    }

    async fn active_playbooks(&self) -> Result<Vec<PlaybookView>, Gap> {
        match self.playbooks.list().await {
            Ok(playbooks) => Ok(playbooks.into_iter().filter(|playbook| playbook.active).collect()),
            Err(error) => Err(peer("the playbooks", &error)),
        }
    }

    /// What the ticket asks for.
    async fn read(&self, text: Text<'_>, offers: &[Category]) -> Result<Reading, Gap> {
        match self.classifier.classify(text, offers).await {
            Ok(classification) => Ok(Reading::Read(classification)),
            Err(ClassifyError::Declined(why)) => {
                tracing::info!(why, "the classifier does not answer this ticket");
                Ok(Reading::Declined)
            }
            Err(error) => {
                let retry_after = match &error {
                    ClassifyError::Away(error) => error.retry_after(),
                    ClassifyError::Malformed(_) | ClassifyError::Declined(_) => None,
                };
                Err(Gap::new("the classifier", &error, retry_after))
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

/// What the help desk does not show of this one ticket is a gap, which leaves the ticket to a person after a while; an answer
/// without it would be the same tomorrow. `None`, then.
///
/// # Errors
/// It is away: nothing can be said of any ticket.
fn shown<T>(
    what: &'static str,
    found: Result<T, CallError>,
    gaps: &mut Vec<Gap>,
) -> Result<Option<T>, CallError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error @ CallError::Busy { .. }) => Err(error),
        Err(error) => {
            gaps.push(Gap::new(what, &error, None));
            Ok(None)
        }
    }
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

/// No list of types admits all of them.
fn admitted_kind(admitted: &[i64], kind: Option<i64>) -> Kind {
    if admitted.is_empty() || kind.is_some_and(|kind| admitted.contains(&kind)) {
        Kind::Admitted
    } else {
        Kind::Other(kind)
    }
}

/// Whose address the ticket came from. The help desk's field is free text: a name in it says nothing, and an address only
/// ever speaks against a ticket.
fn sender(reported_by: Option<&str>, address: Option<&str>, requester: &Requester) -> Sender {
    let reported = addresses(reported_by.unwrap_or_default());
    let mut own: Vec<&str> = address.into_iter().collect();
    if let Requester::Known(known) = requester {
        own.extend(known.person.mail.as_deref());
        own.push(&known.person.user_principal_name);
    }
    let is_own = |reported: &&str| own.iter().any(|own| own.eq_ignore_ascii_case(reported));
    if reported.is_empty() {
        Sender::Unsaid
    } else if reported.iter().all(is_own) {
        Sender::Requester
    } else if own.is_empty() {
        // That nobody is known is another rule's affair.
        Sender::Unsaid
    } else {
        Sender::Another
    }
}

/// The same, of addresses that are not all of those known before, held against all at which the requester's mailbox takes mail.
fn alias(reported_by: Option<&str>, own: &[String]) -> Sender {
    let reported = addresses(reported_by.unwrap_or_default());
    let is_own = |reported: &&str| own.contains(&reported.to_lowercase());
    if !reported.is_empty() && reported.iter().all(is_own) {
        Sender::Requester
    } else {
        Sender::Another
    }
}

/// Every e-mail address in a text, however it stands there: alone, behind a name, one of several.
fn addresses(text: &str) -> Vec<&str> {
    text.split(|at: char| at.is_whitespace() || "<>()[],;:\"'".contains(at))
        .filter(
            |word| matches!(word.split_once('@'), Some((name, host)) if !name.is_empty() && !host.is_empty()),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_admitted_where_it_is_listed_or_none_is() {
        assert_eq!(admitted_kind(&[], None), Kind::Admitted);
        assert_eq!(admitted_kind(&[1, 25], Some(25)), Kind::Admitted);
        assert_eq!(admitted_kind(&[1, 25], Some(3)), Kind::Other(Some(3)));
        assert_eq!(admitted_kind(&[1, 25], None), Kind::Other(None));
    }

    #[test]
    fn an_address_that_is_not_the_requesters_is_another_one_and_a_name_says_nothing() {
        let own = Some("adele@contoso.example");
        let nobody = Requester::Unread;
        for said in [None, Some(""), Some("Adele Vance"), Some("phone @ 10")] {
            assert_eq!(sender(said, own, &nobody), Sender::Unsaid, "{said:?}");
        }
        assert_eq!(
            sender(Some(" Adele@Contoso.example "), own, &nobody),
            Sender::Requester
        );
        for said in [
            "adele@contoso.example.evil.example",
            "Mallory <mallory@evil.example>",
            "Adele Vance <mallory@evil.example>",
            "adele@contoso.example, mallory@evil.example",
            "mallory@evil.example (mobile)",
        ] {
            assert_eq!(sender(Some(said), own, &nobody), Sender::Another, "{said}");
        }
        let written_out = "\"Vance, Adele\" <adele@contoso.example>";
        assert_eq!(sender(Some(written_out), own, &nobody), Sender::Requester);
        assert_eq!(
            sender(Some("adele@contoso.example"), None, &nobody),
            Sender::Unsaid
        );
    }

    #[test]
    fn an_alias_is_the_requesters_and_what_merely_looks_like_one_is_not() {
        let own = [
            "adele@contoso.example".to_owned(),
            "a.vance@contoso.example".to_owned(),
        ];
        let said = |reported| alias(Some(reported), &own);
        assert_eq!(said(" A.Vance@Contoso.example"), Sender::Requester);
        assert_eq!(
            said("Adele <a.vance@contoso.example>, adele@contoso.example"),
            Sender::Requester
        );
        for another in [
            "vance@contoso.example",
            "a.vance@contoso.example.evil.example",
            "adele@contoso.example; vance@contoso.example",
            "",
        ] {
            assert_eq!(said(another), Sender::Another, "{another}");
        }
        assert_eq!(alias(None, &own), Sender::Another);
        assert_eq!(alias(Some("a.vance@contoso.example"), &[]), Sender::Another);
    }
}
