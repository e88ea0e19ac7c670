//! One file per kind of hook, with the same names as the user half in `profiler/src/kernel/probe`.

mod block;
mod floor;
mod life;
mod memory;
mod net;
mod sched;
mod tag;
