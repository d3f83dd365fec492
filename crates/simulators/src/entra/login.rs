//! `login.microsoftonline.com`: client credentials by the v2 endpoint (numbers, `scope`) and the v1 endpoint
//! (numbers as strings, `resource`).

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::EntraSim;
use super::principals::MFA_APP;
use crate::company::DOMAIN;
use crate::text::{is_form, pairs, value};
use crate::tokens::Audience;

const GRAPH: &str = "https://graph.microsoft.com";
const CONNECTOR: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";
const BOT_CONNECTOR: &str = "https://api.botframework.com";

/// A bot's token lives about a day.
const BOT_TOKEN_LIFE: Duration = Duration::from_secs(86_399);

/// What each registration may do: what `docs/operating.md` asks for, and not one permission more.
pub(crate) const CLASSIFIER: [&str; 4] = [
    "User.Read.All",
    "GroupMember.Read.All",
    "RoleManagement.Read.Directory",
    "UserAuthenticationMethod.Read.All",
];
pub(crate) const VERIFICATION: [&str; 5] = [
    "User.Read.All",
    "GroupMember.Read.All",
    "RoleManagement.Read.Directory",
    "UserAuthenticationMethod.Read.All",
    "Application.ReadWrite.All",
];
pub(crate) const EXECUTOR: [&str; 7] = [
    "User.Read.All",
    "GroupMember.Read.All",
    "RoleManagement.Read.Directory",
    "UserAuthenticationMethod.Read.All",
    "UserAuthMethod-Phone.Read.All",
    "UserAuthMethod-TAP.ReadWrite.All",
    "Policy.Read.AuthenticationMethod",
];
const BOT: [&str; 1] = ["TeamsAppInstallation.ReadWriteSelfForUser.All"];

/// One whose consent was forgotten for all but people.
const READER: [&str; 1] = ["User.Read.All"];

/// A refusal of the token endpoint: the OAuth shape, not Graph's.
#[derive(Debug)]
pub(crate) struct LoginError {
    status: StatusCode,
    error: &'static str,
    code: u32,
    description: &'static str,
}

impl LoginError {
    const fn new(status: StatusCode, error: &'static str, code: u32, description: &'static str) -> Self {
        Self {
            status,
            error,
            code,
            description,
        }
    }

    fn wrong_secret() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            7_000_215,
            "Invalid client secret provided.",
        )
    }

    fn request(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", 900_144, description)
    }

    fn scope() -> Self {
        let description = "The provided value for the input parameter 'scope' is not valid.";
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", 70_011, description)
    }
}

impl IntoResponse for LoginError {
    fn into_response(self) -> Response {
        let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
        let body = json!({
            "error": self.error,
            "error_description": format!("AADSTS{}: {}", self.code, self.description),
            "error_codes": [self.code],
            "timestamp": OffsetDateTime::now_utc().format(&format).unwrap_or_default(),
            "trace_id": Uuid::new_v4(), "correlation_id": Uuid::new_v4(),
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        });
        (self.status, Json(body)).into_response()
    }
}

/// A client's id and secret, from the form or from HTTP Basic.
fn client(headers: &HeaderMap, form: &[(String, String)]) -> Option<(String, String)> {
    if let (Some(id), Some(secret)) = (value(form, "client_id"), value(form, "client_secret")) {
        return Some((id.to_owned(), secret.to_owned()));
    }
    let basic = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn same(given: &str, known: &str) -> bool {
    given.as_bytes().ct_eq(known.as_bytes()).into()
}

/// A token, and how long it says it lives.
struct Issued {
    token: String,
    life: Duration,
    audience: &'static str,
}

impl EntraSim {
    /// Secret and permissions of an app registration of this tenant.
    fn registration(&self, id: &str) -> Option<(String, Vec<&'static str>)> {
        let secrets = &self.core.secrets;
        if id == secrets.entra_client_id {
            let every = CLASSIFIER
                .iter()
                .chain(&VERIFICATION)
                .chain(&EXECUTOR)
                .copied()
                .collect();
            return Some((secrets.entra_client_secret.clone(), every));
        }
        if id == secrets.teams_app_id {
            return Some((secrets.teams_app_secret.clone(), BOT.to_vec()));
        }
        let services = [
            ("classifier", &CLASSIFIER[..]),
            ("verification", &VERIFICATION),
            ("executor", &EXECUTOR),
            ("reader", &READER),
        ];
        services.into_iter().find_map(|(service, rights)| {
            let (known, secret) = secrets.entra_client_of(service);
            (known == id).then(|| (secret, rights.to_vec()))
        })
    }

    /// Whether `secret` is a live one of the MFA principal, and has spread.
    fn mfa_secret(&self, secret: &str) -> Result<(), LoginError> {
        let mut state = self.state.lock();
        let now = OffsetDateTime::now_utc();
        let credential = state
            .credentials
            .iter_mut()
            .find(|credential| same(secret, &credential.secret));
        let Some(credential) = credential else {
            return Err(LoginError::wrong_secret());
        };
        if now < credential.start || now >= credential.end {
            let description = "The provided client secret keys are expired.";
            return Err(LoginError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                7_000_222,
                description,
            ));
        }
        if credential.unspread > 0 {
            credential.unspread -= 1;
            return Err(LoginError::wrong_secret());
        }
        Ok(())
    }

    fn issue(
        &self,
        tenant: &str,
        headers: &HeaderMap,
        form: &[(String, String)],
        resource: &str,
    ) -> Result<Issued, LoginError> {
        let secrets = &self.core.secrets;
        if tenant != secrets.entra_tenant_id && !tenant.eq_ignore_ascii_case(DOMAIN) {
            let description = "Tenant not found.";
            return Err(LoginError::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                90_002,
                description,
            ));
        }
        if value(form, "grant_type") != Some("client_credentials") {
            let description = "The app requested an unsupported grant type.";
            return Err(LoginError::new(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                70_003,
                description,
            ));
        }
        let Some((id, secret)) = client(headers, form) else {
            return Err(LoginError::request(
                "The request body must contain: 'client_id' and 'client_secret'.",
            ));
        };
        let rights = if id == MFA_APP {
            self.mfa_secret(&secret)?;
            Vec::new()
        } else {
            let known = self.registration(&id).ok_or_else(|| {
                let description = "Application was not found in the directory.";
                LoginError::new(
                    StatusCode::BAD_REQUEST,
                    "unauthorized_client",
                    700_016,
                    description,
                )
            })?;
            if !same(&secret, &known.0) {
                return Err(LoginError::wrong_secret());
            }
            known.1
        };
        let usual = self.state.lock().token_life;
        let (audience, name, life) = match resource {
            GRAPH => (Audience::Graph, GRAPH, usual),
            CONNECTOR if id == MFA_APP => (Audience::MfaConnector, CONNECTOR, usual),
            BOT_CONNECTOR if id == secrets.teams_app_id => {
                (Audience::BotConnector, BOT_CONNECTOR, BOT_TOKEN_LIFE)
            }
            CONNECTOR | BOT_CONNECTOR => {
                let description = "The application is not authorised for the resource.";
                return Err(LoginError::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_resource",
                    500_011,
                    description,
                ));
            }
            _ => return Err(LoginError::scope()),
        };
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut claims = json!({
            "aud": name, "iss": format!("https://sts.windows.net/{}/", secrets.entra_tenant_id),
            "iat": now, "nbf": now, "exp": now + i64::try_from(life.as_secs()).unwrap_or(3599),
            "appid": id, "tid": secrets.entra_tenant_id, "uti": Uuid::new_v4(),
        });
        // Without any consented permission the token comes without the claim, and Graph says 403 later.
        if !rights.is_empty() {
            claims["roles"] = json!(rights);
        }
        let token = self.core.entra_keys.current().token(&claims);
        let rights = rights.into_iter().map(str::to_owned).collect();
        self.core.tokens.grant(&token, audience, &id, rights, life);
        Ok(Issued {
            token,
            life,
            audience: name,
        })
    }
}

pub(crate) async fn v2(
    State(entra): State<EntraSim>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, LoginError> {
    if !is_form(&headers) {
        return Err(LoginError::request("The request body must be form-encoded."));
    }
    let form = pairs(&body);
    let scope = value(&form, "scope").unwrap_or_default();
    // Exactly one resource, and its default permissions.
    let resource = scope
        .strip_suffix("/.default")
        .filter(|resource| !resource.contains(' '));
    let resource = resource.ok_or_else(LoginError::scope)?.to_owned();
    let issued = entra.issue(&tenant, &headers, &form, &resource)?;
    let seconds = issued.life.as_secs();
    Ok(Json(json!({
        "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": issued.token,
    }))
    .into_response())
}

pub(crate) async fn v1(
    State(entra): State<EntraSim>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, LoginError> {
    if !is_form(&headers) {
        return Err(LoginError::request("The request body must be form-encoded."));
    }
    let form = pairs(&body);
    let Some(resource) = value(&form, "resource").map(str::to_owned) else {
        return Err(LoginError::request("The request body must contain: 'resource'."));
    };
    let issued = entra.issue(&tenant, &headers, &form, resource.trim_end_matches('/'))?;
    let (seconds, now) = (issued.life.as_secs(), OffsetDateTime::now_utc().unix_timestamp());
    let until = now + i64::try_from(seconds).unwrap_or(3599);
    Ok(Json(json!({
        "token_type": "Bearer", "expires_in": seconds.to_string(), "ext_expires_in": seconds.to_string(),
        "expires_on": until.to_string(), "not_before": now.to_string(),
        "resource": issued.audience, "access_token": issued.token,
    }))
    .into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const OPERATING: &str = include_str!("../../../../docs/operating.md");

    /// The table of `App registrations in Entra`: a row without a name goes on with the one above it.
    fn documented() -> BTreeMap<String, BTreeSet<String>> {
        let mut registrations: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut of = String::new();
        let section = OPERATING.split("\n## App registrations in Entra\n").nth(1);
        let section = section.expect("the section is there").split("\n## ").next();
        for row in section.into_iter().flat_map(str::lines) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [registration, permission, id, _] = cells.as_slice() else {
                continue;
            };
            let Some(permission) = permission
                .strip_prefix('`')
                .and_then(|name| name.strip_suffix('`'))
            else {
                continue;
            };
            assert!(id.parse::<Uuid>().is_ok(), "{row}");
            if !registration.is_empty() {
                of = (*registration).to_owned();
            }
            assert!(
                registrations
                    .entry(of.clone())
                    .or_default()
                    .insert(permission.to_owned()),
                "twice: {row}"
            );
        }
        registrations
    }

    fn set(permissions: &[&str]) -> BTreeSet<String> {
        permissions.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_service_may_do_here_exactly_what_the_operator_is_told_to_consent_to() {
        let simulated = BTreeMap::from([
            ("classifier".to_owned(), set(&CLASSIFIER)),
            ("verification".to_owned(), set(&VERIFICATION)),
            ("executor".to_owned(), set(&EXECUTOR)),
        ]);
        assert_eq!(documented(), simulated);
        for permission in BOT {
            assert!(
                OPERATING.contains(&format!("it also needs `{permission}`")),
                "{permission}"
            );
        }
    }
}
