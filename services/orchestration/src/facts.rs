//! What templates and conditions of an execution may know: laid down when it was accepted, the same ever after.

use common::{ExecutePlaybook, Named, Values};
use playbook_lang::Facts;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::manners;
use crate::store::Claimed;

/// What was given beside the ticket. Old executions have none of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// The requester's address in the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requester_mail: Option<String>,
    /// Their manager when it was decided. Shown, and never asked: who may approve is looked up afresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manager: Option<Named>,
    /// As the playbook admitted them.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub(crate) inputs: Values,
}

impl Given {
    /// Of a request, with the inputs that its playbook admitted.
    pub(crate) fn of(request: &ExecutePlaybook, inputs: Values) -> Self {
        Self {
            requester_mail: request.requester_mail.as_deref().map(manners::sentence),
            manager: request.manager.as_ref().map(manners::named),
            inputs,
        }
    }
}

impl Claimed {
    /// Everything that the playbook may name of the ticket, its requester and the tenant.
    pub(crate) fn facts(&self) -> Facts {
        let Given {
            requester_mail,
            manager,
            inputs,
        } = &self.given;
        let mut facts = Facts::about(&self.snapshot)
            .with("ticket.id", json!(self.ticket))
            .with("requester.id", json!(self.subject.user_id))
            .with("requester.name", json!(self.requester_name))
            .with("requester.mail", json!(requester_mail))
            .with("tenant.id", json!(self.subject.tenant_id));
        if let Some(manager) = manager {
            facts.set("manager.id", json!(manager.id));
            facts.set("manager.name", json!(manager.name));
        }
        for (name, value) in inputs {
            facts.set(format!("inputs.{name}"), value.clone());
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::stored;

    #[tokio::test]
    async fn what_was_given_at_the_start_is_known_at_every_claim() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let given = Given {
            requester_mail: Some("adele@contoso.example".to_owned()),
            manager: Some(Named {
                id: "m-1".parse().unwrap(),
                name: "Miriam Graham".to_owned(),
            }),
            inputs: Values::from_iter([("days".to_owned(), json!(3))]),
        };
        stored::execution_given(&store, "4242", given).await;
        let presence = store.register(Duration::from_mins(1)).await.unwrap();
        let facts = store
            .claim_due(presence.runner, 1)
            .await
            .unwrap()
            .remove(0)
            .facts();
        let known = [
            ("ticket.id", json!("4242")),
            ("ticket.summary", json!("I can't log in")),
            ("requester.name", json!("Adele Vance")),
            ("requester.mail", json!("adele@contoso.example")),
            ("manager.name", json!("Miriam Graham")),
            ("tenant.id", json!("default")),
            ("inputs.days", json!(3)),
        ];
        for (name, value) in known {
            assert_eq!(facts.value(name), Some(&value), "{name}");
        }
        assert_eq!(facts.value("ticket.details"), None);
    }
}
