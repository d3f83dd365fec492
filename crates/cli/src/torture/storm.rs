//! The plan, performed.

use std::time::Duration;

use simulators::World;
use simulators::entra::Push;
use simulators::faults::{Fault, FaultId, FaultKind};
use simulators::halo::{HaloSim, NewTicket, WebhookMode};
use simulators::teams::CardReaction;
use simulators::twilio::Reply;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::plan::{Filing, Habit, OnAsked, OnPush, Plan, Spell};
use super::rig::Rig;
use super::say::Teller;
use super::trouble::{Manner, Trouble, Weather};

/// Between two counts of tickets.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// So long nobody answers: longer than anybody asks.
const NEVER: Duration = Duration::from_secs(20);

/// Something that is due, of the spell with this index.
#[derive(Debug, Clone, Copy)]
enum Act {
    Begin(usize),
    End(usize),
}

/// Teach people their habits, then let happen what the plan says, each thing at its time. People go on writing while a trouble
/// takes its time to be over: a process that stops in good order, a database that recovers.
pub(super) async fn perform(rig: &mut Rig, plan: &Plan, teller: &Teller) -> anyhow::Result<()> {
    for habit in &plan.habits {
        teach(&rig.world, habit);
    }
    let began = Instant::now();
    let halo = rig.world.halo().clone();
    let ((), troubled) = tokio::join!(
        file(&halo, &plan.filings, began),
        trouble(rig, &plan.spells, began, teller)
    );
    troubled
}

/// Tickets, each at its time.
async fn file(halo: &HaloSim, filings: &[Filing], began: Instant) {
    let mut filings: Vec<&Filing> = filings.iter().collect();
    filings.sort_by_key(|filing| filing.at);
    for Filing { at, from, summary } in filings {
        sleep_until(began + *at).await;
        halo.file_ticket(NewTicket::new(from, summary));
    }
}

/// Troubles, each at its time.
async fn trouble(rig: &mut Rig, spells: &[Spell], began: Instant, teller: &Teller) -> anyhow::Result<()> {
    let mut counts = interval_at(began + COUNT_EVERY, COUNT_EVERY);
    counts.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut armed: Vec<Option<FaultId>> = vec![None; spells.len()];
    for (at, act) in acts(spells) {
        let due = sleep_until(began + at);
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => break,
                _ = counts.tick() => teller.count(&rig.world),
            }
        }
        match act {
            Act::Begin(index) => {
                let Some(spell) = spells.get(index) else {
                    continue;
                };
                teller.tell(&spell.trouble.begun());
                armed[index] = begin(rig, spell.trouble).await?;
            }
            Act::End(index) => {
                let Some(spell) = spells.get(index) else {
                    continue;
                };
                end(rig, spell.trouble, armed[index].take()).await?;
                teller.tell(&spell.trouble.over());
            }
        }
    }
    Ok(())
}

fn acts(spells: &[Spell]) -> Vec<(Duration, Act)> {
    let spells = spells.iter().enumerate();
    let acts =
        spells.flat_map(|(index, spell)| [(spell.begins, Act::Begin(index)), (spell.ends, Act::End(index))]);
    let mut acts: Vec<_> = acts.collect();
    acts.sort_by_key(|(at, _)| *at);
    acts
}

fn teach(world: &World, habit: &Habit) {
    let Habit {
        email,
        push,
        asked,
        after,
    } = habit;
    let push = match push {
        OnPush::Approve => Push::approve().after(*after),
        OnPush::Deny => Push::deny().after(*after),
        OnPush::NoAnswer => Push::no_answer().after(NEVER),
    };
    world.entra().push(email, push);
    let (card, text) = match asked {
        OnAsked::Approve => (CardReaction::approve().after(*after), Reply::Ignore),
        OnAsked::ApproveTwice => (CardReaction::approve().after(*after).twice(), Reply::Ignore),
        OnAsked::Deny => (CardReaction::deny().after(*after), Reply::Ignore),
        OnAsked::ApproveByText => (CardReaction::ignore(), Reply::Yes),
        OnAsked::NoAnswer => (CardReaction::ignore(), Reply::Ignore),
    };
    world.teams().react(email, card);
    if let Some(number) = world.person(email).e164() {
        world.twilio().reply_after(&number, text, *after);
    }
}

async fn begin(rig: &mut Rig, trouble: Trouble) -> anyhow::Result<Option<FaultId>> {
    match trouble {
        Trouble::Killed(victim) => rig.kill(victim),
        Trouble::Stopped(victim) => rig.ask_to_stop(victim),
        Trouble::Gone(backing) => rig.crash(backing).await?,
        Trouble::Struck(system, Weather::Down) => rig.world.faults(system).outage(true),
        Trouble::Struck(system, weather) => {
            let fault = fault(weather).map(|kind| rig.world.faults(system).inject(Fault::new(kind)));
            return Ok(fault);
        }
        Trouble::Webhooks(manner) => rig.world.halo().webhooks(mode(manner)),
        Trouble::PushedTwice => rig.world.push_twice(true),
    }
    Ok(None)
}

async fn end(rig: &mut Rig, trouble: Trouble, armed: Option<FaultId>) -> anyhow::Result<()> {
    match trouble {
        Trouble::Killed(victim) => rig.start(victim)?,
        Trouble::Stopped(victim) => {
            rig.stopped(victim).await;
            rig.start(victim)?;
        }
        Trouble::Gone(backing) => rig.restore(backing).await?,
        Trouble::Struck(system, _) => {
            rig.world.faults(system).outage(false);
            if let Some(fault) = armed {
                rig.world.faults(system).lift(fault);
            }
        }
        Trouble::Webhooks(_) => {
            rig.world.halo().webhooks(WebhookMode::default());
            rig.world.halo().flush_webhooks();
        }
        Trouble::PushedTwice => rig.world.push_twice(false),
    }
    Ok(())
}

/// None where it is an outage, which is no fault of single requests.
fn fault(weather: Weather) -> Option<FaultKind> {
    Some(match weather {
        Weather::Down => return None,
        Weather::Slow(ms) => FaultKind::Latency(Duration::from_millis(ms)),
        Weather::Failing(status) => FaultKind::Status(status),
        Weather::Throttling(seconds) => FaultKind::TooManyRequests {
            retry_after: Some(seconds),
        },
        Weather::BreakingBefore => FaultKind::DropBefore,
        Weather::BreakingAfter => FaultKind::DropAfter,
        Weather::CuttingAnswers => FaultKind::CutBody,
    })
}

fn mode(manner: Manner) -> WebhookMode {
    let usual = WebhookMode::default();
    match manner {
        Manner::FiveTimes => WebhookMode {
            duplicates: 4,
            ..usual
        },
        Manner::LastFirst => WebhookMode {
            reorder: Some(4),
            ..usual
        },
        Manner::InBatches => WebhookMode {
            batch: Some(4),
            ..usual
        },
        Manner::Never => WebhookMode {
            silent: true,
            ..usual
        },
    }
}
