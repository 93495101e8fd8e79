//! What stands between the product and the machine it runs on: time, and nothing else yet.

pub mod clock;
