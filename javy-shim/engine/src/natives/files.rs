//! The private directory of the function. A failure is returned, not thrown: `[code, message]`.

use rquickjs::{Array, Ctx, IntoJs, Object, Result, TypedArray, Value};

use super::{bytes, define, require_request};
use crate::bindings::caddis::engine::files::{self, Error, Placement};

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(
        native,
        "readFile" => read,
        "writeFile" => write,
        "fileInfo" => info,
        "entries" => entries,
        "makeDirectory" => make_directory,
        "removeFile" => remove,
        "renameFile" => rename,
    );
    Ok(())
}

fn failure<'js>(ctx: &Ctx<'js>, error: Error) -> Result<Value<'js>> {
    let failure = Array::new(ctx.clone())?;
    failure.set(0, error.code)?;
    failure.set(1, error.message)?;
    Ok(failure.into_value())
}

/// Nothing, or the failure.
fn nothing<'js>(ctx: &Ctx<'js>, result: std::result::Result<(), Error>) -> Result<Value<'js>> {
    match result {
        Ok(()) => Ok(Value::new_undefined(ctx.clone())),
        Err(error) => failure(ctx, error),
    }
}

fn read(ctx: Ctx<'_>, path: String) -> Result<Value<'_>> {
    require_request(&ctx, "The file system")?;
    match files::read(&path) {
        Ok(content) => Ok(TypedArray::<u8>::new(ctx, content)?.into_value()),
        Err(error) => failure(&ctx, error),
    }
}

/// `placement` counts from 0: replace, append, create-new, existing.
fn write<'js>(ctx: Ctx<'js>, path: String, content: TypedArray<'js, u8>, placement: u8) -> Result<Value<'js>> {
    require_request(&ctx, "The file system")?;
    let placement = match placement {
        0 => Placement::Replace,
        1 => Placement::Append,
        2 => Placement::CreateNew,
        _ => Placement::Existing,
    };
    nothing(&ctx, files::write(&path, &bytes(&content), placement))
}

fn info(ctx: Ctx<'_>, path: String) -> Result<Value<'_>> {
    require_request(&ctx, "The file system")?;
    let found = match files::stat(&path) {
        Ok(found) => found,
        Err(error) => return failure(&ctx, error),
    };
    let object = Object::new(ctx)?;
    object.set("isDirectory", found.is_directory)?;
    object.set("size", found.size as f64)?;
    object.set("modified", found.modified)?;
    Ok(object.into_value())
}

/// Names, and whether each is a directory, as pairs in an object: a list is what failures are.
fn entries(ctx: Ctx<'_>, path: String) -> Result<Value<'_>> {
    require_request(&ctx, "The file system")?;
    let found = match files::entries(&path) {
        Ok(found) => found,
        Err(error) => return failure(&ctx, error),
    };
    let pairs = Array::new(ctx.clone())?;
    for (index, (name, is_directory)) in found.into_iter().enumerate() {
        let pair = Array::new(ctx.clone())?;
        pair.set(0, name)?;
        pair.set(1, is_directory)?;
        pairs.set(index, pair)?;
    }
    let object = Object::new(ctx.clone())?;
    object.set("pairs", pairs)?;
    object.into_js(&ctx)
}

fn make_directory(ctx: Ctx<'_>, path: String) -> Result<Value<'_>> {
    require_request(&ctx, "The file system")?;
    nothing(&ctx, files::make_directory(&path))
}

fn remove(ctx: Ctx<'_>, path: String) -> Result<Value<'_>> {
    require_request(&ctx, "The file system")?;
    nothing(&ctx, files::remove(&path))
}

fn rename(ctx: Ctx<'_>, path: String, to: String) -> Result<Value<'_>> {
    require_request(&ctx, "The file system")?;
    nothing(&ctx, files::rename(&path, &to))
}
