//! Disks, servers and GPUs: what each of so many gets.

use crate::simulate::plant::{self, WhenFull};

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    all: f64,
    stream: f64,
    streams: f64,
    thrash: f64,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    slots: f64,
    when_full: WhenFull,
    collapse: f64,
    retry_after_seconds: f64,
}

/// GPUs, shared like CPUs.
#[derive(Clone, Debug)]
pub struct Gpu {
    count: f64,
}

/// A request that was refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal {
    /// How long to stay away.
    pub retry_after_seconds: f64,
}

/// Something that several jobs use at a time.
#[derive(Clone, Debug)]
pub enum Shared {
    /// A disk; its customers need megabytes.
    Disk(Disk),
    /// A server; its customers need seconds.
    Server(Server),
    /// The GPUs; their customers need seconds.
    Gpu(Gpu),
}

impl Shared {
    /// A disk.
    #[must_use]
    pub fn disk(written: &plant::Disk) -> Self {
        Self::Disk(Disk {
            all: written.mb_per_second.get(),
            stream: written.stream_mb_per_second.get(),
            streams: written.streams.float(),
            thrash: written.thrash.get(),
        })
    }

    /// A server.
    #[must_use]
    pub fn server(written: &plant::Server) -> Self {
        Self::Server(Server {
            slots: written.slots.float(),
            when_full: written.when_full,
            collapse: written.collapse.get(),
            retry_after_seconds: written.retry_after_seconds.get(),
        })
    }

    /// So many GPUs.
    #[must_use]
    pub fn gpus(count: plant::Count) -> Self {
        Self::Gpu(Gpu { count: count.float() })
    }

    /// What each of `own` customers gets a second while others have `external`.
    #[must_use]
    pub fn speed(&self, own: f64, external: f64) -> f64 {
        let present = own + external;
        if present <= 0.0 {
            return 0.0;
        }
        match self {
            Self::Disk(disk) => {
                let beyond = (present - disk.streams).max(0.0);
                (present * disk.stream).min(disk.all) / (1.0 + disk.thrash * beyond) / present
            }
            Self::Server(server) => {
                let beyond = (present - server.slots).max(0.0);
                let falls = match server.when_full {
                    WhenFull::Collapse => 1.0 + server.collapse * beyond,
                    WhenFull::Share | WhenFull::Refuse => 1.0,
                };
                (server.slots / present).min(1.0) / falls
            }
            Self::Gpu(gpu) => (gpu.count / present).min(1.0),
        }
    }

    /// Service that one customer gets a second when it is alone.
    #[must_use]
    pub fn alone(&self) -> f64 {
        self.speed(1.0, 0.0)
    }

    /// What becomes of one more while `own` are there: served, or refused.
    #[must_use]
    pub fn refuses(&self, own: f64) -> Option<Refusal> {
        match self {
            Self::Server(server)
                if server.when_full == WhenFull::Refuse && own + 1.0 > server.slots =>
            {
                Some(Refusal { retry_after_seconds: server.retry_after_seconds })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_gives_most_at_its_number_of_streams() {
        let disk = Shared::Disk(Disk { all: 400.0, stream: 100.0, streams: 6.0, thrash: 0.2 });
        let throughput = |n: f64| n * disk.speed(n, 0.0);
        assert_eq!([1.0, 4.0, 6.0].map(throughput), [100.0, 400.0, 400.0]);
        assert!((throughput(11.0) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn a_full_server_shares_collapses_or_refuses() {
        let server = |when_full| {
            Shared::Server(Server {
                slots: 20.0,
                when_full,
                collapse: 0.1,
                retry_after_seconds: 2.0,
            })
        };
        let throughput = |when_full, n: f64| n * server(when_full).speed(n, 0.0);
        assert_eq!(throughput(WhenFull::Share, 40.0), 20.0);
        assert!((throughput(WhenFull::Collapse, 30.0) - 10.0).abs() < 1e-9);
        assert_eq!(server(WhenFull::Refuse).refuses(19.0), None);
        let refused = server(WhenFull::Refuse).refuses(20.0);
        assert_eq!(refused, Some(Refusal { retry_after_seconds: 2.0 }));
    }
}
