//! Where more jobs do no more: disks, networks, servers, locks, anything whose capacity nobody knows.
//!
//! What a job does per second, its waits for a CPU taken out, is its speed. Alone it has the
//! reference speed; what it loses beside others is what they take from it. Jobs times speed is the
//! rate, and the knee is where one job more adds less to the rate than a small part of what a job
//! does alone.
//!
//! - *Ramp*: the limit doubles while the speed holds. When it falls, the rate divided by the
//!   reference speed is how many jobs the resource can feed (the product of bandwidth and delay:
//!   Kleinrock, "Power and deterministic rules of thumb", 1979): that is where it goes.
//! - *Hold*: now and then it tries some more and some fewer in turn, and keeps what pays.
//!
//! Each judgement waits until enough was seen: the error of a speed is its spread among jobs by the
//! root of the job-seconds seen. What is not clear in time counts for more jobs and never for fewer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::learn::Work;
use crate::model::Moment;

/// How knees are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KneeSettings {
    /// Share of its life that a job must spend neither running nor waiting for a CPU for there to
    /// be a knee. 0.1: below, the CPUs explain it all.
    pub least_idle: f64,
    /// Part of the reference speed above which a ramp doubles. 0.8.
    pub holds: f64,
    /// The limit is set so much above what the resource can feed. 1.1: there is always somebody
    /// for it when jobs do other things between.
    pub headroom: f64,
    /// Value of one job more, as a part of what a job does alone, above which there are more. 0.2.
    pub worth: f64,
    /// The first trial changes the limit by this part. 0.3: less is lost in noise.
    pub stride: f64,
    /// Trials that bring nothing shorten the stride down to this. 0.1.
    pub least_stride: f64,
    /// Relative error of a speed to judge a ramp by. 0.08.
    pub ramp_error: f64,
    /// Relative error of a speed to judge a trial by. 0.04: a sixth of what a stride costs beyond
    /// a knee.
    pub trial_error: f64,
    /// Errors by which a ramp must have lost speed to end. 1.5: a ramp that ends too early is slow
    /// to go on, one that ends too late has shown where the knee is.
    pub sure: f64,
    /// A window is at least this long. 1 s.
    pub least_window: Duration,
    /// A ramp judges after so long at the latest. 2 s: a step too far shows at once, and is taken
    /// back.
    pub ramp_window: Duration,
    /// A trial judges after so long at the latest. 12 s: what is not clear by then counts for more
    /// jobs, since many jobs make it clear sooner.
    pub longest_window: Duration,
    /// Between trials, at first. 15 s.
    pub first_pause: Duration,
    /// ... and when they bring nothing. 120 s: a trial of a tenth for a tenth of the time costs a
    /// hundredth at most.
    pub longest_pause: Duration,
    /// How long after a change nothing is judged. 1 s, and at most a third of a job.
    pub settle: Duration,
}

impl Default for KneeSettings {
    fn default() -> Self {
        Self {
            least_idle: 0.1,
            holds: 0.8,
            headroom: 1.1,
            worth: 0.2,
            stride: 0.3,
            least_stride: 0.1,
            ramp_error: 0.08,
            trial_error: 0.04,
            sure: 1.5,
            least_window: Duration::from_secs(1),
            ramp_window: Duration::from_secs(2),
            longest_window: Duration::from_secs(12),
            first_pause: Duration::from_secs(15),
            longest_pause: Duration::from_secs(120),
            settle: Duration::from_secs(1),
        }
    }
}

/// What a knee goes by, besides the work of a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The time.
    pub now: Moment,
    /// How long the work took.
    pub seconds: f64,
    /// Whether somebody waits for a slot.
    pub wanted: bool,
    /// The limit in force.
    pub limit: u32,
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
    Hold { until: Moment },
    Trial { base: Point, from: f64 },
}

/// What was seen at a number of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    jobs: f64,
    speed: f64,
    /// Relative error of the speed.
    error: f64,
}

impl Point {
    fn rate(self) -> f64 {
        self.jobs * self.speed
    }
}

/// The knee of one connector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    phase: Phase,
    at: f64,
    /// What was done in steps that held, and in how many uncontended job-seconds.
    reference: (f64, f64),
    stride: f64,
    by_bytes: bool,
    window: Work,
    window_seconds: f64,
    settled: Moment,
    next_up: bool,
    pause: Duration,
    in_force: bool,
    tried: u64,
}

impl Default for Knee {
    fn default() -> Self {
        Self {
            phase: Phase::Ramp { before: None },
            at: 0.0,
            reference: (0.0, 0.0),
            stride: KneeSettings::default().stride,
            by_bytes: false,
            window: Work::default(),
            window_seconds: 0.0,
            settled: Moment(0),
            next_up: true,
            pause: KneeSettings::default().first_pause,
            in_force: false,
            tried: 0,
        }
    }
}

impl Knee {
    /// The most jobs that make sense; `None` while nothing says that there is such a number.
    #[must_use]
    pub fn jobs(&self) -> Option<f64> {
        self.in_force.then_some(self.at.max(1.0))
    }

    /// What a job does per second alone, in cores or bytes.
    #[must_use]
    pub fn reference(&self) -> f64 {
        let (done, seconds) = self.reference;
        if seconds > 0.0 { done / seconds } else { 0.0 }
    }

    /// Steps and trials so far.
    #[must_use]
    pub fn tried(&self) -> u64 {
        self.tried
    }

    /// Forgets all: what jobs do has become another.
    pub fn reset(&mut self) {
        *self = Self { at: self.at, in_force: self.in_force, ..Self::default() };
    }

    /// Takes in what the jobs did since this was called last.
    pub fn update(&mut self, settings: &KneeSettings, work: &Work, idle: f64, seen: &Seen) {
        if idle < settings.least_idle {
            // The CPUs explain what there is to explain.
            self.in_force = false;
            return;
        }
        if !self.in_force {
            *self = Self { at: self.at.max(seen.first).max(1.0), ..Self::default() };
            self.in_force = true;
            self.move_to(settings, self.at, seen);
        }
        if seen.now < self.settled || work.free <= 0.0 || seen.seconds <= 0.0 {
            return;
        }
        self.window.fade_and_add(1.0, work);
        self.window_seconds += seen.seconds;
        let jobs = self.window.jobs / self.window_seconds;
        let bytes = self.window.bytes > 0.0 && idle > 0.5;
        if bytes != self.by_bytes {
            // Another measure has another reference.
            let fresh = Self { by_bytes: bytes, at: self.at, in_force: true, ..Self::default() };
            *self = fresh;
            return;
        }
        let point = Point { jobs, speed: self.speed(), error: self.error() };
        match self.phase {
            Phase::Ramp { before } => self.ramp(settings, seen, before, point),
            Phase::Hold { until } => self.hold(settings, seen, until, point),
            Phase::Trial { base, from } => self.judge(settings, seen, (base, from), point),
        }
    }

    fn speed(&self) -> f64 {
        let done = if self.by_bytes { self.window.bytes } else { self.window.cpu };
        done / self.window.free.max(1e-9)
    }

    /// Relative error of the speed over the window.
    fn error(&self) -> f64 {
        let (done, squares) = if self.by_bytes {
            (self.window.bytes, self.window.byte_squares)
        } else {
            (self.window.cpu, self.window.cpu_squares)
        };
        let free = self.window.free.max(1e-9);
        let mean = done / free;
        if mean <= 0.0 {
            // As good as infinite, and a number that can be written down.
            return f64::MAX;
        }
        let variance = (squares / free - mean * mean).max(0.0);
        variance.sqrt() / mean / free.sqrt()
    }

    fn move_to(&mut self, settings: &KneeSettings, jobs: f64, seen: &Seen) {
        self.at = jobs.max(1.0);
        self.forget_window();
        let third = seen.job_seconds.map(|seconds| seconds / 3.0).unwrap_or(1.0);
        let least = settings.settle.as_secs_f64();
        let settle = Duration::try_from_secs_f64(third.clamp(least.min(0.25), least * 3.0));
        self.settled = seen.now + settle.unwrap_or(settings.settle);
    }

    fn rest(&mut self, seen: &Seen) {
        self.phase = Phase::Hold { until: seen.now + self.pause };
    }

    /// Whether the limit is this knee's doing and used up: only then a window says something of it.
    fn binds(&self, seen: &Seen) -> bool {
        seen.wanted && self.at <= seen.allowed * 1.05
    }

    fn ramp(&mut self, settings: &KneeSettings, seen: &Seen, before: Option<Point>, now: Point) {
        let late = self.window_seconds >= settings.ramp_window.as_secs_f64();
        if !seen.wanted || now.jobs < 0.7 * self.at.min(seen.allowed) {
            // It has all that it wants, or has not come there yet.
            if late {
                self.forget_window();
            }
            return;
        }
        let enough = now.error <= settings.ramp_error
            && self.window_seconds >= settings.least_window.as_secs_f64();
        if !enough && !late {
            return;
        }
        self.tried += 1;
        let alone = self.reference();
        let surely = now.speed * (1.0 + settings.sure * now.error.min(1.0));
        if surely >= settings.holds * alone {
            self.reference.0 += now.speed * self.window.free;
            self.reference.1 += self.window.free;
            if self.at > seen.allowed * 2.0 {
                // Something else binds by far: there is no need to know more.
                self.forget_window();
                return;
            }
            self.phase = Phase::Ramp { before: Some(now) };
            self.move_to(settings, self.at.max(now.jobs) * 2.0, seen);
            return;
        }
        // Over the knee: so many jobs can be fed.
        let best = before.map_or(now.rate(), |before| before.rate().max(now.rate()));
        let fed = settings.headroom * best / alone.max(1e-12);
        let least = before.map_or(1.0, |before| before.jobs);
        self.move_to(settings, fed.clamp(least, now.jobs.max(least)), seen);
        self.next_up = true;
        self.stride = settings.stride;
        self.rest(seen);
    }

    fn forget_window(&mut self) {
        self.window = Work::default();
        self.window_seconds = 0.0;
    }

    fn hold(&mut self, settings: &KneeSettings, seen: &Seen, until: Moment, now: Point) {
        // A window that slides: the base of the next trial is what was seen lately. All sums fade
        // alike, so the means stay.
        if self.window_seconds > 2.0 * settings.longest_window.as_secs_f64() {
            self.window.fade_and_add(0.5, &Work::default());
            self.window_seconds *= 0.5;
        }
        if !self.binds(seen) {
            if seen.wanted && self.at > seen.allowed * 1.05 {
                // Something else binds now: when it does no longer, the search goes on from here.
                self.phase = Phase::Ramp { before: None };
                self.reference = (0.0, 0.0);
            }
            return;
        }
        let settled = self.window_seconds >= settings.longest_window.as_secs_f64()
            || now.error <= settings.trial_error;
        if seen.now < until || !settled {
            return;
        }
        self.tried += 1;
        let step = if self.next_up { 1.0 + self.stride } else { 1.0 / (1.0 + self.stride) };
        // At least one job's difference.
        let target = self.at * step;
        let target =
            if self.next_up { target.max(self.at + 1.0) } else { target.min(self.at - 1.0) };
        if target < 1.0 {
            self.next_up = true;
            self.rest(seen);
            return;
        }
        self.phase = Phase::Trial { base: now, from: self.at };
        self.move_to(settings, target, seen);
    }

    fn judge(&mut self, settings: &KneeSettings, seen: &Seen, tried: (Point, f64), now: Point) {
        let (base, from) = tried;
        if !seen.wanted {
            self.back(settings, seen, from);
            return;
        }
        let long = self.window_seconds >= settings.longest_window.as_secs_f64();
        let clear = now.error <= settings.trial_error
            && self.window_seconds >= settings.least_window.as_secs_f64();
        if !clear && !long {
            return;
        }
        let upward = self.at > from;
        if (now.jobs - base.jobs) * (self.at - from) <= 0.0 {
            // It never came there.
            self.back(settings, seen, from);
            return;
        }
        let alone = base.speed.max(0.5 * self.reference());
        let worth = value(base, now, alone);
        let hardly = worth.mean + worth.error < settings.worth;
        if hardly != upward {
            self.stride = (self.stride * 1.3).min(settings.stride);
            self.pause = settings.first_pause / 3;
            self.forget_window();
            self.next_up = upward;
            self.rest(seen);
        } else {
            self.stride = (self.stride * 0.6).max(settings.least_stride);
            self.back(settings, seen, from);
        }
    }

    fn back(&mut self, settings: &KneeSettings, seen: &Seen, from: f64) {
        self.next_up = !self.next_up;
        self.pause = (self.pause * 2).clamp(settings.first_pause, settings.longest_pause);
        self.move_to(settings, from, seen);
        self.rest(seen);
    }
}

/// What each job more adds to the rate, as a part of what a job does alone.
struct Value {
    mean: f64,
    error: f64,
}

fn value(before: Point, after: Point, alone: f64) -> Value {
    let unit = (after.jobs - before.jobs) * alone;
    if unit.abs() < 1e-12 {
        return Value { mean: 0.0, error: 0.0 };
    }
    let errors = (before.rate() * before.error).hypot(after.rate() * after.error);
    Value { mean: (after.rate() - before.rate()) / unit, error: errors / unit.abs() }
}
