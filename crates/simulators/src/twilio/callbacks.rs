//! What Twilio sends to us, signed: status callbacks as a message travels, and texts that people send.

use std::time::Duration;

use tokio::time::Instant;

use super::TwilioSim;
use super::messages::MessageView;
use super::phones::Fate;
use super::signature::sign;
use crate::System;
use crate::gateway::Answer;
use crate::journal::Event;
use crate::text::pairs;

/// Where texts to our number go, relative to the public address.
const INBOUND_ENDPOINT: &str = "/webhooks/twilio/sms_response";

/// When retries of a callback are asked for, Twilio waits a little in between.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

fn own(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The connection overrides in a callback's fragment: how many retries, and on what (`rc`, `rp`).
fn overrides(url: &str) -> (u32, String) {
    let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
    let given = pairs(fragment.as_bytes());
    let find = |name: &str| {
        given
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let count = find("rc")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_u32)
        .min(5);
    (count, find("rp").unwrap_or_else(|| "ct".to_owned()))
}

/// What the console says of our answer to a text.
fn complaint(answer: Option<&Answer>) -> Option<u32> {
    let Some(answer) = answer.filter(|answer| (200..300).contains(&answer.status)) else {
        return Some(11_200);
    };
    let xml = ["text/xml", "application/xml"]
        .iter()
        .any(|kind| answer.content_type.starts_with(kind));
    (!xml && !answer.body.is_empty()).then_some(12_300)
}

impl TwilioSim {
    /// POST a signed form; repeats it as Twilio does. `None`: no answer.
    async fn call(&self, url: &str, form: &[(String, String)]) -> Option<Answer> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let signature = sign(&self.core.secrets.twilio_auth_token, url, form);
        let target = url.split('#').next().unwrap_or_default();
        let (retries, policy) = overrides(url);
        let idempotency = self.core.fresh("twilio/idempotency").to_string();
        let mut attempt = 0;
        loop {
            let mut headers = vec![
                own("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
                own("x-twilio-signature", &signature),
                own("user-agent", "TwilioProxy/1.1"),
            ];
            if attempt > 0 {
                headers.push(own("i-twilio-idempotency-token", &idempotency));
            }
            let answer = self
                .core
                .gateway
                .post(target, &headers, body.clone().into_bytes())
                .await;
            let all = policy == "all";
            let again = match &answer {
                Err(error) if error.unconnected => all || policy.contains("ct"),
                Err(_) => all || policy.contains("rt"),
                Ok(answer) => match answer.status {
                    400..=499 => all || policy.contains("4xx"),
                    500.. => all || policy.contains("5xx"),
                    _ => false,
                },
            };
            if !again || attempt == retries {
                return answer.ok();
            }
            attempt += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Move a message to `status`, if it still exists and has not ended otherwise.
    fn advance(&self, sid: &str, status: &'static str, error: Option<u32>) -> Option<MessageView> {
        let arrived = {
            let mut state = self.state.lock();
            let message = state
                .messages
                .iter_mut()
                .rev()
                .find(|message| message.sid == sid)?;
            if message.status == "canceled" {
                return None;
            }
            // The text on the phone is what was sent, even where Twilio forgets it right away.
            let before = MessageView::from(&*message);
            message.advance(status, error, self.core.clock.now());
            MessageView {
                status: status.to_owned(),
                error,
                ..before
            }
        };
        self.core.journal.record(Event::SmsStatus {
            sid: sid.to_owned(),
            status: status.to_owned(),
            error,
        });
        Some(arrived)
    }

    async fn tell(&self, message: &MessageView) {
        let Some(url) = &message.callback else { return };
        let mut form = vec![
            own("SmsSid", &message.sid),
            own("SmsStatus", &message.status),
            own("MessageStatus", &message.status),
            own("To", &message.to),
            own("MessageSid", &message.sid),
            own("AccountSid", &self.core.secrets.twilio_account_sid),
            own("From", &message.from),
            own("ApiVersion", "2010-04-01"),
        ];
        if let Some(code) = message.error {
            form.push(own("ErrorCode", &code.to_string()));
        }
        if message.status == "delivered" {
            form.push(own("RawDlrDoneDate", "2603020921"));
        }
        let status = self.call(url, &form).await.map(|answer| answer.status);
        self.core.journal.record(Event::WebhookDelivered {
            system: System::Twilio,
            event: format!("sms {}", message.status),
            url: url.clone(),
            status,
        });
    }

    /// The way of a message from the queue to the phone, or not.
    pub(crate) async fn travel(&self, sid: &str) {
        let (pace, expires, to) = {
            let state = self.state.lock();
            let Some(message) = state.messages.iter().rev().find(|message| message.sid == sid) else {
                return;
            };
            (state.pace, message.expires, message.to.clone())
        };
        let fate = self.fate_of(&to).unwrap_or_default();
        let steps: Vec<(&'static str, Option<u32>)> = match fate {
            Fate::Delivered | Fate::Repeated | Fate::OutOfOrder => vec![("sent", None), ("delivered", None)],
            Fate::SentOnly => vec![("sent", None)],
            Fate::Undelivered(code) => vec![("sent", None), ("undelivered", Some(code))],
            Fate::Failed(code) => vec![("failed", Some(code))],
            Fate::Stuck => {
                tokio::time::sleep_until(expires).await;
                vec![("failed", Some(30_036))]
            }
            Fate::Refused(_) => Vec::new(),
        };
        let mut told = Vec::new();
        for (status, error) in steps {
            tokio::time::sleep_until(Instant::now() + pace).await;
            let Some(message) = self.advance(sid, status, error) else {
                return;
            };
            let arrives = matches!((fate, status), (Fate::SentOnly, "sent") | (_, "delivered"));
            if arrives {
                self.arrive(&message);
            }
            if fate == Fate::OutOfOrder {
                told.insert(0, message);
                continue;
            }
            for _ in 0..if fate == Fate::Repeated { 3 } else { 1 } {
                self.tell(&message).await;
            }
        }
        for message in told {
            self.tell(&message).await;
        }
    }

    /// `from` texts `body` to our number now. `None`: our webhook gave no answer.
    pub async fn receive(&self, from: &str, body: &str) -> Option<u16> {
        let sid = format!("SM{}", self.core.fresh_hex("twilio/inbound"));
        self.receive_as(&sid, from, body).await
    }

    /// As [`TwilioSim::receive`], with a given id: the same text delivered again.
    pub async fn receive_as(&self, sid: &str, from: &str, body: &str) -> Option<u16> {
        self.store_inbound(sid, from, body);
        if body.trim().eq_ignore_ascii_case("STOP") {
            self.state.lock().opted_out.insert(from.to_owned());
        }
        let secrets = &self.core.secrets;
        let mut form = vec![
            own("ToCountry", "GB"),
            own("SmsMessageSid", sid),
            own("NumMedia", "0"),
            own("SmsSid", sid),
            own("SmsStatus", "received"),
            own("Body", body),
            own("FromCountry", "GB"),
            own("To", &secrets.twilio_from),
            own("NumSegments", "1"),
            own("MessageSid", sid),
            own("AccountSid", &secrets.twilio_account_sid),
            own("From", from),
            own("ApiVersion", "2010-04-01"),
        ];
        // Empty values are sent, and signed.
        form.extend(
            ["ToState", "ToCity", "ToZip", "FromState", "FromCity", "FromZip"].map(|name| own(name, "")),
        );
        let url = self.core.gateway.public(INBOUND_ENDPOINT);
        let answer = self.call(&url, &form).await;
        if let Some(code) = complaint(answer.as_ref()) {
            self.core.journal.record(Event::TwilioComplained { url, code });
        }
        let status = answer.map(|answer| answer.status);
        self.core.journal.record(Event::SmsReplied {
            from: from.to_owned(),
            body: body.to_owned(),
            status,
        });
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_come_from_the_fragment_and_default_to_one_on_a_failed_connection() {
        assert_eq!(overrides("https://x.example/status"), (1, "ct".to_owned()));
        assert_eq!(
            overrides("https://x.example/status#rc=3&rp=all"),
            (3, "all".to_owned())
        );
    }
}
