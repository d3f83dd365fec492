//! People with their roles: a login that gives out their tokens.

use std::time::Duration;

use common::Service;
use common::client::{OrchestrationClient, Outbound};
use http::HeaderMap;
use launcher::testing::Running;
use simulators::{World, WorldSettings};

use super::Stage;

const ADELE: &str = "adele@contoso.example";

/// A login, where Adele Vance signs in with whatever roles are wanted.
pub(crate) struct People {
    world: World,
}

/// Puts a person's token on every call.
struct Bearer(String);

impl Outbound for Bearer {
    fn decorate(&self, _callee: &str, _body: &[u8], headers: &mut HeaderMap) {
        let value = format!("Bearer {}", self.0);
        headers.insert("authorization", value.parse().unwrap());
    }
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = settings.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

impl People {
    pub(crate) async fn start() -> Self {
        let world = World::start(WorldSettings::default()).await.unwrap();
        Self { world }
    }

    /// Orchestration that believes this login.
    pub(crate) fn orchestration(&self, stage: &Stage, more: &[(&str, &str)]) -> Running {
        stage.orchestration(&borrowed(&self.settings(more)))
    }

    fn settings(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let oidc = self.world.settings_map().into_iter();
        more.chain(oidc.filter(|(name, _)| name.starts_with("OIDC_")))
            .collect()
    }

    /// The same, looking after what may go on again only every `look`, unless it hears of something.
    pub(crate) fn orchestration_looking(
        &self,
        stage: &Stage,
        look: Duration,
        more: &[(&str, &str)],
    ) -> Running {
        let mut settings = stage.settings(&borrowed(&self.settings(more)));
        settings.runner.look_for_free = look;
        Running::start(Service::Orchestration, settings, orchestration::serve)
    }

    /// Adele Vance, as the audit names her.
    pub(crate) fn actor(&self) -> String {
        format!("person:{}", self.world.person(ADELE).id)
    }

    /// A client in the name of Adele Vance with this role.
    pub(crate) fn client(&self, running: &Running, role: &str) -> OrchestrationClient {
        let token = self.world.token_for(ADELE, &[role]);
        OrchestrationClient(running.peer(Bearer(token), Duration::from_secs(10)))
    }
}
