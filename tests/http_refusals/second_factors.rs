//! The second factor over HTTP: what is refused on the way to it, with it, and without it.

use crate::authenticator::Authenticator;
use crate::callers::now_ms;
use crate::peer::Ask;
use crate::people::{done, login, somebody};
use crate::server::TENANT;
use crate::world::{World, row};
use serde_json::{Value, json};

const OTP: &str = "/api/v1/auth/otp";
const ENROL: &str = "/api/v1/auth/otp/enrol";
const ME: &str = "/api/v1/auth/me";
const KIM: &str = "kim@example.org";
const PASSWORD: &str = "another fine day";

/// The app's code of the time step that lies `steps` from now. One either way is taken, so that
/// three can be used without waiting.
fn code(app: &Authenticator, steps: i64) -> String {
    app.code(i64::try_from(now_ms()).unwrap() + steps * 30_000)
}

fn scanned(begun: &Value) -> Authenticator {
    let text = |name: &str| begun[name].as_str().unwrap();
    assert!(text("qr_svg").contains("<svg") && text("qr_svg").len() > 1000);
    Authenticator::scanned(text("uri"), text("secret"))
}

fn enrol(password: &str, code: Option<&str>) -> Ask {
    let body = json!({ "tenant": TENANT, "email": KIM, "password": password, "code": code });
    Ask::post(ENROL).json(&body.to_string())
}

#[test]
fn set_up_asked_for_and_taken_away() {
    let mut world = World::new();
    let (kim, token) = somebody(&world, KIM, "member");
    let post = |body: &str| Ask::post(OTP).bearer(&token).json(body);
    let delete = |body: &str| Ask::new("DELETE", OTP).bearer(&token).json(body);
    let rows = [
        row("nobody", Ask::post(OTP).json("{}"), 401, "unauthorized"),
        row("a key", Ask::post(OTP).bearer(world.key("owner")).json("{}"), 403, "no_user"),
        row("a key looks", Ask::get(OTP).bearer(world.key("owner")), 403, "no_user"),
        row("no body", Ask::post(OTP).bearer(&token), 415, "unsupported_media_type"),
        row("more than asked", post(r#"{"secret":"x"}"#), 422, "unknown_field").at(&["/secret"]),
        row("before it is begun", post(r#"{"code":"123456"}"#), 409, "otp_not_begun"),
        row("nothing to take away", delete("{}"), 409, "otp_not_set_up"),
        row("before it is demanded", enrol(PASSWORD, None), 409, "otp_not_demanded"),
    ];
    world.check(rows);
    let app = scanned(&done(&world, &post("{}"), 200).json());
    let now = i64::try_from(now_ms()).unwrap();
    let wrong = format!(r#"{{"code":"{}"}}"#, app.wrong_code(now));
    world.check([row("a wrong code", post(&wrong), 401, "invalid_otp")]);
    done(&world, &login(KIM, PASSWORD, None), 200);
    let confirming = code(&app, -1);
    let codes = done(&world, &post(&format!(r#"{{"code":"{confirming}"}}"#)), 200).json();
    let codes: Vec<&str> =
        codes["recovery_codes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(codes.len(), 10);

    let wrong = app.wrong_code(now);
    let rows = [
        row("no code", login(KIM, PASSWORD, None), 401, "otp_required"),
        row("no code and the wrong password", login(KIM, "x", None), 401, "invalid_credentials"),
        row("a wrong code", login(KIM, PASSWORD, Some(&wrong)), 401, "invalid_otp"),
        row("the code that confirmed", login(KIM, PASSWORD, Some(&confirming)), 401, "invalid_otp"),
        row(
            "a number",
            Ask::post("/api/v1/auth/login").json(
                &json!({ "tenant": TENANT, "email": KIM, "password": PASSWORD, "otp": 1 })
                    .to_string(),
            ),
            422,
            "wrong_type",
        )
        .at(&["/otp"]),
        row("to enrol anew", enrol(PASSWORD, None), 401, "otp_required"),
    ];
    world.check(rows);
    done(&world, &login(KIM, PASSWORD, Some(codes[0])), 200);
    let now = code(&app, 0);
    done(&world, &login(KIM, PASSWORD, Some(&now)), 200);
    let state = done(&world, &Ask::get(OTP).bearer(&token), 200).json();
    let expected = json!({ "is_set_up": true, "recovery_codes_left": 9, "is_demanded": false });
    assert_eq!(state, expected);
    let rows = [
        row("the same code", login(KIM, PASSWORD, Some(&now)), 401, "invalid_otp"),
        row("the same recovery code", login(KIM, PASSWORD, Some(codes[0])), 401, "invalid_otp"),
        row("no proof", delete("{}"), 422, "proof_required").at(&[""]),
        row("a wrong password", delete(r#"{"password":"x"}"#), 401, "invalid_credentials"),
        row("a used code", delete(&format!(r#"{{"code":"{now}"}}"#)), 401, "invalid_otp"),
    ];
    world.check(rows);
    done(&world, &delete(&format!(r#"{{"password":"{PASSWORD}"}}"#)), 204);
    done(&world, &login(KIM, PASSWORD, None), 200);
    assert_eq!(kim["has_otp"], false);
    world.finish();
}

#[test]
fn demanded() {
    let mut world = World::new();
    let (kim, token) = somebody(&world, KIM, "member");
    let demand = Ask::new("PATCH", "/api/v1/sign-in-rules").bearer(world.key("owner"));
    done(&world, &demand.json(r#"{"require_otp":true}"#), 200);
    let rows = [
        row("a session from before", Ask::get(ME).bearer(&token), 401, "session_ended"),
        row("no second factor", login(KIM, PASSWORD, None), 401, "otp_enrolment_required"),
        row("a wrong password", login(KIM, "x", None), 401, "invalid_credentials"),
        row("the other way in, wrong password", enrol("x", None), 401, "invalid_credentials"),
        row("confirmed before it is begun", enrol(PASSWORD, Some("123456")), 409, "otp_not_begun"),
        row(
            "from another site",
            Ask::post(ENROL).header("Origin", "https://evil.example").json(
                &json!({ "tenant": TENANT, "email": KIM, "password": PASSWORD, "cookie": true })
                    .to_string(),
            ),
            403,
            "origin_not_allowed",
        ),
    ];
    world.check(rows);
    let app = scanned(&done(&world, &enrol(PASSWORD, None), 200).json());
    let wrong = app.wrong_code(i64::try_from(now_ms()).unwrap());
    world.check([row("a wrong code", enrol(PASSWORD, Some(&wrong)), 401, "invalid_otp")]);
    let confirming = code(&app, -1);
    let enrolled = done(&world, &enrol(PASSWORD, Some(&confirming)), 200).json();
    assert_eq!(enrolled["recovery_codes"].as_array().unwrap().len(), 10);
    let session = enrolled["access_token"].as_str().unwrap();
    done(&world, &Ask::get(ME).bearer(session), 200);
    done(&world, &login(KIM, PASSWORD, Some(&code(&app, 0))), 200);
    let remove = Ask::new("DELETE", OTP).bearer(session);
    let rows = [
        row("to enrol again", enrol(PASSWORD, None), 401, "otp_required"),
        row(
            "to take it away",
            remove.json(&format!(r#"{{"password":"{PASSWORD}"}}"#)),
            409,
            "otp_demanded",
        ),
    ];
    world.check(rows);
    // Lost: an administrator takes it away, and another is set up.
    let reset = format!("/api/v1/users/{}/otp", kim["id"].as_str().unwrap());
    done(&world, &Ask::new("DELETE", &reset).bearer(world.key("admin")), 204);
    let rows = [
        row("a session with what was lost", Ask::get(ME).bearer(session), 401, "session_ended"),
        row(
            "what was lost",
            login(KIM, PASSWORD, Some(&code(&app, 1))),
            401,
            "otp_enrolment_required",
        ),
    ];
    world.check(rows);
    done(&world, &enrol(PASSWORD, None), 200);
    world.finish();
}
