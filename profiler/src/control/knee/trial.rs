//! Some more or some fewer for a while, and whether it paid.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reference::Reference;
use super::window::{Measure, Point, Value, Window};
use super::{Knee, KneeSettings, Phase, Seen};
use crate::model::Moment;

/// A trial of more jobs at a disk that brought nothing beside what was seen before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failed {
    tried: Point,
    at: f64,
    stride: f64,
}

impl Failed {
    /// Whether it was worth more than what is seen after it: then all were slow at the time.
    fn is_in_doubt(&self, settings: &KneeSettings, from: f64, after: &Point) -> bool {
        let came = (self.tried.present / after.present - 1.0) / (self.at / from - 1.0);
        came >= 0.5 && Value::between(after, &self.tried).most() >= settings.worth
    }
}

impl Knee {
    pub(super) fn hold(
        &mut self,
        settings: &KneeSettings,
        seen: &Seen,
        (until, failed): (Moment, Option<Failed>),
        now: Point,
    ) {
        // A window that slides: the base of the next trial is what was seen lately.
        if self.window.seconds > 2.0 * settings.longest_window.as_secs_f64() {
            self.window.halve();
        }
        if !self.binds(seen) {
            if seen.wanted && self.at > seen.allowed * 1.05 {
                // Something else binds now: when it does no longer, the search goes on from here.
                self.phase = Phase::Ramp { before: None };
                self.reference = Reference::default();
            }
            return;
        }
        let is_clear = now.error <= settings.trial_error
            && self.window.seconds >= 2.0 * settings.least_window.as_secs_f64();
        let is_long = self.window.seconds >= settings.longest_window.as_secs_f64();
        if !(is_clear || is_long) {
            return;
        }
        if let Some(failed) = failed {
            self.phase = Phase::Hold { until, failed: None };
            if failed.is_in_doubt(settings, self.at, &now) {
                self.stride = failed.stride;
                self.next_up = true;
                self.try_out(failed.at, seen, now);
                return;
            }
        }
        if seen.now < until {
            return;
        }
        let step = if self.next_up { 1.0 + self.stride } else { 1.0 / (1.0 + self.stride) };
        // At least one job's difference.
        let target = (self.at * step).round();
        let target =
            if self.next_up { target.max(self.at + 1.0) } else { target.min(self.at - 1.0) };
        if target < 1.0 {
            self.next_up = true;
            self.rest(seen);
            return;
        }
        self.try_out(target, seen, now);
    }

    fn try_out(&mut self, target: f64, seen: &Seen, base: Point) {
        self.tried += 1;
        self.phase = Phase::Trial { base, from: self.at };
        self.move_to(target, seen);
    }

    pub(super) fn judge(
        &mut self,
        settings: &KneeSettings,
        seen: &Seen,
        (base, from): (Point, f64),
        now: Point,
    ) {
        if !seen.wanted {
            self.back(settings, seen, from);
            return;
        }
        let is_long = self.window.seconds >= settings.longest_window.as_secs_f64();
        let is_clear = now.error <= settings.trial_error
            && self.window.seconds >= settings.least_window.as_secs_f64();
        // What part of the change has come to the resource.
        let came = (now.present / base.present - 1.0) / (self.at / from - 1.0);
        if !is_long && (!is_clear || came < 0.5) {
            return;
        }
        if came <= 0.0 {
            self.back(settings, seen, from);
            return;
        }
        let upward = self.at > from;
        let value = self.value(&base, &now);
        let hardly = value.most() < settings.worth;
        let is_brief = self.window.seconds < settings.trial_window.as_secs_f64();
        if hardly && is_brief && value.most() > -settings.steep {
            return;
        }
        if hardly == upward {
            let doubtful = upward && self.measure == Some(Measure::Disk);
            let failed = Failed { tried: now, at: self.at, stride: self.stride };
            self.stride = (self.stride * 0.6).max(settings.least_stride);
            self.back(settings, seen, from);
            let until = seen.now + self.pause;
            self.phase = Phase::Hold { until, failed: doubtful.then_some(failed) };
            return;
        }
        self.reference.learn(&now, self.window.seconds, settings.sure);
        self.stride = (self.stride * 1.3).min(settings.stride);
        let is_back = self.kept_more.replace(upward) == Some(!upward);
        self.pause = if is_back && self.measure == Some(Measure::Network) {
            // More paid and then fewer: chance decides between two that are about as good. At a disk
            // one of them was as likely judged in a slow minute of it.
            self.longer_pause(settings)
        } else {
            // After a ramp it goes on without a pause until a trial brings nothing.
            self.pause.min(settings.first_pause / 3)
        };
        self.window = Window::default();
        self.next_up = upward;
        self.rest(seen);
    }

    /// What each more adds. At a disk, which may slow down by and by, it counts beside what each does
    /// then. What is behind a socket may refuse or break down, so a fifth of what one does alone is asked of it.
    fn value(&self, base: &Point, now: &Point) -> Value {
        if self.measure == Some(Measure::Network) {
            let alone = self.reference.speed().max(base.speed).max(now.speed);
            return Value::of(base, now, alone);
        }
        Value::between(base, now)
    }

    fn back(&mut self, settings: &KneeSettings, seen: &Seen, from: f64) {
        self.next_up = !self.next_up;
        self.pause = self.longer_pause(settings);
        self.move_to(from, seen);
        self.rest(seen);
    }

    fn longer_pause(&self, settings: &KneeSettings) -> Duration {
        (self.pause * 2).clamp(settings.first_pause, settings.longest_pause)
    }
}
