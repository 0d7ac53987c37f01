//! The statements about row-level security, as PostgreSQL writes them.

use crate::store::tenant::Error;
use crate::store::tenant::rls::quoted;
use crate::store::tenant::rls::token::{Token, first_tokens, from_postgres, text_of, tokens};

/// What a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::tenant) enum PolicyFor {
    All,
    Select,
    Insert,
    Update,
    Delete,
}

impl PolicyFor {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::All, "ALL"),
        (Self::Select, "SELECT"),
        (Self::Insert, "INSERT"),
        (Self::Update, "UPDATE"),
        (Self::Delete, "DELETE"),
    ];

    /// As it is written.
    pub(in crate::store::tenant) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(known, _)| *known == self).map_or("ALL", |(_, name)| name)
    }

    /// What is written so.
    pub(in crate::store::tenant) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(known, _)| *known)
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::tenant) struct Policy {
    pub(in crate::store::tenant) name: String,
    pub(in crate::store::tenant) table: String,
    pub(in crate::store::tenant) permissive: bool,
    pub(in crate::store::tenant) applies_to: PolicyFor,
    /// Names of roles; empty stands for all.
    pub(in crate::store::tenant) roles: Vec<String>,
    pub(in crate::store::tenant) using: Option<String>,
    pub(in crate::store::tenant) with_check: Option<String>,
}

impl Policy {
    /// The statement that makes it.
    pub(in crate::store::tenant) fn statement(&self) -> String {
        let (name, table) = (quoted(&self.name), quoted(&self.table));
        let mode = if self.permissive { "PERMISSIVE" } else { "RESTRICTIVE" };
        let roles = if self.roles.is_empty() { "PUBLIC".to_owned() } else { self.roles.join(", ") };
        let command = self.applies_to.name();
        let mut statement = format!("CREATE POLICY {name} ON {table} AS {mode} FOR {command} TO {roles}");
        for (words, expression) in [("USING", &self.using), ("WITH CHECK", &self.with_check)] {
            statement += &expression.as_ref().map(|text| format!(" {words} ({text})")).unwrap_or_default();
        }
        statement
    }
}

/// What a statement does to the row-level security of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::tenant) enum Command {
    Enable { table: String, enabled: bool },
    Force { table: String, forced: bool },
    Create(Policy),
    Alter { name: String, table: String, change: Change },
    Drop { name: String, table: String, if_exists: bool },
}

/// What `ALTER POLICY` changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::tenant) enum Change {
    Rename(String),
    Set { roles: Option<Vec<String>>, using: Option<String>, with_check: Option<String> },
}

/// Most bytes of a statement that is read here, where others wait for it.
const COMMAND_BYTES: usize = 64 * 1024;

/// The command a statement is, if it is one.
pub(in crate::store::tenant) fn parse(sql: &str) -> Result<Option<Command>, Error> {
    let sql = sql.trim_start_matches(|character: char| character == ';' || character.is_ascii_whitespace());
    let is_one = match first_tokens(sql, 2).as_deref() {
        Ok([verb, what]) => {
            let changes = verb.is("CREATE") || verb.is("ALTER") || verb.is("DROP");
            changes && (what.is("POLICY") || (verb.is("ALTER") && what.is("TABLE")))
        }
        _ => false,
    };
    if !is_one {
        return Ok(None);
    }
    if sql.len() > COMMAND_BYTES {
        return Err(Error::Limit(format!(
            "a statement about a policy or a table has at most {COMMAND_BYTES} bytes, this one has {}",
            sql.len()
        )));
    }
    let Ok(tokens) = tokens(sql) else { return Ok(None) };
    let mut reader = Reader { tokens: from_postgres(tokens)?, at: 0 };
    let command = if reader.words(&["CREATE", "POLICY"]) {
        Command::Create(reader.create()?)
    } else if reader.words(&["ALTER", "POLICY"]) {
        reader.alter()?
    } else if reader.words(&["DROP", "POLICY"]) {
        let if_exists = reader.words(&["IF", "EXISTS"]);
        let (name, table) = reader.policy_on_table()?;
        let _ = reader.words(&["CASCADE"]) || reader.words(&["RESTRICT"]);
        Command::Drop { name, table, if_exists }
    } else if reader.words(&["ALTER", "TABLE"]) {
        match reader.alter_table() {
            Some(command) => command,
            None => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    while reader.symbol(';') {}
    match reader.tokens.get(reader.at) {
        None => Ok(Some(command)),
        Some(token) => Err(Error::Syntax(format!("near \"{}\": syntax error", token.text))),
    }
}

/// The table a statement gives another name.
pub(in crate::store::tenant) fn renamed_table(sql: &str) -> Option<String> {
    let mut reader = Reader { tokens: tokens(sql).ok()?, at: 0 };
    while reader.symbol(';') {}
    let table = reader.words(&["ALTER", "TABLE"]).then(|| reader.table().ok())??;
    reader.words(&["RENAME", "TO"]).then_some(table)
}

/// Whether a statement removes a table.
pub(in crate::store::tenant) fn drops_table(sql: &str) -> bool {
    let Ok(tokens) = tokens(sql) else { return false };
    let mut reader = Reader { tokens, at: 0 };
    while reader.symbol(';') {}
    reader.words(&["DROP", "TABLE"])
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn symbol(&mut self, symbol: char) -> bool {
        let is = self.tokens.get(self.at).is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(is);
        is
    }

    fn words(&mut self, words: &[&str]) -> bool {
        let ahead = self.tokens.get(self.at..).unwrap_or_default();
        let are = ahead.len() >= words.len() && ahead.iter().zip(words).all(|(token, word)| token.is(word));
        self.at += if are { words.len() } else { 0 };
        are
    }

    fn name(&mut self, what: &str) -> Result<String, Error> {
        let name = self.tokens.get(self.at).and_then(Token::name);
        self.at += 1;
        name.ok_or_else(|| Error::Syntax(format!("{what} is missing")))
    }

    /// A table; `public` and `main` are the schema there is.
    fn table(&mut self) -> Result<String, Error> {
        let name = self.name("the name of the table")?;
        if !self.symbol('.') {
            return Ok(name);
        }
        if name.eq_ignore_ascii_case("public") || name.eq_ignore_ascii_case("main") {
            return self.name("the name of the table");
        }
        Err(Error::Syntax(format!("there is no schema {name}")))
    }

    fn policy_on_table(&mut self) -> Result<(String, String), Error> {
        let name = self.name("the name of the policy")?;
        if !self.words(&["ON"]) {
            return Err(Error::Syntax(format!("ON <table> is missing behind the policy {name}")));
        }
        Ok((name, self.table()?))
    }

    fn alter_table(&mut self) -> Option<Command> {
        let _ = self.words(&["IF", "EXISTS"]);
        let _ = self.words(&["ONLY"]);
        let table = self.table().ok()?;
        let security = ["ROW", "LEVEL", "SECURITY"];
        let mut is = |before: &[&str]| self.words(&[before, &security].concat());
        if is(&["ENABLE"]) {
            Some(Command::Enable { table, enabled: true })
        } else if is(&["DISABLE"]) {
            Some(Command::Enable { table, enabled: false })
        } else if is(&["NO", "FORCE"]) {
            Some(Command::Force { table, forced: false })
        } else if is(&["FORCE"]) {
            Some(Command::Force { table, forced: true })
        } else {
            None
        }
    }

    fn create(&mut self) -> Result<Policy, Error> {
        let (name, table) = self.policy_on_table()?;
        let permissive = if self.words(&["AS"]) {
            let permissive = self.words(&["PERMISSIVE"]);
            if !permissive && !self.words(&["RESTRICTIVE"]) {
                return Err(Error::Syntax("AS is followed by PERMISSIVE or RESTRICTIVE".to_owned()));
            }
            permissive
        } else {
            true
        };
        let applies_to = if self.words(&["FOR"]) {
            let command = self.name("the command behind FOR")?;
            PolicyFor::named(&command)
                .ok_or_else(|| Error::Syntax("FOR is followed by ALL, SELECT, INSERT, UPDATE or DELETE".to_owned()))?
        } else {
            PolicyFor::All
        };
        let roles = self.roles()?.unwrap_or_default();
        let (using, with_check) = self.conditions()?;
        match applies_to {
            PolicyFor::Insert if using.is_some() => {
                return Err(Error::Syntax("only WITH CHECK expression allowed for INSERT".to_owned()));
            }
            PolicyFor::Select | PolicyFor::Delete if with_check.is_some() => {
                return Err(Error::Syntax("WITH CHECK cannot be applied to SELECT or DELETE".to_owned()));
            }
            _ => {}
        }
        Ok(Policy { name, table, permissive, applies_to, roles, using, with_check })
    }

    fn alter(&mut self) -> Result<Command, Error> {
        let (name, table) = self.policy_on_table()?;
        if self.words(&["RENAME", "TO"]) {
            let new = self.name("the new name")?;
            return Ok(Command::Alter { name, table, change: Change::Rename(new) });
        }
        let roles = self.roles()?;
        let (using, with_check) = self.conditions()?;
        Ok(Command::Alter { name, table, change: Change::Set { roles, using, with_check } })
    }

    fn roles(&mut self) -> Result<Option<Vec<String>>, Error> {
        if !self.words(&["TO"]) {
            return Ok(None);
        }
        let mut roles = Vec::new();
        let mut everyone = false;
        loop {
            match self.name("a role behind TO")?.to_ascii_lowercase().as_str() {
                "public" => everyone = true,
                "anon" | "butterbase_anon" => roles.push("anon".to_owned()),
                "authenticated" | "butterbase_user" => roles.push("authenticated".to_owned()),
                "service_role" | "butterbase_service" => roles.push("service_role".to_owned()),
                other => {
                    return Err(Error::Syntax(format!(
                        "role \"{other}\" does not exist: there are public, anon, authenticated and service_role"
                    )));
                }
            }
            if !self.symbol(',') {
                return Ok(Some(if everyone { Vec::new() } else { roles }));
            }
        }
    }

    fn conditions(&mut self) -> Result<(Option<String>, Option<String>), Error> {
        let using = if self.words(&["USING"]) { Some(self.bracketed()?) } else { None };
        let with_check = if self.words(&["WITH", "CHECK"]) { Some(self.bracketed()?) } else { None };
        Ok((using, with_check))
    }

    fn bracketed(&mut self) -> Result<String, Error> {
        if !self.symbol('(') {
            return Err(Error::Syntax("the expression of a policy stands in brackets".to_owned()));
        }
        let start = self.at;
        let mut depth = 1_usize;
        while let Some(token) = self.tokens.get(self.at) {
            depth += usize::from(token.is_symbol('('));
            depth -= usize::from(token.is_symbol(')'));
            self.at += 1;
            if depth == 0 {
                return Ok(text_of(self.tokens.get(start..self.at - 1).unwrap_or_default()));
            }
        }
        Err(Error::Syntax("a ( is never closed".to_owned()))
    }
}
