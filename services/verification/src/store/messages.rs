//! Text messages that came in: recognised by keyed hash, each answered once and again in the same words.

use chassis::{AuditEvent, Transaction};
use common::OperationId;
use time::OffsetDateTime;

use super::change::Hold;
use super::{Store, StoreError, notify};
use crate::operation::{Event, Facts, Operation};
use crate::record;

/// A text message as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundSms {
    /// The vendor's id.
    pub id: String,
    /// `+44•••••123`.
    pub sender: String,
    /// When it came.
    pub received_at: OffsetDateTime,
}

/// Whose answer a text message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// Number and code belong to this request.
    Answer(OperationId),
    /// The number was asked in this open request, but the code is another.
    Number(OperationId),
    /// Nobody we asked.
    Nobody,
}

impl Store {
    /// What was replied to a message before, where it came before.
    pub async fn reply_to(&self, message: &str) -> Result<Option<String>, StoreError> {
        let reply = sqlx::query_scalar!(
            "SELECT reply
             FROM verification_messages
             WHERE tenant_id = $1 AND message_id = $2",
            self.tenant.as_str(),
            message,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(reply)
    }

    /// Whose answer it is; an open request goes before one that has ended, a newer before an older.
    pub async fn recognise(
        &self,
        number_hash: &str,
        answer_hash: Option<&str>,
    ) -> Result<Recognised, StoreError> {
        if let Some(answer_hash) = answer_hash {
            let known = sqlx::query_scalar!(
                "SELECT id
                 FROM verifications
                 WHERE tenant_id = $1 AND sms_answer_hash = $2
                 ORDER BY state = 'open' DESC, asked_at DESC
                 LIMIT 1",
                self.tenant.as_str(),
                answer_hash,
            )
            .fetch_optional(&self.pool)
            .await?;
            if let Some(id) = known {
                return Ok(Recognised::Answer(OperationId(id)));
            }
        }
        let asked = sqlx::query_scalar!(
            "SELECT id
             FROM verifications
             WHERE tenant_id = $1 AND sms_number_hash = $2 AND state = 'open'
             ORDER BY asked_at DESC
             LIMIT 1",
            self.tenant.as_str(),
            number_hash,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(asked.map_or(Recognised::Nobody, |id| Recognised::Number(OperationId(id))))
    }

    /// Take a message about nothing that anybody was asked: record it and its reply.
    pub async fn take_stray(
        &self,
        message: &InboundSms,
        verdict: &'static str,
        reply: &str,
    ) -> Result<String, StoreError> {
        let tx = self.pool.begin().await?;
        self.reply(tx, message, None, vec![], (verdict, reply.to_owned()))
            .await
    }

    /// Take a message about an operation at `now`: apply what `event` makes of it, record it and the reply that `words`
    /// finds, all at once.
    ///
    /// `words` sees the operation before and after, and answers the verdict to record and the reply. A message that
    /// came before changes nothing and gets its old reply.
    pub async fn take_message(
        &self,
        message: &InboundSms,
        id: OperationId,
        event: impl FnOnce(&Operation) -> Option<Event>,
        words: impl FnOnce(&Operation, &Operation) -> (&'static str, String),
        now: OffsetDateTime,
    ) -> Result<String, StoreError> {
        let mut tx = self.pool.begin().await?;
        let before = self.lock(&mut tx, id).await?;
        let (after, told) = match event(&before) {
            Some(event) => {
                let (after, _, told) = self
                    .advance(&mut tx, before.clone(), event, now, Hold::Unchanged)
                    .await?;
                (after, told)
            }
            None => (before.clone(), vec![]),
        };
        let said = words(&before, &after);
        self.reply(tx, message, Some(&after.facts), told, said).await
    }

    async fn reply(
        &self,
        mut tx: Transaction,
        message: &InboundSms,
        facts: Option<&Facts>,
        mut told: Vec<AuditEvent>,
        (verdict, reply): (&'static str, String),
    ) -> Result<String, StoreError> {
        let inserted = sqlx::query!(
            "INSERT INTO verification_messages (
                tenant_id, message_id, verification_id, sender_masked, verdict, reply, received_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (tenant_id, message_id) DO NOTHING",
            self.tenant.as_str(),
            message.id,
            facts.map(|facts| facts.id.0),
            message.sender,
            verdict,
            reply,
            message.received_at,
        )
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            // The same message at the same time by another connection: what we did is undone.
            tx.rollback().await?;
            return Ok(self.reply_to(&message.id).await?.unwrap_or_default());
        }
        told.push(record::message(&message.id, verdict, facts));
        self.audit.record_all(&mut tx, &told).await?;
        notify(&mut tx).await?;
        tx.commit().await?;
        Ok(reply)
    }
}
