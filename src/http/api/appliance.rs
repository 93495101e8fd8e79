//! The appliance itself (contract §8): is it well, what does it count, what can it do.

use crate::http::call::Call;
use crate::http::measures::Gauges;
use crate::http::openapi;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::tenancy::permission::Permission;
use hyper::{Method, StatusCode};
use serde_json::json;
use std::sync::{Arc, LazyLock};

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/healthz",
        access: Access::Public,
        handler: handler!(alive),
        remembers: false,
        summary: "Whether the process answers",
        describe: |operation| {
            let status = openapi::schema::object(json!({ "status": { "const": "ok" } }));
            operation.answer(200, "It does", status)
        },
    },
    Route {
        method: Method::GET,
        path: "/readyz",
        access: Access::Public,
        handler: handler!(ready),
        remembers: false,
        summary: "Whether rows can be stored and questions answered",
        describe: |operation| {
            let status = openapi::schema::object(json!({ "status": { "const": "ready" } }));
            operation.answer(200, "They can", status).refuses(&[503, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/metrics",
        access: Access::With(Permission::MetricsRead),
        handler: handler!(metrics),
        remembers: false,
        summary: "Counters of the server and of the caller's tenant",
        describe: |operation| {
            operation.file(&["application/openmetrics-text"], "OpenMetrics 1.0 text")
        },
    },
    Route {
        method: Method::GET,
        path: "/ca.pem",
        access: Access::Public,
        handler: handler!(ca),
        remembers: false,
        summary: "The certificate of the local authority",
        describe: |operation| {
            operation.file(&["application/x-pem-file"], "One PEM certificate").refuses(&[404])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/openapi.json",
        access: Access::Public,
        handler: handler!(contract),
        remembers: false,
        summary: "This document",
        describe: |operation| operation.answer(200, "OpenAPI 3.1", json!({ "type": "object" })),
    },
];

async fn alive(_: Call) -> Answer {
    Ok(reply::json(StatusCode::OK, &json!({ "status": "ok" })))
}

async fn ready(call: Call) -> Answer {
    if call.server.tasks.is_stopping() {
        return Err(Problem::unavailable("stopping", "the server is stopping"));
    }
    let tenancy = Arc::clone(&call.server.tenancy);
    call.on_disk(move || tenancy.check_ready()).await??;
    Ok(reply::json(StatusCode::OK, &json!({ "status": "ready" })))
}

async fn metrics(call: Call) -> Answer {
    let scope = call.scope().await?;
    let (keyspace, meter) = (Arc::clone(scope.keyspace()), call.meter(&scope));
    let stats = call.on_disk(move || keyspace.stats()).await??;
    let server = &call.server;
    let (connections, refused) = server.connections.counts();
    let set = |gauges: &Gauges| {
        gauges.connections.set(connections as i64);
        gauges.connections_refused.set(refused as i64);
        gauges.watchers.set(server.live.len() as i64);
        gauges.feed_bytes.set(stats.feed_bytes as i64);
        gauges.rows.set(stats.rows as i64);
        gauges.unsealed_rows.set(stats.unsealed_rows as i64);
        gauges.file_bytes.set(stats.file_bytes as i64);
        gauges.waiting_bytes.set(server.writers.held_bytes() as i64);
        gauges.certificate_expiry.set(server.certificates.info().not_after_ms / 1000);
    };
    let text = server.measures.text(set, &meter.latencies.counted());
    let text = text.map_err(|error| Problem::internal(&error))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(reply::bytes(StatusCode::OK, content_type, text))
}

async fn ca(call: Call) -> Answer {
    let pem = call.server.certificates.ca_pem();
    let pem = pem.ok_or_else(|| Problem::not_found("a local authority"))?;
    Ok(reply::bytes(StatusCode::OK, "application/x-pem-file", pem.as_bytes().to_vec()))
}

async fn contract(call: Call) -> Answer {
    static TEXT: LazyLock<Vec<u8>> =
        LazyLock::new(|| serde_json::to_vec(openapi::document()).unwrap_or_default());
    Ok(reply::tagged(call.request.headers(), reply::JSON, TEXT.clone()))
}
