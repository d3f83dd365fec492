//! Acting by itself is granted by what the gate has measured, or for a reason.

use common::playbook::PlaybookView;
use common::{Mode, PlaybookRef, Problem, Service};
use http::Method;
use launcher::testing::Running;
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::house::{ADMIN, Answer, House, SHIPPED, Who};

const ONE: &str = "api/v1/playbooks/password_reset";

struct Stage {
    house: House,
    running: Running,
    classifier: MockServer,
}

impl Stage {
    async fn set() -> Self {
        let (house, classifier) = (House::new().await, MockServer::start().await);
        let url = classifier.uri();
        let settings = house.settings_with(&[("CLASSIFIER_URL", &url)]).unwrap();
        let running = Running::start(Service::Playbook, settings, playbook::serve);
        house.ready(&running).await;
        house
            .publish(&running, &ADMIN, SHIPPED)
            .await
            .expect::<PlaybookRef>(201);
        Self {
            house,
            running,
            classifier,
        }
    }

    async fn measured(&self, agreed: u64, lower_bound: f64, bar: f64, needed: u64) {
        let standing = json!({
            "playbook": "password_reset", "judged": agreed, "agreed": agreed, "precision": 1.0,
            "lower_bound": lower_bound, "bar": bar, "needed": needed,
        });
        Mock::given(method("GET"))
            .and(path("/api/v1/gate/standing/password_reset"))
            .and(query_param("bar", bar.to_string()))
            .respond_with(ResponseTemplate::new(200).set_body_json(standing))
            .mount(&self.classifier)
            .await;
    }

    async fn activate(&self, terms: Value) -> Answer {
        let mut body = json!({ "version": version() });
        body.as_object_mut()
            .unwrap()
            .extend(terms.as_object().unwrap().clone());
        let body = body.to_string().into_bytes();
        let path = format!("{ONE}/activate");
        self.house
            .send(
                &self.running,
                &ADMIN,
                Method::PUT,
                &path,
                "application/json",
                body,
            )
            .await
    }

    async fn activations(&self) -> Vec<Value> {
        sqlx::query_scalar("SELECT detail FROM audit_events WHERE kind = 'playbook.activated' ORDER BY id")
            .fetch_all(&self.house.owner)
            .await
            .unwrap()
    }
}

fn version() -> String {
    let line = SHIPPED.lines().find_map(|line| line.strip_prefix("version:"));
    line.unwrap().trim().trim_matches('"').to_owned()
}

#[tokio::test]
async fn below_the_bar_it_is_refused_with_the_numbers() {
    let stage = Stage::set().await;
    stage.measured(40, 0.927, 0.97, 59).await;
    let refused = stage.activate(json!({"mode": "auto", "bar": 0.97})).await;
    let problem: Problem = refused.expect(409);
    assert_eq!(problem.code, "mode_not_earned");
    for number in ["40 of 40", "0.927", "0.97", "59 more"] {
        assert!(problem.to_string().contains(number), "{number} in {problem}");
    }
    let body: Value = refused.json();
    assert_eq!(body["standing"]["needed"], 59);
    assert_eq!(stage.activations().await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_earned_is_granted_and_both_the_bar_and_the_numbers_are_kept() {
    let stage = Stage::set().await;
    stage.measured(120, 0.975, 0.97, 0).await;
    let view: PlaybookView = stage
        .activate(json!({"mode": "auto", "bar": 0.97}))
        .await
        .expect(200);
    let activation = view.activation.unwrap();
    assert_eq!(
        (activation.mode, activation.bar.share()),
        (Some(Mode::Auto), 0.97)
    );
    assert_eq!(activation.override_reason, None);
    let classifier = Who::Fleet(Service::Classifier);
    let list: Vec<PlaybookView> = stage
        .house
        .get(&stage.running, &classifier, "api/v1/playbooks")
        .await
        .expect(200);
    assert_eq!(list[0].activation.as_ref(), Some(&activation));
    let audited = stage.activations().await;
    assert_eq!(audited.len(), 1);
    assert_eq!(audited[0]["standing"]["judged"], 120);

    // The same once more is another activation; and one without a mode goes back to the default.
    let again: PlaybookView = stage
        .activate(json!({"mode": "auto", "bar": 0.97}))
        .await
        .expect(200);
    assert_ne!(again.activation.unwrap().id, activation.id);
    let plain: PlaybookView = stage.activate(json!({})).await.expect(200);
    assert_eq!(plain.activation.unwrap().mode, None);
    let same: PlaybookView = stage.activate(json!({})).await.expect(200);
    assert!(same.active);
    assert_eq!(stage.activations().await.len(), 3, "nothing new was said");
}

#[tokio::test]
async fn an_admin_may_override_it_with_a_reason_that_stays_on_record() {
    let stage = Stage::set().await;
    let reason = "pilot with the service desk until Friday";
    let view: PlaybookView = stage
        .activate(json!({"mode": "auto", "override_reason": reason}))
        .await
        .expect(200);
    assert_eq!(view.activation.unwrap().override_reason.as_deref(), Some(reason));
    assert_eq!(stage.activations().await[0]["override_reason"], reason);
    assert!(stage.classifier.received_requests().await.unwrap().is_empty());

    for (terms, status) in [
        (json!({"mode": "auto", "override_reason": "  "}), 422),
        (json!({"mode": "suggest", "override_reason": reason}), 422),
        (json!({"override_reason": reason}), 422),
        (json!({"mode": "loud"}), 422),
        (json!({"mode": "shadow", "bar": 1.0}), 422),
        (json!({"mode": "shadow", "bar": 95}), 422),
    ] {
        let answer = stage.activate(terms.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{terms}");
    }
}

#[tokio::test]
async fn what_is_not_known_now_is_not_granted_now() {
    let stage = Stage::set().await;
    let problem: Problem = stage.activate(json!({"mode": "auto"})).await.expect(503);
    assert_eq!(problem.code, "standing_unavailable");
    for mode in ["shadow", "suggest"] {
        let view: PlaybookView = stage.activate(json!({ "mode": mode })).await.expect(200);
        assert_eq!(view.activation.unwrap().mode.unwrap().as_str(), mode);
    }
}
