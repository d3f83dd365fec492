//! What people wrote is forgotten once it is long over, and nothing else is.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use common::{Outcome, Pending, StepRequest, clock};
use launcher::testing::{step_request, until};
use serde_json::json;
use simulators::teams::{CardReaction, Choice, Press};
use time::Duration;

use crate::MANAGER;
use crate::house::{ADELE, House};

/// What she gives for a reason, and types for an answer.
const WORDS: &str = "My cat walked over the keyboard";

impl House {
    fn wanting(&self, step: &str) -> StepRequest {
        let mut request = self.request(MANAGER, ADELE);
        request.step.id = step.parse().unwrap();
        request.parameters.insert("reason".to_owned(), WORDS.into());
        let authorizes = request.authorizes.as_mut().unwrap();
        authorizes.parameters.insert("note".to_owned(), WORDS.into());
        request
    }

    /// In how many requests her words still stand.
    async fn with_words(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM verifications request WHERE request::text LIKE '%' || $1 || '%'",
        )
        .bind(WORDS)
        .fetch_one(&self.owner)
        .await
        .unwrap()
    }

    /// Let it have been begun two days ago; its number then.
    async fn aged(&self, pending: &Pending) -> Pending {
        let old = clock::first_id_at(clock::now() - Duration::days(2)).as_u128()
            | pending.operation.0.as_u128() >> 80;
        let old = uuid::Uuid::from_u128(old);
        sqlx::query(
            "UPDATE verifications SET id = $1, ended_at = ended_at - interval '2 days' WHERE id = $2",
        )
        .bind(old)
        .bind(pending.operation.0)
        .execute(&self.owner)
        .await
        .unwrap();
        Pending {
            operation: common::OperationId(old),
            explanation: String::new(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_and_typed_answers_of_long_ago_are_forgotten_and_what_came_of_them_is_not() {
    let house = House::new().await;
    let running = house.run(&[("RETENTION_DAYS", "0")]);
    let allowed = house.begin(&running, &house.wanting("verify")).await;
    assert_eq!(house.told(&allowed).await.outcome, Outcome::Success);
    let young = house.begin(&running, &house.wanting("verify_again")).await;
    assert_eq!(house.told(&young).await.outcome, Outcome::Success);

    let late = house.begin(&running, &house.wanting("verify_late")).await;
    assert_eq!(house.told(&late).await.outcome, Outcome::Success);

    house.world.teams().react(ADELE, CardReaction::ignore());
    let mut question = step_request(
        "ask",
        "verification.ask",
        &house.world.person(ADELE).id.to_string(),
    );
    question.parameters = json!({"question": "What happened?", "answer": "text"})
        .as_object()
        .unwrap()
        .clone();
    let asked = house.begin(&running, &question).await;
    let card = house.card_of(ADELE).await;
    let press = Press::new(Choice::Type(WORDS.to_owned()));
    house.world.teams().press(&card, press).await;
    assert_eq!(house.told(&asked).await.outcome, Outcome::Success);
    until("nothing is left to do", async || {
        let left = sqlx::query_scalar("SELECT count(*) FROM verifications WHERE wake_at IS NOT NULL");
        let left: i64 = left.fetch_one(&house.owner).await.unwrap();
        left == 0
    })
    .await;
    let (allowed, asked) = (house.aged(&allowed).await, house.aged(&asked).await);
    // Begun as long ago, and over only now.
    let late = house.aged(&late).await;
    sqlx::query("UPDATE verifications SET ended_at = now() WHERE id = $1")
        .bind(late.operation.0)
        .execute(&house.owner)
        .await
        .unwrap();
    assert_eq!(house.with_words().await, 4);

    let keeping = house.run(&[("RETENTION_DAYS", "1")]);
    until("the old ones are forgotten", async || {
        house.with_words().await == 2
    })
    .await;

    for old in [&allowed, &asked] {
        let view = house.look(&keeping, old).await;
        assert_eq!(view.result.unwrap().outcome, Outcome::Success);
    }
    for kept in [&young, &late] {
        let shown: serde_json::Value = sqlx::query_scalar("SELECT shown FROM verifications WHERE id = $1")
            .bind(kept.operation.0)
            .fetch_one(&house.owner)
            .await
            .unwrap();
        assert_eq!(shown["reason"], WORDS, "what is young, or not long over, stays");
    }
}
