//! How a vendor reaches our webhooks: it knows the public address, and signs over it; the call itself goes to the
//! service behind that path, or to the public address where a real gateway stands.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use url::Url;

use crate::core::Shared;
use crate::settings::WorldSettings;

/// A vendor waits this long for our answer (Twilio's documented 15 s).
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Base addresses of the services that own webhooks; `None` goes through `public_url`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Owns `/webhooks/halopsa/*`.
    pub classifier: Option<Url>,
    /// Owns `/webhooks/teams/*` and `/webhooks/twilio/sms_response`.
    pub verification: Option<Url>,
    /// Owns `/webhooks/twilio/sms_status`.
    pub delivery: Option<Url>,
}

impl Targets {
    /// The service that owns `path`, which is relative to the public address.
    fn owner(&self, path: &str) -> Option<&Url> {
        if path.starts_with("/webhooks/halopsa/") {
            self.classifier.as_ref()
        } else if path.starts_with("/webhooks/twilio/sms_status") {
            self.delivery.as_ref()
        } else if path.starts_with("/webhooks/teams/") || path.starts_with("/webhooks/twilio/") {
            self.verification.as_ref()
        } else {
            None
        }
    }
}

/// What a webhook answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// No answer: refused connection, broken connection, or too slow.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {reason}")]
pub(crate) struct NoAnswer {
    /// The connection could not even be made.
    pub(crate) unconnected: bool,
    reason: String,
}

#[derive(Debug)]
pub(crate) struct Gateway {
    public: Url,
    targets: Shared<Targets>,
    /// Whatever is pushed comes a second time.
    twice: AtomicBool,
    http: reqwest::Client,
}

impl Gateway {
    pub(crate) fn new(settings: &WorldSettings) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ANSWER_WITHIN)
            .build()?;
        Ok(Self {
            public: settings.public_url.clone(),
            targets: Shared::new(settings.targets.clone()),
            twice: AtomicBool::new(false),
            http,
        })
    }

    pub(crate) fn set_targets(&self, targets: Targets) {
        *self.targets.lock() = targets;
    }

    pub(crate) fn twice(&self, on: bool) {
        self.twice.store(on, Ordering::Relaxed);
    }

    /// The public address of a webhook, as an admin would type it into the vendor's console.
    pub(crate) fn public(&self, path: &str) -> String {
        format!("{}{path}", self.public.as_str().trim_end_matches('/'))
    }

    /// Where a call to `url` really goes.
    fn route(&self, url: &str) -> String {
        let Some(path) = url.strip_prefix(self.public.as_str().trim_end_matches('/')) else {
            return url.to_owned();
        };
        match self.targets.lock().owner(path) {
            Some(base) => format!("{}{path}", base.as_str().trim_end_matches('/')),
            None => url.to_owned(),
        }
    }

    /// POST `body` to the webhook at the public address `url`. Where everything comes twice, the first answer counts.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Answer, NoAnswer> {
        if !self.twice.load(Ordering::Relaxed) {
            return self.post_once(url, headers, body).await;
        }
        let answer = self.post_once(url, headers, body.clone()).await;
        // Nobody asked for it, so nobody minds what comes of it.
        let _ = self.post_once(url, headers, body).await;
        answer
    }

    async fn post_once(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Answer, NoAnswer> {
        let mut request = self.http.post(self.route(url)).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(|error| NoAnswer::from(&error))?;
        let status = answer.status().as_u16();
        let content_type = answer
            .headers()
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let body = answer.text().await.map_err(|error| NoAnswer::from(&error))?;
        Ok(Answer {
            status,
            content_type,
            body,
        })
    }
}

impl From<&reqwest::Error> for NoAnswer {
    fn from(error: &reqwest::Error) -> Self {
        let reason = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        Self {
            unconnected: error.is_connect() || error.is_builder(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_pushed_comes_a_second_time_while_it_is_to() {
        let (came, mut coming) = tokio::sync::mpsc::unbounded_channel();
        let webhook = axum::routing::post(|body: String| async move { came.send(body).unwrap() });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let settings = WorldSettings {
            public_url: format!("http://{}/", listener.local_addr().unwrap())
                .parse()
                .unwrap(),
            ..WorldSettings::default()
        };
        let router = axum::Router::new().route("/webhooks/x", webhook);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let gateway = Gateway::new(&settings).unwrap();
        let url = gateway.public("/webhooks/x");
        for (twice, body) in [(false, "a"), (true, "b"), (false, "c")] {
            gateway.twice(twice);
            let answer = gateway.post(&url, &[], body.into()).await.unwrap();
            assert_eq!(answer.status, 200);
        }
        let mut all = String::new();
        while let Ok(body) = coming.try_recv() {
            all.push_str(&body);
        }
        assert_eq!(all, "abbc");
    }

    #[test]
    fn a_webhook_goes_to_its_owner_or_through_the_public_address() {
        let settings = WorldSettings {
            public_url: "https://firstline.contoso.example/".parse().unwrap(),
            targets: Targets {
                delivery: Some("http://127.0.0.1:8086".parse().unwrap()),
                ..Targets::default()
            },
            ..WorldSettings::default()
        };
        let gateway = Gateway::new(&settings).unwrap();
        let status = gateway.public("/webhooks/twilio/sms_status?x=1");
        assert_eq!(
            status,
            "https://firstline.contoso.example/webhooks/twilio/sms_status?x=1"
        );
        assert_eq!(
            gateway.route(&status),
            "http://127.0.0.1:8086/webhooks/twilio/sms_status?x=1"
        );
        let response = gateway.public("/webhooks/twilio/sms_response");
        assert_eq!(gateway.route(&response), response);
        assert_eq!(
            gateway.route("http://elsewhere.example/x"),
            "http://elsewhere.example/x"
        );
    }
}
