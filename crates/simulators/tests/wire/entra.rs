//! Entra: both token endpoints, Graph's habits, passes, and people's own tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use simulators::entra::TapPolicy;
use simulators::{Event, World};

use crate::support::{client, entra_token, graph_token, read, setting, world};

const GRAPH: &str = "https://graph.microsoft.com/.default";

async fn get(world: &World, token: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", setting(world, "GRAPH_URL"));
    read(client().get(url).bearer_auth(token).send().await.unwrap()).await
}

async fn post(world: &World, token: &str, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}{path}", setting(world, "GRAPH_URL"));
    read(
        client()
            .post(url)
            .bearer_auth(token)
            .json(body)
            .send()
            .await
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn the_token_endpoint_names_what_is_wrong() {
    let world = world().await;
    let (id, secret) = (
        setting(&world, "ENTRA_CLIENT_ID"),
        setting(&world, "ENTRA_CLIENT_SECRET"),
    );
    let (status, body) = entra_token(&world, &id, "wrong", GRAPH).await;
    assert_eq!(
        (status, &body["error"], &body["error_codes"][0]),
        (401, &json!("invalid_client"), &json!(7_000_215))
    );
    let (status, body) = entra_token(&world, "nobody", &secret, GRAPH).await;
    assert_eq!((status, &body["error_codes"][0]), (400, &json!(700_016)));
    for scope in [
        "https://graph.microsoft.com",
        "User.Read",
        "https://graph.microsoft.com/.default openid",
        "",
    ] {
        let (status, body) = entra_token(&world, &id, &secret, scope).await;
        assert_eq!(
            (status, &body["error_codes"][0]),
            (400, &json!(70_011)),
            "`{scope}`"
        );
    }
    let (_, body) = entra_token(&world, &id, &secret, GRAPH).await;
    assert_eq!(body["expires_in"], 3599, "a number on v2");
    let login = setting(&world, "ENTRA_LOGIN_URL");
    let form = [
        ("client_id", id.as_str()),
        ("client_secret", &secret),
        ("grant_type", "client_credentials"),
        ("resource", "https://graph.microsoft.com"),
    ];
    let tenant = setting(&world, "ENTRA_TENANT_ID");
    let answer = client()
        .post(format!("{login}/{tenant}/oauth2/token"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(read(answer).await.1["expires_in"], "3599", "a string on v1");
    let answer = client()
        .post(format!("{login}/common/oauth2/v2.0/token"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400, "no tenant of its own");
    world.shutdown().await;
}

#[tokio::test]
async fn a_user_has_few_properties_unless_more_are_selected() {
    let world = world().await;
    let token = graph_token(&world).await;
    let (_, bare) = get(&world, &token, "/users/adele@contoso.example").await;
    assert_eq!(bare["displayName"], "Adele Vance");
    assert!(
        bare.get("accountEnabled").is_none() && bare.get("department").is_none(),
        "absent, not null"
    );
    let (_, chosen) = get(
        &world,
        &token,
        "/users/adele@contoso.example?$select=id,accountEnabled,onPremisesSyncEnabled",
    )
    .await;
    assert_eq!(chosen["accountEnabled"], true);
    assert!(chosen["onPremisesSyncEnabled"].is_null() && chosen.get("displayName").is_none());
    assert_eq!(
        get(&world, &token, "/users/adele@contoso.example?$select=shoeSize")
            .await
            .0,
        400
    );
    let filter = "/users?$filter=mail%20eq%20'ADELE@contoso.example'%20or%20userPrincipalName%20eq%20'x'&$select=id&$top=2";
    let (_, found) = get(&world, &token, filter).await;
    assert_eq!(found["value"], json!([{"id": world.person("adele").id}]));
    let (_, guest) = get(
        &world,
        &token,
        "/users/gus_fabrikam.example%23EXT%23@contoso.example?$select=userType",
    )
    .await;
    assert_eq!(guest["userType"], "Guest");
    let (status, body) = get(&world, &token, "/users?$filter=mail%20ne%20'x'").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("Request_UnsupportedQuery"))
    );
    assert_eq!(
        get(&world, "made-up", "/users/adele@contoso.example").await.0,
        401
    );
    world.shutdown().await;
}

#[tokio::test]
async fn no_manager_and_no_user_are_told_apart_by_their_words() {
    let world = world().await;
    let token = graph_token(&world).await;
    let (_, megan) = get(
        &world,
        &token,
        "/users/adele@contoso.example/manager?$select=id,accountEnabled",
    )
    .await;
    assert_eq!(
        (&megan["@odata.type"], &megan["id"]),
        (&json!("#microsoft.graph.user"), &json!(world.person("megan").id))
    );
    let (status, body) = get(&world, &token, "/users/nestor@contoso.example/manager").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (404, &json!("Request_ResourceNotFound"))
    );
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Resource 'manager' does not exist")
    );
    let (status, body) = get(&world, &token, "/users/nobody@contoso.example/manager").await;
    assert!(
        status == 404
            && body["error"]["message"]
                .as_str()
                .unwrap()
                .starts_with("Resource 'nobody")
    );
    world.shutdown().await;
}

#[tokio::test]
async fn roles_on_demand_are_listed_by_principal_and_only_with_licence_and_permission() {
    let world = world().await;
    let token = graph_token(&world).await;
    let role = simulators::company::GLOBAL_ADMINISTRATOR;
    world
        .entra()
        .add_eligible_role("adele@contoso.example", "Global Administrator", role);
    let (_, adele) = get(&world, &token, "/users/adele@contoso.example?$select=id").await;
    let of = |id: &str| {
        format!(
            "/roleManagement/directory/roleEligibilityScheduleInstances?$filter=principalId eq '{id}'&$expand=roleDefinition"
        )
    };
    let adele = of(adele["id"].as_str().unwrap());
    let (status, found) = get(&world, &token, &adele).await;
    assert_eq!((status, found["value"].as_array().unwrap().len()), (200, 1));
    assert_eq!(found["value"][0]["roleDefinitionId"], role);
    assert_eq!(
        found["value"][0]["roleDefinition"]["displayName"],
        "Global Administrator"
    );
    let (status, found) = get(&world, &token, &of("00000000-0000-4000-8000-000000000000")).await;
    assert_eq!((status, &found["value"]), (200, &json!([])));

    let reader = world.entra_settings_for("reader");
    let (_, limited) = entra_token(
        &world,
        &reader["ENTRA_CLIENT_ID"],
        &reader["ENTRA_CLIENT_SECRET"],
        GRAPH,
    )
    .await;
    let (status, _) = get(&world, limited["access_token"].as_str().unwrap(), &adele).await;
    assert_eq!(status, 403);
    world.entra().licensed_for_pim(false);
    let (status, body) = get(&world, &token, &adele).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("AadPremiumLicenseRequired"))
    );
    world.shutdown().await;
}

#[tokio::test]
async fn memberships_come_mixed_in_pages_and_bare_without_the_permission() {
    let world = world().await;
    let token = graph_token(&world).await;
    world.entra().page_size(1);
    let mut kinds = Vec::new();
    let mut next = Some(format!(
        "{}/users/grady@contoso.example/transitiveMemberOf?$select=id,roleTemplateId",
        setting(&world, "GRAPH_URL")
    ));
    while let Some(url) = next {
        let (_, page) = read(client().get(url).bearer_auth(&token).send().await.unwrap()).await;
        assert_eq!(page["value"].as_array().unwrap().len(), 1);
        kinds.push(page["value"][0]["@odata.type"].clone());
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(
        kinds,
        [
            "#microsoft.graph.group",
            "#microsoft.graph.group",
            "#microsoft.graph.directoryRole"
        ]
    );
    let (_, roles) = get(
        &world,
        &token,
        "/users/grady@contoso.example/transitiveMemberOf/microsoft.graph.directoryRole",
    )
    .await;
    assert_eq!(
        roles["value"][0]["roleTemplateId"],
        simulators::company::GLOBAL_ADMINISTRATOR
    );

    let reader: BTreeMap<String, String> = world.entra_settings_for("reader");
    let (_, limited) = entra_token(
        &world,
        &reader["ENTRA_CLIENT_ID"],
        &reader["ENTRA_CLIENT_SECRET"],
        GRAPH,
    )
    .await;
    let limited = limited["access_token"].as_str().unwrap();
    world.entra().page_size(100);
    let (status, page) = get(&world, limited, "/users/grady@contoso.example/transitiveMemberOf").await;
    assert_eq!(status, 200);
    assert!(
        page["value"][2]["id"].is_string() && page["value"][2]["roleTemplateId"].is_null(),
        "{page}"
    );
    let tap = "/users/adele@contoso.example/authentication/temporaryAccessPassMethods";
    let (status, body) = post(&world, limited, tap, &json!({"lifetimeInMinutes": 60})).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (403, &json!("Authorization_RequestDenied"))
    );
    world.shutdown().await;
}

#[tokio::test]
async fn a_pass_is_shown_once_replaces_the_last_and_obeys_the_policy() {
    let world = world().await;
    let token = graph_token(&world).await;
    let passes = |who: &str| {
        format!(
            "/users/{}/authentication/temporaryAccessPassMethods",
            world.person(who).id
        )
    };
    let adele = passes("adele");
    let (status, body) = post(
        &world,
        &token,
        &adele,
        &json!({"lifetimeInMinutes": 15, "isUsableOnce": true}),
    )
    .await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("badRequest")),
        "below the tenant's minimum"
    );
    let (status, first) = post(
        &world,
        &token,
        &adele,
        &json!({"lifetimeInMinutes": 60, "isUsableOnce": true}),
    )
    .await;
    assert_eq!(
        (status, first["temporaryAccessPass"].as_str().unwrap().len()),
        (201, 8)
    );
    let (_, second) = post(&world, &token, &adele, &json!({})).await;
    let live = world.entra().live_passes("adele@contoso.example");
    assert_eq!(
        (live.len(), json!(live[0].id)),
        (1, second["id"].clone()),
        "the new one killed the old one"
    );
    assert_eq!(
        world
            .journal()
            .count(|event| matches!(event, Event::PassCreated { replaced: true, .. })),
        1
    );
    let (_, list) = get(&world, &token, &adele).await;
    assert!(
        list["value"][0]["temporaryAccessPass"].is_null() && list["value"].as_array().unwrap().len() == 1
    );
    assert!(world.entra().use_pass(
        "adele@contoso.example",
        second["temporaryAccessPass"].as_str().unwrap()
    ));

    let (status, body) = post(&world, &token, &passes("gus@fabrikam.example"), &json!({})).await;
    assert!(
        status == 400
            && body["error"]["message"]
                .as_str()
                .unwrap()
                .contains("external guest user")
    );
    world.entra().tap_policy(TapPolicy {
        once_only: true,
        ..TapPolicy::default()
    });
    assert_eq!(
        post(&world, &token, &adele, &json!({"isUsableOnce": false}))
            .await
            .0,
        400
    );
    world.entra().tap_policy(TapPolicy {
        enabled: false,
        ..TapPolicy::default()
    });
    let (_, body) = post(&world, &token, &adele, &json!({})).await;
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("UserCredentialPolicy does not allow")
    );
    let url = format!(
        "{}{adele}/{}",
        setting(&world, "GRAPH_URL"),
        second["id"].as_str().unwrap()
    );
    assert_eq!(
        client()
            .delete(&url)
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(
        client()
            .delete(&url)
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    let bare = client()
        .post(format!("{}{adele}", setting(&world, "GRAPH_URL")))
        .bearer_auth(&token);
    assert_eq!(bare.send().await.unwrap().status(), 400, "a body is required");
    world.shutdown().await;
}

#[tokio::test]
async fn phones_are_where_they_are_and_an_application_cannot_reset_passwords() {
    let world = world().await;
    let token = graph_token(&world).await;
    let (_, phones) = get(
        &world,
        &token,
        "/users/adele@contoso.example/authentication/phoneMethods",
    )
    .await;
    assert_eq!(phones["value"][0]["phoneNumber"], "+44 7700900102");
    assert_eq!(phones["value"][0]["id"], "3179e48a-750b-4051-897c-87b9720928f7");
    let (_, none) = get(
        &world,
        &token,
        "/users/lynne@contoso.example/authentication/phoneMethods",
    )
    .await;
    assert_eq!(none["value"], json!([]));
    let (_, methods) = get(
        &world,
        &token,
        "/users/lynne@contoso.example/authentication/methods",
    )
    .await;
    assert_eq!(
        methods["value"].as_array().unwrap().len(),
        2,
        "the app and the password"
    );
    let reset = "/users/adele@contoso.example/authentication/methods/28c10230-6103-485e-b985-444c60001490/resetPassword";
    assert_eq!(post(&world, &token, reset, &json!({})).await.0, 403);
    let requests = json!({"requests": [
        {"id": "1", "method": "GET", "url": "/users/adele@contoso.example?$select=id"},
        {"id": "2", "method": "GET", "url": "/users/nestor@contoso.example/manager"}]});
    let (status, batch) = post(&world, &token, "/$batch", &requests).await;
    assert_eq!(
        (
            status,
            &batch["responses"][0]["id"],
            &batch["responses"][0]["status"]
        ),
        (200, &json!("2"), &json!(404))
    );
    assert_eq!(
        batch["responses"][1]["body"]["id"],
        json!(world.person("adele").id)
    );
    world.shutdown().await;
}

#[tokio::test]
async fn tokens_end_when_they_say_or_earlier() {
    let world = world().await;
    let token = graph_token(&world).await;
    assert_eq!(get(&world, &token, "/users?$top=1").await.0, 200);
    world.entra().expire_tokens();
    let (status, body) = get(&world, &token, "/users?$top=1").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (401, &json!("InvalidAuthenticationToken"))
    );
    world.entra().token_lifetime(Duration::ZERO);
    let token = graph_token(&world).await;
    assert_eq!(get(&world, &token, "/users?$top=1").await.0, 401);
    world.shutdown().await;
}

#[tokio::test]
async fn a_persons_token_verifies_by_discovery_and_carries_their_roles() {
    let world = world().await;
    let issuer = setting(&world, "OIDC_ISSUER");
    let discovery: Value = client()
        .get(format!("{issuer}/.well-known/openid-configuration"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(discovery["issuer"], json!(issuer));
    let keys = discovery["jwks_uri"].as_str().unwrap();
    let set: JwkSet = client().get(keys).send().await.unwrap().json().await.unwrap();
    let sim = format!("{}_sim/token", world.urls().entra);
    let asked = json!({"email": "grady@contoso.example", "roles": ["admin", "operator"]});
    let (_, answer) = read(client().post(sim).json(&asked).send().await.unwrap()).await;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[setting(&world, "OIDC_AUDIENCE")]);
    validation.set_issuer(&[issuer]);
    for token in [
        answer["token"].as_str().unwrap().to_owned(),
        world.token_for("grady@contoso.example", &["admin", "operator"]),
    ] {
        let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation)
            .unwrap()
            .claims;
        assert_eq!(claims["roles"], json!(["admin", "operator"]));
        assert_eq!(claims["oid"], json!(world.person("grady").id));
    }
    world.shutdown().await;
}

#[tokio::test]
async fn what_an_admin_changes_about_a_person_is_what_the_directory_and_the_help_desk_say() {
    let world = world().await;
    let token = graph_token(&world).await;
    let entra = world.entra();
    let adele = "/users/adele@contoso.example";
    let phone = async || {
        let (_, methods) = get(&world, &token, &format!("{adele}/authentication/methods")).await;
        methods["value"][0]["createdDateTime"].clone()
    };
    assert_eq!(phone().await, "2024-05-02T10:00:00Z");
    entra.set_mobile_since(
        "adele@contoso.example",
        Some(time::macros::datetime!(2026-11-27 08:00 UTC)),
    );
    assert_eq!(phone().await, "2026-11-27T08:00:00Z");
    entra.set_mobile_since("adele@contoso.example", None);
    assert!(phone().await.is_null());

    let restricted = format!("{adele}?$select=id,isManagementRestricted");
    let (_, before) = get(&world, &token, &restricted).await;
    assert!(before["isManagementRestricted"].is_null());
    entra.set_restricted("adele@contoso.example", true);
    let (_, after) = get(&world, &token, &restricted).await;
    assert_eq!(after["isManagementRestricted"], true);

    let board = entra.add_to_group("adele@contoso.example", "Board").to_string();
    let (_, groups) = get(&world, &token, &format!("{adele}/transitiveMemberOf")).await;
    let groups = groups["value"].as_array().unwrap();
    assert!(
        groups
            .iter()
            .any(|group| group["id"] == board && group["displayName"] == "Board")
    );
    world.shutdown().await;
}
