//! What a world is made from: the seed, the addresses, the shared secrets; and the settings that follow for our
//! services, by the names of DESIGN section 8.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use url::Url;

use crate::core::Seed;
use crate::gateway::Targets;

/// Addresses to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "one address per system")]
pub struct Listen {
    pub halo: SocketAddr,
    pub entra: SocketAddr,
    pub openai: SocketAddr,
    pub teams: SocketAddr,
    pub twilio: SocketAddr,
}

impl Listen {
    /// Free ports of the loopback interface.
    pub fn ephemeral() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            halo: any,
            entra: any,
            openai: any,
            teams: any,
            twilio: any,
        }
    }

    /// Ports 9081 to 9085 of `ip`.
    pub fn standard(ip: IpAddr) -> Self {
        let port = |number| SocketAddr::new(ip, number);
        Self {
            halo: port(9081),
            entra: port(9082),
            openai: port(9083),
            teams: port(9084),
            twilio: port(9085),
        }
    }
}

/// Everything that shapes a world. `default()` fits a test.
#[derive(Debug, Clone)]
pub struct WorldSettings {
    /// Ids, secrets and generated values follow from it.
    pub seed: u64,
    /// Where the five systems listen.
    pub listen: Listen,
    /// The host by which others reach the systems.
    pub advertise_host: String,
    /// The services behind the webhooks.
    pub targets: Targets,
    /// What vendors believe to be our address; signatures are over it.
    pub public_url: Url,
    /// Shared secrets; `None` derives them from the seed.
    pub secrets: Option<Secrets>,
    /// The bot is everybody's from the start; otherwise Graph must install it first.
    pub teams_auto_install: bool,
    /// How long people take who were not told what to do.
    pub think: Duration,
    /// HaloPSA's limit of requests per rolling five minutes; `None` is without.
    pub halo_rate_per_5min: Option<u32>,
    /// Number of the first ticket: a help desk that starts empty beside an old database must not count anew.
    pub first_ticket: i64,
    /// Employees beside the named ones, `employee0001@contoso.example` and so on: a load of tickets needs requesters.
    pub further_people: u32,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            listen: Listen::ephemeral(),
            advertise_host: "127.0.0.1".into(),
            targets: Targets::default(),
            public_url: "http://127.0.0.1:8080".parse().expect("built from a literal"),
            secrets: None,
            teams_auto_install: false,
            think: Duration::from_millis(300),
            halo_rate_per_5min: None,
            first_ticket: 4243,
            further_people: 0,
        }
    }
}

/// How HaloPSA proves its webhooks (`authentication_type` 3, 1, 2, 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookAuth {
    /// Base64 of the HMAC-SHA256 of the body in a header.
    Signature,
    /// HTTP Basic.
    Basic,
    /// A bearer token.
    Bearer,
    /// Nothing at all.
    None,
}

/// Ids and shared secrets of the simulated accounts. None of them opens anything real.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "named as the settings of DESIGN section 8")]
pub struct Secrets {
    pub halo_tenant: String,
    pub halo_client_id: String,
    pub halo_client_secret: String,
    pub halo_agent_id: i64,
    pub halo_webhook_auth: WebhookAuth,
    pub halo_webhook_header: String,
    pub halo_webhook_username: String,
    pub halo_webhook_secret: String,
    pub entra_tenant_id: String,
    pub entra_client_id: String,
    pub entra_client_secret: String,
    pub teams_app_id: String,
    pub teams_app_secret: String,
    pub teams_catalog_app_id: String,
    pub openai_api_key: String,
    pub openai_model: String,
    pub twilio_account_sid: String,
    pub twilio_auth_token: String,
    pub twilio_from: String,
    pub oidc_audience: String,
}

impl Secrets {
    /// The accounts of the world of `seed`.
    pub fn derived(seed: u64) -> Self {
        let seed = Seed(seed);
        let uuid = |name: &str| seed.uuid(name).to_string();
        Self {
            halo_tenant: "contoso".into(),
            halo_client_id: uuid("halo/client"),
            halo_client_secret: format!("{}-{}", uuid("halo/secret"), uuid("halo/secret/2")),
            halo_agent_id: crate::halo::API_AGENT,
            halo_webhook_auth: WebhookAuth::Signature,
            halo_webhook_header: "Token".into(),
            halo_webhook_username: "halo".into(),
            halo_webhook_secret: seed.hex("halo/webhook"),
            entra_tenant_id: uuid("entra/tenant"),
            entra_client_id: uuid("entra/client"),
            entra_client_secret: format!("{}~entra", seed.hex("entra/secret")),
            teams_app_id: uuid("teams/app"),
            teams_app_secret: format!("{}~teams", seed.hex("teams/secret")),
            teams_catalog_app_id: uuid("teams/catalog"),
            openai_api_key: format!("sk-sim-{}", seed.hex("openai/key")),
            openai_model: "gpt-4.1-mini".into(),
            twilio_account_sid: format!("AC{}", seed.hex("twilio/account")),
            twilio_auth_token: seed.hex("twilio/token"),
            twilio_from: "+447400000001".into(),
            oidc_audience: uuid("oidc/audience"),
        }
    }

    /// Id and secret of the app registration that `service` alone would use (least privilege).
    pub(crate) fn entra_client_of(&self, service: &str) -> (String, String) {
        let base = self.entra_client_id.bytes().fold(0_u64, |sum, octet| {
            sum.wrapping_mul(31).wrapping_add(u64::from(octet))
        });
        let seed = Seed(base);
        (
            seed.uuid(service).to_string(),
            format!("{}~{service}", seed.hex(service)),
        )
    }
}

/// Base addresses of the five systems, each ending in `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "one address per system")]
pub struct Urls {
    pub halo: Url,
    pub entra: Url,
    pub openai: Url,
    pub teams: Url,
    pub twilio: Url,
}

/// Issuer of people's tokens.
pub(crate) fn oidc_issuer(urls: &Urls, secrets: &Secrets) -> String {
    format!("{}{}/v2.0", urls.entra, secrets.entra_tenant_id)
}

/// Every vendor setting of the services.
pub(crate) fn settings_map(urls: &Urls, secrets: &Secrets, public_url: &Url) -> BTreeMap<String, String> {
    let auth = match secrets.halo_webhook_auth {
        WebhookAuth::Signature | WebhookAuth::None => "signature",
        WebhookAuth::Basic => "basic",
        WebhookAuth::Bearer => "bearer",
    };
    let connector = crate::entra::CONNECTOR_PATH;
    let pairs: [(&str, String); 34] = [
        ("HALOPSA_URL", format!("{}api", urls.halo)),
        ("HALOPSA_AUTH_URL", format!("{}auth", urls.halo)),
        ("HALOPSA_TENANT", secrets.halo_tenant.clone()),
        ("HALOPSA_CLIENT_ID", secrets.halo_client_id.clone()),
        ("HALOPSA_CLIENT_SECRET", secrets.halo_client_secret.clone()),
        ("HALOPSA_AGENT_ID", secrets.halo_agent_id.to_string()),
        ("HALOPSA_WEBHOOK_AUTH", auth.into()),
        ("HALOPSA_WEBHOOK_HEADER", secrets.halo_webhook_header.clone()),
        ("HALOPSA_WEBHOOK_ENCODING", "base64".into()),
        ("HALOPSA_WEBHOOK_USERNAME", secrets.halo_webhook_username.clone()),
        ("HALOPSA_WEBHOOK_SECRET", secrets.halo_webhook_secret.clone()),
        ("HALOPSA_STATUS_RESOLVED", "Resolved".into()),
        ("HALOPSA_OUTCOME_NOTE", crate::halo::INTERNAL_NOTE.to_string()),
        ("HALOPSA_FIELD_STATUS", "CFautomation_status".into()),
        ("HALOPSA_FIELD_PLAYBOOK", "CFplaybook_id".into()),
        ("HALOPSA_FIELD_CONFIDENCE", "CFautomation_confidence".into()),
        (
            "ENTRA_LOGIN_URL",
            urls.entra.as_str().trim_end_matches('/').into(),
        ),
        ("GRAPH_URL", format!("{}v1.0", urls.entra)),
        (
            "MFA_URL",
            format!("{}{}", urls.entra, connector.trim_start_matches('/')),
        ),
        ("ENTRA_TENANT_ID", secrets.entra_tenant_id.clone()),
        ("ENTRA_CLIENT_ID", secrets.entra_client_id.clone()),
        ("ENTRA_CLIENT_SECRET", secrets.entra_client_secret.clone()),
        ("TEAMS_APP_ID", secrets.teams_app_id.clone()),
        ("TEAMS_APP_SECRET", secrets.teams_app_secret.clone()),
        ("TEAMS_TENANT_ID", secrets.entra_tenant_id.clone()),
        ("TEAMS_SERVICE_URL", crate::teams::service_url(urls)),
        (
            "TEAMS_OPENID_URL",
            format!("{}v1/.well-known/openidconfiguration", urls.teams),
        ),
        ("TEAMS_CATALOG_APP_ID", secrets.teams_catalog_app_id.clone()),
        ("TWILIO_URL", urls.twilio.as_str().trim_end_matches('/').into()),
        ("TWILIO_ACCOUNT_SID", secrets.twilio_account_sid.clone()),
        ("TWILIO_AUTH_TOKEN", secrets.twilio_auth_token.clone()),
        ("TWILIO_FROM", secrets.twilio_from.clone()),
        ("OIDC_ISSUER", oidc_issuer(urls, secrets)),
        ("OIDC_AUDIENCE", secrets.oidc_audience.clone()),
    ];
    let mut map: BTreeMap<String, String> = pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    map.insert(
        "PUBLIC_URL".into(),
        public_url.as_str().trim_end_matches('/').to_owned(),
    );
    map
}
