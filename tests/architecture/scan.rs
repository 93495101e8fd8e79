//! Cuts Rust source text into tokens, and finds in them what the rules ask about.

/// An identifier, or a single character of punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A path that begins at the crate's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) line: usize,
    /// The top-level module it leads to, or `*` or `as` where it takes the root itself.
    pub(crate) target: String,
}

/// `source` with comments and literals turned into blanks; lines stay where they are.
fn blanked(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at).max(comment_end(&chars, at));
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment that begins at `at` ends; `at` if none does.
fn comment_end(chars: &[char], at: usize) -> usize {
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => at + chars[at..].iter().take_while(|&&c| c != '\n').count(),
        ('/', Some('*')) => {
            let (mut depth, mut end) = (0_usize, at);
            while end < chars.len() {
                match (chars[end], chars.get(end + 1)) {
                    ('/', Some('*')) => (depth, end) = (depth + 1, end + 2),
                    ('*', Some('/')) if depth == 1 => return end + 2,
                    ('*', Some('/')) => (depth, end) = (depth - 1, end + 2),
                    _ => end += 1,
                }
            }
            chars.len()
        }
        _ => at,
    }
}

/// Where the string or character literal that begins at `at` ends; `at` if none does.
fn literal_end(chars: &[char], at: usize) -> usize {
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '"' => quoted_end(chars, at + 1, '"'),
        'r' if !after_word || chars[at - 1] == 'b' || chars[at - 1] == 'c' => {
            let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
            if chars.get(at + 1 + hashes) != Some(&'"') {
                return at;
            }
            let close: Vec<char> = "\"".chars().chain("#".repeat(hashes).chars()).collect();
            let body = at + 2 + hashes;
            let length = chars[body..].windows(close.len()).position(|w| w == close);
            length.map_or(chars.len(), |length| body + length + close.len())
        }
        // A lifetime has no closing quote after one character or escape.
        '\'' if chars.get(at + 1) == Some(&'\\') => quoted_end(chars, at + 1, '\''),
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

/// The place after the `quote` that closes a literal whose text begins at `at`.
fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The tokens of `source`, without comments and literals.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    for (n, line) in blanked(source).lines().enumerate() {
        let mut in_word = false;
        for c in line.chars() {
            let word = c.is_alphanumeric() || c == '_';
            match found.last_mut() {
                Some(last) if word && in_word => last.text.push(c),
                _ if c.is_whitespace() => {}
                _ => found.push(Token { line: n + 1, text: c.to_string() }),
            }
            in_word = word;
        }
    }
    found
}

/// The attributes of `source`: for each its line and the tokens between its brackets.
pub(crate) fn attributes(source: &str) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(source);
    let text = |n: usize| tokens.get(n).map_or("", |token: &Token| token.text.as_str());
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|&at| text(at) == "#") {
        let open = if text(at + 1) == "!" { at + 2 } else { at + 1 };
        if text(open) != "[" {
            continue;
        }
        let mut depth = 0;
        let inner = tokens[open..].iter().take_while(|token| {
            depth += i32::from(token.text == "[") - i32::from(token.text == "]");
            depth > 0
        });
        let inner: Vec<String> = inner.skip(1).map(|token| token.text.clone()).collect();
        if !inner.is_empty() {
            found.push((tokens[at].line, inner));
        }
    }
    found
}

/// Every path of `source` that begins at the crate's root, by `crate::` or by climbing with
/// `super::` out of the top-level module. `module` is the module path of the file.
pub(crate) fn imports(module: &[&str], source: &str) -> Vec<Import> {
    let tokens = tokens(source);
    let text = |n: usize| tokens.get(n).map_or("", |token: &Token| token.text.as_str());
    let is_path = |n: usize| text(n) == ":" && text(n + 1) == ":";
    let mut found = Vec::new();
    let mut braces: Vec<bool> = Vec::new(); // for each open brace, whether a module's
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "{" => braces.push(at >= 2 && text(at - 2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" if is_path(at + 1) => found.extend(targets(&tokens, at + 3)),
            "crate" if text(at + 1) == "as" => found.extend(targets(&tokens, at + 1)),
            "super" => {
                let mut climbed = 1;
                while is_path(at + 1) && text(at + 3) == "super" {
                    climbed += 1;
                    at += 3;
                }
                let depth = module.len() + braces.iter().filter(|&&is_module| is_module).count();
                if climbed >= depth && is_path(at + 1) {
                    found.extend(targets(&tokens, at + 3));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// What follows the crate's root at token `at`: one name, or each first name of a group.
fn targets(tokens: &[Token], at: usize) -> Vec<Import> {
    let import = |token: &Token| Import { line: token.line, target: token.text.clone() };
    match tokens.get(at) {
        Some(token) if token.text == "{" => {
            let (mut depth, mut first, mut found) = (0, true, Vec::new());
            for token in &tokens[at..] {
                match token.text.as_str() {
                    "{" => depth += 1,
                    "}" if depth == 1 => break,
                    "}" => depth -= 1,
                    "," if depth == 1 => first = true,
                    _ if depth == 1 && first => {
                        found.push(import(token));
                        first = false;
                    }
                    _ => {}
                }
            }
            found
        }
        Some(token) => vec![import(token)],
        None => Vec::new(),
    }
}

#[track_caller]
fn check_tokens(source: &str, expected: &[&str]) {
    let found = tokens(source);
    let texts: Vec<&str> = found.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(texts, expected, "{source}");
}

#[test]
fn comments_and_literals_are_blank() {
    check_tokens("a // b\nc", &["a", "c"]);
    check_tokens("a /* b /* c */ d */ e", &["a", "e"]);
    check_tokens(r#"a("b \" c", 'd', '\'', '"') e"#, &["a", "(", ",", ",", ",", ")", "e"]);
    check_tokens(r###"r#"a " b"# c r"d" br"e" var"###, &["c", "b", "var"]);
    check_tokens(
        "fn f<'a>(x: &'a str)",
        &["fn", "f", "<", "'", "a", ">", "(", "x", ":", "&", "'", "a", "str", ")"],
    );
    check_tokens("let url = \"http://x\"; y", &["let", "url", "=", ";", "y"]);
    check_tokens("unclosed \"", &["unclosed"]);
    let lines: Vec<usize> = tokens("a\n\"x\ny\"\nb").iter().map(|token| token.line).collect();
    assert_eq!(lines, [1, 4]);
}

#[test]
fn imports_are_seen_in_all_their_forms() {
    let check = |source: &str, expected: &[(usize, &str)]| {
        let found = imports(&["here", "deep"], source);
        let found: Vec<(usize, &str)> =
            found.iter().map(|import| (import.line, import.target.as_str())).collect();
        assert_eq!(found, expected, "{source}");
    };
    check("use crate::a::b;\nuse crate::c;", &[(1, "a"), (2, "c")]);
    check("use crate::{a, b::{c, d},\n e::*, self};", &[(1, "a"), (1, "b"), (2, "e"), (2, "self")]);
    check("pub(crate) fn f() { $crate::a::b!() }", &[(1, "a")]);
    check("use super::sibling; use self::own;", &[]);
    check("use super::super::a;", &[(1, "a")]);
    check(
        "mod t { use super::super::own; use super::super::super::{a, b}; }",
        &[(1, "a"), (1, "b")],
    );
    check("mod t {} use super::super::a;", &[(1, "a")]);
    check("fn f(x: crate::a::B) -> Vec<crate::c::D> {}", &[(1, "a"), (1, "c")]);
    check("use crate as root;", &[(1, "as")]);
}

#[test]
fn attributes_are_seen_whole() {
    let found = attributes("#![a]\n#[b(c, d = [1])]\nx[0]; y #z");
    let texts: Vec<(usize, String)> = found.iter().map(|(n, t)| (*n, t.join(" "))).collect();
    assert_eq!(texts, [(1, "a".to_owned()), (2, "b ( c , d = [ 1 ] )".to_owned())]);
}
