//! What is run: by project, by pipeline, by agent; and what it prints when it fails.

use super::company::Stack;

/// Every secret in a command line begins with it. None of them is one.
pub const SECRET_PREFIX: &str = "Tr0ub4dor";

/// Something that is run, with what is typical of it. In its line, `{project}`, `{branch}`,
/// `{version}` and `{secret}` stand for what they say.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) command: &'static str,
    pub(super) line: &'static str,
    /// Median wall time, milliseconds.
    pub(super) median_ms: f64,
    /// How often it fails.
    pub(super) failure_share: f64,
    pub(super) errors: &'static [&'static str],
}

const fn s(
    command: &'static str,
    line: &'static str,
    median_ms: f64,
    failure_share: f64,
    errors: &'static [&'static str],
) -> Step {
    Step { command, line, median_ms, failure_share, errors }
}

const RUST: [&str; 3] = [
    "error[E0308]: mismatched types",
    "error[E0382]: borrow of moved value: `config`",
    "error: could not compile `api` (lib) due to 2 previous errors",
];
const RUST_TESTS: [&str; 2] = [
    "test result: FAILED. 211 passed; 1 failed; 0 ignored",
    "thread 'ranking::tests::ties_keep_their_order' panicked: assertion `left == right` failed",
];
const NODE: [&str; 2] = [
    "error TS2345: Argument of type 'string' is not assignable to parameter of type 'number'",
    "Module not found: Can't resolve './format'",
];
const NODE_TESTS: [&str; 2] =
    ["Tests: 1 failed, 183 passed, 184 total", "Expected: 200, received: 404"];
const PYTHON: [&str; 2] =
    ["ModuleNotFoundError: No module named 'pyarrow'", "error: Incompatible return value type"];
const PYTHON_TESTS: [&str; 2] =
    ["1 failed, 320 passed in 18.42s", "AssertionError: assert 41 == 42"];
const GO: [&str; 2] = ["undefined: retryPolicy", "cannot use err (type error) as string value"];
const GO_TESTS: [&str; 2] =
    ["--- FAIL: TestRefund (0.02s)", "panic: runtime error: index out of range"];
const NETWORK: [&str; 2] =
    ["connection reset by peer", "dial tcp: lookup registry.example: i/o timeout"];
const GIT: [&str; 2] =
    ["fatal: unable to access the remote: connection timed out", "! [rejected] (non-fast-forward)"];
const CLUSTER: [&str; 2] =
    ["error: timed out waiting for the condition", "Error from server (Forbidden)"];
const DOCKER: [&str; 1] =
    ["failed to solve: process \"/bin/sh -c make\" did not complete: exit code: 2"];
const MODEL: [&str; 2] = ["529 overloaded, please retry", "429 rate limit exceeded"];

/// What deliveries print on a machine whose disk is full.
pub(super) const DISK_FULL: [&str; 3] = [
    "failed to solve: write /var/lib/docker/overlay2: no space left on device",
    "Error response from daemon: no space left on device",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
];

/// What a test prints that fails now and then, and passes when it is run again.
pub(super) const FLAKY: [&str; 2] = [
    "test retries::gives_up_after_the_deadline failed: took 1043 ms, at most 1000 expected",
    "timed out waiting for element #save",
];

/// What a project is worked on with.
#[derive(Debug)]
pub(super) struct Kit {
    /// What a pipeline fetches first.
    pub(super) install: Step,
    /// In the order in which one would try them.
    pub(super) builds: &'static [Step],
    pub(super) test: Step,
}

/// What projects in `stack` are worked on with.
pub(super) const fn kit(stack: Stack) -> &'static Kit {
    match stack {
        Stack::Rust => &RUST_KIT,
        Stack::Node => &NODE_KIT,
        Stack::Python => &PYTHON_KIT,
        Stack::Go => &GO_KIT,
    }
}

static RUST_KIT: Kit = Kit {
    install: s("cargo fetch", "cargo fetch --locked", 5_200.0, 0.01, &NETWORK),
    builds: &[
        s("cargo check", "cargo check --workspace", 6_400.0, 0.10, &RUST),
        s("cargo clippy", "cargo clippy --all-targets -- -D warnings", 9_100.0, 0.09, &RUST),
        s("cargo build", "cargo build --locked", 16_000.0, 0.08, &RUST),
        s("cargo fmt", "cargo fmt --check", 450.0, 0.03, &["Diff in src/lib.rs:42"]),
    ],
    test: s("cargo test", "cargo test --workspace", 31_000.0, 0.11, &RUST_TESTS),
};

static NODE_KIT: Kit = Kit {
    install: s("npm ci", "npm ci", 19_000.0, 0.02, &NETWORK),
    builds: &[
        s("npm run lint", "npm run lint", 7_900.0, 0.08, &NODE),
        s("npm run build", "npm run build", 26_000.0, 0.07, &NODE),
        s("tsc", "npx tsc --noEmit", 11_000.0, 0.09, &NODE),
    ],
    test: s("npm test", "npm test -- --run", 22_000.0, 0.10, &NODE_TESTS),
};

static PYTHON_KIT: Kit = Kit {
    install: s("uv sync", "uv sync --frozen", 6_100.0, 0.02, &NETWORK),
    builds: &[
        s("ruff check", "ruff check .", 310.0, 0.07, &["Found 3 errors."]),
        s("mypy", "mypy src", 8_700.0, 0.09, &PYTHON),
    ],
    test: s("pytest", "pytest -q tests", 19_000.0, 0.11, &PYTHON_TESTS),
};

static GO_KIT: Kit = Kit {
    install: s("go mod download", "go mod download", 4_300.0, 0.01, &NETWORK),
    builds: &[
        s("go vet", "go vet ./...", 3_900.0, 0.05, &GO),
        s("go build", "go build ./...", 6_800.0, 0.07, &GO),
    ],
    test: s("go test", "go test ./...", 13_000.0, 0.09, &GO_TESTS),
};

pub(super) static CHECKOUT: Step =
    s("git fetch", "git fetch --depth 1 origin {branch}", 1_900.0, 0.005, &GIT);

/// What carries a build out. These fail where a disk is full.
pub(super) static DELIVERY: [Step; 2] = [
    s(
        "docker build",
        "docker build -t registry.example/{project}:{version} .",
        74_000.0,
        0.03,
        &DOCKER,
    ),
    s("docker push", "docker push registry.example/{project}:{version}", 17_000.0, 0.01, &NETWORK),
];

pub(super) static DEPLOY: Step = s(
    "helm upgrade",
    "helm upgrade --install {project} charts/{project} --set image.tag={version} --wait",
    48_000.0,
    0.03,
    &CLUSTER,
);

pub(super) static RELEASE: Step = s(
    "gh release create",
    "gh release create {version} --repo example/{project} --generate-notes",
    2_700.0,
    0.01,
    &NETWORK,
);

/// What people do whatever they work on, the most usual first.
pub(super) static EVERYDAY: [Step; 16] = [
    s("git status", "git status --short", 38.0, 0.001, &GIT),
    s("git diff", "git diff --stat", 52.0, 0.001, &GIT),
    s(
        "git commit",
        "git commit -am 'Handle the empty case'",
        240.0,
        0.04,
        &["pre-commit hook failed"],
    ),
    s("git pull", "git pull --rebase origin {branch}", 1_700.0, 0.03, &GIT),
    s("git push", "git push origin {branch}", 2_100.0, 0.04, &GIT),
    s(
        "git checkout",
        "git checkout {branch}",
        190.0,
        0.02,
        &["error: pathspec did not match any file"],
    ),
    s("rg", "rg -n deadline src", 85.0, 0.05, &[""]),
    s("kubectl get", "kubectl get pods -n {project}", 680.0, 0.02, &CLUSTER),
    s("ls", "ls -la", 9.0, 0.001, &[""]),
    s(
        "curl",
        "curl -fsS http://localhost:8080/healthz",
        320.0,
        0.06,
        &["curl: (7) Failed to connect"],
    ),
    s(
        "kubectl logs",
        "kubectl logs -n {project} deploy/{project} --tail 200",
        1_100.0,
        0.02,
        &CLUSTER,
    ),
    s("docker compose up", "docker compose up -d", 9_200.0, 0.05, &DOCKER),
    s("gh pr create", "gh pr create --fill --head {branch}", 2_400.0, 0.03, &NETWORK),
    s(
        "git rebase",
        "git rebase -i origin/main",
        31_000.0,
        0.08,
        &["CONFLICT (content): merge conflict"],
    ),
    s("make", "make -j4", 11_000.0, 0.06, &["make: *** [all] Error 2"]),
    s("ssh", "ssh bastion.internal.example", 190_000.0, 0.02, &NETWORK),
];

/// Lines that should not have been typed like this.
pub(super) static CARELESS: [Step; 5] = [
    s(
        "curl",
        "curl -fsS -H 'Authorization: Bearer {secret}' https://api.internal.example/v1/jobs",
        410.0,
        0.05,
        &NETWORK,
    ),
    s(
        "psql",
        "psql postgresql://app:{secret}@db-1.internal.example/app -c 'select count(*) from jobs'",
        1_400.0,
        0.04,
        &NETWORK,
    ),
    s(
        "docker login",
        "docker login registry.example -u ci --password {secret}",
        900.0,
        0.04,
        &NETWORK,
    ),
    s(
        "aws s3 sync",
        "AWS_SECRET_ACCESS_KEY={secret} aws s3 sync dist s3://example-assets",
        14_000.0,
        0.04,
        &NETWORK,
    ),
    s(
        "terraform plan",
        "TF_VAR_db_password={secret} terraform plan -out plan.bin",
        21_000.0,
        0.05,
        &CLUSTER,
    ),
];

/// A coding agent: its name, how often it is the one, and its models with what a million tokens
/// cost, in and out, USD.
pub(super) struct Agent {
    pub(super) name: &'static str,
    pub(super) share: f64,
    pub(super) models: &'static [(&'static str, f64, f64)],
    pub(super) turn: Step,
    /// What it does besides running commands.
    pub(super) reads: Step,
    pub(super) edits: Step,
    pub(super) shell: &'static str,
}

pub(super) static AGENTS: [Agent; 3] = [
    Agent {
        name: "claude-code",
        share: 0.55,
        models: &[("claude-sonnet-4-5", 3.0, 15.0), ("claude-opus-4-1", 15.0, 75.0)],
        turn: s("claude", "claude --model {model}", 11_000.0, 0.015, &MODEL),
        reads: s("claude Read", "Read src/lib.rs", 24.0, 0.01, &["file does not exist"]),
        edits: s("claude Edit", "Edit src/lib.rs", 61.0, 0.04, &["string to replace not found"]),
        shell: "Bash",
    },
    Agent {
        name: "codex",
        share: 0.3,
        models: &[("gpt-5-codex", 1.25, 10.0)],
        turn: s("codex", "codex exec --model {model}", 14_000.0, 0.02, &MODEL),
        reads: s("codex read", "read src/lib.rs", 30.0, 0.01, &["file does not exist"]),
        edits: s(
            "codex apply_patch",
            "apply_patch src/lib.rs",
            80.0,
            0.06,
            &["patch does not apply"],
        ),
        shell: "shell",
    },
    Agent {
        name: "gemini-cli",
        share: 0.15,
        models: &[("gemini-2.5-pro", 1.25, 10.0), ("gemini-2.5-flash", 0.3, 2.5)],
        turn: s("gemini", "gemini --model {model}", 9_000.0, 0.02, &MODEL),
        reads: s("gemini read_file", "read_file src/lib.rs", 26.0, 0.01, &["file not found"]),
        edits: s("gemini replace", "replace src/lib.rs", 70.0, 0.05, &["0 occurrences found"]),
        shell: "run_shell_command",
    },
];
