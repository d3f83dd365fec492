//! What services that take their time signal, on both sides.

use common::clock;
use common::execution::ExecutionStatus;
use common::{ExecutionId, OperationId, Outcome, Signal, StepCall, StepId, StepResult, Values};

use super::drives::{ACTIONS, in_words};
use super::{LONG, Pair};
use crate::sim::model::signal::NotHeard;
use crate::store::{Arrival, Claimed, Entry, Heard, Hold, Presence, RunnerId, SignalRefused, StepRow, Write};

impl Pair {
    /// A signal, of a call that was made or was not.
    pub(super) async fn hear(&mut self) {
        let known = self.one_of(&self.operations.clone());
        let some = self.one_of(&self.executions.clone());
        let (execution, step, operation) = match (known, some) {
            (Some(known), _) if self.chance(0.8) => known,
            (_, Some(id)) => (id, "ask".parse().expect("a step's id"), OperationId::fresh()),
            _ => (
                ExecutionId::fresh(),
                "ask".parse().expect("a step's id"),
                OperationId::fresh(),
            ),
        };
        let sender = if self.chance(0.9) { "cmdb" } else { "delivery" };
        let signal = self.signal(&step, operation);
        let runner = self.living().filter(|_| self.chance(0.5));
        if let Some(runner) = runner
            && self.arrive(execution, &signal, sender, runner).await
        {
            return;
        }
        self.say(format!(
            "{execution} is signalled {operation} by {sender}, heard by {runner:?}"
        ));
        let real = self
            .store
            .hear(execution, &signal, sender, self.model.now, runner)
            .await;
        let model = self.model.hear(execution, &signal, sender, runner);
        let told = |(heard, claimed): (Heard, Option<Claimed>)| (heard, in_words(claimed.as_slice()));
        if let Ok((_, Some(claimed))) = &real {
            self.claims.push(claimed.clone());
        }
        let (real, model) = (real.map(told), model.map(told));
        let real = real.map_err(|error| match error {
            SignalRefused::UnknownExecution(_) => Some(NotHeard::UnknownExecution),
            SignalRefused::Foreign(_) => Some(NotHeard::Foreign),
            SignalRefused::Store(_) | SignalRefused::WrongTenant(_) => None,
        });
        self.same("heard", real, model.map_err(Some));
        let unheard = self.store.unheard(execution).await.expect("it can be read");
        let modelled = self.model.unheard(execution);
        self.same("unheard", unheard, modelled);
    }

    /// An execution that is in hand asks, is let go of, and is answered at once.
    pub(super) async fn ask(&mut self) {
        let (Some(claimed), Some(runner)) = (self.one_of(&self.in_hand()), self.living()) else {
            return;
        };
        let (id, operation) = (claimed.id, OperationId::fresh());
        let signal = self.signal(&"ask".parse().expect("a step's id"), operation);
        let row = StepRow {
            call: signal.step.clone(),
            name: "A step".to_owned(),
            action: ACTIONS[0].parse().ok(),
            operation: Some(operation),
            asked: Some("Adele".to_owned()),
            outcome: None,
            explanation: None,
            output: Values::new(),
        };
        self.operations.push((id, signal.step.id.clone(), operation));
        let write = Write {
            status: ExecutionStatus::Waiting,
            reason: None,
            hold: Hold::Until(clock::now() + LONG),
            held: false,
            signals: self.model.executions.get(&id).map_or(0, |row| row.signals),
            steps: vec![row],
            renumbered: vec![],
            cut_off: None,
            ..self.random_write(&claimed)
        };
        self.say(format!("{id} asks, and waits for {operation}"));
        if self.commit(&[Entry::Step(Box::new(write))]).await == [true] {
            self.arrive(id, &signal, "cmdb", runner).await;
        }
    }

    fn signal(&self, step: &StepId, operation: OperationId) -> Signal {
        Signal {
            tenant_id: self.model.tenant.clone(),
            operation,
            step: StepCall {
                id: step.clone(),
                visit: 1,
                attempt: 1,
            },
            result: StepResult::new(Outcome::Success, "done"),
        }
    }

    /// A signal is committed with what comes of it, where nobody has its execution in hand; also after something else came.
    async fn arrive(
        &mut self,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
        runner: RunnerId,
    ) -> bool {
        let real = self.store.waiting(execution, signal, sender, runner).await;
        let real = real.expect("the database is there");
        let model = self.model.waiting(execution, signal, sender, runner);
        self.same("waiting", in_words(real.as_slice()), in_words(model.as_slice()));
        let Some(claimed) = real.filter(|_| self.chance(0.7)) else {
            return false;
        };
        let arrival = Arrival {
            signal: signal.clone(),
            sender: sender.to_owned(),
            at: claimed.now,
            applied: self.chance(0.8),
        };
        let since = i64::from(self.chance(0.2));
        let write = Write {
            signals: claimed.signals + since,
            handled: vec![],
            arrival: Some(Box::new(arrival)),
            ..self.random_write(&claimed)
        };
        self.say(format!(
            "{execution} takes {} with its write, {since} too late",
            signal.operation
        ));
        if self.commit(&[Entry::Step(Box::new(write))]).await == [true] {
            self.claims.push(claimed);
        }
        true
    }

    fn living(&self) -> Option<RunnerId> {
        let living = |presence: &&Presence| self.model.runners.contains_key(&presence.runner.0);
        self.presences.iter().find(living).map(|presence| presence.runner)
    }
}
