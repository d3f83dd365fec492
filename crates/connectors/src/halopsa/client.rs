//! The client: how calls are made, and what is read of tickets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::TicketId;
use common::window::RollingWindow;
use http::Method;
use secrecy::SecretString;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::lenient::{known, list};
use super::wire::{check_warning, not_there, refusal};
use super::{Action, Changes, HaloSettings, Seen, Ticket, TicketStub};
use crate::call::{Answer, Authorized, Call, CallError, Caller, Repeat, System, TOO_LARGE, join, unreadable};

/// The least that Firstline needs (contract, section 1.2).
const SCOPE: &str = "read:tickets edit:tickets read:customers";
/// Pages of 100 that one look for changes reads at most; the next look goes on where this one ended.
const MOST_PAGES: u32 = 20;
/// The most that HaloPSA gives on a page of tickets.
const PAGE_SIZE: usize = 100;
/// Entries of a history that are looked through.
const ENTRIES: u32 = 500;
/// And of one whose entries are longer than is ever read.
const FEWEST_ENTRIES: u32 = 20;

/// A tenant of HaloPSA. Cheap to clone; clones share the token and the limit of requests.
#[derive(Clone)]
pub struct Halo {
    shared: Arc<Shared>,
}

struct Shared {
    settings: HaloSettings,
    authorized: Authorized,
}

impl Halo {
    /// A client; nothing is sent yet. `shared` counts the calls of other processes too: the vendor's limit is the tenant's.
    pub fn new(
        settings: HaloSettings,
        http: reqwest::Client,
        shared: Option<Arc<dyn RollingWindow>>,
    ) -> Self {
        let mut token_url = join(&settings.auth_url, &["token"]);
        if let Some(tenant) = &settings.tenant {
            token_url.query_pairs_mut().append_pair("tenant", tenant);
        }
        let form = vec![
            ("grant_type", "client_credentials".into()),
            ("client_id", settings.client_id.clone().into()),
            ("client_secret", settings.client_secret.clone()),
            ("scope", SecretString::from(SCOPE)),
        ];
        let caller = Caller::new(System::HaloPsa, http).limited(settings.rate_per_5min, shared);
        // The vendor's tokens live an hour; a new one may invalidate the one before.
        let early = Duration::from_mins(1);
        let authorized = Authorized::new(caller, System::HaloPsa, token_url, form, early);
        Self {
            shared: Arc::new(Shared { settings, authorized }),
        }
    }

    /// A ticket as it stands now; `None` where HaloPSA does not know it: not found, or a record without a number.
    pub async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, CallError> {
        let query = [("includedetails", "true"), ("includelastaction", "false")];
        let found = self.find("ticket", &["Tickets", id.as_str()], &query).await?;
        let Some(body) = found else { return Ok(None) };
        Ok(known(&body)?.and_then(Ticket::read))
    }

    /// Open tickets that changed since then, each change once. At most 2000. The answer says until when they are all of them.
    ///
    /// Goes on by the last row's time: rows shift between numbered pages, and one that moved forward would be missed.
    pub async fn updated_since(&self, since: OffsetDateTime) -> Result<Changes, CallError> {
        let mut seen = BTreeSet::new();
        let mut tickets = Vec::new();
        let mut at = Place::of(since);
        // Of the first page: what changes while the others are read is seen by the next look.
        let mut asked_at: Option<Option<OffsetDateTime>> = None;
        for _ in 0..MOST_PAGES {
            let (date, rows) = match self.changed(&at).await {
                Ok(page) => page,
                Err(error) if error.is_refused(TOO_LARGE) => {
                    at = at.past_too_much();
                    continue;
                }
                // What was read is not read again.
                Err(error) if !tickets.is_empty() => {
                    tracing::warn!(error = %error, "a look for changes was broken off");
                    break;
                }
                Err(error) => return Err(error),
            };
            let asked_at = *asked_at.get_or_insert(date);
            let full = rows.len() >= at.size;
            let stubs: Vec<TicketStub> = rows.iter().filter_map(TicketStub::read).collect();
            let last = last_change(&stubs);
            tickets.extend(stubs.into_iter().filter(|stub| seen.insert(stub.clone())));
            if !full {
                return Ok(Changes {
                    tickets,
                    seen: asked_at.map(Seen::AllUntil),
                });
            }
            at = at.after(last);
        }
        Ok(Changes {
            tickets,
            seen: Some(Seen::NotFrom(at.from)),
        })
    }

    /// A page of what changed, and what the vendor's clock said.
    async fn changed(&self, at: &Place) -> Result<(Option<OffsetDateTime>, Vec<Value>), CallError> {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let from = at.from.to_offset(time::UtcOffset::UTC).format(&format);
        let from =
            from.map_err(|error| CallError::refused(System::HaloPsa, "bad_date", error.to_string()))?;
        let (page, size) = (at.page.to_string(), at.size.to_string());
        let query = [
            ("open_only", "true"),
            ("lastupdatefromdate", from.as_str()),
            ("order", "lastupdate"),
            ("orderdesc", "false"),
            ("pageinate", "true"),
            ("page_size", size.as_str()),
            ("page_no", page.as_str()),
        ];
        let answer = self.get("tickets", &["Tickets"], &query).await?;
        Ok((
            answer.date(),
            list(found(&answer)?.unwrap_or_default(), "tickets")?,
        ))
    }

    /// The newest 500 entries of a ticket's history, without the system's own. Whoever asks wants to know what is not
    /// there, so a history that can't be read is an error, never an empty one.
    pub async fn actions(&self, ticket: &TicketId) -> Result<Vec<Action>, CallError> {
        self.newest(ticket, ENTRIES).await
    }

    /// The same, to look for what was written a moment ago: of a history that is too long to be read, fewer of the newest entries.
    pub async fn latest_actions(&self, ticket: &TicketId) -> Result<Vec<Action>, CallError> {
        let mut entries = ENTRIES;
        loop {
            match self.newest(ticket, entries).await {
                Err(error) if error.is_refused(TOO_LARGE) && entries > FEWEST_ENTRIES => entries /= 5,
                found => return found,
            }
        }
    }

    async fn newest(&self, ticket: &TicketId, entries: u32) -> Result<Vec<Action>, CallError> {
        let count = entries.to_string();
        let query = [
            ("ticket_id", ticket.as_str()),
            ("excludesys", "true"),
            ("includehtmlnote", "true"),
            ("count", count.as_str()),
        ];
        let rows = self.rows("actions", "Actions", &query, "actions").await?;
        rows.iter().map(Action::read).collect()
    }

    /// Whether a note with this marker, written a moment ago, is on the ticket.
    pub async fn find_marker(&self, ticket: &TicketId, marker: &str) -> Result<bool, CallError> {
        let actions = self.latest_actions(ticket).await?;
        Ok(actions.iter().any(|action| action.note.contains(marker)))
    }

    /// GET a list. Not found is an error as any other shape is: neither says that there are no rows.
    pub(super) async fn rows(
        &self,
        operation: &'static str,
        path: &str,
        query: &[(&str, &str)],
        plural: &str,
    ) -> Result<Vec<Value>, CallError> {
        // Not found becomes `null`, and that is no list.
        let body = self.find(operation, &[path], query).await?.unwrap_or_default();
        list(body, plural)
    }

    /// GET; `None` where HaloPSA does not know the thing.
    pub(super) async fn find(
        &self,
        operation: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<Value>, CallError> {
        found(&self.get(operation, path, query).await?)
    }

    async fn get(
        &self,
        operation: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, CallError> {
        let url = join(&self.shared.settings.resource_url, path);
        self.shared
            .authorized
            .call(|| {
                let http = &self.shared.authorized.caller.http;
                let builder = http
                    .request(Method::GET, url.clone())
                    .header(http::header::ACCEPT, "application/json")
                    .query(query);
                let mut call = Call::new(operation, Repeat::Safe, builder);
                call.as_large_again = true;
                call
            })
            .await
    }

    /// POST records; they are taken in their order. What the answer shows of them: all, or the last, or nothing.
    pub(super) async fn post(
        &self,
        operation: &'static str,
        repeat: Repeat,
        path: &str,
        records: &[Value],
    ) -> Result<Vec<Value>, CallError> {
        let mut url = join(&self.shared.settings.resource_url, &[path]);
        if records.len() > 1 {
            // Else only the last of them is answered for, and a warning about another is lost.
            url.query_pairs_mut().append_pair("returnall", "true");
        }
        let answer = self
            .shared
            .authorized
            .call(|| {
                let http = &self.shared.authorized.caller.http;
                let builder = http
                    .post(url.clone())
                    .header(http::header::ACCEPT, "application/json")
                    .json(records);
                Call::new(operation, repeat, builder)
            })
            .await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        // An answer that can't be read changes nothing about what was done.
        let written = match answer.json().unwrap_or_default() {
            Value::Array(written) => written,
            one => vec![one],
        };
        written.iter().try_for_each(check_warning)?;
        Ok(written)
    }
}

/// How far a look for changes has come.
struct Place {
    from: OffsetDateTime,
    page: u32,
    /// Rows on a page.
    size: usize,
}

impl Place {
    const fn of(since: OffsetDateTime) -> Self {
        Self {
            from: since,
            page: 1,
            size: PAGE_SIZE,
        }
    }

    /// After a whole page, whose last row changed then.
    fn after(self, last: Option<OffsetDateTime>) -> Self {
        match last.filter(|last| *last > self.from) {
            Some(last) => Self {
                from: last,
                page: 1,
                ..self
            },
            // More than a page at one moment, or in no order: only the page's number leads on.
            None => Self {
                page: self.page + 1,
                ..self
            },
        }
    }

    /// The page is longer than anything that is read: rows carry what people wrote. Half of it, and past a single one.
    fn past_too_much(self) -> Self {
        if self.size == 1 {
            tracing::error!(from = %self.from, "a ticket is too large to be read even alone; the look goes on behind it");
            return self.after(None);
        }
        Self {
            page: 1,
            size: self.size / 2,
            ..self
        }
    }
}

/// What was asked for; `None` where HaloPSA does not know it.
fn found(answer: &Answer) -> Result<Option<Value>, CallError> {
    match answer.status {
        _ if not_there(answer) => Ok(None),
        status if status.is_success() => answer
            .json()
            .map(Some)
            .map_err(|malformed| unreadable(System::HaloPsa, malformed)),
        _ => Err(refusal(answer)),
    }
}

/// When the last row changed, where the rows come in the order of their changes; no tenant promises that.
fn last_change(rows: &[TicketStub]) -> Option<OffsetDateTime> {
    let changes: Option<Vec<OffsetDateTime>> = rows.iter().map(|row| row.updated).collect();
    changes
        .filter(|changes| changes.is_sorted())
        .and_then(|changes| changes.last().copied())
}
