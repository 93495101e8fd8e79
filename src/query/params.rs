//! Questions as parameters, for `GET` and for the command line's flags.
//!
//! The names are those of the JSON question. What is a list there is here a repeated name, a
//! comma list, or both; commas inside parentheses do not separate, and spaces around a comma mean
//! nothing. Text that begins with `[` or `{` is read as JSON, for keys that themselves contain
//! commas, colons or signs.
//!
//! ```text
//! from=2026-03-01T00:00:00Z  to=1774994400000  bucket=day  time_zone=Europe/Berlin
//! group_by=team_id,labels.branch
//! metrics=count,p95(duration_ms)                      also: metric=
//! filter=status:in:failure,timeout                    field:op:value, `in` with a comma list
//! filter=labels.branch:exists                         also :true or :false
//! filter=duration_ms>=1000                            also = != ^= (begins so) > < <=
//! filter={"field":"host","op":"eq","value":"a:b"}     also: filters=
//! order_by=count:desc,team_id                         key, key:asc or key:desc
//! limit=50  fill=zero
//! ```
//!
//! Problems have the pointers of the same question as JSON, items counted over all repeats.

use super::filter::OPS;
use super::node::Node;
use super::problem::Problems;

/// Makes the tree of a JSON question from parameters.
pub(crate) fn tree<K: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = (K, V)>,
    problems: &mut Problems,
) -> Node {
    let mut members: Vec<(String, Node)> = Vec::new();
    for (name, text) in pairs {
        let (name, text) = (canonical(name.as_ref()), text.as_ref());
        let Some(read) = list_reader(name) else {
            members.push((name.to_owned(), Node::Bare(text.to_owned())));
            continue;
        };
        let earlier = members.iter_mut().find_map(|(known, node)| match node {
            Node::List(items) if known == name => Some(items),
            _ => None,
        });
        let mut fresh = Vec::new();
        let items = match earlier {
            Some(items) => items,
            None => &mut fresh,
        };
        let pointer = format!("/{name}/{}", items.len());
        match as_json(text) {
            Some(Ok(Node::List(many))) => items.extend(many),
            Some(Ok(one)) => items.push(one),
            Some(Err(detail)) => problems.add(&pointer, "invalid_json", detail),
            None => read(text, items),
        }
        if !members.iter().any(|(known, _)| known == name) {
            members.push((name.to_owned(), Node::List(fresh)));
        }
    }
    Node::Map(members)
}

/// The JSON question's name for a parameter's.
fn canonical(name: &str) -> &str {
    match name {
        "filter" => "filters",
        "metric" => "metrics",
        other => other,
    }
}

/// How the text of a list parameter becomes items; `None` for parameters that are not lists.
fn list_reader(name: &str) -> Option<fn(&str, &mut Vec<Node>)> {
    Some(match name {
        "group_by" | "metrics" => read_names,
        "filters" => |text, items| items.push(filter(text)),
        "order_by" => read_order,
        _ => return None,
    })
}

fn as_json(text: &str) -> Option<Result<Node, String>> {
    let looks = text.trim_start().starts_with(['[', '{']);
    looks.then(|| serde_json::from_str(text).map_err(|error| error.to_string()))
}

fn read_names(text: &str, items: &mut Vec<Node>) {
    items.extend(split(text).map(|name| Node::Bare(name.to_owned())));
}

/// Splits at commas that stand outside parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|item| !item.is_empty())
}

fn read_order(text: &str, items: &mut Vec<Node>) {
    for item in split(text) {
        let (key, desc) = match item.rsplit_once(':') {
            Some((key, "desc")) => (key, true),
            Some((key, "asc")) => (key, false),
            _ => (item, false),
        };
        items.push(Node::Map(vec![
            ("key".to_owned(), Node::Text(key.to_owned())),
            ("desc".to_owned(), Node::Bool(desc)),
        ]));
    }
}

/// How conditions may be written shorter, longest sign first, and the operators they stand for.
const SIGNS: [(&str, &str); 7] = [
    ("!=", "ne"),
    (">=", "gte"),
    ("<=", "lte"),
    ("^=", "prefix"),
    ("=", "eq"),
    (">", "gt"),
    ("<", "lt"),
];

/// `field:op:value`, or `field=value` with one of [`SIGNS`]; whichever comes first. The field ends
/// before the first known operator between colons, so that a label's key may contain colons;
/// without one, the text's second part is taken for an operator that does not exist, and refused
/// as such by whoever reads the tree.
fn filter(text: &str) -> Node {
    let mut members = Vec::new();
    let mut member = |key: &str, node| members.push((key.to_owned(), node));
    let bare = |text: &str| Node::Bare(text.to_owned());
    let parts = match (find_op(text), find_sign(text)) {
        (Some(op), Some(sign)) => Some(if sign.0.len() < op.0.len() { sign } else { op }),
        (op, sign) => op.or(sign).or_else(|| unknown_op(text)),
    };
    match parts {
        Some((field, op, value)) => {
            member("field", bare(field));
            member("op", bare(op));
            match value {
                Some(list) if op == "in" => {
                    member("value", Node::List(list.split(',').map(str::trim).map(bare).collect()));
                }
                Some(value) => member("value", bare(value)),
                None => {}
            }
        }
        None => member("field", bare(text)),
    }
    Node::Map(members)
}

type Parts<'a> = (&'a str, &'a str, Option<&'a str>);

fn find_op(text: &str) -> Option<Parts<'_>> {
    text.match_indices(':').find_map(|(colon, _)| {
        let (field, rest) = (&text[..colon], &text[colon + 1..]);
        let (op, value) = match rest.split_once(':') {
            Some((op, value)) => (op, Some(value)),
            None => (rest, None),
        };
        OPS.contains(&op).then_some((field, op, value))
    })
}

fn find_sign(text: &str) -> Option<Parts<'_>> {
    text.char_indices().find_map(|(at, _)| {
        let (field, rest) = text.split_at(at);
        let sign = |(sign, op)| Some((field, op, Some(rest.strip_prefix(sign)?)));
        SIGNS.into_iter().find_map(sign)
    })
}

fn unknown_op(text: &str) -> Option<Parts<'_>> {
    let (field, rest) = text.split_once(':')?;
    Some(match rest.split_once(':') {
        Some((op, value)) => (field, op, Some(value)),
        None => (field, rest, None),
    })
}
