//! The client.

use std::sync::Arc;
use std::time::Duration;

use common::clock;
use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use url::Url;

use super::message::MessageBody;
use super::{Message, TwilioSettings};
use crate::call::{Answer, Call, CallError, Caller, Repeat, System, join, malformed, unreadable};
use crate::phone::PhoneNumber;

/// Twilio recommends no less.
const SHORTEST_VALIDITY: Duration = Duration::from_secs(5);
/// Twilio takes no more.
const LONGEST_VALIDITY: Duration = Duration::from_hours(10);
/// How far Twilio's clock and ours may differ.
const SKEW: Duration = Duration::from_secs(30);

/// A message to send.
#[derive(Debug, Clone)]
pub struct Sms {
    /// To whom.
    pub to: PhoneNumber,
    /// Text, at most 1600 characters.
    pub body: SecretString,
    /// Where Twilio tells how far it got.
    pub status_callback: Option<Url>,
    /// How long it may wait in Twilio's queue; clamped to 5 s to 10 h.
    pub validity: Duration,
}

/// An account. Cheap to clone.
#[derive(Clone)]
pub struct Twilio {
    settings: Arc<TwilioSettings>,
    caller: Caller,
}

impl Twilio {
    /// A client; nothing is sent yet.
    pub fn new(settings: TwilioSettings, http: reqwest::Client) -> Self {
        Self {
            settings: Arc::new(settings),
            caller: Caller::new(System::Twilio, http),
        }
    }

    /// Send. Not repeatable: after [`CallError::Unknown`], [`Self::find_sent`] tells whether it was created. A message
    /// that is taken is queued, not delivered.
    ///
    /// Refused with Twilio's number as code (`21211` no such number, `21610` opted out, ...).
    ///
    /// Source: contract, sections 1 to 3.
    pub async fn send(&self, sms: &Sms) -> Result<Message, CallError> {
        let validity = sms
            .validity
            .clamp(SHORTEST_VALIDITY, LONGEST_VALIDITY)
            .as_secs()
            .to_string();
        let mut form = vec![
            ("To", sms.to.as_e164()),
            ("From", self.settings.from.as_e164()),
            ("Body", sms.body.expose_secret()),
            ("ValidityPeriod", validity.as_str()),
        ];
        if let Some(callback) = &sms.status_callback {
            form.push(("StatusCallback", callback.as_str()));
        }
        let builder = self.request(Method::POST, &self.messages()).form(&form);
        let answer = self
            .caller
            .call(Call::new("send", Repeat::Never, builder))
            .await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        let created: MessageBody = answer.json().map_err(|error| malformed(System::Twilio, error))?;
        Ok(Message::read(created))
    }

    /// A message as it stands; `None` where Twilio does not know it.
    pub async fn fetch(&self, sid: &str) -> Result<Option<Message>, CallError> {
        let builder = self.request(Method::GET, &self.message(sid));
        let answer = self
            .caller
            .call(Call::new("fetch", Repeat::Safe, builder))
            .await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => read(&answer).map(|body| Some(Message::read(body))),
        }
    }

    /// The newest message that we sent to `to` since then and whose text contains `marker`; for after a `send` without
    /// answer. Looks at the newest 50 messages to that number. Finds nothing once the text is redacted.
    pub async fn find_sent(
        &self,
        to: &PhoneNumber,
        since: OffsetDateTime,
        marker: &SecretString,
    ) -> Result<Option<Message>, CallError> {
        let ago = clock::now() - since;
        // A message that is still queued has no `DateSent`, so the day is not asked for: the two numbers narrow enough.
        let query = [
            ("To", to.as_e164()),
            ("From", self.settings.from.as_e164()),
            ("PageSize", "50"),
        ];
        let builder = self.request(Method::GET, &self.messages()).query(&query);
        let answer = self
            .caller
            .call(Call::new("find_sent", Repeat::Safe, builder))
            .await?;
        // Its clock is not ours.
        let since = answer.now() - ago - SKEW;
        let page: Page = read(&answer)?;
        let ours = |body: &MessageBody| {
            let outbound = body
                .direction
                .as_deref()
                .is_none_or(|direction| direction.starts_with("outbound"));
            let text = body
                .body
                .as_ref()
                .map(ExposeSecret::expose_secret)
                .unwrap_or_default();
            outbound && text.contains(marker.expose_secret())
        };
        let found = page.messages.into_iter().filter(ours).map(Message::read);
        let recent = found.filter(|message| message.created.is_none_or(|created| created >= since));
        Ok(recent.max_by_key(|message| message.created))
    }

    /// Remove a message's text at Twilio. Safe to repeat. Refused while it is not finished.
    pub async fn redact(&self, sid: &str) -> Result<(), CallError> {
        let builder = self
            .request(Method::POST, &self.message(sid))
            .form(&[("Body", "")]);
        let answer = self
            .caller
            .call(Call::new("redact", Repeat::Safe, builder))
            .await?;
        gone_or_done(&answer)
    }

    /// Delete a message at Twilio. Safe to repeat: one that is gone is deleted.
    pub async fn delete(&self, sid: &str) -> Result<(), CallError> {
        let builder = self.request(Method::DELETE, &self.message(sid));
        let answer = self
            .caller
            .call(Call::new("delete", Repeat::Safe, builder))
            .await?;
        gone_or_done(&answer)
    }

    fn messages(&self) -> Url {
        join(
            &self.settings.url,
            &[
                "2010-04-01",
                "Accounts",
                &self.settings.account_sid,
                "Messages.json",
            ],
        )
    }

    fn message(&self, sid: &str) -> Url {
        let file = format!("{sid}.json");
        join(
            &self.settings.url,
            &[
                "2010-04-01",
                "Accounts",
                &self.settings.account_sid,
                "Messages",
                &file,
            ],
        )
    }

    fn request(&self, method: Method, url: &Url) -> reqwest::RequestBuilder {
        let TwilioSettings {
            account_sid,
            auth_token,
            ..
        } = &*self.settings;
        self.caller
            .http
            .request(method, url.clone())
            .basic_auth(account_sid, Some(auth_token.expose_secret()))
            .header(http::header::ACCEPT, "application/json")
    }
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<MessageBody>,
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, CallError> {
    if answer.status.is_success() {
        answer
            .json()
            .map_err(|malformed| unreadable(System::Twilio, malformed))
    } else {
        Err(refusal(answer))
    }
}

fn gone_or_done(answer: &Answer) -> Result<(), CallError> {
    if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
        Ok(())
    } else {
        Err(refusal(answer))
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: Option<u32>,
}

/// The refusal in an answer that is no success. Twilio's words are left out: they quote the number.
fn refusal(answer: &Answer) -> CallError {
    let status = answer.status.as_u16();
    let code = answer.json::<Refusal>().ok().and_then(|said| said.code);
    // The sender's queue is full: nothing is wrong with the message.
    if code == Some(21611) {
        return CallError::Busy {
            system: System::Twilio,
            detail: "the queue of our number is full".to_owned(),
            retry_after: None,
        };
    }
    let code = code.map_or_else(|| format!("http_{status}"), |code| code.to_string());
    let detail = meaning(&code).map_or_else(|| format!("it answered {status}"), str::to_owned);
    CallError::refused(System::Twilio, code, detail)
}

/// What Twilio's numbers mean, as far as somebody can do something about them. `None` for others.
///
/// Source: contract, section 2.
pub fn meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "20003" => "our account id or token is wrong, or the account is suspended",
        "20404" => "it does not know the account or the message",
        "21211" | "21614" => "the number can't receive text messages",
        "21635" => "the number is a landline",
        "21408" => "our account may not send to that country",
        "21606" => "our own number can't send text messages",
        "21608" => "a trial account sends to verified numbers only",
        "21610" => "the person has opted out of our messages",
        "21612" => "our number can't reach that number",
        "21617" => "the text is longer than 1600 characters",
        "30001" => "the queue was full",
        "30002" => "the account is suspended",
        "30003" => "the phone could not be reached",
        "30004" => "the person or their carrier blocks the message",
        "30005" => "the number is not known",
        "30006" => "the number is a landline, or its carrier can't be reached",
        "30007" => "the carrier filtered the message",
        "30034" => "our number is not registered for the United States",
        "30036" => "the message waited too long and was not sent",
        "30450" => "it was held back as suspected abuse",
        "63038" => "the account's daily limit is reached",
        _ => return None,
    })
}
