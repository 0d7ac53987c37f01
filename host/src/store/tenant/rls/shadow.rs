//! The temporary views and triggers that stand between a limited role and the tables.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::store::tenant::Error;
use crate::store::tenant::rls::command::{Policy, PolicyFor};
use crate::store::tenant::rls::token::{TokenKind, tokens};
use crate::store::tenant::rls::{VIOLATION, catalog, quoted};

/// What a connection shadows, as of one version of the schema.
#[derive(Debug)]
pub(in crate::store::tenant) struct Shadows {
    /// What the names of the hidden views and triggers begin with.
    pub(in crate::store::tenant) prefix: String,
    /// SQLite's version of the schema this was made from.
    pub(in crate::store::tenant) version: i64,
    tables: HashMap<String, Shadow>,
    /// The triggers of the app, in lower case.
    triggers: HashSet<String>,
    /// Tables that refer to a table, in lower case.
    referring: HashMap<String, HashSet<String>>,
}

/// The shadow of one table.
#[derive(Debug)]
pub(in crate::store::tenant) struct Shadow {
    /// A name of the rowid that is not a column.
    pub(in crate::store::tenant) rowid: &'static str,
    /// The view of the rows that UPDATE may touch, quoted.
    pub(in crate::store::tenant) updatable: String,
    /// The view of the rows that DELETE may touch, quoted.
    pub(in crate::store::tenant) deletable: String,
    /// Whether a constraint of the table removes rows by itself.
    pub(in crate::store::tenant) replaces: bool,
}

impl Shadows {
    /// The shadow of a table that has policies.
    pub(in crate::store::tenant) fn table(&self, name: &str) -> Option<&Shadow> {
        self.tables.get(&name.to_ascii_lowercase())
    }

    /// Whether this is a trigger of the app.
    pub(in crate::store::tenant) fn is_trigger(&self, name: &str) -> bool {
        self.triggers.contains(&name.to_ascii_lowercase())
    }

    /// Whether rows of `table` refer to rows of `target`, directly or through others: SQLite reads and writes such a
    /// table for a foreign key, in the name of the statement.
    pub(in crate::store::tenant) fn refers(&self, table: &str, target: &str) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![target.to_ascii_lowercase()];
        while let Some(parent) = open.pop() {
            for child in self.referring.get(&parent).into_iter().flatten() {
                if child.eq_ignore_ascii_case(table) {
                    return true;
                }
                if seen.insert(child) {
                    open.push(child.clone());
                }
            }
        }
        false
    }
}

/// Makes the shadows of the schema as it is. The connection works for the host, outside a transaction.
pub(in crate::store::tenant) fn build(sqlite: &Connection, prefix: &str) -> Result<Shadows, Error> {
    for (kind, name) in pairs(sqlite, "SELECT type, name FROM temp.sqlite_schema WHERE type IN ('view', 'trigger')")? {
        sqlite.execute_batch(&format!("DROP {kind} IF EXISTS temp.{}", quoted(&name)))?;
    }
    sqlite.execute_batch("BEGIN")?;
    let planned = plan(sqlite, prefix);
    sqlite.execute_batch("ROLLBACK")?;
    let (shadows, statements) = planned?;
    for statement in statements {
        sqlite.execute_batch(&statement)?;
    }
    Ok(shadows)
}

/// What to make, read from one snapshot.
fn plan(sqlite: &Connection, prefix: &str) -> Result<(Shadows, Vec<String>), Error> {
    let mut shadows = Shadows {
        prefix: prefix.to_owned(),
        version: sqlite.pragma_query_value(None, "schema_version", |row| row.get(0))?,
        tables: HashMap::new(),
        triggers: HashSet::new(),
        referring: HashMap::new(),
    };
    let mut statements = Vec::new();
    for name in catalog::protected(sqlite)? {
        let sql = "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
        let found =
            sqlite.prepare(sql)?.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?.next().transpose()?;
        let Some((name, sql)): Option<(String, String)> = found else { continue };
        let table = Table::describe(sqlite, &name)?;
        let policies = catalog::policies(sqlite, &name)?;
        statements.extend(table.statements(&policies, prefix));
        let shadow = Shadow {
            rowid: table.rowid,
            updatable: table.hidden(prefix, "update"),
            deletable: table.hidden(prefix, "delete"),
            replaces: tokens(&sql)?
                .windows(2)
                .any(|pair| matches!(pair, [a, b] if a.is("CONFLICT") && b.is("REPLACE"))),
        };
        shadows.tables.insert(name.to_ascii_lowercase(), shadow);
    }
    // A view of the app, seen through the shadows: as PostgreSQL's with security_invoker.
    for (_, sql) in pairs(sqlite, "SELECT name, sql FROM main.sqlite_schema WHERE type = 'view'")? {
        if let Some(body) = sql.strip_prefix("CREATE VIEW ") {
            statements.push(format!("CREATE TEMP VIEW {body}"));
        }
    }
    for (name, _) in pairs(sqlite, "SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger'")? {
        shadows.triggers.insert(name.to_ascii_lowercase());
    }
    let keys = "SELECT lower(f.\"table\"), lower(m.name) FROM main.sqlite_schema AS m
                JOIN pragma_foreign_key_list(m.name, 'main') AS f WHERE m.type = 'table'";
    for (parent, child) in pairs(sqlite, keys)? {
        shadows.referring.entry(parent).or_default().insert(child);
    }
    Ok((shadows, statements))
}

fn pairs(sqlite: &Connection, sql: &str) -> rusqlite::Result<Vec<(String, String)>> {
    sqlite.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whether row-level security can work for a table.
pub(in crate::store::tenant) fn check_table(sqlite: &Connection, name: &str) -> Result<(), Error> {
    let sql = "SELECT type = 'table' AND NOT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1";
    let ordinary: bool = sqlite.query_row(sql, [name], |row| row.get(0))?;
    if !ordinary {
        return Err(Error::Denied(format!(
            "row-level security needs an ordinary table, and {name} is virtual or WITHOUT ROWID"
        )));
    }
    Table::describe(sqlite, name).map(|_| ())
}

/// Whether the expressions of a policy mean something.
pub(in crate::store::tenant) fn check_policy(sqlite: &Connection, policy: &Policy) -> Result<(), Error> {
    for expression in [&policy.using, &policy.with_check].into_iter().flatten() {
        if tokens(expression)?.iter().any(|token| token.kind == TokenKind::Variable) {
            return Err(Error::Syntax("a policy has no parameters".to_owned()));
        }
        sqlite.prepare(&format!("SELECT 1 FROM main.{} WHERE ({expression})", quoted(&policy.table)))?;
    }
    Ok(())
}

/// A table, as far as its shadow needs to know it.
struct Table {
    name: String,
    columns: Vec<String>,
    rowid: &'static str,
    /// The column that is the rowid, which SQLite fills in only when the row is stored.
    rowid_column: Option<String>,
}

impl Table {
    fn describe(sqlite: &Connection, name: &str) -> Result<Self, Error> {
        let mut statement =
            sqlite.prepare("SELECT name, type, pk FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1")?;
        let columns: Vec<(String, String, i64)> = statement
            .query_map([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let taken = |rowid: &&str| !columns.iter().any(|(column, ..)| column.eq_ignore_ascii_case(rowid));
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(taken).ok_or_else(|| {
            Error::Denied(format!("row-level security needs a rowid, and the columns of {name} hide all its names"))
        })?;
        let mut keys = columns.iter().filter(|(.., key)| *key > 0);
        let rowid_column = match (keys.next(), keys.next()) {
            (Some((column, kind, _)), None) if kind.eq_ignore_ascii_case("integer") => Some(column.clone()),
            _ => None,
        };
        let columns = columns.into_iter().map(|(column, ..)| column).collect();
        Ok(Self { name: name.to_owned(), columns, rowid, rowid_column })
    }

    fn hidden(&self, prefix: &str, purpose: &str) -> String {
        quoted(&format!("{prefix}{purpose}_{}", self.name))
    }

    fn statements(&self, policies: &[Policy], prefix: &str) -> Vec<String> {
        let name = quoted(&self.name);
        let columns = self.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let hidden = |purpose: &str| self.hidden(prefix, purpose);
        let readable = combined(policies, PolicyFor::Select, Policy::old_rows);
        let updatable = format!("{readable} AND {}", combined(policies, PolicyFor::Update, Policy::old_rows));
        let deletable = format!("{readable} AND {}", combined(policies, PolicyFor::Delete, Policy::old_rows));
        let inserted = combined(policies, PolicyFor::Insert, Policy::new_rows);
        let inserted = format!("{inserted} AND (NOT caddis_reads_back({}) OR {readable})", super::text(&self.name));
        let updated = format!("{readable} AND {}", combined(policies, PolicyFor::Update, Policy::new_rows));
        let rowid = self.rowid;
        let select = hidden("select");
        let mut statements = vec![
            format!(
                "CREATE TEMP VIEW {select}({columns}) AS SELECT {columns} FROM main.{name} WHERE {readable} LIMIT -1"
            ),
            format!("CREATE TEMP VIEW {name}({columns}) AS SELECT {columns} FROM temp.{select}"),
        ];
        for (purpose, condition) in [("update", &updatable), ("delete", &deletable)] {
            statements.push(format!(
                "CREATE TEMP VIEW {}(rid) AS SELECT {rowid} FROM main.{name} WHERE {condition}",
                hidden(purpose)
            ));
        }
        let refuse = |purpose: &str, event: &str, row: &str, condition: &str, when: &str| {
            let values: Vec<_> =
                self.columns.iter().map(|column| format!("{row}.{0} AS {0}", quoted(column))).collect();
            let message = format!("{VIOLATION}\"{}\"", self.name).replace('\'', "''");
            format!(
                "CREATE TEMP TRIGGER {} {event} ON main.{name} WHEN {when} NOT EXISTS (SELECT 1 FROM (SELECT {}) AS {name} \
                 WHERE {condition}) BEGIN SELECT RAISE(ABORT, '{message}'); END",
                hidden(purpose),
                values.join(", "),
            )
        };
        // Before, so that the row's conflict with a hidden one is not what the caller learns; after, because only then the
        // row is what is stored.
        let known = self.rowid_column.as_ref().map(|column| format!("NEW.{} IS NOT -1 AND", quoted(column)));
        statements.push(refuse("insert1", "BEFORE INSERT", "NEW", &inserted, known.as_deref().unwrap_or_default()));
        statements.push(refuse("insert2", "AFTER INSERT", "NEW", &inserted, ""));
        statements.push(refuse("update1", "BEFORE UPDATE", "NEW", &updated, ""));
        statements.push(refuse("update2", "AFTER UPDATE", "NEW", &updated, ""));
        // The condition that was added to the statement lets no hidden row come here: this is for the day it fails.
        let by_statement = format!("caddis_writes({}) AND", super::text(&self.name));
        statements.push(refuse("update0", "BEFORE UPDATE", "OLD", &updatable, &by_statement));
        statements
    }
}

impl Policy {
    fn old_rows(&self) -> Option<&str> {
        self.using.as_deref()
    }

    fn new_rows(&self) -> Option<&str> {
        self.with_check.as_deref().or(self.using.as_deref())
    }
}

/// What the policies for a command say together: any of the permissive ones, and all of the restrictive ones.
fn combined(policies: &[Policy], command: PolicyFor, expression: fn(&Policy) -> Option<&str>) -> String {
    let mut permitted = Vec::new();
    let mut required = Vec::new();
    for policy in policies.iter().filter(|policy| [PolicyFor::All, command].contains(&policy.applies_to)) {
        let Some(expression) = expression(policy) else { continue };
        let roles: Vec<_> = policy.roles.iter().map(|role| format!("'{role}'")).collect();
        let roles = roles.join(", ");
        match (policy.permissive, roles.is_empty()) {
            (true, true) => permitted.push(format!("({expression})")),
            (true, false) => permitted.push(format!("(auth_role() IN ({roles}) AND ({expression}))")),
            (false, true) => required.push(format!("({expression})")),
            (false, false) => required.push(format!("(auth_role() NOT IN ({roles}) OR ({expression}))")),
        }
    }
    if permitted.is_empty() {
        return "(0)".to_owned();
    }
    required.insert(0, format!("({})", permitted.join(" OR ")));
    format!("({})", required.join(" AND "))
}
