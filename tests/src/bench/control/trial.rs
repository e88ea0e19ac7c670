//! An agent, workers that always want a slot of it, and what comes of it in a stretch of time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::CONNECTOR;
use super::crew::Crew;
use super::interrupt::{self, Interrupted};
use super::tally::Tally;
use super::workload::Workload;
use crate::agent::{Agent, Connection};

/// How often the agent is asked how it stands.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// More slots than there are workers.
const ALL: u32 = 10_000;

/// How the connector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Slots.
    pub(super) limit: u32,
    /// Those in use.
    pub(super) in_use: u32,
    /// Requests that wait.
    pub(super) waiting: u32,
}

/// What the workers did in a stretch of time, and how the connector stood each tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretch {
    /// How long it was.
    pub(super) seconds: f64,
    /// Pieces of work.
    pub(super) pieces: u64,
    /// Workers that were killed for want of memory.
    pub(super) killed: u64,
    /// How long each job took that ended, from its grant on.
    pub(super) jobs: Vec<Duration>,
    /// Each tick.
    pub(super) states: Vec<State>,
}

/// An agent with its workers. Drop order: workers go before their agent.
pub(super) struct Trial<'a> {
    workload: &'a Workload,
    tally: Arc<Tally>,
    crew: Option<Crew>,
    control: Connection,
    /// The agent.
    pub(super) agent: Agent,
}

impl<'a> Trial<'a> {
    /// Starts an agent that is told this of the workload's jobs, and the workers.
    #[must_use]
    pub(super) fn begin(workload: &'a Workload, profile: &Value, settings: &[String]) -> Self {
        let mut arguments = vec!["--set", "log.filter=warn"];
        for setting in settings {
            arguments.extend(["--set", setting]);
        }
        let agent = Agent::start(&arguments);
        let mut control = agent.connect("control");
        let said = json!({ "connector": CONNECTOR, "profile": profile });
        control.call("SetProfile", said).expect("a profile that is valid");
        let tally = Arc::new(Tally::default());
        let crew = Some(workload.crew(&agent.folder().join("worker.sock"), &tally));
        Self { workload, tally, crew, control, agent }
    }

    /// Sets the limit by hand.
    ///
    /// # Errors
    /// If it is to end.
    pub(super) fn set_limit(&mut self, limit: u32) -> Result<(), Interrupted> {
        self.ask("SetLimit", json!({ "connector": CONNECTOR, "limit": limit })).map(drop)
    }

    /// How the connector stands.
    ///
    /// # Errors
    /// If it is to end.
    pub(super) fn state(&mut self) -> Result<State, Interrupted> {
        let told = self.ask("Connectors", json!({ "connector": CONNECTOR }))?;
        let number = |name: &str| {
            let number = told["connectors"][0][name].as_u64().and_then(|it| it.try_into().ok());
            number.unwrap_or_else(|| panic!("no {name}: {told}"))
        };
        let [limit, in_use, waiting] = ["limit", "in_use", "waiting"].map(number);
        Ok(State { limit, in_use, waiting })
    }

    /// Why the limit is what it is, in lines.
    ///
    /// # Errors
    /// If it is to end.
    pub(super) fn explain(&mut self) -> Result<Value, Interrupted> {
        self.ask("Explain", json!({ "connector": CONNECTOR }))
    }

    /// Waits until no more jobs run than may, and those that run began under this limit.
    ///
    /// # Errors
    /// If it is to end.
    pub(super) fn settle(&mut self) -> Result<(), Interrupted> {
        let begin = Instant::now();
        loop {
            let State { limit, in_use, .. } = self.state()?;
            if in_use <= limit || begin.elapsed() > Duration::from_secs(20) {
                return interrupt::wait_until(Instant::now() + Duration::from_millis(400));
            }
            interrupt::wait_until(Instant::now() + Duration::from_millis(20))?;
        }
    }

    /// Lets them work for so long. `each` is told each tick how the connector stands, and which jobs
    /// ended since the last one.
    ///
    /// # Errors
    /// If it is to end.
    pub(super) fn run(
        &mut self,
        length: Duration,
        mut each: impl FnMut(&mut Self, State, &[Duration]) -> Result<(), Interrupted>,
    ) -> Result<Stretch, Interrupted> {
        let begin = Instant::now();
        let before = (self.tally.pieces(), self.tally.killed());
        drop(self.tally.take_ended());
        let mut stretch = Stretch::default();
        loop {
            let next = (begin.elapsed() + TICK).min(length);
            interrupt::wait_until(begin + next)?;
            if next == length {
                stretch.pieces = self.tally.pieces() - before.0;
                stretch.killed = self.tally.killed() - before.1;
                stretch.seconds = begin.elapsed().as_secs_f64();
            }
            let (state, ended) = (self.state()?, self.tally.take_ended());
            stretch.states.push(state);
            each(self, state, &ended)?;
            stretch.jobs.extend(ended);
            if next == length {
                return Ok(stretch);
            }
        }
    }

    /// Lets everybody go home, and the agent too.
    ///
    /// # Errors
    /// If it is to end at once.
    pub(super) fn end(mut self) -> Result<(), Interrupted> {
        self.tally.end();
        // Who waits gets a slot, sees that it is over, and gives it back.
        self.set_limit(ALL)?;
        if let Some(crew) = self.crew.take() {
            crew.end();
        }
        Ok(())
    }

    /// Calls, unless it is to end: then the agent may be gone already.
    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value, Interrupted> {
        if interrupt::is_asked() {
            return Err(Interrupted);
        }
        Ok(self.control.call(method, parameters).expect("an answer"))
    }

    /// The workload.
    #[must_use]
    pub(super) fn workload(&self) -> &'a Workload {
        self.workload
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.tally.end();
    }
}

impl State {
    /// How many might run: the limit, or, where somebody waits although that is not reached, those
    /// that run. Then it is not the limit that holds them back, but memory.
    #[must_use]
    pub(super) fn allowed(self) -> u32 {
        if self.waiting > 0 { self.limit.min(self.in_use) } else { self.limit }
    }
}

impl Stretch {
    /// Pieces of work a second.
    #[must_use]
    pub(super) fn goodput(&self) -> f64 {
        self.pieces as f64 / self.seconds
    }

    /// Adds another stretch of the same.
    pub(super) fn extend(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.pieces += other.pieces;
        self.killed += other.killed;
        self.jobs.extend(other.jobs);
        self.states.extend(other.states);
    }

    /// What this share of the jobs, in percent, did not take longer than, in milliseconds.
    #[must_use]
    pub(super) fn job_ms(&self, percent: usize) -> f64 {
        let ms = self.jobs.iter().map(|took| took.as_secs_f64() * 1e3).collect();
        crate::bench::quantile(ms, percent)
    }
}
