//! A manager who says yes must still be the one to say it when they do, by card and by text; and a directory that is away
//! loses no answer and believes none.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is no test")]

use std::time::Duration;

use common::{ActionName, Outcome, Pending, Service, StepRequest, StepResult};
use launcher::testing::{Running, seen_within, until};
use simulators::System;
use simulators::faults::{Fault, FaultKind};
use simulators::teams::{CardReaction, CardView, Choice, Press};
use simulators::twilio::Reply;
use trust::Method;

use crate::house::{ADELE, House, MEGAN, PATIENCE};
use crate::{MANAGER, SMS_SOON};

const ALEX: &str = "alex@contoso.example";
const GUEST: &str = "gus@fabrikam.example";

/// Makes Megan somebody who may not answer any more, or takes that back.
type Change<'c> = &'c dyn Fn(bool);

#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Card,
    Text,
}

/// Megan is being asked, and looks neither at Teams nor at her phone unless she is made to.
struct Asked<'h> {
    house: &'h House,
    request: StepRequest,
    pending: Pending,
    card: CardView,
    code: Option<String>,
}

/// A new ticket of Adele, on which Megan has a card and, where she is to answer by text, a text message.
async fn asked<'h>(house: &'h House, running: &Running, by: By) -> Asked<'h> {
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.teams().react(MEGAN, CardReaction::ignore());
    house.world.twilio().reply(&number, Reply::Ignore);
    let (cards, texts) = (
        house.world.teams().cards().len(),
        house.world.twilio().inbox(&number).len(),
    );
    let request = house.request(MANAGER, ADELE);
    let pending = house.begin(running, &request).await;
    let card = house
        .wait("the card", || house.world.teams().cards().into_iter().nth(cards))
        .await;
    let code = if by == By::Text {
        let text = house
            .wait("the text", || {
                house.world.twilio().inbox(&number).into_iter().nth(texts)
            })
            .await;
        text.body.split("YES ").nth(1).map(|rest| rest[..4].to_owned())
    } else {
        None
    };
    Asked {
        house,
        request,
        pending,
        card,
        code,
    }
}

impl Asked<'_> {
    /// Megan answers; what she is told.
    async fn says(&self, yes: bool) -> String {
        let world = &self.house.world;
        let Some(code) = &self.code else {
            let choice = if yes { Choice::Approve } else { Choice::Deny };
            let told = world.teams().press(&self.card, Press::new(choice)).await;
            assert_eq!(told.status, 200, "{told:?}");
            return told.body;
        };
        let number = world.person(MEGAN).e164().unwrap();
        let word = if yes { "YES" } else { "NO" };
        let status = world.twilio().receive(&number, &format!("{word} {code}")).await;
        assert_eq!(status, Some(200));
        String::new()
    }

    /// Wait until it is on record that the text message went out: nobody but an answer changes the row then.
    async fn sent(&self) {
        let look = async || self.recorded("verification.sms_sent").await.pop();
        assert!(seen_within(PATIENCE, look).await.is_some(), "no text message");
    }

    async fn result(&self) -> StepResult {
        self.house.told(&self.pending).await
    }

    async fn recorded(&self, kind: &str) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT coalesce(detail ->> 'why', '') FROM audit_events WHERE kind = $1 AND execution_id = $2 ORDER BY id",
        )
        .bind(kind)
        .bind(self.request.execution_id.0)
        .fetch_all(&self.house.owner)
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_longer_the_manager_who_may_act_approves_nothing_and_may_still_say_no() {
    for by in [By::Card, By::Text] {
        let house = House::new().await;
        let running = house.run(if by == By::Text { SMS_SOON } else { &[] });
        let entra = house.world.entra();
        let cases: [(Change<'_>, &str, &str); 4] = [
            (
                &|gone| {
                    entra.set_enabled(MEGAN, !gone);
                },
                "manager_disabled",
                "The account of the manager of Adele Vance is disabled.",
            ),
            (
                &|gone| {
                    entra.set_manager(ADELE, Some(if gone { ALEX } else { MEGAN }));
                },
                "manager_replaced",
                "Megan Bowen was asked and is not the manager of Adele Vance in the directory any more, so their \
                 approval does not count.",
            ),
            (
                &|gone| {
                    entra.set_manager(ADELE, Some(if gone { GUEST } else { MEGAN }));
                },
                "manager_replaced",
                "Megan Bowen was asked and is not",
            ),
            (
                &|gone| {
                    entra.set_manager(ADELE, (!gone).then_some(MEGAN));
                },
                "no_manager",
                "The directory has no manager for Adele Vance.",
            ),
        ];
        for (change, why, words) in cases {
            let asked = asked(&house, &running, by).await;
            change(true);
            asked.says(true).await;
            let result = asked.result().await;
            assert_eq!(result.outcome, Outcome::Failure, "{by:?} {why}");
            assert!(result.explanation.starts_with(words), "{}", result.explanation);
            assert_eq!(result.permit, None);
            assert_eq!(asked.recorded("verification.attempt_refused").await, [why]);
            change(false);
        }
        // A no is an alarm, whoever they are by now.
        let asked = asked(&house, &running, by).await;
        entra.set_enabled(MEGAN, false);
        asked.says(false).await;
        let result = asked.result().await;
        assert_eq!((result.outcome, result.permit), (Outcome::Denied, None), "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_who_is_a_guest_is_not_asked() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.entra().set_manager(ADELE, Some(GUEST));
    let result = house.refused(&running, &house.request(MANAGER, ADELE)).await;
    assert_eq!(
        (result.outcome, result.explanation.as_str()),
        (
            Outcome::Failure,
            "The manager of Adele Vance is a guest in the directory."
        )
    );
    assert!(house.world.teams().cards().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_away_loses_no_answer_and_approves_none() {
    for by in [By::Card, By::Text] {
        let house = House::new().await;
        let running = house.run(if by == By::Text { SMS_SOON } else { &[] });
        for still in [true, false] {
            let asked = asked(&house, &running, by).await;
            let away = Fault::new(FaultKind::Status(503)).on("manager");
            let away = house.world.faults(System::Entra).inject(away);
            let told = asked.says(true).await;
            if by == By::Card {
                assert!(told.contains("Your answer was taken"), "{told}");
            }
            house.audited("verification.answer_kept").await;
            let view = house.look(&running, &asked.pending).await;
            assert_eq!(view.result, None, "never approved without");
            assert!(
                view.explanation
                    .contains("the directory cannot be asked at the moment"),
                "{}",
                view.explanation
            );
            // What ten minutes would do: its time is over, and nobody may be declared silent.
            sqlx::query("UPDATE verifications SET deadline = now() WHERE state = 'open'")
                .execute(&house.owner)
                .await
                .unwrap();
            assert_eq!(
                how_it_stands(&house, &running, &asked.pending).await,
                "outside_unavailable"
            );
            // Said twice, it is the same answer.
            asked.says(true).await;
            house.world.entra().set_enabled(MEGAN, still);
            house.world.faults(System::Entra).lift(away);

            let result = asked.result().await;

            if still {
                assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
                let claims = house.permit(&asked.request, &result);
                let method = match by {
                    By::Card => Method::ManagerTeams,
                    By::Text => Method::ManagerSms,
                };
                assert_eq!(claims.method, method);
                assert_eq!(asked.recorded("verification.answered").await.len(), 1);
            } else {
                assert_eq!((result.outcome, result.permit), (Outcome::Failure, None));
                assert_eq!(
                    asked.recorded("verification.attempt_refused").await,
                    ["manager_disabled"]
                );
            }
            assert_eq!(
                asked.recorded("verification.answer_kept").await,
                ["directory_away"]
            );
        }
    }
}

/// The code of the problem that orchestration gets who asks how it stands.
pub(crate) async fn how_it_stands(house: &House, running: &Running, pending: &Pending) -> String {
    let action: ActionName = "verification.any".parse().unwrap();
    let client = house.client(running, Service::Orchestration);
    match client.operation(&action, pending.operation).await {
        Err(common::client::PeerError::Busy { code, .. }) => code.unwrap_or_default(),
        Err(error) => panic!("{error}"),
        Ok(view) => format!("{:?}", view.result.map(|result| result.outcome)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_waits_for_the_directory_outlasts_a_deployment() {
    let house = House::new().await;
    let running = house.run(&[]);
    let asked = asked(&house, &running, By::Card).await;
    house.audited("verification.card_sent").await;
    let away = Fault::new(FaultKind::Latency(Duration::from_hours(1))).on("manager");
    let away = house.world.faults(System::Entra).inject(away);
    let told = asked.says(true).await;
    assert!(
        told.contains("Your answer was taken"),
        "nobody is kept waiting for a directory that is slow: {told}"
    );
    running.stop().await;
    house.world.faults(System::Entra).lift(away);
    let _running = house.run(&[]);
    let result = asked.result().await;
    assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
    house.permit(&asked.request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_outlasts_whoever_took_it_while_the_directory_was_being_asked() {
    for by in [By::Card, By::Text] {
        let house = House::new().await;
        let running = house.run(if by == By::Text { SMS_SOON } else { &[] });
        let asked = asked(&house, &running, by).await;
        let sent = if by == By::Text {
            "verification.sms_sent"
        } else {
            "verification.card_sent"
        };
        house.audited(sent).await;
        let slow = Fault::new(FaultKind::Latency(Duration::from_hours(1))).on("manager");
        let slow = house.world.faults(System::Entra).inject(slow);

        tokio::select! {
            told = asked.says(true) => panic!("nobody can vouch for her: {told}"),
            () = house.row_is("kept_at IS NOT NULL AND look_up_attempts = 0") => {}
        }
        drop(running);

        // What ten minutes would do: the time of the step is over.
        sqlx::query("UPDATE verifications SET deadline = now() WHERE state = 'open'")
            .execute(&house.owner)
            .await
            .unwrap();
        house.world.faults(System::Entra).lift(slow);
        let _running = house.run(if by == By::Text { SMS_SOON } else { &[] });
        let result = asked.result().await;
        assert_eq!(result.outcome, Outcome::Success, "{by:?}: {}", result.explanation);
        house.permit(&asked.request, &result);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_the_code_of_their_own_request_whatever_number_their_manager_has() {
    for registered in [true, false] {
        let house = House::new().await;
        let number = house.world.person(MEGAN).e164().unwrap();
        if registered {
            house.world.entra().set_mobile(ADELE, Some(&number));
        } else {
            let national = format!("0{}", number.strip_prefix("+44").unwrap());
            house.world.entra().set_contact_phone(ADELE, Some(&national));
        }
        let without_teams = house.run(&[("TEAMS_CATALOG_APP_ID", "")]);
        let request = house.request(MANAGER, ADELE);
        let pending = house.begin(&without_teams, &request).await;
        let result = house.told(&pending).await;
        assert_eq!(
            (result.outcome, result.explanation.as_str()),
            (
                Outcome::Failure,
                "Megan Bowen could not be reached in Teams, and is not asked by text message, for the number on record is \
                 one of Adele Vance's."
            )
        );
        without_teams.stop().await;
        // A card is hers alone.
        let running = house.run(SMS_SOON);
        let asked = asked(&house, &running, By::Card).await;
        let withheld = async || asked.recorded("verification.sms_withheld").await.pop();
        let why = seen_within(PATIENCE, withheld).await;
        assert_eq!(why.as_deref(), Some("manager_number_shared"));
        asked.says(true).await;
        assert_eq!(asked.result().await.outcome, Outcome::Success);
        assert!(house.world.twilio().inbox(&number).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_subject_s_numbers_cannot_be_read_no_text_goes_out_and_afterwards_it_does() {
    let house = House::new().await;
    let running = house.run(SMS_SOON);
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.teams().react(MEGAN, CardReaction::ignore());
    house.world.twilio().reply(&number, Reply::Yes);
    let away = Fault::new(FaultKind::Status(503)).on("phoneMethods");
    let away = house.world.faults(System::Entra).inject(away);
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    house.row_is("sms = 'due' AND sms_attempts > 0").await;
    assert!(house.world.twilio().inbox(&number).is_empty());
    house.world.faults(System::Entra).lift(away);
    let result = house.told(&pending).await;
    assert_eq!(result.explanation, "Megan Bowen approved by text message.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_outdated_or_closed_while_its_answer_waits_for_the_row_does_not_count() {
    let house = House::new().await;
    let running = house.run(SMS_SOON);
    let number = house.world.person(MEGAN).e164().unwrap();
    for (meanwhile, verdict) in [
        ("sms_answer_hash = 'of another code'", "wrong_code"),
        (
            "sms = 'off', sms_number_hash = NULL, sms_answer_hash = NULL, sms_masked = NULL",
            "unknown",
        ),
    ] {
        let asked = asked(&house, &running, By::Text).await;
        asked.sent().await;
        let code = asked.code.as_deref().unwrap();
        let mut row = house.owner.begin().await.unwrap();
        sqlx::query("SELECT FROM verifications WHERE execution_id = $1 FOR UPDATE")
            .bind(asked.request.execution_id.0)
            .execute(&mut *row)
            .await
            .unwrap();
        let answered = async {
            let text = format!("YES {code}");
            assert_eq!(house.world.twilio().receive(&number, &text).await, Some(200));
        };
        let changed = async {
            until("an answer that waits for the row", async || {
                let waiting: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
                )
                .fetch_one(&house.owner)
                .await
                .unwrap();
                waiting > 0
            })
            .await;
            let change = format!("UPDATE verifications SET {meanwhile} WHERE execution_id = $1");
            sqlx::query(sqlx::AssertSqlSafe(change))
                .bind(asked.request.execution_id.0)
                .execute(&mut *row)
                .await
                .unwrap();
            row.commit().await.unwrap();
        };
        tokio::join!(answered, changed);
        let view = house.look(&running, &asked.pending).await;
        assert_eq!(view.result, None, "{meanwhile}");
        let (kept, said): (bool, String) = sqlx::query_as(
            "SELECT v.kept_at IS NOT NULL, m.verdict
             FROM verifications v, verification_messages m
             WHERE v.id = m.verification_id AND v.execution_id = $1",
        )
        .bind(asked.request.execution_id.0)
        .fetch_one(&house.owner)
        .await
        .unwrap();
        assert_eq!((kept, said.as_str()), (false, verdict), "{meanwhile}");
    }
}
