//! What is left to a person because of the mode: watched for how it ends, and where an agent may approve it, offered to
//! them by a private note with a link that works once.

use std::fmt;
use std::time::Duration;

use common::clock;
use common::{Decision, Digest, TicketId};
use connectors::CallError;
use connectors::halopsa::{Halo, NewNote, Outcome};
use rand::RngExt as _;
use time::OffsetDateTime;
use url::Url;

use super::{AWAITS_AGENT, SHADOW_MODE};
use crate::store::{Offer, Store, StoreError};

/// How long a suggestion can be approved.
const VALID: Duration = Duration::from_hours(24);
/// Webhooks tell of a ticket's end; this is for the one that never came.
const FIRST_LOOK: Duration = Duration::from_hours(1);
/// Stands for the code where the words of the note are kept.
const WITHHELD: &str = "...";

/// Not everything is on the ticket yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOffered {
    /// The help desk did not take the note.
    #[error("the suggestion is not on the ticket yet")]
    Desk(#[from] CallError),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The secret of a link: 128 random bits. Whoever has it may approve; it is written on the ticket and nowhere else.
pub(crate) struct Code(String);

impl Code {
    fn fresh() -> Self {
        let bits: u128 = rand::rng().random();
        Self(format!("{bits:032x}"))
    }

    /// As it stands in a link; `None` for what never was one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// Puts suggestions on tickets.
#[derive(Clone)]
pub(crate) struct Offers {
    pub(crate) store: Store,
    pub(crate) halo: Halo,
    pub(crate) outcome: Outcome,
    /// How agents reach us; without it nothing is suggested.
    pub(crate) public_url: Option<Url>,
}

impl Offers {
    /// See to it that what the mode holds back is watched, and offered where it waits for an agent. Safe to repeat.
    pub(crate) async fn present(&self, decision: &Decision) -> Result<(), NotOffered> {
        let held = |code: &str| decision.blockers.iter().any(|blocker| blocker.code == code);
        let (shadow, suggest) = (held(SHADOW_MODE), held(AWAITS_AGENT));
        if !shadow && !suggest {
            return Ok(());
        }
        self.store
            .watch(&decision.ticket_id, decision.decision_id, FIRST_LOOK)
            .await?;
        match &self.public_url {
            Some(public_url) if suggest => self.offer(decision, public_url).await,
            _ => Ok(()),
        }
    }

    /// The help desk has no idempotency key, and only the digest of a code is kept: where an earlier try came to nothing,
    /// or nobody knows, its note is looked for by the digest before another code takes its place.
    async fn offer(&self, decision: &Decision, public_url: &Url) -> Result<(), NotOffered> {
        let ticket = &decision.ticket_id;
        if let Some(known) = self.store.suggestion(decision.decision_id).await? {
            let stands = self.stands(ticket, &known.code_digest).await?;
            if stands || known.approved_at.is_some() {
                return Ok(());
            }
        }
        let (code, now) = (Code::fresh(), clock::now());
        let (digest, expires_at) = (code.digest(), now + VALID);
        let offer = Offer {
            code: &digest,
            words: &note(decision, &link(public_url, WITHHELD), expires_at),
            now,
            expires_at,
        };
        self.store.suggest(ticket, decision.decision_id, offer).await?;
        let text = note(decision, &link(public_url, &code.0), expires_at);
        let note = NewNote {
            text: &text,
            private: true,
            outcome: self.outcome.clone(),
            new_status: None,
            new_agent: None,
            marker: &marker(&digest),
        };
        Ok(self.halo.add_note(ticket, &note).await?)
    }

    async fn stands(&self, ticket: &TicketId, digest: &Digest) -> Result<bool, CallError> {
        self.halo.find_marker(ticket, &marker(digest)).await
    }
}

/// By which the note is found again. It gives nothing of the code away.
fn marker(digest: &Digest) -> String {
    let beginning: String = digest.as_str().chars().take(32).collect();
    format!("firstline/suggestion/{beginning}")
}

fn link(public_url: &Url, code: &str) -> String {
    let base = public_url.as_str().trim_end_matches('/');
    format!("{base}/suggestions/{code}")
}

/// What the agent reads. Nothing of it is the requester's words.
fn note(decision: &Decision, link: &str, expires_at: OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let until = expires_at.to_offset(time::UtcOffset::UTC).format(&format);
    let until = until.unwrap_or_default();
    let playbook = decision.playbook.as_ref();
    let playbook = playbook.map_or_else(String::new, |playbook| {
        format!("`{}` {}", playbook.name, playbook.version)
    });
    let kind = match &decision.sub_category {
        Some(sub_category) => format!("{} / {sub_category}", decision.category),
        None => decision.category.clone(),
    };
    format!(
        "Firstline suggests to run playbook {playbook} for this ticket ({kind}, confidence {:.2}).\n\
         Nothing has been done yet. To have it done, open this link and press the button. It works once, until {until}:\n\
         {link}\n\
         The requester still has to prove who they are. If nobody approves it, the ticket stays with you.",
        decision.confidence
    )
}

#[cfg(test)]
mod tests {
    use common::{DecisionId, PlaybookRef};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_written_and_shown_to_nobody() {
        let code = Code::fresh();
        assert_eq!(Code::read(&code.0).unwrap().digest(), code.digest());
        assert_eq!(format!("{code:?}"), "Code(..)");
        for no_code in [
            "",
            "0",
            &"g".repeat(32),
            &"A".repeat(32),
            &"0".repeat(33),
            &"é".repeat(16),
        ] {
            assert!(Code::read(no_code).is_none(), "{no_code}");
        }
    }

    #[test]
    fn the_agent_reads_what_would_be_done_and_where_to_approve_it() {
        let decision = Decision {
            decision_id: DecisionId::fresh(),
            tenant_id: "default".parse().unwrap(),
            ticket_id: "1".parse().unwrap(),
            automated: false,
            category: "REQUEST".to_owned(),
            sub_category: Some("PASSWORD_RESET".to_owned()),
            confidence: 0.934,
            model: "embedded/1".to_owned(),
            prompt_version: "1".to_owned(),
            reasoning: String::new(),
            blockers: vec![],
            playbook: Some(PlaybookRef {
                name: "password_reset".parse().unwrap(),
                version: "1.2".parse().unwrap(),
                digest: Digest::of(""),
            }),
            execution_id: None,
            decided_at: OffsetDateTime::UNIX_EPOCH,
        };
        let base = "https://desk.example/firstline/".parse().unwrap();
        let code = Code::read(&"0a".repeat(16)).unwrap();
        let until = datetime!(2026-11-29 19:30 UTC);
        insta::assert_snapshot!(note(&decision, &link(&base, &code.0), until));
        assert!(!marker(&code.digest()).contains(&code.0));
    }
}
