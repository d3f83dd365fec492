//! What orchestration talks to, scripted: a step service, a help desk, a playbook service; and orchestration itself, on a
//! real database, startable as often as wanted and killable.

pub(crate) mod people;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::client::{OrchestrationClient, Outbound, PeerError};
use common::execution::ExecutionAccepted;
use common::{
    DecisionId, Digest, ExecutePlaybook, ExecutionId, ExecutionView, OperationId, Outcome, PlaybookRef,
    Service, Signal, StepRequest, StepResult, Subject, TenantId, TicketSnapshot, UserId, Values,
};
use http::HeaderMap;
use launcher::testing::{Running, Stamp, TestDatabase, TestKeys, seen_within};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// A playbook with one step of each kind.
pub(crate) const PLAYBOOK: &str = r#"
name: password_reset
version: "1.2"
enabled: true
description: "Automated password reset"
category: REQUEST
sub_category: PASSWORD_RESET
steps:
  - id: verify_mfa
    name: "Verify User via MFA"
    service: verification.mfa
    timeout: 60
    on_success: reset_password
    on_failure: verify_manager
    on_denied: escalate_denied
  - id: verify_manager
    name: "Manager Approval"
    service: verification.manager
    timeout: 20
    with:
      reason: "{{ requester.name }}: {{ ticket.summary }}"
    on_success: reset_password
    on_failure: escalate
    on_denied: escalate_denied
  - id: reset_password
    name: "Reset Password"
    service: executor.reset_password
    timeout: 20
    on_success: deliver
    on_failure: escalate
  - id: deliver
    name: "Deliver Credentials"
    service: delivery.sms
    timeout: 20
    on_success: resolved
    on_failure: escalate
  - id: resolved
    name: "Resolved"
    type: terminal
    status: RESOLVED
  - id: escalate
    name: "Hand over"
    type: escalation
    reason: "The automation could not finish"
  - id: escalate_denied
    name: "Alarm"
    type: escalation
    reason: "The user denied the request: possible account takeover"
"#;

pub(crate) const MFA: &str = "/api/v1/verification/mfa";
pub(crate) const MANAGER: &str = "/api/v1/verification/manager_approval";
pub(crate) const RESET: &str = "/api/v1/executor/reset_password";
pub(crate) const SMS: &str = "/api/v1/delivery/sms";
pub(crate) const DELETE_PASS: &str = "/api/v1/executor/delete_pass";

/// A call that a step service got.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) request: StepRequest,
    pub(crate) at: Instant,
}

/// Answers steps as scripted; the last answer of a path is given again and again.
#[derive(Clone, Default)]
pub(crate) struct Steps {
    script: Arc<Mutex<HashMap<String, VecDeque<ResponseTemplate>>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Steps {
    pub(crate) fn answer(&self, path: &str, answers: impl IntoIterator<Item = ResponseTemplate>) {
        self.script
            .lock()
            .unwrap()
            .insert(path.to_owned(), answers.into_iter().collect());
    }

    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| asked.path == path)
            .cloned()
            .collect()
    }
}

impl Respond for Steps {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let path = request.url.path().to_owned();
        let header = |name: &str| {
            request
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        if let Ok(body) = serde_json::from_slice(&request.body) {
            self.asked.lock().unwrap().push(Asked {
                path: path.clone(),
                key: header("idempotency-key").unwrap_or_default(),
                traceparent: header("traceparent"),
                request: body,
                at: Instant::now(),
            });
        }
        let mut script = self.script.lock().unwrap();
        let answers = script
            .get_mut(&path)
            .unwrap_or_else(|| panic!("nothing is scripted for {path}"));
        if answers.len() > 1 {
            answers.pop_front().unwrap()
        } else {
            answers[0].clone()
        }
    }
}

/// A help desk with one ticket per number asked for.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<DeskState>>);

#[derive(Default)]
struct DeskState {
    /// (private, text), oldest first.
    notes: Vec<(bool, String)>,
    status: Option<i64>,
    agent: Option<i64>,
    field: Vec<String>,
    /// Other custom fields, as they were set.
    others: Vec<(i64, Value)>,
    /// How many notes are taken and then not answered for.
    swallow: usize,
    /// How many more times notes cannot be looked at.
    blind: usize,
    /// No status is changed, whoever asks.
    stubborn: bool,
    /// Nothing is answered at all.
    away: bool,
}

impl Desk {
    pub(crate) fn notes(&self) -> Vec<(bool, String)> {
        self.0.lock().unwrap().notes.clone()
    }

    /// Every value that the custom field had.
    pub(crate) fn field(&self) -> Vec<String> {
        self.0.lock().unwrap().field.clone()
    }

    /// Other custom fields, as they were set.
    pub(crate) fn others(&self) -> Vec<(i64, Value)> {
        self.0.lock().unwrap().others.clone()
    }

    pub(crate) fn status(&self) -> Option<i64> {
        self.0.lock().unwrap().status
    }

    pub(crate) fn agent(&self) -> Option<i64> {
        self.0.lock().unwrap().agent
    }

    /// Give the ticket to an agent.
    pub(crate) fn assign(&self, agent: i64) {
        self.0.lock().unwrap().agent = Some(agent);
    }

    /// Take the next `notes` notes and answer 500 all the same.
    pub(crate) fn swallow(&self, notes: usize) {
        self.0.lock().unwrap().swallow = notes;
    }

    /// Do not show the notes the next `times` times.
    pub(crate) fn blind(&self, times: usize) {
        self.0.lock().unwrap().blind = times;
    }

    /// Refuse every change of the status.
    pub(crate) fn stubborn(&self) {
        self.0.lock().unwrap().stubborn = true;
    }

    pub(crate) fn away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    fn answer(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        if state.away {
            return ResponseTemplate::new(503);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match (request.method.as_str(), request.url.path()) {
            ("POST", "/auth/token") => {
                ok(json!({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}))
            }
            ("GET", "/api/Status") => {
                ok(json!([{"id": 2, "name": "In Progress"}, {"id": 10, "name": "Resolved"}]))
            }
            ("GET", "/api/FieldInfo") => ok(json!([
                {"id": 178, "name": "CFautomation_status"}, {"id": 179, "name": "CFfloor"},
            ])),
            ("POST", "/api/Actions") => {
                // One after the other: what comes behind a refusal is not looked at.
                let actions = body.as_array().unwrap().iter();
                let added: Result<Vec<Value>, _> = actions.map(|action| state.act(action)).collect();
                added.map_or_else(|refusal| *refusal, |added| ok(added.into()))
            }
            ("GET", "/api/Actions") if state.blind > 0 => {
                state.blind -= 1;
                ResponseTemplate::new(503)
            }
            ("GET", "/api/Actions") => {
                let actions = state.notes.iter().zip(1..).map(|((private, note), id)| {
                    json!({"id": id, "note_html": note, "hiddenfromuser": private, "outcome": "Internal Note"})
                });
                ok(json!({"actions": actions.collect::<Vec<_>>()}))
            }
            ("POST", "/api/Tickets") => state.change(&body[0]),
            ("GET", ticket) if ticket.starts_with("/api/Tickets/") => ok(json!({
                "id": 4242, "summary": "I can't log in", "status_id": state.status.unwrap_or(2),
                "tickettype_id": 1, "client_id": 12, "agent_id": state.agent.unwrap_or(7),
                "customfields": [{"id": 178, "name": "CFautomation_status", "value": state.field.last()}],
            })),
            (method, path) => panic!("the help desk was asked {method} {path}"),
        }
    }
}

impl DeskState {
    fn act(&mut self, action: &Value) -> Result<Value, Box<ResponseTemplate>> {
        if self.stubborn && action["new_status"].is_i64() {
            return Err(Box::new(
                ResponseTemplate::new(400).set_body_json("This status is not allowed here"),
            ));
        }
        let private = action["hiddenfromuser"].as_bool().unwrap();
        self.notes
            .push((private, action["note_html"].as_str().unwrap().to_owned()));
        self.status = action["new_status"].as_i64().or(self.status);
        self.agent = action["new_agent"].as_i64().or(self.agent);
        if self.swallow > 0 {
            self.swallow -= 1;
            return Err(Box::new(ResponseTemplate::new(500)));
        }
        Ok(json!({"id": self.notes.len()}))
    }

    fn change(&mut self, ticket: &Value) -> ResponseTemplate {
        if self.stubborn && ticket["status_id"].is_i64() {
            return ResponseTemplate::new(400).set_body_json("This status is not allowed here");
        }
        self.status = ticket["status_id"].as_i64().or(self.status);
        self.agent = ticket["agent_id"].as_i64().or(self.agent);
        for field in ticket["customfields"].as_array().into_iter().flatten() {
            match field["id"].as_i64() {
                Some(178) => self.field.push(field["value"].as_str().unwrap().to_owned()),
                other => self.others.push((other.unwrap(), field["value"].clone())),
            }
        }
        ok(json!({"id": 4242}))
    }
}

impl Respond for Desk {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.answer(request)
    }
}

pub(crate) fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// `200` with this outcome, and with what the machine wants to see of a success.
pub(crate) fn done(outcome: &str) -> ResponseTemplate {
    let mut result = StepResult::new(Outcome::from(outcome), format!("It ended in {outcome}."));
    if outcome == "success" {
        result.permit = Some(common::PermitToken::from_text("a.permit"));
        result.sealed = Some(common::SealedCredential::from_text("sealed"));
    }
    ok(serde_json::to_value(result).unwrap())
}

/// `202`.
pub(crate) fn pending(operation: OperationId) -> ResponseTemplate {
    let body =
        json!({"operation": operation, "explanation": "Adele Vance was asked to approve on her phone."});
    ResponseTemplate::new(202).set_body_json(body)
}

/// A service that is in the middle of a trace.
struct Caller(Stamp);

impl Outbound for Caller {
    fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap) {
        self.0.decorate(callee, body, headers);
        headers.insert(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                .parse()
                .unwrap(),
        );
    }
}

/// As the playbook service would show it.
async fn publish(server: &MockServer, source: &str) -> PlaybookRef {
    let field = |name: &str| {
        let line = source.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_matches('"').to_owned()
    };
    let playbook = PlaybookRef {
        name: field("name:").parse().unwrap(),
        version: field("version:").parse().unwrap(),
        digest: Digest::of(source),
    };
    let view = json!({
        "name": playbook.name, "version": playbook.version, "digest": playbook.digest, "active": true,
        "description": "", "category": "REQUEST", "published_at": "2026-11-22T02:30:00Z", "source": source,
    });
    Mock::given(path(format!("/api/v1/playbooks/{}", playbook.name)))
        .respond_with(ok(view))
        .mount(server)
        .await;
    playbook
}

/// Everything around orchestration.
pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) steps: Steps,
    pub(crate) desk: Desk,
    pub(crate) playbook: PlaybookRef,
    server: MockServer,
    keys: TestKeys,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::playing(PLAYBOOK, &[]).await
    }

    /// A stage for the playbook in `source`, which may call `others`.
    pub(crate) async fn playing(source: &str, others: &[&str]) -> Self {
        chassis::telemetry::install_quiet();
        let (database, server) = (launcher::testing::database().await, MockServer::start().await);
        let (steps, desk) = (Steps::default(), Desk::default());
        let playbook = publish(&server, source).await;
        for other in others {
            publish(&server, other).await;
        }
        steps.answer(MFA, [done("success")]);
        steps.answer(MANAGER, [done("success")]);
        steps.answer(RESET, [done("success")]);
        steps.answer(SMS, [done("success")]);
        steps.answer(DELETE_PASS, [done("success")]);
        let stage = Self {
            database,
            steps,
            desk,
            playbook,
            server,
            keys: TestKeys::fresh(),
        };
        stage.mount().await;
        stage
    }

    async fn mount(&self) {
        Mock::given(path_regex("^/api/v1/(verification|executor|delivery|cmdb)/"))
            .respond_with(self.steps.clone())
            .mount(&self.server)
            .await;
        Mock::given(path_regex("^/(auth|api/[A-Z])"))
            .respond_with(self.desk.clone())
            .mount(&self.server)
            .await;
    }

    /// Answer the question how `operation` stands.
    pub(crate) async fn operation_stands(&self, operation: OperationId, answer: ResponseTemplate) {
        let path = path(format!("/api/v1/verification/{operation}"));
        Mock::given(method("GET"))
            .and(path)
            .respond_with(answer)
            .with_priority(1)
            .mount(&self.server)
            .await;
    }

    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> orchestration::OrchestrationSettings {
        let url = self.server.uri();
        let given = [
            ("PLAYBOOK_URL", url.clone()),
            ("VERIFICATION_URL", url.clone()),
            ("EXECUTOR_URL", url.clone()),
            ("DELIVERY_URL", url.clone()),
            ("HALOPSA_URL", format!("{url}/api")),
            ("HALOPSA_AUTH_URL", format!("{url}/auth")),
            ("HALOPSA_CLIENT_ID", "id".to_owned()),
            ("HALOPSA_CLIENT_SECRET", "secret".to_owned()),
            ("CIRCUIT_PROBE_S", "1".to_owned()),
            ("STEP_SERVICES", format!("cmdb={url}")),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let mut map = self.keys.settings(Service::Orchestration, &self.database);
        let own = given.into_iter().chain(more);
        map.extend(own.map(|(name, value)| (name.to_owned(), value)));
        chassis::from_map(&map).unwrap()
    }

    /// Orchestration on a runtime of its own, so that it can die like a process.
    pub(crate) fn orchestration(&self, more: &[(&str, &str)]) -> Running {
        Running::start(Service::Orchestration, self.settings(more), orchestration::serve)
    }

    /// A client in the name of `service`.
    pub(crate) fn client(&self, running: &Running, service: Service) -> OrchestrationClient {
        let caller = Caller(self.keys.stamp(service));
        OrchestrationClient(running.peer(caller, Duration::from_secs(10)))
    }

    pub(crate) fn request(&self, ticket: &str) -> ExecutePlaybook {
        let tenant_id: TenantId = "default".parse().unwrap();
        let user_id: UserId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        ExecutePlaybook {
            tenant_id: tenant_id.clone(),
            ticket_id: ticket.parse().unwrap(),
            decision_id: DecisionId::fresh(),
            playbook: self.playbook.clone(),
            subject: Subject { tenant_id, user_id },
            requester_name: "Adele Vance".to_owned(),
            requester_mail: Some("adele@contoso.example".to_owned()),
            manager: None,
            ticket: TicketSnapshot {
                summary: "I can't log in".to_owned(),
                ..TicketSnapshot::default()
            },
            inputs: Values::new(),
        }
    }

    /// Start an execution for ticket 4242.
    pub(crate) async fn execute(&self, running: &Running) -> ExecutionAccepted {
        let client = self.client(running, Service::Classifier);
        let request = self.request("4242");
        eventually("the execution is accepted", async || {
            client.execute(&request).await.ok()
        })
        .await
    }

    pub(crate) async fn view(&self, running: &Running, id: ExecutionId) -> ExecutionView {
        self.client(running, Service::Classifier)
            .execution(id)
            .await
            .unwrap()
    }

    pub(crate) async fn ended(&self, running: &Running, id: ExecutionId) -> ExecutionView {
        let client = self.client(running, Service::Classifier);
        let mut seen = None;
        let ended = seen_within(PATIENCE, async || {
            seen = client.execution(id).await.ok();
            seen.clone().filter(|view| view.status.ended())
        });
        ended
            .await
            .unwrap_or_else(|| panic!("waited in vain for an end: {seen:#?}"))
    }

    /// The help desk has been told everything.
    pub(crate) async fn told(&self) {
        let owner = self.database.owner().await;
        eventually("the help desk is told", async || {
            let due = "SELECT COUNT(*) FROM ticket_updates WHERE settled IS NULL";
            let due: i64 = sqlx::query_scalar(due).fetch_one(&owner).await.unwrap();
            (due == 0).then_some(())
        })
        .await;
    }

    /// Publish another document under the same name: from now on the playbook service knows no other.
    pub(crate) async fn publish_instead(&self, source: &str) -> PlaybookRef {
        self.server.reset().await;
        self.mount().await;
        publish(&self.server, source).await
    }

    /// Take the playbook out of use: from now on the playbook service knows of none.
    pub(crate) async fn withdraw(&self) {
        self.server.reset().await;
        self.mount().await;
        Mock::given(path_regex("^/api/v1/playbooks/"))
            .respond_with(ResponseTemplate::new(404))
            .mount(&self.server)
            .await;
    }

    /// It was let go of because no step of it may begin.
    pub(crate) async fn stands_still(&self, id: ExecutionId) {
        let owner = self.database.owner().await;
        eventually("it stands still", async || {
            let held = "SELECT held AND runner IS NULL FROM playbook_executions WHERE id = $1";
            let held: bool = sqlx::query_scalar(held)
                .bind(id.0)
                .fetch_one(&owner)
                .await
                .unwrap();
            held.then_some(())
        })
        .await;
    }

    /// Count what is written about executions from now on.
    pub(crate) async fn count_writes(&self) {
        let counter = "CREATE TABLE writes (id uuid);
            GRANT INSERT ON writes TO PUBLIC;
            CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN INSERT INTO writes VALUES (NEW.id); RETURN NEW; END $$;
            CREATE TRIGGER writes AFTER UPDATE ON playbook_executions FOR EACH ROW EXECUTE FUNCTION count_write();";
        sqlx::raw_sql(counter)
            .execute(&self.database.owner().await)
            .await
            .unwrap();
    }

    /// Runners that are registered.
    pub(crate) async fn runners(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM execution_runners")
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }

    pub(crate) async fn writes(&self, id: ExecutionId) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM writes WHERE id = $1")
            .bind(id.0)
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }

    /// Kinds of audit events, oldest first.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let owner = self.database.owner().await;
        sqlx::query_scalar("SELECT kind FROM audit_events ORDER BY id")
            .fetch_all(&owner)
            .await
            .unwrap()
    }

    /// The same signal under a key of its own: as of a service that lost our answer, and the key with it.
    pub(crate) async fn signal_under(
        &self,
        key: &str,
        running: &Running,
        from: Service,
        id: ExecutionId,
        signal: &Signal,
    ) -> u16 {
        let body = serde_json::to_vec(signal).unwrap();
        let mut headers = HeaderMap::new();
        self.keys
            .stamp(from)
            .decorate(Service::Orchestration.name(), &body, &mut headers);
        headers.insert("idempotency-key", key.parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        let path = format!("/api/v1/orchestration/executions/{id}/signals");
        let sent = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap()
            .post(running.base.join(&path).unwrap())
            .headers(headers)
            .body(body)
            .send();
        sent.await.unwrap().status().as_u16()
    }

    /// Note, with every change of an execution, how many are in somebody's hands.
    pub(crate) async fn count_held(&self) {
        let counter = "CREATE TABLE held_at_once (number bigint);
            GRANT INSERT ON held_at_once TO PUBLIC;
            CREATE FUNCTION count_held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO held_at_once SELECT count(*) FROM playbook_executions WHERE runner IS NOT NULL;
                RETURN NULL;
            END $$;
            CREATE TRIGGER held_at_once AFTER INSERT OR UPDATE ON playbook_executions
                FOR EACH STATEMENT EXECUTE FUNCTION count_held();";
        sqlx::raw_sql(counter)
            .execute(&self.database.owner().await)
            .await
            .unwrap();
    }

    /// The most that were, so far.
    pub(crate) async fn most_held(&self) -> Option<i64> {
        sqlx::query_scalar("SELECT max(number) FROM held_at_once")
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }

    pub(crate) async fn signal(
        &self,
        running: &Running,
        from: Service,
        id: ExecutionId,
        signal: &Signal,
    ) -> Result<(), PeerError> {
        self.client(running, from).signal(id, signal).await
    }
}

/// The longest lease is half of that.
const PATIENCE: Duration = Duration::from_mins(1);

/// Wait for a state.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    seen_within(PATIENCE, look)
        .await
        .unwrap_or_else(|| panic!("waited in vain: {what}"))
}
