//! Which of a function's versions serve: back to an earlier one, or a share of the requests for another.

use std::sync::Arc;

use super::{Deployer, Share, check_triggers};
use crate::error::{Code, Error};
use crate::ids::FunctionName;
use crate::router::table::App;
use crate::runtime::component::Linked;
use crate::store::functions::FunctionVersion;
use crate::store::functions::versions::{self, Traffic};
use crate::store::{StoreError, Writer};

impl Deployer {
    /// Makes a version that is kept the active one. What it runs is ready before it gets a request.
    pub async fn rollback(&self, app: &App, name: FunctionName, version: u32) -> Result<FunctionVersion, Error> {
        let _order = self.change(app).await?;
        let found = self.kept(app, &name, version).await?;
        check_triggers(app, &name, &found.settings)?;
        let linked = self.ready(app, &found).await?;
        let app_name = app.name.clone();
        let write = move |tx: &Writer<'_>| versions::activate(tx, &app_name, &name, version);
        let active = self.store.write(write).await?;
        self.activate(app, active.clone(), Some(linked), Vec::new());
        Ok(active)
    }

    /// Sends percentages of a function's requests to other versions than the active one, which gets the rest.
    pub async fn set_traffic(&self, app: &App, name: FunctionName, traffic: Traffic) -> Result<Traffic, Error> {
        let shared: u32 = traffic.values().map(|percent| u32::from(*percent)).sum();
        if shared > 100 || traffic.values().any(|percent| *percent == 0) {
            return Err(Error::invalid("body: percentages are whole numbers from 1 to 100, and 100 at most together"));
        }
        let _order = self.change(app).await?;
        let active = app.function(&name).ok_or(StoreError::NotFound)?.version.clone();
        if traffic.contains_key(&active.version) {
            let message = format!("version {} is the active one: it gets what the others leave", active.version);
            return Err(Error::invalid(message));
        }
        let mut shares = Vec::new();
        for (number, percent) in &traffic {
            let version = self.kept(app, &name, *number).await?;
            let linked = Some(self.link(&version).await?);
            shares.push(Share { percent: *percent, version, linked });
        }
        let (app_name, stored) = (app.name.clone(), traffic.clone());
        self.store.write(move |tx| versions::set_traffic(tx, &app_name, &name, &stored)).await?;
        let linked = app.function(&active.name).and_then(|function| function.linked().get().cloned());
        self.activate(app, active, linked, shares);
        Ok(traffic)
    }

    async fn kept(&self, app: &App, name: &FunctionName, version: u32) -> Result<FunctionVersion, Error> {
        let (app_name, name) = (app.name.clone(), name.clone());
        let found = self.store.read(move |tx| versions::list(tx, &app_name, &name)).await?;
        found.into_iter().find(|found| found.version == version).ok_or_else(|| {
            Error::new(
                Code::NotFound,
                format!("there is no version {version}; GET …/versions lists those that are kept"),
            )
        })
    }

    /// What is called for a version: the one that serves it already, or made now.
    async fn ready(&self, app: &App, version: &FunctionVersion) -> Result<Arc<Linked>, Error> {
        let serving = app.function(&version.name).filter(|active| active.version.version == version.version);
        match serving.and_then(|active| active.linked().get().cloned()) {
            Some(linked) => Ok(linked),
            None => self.link(version).await,
        }
    }
}
