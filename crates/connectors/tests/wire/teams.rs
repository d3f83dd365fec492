//! The Bot Connector, against the contract's examples; the cards, against the vendor's schema.

use common::UserId;
use connectors::teams::{
    Answers, ApprovalCard, Card, Choice, ClosedQuestionCard, Conversation, DecidedCard, QuestionCard,
    QuestionEnd, Teams, TeamsSettings, Verdict, approval_card, closed_question_card, decided_card,
    question_card,
};
use connectors::{CallError, http_client};
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use crate::support::{answer, arrived, header, on, once, only, pairs, token_form, tokens};

const MANAGER: &str = "9d1e7b60-0000-4000-8000-0000000000aa";
const OPEN: &str = "/teams/v3/conversations";

fn question() -> Card {
    approval_card(&ApprovalCard {
        approval_id: "apr_01JQ",
        title: "Reset the password of Maya Okafor?",
        parameters: &[],
        employee: "Maya Okafor",
        department: Some("Finance"),
        ticket: "48213",
        reason: "I forgot my password",
        expires: "09:50 UTC",
        hint: Some("Only approve if you have spoken to Maya."),
    })
}

async fn start(catalog_app_id: Option<&str>) -> (MockServer, Teams) {
    let server = MockServer::start().await;
    tokens(&server, "/login/home/oauth2/v2.0/token").await;
    tokens(&server, "/login/contoso/oauth2/v2.0/token").await;
    let at = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
    let settings = TeamsSettings {
        app_id: "3f1c2d4e".to_owned(),
        app_secret: "bot-secret".into(),
        home_tenant_id: "home".to_owned(),
        directory_tenant_id: "contoso".to_owned(),
        login_url: at("/login"),
        service_url: at("/teams/"),
        graph_url: at("/v1.0"),
        catalog_app_id: catalog_app_id.map(str::to_owned),
    };
    let teams = Teams::new(settings, http_client().unwrap());
    (server, teams)
}

fn manager() -> UserId {
    MANAGER.parse().unwrap()
}

fn conversation(server: &MockServer) -> Conversation {
    Conversation {
        id: "a:1pQz/ü".to_owned(),
        service_url: format!("{}/teams", server.uri()).parse().unwrap(),
    }
}

fn installed_apps() -> String {
    format!("/v1.0/users/{MANAGER}/teamwork/installedApps")
}

/// Every card of a question: each way to answer, each way to end.
fn questions() -> impl Iterator<Item = Card> {
    let choice = Choice {
        id: "1",
        text: "In the office",
    };
    let asked = [
        Answers::OneOf(&[choice; 2]),
        Answers::OneOf(&[choice; 7]),
        Answers::Text { longest: 500 },
        Answers::Number,
        Answers::Date,
    ]
    .map(|answers| {
        question_card(&QuestionCard {
            question_id: "qst_01JQ",
            question: "Where are you?",
            ticket: "48213",
            until: "28 November 2026, 09:50 UTC",
            answers,
        })
    });
    let ended = [
        QuestionEnd::Answered("In the office"),
        QuestionEnd::Expired,
        QuestionEnd::Withdrawn,
    ]
    .map(|end| {
        closed_question_card(&ClosedQuestionCard {
            question: "Where are you?",
            ticket: "48213",
            end,
            note: "at 09:41 UTC",
        })
    });
    asked.into_iter().chain(ended)
}

#[test]
fn every_card_is_what_the_vendors_schema_allows() {
    let schema: Value =
        serde_json::from_str(include_str!("../specs/adaptive-card-1.5.0.schema.json")).unwrap();
    let validator = jsonschema::draft6::new(&schema).unwrap();
    let decided = |verdict| {
        decided_card(&DecidedCard {
            title: "t",
            employee: "e",
            ticket: "1",
            verdict,
            note: Some("by Jo"),
        })
    };
    let cards = [
        question(),
        decided(Verdict::Approved),
        decided(Verdict::Denied),
        decided(Verdict::Expired),
        decided(Verdict::Withdrawn),
    ];
    for Card(card) in cards.into_iter().chain(questions()) {
        let faults: Vec<String> = validator
            .iter_errors(&card)
            .map(|error| error.to_string())
            .collect();
        assert!(faults.is_empty(), "{faults:?}\n{card:#}");
    }
    assert!(
        !validator.is_valid(&json!({ "type": "AdaptiveCard", "version": "1.5", "nonsense": 1 })),
        "it allows anything"
    );
}

#[tokio::test]
async fn a_chat_is_opened_by_object_id_with_a_token_of_the_bots_home() {
    let (server, teams) = start(None).await;
    on(&server, "POST", OPEN, answer(201, &json!({ "id": "a:1pQz" }))).await;
    let opened = teams.conversation(&manager()).await.unwrap();
    assert_eq!(opened.id, "a:1pQz");
    let request = only(&server).await;
    assert_eq!(header(&request, "authorization"), "Bearer the-token");
    let body: Value = request.body_json().unwrap();
    let expected = json!({
        "bot": { "id": "28:3f1c2d4e" }, "isGroup": false, "members": [{ "id": MANAGER }],
        "tenantId": "contoso", "channelData": { "tenant": { "id": "contoso" } },
    });
    assert_eq!(body, expected);
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "3f1c2d4e"),
        ("client_secret", "bot-secret"),
        ("scope", "https://api.botframework.com/.default"),
    ];
    assert_eq!(token_form(&server).await, pairs(&expected));
}

#[tokio::test]
async fn a_card_is_sent_and_replaced_in_its_own_place() {
    let (server, teams) = start(None).await;
    let at = "/teams/v3/conversations/a:1pQz%2F%C3%BC/activities";
    on(
        &server,
        "POST",
        at,
        answer(201, &json!({ "id": "1772443412345" })),
    )
    .await;
    on(
        &server,
        "PUT",
        &format!("{at}/1772443412345"),
        answer(200, &json!({ "id": "1772443412345" })),
    )
    .await;
    let conversation = conversation(&server);
    let activity = teams
        .send_card(&conversation, "Approval needed", &question())
        .await
        .unwrap();
    assert_eq!(activity, "1772443412345");
    teams
        .update_card(&conversation, &activity, &question())
        .await
        .unwrap();

    let bodies: Vec<Value> = arrived(&server)
        .await
        .iter()
        .map(|request| request.body_json().unwrap())
        .collect();
    let attachment =
        json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": question() });
    let expected = [
        json!({ "type": "message", "summary": "Approval needed", "attachments": [attachment] }),
        json!({ "type": "message", "id": "1772443412345", "attachments": [attachment] }),
    ];
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn a_card_is_never_sent_twice_by_itself_and_an_update_may_be() {
    let (server, teams) = start(None).await;
    let at = "/teams/v3/conversations/a:1pQz%2F%C3%BC/activities";
    on(&server, "POST", at, ResponseTemplate::new(502)).await;
    on(&server, "PUT", &format!("{at}/1"), ResponseTemplate::new(502)).await;
    let conversation = conversation(&server);
    let error = teams
        .send_card(&conversation, "s", &question())
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert_eq!(arrived(&server).await.len(), 1);
    assert!(
        teams
            .update_card(&conversation, "1", &question())
            .await
            .unwrap_err()
            .is_busy()
    );
    assert_eq!(arrived(&server).await.len(), 4);
}

#[tokio::test]
async fn the_bots_token_goes_to_the_configured_host_only() {
    let (server, teams) = start(None).await;
    let elsewhere = MockServer::start().await;
    let foreign = Conversation {
        id: "a".to_owned(),
        service_url: elsewhere.uri().parse().unwrap(),
    };
    let error = teams.send_card(&foreign, "s", &question()).await.unwrap_err();
    assert!(error.is_refused("foreign_service_url"));
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
    let here = server.uri();
    assert!(teams.trusts(&format!("{here}/teams/emea").parse().unwrap()));
    assert!(!teams.trusts(&here.replace("http://", "http://me:you@").parse().unwrap()));
}

#[tokio::test]
async fn without_a_catalogue_number_a_missing_bot_is_refused() {
    let (server, teams) = start(None).await;
    let blocked = json!({ "error": { "code": "BotNotInConversationRoster", "message": "no" } });
    on(&server, "POST", OPEN, answer(403, &blocked)).await;
    assert!(
        teams
            .conversation(&manager())
            .await
            .unwrap_err()
            .is_refused("bot_not_installed")
    );
    assert!(
        teams
            .install(&manager())
            .await
            .unwrap_err()
            .is_refused("bot_not_installed")
    );
}

#[tokio::test]
async fn a_missing_bot_is_installed_and_the_chat_opened() {
    let (server, teams) = start(Some("cat-1")).await;
    once(&server, "POST", OPEN, ResponseTemplate::new(403)).await;
    on(&server, "POST", &installed_apps(), ResponseTemplate::new(201)).await;
    on(&server, "POST", OPEN, answer(201, &json!({ "id": "a:1" }))).await;
    assert_eq!(teams.conversation(&manager()).await.unwrap().id, "a:1");
    let install: Value = arrived(&server).await[1].body_json().unwrap();
    let app = format!("{}/v1.0/appCatalogs/teamsApps/cat-1", server.uri());
    assert_eq!(install, json!({ "teamsApp@odata.bind": app }));
}

#[tokio::test]
async fn an_installation_needs_a_moment_a_block_is_for_good_and_a_ban_is_told() {
    for (status, expected) in [
        (201, None),
        (409, Some("bot_not_installed")),
        (403, Some("bot_not_installed")),
        (404, Some("bot_not_installed")),
    ] {
        let (server, teams) = start(Some("cat-1")).await;
        on(&server, "POST", OPEN, ResponseTemplate::new(403)).await;
        on(&server, "POST", &installed_apps(), ResponseTemplate::new(status)).await;
        let error = teams.conversation(&manager()).await.unwrap_err();
        assert_eq!(error.code(), expected, "{status}: {error}");
        assert_eq!(error.is_busy(), expected.is_none());
    }
}
