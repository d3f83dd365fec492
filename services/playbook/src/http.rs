//! The doors: reading and checking for everybody who works with playbooks, publishing and activating for admins.

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use chassis::{ApiError, Caller, Json, Path, Query};
use common::playbook::{ActivatePlaybook, CheckAnswer, PlaybookView};
use common::{PlaybookRef, Problem};
use http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::YamlBody;
use crate::publish::{Library, PublishError};

/// Reading and checking, publishing and activating.
pub(crate) fn routes(library: Library) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(versions))
        .routes(routes!(check))
        .routes(routes!(publish))
        .routes(routes!(activate))
        .routes(routes!(deactivate))
        .route_layer(from_fn_with_state(library.clone(), once_loaded))
        .with_state(library)
}

/// Until the shipped playbooks are in the database, "no such playbook" would be a lie that sends tickets to people.
async fn once_loaded(State(library): State<Library>, request: Request, next: Next) -> Response {
    if library.loaded() {
        return next.run(request).await;
    }
    ApiError(Problem::outside_unavailable("the library of playbooks", Some(1))).into_response()
}

/// Every active playbook, without sources.
#[utoipa::path(get, path = "/api/v1/playbooks", responses((status = 200, body = [PlaybookView])))]
async fn list(State(library): State<Library>) -> Result<Json<Vec<PlaybookView>>, ApiError> {
    Ok(Json(library.active().await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichVersion {
    /// The active one where none is named.
    version: Option<String>,
}

/// One version of a playbook with its source.
#[utoipa::path(
    get,
    path = "/api/v1/playbooks/{id}",
    params(("id" = String, Path, description = "its name"), WhichVersion),
    responses((status = 200, body = PlaybookView), (status = 404, body = Problem))
)]
async fn one(
    State(library): State<Library>,
    Path(id): Path<String>,
    Query(which): Query<WhichVersion>,
) -> Result<Json<PlaybookView>, ApiError> {
    Ok(Json(library.view(&id, which.version.as_deref()).await?))
}

/// Every version of a playbook, newest first, without sources.
#[utoipa::path(
    get,
    path = "/api/v1/playbooks/{id}/versions",
    params(("id" = String, Path, description = "its name")),
    responses((status = 200, body = [PlaybookView]), (status = 404, body = Problem))
)]
async fn versions(
    State(library): State<Library>,
    Path(id): Path<String>,
) -> Result<Json<Vec<PlaybookView>>, ApiError> {
    Ok(Json(library.versions(&id).await?))
}

/// Check a document without publishing it.
#[utoipa::path(
    post,
    path = "/api/v1/playbooks/check",
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = CheckAnswer))
)]
async fn check(
    State(library): State<Library>,
    YamlBody(source): YamlBody,
) -> Result<Json<CheckAnswer>, ApiError> {
    Ok(Json(library.check(&source).await.map_err(PublishError::from)?))
}

/// Publish a document. A published version never changes; the same content again is no error.
#[utoipa::path(
    post,
    path = "/api/v1/playbooks",
    request_body(content = String, content_type = "application/yaml"),
    responses(
        (status = 201, body = PlaybookRef),
        (status = 409, body = Problem, description = "this version has other content"),
        (status = 422, body = Problem, description = "`findings` says what is wrong and where"),
    )
)]
async fn publish(
    State(library): State<Library>,
    caller: Caller,
    YamlBody(source): YamlBody,
) -> Result<(StatusCode, Json<PlaybookRef>), ApiError> {
    let published = library.publish(&source, &caller.actor()).await?;
    Ok((StatusCode::CREATED, Json(published)))
}

/// New executions get this version.
#[utoipa::path(
    put,
    path = "/api/v1/playbooks/{id}/activate",
    params(("id" = String, Path, description = "its name")),
    request_body = ActivatePlaybook,
    responses(
        (status = 200, body = PlaybookView),
        (status = 404, body = Problem),
        (
            status = 409, body = Problem,
            description = "`playbook_planned`: no service offers some of its `actions` yet; `mode_not_earned`: it may \
                           not act by itself, `standing` says what is measured"
        ),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description = "`standing_unavailable`: what is measured is not known now"),
    )
)]
async fn activate(
    State(library): State<Library>,
    caller: Caller,
    Path(id): Path<String>,
    Json(which): Json<ActivatePlaybook>,
) -> Result<Json<PlaybookView>, ApiError> {
    let view = library.activate(&id, &which, &caller.actor()).await?;
    Ok(Json(view))
}

/// New executions get no version. Running ones go on with theirs.
#[utoipa::path(
    put,
    path = "/api/v1/playbooks/{id}/deactivate",
    params(("id" = String, Path, description = "its name")),
    responses((status = 200, body = PlaybookView), (status = 404, body = Problem))
)]
async fn deactivate(
    State(library): State<Library>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<PlaybookView>, ApiError> {
    Ok(Json(library.deactivate(&id, &caller.actor()).await?))
}
