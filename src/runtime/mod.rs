//! What runs the product: the clock, work away from the async threads, and tasks that end together.

pub mod clock;
pub mod local_socket;
pub mod pool;
pub mod tasks;
