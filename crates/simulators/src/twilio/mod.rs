//! Twilio: messages out, status callbacks, texts in; and the phones at the other end.
//!
//! Source: `contracts/twilio.md`.

mod callbacks;
mod messages;
mod phones;
mod resource;
mod signature;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;

pub use messages::MessageView;
pub use phones::{Fate, Reply, Sms};

use crate::core::{Core, Shared};
use messages::Message;
use phones::Answering;
use resource::TwilioError;

/// Time between two statuses of a message.
const PACE: Duration = Duration::from_millis(20);

/// Simulated Twilio and the phones it reaches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TwilioSim {
    core: Arc<Core>,
    state: Arc<Shared<TwilioState>>,
}

#[derive(Debug)]
struct TwilioState {
    messages: Vec<Message>,
    /// Texts that arrived, by number, oldest first.
    inboxes: BTreeMap<String, Vec<Sms>>,
    answering: BTreeMap<String, Answering>,
    fates: BTreeMap<String, Fate>,
    opted_out: BTreeSet<String>,
    pace: Duration,
}

impl TwilioSim {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let state = TwilioState {
            messages: Vec::new(),
            inboxes: BTreeMap::new(),
            answering: BTreeMap::new(),
            fates: BTreeMap::new(),
            opted_out: BTreeSet::new(),
            pace: PACE,
        };
        Self {
            core,
            state: Arc::new(Shared::new(state)),
        }
    }

    pub(crate) fn router(&self) -> Router {
        let base = "/2010-04-01/Accounts/{account}";
        Router::new()
            .route(
                &format!("{base}/Messages.json"),
                post(messages::create).get(resource::list),
            )
            .route(
                &format!("{base}/Messages/{{sid}}"),
                get(resource::read)
                    .post(resource::update)
                    .delete(resource::delete),
            )
            .fallback(|| async { TwilioError::missing() })
            .with_state(self.clone())
    }

    /// The vendor's way to say 429 and 5xx.
    pub(crate) fn complain(status: StatusCode) -> Response {
        resource::complaint(status)
    }
}
