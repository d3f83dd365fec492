//! Activities that the Bot Connector sends us. Pure: the signature is checked elsewhere, with the key that its `kid`
//! names; here the claims are held against the activity, and the activity is read.

use common::UserId;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

/// The issuer of every activity's token.
pub const ISSUER: &str = "https://api.botframework.com";

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

/// What an activity is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A decision.
    Press(Press),
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
    raw_service_url: String,
}

/// Read an activity. An automatic refresh is never a press.
pub fn parse(body: &[u8]) -> Result<Activity, NotAnActivity> {
    todo!()
}

/// Hold the token's claims and its key's endorsements against the activity, `app_id` and the time.
pub fn authenticate(claims: &Claims, endorsements: Option<&[String]>, activity: &Activity, app_id: &str, now: OffsetDateTime) -> Result<(), Unauthentic> {
    todo!()
}

/// Answer to an invoke: replace the card for the person who pressed. HTTP 200.
pub fn invoke_card(card: &super::Card) -> Value {
    todo!()
}

/// Answer to an invoke: a short message. HTTP 200.
pub fn invoke_message(text: &str) -> Value {
    todo!()
}

/// Answer to an invoke that could not be taken. HTTP 200 all the same; 400 is inside.
pub fn invoke_failure(text: &str) -> Value {
    todo!()
}
