//! In which mode an active playbook is: what it was asked to be, unless it has lost that.
//!
//! The numbers are [`standing`]'s and what people said is [`verdict`]'s; here they become the mode that counts, at each
//! decision anew, so that nothing is automated between a loss and somebody noticing it.

pub(crate) mod approver;
pub(crate) mod offer;
pub mod page;
pub mod picture;
pub mod report;
pub mod standing;
pub(crate) mod truth;
pub mod verdict;

use common::modes::{Activation, ActiveMode, Bar, FellBack, Standing};
use common::playbook::PlaybookView;
use common::{Blocker, Mode, PlaybookName, PlaybookRef};
use uuid::Uuid;

use crate::store::{Record, Store, StoreError};
use standing::{Basis, drift};

/// The blocker of what was left to a person because its playbook is in shadow.
pub const SHADOW_MODE: &str = "shadow_mode";
/// The blocker of what waits for an agent's word.
pub const AWAITS_AGENT: &str = "awaits_agent";

/// What keeps a ticket with a person that nothing else keeps there.
pub fn held(mode: Mode, playbook: &PlaybookRef) -> Option<Blocker> {
    let PlaybookRef { name, version, .. } = playbook;
    let (code, detail) = match mode {
        Mode::Auto => return None,
        Mode::Suggest => (
            AWAITS_AGENT,
            format!("playbook `{name}` {version} runs once an agent approves it"),
        ),
        Mode::Shadow => (
            SHADOW_MODE,
            format!("would have run playbook `{name}` {version}, which is in shadow mode"),
        ),
    };
    Some(Blocker {
        code: code.to_owned(),
        detail,
    })
}

/// The mode that counts. Without a way for agents to answer, what would be suggested is recorded only.
pub fn effective(asked: Mode, fell_back: bool, agents_can_answer: bool) -> Mode {
    match (asked, fell_back) {
        (Mode::Auto, false) => Mode::Auto,
        (Mode::Auto, true) | (Mode::Suggest, _) if agents_can_answer => Mode::Suggest,
        (Mode::Auto | Mode::Suggest | Mode::Shadow, _) => Mode::Shadow,
    }
}

/// The modes of this tenant's playbooks.
#[derive(Clone)]
pub(crate) struct Modes {
    store: Store,
    default: Mode,
    /// `PUBLIC_URL` is known, so a link can be written on a ticket.
    agents_can_answer: bool,
}

impl Modes {
    pub(crate) fn new(store: Store, default: Mode, agents_can_answer: bool) -> Self {
        Self {
            store,
            default,
            agents_can_answer,
        }
    }

    /// The mode of `playbook` as it is active now.
    pub(crate) async fn of(
        &self,
        playbook: &PlaybookName,
        activation: Option<&Activation>,
    ) -> Result<Mode, StoreError> {
        let asked = self.asked(activation);
        let fell_back = self.fell_back(playbook, activation).await?;
        Ok(effective(asked, fell_back.is_some(), self.agents_can_answer))
    }

    /// The mode of a playbook, where its activation alone says it: nothing is asked.
    pub(crate) fn known(&self, activation: Option<&Activation>) -> Option<Mode> {
        let asked = self.asked(activation);
        let can_be_lost = asked == Mode::Auto && !overridden(activation);
        (!can_be_lost).then(|| effective(asked, false, self.agents_can_answer))
    }

    /// The same, for people.
    pub(crate) async fn shown(&self, view: &PlaybookView) -> Result<ActiveMode, StoreError> {
        let activation = view.activation.as_ref();
        let asked = self.asked(activation);
        let fell_back = self.fell_back(&view.playbook.name, activation).await?;
        Ok(ActiveMode {
            version: view.playbook.version.clone(),
            asked,
            effective: effective(asked, fell_back.is_some(), self.agents_can_answer),
            bar: bar(activation),
            overridden: overridden(activation),
            fell_back,
        })
    }

    fn asked(&self, activation: Option<&Activation>) -> Mode {
        activation
            .and_then(|activation| activation.mode)
            .unwrap_or(self.default)
    }

    /// Whether it has lost what it was asked to do: before, or by what is known now, which is then written down once.
    async fn fell_back(
        &self,
        playbook: &PlaybookName,
        activation: Option<&Activation>,
    ) -> Result<Option<FellBack>, StoreError> {
        if self.asked(activation) != Mode::Auto || overridden(activation) {
            return Ok(None);
        }
        let id = activation.map_or(Uuid::nil(), |activation| activation.id);
        let (bar, basis) = (bar(activation), basis(activation));
        let judged = match self.store.record_of(playbook, id, standing::window(bar)).await? {
            Record::Lost(known) => return Ok(Some(known)),
            Record::Judged(judged) => judged,
        };
        match drift(&judged, bar, basis) {
            Some(drift) => Ok(Some(self.store.fall_back(playbook, id, &drift).await?)),
            None => Ok(None),
        }
    }

    /// What was measured of `playbook`, held against `bar`.
    pub(crate) async fn standing(&self, playbook: &PlaybookName, bar: Bar) -> Result<Standing, StoreError> {
        let judged = self.store.newest_judged(playbook, standing::window(bar)).await?;
        Ok(standing::standing(playbook, &judged, bar))
    }
}

fn overridden(activation: Option<&Activation>) -> bool {
    activation.is_some_and(|activation| activation.override_reason.is_some())
}

fn bar(activation: Option<&Activation>) -> Bar {
    activation.map_or(Bar::default(), |activation| activation.bar)
}

fn basis(activation: Option<&Activation>) -> Basis {
    match activation.and_then(|activation| activation.mode) {
        Some(_) => Basis::Earned,
        None => Basis::Default,
    }
}

#[cfg(test)]
mod tests {
    use common::Digest;

    use super::*;

    #[test]
    fn only_what_was_asked_for_and_not_lost_acts_by_itself() {
        for (asked, fell_back, can_answer, expected) in [
            (Mode::Auto, false, true, Mode::Auto),
            (Mode::Auto, false, false, Mode::Auto),
            (Mode::Auto, true, true, Mode::Suggest),
            (Mode::Auto, true, false, Mode::Shadow),
            (Mode::Suggest, false, true, Mode::Suggest),
            (Mode::Suggest, false, false, Mode::Shadow),
            (Mode::Suggest, true, true, Mode::Suggest),
            (Mode::Shadow, false, true, Mode::Shadow),
            (Mode::Shadow, true, true, Mode::Shadow),
        ] {
            let mode = effective(asked, fell_back, can_answer);
            assert_eq!(mode, expected, "{asked} {fell_back} {can_answer}");
        }
    }

    #[test]
    fn a_ticket_is_held_by_a_reason_that_names_the_playbook() {
        let playbook = PlaybookRef {
            name: "unlock".parse().unwrap(),
            version: "2".parse().unwrap(),
            digest: Digest::of("unlock"),
        };
        assert_eq!(held(Mode::Auto, &playbook), None);
        let shadow = held(Mode::Shadow, &playbook).unwrap();
        assert_eq!(shadow.code, SHADOW_MODE);
        assert_eq!(
            shadow.detail,
            "would have run playbook `unlock` 2, which is in shadow mode"
        );
        let suggest = held(Mode::Suggest, &playbook).unwrap();
        assert_eq!(suggest.code, AWAITS_AGENT);
        assert_eq!(
            suggest.detail,
            "playbook `unlock` 2 runs once an agent approves it"
        );
    }
}
