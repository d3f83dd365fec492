//! HaloPSA's answers that say no, in their many shapes.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::lenient::{record, truthy};
use crate::call::{Answer, CallError, System, one_line};

/// Whether a web page came where the API answers in JSON: somebody in front of it spoke, who knows nothing of tickets (contract,
/// section 2.3), as while it is being replaced by a newer release.
fn by_a_proxy(answer: &Answer) -> bool {
    let said = answer
        .headers
        .get(CONTENT_TYPE)
        .and_then(|said| said.to_str().ok());
    said.is_some_and(|said| said.starts_with("text/html")) || answer.body.trim_ascii_start().starts_with(b"<")
}

/// The thing is not there, and it is HaloPSA that says so.
pub(super) fn not_there(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND && !by_a_proxy(answer)
}

/// The refusal in an answer that is no success.
pub(super) fn refusal(answer: &Answer) -> CallError {
    let status = answer.status.as_u16();
    if by_a_proxy(answer) {
        return CallError::Busy {
            system: System::HaloPsa,
            detail: format!("{status} with a web page, so it is not HaloPSA that answers at HALOPSA_URL"),
            retry_after: None,
        };
    }
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
    use http::HeaderMap;
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
    }

    #[test]
    fn a_web_page_says_nothing_of_tickets() {
        let mut answer = Answer {
            status: StatusCode::NOT_FOUND,
            headers: HeaderMap::new(),
            body: Zeroizing::new(b"\r\n<html>nginx".to_vec()),
        };
        assert!(!not_there(&answer));
        assert!(matches!(refusal(&answer), CallError::Busy { .. }));
        answer.body = Zeroizing::new(vec![]);
        assert!(not_there(&answer), "HaloPSA's own is often empty");
        let page = "text/html; charset=utf-8".parse().unwrap();
        answer.headers.insert(CONTENT_TYPE, page);
        assert!(!not_there(&answer));
    }

    #[test]
    fn a_warning_that_is_an_error_is_one() {
        let warning = serde_json::json!([{"id": 1, "_warning": "no", "_warning_is_error": true}]);
        assert!(check_warning(&warning).unwrap_err().is_refused("warning"));
        assert!(check_warning(&serde_json::json!({"id": 1, "_warning": "well"})).is_ok());
    }
}
