//! What a ticket is told of quick steps, and of slow ones: by the course of an execution, at times of our own.

use std::time::Duration;

use common::{Outcome, StepResult, TenantId};
use playbook_lang::{Event, Moment};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cast::{BEGINNING, Cast, Filing};
use crate::drive::{Course, Need, Question};
use crate::store::{Claimed, Hold, RunnerId, Standing, Write, Written};
use crate::update::Update;

const AT_ONCE: Duration = Duration::ZERO;

/// An execution on its way, and what each of its commits tells.
struct Way<'a> {
    course: Course<'a>,
    now: OffsetDateTime,
    told: Vec<Vec<&'static str>>,
}

impl Way<'_> {
    fn commit(&mut self, need: Need) {
        let Need::Write(write) = need else {
            panic!("nothing to commit: {need:?}")
        };
        self.told.push(kinds(&write));
        let written = Written {
            signals: 0,
            kept: write.hold == Hold::Keep,
            standing: Standing::Free,
        };
        self.course.wrote(written, Moment::at(self.now)).unwrap();
    }

    /// The call that is out is answered after so long.
    fn answered_after(&mut self, time: Duration) {
        let asked = self.course.ask();
        let [Question::Call(call)] = &asked[..] else {
            panic!("{asked:?}")
        };
        self.now += time;
        let moment = Moment::at(self.now);
        if self.course.tells_by().is_some_and(|due| due <= self.now) {
            let need = self.course.told_late(moment).unwrap();
            self.commit(need);
        }
        let (call, result) = (
            call.call.clone(),
            StepResult::new(Outcome::Success, "It is done."),
        );
        let answered = Event::Answered {
            call: call.clone(),
            result,
        };
        let need = self.course.happened(answered, Some(&call), moment).unwrap();
        self.commit(need);
    }
}

fn kinds(write: &Write) -> Vec<&'static str> {
    write.updates.iter().map(Update::kind).collect()
}

/// What each commit tells where asking, mending and looking take so long.
fn told(takes: [Duration; 3]) -> Vec<Vec<&'static str>> {
    let cast = Cast::assembled();
    let tenant: TenantId = "default".parse().unwrap();
    let filing = Filing {
        ticket: "4242",
        decision: 1,
        playbook: 0,
    };
    let new = cast.execution(filing, 1, &tenant, BEGINNING);
    let claimed = Claimed::new(&new, &tenant, RunnerId(Uuid::from_u128(7)));
    let playbook = cast.playbook("line");
    let stand = claimed.state.read().unwrap();
    let begins = Course::new(&claimed, playbook, &cast.rules, cast.note_after, stand);
    let begun = begins.begin(Moment::at(BEGINNING)).unwrap();
    let claimed = claimed.after(&begun);
    let stand = claimed.state.read().unwrap();
    let mut way = Way {
        course: Course::new(&claimed, playbook, &cast.rules, cast.note_after, stand),
        now: BEGINNING,
        told: vec![kinds(&begun)],
    };
    way.course.take_up(vec![], Moment::at(BEGINNING)).unwrap();
    for time in takes {
        way.answered_after(time);
    }
    way.told
}

#[test]
fn what_quick_steps_did_is_told_with_the_end() {
    let end = vec!["steps", "note", "steps", "resolved", "story", "status"];
    assert_eq!(told([AT_ONCE; 3]), [vec![], vec![], vec![], end]);
}

#[test]
fn while_a_step_takes_its_time_what_was_done_before_it_is_told() {
    let late = vec!["status", "steps", "note", "progress"];
    let end = vec!["progress", "resolved", "story", "status"];
    let slow = Duration::from_secs(2);
    assert_eq!(
        told([AT_ONCE, AT_ONCE, slow]),
        [vec![], vec![], vec![], late, end]
    );
}
