//! What the runs gave, what they should give, and the two files that say so.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::suite::{AREAS, Area, Run};

/// What one run gave.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    subtests: usize,
    /// What the harness complains about, beside the subtests.
    error: Option<String>,
    /// Which subtests do not pass, and what they say.
    failing: BTreeMap<String, String>,
}

impl Outcome {
    /// From the answer of the deployed function.
    pub(crate) fn new(answer: &Value) -> Self {
        let Some(tests) = answer["tests"].as_array() else {
            return Self { error: Some(one_line(&answer.to_string())), ..Self::default() };
        };
        let failing = tests.iter().filter(|test| test[1] != 0);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            subtests: tests.len(),
            error: answer["error"].as_str().map(one_line),
            failing: failing.map(|test| (text(&test[0]), text(&test[2]))).collect(),
        }
    }

    /// What this run should give when all its subtests pass.
    pub(crate) fn expecting_all_to_pass(&self) -> Self {
        Self { subtests: self.subtests, ..Self::default() }
    }

    fn passing(&self) -> usize {
        self.subtests - self.failing.len()
    }

    /// What is not as it should be, in lines for people.
    fn differences(&self, expected: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.error != expected.error {
            lines.push(format!("the harness says {:?}, expected {:?}", self.error, expected.error));
        }
        if self.subtests != expected.subtests {
            lines.push(format!("{} subtests, expected {}", self.subtests, expected.subtests));
        }
        let fails = self.failing.iter().filter(|(name, _)| !expected.failing.contains_key(*name));
        lines.extend(fails.map(|(name, message)| format!("fails: {name:?}: {message}")));
        let passes = expected.failing.keys().filter(|name| !self.failing.contains_key(*name));
        lines.extend(passes.map(|name| format!("passes, which is not expected: {name:?}")));
        lines
    }
}

/// The outcome of each run, by its name.
pub(crate) type Outcomes = BTreeMap<String, Outcome>;

/// The text of the expectations file: a line for each run, and one for each subtest in it that does not pass.
pub(crate) fn expectations(outcomes: &Outcomes) -> String {
    let mut text = String::new();
    for (name, outcome) in outcomes {
        text.push_str(&format!("{} of {} {name}\n", outcome.passing(), outcome.subtests));
        if let Some(error) = &outcome.error {
            text.push_str(&format!("    error {}\n", Value::from(error.as_str())));
        }
        for name in outcome.failing.keys() {
            text.push_str(&format!("    fails {}\n", Value::from(name.as_str())));
        }
    }
    text
}

/// Reads what [`expectations`] wrote.
pub(crate) fn parse(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(detail) = line.strip_prefix("    ") {
            let (kind, quoted) = detail.split_once(' ').expect("a kind and a text");
            let text: String = serde_json::from_str(quoted).expect("the text is quoted");
            let outcome = outcomes.get_mut(&current).expect("a run comes first");
            match kind {
                "error" => outcome.error = Some(text),
                _ => drop(outcome.failing.insert(text, String::new())),
            }
        } else {
            let mut words = line.splitn(4, ' ').skip(2);
            let subtests = words.next().and_then(|word| word.parse().ok()).expect("a number of subtests");
            words.next().expect("the name of a run").clone_into(&mut current);
            outcomes.insert(current.clone(), Outcome { subtests, ..Outcome::default() });
        }
    }
    outcomes
}

/// Every run that is not as it should be. Of runs that were not made nothing is said, unless `all` were.
pub(crate) fn differences(outcomes: &Outcomes, expected: &Outcomes, all: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let none = Outcome::default();
    for (name, outcome) in outcomes {
        let found = outcome.differences(expected.get(name).unwrap_or(&none));
        if !found.is_empty() {
            lines.push(format!("{name}\n    {}", found.join("\n    ")));
        }
    }
    let gone = expected.keys().filter(|name| all && !outcomes.contains_key(*name));
    lines.extend(gone.map(|name| format!("{name}\n    is expected, and there is no such test")));
    lines
}

/// What a row of the table adds up.
#[derive(Default)]
struct Sum {
    runs: usize,
    subtests: usize,
    passing: usize,
}

impl Sum {
    fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Self {
        outcomes.fold(Self::default(), |sum, outcome| Self {
            runs: sum.runs + 1,
            subtests: sum.subtests + outcome.subtests,
            passing: sum.passing + outcome.passing(),
        })
    }

    /// Tenths of a percent, rounded down: a share is never said to be more than it is.
    fn share(&self) -> usize {
        1000 * self.passing / self.subtests.max(1)
    }

    fn row(&self, name: &str, aim: Option<usize>) -> String {
        let aim = aim.map(|aim| format!("{aim} %")).unwrap_or_default();
        let (tenths, Self { runs, subtests, passing }) = (self.share(), self);
        format!("| {name} | {runs} | {subtests} | {passing} | {}.{} % | {aim} |\n", tenths / 10, tenths % 10)
    }
}

/// The sum of each area.
fn sums<'a>(runs: &'a [Run], outcomes: &'a Outcomes) -> impl Iterator<Item = (&'static Area, Sum)> {
    AREAS.iter().enumerate().map(move |(index, area)| {
        let chosen = runs.iter().filter(move |run| run.area() == index);
        (area, Sum::of(chosen.filter_map(|run| outcomes.get(&run.name))))
    })
}

/// The table of the README.
pub(crate) fn table(runs: &[Run], outcomes: &Outcomes) -> String {
    let head = "| area | runs | subtests | pass | share | aim |\n| --- | ---: | ---: | ---: | ---: | ---: |\n";
    let found = sums(runs, outcomes).filter(|(_, sum)| sum.runs > 0);
    let rows: String = found.map(|(area, sum)| sum.row(area.name, area.aim)).collect();
    format!("{head}{rows}{}", Sum::of(outcomes.values()).row("all", None))
}

/// The areas of which too few subtests pass, or which are not there at all.
pub(crate) fn below_aims(runs: &[Run], outcomes: &Outcomes) -> Vec<String> {
    let tell = |(area, sum): (&Area, Sum)| match area.aim {
        _ if sum.runs == 0 => Some(format!("{}: there are no tests for it", area.name)),
        Some(aim) if sum.share() < 10 * aim => Some(format!("{}: fewer than {aim} % pass", area.name)),
        _ => None,
    };
    sums(runs, outcomes).filter_map(tell).collect()
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}
