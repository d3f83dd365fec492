//! The help desk as the outbox sees it: a note, the automation's fields, and what stands there already.
//!
//! Names of statuses and fields are settings; their numbers differ from tenant to tenant and are looked up once.

use std::time::Duration;

use chassis::Shell;
use common::{AutomationStatus, TicketId, Values};
use connectors::CallError;
use connectors::halopsa::{Agent, Halo, NewNote, Outcome, Ticket};
use tokio::sync::OnceCell;

use crate::outbox::plan::{Change, Note};
use crate::settings::DeskSettings;

/// What `/readyz` calls it.
const READINESS: &str = "halopsa";
/// How often the help desk is asked for its statuses and fields until it has answered.
const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

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

    /// The texts of the notes that stand on the ticket, to look for markers.
    pub(crate) async fn standing(&self, ticket: &TicketId) -> Result<Vec<String>, DeskError> {
        Ok(self
            .halo
            .actions(ticket)
            .await?
            .into_iter()
            .map(|action| action.note)
            .collect())
    }

    /// Add notes in one call, and change the ticket with them; those without words are left out.
    pub(crate) async fn add(&self, ticket: &TicketId, notes: &[Note]) -> Result<(), DeskError> {
        let numbers = self.numbers().await?;
        let worded: Vec<_> = notes
            .iter()
            .filter_map(|note| note.text().map(|text| (note, text)))
            .collect();
        let notes = worded.iter().map(|(note, (text, marker))| {
            let (new_status, new_agent) = match note.change() {
                None => (None, None),
                Some(Change::Resolve) => (Some(numbers.resolved), None),
                Some(Change::Escalate) => (numbers.escalated, Some(Agent::Nobody)),
            };
            NewNote {
                text,
                private: note.private,
                outcome: Outcome::from(self.settings.outcome_note.as_str()),
                new_status,
                new_agent,
                marker: marker.as_str(),
            }
        });
        Ok(self.halo.add_notes(ticket, &notes.collect::<Vec<_>>()).await?)
    }

    /// Make the ticket say `status`: the custom field, and at an end the status that the note should have set already (a
    /// rule of the tenant may have kept the old one). Whom it is assigned to is left alone: a person may have taken it.
    pub(crate) async fn settle(&self, ticket: &Ticket, status: AutomationStatus) -> Result<(), DeskError> {
        let numbers = self.numbers().await?;
        let reference = ticket.reference();
        let wanted = match status {
            AutomationStatus::Resolved => Some(numbers.resolved),
            AutomationStatus::Escalated => numbers.escalated,
            _ => None,
        };
        let said = ticket
            .custom_field(&self.settings.field_status)
            .and_then(|value| value.as_str());
        if said != Some(status.as_str()) {
            let field = (numbers.status_field, serde_json::Value::from(status.as_str()));
            self.halo.set_custom_fields(&reference, &[field]).await?;
        }
        // Last, because a workflow may forbid it.
        if let Some(wanted) = wanted.filter(|wanted| ticket.status_id != Some(*wanted) && !ticket.closed) {
            self.halo.set_status(&reference, wanted).await?;
        }
        Ok(())
    }

    /// Give custom fields of the ticket these values. Safe to repeat: the same values again.
    pub(crate) async fn set(&self, ticket: &Ticket, fields: &Values) -> Result<(), DeskError> {
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
        Ok(self.halo.set_custom_fields(&ticket.reference(), &values).await?)
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
