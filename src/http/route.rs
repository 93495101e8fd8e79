//! The one table of addresses: what can be asked for, who may, and who answers. The router, the
//! OpenAPI document and the table of permissions are all made of it.

use super::api;
use super::call::Call;
use super::openapi::Operation;
use super::problem::Problem;
use super::reply::Reply;
use crate::tenancy::permission::Permission;
use hyper::Method;
use matchit::Router;
use percent_encoding::percent_decode_str;
use std::future::Future;
use std::pin::Pin;

/// What a request comes to.
pub(super) type Answer = Result<Reply, Problem>;

/// Answers a request.
pub(super) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody, and nobody is told apart.
    Public,
    /// Whoever is signed in or has a key.
    Known,
    /// The same, whether or not anybody enters the tenant now: for those who leave.
    Leaving,
    /// Whoever has the permission.
    With(Permission),
    /// The person at the machine.
    Local,
}

/// One thing that can be asked for.
pub(super) struct Route {
    pub(super) method: Method,
    /// As OpenAPI writes it: `/api/v1/executions/{id}`.
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) handler: Handler,
    /// Whether an `Idempotency-Key` is taken.
    pub(super) remembers: bool,
    /// What it does, in one line.
    pub(super) summary: &'static str,
    /// Describes what goes in and comes out.
    pub(super) describe: fn(Operation) -> Operation,
}

/// Makes a [`Handler`] of an `async fn(Call) -> Answer`.
macro_rules! handler {
    ($function:path) => {
        |call| Box::pin($function(call))
    };
}
pub(super) use handler;

/// Every route, in the order of the contract.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    let areas: [&'static [Route]; 26] = [
        api::executions::ROUTES,
        api::quarantine::ROUTES,
        api::query::ROUTES,
        api::export::ROUTES,
        api::auth::ROUTES,
        api::otp::ROUTES,
        api::accept::ROUTES,
        api::users::ROUTES,
        api::teams::ROUTES,
        api::sign_in_rules::ROUTES,
        api::roles::ROUTES,
        api::row_policy::ROUTES,
        api::sessions::ROUTES,
        api::keys::ROUTES,
        api::tenants::ROUTES,
        api::sso::ROUTES,
        api::sso_providers::ROUTES,
        api::sso_check::ROUTES,
        api::audit::ROUTES,
        api::signing_keys::ROUTES,
        api::limits::ROUTES,
        api::migrations::ROUTES,
        api::appliance::ROUTES,
        api::docs::ROUTES,
        super::live::ROUTES,
        api::control::ROUTES,
    ];
    areas.into_iter().flatten()
}

/// Finds routes by address.
pub(super) struct Routes {
    router: Router<Resource>,
}

/// What can be done with one address.
struct Resource {
    routes: Vec<(usize, &'static Route)>,
    /// The `Allow` header.
    allowed: String,
}

/// A route that was found.
pub(super) struct Found {
    pub(super) route: &'static Route,
    /// Its place in [`all`].
    pub(super) index: usize,
    pub(super) params: Vec<(&'static str, String)>,
    /// `GET` is answered, and the body left out.
    pub(super) head: bool,
}

/// Why no route was found.
#[derive(Debug)]
pub(super) enum NotFound {
    /// Nothing has the address.
    Address,
    /// Something has it, but not with this method.
    Method {
        /// The `Allow` header.
        allowed: String,
    },
    /// A part of the address is not percent-encoded UTF-8.
    Encoding,
}

impl Routes {
    pub(super) fn new() -> Self {
        let mut by_path: Vec<(&'static str, Vec<(usize, &'static Route)>)> = Vec::new();
        for (index, route) in all().enumerate() {
            match by_path.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, routes)) => routes.push((index, route)),
                None => by_path.push((route.path, vec![(index, route)])),
            }
        }
        let mut router = Router::new();
        for (path, routes) in by_path {
            let mut methods: Vec<&str> = routes.iter().map(|(_, r)| r.method.as_str()).collect();
            if methods.contains(&"GET") {
                methods.push("HEAD");
            }
            let allowed = methods.join(", ");
            // A test inserts them all: the table cannot contradict itself.
            let inserted = router.insert(path, Resource { routes, allowed });
            debug_assert!(inserted.is_ok(), "{path}");
        }
        Self { router }
    }

    /// The route of `path` for `method`. What is for the person at the machine is not there for
    /// anybody else, whatever the method: `local` says that it is that person.
    pub(super) fn find(&self, method: &Method, path: &str, local: bool) -> Result<Found, NotFound> {
        let matched = self.router.at(path).map_err(|_| NotFound::Address)?;
        let resource = matched.value;
        if !local && resource.routes.iter().all(|(_, route)| route.access == Access::Local) {
            return Err(NotFound::Address);
        }
        let head = method == Method::HEAD;
        let wanted = if head { &Method::GET } else { method };
        let found = resource.routes.iter().find(|(_, route)| route.method == *wanted);
        let Some(&(index, route)) = found else {
            return Err(NotFound::Method { allowed: resource.allowed.clone() });
        };
        let params = matched.params.iter().map(|(name, value)| {
            let name = param_name(route.path, name).ok_or(NotFound::Address)?;
            if !super::request::is_well_encoded(value) {
                return Err(NotFound::Encoding);
            }
            Ok((name, percent_decode_str(value).decode_utf8_lossy().into_owned()))
        });
        let params = params.collect::<Result<_, NotFound>>()?;
        Ok(Found { route, index, params, head })
    }
}

/// The name of a parameter, as a part of the pattern.
fn param_name(pattern: &'static str, name: &str) -> Option<&'static str> {
    pattern.split(['{', '}']).find(|part| *part == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_own_address() {
        let routes = Routes::new();
        for (index, route) in all().enumerate() {
            let path = route.path.replace("{id}", "a%2Fb");
            let found = routes.find(&route.method, &path, true).ok().unwrap();
            assert_eq!(found.index, index, "{} {}", route.method, route.path);
            let ids = found.params.iter().filter(|(name, value)| *name == "id" && value == "a/b");
            assert_eq!(ids.count(), route.path.matches("{id}").count());
            assert!(!route.summary.ends_with('.') && !route.summary.is_empty());
        }
    }

    #[test]
    fn what_is_not_there_says_why() {
        let routes = Routes::new();
        let address = routes.find(&Method::GET, "/api/v1/executions/a/b", true).err().unwrap();
        assert!(matches!(address, NotFound::Address));
        let method = routes.find(&Method::PUT, "/api/v1/executions", false).err().unwrap();
        let NotFound::Method { allowed } = method else { panic!("{method:?}") };
        assert!(allowed.contains("GET") && allowed.contains("POST") && allowed.contains("HEAD"));
        let bad = routes.find(&Method::GET, "/api/v1/executions/%ff", false).err().unwrap();
        assert!(matches!(bad, NotFound::Encoding));
        let hidden = routes.find(&Method::GET, "/control/act", false).err().unwrap();
        assert!(matches!(hidden, NotFound::Address));
    }
}
