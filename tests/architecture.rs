//! Keeps the shape of the code: the floors, who may name which library, and the small rules that
//! nobody remembers when it matters.
//!
//! The sources are read as text: comments and literals are blanked, the rest is cut into tokens,
//! and paths that begin at the crate's root are looked for among them. The rules are functions
//! over `(path, source)`, so that each is tried on a few lines that break it as well as on the
//! repository. The scanner has tests of its own at the end.

#[path = "architecture/scan.rs"]
mod scan;

use scan::{Import, attributes, imports, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The floors, top to bottom. A module imports only from floors below its own. A module gets its
/// line here when it gets its first work.
const FLOORS: &[(u32, &[&str])] = &[
    (8, &["app"]),
    (7, &["config"]),
    (6, &["http"]),
    (5, &["backup", "transfer"]),
    (4, &["identity", "intake", "limits", "query"]),
    (3, &["tenancy"]),
    (2, &["audit", "runtime", "process", "sample"]),
    (1, &["model"]),
];

/// Libraries that only some folders may name, for they are to be exchangeable or would blur what
/// can go wrong.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("redb", &["storage/src/embedded/"]),
    ("anyhow", &["src/app/", "src/main.rs"]),
    ("warp", &["src/http/"]),
    ("hyper", &["src/http/", "src/app/remote/", "src/runtime/outgoing/"]),
    ("bergshamra", &["src/identity/saml/"]),
    ("uppsala", &["src/identity/saml/"]),
];

/// Longest file in lines: one idea fits.
const LINES_MAX: usize = 500;

/// Files that are longer, each with the reason why cutting it would make it worse.
const LONG_FILES: &[(&str, &str)] = &[];

/// Words that say nothing about what a file is for.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "helpers", "common", "misc", "manager", "handler", "service", "processor"];

/// A rule that is broken at a place.
type Findings = Vec<String>;

/// The sources of the repository below `folders`, by path.
fn sources(folders: &[&str]) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut to_visit: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = to_visit.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("the directory can be listed").path();
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && !path.ends_with("target") {
                to_visit.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
                let path = path.strip_prefix(root).expect("it lies below the root");
                found.insert(path.to_string_lossy().into_owned(), text);
            }
        }
    }
    found
}

/// Everything written in Rust here.
fn all_sources() -> BTreeMap<String, String> {
    sources(&["src", "storage", "tests", "benches", "examples", "fuzz"])
}

/// The module path of a file below `src`, and nothing for the roots: `src/a/mod.rs` is `[a]`,
/// `src/a/b.rs` is `[a, b]`.
fn module_path(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    if matches!(inner, "lib" | "main") {
        return Vec::new();
    }
    inner.trim_end_matches("/mod").split('/').collect()
}

fn floor_of(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// Which module imports which, by the file and line of one such import.
fn edges(sources: &BTreeMap<String, String>) -> BTreeMap<(String, String), String> {
    let mut edges = BTreeMap::new();
    for (path, text) in sources {
        let module = module_path(path);
        let Some(top) = module.first() else { continue };
        for Import { line, target } in imports(&module, text) {
            if target != *top {
                edges.entry((top.to_string(), target)).or_insert(format!("{path}:{line}"));
            }
        }
    }
    edges
}

/// Imports that do not lead downwards, and modules that have no floor.
fn broken_floors(sources: &BTreeMap<String, String>) -> Findings {
    let mut findings = Vec::new();
    let tops: BTreeSet<&str> =
        sources.keys().filter_map(|path| module_path(path).first().copied()).collect();
    for top in tops {
        if floor_of(top).is_none() {
            findings.push(format!("src/{top} has no floor: give it one in FLOORS"));
        }
    }
    for ((from, to), place) in edges(sources) {
        match (floor_of(&from), floor_of(&to)) {
            (Some(above), Some(below)) if below < above => {}
            (Some(_), None) => {
                findings.push(format!("{place}: `{to}` is not a module with a floor"))
            }
            _ => findings.push(format!("{place}: `{from}` must not import from `{to}`")),
        }
    }
    findings
}

/// Libraries named where they must not be.
fn misplaced_libraries(sources: &BTreeMap<String, String>) -> Findings {
    let mut findings = Vec::new();
    for (path, text) in sources {
        for (library, homes) in ONLY_IN {
            if homes.iter().any(|home| path.starts_with(home)) {
                continue;
            }
            for token in tokens(text).iter().filter(|token| token.text == *library) {
                findings.push(format!("{path}:{}: only {homes:?} may name {library}", token.line));
            }
        }
    }
    findings
}

/// Files without a first line that says what they are for (but for `tests.rs`, whose name says
/// it), too long, or with an empty name.
fn untidy_files(sources: &BTreeMap<String, String>, long_files: &[(&str, &str)]) -> Findings {
    let mut findings = Vec::new();
    for (path, text) in sources {
        if !text.trim_start().starts_with("//!") && !path.ends_with("/tests.rs") {
            findings.push(format!("{path}: it does not begin with `//!` and what it is for"));
        }
        let lines = text.lines().count();
        let excused = long_files.iter().any(|(long, _)| long == path);
        if lines > LINES_MAX && !excused {
            findings.push(format!("{path}: {lines} lines, {LINES_MAX} at most: cut it by ideas"));
        }
        let mut parts = path.trim_end_matches(".rs").split(['/', '_']);
        if let Some(word) = parts.find(|part| EMPTY_NAMES.contains(part)) {
            findings.push(format!("{path}: `{word}` says nothing: name the noun or the verb"));
        }
    }
    for (long, reason) in long_files {
        let lines = sources.get(*long).map_or(0, |text| text.lines().count());
        if lines <= LINES_MAX || reason.is_empty() {
            findings.push(format!("{long}: its exception in LONG_FILES is not needed or not told"));
        }
    }
    findings
}

/// Notes for later, tests that do not run, and lints that are silenced without a reason.
fn loose_ends(sources: &BTreeMap<String, String>) -> Findings {
    let notes = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let mut findings = Vec::new();
    for (path, text) in sources {
        for (n, line) in text.lines().enumerate() {
            if let Some(note) = notes.iter().find(|note| line.contains(note.as_str())) {
                findings.push(format!("{path}:{}: `{note}`: do it, or open an issue", n + 1));
            }
        }
        for (line, attribute) in attributes(text) {
            let silences = ["allow", "expect"].contains(&attribute[0].as_str());
            if silences && !attribute.iter().any(|token| token == "reason") {
                findings.push(format!("{path}:{line}: a silenced lint carries its reason"));
            }
            if attribute[0] == "ignore" {
                findings.push(format!("{path}:{line}: a test that does not run is no test"));
            }
        }
    }
    findings
}

#[track_caller]
fn assert_none(findings: Findings) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn modules_import_only_from_lower_floors() {
    let sources = sources(&["src"]);
    assert_none(broken_floors(&sources));
    // A scanner that sees nothing finds nothing wrong: these are there and must be seen.
    let edges = edges(&sources);
    for (from, to) in [("app", "config"), ("app", "tenancy"), ("identity", "tenancy")] {
        assert!(edges.contains_key(&(from.into(), to.into())), "{from} imports {to}, unseen");
    }
    for (_, modules) in FLOORS {
        for module in *modules {
            let seen = sources.keys().any(|path| module_path(path).first() == Some(module));
            assert!(
                seen,
                "`{module}` has a floor and no file: no module exists before it has work"
            );
        }
    }
}

#[test]
fn libraries_are_named_only_at_home() {
    let sources = sources(&["src", "storage/src"]);
    assert_none(misplaced_libraries(&sources));
    for (library, homes) in ONLY_IN {
        let at_home = sources.iter().any(|(path, text)| {
            homes.iter().any(|home| path.starts_with(home))
                && tokens(text).iter().any(|token| token.text == *library)
        });
        assert!(at_home, "{library} is named nowhere: is its home still {homes:?}?");
    }
}

#[test]
fn only_the_storage_crate_depends_on_the_embedded_engines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    let own = manifest.split("\n[dependencies]\n").nth(1).expect("a section of dependencies");
    let own = own.split("\n[").next().unwrap_or_default();
    assert!(own.contains("storage"), "the section was not found");
    for library in ["redb", "tantivy"] {
        let listed = own.lines().any(|line| line.starts_with(library));
        assert!(!listed, "`{library}` belongs to the storage crate alone");
    }
}

#[test]
fn files_are_tidy() {
    let sources = all_sources();
    assert!(sources.len() > 40, "only {} files seen", sources.len());
    assert!(sources.contains_key("storage/src/engine.rs"));
    assert_none(untidy_files(&sources, LONG_FILES));
}

#[test]
fn nothing_is_left_loose() {
    assert_none(loose_ends(&all_sources()));
}

/// Runs a rule over one small file and expects findings with these words.
#[track_caller]
fn check(
    rule: impl Fn(&BTreeMap<String, String>) -> Findings,
    path: &str,
    text: &str,
    words: &[&str],
) {
    let findings = rule(&BTreeMap::from([(path.to_owned(), text.to_owned())]));
    assert_eq!(findings.len(), words.len(), "{text}: {findings:?}");
    for (finding, word) in findings.iter().zip(words) {
        assert!(finding.contains(word), "{text}: {finding}");
    }
}

#[test]
fn broken_floors_are_found() {
    let path = "src/query/plan.rs";
    check(broken_floors, path, "use crate::tenancy::scope::TenantScope;", &[]);
    check(broken_floors, path, "use crate::query::Question; use super::time;", &[]);
    check(broken_floors, path, "use crate::identity::user::User;", &["`query` must not"]);
    check(
        broken_floors,
        path,
        "use crate::{model::x, app};",
        &["`query` must not import from `app`"],
    );
    check(broken_floors, path, "\nfn f() { crate::config::load() }", &["plan.rs:2"]);
    check(broken_floors, path, "use super::super::intake::x;", &["`intake`"]);
    check(broken_floors, path, "mod tests { use super::super::super::app::x; }", &["`app`"]);
    check(broken_floors, path, "mod tests { use super::super::time; }", &[]);
    check(broken_floors, path, "use crate::*;", &["`*` is not a module"]);
    check(broken_floors, path, "use crate as emx;", &["`as` is not a module"]);
    check(broken_floors, path, "// use crate::app;\nlet s = \"crate::app::x\";", &[]);
    check(broken_floors, "src/attic/mod.rs", "", &["no floor"]);
    check(broken_floors, "src/lib.rs", "pub mod app;", &[]);
}

#[test]
fn misplaced_libraries_are_found() {
    let used = "let db = redb::Database::open(path)?;";
    check(misplaced_libraries, "storage/src/embedded/db.rs", used, &[]);
    check(misplaced_libraries, "storage/src/volume.rs", used, &["may name redb"]);
    check(misplaced_libraries, "src/query/mod.rs", "// redb\nuse anyhow::Result;", &["mod.rs:2"]);
    check(misplaced_libraries, "src/app/mod.rs", "use anyhow::Result;", &[]);
}

#[test]
fn untidy_files_are_found() {
    let rule = |sources: &_| untidy_files(sources, &[]);
    check(rule, "src/a.rs", "//! A.\n", &[]);
    check(rule, "src/a.rs", "fn main() {}\n", &["does not begin"]);
    check(rule, "src/a.rs", &"//! A.\n".repeat(LINES_MAX), &[]);
    let long = "//! A.\n".repeat(LINES_MAX + 1);
    check(rule, "src/a.rs", &long, &["501 lines"]);
    check(|s| untidy_files(s, &[("src/a.rs", "a table")]), "src/a.rs", &long, &[]);
    check(|s| untidy_files(s, &[("src/a.rs", "a table")]), "src/a.rs", "//! A.", &["not needed"]);
    check(rule, "src/string_utils.rs", "//! A.", &["`utils`"]);
    check(rule, "src/helpers/mod.rs", "//! A.", &["`helpers`"]);
}

#[test]
fn loose_ends_are_found() {
    let note = format!("// {}: later", ["TO", "DO"].concat());
    check(loose_ends, "src/a.rs", &note, &["do it"]);
    check(loose_ends, "src/a.rs", "#[allow(dead_code)] fn f() {}", &["reason"]);
    check(loose_ends, "src/a.rs", "#![expect(clippy::all, reason = \"told\")]", &[]);
    check(loose_ends, "src/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", &["a.rs:2"]);
    check(loose_ends, "src/a.rs", "#[derive(Debug)] struct S; // #[ignore]", &[]);
}
