//! The partial aggregate of a block.

use super::View;
use crate::batch::RowBatch;
use crate::error::Corrupt;

/// The groups of one view over the rows of one block, per time grain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {}

impl Partial {
    /// Groups `batch` (with `ts`, `status`, `duration` and the view's columns) by grain and the
    /// view's dimensions.
    pub fn build(_batch: &RowBatch, _view: &View, _grain_ms: i64) -> Self {
        Self::default()
    }

    /// As [`build`](Self::build), but gives up as soon as there are too many groups to be
    /// [worth keeping](super::worth_keeping).
    pub fn build_if_worth(_batch: &RowBatch, _view: &View, _grain_ms: i64) -> Option<Self> {
        None
    }

    /// The partial of all rows of `self` and `other`, which must be of the same view and grain.
    pub fn merge(self, _other: &Self) -> Self {
        self
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        0
    }

    /// Appends the stored form.
    pub fn encode(&self, _out: &mut Vec<u8>) {}

    /// Reads the stored form, all of `bytes`.
    pub fn decode(_bytes: &[u8]) -> Result<Self, Corrupt> {
        Ok(Self::default())
    }
}
