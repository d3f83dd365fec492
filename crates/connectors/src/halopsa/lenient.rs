//! Reading what HaloPSA means from what it writes: numbers as texts, two names for one field, 1900 for "never".

use std::fmt;

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::call::{CallError, System};

/// The members of one record.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The record, where `value` is one.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// The first of `names` that is there and not null.
    pub(super) fn value(self, names: &[&str]) -> Option<&'a Value> {
        names
            .iter()
            .filter_map(|name| self.0.get(*name))
            .find(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub(super) fn text(self, names: &[&str]) -> Option<String> {
        let text = self.value(names)?.as_str()?;
        // A NUL means nothing to anybody, and no database keeps it: a ticket must not be lost for one.
        (!text.trim().is_empty()).then(|| text.replace('\0', ""))
    }

    /// A whole number.
    pub(super) fn number(self, names: &[&str]) -> Option<i64> {
        whole(self.value(names)?)
    }

    /// A whole number above 0: HaloPSA writes 0 and -1 for "none".
    pub(super) fn id(self, names: &[&str]) -> Option<i64> {
        self.number(names).filter(|id| *id > 0)
    }

    /// A flag; absent is `false`.
    pub(super) fn flag(self, names: &[&str]) -> bool {
        self.value(names).is_some_and(truthy)
    }

    /// A moment; absent, unreadable and "1900 or earlier" are `None`.
    pub(super) fn moment(self, names: &[&str]) -> Option<OffsetDateTime> {
        moment(self.value(names)?.as_str()?)
    }
}

/// `true`, a number other than 0, or one of the words for yes.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(word) => matches!(word.to_ascii_lowercase().as_str(), "true" | "1" | "yes"),
        _ => false,
    }
}

/// `3`, `3.0`, `"3"`, `"3.0"`: the number. `3.5` and words: nothing.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole_float(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole_float(text.parse().ok()?))
        }
        _ => None,
    }
}

fn whole_float(number: f64) -> Option<i64> {
    // 2^53: up to here every whole number has a float of its own.
    let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within range")]
    exact.then_some(number as i64)
}

/// A date-time as HaloPSA writes it: UTC, mostly without saying so.
pub(super) fn moment(text: &str) -> Option<OffsetDateTime> {
    let naive = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]");
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| PrimitiveDateTime::parse(text, &naive).map(PrimitiveDateTime::assume_utc))
        .ok()?;
    (at.year() > 1900).then_some(at)
}

/// A list, whether bare or under its name in an envelope such as `{record_count, tickets: [...]}`. Other lists of the
/// envelope, its columns for instance, are none of ours.
pub(super) fn list(value: Value, plural: &str) -> Result<Vec<Value>, CallError> {
    let rows = match value {
        Value::Array(rows) => Some(rows),
        Value::Object(mut envelope) => match envelope.remove(plural) {
            Some(Value::Array(rows)) => Some(rows),
            _ => None,
        },
        _ => None,
    };
    rows.ok_or_else(|| unlike(format!("a list of `{plural}`")))
}

/// An answer to a question that has another shape than `expected`: it says nothing, so ask again later.
pub(super) fn unlike(expected: impl fmt::Display) -> CallError {
    CallError::Busy {
        system: System::HaloPsa,
        detail: format!("the answer is not {expected}"),
        retry_after: None,
    }
}

/// One record, whether bare or alone in an array.
pub(super) fn record(value: &Value) -> Option<Fields<'_>> {
    match value {
        Value::Array(rows) => rows.last().and_then(Fields::of),
        other => Fields::of(other),
    }
}

/// The record that was asked for; `None` where it has no number, as HaloPSA answers for what it does not know.
pub(super) fn known(body: &Value) -> Result<Option<Fields<'_>>, CallError> {
    let fields = record(body).ok_or_else(|| unlike("a record"))?;
    match fields.value(&["id"]).map(whole) {
        None => Ok(None),
        Some(Some(id)) => Ok((id > 0).then_some(fields)),
        Some(None) => Err(unlike("a record with a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn a_number_is_read_however_it_is_written_and_only_if_it_is_whole() {
        for value in [json!(3), json!(3.0), json!("3"), json!("3.0"), json!(" 3 ")] {
            assert_eq!(whole(&value), Some(3), "{value}");
        }
        for value in [
            json!(3.5),
            json!("3.5"),
            json!("New"),
            json!(null),
            json!([3]),
            json!(1e300),
        ] {
            assert_eq!(whole(&value), None, "{value}");
        }
    }

    #[test]
    fn a_date_without_zone_is_utc_and_1900_is_never() {
        let expected = Some(datetime!(2026-02-10 09:15:00.123 UTC));
        assert_eq!(moment("2026-02-10T09:15:00.123"), expected);
        assert_eq!(moment("2026-02-10T09:15:00.123Z"), expected);
        assert_eq!(
            moment("2026-02-10T09:15:00"),
            Some(datetime!(2026-02-10 09:15:00 UTC))
        );
        assert_eq!(
            moment("2026-09-25T06:41:08.7895915Z"),
            Some(datetime!(2026-09-25 06:41:08.7895915 UTC))
        );
        assert_eq!(moment("1900-01-01T00:00:00"), None);
        assert_eq!(moment("0001-01-01T00:00:00"), None);
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn a_list_is_found_bare_and_in_its_envelope() {
        assert_eq!(list(json!([1, 2]), "tickets").unwrap(), [1, 2]);
        let envelope = json!({"record_count": 1, "tickets": [1]});
        assert_eq!(list(envelope, "tickets").unwrap(), [1]);
    }

    #[test]
    fn another_list_of_the_envelope_is_never_taken_for_the_one_asked_for() {
        let envelope = json!({"columns": [{"id": 7}], "record_count": 1, "tickets": [{"id": 1}]});
        assert_eq!(list(envelope, "tickets").unwrap(), [json!({"id": 1})]);
        for other in [
            json!({"columns": [{"id": 7}]}),
            json!({"tickets": 3}),
            json!({}),
            json!(null),
            json!("no"),
        ] {
            let error = list(other, "tickets").unwrap_err();
            assert!(matches!(error, CallError::Busy { .. }), "{error}");
        }
    }

    #[test]
    fn only_a_record_without_a_number_is_unknown() {
        for unknown in [json!({}), json!({"id": null}), json!({"id": 0}), json!([{}])] {
            assert!(known(&unknown).unwrap().is_none(), "{unknown}");
        }
        for there in [json!({"id": "3"}), json!([{"id": 3.0}])] {
            assert!(known(&there).unwrap().is_some(), "{there}");
        }
        for other in [json!(null), json!("gone"), json!([]), json!({"id": "three"})] {
            assert!(known(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_first_of_two_names_wins_where_both_are_there() {
        let row = json!({"last_update": null, "lastupdate": "2026-02-10T09:15:00", "agent_id": -1});
        let fields = Fields::of(&row).unwrap();
        assert!(fields.moment(&["last_update", "lastupdate"]).is_some());
        assert_eq!(fields.id(&["agent_id"]), None);
    }
}
