//! What operators do, on both sides.

use chassis::PersonCaller;
use common::operate::{Position, SetSwitch};
use common::{ExecutionStatus, Switch};
use serde_json::json;

use super::Pair;
use crate::sim::model::operate::{NotDone, OPERATOR};
use crate::store::{OperateError, Reopened, StoredState, Wish};
use crate::update::Verb;

fn operator() -> PersonCaller {
    PersonCaller {
        id: "olga".to_owned(),
        name: OPERATOR.to_owned(),
        roles: [].into(),
    }
}

fn wish(operator: &PersonCaller, verb: Verb) -> Wish<'_> {
    Wish {
        operator,
        verb,
        reason: None,
    }
}

fn not_done(error: &OperateError) -> Option<NotDone> {
    match error {
        OperateError::Unknown(_) => Some(NotDone::Unknown),
        OperateError::Ended(_) => Some(NotDone::Ended),
        OperateError::Paused(_) => Some(NotDone::Paused),
        OperateError::Cancelled => Some(NotDone::Cancelled),
        OperateError::Store(_) => None,
    }
}

impl Pair {
    /// A verb or a switch.
    pub(super) async fn operate(&mut self) {
        if self.chance(0.3) {
            return self.switch().await;
        }
        let Some(id) = self.one_of(&self.executions.clone()) else {
            return;
        };
        let operator = operator();
        let verb = self
            .one_of(&[Verb::Pause, Verb::Resume, Verb::Cancel])
            .expect("there are some");
        self.say(format!("{verb:?} {id}"));
        let wish = wish(&operator, verb);
        let (real, model) = match verb {
            Verb::Pause => (self.store.pause(id, wish).await, self.model.pause(id)),
            Verb::Resume => (self.store.resume(id, wish).await, self.model.resume(id)),
            _ => (
                self.store.cancel(id, wish, "Cancelled.").await,
                self.model.cancel(id, "Cancelled."),
            ),
        };
        self.same(
            "done",
            real.map_err(|error| not_done(&error)),
            model.map_err(Some),
        );
    }

    async fn switch(&mut self) {
        let switches = [
            Switch::Global,
            Switch::Tenant,
            Switch::Playbook {
                name: "password_reset".parse().expect("a name"),
            },
            Switch::Playbook {
                name: "another".parse().expect("a name"),
            },
        ];
        let switch = self.one_of(&switches).expect("there are some");
        let off = self.chance(0.15);
        self.say(format!("{switch:?} off: {off}"));
        let set = SetSwitch {
            switch: switch.clone(),
            position: if off { Position::Off } else { Position::On },
            reason: "It behaves oddly.".parse().expect("a reason"),
        };
        let done = self.store.set_switch(&set, &operator()).await;
        done.expect("the database is there");
        self.model.set_switch(&switch, off);
    }

    /// What was seen, perhaps long ago, is tried again.
    pub(super) async fn retry(&mut self) {
        if self.stopped.is_empty() || self.chance(0.5) {
            let Some(id) = self.one_of(&self.executions.clone()) else {
                return;
            };
            self.say(format!("look at {id}"));
            let real = self.store.stopped(id).await.expect("it is there");
            let model = self.model.stopped(id).expect("it is there");
            self.same(
                "stopped",
                (real.ended, real.cancelled, real.in_hand, real.state.clone()),
                (model.ended, model.cancelled, model.in_hand, model.state.clone()),
            );
            self.stopped.push((id, real, model));
            return;
        }
        let nth = self.below(self.stopped.len());
        let (id, real, model) = self.stopped.remove(nth);
        self.say(format!("retry {id}"));
        let reopened = Reopened {
            state: StoredState::of_value(&json!({"nth": "again"})),
            status: ExecutionStatus::Running,
        };
        let operator = operator();
        let real = self
            .store
            .retry(id, wish(&operator, Verb::Retry), &real, &reopened)
            .await;
        let model = self.model.retry(id, &model, &reopened);
        self.same(
            "retried",
            real.map_err(|error| not_done(&error)),
            model.map_err(Some),
        );
    }
}
