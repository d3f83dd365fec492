//! After the storm: everything is up again, and one waits until every ticket has ended; then the records are read.

use std::time::Duration;

use launcher::stage;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::invariants::{self, Finding, Violation};
use super::records::Records;
use super::rig::Rig;
use super::say::Teller;

/// Far beyond every shortened wait that a ticket may still have before it.
const END_WITHIN: Duration = Duration::from_mins(4);

/// What is tidied up behind a ticket's end (a pass that reached nobody, the last receipt of a text) may take a moment more.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Between two counts of tickets.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Wait until all is calm; answers the records and what every invariant saw.
///
/// # Errors
/// The database does not answer.
pub(super) async fn findings(rig: &mut Rig, teller: &Teller) -> anyhow::Result<(Records, Vec<Finding>)> {
    let alive = alive(rig).await;
    wait_for_ends(rig, teller).await;
    teller.tell("calm; reading what the world recorded");
    let deadline = Instant::now() + SETTLED_WITHIN;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let records = Records::of(&rig.world, &rig.database.owner).await?;
        let mut findings = invariants::all(&records);
        if findings.iter().all(|finding| finding.violations.is_empty()) || Instant::now() > deadline {
            findings.insert(0, alive);
            findings.push(linked(rig).await?);
            return Ok((records, findings));
        }
    }
}

/// No service ended that nobody killed, those that were asked to did so in good order, and all become ready again.
async fn alive(rig: &mut Rig) -> Finding {
    let down = rig.ready().await.err().map(|error| error.to_string());
    let wrong = rig.stops().iter().cloned().chain(down);
    Finding {
        invariant: "every service is up and ready again",
        checked: Rig::all().count(),
        violations: wrong.map(|what| Violation { ticket: None, what }).collect(),
    }
}

/// Nobody changed, moved or lost a line of the audit, whoever was killed while writing it.
async fn linked(rig: &Rig) -> anyhow::Result<Finding> {
    let mut connection = rig.database.owner.acquire().await?;
    let whole = crate::audit::whole(&mut connection, &rig.trusted()?).await?;
    let (checked, broken) = whole.map_or_else(|broken| (1, Some(broken)), |events| (events, None));
    Ok(Finding {
        invariant: "every link of the audit holds",
        checked: usize::try_from(checked)?,
        violations: broken
            .into_iter()
            .map(|what| Violation { ticket: None, what })
            .collect(),
    })
}

/// Until every ticket has ended, or none may be waited for any longer: the invariants say which.
async fn wait_for_ends(rig: &Rig, teller: &Teller) {
    let tickets = rig.world.halo().tickets();
    let (world, owner) = (&rig.world, &rig.database.owner);
    let ends = tickets
        .iter()
        .map(|ticket| stage::ended(world, owner, ticket.id, END_WITHIN));
    let all = futures::future::join_all(ends);
    tokio::pin!(all);
    let mut counts = interval(COUNT_EVERY);
    counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut all => break,
            _ = counts.tick() => teller.count(world),
        }
    }
    teller.count(world);
}
