//! Trust labels: where a value comes from decides where it may go.

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// Ticket text, answers of people, model output. Shown to people, compared in conditions, and never acted on.
    Untrusted,
    /// From the directory or from the house itself.
    Directory,
    /// Established by a verification.
    Verified,
    /// A credential. It flows to a delivery step and nowhere else.
    Secret,
}

impl Trust {
    /// The word in the declarations of actions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Directory => "directory",
            Self::Verified => "verified",
            Self::Secret => "secret",
        }
    }

    /// Every label.
    pub const ALL: [Self; 4] = [Self::Untrusted, Self::Directory, Self::Verified, Self::Secret];
}

/// What a parameter decides about the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Nothing but what people read, or how something is done.
    #[default]
    Plain,
    /// Who or what is acted on.
    Target,
    /// Where something is sent.
    Destination,
    /// Who may say yes.
    Approver,
}

impl Role {
    /// The word in the declarations of actions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Target => "target",
            Self::Destination => "destination",
            Self::Approver => "approver",
        }
    }

    /// Every role.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Target, Self::Destination, Self::Approver];
}
