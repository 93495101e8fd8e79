//! Access tokens that must not be believed, each with what is said of it: a table for whoever judges
//! them, by the function that does and over HTTP.

#[path = "hostile_claims.rs"]
mod hostile_claims;

use crate::world::{Forger, unsigned};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, KeyPair as _, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use emx::identity::token::TokenError::{self, Claims, Malformed, Signature, UnknownKey};
use serde_json::{Value, json};

/// One token.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) outcome: TokenError,
}

/// What the table is made of.
pub(crate) struct Scene<'a> {
    /// Somebody who can sign as this installation does, and whose claims are those of `good`.
    pub(crate) forger: &'a Forger,
    /// A token that is believed.
    pub(crate) good: &'a str,
    /// The same of another installation, and its key.
    pub(crate) stranger: &'a Forger,
    pub(crate) foreign: &'a str,
    /// The key that signs, as it is published.
    pub(crate) jwk: &'a Value,
    /// Things that are good for something else.
    pub(crate) others: &'a [(&'a str, &'a str)],
}

struct Table<'a> {
    scene: &'a Scene<'a>,
    rows: Vec<Row>,
}

/// All of them.
pub(crate) fn rows(scene: &Scene<'_>) -> Vec<Row> {
    let mut table = Table { scene, rows: Vec::new() };
    table.algorithms();
    table.signatures();
    table.confusions();
    table.keys();
    table.headers();
    table.purposes();
    table.claims();
    table.times();
    table.objects();
    table.forms();
    table.tampered();
    table.rows
}

impl Table<'_> {
    fn push(&mut self, name: impl Into<String>, token: impl Into<String>, outcome: TokenError) {
        let (name, token) = (name.into(), token.into());
        self.rows.push(Row { name, token, outcome });
    }

    fn claims_text(&self) -> String {
        self.scene.forger.claims.to_string()
    }

    /// Rightly signed under this header.
    fn header(&mut self, name: impl Into<String>, header: &str, outcome: TokenError) {
        let token = self.scene.forger.sign(header.as_bytes(), self.claims_text().as_bytes());
        self.push(name, token, outcome);
    }

    /// Rightly signed with a claim that is another.
    fn claim(&mut self, claim: &str, value: Value, outcome: TokenError) {
        let name = format!("{claim}: {value:.60}");
        let token = self.scene.forger.with(claim, value);
        self.push(name, token, outcome);
    }

    /// Rightly signed with these bytes for claims.
    fn body(&mut self, name: impl Into<String>, claims: &[u8]) {
        let forger = self.scene.forger;
        self.push(name, forger.sign(forger.header().as_bytes(), claims), Claims);
    }

    fn algorithms(&mut self) {
        let (claims, kid) = (self.claims_text(), self.scene.forger.kid.clone());
        let end = self.scene.good.rsplit('.').next().unwrap_or_default();
        for alg in ["none", "None", "NONE", "nOnE", "noNe", "none ", "", "null"] {
            for (header, form) in [
                (format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}"#), "whole"),
                (format!(r#"{{"alg":"{alg}"}}"#), "alone"),
            ] {
                let signed = unsigned(header.as_bytes(), claims.as_bytes());
                for end in ["", ".", ".AA", &format!(".{end}")] {
                    let name = format!("alg `{alg}` {form} with `{end:.4}`");
                    self.push(name, format!("{signed}{end}"), Malformed);
                }
            }
        }
        for alg in [
            "RS384",
            "RS512",
            "PS256",
            "PS384",
            "PS512",
            "ES256",
            "ES384",
            "ES256K",
            "EdDSA",
            "HS256",
            "HS384",
            "HS512",
            "rs256",
            "RS256 ",
            " RS256",
            "Rs256",
            "RSA256",
            "RS256\\u0000",
            "dir",
            "RSA-OAEP",
        ] {
            let header = format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}"#);
            self.header(format!("alg `{alg}`, rightly signed"), &header, Malformed);
        }
        for alg in ["null", "256", "true", r#"["RS256"]"#, r#"["RS256","none"]"#, r#"{"RS256":1}"#]
        {
            let header = format!(r#"{{"typ":"at+jwt","alg":{alg},"kid":"{kid}"}}"#);
            self.header(format!("alg {alg}"), &header, Malformed);
        }
    }

    fn signatures(&mut self) {
        let (claims, forger) = (self.claims_text(), self.scene.forger);
        let signed = unsigned(forger.header().as_bytes(), claims.as_bytes());
        for (alg, encoding) in [
            ("RS512", &signature::RSA_PKCS1_SHA512 as &'static dyn RsaEncoding),
            ("RS384", &signature::RSA_PKCS1_SHA384),
            ("PS256", &signature::RSA_PSS_SHA256),
            ("PS512", &signature::RSA_PSS_SHA512),
        ] {
            for (said, outcome) in [(alg, Malformed), ("RS256", Signature)] {
                let header = forger.header().replace("RS256", said);
                let signed = unsigned(header.as_bytes(), claims.as_bytes());
                let end = URL_SAFE_NO_PAD.encode(forger.signature(encoding, &signed));
                self.push(
                    format!("signed by {alg}, said {said}"),
                    format!("{signed}.{end}"),
                    outcome,
                );
            }
        }
        for bytes in [0, 1, 32, 64, 96, 132, 255, 256, 257, 512] {
            for byte in [0, 0xff] {
                let end = URL_SAFE_NO_PAD.encode(vec![byte; bytes]);
                let outcome = if bytes == 256 { Signature } else { Malformed };
                self.push(
                    format!("psychic: {bytes} times {byte}"),
                    format!("{signed}.{end}"),
                    outcome,
                );
            }
        }
        let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{}"}}"#, forger.kid);
        let es256 = unsigned(header.as_bytes(), claims.as_bytes());
        let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
        self.push("psychic ES256", format!("{es256}.{zeros}"), Malformed);
        let end = self.scene.good.rsplit('.').next().unwrap_or_default().to_owned();
        self.push("another token's signature", format!("{signed}.{end}"), Signature);
        let other = unsigned(forger.header().as_bytes(), b"{}");
        self.push("another token's signature, no claims", format!("{other}.{end}"), Signature);
    }

    /// HMAC with what everybody knows for a key.
    fn confusions(&mut self) {
        let forger = self.scene.forger;
        let public = forger.pair.public_key();
        let pkcs1 = public.as_ref().to_vec();
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(public).unwrap().as_ref().to_vec();
        let (pem_pkcs1, pem_spki) = (pem("RSA PUBLIC KEY", &pkcs1), pem("PUBLIC KEY", &spki));
        let modulus = self.scene.jwk["n"].as_str().unwrap().to_owned();
        let secrets: [(&str, Vec<u8>); 14] = [
            ("SPKI as PEM", pem_spki.clone().into_bytes()),
            ("SPKI as PEM without its last line end", pem_spki.trim_end().into()),
            ("SPKI as PEM with CRLF", pem_spki.replace('\n', "\r\n").into_bytes()),
            ("PKCS#1 as PEM", pem_pkcs1.into_bytes()),
            ("PKCS#1", pkcs1),
            ("SPKI in base64", STANDARD.encode(&spki).into_bytes()),
            ("SPKI", spki),
            ("the JWK", self.scene.jwk.to_string().into_bytes()),
            ("the modulus", URL_SAFE_NO_PAD.decode(&modulus).unwrap()),
            ("the modulus in base64url", modulus.into_bytes()),
            ("the key id", forger.kid.clone().into_bytes()),
            ("`secret`", b"secret".to_vec()),
            ("`changeme`", b"changeme".to_vec()),
            ("nothing", Vec::new()),
        ];
        for (name, secret) in secrets {
            for (alg, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS512", hmac::HMAC_SHA512)] {
                for said in [alg, "RS256"] {
                    let header = forger.header().replace("RS256", said);
                    let signed = unsigned(header.as_bytes(), self.claims_text().as_bytes());
                    let key = hmac::Key::new(algorithm, &secret);
                    let tag = hmac::sign(&key, signed.as_bytes());
                    let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
                    self.push(format!("{alg} with {name}, said {said}"), text, Malformed);
                    if said == "RS256" {
                        // As long as a right one is.
                        let mut long = tag.as_ref().to_vec();
                        long.resize(256, 0);
                        let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(long));
                        self.push(format!("{alg} with {name}, filled up"), text, Signature);
                    }
                }
            }
        }
    }

    fn keys(&mut self) {
        let kid = self.scene.forger.kid.clone();
        self.header("no kid", r#"{"typ":"at+jwt","alg":"RS256"}"#, Malformed);
        let header = |kid: &str| format!(r#"{{"typ":"at+jwt","alg":"RS256","kid":{kid}}}"#);
        for bad in ["null", "1", "true", "[]", r#"{"kid":"x"}"#, &format!(r#"["{kid}"]"#)] {
            self.header(format!("kid {bad:.20}"), &header(bad), Malformed);
        }
        for bad in [
            "",
            "unknown",
            "../../../../dev/null",
            "/etc/passwd",
            "x' UNION SELECT 'key' --",
            "' OR '1'='1",
            "*",
            "%00",
            "\\u0000",
            "https://example.org/keys",
            &format!("{kid}\\u0000"),
            &format!("{kid} "),
            &kid.to_lowercase(),
            &kid[..42],
            &format!("signing_keys/{kid}"),
            &self.scene.stranger.kid.clone(),
        ] {
            self.header(format!("kid `{bad:.30}`"), &header(&format!(r#""{bad}""#)), UnknownKey);
        }
        for chars in [600, 1 << 20] {
            let long = format!(r#""{}""#, "k".repeat(chars));
            self.header(format!("kid of {chars} characters"), &header(&long), Malformed);
        }
        // The right key's name, by another key.
        let (stranger, claims) = (self.scene.stranger, self.claims_text());
        let right = self.scene.forger.header();
        let forged = stranger.sign(right.as_bytes(), claims.as_bytes());
        self.push("signed by another installation's key", forged, Signature);
        self.push("another installation's token", self.scene.foreign, UnknownKey);
        let theirs = stranger.sign(stranger.header().as_bytes(), claims.as_bytes());
        self.push("another installation's key and name", theirs, UnknownKey);
    }

    fn headers(&mut self) {
        let (kid, jwk) = (self.scene.forger.kid.clone(), self.scene.jwk.to_string());
        let right = self.scene.forger.header();
        for member in [
            r#""jku":"https://example.org/keys""#,
            r#""jku":"https://localhost/.well-known/jwks.json""#,
            r#""x5u":"https://example.org/chain""#,
            r#""x5c":["MIIB"]"#,
            r#""x5t":"AAAA""#,
            r##""x5t#S256":"AAAA""##,
            &format!(r#""jwk":{jwk}"#),
            r#""jwk":null"#,
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":["unknown"],"unknown":1"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""b64":false,"crit":["b64"]"#,
            r#""cty":"JWT""#,
            r#""zip":"DEF""#,
            r#""enc":"A128GCM""#,
            r#""epk":{}"#,
            r#""iss":"x""#,
            r#""unknown":1"#,
            r#""alg":"RS256""#,
            r#""alg":"none""#,
            r#""typ":"at+jwt""#,
            &format!(r#""kid":"{kid}""#),
        ] {
            let first = right.replacen('{', &format!("{{{member},"), 1);
            self.header(format!("header with {member:.30} first"), &first, Malformed);
            let last = right.replacen('}', &format!(",{member}}}"), 1);
            self.header(format!("header with {member:.30} last"), &last, Malformed);
        }
        for (name, header) in [
            ("a list for a header", format!(r#"["RS256","at+jwt","{kid}"]"#)),
            ("text after the header", format!("{right}x")),
            ("two headers", format!("{right}{right}")),
            ("a mark before the header", format!("\u{feff}{right}")),
            ("null for a header", "null".into()),
            ("nothing in the header", "{}".into()),
            ("`ALG`", right.replace("alg", "ALG")),
            ("a header that is deep", "[".repeat(300)),
        ] {
            self.header(name, &header, Malformed);
        }
        let claims = self.claims_text();
        for bytes in [&b"\xff\xfe"[..], b"\0"] {
            let token = self.scene.forger.sign(bytes, claims.as_bytes());
            self.push("a header of no text", token, Malformed);
        }
    }

    fn purposes(&mut self) {
        for typ in [
            "JWT",
            "jwt",
            "at+JWT",
            "AT+JWT",
            "application/at+jwt",
            "at+jwt ",
            "dpop+jwt",
            "logout+jwt",
            "id_token",
            "secevent+jwt",
            "rt+jwt",
            "state+jwt",
            "reset+jwt",
            "invitation+jwt",
            "ticket+jwt",
            "",
        ] {
            let header = self.scene.forger.header().replace("at+jwt", typ);
            self.header(format!("typ `{typ}`"), &header, Malformed);
        }
        for typ in ["null", "1", r#"["at+jwt"]"#] {
            let header = self.scene.forger.header().replace(r#""at+jwt""#, typ);
            self.header(format!("typ {typ}"), &header, Malformed);
        }
        let untyped = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, self.scene.forger.kid);
        self.header("no typ", &untyped, Malformed);
        // What an ID token says, under the right header.
        let now = self.scene.forger.claims["iat"].clone();
        let id_token = json!({
            "iss": self.scene.forger.claims["iss"], "aud": "client", "sub": "x", "iat": now,
            "exp": now, "nonce": "n", "email": "you@example.org",
        });
        self.body("an ID token's claims", id_token.to_string().as_bytes());
        for (name, text) in self.scene.others {
            self.push(*name, *text, Malformed);
        }
    }

    fn forms(&mut self) {
        let good = self.scene.good;
        let parts: Vec<&str> = good.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{good}") };
        let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
        let spare = |text: &str| {
            // The last character of a text of 256 bytes has two bits of its own and four to spare.
            let last = text.bytes().next_back().unwrap_or_default();
            let at = ALPHABET.bytes().position(|b| b == last).unwrap();
            let other = ALPHABET.as_bytes()[(at & !3) | ((at + 1) & 3)];
            format!("{}{}", &text[..text.len() - 1], char::from(other))
        };
        let huge = "A".repeat(1 << 20);
        for (name, text) in [
            ("padding", format!("{header}.{claims}.{padded}")),
            ("a padding character", format!("{good}=")),
            ("spare bits", format!("{header}.{claims}.{}", spare(signature))),
            ("the standard alphabet", format!("{header}.{claims}.{}+", &signature[..341])),
            ("a line end in the signature", format!("{header}.{claims}.{}\n", &signature[..341])),
            ("two parts", format!("{header}.{claims}")),
            ("two parts, no header", format!("{claims}.{signature}")),
            ("four parts", format!("{good}.{signature}")),
            ("four parts, the last empty", format!("{good}.")),
            ("five parts", format!("{header}..{claims}.{signature}.")),
            (
                "five parts, as an encrypted one",
                format!("{header}.{header}.{claims}.{claims}.{signature}"),
            ),
            ("a leading dot", format!(".{good}")),
            ("no header", format!(".{claims}.{signature}")),
            ("no signature", format!("{header}.{claims}.")),
            ("white space before", format!(" {good}")),
            ("white space behind", format!("{good} ")),
            ("a line end behind", format!("{good}\n")),
            ("NUL", format!("{good}\0")),
            ("a scheme", format!("Bearer {good}")),
            ("two tokens", format!("{good},{good}")),
            ("two tokens with a space", format!("{good} {good}")),
            ("the JSON form", json!({"payload": claims, "signature": signature}).to_string()),
            ("quotes", format!("\"{good}\"")),
            ("percent", good.replace('.', "%2E")),
            ("nothing", String::new()),
            ("dots", "..".into()),
            ("many dots", ".".repeat(4_096)),
            ("huge", huge.clone()),
            ("huge claims", format!("{header}.{huge}.{signature}")),
            ("a huge signature", format!("{header}.{claims}.{huge}")),
            ("a long header", format!("{}.{claims}.{signature}", "A".repeat(2_000))),
            ("10,000 characters", "a".repeat(10_000)),
            ("é", "é.é.é".into()),
        ] {
            self.push(name, text, Malformed);
        }
        self.push("no claims", format!("{header}..{signature}"), Signature);
        self.push("white space inside", format!("{header}. {claims}.{signature}"), Signature);
        self.push("claims with padding", format!("{header}.{claims}=.{signature}"), Signature);
    }

    /// The right signature under other words.
    fn tampered(&mut self) {
        let end = self.scene.good.rsplit('.').next().unwrap_or_default().to_owned();
        let stranger = &self.scene.stranger.claims;
        for (claim, value) in [
            ("role", json!("viewer")),
            ("role", json!("owner ")),
            ("org", stranger["org"].clone()),
            ("sub", stranger["sub"].clone()),
            ("platform", json!(true)),
            ("platform", json!(false)),
            ("permissions", json!(["platform.tenants"])),
            ("exp", json!(4_000_000_000_i64)),
            ("iat", json!(0)),
            ("fam", json!("another")),
            ("jti", json!("another")),
            ("bnd", json!("another")),
        ] {
            let mut claims = self.scene.forger.claims.clone();
            claims[claim] = value.clone();
            let header = self.scene.forger.header();
            let signed = unsigned(header.as_bytes(), claims.to_string().as_bytes());
            self.push(format!("{claim} made {value:.40}"), format!("{signed}.{end}"), Signature);
        }
    }
}

pub(crate) const ALPHABET: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn pem(name: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
}
