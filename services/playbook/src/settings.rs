//! What the playbook service reads from its environment.

use std::path::PathBuf;

use chassis::{BaseSettings, Reader, Settings};
use common::Service;
use playbook_lang::Registry;
use url::Url;

/// Settings of the playbook service.
pub struct PlaybookSettings {
    pub(crate) base: BaseSettings,
    pub(crate) playbooks_dir: Option<PathBuf>,
    /// Who knows what was measured.
    pub(crate) classifier_url: Option<Url>,
    /// What playbooks may call.
    pub(crate) registry: Registry,
}

impl Settings for PlaybookSettings {
    const SERVICE: Service = Service::Playbook;

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let base = BaseSettings::read(from);
        let playbooks_dir = from.optional(
            "PLAYBOOKS_DIR",
            "folder of `*.yml` that are published, and activated where `enabled`, unless the database knows their names",
        );
        let registry = from.file(
            "STEP_ACTIONS_FILE",
            "YAML file that declares the actions of a customer's own step services",
            Registry::declaring,
        );
        let classifier_url = from.optional(
            "CLASSIFIER_URL",
            "the classifier, e.g. http://classifier:8081; without it no playbook is activated to act by itself but with \
             a reason",
        );
        Some(Self {
            base: base?,
            playbooks_dir: playbooks_dir?,
            classifier_url: classifier_url?,
            registry: registry?.unwrap_or_else(Registry::builtin),
        })
    }

    fn base(&self) -> &BaseSettings {
        &self.base
    }
}
