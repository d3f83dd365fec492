//! Which language model is asked, where one is.

use std::time::Duration;

use chassis::Reader;
use connectors::openai::{ChatSettings, Kind, Prices};
use url::Url;

use super::literal;

/// Azure's own hosts.
const AZURE_HOSTS: [&str; 3] = [
    ".openai.azure.com",
    ".services.ai.azure.com",
    ".cognitiveservices.azure.com",
];
/// A model that thinks longer than this keeps tickets from people who would have answered them by then.
const LONGEST_TIMEOUT_S: u64 = 300;

#[expect(
    clippy::option_option,
    reason = "bad and missing differ, and `?` should stop at bad only"
)]
pub(super) fn read(from: &mut Reader<'_>) -> Option<Option<ChatSettings>> {
    let kind = from.one_of(
        "OPENAI_API_KIND",
        &[("openai", Kind::OpenAi), ("azure", Kind::Azure)],
        "how the endpoint wants its key, as `Authorization: Bearer` or as `api-key`",
    );
    let base_url = from.or(
        "OPENAI_BASE_URL",
        literal("https://api.openai.com/v1"),
        "any OpenAI-compatible endpoint; at Azure https://NAME.openai.azure.com/openai/v1, or .../openai/deployments/NAME",
    );
    let api_version = from.optional::<String>(
        "OPENAI_API_VERSION",
        "api-version that Azure's addresses of deployments want, e.g. 2024-10-21",
    );
    let api_key = from.optional_secret(
        "OPENAI_API_KEY",
        "its key; not set: the embedded classifier, without a network",
    );
    let model = from.or(
        "OPENAI_MODEL",
        "gpt-4.1-mini".to_owned(),
        "model that classifies; at Azure the name of its deployment",
    );
    let timeout = timeout(from);
    let prompt = price(
        from,
        "OPENAI_PRICE_PROMPT",
        "price of a million tokens read, for the metrics",
    );
    let completion = price(
        from,
        "OPENAI_PRICE_COMPLETION",
        "price of a million tokens written, for the metrics",
    );
    let (kind, base_url, api_version, api_key) = (kind?, base_url?, api_version?, api_key?);
    let (model, timeout) = (model?, timeout?);
    let prices = Prices {
        prompt: prompt?,
        completion: completion?,
    };
    if let Some(fault) = misfit(kind, &base_url, api_version.as_deref()) {
        return from.reject(fault);
    }
    Some(api_key.map(|api_key| ChatSettings {
        kind,
        base_url,
        api_version,
        api_key,
        model,
        timeout,
        prices,
    }))
}

fn timeout(from: &mut Reader<'_>) -> Option<Duration> {
    let seconds = from.or(
        "OPENAI_TIMEOUT_S",
        30_u64,
        "seconds for one question, retries included; a model that takes longer is away",
    )?;
    if (1..=LONGEST_TIMEOUT_S).contains(&seconds) {
        Some(Duration::from_secs(seconds))
    } else {
        from.reject(format!(
            "OPENAI_TIMEOUT_S is `{seconds}`, not between 1 and {LONGEST_TIMEOUT_S}"
        ))
    }
}

fn price(from: &mut Reader<'_>, name: &'static str, meaning: &str) -> Option<f64> {
    let price = from.or(name, 0.0, meaning)?;
    if f64::is_finite(price) && price >= 0.0 {
        Some(price)
    } else {
        from.reject(format!("{name} is `{price}`, not a price"))
    }
}

/// What does not go together, found at the start and not with the first ticket.
fn misfit(kind: Kind, base_url: &Url, api_version: Option<&str>) -> Option<&'static str> {
    let host = base_url.host_str().unwrap_or_default();
    let deployment = base_url.path().contains("/openai/deployments/");
    if kind == Kind::OpenAi && AZURE_HOSTS.iter().any(|azure| host.ends_with(azure)) {
        return Some(
            "OPENAI_BASE_URL is Azure's: set OPENAI_API_KIND to `azure`, so that the key goes into its header",
        );
    }
    if deployment && api_version.is_none() {
        return Some(
            "OPENAI_BASE_URL names a deployment: set OPENAI_API_VERSION, without which Azure answers 404",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind, url: &str, version: Option<&str>) -> Option<&'static str> {
        misfit(kind, &url.parse().unwrap(), version)
    }

    #[test]
    fn azure_needs_its_kind_and_a_deployment_its_version() {
        let (v1, classic) = (
            "https://acme.openai.azure.com/openai/v1",
            "https://acme.openai.azure.com/openai/deployments/mini",
        );
        assert!(fault(Kind::OpenAi, v1, None).is_some_and(|fault| fault.contains("OPENAI_API_KIND")));
        assert_eq!(fault(Kind::Azure, v1, None), None);
        assert!(fault(Kind::Azure, classic, None).is_some_and(|fault| fault.contains("OPENAI_API_VERSION")));
        assert_eq!(fault(Kind::Azure, classic, Some("2024-10-21")), None);
        // A gateway in front of Azure has a host of its own.
        let gateway = "https://ai.example/openai/v1";
        assert_eq!(
            (
                fault(Kind::Azure, gateway, None),
                fault(Kind::OpenAi, gateway, None)
            ),
            (None, None)
        );
    }
}
