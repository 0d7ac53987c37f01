//! Formatting against what Node prints, and the limits.
//!
//! `node.txt` has the strings of Node 20.20 (ICU 78.2, CLDR 48.0). A third column stands where ours is another: mostly because ICU4X 2.4
//! and the tables have a newer CLDR, and where a word is in one place of CLDR and not in the other (time zones like PST outside
//! English). U+202F before AM and PM is a plain space in both, as in all engines.

use super::service::Argument;
use super::wit::Host as _;
use super::*;

const NODE: &str = include_str!("node.txt");

fn argument(value: &serde_json::Value) -> Argument {
    value.as_f64().map_or_else(|| Argument::Text(value.as_str().unwrap_or_default().to_owned()), Argument::Number)
}

fn format(service: &str, locale: &str, options: &serde_json::Value, arguments: &[Argument]) -> Result<String, Failure> {
    let mut all = options.as_object().cloned().unwrap_or_default();
    all.insert("locales".to_owned(), serde_json::json!([locale]));
    let mut description = serde_json::Map::new();
    description.insert(service.to_owned(), all.into());
    let description = serde_json::Value::Object(description).to_string();
    let parts = IntlState::default().service(description)?.format(arguments)?;
    Ok(parts.into_iter().map(|part| part.text).collect())
}

#[test]
fn the_strings_are_those_of_node() {
    let (mut same, mut known, mut wrong) = (0, 0, Vec::new());
    let mut call: Option<(&str, serde_json::Value, Vec<Argument>)> = None;
    for line in NODE.lines() {
        if let Some(head) = line.strip_prefix("# ") {
            let (service, rest) = head.split_once(' ').expect("a service");
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
            let mut value = || values.next().expect("a value").expect("JSON");
            let (options, arguments) = (value(), value());
            let arguments = arguments.as_array().expect("a list").iter().map(argument).collect();
            call = Some((service, options, arguments));
            continue;
        }
        let (service, options, arguments) = call.as_ref().expect("a call");
        let columns: Vec<&str> = line.split('\t').collect();
        let text = |column: &str| serde_json::from_str::<String>(&format!("\"{column}\"")).expect("a string");
        let expected = text(columns.last().expect("a column"));
        match columns.len() {
            2 => same += 1,
            _ => known += 1,
        }
        let found = format(service, columns[0], options, arguments);
        if found.as_ref() != Ok(&expected) {
            wrong.push(format!("{service} {options} {}: {found:?} is not {expected:?}", columns[0]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(same > 3_000 && known * 30 < same, "{same} as in Node, {known} not");
}

#[test]
fn numbers_of_any_size_are_formatted_without_a_panic() {
    let options = [
        serde_json::json!({}),
        serde_json::json!({"style": "percent"}),
        serde_json::json!({"notation": "compact"}),
        serde_json::json!({"notation": "scientific"}),
        serde_json::json!({"notation": "engineering", "minimumSignificantDigits": 21}),
        serde_json::json!({"maximumFractionDigits": 0, "roundingIncrement": 5000}),
        serde_json::json!({"minimumFractionDigits": 100, "maximumFractionDigits": 100}),
        serde_json::json!({"roundingPriority": "lessPrecision", "maximumSignificantDigits": 1, "roundingMode": "expand"}),
    ];
    let long = "9".repeat(2_000);
    let numbers =
        ["0", "-0", "1e32767", "-1e32767", "1e-32768", "1e99999999", "NaN", "-Infinity", "abc", "", "1e3000", &long];
    for options in &options {
        for number in numbers {
            format("NumberFormat", "en", options, &[Argument::Text(number.to_owned())]).expect("a number");
        }
    }
    let infinite = format("NumberFormat", "en", &options[0], &[Argument::Text("1e32767".to_owned())]);
    assert_eq!(infinite.as_deref(), Ok("∞"));
}

#[test]
fn dates_of_any_time_are_formatted_or_refused() {
    let full = serde_json::json!({"dateStyle": "full", "timeStyle": "full", "timeZone": "America/New_York"});
    for time in [0.0, -1.0, 8.64e15, -8.64e15, f64::NAN, f64::INFINITY, 253_402_207_200_000.0, -377_705_116_800_000.0] {
        let found = format("DateTimeFormat", "en", &full, &[Argument::Number(time)]);
        assert!(found.is_ok() || matches!(found, Err(Failure::Range(_))), "{time}: {found:?}");
    }
    let cycles = ["h11", "h12", "h23", "h24"].map(|cycle| {
        let options = serde_json::json!({"hour": "numeric", "minute": "numeric", "hourCycle": cycle});
        format("DateTimeFormat", "en", &options, &[Argument::Number(0.0)]).expect("a time")
    });
    assert_eq!(cycles, ["0:00 AM", "12:00 AM", "00:00", "24:00"]);
}

#[test]
fn ranges_show_what_tells_their_ends_apart() {
    let start = 1_788_609_787_000.0;
    let range = |options: &str, later: f64| {
        let options = serde_json::from_str(options).expect("JSON");
        let ends = [Argument::Number(start), Argument::Number(start + later * 3_600_000.0)];
        format("DateTimeFormat", "en-GB", &options, &ends).expect("a range")
    };
    assert_eq!(range(r#"{"dateStyle": "long"}"#, 1.0), "5 September 2026");
    assert_eq!(range(r#"{"dateStyle": "long"}"#, 72.0), "5\u{2009}–\u{2009}8 September 2026");
    assert_eq!(range(r#"{"dateStyle": "short", "timeStyle": "short"}"#, 1.0), "05/09/2026, 12:03–13:03");
    assert_eq!(range(r#"{"timeStyle": "short"}"#, 24.0), "05/09/2026, 12:03\u{2009}–\u{2009}06/09/2026, 12:03");
    assert_eq!(range(r#"{"month": "short", "day": "numeric"}"#, 9_000.0), "5 Sept 2026\u{2009}–\u{2009}15 Sept 2027");
}

#[test]
fn an_execution_keeps_a_few_services_only() {
    let mut state = IntlState::default();
    for digits in 0..100 {
        let description = format!(r#"{{"NumberFormat":{{"locales":["en"],"maximumFractionDigits":{digits}}}}}"#);
        state.service(description).expect("a service");
        assert!(state.0.len() <= INTL_SERVICES);
    }
}

#[test]
fn what_is_too_long_or_unknown_is_refused() {
    let mut state = IntlState::default();
    let mut view = IntlView(&mut state);
    let long = "x".repeat(INTL_TEXT_BYTES + 1);
    let collator = || r#"{"Collator":{"locales":["en"]}}"#.to_owned();
    assert!(view.compare(collator(), long.clone(), String::new()).expect("no trap").is_err());
    assert_eq!(view.compare(collator(), "a".into(), "B".into()).expect("no trap").ok(), Some(-1));
    assert!(view.resolve("x".repeat(INTL_DESCRIPTION_BYTES + 1)).expect("no trap").is_err());
    assert!(view.resolve(r#"{"Calendar":{}}"#.into()).expect("no trap").is_err());
    assert!(view.format(collator(), Vec::new()).expect("no trap").is_err());
    assert!(view.convert_case(vec!["tr".into()], true, long).expect("no trap").is_err());
    let words = r#"{"Segmenter":{"locales":["ja"],"granularity":"word"}}"#;
    assert!(view.segment(words.into(), "東京".into()).expect("no trap").is_err());
}
