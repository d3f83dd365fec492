//! The gate's verdict on a ticket.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ids::{DecisionId, ExecutionId, TenantId, TicketId};
use crate::playbook::PlaybookRef;

/// `POST /api/v1/classify_ticket`: decide on a ticket of the help desk now, as the webhook would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifyTicket {
    /// The ticket, which is read afresh from the help desk; its text is not taken from the caller.
    pub ticket_id: TicketId,
}

/// One reason why a ticket is left to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Blocker {
    /// Stable, snake_case: `account_disabled`, `below_threshold`, ...
    pub code: String,
    /// A sentence for people; no ticket text.
    pub detail: String,
}

/// One row of `classification_results`: what was decided, by whom, and every reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Decision {
    /// This decision.
    pub decision_id: DecisionId,
    /// The tenant of the ticket.
    pub tenant_id: TenantId,
    /// The ticket.
    pub ticket_id: TicketId,
    /// `true` only where nothing spoke against it.
    pub automated: bool,
    /// `REQUEST`, ... from the playbook's `category`; `OTHER` where no playbook fits.
    pub category: String,
    /// `PASSWORD_RESET`, ... from the playbook's `sub_category`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_category: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    /// Which classifier answered: `embedded/<version>` or the model's name as it reported it.
    pub model: String,
    /// Version of the prompt or of the embedded model's data.
    pub prompt_version: String,
    /// One sentence of why; the classifier's words, untrusted.
    pub reasoning: String,
    /// Empty if and only if `automated`.
    pub blockers: Vec<Blocker>,
    /// The playbook that fits, also where something blocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook: Option<PlaybookRef>,
    /// The execution that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub decided_at: OffsetDateTime,
}
