//! The table of bad tokens: those that are no sound tokens at all, and sound ones that are not for this.

use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA384};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Connector, Edge, SKEW_S, head, part, sign, sign_by};

/// What is wrong, the whole header, the status and the reason on record.
pub(super) type Case = (&'static str, Option<String>, u16, &'static str);

#[expect(clippy::too_many_lines, reason = "one row after the other")]
pub(super) fn malformed(edge: &Edge, bot: &Connector) -> Vec<Case> {
    let good = edge.claims.to_string();
    let sound = sign(&bot.key, &head("current"), &good);
    let (message, signature) = sound.rsplit_once('.').unwrap();
    let (bearer, by) = (
        |token: String| Some(format!("Bearer {token}")),
        |header: &Value, payload: &str| Some(format!("Bearer {}", sign(&bot.key, header, payload))),
    );
    let unsigned = |alg: &str, signature: &str| {
        let header = json!({"alg": alg, "typ": "JWT", "kid": "current"}).to_string();
        format!(
            "{}.{}.{signature}",
            part(header.as_bytes()),
            part(good.as_bytes())
        )
    };
    let by_mac = |secret: &[u8]| {
        let message = unsigned("HS256", "");
        let message = message.trim_end_matches('.');
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(message.as_bytes());
        format!("{message}.{}", part(&mac.finalize().into_bytes()))
    };
    let public = bot.key.public_key();
    let twice = |claim: &str| good.replacen('{', &format!("{{{claim},"), 1);
    let padded = edge.with("padding", "x".repeat(60_000).into());
    vec![
        ("no header", None, 401, "token_missing"),
        ("an empty header", Some(String::new()), 401, "token_missing"),
        (
            "no token behind the scheme",
            Some("Bearer ".to_owned()),
            401,
            "token_missing",
        ),
        (
            "another scheme",
            Some(format!("Basic {sound}")),
            401,
            "token_missing",
        ),
        (
            "the scheme in small letters",
            Some(format!("bearer {sound}")),
            401,
            "token_missing",
        ),
        ("no scheme", Some(sound.clone()), 401, "token_missing"),
        (
            "no token at all",
            bearer("a.b.c".to_owned()),
            401,
            "token_malformed",
        ),
        ("huge", bearer("a".repeat(100_000)), 401, "token_too_long"),
        (
            "huge and signed",
            by(&head("current"), &padded),
            401,
            "token_too_long",
        ),
        (
            "without its signature",
            bearer(message.to_owned()),
            401,
            "token_malformed",
        ),
        (
            "with an empty signature",
            bearer(format!("{message}.")),
            401,
            "token_signature",
        ),
        (
            "truncated",
            bearer(sound[..sound.len() - 2].to_owned()),
            401,
            "token_signature",
        ),
        (
            "the algorithm none",
            bearer(unsigned("none", "")),
            401,
            "token_malformed",
        ),
        (
            "the algorithm nOnE",
            bearer(unsigned("nOnE", signature)),
            401,
            "token_malformed",
        ),
        (
            "HS256 with the public key",
            bearer(by_mac(public.as_ref())),
            401,
            "token_algorithm",
        ),
        (
            "HS256 with the bot's public id",
            bearer(by_mac(edge.claims["aud"].as_str().unwrap().as_bytes())),
            401,
            "token_algorithm",
        ),
        (
            "RS384, which the Connector could sign",
            bearer(sign_by(
                &RSA_PKCS1_SHA384,
                &bot.key,
                &json!({"alg": "RS384", "kid": "current"}),
                &good,
            )),
            401,
            "token_algorithm",
        ),
        (
            "an extension that counts",
            by(
                &json!({"alg": "RS256", "kid": "current", "crit": ["b64"], "b64": false}),
                &good,
            ),
            401,
            "token_extensions",
        ),
        (
            "no kid",
            by(&json!({"alg": "RS256"}), &good),
            401,
            "token_names_no_key",
        ),
        (
            "an unknown kid",
            by(&head("made-up"), &good),
            401,
            "token_unknown_key",
        ),
        (
            "a retired key",
            bearer(sign(&bot.retired, &head("retired"), &good)),
            401,
            "token_unknown_key",
        ),
        (
            "a retired key under the name of the one in use",
            bearer(sign(&bot.retired, &head("current"), &good)),
            401,
            "token_signature",
        ),
        (
            "the signature of another token",
            bearer(format!(
                "{message}.{}",
                sign(&bot.key, &head("current"), "{}").rsplit_once('.').unwrap().1
            )),
            401,
            "token_signature",
        ),
        (
            "an issuer twice",
            by(&head("current"), &twice(r#""iss":"another""#)),
            401,
            "token_claims",
        ),
        (
            "an audience twice",
            by(&head("current"), &twice(r#""aud":"another""#)),
            401,
            "token_claims",
        ),
        (
            "a service url twice",
            by(
                &head("current"),
                &twice(r#""serviceurl":"https://evil.example/""#),
            ),
            401,
            "token_claims",
        ),
        (
            "a service url in both spellings",
            by(
                &head("current"),
                &twice(r#""serviceUrl":"https://evil.example/""#),
            ),
            401,
            "token_claims",
        ),
        (
            "claims that are no object",
            by(&head("current"), "[]"),
            401,
            "token_claims",
        ),
    ]
}

pub(super) fn misused(edge: &Edge, bot: &Connector) -> Vec<Case> {
    let now = edge.now;
    let by = |payload: String| Some(format!("Bearer {}", sign(&bot.key, &head("current"), &payload)));
    let of_another_channel = sign(&bot.other_channel, &head("directline"), &edge.claims.to_string());
    vec![
        (
            "another issuer",
            by(edge.with("iss", "https://api.botframework.us".into())),
            401,
            "token_issuer",
        ),
        (
            "an emulator's issuer",
            by(edge.with(
                "iss",
                "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/".into(),
            )),
            401,
            "token_issuer",
        ),
        ("no issuer", by(edge.without("iss")), 401, "token_claims"),
        (
            "another bot",
            by(edge.with("aud", "00000000-0000-4000-8000-0000000000b0".into())),
            401,
            "token_audience",
        ),
        ("nobody", by(edge.without("aud")), 401, "token_claims"),
        (
            "expired",
            by(edge.with("exp", (now - SKEW_S - 60).into())),
            401,
            "token_expired",
        ),
        ("no end", by(edge.without("exp")), 401, "token_claims"),
        (
            "an end that is a text",
            by(edge.with("exp", "tomorrow".into())),
            401,
            "token_claims",
        ),
        (
            "not yet valid",
            by(edge.with("nbf", (now + SKEW_S + 60).into())),
            401,
            "token_not_yet_valid",
        ),
        (
            "from the future",
            by(edge.with("iat", (now + SKEW_S + 60).into())),
            401,
            "token_from_the_future",
        ),
        (
            "another service url than the activity's",
            by(edge.with("serviceurl", "https://smba.evil.example/teams/".into())),
            403,
            "service_url_differs",
        ),
        (
            "no service url",
            by(edge.without("serviceurl")),
            403,
            "service_url_differs",
        ),
        (
            "a key of another channel",
            Some(format!("Bearer {of_another_channel}")),
            403,
            "key_not_endorsed",
        ),
    ]
}
