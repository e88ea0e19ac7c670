//! An external service: how many may use it at a time, how often, and when it wants to be left
//! alone.
//!
//! "Too many requests" closes it for as long as it says, or for a time that doubles with each
//! such answer in a row; and lowers the number that may use it at a time. That rises again by one in
//! each `recovery`, up to `avoid` of the number that was too many, and beyond only after `memory`:
//! each trial costs a pause. Several such answers while it is closed are one, and so are those that
//! come while more use it than may by then: they were under way.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Moment, Ticket};

/// At most so many calls in a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Places given per second, on average.
    pub per_second: f64,
    /// Places that may be given at once after a quiet time.
    pub burst: f64,
}

/// What an operator says of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderSettings {
    /// How many may use it at a time, at least 1.
    pub cap: u32,
    /// How often it may be used.
    pub rate: Option<Rate>,
    /// How long it is closed after "too many requests" that says nothing of that.
    pub pause: Duration,
    /// It is never closed for longer.
    pub longest_pause: Duration,
    /// How long after "too many requests" one more than before may use it again.
    pub recovery: Duration,
    /// How long the number that was too many is avoided.
    pub memory: Duration,
    /// Share of those that used it then that may use it after "too many requests".
    pub cut: f64,
    /// Share of them that is avoided for as long as `memory`.
    pub avoid: f64,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            cap: 5,
            rate: None,
            // Services that send no Retry-After mostly count by the second.
            pause: Duration::from_secs(1),
            // A wrong Retry-After must not close a provider for days.
            longest_pause: Duration::from_secs(3600),
            // Slow enough to see the answer to one more before the next.
            recovery: Duration::from_secs(10),
            // Services change their limits rarely, and forgive a try in ten minutes.
            memory: Duration::from_secs(600),
            // One fewer of many is often enough, and two cuts make 0.7.
            cut: 0.85,
            // Who uses it is not always asking it: it may bear fewer than were there when it refused.
            avoid: 0.9,
        }
    }
}

/// How a provider stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderState {
    /// How many may use it at a time now.
    pub cap: u32,
    /// How many do.
    pub in_use: u32,
    /// Requests for a permit that wait.
    pub waiting: u32,
    /// How much longer it is closed.
    pub closed: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Lowered {
    to: f64,
    /// Fewer than what was too many.
    below: f64,
    at: Moment,
    in_a_row: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Provider {
    settings: ProviderSettings,
    pub(super) in_use: u32,
    closed_until: Moment,
    lowered: Option<Lowered>,
    tokens: f64,
    filled: Moment,
    pub(super) waiting: VecDeque<(Ticket, Moment)>,
}

impl Provider {
    pub(super) fn new(now: Moment, settings: ProviderSettings) -> Self {
        Self {
            settings,
            in_use: 0,
            closed_until: Moment(0),
            lowered: None,
            tokens: settings.rate.map_or(0.0, |rate| rate.burst),
            filled: now,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn configure(&mut self, now: Moment, settings: ProviderSettings) {
        self.fill(now);
        self.settings = settings;
        if let Some(rate) = settings.rate {
            self.tokens = self.tokens.min(rate.burst);
        }
    }

    /// How many may use it at a time.
    pub(super) fn cap(&self, now: Moment) -> u32 {
        let cap = self.settings.cap.max(1);
        let Some(lowered) = self.lowered else { return cap };
        let recovered =
            now.since(lowered.at).as_secs_f64() / self.settings.recovery.as_secs_f64().max(0.001);
        let risen = (lowered.to + recovered.floor()).min(lowered.below);
        let memory = self.settings.memory;
        let beyond = now.since(lowered.at).saturating_sub(memory).as_secs_f64()
            / self.settings.recovery.as_secs_f64().max(0.001);
        let allowed = (risen + beyond.floor()).clamp(1.0, f64::from(cap));
        #[allow(clippy::cast_sign_loss, reason = "between 1 and a u32")]
        let allowed = allowed as u32;
        allowed
    }

    pub(super) fn has_room(&self, now: Moment) -> bool {
        self.opens(now).is_none_or(|opens| opens <= now) && self.in_use < self.cap(now)
    }

    fn tokens(&self, now: Moment) -> f64 {
        let Some(rate) = self.settings.rate else { return f64::INFINITY };
        let gained = now.since(self.filled).as_secs_f64() * rate.per_second.max(0.0);
        (self.tokens + gained).min(rate.burst.max(1.0))
    }

    fn fill(&mut self, now: Moment) {
        if self.settings.rate.is_some() {
            self.tokens = self.tokens(now);
        }
        self.filled = self.filled.max(now);
    }

    pub(super) fn take(&mut self, now: Moment) {
        self.in_use += 1;
        self.fill(now);
        self.tokens -= 1.0;
    }

    /// A place that was held before a restart.
    pub(super) fn take_back(&mut self) {
        self.in_use += 1;
    }

    pub(super) fn give_back(&mut self) {
        self.in_use = self.in_use.saturating_sub(1);
    }

    /// The service said "too many requests".
    pub(super) fn throttled(&mut self, now: Moment, retry_after: Option<Duration>) {
        let in_a_row = match self.lowered {
            _ if self.closed_until > now => {
                return self.close(now, retry_after.unwrap_or_default());
            }
            Some(lowered) if now.since(lowered.at) < self.settings.recovery * 2 => {
                lowered.in_a_row.saturating_add(1)
            }
            _ => 0,
        };
        let cap = self.cap(now);
        let doubled = self.settings.pause.saturating_mul(1 << in_a_row.min(6));
        self.close(now, retry_after.unwrap_or(doubled));
        let at = self.closed_until;
        self.lowered = Some(match self.lowered {
            // Those that were too many have not gone yet: so few were not refused.
            Some(before) if self.in_use > cap => Lowered { at, in_a_row, ..before },
            _ => {
                let used = f64::from(self.in_use.clamp(1, cap));
                let to = (used * self.settings.cut).floor().max(1.0);
                let below = (used * self.settings.avoid).floor().min(used - 1.0).max(to);
                Lowered { to, below, at, in_a_row }
            }
        });
    }

    fn close(&mut self, now: Moment, pause: Duration) {
        self.closed_until = self.closed_until.max(now + pause.min(self.settings.longest_pause));
    }

    /// When it may be used again, as far as that is a matter of time; `None` if it may now.
    fn opens(&self, now: Moment) -> Option<Moment> {
        let tokens = self.tokens(now);
        let rate = self.settings.rate.map_or(1.0, |rate| rate.per_second.max(1e-6));
        let missing = Duration::try_from_secs_f64(((1.0 - tokens) / rate).max(0.0));
        let next = if tokens < 1.0 {
            // Rounded up, so that the token is there when somebody looks.
            now + missing.unwrap_or(Duration::MAX) + Duration::from_nanos(1)
        } else {
            now
        };
        let opens = next.max(self.closed_until);
        (opens > now).then_some(opens)
    }

    /// The next moment at which time alone makes room.
    pub(super) fn next_change(&self, now: Moment) -> Option<Moment> {
        if let Some(opens) = self.opens(now) {
            return Some(opens);
        }
        let lowered = self.lowered?;
        if self.cap(now) >= self.settings.cap || self.in_use < self.cap(now) {
            return None;
        }
        let recovery = self.settings.recovery.max(Duration::from_millis(1));
        let steps = now.since(lowered.at).as_nanos() / recovery.as_nanos();
        let step = u32::try_from(steps).unwrap_or(u32::MAX).saturating_add(1);
        Some(lowered.at + recovery.saturating_mul(step))
    }

    pub(super) fn state(&self, now: Moment) -> ProviderState {
        ProviderState {
            cap: self.cap(now),
            in_use: self.in_use,
            waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            closed: self.closed_until.since(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    #[test]
    fn a_cap_holds() {
        let mut provider =
            Provider::new(at(0), ProviderSettings { cap: 2, ..ProviderSettings::default() });
        provider.take(at(0));
        assert!(provider.has_room(at(0)));
        provider.take(at(0));
        assert!(!provider.has_room(at(0)));
        provider.give_back();
        assert!(provider.has_room(at(0)));
    }

    #[test]
    fn too_many_requests_close_it_then_it_recovers_by_one_at_a_time() {
        let mut provider =
            Provider::new(at(0), ProviderSettings { cap: 10, ..ProviderSettings::default() });
        for _ in 0..10 {
            provider.take(at(0));
        }
        provider.throttled(at(0), Some(Duration::from_secs(5)));
        provider.throttled(at(10), None);
        for _ in 0..10 {
            provider.give_back();
        }
        assert!(!provider.has_room(at(4_999)));
        assert_eq!(provider.next_change(at(20)), Some(at(5_000)));
        assert!(provider.has_room(at(5_000)));
        let caps = [5_000, 14_999, 15_000, 35_000, 1_000_000].map(|ms| provider.cap(at(ms)));
        assert_eq!(caps, [8, 8, 9, 9, 10]);
    }

    #[test]
    fn those_that_were_too_many_and_are_still_there_lower_it_once() {
        let settings = ProviderSettings { cap: 100, ..ProviderSettings::default() };
        let mut provider = Provider::new(at(0), settings);
        (0..20).for_each(|_| provider.take(at(0)));
        let refused = [0, 6_000, 12_000];
        let caps = refused.map(|ms| {
            provider.throttled(at(ms), Some(Duration::from_secs(5)));
            provider.cap(at(ms + 5_000))
        });
        assert_eq!(caps, [17, 17, 17]);
        assert_eq!(provider.cap(at(300_000)), 18, "nine tenths of what was too many");
    }

    #[test]
    fn repeated_refusals_without_a_time_close_it_for_longer_and_longer() {
        let mut provider = Provider::new(at(0), ProviderSettings::default());
        provider.throttled(at(0), None);
        assert!(provider.has_room(at(1_000)));
        provider.throttled(at(1_000), None);
        assert!(!provider.has_room(at(2_999)) && provider.has_room(at(3_000)));
    }

    #[test]
    fn no_service_closes_itself_for_ever() {
        let mut provider = Provider::new(at(0), ProviderSettings::default());
        provider.throttled(at(0), Some(Duration::MAX));
        assert_eq!(provider.state(at(0)).closed, Duration::from_secs(3600));
    }

    #[test]
    fn a_rate_is_kept_over_any_time() {
        let rate = Some(Rate { per_second: 2.0, burst: 3.0 });
        let settings = ProviderSettings { cap: 1000, rate, ..ProviderSettings::default() };
        let mut provider = Provider::new(at(0), settings);
        let mut given = 0;
        for ms in 0..10_000 {
            if provider.has_room(at(ms)) {
                provider.take(at(ms));
                given += 1;
            }
        }
        assert_eq!(given, 3 + 19, "a burst, then two a second");
        let opens = provider.next_change(at(9_999)).unwrap();
        assert!(provider.has_room(opens));
    }
}
