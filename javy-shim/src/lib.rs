//! The JavaScript engine of Caddis: filled by the JavaScript milestone.
