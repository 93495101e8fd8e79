//! What a person sees whose sign-on failed: a page of its own, for there is no program to read a
//! problem object. *Invariant*: nothing of the request, of the provider or of the tenant stands in it:
//! only words that were written here.

use crate::http::problem::Problem;
use crate::http::reply::{self, Reply};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:min(18vh,10rem) auto;padding:0 1rem}\
h1{font-size:1.25rem}code{font:.85rem ui-monospace,monospace}";

/// The page that tells of `problem`.
pub(super) fn page(problem: &Problem) -> Reply {
    let status = problem.status();
    let (code, says) = (known_code(problem.code()), told(problem.code(), status));
    let text = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>Sign-in failed</title>\
         <style>{STYLE}</style><main><h1>Sign-in failed</h1><p>{says}</p>\
         <p><code>{code}</code></p><p><a href=/>Back to the sign-in</a></p></main></html>"
    );
    let mut reply = reply::bytes(status, "text/html; charset=utf-8", text);
    for (name, value) in problem.headers() {
        reply.headers_mut().insert(name, value.clone());
    }
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    reply
}

/// Codes are words of the program's own; what is none is not shown.
fn known_code(code: &str) -> &str {
    let is_word = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_word { code } else { "failed" }
}

fn told(code: &str, status: StatusCode) -> &'static str {
    match code {
        "sso_flow_unknown" => {
            "This sign-in was not begun in this browser, was finished already, or took longer than ten \
             minutes. Please begin again."
        }
        "sso_provider_not_found" => "There is no such way to sign in here.",
        "account_exists" => {
            "There is an account with your e-mail address already that does not belong to this way of \
             signing in. Sign in as you did before, or ask your administrator."
        }
        "no_role" => {
            "You are known to the identity provider, but have no role here. Ask your administrator."
        }
        "domain_not_allowed" | "email_missing" | "email_not_verified" | "domain_refused"
        | "directory_refused" => {
            "Only certain organisations' e-mail addresses may sign in here, and yours is not one that \
             is known to be of one of them. Ask your administrator."
        }
        "account_disabled" => "Your account is disabled. Ask your administrator.",
        "platform_administrator" => {
            "Your account administers the whole server, for which no identity provider vouches. Sign in with \
             its password."
        }
        "last_owner" => {
            "You are the last owner here, and the identity provider gives you a lesser role. Ask your \
             administrator."
        }
        "too_many_users" => "There are as many users here as there may be. Ask your administrator.",
        "sign_in_denied" => "The identity provider did not sign you in.",
        "provider_session_over" => {
            "Your session at the identity provider is over. Sign in there again."
        }
        "too_many_attempts" => "There were too many attempts from your network. Wait some minutes.",
        "invalid_return" | "invalid_parameter" => "The link that you followed is not complete.",
        _ if status == StatusCode::BAD_GATEWAY => {
            "The identity provider cannot be reached, or does not answer as it should. Try again in a \
             moment, or ask your administrator."
        }
        _ if status == StatusCode::FORBIDDEN => {
            "The identity provider's answer was not accepted. Ask your administrator, who finds the \
             reason in the server's log."
        }
        _ if status.is_server_error() => "The server cannot do this now. Try again in a moment.",
        _ => "The request cannot be understood. Please begin again.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_stands_on_the_page() {
        let problem = Problem::bad_request("invalid_parameter", "<script>alert(1)</script>");
        assert!(!told(problem.code(), problem.status()).contains("script"));
        assert_eq!(known_code("\"><b>"), "failed");
        assert_eq!(known_code("no_role"), "no_role");
    }
}
