//! What holds for any bytes, whatever they are taken for.

use super::support::{Store, all_rows, arrival};
use emx::process::admit::Arrival;
use emx::transfer::import::{self, Options};
use emx::transfer::sink::{DryRun, KeyspaceSink};
use emx::transfer::{Format, Source};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use std::cell::Cell;
use std::io::Cursor;
use std::sync::Arc;

/// Files that are sound, one for each format.
const SOUND: [&str; 5] = [
    "; UnixStartTime: 1769904000\n1 0 5 60 4 30 512 4 60 512 1 7 2 5 3 1 -1 -1\r\n\n2 9 -1 60 4 30 512 4 60 512 0 7 2 5 3 1 -1 -1\n",
    "\u{feff}id,ts,command,error,labels.a\r\n1,2026-02-01 12:00,x,\"a\nb \"\"c\"\"\",y\r\n,1769904000,z,5\" disk,\r\n",
    "ts\tcommand\tduration_s\n2026-02-01\tx\t1.5\n\n1769904000123\ty\t\n",
    "[{\"ts\":1769904000,\"command\":\"x\",\"labels\":{\"a\":\"b\"}},\n {\"ts\":\"2026-02-01\",\"command\":\"y\\\"\",\"values\":{\"v\":1}}]",
    "{\"id\":\"a\",\"ts\":1769904000,\"command\":\"x\"}\n{\"ts\":\"2026-02-01T00:00:00Z\",\"command\":\"y\",\"new\":[{}]}\r\n",
];

/// Sound files that something small has happened to, and any bytes.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let near = proptest::sample::select(b"\"\\{}[],;:\t\r\n 019-.eE\0\xff\xc3".to_vec());
    let byte = prop_oneof![near, any::<u8>()];
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), byte, 0..4_u8), 0..5);
    let sound = proptest::sample::select(SOUND.to_vec());
    let changed = (sound, edits).prop_map(|(text, edits)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match kind {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        bytes
    });
    prop_oneof![3 => changed, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

fn pack(bytes: &[u8], how: u8) -> Vec<u8> {
    match how {
        0 => zstd::encode_all(bytes, 1).expect("into memory"),
        1 => super::packed::gzip(bytes),
        _ => bytes.to_vec(),
    }
}

/// Imports and gives `(rows, stored or there already, quarantined, rejected)`, or `None` if the
/// file is refused.
fn import(
    bytes: Vec<u8>,
    format: Option<Format>,
    sink: &mut dyn emx::transfer::sink::Sink,
) -> Option<(u64, u64, u64, u64)> {
    let zone = TimeZone::get("Europe/Berlin").expect("a time zone");
    let options = Options { format, zone, epoch_ms: Some(0), batch_rows: 2, ..Options::default() };
    let arrival = Arrival { origin: "import:test", retention_ms: None, ..arrival() };
    let source = Source::new("x", Cursor::new(bytes), None).ok()?;
    let (report, _) = import::run(source, &options, arrival, sink, &mut |_, _| true).ok()?;
    let there = report.accepted + report.duplicates;
    assert!(report.problems.len() as u64 <= report.quarantined + report.rejected);
    Some((report.rows, there, report.quarantined, report.rejected))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_bytes_panic_and_every_record_is_counted_once(bytes in files(), how in 0..6_u8) {
        let formats = Format::ALL.map(Some).into_iter().chain([None]);
        for format in formats {
            let packed = pack(&bytes, how);
            let Some(counts) = import(packed, format, &mut DryRun) else { continue };
            prop_assert_eq!(counts.0, counts.1 + counts.2 + counts.3, "{:?}", format);
            // One record a line: none is passed over but blank ones, comments and the header.
            if format == Some(Format::Ndjson) {
                let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                let lines = text.split(|&byte| byte == b'\n');
                let lines = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count();
                prop_assert_eq!(counts.0, lines as u64);
            }
        }
    }
}

#[test]
fn what_is_counted_is_what_is_stored() {
    let (store, cases) = (Store::new(), Cell::new(0));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(100));
    let checked = runner.run(&(files(), 0..5_usize), |(bytes, format)| {
        cases.set(cases.get() + 1);
        let keyspace = store.keyspace(&format!("case-{}", cases.get()));
        let mut sink = KeyspaceSink(Arc::clone(&keyspace));
        let format = Some(Format::ALL[format]);
        let Some(first) = import(bytes.clone(), format, &mut sink) else { return Ok(()) };
        let stored = all_rows(&*keyspace).len as u64;
        prop_assert!(stored <= first.1, "{stored} of {first:?}");
        // A repeat stores nothing more.
        prop_assert_eq!(import(bytes, format, &mut sink), Some(first));
        prop_assert_eq!(all_rows(&*keyspace).len as u64, stored);
        Ok(())
    });
    checked.expect("every file");
}
