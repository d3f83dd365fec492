//! Microsoft Graph, against the extract of its metadata.

use std::time::Duration;

use common::UserId;
use common::methods::{MethodKind, SignInMethod};
use common::protection::{Membership, Protected, Protection};
use connectors::entra::{Entra, EntraSettings, LookupError};
use connectors::{CallError, http_client};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use crate::spec::Spec;
use crate::support::{answer, arrived, on, once, only, pairs, query, token_form, tokens};

pub(crate) const MAYA: &str = "5c0f1e2a-0000-4000-8000-00000000000a";

pub(crate) fn spec() -> Spec {
    Spec::new(
        include_str!("../specs/microsoft-graph-v1.0-identity.json"),
        "/v1.0",
    )
}

pub(crate) fn settings(server: &MockServer) -> EntraSettings {
    let at = |path: &str| format!("{}{path}", server.uri()).parse().unwrap();
    EntraSettings {
        login_url: at("/login"),
        graph_url: at("/v1.0"),
        tenant_id: "contoso".to_owned(),
        client_id: "our-id".to_owned(),
        client_secret: "our-secret".into(),
    }
}

async fn start() -> (MockServer, Entra) {
    let server = MockServer::start().await;
    tokens(&server, "/login/contoso/oauth2/v2.0/token").await;
    let entra = Entra::new(settings(&server), http_client().unwrap());
    (server, entra)
}

pub(crate) fn maya() -> UserId {
    MAYA.parse().unwrap()
}

fn person(id: &str, name: &str) -> Value {
    json!({
        "id": id, "userPrincipalName": format!("{name}@northwind.example"), "displayName": name,
        "mail": format!("{name}@northwind.example"), "accountEnabled": true, "userType": "Member",
        "department": "Finance", "mobilePhone": "+44 7700 900123", "onPremisesSyncEnabled": null,
    })
}

fn not_found(message: &str) -> ResponseTemplate {
    answer(
        404,
        &json!({ "error": { "code": "Request_ResourceNotFound", "message": message, "innerError": {} } }),
    )
}

const NO_MANAGER: &str =
    "Resource 'manager' does not exist or one of its queried reference-property objects are not present.";

fn path(rest: &str) -> String {
    format!("/v1.0/users/{MAYA}{rest}")
}

#[tokio::test]
async fn a_person_is_asked_for_with_every_member_that_counts() {
    let (server, entra) = start().await;
    on(&server, "GET", &path(""), answer(200, &person(MAYA, "maya"))).await;
    let found = entra.user(&maya()).await.unwrap().unwrap();
    assert!(found.account_enabled && !found.guest);
    assert_eq!(found.department.as_deref(), Some("Finance"));
    spec().check(&only(&server).await);
    let expected = [
        ("client_id", "our-id"),
        ("scope", "https://graph.microsoft.com/.default"),
        ("client_secret", "our-secret"),
        ("grant_type", "client_credentials"),
    ];
    assert_eq!(token_form(&server).await, pairs(&expected));
}

#[tokio::test]
async fn an_account_that_is_not_said_to_be_enabled_is_not() {
    let (server, entra) = start().await;
    let mut silent = person(MAYA, "maya");
    silent["accountEnabled"] = Value::Null;
    silent["userType"] = json!("Guest");
    on(&server, "GET", &path(""), answer(200, &silent)).await;
    let found = entra.user(&maya()).await.unwrap().unwrap();
    assert!(!found.account_enabled && found.guest);
}

#[tokio::test]
async fn the_addresses_of_a_mailbox_are_those_of_mail_and_of_nobody_else() {
    let (server, entra) = start().await;
    let mailbox = json!({
        "id": MAYA,
        "otherMails": ["maya@home.example"],
        "proxyAddresses": ["SMTP:Maya@northwind.example", "smtp:m.lee@northwind.example", "SIP:maya@northwind.example",
                           "x500:/o=Northwind/cn=maya", "smtp"],
    });
    once(&server, "GET", &path(""), answer(200, &mailbox)).await;
    let expected = ["maya@northwind.example", "m.lee@northwind.example"];
    assert_eq!(entra.mail_addresses(&maya()).await.unwrap(), expected);
    let request = only(&server).await;
    spec().check(&request);
    assert_eq!(
        query(&request),
        [("$select".to_owned(), "proxyAddresses".to_owned())]
    );
    on(&server, "GET", &path(""), answer(200, &json!({ "id": MAYA }))).await;
    assert!(entra.mail_addresses(&maya()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_address_finds_one_person_none_or_too_many() {
    let (server, entra) = start().await;
    let users = |users: &[Value]| answer(200, &json!({ "value": users }));
    once(&server, "GET", "/v1.0/users", users(&[person(MAYA, "o'brien")])).await;
    once(&server, "GET", "/v1.0/users", users(&[])).await;
    once(
        &server,
        "GET",
        "/v1.0/users",
        users(&[person("a", "o'brien"), person("b", "o'brien")]),
    )
    .await;
    // A directory that answers with somebody else is not believed.
    once(&server, "GET", "/v1.0/users", users(&[person("a", "eve")])).await;
    let address = "O'Brien@northwind.example";
    assert_eq!(
        entra.user_by_mail(address).await.unwrap().unwrap().id.as_str(),
        MAYA
    );
    assert!(entra.user_by_mail(address).await.unwrap().is_none());
    assert!(matches!(
        entra.user_by_mail(address).await,
        Err(LookupError::Ambiguous)
    ));
    assert!(entra.user_by_mail(address).await.unwrap().is_none());
    let request = arrived(&server).await.remove(0);
    spec().check(&request);
    let filter = "mail eq 'O''Brien@northwind.example' or userPrincipalName eq 'O''Brien@northwind.example'";
    assert_eq!(query(&request)[0], ("$filter".to_owned(), filter.to_owned()));
}

#[tokio::test]
async fn no_manager_and_no_such_person_are_told_apart() {
    let (server, entra) = start().await;
    let at = path("/manager");
    let mut manager = person("boss", "megan");
    manager["@odata.type"] = json!("#microsoft.graph.user");
    once(&server, "GET", &at, answer(200, &manager)).await;
    once(&server, "GET", &at, not_found(NO_MANAGER)).await;
    once(&server, "GET", &at, not_found("Resource '5c0f' does not exist.")).await;
    let contact = json!({ "@odata.type": "#microsoft.graph.orgContact", "id": "c", "displayName": "Board" });
    once(&server, "GET", &at, answer(200, &contact)).await;
    assert_eq!(entra.manager(&maya()).await.unwrap().unwrap().id.as_str(), "boss");
    assert!(entra.manager(&maya()).await.unwrap().is_none());
    assert!(
        entra
            .manager(&maya())
            .await
            .unwrap_err()
            .is_refused("user_not_found")
    );
    assert!(entra.manager(&maya()).await.unwrap().is_none());
    spec().check(&arrived(&server).await[0]);
}

const ELIGIBLE: &str = "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances";

/// Nobody may make any role active.
async fn no_eligible_roles(server: &MockServer) {
    on(server, "GET", ELIGIBLE, answer(200, &json!({ "value": [] }))).await;
}

async fn protection(memberships: Value) -> Option<Protection> {
    let (server, entra) = start().await;
    on(
        &server,
        "GET",
        &path(""),
        answer(
            200,
            &json!({ "id": MAYA, "userPrincipalName": "maya@northwind.example", "isManagementRestricted": null }),
        ),
    )
    .await;
    on(
        &server,
        "GET",
        &path("/transitiveMemberOf"),
        answer(200, &json!({ "value": memberships })),
    )
    .await;
    no_eligible_roles(&server).await;
    let person = entra.user(&maya()).await.unwrap().unwrap();
    let memberships = entra.memberships(&maya()).await.unwrap();
    for request in arrived(&server).await {
        spec().check(&request);
    }
    Protected::default().why(&person, &memberships)
}

#[tokio::test]
async fn any_role_any_role_assignable_group_and_anything_unreadable_is_protected() {
    let group = json!({ "@odata.type": "#microsoft.graph.group", "id": "g", "displayName": "All", "isAssignableToRole": null });
    let unit =
        json!({ "@odata.type": "#microsoft.graph.administrativeUnit", "id": "u", "displayName": "North" });
    let role = json!({ "@odata.type": "#microsoft.graph.directoryRole", "id": "r", "displayName": "Helpdesk Administrator" });
    let powerful = json!({ "@odata.type": "#microsoft.graph.group", "id": "h", "displayName": "Tier 0", "isAssignableToRole": true });
    let hidden = json!({ "@odata.type": "#microsoft.graph.group", "id": "i" });
    assert_eq!(protection(json!([group, unit])).await, None);
    assert_eq!(
        protection(json!([group, role])).await,
        Some(Protection::Role("Helpdesk Administrator".to_owned()))
    );
    assert_eq!(
        protection(json!([powerful])).await,
        Some(Protection::RoleAssignableGroup("Tier 0".to_owned()))
    );
    assert_eq!(
        protection(json!([group, hidden])).await,
        Some(Protection::Unreadable)
    );
    assert_eq!(
        protection(json!([{ "id": "x" }])).await,
        Some(Protection::Unreadable)
    );
}

#[tokio::test]
async fn memberships_are_followed_over_pages_and_never_to_another_host() {
    let (server, entra) = start().await;
    let next = |link: String| answer(200, &json!({ "value": [], "@odata.nextLink": link }));
    let role = json!({ "value": [{ "@odata.type": "#microsoft.graph.directoryRole", "id": "r", "displayName": "Role" }] });
    once(
        &server,
        "GET",
        &path("/transitiveMemberOf"),
        next(format!("{}/v1.0/page2?$skiptoken=a", server.uri())),
    )
    .await;
    on(&server, "GET", "/v1.0/page2", answer(200, &role)).await;
    no_eligible_roles(&server).await;
    let memberships = entra.memberships(&maya()).await.unwrap();
    assert_eq!(memberships, [Membership::Role("Role".to_owned())]);

    let elsewhere = MockServer::start().await;
    on(
        &server,
        "GET",
        &path("/transitiveMemberOf"),
        next(format!("{}/v1.0/page2", elsewhere.uri())),
    )
    .await;
    assert!(
        entra
            .memberships(&maya())
            .await
            .unwrap_err()
            .is_refused("foreign_link")
    );
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

/// What a person without memberships is protected by, where the directory answers so about their eligible roles.
async fn protection_where(eligible: ResponseTemplate) -> Result<Option<Protection>, CallError> {
    let (server, entra) = start().await;
    on(
        &server,
        "GET",
        &path("/transitiveMemberOf"),
        answer(200, &json!({ "value": [] })),
    )
    .await;
    on(&server, "GET", ELIGIBLE, eligible).await;
    let memberships = entra.memberships(&maya()).await?;
    let asked = arrived(&server).await;
    let asked = asked
        .iter()
        .find(|request| request.url.path() == ELIGIBLE)
        .unwrap();
    spec().check(asked);
    assert_eq!(
        query(asked),
        pairs(&[
            ("$filter", &format!("principalId eq '{MAYA}'")),
            ("$expand", "roleDefinition($select=displayName)"),
        ])
    );
    let user = json!({ "id": MAYA, "userPrincipalName": "maya@northwind.example" });
    on(&server, "GET", &path(""), answer(200, &user)).await;
    let person = entra.user(&maya()).await?.unwrap();
    Ok(Protected::default().why(&person, &memberships))
}

#[tokio::test]
async fn a_role_that_is_theirs_on_demand_protects_as_an_active_one_does() {
    let refused =
        |status, code: &str| answer(status, &json!({ "error": { "code": code, "message": "No." } }));
    let role = |definition: Value| {
        let instance = json!({
            "id": "e", "principalId": MAYA, "roleDefinitionId": "62e90394-69f5-4237-9190-012177145e10",
            "directoryScopeId": "/", "roleDefinition": definition,
        });
        answer(200, &json!({ "value": [instance] }))
    };
    let named = role(json!({ "displayName": "Global Administrator" }));
    assert_eq!(
        protection_where(named).await.unwrap(),
        Some(Protection::Role("Global Administrator, eligible".to_owned()))
    );
    let nameless = protection_where(role(Value::Null)).await.unwrap();
    assert!(matches!(nameless, Some(Protection::Role(_))), "{nameless:?}");

    let unlicensed = refused(400, "AadPremiumLicenseRequired");
    assert_eq!(protection_where(unlicensed).await.unwrap(), None);
    let forbidden = refused(403, "Authorization_RequestDenied");
    assert_eq!(
        protection_where(forbidden).await.unwrap(),
        Some(Protection::Unreadable)
    );
    for (status, code) in [(400, "badRequest"), (404, "Request_ResourceNotFound")] {
        let error = protection_where(refused(status, code)).await.unwrap_err();
        assert!(error.code().is_some(), "silence is no answer: {error}");
    }
}

#[tokio::test]
async fn a_restricted_account_is_protected_and_an_unknown_one_is_refused() {
    let (server, entra) = start().await;
    let restricted = json!({ "id": MAYA, "isManagementRestricted": true });
    on(&server, "GET", &path(""), answer(200, &restricted)).await;
    on(
        &server,
        "GET",
        &path("/transitiveMemberOf"),
        not_found("no such user"),
    )
    .await;
    let person = entra.user(&maya()).await.unwrap().unwrap();
    assert_eq!(
        Protected::default().why(&person, &[]),
        Some(Protection::ManagementRestricted)
    );
    assert!(
        entra
            .memberships(&maya())
            .await
            .unwrap_err()
            .is_refused("user_not_found")
    );
}

#[tokio::test]
async fn only_the_mobile_method_counts_and_only_without_extension() {
    let (server, entra) = start().await;
    let at = path("/authentication/phoneMethods");
    let office = json!({ "id": "e37fc753-ff3b-4958-9484-eaa9425c82bc", "phoneNumber": "+44 2079460991", "phoneType": "office" });
    let mobile = |number: &str| json!({ "id": "3179e48a-750b-4051-897c-87b9720928f7", "phoneNumber": number, "phoneType": "mobile" });
    once(
        &server,
        "GET",
        &at,
        answer(200, &json!({ "value": [office, mobile("+44 7700900123")] })),
    )
    .await;
    once(&server, "GET", &at, answer(200, &json!({ "value": [office] }))).await;
    once(
        &server,
        "GET",
        &at,
        answer(200, &json!({ "value": [mobile("+1 5555551234x123")] })),
    )
    .await;
    let number = entra.mobile_phone_method(&maya()).await.unwrap().unwrap();
    assert_eq!(number.as_e164(), "+447700900123");
    assert!(entra.mobile_phone_method(&maya()).await.unwrap().is_none());
    assert!(entra.mobile_phone_method(&maya()).await.unwrap().is_none());
    spec().check(&arrived(&server).await[0]);
}

#[tokio::test]
async fn the_policy_for_passes_is_read() {
    let (server, entra) = start().await;
    let at =
        "/v1.0/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass";
    let policy = json!({ "id": "TemporaryAccessPass", "state": "enabled", "defaultLifetimeInMinutes": 60,
        "minimumLifetimeInMinutes": 30, "maximumLifetimeInMinutes": 480, "isUsableOnce": false });
    on(&server, "GET", at, answer(200, &policy)).await;
    let policy = entra.pass_policy().await.unwrap();
    assert!(policy.enabled && !policy.one_time_only);
    assert_eq!(policy.clamp(Duration::from_mins(10)), Duration::from_mins(30));
    spec().check(&only(&server).await);
}

fn pass(value: &Value) -> Value {
    json!({
        "id": "00aa00aa-bb11-cc22-dd33-44ee44ee44ee", "temporaryAccessPass": value,
        "createdDateTime": "2026-03-02T09:20:01.1234567Z", "startDateTime": "2026-03-02T09:20:01.0892431Z",
        "lifetimeInMinutes": 60, "isUsableOnce": true, "isUsable": true, "methodUsabilityReason": "EnabledByPolicy",
    })
}

#[tokio::test]
async fn a_pass_is_created_listed_and_deleted() {
    let (server, entra) = start().await;
    let at = path("/authentication/temporaryAccessPassMethods");
    on(&server, "POST", &at, answer(201, &pass(&json!("Tc5?vA9k")))).await;
    on(
        &server,
        "GET",
        &at,
        answer(200, &json!({ "value": [pass(&Value::Null)] }))
            .insert_header("date", "Mon, 02 Mar 2026 09:20:11 GMT"),
    )
    .await;
    let one = format!("{at}/00aa00aa-bb11-cc22-dd33-44ee44ee44ee");
    once(&server, "DELETE", &one, ResponseTemplate::new(204)).await;
    on(&server, "DELETE", &one, not_found("gone")).await;

    let created = entra
        .create_pass(&maya(), Duration::from_secs(3599))
        .await
        .unwrap();
    assert_eq!(created.secret.expose_secret(), "Tc5?vA9k");
    assert_eq!(created.expires() - created.start, time::Duration::hours(1));
    let listed = entra.list_passes(&maya()).await.unwrap();
    assert_eq!(
        (listed[0].id.as_str(), listed[0].start),
        (created.id.as_str(), created.start)
    );
    // By the directory's clock, which is months behind ours.
    assert_eq!(listed[0].age.whole_seconds(), 9);
    entra.delete_pass(&maya(), &created.id).await.unwrap();
    entra.delete_pass(&maya(), &created.id).await.unwrap();

    let requests = arrived(&server).await;
    for request in &requests {
        spec().check(request);
    }
    let body: Value = requests[0].body_json().unwrap();
    assert_eq!(body, json!({ "lifetimeInMinutes": 60, "isUsableOnce": true }));
}

#[tokio::test]
async fn creating_a_pass_is_never_repeated_by_itself() {
    let (server, entra) = start().await;
    on(
        &server,
        "POST",
        &path("/authentication/temporaryAccessPassMethods"),
        ResponseTemplate::new(503),
    )
    .await;
    let error = entra
        .create_pass(&maya(), Duration::from_hours(1))
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert_eq!(arrived(&server).await.len(), 1);
}

#[tokio::test]
async fn a_pass_whose_value_was_not_told_is_an_unknown_outcome() {
    let (server, entra) = start().await;
    let at = path("/authentication/temporaryAccessPassMethods");
    once(&server, "POST", &at, answer(201, &pass(&Value::Null))).await;
    once(
        &server,
        "POST",
        &at,
        ResponseTemplate::new(201).set_body_string("{\"id\":"),
    )
    .await;
    for _ in 0..2 {
        let error = entra
            .create_pass(&maya(), Duration::from_hours(1))
            .await
            .unwrap_err();
        assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    }
}

#[tokio::test]
async fn every_documented_refusal_of_a_pass_has_its_code() {
    let (server, entra) = start().await;
    let at = path("/authentication/temporaryAccessPassMethods");
    let refused = |status: u16, code: &str, message: &str| {
        answer(status, &json!({ "error": { "code": code, "message": message } }))
    };
    let policy = "Converged UserCredentialPolicy does not allow creating or updating this authentication method. AuthMethodType [TemporaryAccessPass].";
    let cases = [
        (refused(400, "badRequest", policy), "pass_not_allowed"),
        (refused(403, "", policy), "pass_not_allowed"),
        (
            refused(
                400,
                "",
                "Temporary Access Pass cannot be added to an external guest user",
            ),
            "guest",
        ),
        (refused(403, "accessDenied", "no"), "forbidden"),
        (refused(404, "resourceNotFound", "no"), "user_not_found"),
        (
            refused(400, "invalidRequest", "lifetime of maya@northwind.example"),
            "invalidRequest",
        ),
        (ResponseTemplate::new(400), "http_400"),
    ];
    for (case, expected) in cases {
        once(&server, "POST", &at, case).await;
        let error = entra
            .create_pass(&maya(), Duration::from_hours(1))
            .await
            .unwrap_err();
        assert!(error.is_refused(expected), "{expected}: {error}");
        assert!(!format!("{error:?}").contains("northwind"), "{error:?}");
    }
}

#[tokio::test]
async fn methods_come_with_their_dates_and_neither_a_password_nor_a_pass_is_one() {
    let (server, entra) = start().await;
    let method = |kind: &str, created: Value| json!({ "@odata.type": format!("#microsoft.graph.{kind}AuthenticationMethod"), "id": kind, "createdDateTime": created });
    let methods = json!([
        method("phone", json!("2026-03-02T09:20:01.1234567Z")),
        method("microsoftAuthenticator", Value::Null),
        method("password", json!("2026-03-02T09:20:01Z")),
        method("temporaryAccessPass", json!("2026-03-02T09:20:01Z")),
        { "@odata.type": "#microsoft.graph.fido2AuthenticationMethod", "id": "f" },
    ]);
    let here = path("/authentication/methods");
    on(&server, "GET", &here, answer(200, &json!({ "value": methods }))).await;
    let found = entra.sign_in_methods(&maya()).await.unwrap();
    spec().check(&arrived(&server).await[0]);
    let created = time::macros::datetime!(2026-03-02 09:20:01.1234567 UTC);
    let expected = [
        (MethodKind::Phone, Some(created)),
        (MethodKind::App, None),
        (MethodKind::Other, None),
    ];
    assert_eq!(
        found,
        expected.map(|(kind, created)| SignInMethod { kind, created })
    );
}
