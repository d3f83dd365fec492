//! What every operation of every service has in common, written into its OpenAPI description once: who may call, which
//! refusals to expect, the idempotency key, and that refusals are problem documents.

use common::problem::PROBLEM_JSON;
use common::{Problem, Service};
use http::{Method, StatusCode};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, License, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder,
    SecurityRequirement,
};
use utoipa::{PartialSchema, ToSchema};

const BEARER: &str = "bearer";
const WEBHOOKS: &str = "/webhooks/";
const LINKS: &str = "/suggestions/";

/// Complete the description that the handlers' annotations made.
pub(crate) fn complete(openapi: &mut OpenApi, service: Service) {
    openapi.info.title = format!("Firstline {service}");
    openapi.info.description = Some(format!(
        "The {service} service of Firstline. Refusals are problem documents (RFC 9457) with a stable `code`."
    ));
    openapi.info.contact = None;
    openapi.info.license = Some(License::new("Apache-2.0"));
    env!("CARGO_PKG_VERSION").clone_into(&mut openapi.info.version);
    let components = openapi.components.get_or_insert_with(Components::new);
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    components
        .security_schemes
        .insert(BEARER.to_owned(), SecurityScheme::Http(bearer).into());
    for (path, item) in &mut openapi.paths.paths {
        let webhook = path.starts_with(WEBHOOKS) || path.starts_with(LINKS);
        for (method, operation) in operations(item) {
            if !webhook {
                behind_a_door(operation, method == Method::POST);
            }
            finish_responses(operation, webhook);
        }
    }
}

/// The operations of a path, of whatever method.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::OPTIONS, item.options.as_mut()),
        (Method::HEAD, item.head.as_mut()),
        (Method::TRACE, item.trace.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

fn behind_a_door(operation: &mut Operation, post: bool) {
    operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    let mut refusals = vec![
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
    ];
    if post {
        operation
            .parameters
            .get_or_insert_default()
            .push(idempotency_key().into());
        refusals.extend([
            StatusCode::CONFLICT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ]);
    }
    for status in refusals {
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| ResponseBuilder::new().build().into());
    }
}

fn idempotency_key() -> Parameter {
    let text = Object::builder()
        .schema_type(SchemaType::Type(Type::String))
        .max_length(Some(255))
        .build();
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The same key and body replays the stored answer for 24 hours; another body is a 422.",
        ))
        .schema(Some(text))
        .build()
}

/// Every response has a description (OpenAPI 3.1 asks for one), and every refusal of the API is a problem document;
/// vendors get the bare status.
fn finish_responses(operation: &mut Operation, webhook: bool) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let code = status.parse::<StatusCode>().ok();
        if response.description.is_empty() {
            code.and_then(|code| code.canonical_reason())
                .unwrap_or("Answer")
                .clone_into(&mut response.description);
        }
        let refusal = code.is_some_and(|code| code.is_client_error() || code.is_server_error());
        if refusal && !webhook {
            let schema = Ref::from_schema_name(Problem::name().into_owned());
            response.content.clear();
            response.content.insert(
                PROBLEM_JSON.to_owned(),
                ContentBuilder::new().schema(Some(schema)).build().into(),
            );
        }
    }
}
