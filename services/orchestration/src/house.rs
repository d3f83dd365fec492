//! Actions of the house: what a playbook writes to its ticket. Nobody is called: the step is done by the commit that puts
//! the words into the outbox, which brings them to the help desk exactly once in effect, in order.

use common::{ActionName, Outcome, StepResult, Values};
use playbook_lang::{Call, Event};
use serde_json::Value;

use crate::chronicle::Subject;
use crate::manners;
use crate::update::{PlaybookNote, SetFields, Update};

const NOTE: &str = "ticket.note";
const SET_FIELDS: &str = "ticket.set_fields";
/// A note is a few lines for people.
const LONGEST_NOTE: usize = 4000;
/// More fields than any ticket shows.
const MOST_FIELDS: usize = 50;

/// Whether it is ours to do.
pub(crate) fn performs(action: &ActionName) -> bool {
    matches!(action.as_str(), NOTE | SET_FIELDS)
}

/// What becomes of the call, and what the help desk is to be told.
pub(crate) fn perform(about: Subject<'_>, call: &Call) -> (Event, Option<Update>) {
    let name = about.step_name(&call.call.id);
    let done = |explanation: &str| Event::Answered {
        call: call.call.clone(),
        result: StepResult::new(Outcome::Success, explanation),
    };
    let refused = |why: &str| Event::Refused {
        call: call.call.clone(),
        explanation: why.to_owned(),
    };
    let update = match call.action.as_str() {
        NOTE => note(&call.parameters).map(|(text, public)| {
            let call = call.call.clone();
            Update::Note(PlaybookNote {
                call,
                name,
                text,
                public,
            })
        }),
        SET_FIELDS => fields(&call.parameters).map(|fields| {
            let call = call.call.clone();
            Update::Fields(SetFields { call, name, fields })
        }),
        _ => Err("There is no such action of the house."),
    };
    match update {
        Ok(update @ Update::Note(_)) => (done("The note was handed to the help desk."), Some(update)),
        Ok(update) => (done("The fields were handed to the help desk."), Some(update)),
        Err(why) => (refused(why), None),
    }
}

/// Text, and whether it is for the requester too.
fn note(parameters: &Values) -> Result<(String, bool), &'static str> {
    let text = parameters.get("text").and_then(Value::as_str).unwrap_or_default();
    let text = manners::lines(text, LONGEST_NOTE);
    if text.trim().is_empty() {
        return Err("The note would be empty.");
    }
    let public = parameters.get("visibility").and_then(Value::as_str) == Some("public");
    Ok((text, public))
}

fn fields(parameters: &Values) -> Result<Values, &'static str> {
    let Some(Value::Object(fields)) = parameters.get("fields") else {
        return Err("There are no fields to set.");
    };
    if fields.is_empty() {
        return Err("There are no fields to set.");
    }
    if fields.len() > MOST_FIELDS {
        return Err("These are more fields than a ticket has.");
    }
    let stored = |value: &Value| match value {
        Value::String(text) => Value::String(manners::lines(text, LONGEST_NOTE)),
        other => other.clone(),
    };
    Ok(fields
        .iter()
        .map(|(name, value)| (manners::sentence(name), stored(value)))
        .collect())
}
