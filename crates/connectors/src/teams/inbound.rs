//! Activities that the Bot Connector sends us. Pure: the signature is checked elsewhere, with the key that its `kid`
//! names; here the claims are held against the activity, and the activity is read.

use common::UserId;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use super::card::{Card, VERB_APPROVE, VERB_DENY};
use super::question::{ANSWER, VERB_ANSWER};

/// The issuer of every activity's token.
pub const ISSUER: &str = "https://api.botframework.com";

const CHANNEL: &str = "msteams";
/// How far the Connector's clock and ours may differ.
const SKEW_S: i64 = 5 * 60;

/// Claims of a token whose signature (RS256) has been verified.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Our bot's app id.
    pub aud: String,
    /// End, Unix seconds.
    pub exp: i64,
    /// Begin, Unix seconds.
    pub nbf: i64,
    /// Where the activity's conversation is served.
    #[serde(alias = "serviceUrl", default)]
    pub serviceurl: Option<String>,
}

/// The activity is not from the Bot Connector, not for us, or not of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// Wrong `iss`.
    #[error("the token has another issuer")]
    Issuer,
    /// Wrong `aud`.
    #[error("the token is for another bot")]
    Audience,
    /// Outside `nbf` to `exp`, five minutes of skew allowed.
    #[error("the token is expired or not yet valid")]
    Time,
    /// `serviceurl` is missing or differs from the activity's.
    #[error("the token is for another service url")]
    ServiceUrl,
    /// The key is not endorsed for the channel.
    #[error("the signing key is not endorsed for the channel")]
    Endorsement,
    /// Not Teams.
    #[error("the activity is not from Teams")]
    Channel,
}

impl Unauthentic {
    /// Stable: of the audit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Time => "token_expired",
            Self::ServiceUrl => "service_url_differs",
            Self::Endorsement => "key_not_endorsed",
            Self::Channel => "not_teams",
        }
    }
}

/// The body is no activity; answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is no activity")]
pub struct NotAnActivity;

/// Which button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Approve.
    Approve,
    /// Deny.
    Deny,
}

/// By which of the two actions the press came, which decides how to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Action.Execute`: answer 200 with an invoke answer.
    Execute,
    /// `Action.Submit`: answer 200 with nothing, then update the card.
    Submit,
}

/// Somebody pressed a button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// Which.
    pub verb: Verb,
    /// Of which approval; forgeable by the person who presses, so an identifier and nothing more.
    pub approval_id: String,
    /// What they typed. Untrusted.
    pub comment: Option<String>,
    /// How it came.
    pub form: Form,
}

/// Somebody answered a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which question; forgeable by the person who answers, so an identifier and nothing more.
    pub question_id: String,
    /// The id of a choice, or what they typed, letter by letter; empty where they left it out. Untrusted.
    pub answer: String,
    /// How it came.
    pub form: Form,
}

/// What an activity is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A decision.
    Press(Press),
    /// An answer to a question.
    Reply(Reply),
    /// An invoke that is no decision of ours (unknown name or verb, automatic refresh): answer [`invoke_failure`].
    UnknownInvoke,
    /// Installation, typing, text, ...: answer 200 and ignore.
    Other,
}

/// An activity, as far as it matters. Trustworthy only after [`authenticate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub id: Option<String>,
    /// `msteams`.
    pub channel_id: String,
    /// Where its conversation is served.
    pub service_url: Option<Url>,
    /// Tenant of the conversation; `None` where its two places are missing or disagree.
    pub tenant_id: Option<String>,
    /// Who pressed, by directory object id; `None` must be refused.
    pub person: Option<UserId>,
    /// Conversation.
    pub conversation_id: Option<String>,
    /// The card's activity id.
    pub reply_to_id: Option<String>,
    /// What it is.
    pub kind: Kind,
}

/// Read an activity. An automatic refresh is never a press.
pub fn parse(body: &[u8]) -> Result<Activity, NotAnActivity> {
    let wire: Value = serde_json::from_slice(body).map_err(|_| NotAnActivity)?;
    // Any member may be missing or null, and none that is there is more than a text.
    let text = |pointer: &str| wire.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let kind = kind(text("/type").ok_or(NotAnActivity)?.as_str(), &wire);
    let channel_tenant = text("/channelData/tenant/id");
    Ok(Activity {
        id: text("/id"),
        channel_id: text("/channelId").unwrap_or_default(),
        service_url: text("/serviceUrl").and_then(|url| Url::parse(&url).ok()),
        tenant_id: text("/conversation/tenantId").filter(|tenant| channel_tenant.as_ref() == Some(tenant)),
        person: text("/from/aadObjectId").and_then(|id| id.parse().ok()),
        conversation_id: text("/conversation/id"),
        reply_to_id: text("/replyToId"),
        kind,
    })
}

fn kind(kind: &str, wire: &Value) -> Kind {
    let value = &wire["value"];
    match (kind, wire["name"].as_str()) {
        ("invoke", Some("adaptiveCard/action")) => {
            let automatic = value["trigger"].as_str() == Some("automatic");
            let pressed = pressed(&value["action"]["verb"], &value["action"]["data"], Form::Execute);
            pressed.filter(|_| !automatic).unwrap_or(Kind::UnknownInvoke)
        }
        ("invoke", _) => Kind::UnknownInvoke,
        ("message", _) => pressed(&value["verb"], value, Form::Submit).unwrap_or(Kind::Other),
        _ => Kind::Other,
    }
}

/// A button of ours was pressed.
fn pressed(verb: &Value, data: &Value, form: Form) -> Option<Kind> {
    match verb.as_str()? {
        VERB_APPROVE => press(Verb::Approve, data, form).map(Kind::Press),
        VERB_DENY => press(Verb::Deny, data, form).map(Kind::Press),
        VERB_ANSWER => reply(data, form).map(Kind::Reply),
        _ => None,
    }
}

/// Hold the token's claims and its key's endorsements against the activity, `app_id` and the time. `endorsements` is
/// `None` where the key lists none.
///
/// Source: contract, section 6.
pub fn authenticate(
    claims: &Claims,
    endorsements: Option<&[String]>,
    activity: &Activity,
    app_id: &str,
    now: OffsetDateTime,
) -> Result<(), Unauthentic> {
    let now = now.unix_timestamp();
    if claims.iss != ISSUER {
        return Err(Unauthentic::Issuer);
    }
    if app_id.is_empty() || !claims.aud.eq_ignore_ascii_case(app_id) {
        return Err(Unauthentic::Audience);
    }
    if now > claims.exp.saturating_add(SKEW_S) || now < claims.nbf.saturating_sub(SKEW_S) {
        return Err(Unauthentic::Time);
    }
    let claimed = claims.serviceurl.as_deref().and_then(|url| Url::parse(url).ok());
    match (&claimed, &activity.service_url) {
        (Some(claimed), Some(named)) if same_address(claimed, named) => {}
        _ => return Err(Unauthentic::ServiceUrl),
    }
    if endorsements.is_some_and(|endorsed| !endorsed.contains(&activity.channel_id)) {
        return Err(Unauthentic::Endorsement);
    }
    if activity.channel_id != CHANNEL {
        return Err(Unauthentic::Channel);
    }
    Ok(())
}

/// Equal but for one trailing slash; `Url` has lower-cased the host already.
fn same_address(one: &Url, other: &Url) -> bool {
    let bare = |url: &Url| {
        let text = url.as_str();
        text.strip_suffix('/').unwrap_or(text).to_owned()
    };
    bare(one) == bare(other)
}

/// Answer to an invoke: replace the card for the person who pressed. HTTP 200.
pub fn invoke_card(card: &Card) -> Value {
    json!({ "statusCode": 200, "type": "application/vnd.microsoft.card.adaptive", "value": card })
}

/// Answer to an invoke: a short message. HTTP 200.
pub fn invoke_message(text: &str) -> Value {
    json!({ "statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": text })
}

/// Answer to an invoke that could not be taken. HTTP 200 all the same; 400 is inside.
pub fn invoke_failure(text: &str) -> Value {
    json!({
        "statusCode": 400,
        "type": "application/vnd.microsoft.error",
        "value": { "code": "BadRequest", "message": text },
    })
}

fn reply(data: &Value, form: Form) -> Option<Reply> {
    let answer = match &data[ANSWER] {
        Value::String(text) => text.clone(),
        // Some hosts send what was typed into `Input.Number` as one.
        Value::Number(number) => number.to_string(),
        Value::Null => String::new(),
        _ => return None,
    };
    Some(Reply {
        question_id: data["questionId"].as_str()?.to_owned(),
        answer,
        form,
    })
}

fn press(verb: Verb, data: &Value, form: Form) -> Option<Press> {
    let comment = data["comment"]
        .as_str()
        .map(str::trim)
        .filter(|comment| !comment.is_empty());
    Some(Press {
        verb,
        approval_id: data["approvalId"].as_str()?.to_owned(),
        comment: comment.map(str::to_owned),
        form,
    })
}

#[cfg(test)]
mod tests;
