//! The hands in the directory: people at their phones, admins at the console.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::passes::{PassView, TapPolicy};
use super::{EntraSim, Push};
use crate::company::Person;
use crate::keys::{KeyError, SigningKey};
use crate::tokens::Audience;

impl EntraSim {
    /// From now on `email` answers every sign-in request so.
    pub fn push(&self, email: &str, push: Push) {
        self.state.lock().push_standing.insert(email.to_lowercase(), push);
    }

    /// `email` answers one coming request so, after those already queued.
    pub fn push_next(&self, email: &str, push: Push) {
        self.state
            .lock()
            .push_queued
            .entry(email.to_lowercase())
            .or_default()
            .push_back(push);
    }

    /// What everybody else does.
    pub fn push_default(&self, push: Push) {
        self.state.lock().push_default = push;
    }

    /// How many sign-in requests `email` has seen.
    pub fn pushes(&self, email: &str) -> usize {
        self.state
            .lock()
            .pushes
            .get(&email.to_lowercase())
            .copied()
            .unwrap_or_default()
    }

    fn with<T: Default>(&self, email: &str, look: impl FnOnce(&Person) -> T) -> T {
        self.core
            .directory
            .by_email(email)
            .map(|person| look(&person))
            .unwrap_or_default()
    }

    /// Passes with which `email` could sign in now; there is never more than one.
    pub fn live_passes(&self, email: &str) -> Vec<PassView> {
        let now = self.core.clock.now();
        self.with(email, |person| {
            let state = self.state.lock();
            state
                .passes
                .get(&person.id)
                .filter(|pass| pass.live(now))
                .map(PassView::from)
                .into_iter()
                .collect()
        })
    }

    /// How many passes were ever created for `email`.
    pub fn passes_created(&self, email: &str) -> usize {
        self.with(email, |person| {
            self.state
                .lock()
                .passes_created
                .get(&person.id)
                .copied()
                .unwrap_or_default()
        })
    }

    /// `email` signs in with `value`. False: wrong, used up or expired.
    pub fn use_pass(&self, email: &str, value: &str) -> bool {
        let now = self.core.clock.now();
        self.with(email, |person| {
            let mut state = self.state.lock();
            let pass = state.passes.get_mut(&person.id);
            let usable = pass.filter(|pass| pass.live(now) && pass.start <= now && pass.value == value);
            usable.map(|pass| pass.used = true).is_some()
        })
    }

    /// How often the sessions of `email` were revoked.
    pub fn sessions_revoked(&self, email: &str) -> usize {
        self.with(email, |person| {
            self.state
                .lock()
                .sessions_revoked
                .get(&person.id)
                .copied()
                .unwrap_or_default()
        })
    }

    /// Change the tenant's policy for passes.
    pub fn tap_policy(&self, policy: TapPolicy) {
        self.state.lock().policy = policy;
    }

    /// Enable or disable an account. False here and below: nobody has that address.
    pub fn set_enabled(&self, email: &str, enabled: bool) -> bool {
        self.core
            .directory
            .change(email, |person| person.enabled = enabled)
    }

    /// Give `email` another manager, or none.
    pub fn set_manager(&self, email: &str, manager: Option<&str>) -> bool {
        self.core
            .directory
            .change(email, |person| person.manager = manager.map(str::to_owned))
    }

    /// Change the `mobile` phone method (Graph's form, `+44 7700900123`), or remove it.
    pub fn set_mobile(&self, email: &str, mobile: Option<&str>) -> bool {
        self.core
            .directory
            .change(email, |person| person.mobile = mobile.map(str::to_owned))
    }

    /// Change the contact field `mobilePhone` (as somebody wrote it), or remove it.
    pub fn set_contact_phone(&self, email: &str, number: Option<&str>) -> bool {
        self.core
            .directory
            .change(email, |person| person.contact_phone = number.map(str::to_owned))
    }

    /// Give `email` a directory role by its template id.
    pub fn add_role(&self, email: &str, template: &str) -> bool {
        let role = ("Directory Role".to_owned(), template.to_owned());
        self.core
            .directory
            .change(email, |person| person.roles.push(role))
    }

    /// Let `email` make a directory role active whenever they like (PIM).
    pub fn add_eligible_role(&self, email: &str, name: &str, template: &str) -> bool {
        let role = (name.to_owned(), template.to_owned());
        self.core
            .directory
            .change(email, |person| person.eligible_roles.push(role))
    }

    /// Whether the directory has the licence for roles on demand (Entra ID P2 or Governance).
    pub fn licensed_for_pim(&self, licensed: bool) {
        self.state.lock().pim_unlicensed = !licensed;
    }

    /// Put `email` into the group `name`, which holds no roles; the group's object id.
    pub fn add_to_group(&self, email: &str, name: &str) -> Uuid {
        self.core
            .directory
            .change(email, |person| person.groups.push(name.to_owned()));
        self.core.seed.uuid(&format!("group/{name}"))
    }

    /// Put `email` into a restricted management administrative unit, or take them out of it.
    pub fn set_restricted(&self, email: &str, restricted: bool) -> bool {
        self.core
            .directory
            .change(email, |person| person.management_restricted = restricted)
    }

    /// Let the mailbox of `email` take mail for these addresses too, and for no others.
    pub fn set_aliases(&self, email: &str, aliases: &[&str]) -> bool {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        self.core
            .directory
            .change(email, |person| person.aliases = aliases)
    }

    /// Since when `email` has the phone on record; `None`: the directory does not say.
    pub fn set_mobile_since(&self, email: &str, since: Option<OffsetDateTime>) -> bool {
        self.core
            .directory
            .change(email, |person| person.mobile_since = since)
    }

    /// Since when `email` has the authenticator app; `None`: the directory does not say.
    pub fn set_authenticator_since(&self, email: &str, since: Option<OffsetDateTime>) -> bool {
        self.core
            .directory
            .change(email, |person| person.authenticator_since = since)
    }

    /// Secrets added from now on fail this many token requests before they have spread.
    pub fn secret_propagation(&self, failures: u32) {
        self.state.lock().propagation = failures;
    }

    /// An app management policy forbids (or allows) adding secrets.
    pub fn forbid_secrets(&self, forbidden: bool) {
        self.state.lock().additions_forbidden = forbidden;
    }

    /// The tenant has (or has not) the MFA service principal.
    pub fn mfa_principal(&self, present: bool) {
        let id = self.core.seed.uuid("entra/mfa-principal");
        self.state.lock().mfa_principal = present.then_some(id);
    }

    /// How many secrets linger on the MFA principal.
    pub fn secrets_on_mfa_principal(&self) -> usize {
        self.state.lock().credentials.len()
    }

    /// All tokens for Graph and the connector stop working at once.
    pub fn expire_tokens(&self) {
        self.core.tokens.revoke(Audience::Graph);
        self.core.tokens.revoke(Audience::MfaConnector);
    }

    /// How long new tokens live, and say so.
    pub fn token_lifetime(&self, life: Duration) {
        self.state.lock().token_life = life;
    }

    /// The largest page that a collection comes in.
    pub fn page_size(&self, size: usize) {
        self.state.lock().page_size = size.max(1);
    }

    /// Sign people's tokens with a new key; the old one stays published once more.
    pub async fn rotate_keys(&self) -> Result<(), KeyError> {
        let kid = self.core.fresh_hex("entra/kid");
        let key = tokio::task::spawn_blocking(move || SigningKey::generate(kid))
            .await
            .map_err(|_| KeyError)??;
        self.core.entra_keys.rotate(key);
        Ok(())
    }
}
