//! What is bound to a statement.

use std::collections::HashMap;

use rusqlite::Statement;

use crate::store::tenant::Error;
use crate::store::tenant::value::{Parameters, Value};

/// Binds the parameters: all that the statement has, and no other.
pub(super) fn bind(statement: &mut Statement<'_>, parameters: &Parameters) -> Result<(), Error> {
    match parameters {
        Parameters::Positional(values) => bind_in_order(statement, values),
        Parameters::Named(values) => bind_by_name(statement, values),
    }
}

fn bind_in_order(statement: &mut Statement<'_>, values: &[Value]) -> Result<(), Error> {
    let wanted = statement.parameter_count();
    if wanted != values.len() {
        return Err(Error::Parameter(format!(
            "the statement has {wanted} parameters, {} values were given",
            values.len()
        )));
    }
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(())
}

fn bind_by_name(statement: &mut Statement<'_>, values: &[(String, Value)]) -> Result<(), Error> {
    let mut unused: HashMap<&str, &Value> = HashMap::with_capacity(values.len());
    for (name, value) in values {
        if unused.insert(without_sign(name), value).is_some() {
            return Err(Error::Parameter(format!("the parameter {name} is given twice")));
        }
    }
    let given = unused.clone();
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).map(str::to_owned);
        let Some(name) = name.filter(|name| !name.starts_with('?')) else {
            return Err(Error::Parameter(format!(
                "parameter {index} of the statement has no name: pass values in order"
            )));
        };
        let value = given.get(without_sign(&name)).ok_or_else(|| {
            Error::Parameter(format!("the statement has the parameter {name}, for which there is no value"))
        })?;
        statement.raw_bind_parameter(index, *value)?;
        unused.remove(without_sign(&name));
    }
    match unused.keys().min() {
        None => Ok(()),
        Some(name) => Err(Error::Parameter(format!("the statement has no parameter {name}"))),
    }
}

fn without_sign(name: &str) -> &str {
    name.strip_prefix([':', '@', '$']).unwrap_or(name)
}
