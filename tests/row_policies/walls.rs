//! What may not be seen is told from what is not there by nothing; who may set the policy, and how.

use crate::cast::{Cast, POLICY};
use crate::peer::{Answer, Ask};
use crate::scenario::{Scenario, Who};
use emx::tenancy::row_policy::RowRules;
use serde_json::{Value, json};

const MEMBER: Who = Who::Person(1);
const MANAGER: Who = Who::Person(2);

/// An answer without what is the one request's own, and how long it is.
fn plain(answer: &Answer, id: &str) -> (u16, String, Option<String>) {
    let text = String::from_utf8_lossy(&answer.body).replace(id, "ID");
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(mut body) => {
            body.as_object_mut().map(|body| body.remove("elapsed_ms"));
            body.to_string()
        }
        Err(_) => text,
    };
    let length = answer.header("content-length").filter(|_| !text.contains("rows_scanned"));
    (answer.status, text, length.map(str::to_owned))
}

#[test]
fn what_may_not_be_seen_is_told_from_what_is_not_there_by_nothing() {
    let cast = Cast::new();
    let Scenario { people, .. } = Scenario::company(RowRules::STRICT);
    cast.set_rules(&json!({ "preset": "strict" }));
    people.iter().enumerate().for_each(|(n, person)| cast.set_person(n, person));
    let send = |row: Value| {
        cast.done(Ask::post("/api/v1/executions").json(&row.to_string()), 201);
    };
    // Somebody else's: nobody of these may see it.
    send(json!({
        "id": "hidden-1", "ts": 1_774_994_400_000_u64, "command": "secret", "error": "secret", "host": "secret",
        "user_id": "zed", "team_id": "blue", "labels": { "secret": "secret" },
    }));
    send(
        json!({ "id": "kept-1", "command": "later", "user_id": "zed", "ts": "2999-01-01T00:00:00Z" }),
    );
    let kept = cast.done(Ask::get("/api/v1/quarantine"), 200);
    let kept = kept["items"][0]["id"].as_str().unwrap().to_owned();
    let no_kept: String = kept.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    let ways = [
        ("GET", "/api/v1/executions/ID", "hidden-1", "hidden-2"),
        ("GET", "/api/v1/executions/ID?ts=1774994400000", "hidden-1", "hidden-2"),
        ("GET", "/api/v1/executions?filter=id:eq:ID", "hidden-1", "hidden-2"),
        ("GET", "/api/v1/executions?filter=command:eq:ID", "secret", "wonder"),
        ("GET", "/api/v1/executions?filter=user_id:eq:ID", "zed", "zoe"),
        ("GET", "/api/v1/export?filter=id:eq:ID", "hidden-1", "hidden-2"),
        ("GET", "/api/v1/query?metrics=count&filter=id:eq:ID", "hidden-1", "hidden-2"),
        ("GET", "/api/v1/query?metrics=count&filter=error:prefix:ID", "secret", "wonder"),
        ("POST", "/api/v1/quarantine/ID/retry", &kept, &no_kept),
        ("DELETE", "/api/v1/quarantine/ID", &kept, &no_kept),
    ];
    let of_manager = [
        ("GET", "/api/v1/query?metrics=count&filter=command:eq:ID", "secret", "wonder"),
        ("GET", "/api/v1/query?metrics=count&filter=user_id:eq:ID", "zed", "zoe"),
        ("GET", "/api/v1/query?metrics=count&filter=labels.ID:exists", "secret", "wonder"),
        ("GET", "/api/v1/query?metrics=count&group_by=labels.ID", "secret", "wonder"),
        (
            "GET",
            "/api/v1/query?metrics=count&bucket=day&fill=zero&filter=host:eq:ID",
            "secret",
            "wonder",
        ),
    ];
    let asked = |who: Who, method: &str, form: &str, id: &str| {
        let ask = Ask::new(method, &form.replace("ID", id)).header("X-Request-Id", "the-same");
        plain(&cast.ask(who, ask), id)
    };
    for who in [MEMBER, MANAGER] {
        for (method, form, hidden, absent) in ways {
            let answers = [hidden, absent].map(|id| asked(who, method, form, id));
            assert_eq!(answers[0], answers[1], "{who:?} {method} {form}");
        }
    }
    for (method, form, hidden, absent) in of_manager {
        let answers = [hidden, absent].map(|id| asked(MANAGER, method, form, id));
        assert_eq!(answers[0], answers[1], "{method} {form}");
    }
    // Nothing of it was changed, and whoever may see it does.
    let found = cast.done(Ask::get("/api/v1/executions/hidden-1"), 200);
    assert_eq!(found["command"], "secret");
    let still = cast.done(Ask::get("/api/v1/quarantine"), 200);
    assert_eq!(still["items"][0]["id"], json!(kept));
    assert_eq!(
        cast.ask(MEMBER, Ask::get("/api/v1/query?metrics=count")).json()["rows"],
        json!([[1]])
    );
    cast.server.end();
}

#[test]
fn a_policy_is_set_by_an_owner_who_has_seen_it_and_is_told_of() {
    let cast = Cast::new();
    let own = json!({ "rows": "own", "aggregates": "all" });
    let all = json!({ "rows": "all", "aggregates": "all" });
    let refusals = [
        (json!({}), 422, "required"),
        (json!({ "preset": "mild" }), 422, "unknown_value"),
        (json!({ "viewer": own, "member": own }), 422, "required"),
        (json!({ "preset": "open", "viewer": own }), 422, "contradiction"),
        (json!({ "preset": "open", "owner": own }), 422, "unknown_field"),
    ];
    let put = |body: &Value| Ask::new("PUT", POLICY).json(&body.to_string());
    for (body, status, code) in refusals {
        let answer = cast.ask(Who::Admin, put(&body));
        assert_eq!((answer.status, &*answer.code()), (status, code), "{body}: {answer:?}");
    }
    let misspelt = json!({ "preset": null, "viewer": { "rows": "mine", "aggregates": "all" } });
    assert_eq!(cast.ask(Who::Admin, put(&misspelt)).status, 422);
    for (who, reads) in [(Who::Person(0), 403), (MEMBER, 403), (MANAGER, 200)] {
        assert_eq!(cast.ask(who, Ask::get(POLICY)).status, reads);
        assert_eq!(cast.ask(who, put(&json!({ "preset": "open" }))).status, 403);
    }
    let first = cast.ask(Who::Admin, Ask::get(POLICY));
    let open = json!({ "preset": "open", "viewer": all, "member": all, "manager": all });
    assert_eq!(first.json(), open, "what a tenant begins with");
    let tag = first.header("etag").unwrap().to_owned();
    let strict = put(&json!({ "preset": "strict" })).header("If-Match", &tag);
    let set = cast.ask(Who::Admin, strict.clone());
    assert_eq!((set.status, &set.json()["preset"]), (200, &json!("strict")), "{set:?}");
    let stale = cast.ask(Who::Admin, strict);
    assert_eq!((stale.status, &*stale.code()), (412, "precondition_failed"));
    let back = cast.done(put(&open), 200);
    assert_eq!(back, open);
    let told = cast.done(Ask::get("/api/v1/audit?action=row_policy.change"), 200);
    let told = told["items"].as_array().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1]["after"]["member"], own);
    let elsewhere = cast.ask(Who::Admin, Ask::get("/api/v1/tenants/nowhere/row-policy"));
    assert_eq!(elsewhere.status, 404);
    let mismatch = Ask::get(POLICY).header("X-Tenant", "acme");
    assert_eq!(cast.ask(Who::Admin, mismatch).code(), "tenant_mismatch");
    cast.server.end();
}
