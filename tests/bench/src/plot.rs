//! Bars of requests per second, as SVG.

use std::fmt::Write as _;

use crate::report::Line;

/// The connections of the lines that are drawn.
const CONNECTIONS: u32 = 64;
const ROW: usize = 22;
const LEFT: usize = 380;
const WIDTH: f64 = 420.0;

/// One bar for each line with 64 connections, those of a workload to the scale of its best.
pub(crate) fn bars(lines: &[Line<'_>]) -> String {
    let lines: Vec<_> = lines.iter().filter(|line| line.connections == CONNECTIONS).collect();
    let height = ROW * (lines.len() + 1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        LEFT + WIDTH as usize + 110
    );
    for (row, line) in lines.iter().enumerate() {
        let of_workload = lines.iter().filter(|other| other.workload == line.workload);
        let best = of_workload.map(|other| other.requests_per_second).fold(1.0, f64::max);
        let width = WIDTH * line.requests_per_second / best;
        let (top, text) = (row * ROW + 4, row * ROW + 18);
        let colour = if line.server.starts_with("Caddis") { "#2a7f62" } else { "#b0b7bf" };
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{text}\">{}: {}</text><rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{text}\">{:.0}/s</text>",
            line.workload,
            line.server,
            LEFT as f64 + width + 6.0,
            line.requests_per_second
        );
    }
    svg + "</svg>\n"
}
