#!/usr/bin/env python3
"""Reads a keyspace's file (or platform.redb) by what storage-format.md says; docstrings name its sections.
Written from that page alone, to show that it is enough; it needs nothing but Python 3.9.

    read_keyspace.py METRICS.redb [--name KEYSPACE_ID]

prints every row as a JSON object a line, ordered by (ts, seq). Not checked: what is XXH3 of 128 bits, that is
redb's page checksums and the keys of the quarantine.
"""
import argparse, fcntl, json, os, struct, sys
from datetime import datetime, timedelta
from itertools import accumulate
from operator import xor

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
NO_DURATION, NO_EXIT_CODE = U64, -1 << 63
STATUSES = ("unknown", "success", "failure", "timeout", "cancelled")
ACTORS = ("unknown", "human", "ci", "agent")
INTEGERS = (("ts", "i64", None), ("given", "u8", 1), ("received", "i64", None), ("seq", "u64", None),
            ("status", "u8", 0), ("actor", "u8", 0), ("duration", "u64", NO_DURATION),
            ("exit_code", "i64", NO_EXIT_CODE))                 # name, element type, what left out means
WORDS = ("command", "user_id", "team_id", "project_id", "session_id", "host", "command_line", "error", "origin")
EXPORTED = ("command", "command_line", "user_id", "team_id", "project_id", "session_id", "host", "error")
VIEWS = ((), ("user_id",), ("team_id",), ("project_id",), ("command",))
TABLES = {"meta": ("&str", "&[u8]"), "feed": ("u128", "&[u8]"), "blocks": ("u64", "&[u8]"),
          "parts": ("u128", "&[u8]"), "dead": ("u64", "()"), "tables": ("&[u8]", "&[u8]")}

class Damage(Exception):
    pass

def need(holds, what):
    if not holds:
        raise Damage(what)

class Cursor:
    """Conventions: varint, zigzag, part; and bytes left over are damage."""
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        need(self.at <= len(self.data), "too short")
        return self.data[self.at - n:self.at]

    def uint(self, n):
        return int.from_bytes(self.take(n), "little")

    def varint(self, bits=64):
        value, shift, byte = 0, 0, 128
        while byte & 128:
            byte = self.uint(1)
            value |= (byte & 127) << shift
            shift += 7
        need(value >> bits == 0 and shift < bits + 7, "varint too long")
        return value

    def signed(self):
        n = self.varint()
        return (n >> 1) ^ -(n & 1)

    def part(self):
        return self.take(self.varint())

    def list(self, read):
        return [read() for _ in range(self.varint())]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self, *result):
        need(self.at == len(self.data), "bytes left over")
        return result[0] if result else None

def lz4(block, length):
    """Conventions: LZ4, a raw block."""
    c, out = Cursor(block), bytearray()

    def size(n):
        byte = 255 if n == 15 else 0
        while byte == 255:
            byte = c.uint(1)
            n += byte
        return n

    while True:
        token = c.uint(1)
        out += c.take(size(token >> 4))
        if c.at == len(block):
            need(len(out) == length, "LZ4: length")
            return bytes(out)
        start, n = len(out) - c.uint(2), size(token & 15) + 4
        need(0 <= start < len(out) and len(out) + n <= length, "LZ4: match")
        seen = out[start:start + n]
        out += (seen * (n // len(seen) + 1))[:n]

# ---- XXH3 of 64 bits ---------------------------------------------------------------------------------------------

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
S = [int.from_bytes(SECRET[i:i + 8], "little") for i in range(185)]        # the u64 at every byte
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                      0x27D4EB2F165667C5)
Q1, Q2, Q3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D

def stir(h, by, times, last):
    h = (h ^ h >> by) * times & U64
    return h ^ h >> last

def avalanche(h):
    return stir(h & U64, 37, 0x165667919E3779F9, 32)

def fold(a, b):
    return (a * b ^ a * b >> 64) & U64

def swap(n, size):
    return int.from_bytes(n.to_bytes(size, "little"), "big")

def xxh3(data, seed=0):
    n = len(data)
    if n > 240:
        return xxh3_long(data, n, seed)
    u64 = lambda at: int.from_bytes(data[at:at + 8], "little")
    mix = lambda at, s: fold(u64(at) ^ (S[s] + seed & U64), u64(at + 8) ^ (S[s + 8] - seed & U64))
    if n > 128:
        h = avalanche(n * P1 + sum(mix(16 * i, 16 * i) for i in range(8)))
        return avalanche(h + sum(mix(16 * i, 16 * i - 125) for i in range(8, n // 16)) + mix(n - 16, 119))
    if n > 16:
        return avalanche(n * P1 + sum(mix(16 * i, 32 * i) + mix(n - 16 - 16 * i, 32 * i + 16)
                                      for i in range((n + 31) // 32)))
    if n > 8:
        low, high = u64(0) ^ ((S[24] ^ S[32]) + seed & U64), u64(n - 8) ^ ((S[40] ^ S[48]) - seed & U64)
        return avalanche(n + swap(low, 8) + high + fold(low, high))
    if n > 3:
        seed ^= swap(seed & U32, 4) << 32
        h = u64(n - 4) + ((u64(0) & U32) << 32) ^ ((S[8] ^ S[16]) - seed & U64)
        h ^= (h << 49 | h >> 15) & U64 ^ (h << 24 | h >> 40) & U64
        h = h * 0x9FB21C651E98DF25 & U64
        return stir(h ^ (h >> 35) + n, 64, 0x9FB21C651E98DF25, 28)
    h = S[56] ^ S[64] ^ seed
    if n > 0:
        h = data[0] << 16 | data[n >> 1] << 24 | data[-1] | n << 8
        h ^= ((S[0] ^ S[4]) & U32) + seed & U64
    return stir(stir(h, 33, P2, 29), 64, P3, 32)

def xxh3_long(data, n, seed):
    secret = b"".join((S[i] + (-seed if i & 8 else seed) & U64).to_bytes(8, "little") for i in range(0, 192, 8))
    words = struct.unpack("<24Q", secret)
    keys = [words[stripe + lane] for stripe in range(16) for lane in range(8)]
    acc = [Q3, P1, P2, P3, P4, Q2, P5, Q1]

    def stripes(at, count, keys):
        values = struct.unpack_from(f"<{8 * count}Q", data, at)
        products = [(k & U32) * (k >> 32) for k in map(xor, values, keys)]
        for lane in range(8):
            acc[lane] = acc[lane] + sum(products[lane::8]) + sum(values[lane ^ 1::8]) & U64

    last = (n - 1) // 1024 * 1024
    for at in range(0, last, 1024):
        stripes(at, 16, keys)
        acc[:] = [(a ^ a >> 47 ^ word) * Q1 & U64 for a, word in zip(acc, words[16:])]
    stripes(last, (n - 1 - last) // 64, keys)
    stripes(n - 64, 1, struct.unpack_from("<8Q", secret, 121))
    merged = list(map(xor, acc, struct.unpack_from("<8Q", secret, 11)))
    return avalanche(n * P1 + sum(map(fold, merged[::2], merged[1::2])))

# ---- the file ----------------------------------------------------------------------------------------------------

class Redb:
    """What redb stores: `tables` by name, each a dict of keys and values."""
    def __init__(self, path):
        need(not os.path.exists(path + ".suspect"), "a sync failed: let the program open it first")
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.data = file.read()
        need(self.data[:9] == b"redb\x1a\n\xa9\r\n", "not a redb file")
        god, self.page, self.header_pages, self.region_pages = struct.unpack_from("<B2xIII", self.data, 9)
        need(god & 6 != 2, "not closed: page checksums would have to say which commit counts")
        slot = self.data[64 + 128 * (god & 1):][:128]
        need(slot[0] == 3 and slot[1], "not redb's file format 3, or empty")
        self.tables = {name.decode(): self.table(name.decode(), Cursor(definition))
                       for name, definition in self.pairs(slot[8:40], [None, None])}
        need(self.tables.keys() == TABLES.keys(), "other tables")

    def table(self, name, c):
        need(c.uint(1) == 3, "not a plain table")
        _, has_root, root = c.uint(8), c.uint(1), c.take(32)
        widths = [width if fixed else None for fixed, width in ((c.uint(1), c.uint(4)) for _ in range(2))]
        need(c.take(8) == b"\1\0\0\0" * 2, "alignment")
        need([c.take(c.uint(4)), c.rest()] == [b"\1" + kind.encode() for kind in TABLES[name]], "types")
        key = (lambda k: int.from_bytes(k, "little")) if TABLES[name][0][0] == "u" else bytes
        return {key(k): value for k, value in (self.pairs(root, widths) if has_root else ())}

    def pairs(self, root, widths):
        number, entries = struct.unpack("<Q16xQ", root)
        pairs = list(self.walk(number, widths))
        need(len(pairs) == entries, "entries of a tree")
        return pairs

    def walk(self, number, widths):
        index, region, size = number & 0xFFFFF, number >> 20 & 0xFFFFF, self.page << (number >> 59)
        at = self.page * (1 + region * (self.header_pages + self.region_pages) + self.header_pages) + index * size
        page = self.data[at:at + size]
        kind, n = struct.unpack_from("<BxH", page)
        need(kind in (1, 2), "neither leaf nor branch")
        if kind == 2:
            for child in struct.unpack_from(f"<{n + 1}Q", page, 8 + 16 * (n + 1)):
                yield from self.walk(child, widths)
            return
        c = Cursor(page[4:])
        ends = [[c.uint(4) for _ in range(n)] if width is None else None for width in widths]
        at, columns = 4 + c.at, []
        for width, stored in zip(widths, ends):
            stored = [at] + (stored or [at + width * (k + 1) for k in range(n)])
            columns.append([page[a:b] for a, b in zip(stored, stored[1:])])
            at = stored[-1]
        yield from zip(*columns)

def piece_lengths(n):
    """Keyspace tables: Pieces."""
    while n > 0:
        piece = next((size for size in (261984, 130912, 65376, 32608, 16224, 8032, 3936) if size <= n), n)
        yield piece
        n -= piece

def unframe(data, kinds, salt, table, place):
    """Stored values: the kind and a cursor over the payload."""
    need(len(data) >= 10 and data[0] == 1 and data[1] in kinds, f"a frame's version or kind, in {table}")
    seed = xxh3(salt.to_bytes(8, "little") + table.encode() + b"\0" + place)
    need(xxh3(data[:-8], seed) == int.from_bytes(data[-8:], "little"), f"checksum in {table}")
    return data[1], Cursor(data[2:-8])

# ---- columns -----------------------------------------------------------------------------------------------------

def integers(data, rows, kind):
    """Columns of integers: tag, Mapping, shapes."""
    need(rows <= 4194304 and (rows > 0) == bool(data), "rows of a column")
    if not rows:
        return []
    c, nullable = Cursor(data), kind in ("u64", "i64")
    tag = c.uint(1)
    shape, zigzag, absent = tag & 7, tag & 8, tag & 16
    need(shape <= 3 and not tag & 0x60 and (kind == "i64" or not zigzag) and (nullable or not absent), "tag")
    if tag & 0x80:
        need(shape >= 2, "LZ4 with that shape")
        length = c.varint()
        c = Cursor(lz4(c.rest(), length))
    if shape >= 2:
        out = frames(c, rows, shape == 3, absent, nullable)
    else:
        first, step = c.varint(), c.signed() if shape else 0
        out = [first + i * step & U64 for i in range(rows)]
    c.end()
    if zigzag:
        return [(n >> 1) ^ -(n & 1) for n in out]
    if kind == "i64":
        out = [-1 << 63 if n == U64 else n for n in out]
    need(max(out) >> {"u8": 8, "u32": 32, "u64": 64, "i64": 63}[kind] <= 0, "out of range")
    return out

def frames(c, rows, delta, absent, nullable):
    """Columns of integers: Frames."""
    low, sizes = c.varint(), c.uint(1)
    b, e = sizes & 15, sizes >> 4
    step, s = (c.signed(), c.uint(1)) if delta else (0, 0)
    need(max(b, e, s) <= 8, "sizes in a frame")
    n, out = -(-rows // 256), []
    widths = c.take(n)
    bases = [low + c.uint(b) for _ in range(n)]
    steps = [step + c.uint(s) for _ in range(n)]
    positions = [c.take(count) for count in c.take(n)] if e else [b""] * n
    exceptions = [[(at, c.uint(e)) for at in ats] for ats in positions]
    for f, base in enumerate(bases):
        flag, width = widths[f] >> 7, widths[f] & 127
        need(width <= 64 and not (flag and (delta or not nullable)), "width")
        x = unpack(c, min(256, rows - 256 * f), width)
        for at, exception in exceptions[f]:
            x[at] = exception
        if delta:
            x = [n & U64 for n in accumulate([base] + [steps[f] + n for n in x[1:]])]
        elif flag:
            x = [base + n - 1 & U64 if n else U64 for n in x]
        else:
            x = [base + n & U64 for n in x]
            for at, exception in exceptions[f] if absent else ():
                x[at] = U64 if exception == (1 << 8 * e) - 1 else x[at]
        out += x
    return out

def unpack(c, n, width):
    """Columns of integers: Packing."""
    mask, out = (1 << width) - 1, [0] * n
    if n < 256 and width:
        stream = c.uint((n * width + 7) // 8)
        need(stream >> n * width == 0, "bits left over")
        return [stream >> at & mask for at in range(0, n * width, width)]
    letter, bits, lanes = ("I", 32, 8) if width <= 32 else ("Q", 64, 4)
    words = struct.unpack(f"<{lanes * width}{letter}", c.take(32 * width))
    for lane in range(lanes if width else 0):
        stream = int.from_bytes(struct.pack(f"<{width}{letter}", *words[lane::lanes]), "little")
        out[lane::lanes] = [stream >> at & mask for at in range(0, bits * width, width)]
    return out

def doubles(data, rows):
    """Columns of doubles; None is absent."""
    if not rows:
        return Cursor(data).end([])
    c = Cursor(data)
    form, scale = c.uint(1), c.uint(1)
    if form == 0:
        listed = c.varint()
        where = integers(c.part(), listed, "u32") if listed else []
        what = struct.unpack(f"<{listed}d", c.take(8 * listed))
        column = integers(c.rest(), rows, "i64")
        need(scale <= 15 and all(abs(n) < 1 << 51 or n == -1 << 63 for n in column), "decimals")
        out = [None if n == -1 << 63 else n / 10.0 ** scale for n in column]
        for row, value in zip(where, what):
            out[row] = value
    else:
        need(form == 1 and scale <= 63, "form of doubles")
        column = integers(c.rest(), rows, "u64")
        bits = [n << scale & U64 for n in column]
        out = struct.unpack(f"<{rows}d", struct.pack(f"<{rows}Q", *(n >> 1 | (n & 1) << 63 for n in bits)))
        out = [None if n == U64 else value for n, value in zip(column, out)]
    return [None if value != value else value for value in out]

def uuids(data, count):
    """UUIDs, 16 bytes each."""
    c = Cursor(data)
    form = c.uint(1)
    if form == 0:
        return c.end([c.take(16) for _ in range(count)])
    version, tens = c.uint(1), integers(c.part(), count, "u32")
    need(form <= 2 and version <= 15 and max(tens, default=0) < 1024, "UUIDs")
    heads, out = integers(c.part(), count, "u64") if form == 2 else None, []
    for i, ten in enumerate(tens):
        head = c.take(6) if heads is None else (heads[i] & (1 << 48) - 1).to_bytes(6, "big")
        seven, tail = c.take(1), c.take(7)
        out.append(head + bytes([version << 4 | ten >> 6]) + seven + bytes([0x80 | ten & 63]) + tail)
    return c.end(out)

def uuid_text(uuid):
    h = uuid.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

def word_table(data, of_column=True):
    """Words: Table."""
    c = Cursor(data)
    count, head = c.varint(), c.varint()
    n, form = head >> 2, head & 3
    need(form <= 2 and n <= (128 if form == 2 else 1 << 30), "form of a table")
    need(not (of_column and count > 64 * len(data)) and (form == 2 or count <= n + 1), "too many words")
    if form < 2:
        text = c.take(n) if form == 0 else lz4(c.part(), n)
        ends = [0, *accumulate([n] if count == 1 else integers(c.rest(), count, "u32"))]
        need(ends[-1] == n, "lengths of words")
        words = [text[a:b] for a, b in zip(ends, ends[1:])]
    else:
        prefix, how = c.take(n), c.uint(1)
        if how == 0:
            digits = c.varint()
            need(digits >= 1 and n + digits <= 128, "digits")
            halves = [c.take((digits + 1) // 2).hex() for _ in range(count)]
            need(all(half[digits:] in ("", "0") for half in halves), "an odd digit")
            ends = [half[:digits] for half in halves]
        else:
            need(how <= 2, "how words go on")
            ends = integers(c.rest(), count, "u64") if how == 1 else map(uuid_text, uuids(c.rest(), count))
        words = [prefix + str(end).encode() for end in ends]
    need(not of_column or len(set(words)) == len(words), "a word twice")
    return c.end([word.decode() for word in words])

def words_of(table, codes, rows):
    """Words: Codes; None is absent."""
    words = [None] + word_table(table)
    return [words[code] for code in (integers(codes, rows, "u32") if codes else [0] * rows)]

def ids(data, rows):
    """Ids: 16 bytes for a UUID, a string for any other."""
    if not rows:
        return Cursor(data).end([])
    c = Cursor(data)
    kind = c.uint(1)
    need(kind <= 2, "kind of ids")
    is_text = integers(c.part(), rows, "u8") if kind == 2 else [kind] * rows
    need(max(is_text) <= 1, "whether an id is text")
    from_uuids = iter(uuids(c.part(), rows - sum(is_text)) if kind != 1 else ())
    texts = word_table(c.rest(), False) if kind != 0 else []
    need(len(texts) == sum(is_text), "texts of ids")
    from_texts = iter(texts)
    return c.end([next(from_texts if text else from_uuids) for text in is_text])

def passes(data, all_ids):
    """Filters: whether each of the ids may be in it."""
    if data in (b"", b"\0"):
        return data == b"\0" or not all_ids
    c = Cursor(data)
    form, log2, segments, seed = c.uint(1), c.uint(1), c.uint(4), c.uint(8)
    need(form == 1 and log2 <= 18 and segments >= 1, "form of a filter")
    prints, mask = c.take(segments + 2 << log2), (1 << log2) - 1
    c.end()
    for an_id in all_ids:
        m = (xxh3(an_id, 1) if isinstance(an_id, bytes) else xxh3(an_id.encode(), 2)) + seed & U64
        m = stir(stir(m, 33, 0xFF51AFD7ED558CCD, 33), 64, 0xC4CEB9FE1A85EC53, 33)
        a = m * (segments << log2) >> 64
        b, c = a + (1 << log2) ^ m >> 18 & mask, a + (2 << log2) ^ m & mask
        if prints[a] ^ prints[b] ^ prints[c] != (m ^ m >> 32) & 255:
            return False
    return True

# ---- rows --------------------------------------------------------------------------------------------------------

def columns_of(rows, bodies, words, labels, values):
    """Sealed blocks, Small blocks: what their columns have in common, by name; 0 is the id's number."""
    need(rows == 0 or {0, 1, 3, 4} <= bodies.keys(), "a column is missing")
    out = {name: integers(bodies[n], rows, kind) if n in bodies else [left_out] * rows
           for n, (name, kind, left_out) in enumerate(INTEGERS, 1)}
    need(max(out["given"], default=0) <= 1, "whether the caller gave ts")
    out["id"] = ids(bodies.get(0, b""), rows)
    out |= {name: [None] * rows for name in WORDS}
    out |= {name: [word or None for word in words_of(*both, rows)] for name, both in words.items()}
    out["labels"] = {key: words_of(*both, rows) for key, both in labels.items()}
    out["values"] = {key: doubles(body, rows) for key, body in values.items()}
    return out

def small_block(data):
    """Small blocks."""
    c = Cursor(data)
    rows, last, n = c.varint(), 0, 0
    bodies, words, labels, values = {}, {}, {}, {}
    while c.at < len(data):
        number, body = c.uint(1), Cursor(c.part())
        need(number > last or number == last >= 32, "order of columns")
        last, n = number, n + 1
        if number <= 9:
            bodies[number - 1] = body.rest()
        elif 16 <= number <= 24:
            words[WORDS[number - 16]] = body.part(), body.rest()
        else:
            need(number in (32, 33), "a column that is not known")
            key, into = body.part().decode(), labels if number == 32 else values
            need(key not in into and len(into) < 1024, "keys")
            into[key] = (body.part(), body.rest()) if number == 32 else body.rest()
    need(rows * n <= 1 << 26, "rows times columns")
    return rows, columns_of(rows, bodies, words, labels, values)

def rows_of(columns, rows):
    """Small blocks, units and numbers: each row's ts, its seq, and the row as the program exports it."""
    def number(value):
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else value

    words = {name: columns[name] for name in EXPORTED}
    for i in range(rows):
        ts, seq, an_id, duration = (columns[name][i] for name in ("ts", "seq", "id", "duration"))
        time = datetime(1970, 1, 1) + timedelta(milliseconds=ts)
        row = {"id": an_id if isinstance(an_id, str) else uuid_text(an_id), "seq": seq,
               "ts": time.isoformat(timespec="milliseconds") + "Z"}
        row |= {name: column[i] for name, column in words.items() if column[i] is not None}
        row |= {} if duration == NO_DURATION else {"duration_ms": number(duration / 1000)}
        row |= {} if columns["exit_code"][i] == NO_EXIT_CODE else {"exit_code": columns["exit_code"][i]}
        row |= {name: names[columns[name][i] if columns[name][i] < len(names) else 0]
                for name, names in (("status", STATUSES), ("actor", ACTORS))}
        labels = {key: column[i] for key, column in columns["labels"].items() if column[i] is not None}
        values = {key: number(column[i]) for key, column in columns["values"].items() if column[i] is not None}
        yield ts, seq, row | ({"labels": labels} if labels else {}) | ({"values": values} if values else {})

# ---- partial aggregates ------------------------------------------------------------------------------------------

def bucket(duration):
    return (struct.unpack("<Q", struct.pack("<d", duration))[0] >> 46) + 3265 if duration else 0

def summary(known):
    """Partial aggregates: smallest, largest, sum, sum of squares, histogram of durations."""
    histogram = {}
    for at in map(bucket, known):
        histogram[at] = histogram.get(at, 0) + 1
    squares = sum(duration * duration for duration in known) & (1 << 128) - 1
    return (min(known), max(known), sum(known), squares, histogram) if known else ()

def partial(c, grain_ms, dimensions):
    """Partial aggregates: {(grain, codes): (rows, unknown, failure, timeout, cancelled, missing, summary)}."""
    need((c.varint(), c.varint()) == (grain_ms, dimensions), "grain or dimensions")
    words = []
    for _ in range(dimensions):
        need(c.varint() == 0, "kind of a dimension")
        words.append(c.list(c.part))
    need(all(table == sorted(set(table)) and table[:1] != [b""] for table in words), "words of a dimension")
    groups, grain, last = {}, 0, None
    for _ in range(c.varint()):
        grain, codes, head = grain + c.signed(), tuple(c.varint() for _ in words), c.varint()
        need(last is None or last < (grain, codes), "order of groups")
        last, rows = (grain, codes), head >> 2
        others = [c.varint() for _ in range(4)] if head & 2 else [0] * 4
        missing = c.varint() if head & 1 else 0
        need(rows >= max(1, sum(others), missing) and missing >= head & 1 and sum(others) >= head >> 1 & 1, "rows")
        if rows - missing < 4:
            kept = summary(list(accumulate(c.varint() for _ in range(rows - missing))))
        else:
            low, spread, total, squares, at, histogram = *(c.varint(b) for b in (64, 64, 128, 128)), 0, {}
            while sum(histogram.values()) < rows - missing:
                entry = c.varint()
                at += entry >> 1
                histogram[at] = c.varint() + 2 if entry & 1 else 1
            kept = (low, low + spread, total, squares, histogram)
        groups[last] = (rows, *others, missing, kept)
    used = [{key[1][d] for key in groups} | {0} for d in range(dimensions)]
    need(used == [set(range(len(table) + 1)) for table in words], "codes")
    return c.end(([[word.decode() for word in table] for table in words], groups))

def aggregate(columns, grain_ms, dimensions, words):
    """Partial aggregates: the same, of the rows themselves."""
    codes = [{None: 0} | {word: code for code, word in enumerate(table, 1)} for table in words]
    groups = {}
    for i, (ts, status, duration) in enumerate(zip(columns["ts"], columns["status"], columns["duration"])):
        key = ts // grain_ms, tuple(of[columns[name][i]] for of, name in zip(codes, dimensions))
        group = groups.setdefault(key, ([0] * 5, []))
        group[0][status if status < 5 else 0] += 1
        group[1].append(duration)
    for key, ((unknown, _, *others), durations) in groups.items():
        known = [duration for duration in durations if duration != NO_DURATION]
        groups[key] = (len(durations), unknown, *others, len(durations) - len(known), summary(known))
    return groups

# ---- the keyspace ------------------------------------------------------------------------------------------------

class Keyspace:
    """Reading a keyspace."""
    def __init__(self, path, name):
        self.tables, self.rows = Redb(path).tables, []
        self.sealed = self.unsealed = self.partials = self.entries = 0
        self.meta(name)
        self.small = list(self.small_tables())
        for number, entry in self.tables["blocks"].items():
            self.block(number, entry)
        need({key >> 40 & U64 for key in self.tables["parts"]} <= self.tables["dead"].keys(), "pieces of no block")
        self.feed()
        self.rows.sort(key=lambda row: row[:2])
        need(len({row[1] for row in self.rows}) == len(self.rows), "a row twice")

    def payload(self, value, kind, table, place):
        return unframe(value, (kind,), self.salt, table, place)[1]

    def meta(self, name):
        """Identity and progress."""
        self.salt = 0
        c = self.payload(self.tables["meta"][b"identity"], 1, "meta", b"identity")
        self.format, its_name, self.salt, grain = c.varint(), c.part().decode(), c.varint(), c.varint()
        c.end()
        newest = 1 if name == "platform" else 2
        need(1 <= self.format <= newest and its_name == name and grain in (60, 30, 15),
             f"format {self.format} of {its_name}")
        self.grain_ms = grain * 60000
        c = self.payload(self.tables["meta"][b"progress"], 1, "meta", b"progress")
        self.unsealed_from, self.next_block, self.feed_from, blocks = (c.varint() for _ in range(4))
        c.end()
        need(blocks == len(self.tables["blocks"]), "a block is missing")

    def small_tables(self):
        """Small tables; Identity and progress: their digest."""
        digest, received, places = 0, set(), set()
        for key, value in self.tables["tables"].items():
            digest += xxh3(value, xxh3(key))
            (table, place), payload = key.split(b"\0", 1), self.payload(value, 8, "tables", key).rest()
            if table in (b"tenants", b"users", b"installation", b"signing_keys", b"families", b"refresh_tokens",
                         b"refresh_successors", b"denied_families", b"denied_tokens", b"denied_users", b"attempts",
                         b"known_networks", b"api_keys", b"quarantine", b"second_factors", b"one_time_links",
                         b"teams", b"sign_in_rules", b"row_policies"):
                payload = json.loads(payload)
                need(table == b"quarantine" or payload["version"] == 1, "a newer record")
            if table == b"quarantine":
                received.add((~payload["received_ms"] & U64 ^ 1 << 63).to_bytes(8, "big") + place)
            elif table == b"quarantine_by_receipt":
                places.add(place)
                need(payload == b"", "a value in an index")
            elif table == b"feed_cursors":
                payload = struct.unpack("<Q", payload)[0]
            yield table.decode(), place, payload
        stored = self.tables["meta"].get(b"tables")
        c = self.payload(stored, 1, "meta", b"tables") if stored else Cursor(b"\0\0")
        need((c.varint(), c.varint()) == (len(self.tables["tables"]), digest & U64), "digest of small tables")
        need(self.format < 2 or places == received, "the quarantine by receipt")
        c.end()

    def block(self, number, entry):
        """Sealed blocks: the manifest entry, the columns, and what `emx check` looks at."""
        c = self.payload(entry, 7, "blocks", number.to_bytes(8, "little"))
        rows, ts_min, ts_span, seq_min, seq_span, grain_ms = (
            c.varint(), c.signed(), c.varint(), c.varint(), c.varint(), c.varint())
        labels, values = ([key.decode() for key in c.list(c.part)] for _ in range(2))
        lengths, views = (c.list(lambda: (c.varint(), c.varint())) for _ in range(2))
        c.end()
        need(0 < number < self.next_block and 1 <= rows <= 65536 and grain_ms == self.grain_ms, "manifest entry")
        need(all(len(set(keys)) == len(keys) <= 1024 for keys in (labels, values)), "keys")
        need(all(a < b for (a, _), (b, _) in zip(lengths, lengths[1:])), "order of columns")
        bodies = {column: self.column(number, column, length) for column, length in lengths}

        def words(names, at, apart, step):
            places = {name: (at + step * n + apart, at + step * n) for n, name in enumerate(names)}
            need(all((table in bodies) == (codes in bodies) for table, codes in places.values()), "codes or a table")
            return {name: (bodies[table], bodies[codes]) for name, (table, codes) in places.items() if codes in bodies}

        columns = columns_of(rows, bodies, words(WORDS, 16, 16, 1), words(labels, 65536, 1, 2),
                             {key: bodies[131072 + n] for n, key in enumerate(values) if 131072 + n in bodies})
        order, seqs = list(zip(columns["ts"], columns["seq"])), columns["seq"]
        need(order == sorted(order) and (order[0][0], order[-1][0]) == (ts_min, ts_min + ts_span), "order or times")
        need((min(seqs), max(seqs)) == (seq_min, seq_min + seq_span), "seqs")
        need(passes(bodies[15], columns["id"]), "an id that the filter does not let pass")
        need({64 + view for view, _ in views} == {n for n in bodies if 64 <= n < 65536}, "views")
        for view, count in views:
            if view < len(VIEWS):
                table, groups = partial(Cursor(bodies[64 + view]), grain_ms, len(VIEWS[view]))
                need(len(groups) == count and sum(group[0] for group in groups.values()) == rows, "rows of a view")
                need(groups == aggregate(columns, grain_ms, VIEWS[view], table), "a partial aggregate")
                self.partials += 1
        self.sealed += rows
        self.rows += rows_of(columns, rows)

    def column(self, block, column, length):
        """Keyspace tables: the pieces of a column; what is left in `parts` is nobody's."""
        pieces = []
        for n, size in enumerate(piece_lengths(length)):
            pieces.append(self.tables["parts"].pop((size >= 3936) << 127 | block << 40 | column << 16 | n, b""))
            need(len(pieces[-1]) == size, "a piece is missing")
        place = block.to_bytes(8, "little") + column.to_bytes(4, "little")
        return self.payload(b"".join(pieces), 2, "parts", place).rest()

    def feed(self):
        """The feed."""
        pieces = self.tables["feed"]
        c = self.payload(pieces.pop((1 << 128) - 1), 6, "feed", U64.to_bytes(8, "little"))
        head, first = c.varint(), self.feed_from
        c.end()
        need(self.unsealed_from <= head, "unsealed_from")
        while first < head:
            parts = []
            while first << 32 | len(parts) in pieces:
                parts.append(pieces.pop(first << 32 | len(parts)))
            whole = b"".join(parts)
            need([len(part) for part in parts] == list(piece_lengths(len(whole))) and
                 len(whole) == 4 + int.from_bytes(whole[:4], "little"), "a piece of the feed is missing")
            kind, c = unframe(whole[4:], (3, 4, 5), self.salt, "feed", first.to_bytes(8, "little"))
            last = c.varint()
            need(last >= first and (kind != 4 or last == first), "seqs of a feed entry")
            if kind != 3:
                gone = Cursor(c.part())
                count = gone.varint()
                seqs = integers(gone.rest(), count, "u64")
                need(all(a < b for a, b in zip(seqs, seqs[1:])), "order of what is gone")
            if kind != 4:
                rows, columns = small_block(c.rest())
                seqs = [first - 1, *columns["seq"], last + 1]
                need(all(a < b for a, b in zip(seqs, seqs[1:])), "seqs of a small block")
                unsealed = [row for row in rows_of(columns, rows) if row[1] >= self.unsealed_from]
                self.unsealed += len(unsealed)
                self.rows += unsealed
            c.end()
            first, self.entries = last + 1, self.entries + 1
        need(first == head and not pieces, "feed entries beyond the head")

def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("file")
    arguments.add_argument("--name", help="the keyspace's id; else the directory's name, or platform")
    given = arguments.parse_args()
    directory, file = os.path.split(os.path.abspath(given.file))
    of_place = "platform" if file == "platform.redb" else os.path.basename(directory)
    keyspace = Keyspace(given.file, given.name or of_place)
    for _, _, row in keyspace.rows:
        print(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
    print(f"format {keyspace.format}, blocks {len(keyspace.tables['blocks'])}, rows sealed {keyspace.sealed}, rows "
          f"unsealed {keyspace.unsealed}, feed entries {keyspace.entries}, partial aggregates seen "
          f"{keyspace.partials}", file=sys.stderr)

if __name__ == "__main__":
    try:
        main()
    except (Damage, KeyError, IndexError, ValueError, OverflowError, struct.error) as damage:
        sys.exit(f"damage: {damage!r}")
