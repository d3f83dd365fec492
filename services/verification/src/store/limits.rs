//! What asking somebody uses up, and what their no adds to an alarm.

use chassis::tripwires::{self, Alarm};
use chassis::{AuditEvent, switches};
use common::velocity::{Limited, Place, Windows};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::mfa::{Mfa, Push};
use crate::operation::{Command, Facts, Operation, State};
use crate::settings::Tripwires;

chassis::windows_table!(
    /// Verification's own.
    VerificationWindows,
    "verification_windows"
);

/// A place in a window, and what takes it.
pub(super) type Used = (Place, Uuid);

/// What an operation uses up as it begins with `commands`: its person's place once for each execution, however often
/// and by whom the same ticket is proven; its manager's each time.
pub(super) fn uses(tripwires: &Tripwires, operation: &Operation, commands: &[Command]) -> Vec<Used> {
    let facts = &operation.facts;
    if operation.state.ended().is_some() {
        return vec![];
    }
    let subject = facts.authorizes.as_ref().and_then(|_| {
        let place = Place::of(Limited::Subject, facts.subject.id.as_str(), tripwires.per_subject)?;
        Some((place, facts.execution.0))
    });
    let approver = match &operation.state {
        State::Approval(approval) => {
            let approver = approval.request.approver.id.as_str();
            let place = Place::of(Limited::Approver, approver, tripwires.per_approver);
            place.map(|place| (place, facts.id.0))
        }
        State::Mfa(_) | State::Question(_) | State::Ended(_) => None,
    };
    let push = pushes(commands).then(|| push(tripwires, operation)).flatten();
    [subject, approver, push].into_iter().flatten().collect()
}

/// Take them all.
pub(super) fn take(windows: &mut Windows, uses: &[Used], now: OffsetDateTime) -> Result<(), StoreError> {
    uses.iter().try_for_each(|(place, of)| {
        windows
            .take(std::slice::from_ref(place), *of, now)
            .map_err(StoreError::Full)
    })
}

pub(super) fn pushes(commands: &[Command]) -> bool {
    let is_push = |command: &Command| matches!(command, Command::Push { .. });
    commands.iter().any(is_push)
}

/// A push has the place of its number: one that reached nobody, for the connector was away, takes no other when it is
/// tried again.
fn push(tripwires: &Tripwires, operation: &Operation) -> Option<Used> {
    let facts = &operation.facts;
    let place = Place::of(Limited::Pushes, facts.subject.id.as_str(), tripwires.pushes)?;
    let of = match &operation.state {
        State::Mfa(Mfa {
            push: Push::Open { number, .. },
            ..
        }) => Uuid::from_u128(facts.id.0.as_u128() ^ u128::from(*number)),
        State::Mfa(_) | State::Approval(_) | State::Question(_) | State::Ended(_) => return None,
    };
    Some((place, of))
}

/// Whether a push may go out.
pub(super) enum MayPush {
    /// It may, once these windows are kept.
    Yes(Windows),
    /// Not at the moment.
    NotNow,
    /// Too many did lately.
    TooMany,
}

impl Store {
    pub(super) async fn hold(
        &self,
        connection: &mut PgConnection,
        uses: &[Used],
    ) -> Result<Windows, StoreError> {
        let places = uses.iter().map(|(place, _)| place);
        Ok(tripwires::open::<VerificationWindows>(connection, &self.tenant, places).await?)
    }

    pub(super) async fn keep(
        &self,
        connection: &mut PgConnection,
        windows: &Windows,
    ) -> Result<(), StoreError> {
        Ok(tripwires::keep::<VerificationWindows>(connection, &self.tenant, windows).await?)
    }

    /// Nobody is asked anything new while a switch is off.
    pub(super) async fn may_ask(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        match switches::off(connection, &self.tenant, None).await? {
            Some(off) => Err(StoreError::SwitchedOff(Box::new(off))),
            None => Ok(()),
        }
    }

    /// Whether a switch is off: asked right before a card or a text message goes out, for it may have been put while
    /// somebody was looked up.
    pub async fn is_held(&self) -> Result<bool, StoreError> {
        Ok(switches::off(&self.pool, &self.tenant, None).await?.is_some())
    }

    /// Look whether what is about to happen to an operation that was begun before may; `None` where it is no push.
    pub(super) async fn may_push(
        &self,
        connection: &mut PgConnection,
        operation: &Operation,
        commands: &[Command],
        now: OffsetDateTime,
    ) -> Result<Option<MayPush>, StoreError> {
        if !pushes(commands) {
            return Ok(None);
        }
        let uses: Vec<Used> = push(&self.tripwires, operation).into_iter().collect();
        let mut windows = self.hold(connection, &uses).await?;
        match self.may_ask(connection).await {
            Err(StoreError::SwitchedOff(_)) => return Ok(Some(MayPush::NotNow)),
            known => known?,
        }
        Ok(Some(match take(&mut windows, &uses, now) {
            Ok(()) => MayPush::Yes(windows),
            Err(_) => MayPush::TooMany,
        }))
    }

    /// Whether the subject has said no to another prompt since this one was asked for.
    pub(super) async fn said_no(
        &self,
        connection: &mut PgConnection,
        facts: &Facts,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (
                SELECT
                FROM verifications
                WHERE tenant_id = $1 AND lower(subject_id) = lower($2) AND method = 'mfa' AND state = 'denied'
                    AND ended_at >= $3) AS "said_no!""#,
            self.tenant.as_str(),
            facts.subject.id.as_str(),
            facts.asked_at,
        )
        .fetch_one(connection)
        .await?)
    }

    /// Count a no; where it is one too many, freeze the tenant, and keep with the operation why, so that its ticket says
    /// so: what to record, and that. A ticket counts once, whoever of its people say no.
    pub(super) async fn alarm(
        &self,
        connection: &mut PgConnection,
        facts: &Facts,
        now: OffsetDateTime,
    ) -> Result<Option<(AuditEvent, String)>, StoreError> {
        let limit = self.tripwires.denials;
        let Some(place) = Place::of(Limited::Denials, self.tenant.as_str(), limit) else {
            return Ok(None);
        };
        let of = facts.execution.0;
        let mut windows = tripwires::open::<VerificationWindows>(connection, &self.tenant, [&place]).await?;
        let too_many = windows.alarm(&place, of, now);
        self.keep(connection, &windows).await?;
        if !too_many {
            return Ok(None);
        }
        let limited = place.limited;
        let alarm = Alarm { limited, limit };
        let Some(frozen) = switches::freeze(connection, &self.tenant, alarm).await? else {
            return Ok(None);
        };
        let reason = alarm.to_string();
        sqlx::query!(
            "UPDATE verifications
             SET alarm = $3
             WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_str(),
            facts.id.0,
            reason,
        )
        .execute(connection)
        .await?;
        Ok(Some((
            frozen.ticket(&facts.ticket).execution(facts.execution),
            reason,
        )))
    }
}
