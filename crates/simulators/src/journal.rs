//! What happened in the simulated world, in order: an append-only list that tests wait on and the demo tells from.
//!
//! It remembers what people saw (a text, a card, a push) in full, as a phone would; it is never written to a log.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::{broadcast, watch};

use crate::System;
use crate::core::Shared;
use crate::entra::PushAnswer;

/// How many entries a slow subscriber may lag behind before it loses the oldest.
const SUBSCRIBER_LAG: usize = 1024;

/// How many of the last events a failed wait prints.
const TOLD_ON_FAILURE: usize = 12;

/// One thing that happened. Ids and addresses are the vendor's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields carry the vendors' own names")]
pub enum Event {
    /// Somebody wrote to the help desk.
    TicketFiled {
        ticket: i64,
        from: String,
        summary: String,
    },
    /// An action was added to a ticket; `private` is hidden from the user.
    NoteAdded {
        ticket: i64,
        by: String,
        outcome: String,
        text: String,
        private: bool,
    },
    /// A custom field of a ticket got another value.
    CustomFieldChanged {
        ticket: i64,
        field: String,
        value: String,
    },
    /// A ticket moved to another status (names).
    StatusChanged {
        ticket: i64,
        from: String,
        to: String,
        by: String,
    },
    /// A ticket got another agent or team (names).
    Assigned {
        ticket: i64,
        agent: String,
        team: String,
        by: String,
    },
    /// A vendor called one of our webhooks; no `status` means no answer.
    WebhookDelivered {
        system: System,
        event: String,
        url: String,
        status: Option<u16>,
    },
    /// A sign-in request appeared on a phone.
    PushShown { email: String },
    /// The person, or the clock, ended a sign-in request.
    PushAnswered { email: String, answer: PushAnswer },
    /// A Temporary Access Pass came to be; `replaced`: it killed a live one.
    PassCreated {
        email: String,
        pass: String,
        replaced: bool,
    },
    /// A Temporary Access Pass was deleted.
    PassDeleted { email: String, pass: String },
    /// A secret was added to the MFA service principal.
    SecretAdded { key: String },
    /// A secret was removed from the MFA service principal.
    SecretRemoved { key: String },
    /// The bot was installed for a person.
    BotInstalled { email: String },
    /// A card arrived in a person's chat; `text` is what they can read of it.
    CardShown {
        email: String,
        conversation: String,
        activity: String,
        text: String,
    },
    /// A card was replaced.
    CardUpdated {
        email: String,
        conversation: String,
        activity: String,
        text: String,
    },
    /// A card was taken back.
    CardDeleted {
        email: String,
        conversation: String,
        activity: String,
    },
    /// A button was pressed; `status` is what the bot answered (0: nothing), `answer` what the person then saw.
    ButtonPressed {
        email: String,
        verb: String,
        status: u16,
        answer: String,
    },
    /// Twilio accepted a message.
    SmsQueued { sid: String, to: String },
    /// A text arrived on a phone.
    SmsReceived {
        sid: String,
        from: String,
        to: String,
        body: String,
    },
    /// A message moved to another status.
    SmsStatus {
        sid: String,
        status: String,
        error: Option<u32>,
    },
    /// A person texted back; `status` is what our webhook answered.
    SmsReplied {
        from: String,
        body: String,
        status: Option<u16>,
    },
    /// Twilio's console complains about our webhook: 11200 (it failed) or 12300 (not TwiML).
    TwilioComplained { url: String, code: u32 },
    /// The text of a message was erased at Twilio.
    SmsRedacted { sid: String },
    /// A message was deleted at Twilio.
    SmsDeleted { sid: String },
    /// The model was asked; `answer` is the content it gave.
    ModelAsked { model: String, answer: String },
    /// A scripted fault hit a request.
    FaultStruck {
        system: System,
        fault: String,
        path: String,
    },
}

/// An event with its place and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 0, 1, 2, ... without gaps.
    pub seq: u64,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What happened.
    pub event: Event,
}

/// The awaited event did not come in time. Prints what came instead.
#[derive(Debug, thiserror::Error)]
#[error("not seen within {within:?}; the last of {total} events were:{told}")]
pub struct NotSeen {
    within: Duration,
    total: usize,
    told: String,
}

/// The list. Cheap to clone; all clones are the same list.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    entries: Shared<Vec<Entry>>,
    length: watch::Sender<usize>,
    live: broadcast::Sender<Entry>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                entries: Shared::new(Vec::new()),
                length: watch::Sender::new(0),
                live: broadcast::Sender::new(SUBSCRIBER_LAG),
            }),
        }
    }
}

impl Journal {
    /// Append.
    pub(crate) fn record(&self, event: Event) {
        let mut entries = self.inner.entries.lock();
        let entry = Entry {
            seq: entries.len() as u64,
            at: OffsetDateTime::now_utc(),
            event,
        };
        entries.push(entry.clone());
        let length = entries.len();
        // Told while the list is locked, so that subscribers hear in order. Nobody listening is fine.
        let _ = self.inner.live.send(entry);
        self.inner.length.send_replace(length);
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.inner.entries.lock().clone()
    }

    /// Everything from `position` on.
    pub fn since(&self, position: u64) -> Vec<Entry> {
        let from = usize::try_from(position).unwrap_or(usize::MAX);
        self.inner.entries.lock().iter().skip(from).cloned().collect()
    }

    /// The number the next entry will get.
    pub fn position(&self) -> u64 {
        self.inner.entries.lock().len() as u64
    }

    /// Entries as they come. A subscriber that lags too far loses the oldest ones and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<Entry> {
        self.inner.live.subscribe()
    }

    /// How many events so far satisfy `what`.
    pub fn count(&self, mut what: impl FnMut(&Event) -> bool) -> usize {
        self.inner
            .entries
            .lock()
            .iter()
            .filter(|entry| what(&entry.event))
            .count()
    }

    /// The first event, past or to come within `within`, that satisfies `what`.
    pub async fn wait_for(
        &self,
        within: Duration,
        what: impl FnMut(&Event) -> bool,
    ) -> Result<Entry, NotSeen> {
        self.wait_from(0, within, what).await
    }

    /// As [`Journal::wait_for`], but events before `position` do not count.
    pub async fn wait_from(
        &self,
        position: u64,
        within: Duration,
        mut what: impl FnMut(&Event) -> bool,
    ) -> Result<Entry, NotSeen> {
        let search = async {
            let mut length = self.inner.length.subscribe();
            let mut next = position;
            loop {
                for entry in self.since(next) {
                    if what(&entry.event) {
                        return entry;
                    }
                    next = entry.seq + 1;
                }
                if length.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(within, search)
            .await
            .map_err(|_| self.not_seen(within))
    }

    fn not_seen(&self, within: Duration) -> NotSeen {
        let entries = self.entries();
        let mut told = String::new();
        for entry in entries.iter().skip(entries.len().saturating_sub(TOLD_ON_FAILURE)) {
            // Writing to a String cannot fail.
            let _ = write!(told, "\n  {} {:?}", entry.seq, entry.event);
        }
        NotSeen {
            within,
            total: entries.len(),
            told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filed(ticket: i64) -> Event {
        Event::TicketFiled {
            ticket,
            from: "adele@contoso.example".into(),
            summary: "help".into(),
        }
    }

    #[tokio::test]
    async fn a_wait_sees_the_past_and_the_future_and_names_what_came_instead() {
        let journal = Journal::default();
        journal.record(filed(1));
        let past = journal
            .wait_for(Duration::from_millis(10), |e| *e == filed(1))
            .await
            .unwrap();
        assert_eq!(past.seq, 0);

        let writer = journal.clone();
        let (seen, ()) = tokio::join!(
            journal.wait_from(1, Duration::from_secs(5), |e| matches!(
                e,
                Event::TicketFiled { .. }
            )),
            async move { writer.record(filed(2)) }
        );
        assert_eq!(
            seen.unwrap().event,
            filed(2),
            "the first ticket lies before the position"
        );

        let missed = journal
            .wait_for(Duration::from_millis(5), |e| *e == filed(3))
            .await
            .unwrap_err();
        assert!(missed.to_string().contains("ticket: 2"), "{missed}");
    }

    #[test]
    fn an_event_reads_as_json_with_its_kind() {
        let told = serde_json::to_value(filed(7)).unwrap();
        assert_eq!(told["kind"], "ticket_filed");
        assert_eq!(told["ticket"], 7);
    }
}
