//! How long the aggregation kernel takes on parts in memory: a million rows in sixteen parts.
//!
//! `cargo bench -p storage --bench aggregate --profile quick`. Prints the
//! median and the best of several runs. An argument picks the shapes whose name contains it.

use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::aggregate::{ColumnSet, Part, Partial, View, aggregate, default_views};
use storage::ask::{
    AggregateRequest, Budget, Metric, Permille, Predicate, Selection, Source, WordTest,
};
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::error::StoreError;
use storage::row::{Actor, Dimension, Measure, Row, RowId, Status, Word};

const ROWS: usize = 1_000_000;
const PARTS: usize = 16;
const DAYS: i64 = 90;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const START_MS: i64 = 1_767_225_600_000;
const RUNS: usize = 41;

struct MemoryPart {
    batch: Arc<RowBatch>,
    partials: Vec<Option<Arc<Partial>>>,
}

impl Part for MemoryPart {
    fn rows(&self) -> usize {
        self.batch.len
    }

    fn time_range(&self) -> (i64, i64) {
        match self.batch.ts.as_slice() {
            [first, .., last] => (*first, *last),
            _ => (0, 0),
        }
    }

    fn grain_ms(&self) -> i64 {
        HOUR_MS
    }

    fn is_sorted(&self) -> bool {
        true
    }

    fn columns(&self, _want: &ColumnSet) -> Result<Arc<RowBatch>, StoreError> {
        Ok(self.batch.clone())
    }

    fn partial(&self, view: usize) -> Result<Option<Arc<Partial>>, StoreError> {
        Ok(self.partials[view].clone())
    }

    fn partial_groups(&self, view: usize) -> Option<usize> {
        self.partials[view].as_ref().map(|partial| partial.groups())
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// About normal: twelve uniform ones.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

fn parts() -> Vec<MemoryPart> {
    let mut dice = Dice(7);
    let names = |kind: &str, count: usize| -> Vec<String> {
        (0..count).map(|n| format!("{kind}-{n}")).collect()
    };
    let (commands, users) = (names("command", 200), names("user", 500));
    let (teams, projects, hosts) = (names("team", 20), names("project", 60), names("host", 40));
    // Zipf with exponent 1: the inverse of its distribution, about.
    let zipf = |dice: &mut Dice, end: usize| ((end as f64 + 1.0).powf(dice.unit()) - 1.0) as usize;
    let mut ts: Vec<i64> =
        (0..ROWS).map(|_| START_MS + (dice.unit() * (DAYS * DAY_MS) as f64) as i64).collect();
    ts.sort_unstable();
    ts.chunks(ROWS.div_ceil(PARTS))
        .map(|ts| {
            let mut builder = RowBatchBuilder::with_capacity(ts.len());
            for &ts_ms in ts {
                let user = dice.below(users.len());
                let mut words = [""; 9];
                words[Word::Command as usize] = &commands[zipf(&mut dice, commands.len()).min(199)];
                words[Word::User as usize] = &users[user];
                words[Word::Team as usize] = &teams[user % teams.len()];
                words[Word::Project as usize] = &projects[dice.below(projects.len())];
                words[Word::Host as usize] = &hosts[dice.below(hosts.len())];
                let failed = dice.unit() < 0.03;
                builder.push(&Row {
                    id: RowId::Uuid([0; 16]),
                    ts_ms,
                    ts_given: true,
                    received_ms: ts_ms,
                    words,
                    status: if failed { Status::Failure } else { Status::Success },
                    actor: Actor::Human,
                    duration_us: Some((1e6 * (dice.normal() * 1.2).exp()) as u64),
                    exit_code: None,
                    labels: &[],
                    values: &[("tokens", dice.normal() * 1000.0)],
                });
            }
            MemoryPart { batch: Arc::new(builder.finish()), partials: Vec::new() }
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed<R>(f: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = f();
    (result, start.elapsed())
}

fn build_partials(parts: &mut [MemoryPart], views: &[View]) {
    for (n, view) in views.iter().enumerate() {
        let (mut groups, mut bytes) = (0, Vec::new());
        let (mut build, mut decode) = (Duration::ZERO, Duration::ZERO);
        for part in parts.iter_mut() {
            let (partial, took) = timed(|| Partial::build_if_worth(&part.batch, view, HOUR_MS));
            let again = timed(|| Partial::build_if_worth(&part.batch, view, HOUR_MS)).1;
            build += took.min(again);
            let stored = bytes.len();
            if let Some(partial) = &partial {
                groups += partial.groups();
                partial.encode(&mut bytes);
                let reads: Vec<_> =
                    (0..5).map(|_| timed(|| Partial::decode(&bytes[stored..]))).collect();
                decode += reads.iter().map(|read| read.1).min().unwrap_or_default();
                assert!(reads.iter().all(|read| read.0.as_ref().ok() == Some(partial)));
            }
            part.partials.insert(n, partial.map(Arc::new));
        }
        println!(
            "build {:<8} {:6.1} ns a row, {groups:6} groups, {:5.1} bytes each, decode {:.2} ms",
            view.name,
            build.as_secs_f64() * 1e9 / ROWS as f64,
            bytes.len() as f64 / groups.max(1) as f64,
            decode.as_secs_f64() * 1e3,
        );
    }
}

struct Shape {
    name: &'static str,
    bucket_ms: i64,
    days: i64,
    predicates: Vec<Predicate>,
    group_by: Vec<Word>,
    metrics: Vec<Metric>,
}

fn is(dimension: Dimension, word: &str) -> Predicate {
    Predicate::Word(dimension, WordTest::In(vec![word.into()]))
}

fn shape(name: &'static str, group_by: &[Word], metrics: Vec<Metric>) -> Shape {
    let group_by = group_by.to_vec();
    Shape { name, bucket_ms: 0, days: DAYS, predicates: Vec::new(), group_by, metrics }
}

fn shapes() -> Vec<Shape> {
    let p = |permille| Metric::Quantile(Measure::Duration, Permille(permille));
    let count_avg_p95 = || vec![Metric::Count, Metric::Avg(Measure::Duration), p(950)];
    let count_avg_p95_p99 = [count_avg_p95(), vec![p(990)]].concat();
    let count_rate_p95 = vec![Metric::Count, Metric::SuccessRate, p(950)];
    let total = vec![Metric::Sum(Measure::Duration)];
    let users = vec![Metric::CountDistinct(Dimension::Word(Word::User))];
    let tokens = || Measure::Value("tokens".into());
    let of_tokens = vec![
        Metric::Sum(tokens()),
        Metric::Stddev(tokens()),
        Metric::Quantile(tokens(), Permille(950)),
    ];
    let one_user = vec![is(Dimension::Word(Word::User), "user-77")];
    let one_host = is(Dimension::Word(Word::Host), "host-7");
    let failures = vec![is(Dimension::Status, "failure"), one_host];
    vec![
        Shape {
            bucket_ms: HOUR_MS,
            days: 30,
            ..shape("hourly count avg p95 p99, 30 days", &[], count_avg_p95_p99)
        },
        Shape {
            bucket_ms: DAY_MS,
            ..shape("daily count rate p95 by team", &[Word::Team], count_rate_p95)
        },
        Shape { days: 7, ..shape("sum by command, 7 days", &[Word::Command], total) },
        Shape {
            bucket_ms: HOUR_MS,
            days: 7,
            predicates: one_user,
            ..shape("one user hourly, 7 days", &[], count_avg_p95())
        },
        Shape {
            bucket_ms: 30 * DAY_MS,
            ..shape("monthly count avg p95 by project", &[Word::Project], count_avg_p95())
        },
        shape("p99 by user and command", &[Word::User, Word::Command], vec![p(990)]),
        Shape {
            predicates: failures,
            ..shape("failures on one host by command", &[Word::Command], vec![Metric::Count])
        },
        shape("users by team", &[Word::Team], users),
        shape("values: sum stddev p95 by project", &[Word::Project], of_tokens),
    ]
}

fn measure(parts: &[MemoryPart], views: &[View], shape: &Shape, partials: bool) {
    let parts: Vec<&dyn Part> = parts.iter().map(|part| part as &dyn Part).collect();
    let to_ms = START_MS + DAYS * DAY_MS;
    let from_ms = to_ms - shape.days * DAY_MS;
    let bucket_starts = match shape.bucket_ms {
        0 => Vec::new(),
        ms => (from_ms..to_ms).step_by(ms as usize).collect(),
    };
    let request = AggregateRequest {
        selection: Selection { from_ms, to_ms, predicates: shape.predicates.clone() },
        bucket_starts,
        group_by: shape.group_by.iter().copied().map(Dimension::Word).collect(),
        metrics: shape.metrics.clone(),
        partials,
    };
    let ask = || aggregate(&parts, views, &request, &Budget::default()).expect("within the budget");
    let answer = ask();
    if partials && answer.source == Source::Scan {
        return;
    }
    let mut times: Vec<Duration> = (0..RUNS).map(|_| timed(ask).1).collect();
    times.sort_unstable();
    println!(
        "{:<40} {:>6?} {:6} groups {:8.2} ms, at best {:.2}",
        shape.name,
        answer.source,
        answer.keys.len(),
        times[RUNS / 2].as_secs_f64() * 1e3,
        times[0].as_secs_f64() * 1e3,
    );
}

fn main() {
    let views = default_views();
    let mut parts = parts();
    build_partials(&mut parts, &views);
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-')).unwrap_or_default();
    for shape in shapes().iter().filter(|shape| shape.name.contains(&wanted)) {
        measure(&parts, &views, shape, true);
        measure(&parts, &views, shape, false);
    }
}
