//! What unit tests find stored: an execution, and what its ticket is still to be told.

use chassis::Sessions;
use common::clock;
use common::execution::ExecutionStatus;
use common::{
    DecisionId, Digest, ExecutePlaybook, ExecutionId, OperationId, Outcome, PlaybookRef, Service, Signal,
    StepCall, StepResult, Subject, TicketSnapshot, Values,
};
use launcher::testing::TestDatabase;

use super::{Claimed, Entry, Hold, NewExecution, Store, StoredState, Take, Telling, Write};
use crate::facts::Given;
use crate::library::Pin;
use crate::update::Update;

/// The store of the tenant `default`, with the rights of the service.
pub(crate) async fn store(database: &TestDatabase) -> Store {
    let pool = database.pool(Service::Orchestration).await;
    let sessions = Sessions::new((*pool.connect_options()).clone());
    Store::new(sessions, "default".parse().unwrap())
}

/// A fresh execution for `ticket`, which is still to be told `updates`.
pub(crate) async fn execution(store: &Store, ticket: &str, updates: &[Update]) -> ExecutionId {
    let id = execution_given(store, ticket, Given::default()).await;
    told(store, ticket, id, updates).await;
    id
}

/// The ticket of this execution is still to be told `updates`.
pub(crate) async fn told(store: &Store, ticket: &str, execution: ExecutionId, updates: &[Update]) {
    let mut connection = store.pool.acquire().await.unwrap();
    let telling = Telling {
        ticket: &ticket.parse().unwrap(),
        execution,
        updates,
        now: clock::now(),
    };
    store.enqueue(&mut connection, &[telling]).await.unwrap();
}

/// Whatever tickets are still to be told is due now.
pub(crate) async fn all_due(store: &Store) {
    let due = sqlx::query("UPDATE ticket_outboxes SET wake_at = now() WHERE wake_at IS NOT NULL");
    due.execute(&store.pool).await.unwrap();
}

/// This execution has ended well.
pub(crate) async fn resolved(store: &Store, execution: ExecutionId) {
    let ended = sqlx::query(
        "UPDATE playbook_executions SET status = 'RESOLVED', ended_at = now(), wake_at = NULL WHERE id = $1",
    );
    ended.bind(execution.0).execute(&store.pool).await.unwrap();
}

/// A fresh execution for `ticket` that was told this at its start.
pub(crate) async fn execution_given(store: &Store, ticket: &str, given: Given) -> ExecutionId {
    let new = new(store, ticket, given);
    let id = new.id;
    let committed = store
        .commit(&[Entry::New(Box::new(new))], Take::default())
        .await
        .unwrap();
    assert_ne!(
        committed.found,
        [None],
        "ticket {ticket} has an open execution already"
    );
    id
}

/// One that is not stored yet.
pub(crate) fn new(store: &Store, ticket: &str, given: Given) -> NewExecution {
    let now = clock::now();
    let source = "steps: []";
    let request = ExecutePlaybook {
        tenant_id: store.tenant().clone(),
        ticket_id: ticket.parse().unwrap(),
        decision_id: DecisionId::fresh(),
        playbook: PlaybookRef {
            name: "password_reset".parse().unwrap(),
            version: "1.2".parse().unwrap(),
            digest: Digest::of(source),
        },
        subject: Subject {
            tenant_id: store.tenant().clone(),
            user_id: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
        },
        requester_name: "Adele Vance".to_owned(),
        requester_mail: None,
        manager: None,
        ticket: TicketSnapshot {
            summary: "I can't log in".to_owned(),
            ..TicketSnapshot::default()
        },
        inputs: Values::new(),
    };
    let pin = Pin {
        playbook: request.playbook.clone(),
        source: source.to_owned(),
        calls: vec![],
    };
    NewExecution {
        id: ExecutionId::fresh(),
        request,
        pins: vec![pin],
        given,
        state: StoredState::of_value(&serde_json::json!({})),
        traceparent: None,
        now,
        begun: None,
    }
}

/// Verification says of `operation`, which the first call of the step `verify` began, that it went well.
pub(crate) fn approval(store: &Store, operation: OperationId) -> Signal {
    Signal {
        tenant_id: store.tenant().clone(),
        operation,
        step: StepCall {
            id: "verify".parse().unwrap(),
            visit: 1,
            attempt: 1,
        },
        result: StepResult::new(Outcome::Success, "She approved."),
    }
}

/// What the runner that holds `claimed` writes of it, having told its ticket `updates`.
pub(crate) fn write(claimed: &Claimed, updates: &[Update]) -> Write {
    Write {
        execution: claimed.id,
        ticket: claimed.ticket.clone(),
        runner: claimed.runner,
        fence: claimed.fence,
        state: claimed.state.clone(),
        status: ExecutionStatus::Running,
        reason: None,
        parked_since: None,
        parked_told: false,
        hold: Hold::Keep,
        held: false,
        signals: claimed.signals,
        steps: vec![],
        renumbered: vec![],
        cut_off: None,
        handled: vec![],
        arrival: None,
        audit: vec![],
        updates: updates.to_vec(),
        now: claimed.now,
    }
}
