//! Every choice about wasmtime, with its reason. Nothing here is per function.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::tunables::{EVALUATIONS, FIBER_STACK_BYTES, IDLE_INSTANCES, MEMORY_LIMIT_MB, WASM_STACK_BYTES};

/// Fewest instances a pool is worth having for.
const SMALLEST_POOL: u32 = 16;

/// What decides the compiled code: the same for the process that compiles and the one that runs.
fn code_config() -> Config {
    let mut config = Config::new();
    // Fuel is the CPU budget, and what makes a tight loop yield to the other requests of its thread.
    config.consume_fuel(true);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.async_stack_size(FIBER_STACK_BYTES);
    // Without it a pooled stack keeps every page that the deepest recursion on it has touched.
    config.async_stack_zeroing(true);
    config.wasm_component_model_async(true);
    // Proposals that no component toolchain needs stay off: less surface. Shared memories would also escape the limiter.
    config.wasm_gc(false);
    config.wasm_threads(false);
    config.wasm_memory64(false);
    config
}

/// The engine that only compiles: no pool, because the compiling process runs under a memory limit.
pub fn compiling_engine() -> wasmtime::Result<Engine> {
    Engine::new(&code_config())
}

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool of this many instances, mapped at start.
    Pool(u32),
    /// Mapped and unmapped for each request: several times slower, but it works in little address space.
    OnDemand,
}

/// What the instances of a host may be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Instances that work, each on an execution.
    pub executions: u32,
    /// Instances that wait for the next request of their function.
    pub idle: u32,
    /// Instances that evaluate a program, for a deployment or the first request after a start.
    pub evaluations: u32,
}

impl Places {
    /// Those of a host that is to run so many executions at once: a quarter as many instances may wait, an eighth evaluate.
    pub fn of(executions: u32) -> Self {
        let idle = executions.div_ceil(4).min(IDLE_INSTANCES);
        Self { executions, idle, evaluations: executions.div_ceil(8).clamp(2, EVALUATIONS) }
    }

    /// As many instances as a pool must have.
    pub fn instances(self) -> u32 {
        self.executions.saturating_add(self.idle).saturating_add(self.evaluations)
    }

    /// As many of these as there are instances for.
    pub fn within(self, allocation: Allocation) -> Self {
        match allocation {
            Allocation::Pool(instances) if instances < self.instances() => {
                let idle = self.idle.min(instances / 5);
                let evaluations = self.evaluations.min(instances.div_ceil(10)).max(2);
                Self { executions: instances.saturating_sub(idle + evaluations).max(1), idle, evaluations }
            }
            Allocation::Pool(_) | Allocation::OnDemand => self,
        }
    }
}

/// The engine that runs functions. Halves the pool until the machine grants its address space, and does without
/// one when even a small pool is refused.
pub fn running_engine(instances: u32) -> wasmtime::Result<(Engine, Allocation)> {
    let sizes = std::iter::successors(Some(instances), |size| Some(size / 2));
    for size in sizes.take_while(|size| *size >= SMALLEST_POOL.min(instances)) {
        let mut config = code_config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(size)));
        match Engine::new(&config) {
            Ok(engine) => return Ok((engine, Allocation::Pool(size))),
            Err(error) => tracing::warn!(instances = size, %error, "no address space for the instance pool"),
        }
        if size == 1 {
            break;
        }
    }
    Ok((Engine::new(&code_config())?, Allocation::OnDemand))
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // A component has a handful of core modules: its own, an adapter, the shims of its imports.
        .total_core_instances(instances.saturating_mul(8))
        .max_core_instances_per_component(64)
        .total_memories(instances.saturating_mul(2))
        .max_memories_per_component(8)
        .max_memory_size(mebibytes(MEMORY_LIMIT_MB.max))
        .total_tables(instances.saturating_mul(4))
        .max_tables_per_component(16)
        .table_elements(64 * 1024)
        // Guests with async exports run several fibers in one instance.
        .total_stacks(instances.saturating_mul(2))
        // Pages a request touched are zeroed and kept instead of returned to the kernel: with `pagemap_scan` a fresh instance
        // costs a fifth of what it costs with the defaults.
        .linear_memory_keep_resident(512 * 1024)
        .table_keep_resident(64 * 1024)
        // It is cleared as a whole. Requests touch 16 to 20 KiB of it.
        .async_stack_keep_resident(32 * 1024)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(64);
    pool
}

/// MiB as bytes.
pub fn mebibytes(count: u32) -> usize {
    count as usize * 1024 * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_was_refused_leaves_fewer_places() {
        for executions in [1, 2, 3, 4, 5, 20, 100, 256, 1_000, u32::MAX] {
            let asked = Places::of(executions);
            assert_eq!(asked.within(Allocation::Pool(asked.instances())), asked);
            assert_eq!(asked.within(Allocation::OnDemand), asked);
        }
        let smaller = Places { executions: 112, idle: 32, evaluations: 16 };
        assert_eq!(Places::of(256).within(Allocation::Pool(160)), smaller);
        let smallest = Places { executions: 1, idle: 0, evaluations: 2 };
        assert_eq!(Places::of(1).within(Allocation::Pool(1)), smallest);
    }
}
