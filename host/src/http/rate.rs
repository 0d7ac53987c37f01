//! How often somebody may ask: the generic cell rate algorithm in memory, on many small maps, each behind a lock of its own that is
//! held for a lookup. Knows no routes.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::error::{Code, Error};
use crate::ids::{ApiKeyId, AppName, FunctionId, TokenId};
use crate::settings::rate::{RateLimit, RateLimits};
use crate::tunables::{RATE_CALLERS_PER_MAP, RATE_MAPS};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller<'a> {
    /// The operator.
    Admin,
    /// Whoever holds a management token.
    Token(TokenId),
    /// A program with an API key.
    ApiKey(ApiKeyId),
    /// An app itself, by its own key.
    App(&'a AppName),
    /// An end user of an app.
    User(&'a AppName, &'a str),
    /// Whoever has this address, when nothing else is known.
    Address(IpAddr),
}

/// What is asked for; each is counted by itself (FX12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Changes.
    Management,
    /// What is there.
    List,
    /// What ran.
    History,
    /// A call of this function.
    Invoke(FunctionId),
}

/// Counts requests.
pub struct Limiter {
    /// None: nothing is limited.
    defaults: Option<RateLimits>,
    trusted: Vec<IpNet>,
    started: Instant,
    hasher: RandomState,
    maps: Vec<Mutex<HashMap<u64, Duration>>>,
}

/// What a request leaves of a limit, for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    limit: u32,
    remaining: u32,
    /// Until all of it is there again.
    reset: Duration,
}

impl Limiter {
    /// With these defaults, or without any limit. Proxies at the trusted addresses are believed about whose requests they pass on.
    pub fn new(defaults: Option<RateLimits>, trusted: Vec<IpNet>) -> Self {
        let maps = std::iter::repeat_with(Mutex::default).take(RATE_MAPS).collect();
        Self { defaults, trusted, started: Instant::now(), hasher: RandomState::new(), maps }
    }

    /// Counts a request, if there is a limit for it: the first of those that are given, else the host's.
    ///
    /// # Errors
    /// `RateLimited`, with the quota all the same.
    pub fn admit(
        &self,
        class: Class,
        caller: &Caller<'_>,
        own: impl IntoIterator<Item = Option<RateLimit>>,
    ) -> (Option<Quota>, Result<(), Error>) {
        let Some(defaults) = &self.defaults else { return (None, Ok(())) };
        let limit = own.into_iter().flatten().next().unwrap_or_else(|| defaults.of(class));
        let RateLimit::Of(requests, period) = limit else { return (None, Ok(())) };
        match self.count((class, caller), requests.get(), period.duration(), self.started.elapsed()) {
            Ok(quota) => (Some(quota), Ok(())),
            Err((quota, wait)) => {
                let message = format!("no more than {limit} requests of this kind are allowed here");
                (Some(quota), Err(Error::new(Code::RateLimited, message).retry_after(wait)))
            }
        }
    }

    /// One step of the algorithm: `arrival` is the time at which all requests so far would have come had they kept the rate.
    fn count(
        &self,
        key: impl Hash,
        requests: u32,
        period: Duration,
        now: Duration,
    ) -> Result<Quota, (Quota, Duration)> {
        let hash = self.hasher.hash_one(key);
        let interval = period / requests;
        // The number of maps is a power of two; the modulo cannot be out of range.
        let index = usize::try_from(hash % RATE_MAPS as u64).unwrap_or_default();
        let Some(map) = self.maps.get(index) else {
            return Ok(Quota { limit: requests, remaining: requests, reset: Duration::ZERO });
        };
        let mut arrivals = map.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = arrivals.get(&hash).copied().unwrap_or_default().max(now) + interval;
        let ahead = arrival.saturating_sub(now);
        let quota = |ahead: Duration| {
            let left = period.saturating_sub(ahead).as_nanos() / interval.as_nanos().max(1);
            Quota { limit: requests, remaining: u32::try_from(left).unwrap_or(requests), reset: ahead }
        };
        if ahead > period {
            let before = ahead.saturating_sub(interval);
            return Err((Quota { remaining: 0, ..quota(before) }, ahead - period));
        }
        if arrivals.len() >= RATE_CALLERS_PER_MAP && !arrivals.contains_key(&hash) {
            make_room(&mut arrivals, now);
        }
        arrivals.insert(hash, arrival);
        Ok(quota(ahead))
    }

    /// The address a request is counted by: the peer's, or the one a trusted proxy names. Of an IPv6 address the network counts, as one
    /// subscriber has all addresses of it.
    pub fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |address: &IpAddr| self.trusted.iter().any(|network| network.contains(address));
        let mut address = peer.to_canonical();
        let named: Vec<_> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        // Each proxy appends whom it heard from: what stands before the last address that is not a proxy's is hearsay.
        for next in named.iter().rev().flat_map(|value| value.rsplit(',')) {
            if !is_trusted(&address) {
                break;
            }
            let Ok(next) = next.trim().parse::<IpAddr>() else { break };
            address = next.to_canonical();
        }
        match address {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 => v4,
        }
    }
}

/// Forgets who has been quiet for so long that it makes no difference. When nobody has, everybody begins anew: whoever comes with ever
/// new addresses must not keep others out.
fn make_room(arrivals: &mut HashMap<u64, Duration>, now: Duration) {
    arrivals.retain(|_, arrival| *arrival > now);
    if arrivals.len() >= RATE_CALLERS_PER_MAP {
        arrivals.clear();
    }
}

impl RateLimits {
    fn of(&self, class: Class) -> RateLimit {
        let or_none = |limit: Option<RateLimit>| limit.unwrap_or(RateLimit::Off);
        or_none(self.own(class))
    }

    /// The limit that is set here.
    pub fn own(&self, class: Class) -> Option<RateLimit> {
        match class {
            Class::Management => self.management,
            Class::List => self.list,
            Class::History => self.history,
            Class::Invoke(_) => self.invoke,
        }
    }
}

impl Quota {
    /// Tells the client.
    pub fn tell(self, headers: &mut HeaderMap) {
        let reset = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.reset;
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(reset.as_secs_f64().ceil() as u64));
    }
}

#[cfg(test)]
mod tests;
