//! The webhooks that Halo pushes: two of them (created, updated), proven as configured, never repeated by itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::HaloSim;
use super::auth::Caller;
use super::refusal::Refusal;
use super::state::{Names, Ticket};
use super::tenant::{AGENTS, CLIENT_NAME, STATUSES, TICKET_TYPES, name_of};
use crate::System;
use crate::core::{Core, Shared};
use crate::journal::Event;
use crate::settings::WebhookAuth;
use crate::text::rfc3339;

/// Held events leave after this long even when their batch is not full.
const HOLD_FOR: Duration = Duration::from_millis(500);

/// What the body carries beside the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookPayload {
    /// The whole ticket.
    #[default]
    Full,
    /// A small ticket of key fields.
    KeyFields,
    /// The envelope alone.
    EventOnly,
}

/// How the webhooks behave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookMode {
    /// What the body carries.
    pub payload: WebhookPayload,
    /// Each delivery is sent so many times more.
    pub duplicates: u32,
    /// Hold events until so many are there, then send them as one array.
    pub batch: Option<usize>,
    /// Hold events until so many are there, then send the last one first.
    pub reorder: Option<usize>,
    /// Send nothing at all: the poller must find out.
    pub silent: bool,
    /// Names instead of ids in the embedded ticket.
    pub display_values: bool,
}

/// One delivery as Halo's log remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The delivery's own id, which is also in the body.
    pub id: String,
    /// The event's phrase.
    pub event: String,
    /// Public address it went to.
    pub url: String,
    /// The exact body.
    pub body: String,
    /// What came back; `None`: no answer.
    pub status: Option<u16>,
}

/// Events of this tenant's two webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    Created,
    Updated,
    UpdatedByUser,
    StatusChanged,
}

impl Happening {
    fn phrase(self) -> &'static str {
        match self {
            Self::Created => "new ticket logged",
            Self::Updated => "ticket updated",
            Self::UpdatedByUser => "ticket updated by user",
            Self::StatusChanged => "ticket status changed",
        }
    }

    fn message(self, id: i64) -> String {
        match self {
            Self::Created => format!("A new Ticket has been logged. Ticket ID: {id:07}."),
            Self::Updated | Self::UpdatedByUser => format!("Ticket ID: {id:07} has been updated."),
            Self::StatusChanged => format!("The status has been changed for Ticket ID: {id:07}."),
        }
    }

    fn path(self) -> &'static str {
        if self == Self::Created {
            "/webhooks/halopsa/ticket_created"
        } else {
            "/webhooks/halopsa/ticket_updated"
        }
    }
}

#[derive(Debug)]
struct Held {
    happening: Happening,
    envelope: Value,
}

#[derive(Debug)]
pub(crate) struct Sender {
    core: Arc<Core>,
    mode: Shared<WebhookMode>,
    held: Shared<Vec<Held>>,
    log: Shared<Vec<Delivery>>,
}

/// `base64(HMAC-SHA256(secret, body))`, the header value of `authentication_type` 3.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

impl Sender {
    pub(crate) fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self {
            core,
            mode: Shared::default(),
            held: Shared::default(),
            log: Shared::default(),
        })
    }

    fn proof(&self, body: &[u8]) -> Option<(String, String)> {
        let secrets = &self.core.secrets;
        let secret = &secrets.halo_webhook_secret;
        match secrets.halo_webhook_auth {
            WebhookAuth::None => None,
            WebhookAuth::Signature => Some((secrets.halo_webhook_header.clone(), signature(secret, body))),
            WebhookAuth::Basic => {
                let pair = STANDARD.encode(format!("{}:{secret}", secrets.halo_webhook_username));
                Some(("authorization".into(), format!("Basic {pair}")))
            }
            WebhookAuth::Bearer => Some(("authorization".into(), format!("Bearer {secret}"))),
        }
    }

    async fn deliver(&self, happening: Happening, body: Value) {
        let url = self.core.gateway.public(happening.path());
        let first = body.as_array().and_then(|batch| batch.first()).unwrap_or(&body);
        let delivery = Delivery {
            id: first["id"].as_str().unwrap_or_default().to_owned(),
            event: happening.phrase().to_owned(),
            url,
            body: body.to_string(),
            status: None,
        };
        let place = {
            let mut log = self.log.lock();
            log.push(delivery.clone());
            log.len() - 1
        };
        self.push(&delivery, place).await;
    }

    /// Send what stands in this place of the log, and remember there what came back. The log grows all day: nobody looks for it.
    async fn push(&self, delivery: &Delivery, place: usize) -> Option<u16> {
        let body = delivery.body.clone().into_bytes();
        let mut headers = vec![(
            "content-type".to_owned(),
            "application/json; charset=utf-8".to_owned(),
        )];
        headers.extend(self.proof(&body));
        let status = self
            .core
            .gateway
            .post(&delivery.url, &headers, body)
            .await
            .ok()
            .map(|answer| answer.status);
        if let Some(logged) = self.log.lock().get_mut(place) {
            logged.status = status;
        }
        self.core.journal.record(Event::WebhookDelivered {
            system: System::Halo,
            event: delivery.event.clone(),
            url: delivery.url.clone(),
            status,
        });
        status
    }

    /// Send what was held: one array, or one by one in reverse.
    async fn release(&self) {
        let mode = self.mode.lock().clone();
        let mut held = std::mem::take(&mut *self.held.lock());
        if mode.reorder.is_some() {
            held.reverse();
        }
        if mode.batch.is_some() {
            // A webhook batches its own events only.
            let (created, updated): (Vec<Held>, Vec<Held>) = held
                .into_iter()
                .partition(|held| held.happening == Happening::Created);
            for group in [created, updated] {
                let Some(happening) = group.first().map(|held| held.happening) else {
                    continue;
                };
                let envelopes = group.into_iter().map(|held| held.envelope).collect();
                self.deliver(happening, envelopes).await;
            }
        } else {
            for Held { happening, envelope } in held {
                self.deliver(happening, envelope).await;
            }
        }
    }

    fn accept(self: &Arc<Self>, happening: Happening, envelope: &Value) {
        let mode = self.mode.lock().clone();
        let Some(size) = mode.batch.or(mode.reorder) else {
            for _ in 0..=mode.duplicates {
                let (sender, envelope) = (Arc::clone(self), envelope.clone());
                self.core
                    .tasks
                    .spawn(async move { sender.deliver(happening, envelope).await });
            }
            return;
        };
        let full = {
            let mut held = self.held.lock();
            held.extend((0..=mode.duplicates).map(|_| Held {
                happening,
                envelope: envelope.clone(),
            }));
            held.len() >= size
        };
        let sender = Arc::clone(self);
        let delay = if full { Duration::ZERO } else { HOLD_FOR };
        self.core
            .tasks
            .later(delay, async move { sender.release().await });
    }
}

/// The embedded ticket.
fn embedded(ticket: &Ticket, mode: &WebhookMode) -> Option<Value> {
    let mut shown = match mode.payload {
        WebhookPayload::EventOnly => return None,
        WebhookPayload::Full => ticket.details(Names::Written),
        WebhookPayload::KeyFields => json!({
            "id": ticket.id, "summary": ticket.summary, "status_id": ticket.status_id,
            "tickettype_id": ticket.tickettype_id, "client_id": super::tenant::CLIENT,
            "team_id": super::tickets::team_id(&ticket.team), "agent_id": ticket.agent_id,
            "customfields": [], "hasbeenclosed": ticket.has_been_closed(),
        }),
    };
    if mode.display_values {
        shown["id"] = json!(ticket.id.to_string());
        shown["status_id"] = json!(name_of(&STATUSES, ticket.status_id));
        shown["tickettype_id"] = json!(name_of(&TICKET_TYPES, ticket.tickettype_id));
        shown["agent_id"] = json!(name_of(&AGENTS, ticket.agent_id));
        shown["client_id"] = json!(CLIENT_NAME);
    }
    Some(shown)
}

impl HaloSim {
    /// Tell the webhooks what happened to ticket `id`.
    pub(crate) fn fire(&self, happening: Happening, id: i64, agent: i64, action: Option<Value>) {
        let core = &self.desk.core;
        let mode = self.desk.sender.mode.lock().clone();
        if mode.silent {
            return;
        }
        let webhook = core.seed.uuid(happening.path());
        let mut envelope = json!({
            "id": core.fresh("halo/delivery"), "webhook_id": webhook, "notification_id": 40,
            "escmsg_id": core.fresh("halo/escmsg"), "event": happening.phrase(), "object_id": id,
            "timestamp": rfc3339(core.clock.now()),
        });
        if mode.payload != WebhookPayload::EventOnly {
            let state = self.desk.state.lock();
            envelope["message"] = json!(happening.message(id));
            envelope["agent_id"] = json!(agent);
            envelope["ticket"] = json!(state.tickets.get(&id).and_then(|ticket| embedded(ticket, &mode)));
            if let Some(action) = action {
                envelope["action"] = action;
            }
        }
        self.desk.sender.accept(happening, &envelope);
    }

    /// Change how the webhooks behave from now on.
    pub fn webhooks(&self, mode: WebhookMode) {
        *self.desk.sender.mode.lock() = mode;
    }

    /// Send what a batch or a reordering still holds.
    pub fn flush_webhooks(&self) {
        let sender = Arc::clone(&self.desk.sender);
        self.desk.core.tasks.spawn(async move { sender.release().await });
    }

    /// The deliveries log, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.desk.sender.log.lock().clone()
    }

    /// An admin presses "re-send" in the deliveries log. `None`: no such delivery, or no answer.
    pub async fn resend(&self, id: &str) -> Option<u16> {
        let log = self.deliveries();
        let place = log.iter().position(|delivery| delivery.id == id)?;
        self.desk.sender.push(&log[place], place).await
    }

    /// A webhook about a ticket that does not exist, correctly proven.
    pub fn announce_unknown_ticket(&self, id: i64) {
        self.fire(Happening::Created, id, super::UNASSIGNED, None);
    }
}

/// `GET /WebhookEvent`
pub(crate) async fn list_deliveries(
    State(halo): State<HaloSim>,
    caller: Caller,
) -> Result<Json<Value>, Refusal> {
    caller.may("read", "tickets")?;
    let rows = halo.deliveries().into_iter().map(|delivery| {
        json!({ "id": delivery.id, "requestbody": delivery.body, "responsestatus": delivery.status })
    });
    Ok(Json(rows.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_vendors_vector() {
        let body = r#"{"id":"8e25bc7b-e07e-4102-9398-5d6647e1e79d","event":"ticket status changed","object_id":4242}"#;
        assert_eq!(
            signature("test-shared-secret", body.as_bytes()),
            "S98P3FCzZwByXIDyXYH/fh5ZUqZxROdoFsAaH5JjXkw="
        );
    }
}
