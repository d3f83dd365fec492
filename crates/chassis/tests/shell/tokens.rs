//! Tokens that are none: each is refused with a 401 and its code, whoever it claims to come from.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Digest, Service};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use launcher::testing::database;
use serde_json::{Value, json};

use crate::people::{Issuer, look};
use crate::world::{World, ask, post, problem};

const ACT: &str = "/api/v1/sample/act";
const BODY: &str = r#"{"what":"reset"}"#;
const TYP: &str = "firstline-token+jwt";

fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A compact JWS of anything, signed by the service's own key.
fn signed(world: &World, by: Service, header: &str, payload: &str) -> String {
    let der = pem::parse(world.key_pem(by)).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(der.contents()).unwrap();
    let message = format!("{}.{}", part(header), part(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, to be read in one piece")]
async fn every_token_that_is_no_service_token_is_401_with_the_reason() {
    let database = database().await;
    let world = World::new();
    let shell = world.grounded(Service::Executor, &database).await;
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap();
    let kid = world.kid(Service::Orchestration);
    let header = |alg: &str| format!(r#"{{"alg":"{alg}","typ":"{TYP}","kid":"{kid}"}}"#);
    let body = Digest::of(BODY.as_bytes());
    let claims = |iat: i64, exp: i64| {
        json!({
            "iss": "orchestration", "aud": "executor", "iat": iat, "exp": exp,
            "jti": uuid::Uuid::now_v7(), "body": body,
        })
    };
    let good = claims(now, now + 60).to_string();
    let with = |name: &str, value: Value| {
        let mut claims = claims(now, now + 60);
        claims[name] = value;
        claims.to_string()
    };
    let twice = good.replacen('{', r#"{"iss":"classifier","#, 1);
    let sign = |payload: &str| signed(&world, Service::Orchestration, &header("EdDSA"), payload);
    let sound = sign(&good);
    assert_eq!(ask(&shell, post(ACT, Some(&sound), BODY)).await.status(), 200);

    // The public key as the secret of a MAC: what a checker does that lets the token choose.
    let trusted: Value = serde_json::from_slice(&std::fs::read(world.file("trusted.json")).unwrap()).unwrap();
    let public = trusted["services"]["orchestration"][0]["public_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut mac = Header::new(Algorithm::HS256);
    (mac.typ, mac.kid) = (Some(TYP.to_owned()), Some(kid.clone()));
    let by_mac = |secret: &[u8]| {
        jsonwebtoken::encode(&mac, &claims(now, now + 60), &EncodingKey::from_secret(secret)).unwrap()
    };
    let raw = URL_SAFE_NO_PAD.decode(&public).unwrap();
    let (message, signature) = sound.rsplit_once('.').unwrap();
    let unsigned = |alg: &str, signature: &str| format!("{}.{}.{signature}", part(&header(alg)), part(&good));
    let cases = [
        ("empty", String::new(), "token_malformed"),
        ("huge", "a".repeat(1_000_000), "token_malformed"),
        (
            "huge and signed",
            sign(&with("jti", "x".repeat(100_000).into())),
            "token_malformed",
        ),
        ("without its signature", message.to_owned(), "token_malformed"),
        (
            "with an empty signature",
            format!("{message}."),
            "token_signature",
        ),
        (
            "truncated",
            sound[..sound.len() - 2].to_owned(),
            "token_signature",
        ),
        ("of the algorithm none", unsigned("none", ""), "token_malformed"),
        (
            "of the algorithm None",
            unsigned("None", signature),
            "token_malformed",
        ),
        // No people are known here, and no other algorithm is a service's.
        ("HS256 with the public key", by_mac(&raw), "people_not_configured"),
        (
            "HS256 with its text",
            by_mac(public.as_bytes()),
            "people_not_configured",
        ),
        (
            "RS256 in name",
            unsigned("RS256", signature),
            "people_not_configured",
        ),
        ("with a claim twice", sign(&twice), "token_malformed"),
        (
            "with a claim too many",
            sign(&with("admin", true.into())),
            "token_malformed",
        ),
        (
            "for several services",
            sign(&with("aud", json!(["executor", "delivery"]))),
            "token_malformed",
        ),
        (
            "in another's name",
            sign(&with("iss", "verification".into())),
            "token_issuer",
        ),
        (
            "for another service",
            sign(&with("aud", "delivery".into())),
            "token_audience",
        ),
        (
            "for another body",
            sign(&with("body", json!(Digest::of("{}")))),
            "token_body",
        ),
        (
            "from the future",
            sign(&claims(now + 120, now + 180).to_string()),
            "token_not_yet_valid",
        ),
        (
            "eternal",
            sign(&claims(now, i64::MAX).to_string()),
            "token_not_yet_valid",
        ),
        (
            "of yesterday",
            sign(&claims(now - 86_400, now - 86_340).to_string()),
            "token_expired",
        ),
        (
            "of another kind",
            signed(
                &world,
                Service::Orchestration,
                &header("EdDSA").replace(TYP, "JWT"),
                &good,
            ),
            "token_malformed",
        ),
        (
            "with its own key in it",
            signed(
                &world,
                Service::Orchestration,
                &header("EdDSA").replacen('{', r#"{"jwk":{},"#, 1),
                &good,
            ),
            "token_malformed",
        ),
        (
            "by a stranger",
            signed(&World::new(), Service::Orchestration, &header("EdDSA"), &good),
            "token_signature",
        ),
        (
            "under an unknown name",
            signed(
                &world,
                Service::Orchestration,
                &header("EdDSA").replace(&kid, "0123456789abcdef"),
                &good,
            ),
            "token_unknown_key",
        ),
    ];
    for (what, token, code) in cases {
        let refused = problem(ask(&shell, post(ACT, Some(&token), BODY)).await).await;
        assert_eq!(
            (refused.status, refused.code.as_str()),
            (401, code),
            "{what}: {refused}"
        );
        assert!(refused.detail.len() < 200, "{what}: a token is not told back");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, to be read in one piece")]
async fn every_token_that_is_no_person_s_is_401() {
    let issuer = Issuer::start(1).await;
    let stranger = Issuer::start(0).await;
    let world = World::new();
    let shell = world.shell(Service::Orchestration, Some(issuer.settings())).await;
    let now = jsonwebtoken::get_current_timestamp();
    let good = issuer.claims(&["operator"]);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.sign("k1", &claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        issuer.sign("k1", &claims)
    };
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": "k1"});
    let twice = |claim: &str| good.to_string().replacen('{', &format!("{{{claim},"), 1);
    let sound = issuer.sign("k1", &good);
    assert_eq!(ask(&shell, look(&sound)).await.status(), 200);

    let (message, _) = sound.rsplit_once('.').unwrap();
    let mut mac = Header::new(Algorithm::HS256);
    mac.kid = Some("k1".to_owned());
    let by_mac = jsonwebtoken::encode(&mac, &good, &EncodingKey::from_secret(&issuer.public())).unwrap();
    let unsigned = |alg: &str| format!("{}.{}.", part(&header(alg).to_string()), part(&good.to_string()));
    let cases = [
        ("empty", String::new()),
        ("huge", "a".repeat(1_000_000)),
        ("huge and signed", with("name", "x".repeat(100_000).into())),
        ("without its signature", message.to_owned()),
        ("with an empty signature", format!("{message}.")),
        ("truncated", sound[..sound.len() - 4].to_owned()),
        (
            "with another's signature",
            format!(
                "{message}.{}",
                stranger.sign("k1", &good).rsplit_once('.').unwrap().1
            ),
        ),
        ("of the algorithm none", unsigned("none")),
        ("of the algorithm nOnE", unsigned("nOnE")),
        ("HS256 with the public key", by_mac),
        (
            "RS384, which the issuer could sign",
            issuer.sign_by(Algorithm::RS384, "k1", &good),
        ),
        ("RS512", issuer.sign_by(Algorithm::RS512, "k1", &good)),
        ("PS256", issuer.sign_by(Algorithm::PS256, "k1", &good)),
        (
            "with a role twice",
            issuer.sign_text(&header("RS256"), &twice(r#""roles":["user"]"#)),
        ),
        (
            "with an audience twice",
            issuer.sign_text(&header("RS256"), &twice(r#""aud":"another""#)),
        ),
        (
            "with an extension that counts",
            issuer.sign_text(
                &json!({"alg": "RS256", "kid": "k1", "crit": ["b64"], "b64": false}),
                &good.to_string(),
            ),
        ),
        ("no object", issuer.sign_text(&header("RS256"), "[]")),
        ("no JSON", issuer.sign_text(&header("RS256"), "{")),
        (
            "of an unnamed key",
            issuer.sign_text(&json!({"alg": "RS256"}), &good.to_string()),
        ),
        ("of an unknown key", issuer.sign("k2", &good)),
        ("of a stranger", stranger.sign("k1", &good)),
        ("for another application", with("aud", "another".into())),
        ("for several others", with("aud", json!(["another", "a third"]))),
        ("for nobody", without("aud")),
        (
            "by another issuer",
            with("iss", "https://elsewhere.example".into()),
        ),
        ("by nobody", without("iss")),
        ("of yesterday", with("exp", (now - 86_400).into())),
        ("without an end", without("exp")),
        ("whose end is a text", with("exp", "tomorrow".into())),
        ("not valid yet", with("nbf", (now + 600).into())),
        ("from the future", with("iat", (now + 600).into())),
        ("of nobody", without("sub")),
        ("whose roles are no list", with("roles", "operator".into())),
    ];
    for (what, token) in cases {
        let refused = problem(ask(&shell, look(&token)).await).await;
        assert_eq!(refused.status, 401, "{what}: {refused}");
        assert!(
            matches!(refused.code.as_str(), "token_invalid" | "token_malformed"),
            "{what}: {refused}"
        );
        assert!(
            refused.detail.len() < 300,
            "{what}: a token is not told back: {}",
            refused.detail
        );
    }
    // Dropping the issuer fails the test if made-up keys made us ask more than once.
}
