//! Errors as the contract tells them (RFC 9457): the one place that maps codes to statuses.

use super::fault::Fault;
use super::reply::{self, Reply};
use crate::identity::throttle::Refused;
use crate::intake::batch::{BatchRefused, RowError};
use crate::intake::decode::BodyError;
use crate::intake::writer::WriteError;
use crate::limits::{Limit, LimitError, Over};
use crate::model::limits::PROBLEMS_MAX;
use crate::model::problem::{body, writing};
use crate::query::QueryError;
use crate::runtime::pool::PoolError;
use crate::tenancy::registry::TenancyError;
use hyper::StatusCode;
use hyper::header::{
    ALLOW, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};
use serde::Serialize;
use std::borrow::Cow;
use storage::ask::AskError;
use storage::error::StoreError;

/// The media type of errors.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// When to come back, where nothing tells more exactly: some commits later.
const RETRY_AFTER_S: u64 = 1;

/// An error as it is answered.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    errors: Vec<Pointed>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether somebody may not, although the status does not say so.
    is_hidden_refusal: bool,
}

/// One of several things that are wrong, and where.
#[derive(Debug, Serialize)]
pub(super) struct Pointed {
    /// JSON pointer (RFC 6901); of a row in a batch, with the row's index in front.
    pub(super) pointer: String,
    pub(super) code: Cow<'static, str>,
    pub(super) detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Pointed]>::is_empty")]
    errors: &'a [Pointed],
}

impl Problem {
    /// `code` is a stable snake_case word, `detail` says what to do.
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let (code, detail) = (code.into(), detail.into());
        let (errors, headers) = (Vec::new(), Vec::new());
        Self { status, code, detail, errors, headers, is_hidden_refusal: false }
    }

    /// Whether it says that somebody may not, or not so often: auditors want to know.
    pub(super) fn is_refusal(&self) -> bool {
        let says_so = matches!(
            self.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        );
        says_so || self.is_hidden_refusal
    }

    /// The same answer for one who may not, and is not to learn whether there is anything.
    pub(super) fn hiding_a_refusal(mut self) -> Self {
        self.is_hidden_refusal = true;
        self
    }

    /// With where it is wrong.
    pub(super) fn at(
        mut self,
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        if self.errors.len() < PROBLEMS_MAX {
            let (pointer, code, detail) = (pointer.into(), code.into(), detail.into());
            self.errors.push(Pointed { pointer, code, detail });
        }
        self
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With when to come back.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Nothing has that address, or not for this caller.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} is not here"))
    }

    /// The address is right, the method is not.
    pub(super) fn method_not_allowed(allowed: &str) -> Self {
        let detail = format!("this address takes {allowed}");
        let allow = HeaderValue::from_str(allowed).unwrap_or(HeaderValue::from_static("GET"));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).header(ALLOW, allow)
    }

    /// Nobody, or nobody known, is asking.
    pub(super) fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"emx\""))
    }

    /// The caller is known and may not.
    pub(super) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// The request cannot be read.
    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The server cannot take it now.
    pub(super) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_S)
    }

    /// The caller, or its tenant, has as much as it may have at a time.
    pub(super) fn too_many(code: &'static str, detail: impl Into<String>, seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(seconds)
    }

    /// There were as many attempts as there may be in a window.
    pub(super) fn limited(refused: Refused) -> Self {
        let Refused { limit, retry_after_s } = refused;
        Self::new(StatusCode::TOO_MANY_REQUESTS, Refused::CODE, refused.to_string()).rate_limit(
            limit.into(),
            Some(Refused::WINDOW_S),
            retry_after_s,
        )
    }

    /// The tenant uses as much as it may.
    pub(super) fn over(over: &Over) -> Self {
        let status = match over.limit {
            Limit::Storage => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::TOO_MANY_REQUESTS,
        };
        let retry_after_s = over.retry_after.as_millis().div_ceil(1000).max(1);
        let retry_after_s = u64::try_from(retry_after_s).unwrap_or(u64::MAX);
        let refused = Self::new(status, over.code(), over.to_string());
        refused.rate_limit(over.most, over.window_s(), retry_after_s)
    }

    /// With what there may be, that nothing of it is left, and when there is something
    /// (draft-ietf-httpapi-ratelimit-headers-07); `window_s` is what it is counted in.
    fn rate_limit(self, limit: u64, window_s: Option<u64>, retry_after_s: u64) -> Self {
        let named = HeaderName::from_static;
        let limited = self
            .retry_after(retry_after_s)
            .header(named("ratelimit-limit"), HeaderValue::from(limit))
            .header(named("ratelimit-remaining"), HeaderValue::from(0))
            .header(named("ratelimit-reset"), HeaderValue::from(retry_after_s));
        let Some(window_s) = window_s else { return limited };
        let policy = HeaderValue::from_str(&format!("{limit};w={window_s}"));
        let policy = policy.unwrap_or(HeaderValue::from_static("0"));
        limited.header(named("ratelimit-policy"), policy)
    }

    /// The address speaks WebSocket alone.
    pub(super) fn upgrade_required() -> Self {
        let detail = "open a WebSocket here: version 13, over HTTP/1.1";
        let version = HeaderName::from_static("sec-websocket-version");
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail)
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(CONNECTION, HeaderValue::from_static("upgrade"))
            .header(version, HeaderValue::from_static("13"))
    }

    /// One wrong value in a request that can be read.
    pub(super) fn invalid(
        pointer: &str,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let (code, detail) = (code.into(), detail.into());
        let whole = format!("`{pointer}`: {detail}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code.clone(), whole).at(pointer, code, detail)
    }

    /// A parameter that means nothing here.
    pub(super) fn unknown_param(name: &str) -> Self {
        let name = crate::model::problem::excerpt(name);
        Self::invalid(
            &crate::model::problem::pointer("", &name),
            "unknown_field",
            "is not a parameter here",
        )
    }

    /// A fault of the server's own, whose cause is for the log alone.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        let detail = "the server failed; its log says why, under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The status that it is answered with.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable word.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// What to do.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// What is said beside it, such as when to come back.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// What is wrong and where, one by one.
    pub(super) fn errors(&self) -> &[Pointed] {
        &self.errors
    }

    /// The answer.
    pub(super) fn into_reply(self, request_id: &str) -> Reply {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: &self.code,
            request_id,
            errors: &self.errors,
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut reply = reply::bytes(self.status, PROBLEM_JSON, text);
        for (name, value) in self.headers {
            reply.headers_mut().insert(name, value);
        }
        reply
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Host(detail) => Self::bad_request("invalid_host", detail),
            Fault::Target => Self::bad_request("invalid_target", "the target is not a path"),
            Fault::HeadersTooLarge => Self::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
                "the headers are too long: send less in them",
            ),
            Fault::NotEncrypted => Self::forbidden(
                "not_encrypted",
                "this came to a proxy in the clear: ask by https, and have the proxy take nothing else",
            ),
            Fault::TransferEncoding => Self::new(
                StatusCode::NOT_IMPLEMENTED,
                "unsupported_transfer_encoding",
                "send the body with `Content-Length`, or `chunked` and in no other coding",
            ),
        }
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::unavailable(writing::BUSY, error.to_string()),
            PoolError::Panicked => Self::internal(&error),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match error.code() {
            body::BODY_TOO_LARGE | body::EXPANDS_TOO_MUCH | body::TOO_MANY_ROWS => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<BatchRefused> for Problem {
    fn from(error: BatchRefused) -> Self {
        let detail = error.to_string();
        let refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, BatchRefused::CODE, detail);
        error.errors.into_iter().fold(refused, |refused, row| {
            refused.at(format!("/{}{}", row.index, row.pointer), row.code, row.detail)
        })
    }
}

impl Problem {
    /// The one row of a request cannot be stored.
    pub(super) fn row_refused(errors: Vec<RowError>) -> Self {
        let first = errors.first();
        let code = first.map_or(BatchRefused::CODE, |first| first.code);
        let detail = first.map_or_else(String::new, |first| first.detail.clone());
        let refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        errors
            .into_iter()
            .fold(refused, |refused, row| refused.at(row.pointer, row.code, row.detail))
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match &error {
            WriteError::Busy { retry_after } => Self::unavailable(writing::BUSY, error.to_string())
                .retry_after(retry_after.as_secs()),
            WriteError::Stopping | WriteError::OutcomeUnknown => {
                Self::unavailable(error.code(), error.to_string())
            }
            WriteError::Store(store) => Self::of_store(store),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of_store(&error)
    }
}

impl Problem {
    /// A store's failure: what it says may name files, so a caller learns only what to do.
    pub(super) fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::DiskFull { .. } => {
                let detail = "the disk is full: nothing was lost, try again once there is space";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, writing::DISK_FULL, detail)
                    .retry_after(RETRY_AFTER_S)
            }
            StoreError::OutcomeUnknown { .. } => {
                tracing::warn!(%error, "the outcome of a write is unknown");
                let detail = "it is unknown whether this was stored: send the same again";
                Self::unavailable(writing::OUTCOME_UNKNOWN, detail)
            }
            StoreError::NewerFormat { .. } => {
                tracing::error!(%error, "a newer program wrote this");
                let detail =
                    "the tenant's data was written by a newer `emx`: only that one can read it";
                Self::unavailable("newer_format", detail)
            }
            error if error.is_transient() => {
                tracing::warn!(%error, "the store failed");
                Self::unavailable(writing::STORE_FAILED, "the store failed: try again")
            }
            error => Self::internal(error),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            QueryError::Malformed { .. } => Self::bad_request(code, detail),
            QueryError::Invalid { problems } => {
                let refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
                problems.into_iter().fold(refused, |refused, problem| {
                    refused.at(problem.pointer, problem.code, problem.detail)
                })
            }
            QueryError::Ask(AskError::Store(store)) => Self::of_store(&store),
            QueryError::Ask(AskError::TimeExceeded | AskError::MemoryExceeded { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
            }
            QueryError::Ask(AskError::Cancelled) => Self::unavailable(code, detail),
        }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        Self::from(QueryError::Ask(error))
    }
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Stale => {
                Self::new(StatusCode::PRECONDITION_FAILED, error.code(), error.to_string())
            }
            LimitError::Tenancy(tenancy) => tenancy.into(),
            LimitError::Store(store) => Self::of_store(&store),
        }
    }
}

impl From<TenancyError> for Problem {
    fn from(error: TenancyError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            TenancyError::Store(store) => Self::of_store(&store),
            TenancyError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, code, "there is no such tenant")
            }
            TenancyError::Stale => Self::new(StatusCode::PRECONDITION_FAILED, code, detail),
            TenancyError::Unnamed => Self::bad_request(code, detail),
            TenancyError::Suspended => Self::new(StatusCode::FORBIDDEN, code, detail),
            TenancyError::SlugTaken { .. }
            | TenancyError::Conflict { .. }
            | TenancyError::State { .. } => Self::new(StatusCode::CONFLICT, code, detail),
            TenancyError::Slug(_) | TenancyError::Zone { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
            }
        }
    }
}
