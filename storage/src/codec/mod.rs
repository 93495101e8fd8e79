//! How columns become bytes and bytes become columns.
//!
//! What do the bytes of a value mean? [`frame`] is the outermost layer of every stored value:
//! version, kind, checksum. Inside it lies the payload of one of the column encodings: [`ints`],
//! [`floats`], [`words`], [`ids`], [`uuids`], a membership [`filter`], or a whole small batch of
//! rows ([`small`]). Every encoder appends to a buffer; every decoder is total: damaged bytes give
//! [`Corrupt`](crate::error::Corrupt), never a panic and never an allocation beyond what the
//! input and the expected number of rows justify.

pub(crate) mod cursor;
pub mod filter;
pub mod floats;
pub mod frame;
mod frames;
pub mod ids;
pub mod ints;
mod lz;
mod pack;
pub mod small;
mod unframe;
pub mod uuids;
pub mod words;

/// Most rows that one encoded column may have: 4 Mi. Sealed blocks have about 64 Ki; a damaged
/// row count beyond this is refused before anything is allocated for it.
pub const ROWS_MAX: usize = 1 << 22;

#[cfg(test)]
mod version_1;
