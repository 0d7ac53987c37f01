//! Which function is due when. Pure: the clock is handed in.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::ids::{AppName, FunctionId, FunctionName};
use crate::settings::Settings;
use crate::settings::schedule::Schedule;
use crate::tunables::{CRON_CLOCK_SLACK, CRON_LATENESS};

/// A function that is served.
pub(super) struct Served<'a> {
    pub(super) id: FunctionId,
    pub(super) app: &'a AppName,
    pub(super) name: &'a FunctionName,
    pub(super) settings: &'a Settings,
}

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) id: FunctionId,
    pub(super) app: AppName,
    pub(super) name: FunctionName,
    /// When it was meant to start.
    pub(super) scheduled: Timestamp,
    /// That was too long ago.
    pub(super) missed: bool,
}

/// The next run of every function with a schedule.
#[derive(Debug)]
pub(super) struct Timetable {
    entries: HashMap<FunctionId, Entry>,
    /// The clock when it was last looked at.
    seen: Timestamp,
}

#[derive(Debug)]
struct Entry {
    app: AppName,
    name: FunctionName,
    expression: String,
    zone: Option<String>,
    schedule: Schedule,
    next: Timestamp,
}

impl Timetable {
    /// An empty one.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { entries: HashMap::new(), seen: now }
    }

    /// Takes the functions that are served now. A schedule that has not changed keeps its next run.
    pub(super) fn update<'a>(&mut self, served: impl Iterator<Item = Served<'a>>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.entries);
        for Served { id, app, name, settings } in served {
            let kept = before.remove(&id).filter(|entry| settings.enabled && entry.is_of(settings));
            if let Some(entry) = kept.or_else(|| Entry::new(app, name, settings, now)) {
                self.entries.insert(id, entry);
            }
        }
    }

    /// The runs that are due, each with its next one set. A clock that was set back takes the schedules with it.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<Due> {
        let is_set_back = now + SLACK < self.seen;
        self.seen = now;
        let mut due = Vec::new();
        self.entries.retain(|id, entry| {
            if is_set_back {
                return entry.advance(now);
            }
            if now < entry.next {
                return true;
            }
            let run = |scheduled, missed| Due {
                id: *id,
                app: entry.app.clone(),
                name: entry.name.clone(),
                scheduled,
                missed,
            };
            let missed = now.duration_since(entry.next) > LATENESS;
            due.push(run(entry.next, missed));
            // Of what came after it, the last may still be in time.
            let later = entry.schedule.next_after(now - LATENESS).filter(|later| missed && *later <= now);
            due.extend(later.map(|later| run(later, false)));
            entry.advance(now)
        });
        due
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.entries.values().map(|entry| entry.next).min()
    }
}

const SLACK: SignedDuration = SignedDuration::from_secs(CRON_CLOCK_SLACK.as_secs() as i64);
const LATENESS: SignedDuration = SignedDuration::from_secs(CRON_LATENESS.as_secs() as i64);

impl Entry {
    fn new(app: &AppName, name: &FunctionName, settings: &Settings, now: Timestamp) -> Option<Self> {
        let schedule = settings.schedule()?;
        let next = schedule.next_after(now)?;
        let (expression, zone) = (settings.cron_schedule.clone()?, settings.cron_timezone.clone());
        Some(Self { app: app.clone(), name: name.clone(), expression, zone, schedule, next })
    }

    fn is_of(&self, settings: &Settings) -> bool {
        settings.cron_schedule.as_ref() == Some(&self.expression) && settings.cron_timezone == self.zone
    }

    /// Goes on to the first run after this time. Without one, the entry ends.
    fn advance(&mut self, now: Timestamp) -> bool {
        match self.schedule.next_after(now) {
            Some(next) => {
                self.next = next;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    struct Fixture {
        id: FunctionId,
        app: AppName,
        name: FunctionName,
        settings: Settings,
    }

    impl Fixture {
        fn new(expression: &str) -> Self {
            let settings = Settings { cron_schedule: Some(expression.to_owned()), ..Settings::default() };
            Self { id: FunctionId::generate(), app: AppName::default_app(), name: "f".parse().unwrap(), settings }
        }

        fn served(&self) -> Served<'_> {
            Served { id: self.id, app: &self.app, name: &self.name, settings: &self.settings }
        }
    }

    fn times(due: &[Due]) -> Vec<(Timestamp, bool)> {
        due.iter().map(|due| (due.scheduled, due.missed)).collect()
    }

    #[test]
    fn a_run_is_due_once() {
        let function = Fixture::new("*/5 * * * *");
        let mut timetable = Timetable::new(at("12:00:30"));
        timetable.update([function.served()].into_iter(), at("12:00:30"));
        assert_eq!(timetable.next(), Some(at("12:05:00")));
        assert_eq!(timetable.take_due(at("12:04:59.999")), []);
        assert_eq!(times(&timetable.take_due(at("12:05:00.001"))), [(at("12:05:00"), false)]);
        assert_eq!(timetable.take_due(at("12:05:00.002")), []);
        assert_eq!(timetable.next(), Some(at("12:10:00")));
    }

    #[test]
    fn a_deployment_that_leaves_the_schedule_alone_leaves_the_next_run_alone() {
        let mut function = Fixture::new("0 * * * *");
        let mut timetable = Timetable::new(at("11:30:00"));
        timetable.update([function.served()].into_iter(), at("11:30:00"));
        function.settings.timeout_seconds = 5;
        // Due by now, but not taken yet.
        timetable.update([function.served()].into_iter(), at("12:00:00.5"));
        assert_eq!(times(&timetable.take_due(at("12:00:00.6"))), [(at("12:00:00"), false)]);
        function.settings.cron_schedule = Some("30 * * * *".to_owned());
        timetable.update([function.served()].into_iter(), at("12:00:01"));
        assert_eq!(timetable.next(), Some(at("12:30:00")));
        function.settings.cron_timezone = Some("Asia/Kolkata".to_owned());
        timetable.update([function.served()].into_iter(), at("12:00:01"));
        assert_eq!(timetable.next(), Some(at("13:00:00")));
        function.settings.enabled = false;
        timetable.update([function.served()].into_iter(), at("12:00:02"));
        assert_eq!(timetable.next(), None);
        function.settings.enabled = true;
        timetable.update([function.served()].into_iter(), at("12:00:03"));
        assert_eq!(timetable.next(), Some(at("13:00:00")));
        timetable.update(std::iter::empty(), at("12:00:04"));
        assert_eq!(timetable.next(), None);
    }

    #[test]
    fn what_is_noticed_too_late_is_missed_and_not_made_up_for() {
        let function = Fixture::new("* * * * *");
        let mut timetable = Timetable::new(at("12:00:30"));
        timetable.update([function.served()].into_iter(), at("12:00:30"));
        // The machine slept.
        let woken = times(&timetable.take_due(at("13:00:30")));
        assert_eq!(woken, [(at("12:01:00"), true), (at("13:00:00"), false)], "the last is not too late");
        assert_eq!(timetable.next(), Some(at("13:01:00")));
        assert_eq!(times(&timetable.take_due(at("13:01:59"))), [(at("13:01:00"), false)]);
        let hourly = Fixture::new("0 * * * *");
        timetable.update([hourly.served()].into_iter(), at("13:30:00"));
        assert_eq!(times(&timetable.take_due(at("14:01:01"))), [(at("14:00:00"), true)]);
        assert_eq!(timetable.next(), Some(at("15:00:00")));
    }

    #[test]
    fn a_clock_that_is_set_back_takes_the_schedules_along() {
        let function = Fixture::new("0 * * * *");
        let mut timetable = Timetable::new(at("12:00:30"));
        timetable.update([function.served()].into_iter(), at("12:00:30"));
        assert_eq!(timetable.take_due(at("12:00:20")), [], "a little is no matter");
        assert_eq!(timetable.next(), Some(at("13:00:00")));
        assert_eq!(timetable.take_due(at("09:15:00")), []);
        assert_eq!(timetable.next(), Some(at("10:00:00")));
    }
}
