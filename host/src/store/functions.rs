//! Functions, their immutable versions, and the components they run.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::columns::{Count, Micros};
use super::{Reader, StoreError, Writer};
use crate::ids::{AppName, ContentHash, FunctionId, FunctionName};
use crate::settings::Settings;

/// Versions of functions; the queries below add which.
macro_rules! select_versions {
    ($which:literal) => {
        concat!(
            "SELECT functions.id, functions.app, functions.name, version, settings, component, world, size_bytes, \
             functions.created_at, function_versions.created_at AS updated_at, created_by \
             FROM functions \
             JOIN function_versions ON function_versions.function_id = functions.id \
             JOIN components ON hash = component ",
            $which
        )
    };
}

pub mod versions;

const GET: &str = select_versions!("WHERE version = active_version AND app = ?1 AND name = ?2");
const LIST: &str = select_versions!("WHERE version = active_version AND app = ?1 ORDER BY name");
const LIST_ALL: &str = select_versions!("WHERE version = active_version ORDER BY app, name");
const FIND_ID: &str = "SELECT id FROM functions WHERE app = ?1 AND name = ?2";
const INSERT_FUNCTION: &str =
    "INSERT INTO functions (id, app, name, active_version, created_at) VALUES (?1, ?2, ?3, 1, ?4)";
const INSERT_VERSION: &str = "INSERT INTO function_versions \
     (function_id, version, settings, component, world, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const NEXT_VERSION: &str = "SELECT coalesce(max(version), 0) + 1 FROM function_versions WHERE function_id = ?1";
const DELETE: &str = "DELETE FROM functions WHERE id = ?1";
const INSERT_COMPONENT: &str =
    "INSERT INTO components (hash, size_bytes, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (hash) DO NOTHING";
const COMPONENT_BYTES: &str = "SELECT bytes FROM components WHERE hash = ?1";
const DELETE_UNUSED_COMPONENTS: &str =
    "DELETE FROM components WHERE NOT EXISTS (SELECT 1 FROM function_versions WHERE component = hash)";

/// A function and its active version.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionVersion {
    /// Identifies the function, whatever its version.
    pub id: FunctionId,
    /// The app it belongs to.
    pub app: AppName,
    /// Its name, one of a kind in the app.
    pub name: FunctionName,
    /// Counts up from 1.
    pub version: u32,
    /// What its author chose.
    pub settings: Settings,
    /// Identifies the bytes it runs; see [`component_bytes`].
    pub component: ContentHash,
    /// The world the component is for.
    pub world: String,
    /// Size of the component, in bytes.
    pub size_bytes: u64,
    /// When the function was first published.
    pub created_at: Timestamp,
    /// When this version was published.
    pub updated_at: Timestamp,
    /// Who published this version.
    pub created_by: String,
}

/// A component to publish.
#[derive(Debug, Clone, Copy)]
pub struct Component<'a> {
    /// The hash of `bytes`.
    pub hash: ContentHash,
    /// The whole component.
    pub bytes: &'a [u8],
    /// The world it is for.
    pub world: &'a str,
}

/// What publishing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// A new function, at version 1.
    Created,
    /// The next version of a function that was there.
    Updated,
}

/// When a published version becomes the active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// At once.
    Now,
    /// When somebody says so; see [`versions`]. The first version of a function is active all the same.
    Later,
}

/// Publishes a component: a new function, or the next version of the one of this name.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app.
pub fn publish_component(
    tx: &Writer<'_>,
    app: &AppName,
    name: &FunctionName,
    settings: &Settings,
    component: Component<'_>,
    activation: Activation,
    created_by: &str,
) -> Result<(FunctionVersion, Published), StoreError> {
    let size = Count(component.bytes.len() as u64);
    tx.connection.execute(INSERT_COMPONENT, (component.hash, size, component.bytes))?;
    let found: Option<FunctionId> = tx.connection.query_row(FIND_ID, (app, name), |row| row.get(0)).optional()?;
    let now = Micros::now();
    let (id, published) = match found {
        Some(id) => (id, Published::Updated),
        None => (FunctionId::generate(), Published::Created),
    };
    if published == Published::Created {
        tx.connection.execute(INSERT_FUNCTION, (id, app, name, now))?;
    }
    let version = NewVersion { settings, component: component.hash, world: component.world, activation, created_by };
    Ok((add_next(tx, id, version, now)?, published))
}

/// Publishes other settings: the next version of a function, with the component it has. To change single settings, take
/// them from [`get`] in the same transaction.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such function.
pub fn publish_settings(
    tx: &Writer<'_>,
    app: &AppName,
    name: &FunctionName,
    settings: &Settings,
    activation: Activation,
    created_by: &str,
) -> Result<FunctionVersion, StoreError> {
    let active = get(tx, app, name)?;
    let version = NewVersion { settings, component: active.component, world: &active.world, activation, created_by };
    add_next(tx, active.id, version, Micros::now())
}

/// A function at its active version.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such function.
pub fn get(tx: &Reader<'_>, app: &AppName, name: &FunctionName) -> Result<FunctionVersion, StoreError> {
    Ok(tx.connection.prepare_cached(GET)?.query_row((app, name), function_version)?)
}

/// The functions of an app, by name.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn list(tx: &Reader<'_>, app: &AppName) -> Result<Vec<FunctionVersion>, StoreError> {
    let mut statement = tx.connection.prepare_cached(LIST)?;
    let functions = statement.query_map([app], function_version)?.collect::<rusqlite::Result<_>>()?;
    Ok(functions)
}

/// The functions of all apps; for start-up.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn list_all(tx: &Reader<'_>) -> Result<Vec<FunctionVersion>, StoreError> {
    let mut statement = tx.connection.prepare_cached(LIST_ALL)?;
    let functions = statement.query_map((), function_version)?.collect::<rusqlite::Result<_>>()?;
    Ok(functions)
}

/// Removes a function with its versions, its variables and the components nothing else runs. Says which function it was:
/// its executions are in another file (see [`super::executions::ExecutionLog::delete_function`]).
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such function.
pub fn delete(tx: &Writer<'_>, app: &AppName, name: &FunctionName) -> Result<FunctionId, StoreError> {
    let id: FunctionId = tx.connection.query_row(FIND_ID, (app, name), |row| row.get(0))?;
    tx.connection.execute(DELETE, [id])?;
    delete_unused_components(tx)?;
    Ok(id)
}

pub(super) fn delete_unused_components(tx: &Writer<'_>) -> Result<(), StoreError> {
    tx.connection.execute(DELETE_UNUSED_COMPONENTS, ())?;
    Ok(())
}

/// The bytes of a component.
///
/// # Errors
/// [`StoreError::NotFound`] when no version has it.
pub fn component_bytes(tx: &Reader<'_>, hash: ContentHash) -> Result<Vec<u8>, StoreError> {
    Ok(tx.connection.prepare_cached(COMPONENT_BYTES)?.query_row([hash], |row| row.get(0))?)
}

struct NewVersion<'a> {
    settings: &'a Settings,
    component: ContentHash,
    world: &'a str,
    activation: Activation,
    created_by: &'a str,
}

fn add_next(tx: &Writer<'_>, id: FunctionId, new: NewVersion<'_>, now: Micros) -> Result<FunctionVersion, StoreError> {
    let version: u32 = tx.connection.query_row(NEXT_VERSION, [id], |row| row.get(0))?;
    let row = (id, version, new.settings, new.component, new.world, now, new.created_by);
    tx.connection.execute(INSERT_VERSION, row)?;
    if new.activation == Activation::Now {
        versions::make_active(tx, id, version)?;
    }
    versions::remove_surplus(tx, id)?;
    versions::get(tx, id, version)?.ok_or(StoreError::NotFound)
}

fn function_version(row: &Row<'_>) -> rusqlite::Result<FunctionVersion> {
    Ok(FunctionVersion {
        id: row.get("id")?,
        app: row.get("app")?,
        name: row.get("name")?,
        version: row.get("version")?,
        settings: row.get("settings")?,
        component: row.get("component")?,
        world: row.get("world")?,
        size_bytes: row.get::<_, Count>("size_bytes")?.0,
        created_at: row.get::<_, Micros>("created_at")?.0,
        updated_at: row.get::<_, Micros>("updated_at")?.0,
        created_by: row.get("created_by")?,
    })
}

#[cfg(test)]
mod tests;
