//! The help desk as the outbox sees it: a note, the automation's fields, and what stands there already.
//!
//! Names of statuses and fields are settings; their numbers differ from tenant to tenant and are looked up once.

use std::time::Duration;

use chassis::Shell;
use common::{AutomationStatus, TicketId, Values};
use connectors::CallError;
use connectors::halopsa::{Agent, Halo, NewNote, Outcome, Ticket, TicketFields, TicketNotes};
use tokio::sync::OnceCell;

use crate::outbox::plan::{Change, Note};
use crate::settings::DeskSettings;
use crate::update::Marker;

/// What `/readyz` calls it.
const READINESS: &str = "halopsa";
/// How often the help desk is asked for its statuses and fields until it has answered.
const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

/// Why nothing is told to a ticket that the help desk has not.
pub(crate) const UNKNOWN: &str = "the help desk does not know the ticket";

/// Why the help desk was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    /// As the client says.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The tenant has no such status or field: a person must mend the settings.
    #[error("{0}")]
    SetUp(String),
    /// The same would be refused again, for ever.
    #[error("{0}")]
    NeverTaken(String),
    /// Given up while it was under way: it may have arrived.
    #[error("the help desk took too long")]
    TooLong,
}

/// What may be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The same would be refused again, for ever.
    GiveUp,
    /// Later, after at least this long.
    Wait(Duration),
    /// It may have arrived: look before repeating.
    Look,
}

impl DeskError {
    /// The help desk said no to what was asked, rather than being away.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Call(CallError::Refused { .. }))
    }

    /// What may be done about it.
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Call(CallError::Refused { code, .. }) => {
                // Everything else (a token, a scope, a permission) a person can mend while the update waits.
                let for_ever = [
                    "outcome_required",
                    "record_not_found",
                    "not_found",
                    "warning",
                    "not_a_ticket_number",
                    "http_400",
                    "http_409",
                    "http_413",
                    "http_422",
                ];
                if for_ever.contains(&code.as_str()) {
                    Remedy::GiveUp
                } else {
                    Remedy::Wait(Duration::from_mins(1))
                }
            }
            Self::Call(CallError::Busy { retry_after, .. }) => Remedy::Wait(retry_after.unwrap_or_default()),
            Self::Call(CallError::Unknown { .. }) | Self::TooLong => Remedy::Look,
            Self::NeverTaken(_) => Remedy::GiveUp,
            Self::SetUp(_) => Remedy::Wait(Duration::from_mins(1)),
        }
    }
}

/// Numbers of this tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    resolved: i64,
    escalated: Option<i64>,
    status_field: i64,
}

impl Numbers {
    /// The status that a ticket has at this end, where one is set.
    const fn wanted(self, status: AutomationStatus) -> Option<i64> {
        match status {
            AutomationStatus::Resolved => Some(self.resolved),
            AutomationStatus::Escalated => self.escalated,
            _ => None,
        }
    }
}

/// The ticket has this status, or a later one: what is closed is not opened again.
fn stands(ticket: &Ticket, wanted: Option<i64>) -> bool {
    wanted.is_none() || ticket.status_id == wanted || ticket.closed
}

/// What a note says.
struct Worded<'n> {
    text: String,
    marker: &'n Marker,
    private: bool,
    change: Option<Change>,
}

impl<'n> Worded<'n> {
    /// `None` where it says nothing.
    fn of(note: &'n Note) -> Option<Self> {
        let (text, marker) = note.text()?;
        Some(Self {
            text,
            marker,
            private: note.private,
            change: note.change(),
        })
    }
}

/// The help desk.
pub(crate) struct Desk {
    halo: Halo,
    settings: DeskSettings,
    numbers: OnceCell<Numbers>,
}

impl Desk {
    pub(crate) fn new(halo: Halo, settings: DeskSettings) -> Self {
        Self {
            halo,
            settings,
            numbers: OnceCell::new(),
        }
    }

    /// Check the settings against the tenant, as soon as it answers.
    pub(crate) async fn introduce(&self, shell: &Shell) {
        let stopping = shell.stopping().clone();
        let asking = async {
            loop {
                match self.numbers().await {
                    Ok(_) => return shell.readiness().ready(READINESS),
                    Err(DeskError::SetUp(why)) => {
                        tracing::error!(why, "the help desk does not fit the settings");
                        shell.readiness().blocked(READINESS, why);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the help desk could not be asked for its statuses and fields");
                        shell.readiness().degraded(READINESS, error.to_string());
                    }
                }
                tokio::time::sleep(LOOK_UP_EVERY).await;
            }
        };
        stopping.run_until_cancelled(asking).await;
    }

    /// The ticket as it stands; `None` where the help desk does not know it.
    pub(crate) async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, DeskError> {
        Ok(self.halo.ticket(id).await?)
    }

    /// The texts of the notes that stand on the ticket, to look for markers; `None` where the help desk does not know it.
    pub(crate) async fn standing(&self, ticket: &TicketId) -> Result<Option<Vec<String>>, DeskError> {
        match self.halo.latest_actions(ticket).await {
            Ok(actions) => Ok(Some(actions.into_iter().map(|action| action.note).collect())),
            // A history that cannot be read is none only where there is nothing it could be of.
            Err(error) => match self.ticket(ticket).await {
                Ok(None) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Add notes to tickets in one call, and change the tickets with them; those without words are left out. Each ticket as
    /// its notes left it, where the help desk shows it.
    pub(crate) async fn add(
        &self,
        tickets: &[(&TicketId, &[Note])],
    ) -> Result<Vec<Option<Ticket>>, DeskError> {
        let numbers = self.numbers().await?;
        let worded: Vec<(&TicketId, Vec<Worded<'_>>)> = tickets
            .iter()
            .map(|(ticket, notes)| (*ticket, notes.iter().filter_map(Worded::of).collect()))
            .collect();
        let tickets: Vec<TicketNotes<'_>> = worded
            .iter()
            .map(|(ticket, notes)| TicketNotes {
                ticket,
                notes: notes.iter().map(|note| self.new_note(note, numbers)).collect(),
            })
            .collect();
        Ok(self.halo.add_notes(&tickets).await?)
    }

    fn new_note<'n>(&self, note: &'n Worded<'_>, numbers: Numbers) -> NewNote<'n> {
        let (new_status, new_agent) = match note.change {
            None => (None, None),
            Some(Change::Resolve) => (Some(numbers.resolved), None),
            Some(Change::Escalate) => (numbers.escalated, Some(Agent::Nobody)),
        };
        NewNote {
            text: &note.text,
            private: note.private,
            outcome: Outcome::from(self.settings.outcome_note.as_str()),
            new_status,
            new_agent,
            marker: note.marker.as_str(),
        }
    }

    /// Make tickets say their status, in one call; each as a call before this one showed it. Which of them stand by now as
    /// they should: the others are for [`Self::settle`].
    pub(crate) async fn settle_together(
        &self,
        tickets: &[(Ticket, AutomationStatus)],
    ) -> Result<Vec<bool>, DeskError> {
        let numbers = self.numbers().await?;
        let fields: Vec<TicketFields> = tickets
            .iter()
            .map(|(ticket, status)| TicketFields {
                ticket: ticket.reference(),
                fields: vec![(numbers.status_field, status.as_str().into())],
            })
            .collect();
        let now = self.halo.set_fields(&fields).await?;
        let stands = now.into_iter().zip(tickets).map(|(now, (_, status))| {
            let wanted = numbers.wanted(*status);
            now.is_some_and(|now| stands(&now, wanted)) || wanted.is_none()
        });
        Ok(stands.collect())
    }

    /// Make the ticket say `status`: the custom field, and at an end the status that the note should have set already (a
    /// rule of the tenant may have kept the old one). Whom it is assigned to is left alone: a person may have taken it.
    ///
    /// `seen` is the ticket as a call before this one showed it: good for its type and customer, too old to tell whether its
    /// status has to be changed.
    pub(crate) async fn settle(
        &self,
        id: &TicketId,
        seen: Option<Ticket>,
        status: AutomationStatus,
    ) -> Result<(), DeskError> {
        let numbers = self.numbers().await?;
        let wanted = numbers.wanted(status);
        let ticket = self
            .seen_or_read(id, seen.filter(|seen| !self.says(seen, status)))
            .await?;
        let now = if self.says(&ticket, status) {
            ticket
        } else {
            let field = (numbers.status_field, serde_json::Value::from(status.as_str()));
            let set = self.halo.set_custom_fields(&ticket.reference(), &[field]).await?;
            match wanted {
                None => return Ok(()),
                Some(_) => self.seen_or_read(id, set).await?,
            }
        };
        // Last, because a workflow may forbid it.
        if let Some(wanted) = wanted.filter(|wanted| !stands(&now, Some(*wanted))) {
            self.halo.set_status(&now.reference(), wanted).await?;
        }
        Ok(())
    }

    /// Its custom field has this status.
    fn says(&self, ticket: &Ticket, status: AutomationStatus) -> bool {
        let said = ticket.custom_field(&self.settings.field_status);
        said.and_then(|value| value.as_str()) == Some(status.as_str())
    }

    async fn seen_or_read(&self, id: &TicketId, seen: Option<Ticket>) -> Result<Ticket, DeskError> {
        if let Some(seen) = seen {
            return Ok(seen);
        }
        let read = self.ticket(id).await?;
        read.ok_or_else(|| DeskError::NeverTaken(UNKNOWN.to_owned()))
    }

    /// Give custom fields of the ticket these values. Safe to repeat: the same values again. `seen` as above.
    pub(crate) async fn set(
        &self,
        id: &TicketId,
        seen: Option<Ticket>,
        fields: &Values,
    ) -> Result<(), DeskError> {
        let ticket = self.seen_or_read(id, seen).await?;
        let own = self.numbers().await?.status_field;
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let ids = self.halo.field_ids(&names).await?;
        let mut values = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let Some(id) = ids.get(name) else {
                let why = format!("the help desk has no custom field `{name}`");
                return Err(DeskError::NeverTaken(why));
            };
            if *id == own {
                let why = format!("the field `{name}` is the automation's own");
                return Err(DeskError::NeverTaken(why));
            }
            values.push((*id, value.clone()));
        }
        self.halo.set_custom_fields(&ticket.reference(), &values).await?;
        Ok(())
    }

    async fn numbers(&self) -> Result<Numbers, DeskError> {
        self.numbers.get_or_try_init(|| self.look_up()).await.copied()
    }

    async fn look_up(&self) -> Result<Numbers, DeskError> {
        let DeskSettings {
            status_resolved,
            status_escalated,
            field_status,
            ..
        } = &self.settings;
        let resolved = self.status("HALOPSA_STATUS_RESOLVED", status_resolved).await?;
        let escalated = match status_escalated {
            Some(name) => Some(self.status("HALOPSA_STATUS_ESCALATED", name).await?),
            None => None,
        };
        let fields = self.halo.field_ids(&[field_status]).await?;
        let missing = || {
            DeskError::SetUp(format!(
                "HALOPSA_FIELD_STATUS: the tenant has no custom field `{field_status}`"
            ))
        };
        let status_field = fields.get(field_status).copied().ok_or_else(missing)?;
        Ok(Numbers {
            resolved,
            escalated,
            status_field,
        })
    }

    async fn status(&self, setting: &str, name: &str) -> Result<i64, DeskError> {
        let missing = || DeskError::SetUp(format!("{setting}: the tenant has no status `{name}`"));
        self.halo.status_id(name).await?.ok_or_else(missing)
    }
}
