//! Pressing a button: the activity as Teams would send it, signed as the Bot Connector signs, or wrongly on purpose.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::card::{CardView, action_of, actions};
use super::input;
use super::people::Choice;
use super::{MESSAGING_ENDPOINT, TeamsSim, service_url, teams_id};
use crate::company::Person;
use crate::journal::Event;
use crate::keys::unsigned;
use crate::text::rfc3339;

const ISSUER: &str = "https://api.botframework.com";

/// Which client presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A current one: `Action.Execute`, an invoke that wants an answer.
    #[default]
    Execute,
    /// An old one: `Action.Submit`, a message with a value.
    Submit,
}

/// Whose account presses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Presser {
    /// The reader of the card.
    #[default]
    Reader,
    /// Somebody else.
    Person(String),
    /// Somebody without an object id, such as a guest.
    WithoutObjectId,
    /// The reader, but in another tenant.
    OtherTenant,
    /// The reader, with another tenant in the channel data only.
    OtherChannelTenant,
}

/// What is wrong with the token of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each names its flaw")]
pub enum TokenFlaw {
    #[default]
    Sound,
    Missing,
    WrongScheme,
    WrongAudience,
    WrongIssuer,
    /// From an emulator's issuer, as a developer's bot would accept.
    EmulatorIssuer,
    /// Ended so many seconds ago; up to 300 are forgiven.
    ExpiredBy(u32),
    /// Begins in so many seconds; up to 300 are forgiven.
    NotBefore(u32),
    WrongServiceUrl,
    NoServiceUrl,
    UnknownKey,
    BadSignature,
    AlgNone,
    /// Signed with a shared secret that is the public app id.
    Hs256,
}

/// One press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// What they choose.
    pub choice: Choice,
    /// In which client.
    pub form: Form,
    /// By whom.
    pub by: Presser,
    /// What is wrong with the token.
    pub flaw: TokenFlaw,
    /// Typed into the card's first text input.
    pub comment: Option<String>,
    /// Not a press at all: Teams refreshed the card by itself.
    pub automatic: bool,
    /// A verb that the card does not have.
    pub verb: Option<String>,
    /// Replaces the id of the message that the press answers.
    pub reply_to: Option<String>,
    /// Replaces `channelId`.
    pub channel: Option<String>,
}

impl Press {
    /// The reader of the card presses `choice` in a current client.
    pub fn new(choice: Choice) -> Self {
        Self {
            choice,
            form: Form::default(),
            by: Presser::default(),
            flaw: TokenFlaw::default(),
            comment: None,
            automatic: false,
            verb: None,
            reply_to: None,
            channel: None,
        }
    }
}

/// What the bot answered, and what the person saw of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PressAnswer {
    /// HTTP status; 0: no answer at all.
    pub status: u16,
    /// The body.
    pub body: String,
    /// `card`, a message, an error's words, or "something went wrong".
    pub seen: String,
}

/// What Teams shows after an invoke.
fn seen(form: Form, status: u16, content_type: &str, body: &str) -> String {
    const WRONG: &str = "something went wrong";
    if status != 200 {
        return WRONG.to_owned();
    }
    if form == Form::Submit {
        return "sent".to_owned();
    }
    if !content_type.starts_with("application/json") {
        return WRONG.to_owned();
    }
    let Ok(answer) = serde_json::from_str::<Value>(body) else {
        return WRONG.to_owned();
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let shown = match (answer["statusCode"].as_u64(), answer["type"].as_str()) {
        (Some(200), Some("application/vnd.microsoft.card.adaptive")) => {
            (answer["value"]["type"] == "AdaptiveCard").then(|| "card".to_owned())
        }
        (Some(200), Some("application/vnd.microsoft.activity.message")) => text(&answer["value"]),
        (Some(_), Some("application/vnd.microsoft.error")) => text(&answer["value"]["message"]),
        _ => None,
    };
    shown.unwrap_or_else(|| WRONG.to_owned())
}

/// What a press carries: the button's verb, and its data with the inputs merged over it.
struct Pressed {
    action: Value,
    verb: String,
    data: Map<String, Value>,
}

/// The button that `choice` presses, and the input that it fills: its id and value.
fn chosen<'a>(card: &'a Value, choice: &Choice) -> Option<(&'a Value, Option<(String, String)>)> {
    match choice {
        Choice::Approve => Some((action_of(card, "approve")?, None)),
        Choice::Deny => Some((action_of(card, "deny")?, None)),
        Choice::Pick(title) => {
            let button = actions(card)
                .into_iter()
                .find(|action| action["title"] == **title);
            match button {
                Some(button) => Some((button, None)),
                None => Some((*actions(card).first()?, Some(input::entry(card, title)?))),
            }
        }
        Choice::Type(text) => {
            let (id, _) = input::untouched(card).into_iter().next()?;
            Some((*actions(card).first()?, Some((id, text.clone()))))
        }
        Choice::Ignore => None,
    }
}

fn pressed(card: &Value, press: &Press) -> Option<Pressed> {
    let (action, filled) = chosen(card, &press.choice)?;
    // Old clients know only the fallback, where there is one.
    let fallback =
        Some(&action["fallback"]).filter(|fallback| press.form == Form::Submit && fallback.is_object());
    let clicked = fallback.unwrap_or(action);
    let mut data = clicked["data"].as_object().cloned().unwrap_or_default();
    for (index, (id, value)) in input::untouched(card).into_iter().enumerate() {
        let typed = press.comment.clone().filter(|_| index == 0).unwrap_or(value);
        data.insert(id, json!(typed));
    }
    if let Some((id, value)) = filled {
        data.insert(id, json!(value));
    }
    let verb = press
        .verb
        .clone()
        .or_else(|| action["verb"].as_str().map(str::to_owned))
        .unwrap_or_default();
    if press.verb.is_some() && press.form == Form::Submit {
        data.insert("verb".into(), json!(verb));
    }
    Some(Pressed {
        action: action.clone(),
        verb,
        data,
    })
}

impl TeamsSim {
    fn activity(&self, card: &CardView, press: &Press, person: &Person, pressed: &Pressed) -> Value {
        let core = &self.core;
        let tenant = core.secrets.entra_tenant_id.clone();
        let other = || core.seed.uuid("another tenant").to_string();
        let (in_conversation, in_channel) = match press.by {
            Presser::OtherTenant => (other(), other()),
            Presser::OtherChannelTenant => (tenant, other()),
            _ => (tenant.clone(), tenant),
        };
        let mut from = json!({ "id": teams_id(core, person), "name": person.name, "aadObjectId": person.id });
        if let (Presser::WithoutObjectId, Some(from)) = (&press.by, from.as_object_mut()) {
            from.remove("aadObjectId");
        }
        let mut activity = json!({
            "timestamp": rfc3339(OffsetDateTime::now_utc()),
            "channelId": press.channel.as_deref().unwrap_or("msteams"), "serviceUrl": service_url(&core.urls),
            "from": from,
            "recipient": { "id": format!("28:{}", core.secrets.teams_app_id), "name": "Firstline" },
            "conversation": { "conversationType": "personal", "tenantId": in_conversation, "id": card.conversation },
            "entities": [{ "type": "clientInfo", "locale": "en-GB", "country": "GB", "platform": "iOS" }],
            "channelData": { "tenant": { "id": in_channel }, "source": { "name": "message" } },
            "replyToId": press.reply_to.as_ref().unwrap_or(&card.activity), "locale": "en-GB",
        });
        let id = core.fresh("teams/activity");
        match press.form {
            Form::Execute => {
                activity["type"] = json!("invoke");
                activity["name"] = json!("adaptiveCard/action");
                activity["id"] = json!(format!("f:{id}"));
                activity["value"] = json!({
                    "action": { "type": "Action.Execute", "id": pressed.action["id"],
                        "title": pressed.action["title"], "verb": pressed.verb, "data": pressed.data },
                    "trigger": if press.automatic { "automatic" } else { "manual" },
                });
            }
            Form::Submit => {
                activity["type"] = json!("message");
                activity["id"] = json!(id.as_u128() >> 80);
                activity["id"] = json!(activity["id"].to_string());
                activity["value"] = Value::Object(pressed.data.clone());
            }
        }
        activity
    }

    /// The `Authorization` header of an activity.
    fn authorization(&self, flaw: TokenFlaw) -> Option<String> {
        let core = &self.core;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut claims = json!({
            "serviceurl": service_url(&core.urls), "iss": ISSUER, "aud": core.secrets.teams_app_id,
            "nbf": now - 5, "exp": now + 3600,
        });
        match flaw {
            TokenFlaw::WrongAudience => claims["aud"] = json!(Uuid::new_v4()),
            TokenFlaw::WrongIssuer => claims["iss"] = json!("https://api.botframework.us"),
            TokenFlaw::EmulatorIssuer => {
                claims["iss"] = json!(format!(
                    "https://sts.windows.net/{}/",
                    core.secrets.entra_tenant_id
                ));
            }
            TokenFlaw::ExpiredBy(seconds) => {
                claims["nbf"] = json!(now - 3600);
                claims["exp"] = json!(now - i64::from(seconds));
            }
            TokenFlaw::NotBefore(seconds) => claims["nbf"] = json!(now + i64::from(seconds)),
            TokenFlaw::WrongServiceUrl => claims["serviceurl"] = json!("https://evil.example/teams/"),
            TokenFlaw::NoServiceUrl => {
                claims.as_object_mut()?.remove("serviceurl");
            }
            _ => {}
        }
        let key = core.bot_keys.current();
        let token = match flaw {
            TokenFlaw::Missing => return None,
            TokenFlaw::AlgNone => format!("{}.", unsigned(&json!({ "alg": "none", "typ": "JWT" }), &claims)),
            TokenFlaw::Hs256 => {
                let message = unsigned(&json!({ "alg": "HS256", "typ": "JWT", "kid": key.kid }), &claims);
                let mut mac = Hmac::<Sha256>::new_from_slice(core.secrets.teams_app_id.as_bytes()).ok()?;
                mac.update(message.as_bytes());
                format!(
                    "{message}.{}",
                    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
                )
            }
            TokenFlaw::UnknownKey => {
                let message = unsigned(&json!({ "alg": "RS256", "typ": "JWT", "kid": "nobody" }), &claims);
                format!(
                    "{message}.{}",
                    URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()))
                )
            }
            TokenFlaw::BadSignature => {
                let message = unsigned(&json!({ "alg": "RS256", "typ": "JWT", "kid": key.kid }), &claims);
                format!(
                    "{message}.{}",
                    URL_SAFE_NO_PAD.encode(key.sign(b"something else"))
                )
            }
            _ => key.token(&claims),
        };
        let scheme = if flaw == TokenFlaw::WrongScheme {
            "Basic"
        } else {
            "Bearer"
        };
        Some(format!("{scheme} {token}"))
    }

    /// Press a button of `card` as it was sent, whatever it shows by now, and wait for the bot's answer.
    pub async fn press(&self, card: &CardView, press: Press) -> PressAnswer {
        let nothing = |why: &str| PressAnswer {
            status: 0,
            body: String::new(),
            seen: why.to_owned(),
        };
        let email = match &press.by {
            Presser::Person(email) => email,
            _ => &card.email,
        };
        let Some(person) = self.core.directory.by_email(email) else {
            return nothing("nobody has that address");
        };
        let Some(pressed) = pressed(&card.card, &press) else {
            return nothing("the card has no such button");
        };
        let body = self.activity(card, &press, &person, &pressed).to_string();
        let mut headers = vec![(
            "content-type".to_owned(),
            "application/json; charset=utf-8".to_owned(),
        )];
        headers.extend(
            self.authorization(press.flaw)
                .map(|value| ("authorization".to_owned(), value)),
        );
        let url = self.core.gateway.public(MESSAGING_ENDPOINT);
        let answer = match self.core.gateway.post(&url, &headers, body.into_bytes()).await {
            Ok(answer) => PressAnswer {
                seen: seen(press.form, answer.status, &answer.content_type, &answer.body),
                status: answer.status,
                body: answer.body,
            },
            Err(error) => nothing(&error.to_string()),
        };
        self.core.journal.record(Event::ButtonPressed {
            email: person.email,
            verb: pressed.verb,
            status: answer.status,
            answer: answer.seen.clone(),
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoke_without_a_proper_answer_shows_that_something_went_wrong() {
        const JSON: &str = "application/json; charset=utf-8";
        let card = r#"{"statusCode":200,"type":"application/vnd.microsoft.card.adaptive","value":{"type":"AdaptiveCard"}}"#;
        assert_eq!(seen(Form::Execute, 200, JSON, card), "card");
        let message =
            r#"{"statusCode":200,"type":"application/vnd.microsoft.activity.message","value":"Done"}"#;
        assert_eq!(seen(Form::Execute, 200, JSON, message), "Done");
        let late = r#"{"statusCode":400,"type":"application/vnd.microsoft.error","value":{"code":"x","message":"Too late"}}"#;
        assert_eq!(seen(Form::Execute, 200, JSON, late), "Too late");
        for (status, body) in [(200, ""), (200, "{}"), (400, late), (401, "")] {
            assert_eq!(
                seen(Form::Execute, status, JSON, body),
                "something went wrong",
                "{status} {body}"
            );
        }
        assert_eq!(
            seen(Form::Execute, 200, "text/plain", card),
            "something went wrong"
        );
        assert_eq!(seen(Form::Submit, 200, "", ""), "sent");
    }
}
