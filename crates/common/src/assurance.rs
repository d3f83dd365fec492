//! How strongly a verification proves who is asking (the words are those of eIDAS).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Orders from weak to strong: a privileged action names the least that it accepts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Assurance {
    /// Something that others could know or intercept.
    Low,
    /// Possession of an enrolled device, or a person who answers for them.
    Substantial,
    /// Both at once.
    High,
}

impl Assurance {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Substantial => "substantial",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assurance_orders_from_weak_to_strong() {
        assert!(Assurance::Low < Assurance::Substantial && Assurance::Substantial < Assurance::High);
    }
}
