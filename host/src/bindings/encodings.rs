//! `caddis:engine/encodings`: text in the legacy encodings of the Encoding standard, whose tables would make every image larger.

use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding};
use wasmtime::component::{Resource, ResourceTable};

use super::generated_intl::caddis::engine::encodings as wit;
use crate::tunables::LEGACY_TEXT_BYTES;
use wit::Failure;

/// A decoder a guest has open.
pub struct LegacyDecoder {
    decoder: Decoder,
    fatal: bool,
}

impl LegacyDecoder {
    fn decode(&mut self, bytes: &[u8], last: bool) -> Result<String, Failure> {
        if bytes.len() > LEGACY_TEXT_BYTES {
            return Err(Failure::TooMany);
        }
        let capacity = self.decoder.max_utf8_buffer_length(bytes.len()).ok_or(Failure::TooMany)?;
        let mut text = String::with_capacity(capacity);
        let whole = if self.fatal {
            let (result, _) = self.decoder.decode_to_string_without_replacement(bytes, &mut text, last);
            matches!(result, DecoderResult::InputEmpty)
        } else {
            let (result, _, _) = self.decoder.decode_to_string(bytes, &mut text, last);
            matches!(result, CoderResult::InputEmpty)
        };
        if last || !whole {
            // A decoder that has finished panics when it is used again.
            self.decoder = self.decoder.encoding().new_decoder_without_bom_handling();
        }
        if whole { Ok(text) } else { Err(Failure::Malformed) }
    }
}

fn encoding(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes())
}

/// What `encodings` sees of a store: the decoders live there.
pub struct EncodingsView<'a>(pub &'a mut ResourceTable);

impl wit::Host for EncodingsView<'_> {
    fn name(&mut self, label: String) -> wasmtime::Result<Option<String>> {
        Ok(encoding(&label).map(|encoding| encoding.name().to_ascii_lowercase()))
    }
}

impl wit::HostDecoder for EncodingsView<'_> {
    fn open(&mut self, label: String, fatal: bool) -> wasmtime::Result<Option<Resource<LegacyDecoder>>> {
        let Some(encoding) = encoding(&label) else { return Ok(None) };
        let decoder = LegacyDecoder { decoder: encoding.new_decoder_without_bom_handling(), fatal };
        // A table that is full is the only reason to fail.
        Ok(self.0.push(decoder).ok())
    }

    fn decode(
        &mut self,
        decoder: Resource<LegacyDecoder>,
        bytes: Vec<u8>,
        last: bool,
    ) -> wasmtime::Result<Result<String, Failure>> {
        Ok(self.0.get_mut(&decoder)?.decode(&bytes, last))
    }

    fn drop(&mut self, decoder: Resource<LegacyDecoder>) -> wasmtime::Result<()> {
        self.0.delete(decoder)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(label: &str, fatal: bool) -> LegacyDecoder {
        LegacyDecoder { decoder: encoding(label).expect("a label").new_decoder_without_bom_handling(), fatal }
    }

    #[test]
    fn labels_stand_for_encodings() {
        let mut table = ResourceTable::new();
        let mut name =
            |label: &str| wit::Host::name(&mut EncodingsView(&mut table), label.to_owned()).expect("no trap");
        assert_eq!(name(" SJIS\t").as_deref(), Some("shift_jis"));
        assert_eq!(name("hz-gb-2312"), None);
        assert_eq!(name("utf-7"), None);
    }

    #[test]
    fn a_character_may_end_in_the_next_call() {
        let mut decoder = open("shift_jis", true);
        assert_eq!(decoder.decode(&[0x93], false), Ok(String::new()));
        assert_eq!(decoder.decode(&[0xfa], true), Ok("日".to_owned()));
        assert_eq!(open("shift_jis", true).decode(&[0x93], true), Err(Failure::Malformed));
        assert_eq!(open("shift_jis", false).decode(&[0x93], true), Ok("\u{fffd}".to_owned()));
    }

    #[test]
    fn a_text_that_has_ended_is_followed_by_another() {
        let mut decoder = open("iso-2022-jp", true);
        for _ in 0..2 {
            assert_eq!(decoder.decode(b"\x1b$B\x30\x21", true), Ok("亜".to_owned()));
            assert_eq!(decoder.decode(b"\x80", false), Err(Failure::Malformed));
        }
    }

    #[test]
    fn a_call_has_a_limit() {
        let most = vec![b'a'; LEGACY_TEXT_BYTES];
        assert_eq!(open("koi8-r", true).decode(&most, false).map(|text| text.len()), Ok(most.len()));
        assert_eq!(open("koi8-r", true).decode(&[most, vec![b'a']].concat(), false), Err(Failure::TooMany));
    }

    #[test]
    fn a_full_table_opens_no_decoder() {
        let mut table = ResourceTable::new();
        table.set_max_capacity(1);
        let mut view = EncodingsView(&mut table);
        let mut opened = || wit::HostDecoder::open(&mut view, "koi8-r".to_owned(), false).expect("no trap").is_some();
        assert_eq!((opened(), opened()), (true, false));
    }
}
