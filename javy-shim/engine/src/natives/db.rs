//! The SQL database. A failure is returned, not thrown: `{ code, message }`, of which the prelude makes a `DatabaseError`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::{Array, BigInt, Ctx, FromJs, IntoJs, Object, Result, TypedArray, Value};

use super::{bytes, define, require_request, type_error};
use crate::bindings::caddis::function::db::{self, Changes, Error, Rows, Transaction, TransactionMode, Value as Sql};

thread_local! {
    static TRANSACTIONS: RefCell<(u32, BTreeMap<u32, Transaction>)> = const { RefCell::new((0, BTreeMap::new())) };
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "dbQuery" => query,
        "dbExecute" => execute,
        "dbBegin" => begin,
        "dbCommit" => commit,
        "dbRollback" => rollback,
    );
    Ok(())
}

/// `transaction` is 0 for none.
fn query<'js>(ctx: Ctx<'js>, transaction: u32, sql: String, parameters: Vec<Value<'js>>) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let parameters = to_sql(&ctx, parameters)?;
    let result = in_transaction(transaction, |tx| match tx {
        Some(tx) => tx.query(&sql, &parameters),
        None => db::query(&sql, &parameters),
    });
    answer(&ctx, result, rows_to_js)
}

fn execute<'js>(ctx: Ctx<'js>, transaction: u32, sql: String, parameters: Vec<Value<'js>>) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let parameters = to_sql(&ctx, parameters)?;
    let result = in_transaction(transaction, |tx| match tx {
        Some(tx) => tx.execute(&sql, &parameters),
        None => db::execute(&sql, &parameters),
    });
    answer(&ctx, result, changes_to_js)
}

fn begin<'js>(ctx: Ctx<'js>, read_only: bool) -> Result<Value<'js>> {
    require_request(&ctx, "The database")?;
    let mode = if read_only { TransactionMode::ReadOnly } else { TransactionMode::ReadWrite };
    let number = Transaction::begin(mode).map(|transaction| {
        TRANSACTIONS.with_borrow_mut(|(last, transactions)| {
            *last = last.wrapping_add(1);
            transactions.insert(*last, transaction);
            *last
        })
    });
    answer(&ctx, number, |ctx, number| number.into_js(ctx))
}

fn commit<'js>(ctx: Ctx<'js>, transaction: u32) -> Result<Value<'js>> {
    end(&ctx, transaction, Transaction::commit)
}

fn rollback<'js>(ctx: Ctx<'js>, transaction: u32) -> Result<Value<'js>> {
    end(&ctx, transaction, Transaction::rollback)
}

fn end<'js>(
    ctx: &Ctx<'js>,
    transaction: u32,
    how: fn(Transaction) -> std::result::Result<(), Error>,
) -> Result<Value<'js>> {
    let ended = TRANSACTIONS.with_borrow_mut(|(_, transactions)| transactions.remove(&transaction));
    answer(ctx, ended.ok_or(Error::Closed).and_then(how), |ctx, ()| Ok(Value::new_undefined(ctx.clone())))
}

fn in_transaction<T>(
    number: u32,
    action: impl FnOnce(Option<&Transaction>) -> std::result::Result<T, Error>,
) -> std::result::Result<T, Error> {
    if number == 0 {
        return action(None);
    }
    TRANSACTIONS
        .with_borrow(|(_, transactions)| transactions.get(&number).ok_or(Error::Closed).and_then(|tx| action(Some(tx))))
}

fn answer<'js, T>(
    ctx: &Ctx<'js>,
    result: std::result::Result<T, Error>,
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

/// `[columns, rows]`.
fn rows_to_js<'js>(ctx: &Ctx<'js>, result: Rows) -> Result<Value<'js>> {
    let pair = Array::new(ctx.clone())?;
    pair.set(0, result.columns)?;
    let rows = Array::new(ctx.clone())?;
    for (index, row) in result.rows.into_iter().enumerate() {
        let values = Array::new(ctx.clone())?;
        for (column, value) in row.into_iter().enumerate() {
            values.set(column, from_sql(ctx, value)?)?;
        }
        rows.set(index, values)?;
    }
    pair.set(1, rows)?;
    Ok(pair.into_value())
}

/// `[number of changed rows, last inserted row]`.
fn changes_to_js<'js>(ctx: &Ctx<'js>, changes: Changes) -> Result<Value<'js>> {
    let pair = Array::new(ctx.clone())?;
    pair.set(0, integer(ctx, i64::try_from(changes.rows_affected).unwrap_or(i64::MAX))?)?;
    pair.set(1, integer(ctx, changes.last_insert_id)?)?;
    Ok(pair.into_value())
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

fn to_sql<'js>(ctx: &Ctx<'js>, parameters: Vec<Value<'js>>) -> Result<Vec<Sql>> {
    parameters.into_iter().map(|value| one_to_sql(ctx, value)).collect()
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
        let message = "A BigInt parameter does not fit 64 bits";
        return number.clone().to_i64().map(Sql::Integer).map_err(|_| type_error(ctx, message));
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
