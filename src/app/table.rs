//! Tables for people: aligned columns, numbers to the right.

use std::fmt::Write;

/// On which side the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction.
#[derive(Debug)]
pub(super) struct TextTable {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

/// Between two columns.
const GAP: &str = "  ";

impl TextTable {
    /// A table with these headings.
    pub(super) fn new(headings: &[(&str, Side)]) -> Self {
        let names = headings.iter().map(|(name, _)| printable(name)).collect();
        Self { sides: headings.iter().map(|(_, side)| *side).collect(), rows: vec![names] }
    }

    /// Adds a row with a cell per heading.
    pub(super) fn push(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.rows.push(cells.into_iter().map(|cell| printable(cell.as_ref())).collect());
    }

    /// The headings, a line, and the rows.
    pub(super) fn render(&self) -> String {
        let width = |n: usize| {
            let lengths = self.rows.iter().filter_map(|row| row.get(n));
            lengths.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(width).collect();
        let mut out = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            self.render_row(row, &widths, &mut out);
            if n == 0 {
                let rules: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
                out.push_str(&rules.join(GAP));
                out.push('\n');
            }
        }
        out
    }

    fn render_row(&self, row: &[String], widths: &[usize], out: &mut String) {
        let mut line = String::new();
        for ((cell, &width), side) in row.iter().zip(widths).zip(&self.sides) {
            // Writing to a string cannot fail.
            let _ = match side {
                Side::Left => write!(line, "{cell:<width$}{GAP}"),
                Side::Right => write!(line, "{cell:>width$}{GAP}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// `text` without anything that would move the cursor or colour the screen: names come from
/// whoever sends executions, and a terminal obeys what it is shown.
pub(super) fn printable(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if unseen(c) { '\u{fffd}' } else { c }).collect()
}

/// `ms` as the contract writes times: RFC 3339, UTC, milliseconds.
pub(super) fn instant(ms: storage::row::TimeMs) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| format!("{at:.3}"))
}

/// `number` with a space between groups of three digits before the point.
pub(super) fn grouped(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let whole_len = rest.find('.').unwrap_or(rest.len());
    let (whole, fraction) = rest.split_at(whole_len);
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut out = String::from(sign);
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut table = TextTable::new(&[("name", Side::Left), ("count", Side::Right)]);
        table.push(["äöü", "1"]);
        table.push(["x", "1 000 000"]);
        let expected = "name      count\n────  ─────────\näöü           1\nx     1 000 000\n";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(printable("a\x1b[31mb\n\u{202e}c"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(instant(1_774_994_400_000), "2026-03-31T22:00:00.000Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(instant(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn digits_are_grouped_by_three() {
        let cases =
            [("0", "0"), ("999", "999"), ("1000", "1 000"), ("-1234567.8901", "-1 234 567.8901")];
        for (number, shown) in cases {
            assert_eq!(grouped(number), shown);
        }
        assert_eq!(grouped("1e300"), "1e300");
    }
}
