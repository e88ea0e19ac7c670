//! What comes from outside: neighbours, work, phases, and what befalls the agent.

use super::{Cpu, Engine, Event, Places, Plant, Shared, Waiting};
use crate::model::{ProviderId, Ticket};
use crate::simulate::plant::{MEBIBYTE, Neighbour, Shape};

/// How often a ramp takes a step.
const RAMP_SECONDS: f64 = 1.0;

/// The stations that a connector's jobs use. They are numbered as the plant has them: disks, then
/// servers, then the GPUs.
pub(super) fn places(plant: &Plant, connector: usize, cpu: &Cpu, shared: &[Shared]) -> Places {
    let job = &plant.connectors[connector].job;
    let place = |number: usize| (number, shared.get(number).map_or(1.0, Shared::alone));
    let disk = job
        .disk
        .as_ref()
        .and_then(|name| plant.disks.iter().position(|disk| disk.name == *name.get_ref()));
    let server = job
        .server
        .as_ref()
        .and_then(|name| plant.servers.iter().position(|server| server.name == *name.get_ref()));
    Places {
        cpus: cpu.logical(),
        gpu: place(plant.disks.len() + plant.servers.len()),
        disk: place(disk.unwrap_or_default()),
        server: place(plant.disks.len() + server.unwrap_or_default()),
    }
}

/// The provider at which a connector's jobs need a place: the server that they use, if the profile
/// names it. Providers are numbered as the plant has its servers.
pub(super) fn provider(plant: &Plant, connector: usize) -> Option<ProviderId> {
    let written = &plant.connectors[connector];
    let server = written.job.server.as_ref()?.get_ref();
    let declared = written.profile.get_ref().providers.as_ref()?;
    let number = plant.servers.iter().position(|known| known.name == *server)?;
    declared.contains(server).then(|| ProviderId(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// How much of a neighbour is there, from 0 to 1.
fn level(neighbour: &Neighbour, now: f64, end: f64) -> f64 {
    let (from, until) = (neighbour.from_seconds.get(), end);
    // An event at a boundary belongs to what begins there.
    let now = now + 1e-6;
    if now < from || now >= until {
        return 0.0;
    }
    match neighbour.shape {
        Shape::Step => 1.0,
        Shape::Ramp => (now - from) / (until - from),
        Shape::Square => {
            let period = neighbour.period_seconds.get();
            f64::from(u8::from((now - from) % period < neighbour.duty.get() * period))
        }
    }
}

impl Engine<'_> {
    fn neighbour_end(&self, neighbour: &Neighbour) -> f64 {
        neighbour.until_seconds.unwrap_or(self.plant.duration_seconds).get()
    }

    /// Plans phases, neighbours, crashes of workers, and what befalls the agent.
    pub(super) fn plan_surroundings(&mut self) {
        for (index, phase) in self.plant.phases.iter().enumerate() {
            let at = phase.at_seconds.get_ref().get();
            self.calendar.plan(at, Event::Phase { phase: index + 1 });
        }
        for neighbour in &self.plant.neighbours {
            let (from, until) = (neighbour.from_seconds.get(), self.neighbour_end(neighbour));
            let period = neighbour.period_seconds.get();
            self.calendar.plan(from, Event::Neighbours);
            self.calendar.plan(until, Event::Neighbours);
            let step = match neighbour.shape {
                Shape::Step => continue,
                Shape::Ramp => RAMP_SECONDS,
                Shape::Square => period,
            };
            let mut at = from;
            while at < until {
                self.calendar.plan(at, Event::Neighbours);
                self.calendar.plan(at + neighbour.duty.get() * step, Event::Neighbours);
                at += step;
            }
        }
        for (connector, written) in self.plant.connectors.iter().enumerate() {
            for at in &written.crash.at_seconds {
                self.calendar.plan(at.get(), Event::CrashAll { connector });
            }
        }
        for at in &self.plant.agent.restarts_at_seconds {
            self.calendar.plan(at.get(), Event::Down);
        }
        self.set_neighbours();
    }

    /// The load from outside as it is now.
    pub(super) fn set_neighbours(&mut self) {
        let plant = self.plant;
        self.external_threads = 0.0;
        self.first_threads = 0.0;
        self.external_memory = 0.0;
        self.external_streams.fill(0.0);
        for neighbour in &plant.neighbours {
            let level = level(neighbour, self.now, self.neighbour_end(neighbour));
            let threads = level * neighbour.threads.get();
            if neighbour.fair {
                self.external_threads += threads;
            } else {
                self.first_threads += threads;
            }
            self.external_memory += level * neighbour.memory_mb.get() * MEBIBYTE;
            let disk = neighbour
                .disk
                .as_ref()
                .and_then(|name| plant.disks.iter().position(|disk| disk.name == *name.get_ref()));
            if let Some(disk) = disk {
                self.external_streams[disk] += level * neighbour.streams.get();
            }
        }
    }

    /// Plans how work comes.
    pub(super) fn plan_work(&mut self) {
        for (connector, written) in self.plant.connectors.iter().enumerate() {
            for burst in &written.arrival.bursts {
                let event = Event::Burst { connector, jobs: burst.jobs.get() };
                self.calendar.plan(burst.at_seconds.get(), event);
            }
            for _ in 0..written.arrival.backlog().unwrap_or(0) {
                self.ask(connector, None);
            }
            if written.arrival.jobs_per_second.is_some() {
                self.plan_arrival(connector);
            }
            if written.arrival.idle_seconds.get() > 0.0 {
                let event = Event::Idle { connector };
                self.calendar.plan(written.arrival.busy_seconds.get(), event);
            }
        }
    }

    fn plan_arrival(&mut self, connector: usize) {
        let Some(rate) = self.plant.connectors[connector].arrival.jobs_per_second else { return };
        let seconds = self.lines[connector].arrivals.exponential() / rate.get();
        self.calendar.plan(self.now + seconds, Event::Arrival { connector });
    }

    pub(super) fn arrive(&mut self, connector: usize) {
        if self.lines[connector].is_busy {
            self.ask(connector, None);
        }
        self.plan_arrival(connector);
    }

    /// No more work comes for a while; workers that wait for a slot go away.
    pub(super) fn end_work(&mut self, connector: usize) {
        let arrival = &self.plant.connectors[connector].arrival;
        self.lines[connector].is_busy = false;
        if arrival.backlog().is_some() {
            self.withdraw(connector);
        }
        self.calendar.plan(self.now + arrival.idle_seconds.get(), Event::Busy { connector });
    }

    /// All who wait for a connector go away until work comes again.
    fn withdraw(&mut self, connector: usize) {
        let now = self.moment();
        let of_it = |waiting: &Waiting| waiting.connector == connector;
        let tickets: Vec<Ticket> = self
            .waiting
            .iter()
            .filter_map(|(ticket, waiting)| of_it(waiting).then_some(*ticket))
            .collect();
        for ticket in tickets {
            // One that was granted meanwhile is no longer in the ledger's queue, and stays.
            self.has_asked = true;
            if self.agent.cancel(now, ticket)
                && let Some(waiting) = self.waiting.remove(&ticket)
            {
                self.lines[connector].waiting -= 1;
                self.lines[connector].parked.push(waiting.again);
            }
        }
    }

    pub(super) fn begin_work(&mut self, connector: usize) {
        let arrival = &self.plant.connectors[connector].arrival;
        self.lines[connector].is_busy = true;
        for again in std::mem::take(&mut self.lines[connector].parked) {
            self.ask(connector, again);
        }
        self.calendar.plan(self.now + arrival.busy_seconds.get(), Event::Idle { connector });
    }
}
