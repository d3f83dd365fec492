//! The guards of the protocol, one by one: each can be left out, and then the simulation must find what goes wrong.

/// One guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// A write names the runner and the fence it was claimed under.
    Fence,
    /// Every claim has a fence of its own.
    FenceGrows,
    /// What somebody holds is claimed by nobody else.
    NobodyHoldsIt,
    /// A signal is stored with what comes of it only if nothing happened since the execution was read.
    AsItWasRead,
    /// Whoever lets go of an execution does so only if no signal came that it does not know of.
    SignalsKnown,
    /// An operation is heard once.
    SignalOnce,
    /// What comes after the end changes nothing.
    LateAfterTheEnd,
    /// A commit tells whether steps may begin.
    StandingAtCommit,
    /// Nothing begins at its acceptance while a switch is off.
    StandingAtAcceptance,
    /// A cancellation counts as a signal.
    CancelCounts,
    /// What was cancelled is not ended well by who has not heard of it.
    CancelledEndsWithAPerson,
    /// A retry takes what it has seen, and nothing else.
    RetryFence,
    /// A decision starts one execution.
    OncePerDecision,
    /// A ticket has one open execution.
    OneOpenPerTicket,
    /// A heartbeat lets go of what nobody drives.
    LetGoOfTheUndriven,
    /// Somebody looks after runners that are gone.
    TakeOver,
    /// A sender that overslept settles nothing.
    SenderFence,
    /// A sender lets go of a ticket only if nothing came that it does not know of.
    UpdatesKnown,
    /// What a sender that overslept may have sent is looked for.
    DoubtWhoeverOverslept,
    /// Notes that stand on the ticket are not sent again.
    LookForMarkers,
    /// A service does a call once, however often it is asked under one key.
    IdempotencyKey,
}
