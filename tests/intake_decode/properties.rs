//! What holds for any bytes and any rows.

use super::support::arrival;
use super::table::{JSON, LIMITS, LINES, PACK, pack};
use emx::intake::decode::{Body, Encoding, Format, Shape, decode};
use proptest::prelude::*;
use serde_json::json;

/// Any bytes, and JSON that something small has happened to.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let good = r#"{"id":"a","ts":"2026-02-01T00:00:00Z","command":"x","duration_ms":1.5,"labels":{"a":"b"},"values":{"v":1},"new":[{}]}"#;
    let arrays = prop_oneof![
        Just(good.as_bytes().to_vec()),
        Just(format!("[{good},{good}]").into_bytes()),
        Just(format!("{good}\n{good}").into_bytes()),
        Just(pack(&serde_json::from_str::<serde_json::Value>(&format!("[{good}]")).expect("JSON"))),
    ];
    let edits =
        proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4);
    let mutated = (arrays, edits).prop_map(|(mut body, edits)| {
        for (at, byte, kind) in edits {
            let at = at.index(body.len().max(1)).min(body.len().saturating_sub(1));
            match kind {
                _ if body.is_empty() => {}
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.remove(at)),
            }
        }
        body
    });
    prop_oneof![mutated, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic_and_every_row_is_counted(bytes in bodies()) {
        for format in [Format::Json, Format::Ndjson, Format::MessagePack] {
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
                for shape in [Shape::One, Shape::Many] {
                    let body = Body { format, encoding, shape };
                    let Ok(decoded) = decode(&bytes, body, arrival(), &LIMITS) else { continue };
                    prop_assert_eq!(decoded.rows.len, decoded.row_index.len());
                    prop_assert_eq!(decoded.rows.len + decoded.refused.len(), decoded.total);
                    prop_assert!(decoded.refused.iter().all(|refused| !refused.problems.is_empty()));
                }
            }
        }
    }

    #[test]
    fn an_array_and_lines_give_the_same_rows(
        rows in proptest::collection::vec(("[a-z]{0,3}", any::<i64>(), any::<f64>(), "\\PC{0,9}"), 0..9),
    ) {
        let rows: Vec<_> = rows.iter().enumerate().map(|(n, (command, ts, x, text))| json!({
            "id": format!("r{n}"), "command": command, "ts": ts, "duration_ms": x, "error": text,
            "values": {"x": x},
        })).collect();
        let lines: Vec<_> = rows.iter().map(ToString::to_string).collect();
        let array = serde_json::Value::Array(rows);
        let from_lines = decode(lines.join("\n").as_bytes(), LINES, arrival(), &LIMITS).expect("lines");
        let from_array = decode(array.to_string().as_bytes(), JSON, arrival(), &LIMITS).expect("an array");
        let from_pack = decode(&pack(&array), PACK, arrival(), &LIMITS).expect("a pack");
        prop_assert_eq!(&from_lines.rows, &from_array.rows);
        prop_assert_eq!(&from_lines.row_index, &from_pack.row_index);
        prop_assert_eq!(from_lines.rows.ids, from_pack.rows.ids);
    }
}
