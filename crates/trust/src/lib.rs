//! The cryptography of Firstline: who calls (service tokens), what was proven (permits), and what only delivery may
//! read (sealed credentials).
//!
//! Pure: time and randomness are passed in, nothing is read or written, nothing panics. Every primitive comes from a
//! maintained library (aws-lc-rs for Ed25519, `hpke` for RFC 9180); ours is to make misuse not compile.

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

pub mod audit;
pub mod fleet;
mod jws;
pub mod keys;
pub mod permit;
pub mod rotation;
pub mod seal;
pub mod token;

pub use fleet::{FleetKeys, KeyFile};
pub use keys::{
    Identity, KeyError, KeyId, KeyState, ListedKey, SigningFailed, SigningKey, TrustedKeys, VerifyingKey,
};
pub use permit::{Expected, Method, Permit, PermitClaims, PermitError, SpentPermit, parameters_digest};
pub use seal::{Binding, Credential, OpenedCredential, Purpose, SealError, SealKey, SealPublicKey};
pub use token::{ServiceToken, TokenError};
