//! The contract as OpenAPI 3.1, made of the route table.

mod operation;
pub(super) mod schema;

pub(super) use operation::Operation;

use super::route::{Access, Route, all};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The document.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
    &DOCUMENT
}

fn make() -> Value {
    let mut paths = Map::new();
    for route in described() {
        let operations = paths.entry(route.path).or_insert_with(|| json!({}));
        operations[route.method.as_str().to_ascii_lowercase()] = operation_of(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "External Metrics",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Command metrics per tenant: executions in, answers out, live. Times are \
                RFC 3339 or Unix milliseconds in, RFC 3339 in UTC out. Errors are \
                `application/problem+json` with a stable `code`.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "An access token of `/api/v1/auth/login`, or an API key `emx_…`",
                },
                "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
            },
            "schemas": schema::components(),
        },
    })
}

/// What is for everybody to see.
fn described() -> impl Iterator<Item = &'static Route> {
    all().filter(|route| route.access != Access::Local)
}

fn operation_of(route: &'static Route) -> Value {
    let base = Operation::new(route.path);
    let mut operation = (route.describe)(base);
    match route.access {
        Access::Public => operation = operation.public(),
        Access::Local => {}
        Access::Known | Access::Leaving => operation = operation.refuses(&[401]),
        Access::With(permission) => {
            let note = format!("Needs the permission `{permission}`.");
            operation = operation.refuses(&[401, 403]).note(&note);
        }
    }
    operation.finish(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `each` with every `$ref` in `value`.
    fn references(value: &Value, each: &mut impl FnMut(&str)) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(target) if name == "$ref" => each(target),
                        other => references(other, each),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, each)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_is_there_and_every_operation_has_its_own_name() {
        let document = document();
        references(document, &mut |target| {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        });
        let mut names = Vec::new();
        for path in document["paths"].as_object().unwrap().values() {
            for operation in path.as_object().unwrap().values() {
                names.push(operation["operationId"].as_str().unwrap().to_owned());
            }
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), described().count()), (count, count));
    }
}
