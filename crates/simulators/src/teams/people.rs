//! What people do with cards, and the hands that install the bot and rotate its keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TeamsSim;
use super::card::{Card, CardView};
use super::press::{Form, Press, Presser, TokenFlaw};
use crate::journal::Event;
use crate::keys::{KeyError, SigningKey};

/// What somebody does with a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Press the button that speaks of approving.
    Approve,
    /// Press the one that speaks of denying.
    Deny,
    /// Press the button with this title, or pick the entry with this title from a list and press the button.
    Pick(String),
    /// Type this into the first input, whatever it is for, and press the button. Nothing is checked: old clients do not
    /// either, so the bot must.
    Type(String),
    /// Nothing.
    Ignore,
}

/// How somebody reacts to a card in their chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardReaction {
    choice: Choice,
    after: Option<Duration>,
    times: u32,
    press: Press,
}

impl CardReaction {
    fn new(choice: Choice) -> Self {
        Self {
            choice: choice.clone(),
            after: None,
            times: 1,
            press: Press::new(choice),
        }
    }

    /// Press "approve", once, as themselves, in a current client, after the world's `think`.
    pub fn approve() -> Self {
        Self::new(Choice::Approve)
    }

    /// Press "deny".
    pub fn deny() -> Self {
        Self::new(Choice::Deny)
    }

    /// Press nothing.
    pub fn ignore() -> Self {
        Self::new(Choice::Ignore)
    }

    /// Answer a question with the choice that reads `title`.
    pub fn pick(title: &str) -> Self {
        Self::new(Choice::Pick(title.to_owned()))
    }

    /// Answer a question with `text`.
    pub fn type_in(text: &str) -> Self {
        Self::new(Choice::Type(text.to_owned()))
    }

    /// By name.
    pub fn of(choice: Choice) -> Self {
        Self::new(choice)
    }

    /// The same after `delay`.
    pub fn after(self, delay: Duration) -> Self {
        Self {
            after: Some(delay),
            ..self
        }
    }

    /// The same from an old client: `Action.Submit`.
    pub fn by_submit(mut self) -> Self {
        self.press.form = Form::Submit;
        self
    }

    /// The same `times` times.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// The same, twice: one more device, or one more try.
    pub fn twice(self) -> Self {
        self.times(2)
    }

    /// Somebody else presses.
    pub fn as_person(mut self, email: &str) -> Self {
        self.press.by = Presser::Person(email.to_owned());
        self
    }

    /// The activity's token has a flaw.
    pub fn with_flaw(mut self, flaw: TokenFlaw) -> Self {
        self.press.flaw = flaw;
        self
    }

    /// With a comment in the card's text input.
    pub fn comment(mut self, comment: &str) -> Self {
        self.press.comment = Some(comment.to_owned());
        self
    }
}

impl TeamsSim {
    /// Carry out what the card's reader was told to do.
    pub(crate) fn react_to(&self, card: &Card) {
        let reaction = {
            let mut state = self.state.lock();
            let queued = state
                .queued
                .get_mut(&card.email)
                .and_then(std::collections::VecDeque::pop_front);
            let standing = || state.standing.get(&card.email).cloned();
            let default = || {
                state
                    .reaction_default
                    .clone()
                    .unwrap_or_else(CardReaction::approve)
            };
            queued.or_else(standing).unwrap_or_else(default)
        };
        if reaction.choice == Choice::Ignore {
            return;
        }
        let (teams, view) = (self.clone(), CardView::from(card));
        self.core
            .tasks
            .later(reaction.after.unwrap_or(self.core.think), async move {
                for _ in 0..reaction.times {
                    teams.press(&view, reaction.press.clone()).await;
                }
            });
    }

    /// From now on `email` reacts to every card so.
    pub fn react(&self, email: &str, reaction: CardReaction) {
        self.state.lock().standing.insert(email.to_lowercase(), reaction);
    }

    /// `email` reacts to one coming card so, after those already queued.
    pub fn react_next(&self, email: &str, reaction: CardReaction) {
        self.state
            .lock()
            .queued
            .entry(email.to_lowercase())
            .or_default()
            .push_back(reaction);
    }

    /// What everybody else does.
    pub fn react_default(&self, reaction: CardReaction) {
        self.state.lock().reaction_default = Some(reaction);
    }

    /// All cards ever sent, oldest first.
    pub fn cards(&self) -> Vec<CardView> {
        self.state.lock().cards.iter().map(CardView::from).collect()
    }

    /// Whether `email` has the bot.
    pub fn installed(&self, email: &str) -> bool {
        self.core.bot_auto_install || self.core.installed.lock().contains(&email.to_lowercase())
    }

    /// Install the bot for `email`, as an admin's setup policy does.
    pub fn install(&self, email: &str) {
        self.core.installed.lock().insert(email.to_lowercase());
        self.core.journal.record(Event::BotInstalled {
            email: email.to_lowercase(),
        });
    }

    /// `email` removes the bot.
    pub fn uninstall(&self, email: &str) {
        self.core.installed.lock().remove(&email.to_lowercase());
    }

    /// Sign with a new key from now on; the old one stays published once more.
    pub async fn rotate_keys(&self) -> Result<(), KeyError> {
        let kid = self.core.fresh_hex("teams/kid");
        let key = tokio::task::spawn_blocking(move || SigningKey::generate(kid))
            .await
            .map_err(|_| KeyError)??;
        self.core.bot_keys.rotate(key);
        Ok(())
    }
}
