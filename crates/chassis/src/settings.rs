//! Settings by name from the environment (or a map, in the launcher and in tests): read, checked and explained.
//!
//! Every bad setting is reported, not only the first; no value of a secret ever reaches a message.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use common::{Service, TenantId};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use url::Url;

/// What a service reads at its start.
pub trait Settings: Sized {
    /// Whose settings these are: names the process, its database role and its default port.
    const SERVICE: Service;

    /// Read every field from `from`. `None` when any was bad: `from` holds all the reasons.
    ///
    /// Read all fields before the first `?`, so that every bad one is named.
    fn read(from: &mut Reader<'_>) -> Option<Self>;

    /// The part that every service has.
    fn base(&self) -> &BaseSettings;
}

/// Where a setting's text comes from.
pub trait Lookup {
    /// The text of `name`; `None` where it is not set.
    fn text(&self, name: &str) -> Option<String>;
}

/// The process environment.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

impl Lookup for Environment {
    fn text(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Lookup for BTreeMap<String, String> {
    fn text(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

/// Every setting that is missing or bad, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsErrors(Vec<String>);

impl SettingsErrors {
    /// One message per bad setting, in the order in which they were read.
    pub fn messages(&self) -> &[String] {
        &self.0
    }
}

impl Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

struct Described {
    name: String,
    meaning: String,
    default: Option<String>,
}

/// Reads settings by name; keeps what was wrong with each, and what each is for.
pub struct Reader<'a> {
    lookup: &'a dyn Lookup,
    service: Service,
    errors: Vec<String>,
    described: Vec<Described>,
}

impl<'a> Reader<'a> {
    /// A reader of `lookup` for `service`.
    pub fn new(service: Service, lookup: &'a dyn Lookup) -> Self {
        Self {
            lookup,
            service,
            errors: vec![],
            described: vec![],
        }
    }

    /// Whose settings are read.
    pub fn service(&self) -> Service {
        self.service
    }

    /// A setting that must be there.
    pub fn required<T: FromStr<Err: Display>>(&mut self, name: &str, meaning: &str) -> Option<T> {
        self.describe(name, meaning, None);
        match self.text(name) {
            Some(text) => self.parsed(name, &text, meaning),
            None => self.bad(format!("{name} is not set: {meaning}")),
        }
    }

    /// A setting with a default.
    pub fn or<T: FromStr<Err: Display> + Display>(
        &mut self,
        name: &str,
        default: T,
        meaning: &str,
    ) -> Option<T> {
        self.describe(name, meaning, Some(default.to_string()));
        match self.text(name) {
            Some(text) => self.parsed(name, &text, meaning),
            None => Some(default),
        }
    }

    /// A setting that may be missing. The outer `None` means: it is there and bad.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str, meaning: &str) -> Option<Option<T>> {
        self.describe(name, meaning, Some(String::new()));
        match self.text(name) {
            Some(text) => self.parsed(name, &text, meaning).map(Some),
            None => Some(None),
        }
    }

    /// A secret that must be there: in `NAME`, or in the file that `NAME_FILE` names (trailing line ends are cut).
    pub fn secret(&mut self, name: &str, meaning: &str) -> Option<SecretString> {
        self.describe(name, &format!("{meaning} (or {name}_FILE)"), None);
        match self.secret_text(name)? {
            Some(secret) => Some(secret),
            None => self.bad(format!("{name} is not set (nor {name}_FILE): {meaning}")),
        }
    }

    /// A secret that may be missing. The outer `None` means: its file cannot be read.
    pub fn optional_secret(&mut self, name: &str, meaning: &str) -> Option<Option<SecretString>> {
        self.describe(name, &format!("{meaning} (or {name}_FILE)"), Some(String::new()));
        self.secret_text(name)
    }

    /// A file that may be missing from the settings, read by `understood`: what it holds, or every fault in it.
    pub fn file<T>(
        &mut self,
        name: &str,
        meaning: &str,
        understood: impl FnOnce(&str) -> Result<T, Vec<String>>,
    ) -> Option<Option<T>> {
        self.describe(name, meaning, Some(String::new()));
        let Some(path) = self.text(name) else {
            return Some(None);
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return self.bad(format!("{name}: cannot read `{path}`: {error}")),
        };
        match understood(&text) {
            Ok(value) => Some(Some(value)),
            Err(faults) => {
                for fault in faults {
                    self.errors.push(format!("{name}: {path}:{fault}"));
                }
                None
            }
        }
    }

    /// One of a few words, compared without case; the first is the default.
    pub fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)], meaning: &str) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let (default, first) = choices
            .first()
            .map(|(word, value)| ((*word).to_owned(), *value))?;
        self.describe(name, &format!("{meaning}: {}", words.join(" | ")), Some(default));
        let Some(text) = self.text(name) else {
            return Some(first);
        };
        let chosen = choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
        match chosen {
            Some((_, value)) => Some(*value),
            None => self.bad(format!("{name} is `{text}`, not one of {}", words.join(", "))),
        }
    }

    /// `RETENTION_DAYS`: how long after its end something stays where it was worked on. The inner `None`: for ever.
    pub fn retention(&mut self, meaning: &str) -> Option<Option<Duration>> {
        let days = self.or("RETENTION_DAYS", 90_u32, meaning)?;
        Some((days > 0).then(|| Duration::from_hours(24 * u64::from(days))))
    }

    /// Reject a combination that no single field could see.
    pub fn reject<T>(&mut self, message: impl Into<String>) -> Option<T> {
        self.bad(message.into())
    }

    fn text(&self, name: &str) -> Option<String> {
        // `NAME=` in a compose file means "not set".
        self.lookup.text(name).filter(|text| !text.is_empty())
    }

    #[expect(
        clippy::option_option,
        reason = "bad and missing differ, and `?` should stop at bad only"
    )]
    fn secret_text(&mut self, name: &str) -> Option<Option<SecretString>> {
        match secret(self.lookup, name) {
            Ok(found) => Some(found),
            Err(message) => self.bad(message),
        }
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str, text: &str, meaning: &str) -> Option<T> {
        match text.trim().parse() {
            Ok(value) => Some(value),
            Err(error) => self.bad(format!("{name} is `{text}`: {error} ({meaning})")),
        }
    }

    fn bad<T>(&mut self, message: String) -> Option<T> {
        self.errors.push(message);
        None
    }

    fn describe(&mut self, name: &str, meaning: &str, default: Option<String>) {
        if !self.described.iter().any(|known| known.name == name) {
            self.described.push(Described {
                name: name.to_owned(),
                meaning: meaning.to_owned(),
                default,
            });
        }
    }
}

fn read<S: Settings>(lookup: &dyn Lookup) -> Result<S, SettingsErrors> {
    part(S::SERVICE, lookup, S::read)
}

/// A part of a service's settings, for a tool that does what the service does without being it.
///
/// # Errors
/// Every missing or bad setting of that part.
pub fn part<T>(
    service: Service,
    lookup: &dyn Lookup,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, SettingsErrors> {
    let mut reader = Reader::new(service, lookup);
    let settings = read(&mut reader);
    match settings {
        Some(settings) if reader.errors.is_empty() => Ok(settings),
        _ if reader.errors.is_empty() => Err(SettingsErrors(vec![
            "a setting was refused without a reason".into(),
        ])),
        _ => Err(SettingsErrors(reader.errors)),
    }
}

/// Settings from a map, as the launcher and the tests make them.
///
/// # Errors
/// Every missing or bad setting.
pub fn from_map<S: Settings>(map: &BTreeMap<String, String>) -> Result<S, SettingsErrors> {
    read(map)
}

/// A secret: in `NAME`, or in the file that `NAME_FILE` names (trailing line ends are cut). `NAME=` means "not set".
///
/// # Errors
/// Its file cannot be read, or holds nothing; says which.
pub fn secret(lookup: &dyn Lookup, name: &str) -> Result<Option<SecretString>, String> {
    let set = |name: &str| lookup.text(name).filter(|text| !text.is_empty());
    if let Some(text) = set(name) {
        return Ok(Some(text.into()));
    }
    let Some(path) = set(&format!("{name}_FILE")) else {
        return Ok(None);
    };
    match std::fs::read_to_string(&path) {
        // A signature made with nothing is one that anybody can make.
        Ok(text) if text.trim().is_empty() => Err(format!("{name}_FILE: `{path}` holds no secret")),
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).into())),
        Err(error) => Err(format!("{name}_FILE: cannot read `{path}`: {error}")),
    }
}

/// Settings from the process environment.
///
/// # Errors
/// Every missing or bad setting.
pub fn from_environment<S: Settings>() -> Result<S, SettingsErrors> {
    read(&Environment)
}

/// What `--help` prints: every setting with its meaning and default.
pub fn help<S: Settings>() -> String {
    let nothing = BTreeMap::new();
    let mut reader = Reader::new(S::SERVICE, &nothing);
    let _ = S::read(&mut reader);
    let mut text = format!(
        "Usage: {service} [--help | --version]\n\nThe {service} service of Firstline. It reads its settings from the environment:\n\n",
        service = S::SERVICE
    );
    for Described {
        name,
        meaning,
        default,
    } in &reader.described
    {
        let default = match default.as_deref() {
            None => "required".to_owned(),
            Some("") => "optional".to_owned(),
            Some(value) => format!("default {value}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name}\n      {meaning} [{default}]");
    }
    text
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Who issues the tokens of people, and for whom.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The issuer, exactly as its tokens say; its discovery document lies below it.
    pub issuer: Url,
    /// Our application, the tokens' `aud`.
    pub audience: String,
}

/// Logs and traces.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// `RUST_LOG`, an `EnvFilter`.
    pub filter: String,
    /// How log lines look.
    pub format: LogFormat,
    /// Where traces go, where they go anywhere.
    pub otlp_endpoint: Option<Url>,
}

/// The settings that every service has.
#[derive(Debug, Clone)]
pub struct BaseSettings {
    /// Where to listen.
    pub listen_addr: SocketAddr,
    /// Postgres, with the service's own role.
    pub database_url: SecretString,
    /// Redis.
    pub redis_url: SecretString,
    /// Own Ed25519 key.
    pub service_key_file: PathBuf,
    /// Public keys of the fleet.
    pub trusted_keys_file: PathBuf,
    /// The tenant of a single-company fleet.
    pub tenant_id: TenantId,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// Tokens of people, where the service has doors for people and an issuer is set.
    pub oidc: Option<OidcSettings>,
}

impl BaseSettings {
    /// Read them; the default port is the service's.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let service = from.service();
        let everywhere = SocketAddr::from(([0, 0, 0, 0], service.default_port()));
        let listen_addr = from.or("LISTEN_ADDR", everywhere, "address and port to listen on");
        let database_url = from.secret(
            "DATABASE_URL",
            "Postgres 15 or later, e.g. postgres://firstline_classifier@db/firstline",
        );
        let redis_url = from.secret("REDIS_URL", "Redis 7 or later, e.g. redis://cache:6379");
        let service_key_file = from.required(
            "SERVICE_KEY_FILE",
            "own Ed25519 key (PEM), from `firstline keys init`",
        );
        let trusted_keys_file = from.required(
            "TRUSTED_KEYS_FILE",
            "public keys of the fleet (trusted.json), from `firstline keys init`",
        );
        let tenant_id = from.or(
            "TENANT_ID",
            default_tenant(),
            "the tenant of a single-company fleet",
        );
        let telemetry = TelemetrySettings::read(from);
        let oidc = read_oidc(from);
        Some(Self {
            listen_addr: listen_addr?,
            database_url: database_url?,
            redis_url: redis_url?,
            service_key_file: service_key_file?,
            trusted_keys_file: trusted_keys_file?,
            tenant_id: tenant_id?,
            telemetry: telemetry?,
            oidc: oidc?,
        })
    }
}

impl TelemetrySettings {
    /// Read them.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let filter = from.or(
            "RUST_LOG",
            "info".to_owned(),
            "which log lines to write, e.g. `info,sqlx=warn`",
        );
        let format = from.one_of(
            "LOG_FORMAT",
            &[("human", LogFormat::Human), ("json", LogFormat::Json)],
            "how log lines look",
        );
        let otlp_endpoint = from.optional(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OpenTelemetry collector (http/protobuf), e.g. http://collector:4318",
        );
        let filter = filter.and_then(|filter| match EnvFilter::builder().parse(&filter) {
            Ok(_) => Some(filter),
            Err(error) => from.reject(format!("RUST_LOG is `{filter}`: {error} (e.g. `info,sqlx=warn`)")),
        });
        Some(Self {
            filter: filter?,
            format: format?,
            otlp_endpoint: otlp_endpoint?,
        })
    }
}

fn default_tenant() -> TenantId {
    "default".parse().expect("the literal is a tenant id")
}

/// Only these three have doors for people.
fn has_doors_for_people(service: Service) -> bool {
    matches!(
        service,
        Service::Classifier | Service::Playbook | Service::Orchestration
    )
}

#[expect(
    clippy::option_option,
    reason = "bad and missing differ, and `?` should stop at bad only"
)]
fn read_oidc(from: &mut Reader<'_>) -> Option<Option<OidcSettings>> {
    if !has_doors_for_people(from.service()) {
        return Some(None);
    }
    let issuer = from.optional::<Url>(
        "OIDC_ISSUER",
        "who issues the tokens of people, e.g. https://login.microsoftonline.com/{tenant}/v2.0",
    );
    let audience = from.optional::<String>("OIDC_AUDIENCE", "our application in those tokens (`aud`)");
    match (issuer?, audience?) {
        (None, _) => Some(None),
        (Some(issuer), Some(audience)) => Some(Some(OidcSettings { issuer, audience })),
        (Some(_), None) => {
            from.reject("OIDC_AUDIENCE is not set, and OIDC_ISSUER is: a token for any application would do")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Sample {
        base: BaseSettings,
        limit: u32,
        password: Option<SecretString>,
    }

    impl Settings for Sample {
        const SERVICE: Service = Service::Classifier;

        fn read(from: &mut Reader<'_>) -> Option<Self> {
            let base = BaseSettings::read(from);
            let limit = from.or("LIMIT", 3, "how many at once");
            let password = from.optional_secret("PASSWORD", "the help desk's");
            Some(Self {
                base: base?,
                limit: limit?,
                password: password?,
            })
        }

        fn base(&self) -> &BaseSettings {
            &self.base
        }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut map = BTreeMap::from([
            ("DATABASE_URL".to_owned(), "postgres://db/firstline".to_owned()),
            ("REDIS_URL".to_owned(), "redis://cache".to_owned()),
            ("SERVICE_KEY_FILE".to_owned(), "/keys/classifier.key".to_owned()),
            ("TRUSTED_KEYS_FILE".to_owned(), "/keys/trusted.json".to_owned()),
        ]);
        for (name, value) in pairs {
            map.insert((*name).to_owned(), (*value).to_owned());
        }
        map
    }

    #[test]
    fn every_missing_and_every_bad_setting_is_named_at_once() {
        let bad = BTreeMap::from([
            ("LISTEN_ADDR".to_owned(), "everywhere".to_owned()),
            ("LIMIT".to_owned(), "many".to_owned()),
            ("LOG_FORMAT".to_owned(), "xml".to_owned()),
            ("OIDC_ISSUER".to_owned(), "https://issuer.example".to_owned()),
        ]);
        let errors = from_map::<Sample>(&bad).unwrap_err();
        insta::assert_snapshot!(errors);
    }

    #[test]
    fn help_lists_every_setting_with_its_meaning_and_default() {
        insta::assert_snapshot!(help::<Sample>());
    }

    #[test]
    fn defaults_are_the_services_and_an_empty_text_means_not_set() {
        let settings = from_map::<Sample>(&map(&[("LIMIT", ""), ("TENANT_ID", "acme")])).unwrap();
        assert_eq!(settings.base.listen_addr.port(), 8081);
        assert_eq!(settings.base.tenant_id.as_str(), "acme");
        assert_eq!(settings.limit, 3);
        assert!(settings.password.is_none());
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_line_end_and_never_shows() {
        use secrecy::ExposeSecret as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let path = file.path().display().to_string();
        let settings = from_map::<Sample>(&map(&[("PASSWORD_FILE", &path)])).unwrap();
        assert_eq!(settings.password.as_ref().unwrap().expose_secret(), "hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_bad_log_filter_is_named_with_whatever_else_is_bad() {
        let errors =
            from_map::<Sample>(&map(&[("RUST_LOG", "info,=="), ("LOG_FORMAT", "loud")])).unwrap_err();
        let errors = errors.to_string();
        assert!(errors.contains("RUST_LOG is `info,==`"), "{errors}");
        assert!(errors.contains("LOG_FORMAT"), "{errors}");
    }

    #[test]
    fn an_empty_secret_file_is_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for nothing in ["", "\n", " \r\n"] {
            std::fs::write(file.path(), nothing).unwrap();
            let path = file.path().display().to_string();
            let errors = from_map::<Sample>(&map(&[("PASSWORD_FILE", &path)])).unwrap_err();
            let expected = format!("PASSWORD_FILE: `{path}` holds no secret");
            assert!(errors.to_string().starts_with(&expected), "{errors}");
        }
    }

    #[test]
    fn a_secret_file_that_is_not_there_is_named() {
        let errors = from_map::<Sample>(&map(&[("PASSWORD_FILE", "/no/such/file")])).unwrap_err();
        assert!(
            errors
                .to_string()
                .starts_with("PASSWORD_FILE: cannot read `/no/such/file`")
        );
    }
}
