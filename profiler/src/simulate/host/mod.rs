//! The virtual host: how fast work goes on when so many share a CPU, a disk, a server or a GPU.
//!
//! Everything that is shared is shared fairly (processor sharing), and rates change only at events.
//! Between two events all is linear in time, so the simulation is exact: it has no time step.

mod cpu;
mod shared;
mod station;

pub use cpu::{Clocks, Cpu, Rates};
pub use shared::{Disk, Gpu, Refusal, Server, Shared};
pub use station::{Finish, Station};
