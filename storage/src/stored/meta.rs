//! The values of the table `meta`: what a file says of itself.

use super::key::{Salt, kind};
use crate::block::BlockId;
use crate::codec::cursor::{Cursor, put_part, put_varint};
use crate::codec::frame;
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;
use crate::schema::FIRST_VERSION;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Coarsest grain of partials: a day.
const GRAIN_MINUTES_MAX: usize = 24 * 60;

/// What a file says of itself.
///
/// ```text
/// format varint | part: name | salt varint | grain_minutes varint
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The format of the file, from [`FIRST_VERSION`] on: the version of its small tables' schema.
    pub format: u32,
    /// The keyspace's name.
    pub name: String,
    /// What the keys of all other frames begin with.
    pub salt: Salt,
    /// The grain of partials, at least 1.
    pub grain_minutes: u32,
}

impl Identity {
    /// Its key in `meta`.
    pub const NAME: &'static str = "identity";

    /// The one value whose key is not salted: it holds the salt.
    const SALT: Salt = Salt(0);

    /// The stored form.
    pub fn seal(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        put_varint(self.format.into(), &mut payload);
        put_part(self.name.as_bytes(), &mut payload);
        put_varint(self.salt.0, &mut payload);
        put_varint(self.grain_minutes.into(), &mut payload);
        frame::seal(&Self::SALT.meta(Self::NAME), kind::META, &payload)
    }

    /// Reads the stored form. A format beyond `known` is refused by its number, before anything else
    /// of it is looked at.
    pub fn open(value: &[u8], known: u32) -> Result<Self, StoreError> {
        let payload = frame::open(&Self::SALT.meta(Self::NAME), kind::META, value)?;
        let mut cursor = Cursor::new(payload, "a keyspace's identity");
        let format = cursor.count(u32::MAX as usize)? as u32;
        if format > known {
            return Err(StoreError::NewerFormat { found: format, known });
        }
        let name = std::str::from_utf8(cursor.part()?).map_err(|_| cursor.damaged())?.to_owned();
        let salt = Salt(cursor.varint()?);
        let grain_minutes = cursor.count(GRAIN_MINUTES_MAX)? as u32;
        if format < FIRST_VERSION || grain_minutes == 0 {
            return Err(cursor.damaged().into());
        }
        cursor.end()?;
        Ok(Self { format, name, salt, grain_minutes })
    }
}

/// How far sealing has come: four varints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The first seq that is not in a block, at least 1.
    pub unsealed_from: Seq,
    /// The next block id, at least 1.
    pub next_block: BlockId,
    /// The oldest seq the feed still has; equal to the next seq if it has none. Never beyond
    /// `unsealed_from`: what is in no block is kept.
    pub feed_from: Seq,
    /// How many blocks the manifest has, so that a lost entry is noticed.
    pub blocks: u64,
}

impl Progress {
    /// Its key in `meta`.
    pub const NAME: &'static str = "progress";

    /// That of an empty keyspace.
    pub const START: Self = Self { unsealed_from: 1, next_block: 1, feed_from: 1, blocks: 0 };

    /// The stored form.
    pub fn seal(self, salt: Salt) -> Vec<u8> {
        let mut payload = Vec::new();
        for number in [self.unsealed_from, self.next_block, self.feed_from, self.blocks] {
            put_varint(number, &mut payload);
        }
        frame::seal(&salt.meta(Self::NAME), kind::META, &payload)
    }

    /// Reads the stored form.
    pub fn open(salt: Salt, value: &[u8]) -> Result<Self, Corrupt> {
        let payload = frame::open(&salt.meta(Self::NAME), kind::META, value)?;
        let mut cursor = Cursor::new(payload, "a keyspace's progress");
        let progress = Self {
            unsealed_from: cursor.varint()?,
            next_block: cursor.varint()?,
            feed_from: cursor.varint()?,
            blocks: cursor.varint()?,
        };
        // Ids are never used again and begin at 1, so there are fewer blocks than the next id.
        let Self { unsealed_from, next_block, feed_from, blocks } = progress;
        if feed_from == 0 || feed_from > unsealed_from || blocks >= next_block {
            return Err(cursor.damaged());
        }
        cursor.end()?;
        Ok(progress)
    }
}

/// How many entries the small tables have and the sum of their hashes: two varints. Entries are
/// looked up by key, and a damaged page of the tree could hide one: this is compared when the
/// file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TablesDigest {
    entries: u64,
    hashes: u64,
}

impl TablesDigest {
    /// Its key in `meta`. A file without any has no entries.
    pub const NAME: &'static str = "tables";

    /// Adds an entry as stored.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.hashes = self.hashes.wrapping_add(Self::hash(key, value));
    }

    /// Takes an entry out.
    pub fn take(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.hashes = self.hashes.wrapping_sub(Self::hash(key, value));
    }

    fn hash(key: &[u8], value: &[u8]) -> u64 {
        xxh3_64_with_seed(value, xxh3_64(key))
    }

    /// The stored form.
    pub fn seal(self, salt: Salt) -> Vec<u8> {
        let mut payload = Vec::new();
        put_varint(self.entries, &mut payload);
        put_varint(self.hashes, &mut payload);
        frame::seal(&salt.meta(Self::NAME), kind::META, &payload)
    }

    /// Reads the stored form.
    pub fn open(salt: Salt, value: &[u8]) -> Result<Self, Corrupt> {
        let payload = frame::open(&salt.meta(Self::NAME), kind::META, value)?;
        let mut cursor = Cursor::new(payload, "the small tables' digest");
        let digest = Self { entries: cursor.varint()?, hashes: cursor.varint()? };
        cursor.end()?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(7);

    fn sealed(name: &str, numbers: &[u64]) -> Vec<u8> {
        let mut payload = Vec::new();
        numbers.iter().for_each(|&number| put_varint(number, &mut payload));
        frame::seal(&SALT.meta(name), kind::META, &payload)
    }

    #[test]
    fn progress_that_cannot_be_is_refused() {
        let check = |numbers: &[u64], good: bool| {
            let read = Progress::open(SALT, &sealed(Progress::NAME, numbers));
            assert_eq!(read.is_ok(), good, "{numbers:?}: {read:?}");
        };
        check(&[1, 1, 1, 0], true);
        check(&[9, 4, 9, 3], true);
        check(&[0, 1, 0, 0], false);
        check(&[9, 4, 0, 3], false);
        check(&[9, 4, 10, 3], false);
        check(&[9, 4, 9, 4], false);
        check(&[9, 4, 9], false);
        check(&[9, 4, 9, 3, 0], false);
    }

    #[test]
    fn a_digest_has_two_numbers() {
        for (numbers, good) in [(&[3, 4][..], true), (&[3], false), (&[3, 4, 5], false)] {
            let read = TablesDigest::open(SALT, &sealed(TablesDigest::NAME, numbers));
            assert_eq!(read.is_ok(), good, "{numbers:?}");
        }
    }

    #[test]
    fn an_identity_has_a_known_format_and_a_grain() {
        const KNOWN: u32 = 3;
        let good = Identity { format: 2, name: "t".into(), salt: SALT, grain_minutes: 60 };
        assert_eq!(Identity::open(&good.seal(), KNOWN).unwrap(), good);
        let newer = Identity { format: KNOWN + 1, ..good.clone() };
        let read = Identity::open(&newer.seal(), KNOWN);
        assert!(matches!(read, Err(StoreError::NewerFormat { found: 4, known: KNOWN })));
        for bad in [
            Identity { format: 0, ..good.clone() },
            Identity { grain_minutes: 0, ..good.clone() },
            Identity { grain_minutes: GRAIN_MINUTES_MAX as u32 + 1, ..good },
        ] {
            assert!(matches!(Identity::open(&bad.seal(), KNOWN), Err(StoreError::Corrupt(_))));
        }
    }
}
