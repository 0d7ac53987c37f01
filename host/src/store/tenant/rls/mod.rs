//! Row-level security: policies in PostgreSQL's words, enforced by SQLite itself.
//!
//! Statements of the owner (`service_role`) run as they are. Those of `authenticated` and `anon` run on connections of their
//! own, where each name of a table or view of the schema is shadowed by a temporary view of the same name:
//!
//! ```text
//! SELECT … FROM notes   →  temp.notes  →  temp."<random>_select_notes"  →  main.notes WHERE <policies>
//! UPDATE notes …        →  UPDATE main.notes … WHERE CASE WHEN <policies> THEN <the statement's own condition> END
//! any new row           →  temporary triggers on main.notes raise unless <policies>
//! ```
//! The statement's own conditions see no row the policies hide, not even to fail on it: the view has a LIMIT, which keeps
//! SQLite from moving a condition into it, and CASE evaluates in order.
//!
//! Behind that stands the authorizer (`access`): a table with policies is read by nothing but those views and the one
//! statement that was rewritten, so that a mistake in the rewriting is an error and not a leak. The random part of the names
//! is what a common table expression cannot imitate.

pub(super) mod access;
pub(super) mod cast;
pub(super) mod catalog;
pub(super) mod command;
pub(super) mod rewrite;
pub(super) mod shadow;
pub(super) mod token;

/// The role a statement runs under, in PostgreSQL's and Supabase's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DbRole {
    /// The app itself: sees all, changes the schema.
    Service,
    /// An end user with a token of the app.
    Authenticated,
    /// Nobody in particular.
    Anon,
}

impl DbRole {
    /// The name in policies and of `auth.role()`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service_role",
            Self::Authenticated => "authenticated",
            Self::Anon => "anon",
        }
    }

    /// Whether policies hold for it.
    pub(super) fn is_limited(self) -> bool {
        self != Self::Service
    }
}

/// Who a statement runs for: what `auth.uid()` and its siblings answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The role.
    pub role: DbRole,
    /// `auth.uid()`.
    pub uid: Option<String>,
    /// `auth.email()`.
    pub email: Option<String>,
    /// `auth.jwt()`: all claims, as JSON.
    pub claims: Option<String>,
}

impl Caller {
    /// The app itself.
    pub fn service() -> Self {
        Self { role: DbRole::Service, uid: None, email: None, claims: None }
    }

    /// Nobody in particular.
    pub fn anon() -> Self {
        Self { role: DbRole::Anon, ..Self::service() }
    }

    /// A user of whom only the id is known.
    pub fn user(id: String) -> Self {
        let claims = serde_json::json!({ "sub": id, "role": DbRole::Authenticated.name() });
        Self { role: DbRole::Authenticated, uid: Some(id), email: None, claims: Some(claims.to_string()) }
    }
}

/// The message of a row that no policy admits, as PostgreSQL words it.
pub(super) const VIOLATION: &str = "new row violates row-level security policy for table ";

/// A name or text in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
