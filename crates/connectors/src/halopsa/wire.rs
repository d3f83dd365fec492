//! HaloPSA's answers that say no, in their many shapes.

use serde_json::Value;

use super::lenient::{record, truthy};
use crate::call::{Answer, CallError, System, one_line};

/// The refusal in an answer that is no success.
pub(super) fn refusal(answer: &Answer) -> CallError {
    let status = answer.status.as_u16();
    let said = serde_json::from_slice(&answer.body)
        .ok()
        .and_then(|body: Value| message(&body));
    let code = match (status, said.as_deref()) {
        (_, Some(text)) if text.contains("Outcome must be entered") => "outcome_required".to_owned(),
        (_, Some(text)) if text.contains("Record not found") => "record_not_found".to_owned(),
        (403, _) => "forbidden".to_owned(),
        (404, _) => "not_found".to_owned(),
        _ => format!("http_{status}"),
    };
    let detail = match said {
        Some(text) => text,
        // Typical: an empty 403 is a scope or a role permission that is missing.
        None if status == 403 => "our API application or its agent lacks the permission".to_owned(),
        None => "it gave no reason".to_owned(),
    };
    CallError::refused(System::HaloPsa, code, detail)
}

/// The text of an error body, whichever of the known shapes it has.
fn message(body: &Value) -> Option<String> {
    let text = match body {
        Value::String(text) => Some(text.as_str()),
        Value::Object(members) => ["error_description", "error", "Message", "errorMessage", "message"]
            .iter()
            .find_map(|name| members.get(*name).and_then(Value::as_str)),
        _ => None,
    };
    // A model-binding error: its keys are paths into what we posted.
    let keys = || match body {
        Value::Object(members) if !members.is_empty() => {
            let keys: Vec<&str> = members.keys().map(String::as_str).collect();
            Some(format!("it does not accept {}", keys.join(", ")))
        }
        _ => None,
    };
    text.map(one_line).filter(|text| !text.is_empty()).or_else(keys)
}

/// A write that was answered 200 and failed nevertheless says so in `_warning_is_error`.
pub(super) fn check_warning(body: &Value) -> Result<(), CallError> {
    let Some(fields) = record(body) else { return Ok(()) };
    let Some(warning) = fields.text(&["_warning"]) else {
        return Ok(());
    };
    if fields.value(&["_warning_is_error"]).is_some_and(truthy) {
        return Err(CallError::refused(System::HaloPsa, "warning", one_line(&warning)));
    }
    tracing::warn!(warning = %one_line(&warning), "the help desk took a write with a warning");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};
    use zeroize::Zeroizing;

    fn refused(status: u16, body: &str) -> (String, String) {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        match refusal(&answer) {
            CallError::Refused { code, detail, .. } => (code, detail),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_known_shape_of_error_is_understood() {
        assert_eq!(
            refused(400, r#""An Outcome must be entered for this Action""#).0,
            "outcome_required"
        );
        assert_eq!(
            refused(400, r#"{"Message":"Record not found"}"#).0,
            "record_not_found"
        );
        assert_eq!(
            refused(400, r#"{"ClassName":"System.Exception","Message":"no"}"#).1,
            "no"
        );
        assert_eq!(
            refused(400, r#"{"resultCode":"1","errorMessage":"old"}"#).1,
            "old"
        );
        assert_eq!(
            refused(400, r#"{"[0].id":["The input is invalid"]}"#).1,
            "it does not accept [0].id"
        );
        assert_eq!(refused(403, "").0, "forbidden");
        assert_eq!(refused(502, "<html>").0, "http_502");
    }

    #[test]
    fn a_warning_that_is_an_error_is_one() {
        let warning = serde_json::json!([{"id": 1, "_warning": "no", "_warning_is_error": true}]);
        assert!(check_warning(&warning).unwrap_err().is_refused("warning"));
        assert!(check_warning(&serde_json::json!({"id": 1, "_warning": "well"})).is_ok());
    }
}
