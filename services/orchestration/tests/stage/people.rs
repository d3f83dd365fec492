//! People with their roles: a login that gives out their tokens.

use std::time::Duration;

use common::client::{OrchestrationClient, Outbound};
use http::HeaderMap;
use launcher::testing::Running;
use simulators::{World, WorldSettings};

use super::Stage;

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

impl People {
    pub(crate) async fn start() -> Self {
        let world = World::start(WorldSettings::default()).await.unwrap();
        Self { world }
    }

    /// Orchestration that believes this login.
    pub(crate) fn orchestration(&self, stage: &Stage, more: &[(&str, &str)]) -> Running {
        let mut oidc = self.world.settings_map();
        oidc.retain(|name, _| name.starts_with("OIDC_"));
        let mut settings: Vec<(&str, &str)> = more.to_vec();
        settings.extend(oidc.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        stage.orchestration(&settings)
    }

    /// A client in the name of Adele Vance with this role.
    pub(crate) fn client(&self, running: &Running, role: &str) -> OrchestrationClient {
        let token = self.world.token_for("adele@contoso.example", &[role]);
        OrchestrationClient(running.peer(Bearer(token), Duration::from_secs(10)))
    }
}
