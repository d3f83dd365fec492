//! A deterministic simulation of the protocol by which replicas share executions: who holds what, until when, what a
//! signal, a timer, an operator or a crash does to it, and what tickets are told.
//!
//! What decides is the product's own: the machine of `playbook-lang`, the [`Course`](crate::drive::Course) of an
//! execution, the plan of the outbox. Around it stand a model of the tables (`model`), a world in which anything may be
//! stopped between any two actions (`world`), and what must hold whatever happens (`invariants`). A seed, or a script of
//! choices, makes a schedule; the same one makes the same schedule.

mod arena;
mod cast;
mod choices;
mod conformance;
mod explore;
mod guard;
mod invariants;
mod lingering;
mod model;
mod schedules;
mod world;
