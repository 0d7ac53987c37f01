//! Places for programs that run their top level. Of those of the host an app has half at most: its programs may be slow on purpose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::error::{Code, Error};
use crate::ids::AppName;
use crate::tunables::PROGRAM_START_TIME;

/// The places of a host.
pub(super) struct Evaluations {
    host: Semaphore,
    of_an_app: usize,
    of_apps: Mutex<HashMap<AppName, Arc<Semaphore>>>,
}

impl Evaluations {
    /// So many places.
    pub(super) fn new(places: u32) -> Self {
        let places = places as usize;
        Self { host: Semaphore::new(places), of_an_app: places.div_ceil(2), of_apps: Mutex::default() }
    }

    /// A place, when there is one before the programs that have them now must have ended.
    pub(super) async fn enter(&self, app: &AppName) -> Result<(OwnedSemaphorePermit, SemaphorePermit<'_>), Error> {
        let of_app = self.of(app);
        let both = async {
            let of_app = of_app.acquire_owned().await.map_err(Error::internal)?;
            Ok((of_app, self.host.acquire().await.map_err(Error::internal)?))
        };
        timeout(PROGRAM_START_TIME, both).await.unwrap_or_else(|_elapsed| {
            let message = "the host is busy: too many programs start at the same time; try again later";
            Err(Error::new(Code::Overloaded, message))
        })
    }

    fn of(&self, app: &AppName) -> Arc<Semaphore> {
        let mut of_apps = self.of_apps.lock().unwrap_or_else(PoisonError::into_inner);
        of_apps.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        of_apps.entry(app.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.of_an_app))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_app_leaves_places_to_others_and_waits_no_longer_than_a_program_may_take() {
        let evaluations = Evaluations::new(4);
        let [one, another] = ["one", "another"].map(|name| name.parse::<AppName>().unwrap());
        let first = evaluations.enter(&one).await.unwrap();
        let second = evaluations.enter(&one).await.unwrap();
        assert_eq!(evaluations.enter(&one).await.unwrap_err().code, Code::Overloaded);
        let third = evaluations.enter(&another).await.unwrap();
        drop(first);
        let fourth = evaluations.enter(&one).await.unwrap();
        drop((second, third, fourth));
        drop(evaluations.enter(&another).await.unwrap());
        assert_eq!(evaluations.of_apps.lock().unwrap().len(), 1);
    }
}
