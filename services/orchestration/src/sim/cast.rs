//! Who takes part: the playbooks, and the tickets that are filed.

use std::time::Duration;

use common::{DecisionId, ExecutePlaybook, ExecutionId, Subject, TenantId, TicketId, TicketSnapshot, Values};
use playbook_lang::{Playbook, Registry, Rules, State, check};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::facts::Given;
use crate::store::{NewExecution, StoredState};
use crate::untold::Untold;

/// When every schedule begins.
pub(super) const BEGINNING: OffsetDateTime = datetime!(2026-11-27 08:00 UTC);

const ACTIONS: &str = "
actions:
  - {name: cmdb.look, path: /api/v1/cmdb/look, timeout: 30}
  - {name: cmdb.ask, path: /api/v1/cmdb/ask, timeout: 300}
  - {name: cmdb.fix, path: /api/v1/cmdb/fix, timeout: 60}
  - {name: cmdb.unfix, path: /api/v1/cmdb/unfix, timeout: 60, undoes: cmdb.fix}
";

/// A person is asked, something is done that can be taken back, and something is told.
const LINE: &str = r#"
name: line
version: "1.0"
steps:
  - {id: ask, name: "Ask", service: cmdb.ask, timeout: 300, on_success: fix, on_failure: person, on_denied: refused}
  - id: fix
    name: "Fix"
    service: cmdb.fix
    timeout: 60
    retry: {max_attempts: 2, backoff: exponential}
    undo: cmdb.unfix
    on_success: say
    on_failure: person
  - {id: say, name: "Say", service: ticket.note, with: {text: "It was mended"}, on_success: look, on_failure: person}
  - {id: look, name: "Look", service: cmdb.look, timeout: 30, on_success: resolved, on_failure: person}
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "It could not be done"}
  - {id: refused, type: escalation, reason: "It was refused"}
"#;

/// Two branches at once: in one something is done, in the other somebody is asked.
const BRANCHES: &str = r#"
name: branches
version: "1.0"
steps:
  - id: both
    name: "Both"
    type: parallel
    join: all
    branches:
      left:
        - {id: fix, name: "Fix", service: cmdb.fix, timeout: 60, undo: cmdb.unfix, on_success: left_ok, on_failure: left_bad}
        - {id: left_ok, type: terminal, status: RESOLVED}
        - {id: left_bad, type: escalation, reason: "left"}
      right:
        - {id: ask, name: "Ask", service: cmdb.ask, timeout: 300, on_success: right_ok, on_failure: right_bad}
        - {id: right_ok, type: terminal, status: RESOLVED}
        - {id: right_bad, type: escalation, reason: "right"}
    on_success: resolved
    on_failure: person
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "Not everything was done"}
"#;

/// One step, for when every order of events is to be tried.
const STEP: &str = r#"
name: step
version: "1.0"
steps:
  - {id: fix, name: "Fix", service: cmdb.fix, timeout: 60, undo: cmdb.unfix, on_success: resolved, on_failure: person}
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: person, type: escalation, reason: "It could not be done"}
"#;

/// What a decision asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filing {
    pub(super) ticket: &'static str,
    pub(super) decision: u128,
    /// Which of the playbooks.
    pub(super) playbook: usize,
}

/// The playbooks, under one set of rules.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) playbooks: Vec<Playbook>,
    pub(super) rules: Rules,
    pub(super) note_after: Duration,
}

impl Cast {
    /// All of them.
    pub(super) fn assembled() -> Self {
        let mut registry = Registry::builtin();
        registry.declare_file(ACTIONS).expect("the actions are sound");
        let playbooks = [LINE, BRANCHES, STEP].map(|source| {
            let report = check(source, &registry);
            report
                .playbook
                .unwrap_or_else(|| panic!("a playbook has findings: {:?}", report.findings))
        });
        Self {
            playbooks: playbooks.into(),
            rules: Rules::default(),
            note_after: Duration::from_mins(1),
        }
    }

    /// The playbook of this name.
    pub(super) fn playbook(&self, name: &str) -> &Playbook {
        let named = |playbook: &&Playbook| playbook.name().as_str() == name;
        self.playbooks
            .iter()
            .find(named)
            .expect("it was filed under one of them")
    }

    /// An execution about to be accepted.
    pub(super) fn execution(
        &self,
        filing: Filing,
        id: u128,
        tenant: &TenantId,
        now: OffsetDateTime,
    ) -> NewExecution {
        let playbook = &self.playbooks[filing.playbook];
        let state = State::begin(playbook, now).expect("it has a step");
        let request = ExecutePlaybook {
            tenant_id: tenant.clone(),
            ticket_id: TicketId::try_from(filing.ticket.to_owned()).expect("a ticket's number"),
            decision_id: DecisionId(Uuid::from_u128(filing.decision)),
            playbook: playbook.reference().clone(),
            subject: Subject {
                tenant_id: tenant.clone(),
                user_id: "11111111-2222-4333-8444-555555555555".parse().expect("an id"),
            },
            requester_name: "Adele Vance".to_owned(),
            requester_mail: None,
            manager: None,
            ticket: TicketSnapshot::default(),
            inputs: Values::new(),
        };
        NewExecution {
            id: ExecutionId(Uuid::from_u128(id)),
            request,
            pins: vec![],
            given: Given::default(),
            state: StoredState::of(&state, &Untold::default()).expect("a state can be stored"),
            traceparent: None,
            now,
            begun: None,
        }
    }
}
