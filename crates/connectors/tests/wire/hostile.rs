//! A vendor that was taken over, or a network that answers in its place: it sends us on to another host, in every way that
//! it has. Nothing of ours ever arrives there, credentials least of all, and nobody takes the answer for a success.

use std::time::Duration;

use common::TicketId;
use connectors::entra::mfa::{Mfa, Push};
use connectors::entra::{Entra, EntraSettings};
use connectors::halopsa::{Halo, HaloSettings, NewNote, Outcome, TicketRef};
use connectors::http_client;
use connectors::openai::{Chat, ChatSettings, Kind, Prices, Question};
use connectors::teams::{ApprovalCard, Conversation, Teams, TeamsSettings, approval_card};
use connectors::twilio::{Sms, Twilio, TwilioSettings};
use serde_json::json;
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::entra::maya;
use crate::support::{answer, on, tokens};

/// Every status that a client may follow.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The host that they are sent on to. It answers anything, and wants to be asked.
struct Elsewhere(MockServer);

impl Elsewhere {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let welcome = json!({ "access_token": "theirs", "token_type": "Bearer", "expires_in": 3599, "id": "1", "sid": "SM1" });
        Mock::given(any())
            .respond_with(answer(200, &welcome))
            .mount(&server)
            .await;
        Self(server)
    }

    fn redirect(&self, status: u16) -> ResponseTemplate {
        let location = format!("{}/welcome", self.0.uri());
        ResponseTemplate::new(status).insert_header("location", location.as_str())
    }

    async fn was_never_asked(&self, why: &str) {
        let asked = self.0.received_requests().await.unwrap();
        let asked: Vec<_> = asked
            .iter()
            .map(|request| format!("{} {}", request.method, request.url))
            .collect();
        assert!(asked.is_empty(), "{why}: {asked:?}");
    }
}

/// A vendor that sends everybody on; with `token`, only once it has given a token.
async fn vendor(elsewhere: &Elsewhere, status: u16, token: bool) -> MockServer {
    let server = MockServer::start().await;
    if token {
        for at in [
            "/login/contoso/oauth2/v2.0/token",
            "/login/contoso/oauth2/token",
            "/auth/token",
        ] {
            tokens(&server, at).await;
        }
    }
    Mock::given(any())
        .respond_with(elsewhere.redirect(status))
        .mount(&server)
        .await;
    server
}

fn at(server: &MockServer, path: &str) -> Url {
    format!("{}{path}", server.uri()).parse().unwrap()
}

fn entra_settings(server: &MockServer) -> EntraSettings {
    EntraSettings {
        login_url: at(server, "/login"),
        graph_url: at(server, "/v1.0"),
        tenant_id: "contoso".to_owned(),
        client_id: "our-id".to_owned(),
        client_secret: "our-secret".into(),
    }
}

async fn ask_entra(server: &MockServer) {
    let http = http_client().unwrap();
    let entra = Entra::new(entra_settings(server), http.clone());
    assert!(entra.user(&maya()).await.is_err());
    assert!(entra.user_by_mail("maya@northwind.example").await.is_err());
    assert!(entra.manager(&maya()).await.is_err());
    assert!(entra.memberships(&maya()).await.is_err());
    assert!(entra.mobile_phone_method(&maya()).await.is_err());
    assert!(entra.pass_policy().await.is_err());
    assert!(entra.create_pass(&maya(), Duration::from_hours(1)).await.is_err());
    assert!(entra.list_passes(&maya()).await.is_err());
    assert!(entra.delete_pass(&maya(), "1").await.is_err());
    let connector = at(server, "/StrongAuthenticationService.svc/Connector");
    let mfa = Mfa::new(&connector, &entra_settings(server), entra, http);
    let push = Push {
        user_principal_name: "maya@northwind.example".to_owned(),
        context: Uuid::new_v4(),
        wait: Duration::from_secs(1),
    };
    assert!(mfa.push(&push).await.is_err());
}

async fn ask_halo(server: &MockServer) {
    let settings = HaloSettings {
        resource_url: at(server, "/api"),
        auth_url: at(server, "/auth"),
        tenant: None,
        client_id: "our-id".to_owned(),
        client_secret: "our-secret".into(),
        rate_per_5min: None,
    };
    let halo = Halo::new(settings, http_client().unwrap(), None);
    let ticket: TicketId = "4242".parse().unwrap();
    let reference = TicketRef {
        id: ticket.clone(),
        ticket_type_id: None,
        client_id: None,
    };
    let note = NewNote {
        text: "note",
        private: true,
        outcome: Outcome::Id(7),
        new_status: None,
        new_agent: None,
        marker: "m",
    };
    assert!(halo.ticket(&ticket).await.is_err());
    assert!(halo.updated_since(OffsetDateTime::UNIX_EPOCH).await.is_err());
    assert!(halo.actions(&ticket).await.is_err());
    assert!(halo.user(1).await.is_err());
    assert!(halo.statuses().await.is_err());
    assert!(halo.add_note(&ticket, &note).await.is_err());
    assert!(halo.set_status(&reference, 9).await.is_err());
    assert!(halo.unassign(&reference).await.is_err());
}

async fn ask_teams(server: &MockServer) {
    let settings = TeamsSettings {
        app_id: "3f1c2d4e".to_owned(),
        app_secret: "bot-secret".into(),
        home_tenant_id: "contoso".to_owned(),
        directory_tenant_id: "contoso".to_owned(),
        login_url: at(server, "/login"),
        service_url: at(server, "/teams/"),
        graph_url: at(server, "/v1.0"),
        catalog_app_id: Some("app".to_owned()),
    };
    let teams = Teams::new(settings, http_client().unwrap());
    let conversation = Conversation {
        id: "a:1".to_owned(),
        service_url: at(server, "/teams/"),
    };
    let card = approval_card(&ApprovalCard {
        approval_id: "apr_1",
        title: "Reset?",
        parameters: &[],
        employee: "Maya",
        department: None,
        ticket: "1",
        reason: "r",
        expires: "09:50 UTC",
        hint: None,
    });
    assert!(teams.conversation(&maya()).await.is_err());
    assert!(teams.send_card(&conversation, "s", &card).await.is_err());
    assert!(teams.update_card(&conversation, "1", &card).await.is_err());
    assert!(teams.install(&maya()).await.is_err());
}

async fn ask_twilio(server: &MockServer) {
    let settings = TwilioSettings {
        url: at(server, ""),
        account_sid: "AC0123456789abcdef0123456789abcdef".to_owned(),
        auth_token: "our-token".into(),
        from: "+447400000001".parse().unwrap(),
    };
    let twilio = Twilio::new(settings, http_client().unwrap());
    let sms = Sms {
        to: "+447700900123".parse().unwrap(),
        body: "Your pass: Tc5?v".into(),
        status_callback: None,
        validity: Duration::from_mins(10),
    };
    assert!(twilio.send(&sms).await.is_err());
    assert!(twilio.fetch("SM1").await.is_err());
    assert!(twilio.redact("SM1").await.is_err());
    assert!(twilio.delete("SM1").await.is_err());
}

async fn ask_model(server: &MockServer) {
    let settings = ChatSettings {
        kind: Kind::OpenAi,
        base_url: at(server, "/v1"),
        api_version: None,
        api_key: "our-key".into(),
        model: "m".to_owned(),
        timeout: Duration::from_secs(5),
        prices: Prices::default(),
    };
    let schema = json!({ "type": "object" });
    let question = Question {
        system: "You classify.",
        user: "ticket",
        schema_name: "s",
        schema: &schema,
        max_tokens: 10,
    };
    assert!(
        Chat::new(settings, http_client().unwrap())
            .ask_json(&question)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn nobody_is_sent_on_to_another_host() {
    for status in REDIRECTS {
        for token in [false, true] {
            let elsewhere = Elsewhere::start().await;
            let server = vendor(&elsewhere, status, token).await;
            tokio::join!(
                ask_entra(&server),
                ask_halo(&server),
                ask_teams(&server),
                ask_twilio(&server),
                ask_model(&server),
            );
            elsewhere
                .was_never_asked(&format!("{status}, token given: {token}"))
                .await;
            assert!(!server.received_requests().await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_page_that_lies_on_another_host_is_not_read() {
    let elsewhere = Elsewhere::start().await;
    let server = MockServer::start().await;
    tokens(&server, "/login/contoso/oauth2/v2.0/token").await;
    // The same host by name and another by port, by scheme, by user; and what only looks like ours.
    let (host, port) = (
        at(&server, "").host_str().unwrap().to_owned(),
        at(&server, "").port().unwrap(),
    );
    for link in [
        elsewhere.0.uri(),
        format!("https://{host}:{port}/v1.0/page2"),
        format!("http://{host}.elsewhere.example:{port}/v1.0/page2"),
        format!("http://{host}:{port}@elsewhere.example/v1.0/page2"),
        "//elsewhere.example/v1.0/page2".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        server.reset().await;
        tokens(&server, "/login/contoso/oauth2/v2.0/token").await;
        let id = json!({ "id": "5c0f1e2a-0000-4000-8000-00000000000a" });
        let user = "/v1.0/users/5c0f1e2a-0000-4000-8000-00000000000a";
        on(&server, "GET", user, answer(200, &id)).await;
        let page = json!({ "value": [], "@odata.nextLink": link });
        on(
            &server,
            "GET",
            &format!("{user}/transitiveMemberOf"),
            answer(200, &page),
        )
        .await;
        let entra = Entra::new(entra_settings(&server), http_client().unwrap());
        let error = entra.memberships(&maya()).await.unwrap_err();
        assert!(error.code().is_some(), "{link} is refused for good: {error}");
    }
    elsewhere.was_never_asked("next pages").await;
}

#[tokio::test]
async fn the_gateways_next_page_is_no_address_that_we_go_to() {
    let elsewhere = Elsewhere::start().await;
    let server = MockServer::start().await;
    let page = json!({
        "messages": [], "next_page_uri": format!("{}/2010-04-01/next", elsewhere.0.uri()),
        "uri": format!("{}/this", elsewhere.0.uri()), "page_size": 50,
    });
    Mock::given(any())
        .respond_with(answer(200, &page))
        .mount(&server)
        .await;
    let settings = TwilioSettings {
        url: at(&server, ""),
        account_sid: "AC0123456789abcdef0123456789abcdef".to_owned(),
        auth_token: "our-token".into(),
        from: "+447400000001".parse().unwrap(),
    };
    let twilio = Twilio::new(settings, http_client().unwrap());
    let to = "+447700900123".parse().unwrap();
    let found = twilio
        .find_sent(&to, OffsetDateTime::UNIX_EPOCH, &"text".into())
        .await;
    assert!(found.unwrap().is_none());
    elsewhere.was_never_asked("next_page_uri").await;
}
