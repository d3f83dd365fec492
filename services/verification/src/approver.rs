//! Whether a manager who says yes is still the one to say it: the directory is asked again at the moment of their answer.

use std::time::Duration as StdDuration;

use common::{Person, UserId};
use connectors::CallError;
use time::Duration;

use crate::Verifier;
use crate::ask::manager_obstacle;
use crate::operation::{Event, Facts, Obstacle, Operation, Request, State};

/// How long somebody who has just answered is kept waiting for the directory: Teams and Twilio give up after some 15 s.
const PROMPTLY: StdDuration = StdDuration::from_secs(5);

/// What the directory says of the manager who was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They are still the one to answer.
    Stands,
    /// They are not any more.
    Lapsed(Obstacle),
    /// It cannot be asked at the moment.
    Away {
        /// What it asked for.
        retry_after: Option<Duration>,
    },
}

/// Why `asked` is not the one to answer for `subject` any more, whose manager on record is `manager` by now.
pub fn lapsed(subject: &UserId, asked: &UserId, manager: Option<&Person>) -> Option<Obstacle> {
    let Some(manager) = manager else {
        return Some(Obstacle::NoManager);
    };
    if !manager.id.as_str().eq_ignore_ascii_case(asked.as_str()) {
        return Some(Obstacle::ManagerReplaced);
    }
    manager_obstacle(subject, manager)
}

impl Verifier {
    /// What the directory says of whoever gave the yes that is kept with `operation`; `None` where none waits for it. What
    /// cannot be known at once is for a worker.
    ///
    /// INVARIANT: asked only once the yes is in its row, so that it outlasts us however long the directory takes.
    pub(crate) async fn prompt_standing(&self, operation: &Operation) -> Option<Event> {
        let State::Approval(approval) = &operation.state else {
            return None;
        };
        approval.kept.as_ref()?;
        let looking = Box::pin(self.standing(&operation.facts, &approval.request));
        let standing = tokio::time::timeout(PROMPTLY, looking).await;
        let standing = standing.unwrap_or(Standing::Away { retry_after: None });
        Some(Event::Approver(standing))
    }

    /// Look the subject's manager up again.
    pub(crate) async fn standing(&self, facts: &Facts, request: &Request) -> Standing {
        match self.entra.manager(&facts.subject.id).await {
            Ok(manager) => lapsed(&facts.subject.id, &request.approver.id, manager.as_ref())
                .map_or(Standing::Stands, Standing::Lapsed),
            Err(error @ CallError::Refused { .. }) => {
                tracing::error!(error = %chassis::chain(&error), "the directory refused to look a manager up again");
                Standing::Lapsed(Obstacle::DirectoryRefused)
            }
            Err(away) => {
                tracing::warn!(error = %chassis::chain(&away), "the directory is away; an approval waits for it");
                let retry_after = away.retry_after().and_then(|wait| wait.try_into().ok());
                Standing::Away { retry_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{ADELE, MEGAN, adele};

    fn person(id: &str) -> Person {
        Person {
            id: id.parse().unwrap(),
            ..adele()
        }
    }

    #[test]
    fn only_the_manager_on_record_who_may_act_is_still_the_one_to_answer() {
        let (subject, asked) = (ADELE.parse().unwrap(), MEGAN.parse().unwrap());
        let megan = || person(MEGAN);
        let shouted = MEGAN.to_uppercase();
        for (manager, why) in [
            (Some(megan()), None),
            (Some(person(&shouted)), None),
            (None, Some(Obstacle::NoManager)),
            (
                Some(person("00000000-0000-4000-8000-0000000000cc")),
                Some(Obstacle::ManagerReplaced),
            ),
            (Some(person(ADELE)), Some(Obstacle::ManagerReplaced)),
            (
                Some(Person {
                    account_enabled: false,
                    ..megan()
                }),
                Some(Obstacle::ManagerDisabled),
            ),
            (
                Some(Person {
                    guest: true,
                    ..megan()
                }),
                Some(Obstacle::ManagerGuest),
            ),
        ] {
            assert_eq!(lapsed(&subject, &asked, manager.as_ref()), why, "{manager:?}");
        }
        assert_eq!(
            lapsed(&subject, &subject, Some(&person(ADELE))),
            Some(Obstacle::ManagerIsSubject),
            "whatever was asked before"
        );
    }
}
