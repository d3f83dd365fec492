//! Finds the fleet that is meant and a token for the person who asks.

use std::time::Duration;

use anyhow::Context;
use common::Service;
use common::client::{ClassifierClient, OrchestrationClient, PlaybookClient};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::arguments::Fleet;
use crate::exit::BadInput;
use crate::run_file::RunFile;

/// In whose name the command line acts on the fleet of `firstline up`: the IT administrator of the simulated company.
const LOCAL_ADMIN: &str = "grady@contoso.example";

/// Where a fleet is and who asks.
pub(crate) struct Connection {
    classifier: Url,
    playbook: Url,
    orchestration: Url,
    token: SecretString,
}

impl Connection {
    /// The fleet that the arguments mean.
    pub(crate) async fn to(fleet: &Fleet) -> anyhow::Result<Self> {
        match &fleet.url {
            Some(gateway) => Self::remote(gateway),
            None => Self::local(&RunFile::read(&fleet.home.data)?).await,
        }
    }

    fn remote(gateway: &Url) -> anyhow::Result<Self> {
        let token = std::env::var("FIRSTLINE_TOKEN").map_err(|_| {
            BadInput(format!(
                "FIRSTLINE_TOKEN is not set: {gateway} wants to know who asks (an OpenID Connect token)"
            ))
        })?;
        Ok(Self {
            classifier: gateway.clone(),
            playbook: gateway.clone(),
            orchestration: gateway.clone(),
            token: token.into(),
        })
    }

    async fn local(run: &RunFile) -> anyhow::Result<Self> {
        let url = |service: Service| {
            run.services
                .get(&service)
                .cloned()
                .context("run.json names no such service")
        };
        Ok(Self {
            classifier: url(Service::Classifier)?,
            playbook: url(Service::Playbook)?,
            orchestration: url(Service::Orchestration)?,
            token: local_token(run).await?.into(),
        })
    }

    /// Playbooks.
    pub(crate) fn playbooks(self) -> anyhow::Result<PlaybookClient> {
        Ok(launcher::people::playbooks(self.playbook, self.token)?)
    }

    /// Decisions.
    pub(crate) fn classifier(&self) -> anyhow::Result<ClassifierClient> {
        let (base, token) = (self.classifier.clone(), self.token.clone());
        Ok(launcher::people::classifier(base, token)?)
    }

    /// Executions.
    pub(crate) fn orchestration(self) -> anyhow::Result<OrchestrationClient> {
        Ok(launcher::people::orchestration(self.orchestration, self.token)?)
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
}

/// The simulated directory signs the local administrator in.
async fn local_token(run: &RunFile) -> anyhow::Result<String> {
    let body = json!({"email": LOCAL_ADMIN, "roles": ["admin", "operator", "auditor"]});
    let answer: TokenAnswer = script(&run.simulators.entra, "token", &body).await?;
    Ok(answer.token)
}

/// POST `body` to `/_sim/{path}` of a simulated system.
pub(crate) async fn script<T: for<'de> Deserialize<'de>>(
    system: &Url,
    path: &str,
    body: &serde_json::Value,
) -> anyhow::Result<T> {
    let http = common::client::http_client(Duration::from_secs(10))?;
    let url = system.join(&format!("_sim/{path}"))?;
    let answer = http
        .post(url)
        .json(body)
        .send()
        .await
        .context("the fleet that was started here does not answer: start one with `firstline up`")?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        return Err(BadInput(format!("the simulated world refuses ({status}): {text}")).into());
    }
    serde_json::from_str(&text).with_context(|| format!("the simulated world answered `{text}`"))
}
