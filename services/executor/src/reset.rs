//! `executor.reset_password`: one Temporary Access Pass for one person, for one permit.
//!
//! Order is the promise: proof, facts read afresh, intent and burnt permit in one transaction, the act, the sealed
//! result. Whatever stops in between, the next request for the same visit goes on from the ledger, and looks at the
//! directory before it acts again, because a second pass silently deletes the first.

use std::sync::Arc;
use std::time::Duration;

use chassis::tripwires::Caution;
use chassis::{Shell, Watched};
use common::clock;
use common::methods::{SignInMethod, recent_change};
use common::{ActionName, Assurance, Outcome, StepRequest, StepResult, TenantId, UserId};
use connectors::CallError;
use connectors::entra::Entra;
use serde::Deserialize;
use trust::{Expected, Identity, Permit, PermitError, SealPublicKey};

use crate::eligibility::{Facts, Ineligible, Plan, decide};
use crate::leftovers::{self, LeftoverError};
use crate::observed::After;
use crate::refusal::ResetError;
use crate::store::{Begun, Ended, Mandate, Store, Visit};

pub(crate) const ACTION: &str = "executor.reset_password";
/// What the action asks for: possession of an enrolled device, or a manager who answers for the person.
const AT_LEAST: Assurance = Assurance::Substantial;
/// Where a playbook names no lifetime: what a tenant's policy has by default.
const LIFETIME: Duration = Duration::from_hours(1);

/// How long a burnt permit is good for what was begun with it. An outage may last; a proof of last week proves nothing.
const LONGEST_OPEN: time::Duration = time::Duration::DAY;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    lifetime_minutes: Option<u64>,
}

/// Resets passwords. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reset {
    action: ActionName,
    pub(crate) tenant: TenantId,
    pub(crate) keys: Watched<Identity>,
    pub(crate) store: Store,
    pub(crate) entra: Entra,
    pub(crate) seal_to: Watched<SealPublicKey>,
    caution: Arc<Caution>,
}

impl Reset {
    pub(crate) fn new(
        shell: &Shell,
        store: Store,
        entra: Entra,
        seal_to: Watched<SealPublicKey>,
        caution: Caution,
    ) -> Self {
        Self {
            action: ACTION.parse().expect("built from a literal"),
            tenant: shell.tenant().clone(),
            keys: shell.keys().clone(),
            store,
            entra,
            seal_to,
            caution: Arc::new(caution),
        }
    }

    /// Do it, or find out that it was done. Refusals are in the audit before they are answered.
    pub(crate) async fn perform(&self, request: &StepRequest) -> Result<StepResult, ResetError> {
        let answer = self.answer(request).await;
        if let Err(error) = &answer
            && let Some((kind, code)) = error.audited()
        {
            tracing::warn!(execution.id = %request.execution_id, code, "refused to reset a password");
            if !error.is_alarm() {
                self.store.refused(request, kind, code).await?;
            } else if let Some(alarm) = self.store.alarmed(request, kind, code).await? {
                return answer.map_err(|why| ResetError::Froze(Box::new(why), alarm));
            }
        }
        answer
    }

    async fn answer(&self, request: &StepRequest) -> Result<StepResult, ResetError> {
        let wanted = self.wanted(request)?;
        let mandate = match self.store.take_up(request).await? {
            Visit::Ended(result) => return Ok(result),
            Visit::Other => return Err(ResetError::OtherEffect),
            Visit::UnderWay => return Err(ResetError::UnderWay),
            Visit::Undone => return Err(ResetError::Undone),
            Visit::Mine(mandate) => Some(mandate),
            Visit::New => {
                // Before the directory is asked anything: without proof, no work.
                self.permit(request).await?;
                None
            }
        };
        if request.deadline <= clock::now() {
            // Nobody waits for it any more: a pass made now would be delivered to nobody.
            return self.too_late(mandate).await;
        }
        match mandate {
            Some(mandate) => self.resume(request, mandate, wanted).await,
            None => self.begin(request, wanted).await,
        }
    }

    /// The request is ours, and its parameters are; how long the pass should live.
    fn wanted(&self, request: &StepRequest) -> Result<Duration, ResetError> {
        if request.tenant_id != self.tenant || request.subject.tenant_id != self.tenant {
            return Err(ResetError::Misdirected("tenant"));
        }
        if request.action != self.action {
            return Err(ResetError::Misdirected("action"));
        }
        let parameters: Parameters = serde_json::from_value(request.parameters.clone().into())
            .map_err(|error| ResetError::Parameters(error.to_string()))?;
        Ok(parameters.lifetime_minutes.map_or(LIFETIME, |minutes| {
            // Graph's own upper bound keeps the arithmetic small; the tenant's policy decides.
            Duration::from_mins(minutes.min(43_200))
        }))
    }

    async fn permit(&self, request: &StepRequest) -> Result<Permit, ResetError> {
        let token = request.permit.as_ref().ok_or(ResetError::PermitMissing)?;
        let expected = Expected {
            tenant: &self.tenant,
            execution: request.execution_id,
            ticket: &request.ticket_id,
            subject: &request.subject.user_id,
            action: &self.action,
            step: &request.step.id,
            parameters: &request.parameters,
            at_least: AT_LEAST,
        };
        let check = || Permit::verify(token, &expected, self.keys.now().trusted(), clock::now());
        let permit = match check() {
            // Verification may have got a new key this moment.
            Err(PermitError::WrongIssuer) if self.keys.look_again().await => check(),
            checked => checked,
        };
        Ok(permit?)
    }

    async fn begin(&self, request: &StepRequest, wanted: Duration) -> Result<StepResult, ResetError> {
        let plan = self.plan(request, wanted).await?;
        let permit = self.permit(request).await?;
        match self.store.begin(request, permit, &plan, clock::now()).await? {
            Begun::Mine(mandate) => self.act_alone(request, mandate, &plan).await,
            Begun::UnderWay => Err(ResetError::UnderWay),
            Begun::PermitSpent => Err(ResetError::PermitSpent),
            Begun::Undone => Err(ResetError::Undone),
            Begun::Limited(exceeded) => Err(ResetError::Limited(exceeded)),
            Begun::SwitchedOff(off) => Err(ResetError::SwitchedOff(off)),
        }
    }

    /// Go on from an intent whose actor is gone. The permit was burnt for it; the facts are read afresh all the same.
    async fn resume(
        &self,
        request: &StepRequest,
        mandate: Mandate,
        wanted: Duration,
    ) -> Result<StepResult, ResetError> {
        tracing::info!(execution.id = %request.execution_id, effect.id = %mandate.effect(), "took up an open intent");
        if let Some(off) = self.store.switched_off().await? {
            self.store.release(mandate).await?;
            return Err(ResetError::SwitchedOff(off));
        }
        let plan = self.plan_anew(request, &mandate, wanted);
        let renew = || self.store.renew(&mandate);
        let plan = mandate.held().during(plan, renew).await;
        match plan.unwrap_or(Err(ResetError::UnderWay)) {
            Ok(plan) => self.act_alone(request, mandate, &plan).await,
            Err(ResetError::Ineligible(why)) => {
                let since = mandate.asked_at();
                let told =
                    leftovers::told_without(&self.store, &self.entra, &mandate, since, why.to_string());
                // Alone: whoever takes over may find them eligible again, and make one that must stay.
                let told = mandate.held().during(told, renew).await;
                match told.unwrap_or(Err(LeftoverError::UnderWay)) {
                    Ok(explanation) => self.fail(request, mandate, explanation).await,
                    Err(error) => {
                        self.store.release(mandate).await?;
                        Err(error.into())
                    }
                }
            }
            Err(error) => {
                self.store.release(mandate).await?;
                Err(error)
            }
        }
    }

    async fn plan_anew(
        &self,
        request: &StepRequest,
        mandate: &Mandate,
        wanted: Duration,
    ) -> Result<Plan, ResetError> {
        let begun = mandate.intended_at();
        if clock::now() - begun > LONGEST_OPEN {
            return Err(Ineligible::BegunLongAgo(begun.date()).into());
        }
        self.plan(request, wanted).await
    }

    /// Read the facts and weigh them.
    async fn plan(&self, request: &StepRequest, wanted: Duration) -> Result<Plan, ResetError> {
        let user = &request.subject.user_id;
        // Boxed: five calls side by side make a future too large to carry through every caller.
        let facts = Box::pin(async {
            tokio::try_join!(
                self.entra.user(user),
                self.entra.memberships(user),
                self.methods(user),
                self.entra.mobile_phone_method(user),
                self.entra.pass_policy(),
            )
        })
        .await;
        let facts = match facts {
            Ok((person, memberships, methods, mobile, policy)) => Facts {
                protection: person
                    .as_ref()
                    .and_then(|person| self.caution.protected.why(person, &memberships)),
                // By their object id and nothing else: under another name they would have other limits.
                person: person.filter(|person| person.id.as_str().eq_ignore_ascii_case(user.as_str())),
                changed: recent_change(
                    methods.as_deref().unwrap_or_default(),
                    self.caution.method_change_days,
                    clock::now(),
                ),
                methods,
                mobile,
                policy,
            },
            // Whichever look-up said so first: the account is not there.
            Err(error) if error.is_refused("user_not_found") => {
                return Err(Ineligible::Unknown.into());
            }
            Err(error @ CallError::Refused { .. }) => return Err(ResetError::Refused(error)),
            Err(error) => return Err(ResetError::Away(error)),
        };
        Ok(decide(facts, wanted)?)
    }

    /// By which methods they sign in; `None` where their age does not matter.
    async fn methods(&self, user: &UserId) -> Result<Option<Vec<SignInMethod>>, CallError> {
        match self.caution.method_change_days {
            0 => Ok(None),
            _ => self.entra.sign_in_methods(user).await.map(Some),
        }
    }

    pub(crate) async fn fail(
        &self,
        request: &StepRequest,
        mandate: Mandate,
        explanation: String,
    ) -> Result<StepResult, ResetError> {
        let result = StepResult::new(Outcome::Failure, explanation);
        let ended = Ended {
            made: None,
            after: After::NOTHING,
            result: &result,
            at: clock::now(),
        };
        metrics::counter!("firstline_effects_total", "action" => ACTION, "outcome" => "failure").increment(1);
        if self.store.finish(request, &mandate, &ended).await? {
            Ok(result)
        } else {
            Err(ResetError::UnderWay)
        }
    }

    pub(crate) async fn give_back(
        &self,
        mandate: Mandate,
        error: CallError,
    ) -> Result<StepResult, ResetError> {
        self.store.release(mandate).await?;
        Err(ResetError::Away(error))
    }

    async fn too_late(&self, mandate: Option<Mandate>) -> Result<StepResult, ResetError> {
        if let Some(mandate) = mandate {
            self.store.release(mandate).await?;
        }
        Ok(StepResult::new(
            Outcome::Timeout,
            "The time for the reset had run out, so no pass was handed on.",
        ))
    }
}
