//! Samples, medians, ratios; as a table, as JSON, in the README.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::cold::{FirstRequests, Memory};
use crate::load::Measured;
use crate::{Failure, plot};

const BEGIN: &str = "<!-- figures: written by the benchmark -->\n";
const END: &str = "<!-- end of figures -->";

/// One run of the load tool.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) workload: &'static str,
    pub(crate) server: &'static str,
    pub(crate) connections: u32,
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) measured: Measured,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Vec<String>,
    rounds: u32,
    seconds: u32,
    samples: Vec<Sample>,
    pub(crate) cold: Option<FirstRequests>,
    pub(crate) memory: Option<Memory>,
}

/// Medians over the rounds.
pub(crate) struct Line<'a> {
    pub(crate) workload: &'a str,
    pub(crate) server: &'a str,
    pub(crate) connections: u32,
    pub(crate) requests_per_second: f64,
    /// To the floor, with as many connections; the median of the rounds' ratios.
    pub(crate) ratio: Option<f64>,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

/// What others are compared with.
const FLOOR: &str = "hyper alone";

impl Results {
    pub(crate) fn new(machine: Vec<String>, rounds: u32, seconds: u32) -> Self {
        Self { machine, rounds, seconds, samples: Vec::new(), cold: None, memory: None }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    pub(crate) fn lines(&self) -> Vec<Line<'_>> {
        let mut groups: BTreeMap<(&str, u32, &str), Vec<&Sample>> = BTreeMap::new();
        for sample in &self.samples {
            groups.entry((sample.workload, sample.connections, sample.server)).or_default().push(sample);
        }
        groups
            .into_iter()
            .map(|((workload, connections, server), samples)| {
                let of = |field: fn(&Measured) -> f64| median(samples.iter().map(|sample| field(&sample.measured)));
                let ratios =
                    samples.iter().filter_map(|sample| Some(sample.measured.requests_per_second / self.floor(sample)?));
                Line {
                    workload,
                    server,
                    connections,
                    requests_per_second: of(|measured| measured.requests_per_second).unwrap_or_default(),
                    ratio: median(ratios),
                    p50_us: of(|measured| measured.p50_us as f64).unwrap_or_default(),
                    p99_us: of(|measured| measured.p99_us as f64).unwrap_or_default(),
                    p999_us: of(|measured| measured.p999_us as f64).unwrap_or_default(),
                }
            })
            .collect()
    }

    /// What the floor reached in the same round with as many connections.
    fn floor(&self, sample: &Sample) -> Option<f64> {
        let same = |other: &&Sample| {
            other.server == FLOOR && (other.connections, other.round) == (sample.connections, sample.round)
        };
        self.samples.iter().find(same).map(|floor| floor.measured.requests_per_second)
    }

    fn table(&self) -> String {
        let mut table = format!(
            "| workload | connections | server | requests/s | to {FLOOR} | p50 ms | p99 ms | p99.9 ms |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |\n"
        );
        for line in self.lines() {
            let ratio = line.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            let _ = writeln!(
                table,
                "| {} | {} | {} | {:.0} | {ratio} | {:.2} | {:.2} | {:.2} |",
                line.workload,
                line.connections,
                line.server,
                line.requests_per_second,
                line.p50_us / 1e3,
                line.p99_us / 1e3,
                line.p999_us / 1e3
            );
        }
        table
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{}.\nMedians of {} rounds in rotation, {} s each.\n\n",
            self.machine.join("; "),
            self.rounds,
            self.seconds
        );
        text.push_str(&self.table());
        if let Some(FirstRequests { first_p50_ms, first_p99_ms, deploy_p50_ms }) = &self.cold {
            let _ = writeln!(
                text,
                "\n(g) The first request after a deployment: {first_p50_ms:.2} ms (median), {first_p99_ms:.2} ms (p99), over a new connection. From the source to that response: {deploy_p50_ms:.1} ms."
            );
        }
        if let Some(Memory { host_mib, imaged_function_kib, idle_function_kib }) = &self.memory {
            let _ = writeln!(
                text,
                "\nResident memory: {host_mib} MiB with one function called; {imaged_function_kib} KiB more for each function that was called, {idle_function_kib} KiB for each that was not since the start."
            );
        }
        text
    }

    #[expect(clippy::print_stdout, reason = "a command for people")]
    pub(crate) fn print(&self) {
        println!("{}", self.text());
    }

    pub(crate) fn keep(&self, path: &Path) -> Result<(), Failure> {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    pub(crate) fn write_readme(&self, package: &Path) -> Result<(), Failure> {
        std::fs::write(package.join("figures.svg"), plot::bars(&self.lines()))?;
        std::fs::write(package.join("figures.json"), serde_json::to_vec_pretty(self)?)?;
        let path = package.join("README.md");
        let readme = std::fs::read_to_string(&path)?;
        let (before, rest) = readme.split_once(BEGIN).ok_or("the README has no place for figures")?;
        let (_, after) = rest.split_once(END).ok_or("the README has no end of figures")?;
        Ok(std::fs::write(
            path,
            format!(
                "{before}{BEGIN}{}\n![requests per second with 64 connections](figures.svg)\n{END}{after}",
                self.text()
            ),
        )?)
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
