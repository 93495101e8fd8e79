//! The table of roles and permissions, as it stands in the program (contract §5).

use crate::http::call::Call;
use crate::http::openapi::schema;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::tenancy::permission::{Permission, Role};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/api/v1/roles",
    access: Access::Known,
    handler: handler!(list),
    remembers: false,
    summary: "What each role may do: the same in every tenant",
    describe: |operation| {
        let roles = || json!({ "type": "array", "items": schema::text() });
        let permission = schema::object(json!({ "permission": schema::text(), "roles": roles() }));
        let table = schema::object(json!({
            "roles": roles(),
            "permissions": { "type": "array", "items": permission },
        }));
        operation.answer(200, "The roles, and which of them hold each permission", table)
    },
}];

async fn list(call: Call) -> Answer {
    call.principal()?;
    Ok(reply::json(StatusCode::OK, &table()))
}

/// The roles from the one that may least on, and the permissions in their order. What no role holds
/// has none.
fn table() -> Value {
    let permissions: Vec<Value> = Permission::all()
        .map(|permission| {
            let holders = Role::ALL.into_iter().filter(|role| role.permits(permission));
            let holders: Vec<&str> = holders.map(Role::as_str).collect();
            json!({ "permission": permission, "roles": holders })
        })
        .collect();
    json!({ "roles": Role::ALL.map(Role::as_str), "permissions": permissions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_who_holds_what() {
        let table = table();
        let holders = |word: &str| {
            let rows = table["permissions"].as_array().unwrap();
            let row = rows.iter().find(|row| row["permission"] == word).unwrap();
            row["roles"].clone()
        };
        assert_eq!(table["roles"][0], "ingest");
        assert_eq!(table["permissions"].as_array().unwrap().len(), Permission::all().count());
        assert_eq!(holders("users.manage"), json!(["admin", "owner"]));
        assert_eq!(
            holders("executions.write"),
            json!(["ingest", "member", "manager", "admin", "owner"])
        );
        assert_eq!(holders("platform.tenants"), json!([]));
    }
}
