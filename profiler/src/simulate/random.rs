//! Random numbers that are the same on every run: streams from a seed, and the distributions that
//! plants name.
//!
//! The generator is `ChaCha8`, whose numbers are fixed by its specification. Each use has a stream of
//! its own, so that what one part of a simulation draws changes nothing for another.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream `stream` of the seed `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// Uniform in [0, 1), all 53 bits of it.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of `0..count`; 0 if there is none.
    pub fn index(&mut self, count: usize) -> usize {
        // The product is below `count`, so nothing is cut off but the fraction.
        #[allow(clippy::cast_sign_loss, reason = "a product of numbers that are not negative")]
        let index = (self.unit() * count as f64) as usize;
        index
    }

    /// Uniform on a logarithmic scale in `low..high`, both positive.
    pub fn log_between(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller 1958; the second number is not used, so
    /// that each call takes two numbers from the stream).
    pub fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_each_time_and_unlike_the_others() {
        let first = |seed, stream| Random::new(seed, stream).unit().to_bits();
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(1, 2), first(2, 2));
    }

    #[test]
    fn exponential_and_normal_have_their_moments() {
        let mut random = Random::new(7, 0);
        let count = 100_000;
        let (mut sum, mut squares, mut waits) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            let normal = random.normal();
            sum += normal;
            squares += normal * normal;
            waits += random.exponential();
        }
        let count = f64::from(count);
        assert!((sum / count).abs() < 0.02);
        assert!((squares / count - 1.0).abs() < 0.02);
        assert!((waits / count - 1.0).abs() < 0.02);
    }
}
