//! The one tree of a document, and how it is read.
//!
//! *Invariants*: names are compared with their namespaces, never by prefix; an attribute is looked
//! up only among those without a namespace; text is the text of an element that holds nothing else.
//! An id stands in one attribute of one element, so that whoever looks one up finds the same.

use super::refusal::{Passed, Refusal, refuse, shown};
use super::scan::{DEPTH_MAX, Rules, scan};
use std::collections::HashSet;
use uppsala::{Document, Element, NodeId, NodeKind, Parser};

/// SAML protocol messages.
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// SAML assertions.
pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// SAML metadata.
pub(super) const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
/// XML signatures.
pub(super) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Exclusive canonical XML, which is also the name of the algorithm.
pub(super) const EXCLUSIVE_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
/// XML encryption, its elements of version 1.1 apart.
pub(super) const ENCRYPTION: &str = "http://www.w3.org/2001/04/xmlenc#";

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// An answer: a thousand groups, each in an element, make some 1,100.
const RESPONSE: Rules = Rules { elements_max: 4096, comments: false };

/// Parses an answer.
pub(super) fn response(xml: &str) -> Passed<Document<'_>> {
    Ok((
        parse(xml, RESPONSE)?,
        "it is well-formed, and has nothing in it that is never read".into(),
    ))
}

/// Parses a document that keeps to `rules`.
pub(super) fn parse(xml: &str, rules: Rules) -> Result<Document<'_>, Refusal> {
    scan(xml, rules)?;
    let parser = Parser::new()
        .with_forbid_dtd(true)
        .with_forbid_entities(true)
        .with_max_entity_expansion(0)
        .with_max_depth(DEPTH_MAX);
    let document = parser.parse(xml).map_err(|error| {
        let reason = shown(&error.to_string());
        refuse("not_well_formed", format!("it is not well-formed XML: {reason}"))
    })?;
    check_declaration(&document)?;
    check_elements(&document)?;
    Ok(document)
}

/// Only XML 1.0 in UTF-8 is what it seems to be.
fn check_declaration(document: &Document<'_>) -> Result<(), Refusal> {
    let Some(declaration) = &document.xml_declaration else { return Ok(()) };
    let utf8 =
        declaration.encoding.as_ref().is_none_or(|encoding| encoding.eq_ignore_ascii_case("UTF-8"));
    if utf8 && declaration.version == "1.0" {
        return Ok(());
    }
    Err(refuse(
        "declaration",
        "its XML declaration names another version than 1.0 or another encoding \
         than UTF-8",
    ))
}

fn check_elements(document: &Document<'_>) -> Result<(), Refusal> {
    let mut ids = HashSet::new();
    let root = root(document)?;
    for node in std::iter::once(root).chain(root.below()) {
        let Some(element) = node.element() else { continue };
        check_ids(element, &mut ids)?;
        let mut declared = element.namespace_declarations.iter().map(|(_, uri)| &**uri);
        if let Some(uri) = declared.find(|uri| !uri.is_empty() && !uri.contains(':')) {
            return Err(refuse(
                "relative_namespace",
                format!(
                    "the namespace `{}` is relative: such a document has no canonical form \
                     (Canonical XML §1.3)",
                    shown(uri)
                ),
            ));
        }
        if element.name.namespace_uri.as_deref() == Some(XINCLUDE) {
            return Err(refuse(
                "xinclude",
                "it asks to include another document: nothing is included",
            ));
        }
    }
    Ok(())
}

/// An element has one attribute at most that may be taken for its id, without a namespace, and
/// nothing else in the document has the same.
fn check_ids<'t>(element: &'t Element<'_>, ids: &mut HashSet<&'t str>) -> Result<(), Refusal> {
    const NAMES: [&str; 2] = ["id", "assertionid"];
    let mut own = element.attributes.iter().filter(|attribute| {
        NAMES.iter().any(|name| attribute.name.local_name.eq_ignore_ascii_case(name))
    });
    let Some(first) = own.next() else { return Ok(()) };
    for attribute in std::iter::once(first).chain(own.clone()) {
        if attribute.name.namespace_uri.is_some() {
            let name = shown(&attribute.name.prefixed_name());
            return Err(refuse("namespaced_id", format!("`{name}` could be taken for an id")));
        }
    }
    if own.next().is_some() {
        let name = shown(&element.name.prefixed_name());
        return Err(refuse("several_ids", format!("`{name}` has more than one id")));
    }
    if !ids.insert(&first.value) {
        let id = shown(&first.value);
        return Err(refuse("duplicate_id", format!("more than one element has the id `{id}`")));
    }
    Ok(())
}

/// The outermost element.
pub(super) fn root<'t>(document: &'t Document<'t>) -> Result<Node<'t>, Refusal> {
    let id = document.document_element();
    let id = id.ok_or_else(|| refuse("not_well_formed", "there is no element in it"))?;
    Ok(Node { document, id })
}

/// An element in its tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'t> {
    document: &'t Document<'t>,
    id: NodeId,
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && std::ptr::eq(self.document, other.document)
    }
}

impl<'t> Node<'t> {
    /// Its place in the tree.
    pub(super) fn id(self) -> NodeId {
        self.id
    }

    fn element(self) -> Option<&'t Element<'t>> {
        self.document.element(self.id)
    }

    /// Whether it has this name.
    pub(super) fn is(self, namespace: &str, name: &str) -> bool {
        self.element().is_some_and(|element| element.matches_name_ns(namespace, name))
    }

    /// Whether it is of this namespace.
    pub(super) fn is_of(self, namespace: &str) -> bool {
        let own = self.element().and_then(|element| element.name.namespace_uri.as_deref());
        own == Some(namespace)
    }

    /// Its name without its prefix.
    pub(super) fn local_name(self) -> &'t str {
        self.element().map_or("", |element| &element.name.local_name)
    }

    /// Its name as it is written, for messages.
    pub(super) fn shown_name(self) -> String {
        self.element().map_or_else(String::new, |element| shown(&element.name.prefixed_name()))
    }

    /// The elements in it, in order.
    pub(super) fn elements(self) -> impl Iterator<Item = Node<'t>> + Clone {
        let Self { document, id } = self;
        let mut next = document.first_child(id);
        let children = std::iter::from_fn(move || {
            let child = next?;
            next = document.next_sibling(child);
            Some(Node { document, id: child })
        });
        children.filter(|child| child.element().is_some())
    }

    /// All elements below it.
    pub(super) fn below(self) -> impl Iterator<Item = Node<'t>> {
        let document = self.document;
        let nodes = document.descendants(self.id).into_iter().map(move |id| Node { document, id });
        nodes.filter(|node| node.element().is_some())
    }

    /// The elements around it, from the inside.
    pub(super) fn around(self) -> impl Iterator<Item = Node<'t>> {
        let document = self.document;
        let parent = move |node: &Node<'t>| {
            document
                .parent(node.id)
                .map(|id| Node { document, id })
                .filter(|n| n.element().is_some())
        };
        std::iter::successors(parent(&self), parent)
    }

    /// The elements in it that have this name.
    pub(super) fn named<'n>(
        self,
        namespace: &'n str,
        name: &'n str,
    ) -> impl Iterator<Item = Node<'t>> + use<'t, 'n> {
        self.elements().filter(move |child| child.is(namespace, name))
    }

    /// The one element in it that has this name, if there is one.
    pub(super) fn only(self, namespace: &str, name: &str) -> Result<Option<Node<'t>>, Refusal> {
        let mut found = self.named(namespace, name);
        let first = found.next();
        if found.next().is_some() {
            let own = self.shown_name();
            return Err(refuse("repeated_element", format!("`{own}` has more than one `{name}`")));
        }
        Ok(first)
    }

    /// The value of its attribute `name`, which has no namespace.
    pub(super) fn attribute(self, name: &str) -> Option<&'t str> {
        let mut attributes = self.element()?.attributes.iter();
        let found = attributes.find(|attribute| attribute.name.matches(None, name))?;
        Some(&found.value)
    }

    /// Whether one of its attributes has a namespace: whoever looks attributes up by local name, as the
    /// library that verifies does, could take it for another.
    pub(super) fn has_foreign_attribute(self) -> bool {
        let mut attributes = self.element().into_iter().flat_map(|element| &element.attributes);
        attributes.any(|attribute| attribute.name.namespace_uri.is_some())
    }

    /// Its text, if it holds nothing else.
    pub(super) fn text(self) -> Result<&'t str, Refusal> {
        let first = self.document.first_child(self.id);
        let kind = first.and_then(|id| self.document.node_kind(id));
        let is_alone = first.is_none_or(|id| self.document.next_sibling(id).is_none());
        match kind {
            None => Ok(""),
            Some(NodeKind::Text(text)) if is_alone => Ok(text),
            Some(_) => {
                let name = self.shown_name();
                Err(refuse("markup_in_text", format!("`{name}` holds more than text")))
            }
        }
    }

    /// Whether there is nothing but white space between the elements in it.
    pub(super) fn has_no_text(self) -> bool {
        let mut next = self.document.first_child(self.id);
        while let Some(id) = next {
            let text = self.document.text_content(id);
            if text.is_some_and(|text| !text.trim_ascii().is_empty()) {
                return false;
            }
            next = self.document.next_sibling(id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(xml: &str, expected: Result<(), &'static str>) {
        let parsed = parse(xml, RESPONSE).map(|_| ()).map_err(|refusal| refusal.code);
        assert_eq!(parsed, expected, "{xml}");
    }

    #[test]
    fn ids_are_unambiguous() {
        check("<a ID='1'><b Id='2'/><c id='3'/><d AssertionID='4'/></a>", Ok(()));
        check("<a ID='1'><b ID='1'/></a>", Err("duplicate_id"));
        check("<a ID='1'><b Id='1'/></a>", Err("duplicate_id"));
        check("<a ID='1'><b id='1'/></a>", Err("duplicate_id"));
        check("<a ID='1'><b AssertionID='1'/></a>", Err("duplicate_id"));
        check("<a ID='1' Id='2'/>", Err("several_ids"));
        check("<a xml:id='1'/>", Err("namespaced_id"));
        check("<a xmlns:x='urn:x' x:ID='1'/>", Err("namespaced_id"));
        check("<a xmlns:x='urn:x' ID='1' x:ID='2'/>", Err("namespaced_id"));
        check("<a xmlns:x='urn:x' x:ID='2' ID='1'/>", Err("namespaced_id"));
    }

    #[test]
    fn what_is_no_plain_xml_is_refused() {
        check("<a><b></a>", Err("not_well_formed"));
        check("<a>&x;</a>", Err("not_well_formed"));
        check("<a>&amp;&#65;</a>", Ok(()));
        check("<a/><b/>", Err("not_well_formed"));
        check("<x:a/>", Err("not_well_formed"));
        check("<a b='1' b='2'/>", Err("not_well_formed"));
        check("<a xmlns:x='urn:x' xmlns:y='urn:x' x:b='' y:b=''/>", Err("not_well_formed"));
        check("<?xml version='1.0' encoding='utf-8'?><a/>", Ok(()));
        check("<?xml version='1.1'?><a/>", Err("declaration"));
        check("<?xml version='1.0' encoding='UTF-7'?><a/>", Err("declaration"));
        check("<a xmlns='1'/>", Err("relative_namespace"));
        check("<a xmlns:x='../x'/>", Err("relative_namespace"));
        check("<a xmlns=''/>", Ok(()));
        check("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='x'/>", Err("xinclude"));
    }

    #[test]
    fn text_is_only_text() {
        let rules = Rules { comments: true, ..RESPONSE };
        for (xml, expected) in [
            ("<a>x &lt; y</a>", Some("x < y")),
            ("<a/>", Some("")),
            ("<a> </a>", Some(" ")),
            ("<a>x<!-- -->y</a>", None),
            ("<a><!-- -->y</a>", None),
            ("<a>x<b/></a>", None),
            ("<a><b>x</b></a>", None),
        ] {
            let document = parse(xml, rules).unwrap();
            let text = root(&document).unwrap().text().map_err(|refusal| refusal.code);
            assert_eq!(text, expected.ok_or("markup_in_text"), "{xml}");
        }
    }

    #[test]
    fn names_are_compared_with_their_namespaces() {
        let xml = "<p:a xmlns:p='urn:1' xmlns:q='urn:2' q:n='2' n='1'><q:b/><p:b/><b/></p:a>";
        let document = parse(xml, RESPONSE).unwrap();
        let node = root(&document).unwrap();
        assert!(node.is("urn:1", "a") && !node.is("urn:2", "a") && node.is_of("urn:1"));
        assert_eq!(node.attribute("n"), Some("1"));
        assert_eq!(node.named("urn:1", "b").count(), 1);
        assert_eq!(node.elements().count(), 3);
        let inner = node.only("urn:2", "b").unwrap().unwrap();
        assert_eq!(inner.around().collect::<Vec<_>>(), [node]);
        assert_eq!((inner.local_name(), inner.shown_name().as_str()), ("b", "q:b"));
    }
}
