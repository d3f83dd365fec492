//! The act itself: under a lease that is kept alive, looking at the directory before acting again after a lost answer.
//!
//! A pass counts once it is sealed and in the ledger; until then nobody has it, and the next one may replace it.

use chassis::chain;
use common::clock;
use common::{Outcome, SealedCredential, StepRequest, StepResult, Values};
use connectors::entra::Pass;
use connectors::{CallError, System};
use secrecy::SecretString;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::{Binding, Credential, Purpose};

use crate::eligibility::Plan;
use crate::leftovers::{self, may_be_of};
use crate::observed::After;
use crate::refusal::ResetError;
use crate::reset::{ACTION, Reset};
use crate::store::{Ended, Mandate};

/// One lost answer is made up for at once; after a second the directory is taken for away.
const TRIES: u32 = 2;

impl Reset {
    /// Act while the lease is kept; stop where it is lost.
    pub(crate) async fn act_alone(
        &self,
        request: &StepRequest,
        mandate: Mandate,
        plan: &Plan,
    ) -> Result<StepResult, ResetError> {
        let act = Box::pin(self.act(request, &mandate, plan));
        let renew = || self.store.renew(&mandate);
        // Where the lease is gone, somebody else looks before acting.
        let acted = mandate.held().during(act, renew).await;
        let acted = acted.unwrap_or(Ok(Acted::Overtaken));
        match acted {
            Ok(Acted::Answer(result)) => Ok(result),
            Ok(Acted::Failed(explanation)) => self.fail(request, mandate, explanation).await,
            Ok(Acted::Overtaken) => Err(ResetError::UnderWay),
            Err(ResetError::Away(error)) => self.give_back(mandate, error).await,
            Err(error) => Err(error),
        }
    }

    async fn act(&self, request: &StepRequest, mandate: &Mandate, plan: &Plan) -> Result<Acted, ResetError> {
        // What an earlier actor, or an earlier try of ours, may have made and never learnt the value of.
        let mut since = mandate.asked_at();
        let mut first_ask = mandate.first_ask();
        let mut unanswered = None;
        for _ in 0..TRIES {
            if let Some(since) = since {
                self.report_lost(request, mandate, since).await?;
            }
            let now = clock::now();
            let written = first_ask.take();
            if written.is_none() && !self.store.note_asking(mandate, now).await? {
                return Ok(Acted::Overtaken);
            }
            match self.entra.create_pass(mandate.subject(), plan.lifetime).await {
                Ok(pass) => {
                    return self
                        .hand_over(request, mandate, plan, pass, since.is_some())
                        .await;
                }
                Err(CallError::Refused { code, detail, .. }) => {
                    tracing::error!(execution.id = %request.execution_id, code, "the directory refused to make a pass");
                    // What was asked for before and never answered may have been made: that none was is only then true.
                    let words = refusal_in_words(&code, &detail);
                    let words =
                        leftovers::told_without(&self.store, &self.entra, mandate, since, words).await?;
                    return Ok(Acted::Failed(words));
                }
                Err(away @ CallError::Busy { .. }) => return Err(ResetError::Away(away)),
                Err(silence @ CallError::Unknown { .. }) => {
                    since = since.or(written).or(Some(now));
                    unanswered = Some(silence);
                }
            }
        }
        match unanswered {
            Some(silence) => Err(ResetError::Away(silence)),
            None => Ok(Acted::Overtaken),
        }
    }

    /// Look at the directory before acting again. What is there is replaced by the next pass: its value is lost.
    async fn report_lost(
        &self,
        request: &StepRequest,
        mandate: &Mandate,
        since: OffsetDateTime,
    ) -> Result<(), ResetError> {
        let passes = self
            .entra
            .list_passes(mandate.subject())
            .await
            .map_err(ResetError::Away)?;
        let lost = passes.iter().filter(|pass| may_be_of(pass, since)).count();
        tracing::warn!(
            execution.id = %request.execution_id, effect.id = %mandate.effect(), lost,
            "an answer of the directory was lost; what was made is replaced"
        );
        Ok(())
    }

    /// Seal the pass and write it down. Only then does it count.
    async fn hand_over(
        &self,
        request: &StepRequest,
        mandate: &Mandate,
        plan: &Plan,
        pass: Pass,
        after_loss: bool,
    ) -> Result<Acted, ResetError> {
        let id = pass.id.clone();
        if !pass.usable {
            // Until it is gone, the ticket may not say so.
            let gone = match self.entra.delete_pass(mandate.subject(), &id).await {
                Ok(()) => "it was deleted",
                Err(CallError::Refused { .. }) => {
                    "the directory refuses to have it deleted, so do that by hand"
                }
                Err(away) => return Err(ResetError::Away(away)),
            };
            let why = format!(
                "The directory made a pass that cannot be used ({}); {gone}.",
                pass.usability
            );
            return Ok(Acted::Failed(why));
        }
        if after_loss && !self.is_live(mandate, &id).await? {
            // The lost request arrived late and replaced ours: what we hold opens nothing.
            return Err(ResetError::Away(CallError::Unknown {
                system: System::Entra,
                source: "a request given up for lost arrived after the one that replaced it".into(),
            }));
        }
        let (expires, after) = (pass.expires(), After::made(&pass));
        let sealed = match self.seal(request, plan, pass) {
            Ok(sealed) => sealed,
            Err(error) => {
                self.delete(mandate, &id).await;
                return Err(error);
            }
        };
        let minutes = plan.lifetime.as_secs() / 60;
        let name = &plan.person.display_name;
        let mut result = StepResult::new(
            Outcome::Success,
            format!(
                "A Temporary Access Pass for {name} was created; it is valid for {minutes} minutes and works once."
            ),
        );
        result.output = output(plan, minutes, expires);
        result.sealed = Some(sealed);
        let ended = Ended {
            made: Some(&id),
            after,
            result: &result,
            at: clock::now(),
        };
        if self.store.finish(request, mandate, &ended).await? {
            metrics::counter!("firstline_effects_total", "action" => ACTION, "outcome" => "success")
                .increment(1);
            Ok(Acted::Answer(result))
        } else {
            // Whoever overtook us may have looked before it was there. Only ours goes: it has an id of its own.
            self.delete(mandate, &id).await;
            Ok(Acted::Overtaken)
        }
    }

    fn seal(&self, request: &StepRequest, plan: &Plan, pass: Pass) -> Result<SealedCredential, ResetError> {
        let credential = Credential {
            expires: pass.expires(),
            secret: pass.secret,
            destination: SecretString::from(plan.destination.as_e164()),
        };
        let binding = Binding {
            tenant: &self.tenant,
            execution: request.execution_id,
            ticket: &request.ticket_id,
            subject: &request.subject.user_id,
            purpose: Purpose::TemporaryAccessPass,
        };
        trust::seal::seal(
            &credential,
            &binding,
            &self.seal_to.now(),
            &self.keys.now(),
            &mut rand::rng(),
        )
        .map_err(ResetError::Seal)
    }

    async fn is_live(&self, mandate: &Mandate, id: &str) -> Result<bool, ResetError> {
        let passes = self
            .entra
            .list_passes(mandate.subject())
            .await
            .map_err(ResetError::Away)?;
        Ok(passes.iter().any(|pass| pass.id == id))
    }

    /// Best effort: a pass whose value nobody has opens nothing, and it expires.
    async fn delete(&self, mandate: &Mandate, id: &str) {
        if let Err(error) = self.entra.delete_pass(mandate.subject(), id).await {
            tracing::warn!(error = %chain(&error), "could not delete a pass that nobody will get");
        }
    }
}

/// How far an actor got.
enum Acted {
    /// It is in the ledger.
    Answer(StepResult),
    /// It certainly cannot be done; not in the ledger yet.
    Failed(String),
    /// Another actor has taken over.
    Overtaken,
}

fn output(plan: &Plan, minutes: u64, expires: OffsetDateTime) -> Values {
    let expires = expires.format(&Rfc3339).unwrap_or_default();
    Values::from_iter([
        ("destination".to_owned(), plan.destination.to_string().into()),
        ("expires_at".to_owned(), expires.into()),
        ("lifetime_minutes".to_owned(), minutes.into()),
    ])
}

fn refusal_in_words(code: &str, detail: &str) -> String {
    match code {
        "pass_not_allowed" => {
            "The directory's policy does not allow this person a Temporary Access Pass, so none was made."
                .to_owned()
        }
        "guest" => "The directory makes no pass for guests, so none was made.".to_owned(),
        "user_not_found" => "The directory no longer knows the person, so no pass was made.".to_owned(),
        "forbidden" => {
            "Firstline lacks the permission to make passes in this directory, so none was made.".to_owned()
        }
        _ => format!("The directory refused to make a pass ({detail}), so none was made."),
    }
}
