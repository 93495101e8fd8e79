//! From bytes to acknowledged rows: [`decode`] reads what was sent, [`batch`] says what becomes
//! of each row, [`writer`] brings them to their keyspace, [`quarantine`] keeps what is set aside.

pub mod decode;
