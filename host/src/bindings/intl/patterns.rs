//! What of CLDR ICU4X has no data for, by locale: the date and time patterns in `patterns.txt` (ICU4X has semantic skeletons only, and
//! what they give differs from what ECMA-402 engines print) and the units in `units.txt`. `patterns.mjs` makes both.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

type Sections = HashMap<&'static str, Section>;

struct Section {
    parent: &'static str,
    lines: &'static str,
}

static DATES: LazyLock<Sections> = LazyLock::new(|| sections(include_str!("patterns.txt")));
static UNITS: LazyLock<Sections> = LazyLock::new(|| sections(include_str!("units.txt")));

fn sections(text: &'static str) -> Sections {
    let sections = text.split('@').filter(|text| !text.is_empty()).map(|text| {
        let (head, lines) = text.split_once('\n').unwrap_or((text, ""));
        let (name, parent) = head.split_once(' ').unwrap_or((head, ""));
        (name, Section { parent, lines })
    });
    sections.collect()
}

/// Whether there are patterns for this locale itself.
pub(super) fn has(name: &str) -> bool {
    DATES.contains_key(name)
}

/// The patterns of one locale, with what it inherits.
#[derive(Debug)]
pub(super) struct Patterns(BTreeMap<&'static str, &'static str>);

impl Patterns {
    /// The date and time patterns of the locale with this name, or of the root.
    pub(super) fn dates(name: &str) -> Self {
        Self::of(&DATES, name)
    }

    /// The units of the locale with this name, or of the root.
    pub(super) fn units(name: &str) -> Self {
        Self::of(&UNITS, name)
    }

    fn of(sections: &'static Sections, name: &str) -> Self {
        let mut chain = Vec::new();
        let mut at = sections.get(name).or_else(|| sections.get("und"));
        while let Some(section) = at {
            chain.push(section.lines);
            at = sections.get(section.parent);
        }
        let lines = chain.into_iter().rev().flat_map(str::lines);
        Self(lines.filter_map(|line| line.split_once('\t')).collect())
    }

    /// One pattern by its key: `date/full`, `skeleton/yMd`, `append/Timezone`. None where the locale has none.
    pub(super) fn get(&self, key: &str) -> Option<&'static str> {
        self.0.get(key).copied().filter(|pattern| !pattern.is_empty())
    }

    /// The keys below a folder with their patterns: `skeleton/` gives `yMd`, …
    pub(super) fn below(&self, folder: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
        let found = self.0.range(folder..).map_while(move |(key, pattern)| Some((key.strip_prefix(folder)?, *pattern)));
        found.filter(|(_, pattern)| !pattern.is_empty())
    }
}
