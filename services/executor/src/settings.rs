//! What the executor reads from its environment.

use std::path::PathBuf;

use chassis::{BaseSettings, Reader, Settings};
use common::Service;
use connectors::entra::EntraSettings;

/// Settings of the executor.
pub struct ExecutorSettings {
    pub(crate) base: BaseSettings,
    pub(crate) entra: EntraSettings,
    pub(crate) seal_public_key_file: PathBuf,
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
        // Part of how the directory is reached, though the executor pushes to nobody.
        let mfa_url = from.or(
            "MFA_URL",
            "https://strongauthenticationservice.auth.microsoft.com/StrongAuthenticationService.svc/Connector"
                .parse()
                .expect("built from a literal"),
            "the MFA connector (not used by this service)",
        );
        let tenant_id = from.required("ENTRA_TENANT_ID", "directory id or a verified domain of it");
        let client_id = from.required("ENTRA_CLIENT_ID", "app registration of the executor");
        let client_secret = from.secret("ENTRA_CLIENT_SECRET", "its secret");
        let seal_public_key_file = from.required(
            "SEAL_PUBLIC_KEY_FILE",
            "delivery's public key (seal.pub), from `firstline keys init`",
        );
        Some(Self {
            base: base?,
            entra: EntraSettings {
                login_url: login_url?,
                graph_url: graph_url?,
                mfa_url: mfa_url?,
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
