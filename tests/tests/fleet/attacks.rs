//! Attacks, each from somebody who holds more than they should: nothing privileged happens, the refusal says why, and the
//! audit has it. What a stolen card and a forged text message come to is in `dialogue` and `webhooks`, and what a replayed
//! webhook does, HaloPSA's and everybody else's, in `twice`.

mod author;
mod model;
mod orchestration;
mod requester;

use launcher::testing::{TestFleet, seen_within};
use simulators::Event;
use simulators::halo::TicketView;

use crate::{SOON, automation};

/// What stands against a ticket whose words are doubted.
pub(crate) const DOUBTED: [&str; 5] = [
    "text_objection",
    "below_threshold",
    "about_somebody_else",
    "about_unclear",
    "no_active_playbook",
];

/// Nobody got a pass.
fn assert_no_effects(fleet: &TestFleet) {
    let passes = crate::count(fleet, |event| matches!(event, Event::PassCreated { .. }));
    assert_eq!(passes, 0, "no pass may have been created for anybody");
}

/// Everything in the audit, oldest first: its kind, and the word that says why or how.
pub(crate) async fn on_record(fleet: &TestFleet) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT kind, COALESCE(detail->>'code', detail->>'reason', detail->>'why', detail->>'verdict', detail->>'outcome', '')
         FROM audit_events
         ORDER BY id",
    )
    .fetch_all(fleet.owner())
    .await
    .unwrap()
}

/// Each of these is in the audit. What strangers try is written down beside the answer that they get.
pub(crate) async fn assert_on_record(fleet: &TestFleet, expected: &[(&str, &str)]) {
    let missing = async || {
        let recorded = on_record(fleet).await;
        let is_there =
            |(kind, why): &(&str, &str)| recorded.iter().any(|row| (&*row.0, &*row.1) == (*kind, *why));
        expected.iter().find(|wanted| !is_there(wanted)).copied()
    };
    let all = seen_within(SOON, async || missing().await.is_none().then_some(())).await;
    assert!(
        all.is_some(),
        "{:?} is not in the audit: {:#?}",
        missing().await,
        on_record(fleet).await
    );
}

/// The codes of these kinds of events, oldest first.
pub(crate) async fn codes_of(fleet: &TestFleet, kinds: &[&str]) -> Vec<String> {
    let recorded = on_record(fleet).await.into_iter();
    recorded
        .filter(|(kind, _)| kinds.contains(&kind.as_str()))
        .map(|(_, code)| code)
        .collect()
}

/// The ticket was left to people, and for one of these reasons: what stood against automating it, or how each proof ended.
pub(crate) async fn assert_left_to_people(fleet: &TestFleet, ticket: &TicketView, reasons: &[&str]) {
    let mut against = vec![];
    for (kind, _, detail) in fleet.audit(ticket.id).await {
        let text = |member: &str| detail[member].as_str().unwrap_or_default();
        match kind.as_str() {
            "decision.recorded" => against.extend(
                detail["blockers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|code| code.as_str().unwrap_or_default().to_owned()),
            ),
            "verification.ended" => {
                against.push(
                    format!("{} {}", text("outcome"), text("reason"))
                        .trim()
                        .to_owned(),
                );
            }
            _ => {}
        }
    }
    let automation = automation(ticket);
    assert!(
        matches!(automation, "manual" | "escalated"),
        "`{}` ended as {automation}",
        ticket.summary
    );
    assert!(
        !against.is_empty() && against.iter().all(|why| reasons.contains(&why.as_str())),
        "`{}` is {automation} because of {against:?}",
        ticket.summary
    );
}
