//! Tokens of people, against an issuer with a real RSA key.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::jwks::{Cache, Expected, LEEWAY, TokenError};
use chassis::settings::OidcSettings;
use common::Service;
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::world::{World, ask, post, problem, text};

pub(crate) struct Issuer {
    server: MockServer,
    key: KeyPair,
}

impl Issuer {
    /// `reads`: how often its keys may be read.
    pub(crate) async fn start(reads: u64) -> Self {
        let server = MockServer::start().await;
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let discovery = json!({"issuer": server.uri(), "jwks_uri": format!("{}/keys", server.uri())});
        Mock::given(path("/.well-known/openid-configuration"))
            .respond_with(ResponseTemplate::new(200).set_body_json(discovery))
            .mount(&server)
            .await;
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = key.public_key();
        let keys = json!({"keys": [{
            "kty": "RSA", "kid": "k1", "use": "sig", "endorsements": ["msteams"],
            "n": part(public.modulus().big_endian_without_leading_zero()),
            "e": part(public.exponent().big_endian_without_leading_zero()),
        }]});
        Mock::given(path("/keys"))
            .respond_with(ResponseTemplate::new(200).set_body_json(keys))
            .expect(..=reads)
            .mount(&server)
            .await;
        Self { server, key }
    }

    pub(crate) fn settings(&self) -> OidcSettings {
        OidcSettings {
            issuer: self.server.uri().parse().unwrap(),
            audience: "firstline".to_owned(),
        }
    }

    pub(crate) fn claims(&self, roles: &[&str]) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({
            "iss": self.server.uri(), "aud": "firstline", "sub": "s", "oid": "o-1", "name": "Megan Bowen",
            "roles": roles, "iat": now, "nbf": now, "exp": now + 300,
        })
    }

    pub(crate) fn sign(&self, kid: &str, claims: &Value) -> String {
        self.sign_by(Algorithm::RS256, kid, claims)
    }

    /// The modulus and the exponent, as the issuer publishes them.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.key.public_key().as_ref().to_vec()
    }

    /// Any text that claims to be claims.
    pub(crate) fn sign_text(&self, header: &Value, payload: &str) -> String {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!(
            "{}.{}",
            part(header.to_string().as_bytes()),
            part(payload.as_bytes())
        );
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &aws_lc_rs::signature::RSA_PKCS1_SHA256,
                &aws_lc_rs::rand::SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{message}.{}", part(&signature))
    }

    pub(crate) fn sign_by(&self, algorithm: Algorithm, kid: &str, claims: &Value) -> String {
        let mut header = Header::new(algorithm);
        header.kid = Some(kid.to_owned());
        let der: Pkcs8V1Der<'_> = self.key.as_der().unwrap();
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

pub(crate) fn look(token: &str) -> Request<Body> {
    Request::get("/api/v1/sample/look")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_person_with_the_role_passes_and_is_known_by_object_id() {
    let issuer = Issuer::start(1).await;
    let shell = World::new()
        .shell(Service::Orchestration, Some(issuer.settings()))
        .await;
    let token = issuer.sign("k1", &issuer.claims(&["operator", "gardener"]));
    let answer = ask(&shell, look(&token)).await;
    assert_eq!(text(answer).await, "person:o-1");
}

#[tokio::test]
async fn a_person_without_the_role_is_403_also_at_doors_for_services() {
    let issuer = Issuer::start(1).await;
    let shell = World::new()
        .shell(Service::Orchestration, Some(issuer.settings()))
        .await;
    let token = issuer.sign("k1", &issuer.claims(&["user"]));
    assert_eq!(problem(ask(&shell, look(&token)).await).await.status, 403);
    let act = post("/api/v1/sample/act", Some(&token), r#"{"what":"x"}"#);
    assert_eq!(problem(ask(&shell, act).await).await.status, 403);
}

#[tokio::test]
async fn a_token_that_is_expired_early_foreign_or_forged_is_401() {
    let issuer = Issuer::start(1).await;
    let other = Issuer::start(0).await;
    let shell = World::new()
        .shell(Service::Orchestration, Some(issuer.settings()))
        .await;
    let with = |name: &str, value: Value| {
        let mut claims = issuer.claims(&["operator"]);
        claims[name] = value;
        issuer.sign("k1", &claims)
    };
    let now = jsonwebtoken::get_current_timestamp();
    let bad = [
        with("exp", json!(now - 120)),
        with("nbf", json!(now + 600)),
        with("aud", json!("another")),
        with("iss", json!("https://elsewhere.example")),
        other.sign("k1", &issuer.claims(&["operator"])),
    ];
    for token in bad {
        let refused = problem(ask(&shell, look(&token)).await).await;
        assert_eq!(
            (refused.status, refused.code.as_str()),
            (401, "token_invalid"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_and_then_refused_without_asking() {
    let issuer = Issuer::start(1).await;
    let cache = Cache::new(
        common::client::http_client(Duration::from_secs(5)).unwrap(),
        format!("{}/.well-known/openid-configuration", issuer.server.uri())
            .parse()
            .unwrap(),
    );
    let expected = Expected {
        issuers: &[],
        audience: "FIRSTLINE",
        leeway: LEEWAY,
    };
    for _ in 0..5 {
        let token = issuer.sign("made-up", &issuer.claims(&[]));
        let refused = cache.verify::<Value>(&token, &expected).await.unwrap_err();
        assert!(matches!(refused, TokenError::Invalid(_)), "{refused}");
    }
    let known = issuer.sign("k1", &issuer.claims(&[]));
    let verified = cache.verify::<Value>(&known, &expected).await.unwrap();
    assert_eq!(
        (verified.kid.as_str(), verified.endorsements),
        ("k1", vec!["msteams".to_owned()])
    );
    // Dropping the server fails the test if its keys were read more than once.
}

#[tokio::test]
async fn an_issuer_that_is_away_is_a_503_and_no_refusal() {
    let issuer = Issuer::start(0).await;
    let token = issuer.sign("k1", &issuer.claims(&["operator"]));
    let away = OidcSettings {
        issuer: "http://127.0.0.1:9".parse().unwrap(),
        audience: "firstline".to_owned(),
    };
    let shell = World::new().shell(Service::Orchestration, Some(away)).await;
    assert_eq!(problem(ask(&shell, look(&token)).await).await.status, 503);
}

/// Where nothing of ours may ever arrive.
async fn elsewhere() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"keys": []})))
        .expect(0)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn keys_on_another_host_and_redirects_are_not_followed() {
    let elsewhere = elsewhere().await;
    let token = Issuer::start(0).await;
    let token = token.sign("k1", &token.claims(&["operator"]));
    let documents = [
        ResponseTemplate::new(200).set_body_json(json!({
            "issuer": "https://issuer.example", "jwks_uri": format!("{}/keys", elsewhere.uri()),
        })),
        ResponseTemplate::new(302).insert_header("location", format!("{}/conf", elsewhere.uri()).as_str()),
        ResponseTemplate::new(308).insert_header("location", format!("{}/conf", elsewhere.uri()).as_str()),
    ];
    for document in documents {
        let issuer = MockServer::start().await;
        Mock::given(path("/.well-known/openid-configuration"))
            .respond_with(document)
            .mount(&issuer)
            .await;
        let settings = OidcSettings {
            issuer: issuer.uri().parse().unwrap(),
            audience: "firstline".to_owned(),
        };
        let shell = World::new().shell(Service::Orchestration, Some(settings)).await;
        // Not the caller's fault, and no door opens.
        let refused = problem(ask(&shell, look(&token)).await).await;
        assert_eq!(refused.status, 503, "{refused}");
    }
    // Dropping `elsewhere` fails the test if it was asked.
}
