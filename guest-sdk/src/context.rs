//! Everything a handler can reach besides the request.

use std::collections::BTreeMap;

use crate::bindings::caddis::function::env;
use crate::db::Db;
use crate::log::Log;
use crate::{Error, Result, User};

/// The host's services for this request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Context;

impl Context {
    /// The app's database.
    pub fn db(&self) -> Db {
        Db
    }

    /// The value of a variable or secret of the function or its app; none when it is not set or the function may not read
    /// its environment.
    pub fn env(&self, name: &str) -> Option<String> {
        env::get(name)
    }

    /// As [`Context::env`], for a variable the function cannot do without.
    ///
    /// # Errors
    /// A failure of the function that names the variable.
    pub fn env_required(&self, name: &str) -> Result<String> {
        self.env(name).ok_or_else(|| Error::new(format_args!("the variable `{name}` is not set")))
    }

    /// All variables and secrets the function can read.
    pub fn env_all(&self) -> BTreeMap<String, String> {
        env::all().into_iter().collect()
    }

    /// The verified caller; none when the request is anonymous or was made with an API key.
    pub fn user(&self) -> Option<User> {
        User::current()
    }

    /// The execution's log. The macros [`info!`](crate::info!) and its siblings write to the same.
    pub fn log(&self) -> Log {
        Log
    }
}
