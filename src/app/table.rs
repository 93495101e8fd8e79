//! Tables for people: aligned columns, numbers to the right.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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
    /// Widest cell that is shown whole.
    cell_max: usize,
}

/// Between two columns.
const GAP: &str = "  ";

impl TextTable {
    /// A table with these headings.
    pub(super) fn new(headings: &[(&str, Side)]) -> Self {
        let names = headings.iter().map(|(name, _)| printable(name)).collect();
        Self {
            sides: headings.iter().map(|(_, side)| *side).collect(),
            rows: vec![names],
            cell_max: usize::MAX,
        }
    }

    /// Cuts what is wider than `cell_max` columns of a terminal.
    pub(super) fn cut_to(self, cell_max: usize) -> Self {
        Self { cell_max, ..self }
    }

    /// Adds a row with a cell per heading.
    pub(super) fn push(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        let cells = cells.into_iter().map(|cell| cut(&printable(cell.as_ref()), self.cell_max));
        self.rows.push(cells.collect());
    }

    /// The headings, a line, and the rows.
    pub(super) fn render(&self) -> String {
        let width = |n: usize| {
            let lengths = self.rows.iter().filter_map(|row| row.get(n));
            lengths.map(|cell| cell.width()).max().unwrap_or(0)
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
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            let (before, after) = match side {
                Side::Left => ("", padding.as_str()),
                Side::Right => (padding.as_str(), ""),
            };
            line.extend([before, cell, after, GAP]);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// `text`, or as much of it as fits into `width_max` columns of a terminal with an ellipsis.
pub(super) fn cut(text: &str, width_max: usize) -> String {
    if text.width() <= width_max {
        return text.to_owned();
    }
    let mut left = width_max.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left -= if fits { width } else { 0 };
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Lines of a name and what belongs to it, indented, the second parts below each other.
pub(super) fn aligned(pairs: &[(String, String)]) -> String {
    const NAME_MAX: usize = 40; // a longer name must not push everything off the screen
    let names = pairs.iter().map(|(name, _)| cut(&printable(name), NAME_MAX));
    let names: Vec<String> = names.collect();
    let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let line = |(name, (_, text)): (&String, &(String, String))| {
        let padding = " ".repeat(width - name.width());
        format!("{GAP}{name}{padding}{GAP}{}\n", printable(text))
    };
    names.iter().zip(pairs).map(line).collect()
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
    fn widths_are_those_of_a_terminal() {
        let mut table = TextTable::new(&[("name", Side::Left), ("n", Side::Right)]).cut_to(8);
        table.push(["日本", "1"]);
        table.push(["e\u{301}e", "2"]);
        table.push(["日本語日本語", "3"]);
        table.push(["ninechars", "4"]);
        let expected = "name      n\n────────  ─\n日本      1\ne\u{301}e        2\n日本語…   3\n\
                        ninecha…  4\n";
        assert_eq!(table.render(), expected);
        let pairs = [("a".to_owned(), "b\nc".to_owned()), ("日本".to_owned(), "d".to_owned())];
        assert_eq!(aligned(&pairs), "  a     b\u{fffd}c\n  日本  d\n");
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
