//! From what was posted to the text of an XML document.
//!
//! *Invariant*: whatever is too large is refused by its length, before it is decoded.

use super::refusal::{Passed, Refusal, refuse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Largest answer as XML. Real ones have 4 to 12 KiB; one with a thousand groups has 100.
pub const XML_BYTES_MAX: usize = 128 * 1024;

/// Largest answer in base64: four characters for three bytes, and two for the end of a line of 64.
pub const BASE64_BYTES_MAX: usize = XML_BYTES_MAX / 3 * 4 / 32 * 33 + 64;

/// The text of `response`, which is XML itself or XML in base64 (RFC 2045, lines or none).
pub(super) fn decode(response: &[u8]) -> Passed<String> {
    // An editor may have put a byte order mark before what it saved.
    let response = response.strip_prefix(b"\xef\xbb\xbf").unwrap_or(response).trim_ascii();
    let (bytes, form) = match response.first() {
        None => return Err(refuse("empty", "there is nothing in it")),
        Some(b'<') => (bounded(response, XML_BYTES_MAX)?.to_vec(), "XML"),
        Some(_) => (from_base64(bounded(response, BASE64_BYTES_MAX)?)?, "XML in base64"),
    };
    let bytes = bounded(bytes.trim_ascii(), XML_BYTES_MAX)?;
    if bytes.first() != Some(&b'<') {
        return Err(refuse(
            "not_xml",
            "what was decoded is not XML: an answer must come by HTTP-POST, not by HTTP-Redirect, \
             whose content is compressed",
        ));
    }
    let text = String::from_utf8(bytes.to_vec())
        .map_err(|_| refuse("not_utf8", "the XML is not UTF-8: other encodings are not read"))?;
    let told = format!("{form}, {} bytes", text.len());
    Ok((text, told))
}

fn bounded(bytes: &[u8], bytes_max: usize) -> Result<&[u8], Refusal> {
    if bytes.len() > bytes_max {
        return Err(refuse(
            "too_large",
            format!(
                "it has {} bytes, and more than {bytes_max} are not read: let the provider send only \
                 the attributes and groups that are needed",
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

fn from_base64(text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|_| {
        refuse(
            "not_base64",
            "it is neither XML nor base64: give the `SAMLResponse` of the form, not escaped for a URL",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(response: &[u8], expected: Result<&str, &'static str>) {
        let decoded = decode(response).map(|(text, _)| text).map_err(|refusal| refusal.code);
        assert_eq!(decoded.as_deref().map_err(|code| *code), expected);
    }

    #[test]
    fn xml_and_base64_are_read() {
        check(b"\n <a/>\n", Ok("<a/>"));
        check(STANDARD.encode("<a>\u{e4}</a>").as_bytes(), Ok("<a>\u{e4}</a>"));
        check(b"PGE\r\n+PC9h\n Pg==\n", Ok("<a></a>"));
        check(STANDARD.encode("\n<a/>").as_bytes(), Ok("<a/>"));
        check("\u{feff}<a/>".as_bytes(), Ok("<a/>"));
    }

    #[test]
    fn other_bytes_are_not() {
        check(b"", Err("empty"));
        check(b" \n", Err("empty"));
        check(b"PGEvPg", Err("not_base64"));
        check(b"PGEvPg%3D%3D", Err("not_base64"));
        check(b"PGE-PC9h_g==", Err("not_base64"));
        check(STANDARD.encode("{}").as_bytes(), Err("not_xml"));
        check(STANDARD.encode([]).as_bytes(), Err("empty"));
        check(b"<a>\xff</a>", Err("not_utf8"));
    }

    #[test]
    fn sizes_are_bounded_in_both_forms() {
        let largest = format!("<{}/>", "a".repeat(XML_BYTES_MAX - 3));
        check(largest.as_bytes(), Ok(&largest));
        check(format!("{largest}x").as_bytes(), Err("too_large"));
        let encoded = STANDARD.encode(&largest).into_bytes();
        let lines: Vec<&[u8]> = encoded.chunks(64).collect();
        check(&lines.join(&b"\r\n"[..]), Ok(&largest));
        check(STANDARD.encode(format!("{largest}x")).as_bytes(), Err("too_large"));
        check(&vec![b'A'; BASE64_BYTES_MAX + 1], Err("too_large"));
    }
}
