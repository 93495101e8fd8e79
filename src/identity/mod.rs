//! Who may sign in: users, their passwords and what they may do.

pub mod email;
pub mod password;
pub mod user;
