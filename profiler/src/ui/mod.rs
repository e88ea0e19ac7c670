//! What people see in a terminal.

pub mod live;
pub mod summary;
pub mod table;
