//! What an automated decision uses up: a place of its requester's, of its playbook's and of the tenant's.

use common::TenantId;
use common::velocity::{Limited, Place};

use super::Judgement;
use crate::settings::Tripwires;

chassis::windows_table!(
    /// The classifier's own.
    GateWindows,
    "gate_windows"
);

impl Tripwires {
    /// The windows in which a decision counts; one that leaves the ticket to a person counts nowhere.
    pub(super) fn places(&self, tenant: &TenantId, judgement: &Judgement) -> Vec<Place> {
        let Some(execution) = &judgement.execution else {
            return vec![];
        };
        let requester = judgement
            .requester
            .as_ref()
            .and_then(|requester| Place::of(Limited::Requester, requester.as_str(), self.per_requester));
        let playbook = Place::of(
            Limited::Playbook,
            execution.playbook.name.as_str(),
            self.per_playbook,
        );
        let tenant = Place::of(Limited::Tenant, tenant.as_str(), self.per_tenant);
        [requester, playbook, tenant].into_iter().flatten().collect()
    }
}
