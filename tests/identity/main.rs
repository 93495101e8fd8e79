//! Who is let in and who is not, over the store as it lies on disk.

mod api_key;
mod login;
mod session;
mod token;
mod world;
