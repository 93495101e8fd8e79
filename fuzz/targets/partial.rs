//! Partial aggregates: what is accepted is canonical, and questions can be answered from it.
#![no_main]

mod damage;
mod rows;

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use storage::aggregate::{ColumnSet, Part, Partial, View, aggregate};
use storage::ask::{AggregateRequest, Budget, Cell, Metric, Permille, Selection};
use storage::batch::RowBatch;
use storage::error::StoreError;
use storage::row::{Dimension, Measure, Word};

/// A part of which there is nothing but its partial.
struct Sealed {
    partial: Arc<Partial>,
    grain_ms: i64,
}

impl Part for Sealed {
    fn rows(&self) -> usize {
        1
    }

    fn time_range(&self) -> (i64, i64) {
        (i64::MIN, i64::MAX - 1)
    }

    fn grain_ms(&self) -> i64 {
        self.grain_ms
    }

    fn is_sorted(&self) -> bool {
        true
    }

    fn columns(&self, _want: &ColumnSet) -> Result<Arc<RowBatch>, StoreError> {
        unreachable!("the view covers the question")
    }

    fn partial(&self, _view: usize) -> Result<Option<Arc<Partial>>, StoreError> {
        Ok(Some(Arc::clone(&self.partial)))
    }

    fn partial_groups(&self, _view: usize) -> Option<usize> {
        Some(self.partial.groups())
    }
}

fn views() -> Vec<View> {
    let words = [vec![], vec![Word::Command], vec![Word::Team, Word::Command]];
    let words = words.map(|words| words.into_iter().map(Dimension::Word).collect());
    let mut views: Vec<Vec<Dimension>> = words.into();
    views.push(vec![Dimension::Status, Dimension::Label("a".into()), Dimension::Actor]);
    views.into_iter().map(|dimensions| View { name: "v".to_owned(), dimensions }).collect()
}

/// Asks the partial for everything that a view can answer.
fn ask(partial: &Partial, view: &View, grain_ms: i64) {
    let duration = || Measure::Duration;
    let mut metrics = vec![
        Metric::Count,
        Metric::FailureCount,
        Metric::SuccessRate,
        Metric::Sum(duration()),
        Metric::Avg(duration()),
        Metric::Min(duration()),
        Metric::Max(duration()),
        Metric::Stddev(duration()),
        Metric::Quantile(duration(), Permille(500)),
    ];
    metrics.extend(view.dimensions.iter().cloned().map(Metric::CountDistinct));
    let request = AggregateRequest {
        selection: Selection::all(),
        bucket_starts: Vec::new(),
        group_by: view.dimensions.clone(),
        metrics,
        partials: true,
    };
    let part = Sealed { partial: Arc::new(partial.clone()), grain_ms };
    let views = std::slice::from_ref(view);
    let answer = aggregate(&[&part], views, &request, &Budget::default()).expect("an answer");
    assert!(answer.keys.len() <= partial.groups());
    assert_eq!(answer.keys.is_empty(), partial.groups() == 0);
    for (failures, count) in answer.cells[1].iter().zip(&answer.cells[0]) {
        let (Cell::Int(failures), Cell::Int(count)) = (failures, count) else {
            panic!("{failures:?} of {count:?}")
        };
        assert!(0 < *count && failures <= count);
    }
    for (least, most) in answer.cells[5].iter().zip(&answer.cells[6]) {
        if let (Cell::Micros(least), Cell::Micros(most)) = (least, most) {
            assert!(least <= most);
        }
    }
}

/// Gives whether it is a partial.
fn read(bytes: &[u8], view: &View, grain_ms: i64) -> Option<Partial> {
    let partial = Partial::decode(bytes).ok()?;
    let mut again = Vec::new();
    partial.encode(&mut again);
    assert_eq!(again, bytes, "only the canonical form is accepted");
    assert!(partial.groups() <= bytes.len() && partial.heap_bytes() < 1 << 26);
    // Of another view, for all that is known: it is looked at no less carefully.
    ask(&partial, view, grain_ms);
    Some(partial)
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = damage::rows(data) else { return };
    let view = &views()[choice % 4];
    let grain_ms = [1, 900_000, 3_600_000, 1 << 44][choice >> 2 & 3];
    read(data, view, grain_ms);
    let partial = Partial::build(&rows::batch(data), view, grain_ms);
    let mut out = Vec::new();
    partial.encode(&mut out);
    assert_eq!(read(&out, view, grain_ms).as_ref(), Some(&partial));
    let none = Partial::empty(view, grain_ms);
    assert_eq!(none.merge(&partial), partial);
    assert_eq!(partial.merge(&none), partial);
    damage::damage(&mut out, data);
    read(&out, view, grain_ms);
});
