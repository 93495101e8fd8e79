//! What the server counts of itself, as Prometheus reads it.

use super::route::all;
use crate::limits::latencies::Counted;
use hyper::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of answers' times, seconds: from a cached answer to the longest
/// question.
const TIME_BOUNDS: [f64; 12] =
    [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

/// The classes of statuses, by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters of one route, found without a lock.
#[derive(Debug)]
struct OfRoute {
    answers: [Counter; CLASSES.len()],
    seconds: Histogram,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Measures {
    registry: Registry,
    /// By the routes' places in the table; the last one for what has no route.
    routes: Vec<OfRoute>,
    /// Figures that are read when they are asked for.
    gauges: Gauges,
    scraping: Mutex<()>,
    id_prefix: u64,
    next_id: AtomicU64,
}

/// Figures that are read when they are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauges {
    pub(super) connections: Gauge,
    pub(super) connections_refused: Gauge,
    pub(super) watchers: Gauge,
    pub(super) feed_bytes: Gauge,
    pub(super) rows: Gauge,
    pub(super) unsealed_rows: Gauge,
    pub(super) file_bytes: Gauge,
    pub(super) waiting_bytes: Gauge,
    pub(super) certificate_expiry: Gauge,
}

impl Default for Measures {
    fn default() -> Self {
        Self::new()
    }
}

impl Measures {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("emx");
        let answers = Family::<Answered, Counter>::default();
        let seconds =
            Family::<RouteLabels, Histogram>::new_with_constructor(|| Histogram::new(TIME_BOUNDS));
        let named = all().map(|route| (route.method.as_str(), route.path));
        let routes = named.chain([("", "")]).map(|(method, route)| OfRoute {
            answers: CLASSES.map(|status| {
                let labels = Answered { method, route, status };
                answers.get_or_create(&labels).clone()
            }),
            seconds: seconds.get_or_create(&RouteLabels { method, route }).clone(),
        });
        let routes = routes.collect();
        registry.register("http_answers", "Requests answered", answers);
        let says = "Time from a request's headers to its answer's";
        registry.register_with_unit("http_answer", says, Unit::Seconds, seconds);
        let gauges = Gauges::default();
        register(&mut registry, &gauges);
        Self {
            registry,
            routes,
            gauges,
            scraping: Mutex::default(),
            id_prefix: rand::random(),
            next_id: AtomicU64::new(0),
        }
    }

    /// A request id that no other request of this installation has.
    pub(super) fn next_request_id(&self) -> Box<str> {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number:x}", self.id_prefix).into()
    }

    /// Counts an answer of the route at `index`, or of none.
    pub(super) fn answered(&self, index: Option<usize>, status: StatusCode, elapsed: Duration) {
        let last = self.routes.len() - 1;
        let route = &self.routes[index.unwrap_or(last).min(last)];
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        route.answers[class].inc();
        route.seconds.observe(elapsed.as_secs_f64());
    }

    /// Everything, in the text format of OpenMetrics 1.0, with the figures that `set` sets, and how long
    /// the requests of the tenant took who asks. One at a time: some of the figures are the tenant's, too.
    pub(super) fn text(
        &self,
        set: impl FnOnce(&Gauges),
        answers: &Counted,
    ) -> Result<String, std::fmt::Error> {
        let _alone = self.scraping.lock().unwrap_or_else(PoisonError::into_inner);
        set(&self.gauges);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        text.truncate(text.strip_suffix(END).map_or(text.len(), str::len));
        write_tenant_answers(&mut text, answers)?;
        text.push_str(END);
        Ok(text)
    }
}

/// The last line.
const END: &str = "# EOF\n";

/// Writes the histogram of a tenant's answers, whose buckets are narrower than those of the routes.
fn write_tenant_answers(text: &mut String, answers: &Counted) -> std::fmt::Result {
    const NAME: &str = "emx_tenant_answer_seconds";
    writeln!(text, "# HELP {NAME} Time from a request's headers to its answer's, of your tenant.")?;
    writeln!(text, "# TYPE {NAME} histogram\n# UNIT {NAME} seconds")?;
    let mut sum = 0;
    for (bound, count) in answers.buckets() {
        sum += count;
        match bound {
            Some(bound) => {
                writeln!(text, "{NAME}_bucket{{le=\"{}\"}} {sum}", bound.as_secs_f64())?;
            }
            None => writeln!(text, "{NAME}_bucket{{le=\"+Inf\"}} {sum}")?,
        }
    }
    writeln!(text, "{NAME}_count {sum}\n{NAME}_sum {}", answers.sum.as_secs_f64())
}

fn register(registry: &mut Registry, gauges: &Gauges) {
    let Gauges { connections, connections_refused, watchers, feed_bytes, rows, .. } =
        gauges.clone();
    let Gauges { unsealed_rows, file_bytes, waiting_bytes, certificate_expiry, .. } =
        gauges.clone();
    registry.register("connections", "Connections that are open", connections);
    registry.register(
        "connections_refused",
        "Connections refused since the start because there were too many",
        connections_refused,
    );
    registry.register("watchers", "Open WebSockets", watchers);
    registry.register("feed_bytes", "Bytes that the feed keeps", feed_bytes);
    registry.register("rows", "Executions that are there", rows);
    registry.register("unsealed_rows", "Executions that are not in a block yet", unsealed_rows);
    registry.register("file_bytes", "Bytes of the keyspace's file on disk", file_bytes);
    registry.register("waiting_bytes", "Bytes of rows that wait to be written", waiting_bytes);
    registry.register(
        "certificate_expiry_timestamp_seconds",
        "When the certificate in use expires, Unix time",
        certificate_expiry,
    );
}
