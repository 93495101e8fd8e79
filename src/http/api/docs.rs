//! The contract as a page that needs nothing but itself: no script, nothing from elsewhere.

use crate::http::call::Call;
use crate::http::openapi;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use serde_json::Value;
use std::fmt::Write;
use std::sync::LazyLock;

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/api/docs",
    access: Access::Public,
    handler: handler!(page),
    remembers: false,
    summary: "The contract as a page",
    describe: |operation| operation.file(&["text/html"], "The page"),
}];

async fn page(call: Call) -> Answer {
    static PAGE: LazyLock<String> = LazyLock::new(|| html(openapi::document()));
    let content_type = "text/html; charset=utf-8";
    let mut reply = reply::tagged(call.request.headers(), content_type, PAGE.clone().into_bytes());
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(reply)
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent)}\
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.5rem;text-transform:capitalize}\
article{border-top:1px solid var(--line);padding:.75rem 0}\
h3{font:600 1rem/1.4 ui-monospace,monospace;margin:0;overflow-wrap:anywhere}\
h3 b{display:inline-block;min-width:4.5rem}p{margin:.25rem 0}\
table{border-collapse:collapse;width:100%;font-size:.9rem;margin:.5rem 0}\
td,th{text-align:left;vertical-align:top;padding:.2rem .75rem .2rem 0}\
code,pre{font-family:ui-monospace,monospace;font-size:.85rem}\
pre{overflow:auto;border:1px solid var(--line);border-radius:.4rem;padding:.75rem;max-height:24rem}\
summary{cursor:pointer}nav a{margin-right:1rem;text-transform:capitalize}";

/// The order of operations on one address.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn html(document: &Value) -> String {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(operation) = methods.get(method) {
                operations.push((path.as_str(), method, operation));
            }
        }
    }
    let mut tags: Vec<&str> = Vec::new();
    for (_, _, operation) in &operations {
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let mut out = String::from("<!doctype html><html lang=en><meta charset=utf-8>");
    out.push_str(
        "<meta name=viewport content=\"width=device-width\"><title>External Metrics API</title>",
    );
    let info = &document["info"];
    // Writing to a text does not fail.
    let _ = write!(
        out,
        "<style>{STYLE}</style><main><h1>External Metrics API {}</h1><p>{}</p>\
         <p>For programs: <a href=/api/openapi.json>openapi.json</a></p><nav>",
        escaped(&info["version"]),
        escaped(&info["description"]),
    );
    for tag in &tags {
        let _ = write!(out, "<a href=\"#{tag}\">{tag}</a>");
    }
    out.push_str("</nav>");
    for tag in tags {
        let _ = write!(out, "<section><h2 id=\"{tag}\">{tag}</h2>");
        let of_tag = operations.iter().filter(|(_, _, operation)| operation["tags"][0] == tag);
        for (path, method, operation) in of_tag {
            article(&mut out, path, method, operation);
        }
        out.push_str("</section>");
    }
    out.push_str("<section><h2 id=schemas>schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        details(&mut out, name, schema);
    }
    out.push_str("</section></main></html>");
    out
}

fn article(out: &mut String, path: &str, method: &str, operation: &Value) {
    let _ = write!(
        out,
        "<article><h3><b>{}</b> {}</h3><p>{}</p>",
        method.to_uppercase(),
        escaped(&path.into()),
        escaped(&operation["summary"])
    );
    if let Some(description) = operation["description"].as_str() {
        let _ = write!(out, "<p>{}</p>", escaped(&description.into()));
    }
    if let Some(parameters) = operation["parameters"].as_array() {
        out.push_str("<table><tr><th>parameter<th>in<th>what");
        for parameter in parameters {
            let _ = write!(
                out,
                "<tr><td><code>{}</code><td>{}<td>{}",
                escaped(&parameter["name"]),
                escaped(&parameter["in"]),
                escaped(&parameter["description"])
            );
        }
        out.push_str("</table>");
    }
    if let Some(body) = operation.get("requestBody") {
        details(out, "body", &body["content"]);
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let says = response["description"].as_str().unwrap_or_default();
        let is_error = status.starts_with(['4', '5']);
        match response.get("content") {
            Some(content) if !is_error => details(out, &format!("{status} {says}"), content),
            _ => {
                let _ = write!(out, "<p><code>{status}</code> {}</p>", escaped(&says.into()));
            }
        }
    }
    out.push_str("</article>");
}

fn details(out: &mut String, name: &str, value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let _ = write!(
        out,
        "<details><summary>{}</summary><pre>{}</pre></details>",
        escaped(&name.into()),
        escaped(&text.into())
    );
}

/// Text as HTML.
fn escaped(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
