//! `firstline switch`: how the kill switches stand, and putting them.

use common::Switch;
use common::client::PeerError;
use common::operate::{Position, SetSwitch, SwitchView};

use crate::arguments::{self, Scope, Which};
use crate::connect::Connection;
use crate::execution::moment;
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(crate) async fn run(command: &arguments::Switch) -> anyhow::Result<Ending> {
    match command {
        arguments::Switch::List { fleet } => {
            let switches = Connection::to(fleet).await?.orchestration()?.switches().await?;
            for switch in &switches {
                terminal::line(&stands(switch));
            }
            Ok(Ending::Well)
        }
        arguments::Switch::Off { which } => put(which, Position::Off).await,
        arguments::Switch::On { which } => put(which, Position::On).await,
    }
}

async fn put(which: &Which, position: Position) -> anyhow::Result<Ending> {
    let set = SetSwitch {
        switch: meant(which)?,
        position,
        reason: which.reason.clone(),
    };
    let fleet = Connection::to(&which.fleet).await?.orchestration()?;
    match fleet.switch(&set).await {
        Ok(view) => {
            terminal::line(&stands(&view));
            Ok(Ending::Well)
        }
        Err(PeerError::Refused { problem, .. }) => {
            terminal::complain(&format!("{} ({})", problem.detail, problem.code));
            Ok(Ending::Findings)
        }
        Err(error) => Err(error.into()),
    }
}

fn meant(which: &Which) -> Result<Switch, BadInput> {
    match (which.scope, &which.name) {
        (Scope::Global, None) => Ok(Switch::Global),
        (Scope::Tenant, None) => Ok(Switch::Tenant),
        (Scope::Playbook, Some(name)) => Ok(Switch::Playbook { name: name.clone() }),
        (Scope::Playbook, None) => Err(BadInput("say which playbook is meant".to_owned())),
        (Scope::Global | Scope::Tenant, Some(name)) => Err(BadInput(format!(
            "`{name}` is the name of a playbook: `firstline switch off playbook {name}`"
        ))),
    }
}

/// One line: which switch, and how it stands.
fn stands(SwitchView { switch, off }: &SwitchView) -> String {
    match off {
        None => format!("{switch} is on"),
        Some(off) => format!(
            "{switch} is OFF since {} UTC, by {}: {}",
            moment(off.since),
            off.name,
            off.reason
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_how_a_switch_stands_and_why() {
        let view = |view: serde_json::Value| stands(&serde_json::from_value(view).unwrap());
        assert_eq!(view(json!({"scope": "global"})), "the global switch is on");
        let off = json!({"name": "Elena", "reason": "Odd.", "since": "2026-11-22T02:30:00Z"});
        assert_eq!(
            view(json!({"scope": "playbook", "name": "password_reset", "off": off})),
            "the switch of playbook `password_reset` is OFF since 2026-11-22 02:30:00 UTC, by Elena: Odd."
        );
    }
}
