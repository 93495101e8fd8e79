//! Takes secrets out of command lines and error texts before they are stored.
//!
//! A secret that is found is replaced by [`MASK`]; what stands around it stays, so that a line
//! can still be read and searched. The shapes come from what tools document: flags and variables
//! whose name says what they hold, credentials in URLs, HTTP authorisation, and the prefixes that
//! GitHub, GitLab, Slack, npm, AWS and others give their tokens to be found by.

use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Text without one of these holds none of the shapes below; most lines end here. It must match
/// whatever a shape matches.
static SUSPICIOUS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(
        "(?i)pass|pwd|token|secret|key|auth|cookie|bearer|basic |cred|://|PRIVATE|A[KS]IA|\
         gh[pousr]_|github_pat|glpat|xox|npm_|emx_|eyJ|sk-|[a-z]rox|hf_|pypi-|-p|-u",
    )
});

/// The shapes, in the order they are looked for. Group `keep` stays, the rest of the match goes;
/// without such a group all of it goes.
static SHAPES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // A private key, also one that was cut off.
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\z)",
        // user:password@host in a URL.
        r"(?P<keep>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\x22]*:)[^\s/@'\x22]+(?P<tail>@)",
        // A token alone in the place of the user: https://TOKEN@host.
        r"(?P<keep>https?://)[^\s/:@'\x22]{20,}(?P<tail>@)",
        // Authorization and cookie headers, up to the closing quote or the end of the line.
        r"(?i)(?P<keep>\b(?:proxy-)?authorization\s*[:=]\s*)(?:(?:bearer|basic|token|digest|negotiate|apikey)\s+)?[^\s'\x22]+",
        r"(?i)(?P<keep>\b(?:set-)?cookie\s*:\s*)[^'\x22\r\n]+",
        r"(?i)(?P<keep>\b(?:x-[a-z-]*(?:key|token|secret|auth)|private-token|api-?key)\s*:\s*)[^\s'\x22]+",
        r"(?i)(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}",
        // Long flags: --password x, --password=x, --api-key 'x y'.
        r#"(?i)(?P<keep>(?:^|\s)--?[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api-?key|apikey|access-?key|private-?key|credentials?|auth)(?:=|\s+))(?:"[^"]*"|'[^']*'|[^\s'"-][^\s]*|-[^\s-][^\s]*)"#,
        // Variables and fields: FOO_SECRET=x, password: x, "token": "x", ?api_key=x.
        r#"(?i)(?P<keep>[a-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|token|api_?key|apikey|access_?key|private_?key|credentials?)[a-z0-9_]*["']?\s*(?:=|:)\s*)(?:"[^"]*"|'[^']*'|[^\s'"&,;}]+)"#,
        // mysql -pSECRET, sshpass -p SECRET, curl -u user:SECRET.
        r"(?P<keep>\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump)\b[^|;&\r\n]*?\s-p)[^\s'\x22]+",
        r"(?P<keep>\bsshpass\s+-p\s*)[^\s]+",
        r"(?P<keep>\b(?:curl|wget|http|https)\b[^|;&\r\n]*?\s(?:-u|--user|--proxy-user)[\s=]*[^\s:'\x22]+:)[^\s'\x22]+",
        r"(?P<keep>\b(?:docker|podman|helm)\b[^|;&\r\n]*?\blogin\b[^|;&\r\n]*?\s-p\s*)[^\s]+",
        // Tokens that say what they are.
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        r"\b(?:npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{20,}|emx_[A-Za-z0-9_-]{8,}|sk-[A-Za-z0-9_-]{20,})",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    ]
    .iter()
    .filter_map(|pattern| compile(pattern))
    .collect()
});

/// A constant pattern; that each of them compiles is tested.
fn compile(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

/// `text` without its secrets.
pub fn mask(text: &str) -> Cow<'_, str> {
    if text.is_empty() || SUSPICIOUS.as_ref().is_some_and(|regex| !regex.is_match(text)) {
        return Cow::Borrowed(text);
    }
    let mut masked = Cow::Borrowed(text);
    for shape in SHAPES.iter() {
        if let Cow::Owned(changed) = shape.replace_all(&masked, replacement) {
            masked = Cow::Owned(changed);
        }
    }
    masked
}

fn replacement(found: &Captures<'_>) -> String {
    let group = |name| found.name(name).map_or("", |m| m.as_str());
    format!("{}{MASK}{}", group("keep"), group("tail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cases: &[(&str, &str)]) {
        for (text, want) in cases {
            assert_eq!(mask(text), *want, "{text}");
            assert_eq!(mask(want), *want, "masking twice changes nothing");
        }
    }

    #[test]
    fn every_pattern_compiles() {
        assert!(SUSPICIOUS.is_some());
        assert_eq!(SHAPES.len(), 18);
    }

    #[test]
    fn flags_and_variables() {
        check(&[
            ("psql --password hunter2 -h db", "psql --password *** -h db"),
            ("psql --password=hunter2 -h db", "psql --password=*** -h db"),
            ("tool --api-key 'a b c' run", "tool --api-key *** run"),
            ("tool --token \"abc\" run", "tool --token *** run"),
            ("tool --client-secret=abc", "tool --client-secret=***"),
            ("tool --auth-token abc.def", "tool --auth-token ***"),
            ("gpg --passphrase abc --sign f", "gpg --passphrase *** --sign f"),
            ("aws --secret-access-key abc/def+g", "aws --secret-access-key ***"),
            ("export DB_PASSWORD=abc", "export DB_PASSWORD=***"),
            ("DB_PASSWORD=abc DB_HOST=x run", "DB_PASSWORD=*** DB_HOST=x run"),
            ("GITHUB_TOKEN='a b' make", "GITHUB_TOKEN=*** make"),
            (
                "env AWS_SECRET_ACCESS_KEY=abc/d aws s3 ls",
                "env AWS_SECRET_ACCESS_KEY=*** aws s3 ls",
            ),
            ("{\"password\": \"abc\", \"user\": \"x\"}", "{\"password\": ***, \"user\": \"x\"}"),
            ("curl https://h/?api_key=abc&x=1", "curl https://h/?api_key=***&x=1"),
            ("curl https://h/?access_token=abc&x=1", "curl https://h/?access_token=***&x=1"),
            ("mysql -uroot -phunter2 db", "mysql -uroot -p*** db"),
            ("mysqldump --single -pS3cret db > f", "mysqldump --single -p*** db > f"),
            ("sshpass -p hunter2 ssh h", "sshpass -p *** ssh h"),
            ("curl -u bob:hunter2 https://h", "curl -u bob:*** https://h"),
            ("curl --user bob:hunter2 https://h", "curl --user bob:*** https://h"),
            ("docker login -u bob -p hunter2 reg", "docker login -u bob -p *** reg"),
        ]);
    }

    #[test]
    fn urls_headers_and_tokens() {
        check(&[
            ("git clone https://bob:hunter2@h/r.git", "git clone https://bob:***@h/r.git"),
            ("psql postgres://u:p%40ss@db/x", "psql postgres://u:***@db/x"),
            ("redis-cli -u redis://:abc@h:6379", "redis-cli -u redis://:***@h:6379"),
            ("git push https://0123456789abcdef0123@h/r", "git push https://***@h/r"),
            ("curl -H 'Authorization: Bearer abc.def'", "curl -H 'Authorization: ***'"),
            ("curl -H \"authorization: Basic dXNlcjpw\"", "curl -H \"authorization: ***\""),
            ("curl -H 'X-Api-Key: abc' h", "curl -H 'X-Api-Key: ***' h"),
            ("curl -H 'Private-Token: abc' h", "curl -H 'Private-Token: ***' h"),
            ("curl -H 'Cookie: a=b; c=d' h", "curl -H 'Cookie: ***' h"),
            ("curl --header 'Bearer abcdefghijk'", "curl --header 'Bearer ***'"),
            ("aws configure AKIAIOSFODNN7EXAMPLE", "aws configure ***"),
            ("echo ghp_0123456789abcdefghij0123456789abcdef", "echo ***"),
            ("echo github_pat_11AAAAAAA0123456789_abcdef", "echo ***"),
            ("echo glpat-0123456789abcdefghij", "echo ***"),
            ("echo xoxb-123456789012-abcdef", "echo ***"),
            ("echo npm_0123456789abcdefghij0123456789abcdef", "echo ***"),
            ("echo emx_0123456789abcdef", "echo ***"),
            ("echo eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln", "echo ***"),
            (
                "cat <<E\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nE",
                "cat <<E\n***\nE",
            ),
            ("echo -----BEGIN PRIVATE KEY-----\nMIIE cut", "echo ***"),
        ]);
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "cargo build --release",
            "git push origin main",
            "git log --author=bob -p src/auth.rs",
            "ls -lap /etc/passwd",
            "passwd bob",
            "cp -p a b && ssh -p 2222 host",
            "kubectl get secrets -n prod",
            "vault token lookup",
            "ssh-keygen -t ed25519 -f key",
            "docker run -p 8080:80 nginx",
            "curl https://example.org/a/b?page=2",
            "git clone git@github.com:o/r.git",
            "npm run test -- --grep 'password reset'",
            "grep -rn keyboard src",
            "make KEYS=3 all",
            "echo http://localhost:8080/x@y",
            "mkdir -p secret/dir",
            "apt-key list",
        ] {
            assert!(matches!(mask(text), Cow::Borrowed(_)) || mask(text) == text, "{text}");
            assert_eq!(mask(text), text);
        }
    }
}
