//! The SQL database. A failure is returned, not thrown: `{ code, message }`, of which the prelude makes a `DatabaseError`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::thread::LocalKey;

use rquickjs::object::Property;
use rquickjs::{Array, Atom, BigInt, Ctx, FromJs, IntoJs, Object, Result, TypedArray, Value};

use super::{bytes, define, require_request};
use crate::bindings::caddis::function::db::{
    Changes, Connection, Cursor, Error, Outcome, Parameters, Role, Statement, Transaction, TransactionMode,
    Value as Sql,
};

type Answer<T> = std::result::Result<T, Error>;

/// What a program holds, by numbers from 1.
struct Held<T> {
    last: u32,
    things: BTreeMap<u32, T>,
}

impl<T> Held<T> {
    const fn new() -> Self {
        Self { last: 0, things: BTreeMap::new() }
    }
}

/// The connection of the caller of the function, made when it is first used.
const OF_CALLER: u32 = 0;

thread_local! {
    static CONNECTIONS: RefCell<Held<Connection>> = const { RefCell::new(Held::new()) };
    static TRANSACTIONS: RefCell<Held<Transaction>> = const { RefCell::new(Held::new()) };
    static CURSORS: RefCell<Held<(Cursor, Vec<String>)>> = const { RefCell::new(Held::new()) };
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "dbConnect" => connect,
        "dbDisconnect" => disconnect,
        "dbRun" => run,
        "dbRunInTransaction" => run_in_transaction,
        "dbBatch" => batch,
        "dbBatchInTransaction" => batch_in_transaction,
        "dbBegin" => begin,
        "dbCommit" => commit,
        "dbRollback" => rollback,
        "dbOpen" => open,
        "dbOpenInTransaction" => open_in_transaction,
        "dbNext" => next,
        "dbClose" => close,
    );
    Ok(())
}

fn hold<T>(held: &'static LocalKey<RefCell<Held<T>>>, thing: T) -> u32 {
    held.with_borrow_mut(|held| {
        held.last = held.last.wrapping_add(1);
        held.things.insert(held.last, thing);
        held.last
    })
}

fn release<T>(held: &'static LocalKey<RefCell<Held<T>>>, number: u32) -> Option<T> {
    held.with_borrow_mut(|held| held.things.remove(&number))
}

/// Gives up everything: cursors first, as they are parts of the others.
pub(super) fn rest() {
    CURSORS.with_borrow_mut(|held| held.things.clear());
    TRANSACTIONS.with_borrow_mut(|held| held.things.clear());
    CONNECTIONS.with_borrow_mut(|held| held.things.clear());
}

fn with<T, U>(
    held: &'static LocalKey<RefCell<Held<T>>>,
    number: u32,
    action: impl FnOnce(&T) -> Answer<U>,
) -> Answer<U> {
    held.with_borrow(|held| held.things.get(&number).ok_or(Error::Closed).and_then(action))
}

fn with_connection<T>(number: u32, action: impl FnOnce(&Connection) -> Answer<T>) -> Answer<T> {
    CONNECTIONS.with_borrow_mut(|held| match held.things.get(&number) {
        Some(connection) => action(connection),
        None if number == OF_CALLER => action(held.things.entry(number).or_insert_with(Connection::new)),
        None => Err(Error::Closed),
    })
}

/// A connection in a role: `authenticated` with the id of a user, `anon` or `service_role`.
fn connect<'js>(ctx: Ctx<'js>, role: String, user: String) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let role = match role.as_str() {
        "authenticated" => Role::Authenticated(user),
        "service_role" => Role::ServiceRole,
        _ => Role::Anon,
    };
    let number = Connection::acting_as(&role).map(|connection| hold(&CONNECTIONS, connection));
    answer(&ctx, number, |ctx, number| number.into_js(ctx))
}

fn disconnect(connection: u32) {
    release(&CONNECTIONS, connection);
}

/// `names` of the values, or null when they go by their order.
fn run<'js>(
    ctx: Ctx<'js>,
    connection: u32,
    sql: String,
    names: Option<Vec<String>>,
    values: Vec<Value<'js>>,
) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let statement = statement(&ctx, sql, names, values)?;
    answer(&ctx, with_connection(connection, |connection| connection.run(&statement)), outcome_to_js)
}

fn run_in_transaction<'js>(
    ctx: Ctx<'js>,
    transaction: u32,
    sql: String,
    names: Option<Vec<String>>,
    values: Vec<Value<'js>>,
) -> Result<Value<'js>> {
    let statement = statement(&ctx, sql, names, values)?;
    answer(&ctx, with(&TRANSACTIONS, transaction, |transaction| transaction.run(&statement)), outcome_to_js)
}

/// Three lists of the same length.
fn batch<'js>(
    ctx: Ctx<'js>,
    connection: u32,
    texts: Vec<String>,
    names: Vec<Option<Vec<String>>>,
    values: Vec<Vec<Value<'js>>>,
) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let statements = statements(&ctx, texts, names, values)?;
    answer(&ctx, with_connection(connection, |connection| connection.batch(&statements)), outcomes_to_js)
}

fn batch_in_transaction<'js>(
    ctx: Ctx<'js>,
    transaction: u32,
    texts: Vec<String>,
    names: Vec<Option<Vec<String>>>,
    values: Vec<Vec<Value<'js>>>,
) -> Result<Value<'js>> {
    let statements = statements(&ctx, texts, names, values)?;
    answer(&ctx, with(&TRANSACTIONS, transaction, |transaction| transaction.batch(&statements)), outcomes_to_js)
}

fn begin<'js>(ctx: Ctx<'js>, connection: u32, read_only: bool) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let mode = if read_only { TransactionMode::ReadOnly } else { TransactionMode::ReadWrite };
    let begun = with_connection(connection, |connection| connection.begin(mode));
    answer(&ctx, begun.map(|transaction| hold(&TRANSACTIONS, transaction)), |ctx, number| number.into_js(ctx))
}

fn commit<'js>(ctx: Ctx<'js>, transaction: u32) -> Result<Value<'js>> {
    end(&ctx, transaction, Transaction::commit)
}

fn rollback<'js>(ctx: Ctx<'js>, transaction: u32) -> Result<Value<'js>> {
    end(&ctx, transaction, Transaction::rollback)
}

fn end<'js>(ctx: &Ctx<'js>, transaction: u32, how: fn(Transaction) -> Answer<()>) -> Result<Value<'js>> {
    let ended = release(&TRANSACTIONS, transaction).ok_or(Error::Closed).and_then(how);
    answer(ctx, ended, |ctx, ()| Ok(Value::new_undefined(ctx.clone())))
}

/// The number of a cursor.
fn open<'js>(
    ctx: Ctx<'js>,
    connection: u32,
    sql: String,
    names: Option<Vec<String>>,
    values: Vec<Value<'js>>,
) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let statement = statement(&ctx, sql, names, values)?;
    opened(&ctx, with_connection(connection, |connection| connection.open(&statement)))
}

fn open_in_transaction<'js>(
    ctx: Ctx<'js>,
    transaction: u32,
    sql: String,
    names: Option<Vec<String>>,
    values: Vec<Value<'js>>,
) -> Result<Value<'js>> {
    let statement = statement(&ctx, sql, names, values)?;
    opened(&ctx, with(&TRANSACTIONS, transaction, |transaction| transaction.open(&statement)))
}

fn opened<'js>(ctx: &Ctx<'js>, cursor: Answer<Cursor>) -> Result<Value<'js>> {
    let number = cursor.map(|cursor| {
        let columns = cursor.columns();
        hold(&CURSORS, (cursor, columns))
    });
    answer(ctx, number, |ctx, number| number.into_js(ctx))
}

/// The next rows; none at the end.
fn next<'js>(ctx: Ctx<'js>, cursor: u32) -> Result<Value<'js>> {
    let piece = with(&CURSORS, cursor, |(cursor, columns)| cursor.next().map(|rows| (columns.clone(), rows)));
    answer(&ctx, piece, |ctx, (columns, rows)| rows_to_js(ctx, &Names::new(ctx, &columns)?, rows))
}

fn close(cursor: u32) {
    release(&CURSORS, cursor);
}

fn answer<'js, T>(
    ctx: &Ctx<'js>,
    result: Answer<T>,
    to_js: impl FnOnce(&Ctx<'js>, T) -> Result<Value<'js>>,
) -> Result<Value<'js>> {
    let (code, message) = match result {
        Ok(value) => return to_js(ctx, value),
        Err(Error::Syntax(message)) => ("syntax", message),
        Err(Error::Parameter(message)) => ("parameter", message),
        Err(Error::Constraint(violation)) => ("constraint", violation.message),
        Err(Error::Denied(message)) => ("denied", message),
        Err(Error::Busy(message)) => ("busy", message),
        Err(Error::Limit(message)) => ("limit", message),
        Err(Error::Timeout) => ("timeout", "The time of the request or of the transaction ran out".to_owned()),
        Err(Error::Closed) => ("closed", "The transaction has ended".to_owned()),
        Err(Error::Internal(message)) => ("internal", message),
    };
    let failure = Object::new(ctx.clone())?;
    failure.set("code", code)?;
    failure.set("message", message)?;
    Ok(failure.into_value())
}

/// `{ rows, columns, changes, lastInsertId }`.
fn outcome_to_js<'js>(ctx: &Ctx<'js>, outcome: Outcome) -> Result<Value<'js>> {
    let Outcome { rows, changes: Changes { rows_affected, last_insert_id } } = outcome;
    let names = Names::new(ctx, &rows.columns)?;
    let result = Object::new(ctx.clone())?;
    result.set("rows", rows_to_js(ctx, &names, rows.rows)?)?;
    result.set("columns", names.to_js(ctx)?)?;
    result.set("changes", integer(ctx, i64::try_from(rows_affected).unwrap_or(i64::MAX))?)?;
    result.set("lastInsertId", integer(ctx, last_insert_id)?)?;
    Ok(result.into_value())
}

fn outcomes_to_js<'js>(ctx: &Ctx<'js>, outcomes: Vec<Outcome>) -> Result<Value<'js>> {
    let list = Array::new(ctx.clone())?;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        list.set(index, outcome_to_js(ctx, outcome)?)?;
    }
    Ok(list.into_value())
}

/// The names of the columns.
struct Names<'js> {
    atoms: Vec<Atom<'js>>,
    /// Whether each may be set. To set `__proto__` would change the prototype.
    are_plain: bool,
}

impl<'js> Names<'js> {
    fn new(ctx: &Ctx<'js>, columns: &[String]) -> Result<Self> {
        let atoms = columns.iter().map(|name| Atom::from_str(ctx.clone(), name)).collect::<Result<_>>()?;
        Ok(Self { atoms, are_plain: !columns.iter().any(|name| name == "__proto__") })
    }

    fn to_js(&self, ctx: &Ctx<'js>) -> Result<Array<'js>> {
        let list = Array::new(ctx.clone())?;
        for (index, name) in self.atoms.iter().enumerate() {
            list.set(index, name.to_js_string()?)?;
        }
        Ok(list)
    }
}

/// A list of objects. Of columns with the same name the last one counts.
fn rows_to_js<'js>(ctx: &Ctx<'js>, names: &Names<'js>, rows: Vec<Vec<Sql>>) -> Result<Value<'js>> {
    let list = Array::new(ctx.clone())?;
    for (index, row) in rows.into_iter().enumerate() {
        let object = Object::new(ctx.clone())?;
        for (name, value) in names.atoms.iter().zip(row) {
            let value = from_sql(ctx, value)?;
            if names.are_plain {
                object.set(name.clone(), value)?;
            } else {
                object.prop(name.clone(), Property::from(value).writable().enumerable().configurable())?;
            }
        }
        list.set(index, object)?;
    }
    Ok(list.into_value())
}

fn from_sql<'js>(ctx: &Ctx<'js>, value: Sql) -> Result<Value<'js>> {
    match value {
        Sql::Null => Ok(Value::new_null(ctx.clone())),
        Sql::Integer(value) => integer(ctx, value),
        Sql::Real(value) => Ok(Value::new_float(ctx.clone(), value)),
        Sql::Text(text) => text.into_js(ctx),
        Sql::Blob(blob) => Ok(TypedArray::<u8>::new(ctx.clone(), blob)?.into_value()),
    }
}

/// A number where it is exact, else a BigInt.
fn integer<'js>(ctx: &Ctx<'js>, value: i64) -> Result<Value<'js>> {
    const MAX_SAFE: u64 = (1 << 53) - 1;
    if value.unsigned_abs() > MAX_SAFE {
        return BigInt::from_i64(ctx.clone(), value)?.into_js(ctx);
    }
    #[expect(clippy::cast_precision_loss, reason = "checked above")]
    Ok(Value::new_number(ctx.clone(), value as f64))
}

fn statements<'js>(
    ctx: &Ctx<'js>,
    texts: Vec<String>,
    names: Vec<Option<Vec<String>>>,
    values: Vec<Vec<Value<'js>>>,
) -> Result<Vec<Statement>> {
    let each = texts.into_iter().zip(names).zip(values);
    each.map(|((sql, names), values)| statement(ctx, sql, names, values)).collect()
}

fn statement<'js>(
    ctx: &Ctx<'js>,
    sql: String,
    names: Option<Vec<String>>,
    values: Vec<Value<'js>>,
) -> Result<Statement> {
    let values = values.into_iter().map(|value| one_to_sql(ctx, value)).collect::<Result<Vec<_>>>()?;
    let parameters = match names {
        Some(names) => Parameters::Named(names.into_iter().zip(values).collect()),
        None => Parameters::Positional(values),
    };
    Ok(Statement { sql, parameters })
}

fn one_to_sql<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Sql> {
    if value.is_null() || value.is_undefined() {
        return Ok(Sql::Null);
    }
    if let Some(boolean) = value.as_bool() {
        return Ok(Sql::Integer(i64::from(boolean)));
    }
    if let Some(number) = value.as_int() {
        return Ok(Sql::Integer(i64::from(number)));
    }
    if let Some(number) = value.as_float() {
        return Ok(number_to_sql(number));
    }
    if let Some(number) = value.as_big_int() {
        return number.clone().to_i64().map(Sql::Integer);
    }
    if let Ok(view) = TypedArray::<u8>::from_js(ctx, value.clone()) {
        return Ok(Sql::Blob(bytes(&view)));
    }
    value.get::<String>().map(Sql::Text)
}

/// Whole numbers are stored as integers, as a JavaScript author means them.
fn number_to_sql(number: f64) -> Sql {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    if number.fract() == 0.0 && number.abs() <= MAX_SAFE {
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        return Sql::Integer(number as i64);
    }
    Sql::Real(number)
}
