//! `POST Messages.json`: what Twilio accepts, and how a message then travels.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::TwilioSim;
use super::phones::Fate;
use super::resource::{Owner, TwilioError, complaint};
use crate::journal::Event;
use crate::text::{is_form, pairs, rfc2822, value};

/// The longest text in characters.
const BODY_LIMIT: usize = 1600;

/// Queue validity where none is asked for, in seconds.
const VALIDITY_S: u64 = 36_000;

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) sid: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) body: String,
    pub(crate) status: &'static str,
    pub(crate) inbound: bool,
    pub(crate) error: Option<u32>,
    pub(crate) callback: Option<String>,
    pub(crate) discard: bool,
    /// Left in the queue longer than until then, it expires.
    pub(crate) expires: Instant,
    created: OffsetDateTime,
    updated: OffsetDateTime,
    sent: Option<OffsetDateTime>,
}

/// A message, for tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// `SM...`
    pub sid: String,
    /// Sender number.
    pub from: String,
    /// Receiver number.
    pub to: String,
    /// Text as Twilio still has it: empty once redacted.
    pub body: String,
    /// `queued`, `sent`, `delivered`, ...
    pub status: String,
    /// Delivery error.
    pub error: Option<u32>,
    /// Where the callbacks go.
    pub callback: Option<String>,
}

impl From<&Message> for MessageView {
    fn from(message: &Message) -> Self {
        Self {
            sid: message.sid.clone(),
            from: message.from.clone(),
            to: message.to.clone(),
            body: message.body.clone(),
            status: message.status.to_owned(),
            error: message.error,
            callback: message.callback.clone(),
        }
    }
}

impl Message {
    pub(crate) fn finished(&self) -> bool {
        matches!(
            self.status,
            "delivered" | "undelivered" | "failed" | "canceled" | "received" | "sent"
        )
    }

    pub(crate) fn advance(&mut self, status: &'static str, error: Option<u32>, now: OffsetDateTime) {
        self.status = status;
        self.error = error.or(self.error);
        self.updated = now;
        if status == "sent" {
            self.sent = Some(now);
        }
        if self.discard && matches!(status, "delivered" | "undelivered" | "failed") {
            self.body.clear();
        }
    }

    /// Texts of up to 160 characters travel in one piece, longer ones in pieces of 153.
    fn segments(&self) -> usize {
        let length = self.body.chars().count();
        if length <= 160 { 1 } else { length.div_ceil(153) }
    }

    pub(crate) fn json(&self, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/Messages/{}.json", self.sid);
        let direction = if self.inbound { "inbound" } else { "outbound-api" };
        json!({
            "sid": self.sid, "account_sid": account, "api_version": "2010-04-01", "messaging_service_sid": null,
            "from": self.from, "to": self.to, "body": self.body, "status": self.status, "direction": direction,
            "num_segments": self.segments().to_string(), "num_media": "0",
            "date_created": rfc2822(self.created), "date_updated": rfc2822(self.updated),
            "date_sent": self.sent.map(rfc2822), "price": null, "price_unit": null,
            "error_code": self.error, "error_message": null, "uri": uri,
            "subresource_uris": { "media": uri.replace(".json", "/Media.json") },
        })
    }
}

/// `+`, a country code without a leading zero, 8 to 15 digits in all.
fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else {
        return false;
    };
    (8..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0')
}

fn callback(given: &str) -> Result<String, TwilioError> {
    let valid = given.parse::<url::Url>().is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.contains('_'))
    });
    if valid {
        Ok(given.to_owned())
    } else {
        Err(TwilioError::bad(
            21609,
            format!("The StatusCallback URL {given} is not a valid URL."),
        ))
    }
}

impl TwilioSim {
    fn accept(&self, form: &[(String, String)]) -> Result<Message, TwilioError> {
        let field = |name: &str| value(form, name).filter(|value| !value.is_empty());
        let to = field("To").ok_or_else(|| TwilioError::bad(21604, "A 'To' phone number is required."))?;
        if !is_e164(to) || to == "+15005550001" {
            return Err(TwilioError::bad(
                21211,
                format!("Invalid 'To' Phone Number: {to}"),
            ));
        }
        let from =
            field("From").ok_or_else(|| TwilioError::bad(21603, "A 'From' phone number is required."))?;
        if from != self.core.secrets.twilio_from {
            let message =
                format!("The 'From' phone number {from} is not a valid, SMS-capable number of your account.");
            return Err(TwilioError::bad(21606, message));
        }
        let body = field("Body").ok_or_else(|| TwilioError::bad(21602, "Message body is required."))?;
        if body.chars().count() > BODY_LIMIT {
            return Err(TwilioError::bad(
                21617,
                "The concatenated message body exceeds the 1600 character limit.",
            ));
        }
        let validity = match field("ValidityPeriod").map(str::parse::<u64>) {
            None => VALIDITY_S,
            Some(Ok(seconds @ 1..=VALIDITY_S)) => seconds,
            Some(_) => {
                return Err(TwilioError::bad(
                    20001,
                    "ValidityPeriod must be between 1 and 36000 seconds.",
                ));
            }
        };
        let discard = match field("ContentRetention") {
            None | Some("retain") => false,
            Some("discard") => true,
            Some(_) => return Err(TwilioError::bad(20001, "ContentRetention is invalid.")),
        };
        if self.state.lock().opted_out.contains(to) {
            return Err(TwilioError::bad(
                21610,
                "Attempt to send to unsubscribed recipient",
            ));
        }
        if let Some(Fate::Refused(code)) = self.fate_of(to) {
            return Err(TwilioError::bad(code, "The message was refused."));
        }
        let now = self.core.clock.now();
        Ok(Message {
            sid: format!("SM{}", self.core.fresh_hex("twilio/message")),
            from: from.to_owned(),
            to: to.to_owned(),
            body: body.to_owned(),
            status: "queued",
            inbound: false,
            error: None,
            callback: field("StatusCallback").map(callback).transpose()?,
            discard,
            expires: Instant::now() + Duration::from_secs(validity),
            created: now,
            updated: now,
            sent: None,
        })
    }

    /// Remember a text that came in from a phone.
    pub(crate) fn store_inbound(&self, sid: &str, from: &str, body: &str) {
        let now = self.core.clock.now();
        self.state.lock().messages.push(Message {
            sid: sid.to_owned(),
            from: from.to_owned(),
            to: self.core.secrets.twilio_from.clone(),
            body: body.to_owned(),
            status: "received",
            inbound: true,
            error: None,
            callback: None,
            discard: false,
            expires: Instant::now(),
            created: now,
            updated: now,
            sent: None,
        });
    }
}

pub(crate) async fn create(
    State(twilio): State<TwilioSim>,
    _: Owner,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TwilioError> {
    if !is_form(&headers) {
        return Ok(complaint(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let message = twilio.accept(&pairs(&body))?;
    let shown = message.json(&twilio.core.secrets.twilio_account_sid);
    let (sid, to) = (message.sid.clone(), message.to.clone());
    twilio.state.lock().messages.push(message);
    twilio
        .core
        .journal
        .record(Event::SmsQueued { sid: sid.clone(), to });
    let traveller = twilio.clone();
    twilio
        .core
        .tasks
        .spawn(async move { traveller.travel(&sid).await });
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_e164_or_no_number() {
        assert!(is_e164("+447700900102"));
        for bad in [
            "447700900102",
            "+44 7700900102",
            "+0447700900102",
            "+12",
            "+4477009001021234",
            "+44770090010x",
            "",
        ] {
            assert!(!is_e164(bad), "{bad}");
        }
    }
}
