//! Tokens that were found good a moment ago. Clients send the same token with every request, and checking an elliptic-curve signature
//! takes a fifth of a millisecond.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{KeyHash, User};
use crate::tunables::{RECENT_TOKEN_TIME, RECENT_TOKENS_PER_MAP};

/// Enough that requests hardly ever meet at one.
const MAPS: usize = 16;

/// Such tokens of one app, by their hashes.
#[derive(Default)]
pub(super) struct RecentTokens([Mutex<HashMap<KeyHash, Recent>>; MAPS]);

struct Recent {
    user: Arc<User>,
    until: Instant,
}

impl RecentTokens {
    /// The user of a token that was found good.
    pub(super) fn get(&self, hash: &KeyHash) -> Option<Arc<User>> {
        let tokens = self.map(hash)?.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(hash).filter(|recent| Instant::now() < recent.until).map(|recent| recent.user.clone())
    }

    /// Keeps a token that was found good, until it expires or for a while.
    pub(super) fn keep(&self, hash: KeyHash, user: &Arc<User>) {
        let Some((map, good_for)) = self.map(&hash).zip(good_for(user)) else { return };
        let now = Instant::now();
        let mut tokens = map.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= RECENT_TOKENS_PER_MAP {
            tokens.retain(|_, recent| now < recent.until);
        }
        // With more users than that, their tokens are checked each time.
        if tokens.len() < RECENT_TOKENS_PER_MAP {
            tokens.insert(hash, Recent { user: user.clone(), until: now + good_for });
        }
    }

    fn map(&self, hash: &KeyHash) -> Option<&Mutex<HashMap<KeyHash, Recent>>> {
        let [first, ..] = hash.0;
        self.0.get(usize::from(first) % MAPS)
    }
}

fn good_for(user: &User) -> Option<Duration> {
    let expires = user.claims.get("exp").and_then(Value::as_f64)?;
    let left = Duration::try_from_secs_f64(expires - jsonwebtoken::get_current_timestamp() as f64).ok()?;
    Some(left.min(RECENT_TOKEN_TIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(expires_in: i64) -> Arc<User> {
        let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap();
        let claims = json!({ "exp": now + expires_in }).as_object().unwrap().clone();
        Arc::new(User { id: "u".to_owned(), email: None, role: "authenticated".to_owned(), groups: Vec::new(), claims })
    }

    #[test]
    fn a_token_is_kept_while_it_is_good_and_for_a_while_at_most() {
        let tokens = RecentTokens::default();
        let (good, expired) = (KeyHash::of("good"), KeyHash::of("expired"));
        tokens.keep(good, &user(3_600));
        tokens.keep(expired, &user(-5));
        assert!(tokens.get(&good).is_some());
        assert!(tokens.get(&expired).is_none(), "also where clocks may differ by more");
        assert_eq!(good_for(&user(3_600)), Some(RECENT_TOKEN_TIME));
        assert!(good_for(&user(20)).unwrap() <= Duration::from_secs(20));
        for claims in [json!({}), json!({ "exp": "soon" }), json!({ "exp": f64::MAX })] {
            let user = User { claims: claims.as_object().unwrap().clone(), ..User::clone(&user(0)) };
            assert!(good_for(&user).is_none());
        }
    }

    #[test]
    fn a_map_stays_small() {
        let tokens = RecentTokens::default();
        for number in 0..MAPS * RECENT_TOKENS_PER_MAP * 2 {
            tokens.keep(KeyHash::of(number.to_string()), &user(60));
        }
        assert!(tokens.0.iter().all(|map| map.lock().unwrap().len() <= RECENT_TOKENS_PER_MAP));
    }
}
