//! What the service reads at its start.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use chassis::{BaseSettings, Reader, Settings};
use common::{ActionName, Service};
use connectors::halopsa::HaloSettings;
use playbook_lang::Registry;
use url::Url;

/// How often it is looked for what may go on, whatever was heard.
const FREE_EVERY: Duration = Duration::from_secs(1);

/// Settings of the orchestration service.
#[derive(Debug, Clone)]
pub struct OrchestrationSettings {
    /// What every service has.
    pub base: BaseSettings,
    /// The playbook service.
    pub playbook_url: Url,
    /// Where steps are performed, by the part of an action before its dot.
    pub step_services: BTreeMap<String, Url>,
    /// What playbooks may call.
    pub registry: Registry,
    /// The help desk's API.
    pub halo: HaloSettings,
    /// What is written to the help desk.
    pub desk: DeskSettings,
    /// The runner.
    pub runner: RunnerSettings,
}

/// Names in the help desk's tenant.
#[derive(Debug, Clone)]
pub struct DeskSettings {
    /// Status of a resolved ticket, by name or number.
    pub status_resolved: String,
    /// Status of an escalated ticket; unchanged where none is set.
    pub status_escalated: Option<String>,
    /// Outcome under which notes are filed.
    pub outcome_note: String,
    /// Custom field for the automation's status.
    pub field_status: String,
}

/// How executions are driven.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// A runner that is silent for this long is dead.
    pub lease: Duration,
    /// Executions driven at once.
    pub max_in_flight: usize,
    /// How long to leave an outside system alone that is away and did not say for how long.
    pub probe: Duration,
    /// What keeps an execution for so long is told on its ticket.
    pub note_after: Duration,
    /// Upper bounds of step time-outs.
    pub longest: BTreeMap<ActionName, Duration>,
    /// Executions that ended this long ago are archived; `None`: never.
    pub retention: Option<Duration>,
    /// Should the news that something may go on be lost, it is looked for this often. Nobody sets it but a test.
    pub look_for_free: Duration,
}

impl Settings for OrchestrationSettings {
    const SERVICE: Service = Service::Orchestration;

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let base = BaseSettings::read(from);
        let playbook_url = from.required("PLAYBOOK_URL", "the playbook service, e.g. http://playbook:8082");
        let step_services = read_step_services(from);
        let registry = from.file(
            "STEP_ACTIONS_FILE",
            "YAML file that declares the actions of a customer's own step services",
            Registry::declaring,
        );
        let halo = read_halo(from);
        let desk = DeskSettings::read(from);
        let runner = RunnerSettings::read(from);
        Some(Self {
            base: base?,
            playbook_url: playbook_url?,
            step_services: step_services?,
            registry: registry?.unwrap_or_else(Registry::builtin),
            halo: halo?,
            desk: desk?,
            runner: runner?,
        })
    }

    fn base(&self) -> &BaseSettings {
        &self.base
    }
}

fn read_step_services(from: &mut Reader<'_>) -> Option<BTreeMap<String, Url>> {
    let own = [Service::Verification, Service::Executor, Service::Delivery].map(|service| {
        let name = format!("{}_URL", service.name().to_uppercase());
        let meaning = format!(
            "the {service} service, e.g. http://{service}:{}",
            service.default_port()
        );
        (service, from.required::<Url>(&name, &meaning))
    });
    let others = from.optional::<Addresses>(
        "STEP_SERVICES",
        "further services that perform steps: name=url,name=url",
    );
    let mut all = others?.unwrap_or_default().0;
    for (service, url) in own {
        // One of ours is never another's.
        all.insert(service.name().to_owned(), url?);
    }
    Some(all)
}

fn read_halo(from: &mut Reader<'_>) -> Option<HaloSettings> {
    let resource_url = from.required(
        "HALOPSA_URL",
        "resource server, e.g. https://acme.halopsa.com/api",
    );
    let auth_url = from.required(
        "HALOPSA_AUTH_URL",
        "authorisation server, e.g. https://acme.halopsa.com/auth",
    );
    let tenant = from.optional("HALOPSA_TENANT", "tenant name, for a shared authorisation server");
    let client_id = from.required("HALOPSA_CLIENT_ID", "client id of the API application");
    let client_secret = from.secret("HALOPSA_CLIENT_SECRET", "its secret");
    let rate = from.or(
        "HALOPSA_RATE_PER_5MIN",
        300_u32,
        "most requests in five minutes; 0: no limit of our own",
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

impl DeskSettings {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let status_resolved = from.or(
            "HALOPSA_STATUS_RESOLVED",
            "Resolved".to_owned(),
            "status of a resolved ticket, name or number",
        );
        let status_escalated = from.optional(
            "HALOPSA_STATUS_ESCALATED",
            "status of an escalated ticket, name or number; unset: unchanged",
        );
        let outcome_note = from.or(
            "HALOPSA_OUTCOME_NOTE",
            "7".to_owned(),
            "outcome that notes are filed under, name or number",
        );
        let field_status = from.or(
            "HALOPSA_FIELD_STATUS",
            "CFautomation_status".to_owned(),
            "custom field for the automation's status",
        );
        Some(Self {
            status_resolved: status_resolved?,
            status_escalated: status_escalated?,
            outcome_note: outcome_note?,
            field_status: field_status?,
        })
    }
}

impl RunnerSettings {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let lease_s = from.or(
            "LEASE_S",
            15_u64,
            "seconds of silence after which a runner's work is taken over",
        );
        let max_in_flight = from.or("MAX_IN_FLIGHT", 256_usize, "executions driven at once");
        let probe_s = from.or(
            "CIRCUIT_PROBE_S",
            10_u64,
            "seconds between looks at an outside system that is away",
        );
        let note_after_s = from.or(
            "OUTAGE_NOTE_AFTER_S",
            60_u64,
            "seconds after which a ticket is told that something outside is away, or that a switch holds it",
        );
        let mfa_s = from.or(
            "MFA_TIMEOUT_S",
            300_u64,
            "longest wait for an MFA answer, seconds",
        );
        let approval_s = from.or(
            "APPROVAL_TIMEOUT_S",
            600_u64,
            "longest wait for a manager's answer, seconds",
        );
        let retention = from.retention("days after which ended executions are archived; 0: never");
        let lease_s = lease_s?;
        if lease_s == 0 {
            return from.reject("LEASE_S is `0`: a lease must last");
        }
        let max_in_flight = max_in_flight?;
        if max_in_flight == 0 {
            return from.reject("MAX_IN_FLIGHT is `0`: nothing would ever run");
        }
        let bounds = [
            ("verification.mfa", mfa_s?),
            ("verification.manager", approval_s?),
        ];
        let longest = bounds
            .into_iter()
            .filter_map(|(action, seconds)| Some((action.parse().ok()?, Duration::from_secs(seconds))));
        Some(Self {
            lease: Duration::from_secs(lease_s),
            max_in_flight,
            probe: Duration::from_secs(probe_s?.max(1)),
            note_after: Duration::from_secs(note_after_s?),
            longest: longest.collect(),
            retention: retention?,
            look_for_free: FREE_EVERY,
        })
    }
}

/// `name=url,name=url`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Addresses(BTreeMap<String, Url>);

/// The text is no list of addresses.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not `name=url`")]
struct NotAnAddress(String);

impl FromStr for Addresses {
    type Err = NotAnAddress;
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let pairs = text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let bad = || NotAnAddress(pair.to_owned());
                let (name, url) = pair.split_once('=').ok_or_else(bad)?;
                let url = url.trim().parse().map_err(|_| bad())?;
                if name.trim().is_empty() {
                    Err(bad())
                } else {
                    Ok((name.trim().to_owned(), url))
                }
            });
        pairs.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let needed = [
            ("DATABASE_URL", "postgres://firstline_orchestration@db/firstline"),
            ("REDIS_URL", "redis://cache"),
            ("SERVICE_KEY_FILE", "/keys/orchestration.key"),
            ("TRUSTED_KEYS_FILE", "/keys/trusted.json"),
            ("PLAYBOOK_URL", "http://playbook:8082"),
            ("VERIFICATION_URL", "http://verification:8084"),
            ("EXECUTOR_URL", "http://executor:8085"),
            ("DELIVERY_URL", "http://delivery:8086"),
            ("HALOPSA_URL", "https://acme.halopsa.com/api"),
            ("HALOPSA_AUTH_URL", "https://acme.halopsa.com/auth"),
            ("HALOPSA_CLIENT_ID", "id"),
            ("HALOPSA_CLIENT_SECRET", "secret"),
        ];
        needed
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_customers_step_service_stands_beside_ours_and_never_in_their_place() {
        let more = [
            ("STEP_SERVICES", "network=http://net:1, executor=http://evil:2"),
            ("MFA_TIMEOUT_S", "5"),
        ];
        let settings: OrchestrationSettings = chassis::from_map(&given(&more)).unwrap();
        let executor = settings.step_services["executor"].as_str();
        assert_eq!(
            (settings.step_services.len(), executor),
            (4, "http://executor:8085/")
        );
        let mfa = "verification.mfa".parse::<ActionName>().unwrap();
        assert_eq!(settings.runner.longest[&mfa], Duration::from_secs(5));
    }

    #[test]
    fn declared_actions_are_read_at_the_start_and_each_fault_in_them_is_named() {
        let directory = std::env::temp_dir().join(format!("firstline-actions-{}", std::process::id()));
        std::fs::write(
            &directory,
            "actions:\n  - name: cmdb.look_up\n    path: /look_up\n",
        )
        .unwrap();
        let path = directory.display().to_string();
        let settings: OrchestrationSettings =
            chassis::from_map(&given(&[("STEP_ACTIONS_FILE", &path)])).unwrap();
        let action = settings.registry.action(&"cmdb.look_up".parse().unwrap());
        assert_eq!(action.map(|action| action.path.as_str()), Some("/look_up"));
        std::fs::write(
            &directory,
            "actions:\n  - name: executor.anything\n    path: /x\n",
        )
        .unwrap();
        let errors =
            chassis::from_map::<OrchestrationSettings>(&given(&[("STEP_ACTIONS_FILE", &path)])).unwrap_err();
        let said = errors.messages().join("\n");
        assert!(
            said.contains("STEP_ACTIONS_FILE") && said.contains("executor.anything"),
            "{said}"
        );
        std::fs::remove_file(directory).unwrap();
    }

    #[test]
    fn every_bad_setting_is_named() {
        let more = [
            ("STEP_SERVICES", "network"),
            ("LEASE_S", "soon"),
            ("HALOPSA_URL", ""),
        ];
        let errors = chassis::from_map::<OrchestrationSettings>(&given(&more)).unwrap_err();
        let said = errors.messages().join("\n");
        for name in ["STEP_SERVICES", "LEASE_S", "HALOPSA_URL"] {
            assert!(said.contains(name), "{said}");
        }
    }
}
