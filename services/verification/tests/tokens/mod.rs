//! The Bot Framework's edge against every token that is not the Connector's, or not for this activity. Each is answered as
//! the contract says (401 where the token is not good, 403 where it is and the activity is not; no body), changes nothing,
//! and is in the audit.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is no test")]

mod cases;

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Outcome, Pending};
use launcher::testing::Running;
use serde_json::{Value, json};
use simulators::teams::{CardReaction, CardView};
use url::Url;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use self::cases::{malformed, misused};
use crate::MANAGER;
use crate::house::{ADELE, House, MEGAN};

const ISSUER: &str = "https://api.botframework.com";
/// The Connector's clock and ours may differ by five minutes.
const SKEW_S: i64 = 300;

fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign_by(algorithm: &'static dyn RsaEncoding, key: &KeyPair, header: &Value, payload: &str) -> String {
    let message = format!(
        "{}.{}",
        part(header.to_string().as_bytes()),
        part(payload.as_bytes())
    );
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        algorithm,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{message}.{}", part(&signature))
}

fn sign(key: &KeyPair, header: &Value, payload: &str) -> String {
    sign_by(&RSA_PKCS1_SHA256, key, header, payload)
}

fn head(kid: &str) -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": kid})
}

/// A Bot Framework of our own: what it publishes, and the keys behind it.
struct Connector {
    server: MockServer,
    /// Published as `current`, for Teams.
    key: KeyPair,
    /// Published as `directline`, for another channel.
    other_channel: KeyPair,
    /// Was published as `retired` and is no more.
    retired: KeyPair,
}

impl Connector {
    async fn start() -> Self {
        let [key, other_channel, retired] = [(); 3].map(|()| KeyPair::generate(KeySize::Rsa2048).unwrap());
        let jwk = |kid: &str, key: &KeyPair, endorsements: &[&str]| {
            let public = key.public_key();
            json!({
                "kty": "RSA", "kid": kid, "use": "sig", "endorsements": endorsements,
                "n": part(public.modulus().big_endian_without_leading_zero()),
                "e": part(public.exponent().big_endian_without_leading_zero()),
            })
        };
        let keys = json!({"keys": [
            jwk("current", &key, &["msteams"]), jwk("directline", &other_channel, &["directline"]),
        ]});
        let server = MockServer::start().await;
        let metadata = json!({"issuer": ISSUER, "jwks_uri": format!("{}/keys", server.uri())});
        for (at, document) in [("/metadata", metadata), ("/keys", keys)] {
            Mock::given(path(at))
                .respond_with(ResponseTemplate::new(200).set_body_json(document))
                // Neither made-up keys nor a retired one make us ask again within the hour.
                .expect(1)
                .mount(&server)
                .await;
        }
        Self {
            server,
            key,
            other_channel,
            retired,
        }
    }
}

/// Megan has a card and will press `Approve`: the activity that Teams would send, and sound claims for it.
struct Edge {
    activity: Value,
    claims: Value,
    now: i64,
    url: Url,
    http: reqwest::Client,
}

impl Edge {
    fn of(house: &House, running: &Running, card: &CardView) -> Self {
        let settings = house.world.settings_map();
        let (app, service) = (&settings["TEAMS_APP_ID"], &settings["TEAMS_SERVICE_URL"]);
        let tenant = &settings["TEAMS_TENANT_ID"];
        let approve = card.card["actions"]
            .as_array()
            .and_then(|actions| actions.iter().find(|action| action["id"] == "approve"))
            .expect("the card has a button to approve");
        let activity = json!({
            "type": "invoke", "name": "adaptiveCard/action", "id": "f:1", "channelId": "msteams",
            "serviceUrl": service,
            "from": {"id": "29:1", "name": "Megan Bowen", "aadObjectId": house.world.person(MEGAN).id},
            "recipient": {"id": format!("28:{app}")},
            "conversation": {"conversationType": "personal", "tenantId": tenant, "id": card.conversation},
            "channelData": {"tenant": {"id": tenant}}, "replyToId": card.activity,
            "value": {
                "action": {"type": "Action.Execute", "id": "approve", "verb": approve["verb"], "data": approve["data"]},
                "trigger": "manual",
            },
        });
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        Self {
            claims: json!({"iss": ISSUER, "aud": app, "serviceurl": service, "nbf": now - 5, "exp": now + 3600}),
            activity,
            now,
            url: running.base.join("/webhooks/teams/approval_action").unwrap(),
            http: reqwest::Client::builder().build().unwrap(),
        }
    }

    async fn post(&self, authorization: Option<&str>, activity: &Value) -> (u16, String) {
        let mut request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.body(activity.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        claims.to_string()
    }

    fn without(&self, name: &str) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims.to_string()
    }

    /// The activity with another value at `pointer`.
    fn activity_with(&self, pointer: &str, value: Value) -> Value {
        let mut activity = self.activity.clone();
        *activity.pointer_mut(pointer).unwrap() = value;
        activity
    }
}

/// A service that believes `bot`, and a card of Megan's that she has not answered.
async fn asked(house: &House, bot: &Connector) -> (Running, Pending, Edge) {
    let openid = format!("{}/metadata", bot.server.uri());
    let running = house.run(&[("TEAMS_OPENID_URL", &openid)]);
    house.world.teams().react(MEGAN, CardReaction::ignore());
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    let card = house.card_of(MEGAN).await;
    house.audited("verification.card_sent").await;
    let edge = Edge::of(house, &running, &card);
    (running, pending, edge)
}

/// Refusals on record, by reason.
async fn on_record(house: &House) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT detail->>'reason', sum((detail->>'count')::bigint)::bigint
         FROM audit_events
         WHERE kind = 'webhook.refused' AND actor = 'stranger' AND detail->>'vendor' = 'teams'
         GROUP BY 1",
    )
    .fetch_all(&house.owner)
    .await
    .unwrap();
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_that_is_not_the_connectors_for_this_activity_is_refused_and_on_record() {
    let (house, bot) = (House::new().await, Connector::start().await);
    let (running, pending, edge) = asked(&house, &bot).await;
    let before = house.audit().await;
    let mut refused: BTreeMap<String, i64> = BTreeMap::new();
    for (what, authorization, status, reason) in
        malformed(&edge, &bot).into_iter().chain(misused(&edge, &bot))
    {
        let answer = edge.post(authorization.as_deref(), &edge.activity).await;
        assert_eq!(answer, (status, String::new()), "{what}");
        *refused.entry(reason.to_owned()).or_default() += 1;
    }
    let sound = format!(
        "Bearer {}",
        sign(&bot.key, &head("current"), &edge.claims.to_string())
    );
    let elsewhere = "https://smba.evil.example/teams/";
    let vouched_elsewhere = sign(
        &bot.key,
        &head("current"),
        &edge.with("serviceurl", elsewhere.into()),
    );
    for (what, authorization, activity, reason) in [
        (
            "a token and an activity of an address that is not Teams'",
            &format!("Bearer {vouched_elsewhere}"),
            edge.activity_with("/serviceUrl", elsewhere.into()),
            "foreign_service_url",
        ),
        (
            "an activity without an address",
            &sound,
            edge.activity_with("/serviceUrl", Value::Null),
            "service_url_differs",
        ),
        (
            "an activity of another channel",
            &sound,
            edge.activity_with("/channelId", "directline".into()),
            "key_not_endorsed",
        ),
    ] {
        let answer = edge.post(Some(authorization), &activity).await;
        assert_eq!(answer, (403, String::new()), "{what}");
        *refused.entry(reason.to_owned()).or_default() += 1;
    }

    assert_eq!(
        house.look(&running, &pending).await.result,
        None,
        "nothing of it counted"
    );
    let strangers = "webhook.refused";
    let mut since = house.audit().await;
    since.retain(|kind| kind != strangers);
    assert_eq!(
        since, before,
        "and nothing of it was taken for an attempt of somebody's"
    );

    // The very same press with a token of the Connector's: nothing else stood in its way.
    let (status, card) = edge.post(Some(&sound), &edge.activity).await;
    assert_eq!(status, 200, "{card}");
    assert_eq!(house.told(&pending).await.outcome, Outcome::Success);
    // Whoever stops writes down what was only counted so far.
    running.stop().await;
    assert_eq!(on_record(&house).await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_token_from_another_tenant_or_person_presses_nothing_and_is_on_record() {
    let (house, bot) = (House::new().await, Connector::start().await);
    let (running, pending, edge) = asked(&house, &bot).await;
    let sound = format!(
        "Bearer {}",
        sign(&bot.key, &head("current"), &edge.claims.to_string())
    );
    let other = "d6d49420-f39b-4df7-a1dc-d59a935871db";
    for pointer in [
        "/conversation/tenantId",
        "/channelData/tenant/id",
        "/from/aadObjectId",
    ] {
        let activity = edge.activity_with(pointer, other.into());
        let (status, answer) = edge.post(Some(&sound), &activity).await;
        assert!(
            status == 200 && answer.contains("\"statusCode\":400"),
            "{pointer}: {answer}"
        );
    }
    assert_eq!(house.look(&running, &pending).await.result, None);
    house.audited("verification.attempt_refused").await;
}
