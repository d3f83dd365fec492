//! The outbox: tells the help desk what executions did, in order per ticket, exactly once in effect.
//!
//! The help desk has no idempotency key. So every note carries a marker, and where the fate of a sending is unknown (no
//! answer, or a sender that died) the ticket's notes are read before anything is sent again. A help desk that is away
//! costs patience; other tickets do not wait for it.

pub(crate) mod plan;

use std::time::Duration;

use chassis::{AuditEvent, Did};
use common::{AutomationStatus, ExecutionId};
use serde_json::json;
use tracing::Instrument;

use crate::desk::{Desk, DeskError, Remedy};
use crate::store::{ClaimedTicket, Settled, Store, StoreError};
use crate::story;
use crate::update::{Due, Marker, PlaybookNote, SetFields, Update};
use plan::{Dispatch, Note, Stories, Told, plan};

/// Longer than one call of the help desk can take: a note that is still under way must never be looked for in vain. Every
/// call begins it anew.
const LEASE: Duration = Duration::from_secs(30);
/// One call of the help desk may take this long.
const LONGEST_TELLING: Duration = Duration::from_secs(20);
/// The vendor's window is a rolling five minutes: no wait needs to be longer.
const WAITS_S: [u64; 8] = [1, 2, 5, 10, 20, 40, 60, 120];

/// A note that was sent and not answered for may still be on its way: look for it no sooner.
const BEFORE_LOOKING: Duration = Duration::from_secs(3);

/// Tells the help desk.
pub(crate) struct Sender {
    store: Store,
    desk: Desk,
}

/// Why a ticket was let go before all was told.
enum Stopped {
    /// It is ours no longer, or the database is away: whoever claims it next goes on.
    Store(StoreError),
    /// The help desk did not take it.
    Desk(DeskError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DeskError> for Stopped {
    fn from(error: DeskError) -> Self {
        Self::Desk(error)
    }
}

impl Sender {
    pub(crate) const fn new(store: Store, desk: Desk) -> Self {
        Self { store, desk }
    }

    pub(crate) const fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Tell one ticket's news.
    pub(crate) async fn step(&self) -> Result<Did, StoreError> {
        let Some(claimed) = self.store.claim_tickets(1, LEASE).await?.pop() else {
            self.report_backlog().await?;
            return Ok(self
                .store
                .next_ticket_due()
                .await?
                .map_or(Did::Nothing, Did::NothingUntil));
        };
        let span = tracing::info_span!("tell", ticket.id = %claimed.ticket);
        chassis::telemetry::adopt(&span, claimed.traceparent.as_deref());
        self.tell_or_let_go(claimed).instrument(span).await?;
        Ok(Did::Work)
    }

    async fn tell_or_let_go(&self, claimed: ClaimedTicket) -> Result<(), StoreError> {
        match self.tell(claimed.clone()).await {
            Ok(()) => Ok(()),
            Err(Stopped::Store(StoreError::Fenced)) => {
                tracing::info!("another sender has taken over");
                Ok(())
            }
            Err(Stopped::Store(error)) => {
                // Whether the last sending was settled is not known. Where this fails, too, the lease runs out by itself.
                let _ = self.store.postpone(&claimed, Duration::from_secs(1), true).await;
                Err(error)
            }
            Err(Stopped::Desk(error)) => self.postpone(&claimed, &error).await,
        }
    }

    async fn tell(&self, mut claimed: ClaimedTicket) -> Result<(), Stopped> {
        let mut standing = if claimed.doubt {
            Some(self.call(&claimed, self.desk.standing(&claimed.ticket)).await??)
        } else {
            None
        };
        loop {
            let due = self.store.due_updates(&claimed.ticket).await?;
            if due.is_empty() {
                match self.store.rest(&claimed).await? {
                    None => return Ok(()),
                    Some(enqueued) => claimed.enqueued = enqueued,
                }
                continue;
            }
            let stories = self.stories(&due).await?;
            for dispatch in plan(&due, &stories) {
                self.dispatch(&claimed, dispatch, standing.as_deref()).await?;
            }
            // Looked once, and everything since was heard of.
            standing = None;
        }
    }

    /// One call of the help desk, made only where the ticket is still ours, under a lease that outlasts it.
    fn call<T>(
        &self,
        claimed: &ClaimedTicket,
        telling: impl Future<Output = Result<T, DeskError>>,
    ) -> impl Future<Output = Result<Result<T, DeskError>, StoreError>> {
        // On the heap: a call of the help desk is too large to be moved from frame to frame.
        let telling = Box::pin(telling);
        async move {
            self.store.keep(claimed, LEASE).await?;
            Ok(in_time(telling).await)
        }
    }

    /// What ended executions did, for the notes that tell it.
    async fn stories(&self, due: &[Due]) -> Result<Stories, StoreError> {
        let mut stories = Stories::new();
        for Due {
            execution, update, ..
        } in due
        {
            let told = matches!(update, Update::Resolved | Update::Escalated | Update::Story);
            if told
                && !stories.contains_key(execution)
                && let Some(story) = self.store.story(*execution).await?
            {
                stories.insert(*execution, story);
            }
        }
        Ok(stories)
    }

    async fn dispatch(
        &self,
        claimed: &ClaimedTicket,
        dispatch: Dispatch,
        standing: Option<&[String]>,
    ) -> Result<(), Stopped> {
        match dispatch {
            Dispatch::Note(note) => {
                let stands = |marker: &Marker| {
                    standing.is_some_and(|notes| notes.iter().any(|note| note.contains(marker.as_str())))
                };
                self.note(claimed, note.without(stands)).await
            }
            Dispatch::Fields { covers, status } => self.fields(claimed, &covers, status).await,
            Dispatch::Set {
                position,
                execution,
                fields,
            } => self.set(claimed, position, execution, fields).await,
        }
    }

    async fn note(&self, claimed: &ClaimedTicket, note: Note) -> Result<(), Stopped> {
        let Some((text, marker)) = note.text() else {
            // All of it stands there already, or was told with a later one.
            return self.settled(claimed, &note.told(), Settled::Sent, None).await;
        };
        let adding = self.desk.add(&claimed.ticket, &text, marker, &note);
        match self.call(claimed, adding).await? {
            Ok(()) => self.settled(claimed, &note.told(), Settled::Sent, None).await,
            // A workflow may forbid the status: then the words matter more, and `fields` tries the status by itself.
            Err(error) if error.remedy() == Remedy::GiveUp && note.change().is_some() => {
                tracing::warn!(ticket.id = %claimed.ticket, %error, "the help desk refused a note that changes the ticket; sending the words alone");
                Box::pin(self.note(claimed, note.without_change())).await
            }
            Err(error) => self.not_taken(claimed, &note.told(), error).await,
        }
    }

    async fn fields(
        &self,
        claimed: &ClaimedTicket,
        covers: &[i64],
        status: AutomationStatus,
    ) -> Result<(), Stopped> {
        let told = Told {
            what: "automation status",
            covers,
        };
        let Some(ticket) = self.call(claimed, self.desk.ticket(&claimed.ticket)).await?? else {
            let why = "the help desk does not know the ticket";
            return self.settled(claimed, &told, Settled::Refused, Some(why)).await;
        };
        match self.call(claimed, self.desk.settle(&ticket, status)).await? {
            Ok(()) => self.settled(claimed, &told, Settled::Sent, None).await,
            Err(error) => self.not_taken(claimed, &told, error).await,
        }
    }

    /// Set a playbook's fields. Where the help desk will never take them, the ticket says so instead.
    async fn set(
        &self,
        claimed: &ClaimedTicket,
        position: i64,
        execution: ExecutionId,
        fields: SetFields,
    ) -> Result<(), Stopped> {
        let told = Told {
            what: "custom fields",
            covers: &[position],
        };
        let setting = async {
            match self.desk.ticket(&claimed.ticket).await? {
                Some(ticket) => self.desk.set(&ticket, &fields.fields).await,
                None => Err(DeskError::NeverTaken(
                    "the help desk does not know the ticket".to_owned(),
                )),
            }
        };
        match self.call(claimed, setting).await? {
            Ok(()) => self.settled(claimed, &told, Settled::Sent, None).await,
            Err(error) if error.remedy() == Remedy::GiveUp => {
                let why = error.to_string();
                let text = story::not_set(&fields, &why);
                let note = Update::Note(PlaybookNote {
                    call: fields.call,
                    name: fields.name,
                    text,
                    public: false,
                });
                // Before it is settled: told twice is better than not at all, and only a crash in between does that.
                self.store.tell(&claimed.ticket, execution, &[note]).await?;
                self.settled(claimed, &told, Settled::Refused, Some(&why)).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the help desk will never take is put on record, so that what comes after it is told.
    async fn not_taken(
        &self,
        claimed: &ClaimedTicket,
        told: &Told<'_>,
        error: DeskError,
    ) -> Result<(), Stopped> {
        if error.remedy() != Remedy::GiveUp {
            return Err(error.into());
        }
        self.settled(claimed, told, Settled::Refused, Some(&error.to_string()))
            .await
    }

    async fn settled(
        &self,
        claimed: &ClaimedTicket,
        Told { what, covers }: &Told<'_>,
        settled: Settled,
        why: Option<&str>,
    ) -> Result<(), Stopped> {
        let kind = match settled {
            Settled::Sent => "ticket_update.sent",
            Settled::Refused => "ticket_update.refused",
        };
        if let Some(why) = why {
            tracing::error!(ticket.id = %claimed.ticket, why, "an update was refused by the help desk");
        }
        metrics::counter!("firstline_ticket_updates_total", "result" => settled.as_str())
            .increment(covers.len() as u64);
        let detail = json!({"what": what, "positions": covers, "why": why});
        let event = AuditEvent::new(kind, detail).ticket(&claimed.ticket);
        Ok(self
            .store
            .settle(claimed, covers, settled, &[event], LEASE)
            .await?)
    }

    async fn postpone(&self, claimed: &ClaimedTicket, error: &DeskError) -> Result<(), StoreError> {
        let remedy = error.remedy();
        let wait = backoff(claimed.failures, rand::random());
        let wait = match remedy {
            Remedy::Wait(at_least) => wait.max(at_least),
            Remedy::Look => wait.max(BEFORE_LOOKING),
            Remedy::GiveUp => wait,
        };
        let failures = claimed.failures + 1;
        tracing::warn!(ticket.id = %claimed.ticket, %error, failures, wait_s = wait.as_secs_f64(), "the help desk was not told; will be tried again");
        let doubt = remedy == Remedy::Look;
        self.store.postpone(claimed, wait, doubt).await
    }

    async fn report_backlog(&self) -> Result<(), StoreError> {
        let tickets = self.store.backlog().await?;
        // Far below 2^52: exact.
        #[expect(clippy::cast_precision_loss, reason = "a gauge takes floats")]
        metrics::gauge!("firstline_outbox_tickets").set(tickets as f64);
        Ok(())
    }
}

/// A telling that takes too long may still arrive.
async fn in_time<T>(telling: impl Future<Output = Result<T, DeskError>>) -> Result<T, DeskError> {
    let told = tokio::time::timeout(LONGEST_TELLING, telling).await;
    told.unwrap_or(Err(DeskError::TooLong))
}

/// The wait after one more failure, a fifth shorter or longer so that tickets do not all come back at once.
fn backoff(failures: i32, chance: f64) -> Duration {
    let nth = usize::try_from(failures)
        .unwrap_or_default()
        .min(WAITS_S.len() - 1);
    let wait_s = WAITS_S.get(nth).copied().unwrap_or(WAITS_S[0]);
    Duration::from_secs(wait_s).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use common::StepCall;
    use connectors::halopsa::{Halo, HaloSettings};
    use launcher::testing::TestDatabase;
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::settings::DeskSettings;
    use crate::store::stored;
    use crate::update::Asked;

    #[test]
    fn patience_grows_and_stays_within_the_vendors_window() {
        let waits: Vec<u64> = [0, 1, 2, 7, 1000]
            .map(|failures| backoff(failures, 0.5).as_secs())
            .to_vec();
        assert_eq!(waits, [1, 2, 5, 120, 120]);
        assert!(backoff(3, 0.0) < backoff(3, 1.0));
    }

    /// A ticket with something to be told, and a help desk that fails whatever it is asked.
    async fn a_ticket_and_a_failing_desk() -> (TestDatabase, MockServer, Sender) {
        let (database, server) = (launcher::testing::database().await, MockServer::start().await);
        Mock::given(any())
            .respond_with(ResponseTemplate::new(500))
            .mount(&server)
            .await;
        let store = stored::store(&database).await;
        let asked = Update::Asked(Asked {
            call: StepCall {
                id: "verify_mfa".parse().unwrap(),
                visit: 1,
                attempt: 1,
            },
            name: "Verify User via MFA".to_owned(),
            asked: "Adele Vance was asked to approve on her phone.".to_owned(),
        });
        // In the company of a story it does not linger.
        stored::execution(&store, "4242", &[asked, Update::Story]).await;
        let url = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
        let halo = HaloSettings {
            resource_url: url("/api"),
            auth_url: url("/auth"),
            tenant: None,
            client_id: "id".to_owned(),
            client_secret: "secret".into(),
            rate_per_5min: None,
        };
        let halo = Halo::new(halo, connectors::http_client().unwrap());
        let sender = Sender::new(store, Desk::new(halo, desk_settings()));
        (database, server, sender)
    }

    fn desk_settings() -> DeskSettings {
        DeskSettings {
            field_status: "CFautomation_status".to_owned(),
            status_resolved: "Resolved".to_owned(),
            status_escalated: None,
            outcome_note: "Note".to_owned(),
        }
    }

    #[tokio::test]
    async fn every_call_of_the_help_desk_begins_the_lease_anew() {
        let (_database, server, sender) = a_ticket_and_a_failing_desk().await;
        let nearly_over = Duration::from_secs(1);
        let claimed = sender
            .store
            .claim_tickets(1, nearly_over)
            .await
            .unwrap()
            .remove(0);
        let told = sender.tell(claimed).await;
        assert!(matches!(told, Err(Stopped::Desk(_))));
        assert!(!server.received_requests().await.unwrap().is_empty());
        let lease = sender.store.next_ticket_due().await.unwrap().unwrap();
        assert!(lease > LONGEST_TELLING, "{lease:?}");
    }

    #[tokio::test]
    async fn a_sender_whose_ticket_was_taken_over_says_nothing_more() {
        let (_database, server, sender) = a_ticket_and_a_failing_desk().await;
        let overslept = sender
            .store
            .claim_tickets(1, Duration::ZERO)
            .await
            .unwrap()
            .remove(0);
        let heir = sender.store.claim_tickets(1, LEASE).await.unwrap().remove(0);
        assert!(heir.fence > overslept.fence && heir.doubt);
        for doubt in [false, true] {
            let told = sender
                .tell(ClaimedTicket {
                    doubt,
                    ..overslept.clone()
                })
                .await;
            assert!(matches!(told, Err(Stopped::Store(StoreError::Fenced))));
        }
        assert_eq!(server.received_requests().await.unwrap().len(), 0);
    }
}
