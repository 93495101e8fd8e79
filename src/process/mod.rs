//! Pure functions over one row: is it true, is it clean, what does it mean.

pub mod admit;
pub mod mask;
pub mod quarantine;
