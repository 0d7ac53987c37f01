//! Carries schedules out: one task that sleeps until something is due, or until other functions are served.

use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use http_body_util::BodyExt;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::block_in_place;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::timetable::{Due, Served, Timetable};
use crate::error::Code;
use crate::http::respond::EXECUTION_ID;
use crate::invoke::{Call, Switchboard};
use crate::router::table::{App, Function, Table};
use crate::sandbox::origin::Origin;
use crate::tunables::{CRON_CLOCK_SLACK, CRON_LATENESS, CRON_RETRY};

/// The functions that run by themselves.
#[derive(Clone)]
pub struct Scheduler {
    /// What is served.
    pub table: Arc<Table>,
    /// Tells that something else is.
    pub changed: Arc<Notify>,
    /// Answers calls.
    pub switchboard: Arc<dyn Switchboard>,
    /// Where the host is reached.
    pub origin: Origin,
}

impl Scheduler {
    /// Starts what is due until `stop` says true, then waits for what runs.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let runs = TaskTracker::new();
        let mut timetable = Timetable::new(Timestamp::now());
        block_in_place(|| self.read(&mut timetable));
        loop {
            // With thousands of schedules, some milliseconds.
            for due in block_in_place(|| timetable.take_due(Timestamp::now())) {
                runs.spawn(self.clone().carry_out(due, stop.clone()));
            }
            let wake = match timetable.next() {
                Some(next) => Either::Left(sleep(pause(next))),
                None => Either::Right(std::future::pending()),
            };
            tokio::select! {
                () = wake => {}
                () = self.changed.notified() => block_in_place(|| self.read(&mut timetable)),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        runs.close();
        runs.wait().await;
    }

    fn read(&self, timetable: &mut Timetable) {
        let apps: Vec<_> = self.table.apps().into_iter().map(|app| (app.all(), app)).collect();
        let served = apps.iter().flat_map(|(functions, app)| {
            functions.iter().map(|function| Served {
                id: function.version.id,
                app: &app.name,
                name: &function.version.name,
                settings: &function.version.settings,
            })
        });
        timetable.update(served, Timestamp::now());
    }

    async fn carry_out(self, due: Due, mut stop: watch::Receiver<bool>) {
        while let Some((app, function)) = self.find(&due).filter(|_| !*stop.borrow()) {
            if due.missed {
                return skip(&function, &due, "too late");
            }
            match self.attempt(app, &function, due.scheduled).await {
                Ok(()) => return,
                Err(Code::Overloaded) if is_in_time(due.scheduled) => {}
                Err(code) => return skip(&function, &due, code.as_str()),
            }
            // Not all at once: what is due at the same minute was refused at the same moment.
            tokio::select! {
                () = sleep(CRON_RETRY.mul_f64(0.5 + fastrand::f64())) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    fn find(&self, due: &Due) -> Option<(Arc<App>, Arc<Function>)> {
        let app = self.table.app(&due.app)?;
        let function = app.function(&due.name).filter(|function| function.version.id == due.id)?;
        Some((app, function))
    }

    /// Runs a function to its end, or says why it did not start.
    async fn attempt(&self, app: Arc<App>, function: &Function, scheduled: Timestamp) -> Result<(), Code> {
        let call = Call::scheduled(app, function, &self.origin, scheduled).map_err(|error| error.code)?;
        let response = self.switchboard.clone().connect(call).await;
        if !response.headers().contains_key(EXECUTION_ID) {
            return Err(response.extensions().get().copied().unwrap_or(Code::Internal));
        }
        // What it answers is in its record, and how it fails too.
        let mut body = response.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        Ok(())
    }
}

fn is_in_time(scheduled: Timestamp) -> bool {
    Timestamp::now().duration_since(scheduled).unsigned_abs() < CRON_LATENESS
}

fn skip(function: &Function, due: &Due, reason: &str) {
    function.metrics.skip();
    tracing::warn!(app = %due.app, function = %due.name, scheduled = %due.scheduled, reason, "a run of a schedule was skipped");
}

/// How long to sleep until then. Not for ever: the clock may be set, and the machine may sleep, which a timer does not notice.
fn pause(until: Timestamp) -> Duration {
    let left = until.duration_since(Timestamp::now());
    Duration::try_from(left).unwrap_or(Duration::ZERO).min(CRON_CLOCK_SLACK)
}
