//! Access tokens: everything that a token can be and must not.

use crate::world::{Forger, NOW_MS, World, unsigned};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use emx::identity::token::{ACCESS_MS, LEEWAY_MS, TOKEN_BYTES_MAX, TokenError};
use emx::tenancy::by::By;
use emx::tenancy::permission::{Permission, Role};
use emx::tenancy::scope::Principal;
use serde_json::{Value, json};

/// A world, a token of its own and somebody who can forge others.
struct Scene {
    world: World,
    good: String,
    forger: Forger,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let good = world.sign_in(NOW_MS).access_token;
        let forger = Forger::of(&world, &good);
        Self { world, good, forger }
    }

    fn verdict(&self, token: &str) -> Option<TokenError> {
        self.world.identity.verify(token, NOW_MS).err()
    }

    #[track_caller]
    fn refuses(&self, what: &str, token: &str) {
        assert!(self.verdict(token).is_some(), "{what}: {token:.300}");
    }

    #[track_caller]
    fn refuses_header(&self, header: &str) {
        let claims = self.forger.claims.to_string();
        self.refuses(header, &self.forger.sign(header.as_bytes(), claims.as_bytes()));
    }

    /// The claims as text with `replaced` in the place of `text`.
    fn claims_with(&self, text: &str, replaced: &str) -> String {
        let claims = self.forger.claims.to_string();
        assert!(claims.contains(text), "{claims}");
        claims.replacen(text, replaced, 1)
    }
}

#[test]
fn a_token_says_who_it_is_and_what_a_client_may_know() {
    let scene = Scene::new();
    let access = scene.world.identity.verify(&scene.good, NOW_MS).unwrap();
    let Principal::User { tenant_id, role, platform, family, .. } = &access.principal else {
        panic!("{access:?}");
    };
    assert_eq!((tenant_id, *role, *platform), (&scene.world.acme.id, Role::Owner, false));
    assert_eq!(*family, access.family);
    let claims = scene.forger.claims.as_object().unwrap();
    let names: Vec<&String> = claims.keys().collect();
    let expected =
        ["aud", "exp", "fam", "iat", "iss", "jti", "nbf", "org", "permissions", "role", "sub"];
    assert_eq!(names, expected);
    assert_eq!(claims["permissions"].as_array().unwrap().len(), Role::Owner.permissions().len());
    assert!(claims["permissions"].as_array().unwrap().contains(&json!(Permission::KeysManage)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert!(scene.good.len() < TOKEN_BYTES_MAX / 2, "{} bytes", scene.good.len());
    let again = scene
        .forger
        .sign(scene.forger.header().as_bytes(), scene.forger.claims.to_string().as_bytes());
    assert_eq!(scene.verdict(&again), None, "the forger can forge what is right");
}

#[test]
fn no_algorithm_but_one() {
    let scene = Scene::new();
    let claims = scene.forger.claims.to_string();
    let signature = scene.good.rsplit('.').next().unwrap();
    for alg in ["none", "None", "NONE", "nOnE", "noNe", "none ", "", "null"] {
        for header in [
            format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{}"}}"#, scene.forger.kid),
            format!(r#"{{"alg":"{alg}"}}"#),
        ] {
            let signed = unsigned(header.as_bytes(), claims.as_bytes());
            for end in ["", ".", ".AA", &format!(".{signature}")] {
                scene.refuses(alg, &format!("{signed}{end}"));
            }
        }
    }
    let names = [
        "RS384", "RS512", "PS256", "ES256", "EdDSA", "HS256", "rs256", "RS256 ", "Rs256", "RSA256",
    ];
    for alg in names {
        scene.refuses_header(&format!(
            r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{}"}}"#,
            scene.forger.kid
        ));
    }
    for alg in ["null", "256", "true", r#"["RS256"]"#, r#"{"RS256":1}"#] {
        scene.refuses_header(&format!(
            r#"{{"typ":"at+jwt","alg":{alg},"kid":"{}"}}"#,
            scene.forger.kid
        ));
    }
}

#[test]
fn a_signature_is_of_the_right_kind_by_the_right_key() {
    let scene = Scene::new();
    let claims = scene.forger.claims.to_string();
    for (alg, encoding) in [
        ("RS512", &signature::RSA_PKCS1_SHA512 as &'static dyn signature::RsaEncoding),
        ("RS384", &signature::RSA_PKCS1_SHA384),
        ("PS256", &signature::RSA_PSS_SHA256),
    ] {
        for said in [alg, "RS256"] {
            let header = scene.forger.header().replace("RS256", said);
            let signed = unsigned(header.as_bytes(), claims.as_bytes());
            let signature = URL_SAFE_NO_PAD.encode(scene.forger.signature(encoding, &signed));
            scene.refuses(alg, &format!("{signed}.{signature}"));
        }
    }
    let signed = unsigned(scene.forger.header().as_bytes(), claims.as_bytes());
    for zeros in [0, 1, 64, 255, 256, 257, 512] {
        for byte in [0, 0xff] {
            let signature = URL_SAFE_NO_PAD.encode(vec![byte; zeros]);
            scene.refuses("psychic", &format!("{signed}.{signature}"));
        }
    }
    let stranger = Scene::new();
    scene.refuses("another installation's", &stranger.good);
    let forger = Forger { kid: scene.forger.kid.clone(), ..stranger.forger };
    let forged = forger.sign(forger.header().as_bytes(), claims.as_bytes());
    assert_eq!(scene.verdict(&forged), Some(TokenError::Signature));
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    let scene = Scene::new();
    let public = scene.forger.pair.public_key();
    let pkcs1 = public.as_ref().to_vec();
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(public).unwrap().as_ref().to_vec();
    let pem = |name: &str, der: &[u8]| {
        let lines: Vec<String> = STANDARD
            .encode(der)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
    };
    let pem_pkcs1 = pem("RSA PUBLIC KEY", &pkcs1);
    let pem_spki = pem("PUBLIC KEY", &spki);
    let jwk = scene.world.identity.jwks(NOW_MS)["keys"][0].clone();
    let modulus = jwk["n"].as_str().unwrap().to_owned();
    let secrets = [
        pem_spki.trim_end().as_bytes().to_vec(),
        pem_pkcs1.into_bytes(),
        pem_spki.into_bytes(),
        pkcs1,
        spki,
        jwk.to_string().into_bytes(),
        URL_SAFE_NO_PAD.decode(&modulus).unwrap(),
        modulus.into_bytes(),
        vec![],
    ];
    for secret in secrets {
        for alg in ["HS256", "RS256"] {
            let header = scene.forger.header().replace("RS256", alg);
            let signed = unsigned(header.as_bytes(), scene.forger.claims.to_string().as_bytes());
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
            scene.refuses("HS256 with the public key", &format!("{signed}.{tag}"));
        }
    }
}

#[test]
fn a_header_names_its_key_and_nothing_else() {
    let scene = Scene::new();
    let kid = scene.forger.kid.clone();
    scene.refuses_header(r#"{"typ":"at+jwt","alg":"RS256"}"#);
    for kid in [
        "null",
        "1",
        "true",
        "[]",
        r#"{"kid":"x"}"#,
        r#""""#,
        r#""unknown""#,
        r#""../../../../dev/null""#,
        r#""x' UNION SELECT 'key' --""#,
        r#""\u0000""#,
        &format!(r#""{kid}\u0000""#),
        &format!(r#""{kid} ""#),
        &format!(r#""{}""#, kid.to_lowercase()),
        &format!(r#"["{kid}"]"#),
        &format!(r#""{}""#, "k".repeat(1 << 20)),
        &format!(r#""{}""#, "k".repeat(600)),
    ] {
        scene.refuses_header(&format!(r#"{{"typ":"at+jwt","alg":"RS256","kid":{kid}}}"#));
    }
    let jwk = scene.world.identity.jwks(NOW_MS)["keys"][0].to_string();
    for member in [
        r#""jku":"https://example.org/keys""#,
        r#""x5u":"https://example.org/chain""#,
        r#""x5c":["MIIB"]"#,
        r#""x5t":"AAAA""#,
        &format!(r#""jwk":{jwk}"#),
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":["unknown"],"unknown":1"#,
        r#""b64":false"#,
        r#""b64":false,"crit":["b64"]"#,
        r#""cty":"JWT""#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
        r#""unknown":1"#,
        r#""alg":"RS256""#,
        r#""typ":"at+jwt""#,
        &format!(r#""kid":"{kid}""#),
    ] {
        let header = scene.forger.header();
        scene.refuses_header(&header.replacen('{', &format!("{{{member},"), 1));
        scene.refuses_header(&header.replacen('}', &format!(",{member}}}"), 1));
    }
}

#[test]
fn a_token_for_another_purpose_is_no_access_token() {
    let scene = Scene::new();
    for typ in [
        r#""JWT""#,
        r#""jwt""#,
        r#""at+JWT""#,
        r#""AT+JWT""#,
        r#""application/at+jwt""#,
        r#""dpop+jwt""#,
        r#""logout+jwt""#,
        r#""id_token""#,
        r#""""#,
        "null",
        "1",
        r#"["at+jwt"]"#,
    ] {
        scene.refuses_header(&scene.forger.header().replace(r#""at+jwt""#, typ));
    }
    scene.refuses_header(&format!(r#"{{"alg":"RS256","kid":"{}"}}"#, scene.forger.kid));
    let signed_in = scene.world.sign_in(NOW_MS);
    scene.refuses("a refresh token", &signed_in.refresh_token);
    scene.refuses("a password", crate::world::PASSWORD);
}

#[test]
fn a_claim_has_its_type_and_its_bounds() {
    let scene = Scene::new();
    let forger = &scene.forger;
    let (iat, exp) =
        (forger.claims["iat"].as_i64().unwrap(), forger.claims["exp"].as_i64().unwrap());
    let words = [json!(null), json!(1), json!(true), json!([]), json!({}), json!("")];
    for claim in ["iss", "aud", "sub", "org", "role", "jti", "fam"] {
        scene.refuses(claim, &forger.without(claim));
        for value in &words {
            scene.refuses(claim, &forger.with(claim, value.clone()));
        }
        scene.refuses(claim, &forger.with(claim, json!([forger.claims[claim]])));
    }
    let right = forger.claims["iss"].as_str().unwrap().to_owned();
    for wrong in [format!("{right}/"), right.to_uppercase(), format!(" {right}"), right[1..].into()]
    {
        for claim in ["iss", "aud"] {
            let verdict = scene.verdict(&forger.with(claim, json!(wrong)));
            assert_eq!(verdict, Some(TokenError::Foreign), "{claim} {wrong}");
        }
    }
    for claim in ["exp", "nbf", "iat"] {
        scene.refuses(claim, &forger.without(claim));
        for value in [
            json!(exp.to_string()),
            json!(exp as f64),
            json!(exp as f64 + 0.5),
            json!(null),
            json!(true),
            json!([exp]),
            json!(-1),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
        ] {
            scene.refuses(claim, &forger.with(claim, value));
        }
        for number in ["1e9", "1e400", "99999999999999999999999999", "01", "+1", "0x1", "NaN"] {
            let text = format!(r#""{claim}":{}"#, forger.claims[claim]);
            let claims = scene.claims_with(&text, &format!(r#""{claim}":{number}"#));
            scene.refuses(number, &forger.sign(forger.header().as_bytes(), claims.as_bytes()));
        }
    }
    scene.refuses("exp too far", &forger.with("exp", json!(exp + 1)));
    scene.refuses("exp before nbf", &forger.with("nbf", json!(exp)));
    scene.refuses("nbf before iat", &forger.with("nbf", json!(iat - 1)));
    for role in ["superuser", "Owner", "ingest ", "platform"] {
        scene.refuses(role, &forger.with("role", json!(role)));
    }
    for org in ["../../etc/passwd", "acme", "ABCDEFGHIJKLMNOP"] {
        scene.refuses(org, &forger.with("org", json!(org)));
    }
    for permissions in [json!("query"), json!(null), json!([1]), json!({}), json!([null])] {
        scene.refuses("permissions", &forger.with("permissions", permissions));
    }
    scene.refuses("permissions", &forger.without("permissions"));
    for platform in [json!("true"), json!(1), json!(null), json!([true])] {
        scene.refuses("platform", &forger.with("platform", platform));
    }
    scene.refuses("another claim", &forger.with("scope", json!("everything")));
}

#[test]
fn claims_are_one_object_with_each_name_once() {
    let scene = Scene::new();
    let forger = &scene.forger;
    let claims = forger.claims.as_object().unwrap();
    for (name, value) in claims {
        for value in [value.clone(), json!("owner"), json!(4_000_000_000_i64)] {
            let member = format!("{}:{value}", json!(name));
            for text in [
                forger.claims.to_string().replacen('{', &format!("{{{member},"), 1),
                format!("{},{member}}}", forger.claims.to_string().trim_end_matches('}')),
            ] {
                assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
                scene
                    .refuses("repeated", &forger.sign(forger.header().as_bytes(), text.as_bytes()));
            }
        }
    }
    let values: Vec<&Value> =
        ["iss", "aud", "sub", "org", "role", "permissions"].map(|n| &claims[n]).to_vec();
    let all = forger.claims.to_string();
    for text in [
        "".to_owned(),
        "null".into(),
        "[]".into(),
        "\"x\"".into(),
        json!(values).to_string(),
        format!("[{all}]"),
        format!("{all}{all}"),
        format!("{all}x"),
        format!("\u{feff}{all}"),
        "[".repeat(2_000),
        format!("{{\"iss\":{}", "{\"a\":".repeat(300)),
    ] {
        scene.refuses(&text, &forger.sign(forger.header().as_bytes(), text.as_bytes()));
    }
    for bytes in [&b"\xff\xfe"[..], b"{\"iss\":\"\xff\"}", b"\0"] {
        scene.refuses("bytes", &forger.sign(forger.header().as_bytes(), bytes));
        scene.refuses("bytes", &forger.sign(bytes, all.as_bytes()));
    }
}

#[test]
fn one_signature_fits_one_text() {
    let scene = Scene::new();
    let good = &scene.good;
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{good}") };
    for (n, _) in good.char_indices() {
        for other in ['A', 'B', '_', '.', '=', '+', '\u{e9}'] {
            let mut changed = good.clone();
            changed.replace_range(n..=n, other.encode_utf8(&mut [0; 4]));
            if changed != *good {
                scene.refuses("one character changed", &changed);
            }
        }
    }
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for part in 0..3 {
        for last in alphabet.chars() {
            let mut changed: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
            changed[part].pop();
            changed[part].push(last);
            let changed = changed.join(".");
            if changed != *good {
                scene.refuses("spare bits", &changed);
            }
        }
    }
    let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
    for (what, text) in [
        ("padding", format!("{header}.{claims}.{padded}")),
        ("padding", format!("{good}=")),
        ("standard alphabet", format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+"))),
        ("two parts", format!("{header}.{claims}")),
        ("two parts", format!("{claims}.{signature}")),
        ("four parts", format!("{good}.{signature}")),
        ("four parts", format!("{good}.")),
        ("five parts", format!("{header}..{claims}.{signature}.")),
        ("leading dot", format!(".{good}")),
        ("no header", format!(".{claims}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("no signature", format!("{header}.{claims}.")),
        ("white space", format!(" {good}")),
        ("white space", format!("{good} ")),
        ("white space", format!("{good}\n")),
        ("white space", format!("{header}. {claims}.{signature}")),
        ("NUL", format!("{good}\0")),
        ("scheme", format!("Bearer {good}")),
        ("two tokens", format!("{good},{good}")),
        ("JSON form", json!({"payload": claims, "signature": signature}).to_string()),
        ("nothing", String::new()),
        ("dots", "..".into()),
        ("dots", ".".repeat(TOKEN_BYTES_MAX)),
        ("huge", "A".repeat(1 << 20)),
        ("huge", format!("{header}.{}.{signature}", "A".repeat(1 << 20))),
        ("huge header", format!("{}.{claims}.{signature}", "A".repeat(2_000))),
    ] {
        scene.refuses(what, &text);
    }
    assert_eq!(scene.verdict(good), None);
}

#[test]
fn a_token_has_its_time_and_a_remembered_one_too() {
    let scene = Scene::new();
    let identity = &scene.world.identity;
    let verdict = |now_ms| identity.verify(&scene.good, now_ms).err();
    let end_ms = NOW_MS + ACCESS_MS;
    for _first_and_remembered in 0..2 {
        assert_eq!(verdict(NOW_MS - LEEWAY_MS - 1), Some(TokenError::NotYet));
        assert_eq!(verdict(NOW_MS - LEEWAY_MS), None);
        assert_eq!(verdict(end_ms + LEEWAY_MS - 1), None);
        assert_eq!(verdict(end_ms + LEEWAY_MS), Some(TokenError::Expired));
        assert_eq!(verdict(NOW_MS + 30 * ACCESS_MS), Some(TokenError::Expired));
    }
    const { assert!(LEEWAY_MS <= 5_000) };
}

#[test]
fn a_token_ends_with_its_session_and_stays_ended_after_a_restart() {
    let world = World::new();
    let (one, two) = (world.sign_in(NOW_MS), world.sign_in(NOW_MS));
    let seen = world.identity.verify(&one.access_token, NOW_MS).unwrap();
    assert!(world.identity.logout(&seen.family, &By::operator(), NOW_MS).unwrap());
    let remembered = world.identity.verify(&one.access_token, NOW_MS);
    assert_eq!(remembered, Err(TokenError::Revoked));
    assert!(!world.identity.logout(&seen.family, &By::operator(), NOW_MS).unwrap());
    let world = world.restarted();
    let ended = world.identity.verify(&one.access_token, NOW_MS);
    assert_eq!(ended, Err(TokenError::Revoked));
    world.identity.verify(&two.access_token, NOW_MS).unwrap();
    let late = world.identity.verify(&one.access_token, NOW_MS + ACCESS_MS + LEEWAY_MS);
    assert_eq!(late, Err(TokenError::Expired));
}

#[test]
fn rotated_keys_stand_for_their_tokens_as_long_as_these_last() {
    let scene = Scene::new();
    let identity = &scene.world.identity;
    identity.rotate_signing_keys(NOW_MS).unwrap();
    let newer = scene.world.sign_in(NOW_MS).access_token;
    for token in [&scene.good, &newer] {
        identity.verify(token, NOW_MS).unwrap();
    }
    assert_ne!(Forger::of(&scene.world, &newer).kid, scene.forger.kid);
    let gone_ms = NOW_MS + ACCESS_MS + LEEWAY_MS;
    let late = scene.forger.claims.clone();
    identity.rotate_signing_keys(gone_ms).unwrap();
    // Even where its time were right, a key that is gone signs nothing.
    let mut late = late.as_object().unwrap().clone();
    for claim in ["iat", "nbf", "exp"] {
        late[claim] = json!(late[claim].as_i64().unwrap() + ACCESS_MS / 1000);
    }
    let text = json!(late).to_string();
    let forged = scene.forger.sign(scene.forger.header().as_bytes(), text.as_bytes());
    assert_eq!(identity.verify(&forged, gone_ms), Err(TokenError::UnknownKey));
}

#[test]
fn a_changed_role_or_tenant_does_not_fit_the_signature() {
    let scene = Scene::new();
    let signature = scene.good.rsplit('.').next().unwrap();
    for (claim, value) in [
        ("role", json!("viewer")),
        ("org", json!(scene.world.other.id)),
        ("platform", json!(true)),
        ("exp", json!(4_000_000_000_i64)),
        ("fam", json!("another")),
    ] {
        let mut claims = scene.forger.claims.clone();
        claims[claim] = value;
        let signed = unsigned(scene.forger.header().as_bytes(), claims.to_string().as_bytes());
        let verdict = scene.verdict(&format!("{signed}.{signature}"));
        assert_eq!(verdict, Some(TokenError::Signature), "{claim}");
    }
}
