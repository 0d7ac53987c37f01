//! Where policies are kept: in two tables of the app's own database, so that they are part of every copy of it.

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::tenant::Error;
use crate::store::tenant::rls::command::{Change, Command, Policy, PolicyFor};
use crate::store::tenant::rls::{quoted, shadow};

/// Tables that begin so are the host's.
pub(in crate::store::tenant) const PREFIX: &str = "caddis_";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS caddis_row_security (
    table_name TEXT PRIMARY KEY COLLATE NOCASE, enabled INTEGER NOT NULL DEFAULT 0, forced INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS caddis_policies (
    table_name TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE, permissive INTEGER NOT NULL,
    command TEXT NOT NULL, roles TEXT NOT NULL, using_expression TEXT, check_expression TEXT,
    PRIMARY KEY (table_name, name)
) STRICT;";

/// Tells every connection that what it knows of the schema is old.
const NEW_SCHEMA_VERSION: &str = "CREATE TABLE caddis_touched (x); DROP TABLE caddis_touched";

/// Whether any table has row-level security.
pub(in crate::store::tenant) fn is_used(sqlite: &Connection) -> rusqlite::Result<bool> {
    exists(sqlite).and_then(|exists| if exists { Ok(!protected(sqlite)?.is_empty()) } else { Ok(false) })
}

fn exists(sqlite: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE name IN ('caddis_row_security', 'caddis_policies')";
    sqlite.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|count| count == 2)
}

/// The tables with row-level security, by the names they were enabled under.
pub(in crate::store::tenant) fn protected(sqlite: &Connection) -> rusqlite::Result<Vec<String>> {
    if !exists(sqlite)? {
        return Ok(Vec::new());
    }
    let mut statement = sqlite.prepare("SELECT table_name FROM main.caddis_row_security WHERE enabled")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The policies of a table.
pub(in crate::store::tenant) fn policies(sqlite: &Connection, table: &str) -> rusqlite::Result<Vec<Policy>> {
    let sql = "SELECT name, table_name, permissive, command, roles, using_expression, check_expression
               FROM main.caddis_policies WHERE table_name = ?1 ORDER BY name";
    let policy = |row: &rusqlite::Row<'_>| {
        Ok(Policy {
            name: row.get(0)?,
            table: row.get(1)?,
            permissive: row.get(2)?,
            applies_to: PolicyFor::named(&row.get::<_, String>(3)?).unwrap_or(PolicyFor::All),
            roles: row.get::<_, String>(4)?.split_whitespace().map(str::to_owned).collect(),
            using: row.get(5)?,
            with_check: row.get(6)?,
        })
    };
    sqlite.prepare(sql)?.query_map([table], policy)?.collect()
}

/// Does what a command says, all or nothing, as a part of a transaction that is open. The connection works for the host.
pub(in crate::store::tenant) fn apply(sqlite: &Connection, command: &Command) -> Result<(), Error> {
    sqlite.execute_batch("SAVEPOINT policies")?;
    let result = sqlite
        .execute_batch(SCHEMA)
        .map_err(Error::from)
        .and_then(|()| write(sqlite, command))
        .and_then(|()| Ok(sqlite.execute_batch(NEW_SCHEMA_VERSION)?))
        .and_then(|()| Ok(sqlite.execute_batch("RELEASE policies")?));
    if result.is_err() && !sqlite.is_autocommit() {
        sqlite.execute_batch("ROLLBACK TO policies; RELEASE policies")?;
    }
    result
}

fn write(sqlite: &Connection, command: &Command) -> Result<(), Error> {
    match command {
        Command::Enable { table, enabled } => {
            let table = table_named(sqlite, table)?;
            if *enabled {
                shadow::check_table(sqlite, &table)?;
            }
            sqlite.execute(
                "INSERT INTO main.caddis_row_security (table_name, enabled) VALUES (?1, ?2)
                 ON CONFLICT (table_name) DO UPDATE SET enabled = excluded.enabled",
                params![table, enabled],
            )?;
        }
        Command::Force { table, forced } => {
            let table = table_named(sqlite, table)?;
            sqlite.execute(
                "INSERT INTO main.caddis_row_security (table_name, forced) VALUES (?1, ?2)
                 ON CONFLICT (table_name) DO UPDATE SET forced = excluded.forced",
                params![table, forced],
            )?;
        }
        Command::Create(policy) => {
            table_named(sqlite, &policy.table)?;
            if find(sqlite, &policy.table, &policy.name)?.is_some() {
                return Err(Error::Syntax(format!(
                    "policy \"{}\" for table \"{}\" already exists",
                    policy.name, policy.table
                )));
            }
            put(sqlite, policy)?;
        }
        Command::Alter { name, table, change } => {
            let mut policy = find(sqlite, table, name)?.ok_or_else(|| no_policy(name, table))?;
            remove(sqlite, table, name)?;
            match change {
                Change::Rename(new) => policy.name.clone_from(new),
                Change::Set { roles, using, with_check } => {
                    policy.roles = roles.clone().unwrap_or(policy.roles);
                    policy.using = using.clone().or(policy.using);
                    policy.with_check = with_check.clone().or(policy.with_check);
                }
            }
            put(sqlite, &policy)?;
        }
        Command::Drop { name, table, if_exists } => {
            if remove(sqlite, table, name)? == 0 && !if_exists {
                return Err(no_policy(name, table));
            }
        }
    }
    Ok(())
}

/// The statements that make the policies there are.
pub(in crate::store::tenant) fn statements(sqlite: &Connection) -> rusqlite::Result<Vec<String>> {
    if !exists(sqlite)? {
        return Ok(Vec::new());
    }
    let tables = "SELECT table_name, enabled, forced FROM main.caddis_row_security ORDER BY table_name";
    let mut tables = sqlite.prepare(tables)?;
    let security = |row: &rusqlite::Row<'_>| {
        let table = quoted(&row.get::<_, String>(0)?);
        let words = [("ENABLE", row.get(1)?), ("FORCE", row.get(2)?)];
        let set = words.iter().filter(|(_, set)| *set);
        Ok(set.map(|(word, _)| format!("ALTER TABLE {table} {word} ROW LEVEL SECURITY")).collect::<Vec<_>>())
    };
    let security: Vec<_> = tables.query_map([], security)?.collect::<rusqlite::Result<_>>()?;
    let mut all: Vec<String> = security.into_iter().flatten().collect();
    let mut named = sqlite.prepare("SELECT DISTINCT table_name FROM main.caddis_policies ORDER BY table_name")?;
    let named: Vec<String> = named.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for table in named {
        all.extend(policies(sqlite, &table)?.iter().map(Policy::statement));
    }
    Ok(all)
}

/// Forgets the policies of tables that are gone.
pub(in crate::store::tenant) fn forget_dropped(sqlite: &Connection) -> rusqlite::Result<()> {
    if !exists(sqlite)? {
        return Ok(());
    }
    let gone = "table_name NOT IN (SELECT name COLLATE NOCASE FROM main.sqlite_schema WHERE type = 'table')";
    for table in ["caddis_row_security", "caddis_policies"] {
        sqlite.execute(&format!("DELETE FROM main.{table} WHERE {gone}"), [])?;
    }
    Ok(())
}

fn find(sqlite: &Connection, table: &str, name: &str) -> rusqlite::Result<Option<Policy>> {
    Ok(policies(sqlite, table)?.into_iter().find(|policy| policy.name.eq_ignore_ascii_case(name)))
}

fn put(sqlite: &Connection, policy: &Policy) -> Result<(), Error> {
    shadow::check_policy(sqlite, policy)?;
    sqlite.execute(
        "INSERT INTO main.caddis_policies VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            policy.table,
            policy.name,
            policy.permissive,
            policy.applies_to.name(),
            policy.roles.join(" "),
            policy.using,
            policy.with_check
        ],
    )?;
    Ok(())
}

fn remove(sqlite: &Connection, table: &str, name: &str) -> rusqlite::Result<usize> {
    sqlite.execute("DELETE FROM main.caddis_policies WHERE table_name = ?1 AND name = ?2", [table, name])
}

/// The name of a table as the schema has it.
fn table_named(sqlite: &Connection, table: &str) -> Result<String, Error> {
    let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'caddis\\_%' ESCAPE '\\'";
    let found = sqlite.query_row(sql, [table], |row| row.get(0)).optional()?;
    found.ok_or_else(|| Error::Syntax(format!("relation \"{table}\" does not exist")))
}

fn no_policy(name: &str, table: &str) -> Error {
    Error::Syntax(format!("policy \"{name}\" for table \"{table}\" does not exist"))
}
