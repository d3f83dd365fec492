//! Entra: login (v1 and v2 tokens), Microsoft Graph, the MFA connector, and OpenID Connect for people.
//!
//! Source: `contracts/microsoft-graph.md`. People's phones and an admin's hands are in [`EntraSim`].

mod batch;
mod filter;
mod graph;
mod groups;
mod login;
mod methods;
mod mfa;
mod oidc;
mod passes;
mod pim;
mod principals;
mod push;
mod script;
mod teamwork;
mod users;
mod xml;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use uuid::Uuid;

pub use passes::{PassView, TapPolicy};
pub use push::{Push, PushAnswer};

use crate::core::{Core, Shared};
use mfa::Session;
use passes::Pass;
use principals::Credential;

/// Where the connector lives on its host.
pub(crate) const CONNECTOR_PATH: &str = "/StrongAuthenticationService.svc/Connector";

/// Tokens live this long unless told otherwise (the vendor's usual 3599 s).
const TOKEN_LIFE: Duration = Duration::from_secs(3599);

/// The simulated directory and the phones of the people in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EntraSim {
    core: Arc<Core>,
    state: Arc<Shared<EntraState>>,
}

#[derive(Debug)]
struct EntraState {
    passes: BTreeMap<Uuid, Pass>,
    passes_created: BTreeMap<Uuid, usize>,
    policy: TapPolicy,
    /// Object id of the MFA service principal, once it exists in the tenant.
    mfa_principal: Option<Uuid>,
    credentials: Vec<Credential>,
    /// How many token requests a new secret fails before it has spread.
    propagation: u32,
    additions_forbidden: bool,
    token_life: Duration,
    page_size: usize,
    pim_unlicensed: bool,
    push_default: Push,
    push_standing: BTreeMap<String, Push>,
    push_queued: BTreeMap<String, VecDeque<Push>>,
    pushes: BTreeMap<String, usize>,
    sessions: BTreeMap<Uuid, Session>,
    sessions_revoked: BTreeMap<Uuid, usize>,
}

impl Default for EntraState {
    fn default() -> Self {
        Self {
            passes: BTreeMap::new(),
            passes_created: BTreeMap::new(),
            policy: TapPolicy::default(),
            mfa_principal: None,
            credentials: Vec::new(),
            propagation: 0,
            additions_forbidden: false,
            token_life: TOKEN_LIFE,
            page_size: 100,
            pim_unlicensed: false,
            push_default: Push::approve(),
            push_standing: BTreeMap::new(),
            push_queued: BTreeMap::new(),
            pushes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sessions_revoked: BTreeMap::new(),
        }
    }
}

impl EntraSim {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let state = EntraState {
            mfa_principal: Some(core.seed.uuid("entra/mfa-principal")),
            ..EntraState::default()
        };
        Self {
            core,
            state: Arc::new(Shared::new(state)),
        }
    }

    pub(crate) fn router(&self) -> Router {
        let connector = Router::new()
            .route("/BeginTwoWayAuthentication", post(mfa::begin))
            .route("/EndTwoWayAuthentication", post(mfa::end));
        let login = Router::new()
            .route("/{tenant}/oauth2/v2.0/token", post(login::v2))
            .route("/{tenant}/oauth2/token", post(login::v1))
            .route(
                "/{tenant}/v2.0/.well-known/openid-configuration",
                get(oidc::discovery),
            )
            .route("/{tenant}/discovery/v2.0/keys", get(oidc::keys));
        let graph = Self::graph().with_state(self.clone());
        let inner = graph.clone();
        Router::new()
            .merge(login)
            .nest(CONNECTOR_PATH, connector)
            .with_state(self.clone())
            .merge(graph)
            .route(
                "/v1.0/$batch",
                post(move |headers, body| batch::answer(inner, headers, body)),
            )
            .fallback(graph::no_such_segment)
    }

    fn graph() -> Router<Self> {
        let user = Router::new()
            .route("/", get(users::read).patch(users::patch))
            .route("/manager", get(users::manager))
            .route("/transitiveMemberOf", get(groups::all))
            .route("/transitiveMemberOf/{cast}", get(groups::cast))
            .route("/checkMemberGroups", post(groups::check))
            .route("/getMemberObjects", post(groups::member_objects))
            .route("/revokeSignInSessions", post(users::revoke_sessions))
            .route("/authentication/methods", get(methods::all))
            .route("/authentication/phoneMethods", get(methods::phones))
            .route(
                "/authentication/microsoftAuthenticatorMethods",
                get(methods::authenticators),
            )
            .route("/authentication/passwordMethods", get(methods::passwords))
            .route(
                "/authentication/methods/{method}/resetPassword",
                post(users::reset_password),
            )
            .route(
                "/authentication/temporaryAccessPassMethods",
                get(passes::list).post(passes::create),
            )
            .route(
                "/authentication/temporaryAccessPassMethods/{pass}",
                get(passes::read).delete(passes::delete),
            )
            .route(
                "/teamwork/installedApps",
                get(teamwork::installed).post(teamwork::install),
            )
            .route("/teamwork/installedApps/{installation}/chat", get(teamwork::chat));
        let policy = "/v1.0/policies/authenticationMethodsPolicy/authenticationMethodConfigurations";
        Router::new()
            .route("/v1.0/users", get(users::list))
            .nest("/v1.0/users/{user}", user)
            .route(
                "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances",
                get(pim::eligible),
            )
            .route(&format!("{policy}/temporaryAccessPass"), get(passes::policy))
            .route(
                "/v1.0/reports/authenticationMethods/userRegistrationDetails/{user}",
                get(methods::registration),
            )
            .route(
                "/v1.0/servicePrincipals",
                get(principals::list).post(principals::create),
            )
            .route("/v1.0/servicePrincipals/{principal}", get(principals::read))
            .route(
                "/v1.0/servicePrincipals/{principal}/addPassword",
                post(principals::add_password),
            )
            .route(
                "/v1.0/servicePrincipals/{principal}/removePassword",
                post(principals::remove_password),
            )
            .route("/v1.0/appCatalogs/teamsApps", get(teamwork::catalogue))
    }

    /// The vendor's way to say 429 and 5xx.
    pub(crate) fn complain(status: StatusCode) -> Response {
        let (code, message) = match status {
            StatusCode::TOO_MANY_REQUESTS => ("TooManyRequests", "Too many requests."),
            StatusCode::SERVICE_UNAVAILABLE => ("serviceNotAvailable", "The service is not available."),
            _ => ("generalException", "An unspecified error has occurred."),
        };
        graph::GraphError::new(status, code, message).into_response()
    }
}
