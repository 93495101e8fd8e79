//! What the markup of a document may be, seen byte by byte before it is parsed.
//!
//! The parser compares every attribute of an element with every other, so that 20,000 of them take
//! half a second; canonical forms leave comments out, so that a text with one is two texts. Both,
//! and whatever else no identity provider writes, is refused here.
//!
//! *Invariants*: one pass, no allocation; what is passed has no document type and no entity of its
//! own, nor processing instructions and CDATA sections, and its tags have bounded sizes.

use super::refusal::{Refusal, refuse};

/// Most attributes of one element, namespace declarations included: real ones have up to ten.
const ATTRIBUTES_MAX: usize = 32;

/// Most levels of elements: real answers have seven, metadata has nine.
pub(super) const DEPTH_MAX: u32 = 32;

/// What differs between kinds of documents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Most elements.
    pub(super) elements_max: usize,
    /// Whether there may be comments.
    pub(super) comments: bool,
}

/// Passes `xml` if its markup keeps to `rules`.
pub(super) fn scan(xml: &str, rules: Rules) -> Result<(), Refusal> {
    let mut rest = after_declaration(xml.as_bytes())?;
    let (mut elements, mut depth) = (0, 0_u32);
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at..];
        match rest {
            [b'<', b'!', ..] => rest = after_comment(rest, rules)?,
            [b'<', b'?', ..] => {
                return Err(refuse(
                    "processing_instruction",
                    "there is a processing instruction in it: no identity provider writes one",
                ));
            }
            [b'<', b'/', ..] => {
                depth = depth.saturating_sub(1);
                rest = after_byte(rest, b'>')?;
            }
            _ => {
                let tag = tag(rest)?;
                elements += 1;
                if elements > rules.elements_max {
                    let elements_max = rules.elements_max;
                    return Err(refuse(
                        "too_many_elements",
                        format!(
                            "it has more than {elements_max} elements: let the provider send less"
                        ),
                    ));
                }
                if depth >= DEPTH_MAX {
                    return Err(refuse(
                        "too_deep",
                        format!("its elements stand more than {DEPTH_MAX} deep in each other"),
                    ));
                }
                depth += u32::from(!tag.is_empty);
                rest = &rest[tag.bytes..];
            }
        }
    }
    Ok(())
}

/// What follows the XML declaration, if there is one. What it says is looked at when it is parsed.
fn after_declaration(xml: &[u8]) -> Result<&[u8], Refusal> {
    match xml.strip_prefix(b"<?xml") {
        Some([b' ' | b'\t' | b'\r' | b'\n', ..]) => after_byte(xml, b'>'),
        _ => Ok(xml),
    }
}

/// What follows the comment that `rest` begins with.
fn after_comment(rest: &[u8], rules: Rules) -> Result<&[u8], Refusal> {
    if rest.starts_with(b"<!--") {
        if !rules.comments {
            return Err(refuse(
                "comment",
                "there is a comment in it, which a signature does not cover: no identity provider \
                 writes one",
            ));
        }
        let end = rest[4..].windows(3).position(|bytes| bytes == b"-->");
        return end.map(|end| &rest[4 + end + 3..]).ok_or_else(unclosed);
    }
    if rest.starts_with(b"<![") {
        return Err(refuse(
            "cdata",
            "there is a CDATA section in it: no identity provider writes one",
        ));
    }
    Err(refuse(
        "dtd",
        "there is a document type or an entity declaration in it: neither is ever read",
    ))
}

/// What follows the next `byte`.
fn after_byte(rest: &[u8], byte: u8) -> Result<&[u8], Refusal> {
    let at = rest.iter().position(|found| *found == byte).ok_or_else(unclosed)?;
    Ok(&rest[at + 1..])
}

/// The tag of an element that begins.
struct Tag {
    bytes: usize,
    /// Whether it ends at once, as in `<a/>`.
    is_empty: bool,
}

/// The tag that `rest` begins with. Every attribute has one value in quotes, in which there may be
/// a `>`.
fn tag(rest: &[u8]) -> Result<Tag, Refusal> {
    let (mut quote, mut attributes) = (None, 0);
    for (n, byte) in rest.iter().copied().enumerate() {
        match quote {
            Some(opened) if opened == byte => quote = None,
            Some(_) => {}
            None if byte == b'>' => {
                return Ok(Tag { bytes: n + 1, is_empty: rest[..n].ends_with(b"/") });
            }
            None if matches!(byte, b'"' | b'\'') => {
                quote = Some(byte);
                attributes += 1;
                if attributes > ATTRIBUTES_MAX {
                    return Err(refuse(
                        "too_many_attributes",
                        format!("an element in it has more than {ATTRIBUTES_MAX} attributes"),
                    ));
                }
            }
            None => {}
        }
    }
    Err(unclosed())
}

fn unclosed() -> Refusal {
    refuse("not_well_formed", "it is not well-formed XML: it ends within a tag or a comment")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { elements_max: 4, comments: false };

    fn check(xml: &str, expected: Result<(), &'static str>) {
        assert_eq!(scan(xml, RULES).map_err(|refusal| refusal.code), expected, "{xml:.80}");
    }

    #[test]
    fn plain_markup_passes() {
        check("<?xml version=\"1.0\"?>\n<a b='>' c=\"'\">x > y<b/></a>", Ok(()));
        check("<a/>", Ok(()));
        check("<a><b/><c/><d/></a>", Ok(()));
    }

    #[test]
    fn other_markup_does_not() {
        check("<a><!-- --></a>", Err("comment"));
        check("<a/><!---->", Err("comment"));
        check("<a><![CDATA[x]]></a>", Err("cdata"));
        check("<!DOCTYPE a><a/>", Err("dtd"));
        check("<!doctype a><a/>", Err("dtd"));
        check("<a><!ENTITY x 'y'></a>", Err("dtd"));
        check("<?xml-stylesheet href='x'?><a/>", Err("processing_instruction"));
        check("<a><?x?></a>", Err("processing_instruction"));
        check("<?xml version='1.0'?><?xml version='1.0'?><a/>", Err("processing_instruction"));
        check("<a b='", Err("not_well_formed"));
        check("<a", Err("not_well_formed"));
        check("<a></a", Err("not_well_formed"));
        check("<?xml version='1.0'", Err("not_well_formed"));
    }

    #[test]
    fn tags_and_trees_are_bounded() {
        check("<a><b/><c/><d/><e/></a>", Err("too_many_elements"));
        let attributes = |count: usize| {
            let list: String = (0..count).map(|n| format!(" a{n}=''")).collect();
            format!("<a{list}/>")
        };
        check(&attributes(ATTRIBUTES_MAX), Ok(()));
        check(&attributes(ATTRIBUTES_MAX + 1), Err("too_many_attributes"));
        let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        let rules = Rules { elements_max: 1000, comments: false };
        assert_eq!(scan(&deep(DEPTH_MAX as usize), rules), Ok(()));
        assert_eq!(scan(&deep(DEPTH_MAX as usize + 1), rules).unwrap_err().code, "too_deep");
        let wide = format!("<a>{}</a>", "<b/>".repeat(900));
        assert_eq!(scan(&wide, rules), Ok(()));
    }

    #[test]
    fn comments_may_be_allowed() {
        let rules = Rules { elements_max: 4, comments: true };
        assert_eq!(scan("<!-- <x --><a><!----></a>", rules), Ok(()));
        assert_eq!(scan("<a><!-- </a>", rules).unwrap_err().code, "not_well_formed");
        assert_eq!(scan("<a><!-->--></a>", rules), Ok(()));
        assert_eq!(scan("<a><![CDATA[x]]></a>", rules).unwrap_err().code, "cdata");
    }
}
