//! What the executor reads from its environment.

use std::path::PathBuf;

use chassis::tripwires::{self, Caution};
use chassis::{BaseSettings, Reader, Settings};
use common::Service;
use common::velocity::{Limit, Limited};
use connectors::entra::EntraSettings;

/// Settings of the executor.
pub struct ExecutorSettings {
    pub(crate) base: BaseSettings,
    pub(crate) entra: EntraSettings,
    pub(crate) seal_public_key_file: PathBuf,
    pub(crate) caution: Caution,
    pub(crate) tripwires: Tripwires,
}

/// How much is too much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tripwires {
    pub(crate) per_subject: Limit,
    pub(crate) per_destination: Limit,
    pub(crate) per_tenant: Limit,
    /// Proofs that do not hold, before the tenant is frozen.
    pub(crate) refusals: Limit,
}

impl Tripwires {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut limit = |limited, default, meaning| tripwires::limit(from, limited, default, meaning);
        let per_subject = limit(Limited::Subject, Limit::new(3, 86_400), "changes for one person");
        let per_destination = limit(
            Limited::Destination,
            Limit::new(3, 86_400),
            "credentials to one phone number",
        );
        let per_tenant = limit(
            Limited::Tenant,
            Limit::new(200, 3600),
            "changes in the whole tenant",
        );
        let refusals = limit(
            Limited::Refusals,
            Limit::new(5, 3600),
            "requests with a proof that does not hold before the tenant is frozen",
        );
        Some(Self {
            per_subject: per_subject?,
            per_destination: per_destination?,
            per_tenant: per_tenant?,
            refusals: refusals?,
        })
    }
}

impl Settings for ExecutorSettings {
    const SERVICE: Service = Service::Executor;

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let base = BaseSettings::read(from);
        let login_url = from.or(
            "ENTRA_LOGIN_URL",
            "https://login.microsoftonline.com"
                .parse()
                .expect("built from a literal"),
            "where tokens for the directory come from",
        );
        let graph_url = from.or(
            "GRAPH_URL",
            "https://graph.microsoft.com/v1.0"
                .parse()
                .expect("built from a literal"),
            "Microsoft Graph",
        );
        let tenant_id = from.required("ENTRA_TENANT_ID", "directory id or a verified domain of it");
        let client_id = from.required("ENTRA_CLIENT_ID", "app registration of the executor");
        let client_secret = from.secret("ENTRA_CLIENT_SECRET", "its secret");
        let seal_public_key_file = from.required(
            "SEAL_PUBLIC_KEY_FILE",
            "delivery's public key (seal.pub), from `firstline keys init`",
        );
        let caution = Caution::read(from);
        let tripwires = Tripwires::read(from);
        Some(Self {
            base: base?,
            caution: caution?,
            tripwires: tripwires?,
            entra: EntraSettings {
                login_url: login_url?,
                graph_url: graph_url?,
                tenant_id: tenant_id?,
                client_id: client_id?,
                client_secret: client_secret?,
            },
            seal_public_key_file: seal_public_key_file?,
        })
    }

    fn base(&self) -> &BaseSettings {
        &self.base
    }
}
