//! What starts a function, in Butterbase's words (BB3).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::extract::value_of;
use crate::error::Error;
use crate::settings::{Access, Settings};

/// What starts a function.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerObject {
    #[serde(rename = "type")]
    kind: TriggerKind,
    #[serde(default)]
    config: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TriggerKind {
    Http,
    Cron,
    Websocket,
    S3Upload,
    Webhook,
}

/// Takes `trigger`, or `triggers`, out of a body.
fn take(body: &mut Map<String, Value>) -> Result<Option<Vec<TriggerObject>>, Error> {
    let list = match (body.remove("trigger"), body.remove("triggers")) {
        (None, None) => return Ok(None),
        (Some(one), None) => Value::Array(vec![one]),
        (None, Some(list)) => list,
        (Some(_), Some(_)) => return Err(Error::invalid("body: give either trigger or triggers")),
    };
    let triggers: Vec<TriggerObject> = value_of("triggers: ", list)?;
    let twice =
        triggers.iter().enumerate().any(|(at, one)| triggers.iter().take(at).any(|other| other.kind == one.kind));
    if twice {
        return Err(Error::invalid("body: triggers: there can be one of each type"));
    }
    Ok(Some(triggers))
}

/// Puts the triggers of a body, if it has some, into native settings: these are all there are, none left out stays.
pub(super) fn translate(body: &mut Map<String, Value>) -> Result<(), Error> {
    let Some(triggers) = take(body)? else { return Ok(()) };
    for (name, value) in SETTINGS_OF_TRIGGERS {
        if body.insert(name.to_owned(), value).is_some() {
            return Err(Error::invalid(format!("body: {name} is what triggers say; give one")));
        }
    }
    triggers.into_iter().try_for_each(|trigger| trigger.put(body))
}

/// The native settings that triggers stand for, as they are without any.
const SETTINGS_OF_TRIGGERS: [(&str, Value); 4] = [
    ("http_trigger", Value::Bool(false)),
    ("cron_schedule", Value::Null),
    ("cron_timezone", Value::Null),
    ("websocket_event", Value::Null),
];

impl TriggerObject {
    /// Puts it into native settings.
    fn put(mut self, body: &mut Map<String, Value>) -> Result<(), Error> {
        match self.kind {
            TriggerKind::Http => self.put_http(body)?,
            TriggerKind::Cron => self.put_cron(body)?,
            TriggerKind::Websocket => self.put_event(body)?,
            TriggerKind::S3Upload => {
                return Err(Error::invalid(
                    "body: triggers: s3_upload: the host has no storage that files could be uploaded to",
                ));
            }
            TriggerKind::Webhook => {
                let message = "body: triggers: webhook: the host signs no URLs; use http with the config {\"auth\": \"none\"}, \
                    and check the sender's signature in the function";
                return Err(Error::invalid(message));
            }
        }
        match self.config.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(Error::invalid(format!("body: triggers: config.{name} has no effect here; leave it out")))
            }
        }
    }

    fn put_cron(&mut self, body: &mut Map<String, Value>) -> Result<(), Error> {
        let schedule = self.config.remove("schedule").filter(Value::is_string).ok_or_else(|| {
            Error::invalid("body: triggers: cron: config.schedule is missing; it is a text like \"*/5 * * * *\"")
        })?;
        body.insert("cron_schedule".to_owned(), schedule);
        if let Some(zone) = self.config.remove("timezone") {
            body.insert("cron_timezone".to_owned(), zone);
        }
        Ok(())
    }

    fn put_event(&mut self, body: &mut Map<String, Value>) -> Result<(), Error> {
        let event = self.config.remove("event").filter(Value::is_string).ok_or_else(|| {
            Error::invalid("body: triggers: websocket: config.event is missing; it is a name like \"chat_message\"")
        })?;
        body.insert("websocket_event".to_owned(), event);
        Ok(())
    }

    fn put_http(&mut self, body: &mut Map<String, Value>) -> Result<(), Error> {
        body.insert("http_trigger".to_owned(), Value::Bool(true));
        let Some(auth) = self.config.remove("auth") else { return Ok(()) };
        let policy = match auth.as_str() {
            Some("required") => "authenticated",
            Some("optional" | "none") => "public",
            _ => {
                let message = format!("body: triggers: config.auth must be required, optional or none, got {auth}");
                return Err(Error::invalid(message));
            }
        };
        body.insert("access".to_owned(), serde_json::json!({ "policy": policy }));
        Ok(())
    }
}

/// The triggers of a function with these settings.
pub(super) fn shown(settings: &Settings) -> Vec<Value> {
    let auth = if settings.access == Access::Public { "none" } else { "required" };
    let http = settings.http_trigger.then(|| json!({ "type": "http", "config": { "auth": auth } }));
    let zone = settings.cron_timezone.as_deref().unwrap_or("UTC");
    let cron = settings
        .cron_schedule
        .as_ref()
        .map(|schedule| json!({ "type": "cron", "config": { "schedule": schedule, "timezone": zone } }));
    let event = settings.websocket_event.as_ref();
    let websocket = event.map(|event| json!({ "type": "websocket", "config": { "event": event } }));
    [http, cron, websocket].into_iter().flatten().collect()
}
