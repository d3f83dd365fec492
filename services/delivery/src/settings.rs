//! What delivery reads from its environment.

use std::path::PathBuf;

use chassis::{BaseSettings, Reader, Settings};
use common::Service;
use connectors::twilio::TwilioSettings;
use url::Url;

/// Where Twilio tells how far a message got, below `PUBLIC_URL`.
pub(crate) const STATUS_PATH: &str = "/webhooks/twilio/sms_status";

/// Settings of delivery.
pub struct DeliverySettings {
    pub(crate) base: BaseSettings,
    pub(crate) twilio: TwilioSettings,
    pub(crate) orchestration_url: Url,
    pub(crate) public_url: Url,
    pub(crate) seal_key_file: PathBuf,
    pub(crate) help_desk_name: String,
}

impl DeliverySettings {
    /// The status callback exactly as Twilio is given it and signs it.
    pub(crate) fn status_callback(&self) -> String {
        format!("{}{STATUS_PATH}", self.public_url.as_str().trim_end_matches('/'))
    }
}

impl Settings for DeliverySettings {
    const SERVICE: Service = Service::Delivery;

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let base = BaseSettings::read(from);
        let url = from.or(
            "TWILIO_URL",
            "https://api.twilio.com".parse().expect("built from a literal"),
            "the SMS gateway",
        );
        let account_sid = from.required("TWILIO_ACCOUNT_SID", "account, `AC...`");
        let auth_token = from.secret(
            "TWILIO_AUTH_TOKEN",
            "its primary token, also the key of its webhooks",
        );
        let sender = from.required("TWILIO_FROM", "the sending number in E.164, e.g. +447400000001");
        let orchestration_url = from.required("ORCHESTRATION_URL", "the orchestration service");
        let public_url = from.required("PUBLIC_URL", "how the outside reaches the gateway");
        let seal_key_file = from.required(
            "SEAL_KEY_FILE",
            "own private key (seal.key), from `firstline keys init`",
        );
        let help_desk_name = from.or(
            "HELP_DESK_NAME",
            "Your IT help desk".to_owned(),
            "whom a text message to an employee comes from, in words",
        );
        Some(Self {
            base: base?,
            twilio: TwilioSettings {
                url: url?,
                account_sid: account_sid?,
                auth_token: auth_token?,
                from: sender?,
            },
            orchestration_url: orchestration_url?,
            public_url: public_url?,
            seal_key_file: seal_key_file?,
            help_desk_name: help_desk_name?,
        })
    }

    fn base(&self) -> &BaseSettings {
        &self.base
    }
}
