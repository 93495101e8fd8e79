//! Rows and answers as files, streamed (contract §4).

use crate::http::call::{Call, asked};
use crate::http::openapi::{Operation, schema};
use crate::http::problem::Problem;
use crate::http::reply::{self, Reply};
use crate::http::route::{Access, Answer, Route, handler};
use crate::query::rows::RowsQuestion;
use crate::query::{self, Question, render};
use crate::tenancy::permission::Permission;
use crate::tenancy::scope::TenantScope;
use crate::transfer::export::{ExportError, ExportFormat, export};
use bytes::Bytes;
use futures_util::Stream;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use storage::ask::AskError;
use storage::error::StoreError;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/api/v1/export",
    access: Access::With(Permission::Export),
    handler: handler!(get),
    remembers: false,
    summary: "Rows, or with `metrics` an answer, as a file",
    describe: |operation: Operation| {
        operation
            .param("format", schema::export_format(), "`ndjson` unless said otherwise")
            .question()
            .file(&["text/csv", "application/x-ndjson"], "The file")
            .refuses(&[400, 422, 503])
    },
}];

/// Bytes that are collected before they are sent on, and pieces that may wait for the peer.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_WAITING_MAX: usize = 4;

/// Longest time that a piece waits for the peer: a thread waits with it.
const UNREAD_MAX: Duration = Duration::from_secs(30);

async fn get(call: Call) -> Answer {
    let mut format = ExportFormat::Ndjson;
    let mut question = Vec::new();
    for (name, value) in call.request.params()? {
        match name.as_str() {
            "format" => format = format_of(&value)?,
            _ => question.push((name, value)),
        }
    }
    let scope = call.scope().await?;
    let is_question = question
        .iter()
        .any(|(name, _)| matches!(name.as_str(), "metrics" | "metric" | "group_by" | "bucket"));
    if is_question {
        let question = Question::from_params(question)?;
        tell(&call, &scope).await?;
        return answer(&call, scope, question, format).await;
    }
    let rows = RowsQuestion::from_params(question)?;
    if rows.cursor.is_some() || rows.seqs.is_some() {
        let detail = "an export has all rows of a range of time: leave out `cursor` and seqs";
        return Err(Problem::invalid("/cursor", "not_here", detail));
    }
    tell(&call, &scope).await?;
    stream(&call, scope, rows, format).await
}

/// Tells in the audit log what is taken out. To be called once the parameters are known to be those of
/// an export: what else a client may have put into its address, such as a token, is not for the log.
async fn tell(call: &Call, scope: &TenantScope) -> Result<(), Problem> {
    let by = call.by()?;
    let asked = call.request.query.as_deref().unwrap_or_default();
    let event = by.did("executions.export", String::new()).after(asked.into());
    call.tell_now_or_later(by.told(scope.id(), event)).await
}

fn format_of(text: &str) -> Result<ExportFormat, Problem> {
    ExportFormat::parse(text)
        .ok_or_else(|| Problem::invalid("/format", "invalid_value", "must be `csv` or `ndjson`"))
}

/// An answer is in memory already: it goes out whole.
async fn answer(
    call: &Call,
    scope: TenantScope,
    question: Question,
    format: ExportFormat,
) -> Answer {
    let server = Arc::clone(&call.server);
    let meter = call.meter(&scope);
    let computed = call.compute(&meter, move |budget| -> Result<Vec<u8>, Problem> {
        let clock = &server.clock;
        let answer = query::ask(&asked(&scope), &question, budget, &|| clock.instant())?;
        let mut text = Vec::new();
        let written = budget.turn(1)?.run(|| match format {
            ExportFormat::Csv => render::write_csv(&mut text, &answer.table),
            ExportFormat::Ndjson => render::write_ndjson(&mut text, &answer.table),
        });
        written.map_err(|error| Problem::internal(&error))?;
        Ok(text)
    });
    let text = computed.await??;
    let mut reply = reply::bytes(StatusCode::OK, "", text);
    name(&mut reply, format);
    Ok(reply)
}

/// Rows are read while they are sent. What goes wrong on the way cuts the stream, so that nobody
/// takes a part for the whole.
async fn stream(
    call: &Call,
    scope: TenantScope,
    rows: RowsQuestion,
    format: ExportFormat,
) -> Answer {
    let Some(selection) = rows.selection(&asked(&scope)) else {
        let mut reply = reply::bytes(StatusCode::OK, "", Bytes::new());
        name(&mut reply, format);
        return Ok(reply);
    };
    // A long export is no fault: its peer's silence ends it, and whatever keeps its caller out.
    let budget = call.meter(&scope).budget_without_end();
    let (server, seen) = (Arc::clone(&call.server), scope.clone());
    let lets_in = call.lets_in(Some(scope.id().clone()))?;
    let stands = move || lets_in() && server.tenancy.sees_the_same(&seen);
    let body = streamed(call, stands, Arc::clone(&budget.cancelled), move |out| {
        let written = export(&**scope.keyspace(), &selection, format, &budget, out, &mut |_| {});
        Ok(written.map(drop)?)
    });
    let body = body.await?;
    let mut reply = warp::reply::Reply::into_response(warp::reply::stream(body));
    name(&mut reply, format);
    Ok(reply)
}

/// Why what is streamed ended early.
pub(super) struct Ended(ExportError);

impl Ended {
    /// The store failed.
    pub(super) fn store(error: StoreError) -> Self {
        Self(AskError::Store(error).into())
    }
}

impl From<ExportError> for Ended {
    fn from(error: ExportError) -> Self {
        Self(error)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self(error.into())
    }
}

/// What `write` writes on a thread of its own, while it is sent, once there is a place for it. It is cut
/// where `stands` says no; `cancelled` is set once nobody reads it any more.
pub(super) async fn streamed(
    call: &Call,
    stands: impl Fn() -> bool + Send + 'static,
    cancelled: Arc<AtomicBool>,
    write: impl FnOnce(&mut Pieces) -> Result<(), Ended> + Send + 'static,
) -> Result<ExportBody, Problem> {
    // Who finds none is told so; once the answer has begun it could only be cut.
    let place = call.export_place().await?;
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING_MAX);
    // Whatever becomes of the export, its end is told by this one: a channel that merely closes would
    // look like the end of the file.
    let end = pieces.clone();
    let server = Arc::clone(&call.server);
    call.server.tasks.spawn(async move {
        let here = Handle::current();
        let work = move || {
            let piece = Vec::with_capacity(PIECE_BYTES);
            let mut out = Pieces { pieces, here, piece, stands: Box::new(stands) };
            let written = write(&mut out);
            match written.and_then(|()| Ok(out.flush()?)) {
                Ok(()) => {}
                Err(Ended(error)) => out.fail(&error),
            }
        };
        if let Err(error) = server.exports.run_taken(place, work).await {
            tracing::warn!(%error, "an export did not run");
            let _nobody_reads = end.send(Err(io::Error::other("the export did not run"))).await;
        }
    });
    Ok(ExportBody { waiting, cancelled })
}

/// What is streamed, as a file.
pub(super) fn file_reply(
    body: ExportBody,
    content_type: &'static str,
    disposition: &'static str,
) -> Reply {
    let mut reply = warp::reply::Reply::into_response(warp::reply::stream(body));
    name_as(&mut reply, content_type, disposition);
    reply
}

/// Says what the file is and how to call it.
fn name(reply: &mut Reply, format: ExportFormat) {
    let (content_type, disposition) = match format {
        ExportFormat::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"executions.csv\""),
        ExportFormat::Ndjson => {
            ("application/x-ndjson", "attachment; filename=\"executions.ndjson\"")
        }
    };
    name_as(reply, content_type, disposition);
}

fn name_as(reply: &mut Reply, content_type: &'static str, disposition: &'static str) {
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

type Piece = Result<Bytes, io::Error>;

/// Cuts what is written into pieces, and waits for the peer where too many are on the way.
pub(super) struct Pieces {
    pieces: mpsc::Sender<Piece>,
    here: Handle,
    piece: Vec<u8>,
    /// Whether it may still be sent: asked of each piece.
    stands: Box<dyn Fn() -> bool>,
}

impl Pieces {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        let sent = self.here.block_on(timeout(UNREAD_MAX, self.pieces.send(piece)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn fail(mut self, error: &ExportError) {
        let gone = match error {
            ExportError::Write(error) => error.kind() == io::ErrorKind::BrokenPipe,
            ExportError::Ask(error) => matches!(error, AskError::Cancelled),
        };
        if !gone {
            tracing::warn!(%error, "an export ended early");
            let _nobody_reads = self.send(Err(io::Error::other("the export ended early")));
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        if !(self.stands)() {
            return Err(io::Error::other("whoever asked may see it no more"));
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.send(Ok(piece.into()))
    }
}

/// The pieces as a body. Dropped before its end, it cancels the export.
pub(super) struct ExportBody {
    waiting: mpsc::Receiver<Piece>,
    cancelled: Arc<AtomicBool>,
}

impl Stream for ExportBody {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.waiting.poll_recv(cx)
    }
}

impl Drop for ExportBody {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
