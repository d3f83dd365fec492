//! Keys come and go: an issuer that publishes a new one, and one that takes an old one back.

use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

const BOT_FRAMEWORK: &str = "https://api.botframework.com";
const HOUR: Duration = Duration::from_hours(1);

fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct SigningKey {
    kid: &'static str,
    pair: KeyPair,
}

impl SigningKey {
    fn new(kid: &'static str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        Self { kid, pair }
    }

    fn published(&self, endorsed: bool) -> Value {
        let public = self.pair.public_key();
        let mut key = json!({
            "kty": "RSA", "use": "sig", "kid": self.kid,
            "n": part(public.modulus().big_endian_without_leading_zero()),
            "e": part(public.exponent().big_endian_without_leading_zero()),
        });
        if endorsed {
            key["endorsements"] = json!(["msteams"]);
        }
        key
    }

    fn token(&self, issuer: &str) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid}).to_string();
        let claims = json!({"iss": issuer, "aud": "us", "exp": now + 3600}).to_string();
        let message = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let (padding, random) = (&RSA_PKCS1_SHA256, SystemRandom::new());
        self.pair
            .sign(padding, &random, message.as_bytes(), &mut signature)
            .unwrap();
        format!("{message}.{}", part(&signature))
    }
}

/// How the issuer answers when it is asked for its keys.
#[derive(Clone, Copy)]
enum Manner {
    Well,
    /// It takes the call and says nothing.
    Silent,
    /// 503.
    Away,
}

/// An issuer whose keys change, and a cache of them.
struct House {
    issuer: String,
    of_bots: bool,
    published: Arc<Lock<Vec<Value>>>,
    reads: Arc<AtomicUsize>,
    manner: Arc<Lock<Manner>>,
    cache: Cache,
    begun: Instant,
    _server: MockServer,
}

impl House {
    /// The Bot Framework's keys carry endorsements, and its issuer is known beforehand.
    async fn new(of_bots: bool) -> Self {
        let server = MockServer::start().await;
        let issuer = if of_bots {
            BOT_FRAMEWORK.to_owned()
        } else {
            server.uri()
        };
        let discovery = json!({"issuer": issuer, "jwks_uri": format!("{}/keys", server.uri())});
        Mock::given(path("/metadata"))
            .respond_with(ResponseTemplate::new(200).set_body_json(discovery))
            .mount(&server)
            .await;
        let (published, reads) = (Arc::<Lock<Vec<Value>>>::default(), Arc::<AtomicUsize>::default());
        let (keys, count) = (Arc::clone(&published), Arc::clone(&reads));
        let manner = Arc::new(Lock::new(Manner::Well));
        let behaves = Arc::clone(&manner);
        let answer = move |_: &Request| {
            count.fetch_add(1, Ordering::SeqCst);
            match *behaves.lock().unwrap() {
                Manner::Well => {
                    ResponseTemplate::new(200).set_body_json(json!({"keys": *keys.lock().unwrap()}))
                }
                Manner::Silent => ResponseTemplate::new(200).set_delay(HOUR),
                Manner::Away => ResponseTemplate::new(503),
            }
        };
        Mock::given(path("/keys"))
            .respond_with(answer)
            .mount(&server)
            .await;
        let metadata = format!("{}/metadata", server.uri()).parse().unwrap();
        let http = common::client::http_client(Duration::from_secs(10)).unwrap();
        Self {
            issuer,
            of_bots,
            published,
            reads,
            manner,
            cache: Cache::new(http, metadata),
            begun: Instant::now(),
            _server: server,
        }
    }

    fn publish(&self, keys: &[&SigningKey]) {
        let keys = keys.iter().map(|key| key.published(self.of_bots));
        *self.published.lock().unwrap() = keys.collect();
    }

    /// What becomes of a token by `key` this long after the beginning: its key's name, or the flaw.
    async fn shown(&self, key: &SigningKey, after: Duration) -> Result<String, &'static str> {
        let known = [BOT_FRAMEWORK];
        let expected = Expected {
            issuers: if self.of_bots { &known } else { &[] },
            audience: "us",
            leeway: LEEWAY,
        };
        let token = key.token(&self.issuer);
        let verified = self
            .cache
            .verify_at::<Value>(&token, &expected, self.begun + after)
            .await;
        match verified {
            Ok(verified) => {
                assert_eq!(verified.endorsements.len(), usize::from(self.of_bots));
                Ok(verified.kid)
            }
            Err(TokenError::Invalid(flaw)) => Err(flaw.code()),
            Err(TokenError::IssuerAway(_)) => Err("away"),
        }
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_key_that_is_published_later_is_found_and_a_stream_of_made_up_ones_asks_once_an_hour() {
    for of_bots in [true, false] {
        let house = House::new(of_bots).await;
        let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
        house.publish(&[&old]);
        assert_eq!(house.shown(&old, Duration::ZERO).await.as_deref(), Ok("old"));
        house.publish(&[&old, &new]);
        let minute = Duration::from_mins(1);
        for after in [minute, Duration::from_mins(59)] {
            assert_eq!(house.shown(&new, after).await, Err("token_unknown_key"));
            assert_eq!(house.reads(), 1, "a stream of names is no stream of calls");
        }
        assert_eq!(house.shown(&new, HOUR).await.as_deref(), Ok("new"));
        assert_eq!(house.reads(), 2);
        for key in [&old, &new] {
            let seen = house.shown(key, HOUR + minute).await;
            assert_eq!(seen.as_deref(), Ok(key.kid), "both are published");
        }
        assert_eq!(house.reads(), 2, "and known");
    }
}

#[tokio::test]
async fn a_key_that_is_taken_back_is_believed_for_a_day_and_no_longer() {
    for of_bots in [true, false] {
        let house = House::new(of_bots).await;
        let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
        house.publish(&[&old]);
        assert_eq!(house.shown(&old, Duration::ZERO).await.as_deref(), Ok("old"));
        house.publish(&[&new]);
        let day = HOUR * 24;
        let almost = Duration::from_secs(24 * 3600 - 1);
        assert_eq!(house.shown(&old, almost).await.as_deref(), Ok("old"));
        assert_eq!(house.reads(), 1);
        assert_eq!(house.shown(&old, day).await, Err("token_unknown_key"));
        assert_eq!(house.shown(&new, day).await.as_deref(), Ok("new"));
        assert_eq!(house.reads(), 2, "everything is read anew once a day");
    }
}

#[tokio::test]
async fn another_key_under_a_known_name_is_not_believed() {
    let house = House::new(true).await;
    let (ours, theirs) = (SigningKey::new("one"), SigningKey::new("one"));
    house.publish(&[&ours]);
    assert_eq!(house.shown(&ours, Duration::ZERO).await.as_deref(), Ok("one"));
    assert_eq!(house.shown(&theirs, Duration::ZERO).await, Err("token_signature"));
}

#[tokio::test]
async fn whoever_shows_a_known_key_does_not_wait_for_an_issuer_that_is_asked_for_another() {
    let house = House::new(false).await;
    let (known, made_up) = (SigningKey::new("known"), SigningKey::new("made up"));
    house.publish(&[&known]);
    assert_eq!(house.shown(&known, Duration::ZERO).await.as_deref(), Ok("known"));
    house.behave(Manner::Silent);
    let mut asking = std::pin::pin!(house.shown(&made_up, HOUR));
    tokio::select! {
        biased;
        answer = &mut asking => panic!("the issuer says nothing: {answer:?}"),
        seen = house.shown(&known, HOUR) => assert_eq!(seen.as_deref(), Ok("known")),
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_is_not_asked_for_every_made_up_key() {
    let house = House::new(true).await;
    let (known, made_up) = (SigningKey::new("known"), SigningKey::new("made up"));
    house.publish(&[&known]);
    assert_eq!(house.shown(&known, Duration::ZERO).await.as_deref(), Ok("known"));
    house.behave(Manner::Away);
    for after in [Duration::ZERO, Duration::from_secs(4)] {
        assert_eq!(house.shown(&made_up, HOUR + after).await, Err("away"));
    }
    assert_eq!(house.reads(), 2, "the first time for the known one");
    assert_eq!(house.shown(&made_up, HOUR + AWAY_PAUSE).await, Err("away"));
    assert_eq!(house.reads(), 3);
    house.behave(Manner::Well);
    let back = house.shown(&made_up, HOUR + AWAY_PAUSE * 2).await;
    assert_eq!(back, Err("token_unknown_key"));
}
