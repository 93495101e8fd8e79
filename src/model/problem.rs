//! The stable words that say what is wrong with what a caller sent. Clients match on them: a
//! word never changes its meaning, and none is reused.

/// The body as a whole.
pub mod body {
    /// The JSON of the body cannot be parsed.
    pub const INVALID_JSON: &str = "invalid_json";
    /// The MessagePack of the body cannot be parsed.
    pub const INVALID_MESSAGEPACK: &str = "invalid_messagepack";
    /// Bytes that are not UTF-8.
    pub const INVALID_UTF8: &str = "invalid_utf8";
    /// The compressed body is damaged or cut short.
    pub const INVALID_ENCODING: &str = "invalid_encoding";
    /// The body, compressed or expanded, is over its bound.
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    /// The body expands beyond any honest ratio.
    pub const EXPANDS_TOO_MUCH: &str = "expands_too_much";
    /// More rows than one request may have.
    pub const TOO_MANY_ROWS: &str = "too_many_rows";
    /// There is nothing in the body.
    pub const EMPTY_BODY: &str = "empty_body";
    /// `Content-Type` names no format that is understood here.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    /// `Content-Encoding` names no compression that is understood here.
    pub const UNSUPPORTED_ENCODING: &str = "unsupported_encoding";
    /// An atomic batch has a row that cannot be stored.
    pub const BATCH_REFUSED: &str = "batch_refused";
}

/// One row: it is rejected and not stored.
pub mod row {
    pub use super::body::{INVALID_JSON, INVALID_MESSAGEPACK, INVALID_UTF8};
    /// A value of another type than the field's.
    pub const WRONG_TYPE: &str = "wrong_type";
    /// A value of the right type that is none of those allowed.
    pub const INVALID_VALUE: &str = "invalid_value";
    /// A time that is neither RFC 3339 with offset nor integer Unix milliseconds.
    pub const INVALID_TIME: &str = "invalid_time";
    /// Text that names no Unicode character (a lone surrogate).
    pub const INVALID_UNICODE: &str = "invalid_unicode";
    /// A number outside its range.
    pub const OUT_OF_RANGE: &str = "out_of_range";
    /// NaN or infinite.
    pub const NOT_FINITE: &str = "not_finite";
    /// A field that must be there is not.
    pub const REQUIRED: &str = "required";
    /// Text over its length.
    pub const TOO_LONG: &str = "too_long";
    /// Text under its length.
    pub const TOO_SHORT: &str = "too_short";
    /// A control character where none may be.
    pub const CONTROL_CHARACTER: &str = "control_character";
    /// The same key twice in one object.
    pub const DUPLICATE_KEY: &str = "duplicate_key";
    /// More labels, values or fields than a row may have.
    pub const TOO_MANY_ENTRIES: &str = "too_many_entries";
    /// Nested deeper than a row may be.
    pub const TOO_DEEP: &str = "too_deep";
    /// The row has more bytes than a row may have.
    pub const ROW_TOO_LARGE: &str = "row_too_large";
    /// The tenant's different label or value keys would be over their limit.
    pub const TOO_MANY_KEYS: &str = "too_many_keys";
}

/// One row: it was decoded, cannot be true, and is kept in quarantine.
pub mod quarantine {
    /// `ts` is more than 24 hours ahead of the time of receipt.
    pub const TS_IN_FUTURE: &str = "ts_in_future";
    /// `ts` is before 1970.
    pub const TS_BEFORE_1970: &str = "ts_before_1970";
    /// `ts` is before what the tenant keeps raw.
    pub const BEFORE_RETENTION: &str = "before_retention";
}

/// What is accepted, but not as its sender may think.
pub mod warning {
    /// A field that the contract does not name was ignored.
    pub const UNKNOWN_FIELD: &str = "unknown_field";
}

/// The way into intake.
pub mod writing {
    /// The queue to the writers is full.
    pub const BUSY: &str = "busy";
    /// The server is stopping.
    pub const STOPPING: &str = "stopping";
    /// The rows were or were not stored: nobody knows. Sending them again is harmless.
    pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
    /// There is too little space left on the disk.
    pub const DISK_FULL: &str = "disk_full";
    /// The store failed.
    pub const STORE_FAILED: &str = "store_failed";
}

/// The JSON pointer (RFC 6901) of `key` inside `parent`.
pub fn pointer(parent: &str, key: &str) -> String {
    let mut out = String::with_capacity(parent.len() + 1 + key.len());
    out.push_str(parent);
    out.push('/');
    for c in key.chars() {
        match c {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            c => out.push(c),
        }
    }
    out
}

/// The beginning of a caller's text, short enough to be repeated in a message and without what
/// could confuse whoever reads it in a terminal.
pub fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    let mut out: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_what_separates_them() {
        assert_eq!(pointer("", "ts"), "/ts");
        assert_eq!(pointer("/labels", "a/b~c"), "/labels/a~1b~0c");
        assert_eq!(pointer("", ""), "/");
    }

    #[test]
    fn excerpts_are_short_and_tame() {
        assert_eq!(excerpt("plain"), "plain");
        assert_eq!(excerpt("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(excerpt(&"é".repeat(65)).chars().count(), 65);
    }
}
