//! Records as files for other programs.

pub mod json;
