//! The memory limit of one instance, and the budget all instances share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use wasmtime::ResourceLimiter;

use crate::tunables::FIBER_STACK_BYTES;

/// Guest memory of the whole host. Growth beyond it is refused, so that many guests within their own limits cannot
/// together take the machine down.
#[derive(Debug)]
pub struct MemoryBudget {
    size: usize,
    left: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { size: bytes, left: AtomicUsize::new(bytes) })
    }

    /// How much there is, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How much of it guests have, in bytes.
    pub fn used(&self) -> usize {
        self.size.saturating_sub(self.left.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: usize) -> bool {
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes)).is_ok()
    }

    /// Takes this much for as long as the share lives.
    pub fn share(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        self.take(bytes).then(|| Share { budget: self.clone(), bytes })
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::AcqRel);
    }
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Share {
    /// These bytes, of which this is the part of the budget: it is given back when they go.
    pub fn around(self, bytes: impl Into<Bytes>) -> Bytes {
        Bytes::from_owner(Counted { bytes: bytes.into(), _share: self })
    }

    /// How much it is, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more; false when there is not that much.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let grown = self.budget.take(bytes);
        if grown {
            self.bytes += bytes;
        }
        grown
    }
}

struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Why a growth was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The function's own limit.
    Function,
    /// The host's budget for all guests.
    Host,
}

/// Sums all linear memories and tables of one instance against the function's limit.
#[derive(Debug)]
pub struct MemoryLimiter {
    limit: usize,
    used: usize,
    stack: usize,
    refusal: Option<Refusal>,
    budget: Arc<MemoryBudget>,
}

impl MemoryLimiter {
    /// A limiter for one instance, in bytes. The stack it may use is taken from the budget at once: a guest can touch all of it and then
    /// wait, and no growth tells when. Where the budget has not even that, the instance gets nothing.
    pub fn new(limit: usize, budget: Arc<MemoryBudget>) -> Self {
        match budget.take(FIBER_STACK_BYTES) {
            true => Self { limit, used: 0, stack: FIBER_STACK_BYTES, refusal: None, budget },
            false => Self { limit: 0, used: 0, stack: 0, refusal: Some(Refusal::Host), budget },
        }
    }

    /// The most memory the instance had. Memories never shrink, so this is also what it has.
    pub fn peak(&self) -> usize {
        self.used
    }

    /// Gives back what is only needed while code runs.
    pub fn rest(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.stack));
    }

    /// Whether more than half of the budget is taken.
    pub fn is_scarce(&self) -> bool {
        self.budget.used() > self.budget.size() / 2
    }

    /// Goes on for an instance that has rested: what it has counts here from now on.
    pub fn take_over(&mut self, rested: &mut Self) {
        self.used += std::mem::take(&mut rested.used);
    }

    /// Takes from the budget what outlives the instance; none when there is not that much.
    pub fn share(&self, bytes: usize) -> Option<Share> {
        self.budget.share(bytes)
    }

    /// Whether a growth was refused, and by which limit.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let Some(used) = self.used.checked_add(bytes).filter(|used| *used <= self.limit) else {
            self.refusal.get_or_insert(Refusal::Function);
            return false;
        };
        if !self.budget.take(bytes) {
            self.refusal = Some(Refusal::Host);
            return false;
        }
        self.used = used;
        true
    }
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        self.budget.give_back(self.used + self.stack);
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // A growth past the memory's own maximum fails whatever we say: it is the module's choice, not our limit.
        if maximum.is_some_and(|maximum| desired > maximum) && desired <= self.limit {
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(size_of::<usize>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_count_together() {
        let budget = MemoryBudget::new(FIBER_STACK_BYTES + (1 << 20));
        let mut limiter = MemoryLimiter::new(200_000, budget.clone());
        assert!(limiter.memory_growing(0, 65_536, None).unwrap());
        assert!(limiter.memory_growing(0, 65_536, None).unwrap());
        assert!(limiter.table_growing(0, 1_000, None).unwrap());
        assert!(!limiter.memory_growing(65_536, 131_072, None).unwrap());
        assert_eq!(limiter.refusal(), Some(Refusal::Function));
        assert_eq!(limiter.peak(), 2 * 65_536 + 8_000);
    }

    #[test]
    fn the_budget_is_shared_and_returned() {
        let budget = MemoryBudget::new(2 * FIBER_STACK_BYTES + 100_000);
        let mut first = MemoryLimiter::new(1 << 20, budget.clone());
        let mut second = MemoryLimiter::new(1 << 20, budget.clone());
        assert!(first.memory_growing(0, 65_536, None).unwrap());
        assert!(!second.memory_growing(0, 65_536, None).unwrap());
        assert_eq!(second.refusal(), Some(Refusal::Host));
        // Not even a stack is left for a third.
        assert_eq!(MemoryLimiter::new(1 << 20, budget.clone()).refusal(), Some(Refusal::Host));
        drop(first);
        assert!(second.memory_growing(0, 65_536, None).unwrap());
    }

    #[test]
    fn who_rests_keeps_its_memory_and_not_its_stack() {
        let budget = MemoryBudget::new(FIBER_STACK_BYTES + 100_000);
        let mut limiter = MemoryLimiter::new(100_000, budget.clone());
        assert!(limiter.memory_growing(0, 65_536, None).unwrap());
        limiter.rest();
        assert_eq!(budget.used(), 65_536);
        let mut next = MemoryLimiter::new(100_000, budget.clone());
        next.take_over(&mut limiter);
        drop(limiter);
        assert_eq!((next.peak(), budget.used()), (65_536, FIBER_STACK_BYTES + 65_536));
        assert!(!next.memory_growing(65_536, 131_072, None).unwrap());
        drop(next);
        assert_eq!(budget.used(), 0);
    }
}
