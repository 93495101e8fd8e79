//! Compressed files, whole, damaged and lying; and what only a full tenant refuses.

use super::table::{Fails, GONE, KEPT, Rows, given, named, table};
use emx::transfer::Format;
use emx::transfer::source::LINE_BYTES_MAX;
use std::io::Write;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("into memory")
}

/// Lines of NDJSON that compress little, so that damage leaves some of them.
fn lines(rows: u32) -> Vec<u8> {
    let mut text = String::new();
    let mut state = 1_u32;
    for n in 0..rows {
        let noise: String = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            char::from(b'0' + (state >> 25) as u8 % 74)
        })
        .filter(|c| !matches!(c, '"' | '\\'))
        .take(200)
        .collect();
        text += &format!(
            "{{\"id\":\"{n}\",\"ts\":1769904000,\"command\":\"x\",\"error\":\"{noise}\"}}\n"
        );
    }
    text.into_bytes()
}

#[test]
fn compressed_files_are_read_as_far_as_they_are_sound() {
    let mut t = table();
    let file = named("x.ndjson");
    let content = lines(4);
    let twice = [&content[..], &content].concat();
    let bad = [&content[..], b"{\n", &lines(5)[content.len()..]].concat();
    type Pack = fn(&[u8]) -> Vec<u8>;
    for (kind, pack) in [("gzip", gzip as Pack), ("zstd", zstd)] {
        let packed = pack(&content);
        let four = || Rows(4, 0, vec![]);
        let name = |what: &str| format!("{kind}: {what}");
        t.check_packed(&name("whole"), file, &packed, &content, four());
        let members = [&packed[..], &packed].concat();
        t.check_packed(&name("several members"), file, &members, &twice, Rows(4, 4, vec![]));
        let fate = vec![(5, "invalid_json", "", KEPT)];
        t.check_packed(&name("a bad line"), file, &pack(&bad), &bad, Rows(5, 0, fate))
            .keeps(&["{"]);
        let bom = [b"\xef\xbb\xbf", &content[..]].concat();
        t.check_packed(&name("a BOM"), file, &pack(&bom), &content, four());
        t.check_packed(&name("nothing"), file, &pack(b""), b"", Rows(0, 0, vec![]));
        t.check(&name("nothing, and no name"), named("x"), pack(b""), Fails("empty_file", 0));
        t.check(&name("twice"), file, pack(&packed), Fails("unsupported_encoding", 0))
            .says(&["twice"]);
        // Behind sound rows, damage is told with the line that it begins behind.
        let garbage = [&packed[..], b"garbage"].concat();
        t.check(&name("garbage behind"), file, garbage, Fails("unreadable", 4))
            .says(&["beyond line 4", "sound copy"]);
        let (many, half) = (pack(&lines(3000)), pack(&lines(3000)).len() / 2);
        let cut = t.check(
            &name("cut"),
            named("x"),
            &many[..half],
            Fails("unreadable", rows_in(&many[..half])),
        );
        cut.says(&["cannot be read beyond line"]);
        // Where not even a byte can be read, the format is not blamed.
        t.check(&name("cut at once"), named("x"), &packed[..12], Fails("unreadable", 0))
            .says(&["cannot read"]);
        t.check(&name("only its magic"), named("x.csv"), &packed[..4], Fails("unreadable", 0));
        let mut lying = packed[..6].to_vec();
        lying.extend([0xff; 40]);
        t.check(&name("noise behind its magic"), file, lying, Fails("unreadable", 0));
        let tail = [&content[..], b"{\"ts\":1769904000,\"comm"].concat();
        let cut = pack(&tail);
        t.check(
            &name("its sum cut off"),
            file,
            &cut[..cut.len() - 2],
            Fails("unreadable", rows_in(&cut[..cut.len() - 2])),
        );
    }
    let mut wrong = gzip(&content);
    let sum = wrong.len() - 8;
    wrong[sum] ^= 1;
    t.check("gzip: a wrong sum", file, wrong, Fails("unreadable", 4));
    let mut wide = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8];
    wide.extend([1, 0, 0]); // a window of 2 GiB
    t.check("zstd: a huge window", file, wide, Fails("unreadable", 0));
}

/// How many whole lines a damaged file gives.
fn rows_in(packed: &[u8]) -> usize {
    let mut content = Vec::new();
    let mut decoder: Box<dyn std::io::Read> = match packed[0] {
        0x1f => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        _ => Box::new(zstd::stream::read::Decoder::new(packed).expect("a decoder")),
    };
    std::io::Read::read_to_end(&mut decoder, &mut content).expect_err("damage");
    content.iter().filter(|&&byte| byte == b'\n').count()
}

#[test]
fn bombs_cost_time_and_no_memory() {
    let mut t = table();
    let spaces = vec![b' '; 64 << 20];
    let letters = vec![b'x'; 64 << 20];
    let braces = vec![b'{'; 16 << 20];
    let braced = [&b"[{\"ts\":1769904000,\"command\":\"a\"},\n"[..], &braces].concat();
    let header = [&b"ts,command\n2026-02-01,a\n2026-02-01,\""[..], &letters].concat();
    type Pack = fn(&[u8]) -> Vec<u8>;
    for pack in [gzip as Pack, zstd] {
        for (name, format, content, accepted, line) in [
            ("a line of letters", Format::Ndjson, &letters, 0, 1),
            ("a line of spaces", Format::Swf, &spaces, 0, 1),
            ("braces", Format::Json, &braced, 1, 2),
            ("a quoted cell", Format::Csv, &header, 1, 3),
        ] {
            let fate = Rows(accepted, 0, vec![(line, "too_long", "", GONE)]);
            t.check_packed(name, given(format), &pack(content), content, fate);
        }
        t.check("a header", given(Format::Csv), pack(&letters), Fails("bad_header", 0))
            .says(&["longer"]);
        t.check("spaces around objects", given(Format::Json), pack(&spaces), Rows(0, 0, vec![]));
        t.check("no line at all", named("x"), pack(&spaces), Fails("empty_file", 0));
    }
    assert!(gzip(&letters).len() * 500 < letters.len() && letters.len() > 200 * LINE_BYTES_MAX);
}

#[test]
fn rows_with_keys_beyond_the_tenants_are_told_by_their_lines() {
    let mut t = table();
    let row = |n: usize| {
        format!(
            "{{\"id\":\"{n}\",\"ts\":1769904000,\"command\":\"x\",\"labels\":{{\"k{n}\":\"v\"}}}}\n"
        )
    };
    let rows: String = (0..storage::KEYS_MAX + 2).map(row).collect();
    let full = storage::KEYS_MAX as u64;
    let fates = vec![(full + 1, "too_many_keys", "", GONE), (full + 2, "too_many_keys", "", GONE)];
    let (outcome, _) = t.check_once(
        "too many keys",
        named("x.ndjson"),
        rows.as_bytes(),
        rows.as_bytes(),
        Rows(full, 0, fates),
    );
    outcome.says(&["1024 different"]);
}
