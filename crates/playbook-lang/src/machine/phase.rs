//! What can be asked of a phase. A parallel one answers for its branches.

use common::{Outcome, StepCall, StepId};
use time::OffsetDateTime;

use super::Machine;
use super::state::{Attempt, Phase, Strand};
use super::words::Event;

impl Phase {
    /// For logs and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Calling { .. } => "calling",
            Self::Waiting { .. } => "waiting",
            Self::Asking { .. } => "asking",
            Self::Backoff { .. } => "backoff",
            Self::Parked { .. } => "parked",
            Self::Pausing { .. } => "pausing",
            Self::Parallel { .. } => "parallel",
            Self::Joined { .. } => "joined",
            Self::Ended { .. } => "ended",
        }
    }

    /// The attempt that is under way or due next; of several, that of the first branch that has one.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Ready { .. } | Self::Pausing { .. } | Self::Joined { .. } | Self::Ended { .. } => None,
            Self::Parallel { strands, .. } => strands.iter().find_map(|strand| strand.phase.attempt()),
            Self::Calling { attempt, .. }
            | Self::Waiting { attempt, .. }
            | Self::Asking { attempt, .. }
            | Self::Backoff { attempt, .. }
            | Self::Parked { attempt, .. } => Some(attempt),
        }
    }

    /// The step that it stands at; of branches, the parallel step.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::Ready { step, .. } | Self::Pausing { step, .. } | Self::Parallel { step, .. } => Some(step),
            Self::Joined { .. } => None,
            Self::Ended { step, .. } => step.as_ref(),
            other => other.attempt().map(|attempt| &attempt.call.id),
        }
    }

    /// The phase, leaving behind one that means nothing.
    pub(super) const fn take(&mut self) -> Self {
        let nothing = Self::Joined {
            outcome: Outcome::Failure,
        };
        std::mem::replace(self, nothing)
    }

    /// A step was entered, and nobody has begun it.
    pub(crate) fn has_ready(&self) -> bool {
        match self {
            Self::Ready { .. } => true,
            Self::Parallel { strands, .. } => strands.iter().any(|strand| strand.phase.has_ready()),
            _ => false,
        }
    }

    /// Somebody is at it, rather than waiting.
    pub(super) fn is_running(&self) -> bool {
        match self {
            Self::Ready { .. } | Self::Calling { .. } => true,
            Self::Parallel { strands, .. } => strands.iter().any(|strand| strand.phase.is_running()),
            _ => false,
        }
    }

    /// When somebody must look at it; `at_once` is before any time.
    pub(crate) fn due_at(&self, at_once: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Ready { .. } | Self::Calling { .. } | Self::Asking { .. } => Some(at_once),
            Self::Waiting { ask_at, .. } => Some(*ask_at),
            Self::Backoff { until, .. } | Self::Parked { until, .. } | Self::Pausing { until, .. } => {
                Some(*until)
            }
            Self::Parallel { strands, .. } => strands
                .iter()
                .filter_map(|strand| strand.phase.due_at(at_once))
                .min(),
            Self::Joined { .. } | Self::Ended { .. } => None,
        }
    }

    /// As [`Self::due_at`] while nothing may be begun: what would be, is due at the end of its time.
    pub(super) fn due_standing_still(
        &self,
        at_once: OffsetDateTime,
        bound: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        match self {
            Self::Ready { .. } | Self::Calling { .. } | Self::Backoff { .. } | Self::Parked { .. } => {
                Some(bound)
            }
            Self::Parallel { strands, .. } => strands
                .iter()
                .filter_map(|strand| strand.phase.due_standing_still(at_once, bound))
                .min(),
            Self::Waiting { .. }
            | Self::Asking { .. }
            | Self::Pausing { .. }
            | Self::Joined { .. }
            | Self::Ended { .. } => self.due_at(at_once),
        }
    }

    /// A call is out, and its answer will tell what it did.
    pub(super) fn has_call_out(&self) -> bool {
        match self {
            Self::Calling { .. } => true,
            Self::Parallel { strands, .. } => strands.iter().any(|strand| strand.phase.has_call_out()),
            _ => false,
        }
    }

    /// Its attempt is one of the visit that `call` is of.
    pub(super) fn is_about(&self, call: &StepCall) -> bool {
        self.attempt()
            .is_some_and(|attempt| (&attempt.call.id, attempt.call.visit) == (&call.id, call.visit))
    }

    /// The event answers something that is asked here.
    pub(super) fn awaits(&self, event: &Event) -> bool {
        if let Self::Parallel { strands, .. } = self {
            return strands.iter().any(|strand| strand.phase.awaits(event));
        }
        match (self, event) {
            (
                Self::Waiting { operation, .. } | Self::Asking { operation, .. },
                Event::OperationSeen { operation: seen, .. },
            ) => operation == seen,
            (_, Event::Signalled { call, .. }) => self.is_about(call),
            (_, event) => event
                .call()
                .is_some_and(|call| self.attempt().is_some_and(|attempt| attempt.call == *call)),
        }
    }
}

impl Strand {
    pub(super) fn ended_well(&self) -> bool {
        matches!(
            self.phase,
            Phase::Joined {
                outcome: Outcome::Success
            }
        )
    }
}

impl Machine<'_> {
    /// A step of this phase that is none of this playbook.
    pub(super) fn stranger<'p>(&self, phase: &'p Phase) -> Option<&'p StepId> {
        let known = |step: &&StepId| self.playbook.step(step).is_some();
        if let Some(step) = phase.step()
            && !known(&step)
        {
            return Some(step);
        }
        match phase {
            Phase::Parallel { strands, .. } => strands.iter().find_map(|strand| self.stranger(&strand.phase)),
            _ => None,
        }
    }
}
