//! The list of a service's routes, each behind a door. A route without one cannot be mounted, webhooks aside.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use common::{Role, Service};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{self, Door, Guard};
use crate::idempotency;
use crate::shell::Shell;

/// Where the outside pushes to; these routes prove their callers themselves.
const WEBHOOKS: &str = "/webhooks/";

/// Collects routes with their doors; [`Shell::serve`] serves it.
pub struct Api {
    shell: Shell,
    router: OpenApiRouter,
}

impl Api {
    /// No routes yet.
    pub fn new(shell: &Shell) -> Self {
        Self {
            shell: shell.clone(),
            router: OpenApiRouter::new(),
        }
    }

    /// Routes for these services only.
    pub fn internal(self, callers: &'static [Service], routes: OpenApiRouter) -> Self {
        self.either(callers, &[], routes)
    }

    /// Routes for people who hold one of `roles`.
    pub fn people(self, roles: &'static [Role], routes: OpenApiRouter) -> Self {
        self.either(&[], roles, routes)
    }

    /// Routes for these services, and for people who hold one of `roles`.
    pub fn either(
        mut self,
        services: &'static [Service],
        roles: &'static [Role],
        routes: OpenApiRouter,
    ) -> Self {
        let guard = Arc::new(Guard {
            shell: self.shell.clone(),
            door: Door { services, roles },
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

    /// The routes and their description.
    pub(crate) fn split(self) -> (axum::Router, OpenApi) {
        let (router, mut openapi) = self.router.split_for_parts();
        crate::describe::complete(&mut openapi, self.shell.service());
        (router, openapi)
    }
}
