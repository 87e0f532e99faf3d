//! Registration of routes. Each route declares the access it requires, so that a route without one
//! does not compile.

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, Handler, Responder, Route, web};

use super::access::{Access, admitted};

/// A path of the API, the methods it has, and the access that each of them requires.
pub(crate) struct Resource {
    #[cfg(test)]
    path: String,
    routes: actix_web::Resource,
    declared: Declared,
}

/// The declared methods of a resource.
type Declared = Vec<(Method, Access)>;

/// Starts a resource without methods.
pub(crate) fn at(path: &str) -> Resource {
    Resource {
        #[cfg(test)]
        path: path.to_owned(),
        routes: web::resource(path),
        declared: Vec::new(),
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("Adds the method ", stringify!($method), ".")]
        pub(crate) fn $name<F, Args>(self, access: Access, handler: F) -> Self
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.route(Method::$method, access, web::$name().to(handler))
        }
    )*};
}

impl Resource {
    methods! { get GET, head HEAD, post POST, put PUT, delete DELETE }

    fn route(mut self, method: Method, access: Access, route: Route) -> Self {
        self.declared.push((method, access));
        Self { routes: self.routes.route(route), ..self }
    }

    /// Returns path, method and access of each route.
    #[cfg(test)]
    pub(crate) fn declared(&self) -> impl Iterator<Item = (String, String, Access)> {
        self.declared
            .iter()
            .map(|(method, access)| (self.path.clone(), method.to_string(), *access))
    }

    /// Registers the resource. Its handlers run for admitted requests only.
    pub(crate) fn register(self, cfg: &mut web::ServiceConfig) {
        let Self { routes, declared, .. } = self;
        cfg.service(routes.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
            admitted(required(&declared, request.method()), request, next)
        })));
    }
}

/// Returns the route of all requests that no resource matches.
pub(crate) fn unmatched<F, Args>(handler: F) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::to(handler).wrap(from_fn(|request: ServiceRequest, next: Next<BoxBody>| {
        admitted(required(&[], request.method()), request, next)
    }))
}

/// Returns the access that a method requires.
///
/// A method that the resource lacks requires what its other methods do: a client without permission
/// is denied first and never learns which methods there are.
fn required(declared: &[(Method, Access)], method: &Method) -> Access {
    let reads = |method: &Method| matches!(*method, Method::GET | Method::HEAD);
    if let Some((_, access)) = declared.iter().find(|(known, _)| known == method) {
        return *access;
    }
    if declared.iter().any(|(_, access)| *access == Access::Open) {
        return Access::Open;
    }
    if reads(method) {
        return Access::Reader;
    }
    let writes = declared.iter().filter(|(method, _)| !reads(method));
    writes.map(|(_, access)| *access).min().unwrap_or(Access::Publisher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undeclared_method_needs_the_role_of_the_declared_ones() {
        let lease = [(Method::PUT, Access::Reader), (Method::DELETE, Access::Publisher)];
        let application = [(Method::GET, Access::Reader)];
        let health = [(Method::GET, Access::Open)];
        let secrets = [(Method::GET, Access::Publisher)];
        for (declared, method, access) in [
            (&lease[..], Method::DELETE, Access::Publisher),
            (&lease[..], Method::PATCH, Access::Reader),
            (&lease[..], Method::GET, Access::Reader),
            (&application[..], Method::POST, Access::Publisher),
            (&application[..], Method::HEAD, Access::Reader),
            (&health[..], Method::POST, Access::Open),
            (&secrets[..], Method::GET, Access::Publisher),
            (&[][..], Method::GET, Access::Reader),
            (&[][..], Method::POST, Access::Publisher),
        ] {
            assert_eq!(required(declared, &method), access, "{method} {declared:?}");
        }
    }
}
