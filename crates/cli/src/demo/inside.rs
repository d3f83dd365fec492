//! What the services decided, read from their audit events: sentences for the story, and short values for the trail.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::words::shortened;

/// What a service decided, from its audit event; nothing for what a neighbouring line says already.
pub(super) fn told(kind: &str, detail: &Value) -> Option<String> {
    let text = |name: &str| {
        detail
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let step = || {
        detail
            .pointer("/step/id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Some(match kind {
        "decision.recorded" => decision(detail),
        "execution.accepted" => format!("starts the playbook {} {}", text("playbook"), text("version")),
        "step.begun" => format!("step `{}` begins", step()),
        "step.asked" => text("explanation"),
        "step.ended" => {
            let next = detail.get("next").and_then(Value::as_str);
            let next = next
                .map(|next| format!("\nnext step: `{next}`"))
                .unwrap_or_default();
            format!(
                "step `{}`: {}. {}{next}",
                step(),
                text("outcome"),
                text("explanation")
            )
        }
        "step.failed" | "step.parked" => format!("step `{}`: {}", step(), text("explanation")),
        "execution.ended" => format!("the playbook has ended at `{}`", text("step")),
        "permit.issued" => format!(
            "signs a permit for {}, good once and for 10 minutes",
            text("action")
        ),
        "permit.spent" => format!("checks and burns the permit (method {})", text("method")),
        "effect.done" => {
            "seals the pass to delivery's key, with the phone number from the directory".to_owned()
        }
        "delivery.sent" => "opens the seal and hands one SMS to Twilio".to_owned(),
        // Told by their neighbours: the step's own lines, the help desk's, the phone's.
        "ticket.marked"
        | "execution.requested"
        | "signal.received"
        | "ticket_update.sent"
        | "effect.intended"
        | "delivery.intended"
        | "delivery.done"
        | "verification.asked"
        | "verification.push_sent"
        | "verification.card_sent"
        | "verification.answered"
        | "verification.ended" => return None,
        other => format!("{other} {}", brief(detail)),
    })
}

/// The gate's verdict with its reasons.
fn decision(detail: &Value) -> String {
    let confidence = detail
        .get("confidence")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let blockers = detail
        .get("blockers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let blockers: Vec<&str> = blockers.filter_map(Value::as_str).collect();
    let named = |name: &str| detail.get(name).and_then(Value::as_str);
    let category = named("sub_category")
        .or_else(|| named("category"))
        .unwrap_or("no category");
    if blockers.is_empty() {
        format!("may be automated: {category}, confidence {confidence:.2}")
    } else {
        format!(
            "is left to a person: {} ({category}, confidence {confidence:.2})",
            blockers.join(", ")
        )
    }
}

/// The values of an event that tell a person something: no ids, no digests.
pub(super) fn brief(detail: &Value) -> String {
    let Some(members) = detail.as_object() else {
        return String::new();
    };
    let told = members
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", plain(value)?)));
    told.collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(format!("[{}]", items.join(", "))).filter(|text| text != "[]")
        }
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(number) => number
            .as_f64()
            .map(|number| format!("{}", (number * 100.0).round() / 100.0)),
        Value::String(text) if OffsetDateTime::parse(text, &Rfc3339).is_ok() => seconds(text),
        Value::String(text) if text.is_empty() || is_machine_readable(text) => None,
        Value::String(text) => Some(shortened(text, 100)),
        // A step by its id, anything else by what is inside.
        Value::Object(members) => match members.get("id").and_then(Value::as_str) {
            Some(id) => Some(id.to_owned()),
            None => Some(format!("({})", brief(value))).filter(|text| text != "()"),
        },
    }
}

/// `2026-11-22T02:30:05.123456789Z` -> `02:30:05`: a person cares for no more.
fn seconds(moment: &str) -> Option<String> {
    let moment = OffsetDateTime::parse(moment, &Rfc3339).ok()?;
    moment
        .format(format_description!("[hour]:[minute]:[second]"))
        .ok()
}

/// An id, a digest or a token: long, and nothing but letters, digits and dashes with at least one digit among them.
fn is_machine_readable(text: &str) -> bool {
    let marks = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '_');
    text.len() > 16 && text.chars().all(marks) && text.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_outcome_of_a_step_names_the_next_one() {
        let detail = json!({
            "step": {"id": "verify_mfa", "visit": 1, "attempt": 1},
            "outcome": "timeout",
            "explanation": "Alex Wilber did not answer.",
            "next": "verify_manager",
        });
        assert_eq!(
            told("step.ended", &detail).unwrap(),
            "step `verify_mfa`: timeout. Alex Wilber did not answer.\nnext step: `verify_manager`"
        );
    }

    #[test]
    fn a_refused_ticket_names_every_reason() {
        let detail = json!({
            "automated": false, "blockers": ["account_disabled", "below_threshold"],
            "category": "OTHER", "sub_category": null, "confidence": 0.5,
        });
        assert_eq!(
            told("decision.recorded", &detail).unwrap(),
            "is left to a person: account_disabled, below_threshold (OTHER, confidence 0.50)"
        );
    }

    #[test]
    fn a_moment_in_the_trail_is_as_exact_as_a_second() {
        let detail = json!({"deadline": "2026-11-22T02:30:05.123456789Z"});
        assert_eq!(brief(&detail), "deadline=02:30:05");
    }

    #[test]
    fn the_trail_leaves_out_ids_and_digests() {
        let detail = json!({
            "permit": "01a20147-72e7-7373-894e-3f98b2dd7e39",
            "shown": "8773d9fd563bc209c72141147d16317cc5ef0d010f7ec4353",
            "step": {"id": "verify_mfa", "visit": 1, "attempt": 1},
            "method": "mfa",
        });
        assert_eq!(brief(&detail), "method=mfa step=verify_mfa");
    }
}
