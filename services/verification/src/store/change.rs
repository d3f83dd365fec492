//! How a row changes: through the state machine, with its audit events, in one transaction.

use chassis::AuditEvent;
use common::velocity::Windows;
use common::{PermitId, UserId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::limits::{self, MayPush};
use super::rows::{Moving, small};
use super::{Store, StoreError, notify};
use crate::mfa::PushAnswer;
use crate::operation::{Command, Ending, Event, Method, Obstacle, Operation, State};
use crate::record;

/// What a transition does to the lease of whoever works on the operation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hold {
    /// Nothing.
    Unchanged,
    /// Whatever is due now is taken up with it, and the lease goes on; with nothing due, the operation is let go.
    WhileDue {
        /// Until when, if so.
        until: OffsetDateTime,
    },
}

impl Hold {
    fn lease(self, commands: &[Command]) -> Lease {
        match self {
            Self::Unchanged => Lease::Unchanged,
            Self::WhileDue { .. } if commands.is_empty() => Lease::LetGo,
            Self::WhileDue { until } => Lease::Until(until),
        }
    }
}

/// What becomes of `leased_until`.
#[derive(Debug, Clone, Copy)]
enum Lease {
    Unchanged,
    Until(OffsetDateTime),
    LetGo,
}

/// A prompt that opens and a code that goes out are unique among what is open.
fn may_clash(before: &Moving, after: &Moving) -> bool {
    let prompt = after.push_open && !before.push_open;
    prompt || (after.code.is_some() && after.code != before.code)
}

impl Store {
    /// The one way in which a row changes: through the state machine. The caller records its audit events in the same
    /// transaction.
    pub(super) async fn advance(
        &self,
        connection: &mut PgConnection,
        before: Operation,
        event: Event,
        now: OffsetDateTime,
        hold: Hold,
    ) -> Result<(Operation, Vec<Command>, Vec<AuditEvent>), StoreError> {
        let was_open = before.state.ended().is_none();
        let unchanged = before.clone();
        let (mut after, mut commands, mut notes) = before.apply(event, PermitId::fresh(), now)?;
        if matches!(hold, Hold::WhileDue { .. }) && after.state.wake_at().is_some_and(|due| due <= now) {
            let more;
            (after, commands, more) = after.apply(Event::Woken, PermitId::fresh(), now)?;
            notes.extend(more);
        }
        let mut windows = Windows::default();
        match self.may_push(connection, &after, &commands, now).await? {
            None => {}
            Some(MayPush::Yes(held)) => windows = held,
            // As while another prompt is open: it is due again in a moment.
            Some(MayPush::NotNow) => {
                (after, commands, notes) = after.apply(Event::PromptOpenElsewhere, PermitId::fresh(), now)?;
            }
            Some(MayPush::TooMany) => {
                let answer = PushAnswer::Impossible(Obstacle::PushLimit);
                (after, commands, notes) = after.apply(Event::Push(answer), PermitId::fresh(), now)?;
            }
        }
        let lease = hold.lease(&commands);
        if let Err(StoreError::Database(error)) = self.save(connection, &unchanged, &after, lease).await {
            // INVARIANT: one prompt at a time on a person's phone; the index knows of the other one.
            if violates(&error, "verifications_open_prompt") {
                (after, commands, notes) = after.apply(Event::PromptOpenElsewhere, PermitId::fresh(), now)?;
                self.write(connection, &after, hold.lease(&commands)).await?;
                windows = Windows::default();
            } else if violates(&error, "verifications_open_code") {
                return Err(StoreError::CodeInUse);
            } else {
                return Err(error.into());
            }
        }
        // Looked up once the prompt is ours: whoever had it before has committed what they said.
        if limits::pushes(&commands) && self.said_no(connection, &after.facts).await? {
            let answer = PushAnswer::Impossible(Obstacle::SaidNo);
            (after, commands, notes) = after.apply(Event::Push(answer), PermitId::fresh(), now)?;
            self.write(connection, &after, hold.lease(&commands)).await?;
            windows = Windows::default();
        }
        self.keep(connection, &windows).await?;
        let mut told = record::noted(&unchanged, &after, &notes);
        if was_open && after.state.ended().is_some() && after.facts.method == Method::Mfa {
            self.wake_others(connection, &after.facts.subject.id, now).await?;
        }
        if was_open
            && let State::Ended(ended) = &mut after.state
            && matches!(ended.ending, Ending::Denied { .. })
            && let Some((frozen, reason)) = self.alarm(connection, &after.facts, now).await?
        {
            told.push(frozen);
            ended.alarm = Some(reason);
        }
        Ok((after, commands, told))
    }

    /// The phone is free: whoever waits for it may ask.
    async fn wake_others(
        &self,
        connection: &mut PgConnection,
        subject: &UserId,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let woken = sqlx::query!(
            "UPDATE verifications
             SET push_at = $3, wake_at = $3
             WHERE tenant_id = $1 AND subject_id = $2 AND method = 'mfa' AND state = 'open' AND NOT push_open",
            self.tenant.as_str(),
            subject.as_str(),
            now,
        )
        .execute(&mut *connection)
        .await?;
        if woken.rows_affected() > 0 {
            notify(connection).await?;
        }
        Ok(())
    }

    /// In a savepoint where another row may refuse it, so that a refused write leaves the transaction usable.
    async fn save(
        &self,
        connection: &mut PgConnection,
        before: &Operation,
        after: &Operation,
        lease: Lease,
    ) -> Result<(), StoreError> {
        if !may_clash(&Moving::of(before), &Moving::of(after)) {
            return Ok(self.write(connection, after, lease).await?);
        }
        let mut tx = sqlx::Connection::begin(connection).await?;
        let written = self.write(&mut tx, after, lease).await;
        match written {
            Ok(()) => tx.commit().await?,
            Err(_) => tx.rollback().await?,
        }
        Ok(written?)
    }

    #[expect(
        clippy::cognitive_complexity,
        reason = "many parameters of one statement; no branches"
    )]
    async fn write(
        &self,
        connection: &mut PgConnection,
        operation: &Operation,
        lease: Lease,
    ) -> Result<(), sqlx::Error> {
        let moving = Moving::of(operation);
        let card = moving.card_message.as_ref();
        let code = moving.code.as_ref();
        let permit = moving.permit.as_ref();
        let kept = moving.kept.as_ref();
        sqlx::query!(
            "UPDATE verifications
             SET state = $3, reason = $4, answered_by = $5, channel = $6, ended_at = $7,
                pushes = $8, push_attempts = $9, push_at = $10, push_open = $11,
                card = $12, card_attempts = $13, card_at = $14,
                card_service_url = $15, card_conversation = $16, card_activity = $17, cards_unconfirmed = $18,
                sms = $19, sms_attempts = $20, sms_at = $21, sms_count = $22,
                sms_number_hash = $23, sms_answer_hash = $24, sms_masked = $25, sms_wrong = $26,
                permit_id = $27, permit_issued_at = $28, permit_expires_at = $29,
                signal_attempts = $30, signal_at = $31, wake_at = $32, answer = $33,
                leased_until = CASE WHEN $34 THEN $35 ELSE leased_until END,
                moved_deadline = COALESCE($36, moved_deadline), shown = COALESCE($37, shown),
                kept_at = $38, kept_channel = $39, kept_provenance = $40, look_up_attempts = $41, look_up_at = $42
             WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_str(),
            operation.facts.id.0,
            moving.state,
            moving.reason,
            moving.answered_by,
            moving.channel,
            moving.ended_at,
            moving.pushes,
            moving.push_attempts,
            moving.push_at,
            moving.push_open,
            moving.card,
            moving.card_attempts,
            moving.card_at,
            card.map(|card| &card.service_url),
            card.map(|card| &card.conversation),
            card.map(|card| &card.activity),
            moving.cards_unconfirmed,
            moving.sms,
            moving.sms_attempts,
            moving.sms_at,
            moving.sms_count,
            code.map(|code| &code.number_hash),
            code.map(|code| &code.answer_hash),
            code.map(|code| &code.masked),
            code.map_or(0, |code| i16::from(code.wrong)),
            permit.map(|permit| permit.id.0),
            permit.map(|permit| permit.issued_at),
            permit.map(|permit| permit.expires_at),
            moving
                .signal
                .as_ref()
                .map(|duty| i16::try_from(duty.attempts).unwrap_or(i16::MAX)),
            moving.signal.as_ref().map(|duty| duty.at),
            moving.wake_at,
            moving.answer,
            !matches!(lease, Lease::Unchanged),
            match lease {
                Lease::Until(until) => Some(until),
                Lease::Unchanged | Lease::LetGo => None,
            },
            moving.moved_deadline,
            moving.shown,
            kept.map(|kept| kept.at),
            kept.map(|kept| kept.answer.channel.as_str()),
            kept.map(|kept| &kept.answer.provenance),
            kept.map(|kept| small(kept.duty.attempts)),
            kept.map(|kept| kept.duty.at),
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

fn violates(error: &sqlx::Error, index: &str) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.constraint() == Some(index))
}
