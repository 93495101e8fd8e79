use super::*;
use crate::batch::RowBatchBuilder;
use crate::row::{Actor, Row, RowId, Status};
use crate::words::Words;
use proptest::prelude::*;

/// Encodes and decodes, and gives how many bytes it took.
fn check(batch: &RowBatch) -> usize {
    let mut out = Vec::new();
    encode_batch(batch, &mut out).unwrap();
    let mut back = decode_batch(&out).unwrap();
    // NaN is not equal to itself, so value columns are compared by their bits.
    let mut batch = batch.clone();
    let bits = |b: &mut RowBatch| -> Vec<(String, Vec<u64>)> {
        std::mem::take(&mut b.values)
            .into_iter()
            .map(|c| (c.key.to_string(), c.values.iter().map(|v| v.to_bits()).collect()))
            .collect()
    };
    assert_eq!(bits(&mut back), bits(&mut batch));
    assert_eq!(back, batch);
    out.len()
}

fn noise(n: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())
}

/// A batch like those of the ingest benchmark.
fn everyday(rows: u64) -> RowBatch {
    let mut builder = RowBatchBuilder::with_capacity(rows as usize);
    for n in 0..rows {
        let random = noise(n);
        let session = format!("s-{:08x}", noise(n / 20) >> 32);
        let user = format!("user-{:03}", random % 500);
        let host = format!("host-{:02}", noise(random % 500) % 40);
        let project = format!("project-{:02}", random % 60);
        let command = format!("command-{:03}", (random >> 32) % 200);
        let mut id = xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes()).to_le_bytes();
        id[6] = id[6] & 15 | 0x40;
        id[8] = id[8] & 63 | 0x80;
        builder.push(&Row {
            id: RowId::Uuid(id),
            ts_ms: 1_700_000_000_000 + (n * 7_776 + random % 7_000) as i64,
            ts_given: true,
            received_ms: 1_760_000_000_000,
            words: [&command, &user, "team-07", &project, &session, &host, "", "", "api"],
            status: if random.is_multiple_of(33) { Status::Failure } else { Status::Success },
            actor: Actor::Human,
            duration_us: Some(1_000 * (1 << (random % 12)) + (random >> 20) % 1_000),
            exit_code: Some(i64::from(random.is_multiple_of(33))),
            labels: &[],
            values: &[],
        });
    }
    let mut batch = builder.finish();
    batch.seq = (0..rows).map(|n| n + 1_000).collect();
    batch
}

#[test]
fn one_row_is_shorter_than_its_json() {
    let json = r#"{"id":"5c1d1c9e-9f6a-4d0c-9d3c-0e6b0f6a2f11","ts":"2023-11-14T22:13:20.000Z","command":"command-123","user_id":"user-123","team_id":"team-07","project_id":"project-12","session_id":"s-01234567","host":"host-12","status":"success","actor":"human","duration_ms":12.345,"exit_code":0}"#;
    let len = check(&everyday(1));
    assert!(len < json.len() * 3 / 4, "{len} of {}", json.len());
}

#[test]
fn many_rows_take_half_of_their_ids_more() {
    assert!(check(&everyday(5_000)) < 5_000 * 29);
    check(&everyday(0));
    check(&RowBatch::default());
    // Columns that were not asked for stay empty, whatever the others are.
    check(&RowBatch { len: 3, ts: vec![1, 2, 3], ..RowBatch::default() });
}

#[test]
fn columns_out_of_order_and_unknown_ones_are_refused() {
    let mut one = Vec::new();
    encode_batch(&RowBatch { len: 1, ts: vec![5], ..RowBatch::default() }, &mut one).unwrap();
    assert!(decode_batch(&one).is_ok());
    let twice = [&one[..], &one[1..]].concat();
    assert!(decode_batch(&twice).is_err());
    assert!(decode_batch(&[1, 99, 0]).is_err());
    assert!(decode_batch(&[]).is_err());
}

#[test]
fn a_few_bytes_cannot_ask_for_much_memory() {
    let mut bytes = Vec::new();
    put_varint(ROWS_MAX as u64, &mut bytes);
    for _ in 0..KEYS_MAX {
        // A value column without a key, every row the same.
        bytes.extend_from_slice(&[column::VALUE, 6, 0, 0, 0, 0, 0, 2]);
    }
    assert!(decode_batch(&bytes).is_err());
    let batch = RowBatch { len: ROWS_MAX, ..RowBatch::default() };
    let mut out = Vec::new();
    assert!(matches!(encode_batch(&batch, &mut out), Err(StoreError::OverLimit { .. })));
    assert!(out.is_empty());
}

#[test]
fn keys_that_repeat_are_refused() {
    let label = |key: &str| LabelColumn { key: key.into(), words: Words::default() };
    let value = |key: &str| ValueColumn { key: key.into(), values: vec![0.5] };
    let check = |labels: Vec<LabelColumn>, values: Vec<ValueColumn>, good: bool| {
        let mut out = Vec::new();
        let batch = RowBatch { len: 1, labels, values, ..RowBatch::default() };
        encode_batch(&batch, &mut out).unwrap();
        assert_eq!(decode_batch(&out).is_ok(), good, "{batch:?}");
    };
    check(vec![label("a"), label("b")], vec![value("a"), value("b")], true);
    check(vec![label("a"), label("a")], vec![], false);
    check(vec![], vec![value("a"), value("b"), value("a")], false);
}

type Sparse = (Option<u64>, Option<i64>, Vec<(u8, String)>, Vec<(u8, f64)>, Option<i64>);

fn row() -> impl Strategy<Value = (String, [String; 3], i64, u8, Sparse)> {
    let id = prop_oneof![
        3 => any::<u128>().prop_map(|n| uuid::Uuid::from_u128(n).to_string()),
        1 => "[a-z0-9é:-]{1,20}",
    ];
    let sparse = (
        proptest::option::of(0..=crate::DURATION_US_MAX),
        proptest::option::of(-3..300_i64),
        proptest::collection::vec((0..6_u8, ".{0,3}"), 0..4),
        proptest::collection::vec((0..6_u8, -1e9..1e9), 0..4),
        proptest::option::of(any::<i64>()),
    );
    (id, ["[ab]?", "[a-d]{0,2}", ".{0,4}"], 0..1_i64 << 42, 0..20_u8, sparse)
}

fn batches() -> impl Strategy<Value = RowBatch> {
    (proptest::collection::vec(row(), 0..40), any::<bool>()).prop_map(|(rows, committed)| {
        let mut builder = RowBatchBuilder::default();
        for (id, [a, b, c], ts, kind, sparse) in &rows {
            let keys: Vec<String> = (0..6).map(|n| format!("key{n}")).collect();
            let (duration, exit_code, labels, values, far) = sparse;
            let mut labels: Vec<(&str, &str)> =
                labels.iter().map(|(k, v)| (keys[*k as usize].as_str(), v.as_str())).collect();
            let mut values: Vec<(&str, f64)> =
                values.iter().map(|(k, v)| (keys[*k as usize].as_str(), *v)).collect();
            labels.sort_by_key(|l| l.0);
            labels.dedup_by_key(|l| l.0);
            values.sort_by_key(|v| v.0);
            values.dedup_by_key(|v| v.0);
            builder.push(&Row {
                id: RowId::parse(id),
                ts_ms: far.unwrap_or(*ts),
                ts_given: kind % 7 != 0,
                received_ms: 1_760_000_000_000 + i64::from(*kind),
                words: [a, b, c, "", "", "", b, "", "api"],
                status: Status::ALL[usize::from(*kind) % Status::ALL.len()],
                actor: Actor::ALL[usize::from(*kind / 5) % Actor::ALL.len()],
                duration_us: *duration,
                exit_code: *exit_code,
                labels: &labels,
                values: &values,
            });
        }
        let mut batch = builder.finish();
        if committed {
            batch.seq = (0..rows.len() as u64).map(|n| 77 + n).collect();
        }
        batch
    })
}

proptest! {
    #[test]
    fn every_batch_round_trips(batch in batches()) {
        check(&batch);
    }

    #[test]
    fn damage_is_refused_or_decoded_into_whole_columns(
        batch in batches(), at in any::<prop::sample::Index>(), xor in 1_u8.., cut in any::<bool>(),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut out = Vec::new();
        encode_batch(&batch, &mut out).unwrap();
        let at = at.index(out.len());
        out[at] ^= xor;
        out.truncate(if cut { at } else { out.len() });
        let _ = decode_batch(&noise);
        if let Ok(back) = decode_batch(&out) {
            let whole = |len: usize| len == 0 || len == back.len;
            prop_assert!(whole(back.ids.slots.len()) && whole(back.ids.is_text.len()));
            prop_assert!(whole(back.ts.len()) && whole(back.received.len()));
            prop_assert!(back.words.iter().all(|w| whole(w.codes.len())));
            prop_assert!(back.labels.iter().all(|l| whole(l.words.codes.len())));
            prop_assert!(back.values.iter().all(|v| whole(v.values.len())));
        }
    }
}
