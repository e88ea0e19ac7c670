//! Where more jobs do no more: disks, networks, servers, locks, anything whose capacity nobody knows.
//!
//! What a job moves per second that it waits for a device or a socket is its speed there. Alone it
//! has the reference speed; what it loses beside others is what they take from it. Jobs that are there
//! times speed is the rate, and the knee is where one job more adds less to the rate than a small part
//! of what each does there. How many are there at a time, and for how long, is measured: time on a
//! CPU or in the run queue counts for neither, so the stages that jobs happen to be in do not matter.
//!
//! - *Ramp*: the limit grows by half while the speed holds. When it falls, the rate divided by the
//!   reference speed is how many jobs the resource can feed (the product of bandwidth and delay:
//!   Kleinrock, "Power and deterministic rules of thumb", 1979): that is where it goes. At a disk,
//!   where the rate rose, the last step is judged as a trial first.
//! - *Hold*: now and then it tries some more and some fewer in turn, and keeps what pays. Where that
//!   takes back what was kept before, both are about as good, and trials become rarer.
//!
//! Jobs that wait and move nothing are taken at their word: the plan for CPUs goes by what they use.
//! Only where more and more of them do no more, though CPUs idle and still more want in, they wait
//! for each other, and there is a knee too ([`Suspicion`]).
//!
//! Each judgement waits until enough was seen: the error of a speed is its spread among jobs by the
//! root of the job-seconds seen. What is not clear in time counts for more jobs and never for fewer, and
//! no second is believed alone that it should be fewer, since all jobs may have been slow in it.

mod reference;
mod settings;
mod suspicion;
#[cfg(test)]
mod tests;
mod trial;
mod window;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use reference::Reference;
pub use settings::KneeSettings;
use suspicion::Suspicion;
use trial::Failed;
use window::{Measure, Point, Value, Window};

use crate::learn::Work;
use crate::model::{Constraint, Moment};

/// What a knee goes by, besides the work of a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The time.
    pub now: Moment,
    /// How long the work took.
    pub seconds: f64,
    /// Whether somebody waits for a slot.
    pub wanted: bool,
    /// Jobs that run.
    pub in_use: u32,
    /// The limit in force.
    pub limit: u32,
    /// Use of the host's CPUs, from 0 to 1.
    pub used: f64,
    /// What else would allow: the plan without a knee.
    pub allowed: f64,
    /// The preferred concurrency: where to begin.
    pub first: f64,
    /// How long a job takes, if that is known.
    pub job_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Ramp { before: Option<Point> },
    Hold { until: Moment, failed: Option<Failed> },
    Trial { base: Point, from: f64 },
}

/// The knee of one connector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// What it is of; `None` while nothing says that there is one.
    measure: Option<Measure>,
    phase: Phase,
    at: f64,
    reference: Reference,
    stride: f64,
    /// What jobs did lately: what they wait for shows.
    lately: Work,
    suspicion: Suspicion,
    window: Window,
    moved: Moment,
    next_up: bool,
    /// Whether what the last trial that paid kept was more; `None` while none did.
    kept_more: Option<bool>,
    pause: Duration,
    tried: u64,
}

impl Default for Knee {
    fn default() -> Self {
        Self {
            measure: None,
            phase: Phase::Ramp { before: None },
            at: 0.0,
            reference: Reference::default(),
            stride: KneeSettings::default().stride,
            lately: Work::default(),
            suspicion: Suspicion::default(),
            window: Window::default(),
            moved: Moment(0),
            next_up: true,
            kept_more: None,
            pause: KneeSettings::default().first_pause,
            tried: 0,
        }
    }
}

impl Knee {
    /// The most jobs that make sense; `None` while nothing says that there is such a number.
    #[must_use]
    pub fn jobs(&self) -> Option<f64> {
        self.measure.map(|_| self.at.max(1.0))
    }

    /// What there is a knee of: a disk, or something behind a socket.
    #[must_use]
    pub fn of(&self) -> Constraint {
        self.measure.unwrap_or(Measure::Cpu).constraint()
    }

    /// Steps and trials so far.
    #[must_use]
    pub fn tried(&self) -> u64 {
        self.tried
    }

    /// Takes in what the jobs did since this was called last.
    pub fn update(&mut self, settings: &KneeSettings, work: &Work, idle: f64, seen: &Seen) {
        if work.free <= 0.0 || seen.seconds <= 0.0 {
            return;
        }
        self.lately.fade_and_add(settings.evidence_fades, work);
        let Some(measure) = self.evidence(settings, work, idle, seen) else {
            self.measure = None;
            return;
        };
        if self.measure != Some(measure) {
            self.begin(measure, seen);
            return;
        }
        if !self.is_settled(settings, seen) {
            return;
        }
        self.window.add(work, seen.seconds, seen.used);
        let Some(point) = self.window.point(measure) else {
            self.window = Window::default();
            return;
        };
        match self.phase {
            Phase::Ramp { before } => self.ramp(settings, seen, before, point),
            Phase::Hold { until, failed } => self.hold(settings, seen, (until, failed), point),
            Phase::Trial { base, from } => self.judge(settings, seen, (base, from), point),
        }
    }

    /// What says that there is a knee.
    fn evidence(
        &mut self,
        settings: &KneeSettings,
        work: &Work,
        idle: f64,
        seen: &Seen,
    ) -> Option<Measure> {
        if idle < settings.least_idle {
            // The CPUs explain what there is to explain.
            return None;
        }
        if let Some(moves) = Measure::of(&self.lately, self.measure) {
            return Some(moves);
        }
        if self.measure == Some(Measure::Cpu) {
            // Something else binds by now: nobody waits for anybody else.
            return (self.at <= seen.allowed * 1.05).then_some(Measure::Cpu);
        }
        let jobs = self.suspicion.update(settings, work, seen)?;
        self.at = jobs;
        Some(Measure::Cpu)
    }

    fn begin(&mut self, measure: Measure, seen: &Seen) {
        let (at, phase) = match measure {
            // It was found by what came of more jobs.
            Measure::Cpu => (self.at, Phase::Hold { until: seen.now, failed: None }),
            _ => {
                let running = f64::from(seen.in_use);
                (self.at.max(seen.first).max(running), Phase::Ramp { before: None })
            }
        };
        *self = Self {
            measure: Some(measure),
            at: at.max(1.0),
            phase,
            lately: self.lately,
            ..Self::default()
        };
        self.moved = seen.now;
    }

    /// Whether as many run as should since the limit was moved, or as good as.
    fn is_settled(&self, settings: &KneeSettings, seen: &Seen) -> bool {
        if seen.now.since(self.moved) >= self.patience(settings, seen) {
            return true;
        }
        let running = f64::from(seen.in_use);
        let is_full = !seen.wanted || running >= (0.9 * self.at.min(seen.allowed)).floor();
        is_full && running <= self.at + 0.5
    }

    /// How long it may take until a change shows.
    fn patience(&self, settings: &KneeSettings, seen: &Seen) -> Duration {
        let job = seen.job_seconds.and_then(|job| Duration::try_from_secs_f64(job).ok());
        job.unwrap_or(settings.longest_window / 2)
            .clamp(settings.least_window, settings.longest_window)
    }

    fn move_to(&mut self, jobs: f64, seen: &Seen) {
        // As whole as the limit that comes of it: what was tried is what is judged.
        self.at = jobs.round().max(1.0);
        self.window = Window::default();
        self.moved = seen.now;
    }

    fn rest(&mut self, seen: &Seen) {
        self.phase = Phase::Hold { until: seen.now + self.pause, failed: None };
    }

    /// Whether the limit is this knee's doing and used up: only then a window says something of it.
    fn binds(&self, seen: &Seen) -> bool {
        seen.wanted && self.at <= seen.allowed * 1.05
    }

    fn ramp(&mut self, settings: &KneeSettings, seen: &Seen, before: Option<Point>, now: Point) {
        let is_late = self.window.seconds >= settings.ramp_window.as_secs_f64();
        let has_waited = seen.now.since(self.moved) >= self.patience(settings, seen);
        let came = 1.0 + 0.6 * (settings.ramp_factor - 1.0);
        let came = before.is_none_or(|before| now.present >= came * before.present) || has_waited;
        if !seen.wanted || now.jobs < 0.7 * self.at.min(seen.allowed) || !came {
            // It has all that it wants, or has not come there yet.
            if is_late {
                self.window = Window::default();
            }
            return;
        }
        let is_clear = now.error <= settings.ramp_error
            && self.window.seconds >= settings.least_window.as_secs_f64();
        if !is_clear && !is_late {
            return;
        }
        self.tried += 1;
        let alone = self.reference.speed();
        let at_most = now.speed * (1.0 + settings.sure * self.reference.error_beside(&now));
        if at_most >= settings.holds * alone || now.error > settings.ramp_trust {
            self.reference.learn(&now, self.window.seconds, settings.sure);
            if self.at > seen.allowed * 2.0 {
                // Something else binds by far: there is no need to know more.
                self.window = Window::default();
                return;
            }
            self.phase = Phase::Ramp { before: Some(now) };
            // The nearer the knee, the smaller the step.
            let whole = (settings.holds_fully - settings.holds).max(1e-3);
            let left = (now.speed / alone - settings.holds) / whole;
            let factor = 1.0 + left.clamp(0.0, 1.0) * (settings.ramp_factor - 1.0);
            let next = (self.at.max(now.jobs) * factor).max(self.at + 1.0);
            self.move_to(next, seen);
            return;
        }
        // Over the knee: so many jobs can be fed.
        let best = before.map_or(now.rate(), |before| before.rate().max(now.rate()));
        let fed = now.jobs_for(settings.headroom * best / alone.max(1e-12), alone);
        let least = before.map_or(1.0, |before| before.jobs);
        let fed = fed.clamp(least, now.jobs.max(least)).round().max(1.0);
        self.next_up = true;
        // Half of the way to what was too many.
        let half = 0.5 * (now.jobs / fed - 1.0);
        self.stride = half.clamp(settings.least_stride, settings.stride);
        self.pause = settings.least_window;
        let is_more = |base: &Point| Value::between(base, &now).mean > 0.0;
        match before.filter(is_more) {
            // A disk may slow down by and by and still give more. A server refuses or breaks down.
            Some(base) if fed < self.at && self.measure == Some(Measure::Disk) => {
                self.phase = Phase::Trial { base, from: fed };
            }
            _ => {
                self.move_to(fed, seen);
                self.rest(seen);
            }
        }
    }
}
