//! `wasi:filesystem@0.2`, and `caddis:engine/files` for programs: the private directory of a function. What only reads is wasmtime-wasi's; what changes something goes through the
//! account of the directory, `crate::files`.
//!
//! The descriptors in a store's table say that they may be read only, whatever the function may do: whoever gets hold of one by another
//! way than these interfaces can change nothing with it. Functions of WASI 0.3 see no files.

mod state;
mod stream;
mod times;
mod whole;

use std::io;
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, Dir, File, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};
use wasmtime_wasi::{FsPerms, OpenMode};

pub use self::state::{FileAccess, FilesState};
use self::stream::FileWriter;
use self::times::times;
use crate::files::{Directory, Open, Place};
use crate::threads;

/// Where a guest finds its directory.
const PREOPEN: &str = "/";

/// What `wasi:filesystem` sees of a store.
pub struct FilesView<'a> {
    /// The execution's.
    pub state: &'a mut FilesState,
    /// Descriptors live here.
    pub table: &'a mut wasmtime::component::ResourceTable,
}

/// Gives a store's files.
pub trait FilesOf: Send + 'static {
    /// State of `wasi:filesystem`.
    fn files(&mut self) -> FilesView<'_>;
}

struct OfFiles;

impl HasData for OfFiles {
    type Data<'a> = FilesView<'a>;
}

/// Puts these in the place of wasmtime-wasi's own, and adds `caddis:engine/files`.
pub fn link<T: FilesOf>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<T, OfFiles>(linker, T::files)?;
    preopens::add_to_linker::<T, OfFiles>(linker, T::files)?;
    linker.allow_shadowing(false);
    whole::wit::add_to_linker::<T, OfFiles>(linker, T::files)
}

impl FilesView<'_> {
    fn wasi(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView { ctx: &mut self.state.wasi, table: self.table }
    }

    fn access(&self) -> FsResult<&FileAccess> {
        self.state.access.as_ref().ok_or_else(|| types::ErrorCode::NotPermitted.into())
    }

    fn must_read(&self) -> FsResult<()> {
        if self.access()?.read { Ok(()) } else { Err(types::ErrorCode::NotPermitted.into()) }
    }

    /// The directory to change.
    fn changed(&self) -> FsResult<Arc<Directory>> {
        let access = self.access()?;
        if access.write { Ok(access.directory.clone()) } else { Err(types::ErrorCode::NotPermitted.into()) }
    }

    fn directory(&self, descriptor: &Resource<Descriptor>) -> FsResult<Arc<std::fs::File>> {
        match self.table.get(descriptor)? {
            Descriptor::Dir(directory) => Ok(directory.dir.clone()),
            Descriptor::File(_) => Err(types::ErrorCode::NotDirectory.into()),
        }
    }

    /// A file that was opened to be written to.
    fn written(&self, descriptor: &Resource<Descriptor>) -> FsResult<Arc<std::fs::File>> {
        match self.table.get(descriptor)? {
            Descriptor::File(file) if file.open_mode.contains(OpenMode::WRITE) => Ok(file.file.clone()),
            Descriptor::File(_) => Err(types::ErrorCode::BadDescriptor.into()),
            Descriptor::Dir(_) => Err(types::ErrorCode::IsDirectory.into()),
        }
    }

    fn write_to(&mut self, descriptor: &Resource<Descriptor>, place: Place) -> FsResult<Resource<DynOutputStream>> {
        let (directory, file) = (self.changed()?, self.written(descriptor)?);
        let writer: DynOutputStream = Box::new(FileWriter::new(directory, file, place));
        Ok(self.table.push(writer)?)
    }
}

/// Does what blocks on a thread for it, to its end even if nobody waits for it any more.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> FsResult<T> {
    let done = threads::blocking(work).await.map_err(|failure| FsError::trap(wasmtime::format_err!("{failure}")))?;
    Ok(done?)
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let Some(access) = &self.state.access else { return Ok(Vec::new()) };
        let Some(root) = access.directory.root() else { return Ok(Vec::new()) };
        let descriptor = describe(root, true, OpenMode::READ | OpenMode::WRITE)?;
        Ok(vec![(self.table.push(descriptor)?, PREOPEN.to_owned())])
    }
}

/// A descriptor of an open file.
fn describe(file: &Arc<std::fs::File>, is_directory: bool, mode: OpenMode) -> io::Result<Descriptor> {
    if is_directory {
        let mut directory = Dir::new(file.try_clone()?, FsPerms::ReadOnly, mode, false);
        directory.dir = file.clone();
        return Ok(Descriptor::Dir(directory));
    }
    let mut described = File::new(file.try_clone()?, FsPerms::ReadOnly, mode, false);
    described.file = file.clone();
    Ok(Descriptor::File(described))
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        self.wasi().convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        types::Host::filesystem_error_code(&mut self.wasi(), error)
    }
}

/// What a guest asks for when it opens something.
fn how(oflags: types::OpenFlags, flags: types::DescriptorFlags) -> Open {
    Open {
        read: flags.contains(types::DescriptorFlags::READ),
        write: flags.contains(types::DescriptorFlags::WRITE),
        create: oflags.contains(types::OpenFlags::CREATE),
        exclusive: oflags.contains(types::OpenFlags::EXCLUSIVE),
        truncate: oflags.contains(types::OpenFlags::TRUNCATE),
        directory: oflags.contains(types::OpenFlags::DIRECTORY),
    }
}

impl types::HostDescriptor for FilesView<'_> {
    async fn open_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        _: types::PathFlags,
        path: String,
        oflags: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let at = self.directory(&descriptor)?;
        let how = how(oflags, flags);
        let changes = how.write || how.create || how.truncate;
        let directory = if changes { self.changed()? } else { self.access()?.directory.clone() };
        if !self.state.take_handle() {
            return Err(types::ErrorCode::Quota.into());
        }
        let opened = blocking(move || {
            let file = directory.open(&at, &path, how)?;
            let is_directory = file.metadata()?.is_dir();
            Ok((file, is_directory))
        });
        let (file, is_directory) = opened.await?;
        self.state.opened(&file);
        let mut mode = OpenMode::empty();
        mode.set(OpenMode::WRITE, changes);
        mode.set(OpenMode::READ, how.read || !changes);
        Ok(self.table.push(describe(&file, is_directory, mode)?)?)
    }

    async fn write(&mut self, descriptor: Resource<Descriptor>, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let (directory, file) = (self.changed()?, self.written(&descriptor)?);
        let length = bytes.len() as u64;
        blocking(move || directory.write(&file, &bytes, Place::At(offset))).await?;
        Ok(length)
    }

    fn write_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.write_to(&descriptor, Place::At(offset))
    }

    fn append_via_stream(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.write_to(&descriptor, Place::End)
    }

    async fn set_size(&mut self, descriptor: Resource<Descriptor>, size: u64) -> FsResult<()> {
        let (directory, file) = (self.changed()?, self.written(&descriptor)?);
        blocking(move || directory.set_size(&file, size)).await
    }

    async fn create_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let (directory, at) = (self.changed()?, self.directory(&descriptor)?);
        blocking(move || directory.make_directory(&at, &path)).await
    }

    async fn remove_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let (directory, at) = (self.changed()?, self.directory(&descriptor)?);
        blocking(move || directory.remove_directory(&at, &path)).await
    }

    async fn unlink_file_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let (directory, at) = (self.changed()?, self.directory(&descriptor)?);
        blocking(move || directory.remove_file(&at, &path)).await
    }

    async fn rename_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path: String,
        new_descriptor: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let directory = self.changed()?;
        let (at, to) = (self.directory(&descriptor)?, self.directory(&new_descriptor)?);
        blocking(move || directory.rename(&at, &path, &to, &new_path)).await
    }

    async fn link_at(
        &mut self,
        _: Resource<Descriptor>,
        _: types::PathFlags,
        _: String,
        _: Resource<Descriptor>,
        _: String,
    ) -> FsResult<()> {
        Err(types::ErrorCode::NotPermitted.into())
    }

    async fn symlink_at(&mut self, _: Resource<Descriptor>, _: String, _: String) -> FsResult<()> {
        Err(types::ErrorCode::NotPermitted.into())
    }

    async fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        self.changed()?;
        let (file, times) = (self.written(&descriptor)?, times(accessed, modified)?);
        blocking(move || file.set_times(times)).await
    }

    async fn set_times_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        _: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let (directory, at, times) = (self.changed()?, self.directory(&descriptor)?, times(accessed, modified)?);
        let how = Open { read: true, ..Open::default() };
        blocking(move || directory.open(&at, &path, how)?.set_times(times)).await
    }

    async fn read(&mut self, descriptor: Resource<Descriptor>, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        self.must_read()?;
        types::HostDescriptor::read(&mut self.wasi(), descriptor, length, offset).await
    }

    fn read_via_stream(&mut self, descriptor: Resource<Descriptor>, offset: u64) -> FsResult<Resource<DynInputStream>> {
        self.must_read()?;
        types::HostDescriptor::read_via_stream(&mut self.wasi(), descriptor, offset)
    }

    async fn read_directory(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> FsResult<Resource<types::DirectoryEntryStream>> {
        self.must_read()?;
        types::HostDescriptor::read_directory(&mut self.wasi(), descriptor).await
    }

    async fn readlink_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.must_read()?;
        types::HostDescriptor::readlink_at(&mut self.wasi(), descriptor, path).await
    }

    async fn advise(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: u64,
        length: u64,
        advice: types::Advice,
    ) -> FsResult<()> {
        types::HostDescriptor::advise(&mut self.wasi(), descriptor, offset, length, advice).await
    }

    // Nothing here is promised to survive a loss of power, and flushing would make others wait for the disk.
    async fn sync_data(&mut self, _: Resource<Descriptor>) -> FsResult<()> {
        Ok(())
    }

    async fn sync(&mut self, _: Resource<Descriptor>) -> FsResult<()> {
        Ok(())
    }

    async fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorFlags> {
        types::HostDescriptor::get_flags(&mut self.wasi(), descriptor).await
    }

    async fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorType> {
        types::HostDescriptor::get_type(&mut self.wasi(), descriptor).await
    }

    async fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorStat> {
        types::HostDescriptor::stat(&mut self.wasi(), descriptor).await
    }

    async fn stat_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        types::HostDescriptor::stat_at(&mut self.wasi(), descriptor, flags, path).await
    }

    async fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        types::HostDescriptor::is_same_object(&mut self.wasi(), one, other).await
    }

    async fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::MetadataHashValue> {
        types::HostDescriptor::metadata_hash(&mut self.wasi(), descriptor).await
    }

    async fn metadata_hash_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        types::HostDescriptor::metadata_hash_at(&mut self.wasi(), descriptor, flags, path).await
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        types::HostDescriptor::drop(&mut self.wasi(), descriptor)
    }
}

impl types::HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        types::HostDirectoryEntryStream::read_directory_entry(&mut self.wasi(), stream).await
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        types::HostDirectoryEntryStream::drop(&mut self.wasi(), stream)
    }
}
