//! How many requests a caller may make: `600/min`, or `off`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tunables::DEFAULT_RATES;

/// A limit on the rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum RateLimit {
    /// None.
    Off,
    /// So many requests in each period; all of them may come at once.
    Of(NonZeroU32, Period),
}

/// What a rate is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

/// What was given is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate limit is off, or a number from 1 with /sec, /min, /hour or /day, as in 600/min")]
pub struct InvalidRate;

impl Period {
    /// How long it is.
    pub fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Second => "sec",
            Self::Minute => "min",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

impl RateLimit {
    /// So many requests a minute; none for zero.
    pub const fn per_minute(requests: u32) -> Self {
        match NonZeroU32::new(requests) {
            Some(requests) => Self::Of(requests, Period::Minute),
            None => Self::Off,
        }
    }
}

impl FromStr for RateLimit {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (requests, period) = text.split_once('/').ok_or(InvalidRate)?;
        let period = match period {
            "s" | "sec" | "second" => Period::Second,
            "min" | "minute" => Period::Minute,
            "h" | "hour" => Period::Hour,
            "d" | "day" => Period::Day,
            _ => return Err(InvalidRate),
        };
        Ok(Self::Of(requests.parse().map_err(|_| InvalidRate)?, period))
    }
}

impl TryFrom<String> for RateLimit {
    type Error = InvalidRate;

    fn try_from(text: String) -> Result<Self, InvalidRate> {
        text.parse()
    }
}

impl From<RateLimit> for String {
    fn from(limit: RateLimit) -> Self {
        limit.to_string()
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Of(requests, period) => write!(f, "{requests}/{}", period.as_str()),
        }
    }
}

/// A limit for each kind of request; what is not set is left to whoever is asked next, and in the end to the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Changes through the management API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<RateLimit>,
    /// Reading through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<RateLimit>,
    /// Reading what ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<RateLimit>,
    /// Calls of one function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke: Option<RateLimit>,
}

/// What the operator says about rates: the host's defaults with changes, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostRates(pub Option<RateLimits>);

/// What was given is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "rate limits are off, default, or changes such as invoke=6000/min,list=off (of management, list, history, invoke); {0:?} is not"
)]
pub struct InvalidRates(String);

impl Default for HostRates {
    fn default() -> Self {
        Self(Some(DEFAULT_RATES))
    }
}

impl FromStr for HostRates {
    type Err = InvalidRates;

    fn from_str(text: &str) -> Result<Self, InvalidRates> {
        let mut limits = match text {
            "off" => return Ok(Self(None)),
            "default" => return Ok(Self::default()),
            _ => DEFAULT_RATES,
        };
        for change in text.split(',') {
            let invalid = || InvalidRates(change.to_owned());
            let (class, limit) = change.split_once('=').ok_or_else(invalid)?;
            let limit = Some(limit.parse().map_err(|_| invalid())?);
            match class {
                "management" => limits.management = limit,
                "list" => limits.list = limit,
                "history" => limits.history = limit,
                "invoke" => limits.invoke = limit,
                _ => return Err(invalid()),
            }
        }
        Ok(Self(Some(limits)))
    }
}

impl TryFrom<String> for HostRates {
    type Error = InvalidRates;

    fn try_from(text: String) -> Result<Self, InvalidRates> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_changes_single_defaults_or_all() {
        let rates = |text: &str| text.parse::<HostRates>().unwrap().0;
        assert_eq!(rates("off"), None);
        assert_eq!(rates("default"), Some(DEFAULT_RATES));
        let changed = rates("invoke=5/sec,list=off").unwrap();
        assert_eq!(changed.invoke.unwrap().to_string(), "5/sec");
        assert_eq!((changed.list, changed.management), (Some(RateLimit::Off), DEFAULT_RATES.management));
        for bad in ["", "on", "invoke", "invoke=often", "calls=1/min", "invoke=1/min,"] {
            assert!(bad.parse::<HostRates>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_read_and_written() {
        for (text, written) in [("600/min", "600/min"), ("1/second", "1/sec"), ("5/h", "5/hour"), ("off", "off")] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), written);
        }
        for bad in ["", "600", "0/min", "-1/min", "1/week", "1.5/min", "99999999999/min", "Off", "1/min "] {
            assert_eq!(bad.parse::<RateLimit>(), Err(InvalidRate), "{bad}");
        }
    }
}
