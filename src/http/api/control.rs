//! What commands on this machine have the server do, because it has the data open.

use crate::http::call::Call;
use crate::http::reply;
use crate::http::request::JSON_BYTES_MAX;
use crate::http::route::{Access, Answer, Route, handler};
use hyper::{Method, StatusCode};
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    method: Method::POST,
    path: "/control/act",
    access: Access::Local,
    handler: handler!(act),
    remembers: false,
    summary: "Does what a command asks for",
    describe: |operation| operation,
}];

async fn act(mut call: Call) -> Answer {
    let act = call.request.bytes(JSON_BYTES_MAX).await?;
    let control = Arc::clone(&call.server.control);
    Ok(match call.on_disk(move || control(&act)).await? {
        Ok(done) => reply::json(StatusCode::OK, &done),
        Err(told) => reply::json(StatusCode::UNPROCESSABLE_ENTITY, &told),
    })
}
