//! `If-Match`: a change that is meant for what the caller saw (RFC 9110 §13.1.1).

use super::problem::Problem;
use super::reply::etag_of;
use super::request::Request;
use hyper::StatusCode;
use serde_json::Value;

/// How the header is written, as a regular expression: `*`, or tags with commas between. A tag of ours
/// has no comma in it.
pub(super) const PATTERN: &str = r#"^(\*|(W/)?"[!#-+\x2D-~]*"(, ?(W/)?"[!#-+\x2D-~]*")*)$"#;

/// What the caller saw, as tags; everything passes where it did not say.
#[derive(Clone, Debug, Default)]
pub(super) struct IfMatch {
    tags: Option<Vec<Box<str>>>,
}

impl IfMatch {
    /// What `request` says.
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        match request.text_header("if-match")? {
            None => Ok(Self::default()),
            Some(value) => Self::read(value).ok_or_else(|| {
                let detail = "`If-Match` takes `*`, or entity tags with commas between";
                Problem::bad_request("invalid_if_match", detail)
            }),
        }
    }

    fn read(value: &str) -> Option<Self> {
        let tags: Vec<Box<str>> = value.split(',').map(|tag| tag.trim().into()).collect();
        let well = &*tags[0] == "*" && tags.len() == 1 || tags.iter().all(|tag| is_tag(tag));
        well.then_some(Self { tags: Some(tags) })
    }

    /// Whether what is answered as `shown` is what the caller saw. Tags are compared strongly.
    pub(super) fn holds(&self, shown: &Value) -> bool {
        let Some(tags) = &self.tags else { return true };
        let Ok(text) = serde_json::to_vec(shown) else { return false };
        let now = etag_of(&text);
        tags.iter().any(|tag| &**tag == "*" || tag.as_bytes() == now.as_bytes())
    }
}

/// Whether `text` is an entity tag, strong or weak (RFC 9110 §8.8.3).
fn is_tag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let opaque = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    opaque.is_some_and(|opaque| opaque.bytes().all(|b| b.is_ascii_graphic() && b != b'"'))
}

/// It is not what the caller saw any more.
pub(super) fn failed(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tag_fits_what_it_was_made_of() {
        let (seen, changed) = (json!({ "a": 1 }), json!({ "a": 2 }));
        let tag = etag_of(br#"{"a":1}"#);
        let tag = tag.to_str().unwrap();
        let check = |value: &str, seen_holds: bool, changed_holds: bool| {
            let condition = IfMatch::read(value).unwrap();
            assert_eq!(condition.holds(&seen), seen_holds, "{value}");
            assert_eq!(condition.holds(&changed), changed_holds, "{value}");
        };
        check(tag, true, false);
        check(&format!("\"x\", {tag}"), true, false);
        check(&format!("{tag},\"x\""), true, false);
        check("*", true, true);
        check(&format!("W/{tag}"), false, false);
        check("\"\"", false, false);
        assert!(IfMatch::default().holds(&changed));
        for bad in ["", "x", "*, *", "\"", "\"x\",", "\"x\" \"y\"", "w/\"x\"", "\"a b\"", "W/*"] {
            assert!(IfMatch::read(bad).is_none(), "{bad}");
        }
    }
}
