//! Pauses between retries. Apart because everything that retries does it alike.

pub(crate) mod chance;

use std::time::Duration;

use crate::backoff::chance::Chance;
use crate::settings::ClientSettings;

/// Exponential pauses with jitter: each between half of its nominal length and all of it, so that clients
/// that failed together do not come back together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    chance: Chance,
}

impl Backoff {
    pub(crate) fn new(settings: &ClientSettings) -> Self {
        Self { min: settings.backoff_min, max: settings.backoff_max, chance: Chance::new() }
    }

    /// The pause before retry number `attempt`, counted from 0.
    pub(crate) fn pause(&mut self, attempt: u32) -> Duration {
        let doubled = self.min.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let nominal = doubled.min(self.max);
        // 53 bits make a fraction below 1 without rounding.
        let fraction = (self.chance.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        nominal.mul_f64(0.5 + fraction / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary() {
        let mut settings = ClientSettings::new("a:1").unwrap();
        settings.backoff_min = Duration::from_millis(10);
        settings.backoff_max = Duration::from_millis(100);
        let mut backoff = Backoff::new(&settings);
        for (attempt, nominal) in [(0, 10), (1, 20), (3, 80), (4, 100), (31, 100), (40, 100)] {
            for _ in 0..100 {
                let pause = backoff.pause(attempt);
                assert!(pause >= Duration::from_millis(nominal) / 2, "{attempt}: {pause:?}");
                assert!(pause <= Duration::from_millis(nominal), "{attempt}: {pause:?}");
            }
        }
        let pauses: std::collections::BTreeSet<_> = (0..50).map(|_| backoff.pause(4)).collect();
        assert!(pauses.len() > 40);
    }
}
