//! What the events of one service say that another one must have written down too: a chain that was taken out of a file,
//! with everything in it, leaves nothing that is wrong, and is missed by the others. Pure.

use common::Service;
use serde_json::Value;
use trust::audit::{Chain, Event};
use uuid::Uuid;

/// What must be there because of an event.
struct Owed<'e> {
    service: Service,
    execution: Option<Uuid>,
    /// One of these; any event of the chain where none is named.
    kinds: &'static [&'static str],
    /// With this in its detail.
    about: Option<(&'static str, &'e str)>,
}

/// Of all events of one ticket, the first that is missing because another tells of it.
pub(super) fn complete(events: &[&Event]) -> Result<(), String> {
    for event in events {
        for owed in owed(event, events) {
            if !events.iter().any(|other| owed.is_paid_by(other)) {
                return Err(owed.missed_by(event, events));
            }
        }
    }
    Ok(())
}

fn owed<'e>(event: &'e Event, events: &[&'e Event]) -> Vec<Owed<'e>> {
    let of = |service, kinds, about| {
        vec![Owed {
            service,
            execution: event.execution,
            kinds,
            about,
        }]
    };
    let named = |member: &'static str| text(&event.detail, member).map(|value| (member, value));
    match (event.service, event.kind.as_str()) {
        (Service::Orchestration, "execution.accepted") => vec![Owed {
            service: Service::Classifier,
            execution: None,
            kinds: &["decision.recorded"],
            about: named("decision"),
        }],
        (Service::Orchestration, "step.asked") => match actor(event) {
            Some(Service::Verification) => {
                let operation = text(&event.detail, "operation").map(|operation| ("verification", operation));
                of(Service::Verification, &["verification.asked"], operation)
            }
            Some(service) => of(service, &[], None),
            None => vec![],
        },
        (Service::Orchestration, "step.ended") if answered(event) => match actor(event) {
            Some(Service::Verification) => of(
                Service::Verification,
                &["verification.ended"],
                operation(event, events),
            ),
            Some(Service::Executor) if text(&event.detail, "outcome") == Some("success") => of(
                Service::Executor,
                &["effect.done", "effect.undone", "effect.nothing_to_undo"],
                None,
            ),
            Some(Service::Delivery) if text(&event.detail, "outcome") == Some("success") => {
                of(Service::Delivery, &["delivery.done"], None)
            }
            Some(service) => of(service, &[], None),
            None => vec![],
        },
        (Service::Classifier, "execution.requested")
        | (Service::Verification, "verification.asked")
        | (Service::Executor, "effect.intended") => of(Service::Orchestration, &["execution.accepted"], None),
        (Service::Executor, "permit.spent") => of(Service::Verification, &["permit.issued"], named("permit")),
        (Service::Delivery, "delivery.intended") => of(Service::Executor, &["effect.done"], None),
        _ => vec![],
    }
}

/// Whose action the step of this event is; nobody else's where it is orchestration's own, or an event of a release that
/// did not say.
fn actor(event: &Event) -> Option<Service> {
    let (service, _) = text(&event.detail, "action")?.split_once('.')?;
    let service = service.parse().ok()?;
    (service != Service::Orchestration).then_some(service)
}

/// Whether the step ended by what the service said: a failure or a silence may be that of a service that was never reached.
fn answered(event: &Event) -> bool {
    text(&event.detail, "outcome")
        .is_some_and(|outcome| !matches!(outcome, "failure" | "timeout" | "dropped"))
}

/// The operation that was begun for the step of this event.
fn operation<'e>(event: &Event, events: &[&'e Event]) -> Option<(&'static str, &'e str)> {
    let visit = |event: &Event| {
        let step = event.detail.get("step")?;
        Some((text(step, "id")?.to_owned(), step.get("visit")?.as_u64()?))
    };
    let asked = events.iter().rfind(|other| {
        other.service == event.service
            && other.kind == "step.asked"
            && other.execution == event.execution
            && visit(other) == visit(event)
    })?;
    text(&asked.detail, "operation").map(|operation| ("verification", operation))
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str)
}

impl Owed<'_> {
    fn is_paid_by(&self, event: &Event) -> bool {
        event.service == self.service
            && event.execution == self.execution
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind.as_str()))
            && self
                .about
                .is_none_or(|(member, value)| text(&event.detail, member) == Some(value))
    }

    fn missed_by(&self, event: &Event, events: &[&Event]) -> String {
        let chain = Chain {
            tenant: event.tenant.clone(),
            service: self.service,
            execution: self.execution,
        };
        let tells = format!("event {} of {} (`{}`)", event.id, event.service, event.kind);
        if !events.iter().any(|other| other.chain() == chain) {
            return format!("{chain} is missing: {tells} says that there is one");
        }
        let kinds: Vec<String> = self.kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let about = self
            .about
            .map(|(member, value)| format!(" of {member} {value}"))
            .unwrap_or_default();
        format!(
            "{chain}: an event {}{about} is missing: {tells} says that there is one",
            kinds.join(" or ")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn event(service: Service, kind: &str, detail: Value) -> Event {
        Event {
            tenant: "default".parse().unwrap(),
            service,
            id: Uuid::nil(),
            ticket: Some("4242".to_owned()),
            execution: (service != Service::Classifier).then_some(Uuid::from_u128(1)),
            kind: kind.to_owned(),
            actor: format!("service:{service}"),
            detail,
            at: datetime!(2026-03-02 09:15 UTC),
        }
    }

    /// A reset, as the services tell it.
    fn story() -> Vec<Event> {
        use Service::{Classifier, Delivery, Executor, Orchestration, Verification};
        let step = |id: &str, action: &str, more: Value| {
            let mut detail = json!({"step": {"id": id, "visit": 1, "attempt": 1}, "action": action});
            detail
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            detail
        };
        let ended = json!({"outcome": "success"});
        vec![
            event(Classifier, "decision.recorded", json!({"decision": "d"})),
            event(Orchestration, "execution.accepted", json!({"decision": "d"})),
            event(Verification, "verification.asked", json!({"verification": "v"})),
            event(
                Orchestration,
                "step.asked",
                step("verify", "verification.mfa", json!({"operation": "v"})),
            ),
            event(Verification, "permit.issued", json!({"permit": "p"})),
            event(Verification, "verification.ended", json!({"verification": "v"})),
            event(
                Orchestration,
                "step.ended",
                step("verify", "verification.mfa", ended.clone()),
            ),
            event(Executor, "permit.spent", json!({"permit": "p"})),
            event(Executor, "effect.intended", json!({})),
            event(Executor, "effect.done", json!({})),
            event(
                Orchestration,
                "step.ended",
                step("reset", "executor.reset_password", ended.clone()),
            ),
            event(Delivery, "delivery.intended", json!({})),
            event(Delivery, "delivery.done", json!({})),
            event(
                Orchestration,
                "step.ended",
                step("deliver", "delivery.sms", ended),
            ),
        ]
    }

    fn checked(events: &[Event]) -> Result<(), String> {
        complete(&events.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_whole_story_owes_nothing_and_without_any_one_service_it_does() {
        let story = story();
        assert_eq!(checked(&story), Ok(()));
        for service in Service::ALL
            .into_iter()
            .filter(|service| *service != Service::Playbook)
        {
            let others: Vec<Event> = story
                .iter()
                .filter(|event| event.service != service)
                .cloned()
                .collect();
            let missed = checked(&others).unwrap_err();
            assert!(missed.starts_with(&format!("{service}'s chain of ")), "{missed}");
            assert!(missed.contains(" is missing: event "), "{missed}");
        }
    }

    #[test]
    fn a_chain_that_was_cut_short_is_missed_too() {
        for cut in [
            "decision.recorded",
            "execution.accepted",
            "verification.asked",
            "verification.ended",
            "permit.issued",
            "effect.done",
            "delivery.done",
        ] {
            let mut story = story();
            story.retain(|event| event.kind != cut);
            let missed = checked(&story).unwrap_err();
            assert!(
                missed.contains(&format!("`{cut}`")) || cut == "decision.recorded",
                "{missed}"
            );
        }
    }

    #[test]
    fn another_permit_or_another_operation_is_not_the_one() {
        for (kind, detail) in [
            ("permit.issued", json!({"permit": "q"})),
            ("verification.ended", json!({"verification": "w"})),
        ] {
            let mut story = story();
            story.iter_mut().find(|event| event.kind == kind).unwrap().detail = detail;
            assert!(checked(&story).unwrap_err().contains(kind));
        }
    }

    #[test]
    fn who_was_never_reached_owes_nothing() {
        let failed =
            json!({"step": {"id": "verify", "visit": 1}, "action": "verification.mfa", "outcome": "failure"});
        let own = json!({"step": {"id": "tell", "visit": 1}, "action": "ticket.note", "outcome": "success"});
        let before = json!({"step": {"id": "verify", "visit": 1}, "outcome": "success"});
        for detail in [failed, own, before] {
            assert_eq!(
                checked(&[event(Service::Orchestration, "step.ended", detail)]),
                Ok(())
            );
        }
    }
}
