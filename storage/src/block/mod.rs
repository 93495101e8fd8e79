//! Sealed blocks: up to [`ROWS_MAX`] rows, sorted by `(ts, seq)`, each column a value of its own.
//!
//! *Invariant*: a block is immutable. Whatever changes rows writes other blocks and a manifest
//! that names those instead. A block has at least one row.

mod column;
mod entry;
pub(crate) mod pieces;
pub(crate) mod read;
mod write;

pub use column::ColumnId;
pub use entry::{BlockEntry, BlockId};
pub(crate) use pieces::fills_a_page;
pub use pieces::{PIECE_BYTES_MAX, cut};
pub use read::{ColumnSource, read_columns};
pub use write::{EncodedBlock, encode_block};

/// Most rows of a block: enough that a partial's groups hold many rows and a column fills whole
/// pages, few enough that reading one row decodes little.
pub const ROWS_MAX: usize = 64 * 1024;

/// A block is cut before [`ROWS_MAX`] where its rows hold more than this in memory, so that long
/// command lines do not make giants.
pub const HEAP_BYTES_MAX: usize = 32 << 20;
