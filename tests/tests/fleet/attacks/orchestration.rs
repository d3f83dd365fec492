//! A wholly hostile orchestration: its key, its place in the network, and a permit that is real.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::client::{Peer, PeerError, StepClient};
use common::{
    AuthorizedAction, Outcome, PermitToken, SealedCredential, Service, StepAnswer, StepRequest, StepResult,
    Values,
};
use hmac::{KeyInit as _, Mac as _};
use launcher::testing::{TestFleet, audit_of, refusal, seen_within, step_request};
use serde_json::{Value, json};
use simulators::entra::Push;

use super::{assert_no_effects, assert_on_record, codes_of};
use crate::{ADELE, ALEX, SOON, assert_one_pass_delivered, fleet, texts_to};

const RESET: &str = "executor.reset_password";
const DELIVER: &str = "delivery.sms";
/// What services write down when they do not do what they are asked.
const REFUSED: [&str; 4] = [
    "permit.refused",
    "effect.refused",
    "delivery.refused",
    "verification.refused",
];

/// Whoever holds orchestration's key.
struct Hostile<'f> {
    fleet: &'f TestFleet,
}

impl Hostile<'_> {
    fn client(&self, callee: Service) -> StepClient {
        let stamp = self.fleet.keys().stamp(Service::Orchestration);
        let http = common::client::http_client(SOON).unwrap();
        let url = self.fleet.fleet.url(callee);
        StepClient(Peer::new(callee.name(), url, http, Arc::new(stamp)))
    }

    async fn ask(&self, request: &StepRequest) -> Result<StepResult, PeerError> {
        let callee: Service = request.action.service().parse().unwrap();
        let (_, action) = request.action.as_str().split_once('.').unwrap();
        let path = format!("/api/v1/{callee}/{action}");
        let client = self.client(callee);
        let operation = match client.perform(&path, request).await? {
            StepAnswer::Done(result) => return Ok(result),
            StepAnswer::Pending(pending) => pending.operation,
        };
        let ended = seen_within(SOON, async || {
            client.operation(&request.action, operation).await.unwrap().result
        });
        Ok(ended.await.expect("a result in time"))
    }

    /// A reset of `email`'s password, proven by their own push: the person says yes, as they would on a bad day.
    async fn proven(&self, email: &str) -> StepRequest {
        let mut reset = self.reset(email);
        let mut ask = step_request("verify", "verification.mfa", reset.subject.user_id.as_str());
        ask.execution_id = reset.execution_id;
        ask.authorizes = Some(AuthorizedAction {
            action: RESET.parse().unwrap(),
            step: reset.step.id.clone(),
            parameters: Values::new(),
        });
        let result = self.ask(&ask).await.unwrap();
        assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
        reset.permit = Some(result.permit.expect("a permit comes with the proof"));
        reset
    }

    /// Each way to spoil `sound` is refused as it should be.
    async fn is_refused(&self, sound: &StepRequest, spoilt: &[Spoilt<'_>]) {
        for (nth, (expected, spoil)) in spoilt.iter().enumerate() {
            let mut request = sound.clone();
            // A key of its own: the same one with another body would be refused unread.
            request.step.attempt = u32::try_from(nth).unwrap() + 2;
            spoil(&mut request);
            assert_eq!(refusal(self.ask(&request).await), *expected, "attack {nth}");
        }
        let expected: Vec<&str> = spoilt.iter().map(|(code, _)| *code).collect();
        assert_eq!(
            codes_of(self.fleet, &REFUSED).await,
            expected,
            "each is in the audit"
        );
    }

    fn reset(&self, email: &str) -> StepRequest {
        let user = self.fleet.world().person(email).id.to_string();
        step_request("reset_password", RESET, &user)
    }
}

/// How a sound request is spoilt, and what the service says to it.
type Spoilt<'s> = (&'s str, Box<dyn Fn(&mut StepRequest) + 's>);

#[tokio::test(flavor = "multi_thread")]
async fn a_real_permit_is_good_for_nothing_but_what_was_proven() {
    let fleet = fleet().await;
    let hostile = Hostile { fleet: &fleet };
    let sound = hostile.proven(ADELE).await;
    let alex = hostile.reset(ALEX).subject;
    // Somebody or something else, in each of the places that name it.
    let spoilt: [Spoilt<'_>; 7] = [
        ("permit_missing", Box::new(|it| it.permit = None)),
        ("permit_mismatch", Box::new(|it| it.subject = alex.clone())),
        (
            "permit_mismatch",
            Box::new(|it| it.execution_id = common::ExecutionId::fresh()),
        ),
        (
            "permit_mismatch",
            Box::new(|it| it.ticket_id = "1".parse().unwrap()),
        ),
        (
            "permit_mismatch",
            Box::new(|it| it.step.id = "another".parse().unwrap()),
        ),
        (
            "permit_mismatch",
            Box::new(|it| {
                it.parameters.insert("lifetime_minutes".to_owned(), json!(480));
            }),
        ),
        (
            "misdirected",
            Box::new(|it| {
                it.tenant_id = "fabrikam".parse().unwrap();
                it.subject.tenant_id = it.tenant_id.clone();
            }),
        ),
    ];
    hostile.is_refused(&sound, &spoilt).await;
    assert_no_effects(&fleet);

    // What was proven is done, once.
    let result = hostile.ask(&sound).await.unwrap();
    assert_eq!(result.outcome, Outcome::Success);
    let mut again = sound.clone();
    again.step.visit = 2;
    assert_eq!(refusal(hostile.ask(&again).await), "permit_spent");
    assert_eq!(codes_of(&fleet, &REFUSED).await.last().unwrap(), "permit_spent");
    assert_eq!(fleet.world().entra().passes_created(ADELE), 1);
    assert_eq!(fleet.world().entra().passes_created(ALEX), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_of_one_s_own_making_is_none() {
    let fleet = fleet().await;
    let hostile = Hostile { fleet: &fleet };
    let sound = hostile.proven(ADELE).await;
    let alex = hostile.reset(ALEX).subject;
    let permit = sound.permit.as_ref().unwrap().as_text();
    let by_public_key = |message: &[u8]| {
        let public = fleet.keys().read("trusted.json");
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&public).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    };
    let borrowed = |_: &[u8]| {
        let own = fleet.keys().stamp(Service::Orchestration).token("executor", b"");
        URL_SAFE_NO_PAD.decode(own.rsplit('.').next().unwrap()).unwrap()
    };
    let made = [
        (
            "permit_algorithm",
            forged(permit, &alex.user_id, &json!({"alg": "none"}), |_| vec![]),
        ),
        (
            "permit_algorithm",
            forged(permit, &alex.user_id, &json!({"alg": "HS256"}), by_public_key),
        ),
        (
            "permit_signature",
            forged(permit, &alex.user_id, &json!({}), borrowed),
        ),
        ("permit_malformed", permit[..permit.len() / 2].to_owned()),
        ("permit_malformed", "x".repeat(20_000)),
        // Signed by verification, and no permit.
        (
            "permit_malformed",
            fleet.keys().stamp(Service::Verification).token("executor", b""),
        ),
    ];
    let spoilt = made.map(|(code, permit)| -> Spoilt<'_> {
        let permit = PermitToken::from_text(permit);
        (code, Box::new(move |it| it.permit = Some(permit.clone())))
    });
    hostile.is_refused(&sound, &spoilt).await;
    assert_no_effects(&fleet);
    let audit = audit_of(fleet.owner(), sound.execution_id).await;
    let refused = audit.iter().filter(|kind| *kind == "permit.refused").count();
    assert_eq!(
        refused,
        spoilt.len(),
        "with the execution that it was for: {audit:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_pass_reaches_nobody_but_its_owner_and_once() {
    let fleet = fleet().await;
    let hostile = Hostile { fleet: &fleet };
    let reset = hostile.proven(ADELE).await;
    let sealed = hostile.ask(&reset).await.unwrap().sealed.expect("a sealed pass");
    let mut sound = step_request("deliver", DELIVER, reset.subject.user_id.as_str());
    sound.execution_id = reset.execution_id;
    sound.sealed = Some(sealed.clone());
    let alex = hostile.reset(ALEX).subject;
    let spoilt: [Spoilt<'_>; 6] = [
        ("sealed_missing", Box::new(|it| it.sealed = None)),
        (
            "sealed_unreadable",
            Box::new(|it| it.ticket_id = "999".parse().unwrap()),
        ),
        ("sealed_unreadable", Box::new(|it| it.subject = alex.clone())),
        (
            "sealed_unreadable",
            Box::new(|it| it.execution_id = common::ExecutionId::fresh()),
        ),
        (
            "sealed_malformed",
            Box::new(|it| it.sealed = Some(SealedCredential::from_text("e30.e30.e30".to_owned()))),
        ),
        (
            "parameters_invalid",
            Box::new(|it| {
                it.parameters.insert("to".to_owned(), json!("+491700000000"));
            }),
        ),
    ];
    hostile.is_refused(&sound, &spoilt).await;
    assert!(fleet.world().twilio().messages().is_empty(), "no text went out");

    let result = hostile.ask(&sound).await.unwrap();
    assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
    let mut again = sound.clone();
    again.step.visit = 2;
    assert_eq!(refusal(hostile.ask(&again).await), "sealed_opened_before");
    let refused = codes_of(&fleet, &REFUSED).await;
    assert_eq!(refused.last().unwrap(), "sealed_opened_before");
    assert_one_pass_delivered(&fleet, ADELE);
    assert!(texts_to(&fleet, ALEX).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_gives_no_permit_however_often_it_is_asked() {
    let fleet = fleet().await;
    fleet.world().entra().push(ADELE, Push::deny());
    let hostile = Hostile { fleet: &fleet };
    let mut ask = step_request(
        "verify",
        "verification.mfa",
        fleet.world().person(ADELE).id.to_string().as_str(),
    );
    ask.authorizes = Some(AuthorizedAction {
        action: RESET.parse().unwrap(),
        step: "reset_password".parse().unwrap(),
        parameters: Values::new(),
    });
    let no = hostile.ask(&ask).await.unwrap();
    assert_eq!(
        (no.outcome.clone(), no.permit.is_some()),
        (Outcome::Denied, false)
    );
    // The same visit again, after the person would now say yes.
    fleet.world().entra().push(ADELE, Push::approve());
    ask.step.attempt = 2;
    let again = hostile.ask(&ask).await.unwrap();
    assert_eq!((again.outcome, again.permit.is_some()), (Outcome::Denied, false));
    // Nor does time for a permit that there is none of, nor the visit for somebody else.
    let renewed = hostile
        .client(Service::Verification)
        .renew_permit(common::PermitId::fresh(), ask.execution_id)
        .await;
    assert_eq!(refusal(renewed), "permit_not_found");
    let mut other = ask.clone();
    other.subject = hostile.reset(ALEX).subject;
    other.step.attempt = 3;
    assert_eq!(refusal(hostile.ask(&other).await), "verification_taken");
    let mut elsewhere = ask.clone();
    elsewhere.tenant_id = "fabrikam".parse().unwrap();
    elsewhere.subject.tenant_id = elsewhere.tenant_id.clone();
    elsewhere.step.attempt = 4;
    assert_eq!(refusal(hostile.ask(&elsewhere).await), "step_misdirected");
    assert_eq!(
        codes_of(&fleet, &REFUSED).await,
        ["permit_not_found", "verification_taken", "step_misdirected"]
    );
    assert_eq!(
        codes_of(&fleet, &["permit.issued", "permit.renewed"]).await,
        [""; 0]
    );
    assert_on_record(&fleet, &[("verification.ended", "denied")]).await;
    assert_no_effects(&fleet);
}

/// The claims of `permit` about somebody else, with `instead` in its header, signed by whatever is at hand.
fn forged(
    permit: &str,
    subject: &common::UserId,
    instead: &Value,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let part = |nth: usize| -> Value {
        let text = URL_SAFE_NO_PAD.decode(permit.split('.').nth(nth).unwrap());
        serde_json::from_slice(&text.unwrap()).unwrap()
    };
    let (mut header, mut claims) = (part(0), part(1));
    header
        .as_object_mut()
        .unwrap()
        .extend(instead.as_object().unwrap().clone());
    let told = claims.to_string();
    let of_victim = claims["subject"]
        .as_str()
        .or(claims["sub"].as_str())
        .unwrap()
        .to_owned();
    claims = serde_json::from_str(&told.replace(&of_victim, subject.as_str())).unwrap();
    let message = [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
        .join(".");
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}
