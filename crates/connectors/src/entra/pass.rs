//! Temporary Access Passes: what the tenant allows, making one, looking, deleting.

use std::time::Duration;

use common::UserId;
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

use super::Entra;
use super::client::{Request, message, refusal, user_not_found};
use crate::call::{Answer, CallError, System, malformed};

const MINUTE: Duration = Duration::from_mins(1);

/// A pass just created: the only moment its value exists outside the directory.
#[derive(Debug)]
pub struct Pass {
    /// Number of the method, for deleting it.
    pub id: String,
    /// What the person types to sign in.
    pub secret: SecretString,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it becomes usable.
    pub start: OffsetDateTime,
    /// How long it is usable from `start`.
    pub lifetime: Duration,
    /// Usable now.
    pub usable: bool,
    /// Why, or why not: `EnabledByPolicy`, `NotYetValid`, ...
    pub usability: String,
}

impl Pass {
    /// When it expires: `start` plus `lifetime`.
    pub fn expires(&self) -> OffsetDateTime {
        self.start + self.lifetime
    }
}

/// A pass as a look-up shows it: without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassInfo {
    /// Number of the method.
    pub id: String,
    /// How long ago it was created, to the second, by the directory's clock: ours may be minutes off.
    pub age: time::Duration,
    /// When it becomes usable.
    pub start: OffsetDateTime,
    /// How long it is usable from `start`.
    pub lifetime: Duration,
    /// Usable now.
    pub usable: bool,
}

/// What the tenant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassPolicy {
    /// Passes may be made at all.
    pub enabled: bool,
    /// Shortest lifetime.
    pub shortest: Duration,
    /// Longest lifetime.
    pub longest: Duration,
    /// Every pass must be for one use.
    pub one_time_only: bool,
}

impl PassPolicy {
    /// The lifetime nearest to `wanted` that the policy allows, in whole minutes.
    pub fn clamp(&self, wanted: Duration) -> Duration {
        let minutes = wanted.as_secs().div_ceil(60);
        Duration::from_secs(minutes.saturating_mul(60)).clamp(self.shortest, self.longest.max(self.shortest))
    }
}

impl Entra {
    /// The tenant's policy for passes. A tenant without one allows none.
    pub async fn pass_policy(&self) -> Result<PassPolicy, CallError> {
        let path = [
            "policies",
            "authenticationMethodsPolicy",
            "authenticationMethodConfigurations",
            "temporaryAccessPass",
        ];
        let found: Option<PolicyBody> = self.graph().find(Request::get("pass_policy", &path)).await?;
        let policy = found.unwrap_or_default();
        Ok(PassPolicy {
            enabled: policy.state.as_deref() == Some("enabled"),
            // What a tenant gets that just enables passes.
            shortest: MINUTE * policy.minimum_lifetime_in_minutes.unwrap_or(60),
            longest: MINUTE * policy.maximum_lifetime_in_minutes.unwrap_or(480),
            one_time_only: policy.is_usable_once == Some(true),
        })
    }

    /// Create a one-time Temporary Access Pass.
    ///
    /// `lifetime` is rounded up to whole minutes and must lie within [`Self::pass_policy`] (see [`PassPolicy::clamp`]).
    /// The old password goes on working. Nothing stops a pass for an administrator but [`Self::memberships`], asked first.
    ///
    /// Not repeatable: a second pass deletes the first. After [`CallError::Unknown`], list the passes before trying
    /// again; a pass whose value was lost is of no use to anybody.
    ///
    /// Refused with `pass_not_allowed` (policy), `guest`, `user_not_found`, `forbidden` (permission), or the directory's
    /// own code.
    ///
    /// Source: Microsoft Graph v1.0, temporaryAccessPassAuthenticationMethod; contract, section 5.
    pub async fn create_pass(&self, id: &UserId, lifetime: Duration) -> Result<Pass, CallError> {
        let path = [
            "users",
            id.as_str(),
            "authentication",
            "temporaryAccessPassMethods",
        ];
        let body = json!({
            "lifetimeInMinutes": lifetime.as_secs().div_ceil(60),
            "isUsableOnce": true,
        });
        let answer = self
            .graph()
            .send(Request::post("create_pass", &path, &body))
            .await?;
        if !answer.status.is_success() {
            return Err(pass_refused(&answer));
        }
        let created: PassBody = answer.json().map_err(|error| malformed(System::Entra, error))?;
        created
            .pass()
            .ok_or_else(|| CallError::unknown(System::Entra, "a pass was made and its value not told"))
    }

    /// The person's passes, without their values.
    pub async fn list_passes(&self, id: &UserId) -> Result<Vec<PassInfo>, CallError> {
        let path = [
            "users",
            id.as_str(),
            "authentication",
            "temporaryAccessPassMethods",
        ];
        let request = Request::get("list_passes", &path);
        let found = self.graph().list_at(request, usize::MAX).await?;
        let (now, found): (_, Vec<PassBody>) = found.ok_or_else(user_not_found)?;
        Ok(found.into_iter().filter_map(|body| body.info(now)).collect())
    }

    /// Delete a pass. Safe to repeat: one that is gone is deleted.
    pub async fn delete_pass(&self, id: &UserId, pass: &str) -> Result<(), CallError> {
        let path = [
            "users",
            id.as_str(),
            "authentication",
            "temporaryAccessPassMethods",
            pass,
        ];
        let answer = self.graph().send(Request::delete("delete_pass", &path)).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            Ok(())
        } else {
            Err(refusal(&answer))
        }
    }
}

/// Which of the documented refusals it is. The words are matched in addition to the status: the code is not documented.
fn pass_refused(answer: &Answer) -> CallError {
    let said = message(answer).to_lowercase();
    let (code, detail) = if said.contains("does not allow creating or updating this authentication method") {
        (
            "pass_not_allowed",
            "the tenant's policy allows this person no Temporary Access Pass",
        )
    } else if said.contains("temporary access pass cannot be added to an external guest user") {
        ("guest", "an external guest can't have a Temporary Access Pass")
    } else if answer.status == StatusCode::NOT_FOUND {
        return user_not_found();
    } else {
        return refusal(answer);
    };
    CallError::refused(System::Entra, code, detail)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PolicyBody {
    state: Option<String>,
    minimum_lifetime_in_minutes: Option<u32>,
    maximum_lifetime_in_minutes: Option<u32>,
    is_usable_once: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PassBody {
    id: String,
    temporary_access_pass: Option<SecretString>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    created_date_time: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    start_date_time: Option<OffsetDateTime>,
    lifetime_in_minutes: Option<u32>,
    is_usable: Option<bool>,
    #[serde(default)]
    method_usability_reason: Option<String>,
}

impl PassBody {
    /// Whichever of the two moments is there stands for one that is not.
    fn moments(&self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let created = self.created_date_time.or(self.start_date_time)?;
        Some((created, self.start_date_time.unwrap_or(created)))
    }

    fn pass(self) -> Option<Pass> {
        let (created, start) = self.moments()?;
        Some(Pass {
            id: self.id,
            secret: self.temporary_access_pass?,
            created,
            start,
            lifetime: MINUTE * self.lifetime_in_minutes?,
            usable: self.is_usable == Some(true),
            usability: self.method_usability_reason.unwrap_or_default(),
        })
    }

    fn info(self, now: OffsetDateTime) -> Option<PassInfo> {
        let (created, start) = self.moments()?;
        Some(PassInfo {
            id: self.id,
            age: now - created,
            start,
            lifetime: MINUTE * self.lifetime_in_minutes.unwrap_or_default(),
            usable: self.is_usable == Some(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_moved_into_what_the_policy_allows() {
        let policy = PassPolicy {
            enabled: true,
            shortest: MINUTE * 60,
            longest: MINUTE * 480,
            one_time_only: true,
        };
        assert_eq!(policy.clamp(MINUTE * 15), MINUTE * 60);
        assert_eq!(policy.clamp(Duration::from_secs(3601)), MINUTE * 61);
        assert_eq!(policy.clamp(MINUTE * 9999), MINUTE * 480);
    }

    #[test]
    fn a_pass_does_not_show_its_value() {
        let pass = PassBody {
            id: "1".to_owned(),
            temporary_access_pass: Some("Tc5?vA9k".into()),
            created_date_time: None,
            start_date_time: Some(OffsetDateTime::UNIX_EPOCH),
            lifetime_in_minutes: Some(60),
            is_usable: Some(true),
            method_usability_reason: None,
        };
        let pass = pass.pass().unwrap();
        assert_eq!(pass.expires(), OffsetDateTime::UNIX_EPOCH + MINUTE * 60);
        assert!(!format!("{pass:?}").contains("Tc5"));
    }
}
