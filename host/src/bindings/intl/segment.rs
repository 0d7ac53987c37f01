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
                let words = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
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
