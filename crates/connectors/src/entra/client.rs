//! The client.

use std::time::Duration;

use common::{Person, UserId};

use super::{EntraSettings, LookupError, Pass, PassInfo, PassPolicy, Privilege};
use crate::call::CallError;
use crate::phone::PhoneNumber;

/// A directory. Cheap to clone; clones share the token.
#[derive(Clone)]
pub struct Entra {}

impl Entra {
    /// A client; nothing is sent yet.
    pub fn new(settings: EntraSettings, http: reqwest::Client) -> Self {
        todo!()
    }
    /// A person by object id; `None` where the directory does not know them.
    pub async fn user(&self, id: &UserId) -> Result<Option<Person>, CallError> {
        todo!()
    }
    /// The one person whose mail address or sign-in name is `mail`; `None` where there is none.
    pub async fn user_by_mail(&self, mail: &str) -> Result<Option<Person>, LookupError> {
        todo!()
    }
    /// The manager on record; `None` where there is none or it is no person. An unknown `id` is refused with `user_not_found`.
    pub async fn manager(&self, id: &UserId) -> Result<Option<Person>, CallError> {
        todo!()
    }
    /// Why the account is privileged; `None` where nothing says so and everything could be read.
    pub async fn privilege(&self, id: &UserId) -> Result<Option<Privilege>, CallError> {
        todo!()
    }
    /// [`Self::privilege`] as a yes or no.
    pub async fn is_privileged(&self, id: &UserId) -> Result<bool, CallError> {
        todo!()
    }
    /// The person's `mobile` phone method; `None` where there is none, or none that takes SMS (extension).
    pub async fn mobile_phone_method(&self, id: &UserId) -> Result<Option<PhoneNumber>, CallError> {
        todo!()
    }
    /// The tenant's policy for passes.
    pub async fn pass_policy(&self) -> Result<PassPolicy, CallError> {
        todo!()
    }
    /// Create a one-time Temporary Access Pass.
    ///
    /// `lifetime` must lie within [`Self::pass_policy`] (see [`PassPolicy::clamp`]). A pass does not change the password.
    /// Not repeatable: a second pass deletes the first. After [`CallError::Unknown`], list the passes before trying again.
    /// Refused with `pass_not_allowed` (policy), `guest`, `user_not_found`, `forbidden` (permission), or the directory's own code.
    pub async fn create_pass(&self, id: &UserId, lifetime: Duration) -> Result<Pass, CallError> {
        todo!()
    }
    /// The person's passes, without their values.
    pub async fn list_passes(&self, id: &UserId) -> Result<Vec<PassInfo>, CallError> {
        todo!()
    }
    /// Delete a pass. Safe to repeat: one that is gone is deleted.
    pub async fn delete_pass(&self, id: &UserId, pass: &str) -> Result<(), CallError> {
        todo!()
    }
}
