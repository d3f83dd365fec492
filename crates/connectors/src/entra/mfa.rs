//! MFA pushes through the connector that Microsoft made for RADIUS servers: it asks a person to approve on their phone
//! and blocks until they did.
//!
//! Undocumented for this use, hence careful: only an answer that fulfils every condition of the contract's section 7.2
//! is an approval. The secret that it needs is added to the connector's service principal once per process, kept in
//! memory and removed when replaced.

mod access;
mod answer;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use quick_xml::escape::escape;
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use self::access::Access;
use super::{Entra, EntraSettings};
use crate::call::{Answer, Call, CallError, Caller, Repeat, System, join};

/// Added to the time we wait for a person, so that it is our own clock that ends the wait and not a broken connection.
const GRACE: Duration = Duration::from_secs(5);

/// No gateway gives up so soon on whoever is being asked.
const AT_ONCE: Duration = Duration::from_secs(5);

/// One push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Whom to ask, by sign-in name (not mail address).
    pub user_principal_name: String,
    /// Fresh for each push.
    pub context: Uuid,
    /// How long to wait for the answer; the service itself gives up after about a minute, three at most.
    pub wait: Duration,
}

/// How a push ended. Only [`PushOutcome::Approved`] proves anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// Somebody with the person's phone approved.
    Approved,
    /// Somebody with the person's phone said no.
    Denied {
        /// And reported it as fraud.
        fraud: bool,
    },
    /// Nobody answered in time.
    NoAnswer,
    /// The person can't be asked this way: ask in another.
    NotPossible(NotPossible),
    /// Too many pushes, or one still open: ask later.
    Throttled,
    /// The service has a fault, by its own word (`InternalError`, ...).
    Fault {
        /// Its word.
        value: String,
        /// It invites a retry.
        retry: bool,
    },
}

/// Why a person can't be asked by push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPossible {
    /// No method for sign-in approval is registered, or none is the default.
    NoMethod,
    /// Their default method wants a code typed in.
    NeedsCode,
    /// They or all their devices are blocked.
    Blocked,
    /// The service does not know them in this tenant.
    UnknownUser,
    /// Anything else, by the service's word.
    Other(String),
}

/// Sends pushes. Cheap to clone; clones share secret and token.
#[derive(Clone)]
pub struct Mfa {
    access: Arc<Access>,
    caller: Caller,
    begin: Url,
}

impl Mfa {
    /// A client; nothing is sent yet. `connector` is the base of the MFA connector, up to and with `/Connector`; `entra`,
    /// the client of the same directory, adds the connector's secret.
    pub fn new(connector: &Url, settings: &EntraSettings, entra: Entra, http: reqwest::Client) -> Self {
        // The v1 endpoint, with `resource` in place of `scope`.
        let token_url = join(
            &settings.login_url,
            &[settings.tenant_id.as_str(), "oauth2", "token"],
        );
        let issuer = Caller::new(System::Entra, http.clone());
        Self {
            access: Arc::new(Access::new(token_url, entra, issuer)),
            caller: Caller::new(System::Mfa, http),
            begin: join(connector, &["BeginTwoWayAuthentication"]),
        }
    }

    /// Get secret and token ahead of the first push; both are kept. A fresh secret takes seconds to be known everywhere.
    ///
    /// Refused with `mfa_setup` where the tenant forbids the connector's secret.
    pub async fn prepare(&self) -> Result<(), CallError> {
        self.access.token().await.map(|_| ())
    }

    /// Ask, and wait for the answer: blocks up to [`Push::wait`]; run it off the request path.
    ///
    /// `Busy`: nobody was asked. `Unknown`: the person may have been asked, and their answer is lost.
    ///
    /// Source: contract, section 7.
    pub async fn push(&self, push: &Push) -> Result<PushOutcome, CallError> {
        let token = self.access.token().await?;
        let Some(mut answer) = self.begin(push, &token).await? else {
            return Ok(PushOutcome::NoAnswer);
        };
        if answer.status == StatusCode::UNAUTHORIZED {
            // Refused before anybody was asked: once more with a new token.
            self.access.forget(&token).await;
            let token = self.access.token().await?;
            match self.begin(push, &token).await? {
                Some(again) => answer = again,
                None => return Ok(PushOutcome::NoAnswer),
            }
        }
        if answer.status != StatusCode::OK {
            let code = format!("http_{}", answer.status.as_u16());
            return Err(CallError::refused(
                System::Mfa,
                code,
                "the MFA service does not take our request",
            ));
        }
        let answer = answer::read(&answer.body).map_err(|error| CallError::unknown(System::Mfa, error))?;
        Ok(answer.outcome(&push.user_principal_name))
    }

    /// `None`: the wait is over and nobody answered.
    async fn begin(&self, push: &Push, token: &SecretString) -> Result<Option<Answer>, CallError> {
        let builder = self
            .caller
            .http
            .post(self.begin.clone())
            .header(CONTENT_TYPE, "application/xml")
            .body(request(push));
        let mut call = Call::new("begin_push", Repeat::Never, builder)
            .within(push.wait + GRACE)
            .bearer(token);
        call.limit_bytes = answer::LIMIT_BYTES;
        // INVARIANT: one push asks once. The contract does not say that nobody was asked where the service answers 503: at once
        // it is a service that takes nothing, later it may be a gateway that did not wait for the person.
        call.tries = 1;
        call.not_taken_on_503 = Some(AT_ONCE);
        match tokio::time::timeout(push.wait, self.caller.call(call)).await {
            Ok(answered) => answered.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Remove our secret from the connector's service principal, for a clean shutdown.
    pub async fn retire(&self) -> Result<(), CallError> {
        self.access.retire().await
    }
}

/// The request. The order of its elements matters to the service.
fn request(push: &Push) -> String {
    let pair = |key: &str, value: &str| {
        format!(
            "<a:KeyValueOfstringstring><a:Key>{key}</a:Key><a:Value>{value}</a:Value></a:KeyValueOfstringstring>"
        )
    };
    format!(
        "<BeginTwoWayAuthenticationRequest>\
         <Version>1.0</Version>\
         <UserPrincipalName>{user}</UserPrincipalName>\
         <Lcid>en-us</Lcid>\
         <AuthenticationMethodProperties xmlns:a=\"http://schemas.microsoft.com/2003/10/Serialization/Arrays\">\
         {voice}{number}\
         </AuthenticationMethodProperties>\
         <ContextId>{context}</ContextId>\
         <SyncCall>true</SyncCall>\
         <RequireUserMatch>true</RequireUserMatch>\
         <CallerName>radius</CallerName>\
         <CallerIP>UNKNOWN:</CallerIP>\
         </BeginTwoWayAuthenticationRequest>",
        user = escape(push.user_principal_name.as_str()),
        voice = pair("OverrideVoiceOtp", "false"),
        number = pair("OverrideNumberMatchingWithOTP", "false"),
        context = push.context,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_what_the_contract_shows_and_escapes_the_name() {
        let push = Push {
            user_principal_name: "o'brien&<co>@northwind.example".to_owned(),
            context: Uuid::nil(),
            wait: Duration::from_secs(75),
        };
        insta::assert_snapshot!(request(&push).replace("><", ">\n<"));
    }
}
