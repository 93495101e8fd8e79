//! The shapes of bodies, as JSON Schema 2020-12.

use crate::model::limits::{
    BATCH_ROWS_MAX, COMMAND_BYTES_MAX, DURATION_MS_MAX, ID_BYTES_MAX, LABELS_MAX, TEXT_BYTES_MAX,
    VALUES_MAX, WORD_BYTES_MAX,
};
use serde_json::{Value, json};

/// The shapes that several operations share.
pub(super) fn components() -> Value {
    json!({
        "problem": problem(),
        "execution": the_execution(),
        "question": the_question(),
        "answer": the_answer(),
        "row_error": row_error(),
        "warning": warning(),
        "session": the_session(),
    })
}

/// A reference to one of them.
pub(in crate::http) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(in crate::http) fn execution() -> Value {
    reference("execution")
}

pub(in crate::http) fn executions() -> Value {
    json!({ "type": "array", "items": execution(), "maxItems": BATCH_ROWS_MAX })
}

pub(in crate::http) fn question() -> Value {
    reference("question")
}

pub(in crate::http) fn answer() -> Value {
    reference("answer")
}

pub(in crate::http) fn session() -> Value {
    reference("session")
}

pub(super) fn path_part() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

pub(in crate::http) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(in crate::http) fn text() -> Value {
    json!({ "type": "string" })
}

pub(in crate::http) fn seq() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(in crate::http) fn export_format() -> Value {
    json!({ "enum": ["csv", "ndjson"] })
}

/// A time as it may be sent.
pub(in crate::http) fn time() -> Value {
    json!({ "anyOf": [
        { "type": "string", "format": "date-time" },
        { "type": "integer", "description": "Unix milliseconds" },
    ]})
}

/// A time as it is answered.
pub(in crate::http) fn time_out() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(in crate::http) fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// An object whose members are all there.
pub(in crate::http) fn object(members: Value) -> Value {
    let required: Vec<&String> = members.as_object().into_iter().flat_map(|m| m.keys()).collect();
    let required = json!(required);
    json!({ "type": "object", "properties": members, "required": required })
}

pub(in crate::http) fn page(item: Value) -> Value {
    object(json!({
        "items": { "type": "array", "items": item },
        "next_cursor": nullable(text()),
    }))
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457",
        "properties": {
            "type": text(),
            "title": text(),
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "One sentence that says what to do" },
            "code": { "type": "string", "pattern": "^[a-z0-9_]+$" },
            "request_id": text(),
            "errors": { "type": "array", "maxItems": 100, "items": object(json!({
                "pointer": { "type": "string", "description": "JSON pointer (RFC 6901)" },
                "code": text(),
                "detail": text(),
            }))},
        },
        "required": ["type", "title", "status", "detail", "code", "request_id"],
    })
}

fn word(bytes_max: usize) -> Value {
    json!({ "type": ["string", "null"], "maxLength": bytes_max })
}

fn the_execution() -> Value {
    json!({
        "type": "object",
        "description": "One run of one command. Lengths are bytes of UTF-8.",
        "properties": {
            "id": { "type": ["string", "null"], "minLength": 1, "maxLength": ID_BYTES_MAX },
            "seq": { "type": "integer", "readOnly": true },
            "ts": time(),
            "command": { "type": "string", "minLength": 1, "maxLength": COMMAND_BYTES_MAX },
            "command_line": word(TEXT_BYTES_MAX),
            "user_id": word(WORD_BYTES_MAX),
            "team_id": word(WORD_BYTES_MAX),
            "project_id": word(WORD_BYTES_MAX),
            "session_id": word(WORD_BYTES_MAX),
            "host": word(WORD_BYTES_MAX),
            "duration_ms": { "type": ["number", "null"], "minimum": 0, "maximum": DURATION_MS_MAX },
            "exit_code": { "type": ["integer", "null"] },
            "status": { "enum": ["success", "failure", "timeout", "cancelled", "unknown", null] },
            "actor": { "enum": ["human", "ci", "agent", "unknown", null] },
            "error": word(TEXT_BYTES_MAX),
            "labels": {
                "type": ["object", "null"], "maxProperties": LABELS_MAX,
                "additionalProperties": { "type": "string", "maxLength": WORD_BYTES_MAX },
            },
            "values": {
                "type": ["object", "null"], "maxProperties": VALUES_MAX,
                "additionalProperties": { "type": "number" },
            },
        },
        "required": ["command"],
    })
}

fn row_error() -> Value {
    object(json!({
        "index": { "type": "integer", "description": "Which row, from 0" },
        "code": text(),
        "detail": text(),
        "pointer": text(),
    }))
}

fn warning() -> Value {
    object(json!({
        "code": text(),
        "pointer": text(),
        "index": { "type": "integer" },
        "rows": { "type": "integer" },
    }))
}

pub(in crate::http) fn created() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": nullable(text()),
            "seq": nullable(seq()),
            "outcome": { "enum": ["accepted", "duplicate", "quarantined"] },
            "errors": { "type": "array", "items": reference("row_error") },
            "warnings": { "type": "array", "items": reference("warning") },
        },
        "required": ["id", "seq", "outcome"],
    })
}

pub(in crate::http) fn batch_report() -> Value {
    let count = || json!({ "type": "integer", "minimum": 0 });
    object(json!({
        "accepted": count(),
        "duplicates": count(),
        "quarantined": count(),
        "rejected": count(),
        "first_seq": nullable(seq()),
        "last_seq": nullable(seq()),
        "errors": { "type": "array", "maxItems": 100, "items": reference("row_error") },
        "warnings": { "type": "array", "items": reference("warning") },
    }))
}

pub(in crate::http) fn quarantined() -> Value {
    object(json!({
        "id": text(),
        "received_at": time_out(),
        "origin": text(),
        "code": text(),
        "pointer": text(),
        "detail": text(),
        "raw": { "description": "The row as it was sent, secrets masked; text where it is none" },
    }))
}

pub(in crate::http) fn retried() -> Value {
    object(json!({ "id": text(), "outcome": { "enum": ["accepted", "duplicate"] } }))
}

fn the_question() -> Value {
    json!({
        "type": "object",
        "properties": {
            "from": time(),
            "to": time(),
            "bucket": { "enum": ["hour", "day", "week", "month", "none"] },
            "time_zone": { "type": "string", "examples": ["Europe/Berlin"] },
            "group_by": { "type": "array", "items": text(), "examples": [["team_id", "labels.branch"]] },
            "metrics": {
                "type": "array", "items": text(),
                "examples": [["count", "success_rate", "p95(duration_ms)"]],
            },
            "filters": { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "field": text(),
                    "op": { "enum": ["eq", "ne", "in", "prefix", "exists", "gt", "gte", "lt", "lte"] },
                    "value": {},
                },
                "required": ["field", "op"],
                "additionalProperties": false,
            }},
            "order_by": { "type": "array", "items": {
                "type": "object",
                "properties": { "key": text(), "desc": boolean() },
                "required": ["key"],
                "additionalProperties": false,
            }},
            "limit": { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
            "fill": { "enum": ["none", "zero", "null"] },
        },
        "additionalProperties": false,
    })
}

fn the_answer() -> Value {
    object(json!({
        "columns": { "type": "array", "items": object(json!({
            "name": text(), "type": text(), "unit": nullable(text()),
        }))},
        "rows": { "type": "array", "items": { "type": "array" } },
        "source": { "enum": ["rollup", "scan", "mixed"] },
        "view": nullable(text()),
        "rows_scanned": seq(),
        "elapsed_ms": { "type": "number" },
        "cached": boolean(),
        "as_of_seq": seq(),
        "truncated": boolean(),
    }))
}

fn the_session() -> Value {
    json!({
        "type": "object",
        "properties": {
            "access_token": text(),
            "token_type": { "const": "Bearer" },
            "expires_in": { "type": "integer", "description": "Seconds" },
            "refresh_token": { "type": "string", "description": "Absent where it went into a cookie" },
            "user": user(),
            "tenant": tenant(),
        },
        "required": ["access_token", "token_type", "expires_in", "user", "tenant"],
    })
}

pub(in crate::http) fn user() -> Value {
    object(json!({ "id": text(), "email": text(), "role": text(), "platform": boolean() }))
}

pub(in crate::http) fn tenant() -> Value {
    object(json!({ "id": text(), "slug": text(), "time_zone": text() }))
}

/// A list of words that are each of them short.
pub(in crate::http) fn words(most: usize) -> Value {
    json!({ "type": "array", "maxItems": most, "items": text() })
}

pub(in crate::http) fn account() -> Value {
    object(json!({
        "id": text(),
        "email": text(),
        "role": text(),
        "platform": boolean(),
        "disabled": boolean(),
        "has_password": boolean(),
        "has_otp": boolean(),
        "reported_as": { "type": "array", "items": text() },
        "teams": { "type": "array", "items": text() },
        "created_at": time_out(),
    }))
}

pub(in crate::http) fn link() -> Value {
    object(json!({
        "user": account(),
        "purpose": { "enum": ["invitation", "reset"] },
        "token": text(),
        "link": { "type": "string", "description": "To hand over; shown only now" },
        "expires_at": time_out(),
    }))
}

pub(in crate::http) fn team() -> Value {
    object(json!({
        "id": text(),
        "name": text(),
        "reported_as": { "type": "array", "items": text() },
        "created_at": time_out(),
    }))
}

pub(in crate::http) fn sign_in_rules() -> Value {
    object(json!({ "require_otp": boolean(), "require_sso": boolean() }))
}

pub(in crate::http) fn key() -> Value {
    object(json!({
        "id": text(),
        "name": text(),
        "role": text(),
        "created_at": time_out(),
        "expires_at": nullable(time_out()),
        "last_used_at": nullable(time_out()),
        "revoked_at": nullable(time_out()),
        "networks": { "type": "array", "items": text() },
    }))
}

pub(in crate::http) fn audit_entry() -> Value {
    object(json!({
        "seq": seq(),
        "at": nullable(time_out()),
        "actor": text(),
        "actor_name": nullable(text()),
        "action": text(),
        "target": text(),
        "outcome": text(),
        "count": seq(),
        "address": nullable(text()),
        "request_id": nullable(text()),
        "before": {},
        "after": {},
        "hash": text(),
    }))
}

pub(in crate::http) fn audit_anchor() -> Value {
    object(json!({ "chain": text(), "seq": seq(), "hash": text(), "line": text() }))
}

pub(in crate::http) fn audit_verdict() -> Value {
    let finding = object(json!({
        "seq": seq(), "first_seq": seq(), "harm": text(), "detail": text(),
    }));
    let findings = json!({ "type": "array", "items": finding });
    object(json!({ "entries": seq(), "sound": boolean(), "findings": findings }))
}

pub(in crate::http) fn new_key() -> Value {
    let mut key = key();
    key["properties"]["key"] =
        json!({ "type": "string", "description": "The key itself, shown only now" });
    if let Some(required) = key["required"].as_array_mut() {
        required.push("key".into());
    }
    key
}
