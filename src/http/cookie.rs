//! Cookies: small texts that a browser keeps for this server. Nothing but signing in uses them.
//!
//! *Invariant*: the name of each begins with `__Host-`, so that browsers take it from nobody but this
//! host, over TLS, and send it to nobody else; no script can read it.

use super::reply::Reply;
use super::request::Request;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};

/// With which requests a cookie is sent that another site has caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SameSite {
    /// None.
    Strict,
    /// Where somebody comes from there by a link.
    Lax,
    /// All of them.
    None,
}

/// The value of the cookie `name`, which begins with `__Host-`.
pub(super) fn value_of<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let values = request.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies =
        values.flat_map(|text| text.split(';')).filter_map(|c| c.trim().split_once('='));
    cookies.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Has the browser keep `value` for so many seconds; none: forget it.
pub(super) fn set(reply: &mut Reply, name: &str, value: &str, same_site: SameSite, age_s: i64) {
    let same_site = match same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
        SameSite::None => "None",
    };
    let cookie =
        format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={age_s}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().append(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply;

    #[test]
    fn one_cookie_of_an_answer_leaves_the_others() {
        let mut reply = reply::no_content();
        set(&mut reply, "__Host-a", "1", SameSite::None, 600);
        set(&mut reply, "__Host-b", "2", SameSite::Strict, 0);
        let kept: Vec<&HeaderValue> = reply.headers().get_all(SET_COOKIE).iter().collect();
        let expected = [
            "__Host-a=1; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=600",
            "__Host-b=2; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0",
        ];
        assert_eq!(kept, expected);
    }
}
