//! Questions: how they are asked and refused. What is answered is another test's matter.

use crate::emx::Emx;

#[test]
fn flags_and_a_file_ask_the_same() {
    let emx = Emx::initialised();
    let flags = ["query", "--tenant", "demo", "--metric", "count,p95(duration_ms)"];
    let answer = emx.json(&flags);
    assert_eq!(answer["columns"][1]["name"], "p95(duration_ms)");
    assert_eq!(answer["columns"][1]["unit"], "ms");
    let file = ["query", "--tenant", "demo", "--file", "-", "--json"];
    let ran = emx.run_with_stdin(&file, r#"{"metrics": ["count", "p95(duration_ms)"]}"#);
    let again: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&again["columns"], &again["rows"]), (&answer["columns"], &answer["rows"]));
    let csv = emx.ok(&[&flags[..], &["--csv"]].concat());
    assert!(csv.starts_with("count,p95(duration_ms)\r\n"), "{csv}");
}

#[test]
fn conditions_with_signs_read_numbers() {
    let emx = Emx::with_builds();
    for (filter, count) in [
        ("duration_ms>=188900", 4),
        ("duration_ms<12050", 0),
        ("duration_ms=12050", 1),
        ("exit_code=1", 0),
        ("values.tokens>1000", 0),
        ("command^=cargo", 3),
        ("user_id!=ada", 5),
        ("labels.branch=feature/login", 3),
        ("status:in:failure, timeout", 3),
    ] {
        let answer = emx.json(&["query", "--tenant", "demo", "--filter", filter]);
        assert_eq!(answer["rows"][0][0], count, "{filter}");
    }
}

#[test]
fn a_question_that_cannot_be_asked_is_refused_as_a_whole() {
    let emx = Emx::initialised();
    let query = |rest: &[&'static str]| [&["query", "--tenant", "demo"], rest].concat();
    let ran = emx.fails(&query(&["--metric", "mode(x)", "--from", "soon"]), 2, "invalid_question");
    assert!(ran.err.contains("error: `--from`: ") && ran.err.contains("error: `--metric`: "));
    emx.fails(&query(&["--group-by", "colour"]), 2, "unknown_field");
    emx.fails(&query(&["--file", "no.json"]), 1, "failed");
    std::fs::write(emx.place.path().join("bad.json"), "{").unwrap();
    emx.fails(&query(&["--file", "bad.json"]), 2, "invalid_json");
    emx.fails(&query(&["--data-dir", ""]), 2, "usage");
    emx.fails(&query(&["--file", "q.json", "--metric", "count"]), 2, "usage");
    emx.fails(&["query", "--tenant", "nobody"], 1, "tenant_not_found");
    let ran = emx.run(&query(&["--csv", "--json"]));
    assert_eq!(ran.code, 2, "{ran:?}");
}
