//! Pausing: steps that let time pass.

use common::{Outcome, StepId};
use serde_json::Value;
use time::OffsetDateTime;

use super::calls::later;
use super::edges::Arrival;
use super::state::Phase;
use super::turn::{Leads, Led, Turn, only_call};
use super::words::{Command, Record};
use crate::kind::moment;
use crate::playbook::{Pause, Step};
use crate::template;

impl<'m> Turn<'m> {
    /// Begin to wait; what has passed is not waited for.
    pub(super) fn pause(&mut self, step: &'m Step, pause: &Pause, visit: u32) -> Arrival<'m> {
        let until = match pause {
            Pause::For(time) => Some(later(self.moment.now, *time)),
            Pause::Until(value) => self.point_in_time(step, value),
        };
        let Some(until) = until else {
            let reason = format!(
                "Step `{}` waits for a point in time that is not known or is none.",
                step.id
            );
            return Arrival::Stays(Leads::escalated(reason));
        };
        if until <= self.moment.now {
            let explanation = "What it waits for has passed already.".to_owned();
            return self.pass(step, visit, Outcome::Success, explanation);
        }
        let until = until.min(self.budget_end());
        if until <= self.moment.now {
            return Arrival::Stays(Leads::escalated(out_of_budget(&step.id)));
        }
        self.story.push(Record::Pausing {
            call: only_call(&step.id, visit),
            until,
        });
        self.commands.push(Command::WakeAt(until));
        Arrival::Stays(Leads::To(Phase::Pausing {
            step: step.id.clone(),
            visit,
            until,
        }))
    }

    fn point_in_time(&self, step: &Step, value: &Value) -> Option<OffsetDateTime> {
        let filled = template::filled(value, &|name| self.value(step, name))?;
        moment(filled.as_str()?)
    }

    /// The wait is over: go on, unless it was the budget that ended it.
    pub(super) fn pause_over(&mut self, step: &StepId, visit: u32, until: OffsetDateTime) -> Led {
        let Some(step) = self.playbook().step(step) else {
            return Err(self.illegal(format!("the playbook has no step `{step}`")));
        };
        if until >= self.budget_end() {
            return Ok(Leads::escalated(out_of_budget(&step.id)));
        }
        let arrival = self.pass(step, visit, Outcome::Success, "The wait is over.".to_owned());
        Ok(self.go_on(step, arrival))
    }
}

/// Why an execution ends that took too long.
pub(super) fn out_of_budget(step: &StepId) -> String {
    format!("The playbook's time budget ran out before step `{step}` was done.")
}
