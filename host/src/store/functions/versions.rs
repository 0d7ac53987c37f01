//! The versions a function has had, which of them is active, and which get a share of its requests.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;

use super::{FunctionVersion, Reader, StoreError, Writer, delete_unused_components, function_version};
use crate::ids::{AppName, FunctionId, FunctionName};
use crate::tunables::VERSIONS_KEPT;

const LIST: &str = select_versions!("WHERE app = ?1 AND name = ?2 ORDER BY version DESC");
const GET: &str = select_versions!("WHERE functions.id = ?1 AND version = ?2");
const ACTIVE: &str = "SELECT id, active_version FROM functions WHERE app = ?1 AND name = ?2";
const ACTIVATE: &str = "UPDATE functions SET active_version = ?2 WHERE id = ?1";
const TRAFFIC: &str = "SELECT version, percent FROM function_traffic WHERE function_id = ?1";
const END_TRAFFIC: &str = "DELETE FROM function_traffic WHERE function_id = ?1";
const SEND_TRAFFIC: &str = "INSERT INTO function_traffic (function_id, version, percent) VALUES (?1, ?2, ?3)";
const DELETE_SURPLUS: &str = "DELETE FROM function_versions WHERE function_id = ?1 AND version <= \
     (SELECT version FROM function_versions WHERE function_id = ?1 ORDER BY version DESC LIMIT 1 OFFSET ?2) \
     AND version <> (SELECT active_version FROM functions WHERE id = ?1) \
     AND version NOT IN (SELECT version FROM function_traffic WHERE function_id = ?1)";

/// Versions other than the active one, with the percentage of requests each gets.
pub type Traffic = BTreeMap<u32, u8>;

/// The versions of a function that are kept, newest first.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such function.
pub fn list(tx: &Reader<'_>, app: &AppName, name: &FunctionName) -> Result<Vec<FunctionVersion>, StoreError> {
    let mut statement = tx.connection.prepare_cached(LIST)?;
    let versions: Vec<_> = statement.query_map((app, name), function_version)?.collect::<rusqlite::Result<_>>()?;
    if versions.is_empty() { Err(StoreError::NotFound) } else { Ok(versions) }
}

/// Makes a version the active one, and ends what traffic others had.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such function or version.
pub fn activate(
    tx: &Writer<'_>,
    app: &AppName,
    name: &FunctionName,
    version: u32,
) -> Result<FunctionVersion, StoreError> {
    let (id, _) = active(tx, app, name)?;
    let found = get(tx, id, version)?.ok_or(StoreError::NotFound)?;
    make_active(tx, id, version)?;
    Ok(found)
}

/// Makes an existing version the active one.
pub(super) fn make_active(tx: &Writer<'_>, id: FunctionId, version: u32) -> Result<(), StoreError> {
    tx.connection.execute(END_TRAFFIC, [id])?;
    tx.connection.execute(ACTIVATE, (id, version))?;
    Ok(())
}

/// What traffic versions other than the active one get.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn traffic(tx: &Reader<'_>, id: FunctionId) -> Result<Traffic, StoreError> {
    let mut statement = tx.connection.prepare_cached(TRAFFIC)?;
    let traffic = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(traffic.collect::<rusqlite::Result<_>>()?)
}

/// The versions that get traffic beside the active one.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn canaries(tx: &Reader<'_>, id: FunctionId) -> Result<Vec<(u8, FunctionVersion)>, StoreError> {
    let traffic = traffic(tx, id)?;
    let found = traffic.into_iter().map(|(version, percent)| Ok(get(tx, id, version)?.map(|found| (percent, found))));
    found.filter_map(Result::transpose).collect()
}

/// Sends traffic to other versions than the active one, instead of what was set before.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such function, or not one of the versions.
pub fn set_traffic(tx: &Writer<'_>, app: &AppName, name: &FunctionName, traffic: &Traffic) -> Result<(), StoreError> {
    let (id, active) = active(tx, app, name)?;
    tx.connection.execute(END_TRAFFIC, [id])?;
    for (version, percent) in traffic.iter().filter(|(version, _)| **version != active) {
        get(tx, id, *version)?.ok_or(StoreError::NotFound)?;
        tx.connection.execute(SEND_TRAFFIC, (id, version, percent))?;
    }
    Ok(())
}

/// Removes the oldest versions beyond those that are kept, with the components nothing else runs.
pub(super) fn remove_surplus(tx: &Writer<'_>, id: FunctionId) -> Result<(), StoreError> {
    if tx.connection.execute(DELETE_SURPLUS, (id, VERSIONS_KEPT))? > 0 {
        delete_unused_components(tx)?;
    }
    Ok(())
}

fn active(tx: &Reader<'_>, app: &AppName, name: &FunctionName) -> Result<(FunctionId, u32), StoreError> {
    Ok(tx.connection.prepare_cached(ACTIVE)?.query_row((app, name), |row| Ok((row.get(0)?, row.get(1)?)))?)
}

pub(super) fn get(tx: &Reader<'_>, id: FunctionId, version: u32) -> Result<Option<FunctionVersion>, StoreError> {
    Ok(tx.connection.prepare_cached(GET)?.query_row((id, version), function_version).optional()?)
}
