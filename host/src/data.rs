//! The data directory and its master key: opened together, as one is nothing without the other.

use std::path::Path;
use std::sync::Arc;

use crate::secrets::seal::{KeyError, MasterKey, Sealer};
use crate::secrets::{Secret, rotation};
use crate::store::executions::Retention;
use crate::store::reseal::reseal;
use crate::store::{OpenError, Store, StoreError};

/// The key's file, inside the data directory.
const KEY_FILE: &str = "master.key";

/// Why a data directory does not open, or its key is not replaced. Each text is one line.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of its part")]
pub enum DataError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to replace the key of.
    #[error("{0} is not a data directory of caddis")]
    NoData(String),
    /// Where the old key is from the environment, the new one must be too.
    #[error("CADDIS_NEW_MASTER_KEY must be set as well: the key is given, so it has no file to be replaced in")]
    NoNewKey,
}

/// Opens a data directory, and makes it at the first start. So much is kept of the log of executions.
///
/// # Errors
/// See [`DataError`]. Where there is data but no key, nothing is written.
pub fn open(directory: &Path, given: Option<&Secret>, retention: Retention) -> Result<(Store, Arc<Sealer>), DataError> {
    let file = directory.join(KEY_FILE);
    let master = match Store::exists(directory) {
        true => MasterKey::existing(given, &file)?,
        false => MasterKey::load(given, &file)?,
    };
    let sealer = Arc::new(Sealer::new(&master));
    match Store::open_keeping(directory, sealer.clone(), retention) {
        // The key was being replaced when the process ended, and the data has the new one already.
        Err(OpenError::WrongMasterKey(path)) if given.is_none() => {
            let Some(next) = rotation::next(&file)? else { return Err(OpenError::WrongMasterKey(path).into()) };
            let sealer = Arc::new(Sealer::new(&next));
            let store = Store::open_keeping(directory, sealer.clone(), retention)?;
            rotation::adopt_next(&file)?;
            Ok((store, sealer))
        }
        Err(error) => Err(error.into()),
        Ok(store) => {
            rotation::discard_next(&file)?;
            Ok((store, sealer))
        }
    }
}

/// Seals everything with another master key: the one that is given as the new one, or a fresh one in the place of the old one's
/// file. Says how many values there were. May end at any moment: what was not finished then is at the next start.
///
/// # Errors
/// See [`DataError`].
pub async fn rotate_key(directory: &Path, given: Option<&Secret>, new: Option<&Secret>) -> Result<usize, DataError> {
    if !Store::exists(directory) {
        return Err(DataError::NoData(directory.display().to_string()));
    }
    if given.is_some() && new.is_none() {
        return Err(DataError::NoNewKey);
    }
    let (store, _) = open(directory, given, Retention::everything())?;
    let file = directory.join(KEY_FILE);
    let master = match new {
        Some(_) => MasterKey::load(new, &file)?,
        None => rotation::make_next(&file)?,
    };
    let sealer = Sealer::new(&master);
    let resealed = store.write(move |tx| reseal(tx, &sealer)).await?;
    if new.is_none() {
        rotation::adopt_next(&file)?;
    }
    Ok(resealed)
}
