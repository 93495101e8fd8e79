//! Rightly signed tokens whose claims are not what is claimed here.

use super::Table;
use emx::identity::token::TokenError::{self, Claims, Expired, Foreign, NotYet};
use emx::identity::token::{ACCESS_MS, LEEWAY_MS};
use serde_json::{Value, json};

impl Table<'_> {
    pub(super) fn claims(&mut self) {
        let right = self.scene.forger.claims.clone();
        for claim in ["iss", "aud", "sub", "org", "role", "jti", "fam"] {
            self.push(format!("no {claim}"), self.scene.forger.without(claim), Claims);
            for value in
                [json!(null), json!(1), json!(true), json!([]), json!({}), json!([right[claim]])]
            {
                self.claim(claim, value, Claims);
            }
            let is_party = matches!(claim, "iss" | "aud");
            self.claim(claim, json!(""), if is_party { Foreign } else { Claims });
        }
        let party = right["iss"].as_str().unwrap().to_owned();
        let theirs = self.scene.stranger.claims["iss"].clone();
        for claim in ["iss", "aud"] {
            for wrong in [
                format!("{party}/"),
                party.to_uppercase(),
                format!(" {party}"),
                party[1..].into(),
                format!("{party}\0"),
                "https://localhost".into(),
            ] {
                self.claim(claim, json!(wrong), Foreign);
            }
            self.claim(claim, theirs.clone(), Foreign);
        }
        self.claim("aud", json!([party, "another"]), Claims);
        for role in ["superuser", "Owner", "ingest ", "platform", "owner\0"] {
            self.claim("role", json!(role), Claims);
        }
        for org in ["../../etc/passwd", "acme", "ABCDEFGHIJKLMNOP", "abcdefghijklmnopq", "*"] {
            self.claim("org", json!(org), Claims);
        }
        for permissions in [json!("query"), json!(null), json!([1]), json!({}), json!([null])] {
            self.claim("permissions", permissions, Claims);
        }
        self.push("no permissions", self.scene.forger.without("permissions"), Claims);
        for platform in [json!("true"), json!(1), json!(null), json!([true]), json!({})] {
            self.claim("platform", platform, Claims);
        }
        for bound in [json!(1), json!([]), json!({}), json!(true)] {
            self.claim("bnd", bound, Claims);
        }
        for another in ["scope", "admin", "tenant", "sid", "cnf", "act", "SUB", "__proto__"] {
            self.claim(another, json!("everything"), Claims);
        }
    }

    pub(super) fn times(&mut self) {
        let claims = self.scene.forger.claims.clone();
        let of = |claim: &str| claims[claim].as_i64().unwrap();
        let (iat, exp) = (of("iat"), of("exp"));
        for claim in ["exp", "nbf", "iat"] {
            self.push(format!("no {claim}"), self.scene.forger.without(claim), Claims);
            for value in [
                json!(exp.to_string()),
                json!(exp as f64),
                json!(exp as f64 + 0.5),
                json!(null),
                json!(true),
                json!([exp]),
                json!({}),
                json!(""),
                json!(-1),
                json!(i64::MAX),
                json!(i64::MIN),
                json!(u64::MAX),
            ] {
                self.claim(claim, value, Claims);
            }
            let text = format!(r#""{claim}":{}"#, claims[claim]);
            for number in
                ["1e9", "1e400", "99999999999999999999999999", "01", "+1", "0x1", "NaN", "-0"]
            {
                let body = claims.to_string().replacen(&text, &format!(r#""{claim}":{number}"#), 1);
                // `-0` is a number, and is before everything.
                self.body(format!("{claim}: {number}"), body.as_bytes());
            }
        }
        self.claim("exp", json!(exp + 1), Claims);
        self.claim("exp", json!(exp + 10 * 365 * 86_400), Claims);
        self.claim("exp", json!(iat), Claims);
        self.claim("exp", json!(iat - 1), Claims);
        self.claim("nbf", json!(exp), Claims);
        self.claim("nbf", json!(iat - 1), Claims);
        self.claim("iat", json!(iat + 1), Claims);
        self.claim("iat", json!(0), Claims);
        let mut shifted = |by_s: i64, outcome: TokenError| {
            let mut moved = claims.clone();
            for claim in ["iat", "nbf", "exp"] {
                moved[claim] = json!(of(claim) + by_s);
            }
            let forger = self.scene.forger;
            let token = forger.sign(forger.header().as_bytes(), moved.to_string().as_bytes());
            self.push(format!("{by_s} seconds off"), token, outcome);
        };
        let lasts_s = (ACCESS_MS + LEEWAY_MS) / 1000;
        // A server that is asked some seconds later says the same of these.
        for by_s in [-lasts_s, -lasts_s - 1, -86_400, -iat] {
            shifted(by_s, Expired);
        }
        for by_s in [3_600, 86_400, 10 * 365 * 86_400] {
            shifted(by_s, NotYet);
        }
    }

    pub(super) fn objects(&mut self) {
        let all = self.claims_text();
        let claims = self.scene.forger.claims.as_object().unwrap().clone();
        for (name, value) in &claims {
            for (said, value) in [("the same", value.clone()), ("another", json!("owner"))] {
                let member = format!("{}:{value}", json!(name));
                let first = all.replacen('{', &format!("{{{member},"), 1);
                self.body(format!("{name} twice, {said} first"), first.as_bytes());
                let last = format!("{},{member}}}", all.trim_end_matches('}'));
                self.body(format!("{name} twice, {said} last"), last.as_bytes());
            }
        }
        let values: Vec<&Value> = claims.values().collect();
        for (name, text) in [
            ("nothing", String::new()),
            ("null", "null".into()),
            ("a list", "[]".into()),
            ("a text", "\"x\"".into()),
            ("a list of the values", json!(values).to_string()),
            ("a list of claims", format!("[{all}]")),
            ("claims twice", format!("{all}{all}")),
            ("text after the claims", format!("{all}x")),
            ("a space before the claims", format!(" {all}")),
            ("a mark before the claims", format!("\u{feff}{all}")),
            ("deep", "[".repeat(2_000)),
            ("deep inside", format!("{{\"iss\":{}", "{\"a\":".repeat(300))),
            ("a comment", format!("{all}/* */")),
            ("a comma too many", format!("{},}}", all.trim_end_matches('}'))),
        ] {
            self.body(format!("claims: {name}"), text.as_bytes());
        }
        for bytes in [&b"\xff\xfe"[..], b"{\"iss\":\"\xff\"}", b"\0"] {
            self.body("claims of no text", bytes);
        }
    }
}
