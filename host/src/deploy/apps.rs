//! Apps: made and changed in the store and in the table at the same time.

use std::collections::HashMap;
use std::sync::Arc;

use super::Deployer;
use crate::auth::verifier::Verifier;
use crate::error::Error;
use crate::ids::AppName;
use crate::router::table::App;
use crate::secrets::Secret;
use crate::settings::app::{AppPatch, AppSettings};
use crate::store::apps as stored;
use crate::store::{Reader, Writer};

/// What an app's tokens are checked with, before and after a change.
struct Checked {
    settings: AppSettings,
    verifier: Verifier,
}

impl Deployer {
    /// Makes an app.
    pub async fn create_app(&self, name: AppName, jwt_secret: Secret) -> Result<stored::App, Error> {
        let _order = self.apps.lock().await;
        let secret = jwt_secret.clone();
        let made = self.store.write(move |tx| stored::create(tx, &name, &secret)).await?;
        let verifier = self.verifier(&made.name, &jwt_secret, &made.settings)?;
        self.table.insert(Arc::new(App::new(made.name.clone(), verifier, made.settings.clone(), HashMap::new())));
        Ok(made)
    }

    /// Changes what an app's owner chose, from the next request on. Keys that are published somewhere are fetched first.
    pub async fn change_app(
        &self,
        app: &App,
        patch: AppPatch,
        jwt_secret: Option<Secret>,
    ) -> Result<stored::App, Error> {
        let checked = self.check(app, patch.clone()).await?;
        let _order = self.change(app).await?;
        let name = app.name.clone();
        let new_secret = jwt_secret.clone();
        let write = move |tx: &Writer<'_>| {
            let before = stored::get(tx, &name)?;
            let settings = patch.apply(before.settings.clone())?;
            stored::set_settings(tx, &name, &settings)?;
            if let Some(secret) = new_secret {
                stored::set_jwt_secret(tx, &name, &secret)?;
            }
            let secret = stored::jwt_secret(tx, &name)?;
            Ok((stored::App { settings, ..before.clone() }, before.settings, secret))
        };
        let (changed, before, secret) = self.store.write(write).await?;
        let same = |one: &AppSettings, other: &AppSettings| {
            one.audiences == other.audiences && one.issuers == other.issuers && jwt_secret.is_none()
        };
        match checked {
            Some(checked) if same(&checked.settings, &changed.settings) => app.set_verifier(checked.verifier),
            _ if same(&before, &changed.settings) => {}
            _ => app.set_verifier(self.verifier(&app.name, &secret, &changed.settings)?),
        }
        app.set_settings(changed.settings.clone());
        if jwt_secret.is_some() {
            // The keys in them are signed with it.
            app.forget_environments();
        }
        Ok(changed)
    }

    /// Removes an app with its functions, secrets, keys, tokens, database, files and executions. Requests that run end undisturbed.
    pub async fn delete_app(&self, app: &App) -> Result<(), Error> {
        let order = (self.change(app).await?, self.apps.lock().await);
        let name = app.name.clone();
        self.store.write(move |tx| stored::delete(tx, &name)).await?;
        self.table.remove(&app.name);
        app.clear();
        self.changed.notify_one();
        drop(order);
        self.finish_deletions().await
    }

    /// Removes what is left of apps that were deleted: now, or at the start after a crash.
    pub(super) async fn finish_deletions(&self) -> Result<(), Error> {
        // Only one at a time: an app that is no longer among the deleted ones may be there again.
        let _order = self.deleting.lock().await;
        for (name, functions) in self.store.read(stored::deleted).await? {
            self.files.close_app(&name);
            self.databases.delete(&name).await.map_err(Error::internal)?;
            for function in functions {
                self.store.executions().delete_function(function).await?;
            }
            self.store.write(move |tx| stored::forget_deleted(tx, &name)).await?;
        }
        Ok(())
    }

    /// What a change of the issuers leads to, when their keys can be had.
    async fn check(&self, app: &App, patch: AppPatch) -> Result<Option<Checked>, Error> {
        let changes_issuers = patch.issuers.is_some();
        let name = app.name.clone();
        let read = move |tx: &Reader<'_>| Ok((stored::get(tx, &name)?, stored::jwt_secret(tx, &name)?));
        let (before, secret) = self.store.read(read).await?;
        let settings = patch.apply(before.settings)?;
        if !changes_issuers {
            return Ok(None);
        }
        let verifier = self.verifier(&app.name, &secret, &settings)?;
        verifier
            .fetch()
            .await
            .map_err(|(index, error)| Error::invalid(format!("issuers[{index}].jwks_url: {error}")))?;
        Ok(Some(Checked { settings, verifier }))
    }

    fn verifier(&self, name: &AppName, secret: &Secret, settings: &AppSettings) -> Result<Verifier, Error> {
        self.verifiers.verifier(name, secret, settings).map_err(|error| Error::invalid(error.to_string()))
    }
}
