//! What the classifier reads at its start.

mod approver;
mod model;
mod telling;

use std::time::Duration;

use chassis::tripwires::{self, Caution};
use chassis::{BaseSettings, Reader, Settings};
use common::velocity::{Limit, Limited};
use common::{Mode, Service};
use connectors::entra::EntraSettings;
use connectors::halopsa::webhook::{Encoding, WebhookAuth};
use connectors::halopsa::{HaloSettings, Outcome};
use secrecy::SecretString;
use url::Url;

use crate::embedded::Embedded;
use crate::modes::approver::Wanted;
pub use telling::{Model, Telling};

/// All of them.
pub struct ClassifierSettings {
    base: BaseSettings,
    pub(crate) halo: HaloSettings,
    /// Our own agent at the help desk: its changes are not news.
    pub(crate) own_agent: i64,
    /// Types of tickets that may be automated; empty: all.
    pub(crate) ticket_types: Vec<i64>,
    pub(crate) webhook: WebhookAuth,
    pub(crate) fields: FieldNames,
    pub(crate) poll_interval: Duration,
    pub(crate) entra: EntraSettings,
    /// `None`: the embedded classifier.
    pub(crate) model: Option<Model>,
    pub(crate) embedded: Embedded,
    pub(crate) playbook_url: Url,
    pub(crate) orchestration_url: Url,
    /// Below it, a ticket goes to a person; 0 to 1.
    pub(crate) threshold: f64,
    /// How long a source other than the help desk may be away before a ticket goes to a person.
    pub(crate) patience: Duration,
    /// Events received this long ago are archived; `None`: never.
    pub(crate) retention: Option<Duration>,
    pub(crate) caution: Caution,
    pub(crate) tripwires: Tripwires,
    /// Of playbooks that were activated without one.
    pub(crate) default_mode: Mode,
    /// How agents reach us.
    pub(crate) public_url: Option<Url>,
    /// Who may approve a suggestion.
    pub(crate) approver: Wanted,
    /// What notes are filed under.
    pub(crate) outcome_note: Outcome,
}

/// How much is too much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tripwires {
    pub(crate) per_requester: Limit,
    pub(crate) per_tenant: Limit,
    pub(crate) per_playbook: Limit,
}

impl Tripwires {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut limit = |limited, default, meaning| tripwires::limit(from, limited, default, meaning);
        let per_requester = limit(
            Limited::Requester,
            Limit::new(3, 86_400),
            "automated tickets of one requester",
        );
        let per_tenant = limit(
            Limited::Tenant,
            Limit::new(200, 3600),
            "automated tickets in the whole tenant",
        );
        let per_playbook = limit(
            Limited::Playbook,
            Limit::new(200, 3600),
            "tickets that start one playbook",
        );
        Some(Self {
            per_requester: per_requester?,
            per_tenant: per_tenant?,
            per_playbook: per_playbook?,
        })
    }
}

/// Names or numbers of the custom fields that tell the help desk what became of a ticket.
#[derive(Debug, Clone)]
pub(crate) struct FieldNames {
    pub(crate) status: String,
    pub(crate) playbook: String,
    pub(crate) confidence: String,
}

impl Settings for ClassifierSettings {
    const SERVICE: Service = Service::Classifier;

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let base = BaseSettings::read(from);
        let halo = halo(from);
        let own_agent = from.required(
            "HALOPSA_AGENT_ID",
            "our agent's number there; its own changes are ignored",
        );
        let ticket_types = ticket_types(from);
        let webhook = webhook(from);
        let fields = fields(from);
        let poll_interval = seconds(
            from,
            "HALOPSA_POLL_INTERVAL_S",
            60,
            "catch-up for lost webhooks, in seconds",
        );
        let entra = entra(from);
        let model = telling::model(from);
        let embedded = telling::embedded(from);
        let playbook_url = from.required("PLAYBOOK_URL", "the playbook service, e.g. http://playbook:8082");
        let orchestration_url = from.required(
            "ORCHESTRATION_URL",
            "the orchestration service, e.g. http://orchestration:8083",
        );
        let threshold = telling::threshold(from);
        let patience = seconds(
            from,
            "GATE_PATIENCE_S",
            120,
            "how long the model or the directory may be away before a ticket goes to a person, in seconds",
        );
        let retention =
            from.retention("days after which events of tickets that are done with are archived; 0: never");
        let caution = Caution::read(from);
        let tripwires = Tripwires::read(from);
        let default_mode = default_mode(from);
        let public_url = from.optional(
            "PUBLIC_URL",
            "how the outside reaches the gateway; not set: agents are offered nothing, what would be suggested is in shadow",
        );
        let approver = approver::read(from, base.as_ref());
        let outcome_note = outcome_note(from);
        Some(Self {
            base: base?,
            halo: halo?,
            own_agent: own_agent?,
            ticket_types: ticket_types?,
            webhook: webhook?,
            fields: fields?,
            poll_interval: poll_interval?,
            entra: entra?,
            model: model?,
            embedded: embedded?,
            playbook_url: playbook_url?,
            orchestration_url: orchestration_url?,
            threshold: threshold?,
            patience: patience?,
            retention: retention?,
            caution: caution?,
            tripwires: tripwires?,
            default_mode: default_mode?,
            public_url: public_url?,
            approver: approver?,
            outcome_note: outcome_note?,
        })
    }

    fn base(&self) -> &BaseSettings {
        &self.base
    }
}

fn seconds(from: &mut Reader<'_>, name: &str, default: u64, meaning: &str) -> Option<Duration> {
    from.or(name, default, meaning).map(Duration::from_secs)
}

fn halo(from: &mut Reader<'_>) -> Option<HaloSettings> {
    let resource_url = from.required(
        "HALOPSA_URL",
        "resource server, e.g. https://acme.halopsa.com/api",
    );
    let auth_url = from.required(
        "HALOPSA_AUTH_URL",
        "authorisation server, e.g. https://acme.halopsa.com/auth",
    );
    let tenant = from.optional("HALOPSA_TENANT", "tenant, for hosted help desks");
    let client_id = from.required("HALOPSA_CLIENT_ID", "client id of the API application");
    let client_secret = from.secret("HALOPSA_CLIENT_SECRET", "its secret");
    let rate = from.or(
        "HALOPSA_RATE_PER_5MIN",
        300,
        "most requests in five minutes (0: no limit of our own)",
    );
    Some(HaloSettings {
        resource_url: resource_url?,
        auth_url: auth_url?,
        tenant: tenant?,
        client_id: client_id?,
        client_secret: client_secret?,
        rate_per_5min: Some(rate?).filter(|rate| *rate > 0),
    })
}

fn ticket_types(from: &mut Reader<'_>) -> Option<Vec<i64>> {
    let listed = from.optional::<String>(
        "HALOPSA_TICKET_TYPES",
        "numbers of the ticket types that may be automated, separated by commas; not set: all",
    )?;
    let listed = listed.unwrap_or_default();
    let words = listed.split(',').map(str::trim).filter(|word| !word.is_empty());
    let numbers: Result<Vec<i64>, &str> = words.map(|word| word.parse().map_err(|_| word)).collect();
    match numbers {
        Ok(numbers) if numbers.is_empty() && !listed.is_empty() => {
            from.reject("HALOPSA_TICKET_TYPES names no type; leave it out to admit all")
        }
        Ok(numbers) => Some(numbers),
        Err(word) => from.reject(format!(
            "HALOPSA_TICKET_TYPES has `{word}`, which is no number of a ticket type (1,25)"
        )),
    }
}

#[derive(Clone, Copy)]
enum Proof {
    Signature,
    Basic,
    Bearer,
}

fn webhook(from: &mut Reader<'_>) -> Option<WebhookAuth> {
    let kinds = [
        ("signature", Proof::Signature),
        ("basic", Proof::Basic),
        ("bearer", Proof::Bearer),
    ];
    let proof = from.one_of("HALOPSA_WEBHOOK_AUTH", &kinds, "how webhooks prove themselves");
    let header = from.or(
        "HALOPSA_WEBHOOK_HEADER",
        "Token".to_owned(),
        "header of the signature",
    );
    let prefix = from.optional("HALOPSA_WEBHOOK_PREFIX", "text before the signature");
    let encodings = [("base64", Encoding::Base64), ("hex", Encoding::Hex)];
    let encoding = from.one_of(
        "HALOPSA_WEBHOOK_ENCODING",
        &encodings,
        "how the signature is written",
    );
    let username = from.optional::<String>("HALOPSA_WEBHOOK_USERNAME", "user name, for `basic`");
    let secret: Option<SecretString> = from.secret(
        "HALOPSA_WEBHOOK_SECRET",
        "signing key, password or token of the webhooks",
    );
    let (prefix, username) = (prefix?.unwrap_or_default(), username?);
    match (proof?, username) {
        (Proof::Signature, _) => Some(WebhookAuth::Signature {
            header: header?,
            prefix,
            encoding: encoding?,
            secret: secret?,
        }),
        (Proof::Basic, Some(username)) => Some(WebhookAuth::Basic {
            username,
            secret: secret?,
        }),
        (Proof::Basic, None) => {
            from.reject("HALOPSA_WEBHOOK_USERNAME is not set, and HALOPSA_WEBHOOK_AUTH is `basic`")
        }
        (Proof::Bearer, _) => Some(WebhookAuth::Bearer { secret: secret? }),
    }
}

fn fields(from: &mut Reader<'_>) -> Option<FieldNames> {
    let mut name = |setting: &str, default: &str, what: &str| {
        from.or(
            setting,
            default.to_owned(),
            &format!("custom field for {what}: its name or number"),
        )
    };
    let status = name(
        "HALOPSA_FIELD_STATUS",
        "CFautomation_status",
        "the status of the automation",
    );
    let playbook = name("HALOPSA_FIELD_PLAYBOOK", "CFplaybook_id", "the playbook");
    let confidence = name(
        "HALOPSA_FIELD_CONFIDENCE",
        "CFautomation_confidence",
        "the confidence",
    );
    Some(FieldNames {
        status: status?,
        playbook: playbook?,
        confidence: confidence?,
    })
}

fn literal(text: &'static str) -> Url {
    text.parse().expect("the literal is an address")
}

fn entra(from: &mut Reader<'_>) -> Option<EntraSettings> {
    let login_url = from.or(
        "ENTRA_LOGIN_URL",
        literal("https://login.microsoftonline.com"),
        "login of the directory",
    );
    let graph_url = from.or(
        "GRAPH_URL",
        literal("https://graph.microsoft.com/v1.0"),
        "Microsoft Graph",
    );
    let tenant_id = from.required("ENTRA_TENANT_ID", "directory id or a verified domain");
    let client_id = from.required(
        "ENTRA_CLIENT_ID",
        "app registration of the classifier (User.Read.All, GroupMember.Read.All, RoleManagement.Read.Directory, \
         UserAuthenticationMethod.Read.All)",
    );
    let client_secret = from.secret("ENTRA_CLIENT_SECRET", "its secret");
    Some(EntraSettings {
        login_url: login_url?,
        graph_url: graph_url?,
        tenant_id: tenant_id?,
        client_id: client_id?,
        client_secret: client_secret?,
    })
}

fn default_mode(from: &mut Reader<'_>) -> Option<Mode> {
    let modes = Mode::ALL.map(|mode| (mode.as_str(), mode));
    from.one_of(
        "DEFAULT_MODE",
        &modes,
        "mode of playbooks that were activated without one",
    )
}

fn outcome_note(from: &mut Reader<'_>) -> Option<Outcome> {
    let outcome = from.or(
        "HALOPSA_OUTCOME_NOTE",
        "7".to_owned(),
        "outcome that notes are filed under, name or number",
    )?;
    Some(match outcome.trim().parse() {
        Ok(number) => Outcome::Id(number),
        Err(_) => Outcome::Name(outcome),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use triage::Source;
    use triage::stated::{Answered, Asked, ModelCalibration};
    use triage::threshold::Risk;

    use super::*;

    fn complete() -> BTreeMap<String, String> {
        [
            ("DATABASE_URL", "postgres://db/firstline"),
            ("REDIS_URL", "redis://cache"),
            ("SERVICE_KEY_FILE", "/keys/classifier.key"),
            ("TRUSTED_KEYS_FILE", "/keys/trusted.json"),
            ("HALOPSA_URL", "https://acme.halopsa.com/api"),
            ("HALOPSA_AUTH_URL", "https://acme.halopsa.com/auth"),
            ("HALOPSA_CLIENT_ID", "id"),
            ("HALOPSA_CLIENT_SECRET", "secret"),
            ("HALOPSA_AGENT_ID", "2"),
            ("HALOPSA_WEBHOOK_SECRET", "shared"),
            ("ENTRA_TENANT_ID", "contoso.example"),
            ("ENTRA_CLIENT_ID", "app"),
            ("ENTRA_CLIENT_SECRET", "secret"),
            ("PLAYBOOK_URL", "http://playbook:8082"),
            ("ORCHESTRATION_URL", "http://orchestration:8083"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn errors(changes: &[(&str, &str)]) -> Vec<String> {
        let mut map = complete();
        map.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        match chassis::from_map::<ClassifierSettings>(&map) {
            Ok(_) => vec![],
            Err(errors) => errors.messages().to_vec(),
        }
    }

    #[test]
    fn help_names_every_setting() {
        insta::assert_snapshot!(chassis::settings::help::<ClassifierSettings>());
    }

    #[test]
    fn what_is_required_is_enough() {
        assert_eq!(errors(&[]), Vec::<String>::new());
    }

    #[test]
    fn ticket_types_are_numbers_and_an_empty_list_is_a_slip() {
        assert_eq!(errors(&[("HALOPSA_TICKET_TYPES", "1, 25")]), Vec::<String>::new());
        assert_eq!(
            errors(&[("HALOPSA_TICKET_TYPES", "1,incident")]),
            ["HALOPSA_TICKET_TYPES has `incident`, which is no number of a ticket type (1,25)"]
        );
        assert_eq!(
            errors(&[("HALOPSA_TICKET_TYPES", ",")]),
            ["HALOPSA_TICKET_TYPES names no type; leave it out to admit all"]
        );
    }

    #[test]
    fn settings_that_do_not_go_together_are_named() {
        assert_eq!(
            errors(&[("HALOPSA_WEBHOOK_AUTH", "basic"), ("CONFIDENCE_THRESHOLD", "85")]),
            [
                "HALOPSA_WEBHOOK_USERNAME is not set, and HALOPSA_WEBHOOK_AUTH is `basic`",
                "CONFIDENCE_THRESHOLD is `85`, not between 0 and 1",
            ]
        );
        assert_eq!(
            errors(&[
                ("OPENAI_TIMEOUT_S", "0"),
                ("OPENAI_PRICE_PROMPT", "NaN"),
                ("OPENAI_API_KIND", "aws")
            ])
            .len(),
            3
        );
        assert_eq!(
            errors(&[("OPENAI_BASE_URL", "https://acme.openai.azure.com/openai/v1")]).len(),
            1
        );
    }

    /// What was measured of `m`, asked with this prompt.
    fn measured(prompt_version: &str) -> String {
        let asked = Asked {
            model: "m".to_owned(),
            answered_by: ["m".to_owned()].into(),
            prompt_version: prompt_version.to_owned(),
            tickets: Source {
                digest: "d".to_owned(),
                tickets: 60,
            },
        };
        let answer = Answered {
            said: triage::Kind::Printer,
            stated: 0.9,
            truth: triage::Kind::Printer,
            fit: true,
            open: true,
        };
        let risk = Risk {
            alpha: 0.1,
            delta: 0.05,
        };
        ModelCalibration::fit(asked, &[answer; 60], risk)
            .unwrap()
            .to_json()
    }

    #[test]
    fn a_calibration_is_taken_for_its_own_model_and_prompt_and_refused_for_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.to_string_lossy().into_owned()
        };
        let now = file(
            "now.json",
            &measured(crate::classify::LanguageModel::PROMPT_VERSION),
        );
        let then = file("then.json", &measured("prompt/1"));
        let torn = file("torn.json", "{");
        let with = |model: &str, file: &str| {
            errors(&[
                ("OPENAI_API_KEY", "k"),
                ("OPENAI_MODEL", model),
                ("MODEL_CALIBRATION_FILE", file),
            ])
        };
        assert_eq!(with("m", &now), Vec::<String>::new());
        for (model, file, said) in [
            (
                "another",
                now.as_str(),
                "it is for the model `m`, and `another` is asked",
            ),
            ("m", &then, "it was made with prompt/1"),
            ("m", &torn, "no calibration that this version reads"),
            ("m", "/nowhere/at.all", "cannot read"),
        ] {
            let errors = with(model, file);
            assert!(
                matches!(errors.as_slice(), [error] if error.starts_with("MODEL_CALIBRATION_FILE") && error.contains(said)),
                "{errors:?}"
            );
        }
        assert_eq!(
            errors(&[("MODEL_CALIBRATION_FILE", &now)]).len(),
            1,
            "no model is asked"
        );
    }
}
