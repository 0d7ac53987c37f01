//! The same schemas, policies and statements on PostgreSQL and here: rows, counts and errors have to agree.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::store::tenant::tests::{Host, execute, query, soon};
use crate::store::tenant::{Caller, ConstraintKind, Database, DbRole, Error, Value};

const ROUNDS: usize = 60;
const STATEMENTS: usize = 100;
const SEED: u64 = 0x5eed_cadd_1500_0001;

/// A user that is not root, whom PostgreSQL refuses.
const NOBODY: u32 = 65534;

const TABLES: [&str; 4] = [
    "CREATE TABLE teams (id INTEGER PRIMARY KEY, lead TEXT)",
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, n INTEGER CHECK (n < 50), \
     team INTEGER REFERENCES teams(id) ON DELETE CASCADE)",
    "CREATE TABLE open (id INTEGER PRIMARY KEY, v INTEGER)",
    "CREATE TABLE audit (what TEXT, note INTEGER)",
];

/// Views that PostgreSQL reads with the rights of the caller, as is done here.
const VIEWS: [(&str, &str); 2] = [
    ("seen", "SELECT id, n FROM notes"),
    (
        "per_team",
        "SELECT teams.id, count(notes.id) AS notes, max(notes.n) AS most FROM teams LEFT JOIN notes ON notes.team = teams.id GROUP BY teams.id",
    ),
];

/// Triggers, in the words of each side. They write to a table that has policies of its own and to one that has none, and refuse
/// some rows. PostgreSQL runs those of an event by their names, and the checks of foreign keys among them as "RI_…".
const TRIGGERS: [&str; 2] = [
    "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO audit VALUES (lower(TG_OP), coalesce(NEW.id, OLD.id));
       UPDATE open SET v = v + 1 WHERE id = coalesce(NEW.team, OLD.team);
       IF NEW.n = 9 AND NEW.owner = 'eve' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'P0001'; END IF;
       RETURN NULL;
     END $$",
    "CREATE TRIGGER a_noted AFTER INSERT OR UPDATE OR DELETE ON notes FOR EACH ROW EXECUTE FUNCTION noted()",
];

/// The same here, where an event has a trigger of its own.
fn own_triggers() -> Vec<String> {
    let of = |event: &str, row: &str| {
        let refuse = "SELECT RAISE(ABORT, 'P0001') WHERE NEW.n = 9 AND NEW.owner = 'eve';";
        let refuse = if row == "NEW" { refuse } else { "" };
        format!(
            "CREATE TRIGGER noted_{event} AFTER {event} ON notes BEGIN
               INSERT INTO audit VALUES ('{event}', {row}.id);
               UPDATE open SET v = v + 1 WHERE id = {row}.team; {refuse}
             END"
        )
    };
    vec![of("insert", "NEW"), of("update", "NEW"), of("delete", "OLD")]
}

const EXPRESSIONS: [&str; 13] = [
    "owner = auth.uid()",
    "owner = auth.uid() OR n > 5",
    "n % 2 = 0",
    "n > 2",
    "id < 8",
    "true",
    "auth.role() = 'anon'",
    "auth.email() = owner || '@example.com'",
    "(auth.jwt() ->> 'team')::int = team",
    "auth.jwt() ->> 'plan' = 'paid' AND n < 8",
    "coalesce(auth.jwt() ->> 'plan', 'none') <> 'paid'",
    "team IN (SELECT t.id FROM teams AS t WHERE t.lead = auth.uid())",
    "EXISTS (SELECT 1 FROM teams WHERE teams.id = notes.team)",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

fn policies(random: &mut Random) -> Vec<String> {
    let mut all = vec!["ALTER TABLE notes ENABLE ROW LEVEL SECURITY".to_owned()];
    if random.below(2) == 0 {
        all.push("ALTER TABLE teams ENABLE ROW LEVEL SECURITY".to_owned());
        all.push(format!("CREATE POLICY t ON teams USING ({})", random.one(&["lead = auth.uid()", "id > 1", "true"])));
    }
    if random.below(2) == 0 {
        all.push("ALTER TABLE audit ENABLE ROW LEVEL SECURITY".to_owned());
        let check = random.one(&["true", "note < 9", "what <> 'delete'", "auth.role() = 'authenticated'"]);
        all.push(format!("CREATE POLICY written ON audit FOR INSERT WITH CHECK ({check})"));
        if random.below(2) == 0 {
            all.push("CREATE POLICY read ON audit FOR SELECT USING (note % 2 = 0)".to_owned());
        }
    }
    if random.below(3) == 0 {
        all.push("ALTER TABLE notes FORCE ROW LEVEL SECURITY".to_owned());
    }
    for number in 0..1 + random.below(5) {
        let command = random.one(&["ALL", "ALL", "SELECT", "SELECT", "INSERT", "UPDATE", "DELETE"]);
        let kind = random.one(&["PERMISSIVE", "PERMISSIVE", "RESTRICTIVE"]);
        let roles = random.one(&["public", "authenticated", "anon", "authenticated, anon", "service_role"]);
        let mut policy = format!("CREATE POLICY p{number} ON notes AS {kind} FOR {command} TO {roles}");
        if command != "INSERT" {
            write!(policy, " USING ({})", random.one(&EXPRESSIONS)).unwrap();
        }
        if command == "INSERT" || (["ALL", "UPDATE"].contains(&command) && random.below(2) == 0) {
            write!(policy, " WITH CHECK ({})", random.one(&EXPRESSIONS)).unwrap();
        }
        all.push(policy);
    }
    all
}

fn statement(random: &mut Random) -> String {
    let id = random.below(12) + 1;
    let n = random.below(10);
    let owner = random.one(&["ann", "bob", "eve"]);
    let team = random.below(4) + 1;
    let values = format!("(id, owner, team, n) VALUES ({id}, '{owner}', {team}, {n})");
    match random.below(32) {
        0 | 1 => "SELECT id, owner, n FROM notes ORDER BY id".to_owned(),
        2 => format!("SELECT count(*), sum(n) FROM notes WHERE n > {n}"),
        3 => format!(
            "WITH w AS (SELECT * FROM notes WHERE team = {team}) SELECT a.id FROM w AS a JOIN notes AS b ON a.id = b.id"
        ),
        4 => "SELECT id, n FROM seen".to_owned(),
        5 => "SELECT id, (SELECT count(*) FROM notes WHERE notes.team = teams.id) FROM teams".to_owned(),
        6 => format!("INSERT INTO notes {values}"),
        7 => format!("INSERT INTO notes {values} RETURNING id, owner"),
        8 => {
            format!("INSERT INTO notes {values} ON CONFLICT (id) DO UPDATE SET n = excluded.n, owner = excluded.owner")
        }
        9 => format!("INSERT INTO notes {values} ON CONFLICT (id) DO NOTHING"),
        10 => format!("UPDATE notes SET n = {n} WHERE id = {id} OR team = {team}"),
        11 => format!("UPDATE notes AS x SET owner = '{owner}' WHERE x.n >= {n} RETURNING id"),
        12 => format!("UPDATE notes SET n = notes.n + 1 FROM teams WHERE teams.id = notes.team AND teams.id = {team}"),
        13 => format!("DELETE FROM notes WHERE id = {id}"),
        14 => format!(
            "DELETE FROM notes WHERE id IN (SELECT o.id FROM open AS o JOIN notes AS z ON z.id = o.id) AND n < {n}"
        ),
        15 => format!("DELETE FROM teams WHERE id = {team}"),
        16 => "SELECT id, notes, most FROM per_team".to_owned(),
        17 => "SELECT what, note FROM audit".to_owned(),
        18 => "SELECT id, v FROM open".to_owned(),
        19 => "SELECT auth.uid(), auth.role(), auth.email(), auth.jwt() ->> 'team' FROM open WHERE id = 1".to_owned(),
        20 => format!(
            "SELECT id FROM notes WHERE auth.email() = owner || '@example.com' OR (auth.jwt() ->> 'team')::int = {team}"
        ),
        21 => format!(
            "WITH RECURSIVE up(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM up WHERE i < {id}) SELECT i, n FROM up LEFT JOIN notes ON id = i"
        ),
        22 => format!(
            "SELECT id FROM notes WHERE n < {n} UNION SELECT id FROM teams EXCEPT SELECT id FROM seen WHERE n > {n}"
        ),
        23 => "SELECT owner, count(*), sum(n) FROM notes GROUP BY owner HAVING count(*) > 1".to_owned(),
        24 => format!(
            "INSERT INTO notes (id, owner, team, n) SELECT id + 20, owner, team, {n} FROM notes WHERE id = {id} RETURNING id, n"
        ),
        25 => format!("UPDATE notes SET n = (SELECT max(z.n) FROM notes AS z) WHERE id = {id} RETURNING id, n"),
        26 => format!("DELETE FROM notes WHERE team = {team} RETURNING id, owner"),
        27 => format!("UPDATE notes SET id = {} WHERE id = {id}", random.below(12) + 1),
        28 => format!("UPDATE notes SET team = {team}, n = n + {} WHERE id = {id}", random.one(&["1", "60", "70"])),
        29 => format!(
            "INSERT INTO notes (id, team, n, owner) VALUES ({id}, {team}, {})",
            random.one(&["3, NULL", "55, 'ann'", "50, NULL"])
        ),
        30 => format!(
            "WITH w AS (SELECT id FROM notes WHERE n >= {n}) UPDATE notes SET owner = '{owner}' WHERE id IN (SELECT id FROM w)"
        ),
        _ => {
            format!("INSERT INTO notes {values} ON CONFLICT (id) DO UPDATE SET n = notes.n + 1 RETURNING id, owner, n")
        }
    }
}

fn content() -> Vec<String> {
    let notes: Vec<_> = (1..9)
        .map(|id| format!("({id}, '{}', {}, {})", ["ann", "bob", "eve"][id % 3], id % 3 + 1, id * 7 % 10))
        .collect();
    vec![
        "DELETE FROM notes".to_owned(),
        "DELETE FROM teams".to_owned(),
        "DELETE FROM open".to_owned(),
        "INSERT INTO teams VALUES (1, 'ann'), (2, 'bob'), (3, 'ann')".to_owned(),
        "INSERT INTO open VALUES (1, 1), (2, 2), (3, 3), (4, 4)".to_owned(),
        format!("INSERT INTO notes (id, owner, team, n) VALUES {}", notes.join(", ")),
    ]
}

/// A server of its own in a temporary directory, reached by a socket there; stopped when it is dropped.
struct Postgres {
    programs: PathBuf,
    directory: tempfile::TempDir,
    owner: u32,
}

impl Postgres {
    fn start() -> Option<Self> {
        let programs = PathBuf::from("/usr/lib/postgresql/15/bin");
        if !programs.join("postgres").exists() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(directory.path()).unwrap().uid();
        let owner = if own == 0 { NOBODY } else { own };
        chown(directory.path(), Some(owner), None).unwrap();
        let server = Self { programs, directory, owner };
        let data = server.path().join("data");
        let data = data.to_str().unwrap();
        server.run("initdb", &["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
        let socket = format!("-F -c listen_addresses='' -k {}", server.path().display());
        server.run(
            "pg_ctl",
            &["-D", data, "-w", "-l", server.path().join("log").to_str().unwrap(), "-o", &socket, "start"],
        );
        Some(server)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.path()).uid(self.owner);
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).stdout(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a script and returns what it printed.
    fn script(&self, script: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-U", "postgres", "-h"]).arg(self.path());
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = psql.stdin.take().unwrap();
        let script = script.to_owned();
        let writer = std::thread::spawn(move || input.write_all(script.as_bytes()).unwrap());
        let output = psql.wait_with_output().unwrap();
        writer.join().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.path().join("data");
        let _ =
            self.command("pg_ctl").arg("-D").arg(data).args(["-m", "immediate", "stop"]).stdout(Stdio::null()).status();
    }
}

const PREPARE: &str = "
CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS;
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS text LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('test.uid', true), '') $$;
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('test.jwt', true), '')::jsonb $$;
CREATE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE AS $$ SELECT auth.jwt() ->> 'email' $$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_user::text $$;
GRANT USAGE ON SCHEMA auth TO PUBLIC;
";

/// Who asks: role, `auth.uid()`, `auth.jwt()`.
const CALLERS: [(DbRole, &str, &str); 5] = [
    (DbRole::Authenticated, "ann", r#"{"email":"ann@example.com","team":"1","plan":"paid"}"#),
    (DbRole::Authenticated, "bob", r#"{"email":"bob@example.com","team":2}"#),
    (DbRole::Authenticated, "eve", "{}"),
    (DbRole::Anon, "", ""),
    (DbRole::Service, "", ""),
];

fn acting(database: &Database, (role, uid, claims): (DbRole, &str, &str)) -> Database {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let email = some(claims).filter(|claims| claims.contains("email")).map(|_| format!("{uid}@example.com"));
    let caller = Caller { role, uid: some(uid), email, claims: some(claims) };
    database.clone().acting_for(Arc::new(caller))
}

/// Policies, and statements with the position of who asks in `CALLERS`.
struct Round {
    policies: Vec<String>,
    triggers: bool,
    statements: Vec<(usize, String)>,
}

/// What both sides are asked, and PostgreSQL's script for it.
struct Plan {
    rounds: Vec<Round>,
    script: String,
}

fn plan() -> Plan {
    let mut random = Random(SEED);
    let mut script = PREPARE.to_owned();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        script +=
            "RESET ROLE; DROP TABLE IF EXISTS notes, teams, open, audit CASCADE; DROP FUNCTION IF EXISTS noted;\n";
        let policies = policies(&mut random);
        let triggers = random.below(2) == 0;
        let views = VIEWS.map(|(name, body)| format!("CREATE VIEW {name} WITH (security_invoker = true) AS {body}"));
        let theirs = triggers.then_some(TRIGGERS.map(str::to_owned)).into_iter().flatten();
        let tables = TABLES.map(str::to_owned).into_iter();
        for sql in tables.chain(views).chain(content()).chain(theirs).chain(policies.clone()) {
            script += &format!("{sql};\n");
        }
        script += "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;\n";
        let mut statements = Vec::new();
        for _ in 0..STATEMENTS {
            let caller = random.below(CALLERS.len());
            let sql = statement(&mut random);
            let (role, uid, claims) = CALLERS[caller];
            let role = role.name();
            script += &format!("SET ROLE {role}; SET test.uid = '{uid}'; SET test.jwt = '{claims}';\n{sql};\n");
            script += "\\echo @@ :SQLSTATE :ROW_COUNT\n";
            statements.push((caller, sql));
        }
        rounds.push(Round { policies, triggers, statements });
    }
    Plan { rounds, script }
}

/// The answer as PostgreSQL's client prints it; errors by their code.
async fn answer(database: &Database, sql: &str) -> String {
    let yields_rows =
        sql.contains("RETURNING") || !["INSERT", "UPDATE", "DELETE"].iter().any(|verb| sql.contains(verb));
    let result = if yields_rows {
        query(database, sql).await.map(|rows| {
            let text = |value: &Value| match value {
                Value::Null => String::new(),
                Value::Integer(number) => number.to_string(),
                Value::Text(text) => text.clone(),
                other => format!("{other:?}"),
            };
            let mut lines: Vec<_> =
                rows.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect();
            lines.sort();
            format!("{}00000 {}", lines.iter().map(|line| format!("{line}\n")).collect::<String>(), lines.len())
        })
    } else {
        execute(database, sql).await.map(|changes| format!("00000 {}", changes.rows_affected))
    };
    result.unwrap_or_else(|error| match error {
        Error::Denied(message) if message.contains("row violates") => "42501 0".to_owned(),
        Error::Constraint { kind: ConstraintKind::PrimaryKey, .. } => "23505 0".to_owned(),
        Error::Constraint { kind: ConstraintKind::ForeignKey, .. } => "23503 0".to_owned(),
        Error::Constraint { kind: ConstraintKind::NotNull, .. } => "23502 0".to_owned(),
        Error::Constraint { kind: ConstraintKind::Check, .. } => "23514 0".to_owned(),
        Error::Constraint { message, .. } if message == "P0001" => "P0001 0".to_owned(),
        other => format!("{other:?}"),
    })
}

/// PostgreSQL's answers, rows sorted.
fn answers(printed: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut lines = Vec::new();
    for line in printed.lines() {
        match line.strip_prefix("@@ ") {
            None => lines.push(line.to_owned()),
            Some(end) => {
                lines.sort();
                all.push(lines.drain(..).map(|line| format!("{line}\n")).collect::<String>() + end);
            }
        }
    }
    all
}

#[tokio::test]
async fn the_answers_are_postgresqls() {
    let Some(postgres) = Postgres::start() else {
        return caddis_tests::not_tested(
            "row-level security against PostgreSQL 15: it is not installed (Debian package postgresql)",
        );
    };
    let Plan { rounds, script } = plan();
    let expected = answers(&postgres.script(&script));
    assert_eq!(expected.len(), ROUNDS * STATEMENTS);
    for class in ["00000", "42501", "23502", "23503", "23505", "23514", "P0001"] {
        let found = expected.iter().filter(|answer| answer.contains(&format!("{class} "))).count();
        assert!(found >= 10, "the statements are to meet {class} more often than {found} times");
    }
    let host = Host::new();
    let mut expected = expected.into_iter();
    let mut differences = Vec::new();
    for (number, Round { policies, triggers, statements }) in rounds.iter().enumerate() {
        let service = host.app(&format!("app{number}")).await;
        let views = VIEWS.map(|(name, body)| format!("CREATE VIEW {name} AS {body}"));
        let tables = TABLES.map(str::to_owned).into_iter();
        let ours = triggers.then(own_triggers).into_iter().flatten();
        for sql in tables.chain(views).chain(content()).chain(ours).chain(policies.clone()) {
            service.execute(sql, vec![], soon()).await.unwrap();
        }
        for (caller, sql) in statements {
            let acting = acting(&service, CALLERS[*caller]);
            let (theirs, ours) = (expected.next().unwrap(), answer(&acting, sql).await);
            if theirs != ours {
                differences
                    .push(format!("{policies:#?}\n{:?}: {sql}\nPostgreSQL: {theirs}\nhere: {ours}", CALLERS[*caller]));
                break;
            }
        }
        // After a difference the two go on with different rows: the rest of the round says nothing.
        let position = (number + 1) * STATEMENTS;
        while ROUNDS * STATEMENTS - expected.len() < position {
            expected.next();
        }
    }
    assert!(differences.is_empty(), "{} of {ROUNDS} rounds differ:\n{}", differences.len(), differences.join("\n\n"));
}
