//! Which format a file has.

use super::problem::ImportError;
use super::source::Source;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Standard Workload Format: job logs of clusters.
    Swf,
    /// Comma-separated values, or semicolon-separated ones.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// JSON: an array of objects, or objects one after the other.
    Json,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Swf, Self::Csv, Self::Tsv, Self::Json, Self::Ndjson];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Swf => "swf",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// All names, for messages.
    pub fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// Fields of a job line.
const SWF_FIELDS: usize = 18;

/// Tells the format by the first bytes and, where they leave it open, by the name.
pub fn detect(source: &Source) -> Result<Format, ImportError> {
    let head = source.head();
    let unrecognised = || ImportError::Unrecognised { name: source.name().to_owned() };
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let by_name = Format::ALL.into_iter().find(|format| {
        let name = source.name().trim_end_matches(".gz").trim_end_matches(".zst");
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        ending.eq_ignore_ascii_case(format.as_str())
            || (*format == Format::Ndjson && ending.eq_ignore_ascii_case("jsonl"))
    });
    let Some(first) = lines.next() else {
        let empty = || ImportError::Empty { name: source.name().to_owned() };
        return by_name.ok_or_else(empty);
    };
    if first.starts_with('{') {
        // The first line may be the bad one: then the name is believed.
        let one_a_line = by_name == Some(Format::Ndjson)
            || serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok();
        return Ok(if one_a_line { Format::Ndjson } else { Format::Json });
    }
    if first.starts_with('[') {
        return Ok(Format::Json);
    }
    let is_job = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        line.split_ascii_whitespace().count() >= SWF_FIELDS
            && fields.all(|field| field.parse::<f64>().is_ok())
    };
    let is_table = matches!(by_name, Some(Format::Csv | Format::Tsv));
    if (first.starts_with(';') && !is_table) || is_job(first) {
        return Ok(Format::Swf);
    }
    if let Some(named @ (Format::Swf | Format::Json | Format::Ndjson)) = by_name {
        return Ok(named); // separators are in every text
    }
    if first.contains('\t') {
        return Ok(Format::Tsv);
    }
    if first.contains([',', ';']) {
        return Ok(Format::Csv);
    }
    by_name.ok_or_else(unrecognised)
}
