//! What the tests of the engine share.

pub(crate) mod naive;
pub(crate) mod random;
