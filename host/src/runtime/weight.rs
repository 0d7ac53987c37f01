//! Which functions may have the places in the pool where nothing was ever done that writes to much memory.
//!
//! A place keeps every page that an execution wrote to there, and puts all of them back after each execution that comes later, up to a bound. Those
//! that write to many pages would leave the others with work that is several times their own. What a program is like shows when it runs: a
//! function starts among the heavy ones, and is one of them for good when it was light and then was not.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::tunables::{LIGHT_EXECUTIONS, LIGHT_FUEL};

/// How many light executions a function has had one after the other.
#[derive(Debug, Default)]
pub struct Weight(AtomicU32);

/// Never again light.
const HEAVY: u32 = u32::MAX;

impl Weight {
    /// Whether its executions are among the light ones.
    pub fn is_light(&self) -> bool {
        self.0.load(Ordering::Relaxed) == LIGHT_EXECUTIONS
    }

    /// Notes what an execution has used.
    pub fn note(&self, fuel: u64) {
        let next = |before| match before {
            HEAVY => None,
            LIGHT_EXECUTIONS => (fuel > LIGHT_FUEL).then_some(HEAVY),
            _ if fuel > LIGHT_FUEL => Some(0),
            light => Some(light + 1),
        };
        // Nothing to note is no failure.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_light_after_some_light_executions_until_one_is_not() {
        let weight = Weight::default();
        let light = |count| (0..count).for_each(|_| weight.note(LIGHT_FUEL));
        light(LIGHT_EXECUTIONS - 1);
        assert!(!weight.is_light());
        weight.note(LIGHT_FUEL + 1);
        light(LIGHT_EXECUTIONS - 1);
        assert!(!weight.is_light());
        light(1);
        assert!(weight.is_light());
        light(1_000);
        assert!(weight.is_light());
        weight.note(LIGHT_FUEL + 1);
        light(1_000);
        assert!(!weight.is_light());
    }
}
