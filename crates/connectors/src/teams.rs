//! The bot in Teams: asks a manager or a requester by card in a personal chat, updates the card, reads who pressed what.
//!
//! Authority is never in a card: its buttons carry an identifier, and who pressed is told by the signed activity.
//!
//! Source: `Microsoft Teams manager approval` contract.

mod card;
mod client;
mod question;

pub mod inbound;

use secrecy::SecretString;
use url::Url;

pub use card::{ApprovalCard, Card, DecidedCard, Verdict, approval_card, decided_card};
pub use client::{Conversation, Teams};
pub use question::{
    Answers, Choice, ClosedQuestionCard, QuestionCard, QuestionEnd, closed_question_card, question_card,
};

/// How to reach Teams as our bot.
#[derive(Debug, Clone)]
pub struct TeamsSettings {
    /// App id of the bot.
    pub app_id: String,
    /// Its secret.
    pub app_secret: SecretString,
    /// The tenant where the bot is registered: its token comes from there.
    pub home_tenant_id: String,
    /// The tenant whose managers are asked.
    pub directory_tenant_id: String,
    /// For instance `https://login.microsoftonline.com`.
    pub login_url: Url,
    /// For instance `https://smba.trafficmanager.net/teams/`.
    pub service_url: Url,
    /// For instance `https://graph.microsoft.com/v1.0`; for installing the bot.
    pub graph_url: Url,
    /// The app's number in the organisation's catalogue; `None`: the bot is never installed by us.
    pub catalog_app_id: Option<String>,
}
