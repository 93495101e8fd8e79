//! Answers of an identity provider: any bytes are judged, and whatever is accepted of a rightly signed
//! answer that was cut up and put together anew says what was signed, all of it and nothing else.
#![no_main]

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/saml/idp.rs"]
mod idp;

use emx::identity::saml::{self, Assertion};
use idp::{KEY, Places, draft, judged, settings};
use libfuzzer_sys::fuzz_target;
use std::ops::Range;
use std::sync::LazyLock;

/// What attacks are made of.
const WORDS: [&str; 24] = [
    "<!-- -->",
    "<?x?>",
    "<![CDATA[x]]>",
    "<!DOCTYPE x>",
    "&#65;",
    "&x;",
    "admin",
    " ID=\"_assertion\"",
    " Id=\"_assertion\"",
    " ID=\"_forged\"",
    " xmlns:saml=\"urn:x\"",
    " xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
    " xmlns:x=\"1\"",
    "<samlp:Extensions>",
    "</samlp:Extensions>",
    "<ds:Object xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">",
    "</ds:Object>",
    "<saml:Advice>",
    "</saml:Advice>",
    "<saml:EncryptedAssertion>",
    "</saml:EncryptedAssertion>",
    "#_response",
    "_forged",
    "\u{e4}",
];

/// An answer with a signed assertion, a signed one, and one where both are.
static SIGNED: LazyLock<[String; 3]> =
    LazyLock::new(|| Places::ALL.map(|places| KEY.sign(&draft(), places)));

/// What all of them say.
static SAID: LazyLock<Assertion> = LazyLock::new(|| {
    let [first, others @ ..] =
        SIGNED.each_ref().map(|xml| judge(xml.as_bytes()).expect("it is accepted"));
    assert!(others.iter().all(|other| *other == first));
    first
});

fn judge(response: &[u8]) -> Option<Assertion> {
    static SETTINGS: LazyLock<saml::Settings> = LazyLock::new(settings);
    let report = judged(&SETTINGS, response);
    let failed = report.steps.iter().filter(|step| !step.passed).count();
    match report.outcome {
        Ok(assertion) => {
            assert_eq!(failed, 0);
            Some(assertion)
        }
        Err(refusal) => {
            assert!(failed > 0 && !refusal.detail.is_empty());
            None
        }
    }
}

/// Where the elements of `xml` stand; nowhere if it is not well-formed.
fn elements(xml: &str) -> Vec<Range<usize>> {
    let Ok(document) = uppsala::parse(xml) else { return Vec::new() };
    let nodes = document.descendants(document.root()).into_iter();
    let nodes = nodes.filter(|node| document.element(*node).is_some());
    nodes.filter_map(|node| document.node_range(node)).collect()
}

/// Cuts `xml` up and puts it together anew, by whole elements as long as it is well-formed.
fn put_together(mut xml: String, data: &[u8]) -> String {
    for [act, one, two, at] in data.as_chunks::<4>().0.iter().take(6) {
        let elements = elements(&xml);
        if elements.is_empty() {
            break;
        }
        let element = |n: u8| elements[usize::from(n) % elements.len()].clone();
        let (from, to) = (element(*one), element(*two));
        let word = WORDS[usize::from(*two) % WORDS.len()];
        match act % 8 {
            // Copied before another, behind it, or in its place.
            0 => xml.insert_str(to.start, &xml[from].to_owned()),
            1 => xml.insert_str(to.end, &xml[from].to_owned()),
            2 => xml.replace_range(to, &xml[from].to_owned()),
            3 => xml.replace_range(from, ""),
            // A word somewhere in it, or before or after it.
            4 => {
                let mut place = from.start + usize::from(*at) * from.len() / 256;
                while !xml.is_char_boundary(place) {
                    place -= 1;
                }
                xml.insert_str(place, word);
            }
            5 => xml.insert_str(from.start, word),
            6 => {
                // At the end of its first tag: an attribute, or content.
                let tag = xml[from.clone()].find('>').map_or(from.end, |tag| from.start + tag);
                xml.insert_str(tag + usize::from(*at & 1), word);
            }
            // Wrapped into one that another begins.
            _ => {
                let inner = xml[from.clone()].to_owned();
                xml.replace_range(from, &format!("<samlp:Extensions>{inner}</samlp:Extensions>"));
            }
        }
        if xml.len() > saml::XML_BYTES_MAX {
            break;
        }
    }
    xml
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let genuine = &SIGNED[usize::from(choice >> 2) % SIGNED.len()];
    let accepted = match choice % 4 {
        0 => judge(data),
        1 => {
            let _refused_or_not = saml::idp_from_metadata(data);
            return;
        }
        2 => judge(put_together(genuine.clone(), data).as_bytes()),
        // The answer with the bytes somewhere in it.
        _ => {
            let Some(([low, high], data)) = data.split_first_chunk::<2>() else { return };
            let place = usize::from(u16::from_le_bytes([*low, *high])) % genuine.len();
            let (before, after) = genuine.as_bytes().split_at(place);
            judge(&[before, data, after].concat())
        }
    };
    assert!(accepted.is_none_or(|said| said == *SAID));
});
