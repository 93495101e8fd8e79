//! The words of the generated workload: commands, people, teams, projects and machines that a
//! software company might have.

/// A command with what is typical of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    /// Its name.
    pub(super) name: &'static str,
    /// Median wall time, milliseconds.
    pub(super) median_ms: f64,
    /// How often it fails, relative to the others.
    pub(super) risk: f64,
}

const fn c(name: &'static str, median_ms: f64, risk: f64) -> Command {
    Command { name, median_ms, risk }
}

/// Two hundred commands, the most used first.
pub(super) const COMMANDS: [Command; 200] = [
    c("git status", 35.0, 0.1),
    c("cargo build", 14_000.0, 1.8),
    c("git commit", 180.0, 0.6),
    c("npm test", 21_000.0, 2.4),
    c("cargo test", 26_000.0, 2.6),
    c("git push", 1_900.0, 0.9),
    c("git pull", 1_500.0, 0.8),
    c("npm run build", 24_000.0, 1.5),
    c("cargo check", 5_200.0, 1.7),
    c("docker build", 64_000.0, 1.6),
    c("pytest", 18_000.0, 2.8),
    c("git diff", 45.0, 0.1),
    c("make", 9_500.0, 1.4),
    c("git checkout", 210.0, 0.5),
    c("kubectl get", 620.0, 0.4),
    c("npm install", 17_000.0, 0.9),
    c("git log", 60.0, 0.1),
    c("git fetch", 1_100.0, 0.6),
    c("cargo clippy", 8_800.0, 1.9),
    c("rg", 90.0, 0.8),
    c("go test", 11_000.0, 2.2),
    c("git add", 30.0, 0.2),
    c("docker compose up", 8_200.0, 1.1),
    c("go build", 6_400.0, 1.3),
    c("cargo fmt", 420.0, 0.5),
    c("git rebase", 640.0, 1.7),
    c("kubectl apply", 1_400.0, 1.2),
    c("terraform plan", 19_000.0, 1.4),
    c("ls", 8.0, 0.1),
    c("curl", 330.0, 1.0),
    c("npm run lint", 7_600.0, 2.0),
    c("make test", 31_000.0, 2.5),
    c("git merge", 260.0, 1.3),
    c("ssh", 42_000.0, 0.7),
    c("kubectl logs", 900.0, 0.4),
    c("pip install", 9_200.0, 1.0),
    c("git stash", 70.0, 0.2),
    c("cargo run", 7_100.0, 1.6),
    c("docker push", 16_000.0, 0.9),
    c("psql", 2_300.0, 0.8),
    c("npx tsc", 9_900.0, 2.1),
    c("git clone", 6_800.0, 0.6),
    c("jq", 25.0, 0.9),
    c("helm upgrade", 23_000.0, 1.5),
    c("mvn test", 58_000.0, 2.4),
    c("gradle build", 47_000.0, 1.7),
    c("docker run", 3_600.0, 1.2),
    c("grep", 22.0, 0.9),
    c("python", 2_800.0, 1.4),
    c("eslint", 6_300.0, 2.0),
    c("aws s3 cp", 4_100.0, 0.8),
    c("find", 160.0, 0.3),
    c("ruff check", 310.0, 1.3),
    c("kubectl describe", 480.0, 0.3),
    c("node", 1_700.0, 1.2),
    c("mypy", 13_000.0, 1.9),
    c("terraform apply", 74_000.0, 1.6),
    c("git branch", 28.0, 0.1),
    c("vite build", 12_500.0, 1.2),
    c("gh pr create", 2_100.0, 0.8),
    c("docker pull", 9_800.0, 0.7),
    c("cargo nextest run", 22_000.0, 2.3),
    c("git reset", 55.0, 0.2),
    c("yarn install", 15_500.0, 0.9),
    c("kubectl exec", 7_400.0, 0.9),
    c("sed", 14.0, 0.3),
    c("pnpm install", 8_700.0, 0.8),
    c("gh pr checkout", 1_800.0, 0.6),
    c("cat", 6.0, 0.1),
    c("vitest", 9_100.0, 2.2),
    c("git cherry-pick", 190.0, 1.5),
    c("rsync", 12_000.0, 0.8),
    c("cmake --build", 52_000.0, 1.6),
    c("black", 900.0, 0.4),
    c("gh run watch", 240_000.0, 1.8),
    c("tar", 2_600.0, 0.4),
    c("ansible-playbook", 96_000.0, 1.7),
    c("uv sync", 3_200.0, 0.7),
    c("go vet", 4_600.0, 1.1),
    c("kubectl rollout", 38_000.0, 1.3),
    c("scp", 5_300.0, 0.8),
    c("alembic upgrade", 3_900.0, 1.1),
    c("jest", 16_000.0, 2.4),
    c("docker compose down", 6_100.0, 0.4),
    c("mvn package", 83_000.0, 1.6),
    c("prettier", 2_400.0, 0.7),
    c("vim", 95_000.0, 0.1),
    c("aws sts get-caller-identity", 780.0, 0.6),
    c("playwright test", 88_000.0, 3.0),
    c("dotnet build", 27_000.0, 1.4),
    c("cargo doc", 33_000.0, 0.9),
    c("git tag", 32.0, 0.2),
    c("terraform init", 11_500.0, 0.8),
    c("redis-cli", 240.0, 0.4),
    c("bazel build", 71_000.0, 1.5),
    c("tail", 18_000.0, 0.2),
    c("dotnet test", 36_000.0, 2.3),
    c("protoc", 520.0, 0.8),
    c("git blame", 140.0, 0.1),
    c("systemctl status", 60.0, 0.6),
    c("bazel test", 120_000.0, 2.4),
    c("awk", 30.0, 0.2),
    c("poetry install", 14_000.0, 0.9),
    c("helm template", 1_300.0, 0.9),
    c("openssl", 40.0, 0.5),
    c("gcloud run deploy", 69_000.0, 1.4),
    c("cargo bench", 180_000.0, 0.8),
    c("git worktree", 230.0, 0.3),
    c("shellcheck", 350.0, 1.6),
    c("wget", 4_400.0, 0.9),
    c("storybook build", 61_000.0, 1.1),
    c("docker exec", 2_900.0, 0.8),
    c("npm publish", 6_600.0, 1.3),
    c("golangci-lint run", 29_000.0, 1.9),
    c("pre-commit run", 5_800.0, 1.8),
    c("mysql", 1_900.0, 0.7),
    c("cargo add", 1_600.0, 0.5),
    c("kubectl port-forward", 310_000.0, 0.9),
    c("rm", 11.0, 0.2),
    c("tox", 110_000.0, 2.2),
    c("swift build", 41_000.0, 1.5),
    c("gh issue list", 1_200.0, 0.3),
    c("webpack", 28_000.0, 1.3),
    c("ping", 5_000.0, 0.8),
    c("cargo update", 2_700.0, 0.4),
    c("mkdir", 7.0, 0.2),
    c("dig", 120.0, 0.3),
    c("k6 run", 190_000.0, 1.4),
    c("kustomize build", 860.0, 0.8),
    c("aws ecr login", 1_500.0, 0.7),
    c("flake8", 3_700.0, 1.6),
    c("xcodebuild", 160_000.0, 1.8),
    c("git bisect", 820.0, 0.6),
    c("journalctl", 680.0, 0.2),
    c("next build", 44_000.0, 1.3),
    c("cp", 17.0, 0.2),
    c("sbt test", 93_000.0, 2.2),
    c("rake test", 34_000.0, 2.3),
    c("bundle install", 19_500.0, 0.8),
    c("df", 9.0, 0.1),
    c("hadolint", 280.0, 1.2),
    c("rails server", 610_000.0, 0.5),
    c("trivy image", 26_000.0, 1.9),
    c("mix test", 15_000.0, 2.1),
    c("git revert", 160.0, 0.7),
    c("composer install", 13_500.0, 0.8),
    c("phpunit", 20_500.0, 2.2),
    c("top", 33_000.0, 0.1),
    c("cargo install", 56_000.0, 0.9),
    c("sqlx migrate run", 1_250.0, 1.0),
    c("buf generate", 2_200.0, 0.9),
    c("nslookup", 95.0, 0.4),
    c("dbt run", 140_000.0, 1.7),
    c("dbt test", 52_000.0, 2.0),
    c("aws lambda invoke", 1_850.0, 1.1),
    c("kill", 5.0, 0.7),
    c("esbuild", 740.0, 0.8),
    c("az login", 9_400.0, 0.9),
    c("chmod", 6.0, 0.2),
    c("deno test", 6_900.0, 2.0),
    c("bun install", 2_050.0, 0.6),
    c("git submodule update", 5_100.0, 0.7),
    c("packer build", 420_000.0, 1.7),
    c("vault read", 430.0, 0.6),
    c("consul members", 210.0, 0.3),
    c("clang-format", 110.0, 0.3),
    c("ctest", 48_000.0, 2.3),
    c("ninja", 37_000.0, 1.5),
    c("gdb", 270_000.0, 0.4),
    c("valgrind", 150_000.0, 1.2),
    c("perf record", 30_500.0, 0.4),
    c("strace", 21_500.0, 0.3),
    c("meson setup", 7_900.0, 0.9),
    c("conda install", 46_000.0, 1.1),
    c("jupyter nbconvert", 24_500.0, 1.4),
    c("dvc pull", 57_000.0, 0.9),
    c("mlflow run", 520_000.0, 1.6),
    c("spark-submit", 380_000.0, 1.7),
    c("airflow dags trigger", 2_450.0, 0.8),
    c("flyway migrate", 4_700.0, 1.0),
    c("liquibase update", 8_100.0, 1.0),
    c("kafka-topics", 1_950.0, 0.6),
    c("mongodump", 66_000.0, 0.7),
    c("pg_dump", 81_000.0, 0.6),
    c("pg_restore", 130_000.0, 1.0),
    c("restic backup", 210_000.0, 0.7),
    c("gpg --sign", 150.0, 0.5),
    c("ssh-keygen", 85.0, 0.2),
    c("nix build", 99_000.0, 1.3),
    c("brew install", 39_000.0, 0.8),
    c("apt-get install", 22_500.0, 0.7),
    c("fly deploy", 78_000.0, 1.3),
    c("heroku releases", 1_700.0, 0.4),
    c("pulumi up", 87_000.0, 1.5),
    c("cdk deploy", 145_000.0, 1.5),
    c("serverless deploy", 102_000.0, 1.4),
    c("sentry-cli releases", 2_150.0, 0.6),
    c("zig build", 10_500.0, 1.4),
    c("ghc", 17_500.0, 1.6),
    c("claude", 72_000.0, 0.5),
];

const FIRST: [&str; 40] = [
    "anna", "bilal", "carla", "david", "elena", "farid", "greta", "hugo", "ines", "jonas", "kaya",
    "liam", "maria", "noah", "olga", "pavel", "quinn", "rosa", "samir", "tara", "uma", "viktor",
    "wei", "xenia", "yusuf", "zoe", "amir", "bella", "chen", "dina", "emil", "fiona", "goran",
    "hana", "ivan", "julia", "kenji", "lena", "marco", "nadia",
];

const LAST: [&str; 40] = [
    "adler", "bauer", "costa", "dietz", "ekman", "fischer", "garcia", "haas", "ito", "jansen",
    "klein", "lopez", "meyer", "novak", "okafor", "peters", "quist", "rossi", "silva", "tanaka",
    "ueda", "vogel", "weber", "xu", "yilmaz", "zhang", "arndt", "blom", "cruz", "duran", "evans",
    "franke", "gupta", "huber", "ivanov", "jung", "kovac", "lang", "moreau", "nagy",
];

const TEAMS: [&str; 20] = [
    "platform",
    "payments",
    "search",
    "mobile",
    "web",
    "data",
    "growth",
    "identity",
    "infra",
    "billing",
    "checkout",
    "catalog",
    "ml",
    "security",
    "quality",
    "support",
    "logistics",
    "pricing",
    "insights",
    "tooling",
];

const PROJECT_PARTS: [&str; 12] = [
    "api", "worker", "console", "gateway", "jobs", "sdk", "portal", "sync", "rules", "reports",
    "models", "deploy",
];

/// Branches, the usual ones more often.
pub(super) const BRANCHES: [&str; 10] = [
    "main",
    "main",
    "main",
    "develop",
    "release",
    "fix/timeouts",
    "fix/retries",
    "feature/export",
    "feature/login",
    "chore/deps",
];

/// `stem` itself in the first `round`, `stem-2`, `stem-3` … afterwards.
fn numbered(stem: String, round: usize) -> String {
    if round == 0 { stem } else { format!("{stem}-{}", round + 1) }
}

/// The name of person `n`; all are different.
pub(super) fn user(n: usize) -> String {
    let (first, nth) = (n % FIRST.len(), n / FIRST.len());
    // Steps of 41 visit all 40 family names before one comes again.
    let last = (first + nth * (FIRST.len() + 1)) % LAST.len();
    numbered(format!("{}.{}", FIRST[first], LAST[last]), nth / LAST.len())
}

/// The name of team `n`; all are different.
pub(super) fn team(n: usize) -> String {
    numbered(TEAMS[n % TEAMS.len()].to_owned(), n / TEAMS.len())
}

/// The name of project `n`, which belongs to team `team`; all projects of a team are different.
pub(super) fn project(team_name: &str, n: usize) -> String {
    let part = PROJECT_PARTS[n % PROJECT_PARTS.len()];
    numbered(format!("{team_name}-{part}"), n / PROJECT_PARTS.len())
}

/// The name of machine `n`: every fourth is a build machine.
pub(super) fn host(n: usize) -> String {
    let kind = if is_build_host(n) { "build" } else { "dev" };
    format!("{kind}-{n:02}")
}

/// Whether machine `n` is a build machine.
pub(super) const fn is_build_host(n: usize) -> bool {
    n % 4 == 3
}

/// The name of command `n`: the two hundred first, then targets of `make`.
pub(super) fn command(n: usize) -> String {
    COMMANDS.get(n).map_or_else(|| format!("make target-{n:05}"), |c| c.name.to_owned())
}
