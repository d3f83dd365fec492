//! Tests of permits: every binding, every time, every forger.

use super::*;
use crate::fleet::FleetKeys;
use proptest::prelude::*;
use serde_json::json;
use time::macros::datetime;
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-03-02 09:15 UTC);

fn keys() -> FleetKeys {
    FleetKeys::generate(&mut rand::rng()).unwrap()
}

fn verification() -> Identity {
    keys().into_identity(Service::Verification).unwrap()
}

fn parameters() -> Values {
    let json = json!({"lifetime_minutes": 60, "one_time": true});
    json.as_object().unwrap().clone()
}

/// What the executor is about to do, owned, so that a test can change one thing.
#[derive(Clone)]
struct Act {
    tenant: TenantId,
    execution: ExecutionId,
    ticket: TicketId,
    subject: UserId,
    action: ActionName,
    step: StepId,
    parameters: Values,
    at_least: Assurance,
}

impl Act {
    fn new() -> Self {
        Self {
            tenant: "default".parse().unwrap(),
            execution: ExecutionId(Uuid::from_u128(1)),
            ticket: "4242".parse().unwrap(),
            subject: "5c0f1e2a-0000-4000-8000-00000000000a".parse().unwrap(),
            action: "executor.reset_password".parse().unwrap(),
            step: "reset_password".parse().unwrap(),
            parameters: parameters(),
            at_least: Assurance::Substantial,
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            tenant: &self.tenant,
            execution: self.execution,
            ticket: &self.ticket,
            subject: &self.subject,
            action: &self.action,
            step: &self.step,
            parameters: &self.parameters,
            at_least: self.at_least,
        }
    }

    fn claims(&self) -> PermitClaims {
        PermitClaims {
            id: PermitId(Uuid::from_u128(7)),
            tenant: self.tenant.clone(),
            execution: self.execution,
            ticket: self.ticket.clone(),
            subject: self.subject.clone(),
            action: self.action.clone(),
            step: self.step.clone(),
            parameters: parameters_digest(&self.parameters),
            assurance: Assurance::Substantial,
            method: Method::ManagerTeams,
            approver: Some("manager".parse().unwrap()),
            shown: Some(Digest::of("the card")),
            issued: NOW,
            expires: NOW + LIFETIME,
        }
    }
}

fn refusal(token: &PermitToken, act: &Act, identity: &Identity, now: OffsetDateTime) -> PermitError {
    Permit::verify(token, &act.expected(), identity.trusted(), now).unwrap_err()
}

#[test]
fn a_permit_allows_exactly_what_was_verified() {
    let (identity, act) = (verification(), Act::new());
    let token = Permit::issue(&act.claims(), &identity).unwrap();
    let permit = Permit::verify(&token, &act.expected(), identity.trusted(), NOW).unwrap();
    assert_eq!(permit.claims(), &act.claims());
    assert_eq!(permit.spend().claims().id, PermitId(Uuid::from_u128(7)));
}

#[test]
fn a_permit_moved_to_anything_else_is_refused_and_says_what_differs() {
    let (identity, act) = (verification(), Act::new());
    let token = Permit::issue(&act.claims(), &identity).unwrap();
    let moved = |change: fn(&mut Act)| {
        let mut act = act.clone();
        change(&mut act);
        refusal(&token, &act, &identity, NOW)
    };
    for (change, binding) in [
        (
            (|act| act.tenant = "other".parse().unwrap()) as fn(&mut Act),
            "tenant",
        ),
        (|act| act.execution = ExecutionId(Uuid::from_u128(2)), "execution"),
        (|act| act.ticket = "4243".parse().unwrap(), "ticket"),
        (|act| act.subject = "somebody else".parse().unwrap(), "subject"),
        (
            |act| act.action = "executor.disable_account".parse().unwrap(),
            "action",
        ),
        (
            |act| act.action = "delivery.reset_password".parse().unwrap(),
            "audience",
        ),
        (|act| act.step = "reset_again".parse().unwrap(), "step"),
        (|act| act.parameters = Values::new(), "set of parameters"),
        (
            |act| {
                act.parameters.insert("one_time".to_owned(), json!(false));
            },
            "set of parameters",
        ),
    ] {
        assert_eq!(moved(change), PermitError::Mismatch(binding));
    }
    assert_eq!(moved(|act| act.at_least = Assurance::High), PermitError::TooWeak);
}

#[test]
fn a_permit_is_good_for_ten_minutes_and_never_before_it_was_issued() {
    let (identity, act) = (verification(), Act::new());
    let token = Permit::issue(&act.claims(), &identity).unwrap();
    let at = |now| Permit::verify(&token, &act.expected(), identity.trusted(), now).map(|_| ());
    assert_eq!(at(NOW - SKEW), Ok(()));
    assert_eq!(at(NOW - SKEW - Duration::SECOND), Err(PermitError::NotYetValid));
    assert_eq!(at(NOW + LIFETIME - Duration::SECOND), Ok(()));
    assert_eq!(at(NOW + LIFETIME), Err(PermitError::Expired));
    let mut longer = act.claims();
    longer.expires += Duration::SECOND;
    assert_eq!(Permit::issue(&longer, &identity), Err(PermitError::NotYetValid));
    longer.expires = NOW - Duration::SECOND;
    assert_eq!(Permit::issue(&longer, &identity), Err(PermitError::NotYetValid));
}

#[test]
fn a_permit_is_renewed_until_half_an_hour_after_the_answer_and_keeps_its_end_in_that_time() {
    let minutes = Duration::minutes;
    let given = NOW + LIFETIME;
    let renewed = |expires, now| renew(NOW, expires, now);
    assert_eq!(renewed(given, NOW), Renewal::StillGood);
    assert_eq!(renewed(given, NOW + minutes(8)), Renewal::StillGood);
    let renewal = |issued, expires| Renewal::Renewed { issued, expires };
    assert_eq!(
        renewed(given, NOW + minutes(9)),
        renewal(NOW + minutes(9), NOW + minutes(19))
    );
    assert_eq!(
        renewed(given, NOW + minutes(15)),
        renewal(NOW + minutes(15), NOW + minutes(25))
    );
    assert_eq!(
        renewed(given, NOW + minutes(25)),
        renewal(NOW + minutes(25), NOW + RENEWABLE)
    );
    // What ends with the half hour cannot be made longer, and is not made shorter.
    assert_eq!(
        renewed(NOW + RENEWABLE, NOW + RENEWABLE - Duration::SECOND),
        Renewal::StillGood
    );
    assert_eq!(renewed(NOW + RENEWABLE, NOW + RENEWABLE), Renewal::TooLate);
    assert_eq!(renewed(given, NOW + RENEWABLE), Renewal::TooLate);
    assert_eq!(renewed(given, NOW + Duration::DAY), Renewal::TooLate);
}

#[test]
fn a_permit_says_which_one_it_is_and_rubbish_says_nothing() {
    let (identity, act) = (verification(), Act::new());
    let token = Permit::issue(&act.claims(), &identity).unwrap();
    assert_eq!(claimed_id(&token), Some(act.claims().id));
    for rubbish in ["", "a.b.c", "..", "e30.e30.e30"] {
        assert_eq!(claimed_id(&PermitToken::from_text(rubbish)), None, "{rubbish}");
    }
}

#[test]
fn nobody_vouches_for_themselves() {
    let (identity, act) = (verification(), Act::new());
    let mut claims = act.claims();
    claims.approver = Some(act.subject.clone());
    let token = Permit::issue(&claims, &identity).unwrap();
    assert!(matches!(
        refusal(&token, &act, &identity, NOW),
        PermitError::Mismatch(_)
    ));
}

#[test]
fn no_other_service_issues_a_permit_with_its_own_key() {
    for service in Service::ALL {
        let (keys, act) = (keys(), Act::new());
        let trusted = keys.trusted().unwrap();
        let identity = keys.into_identity(service).unwrap();
        let issued = Permit::issue(&act.claims(), &identity);
        if service == Service::Verification {
            assert!(issued.is_ok());
            continue;
        }
        assert_eq!(issued, Err(PermitError::WrongIssuer));
        // A hostile one does not ask our code, and even names verification as the issuer.
        let honest = Permit::issue(&act.claims(), &verification()).unwrap();
        let payload = honest.as_text().split('.').nth(1).unwrap().to_owned();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
        let forged = PermitToken::from_text(jws::sign(identity.signing_key(), TYP, &payload).unwrap());
        let verdict = Permit::verify(&forged, &act.expected(), &trusted, NOW).unwrap_err();
        assert_eq!(verdict, PermitError::WrongIssuer, "{service}");
    }
}

#[test]
fn a_permit_of_another_fleet_is_refused() {
    let act = Act::new();
    let token = Permit::issue(&act.claims(), &verification()).unwrap();
    assert_eq!(
        refusal(&token, &act, &verification(), NOW),
        PermitError::WrongIssuer
    );
}

#[test]
fn a_service_token_signed_by_verification_is_no_permit() {
    let (identity, act) = (verification(), Act::new());
    let token = crate::token::issue(&identity, "executor", b"", NOW, Uuid::nil()).unwrap();
    assert_eq!(
        refusal(&PermitToken::from_text(token), &act, &identity, NOW),
        PermitError::Malformed
    );
}

#[test]
fn duplicate_unknown_and_missing_claims_are_refused_even_when_verification_signed_them() {
    let (identity, act) = (verification(), Act::new());
    let honest = Permit::issue(&act.claims(), &identity).unwrap();
    let payload = honest.as_text().split('.').nth(1).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    let sign = |payload: &str| {
        PermitToken::from_text(jws::sign(identity.signing_key(), TYP, payload.as_bytes()).unwrap())
    };
    assert!(Permit::verify(&sign(&payload), &act.expected(), identity.trusted(), NOW).is_ok());
    for spoiled in [
        payload.replacen('{', r#"{"subject":"somebody-else","#, 1),
        payload.replacen('{', r#"{"exp":99999999999,"#, 1),
        payload.replacen('{', r#"{"any_subject":true,"#, 1),
        payload.replacen("\"subject\"", "\"subjects\"", 1),
        "{}".to_owned(),
        "[]".to_owned(),
        String::new(),
    ] {
        assert_eq!(
            refusal(&sign(&spoiled), &act, &identity, NOW),
            PermitError::Malformed,
            "{spoiled}"
        );
    }
}

#[test]
fn empty_huge_and_unsigned_permits_are_refused() {
    let (identity, act) = (verification(), Act::new());
    let check = |text: String| refusal(&PermitToken::from_text(text), &act, &identity, NOW);
    assert_eq!(check(String::new()), PermitError::Malformed);
    assert_eq!(check("a".repeat(1_000_000)), PermitError::Malformed);
    assert_eq!(
        check("eyJhbGciOiJub25lIn0.e30.".to_owned()),
        PermitError::WrongAlgorithm
    );
    let token = Permit::issue(&act.claims(), &identity).unwrap();
    let (message, _) = token.as_text().rsplit_once('.').unwrap();
    assert_eq!(check(message.to_owned()), PermitError::Malformed);
    assert_eq!(check(format!("{message}.")), PermitError::BadSignature);
}

proptest! {
    #[test]
    fn no_changed_character_survives(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
        let (identity, act) = (verification(), Act::new());
        let token = Permit::issue(&act.claims(), &identity).unwrap();
        let mut text = token.as_text().to_owned();
        let at = at.index(text.len());
        text.replace_range(at..=at, &with);
        prop_assume!(text != token.as_text());
        let changed = PermitToken::from_text(text);
        prop_assert!(Permit::verify(&changed, &act.expected(), identity.trusted(), NOW).is_err());
    }

    #[test]
    fn any_ids_that_the_outside_hands_us_survive_the_wire(ticket in "[A-Za-z0-9#_-]{1,40}", subject in "[^\\p{Cc}]{1,64}") {
        let identity = verification();
        let mut act = Act::new();
        (act.ticket, act.subject) = (ticket.parse().unwrap(), subject.parse().unwrap());
        prop_assume!(act.subject.as_str() != "manager");
        let token = Permit::issue(&act.claims(), &identity).unwrap();
        let permit = Permit::verify(&token, &act.expected(), identity.trusted(), NOW).unwrap();
        prop_assert_eq!(permit.claims(), &act.claims());
    }
}
