//! Teams: conversations only where the bot is installed, cards as Teams takes them, presses signed by the connector.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use simulators::teams::{CardReaction, Choice, Press, Presser, TokenFlaw};
use simulators::{Event, World};

use crate::support::{Received, SOON, client, entra_token, graph_token_of, heard, read, setting};

const MEGAN: &str = "megan@contoso.example";
const DONE: &str =
    r#"{"statusCode":200,"type":"application/vnd.microsoft.activity.message","value":"Recorded: approved"}"#;

async fn bot_token(world: &World) -> String {
    let (id, secret) = (setting(world, "TEAMS_APP_ID"), setting(world, "TEAMS_APP_SECRET"));
    let (status, body) = entra_token(world, &id, &secret, "https://api.botframework.com/.default").await;
    assert_eq!(status, 200);
    body["access_token"].as_str().unwrap().to_owned()
}

async fn call(world: &World, method: &str, token: &str, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}{path}", setting(world, "TEAMS_SERVICE_URL"));
    let request = client()
        .request(method.parse().unwrap(), url)
        .bearer_auth(token)
        .json(body);
    read(request.send().await.unwrap()).await
}

fn conversation_with(world: &World, email: &str) -> Value {
    let tenant = setting(world, "TEAMS_TENANT_ID");
    json!({"bot": {"id": format!("28:{}", setting(world, "TEAMS_APP_ID"))}, "isGroup": false,
        "members": [{"id": world.person(email).id}], "tenantId": tenant, "channelData": {"tenant": {"id": tenant}}})
}

fn card(title: &str) -> Value {
    let button = |verb: &str| {
        json!({"type": "Action.Execute", "id": verb, "title": verb, "verb": format!("firstline.approval.{verb}"),
            "data": {"approvalId": "apr_1"},
            "fallback": {"type": "Action.Submit", "title": verb,
                "data": {"verb": format!("firstline.approval.{verb}"), "approvalId": "apr_1"}}})
    };
    json!({"type": "message", "summary": title, "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "version": "1.5",
            "body": [{"type": "TextBlock", "text": title}, {"type": "Input.Text", "id": "comment"}],
            "actions": [button("approve"), button("deny")]}}]})
}

/// A conversation with Megan, who ignores cards unless told otherwise.
async fn chat(world: &World) -> (String, String) {
    world.teams().install(MEGAN);
    world.teams().react(MEGAN, CardReaction::ignore());
    let token = bot_token(world).await;
    let (status, body) = call(
        world,
        "POST",
        &token,
        "v3/conversations",
        &conversation_with(world, MEGAN),
    )
    .await;
    assert_eq!(status, 201, "{body}");
    let id = body["id"].as_str().unwrap().to_owned();
    (token, format!("v3/conversations/{id}/activities"))
}

#[tokio::test]
async fn a_conversation_needs_the_bots_token_and_an_installed_bot() {
    let (world, _receiver) = heard().await;
    let megan = conversation_with(&world, MEGAN);
    assert_eq!(
        call(&world, "POST", "made-up", "v3/conversations", &megan)
            .await
            .0,
        401
    );
    let graph = graph_token_of(&world, "TEAMS_APP_ID", "TEAMS_APP_SECRET").await;
    assert_eq!(
        call(&world, "POST", &graph, "v3/conversations", &megan).await.0,
        401,
        "another audience"
    );
    let token = bot_token(&world).await;
    let (status, body) = call(&world, "POST", &token, "v3/conversations", &megan).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (403, &json!("BotNotInConversationRoster"))
    );

    // Graph installs it, and says so on a second try.
    let person = world.person(MEGAN).id;
    let url = format!(
        "{}/users/{person}/teamwork/installedApps",
        setting(&world, "GRAPH_URL")
    );
    let app = format!(
        "{}/appCatalogs/teamsApps/{}",
        setting(&world, "GRAPH_URL"),
        setting(&world, "TEAMS_CATALOG_APP_ID")
    );
    for expected in [201, 409] {
        let body = json!({"teamsApp@odata.bind": app});
        let answer = client()
            .post(&url)
            .bearer_auth(&graph)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), expected);
    }
    let (status, first) = call(&world, "POST", &token, "v3/conversations", &megan).await;
    assert_eq!(status, 201);
    assert_eq!(
        call(&world, "POST", &token, "v3/conversations", &megan).await.1,
        first,
        "the same one again"
    );
    let mut other = megan.clone();
    other["channelData"]["tenant"]["id"] = json!("elsewhere");
    assert_eq!(
        call(&world, "POST", &token, "v3/conversations", &other).await.0,
        400
    );
    world.shutdown().await;
}

#[tokio::test]
async fn a_card_is_shown_replaced_and_taken_back() {
    let (world, _receiver) = heard().await;
    let (token, activities) = chat(&world).await;
    let (status, sent) = call(&world, "POST", &token, &activities, &card("Approve?")).await;
    assert_eq!(status, 201);
    let one = format!("{activities}/{}", sent["id"].as_str().unwrap());
    assert_eq!(
        call(&world, "PUT", &token, &one, &card("Approved by Megan"))
            .await
            .0,
        200
    );
    let view = world.teams().cards().remove(0);
    assert_eq!(
        (view.email.as_str(), view.text.as_str(), view.updates),
        (MEGAN, "Approved by Megan", 1)
    );
    assert_eq!(call(&world, "DELETE", &token, &one, &json!({})).await.0, 200);
    let (status, body) = call(&world, "PUT", &token, &one, &card("too late")).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (404, &json!("ActivityNotFoundInConversation"))
    );
    let newer = json!({"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "version": "1.6"}}]});
    assert_eq!(
        call(&world, "POST", &token, &activities, &newer).await.0,
        400,
        "Teams shows up to 1.5"
    );
    let huge = json!({"type": "message", "text": "x".repeat(40_000)});
    assert_eq!(call(&world, "POST", &token, &activities, &huge).await.0, 413);
    world.shutdown().await;
}

async fn validated(world: &World, activity: &Received) -> Result<Value, jsonwebtoken::errors::Error> {
    let metadata: Value = client()
        .get(setting(world, "TEAMS_OPENID_URL"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let keys: Value = client()
        .get(metadata["jwks_uri"].as_str().unwrap())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(keys["keys"][0]["endorsements"][0], "msteams");
    let set: JwkSet = serde_json::from_value(keys).unwrap();
    let token = activity.header("authorization").strip_prefix("Bearer ").unwrap();
    let kid = jsonwebtoken::decode_header(token)?.kid.unwrap_or_default();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[setting(world, "TEAMS_APP_ID")]);
    validation.set_issuer(&["https://api.botframework.com"]);
    validation.leeway = 300;
    validation.validate_nbf = true;
    let Some(jwk) = set.find(&kid) else {
        return Err(jsonwebtoken::errors::ErrorKind::InvalidToken.into());
    };
    jsonwebtoken::decode(token, &DecodingKey::from_jwk(jwk)?, &validation).map(|data| data.claims)
}

#[tokio::test]
async fn a_press_is_a_signed_invoke_of_the_person_who_pressed() {
    let (world, receiver) = heard().await;
    receiver.answers(200, "application/json", DONE);
    let (token, activities) = chat(&world).await;
    world
        .teams()
        .react_next(MEGAN, CardReaction::approve().comment("spoke to her").twice());
    call(&world, "POST", &token, &activities, &card("Approve?")).await;
    let invoke = receiver.wait(2).await.remove(0);
    assert_eq!(invoke.path, "/webhooks/teams/approval_action");
    let claims = validated(&world, &invoke).await.unwrap();
    let body = invoke.json();
    assert_eq!(claims["serviceurl"], body["serviceUrl"]);
    assert_eq!(body["from"]["aadObjectId"], json!(world.person(MEGAN).id));
    assert_eq!(body["value"]["action"]["verb"], "firstline.approval.approve");
    assert_eq!(
        body["value"]["action"]["data"],
        json!({"approvalId": "apr_1", "comment": "spoke to her"})
    );
    let pressed = |event: &Event| matches!(event, Event::ButtonPressed { answer, .. } if answer == "Recorded: approved");
    world.journal().wait_for(SOON, pressed).await.unwrap();

    world.teams().rotate_keys().await.unwrap();
    let view = world.teams().cards().remove(0);
    world
        .teams()
        .press(
            &view,
            Press {
                form: simulators::teams::Form::Submit,
                ..Press::new(Choice::Deny)
            },
        )
        .await;
    let submit = receiver.wait(3).await.remove(2);
    validated(&world, &submit).await.unwrap();
    assert_eq!(
        submit.json()["value"]["verb"],
        "firstline.approval.deny",
        "the fallback's data"
    );
    assert_eq!(submit.json()["type"], "message");
    world.shutdown().await;
}

#[tokio::test]
async fn a_press_can_be_wrong_in_every_way_that_must_be_refused() {
    let (world, receiver) = heard().await;
    let (token, activities) = chat(&world).await;
    call(&world, "POST", &token, &activities, &card("Approve?")).await;
    let view = world.teams().cards().remove(0);
    let flaws = [
        TokenFlaw::WrongAudience,
        TokenFlaw::WrongIssuer,
        TokenFlaw::EmulatorIssuer,
        TokenFlaw::ExpiredBy(360),
        TokenFlaw::NotBefore(360),
        TokenFlaw::UnknownKey,
        TokenFlaw::BadSignature,
        TokenFlaw::AlgNone,
        TokenFlaw::Hs256,
    ];
    for (index, flaw) in flaws.into_iter().enumerate() {
        world
            .teams()
            .press(
                &view,
                Press {
                    flaw,
                    ..Press::new(Choice::Approve)
                },
            )
            .await;
        let activity = receiver.wait(index + 1).await.remove(index);
        assert!(validated(&world, &activity).await.is_err(), "{flaw:?}");
    }
    for (index, flaw) in [TokenFlaw::ExpiredBy(240), TokenFlaw::NotBefore(240)]
        .into_iter()
        .enumerate()
    {
        world
            .teams()
            .press(
                &view,
                Press {
                    flaw,
                    ..Press::new(Choice::Approve)
                },
            )
            .await;
        let activity = receiver.wait(flaws.len() + index + 1).await.pop().unwrap();
        assert!(
            validated(&world, &activity).await.is_ok(),
            "{flaw:?} is within the skew"
        );
    }
    let press = async |by: Presser| {
        world
            .teams()
            .press(
                &view,
                Press {
                    by,
                    ..Press::new(Choice::Approve)
                },
            )
            .await;
        receiver.all().pop().unwrap().json()
    };
    assert!(
        press(Presser::WithoutObjectId).await["from"]
            .get("aadObjectId")
            .is_none()
    );
    let alex = press(Presser::Person("alex@contoso.example".into())).await;
    assert_eq!(alex["from"]["aadObjectId"], json!(world.person("alex").id));
    assert_ne!(
        press(Presser::OtherTenant).await["conversation"]["tenantId"],
        json!(setting(&world, "TEAMS_TENANT_ID"))
    );
    world.shutdown().await;
}

/// A card that asks where somebody is, from a list and by a button; with an input to type into.
fn asking(input: &Value, titles: &[&str]) -> Value {
    let button = |title: &&str| {
        json!({"type": "Action.Execute", "id": title, "title": title, "verb": "firstline.question.answer",
            "data": {"questionId": "qst_1"},
            "fallback": {"type": "Action.Submit", "title": title,
                "data": {"verb": "firstline.question.answer", "questionId": "qst_1"}}})
    };
    let buttons: Vec<Value> = titles.iter().map(button).collect();
    json!({"type": "message", "summary": "A question", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "version": "1.5",
            "body": [{"type": "TextBlock", "text": "Where are you?"}, input], "actions": buttons}}]})
}

#[tokio::test]
async fn a_question_is_answered_by_a_button_from_a_list_or_by_typing() {
    let (world, receiver) = heard().await;
    receiver.answers(200, "application/json", DONE);
    let (token, activities) = chat(&world).await;
    let list = json!({"type": "Input.ChoiceSet", "id": "answer", "label": "Where", "isRequired": true,
        "choices": [{"title": "At home", "value": "1"}, {"title": "At work", "value": "2"}]});
    let text = json!({"type": "Input.Text", "id": "answer"});
    let note = json!({"type": "TextBlock", "text": "Please choose."});
    for (index, (card, reaction, expected)) in [
        (
            asking(&note, &["At home", "At work"]),
            CardReaction::pick("At work"),
            json!({"questionId": "qst_1"}),
        ),
        (
            asking(&list, &["Send"]),
            CardReaction::pick("At work"),
            json!({"questionId": "qst_1", "answer": "2"}),
        ),
        (
            asking(&text, &["Send"]),
            CardReaction::type_in("on the road"),
            json!({"questionId": "qst_1", "answer": "on the road"}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        world.teams().react_next(MEGAN, reaction);
        assert_eq!(call(&world, "POST", &token, &activities, &card).await.0, 201);
        let pressed = receiver.wait(index + 1).await.remove(index).json();
        assert_eq!(pressed["value"]["action"]["data"], expected);
    }
    let view = world.teams().cards().remove(1);
    let nowhere = Press::new(Choice::Pick("In space".into()));
    assert_eq!(
        world.teams().press(&view, nowhere).await.status,
        0,
        "no such entry"
    );

    let twice = asking(&note, &["Send", "Send"]);
    let nameless = asking(&json!({"type": "Input.Text"}), &["Send"]);
    for refused in [twice, nameless] {
        assert_eq!(call(&world, "POST", &token, &activities, &refused).await.0, 400);
    }
    world.shutdown().await;
}
