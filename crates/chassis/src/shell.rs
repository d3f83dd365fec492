//! What every service stands on: pool, keys, clients, idempotency, readiness; and the HTTP server around its routes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Extension, Router};
use common::client::{Outbound, Peer};
use common::window::RollingWindow;
use common::{Problem, Service, TenantId};
use http::header::CONTENT_TYPE;
use http::{Method, Uri};
use secrecy::ExposeSecret;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::{Identity, SigningKey, TrustedKeys};
use url::Url;
use zeroize::Zeroizing;

use crate::health::{self, Readiness};
use crate::idempotency::Store;
use crate::key_files::{KeyFile, Watched};
use crate::oidc::People;
use crate::outbound::Stamp;
use crate::refused::Refusals;
use crate::sessions::Sessions;
use crate::settings::BaseSettings;
use crate::window::Window;
use crate::worker::{PATIENCE_WITH_POSTGRES, Worker};
use crate::{Api, ApiError, AuditLog, audit, body, clock, crowd, docs, metrics, observe, serving};

/// How every session of ours is.
const SESSION: [(&str, &str); 7] = [
    // Longer than any statement of ours; a lock held longer is a fault that should show.
    ("statement_timeout", "30s"),
    // Our statements find rows by their keys whatever is asked for, so one plan serves them all. Left to itself Postgres
    // plans the longest ones anew each time, which costs more than what they do.
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    // A plan made while a table was small reads all of it and joins by hash, and stays when the table has grown, until the
    // next ANALYZE. With these it looks each row up by its key from the first day on.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
];
/// Never told: what happened is safe in its chain, and only whoever rewrites whole chains has to be fast.
const SEALS: &str = "audit_seals";
/// How often ends of chains are signed.
const SEAL_EVERY: Duration = Duration::from_secs(5);
/// Longest internal call; outside calls behind it have shorter limits.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for requests and workers under way at the end. Kubernetes kills after 30 s by default.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// The service cannot start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A key file cannot be read.
    #[error(
        "cannot read the key file `{path}`: `firstline keys init` makes key files; they must belong to the user that \
         the service runs as"
    )]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A private key that others can read is no secret any more.
    #[error(
        "the private key `{path}` may be read by others than its owner (mode {mode:04o}): run `chmod 600 {path}`, and \
         replace the key with `firstline keys rotate` where somebody may have read it"
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Whoever can change the list of trusted keys can put in a key of their own.
    #[error(
        "`{path}` may be changed by others than its owner (mode {mode:04o}): run `chmod 644 {path}`, and look with \
         `firstline keys show` whether its keys are yours"
    )]
    Changeable {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A key file holds no key, or not this service's.
    #[error(
        "`{path}` does not fit: put back the file that `firstline keys init` or `firstline keys rotate` wrote"
    )]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: trust::KeyError,
    },
    /// The fleet would believe nothing that this service signs.
    #[error("TRUSTED_KEYS_FILE does not go with SERVICE_KEY_FILE")]
    Unbelieved(#[source] trust::KeyError),
    /// `DATABASE_URL` is no address of a Postgres. Its text may hold a password and is not shown.
    #[error("DATABASE_URL is no postgres address")]
    Database(#[source] sqlx::Error),
    /// `REDIS_URL` is no address of a Redis.
    #[error("REDIS_URL is no redis address")]
    Redis(#[source] redis::RedisError),
    /// No HTTP client can be made.
    #[error("cannot build an http client")]
    Http(#[source] reqwest::Error),
    /// Anything of the service's own.
    #[error("{0}")]
    Own(String),
}

impl StartError {
    /// The file at `path` is not what it should be.
    pub fn unfit(path: &Path) -> impl FnOnce(trust::KeyError) -> Self {
        let path = path.to_owned();
        move |source| Self::Key { path, source }
    }
}

/// The service stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It could not start.
    #[error("cannot start")]
    Start(#[from] StartError),
    /// The listener failed.
    #[error("cannot serve")]
    Listener(#[source] std::io::Error),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Shell(Arc<Inner>);

struct Inner {
    service: Service,
    tenant: TenantId,
    pool: Sessions,
    keys: Watched<Identity>,
    outbound: Arc<dyn Outbound>,
    http: reqwest::Client,
    people: Option<People>,
    idempotency: Store,
    readiness: Readiness,
    stopping: CancellationToken,
    tasks: TaskTracker,
    refusals: Refusals,
}

impl Shell {
    /// Read the keys and prepare everything else. Postgres, Redis and the token issuer need not be there yet: `/readyz`
    /// says what is missing. `shutdown` ends the service gracefully.
    ///
    /// # Errors
    /// A setting that no waiting would mend.
    pub async fn start(
        service: Service,
        base: &BaseSettings,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let readiness = Readiness::default();
        let keys = identity(service, base, readiness.clone()).await?;
        let http = common::client::http_client(CALL_LIMIT).map_err(StartError::Http)?;
        let people = base.oidc.as_ref().map(|oidc| People::new(http.clone(), oidc));
        let idempotency = Store::new(base.redis_url.expose_secret(), service).map_err(StartError::Redis)?;
        let database = database(service, base)?;
        clock::first(&database).await;
        let pool = Sessions::new(database);
        let tasks = TaskTracker::new();
        let tenant = base.tenant_id.clone();
        let audit = AuditLog::new(service, tenant.clone());
        let refusals = Refusals::new(pool.clone(), audit, tasks.clone(), shutdown.clone());
        tasks.spawn(metrics::upkeep(shutdown.clone()));
        tasks.spawn(clock::keep(pool.clone(), shutdown.clone()));
        tasks.spawn(pool.clone().tidy(shutdown.clone()));
        tasks.spawn(keys.clone().keep(shutdown.clone()));
        Ok(Self(Arc::new(Inner {
            service,
            tenant,
            pool,
            outbound: Arc::new(Stamp(keys.clone())),
            keys,
            http,
            people,
            idempotency,
            readiness,
            stopping: shutdown,
            tasks,
            refusals,
        })))
    }

    /// Whose shell this is.
    pub fn service(&self) -> Service {
        self.0.service
    }

    /// The tenant of this fleet.
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// Sessions with Postgres under the service's own role.
    pub fn pool(&self) -> &Sessions {
        &self.0.pool
    }

    /// Own key and the fleet's public keys, which change while the service runs: ask for them anew each time.
    pub fn keys(&self) -> &Watched<Identity> {
        &self.0.keys
    }

    /// Keys of the service's own in `files`, read now and whenever they change. `name` is what `/readyz` calls them.
    ///
    /// # Errors
    /// A file is missing, others than its owner may read or change it, or `parse` refuses it.
    pub async fn watch<T: Send + Sync + 'static>(
        &self,
        name: &'static str,
        files: Vec<KeyFile>,
        parse: impl Fn(&[Zeroizing<Vec<u8>>]) -> Result<T, StartError> + Send + Sync + 'static,
    ) -> Result<Watched<T>, StartError> {
        let watched = Watched::start(name, files, parse, |_| Ok(()), self.0.readiness.clone()).await?;
        self.spawn(watched.clone().keep(self.0.stopping.clone()));
        Ok(watched)
    }

    /// A client for internal calls. Outside calls have clients of their own in `connectors`.
    pub fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    /// The callee at `base`, with token, trace context and request id on every call.
    pub fn peer(&self, callee: impl Into<String>, base: Url) -> Peer {
        Peer::new(callee, base, self.0.http.clone(), Arc::clone(&self.0.outbound))
    }

    /// What puts token, trace context and request id on a call, for clients that [`peer`](Self::peer) does not cover.
    pub fn outbound(&self) -> &Arc<dyn Outbound> {
        &self.0.outbound
    }

    /// The audit log in this service's name.
    pub fn audit(&self) -> AuditLog {
        AuditLog::new(self.0.service, self.0.tenant.clone())
    }

    /// Where webhooks that are not believed are put on record.
    pub fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// What `/readyz` says beside Postgres and Redis.
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Cancelled once the service shall stop.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// A limit of calls of `system` within any `length`, shared by all replicas of all services of the tenant.
    pub fn rolling_window(&self, system: &str, limit: u32, length: Duration) -> Arc<dyn RollingWindow> {
        let name = format!("firstline:window:{}:{system}", self.tenant());
        Arc::new(Window::new(self.0.idempotency.redis(), name, limit, length))
    }

    /// A durable-queue worker, woken by `NOTIFY {channel}`.
    pub fn worker(&self, name: &'static str, channel: &'static str) -> Worker {
        Worker::new(self.clone(), name, channel)
    }

    /// Run `work` beside the requests; [`serve`](Self::serve) waits for it at the end, so it must watch
    /// [`stopping`](Self::stopping).
    pub fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.tasks.spawn(work);
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(crate) fn people(&self) -> Option<&People> {
        self.0.people.as_ref()
    }

    pub(crate) fn idempotency(&self) -> &Store {
        &self.0.idempotency
    }

    /// Serve `api` until shutdown; then let requests and workers under way finish.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(self, api: Api, listener: TcpListener) -> Result<(), ServeError> {
        let app = self.app(api);
        let listener = listener.tap_io(|stream| {
            // Answers are small: waiting to fill a packet only adds latency.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "could not set TCP_NODELAY");
            }
        });
        tracing::info!(service = self.service().name(), "listening");
        self.seal_the_audit();
        self.spawn(health::watch(self.clone()));
        let stopping = self.0.stopping.clone();
        self.to_the_end(serving::serve(listener, app, serving::HEAD_LIMIT, stopping))
            .await;
        self.0.pool.close();
        tracing::info!(service = self.service().name(), "stopped");
        Ok(())
    }

    /// Until all requests and all workers have finished; from shutdown on they have as long together as there is: whoever stops
    /// us kills us after half a minute.
    async fn to_the_end(&self, serving: impl Future<Output = ()>) {
        let ended = async {
            serving.await;
            // Also reached when the listener failed: workers must learn of it.
            self.0.stopping.cancel();
            self.0.tasks.close();
            self.0.tasks.wait().await;
        };
        let overdue = async {
            self.0.stopping.cancelled().await;
            tokio::time::sleep(DRAIN_LIMIT).await;
        };
        tokio::select! {
            () = ended => {}
            () = overdue => tracing::warn!("some requests or workers did not finish in time"),
        }
    }

    /// Sign the ends of our chains soon after they grew.
    fn seal_the_audit(&self) {
        let shell = self.clone();
        self.worker("audit_seals", SEALS)
            .slow_poll(SEAL_EVERY)
            .patience(PATIENCE_WITH_POSTGRES)
            .spawn(move || {
                let shell = shell.clone();
                async move { audit::seal::step(shell.pool(), shell.tenant(), &shell.keys().now()).await }
            });
    }

    /// The whole application, as tests may also drive it without a socket.
    pub fn app(&self, api: Api) -> Router {
        let (routes, openapi) = api.split();
        let page: Arc<str> = docs::page(&openapi).into();
        let description: Arc<str> = openapi.to_json().unwrap_or_default().into();
        let places = Arc::new(Semaphore::new(crowd::MOST_AT_ONCE));
        let own = Router::new()
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz).with_state(self.clone()))
            .route("/metrics", get(|| async { metrics::handle().render() }))
            .route("/openapi.json", get(openapi_json))
            .route("/docs", get(docs_page))
            .layer(Extension(Pages { page, description }));
        routes
            .merge(own)
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(from_fn(body::buffer))
            .layer(from_fn_with_state(places, crowd::bounded))
            .layer(from_fn_with_state(self.service(), observe::observe))
    }
}

#[derive(Clone)]
struct Pages {
    page: Arc<str>,
    description: Arc<str>,
}

async fn openapi_json(Extension(pages): Extension<Pages>) -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        pages.description.to_string(),
    )
        .into_response()
}

async fn docs_page(Extension(pages): Extension<Pages>) -> Html<String> {
    Html(pages.page.to_string())
}

async fn unknown_path(uri: Uri) -> ApiError {
    ApiError(Problem::not_found(
        "no_such_path",
        format!("there is no `{}`; see /docs", uri.path()),
    ))
}

pub(crate) async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    let detail = format!("`{}` does not take {method}; see /docs", uri.path());
    ApiError(Problem::new(
        http::StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        detail,
    ))
}

async fn identity(
    service: Service,
    base: &BaseSettings,
    readiness: Readiness,
) -> Result<Watched<Identity>, StartError> {
    let files = vec![
        KeyFile::secret(&base.service_key_file),
        KeyFile::public(&base.trusted_keys_file),
    ];
    let (key_file, trusted_file) = (base.service_key_file.clone(), base.trusted_keys_file.clone());
    let parse = move |contents: &[Zeroizing<Vec<u8>>]| {
        let [key, trusted] = contents else {
            return Err(StartError::Own("two files are read as two".to_owned()));
        };
        let key = SigningKey::from_pem(key).map_err(StartError::unfit(&key_file))?;
        let trusted = TrustedKeys::from_json(trusted).map_err(StartError::unfit(&trusted_file))?;
        Ok(Identity::unchecked(service, key, trusted))
    };
    let believed = |identity: &Identity| identity.believed().map_err(StartError::Unbelieved);
    Watched::start("keys", files, parse, believed, readiness).await
}

fn database(service: Service, base: &BaseSettings) -> Result<PgConnectOptions, StartError> {
    let options: PgConnectOptions = base
        .database_url
        .expose_secret()
        .parse()
        .map_err(StartError::Database)?;
    Ok(options
        .application_name(&service.database_role())
        .options(SESSION)
        .log_statements(tracing::log::LevelFilter::Off)
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1)))
}
