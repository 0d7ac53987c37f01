//! What the authorizer lets a statement of a limited role do, whatever its text looks like.

use rusqlite::hooks::{AuthAction, AuthContext};

use crate::store::tenant::rls::catalog::PREFIX;
use crate::store::tenant::rls::rewrite::Rewritten;
use crate::store::tenant::rls::shadow::Shadows;

/// Why the statement may not do this, or nothing when it may.
pub(in crate::store::tenant) fn refusal(
    context: &AuthContext<'_>,
    shadows: &Shadows,
    statement: &Rewritten,
) -> Option<String> {
    match &context.action {
        // They count what others did on the same connection.
        AuthAction::Function { function_name } if context.accessor.is_none() && counts(function_name) => {
            Some(format!("permission denied for function {function_name} (42501)"))
        }
        AuthAction::Select
        | AuthAction::Recursive
        | AuthAction::Function { .. }
        // Full-text tables ask for them; the other pragmas were refused before.
        | AuthAction::Pragma { pragma_name: "data_version" | "page_size", pragma_value: None } => None,
        AuthAction::Read { table_name, .. } => refused(context, table_name, shadows, statement),
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => refused(context, table_name, shadows, statement),
        _ => Some("only SELECT, INSERT, UPDATE and DELETE are allowed to this role (42501)".to_owned()),
    }
}

fn counts(function: &str) -> bool {
    ["changes", "total_changes"].iter().any(|name| name.eq_ignore_ascii_case(function))
}

fn refused(context: &AuthContext<'_>, table: &str, shadows: &Shadows, statement: &Rewritten) -> Option<String> {
    let begins = |prefix: &str| table.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let by_trigger = context.accessor.is_some_and(|name| shadows.is_trigger(name));
    if begins(PREFIX) || (!by_trigger && (begins("sqlite_") || begins("pragma_"))) {
        return Some(format!("permission denied for table {table} (42501)"));
    }
    if context.database_name == Some("temp") || shadows.table(table).is_none() {
        return None;
    }
    // SQLite merges a view into a query without conditions of its own, and then reports the table once more, as read
    // without any column.
    if context.accessor.is_none() && matches!(context.action, AuthAction::Read { column_name: "", .. }) {
        return None;
    }
    let allowed = match (context.accessor, &statement.target) {
        (Some(accessor), _) if accessor.starts_with(&shadows.prefix) => true,
        // A trigger of the app runs with its rights; only a statement that writes has any.
        (Some(_), target) => by_trigger && target.is_some(),
        // Foreign keys are checked in the name of the statement, and regardless of policies as in PostgreSQL. Its own text
        // cannot name these tables: without a schema, which is refused, their names are those of the shadows.
        (None, Some(target)) => {
            let reads = matches!(context.action, AuthAction::Read { .. });
            target.eq_ignore_ascii_case(table)
                || shadows.refers(table, target)
                || (reads && shadows.refers(target, table))
        }
        (None, None) => false,
    };
    (!allowed).then(|| format!("permission denied for table {table} (42501)"))
}
