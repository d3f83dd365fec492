//! The list of a service's routes, each behind its door. A route without one cannot be mounted, webhooks aside.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use common::doors::{self, Door};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{self, Guard};
use crate::describe;
use crate::idempotency;
use crate::shell::Shell;

/// Where the outside pushes to; these routes prove their callers themselves.
const WEBHOOKS: &str = "/webhooks/";
/// Where our own links lead.
const LINKS: &str = "/suggestions/";

/// Collects routes with their doors; [`Shell::serve`] serves it.
pub struct Api {
    shell: Shell,
    doors: &'static [Door],
    router: OpenApiRouter,
}

impl Api {
    /// No routes yet. Their doors stand in [`common::doors`].
    pub fn new(shell: &Shell) -> Self {
        Self::with_doors(shell, doors::of(shell.service()))
    }

    /// The same for a service that is none of the six, with a table of its own.
    pub fn with_doors(shell: &Shell, doors: &'static [Door]) -> Self {
        Self {
            shell: shell.clone(),
            doors,
            router: OpenApiRouter::new(),
        }
    }

    /// Add routes, each behind the door that the table has for it.
    ///
    /// # Panics
    /// The table has none: who may call a route is decided before it is built.
    pub fn guarded(mut self, mut routes: OpenApiRouter) -> Self {
        for (path, item) in &mut routes.get_openapi_mut().paths.paths {
            for (method, _) in describe::operations(item) {
                let door = access::door(self.doors, &method, path);
                assert!(
                    door.is_some(),
                    "`{method} {path}` has no door: say in common::doors who may call it"
                );
            }
        }
        let guard = Arc::new(Guard {
            shell: self.shell.clone(),
            doors: self.doors,
        });
        // The last layer is the outermost: nobody sees a stored answer before having passed the door.
        let routes = routes
            .route_layer(from_fn_with_state(self.shell.clone(), idempotency::replay))
            .route_layer(from_fn_with_state(guard, access::guard));
        self.router = self.router.merge(routes);
        self
    }

    /// Routes that authenticate their callers themselves, as each vendor does it, and deduplicate by the vendor's ids.
    ///
    /// # Panics
    /// A path does not begin with `/webhooks/`: it belongs behind a door.
    pub fn webhooks(mut self, routes: OpenApiRouter) -> Self {
        for path in routes.get_openapi().paths.paths.keys() {
            assert!(
                path.starts_with(WEBHOOKS),
                "`{path}` is no webhook: mount it behind a door"
            );
        }
        self.router = self.router.merge(routes);
        self
    }

    /// Pages behind links that were written to somebody: who knows the secret in the address needs no other proof.
    ///
    /// # Panics
    /// A path does not begin with `/suggestions/`: it belongs behind a door.
    pub fn links(mut self, routes: OpenApiRouter) -> Self {
        for path in routes.get_openapi().paths.paths.keys() {
            assert!(
                path.starts_with(LINKS),
                "`{path}` is no link that we write: mount it behind a door"
            );
        }
        self.router = self.router.merge(routes);
        self
    }

    /// The routes and their description.
    pub(crate) fn split(self) -> (axum::Router, OpenApi) {
        let (router, mut openapi) = self.router.split_for_parts();
        describe::complete(&mut openapi, self.shell.service());
        (router, openapi)
    }
}
