//! Asking (contract §4).

use crate::http::call::{Call, asked};
use crate::http::openapi::{Operation, schema};
use crate::http::reply;
use crate::http::request::{JSON_BYTES_MAX, without_spaces};
use crate::http::route::{Access, Answer, Route, handler};
use crate::query::render::write_json;
use crate::query::{self, Freshness, QueryError, Question};
use crate::runtime::clock::Clock;
use crate::tenancy::permission::Permission;
use crate::tenancy::scope::TenantScope;
use hyper::header::CACHE_CONTROL;
use hyper::{Method, StatusCode};
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/api/v1/query",
        access: Access::With(Permission::Query),
        handler: handler!(post),
        remembers: false,
        summary: "Answers a question about executions",
        describe: |operation: Operation| {
            operation
                .body(&["application/json"], schema::question())
                .answer(200, "The answer", schema::answer())
                .refuses(&[400, 413, 415, 422, 503])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/query",
        access: Access::With(Permission::Query),
        handler: handler!(get),
        remembers: false,
        summary: "Answers a question that is written as parameters",
        describe: |operation: Operation| {
            operation
                .question()
                .answer(200, "The answer", schema::answer())
                .refuses(&[400, 422, 503])
        },
    },
];

async fn post(mut call: Call) -> Answer {
    call.request.expect_json()?;
    let bytes = call.request.bytes(JSON_BYTES_MAX).await?;
    let question = Question::from_json(&bytes)?;
    let scope = call.scope().await?;
    call.tell_of_question(&scope, || without_spaces(&bytes)).await?;
    answer(call, scope, question).await
}

async fn get(call: Call) -> Answer {
    let question = Question::from_params(call.request.params()?)?;
    let scope = call.scope().await?;
    call.tell_of_question(&scope, || call.request.query.clone().unwrap_or_default()).await?;
    answer(call, scope, question).await
}

/// Cells of an answer that is written where it was asked for: more take too long for an async thread.
const INLINE_CELLS_MAX: usize = 500;

async fn answer(call: Call, scope: TenantScope, question: Question) -> Answer {
    let freshness = freshness(&call);
    let server = Arc::clone(&call.server);
    let mut kept = None;
    if freshness == Freshness::Cached {
        kept = server.answers.kept(&asked(&scope), &question, &|| server.clock.instant())?;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.table.cells.len() <= INLINE_CELLS_MAX)
        {
            return Ok(reply::bytes(StatusCode::OK, reply::JSON, text_of(kept)));
        }
    }
    let meter = call.meter(&scope);
    let text = call.compute(&meter, move |budget| -> Result<Vec<u8>, QueryError> {
        if let Some(kept) = kept {
            return Ok(budget.turn(1)?.run(|| text_of(&kept)));
        }
        let clock: &Clock = &server.clock;
        let answers = &server.answers;
        let answer =
            answers.ask(&asked(&scope), &question, budget, &|| clock.instant(), freshness)?;
        Ok(budget.turn(1)?.run(|| text_of(&answer)))
    });
    let text = text.await??;
    Ok(reply::bytes(StatusCode::OK, reply::JSON, text))
}

/// About how long a cell is as text, and all that is not cells: room that is taken beforehand.
const CELL_BYTES: usize = 16;
const ENVELOPE_BYTES: usize = 512;

fn text_of(answer: &query::Answer) -> Vec<u8> {
    let mut text = Vec::with_capacity(answer.table.cells.len() * CELL_BYTES + ENVELOPE_BYTES);
    // Writing to memory does not fail.
    let _written = write_json(&mut text, answer);
    text
}

/// What the caller's `Cache-Control` (RFC 9111 §5.2.1) says of kept answers.
fn freshness(call: &Call) -> Freshness {
    let values = call.request.headers().get_all(CACHE_CONTROL).iter();
    let mut directives =
        values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let bypass = directives.any(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("no-cache") || name.eq_ignore_ascii_case("no-store")
    });
    if bypass { Freshness::Computed } else { Freshness::Cached }
}
