//! What a secret looks like: one table of needles, one of regular expressions.
//!
//! In an expression every unnamed group captures secrets and nothing else; a group named `k` is
//! the key that the secret belongs to.

use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// The kinds of secrets. Each is one regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// `--password x`, `--api-key=x`.
    Flag,
    /// `FOO_TOKEN=x`, `password = x`, `…?sig=x`.
    Assignment,
    /// `"password": "x"`, `password: x`, `X-Api-Key: x`.
    Member,
    /// `mysql -px`, `sshpass -p x` and other programs' own short flags.
    Program,
    /// `curl -u user:x`.
    UserAndPassword,
    /// `Authorization: Bearer x`.
    Authorization,
    /// `https://user:x@host`.
    Url,
    /// Tokens with a prefix of their issuer, anywhere.
    Token,
    /// JSON Web Tokens (RFC 7519), anywhere.
    Jwt,
    /// PEM blocks of private keys (RFC 7468).
    Pem,
    /// `Cookie: x`.
    Cookie,
}

/// A word without which a rule cannot match.
#[derive(Clone, Copy)]
pub(super) struct Needle {
    /// The word; in lower case where `any_case`.
    pub(super) word: &'static [u8],
    /// Where in it the three letters begin by which it is looked for: rare ones.
    pub(super) letters_at: usize,
    /// Whether case matters not.
    pub(super) any_case: bool,
    /// A byte that must come later in the text.
    pub(super) later: Option<u8>,
    /// Which rule it is for.
    pub(super) rule: Kind,
}

const fn any(word: &'static str, letters_at: usize, rule: Kind) -> Needle {
    Needle { word: word.as_bytes(), letters_at, any_case: true, later: None, rule }
}

const fn exact(word: &'static str, letters_at: usize, rule: Kind) -> Needle {
    Needle { word: word.as_bytes(), letters_at, any_case: false, later: None, rule }
}

const fn then(word: &'static str, letters_at: usize, later: u8, rule: Kind) -> Needle {
    Needle { word: word.as_bytes(), letters_at, any_case: true, later: Some(later), rule }
}

/// Every needle. A word that serves several rules stands here once for each.
pub(super) const NEEDLES: [Needle; 89] = [
    any("--pass", 1, Kind::Flag),
    any("passw", 2, Kind::Flag),
    any("passphrase", 4, Kind::Flag),
    any("-pwd", 0, Kind::Flag),
    any("secret", 2, Kind::Flag),
    any("token", 0, Kind::Flag),
    any("api-key", 2, Kind::Flag),
    any("api_key", 2, Kind::Flag),
    any("apikey", 2, Kind::Flag),
    any("access-key", 6, Kind::Flag),
    any("access_key", 6, Kind::Flag),
    any("account-key", 7, Kind::Flag),
    any("auth-key", 4, Kind::Flag),
    any("from-literal", 7, Kind::Flag),
    then("pass", 0, b'=', Kind::Assignment),
    then("pwd", 0, b'=', Kind::Assignment),
    then("secret", 2, b'=', Kind::Assignment),
    then("token", 0, b'=', Kind::Assignment),
    then("key", 0, b'=', Kind::Assignment),
    then("credential", 2, b'=', Kind::Assignment),
    then("_auth", 0, b'=', Kind::Assignment),
    then("sig=", 1, b'=', Kind::Assignment),
    then("signature", 1, b'=', Kind::Assignment),
    then("passw", 2, b':', Kind::Member),
    then("passphrase", 4, b':', Kind::Member),
    then("secret", 2, b':', Kind::Member),
    then("token", 0, b':', Kind::Member),
    then("key", 0, b':', Kind::Member),
    any("mysql", 1, Kind::Program),
    any("mariadb", 3, Kind::Program),
    any("mongo", 2, Kind::Program),
    any("sshpass", 1, Kind::Program),
    any(" login", 0, Kind::Program),
    any("redis-cli", 4, Kind::Program),
    any("7z ", 0, Kind::Program),
    any("7za ", 0, Kind::Program),
    any("zip ", 0, Kind::Program),
    any("pass:", 2, Kind::Program),
    any("ldap", 0, Kind::Program),
    any("sqlcmd", 2, Kind::Program),
    any("rabbitmqadmin", 4, Kind::Program),
    any("cqlsh", 0, Kind::Program),
    any("secret set", 5, Kind::Program),
    any("access_key ", 6, Kind::Program),
    any("session_token ", 6, Kind::Program),
    then("curl", 1, b':', Kind::UserAndPassword),
    any("smbclient", 0, Kind::UserAndPassword),
    then("http ", 1, b':', Kind::UserAndPassword),
    any("authorization", 4, Kind::Authorization),
    any("bearer ", 1, Kind::Authorization),
    then("://", 0, b'@', Kind::Url),
    exact("AKIA", 0, Kind::Token),
    exact("ASIA", 0, Kind::Token),
    exact("ghp_", 0, Kind::Token),
    exact("gho_", 0, Kind::Token),
    exact("ghu_", 0, Kind::Token),
    exact("ghs_", 0, Kind::Token),
    exact("ghr_", 0, Kind::Token),
    exact("github_pat_", 5, Kind::Token),
    exact("glpat-", 1, Kind::Token),
    exact("glptt-", 1, Kind::Token),
    exact("gldt-", 1, Kind::Token),
    exact("glrt-", 1, Kind::Token),
    exact("glcbt-", 1, Kind::Token),
    exact("glsoat-", 1, Kind::Token),
    exact("xox", 0, Kind::Token),
    exact("xapp-", 0, Kind::Token),
    exact("hooks.slack.com", 5, Kind::Token),
    exact("npm_", 1, Kind::Token),
    exact("emx_", 1, Kind::Token),
    exact("sk-", 0, Kind::Token),
    exact("k_live_", 1, Kind::Token),
    exact("k_test_", 1, Kind::Token),
    exact("AIza", 0, Kind::Token),
    exact("ya29.", 0, Kind::Token),
    exact("hf_", 0, Kind::Token),
    exact("pypi-", 1, Kind::Token),
    exact("SG.", 0, Kind::Token),
    exact("dop_v1_", 2, Kind::Token),
    exact("hvs.", 0, Kind::Token),
    exact("dckr_pat_", 2, Kind::Token),
    exact("AGE-SECRET-KEY-1", 11, Kind::Token),
    exact("eyJ", 0, Kind::Jwt),
    exact("PRIVATE KEY", 2, Kind::Pem),
    then("cookie", 3, b':', Kind::Cookie),
    then("cookie", 3, b'=', Kind::Cookie),
    any("pass=", 2, Kind::Assignment),
    any("pwd=", 1, Kind::Assignment),
    any("--pwd", 2, Kind::Flag),
];

/// A regular expression and the last word on what it found.
pub(super) struct Rule {
    expression: Regex,
    is_secret: fn(&Found<'_>) -> bool,
}

/// What a group captured, where it stands, and its key.
pub(super) struct Found<'t> {
    text: &'t str,
    span: Range<usize>,
    key: &'t str,
}

impl Found<'_> {
    fn secret(&self) -> &str {
        &self.text[self.span.clone()]
    }

    fn stands_alone(&self) -> bool {
        self.text[..self.span.start].ends_with([' ', '\t'])
    }
}

impl Rule {
    /// Adds the places of this kind's secrets in `text`.
    pub(super) fn find(&self, text: &str, secrets: &mut Vec<Range<usize>>) {
        let names = || self.expression.capture_names();
        for found in self.expression.captures_iter(text) {
            let key = found.name("k").map_or("", |k| k.as_str());
            for (group, name) in found.iter().zip(names()).skip(1) {
                let (Some(group), None) = (group, name) else { continue };
                let found = Found { text, span: group.range(), key };
                if !group.is_empty() && (self.is_secret)(&found) {
                    secrets.push(group.range());
                }
            }
        }
    }
}

/// The rules whose bit is set.
pub(super) fn of(suspects: u32) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().enumerate().filter(move |(n, _)| suspects >> n & 1 == 1).map(|(_, rule)| rule)
}

/// By `Kind as usize`.
static RULES: LazyLock<[Rule; 11]> = LazyLock::new(|| {
    [
        rule(FLAG, is_flag_value),
        rule(ASSIGNMENT, is_assigned),
        rule(MEMBER, is_literal),
        rule(PROGRAM, is_flag_value),
        rule(USER_AND_PASSWORD, is_literal),
        rule(AUTHORIZATION, is_credential),
        rule(URL, is_literal),
        rule(TOKEN, is_token),
        rule(JWT, |_| true),
        rule(PEM, |_| true),
        rule(COOKIE, is_literal),
    ]
});

/// `VALUE` in an expression: a word of a shell or of JSON, quoted (also where the quotes
/// themselves are escaped) or not; an unclosed quote reaches to the end.
const VALUE: &str = r#"(?:\\+"([^"\\]*)|"((?:[^"\\]|\\.)*)|'([^']*)|((?:[^\s"'`;|<>&=\\]|\\[^"])(?:[^\s"'`;|<>&\\]|\\[^"])*))"#;

/// `ARGS` in an expression: arguments up to the one that counts, inside one shell command.
const ARGS: &str = r#"[ \t](?:(?:"[^"]*"|'[^']*'|[^|;&\n"'])*?[ \t])??"#;

const FLAG: &str = r#"(?i)(?:^|[\s"'`(=\[,])(?:--(?P<k>(?:[a-z0-9]+[-_.])*(?:[a-z0-9]*(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|secret[-_]?key|account[-_]?key|auth[-_]?key)|pass|pwd))|-(?:password|passwd|passphrase|secret|token)|--from-literal[= \t]+[^=\s]+)(?:=|[ \t]+|["'],[ \t]*)VALUE"#;

const ASSIGNMENT: &str = r#"(?i)(?:(?-u:\b)|_)(?P<k>[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|secret[-_]?key|private[-_]?key|account[-_]?key|encryption[-_]?key|signing[-_]?key|master[-_]?key|auth[-_]?key|credentials?|_auth|signature)|(?:[a-z0-9_.-]*[_.-])?(?:pass|pwd|sig))(?:=|[ \t]+=[ \t]+)VALUE"#;

const MEMBER: &str = r#"(?i)(?:\\*["'](?P<k>[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|secret[-_]?key|private[-_]?key))\\*["'][ \t]*:[ \t]*(?:\\+"([^"\\]*)|"((?:[^"\\]|\\.)*)|'([^']*))|(?:[a-z0-9_.-]*(?:password|passwd|passphrase)|(?:x|private|job|deploy|auth|access|api|vault)[a-z-]*-(?:token|key|secret))[ \t]*:[ \t]*VALUE)"#;

const PROGRAM: &str = r"(?-u:\b)(?:(?:mysql(?:dump|admin|import|check|pump|show|slap)?|mariadb(?:-[a-z]+)?)(?:\.exe)?ARGS-pVALUE|7z[arz]?ARGS-pVALUE|(?:sshpass|(?:docker|podman|buildah|skopeo|crane|nerdctl|oras|helm|oc|az)[ \t][^|;&\n]*?(?-u:\b)login|mongo(?:sh|dump|restore|export|import)?|rabbitmqadmin|cqlsh)ARGS-p[ \t]*VALUE|redis-cliARGS(?:-a|--pass)[ \t]+VALUE|(?:un)?zipARGS-P[ \t]*VALUE|sqlcmdARGS-P[ \t]*VALUE|ldap(?:search|modify|add|delete|passwd|whoami|compare)ARGS-w[ \t]*VALUE|gh[ \t]+secret[ \t]+setARGS(?:-b|--body)[ \t=]*VALUE|aws_(?:secret_access_key|session_token)[ \t]+VALUE)|(?:-pass(?:in|out)?|-k)[ \t]+pass:(\S+)";

const USER_AND_PASSWORD: &str = r#"(?-u:\b)(?:(?:curl|https?)(?:\.exe)?ARGS(?:-[a-zA-Z]*[uUa]|--user|--proxy-user|--auth)(?:=|[ \t]*)["']?[^\s:"'=/]+:([^\s"']+)|smbclientARGS(?:-U|--user)(?:=|[ \t]*)["']?[^\s%"']+%([^\s"']+))"#;

const AUTHORIZATION: &str = r#"(?i)authorization\\*["']?[ \t]*[:=][ \t]*\\*["']?(?:(?:digest|aws4-hmac-sha256|hawk|oauth)[ \t]+([^\r\n]+)|(?P<k>bearer|basic|token|negotiate|apikey|bot|key)[ \t]+([^\s"'\\,;]+)|([^\s"'\\,;]+))|(?-u:\b)bearer[ \t]+([a-z0-9._~+/=-]{8,})"#;

const URL: &str =
    r#"(?i)(?-u:\b)[a-z][a-z0-9+.-]*://(?:[^\s/?#:@"'`]*:([^\s/?#"'`]+)|([a-z0-9_-]{20,}))@"#;

const TOKEN: &str = r"(?-u:\b)((?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|gl(?:pat|ptt|dt|rt|cbt|soat)-[A-Za-z0-9_.-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{16,}|npm_[A-Za-z0-9]{20,}|emx_[A-Za-z0-9_-]{16,}|sk-[A-Za-z0-9_-]{20,}|[srp]k_(?:live|test)_[A-Za-z0-9]{10,}|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{16,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|dop_v1_[a-f0-9]{32,}|hvs\.[A-Za-z0-9_-]{16,}|dckr_pat_[A-Za-z0-9_-]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{16,})|hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]+)";

const JWT: &str = r"(?-u:\b)(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,3})";

const PEM: &str = r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY|\z)";

const COOKIE: &str = r#"(?i)(?:(?-u:\b)(?:set-)?cookie2?\\*["']?[ \t]*:[ \t]*\\*["']?([^"'\r\n\\]+)|--cookie[ \t=]+(?:"([^"]*=[^"]*)|'([^']*=[^']*)|([^\s"'=]+=\S+)))"#;

fn rule(expression: &str, is_secret: fn(&Found<'_>) -> bool) -> Rule {
    let expression = expression.replace("ARGS", ARGS).replace("VALUE", VALUE);
    let expression = Regex::new(&expression).expect("a constant that the tests compile");
    Rule { expression, is_secret }
}

/// Not a mere reference: `$NAME`, `${…}`, `$(…)`, `%NAME%`, `{{ … }}`.
fn is_literal(found: &Found<'_>) -> bool {
    let secret = found.secret();
    let name = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit())
    };
    let reference =
        secret.strip_prefix('$').is_some_and(|rest| rest.starts_with(['{', '(']) || name(rest))
            || secret.starts_with("{{")
            || secret.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')).is_some_and(name);
    !reference
}

/// A literal that is not the next flag, nor what only describes a secret.
fn is_flag_value(found: &Found<'_>) -> bool {
    let secret = found.secret();
    let next_flag = found.stands_alone() && secret.starts_with('-');
    let build_secret = secret.starts_with("id=") && found.key.ends_with("secret");
    let negated = found.key.starts_with("no-") || found.key.starts_with("disable-");
    is_literal(found) && !next_flag && !build_secret && !negated
}

/// A literal whose key is not one of the shell's own, nor a count of passed tests.
fn is_assigned(found: &Found<'_>) -> bool {
    let secret = found.secret();
    let own = matches!(found.key, "PWD" | "OLDPWD");
    let count =
        found.key.eq_ignore_ascii_case("pass") && secret.bytes().all(|b| b.is_ascii_digit());
    is_literal(found) && !own && !count
}

/// What follows a scheme, has parameters, or looks drawn at random: `authorization: denied` is
/// none of these.
fn is_credential(found: &Found<'_>) -> bool {
    let secret = found.secret();
    is_literal(found) && (!found.key.is_empty() || secret.contains('=') || looks_random(secret))
}

/// A prefix that is also a word (`sk-`, `npm_`, `pypi-`) needs a tail that looks drawn at random.
fn is_token(found: &Found<'_>) -> bool {
    looks_random(found.secret())
}

/// Digits, or letters of both cases after the first: no word, no name.
fn looks_random(text: &str) -> bool {
    let tail = text.as_bytes().get(4..).unwrap_or_default();
    let digit = tail.iter().any(u8::is_ascii_digit);
    let upper = tail.iter().any(u8::is_ascii_uppercase);
    let lower = tail.iter().any(u8::is_ascii_lowercase);
    digit || (upper && lower)
}
