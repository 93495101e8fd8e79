//! Which rows each role of a tenant sees (`docs/row-policies.md`).

use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::IfMatch;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::tenancy::permission::Permission;
use crate::tenancy::row_policy::{Counted, RoleSight, RowRules, Sight};
use crate::tenancy::scope::TenantScope;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/tenants/{slug}/row-policy",
        access: Access::With(Permission::TenantRead),
        handler: handler!(get),
        remembers: false,
        summary: "Which rows each role sees, and which its aggregates are over",
        describe: |operation| operation.answer(200, "The policy", policy()).refuses(&[404]),
    },
    Route {
        method: Method::PUT,
        path: "/api/v1/tenants/{slug}/row-policy",
        access: Access::With(Permission::TenantManage),
        handler: handler!(set),
        remembers: false,
        summary: "Has each role see other rows, from now on, in open connections too",
        describe: |operation: Operation| {
            let mut body = policy();
            body["required"] = json!([]);
            body["additionalProperties"] = false.into();
            operation
                .if_match()
                .body(&["application/json"], body)
                .answer(200, "The policy", policy())
                .refuses(&[404, 412, 413, 415, 422, 507])
        },
    },
];

fn policy() -> Value {
    let words = |words: &[&str]| json!({ "enum": words });
    let names: Vec<Value> =
        RowRules::PRESETS.iter().map(|(name, _)| json!(name)).chain([Value::Null]).collect();
    let mut role = schema::object(json!({
        "rows": words(&Sight::ALL.map(Sight::as_str)),
        "aggregates": words(&Counted::ALL.map(Counted::as_str)),
    }));
    role["additionalProperties"] = false.into();
    schema::object(json!({
        "preset": { "enum": names }, "viewer": role, "member": role, "manager": role,
    }))
}

fn shown(rules: &RowRules) -> Value {
    let RowRules { viewer, member, manager } = rules;
    json!({
        "preset": rules.preset_name(), "viewer": viewer, "member": member, "manager": manager,
    })
}

/// The tenant that the address names, which the caller may enter.
async fn entered(call: &Call) -> Result<TenantScope, Problem> {
    let (slug, principal) = (call.addressed().await?.slug, call.principal()?.clone());
    let tenancy = Arc::clone(&call.server.tenancy);
    Ok(call.on_disk(move || tenancy.enter(&principal, slug.as_str())).await??)
}

async fn get(call: Call) -> Answer {
    let (scope, tenancy) = (entered(&call).await?, Arc::clone(&call.server.tenancy));
    let rules = call.on_disk(move || tenancy.row_rules(scope.id()));
    Ok(reply::json_known(call.request.headers(), &shown(&rules.await??)))
}

/// A preset, or each role's sight; both where they say the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    preset: Option<String>,
    viewer: Option<RoleSight>,
    member: Option<RoleSight>,
    manager: Option<RoleSight>,
}

impl Wanted {
    fn rules(self) -> Result<RowRules, Problem> {
        let Self { preset, viewer, member, manager } = self;
        let preset = match preset {
            None => None,
            Some(name) => Some(RowRules::preset(&name).ok_or_else(|| {
                let known = RowRules::PRESETS.map(|(name, _)| format!("`{name}`")).join(" or ");
                Problem::invalid("/preset", "unknown_value", format!("must be {known}"))
            })?),
        };
        let role = |pointer: &str, given: Option<RoleSight>, of_preset: Option<RoleSight>| match (
            given, of_preset,
        ) {
            (Some(given), Some(other)) if given != other => {
                let detail = "the preset says otherwise: leave one of both out";
                Err(Problem::invalid(pointer, "contradiction", detail))
            }
            (Some(sight), _) | (None, Some(sight)) => Ok(sight),
            (None, None) => {
                let detail = "is needed where there is no `preset`";
                Err(Problem::invalid(pointer, "required", detail))
            }
        };
        Ok(RowRules {
            viewer: role("/viewer", viewer, preset.map(|preset| preset.viewer))?,
            member: role("/member", member, preset.map(|preset| preset.member))?,
            manager: role("/manager", manager, preset.map(|preset| preset.manager))?,
        })
    }
}

async fn set(mut call: Call) -> Answer {
    let rules = call.request.json::<Wanted>().await?.rules()?;
    let (seen, by) = (IfMatch::of(&call.request)?, call.by()?);
    let (scope, tenancy) = (entered(&call).await?, Arc::clone(&call.server.tenancy));
    let now_ms = call.server.clock.now_ms();
    let change = move || {
        let current = |rules: &RowRules| seen.holds(&shown(rules));
        tenancy.set_row_rules(scope.id(), rules, &by, current, now_ms)
    };
    let changed = call.on_disk(change).await??;
    Ok(reply::json_tagged(StatusCode::OK, &shown(&changed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<RowRules, &str>) {
        let wanted: Wanted = serde_json::from_str(body).unwrap();
        let found = wanted.rules().map_err(|problem| problem.code().to_owned());
        match expected {
            Ok(rules) => assert_eq!(found.ok(), Some(rules), "{body}"),
            Err(code) => assert_eq!(found.err().as_deref(), Some(code), "{body}"),
        }
    }

    #[test]
    fn a_policy_is_a_preset_or_what_each_role_sees() {
        check(r#"{"preset":"strict"}"#, Ok(RowRules::STRICT));
        check(r#"{"preset":"mild"}"#, Err("unknown_value"));
        check("{}", Err("required"));
        let own = r#"{"rows":"own","aggregates":"all"}"#;
        check(&format!(r#"{{"preset":"strict","member":{own}}}"#), Ok(RowRules::STRICT));
        check(&format!(r#"{{"preset":"strict","viewer":{own}}}"#), Err("contradiction"));
        let sight = RoleSight { rows: Sight::Own, aggregates: Counted::All };
        check(
            &format!(r#"{{"preset":null,"viewer":{own},"member":{own},"manager":{own}}}"#),
            Ok(RowRules { viewer: sight, member: sight, manager: sight }),
        );
        for rules in [RowRules::OPEN, RowRules::STRICT] {
            check(&shown(&rules).to_string(), Ok(rules));
        }
    }
}
