//! The host's own figures, read now and then, and kept for whoever asks often.
//!
//! A [`Reading`] is what the kernel's counters say at one moment; what is said of an interval is the
//! difference between two. A figure that this kernel does not have is `None`.

mod capacity;
mod cpu;
mod device;
mod memory;
mod own;
mod pressure;
mod view;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use capacity::Capacity;
pub use cpu::CpuTimes;
pub use device::{BlockDevice, Interface};
pub use memory::Memory;
pub use own::{OwnCost, OwnCostReader};
pub use pressure::Stalled;
pub use view::{CoreView, DeviceView, FilesystemView, HostView, InterfaceView};

use crate::model::{DeviceSample, HostSample, Pressure};

/// How often file systems are asked how full they are: that takes a system call each.
const FILESYSTEMS_EVERY: Duration = Duration::from_secs(30);

/// What the kernel's counters say at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// All CPUs together.
    pub cpu: CpuTimes,
    /// Each CPU that is online, with its number.
    pub cores: Vec<(u32, CpuTimes)>,
    /// How many of them may be used.
    pub capacity: Capacity,
    /// Memory and swap.
    pub memory: Memory,
    /// For how long something was held up, since the host started.
    pub stalled: Stalled,
    /// Whole disks.
    pub devices: Vec<BlockDevice>,
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
}

impl Reading {
    /// Reads everything but file systems. It takes about a tenth of a millisecond.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read, which is the case on no host that works.
    pub fn now() -> std::io::Result<Self> {
        let (cpu, cores) = cpu::read()?;
        let online = u32::try_from(cores.len()).unwrap_or(u32::MAX);
        Ok(Self {
            at: Instant::now(),
            cpu,
            cores,
            capacity: Capacity::read(online),
            memory: Memory::read()?,
            stalled: Stalled::read(),
            devices: device::block_devices(),
            interfaces: device::interfaces(),
        })
    }

    /// What happened from an earlier reading to this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> HostSample {
        let interval = self.at.saturating_duration_since(earlier.at);
        let share = |now: Option<Duration>, then: Option<Duration>| {
            let part = now?.saturating_sub(then?).as_secs_f64();
            (!interval.is_zero()).then(|| (part / interval.as_secs_f64()).min(1.0))
        };
        let (now, then) = (&self.stalled, &earlier.stalled);
        let pressure = Pressure {
            cpu: share(now.cpu, then.cpu),
            memory: share(now.memory, then.memory),
            io: share(now.io, then.io),
        };
        let device = |device: &BlockDevice| {
            // One that appeared meanwhile began at 0.
            let before = earlier.devices.iter().find(|before| before.name == device.name);
            let before = before.cloned().unwrap_or_else(|| BlockDevice::unused(&device.name));
            DeviceSample {
                busy: share(Some(device.busy), Some(before.busy)),
                bytes: Some(device.bytes().saturating_sub(before.bytes())),
                operations: Some(device.operations().saturating_sub(before.operations())),
            }
        };
        HostSample {
            interval,
            cores: self.capacity.usable_cores,
            physical_cores: self.capacity.physical_cores.map(f64::from),
            busy: self.cpu.busy.saturating_sub(earlier.cpu.busy),
            memory_total: self.memory.total,
            memory_available: self.memory.available,
            pressure: (pressure != Pressure::default()).then_some(pressure),
            devices: self.devices.iter().map(device).collect(),
            gpus: Vec::new(),
        }
    }
}

/// Readings for everybody: one reads, as often as is configured; the others see the latest.
#[derive(Debug)]
pub struct Telemetry {
    last: Reading,
    filesystems: Vec<FilesystemView>,
    filesystems_at: Instant,
    latest: Arc<Latest>,
}

/// The latest view, for those who ask often.
#[derive(Debug, Default)]
pub struct Latest(Mutex<Arc<HostView>>);

impl Latest {
    /// The figures of the last interval. It costs no system call.
    #[must_use]
    pub fn get(&self) -> Arc<HostView> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Telemetry {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn start() -> std::io::Result<Self> {
        let last = Reading::now()?;
        let filesystems = device::filesystems();
        let view = Arc::new(HostView::of(&last, None, &filesystems));
        let latest = Arc::new(Latest(Mutex::new(view)));
        Ok(Self { last, filesystems, filesystems_at: Instant::now(), latest })
    }

    /// Where the latest figures are found.
    #[must_use]
    pub fn latest(&self) -> Arc<Latest> {
        Arc::clone(&self.latest)
    }

    /// Reads anew: what happened since the last time.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read. The latest figures stay.
    pub fn read(&mut self) -> std::io::Result<HostSample> {
        let reading = Reading::now()?;
        let sample = reading.since(&self.last);
        if self.filesystems_at.elapsed() >= FILESYSTEMS_EVERY {
            self.filesystems = device::filesystems();
            self.filesystems_at = Instant::now();
        }
        let view = Arc::new(HostView::of(&reading, Some(&self.last), &self.filesystems));
        *self.latest.0.lock().unwrap_or_else(PoisonError::into_inner) = view;
        self.last = reading;
        Ok(sample)
    }
}

#[cfg(test)]
mod tests;
