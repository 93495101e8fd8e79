//! What runs the product: the clock, work away from the async threads, turns with the processors, pauses, rates,
//! tasks that end together, and the one way out to other machines.

pub mod breath;
pub mod clock;
pub mod local_socket;
pub mod outgoing;
pub mod pool;
pub mod rate;
pub mod tasks;
pub mod turns;
