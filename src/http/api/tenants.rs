//! The tenants of this installation (contract §5): made, changed and deleted by whoever administers the
//! platform, looked at and named by its own people.
//!
//! *Invariant*: a tenant that the caller may not look at is told from one that is not there by nothing.

use super::{PageParams, users};
use crate::http::call::Call;
use crate::http::idempotency;
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::{self, IfMatch};
use crate::http::problem::Problem;
use crate::http::reply::{self, Reply};
use crate::http::request::read_json;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::account::AccountError;
use crate::identity::api_key::ApiKeyError;
use crate::identity::email::Email;
use crate::identity::forget::{Deletion, ForgetError};
use crate::identity::link::LinkError;
use crate::identity::password::{Password, PasswordError};
use crate::identity::session::SessionError;
use crate::identity::user::User;
use crate::model::time::format_rfc3339;
use crate::tenancy::display_name::{DISPLAY_NAME_CHARS_MAX, DisplayName};
use crate::tenancy::life::TenantChange;
use crate::tenancy::permission::Permission;
use crate::tenancy::registry::{Beginning, NewTenant, TenancyError};
use crate::tenancy::slug::{SLUG_CHARS_MAX, SLUG_CHARS_MIN, Slug};
use crate::tenancy::tenant::{Tenant, TenantState};
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use storage::error::StoreError;

/// Items of a page at most.
const PAGE_MAX: usize = 1000;

/// How long a deletion waits for calls that began before, at most: whoever asked waits as well.
const IN_USE_MAX: Duration = Duration::from_secs(2);

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/tenants",
        access: Access::With(Permission::PlatformTenants),
        handler: handler!(list),
        remembers: false,
        summary: "All tenants, in order of their names",
        describe: |operation| {
            operation
                .page(PAGE_MAX)
                .answer(200, "A page of tenants", schema::page(tenant_schema()))
                .refuses(&[422])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/tenants",
        access: Access::With(Permission::PlatformTenants),
        handler: handler!(create),
        remembers: true,
        summary: "Makes a tenant with its first administrator, or nothing at all",
        describe: |operation: Operation| {
            operation
                .body(&["application/json"], new_tenant_schema())
                .answer(201, "The tenant, and how its administrator signs in", made_schema())
                .refuses(&[409, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/tenants/{slug}",
        access: Access::With(Permission::TenantRead),
        handler: handler!(get),
        remembers: false,
        summary: "One tenant",
        describe: |operation| operation.answer(200, "The tenant", tenant_schema()).refuses(&[404]),
    },
    Route {
        method: Method::PATCH,
        path: "/api/v1/tenants/{slug}",
        access: Access::With(Permission::TenantManage),
        handler: handler!(change),
        remembers: false,
        summary: "Changes a tenant's name or what its log tells; the platform's also suspend and resume it",
        describe: |operation: Operation| {
            let mut body = schema::object(json!({
                "display_name": schema::nullable(display_name_schema()),
                "audit_queries": schema::boolean(),
                "state": { "enum": ["active", "suspended"] },
            }));
            body["required"] = json!([]);
            body["additionalProperties"] = false.into();
            operation
                .if_match()
                .body(&["application/json"], body)
                .answer(200, "The tenant", tenant_schema())
                .refuses(&[404, 409, 412, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/tenants/{slug}",
        access: Access::With(Permission::PlatformTenants),
        handler: handler!(remove),
        remembers: false,
        summary: "Deletes a tenant, and everything and everybody in it",
        describe: |operation| {
            operation
                .if_match()
                .nothing(204, "Nothing is left of it but its log")
                .answer(
                    202,
                    "Nobody enters it any more; it goes once nobody uses it",
                    tenant_schema(),
                )
                .refuses(&[404, 409, 412, 507])
        },
    },
];

fn display_name_schema() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": DISPLAY_NAME_CHARS_MAX })
}

fn tenant_schema() -> Value {
    schema::object(json!({
        "id": schema::text(),
        "slug": schema::text(),
        "display_name": schema::nullable(schema::text()),
        "state": { "enum": ["active", "suspended", "deleting"] },
        "time_zone": schema::text(),
        "audit_queries": schema::boolean(),
        "created_at": schema::time_out(),
    }))
}

fn new_tenant_schema() -> Value {
    let mut admin = schema::object(json!({ "email": schema::text() }));
    admin["properties"]["password"] = schema::nullable(schema::text());
    admin["properties"]["invite"] = schema::boolean();
    admin["additionalProperties"] = false.into();
    let slug = json!({
        "type": "string", "minLength": SLUG_CHARS_MIN, "maxLength": SLUG_CHARS_MAX,
        "pattern": "^[a-z0-9][a-z0-9-]*[a-z0-9]$",
    });
    let mut body = schema::object(json!({ "slug": slug, "admin": admin }));
    body["properties"]["display_name"] = schema::nullable(display_name_schema());
    body["properties"]["time_zone"] =
        json!({ "type": "string", "description": "An IANA time zone; `UTC` if absent" });
    body["additionalProperties"] = false.into();
    body
}

fn made_schema() -> Value {
    let password = json!({
        "type": ["string", "null"],
        "description": "The password that was made up, shown only now; null where one was sent",
    });
    let mut made = tenant_schema();
    let mut admin = schema::object(json!({
        "id": schema::text(), "email": schema::text(), "role": schema::text(), "password": password,
    }));
    for name in ["token", "link", "expires_at"] {
        admin["properties"][name] = schema::text(); // of one who is invited
    }
    made["properties"]["admin"] = admin;
    made
}

/// A tenant as it is answered.
fn shown(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id,
        "slug": tenant.slug,
        "display_name": tenant.display_name,
        "state": tenant.state,
        "time_zone": tenant.time_zone,
        "audit_queries": tenant.audit_queries,
        "created_at": format_rfc3339(tenant.created_ms),
    })
}

async fn list(call: Call) -> Answer {
    let params = PageParams::of(&call.request, PAGE_MAX)?;
    let after = params.after(|text| Slug::parse(text).ok())?;
    let server = Arc::clone(&call.server);
    let tenants = call.on_disk(move || server.tenancy.list()).await??;
    let start = after.map_or(0, |after| tenants.partition_point(|tenant| tenant.slug <= after));
    let page = &tenants[start..tenants.len().min(start + params.limit)];
    let more = start + page.len() < tenants.len();
    let next_cursor = page.last().filter(|_| more).map(|tenant| &tenant.slug);
    let items: Vec<Value> = page.iter().map(shown).collect();
    Ok(reply::json(StatusCode::OK, &json!({ "items": items, "next_cursor": next_cursor })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    slug: String,
    display_name: Option<String>,
    time_zone: Option<String>,
    admin: Admin,
}

/// The first administrator of a tenant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    email: String,
    password: Option<String>,
    /// Have the administrator choose a password by a link.
    #[serde(default)]
    invite: bool,
}

/// What was asked for, once it is known that it can be.
struct Wanted {
    tenant: NewTenant,
    display_name: Option<DisplayName>,
    email: Email,
    first: First,
}

/// How the first administrator gets in.
enum First {
    /// With this password.
    Chosen(Password),
    /// With one that was made up.
    MadeUp(Password),
    /// By a link to choose one.
    Invited,
}

impl First {
    fn read(admin: &Admin, email: &Email, slug: &Slug) -> Result<Self, Problem> {
        match (&admin.password, admin.invite) {
            (None, true) => Ok(Self::Invited),
            (None, false) => Ok(Self::MadeUp(Password::random())),
            (Some(_), true) => {
                let detail = "cannot be sent with a password: the link is there to choose one";
                Err(Problem::invalid("/admin/invite", "invalid_value", detail))
            }
            (Some(text), false) => Password::choose(text, email, slug.as_str())
                .map(Self::Chosen)
                .map_err(password_problem),
        }
    }
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let New { slug, display_name, time_zone, admin } = read_json(body)?;
        let invalid = |e| Problem::invalid("/slug", "invalid_slug", format!("{e}"));
        let slug = Slug::parse(&slug).map_err(invalid)?;
        let display_name = display_name.map(|text| read_display_name(&text)).transpose()?;
        let invalid = |e| Problem::invalid("/admin/email", "invalid_email", format!("{e}"));
        let email = Email::parse(&admin.email).map_err(invalid)?;
        let first = First::read(&admin, &email, &slug)?;
        let tenant = NewTenant { slug, time_zone: time_zone.unwrap_or_else(|| "UTC".to_owned()) };
        Ok(Self { tenant, display_name, email, first })
    }
}

fn read_display_name(text: &str) -> Result<DisplayName, Problem> {
    let invalid = |e| Problem::invalid("/display_name", "invalid_display_name", format!("{e}"));
    DisplayName::parse(text).map_err(invalid)
}

async fn create(mut call: Call) -> Answer {
    let body = call.request.json_bytes().await?;
    let key = match idempotency::enter_platform(&call, &body).await? {
        idempotency::Entered::Before(answer) => return Ok(answer),
        idempotency::Entered::Now(key) => key,
    };
    let Wanted { tenant: new, display_name, email, first } = Wanted::read(&body)?;
    let (password, shown_password) = match first {
        First::Chosen(password) => (Some(password), None),
        First::MadeUp(password) => (Some(password.clone()), Some(password.reveal().to_owned())),
        First::Invited => (None, None),
    };
    let hash = call.server.passwords.run(move || password.map(|p| p.hash()).transpose()).await?;
    let hash = hash.map_err(password_problem)?;
    let (server, by, now_ms) = (Arc::clone(&call.server), call.by()?, call.server.clock.now_ms());
    let arrived = Arc::clone(&call.request.arrived);
    let beginning = Beginning { display_name, ..Beginning::default() };
    let make = move || {
        let mut answer = Value::Null;
        let made = server.tenancy.begin(new, beginning, &by, now_ms, |tenant| {
            let invited = User::invited_owner(tenant.id.clone(), email, now_ms);
            let user = User { password: hash, ..invited };
            answer = shown(tenant);
            answer["admin"] = json!({
                "id": user.id, "email": user.email, "role": user.role, "password": shown_password,
            });
            let mut act = match user.password {
                Some(_) => user.creation_by(&by)?,
                None => {
                    let (link, act) = user.invitation_by(&by, now_ms).map_err(link_failure)?;
                    let handed_over = users::handed_over(&arrived, &link);
                    for name in ["token", "link", "expires_at"] {
                        answer["admin"][name] = handed_over[name].clone();
                    }
                    act
                }
            };
            act.writes.extend(idempotency::remembered(key.as_ref(), &answer)?);
            Ok(act)
        });
        made.map(|tenant| (tenant, answer))
    };
    let (tenant, answer) = call.on_disk(make).await?.map_err(tenancy_problem)?;
    let mut reply = reply::json(StatusCode::CREATED, &answer);
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/tenants/{}", tenant.slug)) {
        reply.headers_mut().insert(LOCATION, place);
    }
    Ok(reply)
}

/// Why there is no link, in the words of the store, which cannot go on then.
fn link_failure(error: LinkError) -> StoreError {
    match error {
        LinkError::Store(store) => store,
        error => StoreError::Io { doing: "making a link", source: std::io::Error::other(error) },
    }
}

async fn get(call: Call) -> Answer {
    let tenant = call.addressed().await?;
    Ok(reply::json_known(call.request.headers(), &shown(&tenant)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "given")]
    display_name: Option<Option<String>>,
    audit_queries: Option<bool>,
    state: Option<WantedState>,
}

/// Where a tenant can be turned to.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WantedState {
    Active,
    Suspended,
}

/// Tells a member that is `null` from one that is not there.
fn given<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(member).map(Some)
}

async fn change(mut call: Call) -> Answer {
    let Change { display_name, audit_queries, state } = call.request.json().await?;
    let slug = call.addressed().await?.slug;
    let (seen, by) = (IfMatch::of(&call.request)?, call.by()?);
    if state.is_some() && !by.principal.permits(Permission::PlatformTenants) {
        let detail = "only an administrator of the platform suspends and resumes tenants";
        return Err(Problem::forbidden("forbidden", detail));
    }
    let state = state.map(|state| match state {
        WantedState::Active => TenantState::Active,
        WantedState::Suspended => TenantState::Suspended,
    });
    let display_name = match display_name {
        None => None,
        Some(None) => Some(None),
        Some(Some(text)) => Some(Some(read_display_name(&text)?)),
    };
    let change = TenantChange { display_name, audit_queries, state };
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let changed = call.on_disk(move || {
        let current = |tenant: &Tenant| seen.holds(&shown(tenant));
        server.identity.change_tenant(&server.tenancy, &slug, &change, current, &by, now_ms)
    });
    let changed = changed.await?.map_err(forget_problem)?;
    Ok(reply::json_tagged(StatusCode::OK, &shown(&changed)))
}

async fn remove(call: Call) -> Answer {
    let slug = call.addressed().await?.slug;
    let (seen, by) = (IfMatch::of(&call.request)?, call.by()?);
    let server = Arc::clone(&call.server);
    let removed = call.on_disk(move || {
        let current = |tenant: &Tenant| seen.holds(&shown(tenant));
        let waiting = (&server.clock, IN_USE_MAX);
        server.identity.delete_tenant(&server.tenancy, &slug, current, &by, waiting)
    });
    Ok(match removed.await?.map_err(forget_problem)? {
        Deletion::Done(_) => reply::no_content(),
        Deletion::Begun(tenant) => begun(&tenant),
    })
}

fn begun(tenant: &Tenant) -> Reply {
    reply::json(StatusCode::ACCEPTED, &shown(tenant))
}

fn password_problem(error: PasswordError) -> Problem {
    match error {
        PasswordError::Hash { .. } => Problem::internal(&error),
        error => Problem::invalid("/admin/password", "invalid_password", error.to_string()),
    }
}

/// Of a tenant that is made or changed here, with where it is wrong.
fn tenancy_problem(error: TenancyError) -> Problem {
    match error {
        TenancyError::Zone { .. } => {
            Problem::invalid("/time_zone", error.code(), error.to_string())
        }
        TenancyError::Stale => precondition::failed(error.code(), error.to_string()),
        error => error.into(),
    }
}

fn forget_problem(error: ForgetError) -> Problem {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        ForgetError::Tenancy(tenancy) => tenancy_problem(tenancy),
        ForgetError::LastPlatformAdministrator => Problem::new(StatusCode::CONFLICT, code, detail),
        ForgetError::Account(AccountError::Store(store))
        | ForgetError::Account(AccountError::Session(SessionError::Store(store)))
        | ForgetError::ApiKey(ApiKeyError::Store(store)) => Problem::of_store(&store),
        error => Problem::internal(&error),
    }
}
