//! Does to its private directory what a request asks for: a list of operations, and for each what came of it or the kind of the error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};

use caddis_sdk::{Request, Response, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags, filesystem_error_code};
use wasip2::io::streams::StreamError;

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Operation {
    Write {
        path: String,
        text: String,
    },
    Append {
        path: String,
        text: String,
    },
    Fill {
        path: String,
        bytes: usize,
    },
    WriteAt {
        path: String,
        offset: u64,
        text: String,
    },
    SetLen {
        path: String,
        bytes: u64,
    },
    Many {
        path: String,
        count: usize,
    },
    Deep {
        count: usize,
    },
    Open {
        path: String,
        count: usize,
    },
    Read {
        path: String,
    },
    Size {
        path: String,
    },
    List {
        path: String,
    },
    Mkdir {
        path: String,
    },
    Rmdir {
        path: String,
    },
    Remove {
        path: String,
    },
    Rename {
        path: String,
        to: String,
    },
    /// Opens a file, removes its name, and fills it.
    FillNameless {
        path: String,
        bytes: usize,
    },
    Link {
        path: String,
        to: String,
    },
    Symlink {
        path: String,
        to: String,
    },
    /// As WASI has it, past the standard library.
    RawOpen {
        path: String,
    },
    RawWrite {
        path: String,
        offset: u64,
        bytes: usize,
    },
    RawAppend {
        path: String,
        bytes: usize,
    },
    Preopens,
}

#[caddis_sdk::handler]
async fn handle(request: Request) -> Result<Response> {
    let operations: Vec<Operation> = request.json().await?;
    let results: Vec<Value> = operations
        .into_iter()
        .map(|operation| match carry_out(operation) {
            Ok(value) => value,
            Err(error) => json!({ "error": name(&error) }),
        })
        .collect();
    Response::json(&results)
}

/// What went wrong. The standard library has no name for all of it.
fn name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(29) => "EIO".to_owned(),
        Some(55) => "ENOTEMPTY".to_owned(),
        _ => format!("{:?}", error.kind()),
    }
}

fn carry_out(operation: Operation) -> io::Result<Value> {
    match operation {
        Operation::Write { path, text } => fs::write(path, text)?,
        Operation::Append { path, text } => {
            OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())?;
        }
        Operation::Fill { path, bytes } => return fill(&mut File::create(path)?, bytes),
        Operation::WriteAt { path, offset, text } => {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(text.as_bytes())?;
        }
        Operation::SetLen { path, bytes } => {
            OpenOptions::new().write(true).create(true).truncate(false).open(path)?.set_len(bytes)?;
        }
        Operation::Many { path, count } => {
            for number in 0..count {
                if let Err(error) = File::create(format!("{path}{number}")) {
                    return Ok(json!({ "made": number, "error": name(&error) }));
                }
            }
        }
        Operation::Deep { count } => {
            let mut path = String::from("d");
            for depth in 1..=count {
                if let Err(error) = fs::create_dir(&path) {
                    return Ok(json!({ "depth": depth - 1, "error": name(&error) }));
                }
                path.push_str("/d");
            }
        }
        Operation::Open { path, count } => {
            let mut open = Vec::new();
            for _ in 0..count {
                match File::open(&path) {
                    Ok(file) => open.push(file),
                    Err(error) => return Ok(json!({ "open": open.len(), "error": name(&error) })),
                }
            }
        }
        Operation::Read { path } => return fs::read_to_string(path).map(Value::from),
        Operation::Size { path } => return fs::metadata(path).map(|metadata| metadata.len().into()),
        Operation::List { path } => {
            let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let mut names = entries.collect::<io::Result<Vec<_>>>()?;
            names.sort_unstable();
            return Ok(names.into());
        }
        Operation::Mkdir { path } => fs::create_dir(path)?,
        Operation::Rmdir { path } => fs::remove_dir(path)?,
        Operation::Remove { path } => fs::remove_file(path)?,
        Operation::Rename { path, to } => fs::rename(path, to)?,
        Operation::FillNameless { path, bytes } => {
            let mut file = File::create(&path)?;
            fs::remove_file(&path)?;
            return fill(&mut file, bytes);
        }
        Operation::Link { path, to } => fs::hard_link(path, to)?,
        Operation::Symlink { path, to } => raw(root().symlink_at(&path, &to))?,
        Operation::RawOpen { path } => {
            raw(root().open_at(PathFlags::SYMLINK_FOLLOW, &path, OpenFlags::empty(), DescriptorFlags::READ))?;
        }
        Operation::RawWrite { path, offset, bytes } => {
            let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
            let file = raw(root().open_at(PathFlags::empty(), &path, OpenFlags::CREATE, flags))?;
            return Ok(raw(file.write(&vec![b'x'; bytes], offset))?.into());
        }
        Operation::RawAppend { path, bytes } => {
            let file = raw(root().open_at(PathFlags::empty(), &path, OpenFlags::CREATE, DescriptorFlags::WRITE))?;
            let stream = raw(file.append_via_stream())?;
            if let Err(StreamError::LastOperationFailed(error)) = stream.blocking_write_and_flush(&vec![b'x'; bytes]) {
                return raw(Err(filesystem_error_code(&error).unwrap_or(ErrorCode::Io)));
            }
        }
        Operation::Preopens => {
            return Ok(get_directories().into_iter().map(|(_, name)| name).collect::<Vec<_>>().into());
        }
    }
    Ok(Value::Null)
}

/// Writes until it is enough, or no more goes.
fn fill(file: &mut File, bytes: usize) -> io::Result<Value> {
    let piece = vec![b'x'; 64 * 1024];
    let mut written = 0;
    while written < bytes {
        match file.write(&piece[..piece.len().min(bytes - written)]) {
            Ok(more) => written += more,
            Err(error) => return Ok(json!({ "written": written, "error": name(&error) })),
        }
    }
    Ok(json!({ "written": written }))
}

fn root() -> Descriptor {
    get_directories().swap_remove(0).0
}

fn raw<T>(result: std::result::Result<T, ErrorCode>) -> io::Result<T> {
    result.map_err(|code| match code {
        ErrorCode::InsufficientSpace => io::ErrorKind::StorageFull.into(),
        ErrorCode::NotPermitted => io::ErrorKind::PermissionDenied.into(),
        other => io::Error::other(other),
    })
}
