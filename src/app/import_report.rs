//! What an import did, as a person reads it.

use super::table::{aligned, printable};
use crate::model::time::format_rfc3339;
use crate::transfer::import::Taken;
use crate::transfer::mapping::Column;
use crate::transfer::report::ImportReport;

/// The report on the file `name`.
pub(super) fn shown(name: &str, report: &ImportReport, taken: &Taken, dry_run: bool) -> String {
    let mut text = format!("{} ({})", printable(name), taken.format.as_str());
    text += if dry_run { ", a dry run: nothing is stored\n" } else { "\n" };
    text += &aligned(&counts(report, taken, dry_run));
    text += &columns(&taken.columns);
    text + &problems(report)
}

fn counts(report: &ImportReport, taken: &Taken, dry_run: bool) -> Vec<(String, String)> {
    let mut lines = taken.facts.clone();
    let mut line = |label: &str, value: String| lines.push((label.to_owned(), value));
    line("rows", report.rows.to_string());
    if dry_run {
        line("accepted", format!("{} would be accepted unless already there", report.accepted));
    } else {
        line("accepted", report.accepted.to_string());
        line("duplicates", report.duplicates.to_string());
    }
    line("quarantined", report.quarantined.to_string());
    line("rejected", report.rejected.to_string());
    if let (Some(first), Some(last)) = (report.first_ts, report.last_ts) {
        line("from", format_rfc3339(first));
        line("to", format_rfc3339(last));
    }
    line("took", format!("{} ms", report.elapsed_ms));
    lines
}

fn columns(columns: &[Column]) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let pair = |column: &Column| (column.column.clone(), column.field.clone());
    let mut text = "columns\n".to_owned() + &aligned(&columns.iter().map(pair).collect::<Vec<_>>());
    if columns.iter().any(|column| column.field == "-") {
        text += "  (- is not read: take it with --map COLUMN=labels.KEY or values.KEY)\n";
    }
    text
}

fn problems(report: &ImportReport) -> String {
    if report.problems.is_empty() {
        return String::new();
    }
    let mut text = "problems\n".to_owned();
    for problem in &report.problems {
        let fate = if problem.quarantined { "quarantined" } else { "rejected" };
        let (line, code, pointer) = (problem.line, problem.code, printable(&problem.pointer));
        let detail = printable(&problem.detail);
        text += &format!("  line {line}: {fate}: {code} {pointer}: {detail}\n");
    }
    let more = (report.quarantined + report.rejected).saturating_sub(report.problems.len() as u64);
    if more > 0 {
        text += &format!("  and {more} more\n");
    }
    text
}
