//! Virtual time: from one event to the next.
//!
//! Promises: the same plant, seed and controller give the same figures, bit for bit; the n-th job of
//! a connector needs the same under every controller; between events nothing is approximated, with
//! one exception: memory is held against what there is every [`MEMORY_SECONDS`].

mod agent;
mod event;
mod jobs;
mod memory;
mod surroundings;

use std::collections::BTreeMap;

use event::{Calendar, Event};

use super::controller::{Agent, Begin};
use super::figures::{Figures, STARVED_AFTER_SECONDS, TICK_SECONDS};
use super::host::{Clocks, Cpu, Finish, Rates, Shared, Station};
use super::job::{Job, Look, Place, Places, Work};
use super::plant::{Change, Plant};
use super::random::Random;
use crate::model::{FinishedJob, JobSample, LeaseId, Moment, ProviderId, Ticket};

/// How often memory is looked at, in plants where it matters.
pub const MEMORY_SECONDS: f64 = 0.1;

/// Streams of random numbers; connector number c has those from 16 c on.
const STREAM_WORK: u64 = 0;
const STREAM_ARRIVALS: u64 = 1;
const STREAM_CRASHES: u64 = 2;
const STREAMS: u64 = 16;

/// Runs `plant` with the random numbers of `seed` under the agent that `begin` makes: once at the
/// start, and once for each restart of the agent.
pub fn run(plant: &Plant, seed: u64, begin: &Begin<'_>) -> Figures {
    Engine::new(plant, seed, begin).run()
}

/// Up to where a run is hopeless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// It ends with the first overcommitment of memory.
    pub no_overcommit: bool,
    /// It ends with so many jobs killed for want of memory.
    pub most_kills: Option<u32>,
}

/// The same, but it ends where it is hopeless; figures are those up to then.
pub fn run_with_patience(
    plant: &Plant,
    seed: u64,
    begin: &Begin<'_>,
    patience: Patience,
) -> Figures {
    let mut engine = Engine::new(plant, seed, begin);
    engine.patience = patience;
    engine.run()
}

/// What is known of a connector during a run.
struct Line {
    work: Random,
    arrivals: Random,
    crashes: Random,
    places: Places,
    change: Option<Change>,
    is_busy: bool,
    /// Workers that have nothing to do until work comes again.
    parked: Vec<Option<Work>>,
    starving_since: Option<f64>,
    waiting: u32,
    in_use: u32,
    /// At the server that its jobs use, if the profile names that one.
    provider: Option<ProviderId>,
}

/// A request that waits in the ledger.
struct Waiting {
    connector: usize,
    asked: f64,
    /// What is to be done, where that was tried before.
    again: Option<Work>,
}

struct Engine<'a> {
    plant: &'a Plant,
    begin: &'a Begin<'a>,
    agent: Box<dyn Agent>,
    is_away: bool,
    calendar: Calendar,
    now: f64,
    cpu: Cpu,
    cpus: Station,
    rates: Rates,
    clocks: Clocks,
    external_threads: f64,
    first_threads: f64,
    shared: Vec<Shared>,
    stations: Vec<Station>,
    external_streams: Vec<f64>,
    /// When a server that refused somebody lets others in again.
    closed_until: Vec<f64>,
    external_memory: f64,
    /// Speed of all work while the host swaps; 1 while it does not.
    swapping: f64,
    is_overcommitted: bool,
    patience: Patience,
    jobs: Vec<Option<Job>>,
    free: Vec<usize>,
    visits: u64,
    /// Something happened to the ledger since grants were last looked for.
    has_asked: bool,
    last_lease: LeaseId,
    waiting: BTreeMap<Ticket, Waiting>,
    lines: Vec<Line>,
    phase: usize,
    phase_busy: f64,
    seen: Seen,
    figures: Figures,
}

/// What the controller is told at its next look.
#[derive(Default)]
struct Seen {
    at: f64,
    clocks: Clocks,
    /// Of each station: service given, seconds in use.
    stations: Vec<(f64, f64)>,
    ended: Vec<JobSample>,
    finished: Vec<FinishedJob>,
}

/// What happens next.
enum Next {
    Planned,
    Cpu(Finish),
    Shared(usize, Finish),
}

impl<'a> Engine<'a> {
    fn new(plant: &'a Plant, seed: u64, begin: &'a Begin<'a>) -> Self {
        let cpu = Cpu::new(&plant.host);
        let disks = plant.disks.iter().map(Shared::disk);
        let servers = plant.servers.iter().map(Shared::server);
        let gpus = plant.host.gpus.into_iter().map(Shared::gpus);
        let shared: Vec<Shared> = disks.chain(servers).chain(gpus).collect();
        let starts = plant.phase_starts();
        let ends = starts.iter().skip(1).copied().chain([plant.duration_seconds.get()]);
        let seconds: Vec<f64> = starts.iter().zip(ends).map(|(start, end)| end - start).collect();
        let connectors = plant.connectors.len();
        let line = |connector: usize| {
            let stream = |which| Random::new(seed, STREAMS * connector as u64 + which);
            Line {
                work: stream(STREAM_WORK),
                arrivals: stream(STREAM_ARRIVALS),
                crashes: stream(STREAM_CRASHES),
                places: surroundings::places(plant, connector, &cpu, &shared),
                change: None,
                is_busy: true,
                parked: Vec::new(),
                starving_since: None,
                waiting: 0,
                in_use: 0,
                provider: surroundings::provider(plant, connector),
            }
        };
        Self {
            plant,
            begin,
            agent: begin(Moment(0), LeaseId(1)),
            is_away: false,
            calendar: Calendar::default(),
            now: 0.0,
            cpus: Station::default(),
            rates: Rates::default(),
            clocks: Clocks::default(),
            external_threads: 0.0,
            first_threads: 0.0,
            closed_until: vec![0.0; shared.len()],
            patience: Patience::default(),
            stations: vec![Station::default(); shared.len()],
            external_streams: vec![0.0; shared.len()],
            external_memory: 0.0,
            swapping: 1.0,
            is_overcommitted: false,
            jobs: Vec::new(),
            free: Vec::new(),
            visits: 0,
            has_asked: true,
            last_lease: LeaseId(0),
            waiting: BTreeMap::new(),
            lines: (0..connectors).map(line).collect(),
            phase: 0,
            phase_busy: 0.0,
            seen: Seen::default(),
            figures: Figures::new(connectors, &seconds),
            shared,
            cpu,
        }
    }

    fn run(mut self) -> Figures {
        self.plan_surroundings();
        self.plan_work();
        if self.plant.has_memory() {
            self.calendar.plan(MEMORY_SECONDS, Event::Memory);
        }
        self.calendar.plan(0.0, Event::Tick);
        self.calendar.plan(self.plant.duration_seconds.get(), Event::End);
        loop {
            let (seconds, next) = self.next();
            self.advance(seconds);
            match next {
                Next::Planned => {
                    let Some(event) = self.calendar.pop() else { break };
                    if event == Event::End {
                        break;
                    }
                    self.handle(event);
                }
                Next::Cpu(finish) => {
                    self.cpus.finish(&finish);
                    self.stage_done(finish.slot);
                }
                Next::Shared(station, finish) => {
                    self.stations[station].finish(&finish);
                    self.stage_done(finish.slot);
                }
            }
            if self.is_hopeless() {
                break;
            }
            if std::mem::take(&mut self.has_asked) {
                self.admit();
                self.note_starving();
            }
            self.refresh();
        }
        self.end()
    }

    fn is_hopeless(&self) -> bool {
        (self.is_overcommitted && self.patience.no_overcommit)
            || self.patience.most_kills.is_some_and(|most| self.figures.kills > most)
    }

    /// What happens next, and in how many seconds.
    fn next(&mut self) -> (f64, Next) {
        let mut soonest = (self.calendar.next_at() - self.now, Next::Planned);
        let jobs = &self.jobs;
        let is_current = |finish: &Finish| {
            jobs[finish.slot].as_ref().is_some_and(|job| job.visit == finish.visit)
        };
        if let Some((seconds, finish)) = self.cpus.next(is_current)
            && seconds < soonest.0
        {
            soonest = (seconds, Next::Cpu(finish));
        }
        for (number, station) in self.stations.iter_mut().enumerate() {
            if let Some((seconds, finish)) = station.next(is_current)
                && seconds < soonest.0
            {
                soonest = (seconds, Next::Shared(number, finish));
            }
        }
        if matches!(soonest.1, Next::Planned) {
            // To the very number that was planned, whatever rounding makes of a difference.
            soonest.0 = soonest.0.max(0.0);
        }
        soonest
    }

    /// The time as the agent tells it.
    fn moment(&self) -> Moment {
        #[allow(clippy::cast_sign_loss, reason = "virtual time begins at 0")]
        Moment((self.now * 1e9).round() as u64)
    }

    fn advance(&mut self, seconds: f64) {
        let external = self.external_threads + self.first_threads;
        self.clocks.advance(seconds, self.rates, self.cpus.present(), external);
        self.cpus.advance(seconds);
        for station in &mut self.stations {
            station.advance(seconds);
        }
        self.now += seconds;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick => self.tick(),
            Event::Memory => self.hold_memory(),
            Event::Wakes { slot, visit } => self.wake(slot, visit),
            Event::Crash { slot, lease } => self.crash(slot, lease),
            Event::CrashAll { connector } => self.crash_all(connector),
            Event::Arrival { connector } => self.arrive(connector),
            Event::Burst { connector, jobs } => {
                for _ in 0..jobs {
                    self.ask(connector, None);
                }
            }
            Event::Busy { connector } => self.begin_work(connector),
            Event::Idle { connector } => self.end_work(connector),
            Event::Neighbours => self.set_neighbours(),
            Event::Phase { phase } => self.begin_phase(phase),
            Event::Down => self.agent_goes(),
            Event::Up => self.agent_comes(),
            Event::End => {}
        }
    }

    /// Speeds, after anything changed.
    fn refresh(&mut self) {
        let own = self.cpus.present();
        self.rates = self.cpu.rates(own, self.external_threads, self.first_threads);
        self.cpus.set_speed(self.rates.work * self.swapping);
        for (number, station) in self.stations.iter_mut().enumerate() {
            let speed = self.shared[number].speed(station.present(), self.external_streams[number]);
            station.set_speed(speed * self.swapping);
        }
    }

    fn note_starving(&mut self) {
        for (connector, line) in self.lines.iter_mut().enumerate() {
            let is_starving = line.in_use == 0 && line.waiting > 0;
            if is_starving {
                line.starving_since.get_or_insert(self.now);
            } else if let Some(since) = line.starving_since.take() {
                let seconds = (self.now - since - STARVED_AFTER_SECONDS).max(0.0);
                self.figures.starved_seconds[connector] += seconds;
            }
        }
    }

    /// Credits the work of all jobs to the phase that is under way.
    fn credit_all(&mut self) {
        let look =
            Look { now: self.now, cpu: &self.cpus, clocks: &self.clocks, shared: &self.stations };
        for job in self.jobs.iter_mut().flatten() {
            credit(job, job.done(&look), self.phase, &mut self.figures);
        }
        let capacity = self.figures.phases[self.phase].seconds * self.cpu.logical();
        self.figures.phases[self.phase].cpu_share =
            (self.clocks.busy - self.phase_busy) / capacity.max(f64::MIN_POSITIVE);
        self.phase_busy = self.clocks.busy;
    }

    fn begin_phase(&mut self, phase: usize) {
        self.credit_all();
        self.phase = phase;
        let Some(written) = phase.checked_sub(1).and_then(|index| self.plant.phases.get(index))
        else {
            return;
        };
        for (line, connector) in self.lines.iter_mut().zip(&self.plant.connectors) {
            let name = connector.name.get_ref();
            let change = written.changes.iter().find(|change| change.connector.get_ref() == name);
            line.change = change.cloned();
        }
    }

    fn end(mut self) -> Figures {
        self.credit_all();
        self.note_escapes();
        for (connector, line) in self.lines.iter().enumerate() {
            if let Some(since) = line.starving_since {
                let seconds = (self.now - since - STARVED_AFTER_SECONDS).max(0.0);
                self.figures.starved_seconds[connector] += seconds;
            }
        }
        self.figures
    }

    fn plan_tick(&mut self) {
        let ticks = (self.now / TICK_SECONDS).round() + 1.0;
        self.calendar.plan(ticks * TICK_SECONDS, Event::Tick);
    }
}

/// Credits what a job has done, so far as it is not yet credited, to a phase.
fn credit(job: &mut Job, done: f64, phase: usize, figures: &mut Figures) {
    let before: f64 = job.credited.iter().map(|(_, seconds)| seconds).sum();
    let seconds = done - before;
    job.credited.push((phase, seconds));
    figures.phases[phase].work[job.connector] += seconds;
}
