//! `Intl` and the `toLocale*` methods, as functions use them. The strings are those of Node 20 with full ICU (ICU 78, CLDR 48).

use caddis_tests::Server;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::start;

/// What the function's JSON answer is, with `body` as what it returns.
async fn evaluate(body: &str) -> Value {
    let server = start().await;
    call(&server, "f", body).await
}

async fn call(server: &Server, name: &str, body: &str) -> Value {
    let code = format!("export default () => {{ {body} }};");
    let body = json!({"name": name, "code": code, "enabled": true, "access": {"policy": "public"}});
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    server.anonymous().get(name, "/").await.expect(StatusCode::OK).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_intl_works_in_a_function() {
    let found = evaluate(
        r#"const date = new Date(Date.UTC(2026, 8, 5, 12, 3, 7));
        return Response.json({
            date: new Intl.DateTimeFormat("en-US", { dateStyle: "full", timeStyle: "short", timeZone: "America/New_York" }).format(date),
            parts: new Intl.DateTimeFormat("de", { month: "long", day: "numeric" }).formatToParts(date),
            range: new Intl.DateTimeFormat("en-US", { dateStyle: "long" }).formatRange(date, new Date(+date + 3 * 864e5)),
            zone: new Intl.DateTimeFormat("en-US", { timeZone: "asia/kolkata" }).resolvedOptions().timeZone,
            local: Intl.DateTimeFormat().resolvedOptions().timeZone,
            number: new Intl.NumberFormat("de-DE", { style: "currency", currency: "EUR" }).format(-1234.5),
            callable: Intl.NumberFormat("en").format(1234.5),
            compact: new Intl.NumberFormat("en", { notation: "compact" }).format(1234567),
            unit: new Intl.NumberFormat("en", { style: "unit", unit: "kilometer-per-hour" }).format(50),
            plural: [0, 1, 2, 5].map((count) => new Intl.PluralRules("pl").select(count)),
            ordinal: [1, 2, 3, 4, 11].map((count) => new Intl.PluralRules("en", { type: "ordinal" }).select(count)),
            list: new Intl.ListFormat("en", { type: "disjunction" }).format(["a", "b", "c"]),
            relative: new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-1, "day"),
            relativeParts: new Intl.RelativeTimeFormat("en").formatToParts(3, "days"),
            names: new Intl.DisplayNames("fr", { type: "region" }).of("US"),
            sorted: ["z", "a", "Z", "ä"].sort(new Intl.Collator("de").compare),
            words: [...new Intl.Segmenter("en", { granularity: "word" }).segment("Hi, you 👍🏽!")].filter((s) => s.isWordLike).map((s) => s.segment),
            graphemes: [...new Intl.Segmenter().segment("e\u0301👍🏽x")].map((s) => s.index),
            canonical: Intl.getCanonicalLocales(["EN-us", "iw"]),
            supported: Intl.DateTimeFormat.supportedLocalesOf(["de-AT", "tlh", "zh-TW"]),
            units: Intl.supportedValuesOf("unit").includes("megabyte"),
            locale: new Intl.Locale("zh-hant-tw", { hourCycle: "h12" }).toString(),
            tag: Object.prototype.toString.call(new Intl.Collator()),
        });"#,
    )
    .await;
    let expected = json!({
        "date": "Saturday, September 5, 2026 at 8:03 AM",
        "parts": [
            {"type": "day", "value": "5"}, {"type": "literal", "value": ". "}, {"type": "month", "value": "September"}
        ],
        "range": "September 5\u{2009}–\u{2009}8, 2026",
        "zone": "Asia/Kolkata",
        "local": "UTC",
        "number": "-1.234,50\u{a0}€",
        "callable": "1,234.5",
        "compact": "1.2M",
        "unit": "50 km/h",
        "plural": ["many", "one", "few", "many"],
        "ordinal": ["one", "two", "few", "other", "other"],
        "list": "a, b, or c",
        "relative": "yesterday",
        "relativeParts": [
            {"type": "literal", "value": "in "},
            {"type": "integer", "value": "3", "unit": "day"},
            {"type": "literal", "value": " days"}
        ],
        "names": "États-Unis",
        "sorted": ["a", "ä", "z", "Z"],
        "words": ["Hi", "you"],
        "graphemes": [0, 2, 6],
        "canonical": ["en-US", "he"],
        "supported": ["de-AT", "zh-TW"],
        "units": true,
        "locale": "zh-Hant-TW-u-hc-h12",
        "tag": "[object Intl.Collator]",
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&found[key], value, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_with_locale_in_their_name_mind_it() {
    let found = evaluate(
        r#"const date = new Date(Date.UTC(2026, 8, 5, 12, 3, 7));
        return Response.json([
            (1234567.891).toLocaleString(),
            (1234.5).toLocaleString("en-US", { style: "currency", currency: "USD" }),
            (0.256).toLocaleString("de", { style: "percent", maximumFractionDigits: 1 }),
            12345678901234567890n.toLocaleString("de"),
            date.toLocaleString(),
            date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" }),
            date.toLocaleDateString("de-DE"),
            date.toLocaleTimeString("en-US", { hour: "2-digit", minute: "2-digit", timeZone: "Australia/Adelaide" }),
            new Date(NaN).toLocaleString(),
            [1234.5, date].toLocaleString("de"),
            ["Z", "a", "z", "ä"].sort((one, other) => one.localeCompare(other)),
            ["item 10", "item 9"].sort((one, other) => one.localeCompare(other, undefined, { numeric: true })),
            "a".localeCompare("Á", "en", { sensitivity: "base" }),
            "istanbul".toLocaleUpperCase("tr"),
            "istanbul".toLocaleUpperCase(),
        ]);"#,
    )
    .await;
    let expected = json!([
        "1,234,567.891",
        "$1,234.50",
        "25,6\u{a0}%",
        "12.345.678.901.234.567.890",
        "9/5/2026, 12:03:07 PM",
        "Saturday, 5 September 2026",
        "5.9.2026",
        "09:33 PM",
        "Invalid Date",
        "1.234,5,5.9.2026, 12:03:07",
        ["a", "ä", "z", "Z"],
        ["item 9", "item 10"],
        0,
        "İSTANBUL",
        "ISTANBUL",
    ]);
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_intl_cannot_do_is_an_error_that_names_it() {
    let found = evaluate(
        r#"const attempt = (action) => { try { return action(); } catch (error) { return `${error.name}: ${error.message}`; } };
        return Response.json([
            () => new Intl.DateTimeFormat("en", { timeZone: "Mars/Phobos" }),
            () => new Intl.DateTimeFormat("en", { calendar: "hebrew" }),
            () => new Intl.DateTimeFormat("e"),
            () => new Intl.NumberFormat("en", { style: "currency" }),
            () => new Intl.NumberFormat("en", { style: "unit", unit: "parsec" }),
            () => new Intl.NumberFormat("en", { maximumFractionDigits: 101 }),
            () => new Intl.Segmenter("en").segment("x".repeat(70_000)),
            () => "x".repeat(70_000).localeCompare("y"),
            () => Intl.getCanonicalLocales("x".repeat(300)),
            () => Intl.getCanonicalLocales(Array.from({ length: 65 }, () => "de")),
            () => new Intl.NumberFormat("en", { unit: "x".repeat(9_000) }),
            () => new Intl.ListFormat("en").format(Array.from({ length: 1_001 }, () => "a")),
            () => (10n ** 2_001n).toLocaleString(),
        ].map(attempt));"#,
    )
    .await;
    let words = [
        ["RangeError", "Mars/Phobos"],
        ["RangeError", "hebrew"],
        ["RangeError", "locale"],
        ["TypeError", "Currency"],
        ["RangeError", "parsec"],
        ["RangeError", "maximumFractionDigits"],
        ["RangeError", "65536 bytes"],
        ["RangeError", "65536 bytes"],
        ["RangeError", "255 bytes"],
        ["RangeError", "64 locales"],
        ["RangeError", "8192 bytes"],
        ["RangeError", "1000 elements"],
        ["RangeError", "2000 characters"],
    ];
    let found = found.as_array().expect("a list");
    assert_eq!(found.len(), words.len());
    for (found, words) in found.iter().zip(words) {
        let text = found.as_str().expect("an error");
        assert!(words.iter().all(|word| text.contains(word)), "{text} has not {words:?}");
    }
}
