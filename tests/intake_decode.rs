//! What becomes of bad bodies: exactly which row is refused, by which code, at which pointer; and
//! that nothing is stored that was refused.

#[path = "intake_decode/bodies.rs"]
mod bodies;
#[path = "intake_decode/properties.rs"]
mod properties;
#[path = "intake_decode/rows.rs"]
mod rows;
#[path = "intake_support/mod.rs"]
mod support;
#[path = "intake_decode/table.rs"]
mod table;
