//! The client: chats, cards, and installing the bot.

use std::sync::Arc;
use std::time::Duration;

use common::UserId;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{Card, TeamsSettings};
use crate::call::{Answer, Authorized, Call, CallError, Caller, Repeat, System, join, malformed, unreadable};
use crate::entra::client::{Graph, Request, refusal as graph_refusal, token_url};

const BOT_NOT_INSTALLED: &str = "bot_not_installed";

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
pub struct Teams {
    shared: Arc<Shared>,
}

struct Shared {
    service_url: Url,
    app_id: String,
    tenant_id: String,
    authorized: Authorized,
    installer: Option<Installer>,
}

/// Installs the bot, with the bot's own identity: Graph lets an app install itself only.
struct Installer {
    graph: Graph,
    graph_url: Url,
    catalog_app_id: String,
}

enum Installed {
    Now,
    Before,
}

impl Teams {
    /// A client; nothing is sent yet.
    pub fn new(settings: TeamsSettings, http: reqwest::Client) -> Self {
        let home = token_url(&settings.login_url, &settings.home_tenant_id);
        let form = vec![
            ("grant_type", SecretString::from("client_credentials")),
            ("client_id", settings.app_id.clone().into()),
            ("client_secret", settings.app_secret.clone()),
            (
                "scope",
                SecretString::from("https://api.botframework.com/.default"),
            ),
        ];
        let caller = Caller::new(System::Teams, http.clone());
        let authorized = Authorized::new(caller, System::Entra, home, form, Duration::from_mins(5));
        let directory = token_url(&settings.login_url, &settings.directory_tenant_id);
        let identity = (settings.app_id.as_str(), settings.app_secret);
        let installer = settings.catalog_app_id.map(|catalog_app_id| Installer {
            graph: Graph::new(settings.graph_url.clone(), directory, identity, http),
            graph_url: settings.graph_url,
            catalog_app_id,
        });
        let shared = Shared {
            service_url: settings.service_url,
            app_id: settings.app_id,
            tenant_id: settings.directory_tenant_id,
            authorized,
            installer,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Open (or find again) the personal chat with a person, by their directory object id. Safe to repeat.
    ///
    /// Where the bot is not installed for them it is installed first, if a catalogue number is set; refused with
    /// `bot_not_installed` where that is not so, not allowed, or they have blocked the bot: ask in another way.
    pub async fn conversation(&self, person: &UserId) -> Result<Conversation, CallError> {
        match self.open(person).await {
            Err(error) if error.is_refused(BOT_NOT_INSTALLED) && self.shared.installer.is_some() => {
                let installed = self.install_for(person).await?;
                let opened = self.open(person).await;
                match (opened, installed) {
                    (Err(error), Installed::Now) if error.is_refused(BOT_NOT_INSTALLED) => {
                        Err(CallError::Busy {
                            system: System::Teams,
                            detail: "the bot was installed just now and is not known everywhere yet"
                                .to_owned(),
                            retry_after: Some(Duration::from_secs(5)),
                        })
                    }
                    (opened, _) => opened,
                }
            }
            opened => opened,
        }
    }

    async fn open(&self, person: &UserId) -> Result<Conversation, CallError> {
        let tenant = &self.shared.tenant_id;
        let body = json!({
            "bot": { "id": format!("28:{}", self.shared.app_id) },
            "isGroup": false,
            "members": [{ "id": person }],
            "tenantId": tenant,
            "channelData": { "tenant": { "id": tenant } },
        });
        let service_url = self.shared.service_url.clone();
        let target = Target {
            operation: "open_conversation",
            method: Method::POST,
            repeat: Repeat::Safe,
        };
        let answer = self
            .send(&target, &service_url, &["v3", "conversations"], &body)
            .await?;
        let opened: Resource = answer.json().map_err(|error| unreadable(System::Teams, error))?;
        Ok(Conversation {
            id: opened.id,
            service_url,
        })
    }

    /// Send a card; answers the activity's id, by which it is updated. Not repeatable. `summary` is the toast: no
    /// secrets.
    pub async fn send_card(
        &self,
        conversation: &Conversation,
        summary: &str,
        card: &Card,
    ) -> Result<String, CallError> {
        let mut activity = message(card);
        activity["summary"] = summary.into();
        let path = ["v3", "conversations", conversation.id.as_str(), "activities"];
        let target = Target {
            operation: "send_card",
            method: Method::POST,
            repeat: Repeat::Never,
        };
        let answer = self
            .send(&target, &conversation.service_url, &path, &activity)
            .await?;
        let sent: Resource = answer.json().map_err(|error| malformed(System::Teams, error))?;
        Ok(sent.id)
    }

    /// Replace a card. Safe to repeat.
    pub async fn update_card(
        &self,
        conversation: &Conversation,
        activity: &str,
        card: &Card,
    ) -> Result<(), CallError> {
        let mut body = message(card);
        body["id"] = activity.into();
        let path = [
            "v3",
            "conversations",
            conversation.id.as_str(),
            "activities",
            activity,
        ];
        let target = Target {
            operation: "update_card",
            method: Method::PUT,
            repeat: Repeat::Safe,
        };
        self.send(&target, &conversation.service_url, &path, &body)
            .await
            .map(|_| ())
    }

    /// Install the bot for a person. Safe to repeat. Refused with `bot_not_installed` where it may not be.
    pub async fn install(&self, person: &UserId) -> Result<(), CallError> {
        self.install_for(person).await.map(|_| ())
    }

    async fn install_for(&self, person: &UserId) -> Result<Installed, CallError> {
        let Some(installer) = &self.shared.installer else {
            return Err(not_installed("the bot is not installed for this person"));
        };
        let app = join(
            &installer.graph_url,
            &["appCatalogs", "teamsApps", &installer.catalog_app_id],
        );
        let body = json!({ "teamsApp@odata.bind": app.as_str() });
        let path = ["users", person.as_str(), "teamwork", "installedApps"];
        // Installing twice is answered 409: repeating is harmless.
        let request = Request {
            repeat: Repeat::Safe,
            ..Request::post("install_bot", &path, &body)
        };
        let answer = installer.graph.send(request).await?;
        match answer.status {
            StatusCode::CONFLICT => Ok(Installed::Before),
            status if status.is_success() => Ok(Installed::Now),
            StatusCode::NOT_FOUND => Err(not_installed("the bot is not in the organisation's catalogue")),
            StatusCode::FORBIDDEN => Err(not_installed("the bot may not be installed for this person")),
            _ => Err(graph_refusal(&answer)),
        }
    }

    /// Whether an activity's service url may be sent our token: it must lead to the configured host.
    pub fn trusts(&self, service_url: &Url) -> bool {
        service_url.origin() == self.shared.service_url.origin()
            && service_url.username().is_empty()
            && service_url.password().is_none()
    }

    async fn send(
        &self,
        target: &Target,
        service_url: &Url,
        path: &[&str],
        body: &Value,
    ) -> Result<Answer, CallError> {
        if !self.trusts(service_url) {
            let detail = "the conversation is served at another host than the configured one";
            return Err(CallError::refused(System::Teams, "foreign_service_url", detail));
        }
        let url = join(service_url, path);
        let authorized = &self.shared.authorized;
        let make = || {
            let builder = authorized
                .caller
                .http
                .request(target.method.clone(), url.clone())
                .json(body);
            let mut call = Call::new(target.operation, target.repeat, builder);
            // At worst a card is there twice, and the first answer to either counts.
            call.not_taken_on_503 = Some(Duration::MAX);
            call
        };
        let answer = authorized.call(make).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refusal(&answer))
        }
    }
}

struct Target {
    operation: &'static str,
    method: Method,
    repeat: Repeat,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
}

fn message(card: &Card) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": card,
        }],
    })
}

fn not_installed(detail: &str) -> CallError {
    CallError::refused(System::Teams, BOT_NOT_INSTALLED, detail)
}

/// The refusal in an answer that is no success. The status decides: the spelling of the codes is not confirmed.
fn refusal(answer: &Answer) -> CallError {
    let refused = |code: &str, detail: &str| CallError::refused(System::Teams, code, detail);
    match answer.status {
        StatusCode::FORBIDDEN => {
            not_installed("the bot is not installed for this person, or they have blocked it")
        }
        StatusCode::NOT_FOUND => refused(
            "not_found",
            "the conversation or the message is not there any more",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => refused("too_big", "the card is too big"),
        StatusCode::PRECONDITION_FAILED => CallError::Busy {
            system: System::Teams,
            detail: "something else is being done to the conversation at this moment".to_owned(),
            retry_after: None,
        },
        status => refused(
            &format!("http_{}", status.as_u16()),
            "it does not take the request",
        ),
    }
}
