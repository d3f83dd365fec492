//! What a ticket is still to be told of an execution that goes on at once. It is committed with the execution's state, by the
//! step that says it, and goes to the outbox with what follows: three quick steps are rows of one commit, not of three.
//! Nobody waits for any of it, and none of it waits longer than [`LONGEST`]. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::update::{Progress, Update};

/// As long as this it stays with the state at most, if whoever has the execution in hand lives.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// No note of several steps tells of more.
const MOST_STEPS: usize = 5;

/// News of an execution that no outbox has, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Untold {
    #[serde(default, with = "time::serde::rfc3339::option")]
    since: Option<OffsetDateTime>,
    #[serde(default)]
    news: Vec<Update>,
}

impl Untold {
    /// Nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    /// When it is to be told, whatever else happens.
    pub(crate) fn due_at(&self) -> Option<OffsetDateTime> {
        self.since.map(|since| since + LONGEST)
    }

    /// More of it.
    pub(crate) fn add(&mut self, news: Vec<Update>, now: OffsetDateTime) {
        if !news.is_empty() {
            self.since.get_or_insert(now);
        }
        self.news.extend(news);
    }

    /// Whether it may stay where it is while its execution goes on.
    pub(crate) fn may_linger(&self, now: OffsetDateTime) -> bool {
        self.due_at().is_none_or(|due| now < due) && self.news.iter().all(Update::may_linger)
    }

    /// All of it, for the outbox.
    pub(crate) fn take(&mut self) -> Vec<Update> {
        brief(std::mem::take(self).news)
    }
}

/// The same in as few updates as say it: of several values of the custom field the last, and steps that ended one after the
/// other together.
fn brief(news: Vec<Update>) -> Vec<Update> {
    let mut statuses = news
        .iter()
        .filter(|update| matches!(update, Update::Status { .. }))
        .count();
    let mut brief: Vec<Update> = Vec::with_capacity(news.len());
    for update in news {
        match update {
            Update::Status { .. } if statuses > 1 => statuses -= 1,
            Update::Progress(progress) => and_then(&mut brief, progress),
            update => brief.push(update),
        }
    }
    brief
}

/// This step ended after those that `brief` tells of.
fn and_then(brief: &mut Vec<Update>, progress: Progress) {
    match brief.pop() {
        Some(Update::Progress(first)) => brief.push(Update::Steps {
            steps: vec![first, progress],
        }),
        Some(Update::Steps { mut steps }) if steps.len() < MOST_STEPS => {
            steps.push(progress);
            brief.push(Update::Steps { steps });
        }
        last => {
            brief.extend(last);
            brief.push(Update::Progress(progress));
        }
    }
}

#[cfg(test)]
mod tests {
    use common::{AutomationStatus, Outcome, StepCall};
    use time::macros::datetime;

    use super::*;
    use crate::update::Asked;

    const NOW: OffsetDateTime = datetime!(2026-11-22 02:30:00 UTC);

    fn call(step: &str) -> StepCall {
        StepCall {
            id: step.parse().unwrap(),
            visit: 1,
            attempt: 1,
        }
    }

    fn ended(step: &str) -> Progress {
        Progress {
            call: call(step),
            name: step.to_owned(),
            action: None,
            asked: None,
            outcome: Outcome::Success,
            explanation: "It is done.".to_owned(),
            next: None,
        }
    }

    fn step(name: &str) -> Update {
        Update::Progress(ended(name))
    }

    fn steps(names: &[&str]) -> Update {
        let steps = names.iter().map(|name| ended(name)).collect();
        Update::Steps { steps }
    }

    fn status(status: AutomationStatus) -> Update {
        Update::Status { status }
    }

    fn asked() -> Update {
        Update::Asked(Asked {
            call: call("ask"),
            name: "ask".to_owned(),
            asked: "Adele was asked.".to_owned(),
        })
    }

    #[test]
    fn what_came_together_is_told_in_few_words_and_in_its_order() {
        let mut untold = Untold::default();
        untold.add(
            vec![status(AutomationStatus::Running), step("a"), asked(), step("b")],
            NOW,
        );
        untold.add(
            vec![step("c"), Update::Resolved, status(AutomationStatus::Resolved)],
            NOW,
        );
        let told = [
            step("a"),
            asked(),
            steps(&["b", "c"]),
            Update::Resolved,
            status(AutomationStatus::Resolved),
        ];
        assert_eq!(untold.take(), told);
        assert!(untold.is_empty());
        assert_eq!((untold.take(), untold.due_at()), (vec![], None));
    }

    #[test]
    fn no_note_grows_without_end() {
        let mut untold = Untold::default();
        untold.add(["a", "b", "c", "d", "e", "f", "g"].map(step).to_vec(), NOW);
        assert_eq!(
            untold.take(),
            [steps(&["a", "b", "c", "d", "e"]), steps(&["f", "g"])]
        );
    }

    #[test]
    fn it_lingers_from_the_first_on_and_never_beside_what_somebody_waits_for() {
        let mut untold = Untold::default();
        untold.add(vec![], NOW);
        assert_eq!(untold.due_at(), None);
        untold.add(vec![step("a")], NOW);
        untold.add(vec![step("b")], NOW + LONGEST / 2);
        assert_eq!(untold.due_at(), Some(NOW + LONGEST));
        assert!(untold.may_linger(NOW + LONGEST / 2));
        assert!(!untold.may_linger(NOW + LONGEST));
        untold.add(vec![Update::Resolved], NOW);
        assert!(!untold.may_linger(NOW));
    }
}
