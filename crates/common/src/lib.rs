//! The vocabulary of Firstline: what every crate and service calls things, and the REST contracts between the
//! services with their typed clients.
//!
//! This crate knows no HTTP server and no database. What a playbook *means* is `playbook-lang`'s affair, what a
//! permit *proves* is `trust`'s.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod assurance;
pub mod client;
pub mod clock;
pub mod decision;
pub mod digest;
pub mod doors;
pub mod execution;
pub mod explain;
pub mod ids;
pub mod methods;
pub mod modes;
pub mod operate;
pub mod outcome;
pub mod person;
pub mod playbook;
pub mod problem;
pub mod protection;
pub mod service;
pub mod step;
pub mod ticket;
pub mod velocity;
pub mod window;

pub use assurance::Assurance;
pub use decision::{Blocker, ClassifyTicket, Decision};
pub use digest::Digest;
pub use execution::{Ending, ExecutePlaybook, ExecutionStatus, ExecutionView, StepView};
pub use ids::{
    ActionName, DecisionId, ExecutionId, OperationId, PermitId, PlaybookName, PlaybookVersion, StepId,
    TenantId, TicketId, UserId,
};
pub use modes::{Bar, Mode};
pub use operate::{Reason, Standstill, Switch};
pub use outcome::Outcome;
pub use person::{Named, Person, Subject};
pub use playbook::{Finding, PlaybookRef, Severity};
pub use problem::Problem;
pub use service::{Role, Service};
pub use step::{
    AuthorizedAction, OperationView, Pending, PermitToken, RenewPermit, RenewedPermit, SealedCredential,
    Signal, StepAnswer, StepCall, StepRequest, StepResult, Values,
};
pub use ticket::{AutomationStatus, TicketSnapshot};
