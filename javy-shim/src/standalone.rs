//! Engine and image in one portable component.

use wasm_encoder::reencode::{Error, ReencodeComponent, RoundtripReencoder};
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentInstanceSection, ComponentSectionId, RawSection,
};
use wasmparser::{
    Chunk, ComponentExportSectionReader, ComponentImportSectionReader, ComponentTypeRef, Parser, Payload,
};

use crate::image::no_changes;
use crate::{BUILDER_INTERFACE, ENGINE, IMAGE_IMPORT, SNAPSHOT_INTERFACE};

/// Makes a component that any host of the lean world can run from an image that [`crate::image::encode`] made.
///
/// It is the engine with the two modules in the place of its imports, and without the interfaces that make images. Every index in it
/// stays what it was.
///
/// # Errors
/// Never with the engine this crate was built with: the errors are those of reading it.
pub fn component(image: &[u8]) -> Result<Vec<u8>, Error> {
    let mut component = Component::new();
    let mut parser = Parser::new(0);
    let mut position = 0;
    while let Some(rest) = ENGINE.get(position..).filter(|rest| !rest.is_empty()) {
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
        match payload {
            Payload::ComponentImportSection(imports) if imports_modules(&imports)? => {
                inline_modules(&mut component, imports, image)?;
            }
            Payload::ComponentExportSection(exports) => export_handler_only(&mut component, exports)?,
            _ => {
                component.section(&RawSection { id, data: ENGINE.get(range).unwrap_or_default() });
            }
        }
    }
    Ok(component.finish())
}

fn imports_modules(imports: &ComponentImportSectionReader<'_>) -> Result<bool, Error> {
    let first = imports.clone().into_iter().next().transpose()?;
    Ok(first.is_some_and(|import| matches!(import.ty, ComponentTypeRef::Module(_))))
}

fn inline_modules(
    component: &mut Component,
    imports: ComponentImportSectionReader<'_>,
    image: &[u8],
) -> Result<(), Error> {
    let none = no_changes();
    for import in imports {
        let data = if import?.name.name == IMAGE_IMPORT { image } else { &none };
        component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data });
    }
    Ok(())
}

/// An export also has an index among the instances. The place of one that is left out is taken by an empty instance.
fn export_handler_only(component: &mut Component, exports: ComponentExportSectionReader<'_>) -> Result<(), Error> {
    for export in exports {
        let export = export?;
        if [BUILDER_INTERFACE, SNAPSHOT_INTERFACE].contains(&export.name.name) {
            let mut instances = ComponentInstanceSection::new();
            instances.export_items::<&str, [(&str, ComponentExportKind, u32); 0]>([]);
            component.section(&instances);
        } else {
            let mut section = ComponentExportSection::new();
            RoundtripReencoder.parse_component_export(&mut section, export)?;
            component.section(&section);
        }
    }
    Ok(())
}
