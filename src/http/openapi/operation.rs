//! One operation of the document, put together piece by piece.

use super::schema;
use crate::http::precondition;
use crate::http::route::Route;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

/// What goes into an operation and what comes out.
pub(in crate::http) struct Operation {
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
    public: bool,
    note: String,
}

fn parameter(place: &str, name: &str, schema: Value, says: &str) -> Value {
    json!({ "in": place, "name": name, "schema": schema, "description": says })
}

impl Operation {
    pub(super) fn new(path: &str) -> Self {
        let mut parameters = Vec::new();
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')) {
            let name = part.trim_end_matches('}');
            let mut parameter = parameter("path", name, schema::path_part(), "Which one");
            parameter["required"] = true.into();
            parameters.push(parameter);
        }
        Self { parameters, body: None, responses: Map::new(), public: false, note: String::new() }
    }

    /// A parameter of the query.
    pub(in crate::http) fn param(mut self, name: &str, schema: Value, says: &str) -> Self {
        self.parameters.push(parameter("query", name, schema, says));
        self
    }

    /// A parameter of the query that may be repeated.
    fn params(mut self, name: &str, items: Value, says: &str) -> Self {
        let mut parameter =
            parameter("query", name, json!({ "type": "array", "items": items }), says);
        parameter["style"] = "form".into();
        parameter["explode"] = true.into();
        self.parameters.push(parameter);
        self
    }

    /// A header that may be sent.
    pub(in crate::http) fn header(mut self, name: &str, says: &str) -> Self {
        let schema =
            json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" });
        self.parameters.push(parameter("header", name, schema, says));
        self
    }

    /// `If-Match`.
    pub(in crate::http) fn if_match(mut self) -> Self {
        let schema = json!({ "type": "string", "pattern": precondition::PATTERN });
        let says = "The `ETag` of what is meant";
        self.parameters.push(parameter("header", "If-Match", schema, says));
        self
    }

    /// `from` and `to`.
    pub(in crate::http) fn range(self) -> Self {
        self.param("from", schema::time(), "First instant; open if absent").param(
            "to",
            schema::time(),
            "First instant after the range; open if absent",
        )
    }

    /// `filter`, repeated.
    pub(in crate::http) fn filters(self) -> Self {
        let says = "A condition: `field:op:value` or `field=value`; all must hold";
        self.params("filter", json!({ "type": "string" }), says)
    }

    /// `limit` and `cursor`.
    pub(in crate::http) fn page(self, most: usize) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": most });
        self.param("limit", limit, "Most items of the page").param(
            "cursor",
            json!({ "type": "string" }),
            "The `next_cursor` of the page before",
        )
    }

    /// A question as parameters.
    pub(in crate::http) fn question(self) -> Self {
        let text = || json!({ "type": "string" });
        let buckets = json!({ "enum": ["hour", "day", "week", "month", "none"] });
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 });
        self.range()
            .param("bucket", buckets, "How time is cut")
            .param("time_zone", text(), "An IANA time zone; `UTC` if absent")
            .params("group_by", text(), "Dimensions")
            .params("metrics", text(), "What to compute, like `p95(duration_ms)`")
            .filters()
            .params("order_by", text(), "`key:desc` or `key:asc`")
            .param("limit", limit, "Most groups; 1,000 if absent")
            .param("fill", json!({ "enum": ["none", "zero", "null"] }), "What empty buckets hold")
    }

    /// The body, in each of the media types.
    pub(in crate::http) fn body(mut self, media_types: &[&str], schema: Value) -> Self {
        self.body = Some(json!({ "required": true, "content": content(media_types, &schema) }));
        self
    }

    /// A JSON answer.
    pub(in crate::http) fn answer(mut self, status: u16, says: &str, schema: Value) -> Self {
        let response =
            json!({ "description": says, "content": content(&["application/json"], &schema) });
        self.responses.insert(status.to_string(), response);
        self
    }

    /// An answer that is a file or a text.
    pub(in crate::http) fn file(mut self, media_types: &[&str], says: &str) -> Self {
        let content = content(media_types, &json!({ "type": "string" }));
        let response = json!({ "description": says, "content": content });
        self.responses.insert("200".to_owned(), response);
        self
    }

    /// An answer without a body.
    pub(in crate::http) fn nothing(mut self, status: u16, says: &str) -> Self {
        self.responses.insert(status.to_string(), json!({ "description": says }));
        self
    }

    /// Pages for a person that say what failed. What a person cannot have caused is told as ever.
    pub(in crate::http) fn failure_pages(mut self, statuses: &[u16]) -> Self {
        for &status in statuses {
            let says = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
            let content = json!({
                "text/html": { "schema": { "type": "string" } },
                "application/problem+json": { "schema": schema::reference("problem") },
            });
            let response = json!({ "description": says.unwrap_or("Error"), "content": content });
            self.responses.insert(status.to_string(), response);
        }
        self
    }

    /// Errors it may answer with, beside those that everything may.
    pub(in crate::http) fn refuses(mut self, statuses: &[u16]) -> Self {
        for &status in statuses {
            let says = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
            let content =
                json!({ "application/problem+json": { "schema": schema::reference("problem") } });
            let response = json!({ "description": says.unwrap_or("Error"), "content": content });
            self.responses.entry(status.to_string()).or_insert(response);
        }
        self
    }

    pub(super) fn public(mut self) -> Self {
        self.public = true;
        self
    }

    pub(super) fn note(mut self, note: &str) -> Self {
        self.note = note.to_owned();
        self
    }

    pub(super) fn finish(self, route: &Route) -> Value {
        // What any request may be told: bad framing, bad headers, a slow body, a busy server.
        let mut this = self.refuses(&[400, 408, 500, 503]);
        if !this.public {
            this = this.refuses(&[429]); // as much as the caller's tenant may
        }
        let tagged = this.responses.contains_key("200") && route.method == hyper::Method::GET;
        if tagged {
            let says = "Not changed since the answer whose tag was sent";
            this.responses.insert("304".to_owned(), json!({ "description": says }));
        }
        let tag = route.path.trim_start_matches("/api/v1").split('/').nth(1).unwrap_or("appliance");
        let mut operation = json!({
            "operationId": operation_id(route),
            "summary": route.summary,
            "tags": [tag],
            "responses": this.responses,
        });
        if !this.note.is_empty() {
            operation["description"] = this.note.into();
        }
        if !this.parameters.is_empty() {
            operation["parameters"] = this.parameters.into();
        }
        if let Some(body) = this.body {
            operation["requestBody"] = body;
        }
        operation["security"] =
            if this.public { json!([]) } else { json!([{ "bearer": [] }, { "key": [] }]) };
        operation
    }
}

fn content(media_types: &[&str], schema: &Value) -> Value {
    let entries = media_types.iter().map(|t| ((*t).to_owned(), json!({ "schema": schema })));
    Value::Object(entries.collect())
}

/// `post_executions_batch`
fn operation_id(route: &Route) -> String {
    let mut id = route.method.as_str().to_ascii_lowercase();
    for part in route.path.trim_start_matches("/api/v1").split(['/', '.', '-']) {
        let part = part.trim_matches(['{', '}']);
        if !part.is_empty() {
            id.push('_');
            id.push_str(part);
        }
    }
    id
}
