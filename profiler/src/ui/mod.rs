//! What people see in a terminal.

pub mod agent;
pub mod comparison;
pub mod live;
pub mod paint;
pub mod summary;
pub mod table;
pub mod text;
