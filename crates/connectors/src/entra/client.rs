//! The client: how Graph is called, paged and understood when it refuses.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use super::EntraSettings;
use crate::call::{Answer, Authorized, Call, CallError, Caller, Repeat, System, join, unreadable};

/// Pages that are followed at most: 999 rows each are more than any person's memberships.
const MOST_PAGES: usize = 20;

/// A directory. Cheap to clone; clones share the token.
#[derive(Clone)]
pub struct Entra {
    graph: Arc<Graph>,
}

/// Microsoft Graph with a token of ours. Also used by the bot, with its own identity.
pub(crate) struct Graph {
    base: Url,
    authorized: Authorized,
}

/// Where `tenant`'s v2 tokens come from.
pub(crate) fn token_url(login_url: &Url, tenant: &str) -> Url {
    join(login_url, &[tenant, "oauth2", "v2.0", "token"])
}

impl Entra {
    /// A client; nothing is sent yet.
    pub fn new(settings: EntraSettings, http: reqwest::Client) -> Self {
        let token_url = token_url(&settings.login_url, &settings.tenant_id);
        let identity = (settings.client_id.as_str(), settings.client_secret);
        Self {
            graph: Arc::new(Graph::new(settings.graph_url, token_url, identity, http)),
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }
}

impl Graph {
    pub(crate) fn new(
        base: Url,
        token_url: Url,
        (client_id, client_secret): (&str, SecretString),
        http: reqwest::Client,
    ) -> Self {
        let form = vec![
            ("client_id", client_id.into()),
            ("scope", scope(&base).into()),
            ("client_secret", client_secret),
            ("grant_type", "client_credentials".into()),
        ];
        let caller = Caller::new(System::Entra, http);
        let early = Duration::from_mins(5);
        Self {
            base,
            authorized: Authorized::new(caller, System::Entra, token_url, form, early),
        }
    }

    /// Send. `path` is below the base, each part percent-encoded.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, CallError> {
        let url = join(&self.base, request.path);
        self.send_to(&url, &request).await
    }

    async fn send_to(&self, url: &Url, request: &Request<'_>) -> Result<Answer, CallError> {
        let make = || {
            let http = &self.authorized.caller.http;
            let mut builder = http
                .request(request.method.clone(), url.clone())
                .header("client-request-id", Uuid::new_v4().to_string())
                .header(http::header::ACCEPT, "application/json")
                .query(request.query);
            if let Some(body) = request.body {
                builder = builder.json(body);
            }
            Call::new(request.operation, request.repeat, builder).within(Duration::from_secs(20))
        };
        self.authorized.call(make).await
    }

    /// GET one object; `None` where it is not there.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<Option<T>, CallError> {
        let answer = self.send(request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => read(&answer).map(Some),
        }
    }

    /// GET a collection page by page until `enough` rows are there; `None` where its owner is not there.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        enough: usize,
    ) -> Result<Option<Vec<T>>, CallError> {
        let listed = self.list_at(request, enough).await?;
        Ok(listed.map(|(_, rows)| rows))
    }

    /// The same, with what the directory's clock said at the first page.
    pub(crate) async fn list_at<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        enough: usize,
    ) -> Result<Option<(OffsetDateTime, Vec<T>)>, CallError> {
        let mut rows = Vec::new();
        let mut answer = self.send(request).await?;
        let now = answer.now();
        for _ in 0..MOST_PAGES {
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let page: Page<T> = read(&answer)?;
            rows.extend(page.value);
            let next = match page.next {
                Some(next) if rows.len() < enough => self.pinned(&next)?,
                _ => return Ok(Some((now, rows))),
            };
            answer = self.send_to(&next, &Request::get(request.operation, &[])).await?;
        }
        Err(CallError::refused(
            System::Entra,
            "too_many_pages",
            "the directory's list does not end",
        ))
    }

    /// A link that the directory gave us, if it leads to where we were configured to go: the token goes nowhere else.
    fn pinned(&self, link: &str) -> Result<Url, CallError> {
        let url = Url::parse(link).ok().filter(|url| {
            url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none()
        });
        let detail = "the directory's list goes on at another host";
        url.ok_or_else(|| CallError::refused(System::Entra, "foreign_link", detail))
    }
}

/// The scope of the resource that `base` belongs to: `https://graph.microsoft.com/.default`. A base that is not
/// Microsoft's (a simulator, a proxy) stands for the public one.
fn scope(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    if host.starts_with("graph.microsoft.") || host.ends_with(".microsoftgraph.chinacloudapi.cn") {
        format!("https://{host}/.default")
    } else {
        "https://graph.microsoft.com/.default".to_owned()
    }
}

/// One request of Graph.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) operation: &'static str,
    pub(crate) method: &'a Method,
    pub(crate) repeat: Repeat,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a Value>,
}

impl<'a> Request<'a> {
    pub(crate) const fn get(operation: &'static str, path: &'a [&'a str]) -> Self {
        Self {
            operation,
            method: &Method::GET,
            repeat: Repeat::Safe,
            path,
            query: &[],
            body: None,
        }
    }

    pub(crate) const fn with(mut self, query: &'a [(&'a str, &'a str)]) -> Self {
        self.query = query;
        self
    }

    /// A POST that does something each time.
    pub(crate) const fn post(operation: &'static str, path: &'a [&'a str], body: &'a Value) -> Self {
        Self {
            operation,
            method: &Method::POST,
            repeat: Repeat::Never,
            path,
            query: &[],
            body: Some(body),
        }
    }

    /// A DELETE: twice is once.
    pub(crate) const fn delete(operation: &'static str, path: &'a [&'a str]) -> Self {
        Self {
            operation,
            method: &Method::DELETE,
            repeat: Repeat::Safe,
            path,
            query: &[],
            body: None,
        }
    }
}

#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink", default)]
    next: Option<String>,
}

/// Read an answer to a question.
pub(crate) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, CallError> {
    if answer.status.is_success() {
        answer
            .json()
            .map_err(|malformed| unreadable(System::Entra, malformed))
    } else {
        Err(refusal(answer))
    }
}

#[derive(Deserialize, Default)]
struct Envelope {
    #[serde(default)]
    error: ErrorBody,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The directory's own words about a refusal; not contractual, may name people: for telling cases apart only.
pub(crate) fn message(answer: &Answer) -> String {
    answer.json::<Envelope>().unwrap_or_default().error.message
}

/// The refusal in an answer that is no success.
pub(crate) fn refusal(answer: &Answer) -> CallError {
    let said = answer.json::<Envelope>().unwrap_or_default().error.code;
    let request = answer
        .headers
        .get("request-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or("none");
    let (code, meaning) = match answer.status {
        StatusCode::FORBIDDEN => (
            "forbidden".to_owned(),
            "our app registration lacks the permission",
        ),
        StatusCode::NOT_FOUND => ("not_found".to_owned(), "it does not know the object"),
        status if said.is_empty() => (format!("http_{}", status.as_u16()), "it gave no reason"),
        _ => (said, "the request or the tenant's policy does not allow it"),
    };
    CallError::refused(System::Entra, code, format!("{meaning} (request-id {request})"))
}

/// No such person.
pub(super) fn user_not_found() -> CallError {
    CallError::refused(
        System::Entra,
        "user_not_found",
        "the directory does not know this person",
    )
}
