//! `Intl.Segmenter`.

use icu::segmenter::options::{SentenceBreakInvariantOptions, WordBreakInvariantOptions};
use icu::segmenter::{GraphemeClusterSegmenter, SentenceSegmenter, WordSegmenter};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::locale;
use super::service::{Failure, Segment, Service};

/// As the prelude passes them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct SegmentOptions {
    locales: Vec<String>,
    granularity: Granularity,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Granularity {
    #[default]
    Grapheme,
    Word,
    Sentence,
}

/// Whether words of a letter's script are not apart in writing.
fn needs_dictionary(letter: char) -> bool {
    matches!(letter, '\u{e01}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// Divides texts.
pub(super) struct Segments {
    granularity: Granularity,
    resolved: Json,
}

impl Segments {
    /// The divider of these options.
    pub(super) fn new(options: &SegmentOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &[])?;
        let granularity = match options.granularity {
            Granularity::Grapheme => "grapheme",
            Granularity::Word => "word",
            Granularity::Sentence => "sentence",
        };
        let resolved = json!({"locale": known.locale.to_string(), "granularity": granularity});
        Ok(Self { granularity: options.granularity, resolved })
    }
}

impl Service for Segments {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn segments(&self, text: &str) -> Result<Vec<Segment>, Failure> {
        let ends: Vec<(usize, bool)> = match self.granularity {
            Granularity::Grapheme => {
                GraphemeClusterSegmenter::new().segment_str(text).map(|end| (end, false)).collect()
            }
            Granularity::Word => {
                // The dictionaries these need are larger than all other data of one service.
                if text.chars().any(needs_dictionary) {
                    let message = "words of texts in Chinese, Japanese, Thai, Lao, Khmer or Burmese are not supported: \
                                   use the granularity grapheme";
                    return Err(Failure::range(message));
                }
                let words = WordSegmenter::new_for_non_complex_scripts(WordBreakInvariantOptions::default());
                words.segment_str(text).iter_with_word_type().map(|(end, kind)| (end, kind.is_word_like())).collect()
            }
            Granularity::Sentence => {
                let sentences = SentenceSegmenter::new(SentenceBreakInvariantOptions::default());
                sentences.segment_str(text).map(|end| (end, false)).collect()
            }
        };
        let mut start = 0;
        let mut segments = Vec::with_capacity(ends.len());
        for (end, word) in ends {
            let units: usize = text.get(start..end).unwrap_or_default().chars().map(char::len_utf16).sum();
            start = end;
            if units > 0 {
                segments.push((u32::try_from(units).unwrap_or(u32::MAX), word));
            }
        }
        Ok(segments)
    }
}
