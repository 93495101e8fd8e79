//! Executions in, and rows out (contract §3).

use crate::http::call::{Call, asked};
use crate::http::idempotency;
use crate::http::openapi::schema;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::intake::batch::{BatchReport, Prepared, RowError, prepare};
use crate::intake::decode::{Body, DecodeLimits, Decoded, Encoding, Format, Shape, decode_counted};
use crate::model::limits::BODY_BYTES_MAX;
use crate::model::problem::body;
use crate::process::admit::Arrival;
use crate::query::QueryError;
use crate::query::render::{write_execution, write_page};
use crate::query::rows::{self, RowsQuestion};
use crate::runtime::pool::PoolError;
use crate::tenancy::permission::Permission;
use crate::tenancy::scope::TenantScope;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use storage::engine::Appended;
use tokio::sync::oneshot;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/api/v1/executions",
        access: Access::With(Permission::ExecutionsWrite),
        handler: handler!(create),
        remembers: true,
        summary: "Stores one execution",
        describe: |operation| {
            operation
                .header("Idempotency-Key", "Makes sending the same again harmless for 24 hours")
                .body(&["application/json", "application/msgpack"], schema::execution())
                .answer(
                    201,
                    "It is stored, was stored before, or is in quarantine",
                    schema::created(),
                )
                .refuses(&[400, 409, 413, 415, 422, 429, 503, 507])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/executions/batch",
        access: Access::With(Permission::ExecutionsWrite),
        handler: handler!(create_batch),
        remembers: true,
        summary: "Stores many executions",
        describe: |operation| {
            operation
                .header("Idempotency-Key", "Makes sending the same again harmless for 24 hours")
                .param("atomic", schema::boolean(), "All or nothing; else each row on its own")
                .body(
                    &["application/json", "application/x-ndjson", "application/msgpack"],
                    schema::executions(),
                )
                .answer(200, "What became of the rows", schema::batch_report())
                .refuses(&[400, 409, 413, 415, 422, 429, 503, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/executions",
        access: Access::With(Permission::ExecutionsRead),
        handler: handler!(list),
        remembers: false,
        summary: "Raw rows, newest first or by seq",
        describe: |operation| {
            operation
                .range()
                .param("from_seq", schema::seq(), "First seq; rows then come by seq")
                .param("to_seq", schema::seq(), "Last seq")
                .filters()
                .page(rows::PAGE_MAX)
                .answer(200, "A page of rows", schema::page(schema::execution()))
                .refuses(&[400, 422, 503])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/executions/{id}",
        access: Access::With(Permission::ExecutionsRead),
        handler: handler!(get),
        remembers: false,
        summary: "One row by its id, the newest of it unless `ts` selects another",
        describe: |operation| {
            operation
                .param("ts", schema::time(), "Which of the rows with this id")
                .answer(200, "The row", schema::execution())
                .refuses(&[400, 404, 422, 503])
        },
    },
];

/// Body of up to so many bytes is decoded where it arrived: that takes less time than handing it
/// over and back (about 70 µs).
const INLINE_BYTES_MAX: usize = 32 << 10;

/// Largest body of one execution.
const ONE_BYTES_MAX: usize = 1 << 20;

/// Where rows come from that arrive here.
const ORIGIN: &str = "api";

async fn create(mut call: Call) -> Answer {
    let body = body_of(&call, Shape::One)?;
    let limits = DecodeLimits { body_bytes_max: ONE_BYTES_MAX, ..DecodeLimits::default() };
    call.demand_intake().await?;
    let bytes = call.request.bytes(ONE_BYTES_MAX).await?;
    let scope = call.scope().await?;
    let entered = idempotency::enter(&call, &scope, &bytes).await?;
    let key = match entered {
        idempotency::Entered::Before(answer) => return Ok(answer),
        idempotency::Entered::Now(key) => key,
    };
    let arrival = arrival(&call);
    let decode = move |bytes: &[u8], breathe: &mut dyn FnMut()| {
        decode_counted(bytes, body, arrival, &limits, breathe)
    };
    let (count, decoded) = decode_off_thread(&call, &scope, bytes, body, decode).await?;
    call.take_in(&scope, count).await?;
    let decoded: Decoded = decoded?;
    if let Some(refused) = decoded.refused.first()
        && !refused.is_quarantined()
    {
        let problems = refused.problems.iter().cloned();
        return Err(Problem::row_refused(problems.map(|p| RowError::of(0, p)).collect()));
    }
    let id = (decoded.rows.len > 0).then(|| decoded.rows.ids.get(0).to_string());
    let mut prepared = prepare(decoded, arrival, false)?;
    let say = move |report: &BatchReport| one_answer(id.as_deref(), report);
    let say = Arc::new(say);
    if let Some(key) = &key {
        let (ledger, say) = (prepared.ledger.clone(), Arc::clone(&say));
        prepared.append.receipt = Some(key.receipt(move |appended| {
            let report = ledger.clone().settle(appended).ok()?;
            (report.rejected == 0).then(|| (StatusCode::CREATED, say(&report)))
        }));
    }
    let report = write(&call, &scope, prepared, key).await?;
    if report.rejected > 0 {
        return Err(Problem::row_refused(report.errors));
    }
    Ok(reply::json(StatusCode::CREATED, &say(&report)))
}

/// What the sender of one execution is told.
fn one_answer(id: Option<&str>, report: &BatchReport) -> Value {
    let outcome = match (report.accepted, report.duplicates) {
        (0, 0) => "quarantined",
        (0, _) => "duplicate",
        _ => "accepted",
    };
    let mut answer = json!({ "id": id, "seq": report.first_seq, "outcome": outcome });
    if !report.errors.is_empty() {
        answer["errors"] = json!(report.errors);
    }
    if !report.warnings.is_empty() {
        answer["warnings"] = json!(report.warnings);
    }
    answer
}

async fn create_batch(mut call: Call) -> Answer {
    let body = body_of(&call, Shape::Many)?;
    let atomic = atomic_param(&call)?;
    call.demand_intake().await?;
    let bytes = call.request.bytes(BODY_BYTES_MAX).await?;
    let scope = call.scope().await?;
    let key = match idempotency::enter(&call, &scope, &bytes).await? {
        idempotency::Entered::Before(answer) => return Ok(answer),
        idempotency::Entered::Now(key) => key,
    };
    let arrival = arrival(&call);
    let prepare = move |bytes: &[u8], breathe: &mut dyn FnMut()| {
        let limits = DecodeLimits::default();
        let (count, decoded) = decode_counted(bytes, body, arrival, &limits, breathe);
        (count, decoded.map(|decoded| prepare(decoded, arrival, atomic)))
    };
    let (count, prepared) = decode_off_thread(&call, &scope, bytes, body, prepare).await?;
    call.take_in(&scope, count).await?;
    let mut prepared: Prepared = prepared??;
    if let Some(key) = &key {
        let ledger = prepared.ledger.clone();
        prepared.append.receipt = Some(key.receipt(move |appended| {
            let report = ledger.clone().settle(appended).ok()?;
            Some((StatusCode::OK, serde_json::to_value(&report).ok()?))
        }));
    }
    let report = write(&call, &scope, prepared, key).await?;
    Ok(reply::json(StatusCode::OK, &report))
}

fn atomic_param(call: &Call) -> Result<bool, Problem> {
    let params = call.request.params()?;
    let mut atomic = false;
    for (name, value) in &params {
        match (name.as_str(), value.as_str()) {
            ("atomic", "true" | "1" | "") => atomic = true,
            ("atomic", "false" | "0") => atomic = false,
            ("atomic", _) => {
                return Err(Problem::invalid(
                    "/atomic",
                    "invalid_value",
                    "must be `true` or `false`",
                ));
            }
            (name, _) => return Err(Problem::unknown_param(name)),
        }
    }
    Ok(atomic)
}

fn body_of(call: &Call, shape: Shape) -> Result<Body, Problem> {
    let content_type = call.request.text_header("content-type")?.unwrap_or_default();
    let format = Format::of(content_type).filter(|f| shape == Shape::Many || *f != Format::Ndjson);
    let format = format.ok_or_else(|| {
        let detail = match shape {
            Shape::One => "send `application/json` or `application/msgpack`",
            Shape::Many => {
                "send `application/json`, `application/x-ndjson` or `application/msgpack`"
            }
        };
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, body::UNSUPPORTED_MEDIA_TYPE, detail)
    })?;
    let encoding = call.request.text_header("content-encoding")?.unwrap_or_default();
    let encoding = Encoding::of(encoding).ok_or_else(|| {
        let detail = "compress the body with `gzip` or `zstd`, once, or not at all";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, body::UNSUPPORTED_ENCODING, detail)
    })?;
    Ok(Body { format, encoding, shape })
}

fn arrival(call: &Call) -> Arrival<'static> {
    Arrival { received_ms: call.server.clock.now_ms(), origin: ORIGIN, retention_ms: None }
}

/// What `decode` makes of the bytes of a body; of large ones elsewhere, in turns.
async fn decode_off_thread<R: Send + 'static>(
    call: &Call,
    scope: &TenantScope,
    bytes: Bytes,
    body: Body,
    decode: impl FnOnce(&[u8], &mut dyn FnMut()) -> R + Send + 'static,
) -> Result<R, PoolError> {
    let meter = call.meter(scope);
    if bytes.len() <= INLINE_BYTES_MAX && body.encoding == Encoding::Identity {
        meter.decoding().show(call.server.clock.instant());
        return Ok(decode(&bytes, &mut || {}));
    }
    let counting = Arc::clone(&meter);
    let work = move || counting.decoding().in_turns(|breathe| decode(&bytes, breathe));
    call.server.decoders.run_within(&meter.body_places, work).await
}

/// Appends, and waits until that is on stable storage. `key` is held until then, also where nobody
/// waits any more: whoever sends the same again meanwhile must not be let in.
async fn write(
    call: &Call,
    scope: &TenantScope,
    Prepared { append, ledger }: Prepared,
    key: Option<idempotency::Key>,
) -> Result<BatchReport, Problem> {
    let nothing = append.rows.len == 0 && append.writes.is_empty() && append.receipt.is_none();
    if nothing {
        return Ok(ledger.settle(&Appended { outcomes: Vec::new(), seqs: None })?);
    }
    let (tell, told) = oneshot::channel();
    let on_written = Box::new(move |written| {
        drop(key);
        let _nobody_waits = tell.send(written);
    });
    let keyspace = Arc::clone(scope.keyspace());
    call.server.writers.submit(scope.id().as_arc(), keyspace, append, on_written)?;
    let appended = told.await.map_err(|error| Problem::internal(&error))??;
    Ok(ledger.settle(&appended)?)
}

async fn list(call: Call) -> Answer {
    let question = RowsQuestion::from_params(call.request.params()?)?;
    let scope = call.scope().await?;
    call.tell_of_reading(&scope, "executions.read", || wanted_rows(&call)).await?;
    let meter = call.meter(&scope);
    let text = call
        .compute(&meter, move |budget| {
            let page = rows::page(&asked(&scope), &question, budget)?;
            let mut text = Vec::new();
            // Writing to memory does not fail.
            let _written = write_page(&mut text, &page);
            Ok::<_, QueryError>(text)
        })
        .await??;
    Ok(reply::tagged(call.request.headers(), reply::JSON, text))
}

/// Which rows are asked for, whatever their page: the parameters as they were sent, all known by now.
fn wanted_rows(call: &Call) -> String {
    let params = call.request.query.as_deref().unwrap_or_default().split('&');
    params.filter(|param| !param.starts_with("cursor=")).collect::<Vec<_>>().join("&")
}

async fn get(call: Call) -> Answer {
    let mut ts_ms = None;
    for (name, value) in call.request.params()? {
        match name.as_str() {
            "ts" => ts_ms = Some(rows::time_param("/ts", &value)?),
            name => return Err(Problem::unknown_param(name)),
        }
    }
    let (scope, id) = (call.scope().await?, call.param("id").to_owned());
    call.tell_of_reading(&scope, "executions.read", || format!("id={id}")).await?;
    let meter = call.meter(&scope);
    let text = call
        .compute(&meter, move |budget| {
            budget.turn(1)?.run(|| {
                let Some((batch, row)) = rows::by_id(&asked(&scope), &id, ts_ms)? else {
                    return Ok(None);
                };
                let mut text = Vec::new();
                let _written = write_execution(&mut text, &batch, row);
                Ok::<_, QueryError>(Some(text))
            })
        })
        .await??;
    let text = text.ok_or_else(|| Problem::not_found("an execution with this id"))?;
    Ok(reply::tagged(call.request.headers(), reply::JSON, text))
}
