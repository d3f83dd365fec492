//! What came in from outside: signals, and an operator who wants it to end.

use common::{Ending, Signal};
use playbook_lang::{Event, Phase};
use serde_json::json;

use super::course::{Broken, Course};
use crate::store::Handled;

impl Course<'_> {
    /// Apply all of it. A signal is heard before the cancellation, or an alarm would be lost; one that would end well what
    /// is cancelled comes after it, and is late.
    pub(super) fn hear_all(&mut self, signals: Vec<Signal>, cancelled: Option<String>) -> Result<(), Broken> {
        let Some(reason) = cancelled else {
            for signal in signals {
                self.hear(signal);
            }
            return Ok(());
        };
        let mut late = vec![];
        for signal in signals {
            if self.would_end_well(&signal) {
                late.push(signal);
            } else {
                self.hear(signal);
            }
        }
        self.cancel(reason)?;
        for signal in late {
            self.hear(signal);
        }
        Ok(())
    }

    fn would_end_well(&self, signal: &Signal) -> bool {
        let heard = self
            .machine()
            .apply(self.state.clone(), event(signal), self.moment);
        let resolved = |phase: &Phase| {
            matches!(
                phase,
                Phase::Ended {
                    ending: Ending::Resolved,
                    ..
                }
            )
        };
        heard.is_ok_and(|heard| resolved(heard.state.phase()))
    }

    /// A signal that means nothing is recorded and changes nothing.
    fn hear(&mut self, signal: Signal) {
        let before = self.state.clone();
        let applied = match self.turn(event(&signal), None) {
            Ok(()) => self.state != before,
            Err(error) => {
                tracing::warn!(%error, "a signal belongs to nothing in this execution");
                false
            }
        };
        let Signal { operation, step, .. } = signal;
        if !applied {
            let detail = json!({"operation": operation, "step": step});
            self.chronicle
                .audit
                .push(self.about().event("signal.late", detail));
        }
        self.handled.push(Handled { operation, applied });
    }
}

fn event(signal: &Signal) -> Event {
    Event::Signalled {
        call: signal.step.clone(),
        operation: signal.operation,
        result: signal.result.clone(),
    }
}
