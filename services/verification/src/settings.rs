//! What the service reads at its start (design, section 8).

use chassis::tripwires::{self, Caution};
use chassis::{BaseSettings, Reader, Settings};
use common::Service;
use common::velocity::{Limit, Limited};
use connectors::PhoneNumber;
use connectors::entra::EntraSettings;
use connectors::teams::TeamsSettings;
use connectors::twilio::TwilioSettings;
use time::Duration;
use url::Url;

/// How long people may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a push.
    pub mfa: Duration,
    /// For a manager.
    pub approval: Duration,
    /// For a manager in Teams, before a text message follows.
    pub sms_after: Duration,
    /// For the outside to come back, before anybody could be asked.
    pub outside: Duration,
}

/// How much is too much.
#[derive(Debug, Clone, Copy)]
pub struct Tripwires {
    /// Tickets with a proof for one person.
    pub per_subject: Limit,
    /// Requests to one manager.
    pub per_approver: Limit,
    /// Sign-in requests on one person's phone.
    pub pushes: Limit,
    /// People who say no, before the tenant is frozen.
    pub denials: Limit,
}

impl Tripwires {
    /// None, for tests of something else.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self {
        per_subject: Limit::OFF,
        per_approver: Limit::OFF,
        pushes: Limit::OFF,
        denials: Limit::OFF,
    };

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut limit = |limited, default, meaning| tripwires::limit(from, limited, default, meaning);
        let per_subject = limit(
            Limited::Subject,
            Limit::new(3, 86_400),
            "tickets with a proof for one person",
        );
        let per_approver = limit(Limited::Approver, Limit::new(20, 3600), "requests to one manager");
        let pushes = limit(
            Limited::Pushes,
            Limit::new(3, 86_400),
            "sign-in requests on one person's phone",
        );
        let denials = limit(
            Limited::Denials,
            Limit::new(3, 3600),
            "tickets whose requester or manager says no before the tenant is frozen",
        );
        Some(Self {
            per_subject: per_subject?,
            per_approver: per_approver?,
            pushes: pushes?,
            denials: denials?,
        })
    }
}

/// Settings of the verification service.
#[derive(Debug, Clone)]
pub struct VerificationSettings {
    pub(crate) base: BaseSettings,
    pub(crate) entra: EntraSettings,
    pub(crate) mfa_url: Url,
    pub(crate) teams: TeamsSettings,
    pub(crate) teams_openid_url: Url,
    pub(crate) twilio: TwilioSettings,
    pub(crate) orchestration_url: Url,
    pub(crate) public_url: Url,
    pub(crate) limits: Limits,
    pub(crate) caution: Caution,
    pub(crate) tripwires: Tripwires,
    /// How long what people wrote is kept; `None`: for ever.
    pub(crate) retention: Option<std::time::Duration>,
}

fn literal(url: &str) -> Url {
    url.parse().expect("the literal is a URL")
}

impl Settings for VerificationSettings {
    const SERVICE: Service = Service::Verification;

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let base = BaseSettings::read(from);
        let entra = entra(from);
        let mfa_url = from.or(
            "MFA_URL",
            literal("https://strongauthenticationservice.auth.microsoft.com/StrongAuthenticationService.svc/Connector"),
            "the connector that sends MFA pushes",
        );
        let teams = teams(from, entra.as_ref());
        let teams_openid_url = from.or(
            "TEAMS_OPENID_URL",
            literal("https://login.botframework.com/v1/.well-known/openidconfiguration"),
            "whole address of the Bot Framework's OpenID metadata",
        );
        let twilio = twilio(from);
        let orchestration_url = from.required(
            "ORCHESTRATION_URL",
            "the orchestration service, e.g. http://orchestration:8083",
        );
        let public_url = from.required(
            "PUBLIC_URL",
            "how the outside reaches the gateway; webhook signatures are over it",
        );
        let limits = limits(from);
        let caution = Caution::read(from);
        let tripwires = Tripwires::read(from);
        let retention =
            from.retention("days after which it is forgotten what people wrote and typed; 0: never");
        Some(Self {
            base: base?,
            entra: entra?,
            mfa_url: mfa_url?,
            teams: teams?,
            teams_openid_url: teams_openid_url?,
            twilio: twilio?,
            orchestration_url: orchestration_url?,
            public_url: public_url?,
            limits: limits?,
            caution: caution?,
            tripwires: tripwires?,
            retention: retention?,
        })
    }

    fn base(&self) -> &BaseSettings {
        &self.base
    }
}

fn entra(from: &mut Reader<'_>) -> Option<EntraSettings> {
    let login_url = from.or(
        "ENTRA_LOGIN_URL",
        literal("https://login.microsoftonline.com"),
        "where tokens of Entra come from",
    );
    let graph_url = from.or(
        "GRAPH_URL",
        literal("https://graph.microsoft.com/v1.0"),
        "Microsoft Graph",
    );
    let tenant_id = from.required::<String>(
        "ENTRA_TENANT_ID",
        "directory id (GUID) of the customer's tenant; presses in Teams must come from it",
    );
    let client_id = from.required::<String>("ENTRA_CLIENT_ID", "app id of this service's registration");
    let client_secret = from.secret("ENTRA_CLIENT_SECRET", "secret of that registration");
    Some(EntraSettings {
        login_url: login_url?,
        graph_url: graph_url?,
        tenant_id: tenant_id?,
        client_id: client_id?,
        client_secret: client_secret?,
    })
}

fn teams(from: &mut Reader<'_>, entra: Option<&EntraSettings>) -> Option<TeamsSettings> {
    let app_id = from.required::<String>("TEAMS_APP_ID", "app id of the bot");
    let app_secret = from.secret("TEAMS_APP_SECRET", "secret of the bot");
    let home_tenant_id = from.required::<String>("TEAMS_TENANT_ID", "tenant where the bot is registered");
    let service_url = from.or(
        "TEAMS_SERVICE_URL",
        literal("https://smba.trafficmanager.net/teams/"),
        "the Bot Connector",
    );
    let catalog_app_id = from.optional::<String>(
        "TEAMS_CATALOG_APP_ID",
        "the app's number in the organisation's catalogue; set: the bot is installed for a manager who lacks it",
    );
    let entra = entra?;
    Some(TeamsSettings {
        app_id: app_id?,
        app_secret: app_secret?,
        home_tenant_id: home_tenant_id?,
        directory_tenant_id: entra.tenant_id.clone(),
        login_url: entra.login_url.clone(),
        service_url: service_url?,
        graph_url: entra.graph_url.clone(),
        catalog_app_id: catalog_app_id?,
    })
}

fn twilio(from: &mut Reader<'_>) -> Option<TwilioSettings> {
    let url = from.or("TWILIO_URL", literal("https://api.twilio.com"), "Twilio");
    let account_sid = from.required::<String>("TWILIO_ACCOUNT_SID", "account, `AC...`");
    let auth_token = from.secret(
        "TWILIO_AUTH_TOKEN",
        "primary token of the account; signs its webhooks too",
    );
    let number = from.required::<PhoneNumber>("TWILIO_FROM", "our number, e.g. +447400000001");
    Some(TwilioSettings {
        url: url?,
        account_sid: account_sid?,
        auth_token: auth_token?,
        from: number?,
    })
}

fn limits(from: &mut Reader<'_>) -> Option<Limits> {
    let mfa = from.or("MFA_TIMEOUT_S", 300_u32, "longest wait for a push, in seconds");
    let approval = from.or(
        "APPROVAL_TIMEOUT_S",
        600_u32,
        "longest wait for a manager, in seconds",
    );
    let sms_after = from.or(
        "APPROVAL_SMS_AFTER_S",
        300_u32,
        "a manager who has not answered in Teams gets a text message after this many seconds",
    );
    let outside = from.or(
        "OUTSIDE_PATIENCE_S",
        7_200_u32,
        "while the outside is away and nobody could be asked, a time-out does not run, for so many seconds at most",
    );
    let seconds = |count: u32| Duration::seconds(count.into());
    Some(Limits {
        mfa: seconds(mfa?),
        approval: seconds(approval?),
        sms_after: seconds(sms_after?),
        outside: seconds(outside?),
    })
}
