//! Random numbers. Nothing is kept in the image: the generator behind `Math.random` is seeded in each instance, at its first use.
//!
//! QuickJS has a seed for the hashes of `Map` and `Set` too, which is the same in every image. A new one would protect nobody: it is
//! combined with a hash after that was computed, so keys that collide do so under every seed, and names of properties have no seed
//! at all. Who sends a request with such keys slows down that request only, which has its own instance and its own limits.

use std::cell::Cell;

use rquickjs::{Ctx, Object, Result, TypedArray};

use super::define;
use crate::bindings::wasi::random::random;

thread_local! {
    static STATE: Cell<[u64; 2]> = const { Cell::new([0, 0]) };
}

pub(super) fn install(ctx: &Ctx<'_>, native: &Object<'_>) -> Result<()> {
    define!(native, "randomBytes" => random_bytes);
    let math: Object = ctx.globals().get("Math")?;
    define!(math, "random" => math_random);
    Ok(())
}

/// Makes the next `Math.random` take a new seed.
pub(crate) fn forget_seed() {
    STATE.set([0, 0]);
}

fn random_bytes(ctx: Ctx<'_>, length: u32) -> Result<TypedArray<'_, u8>> {
    TypedArray::new(ctx, random::get_random_bytes(u64::from(length)))
}

/// xoroshiro128+ (Blackman and Vigna): the upper 53 bits as a number below 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64")]
fn math_random() -> f64 {
    let [mut first, mut second] = STATE.get();
    if first == 0 && second == 0 {
        // Never both zero, whatever the host returns: zero is a fixed point.
        [first, second] = [random::get_random_u64() | 1, random::get_random_u64()];
    }
    let sum = first.wrapping_add(second);
    second ^= first;
    STATE.set([first.rotate_left(24) ^ second ^ (second << 16), second.rotate_left(37)]);
    (sum >> 11) as f64 / (1_u64 << 53) as f64
}
