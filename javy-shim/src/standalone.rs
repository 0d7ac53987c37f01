//! Engine and image in one portable component.

use wasm_encoder::{Component, ComponentSectionId, RawSection};
use wasmparser::{BinaryReaderError, Chunk, ComponentTypeRef, Parser, Payload};

use crate::{ENGINE, ENGINE_IMPORT, WRAPPER};

/// Makes a component that any host of the lean world can run from an image that [`crate::image::encode`] made.
///
/// It is the wrapper with the two modules in the place of its imports, so every index in it stays what it was.
///
/// # Errors
/// Never with the wrapper this crate was built with: the errors are those of reading it.
pub fn component(image: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut component = Component::new();
    for section in sections(WRAPPER)? {
        match section.modules {
            Some(names) => names.iter().for_each(|name| {
                let data = if *name == ENGINE_IMPORT { ENGINE } else { image };
                component.section(&RawSection {
                    id: ComponentSectionId::CoreModule.into(),
                    data,
                });
            }),
            None => {
                component.section(&RawSection {
                    id: section.id,
                    data: section.data,
                });
            }
        }
    }
    Ok(component.finish())
}

/// A top-level section of a component.
struct Section<'a> {
    id: u8,
    data: &'a [u8],
    /// The names of the modules that it imports, if it imports modules.
    modules: Option<Vec<&'a str>>,
}

fn sections(component: &[u8]) -> Result<Vec<Section<'_>>, BinaryReaderError> {
    let mut parser = Parser::new(0);
    let mut position = 0;
    let mut found = Vec::new();
    while let Some(rest) = component.get(position..).filter(|rest| !rest.is_empty()) {
        let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
            break;
        };
        position += consumed;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        if let Payload::ModuleSection { .. } | Payload::ComponentSection { .. } = payload {
            position = range.end;
        }
        let data = component.get(range).unwrap_or_default();
        found.push(Section {
            id,
            data,
            modules: imported_modules(&payload)?,
        });
    }
    Ok(found)
}

fn imported_modules<'a>(payload: &Payload<'a>) -> Result<Option<Vec<&'a str>>, BinaryReaderError> {
    let Payload::ComponentImportSection(imports) = payload else {
        return Ok(None);
    };
    let mut names = Vec::new();
    for import in imports.clone() {
        let import = import?;
        if !matches!(import.ty, ComponentTypeRef::Module(_)) {
            return Ok(None);
        }
        names.push(import.name.name);
    }
    Ok(Some(names))
}
