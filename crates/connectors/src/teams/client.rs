//! The client.

use common::UserId;
use url::Url;

use super::{Card, TeamsSettings};
use crate::call::CallError;

/// A personal chat between the bot and one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: String,
    /// Where it is served; the newest one that an activity of it named.
    pub service_url: Url,
}

/// The bot. Cheap to clone; clones share the tokens.
#[derive(Clone)]
pub struct Teams {}

impl Teams {
    /// A client; nothing is sent yet.
    pub fn new(settings: TeamsSettings, http: reqwest::Client) -> Self {
        todo!()
    }
    /// Open (or find again) the personal chat with a person, by their directory object id. Safe to repeat.
    ///
    /// Where the bot is not installed for them it is installed first, if a catalogue number is set; refused with
    /// `bot_not_installed` where that is not so or not allowed: ask in another way.
    pub async fn conversation(&self, person: &UserId) -> Result<Conversation, CallError> {
        todo!()
    }
    /// Send a card; answers the activity's id. Not repeatable. `summary` is the toast: no secrets.
    pub async fn send_card(&self, conversation: &Conversation, summary: &str, card: &Card) -> Result<String, CallError> {
        todo!()
    }
    /// Replace a card. Safe to repeat.
    pub async fn update_card(&self, conversation: &Conversation, activity: &str, card: &Card) -> Result<(), CallError> {
        todo!()
    }
    /// Install the bot for a person. Safe to repeat. Refused with `bot_not_installed` where it may not be.
    pub async fn install(&self, person: &UserId) -> Result<(), CallError> {
        todo!()
    }
    /// Whether `service_url` of an activity may be sent our token: the configured host or Microsoft's.
    pub fn trusts(&self, service_url: &Url) -> bool {
        todo!()
    }
}
