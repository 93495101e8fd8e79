//! An answer's JSON, read back by whoever asked a server elsewhere.

use super::answer::{Answer, Column, ColumnType, Table, Unit, Value, columns};
use super::question::Question;
use crate::model::time::parse_rfc3339;
use serde::Deserialize;
use std::sync::Arc;
use storage::ask::Source;
use storage::row::Seq;

/// The members that cannot be told from the question.
#[derive(Deserialize)]
struct Told {
    rows: Vec<Vec<serde_json::Value>>,
    source: String,
    view: Option<String>,
    rows_scanned: u64,
    elapsed_ms: f64,
    cached: bool,
    as_of_seq: Seq,
    truncated: bool,
}

/// The answer to `question` that `json` is; `None` if it is none.
pub fn answer(json: &[u8], question: &Question) -> Option<Answer> {
    let told: Told = serde_json::from_slice(json).ok()?;
    let columns = columns(question);
    let mut cells = Vec::with_capacity(told.rows.len() * columns.len());
    for row in &told.rows {
        if row.len() != columns.len() {
            return None;
        }
        for (value, column) in row.iter().zip(&columns) {
            cells.push(cell(value, column)?);
        }
    }
    let source = match told.source.as_str() {
        "rollup" => Source::Rollup,
        "scan" => Source::Scan,
        _ => Source::Mixed,
    };
    let table = Table {
        columns,
        cells,
        source,
        view: told.view,
        rows_scanned: told.rows_scanned,
        as_of_seq: told.as_of_seq,
        truncated: told.truncated,
    };
    Some(Answer { table: Arc::new(table), elapsed_ms: told.elapsed_ms, cached: told.cached })
}

fn cell(value: &serde_json::Value, column: &Column) -> Option<Value> {
    const US_PER_MS: f64 = 1000.0;
    if value.is_null() {
        return Some(Value::Null);
    }
    Some(match column.kind {
        ColumnType::Time => Value::Time(parse_rfc3339(value.as_str()?).ok()?),
        ColumnType::Text => Value::Text(value.as_str()?.into()),
        ColumnType::Integer => Value::Int(value.as_i64()?.into()),
        ColumnType::Number if column.unit == Some(Unit::Ms) => {
            Value::MicrosFloat(value.as_f64()? * US_PER_MS)
        }
        ColumnType::Number => Value::Float(value.as_f64()?),
    })
}
