//! A ticket that is left to a person: what its playbook's mode holds back is put before agents, then the decision shows.

use common::AutomationStatus;

use super::{Gate, MARK_TRIES, pause};
use crate::modes::offer::NotOffered;
use crate::store::{Claim, Decided, StoreError};

impl Gate {
    pub(super) async fn leave(&self, claim: &Claim, decided: &Decided) -> Result<Option<Claim>, StoreError> {
        let error = match self.offers.present(&decided.decision).await {
            Ok(()) => return self.mark(claim, decided, AutomationStatus::Manual).await,
            Err(NotOffered::Store(error)) => return Err(error),
            Err(NotOffered::Desk(error)) => error,
        };
        tracing::warn!(error = %chassis::chain(&error), "a suggestion does not show on the ticket yet");
        let refused = matches!(error, connectors::CallError::Refused { .. });
        if refused && claim.tries + 1 >= MARK_TRIES {
            return self.mark(claim, decided, AutomationStatus::Manual).await;
        }
        let pause = pause(claim.tries, error.retry_after());
        self.wait(claim, pause, None, "the help desk").await?;
        Ok(None)
    }
}
