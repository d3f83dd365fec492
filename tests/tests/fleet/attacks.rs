//! Attacks, each from somebody who holds more than they should: nothing privileged happens, the refusal says why, and the
//! audit has it. What a stolen card, a forged text message and a replayed webhook come to is in `dialogue` and `webhooks`.

mod author;
mod model;
mod orchestration;
mod requester;

use launcher::testing::TestFleet;
use simulators::Event;

/// Nobody got a pass.
fn assert_no_effects(fleet: &TestFleet) {
    let passes = crate::count(fleet, |event| matches!(event, Event::PassCreated { .. }));
    assert_eq!(passes, 0, "no pass may have been created for anybody");
}
