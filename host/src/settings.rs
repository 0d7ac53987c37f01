//! What the author of a function may choose, and what the host then holds to. Part of each version, so immutable once deployed.

pub mod app;
pub mod cors;
pub mod hosts;
pub mod issuer;
pub mod rate;
pub mod schedule;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::cors::CorsSettings;
use self::hosts::{ALLOWED_HOSTS, AllowedHost};
use self::rate::RateLimit;
use self::schedule::Schedule;
use crate::error::Error;
use crate::tunables::{FUEL, FUNCTION_SETTINGS_BYTES, INSTANCE_REQUESTS, MEMORY_LIMIT_MB, Range, TIMEOUT_SECONDS};

/// The settings of one version of a function. Names, defaults and ranges are Fluxbase's (FX2) where it has them.
// A version stored by an older host lacks the newer fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Free text.
    pub description: Option<String>,
    /// A disabled function answers 404.
    pub enabled: bool,
    /// Who may call it.
    pub access: Access,
    /// Wall clock for one request, in seconds.
    pub timeout_seconds: u32,
    /// Sum of all linear memories and tables of an instance, in MiB.
    pub memory_limit_mb: u32,
    /// CPU budget of one request: one unit is about one WebAssembly instruction.
    pub fuel: u64,
    /// What a sandbox is for.
    pub isolation: Isolation,
    /// After how many requests an instance ends, where `isolation` is `instance`.
    pub instance_requests: u32,
    /// Whether outgoing requests are allowed at all.
    pub allow_net: bool,
    /// The only hosts they may go to; none listed: all that the operator has open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<AllowedHost>,
    /// Whether the function sees variables and secrets.
    pub allow_env: bool,
    /// Whether the function may act as `service_role` in the database for callers that are none.
    pub allow_service_role: bool,
    /// Whether the function may read the files in its private directory.
    pub allow_read: bool,
    /// Whether it may make, change and remove them.
    pub allow_write: bool,
    /// Whether clients may call it by HTTP. Where it is false, only what stands for the app may, beside its other triggers.
    #[serde(skip_serializing_if = "is_true")]
    pub http_trigger: bool,
    /// When the host runs it by itself: a cron expression.
    pub cron_schedule: Option<String>,
    /// The time zone of that; UTC when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron_timezone: Option<String>,
    /// The event of WebSockets that starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket_event: Option<String>,
    /// What browsers are told about pages of other origins; what the app says when there is nothing here.
    pub cors: Option<CorsSettings>,
    /// How often one caller may call it; the app's limit when there is none.
    pub rate_limit: Option<RateLimit>,
    /// Whether the record of an execution keeps the beginning of its response.
    pub log_response: bool,
}

impl Settings {
    /// When the host runs the function by itself, if it does. A schedule that this version of the host cannot read is none.
    pub fn schedule(&self) -> Option<Schedule> {
        let expression = self.cron_schedule.as_deref().filter(|_| self.enabled)?;
        match Schedule::parse(expression, self.cron_timezone.as_deref()) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                tracing::warn!(error = %error.message, "a schedule is not carried out");
                None
            }
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            description: None,
            enabled: true,
            access: Access::default(),
            timeout_seconds: TIMEOUT_SECONDS.default,
            memory_limit_mb: MEMORY_LIMIT_MB.default,
            fuel: FUEL.default,
            isolation: Isolation::default(),
            instance_requests: INSTANCE_REQUESTS.default,
            allow_net: true,
            allowed_hosts: Vec::new(),
            allow_env: true,
            allow_service_role: false,
            allow_read: false,
            allow_write: false,
            http_trigger: true,
            cron_schedule: None,
            cron_timezone: None,
            websocket_event: None,
            cors: None,
            rate_limit: None,
            log_response: true,
        }
    }
}

/// What a sandbox is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// One request: nothing of it is left for the next.
    #[default]
    Request,
    /// One request after the other, whoever calls: what the function keeps in its memory is there in the next, as in Workers and Deno.
    Instance,
}

/// Who may call a function (KL2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "AccessObject", into = "AccessObject")]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever has a valid token or key of the app, its public `anon` key too: what Supabase calls `verify_jwt`.
    Key,
    /// Whoever has a valid token or key of the app.
    #[default]
    Authenticated,
    /// Users in at least one of these groups, as the `groups` claim of their token lists them.
    Group(Vec<String>),
    /// Users whose token has all of these claims: claim to value, compared with the claims of the token, then with those in its
    /// `app_metadata`.
    Metadata(BTreeMap<String, serde_json::Value>),
}

/// `Access` as JSON has it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AccessObject {
    policy: Policy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Policy {
    Public,
    Key,
    Authenticated,
    Group,
    Metadata,
}

impl TryFrom<AccessObject> for Access {
    type Error = &'static str;

    fn try_from(object: AccessObject) -> Result<Self, &'static str> {
        let AccessObject { policy, groups, metadata } = object;
        // A list that the policy does not look at would suggest a protection that is not there.
        match policy {
            Policy::Group if groups.is_empty() => Err("policy group needs at least one entry in groups"),
            Policy::Metadata if metadata.is_empty() => Err("policy metadata needs at least one entry in metadata"),
            Policy::Public | Policy::Key | Policy::Authenticated | Policy::Metadata if !groups.is_empty() => {
                Err("groups only go with policy group")
            }
            Policy::Public | Policy::Key | Policy::Authenticated | Policy::Group if !metadata.is_empty() => {
                Err("metadata only goes with policy metadata")
            }
            Policy::Public => Ok(Self::Public),
            Policy::Key => Ok(Self::Key),
            Policy::Authenticated => Ok(Self::Authenticated),
            Policy::Group => Ok(Self::Group(groups)),
            Policy::Metadata => Ok(Self::Metadata(metadata)),
        }
    }
}

impl From<Access> for AccessObject {
    fn from(access: Access) -> Self {
        let (policy, groups, metadata) = match access {
            Access::Public => (Policy::Public, Vec::new(), BTreeMap::new()),
            Access::Key => (Policy::Key, Vec::new(), BTreeMap::new()),
            Access::Authenticated => (Policy::Authenticated, Vec::new(), BTreeMap::new()),
            Access::Group(groups) => (Policy::Group, groups, BTreeMap::new()),
            Access::Metadata(metadata) => (Policy::Metadata, Vec::new(), metadata),
        };
        Self { policy, groups, metadata }
    }
}

/// The most an author may ask for on this host.
#[derive(Debug, Clone, Copy)]
pub struct Maxima {
    /// Seconds.
    pub timeout_seconds: u32,
    /// MiB.
    pub memory_limit_mb: u32,
    /// Fuel.
    pub fuel: u64,
}

/// Settings to change; what is left out stays as it is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of Settings")]
pub struct SettingsPatch {
    #[serde(default, deserialize_with = "given")]
    pub description: Option<Option<String>>,
    pub enabled: Option<bool>,
    pub access: Option<Access>,
    pub timeout_seconds: Option<u32>,
    pub memory_limit_mb: Option<u32>,
    pub fuel: Option<u64>,
    pub isolation: Option<Isolation>,
    pub instance_requests: Option<u32>,
    pub allow_net: Option<bool>,
    pub allowed_hosts: Option<Vec<AllowedHost>>,
    pub allow_env: Option<bool>,
    pub allow_service_role: Option<bool>,
    pub allow_read: Option<bool>,
    pub allow_write: Option<bool>,
    pub http_trigger: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    pub cron_schedule: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    pub cron_timezone: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    pub websocket_event: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    pub cors: Option<Option<CorsSettings>>,
    #[serde(default, deserialize_with = "given")]
    pub rate_limit: Option<Option<RateLimit>>,
    pub log_response: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

/// Tells `null`, which clears a field, from a field that is not there.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Longest name of an event, in bytes.
const EVENT_BYTES: usize = 100;

/// Longest description, in bytes.
const DESCRIPTION_BYTES: usize = 4_096;

impl SettingsPatch {
    /// The settings with these changes, or the first field that is out of range.
    pub fn apply(&self, mut settings: Settings, maxima: &Maxima) -> Result<Settings, Error> {
        let Maxima { timeout_seconds, memory_limit_mb, fuel } = *maxima;
        in_range("timeout_seconds", self.timeout_seconds, TIMEOUT_SECONDS.min, timeout_seconds)?;
        in_range("memory_limit_mb", self.memory_limit_mb, MEMORY_LIMIT_MB.min, memory_limit_mb)?;
        in_range("fuel", self.fuel, FUEL.min, fuel)?;
        let Range { min, max, .. } = INSTANCE_REQUESTS;
        in_range("instance_requests", self.instance_requests, min, max)?;
        if self.description.iter().flatten().any(|text| text.len() > DESCRIPTION_BYTES) {
            return Err(Error::invalid(format!("description must have at most {DESCRIPTION_BYTES} bytes")));
        }
        if self.websocket_event.iter().flatten().any(|event| !(1..=EVENT_BYTES).contains(&event.len())) {
            return Err(Error::invalid(format!(
                "websocket_event must have 1 to {EVENT_BYTES} bytes, like \"chat_message\""
            )));
        }
        if self.allowed_hosts.as_ref().is_some_and(|hosts| hosts.len() > ALLOWED_HOSTS) {
            return Err(Error::invalid(format!("allowed_hosts can have at most {ALLOWED_HOSTS} entries")));
        }
        let patch = self.clone();
        set(&mut settings.description, patch.description);
        set(&mut settings.enabled, patch.enabled);
        set(&mut settings.access, patch.access);
        set(&mut settings.timeout_seconds, patch.timeout_seconds);
        set(&mut settings.memory_limit_mb, patch.memory_limit_mb);
        set(&mut settings.fuel, patch.fuel);
        set(&mut settings.isolation, patch.isolation);
        set(&mut settings.instance_requests, patch.instance_requests);
        set(&mut settings.allow_net, patch.allow_net);
        set(&mut settings.allowed_hosts, patch.allowed_hosts);
        set(&mut settings.allow_env, patch.allow_env);
        set(&mut settings.allow_service_role, patch.allow_service_role);
        set(&mut settings.allow_read, patch.allow_read);
        set(&mut settings.allow_write, patch.allow_write);
        set(&mut settings.http_trigger, patch.http_trigger);
        set(&mut settings.cron_schedule, patch.cron_schedule);
        set(&mut settings.cron_timezone, patch.cron_timezone);
        self.check_schedule(&mut settings)?;
        set(&mut settings.websocket_event, patch.websocket_event);
        set(&mut settings.cors, patch.cors);
        set(&mut settings.rate_limit, patch.rate_limit);
        set(&mut settings.log_response, patch.log_response);
        check_size("the settings of a function", &settings, FUNCTION_SETTINGS_BYTES)?;
        Ok(settings)
    }

    /// A time zone goes with its schedule. One that would do nothing is refused.
    fn check_schedule(&self, settings: &mut Settings) -> Result<(), Error> {
        match &settings.cron_schedule {
            Some(expression) if self.cron_schedule.is_some() || self.cron_timezone.is_some() => {
                Schedule::check(expression, settings.cron_timezone.as_deref())
            }
            Some(_) => Ok(()),
            None if matches!(self.cron_timezone, Some(Some(_))) => {
                Err(Error::invalid("cron_timezone needs a cron_schedule, like \"0 9 * * *\""))
            }
            None => {
                settings.cron_timezone = None;
                Ok(())
            }
        }
    }
}

/// Refuses settings that have more bytes as JSON: they stay in memory for as long as they are in force.
fn check_size(what: &str, settings: &impl Serialize, limit: usize) -> Result<(), Error> {
    let size = serde_json::to_string(settings).map_err(Error::internal)?.len();
    match size > limit {
        true => Err(Error::invalid(format!("{what} can have at most {limit} bytes as JSON; these would have {size}"))),
        false => Ok(()),
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn in_range<T: PartialOrd + std::fmt::Display>(field: &str, value: Option<T>, min: T, max: T) -> Result<(), Error> {
    match value {
        Some(value) if value < min || value > max => {
            Err(Error::invalid(format!("{field} must be between {min} and {max}, got {value}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MAXIMA: Maxima = Maxima { timeout_seconds: 60, memory_limit_mb: 256, fuel: FUEL.max };

    fn apply(patch: serde_json::Value) -> Result<Settings, String> {
        let patch: SettingsPatch = serde_json::from_value(patch).map_err(|error| error.to_string())?;
        patch.apply(Settings::default(), &MAXIMA).map_err(|error| error.message.into_owned())
    }

    #[test]
    fn what_is_left_out_stays_and_null_clears() {
        let settings = apply(json!({"description": "x", "timeout_seconds": 5})).unwrap();
        assert_eq!(
            (settings.description.as_deref(), settings.timeout_seconds, settings.memory_limit_mb),
            (Some("x"), 5, 128)
        );
        let cleared: SettingsPatch = serde_json::from_value(json!({"description": null})).unwrap();
        assert_eq!(cleared.apply(settings, &MAXIMA).unwrap().description, None);
        let daily = apply(json!({"cron_schedule": "@daily", "cron_timezone": "Asia/Tokyo"})).unwrap();
        let cleared: SettingsPatch = serde_json::from_value(json!({"cron_schedule": null})).unwrap();
        let settings = cleared.apply(daily, &MAXIMA).unwrap();
        assert_eq!((settings.cron_schedule, settings.cron_timezone), (None, None), "a zone goes with its schedule");
    }

    #[test]
    fn errors_name_the_field() {
        for (patch, field) in [
            (json!({"timeout_seconds": 0}), "timeout_seconds"),
            (json!({"timeout_seconds": 61}), "timeout_seconds"),
            (json!({"memory_limit_mb": 63}), "memory_limit_mb"),
            (json!({"memory_limit_mb": 257}), "memory_limit_mb"),
            (json!({"fuel": 1}), "fuel"),
            (json!({"isolation": "thread"}), "`request` or `instance`"),
            (json!({"instance_requests": 0}), "instance_requests"),
            (json!({"description": "x".repeat(5000)}), "description"),
            (json!({"cron_schedule": "* * * *"}), "cron_schedule"),
            (json!({"cron_schedule": "* * * * *", "cron_timezone": "Mars/Olympus"}), "cron_timezone"),
            (json!({"cron_timezone": "UTC"}), "cron_schedule"),
            (json!({"websocket_event": ""}), "websocket_event"),
            (json!({"websocket_event": "x".repeat(101)}), "websocket_event"),
            (json!({"colour": "red"}), "colour"),
            (json!({"access": {"policy": "group", "groups": vec!["g"; 20_000]}}), "the settings of a function"),
            (json!({"access": {"policy": "metadata", "metadata": {"a": vec![0; 40_000]}}}), "at most 65536 bytes"),
            (json!({"allowed_hosts": ["a".repeat(70_000)]}), "at most 65536 bytes"),
        ] {
            let error = apply(patch.clone()).unwrap_err();
            assert!(error.contains(field), "{patch}: {error}");
        }
    }

    #[test]
    fn access_has_the_documented_shapes() {
        for shape in [
            json!({"policy": "public"}),
            json!({"policy": "key"}),
            json!({"policy": "authenticated"}),
            json!({"policy": "group", "groups": ["admin"]}),
            json!({"policy": "metadata", "metadata": {"department": "engineering"}}),
        ] {
            let access: Access = serde_json::from_value(shape.clone()).unwrap();
            assert_eq!(serde_json::to_value(&access).unwrap(), shape);
        }
        for shape in [
            json!({"policy": "nobody"}),
            json!({"policy": "group"}),
            json!({"policy": "metadata", "groups": ["x"]}),
            json!({"policy": "public", "groups": ["x"]}),
            json!({"policy": "public", "extra": 1}),
        ] {
            assert!(serde_json::from_value::<Access>(shape.clone()).is_err(), "{shape}");
        }
        let full = json!({"policy": "public", "groups": [], "metadata": {}});
        assert_eq!(serde_json::from_value::<Access>(full).unwrap(), Access::Public);
    }
}
