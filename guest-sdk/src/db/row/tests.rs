//! Rows become values, or a message that names the column.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::db::{Error, Rows, Value};

fn rows(columns: &[&str], row: Vec<Value>) -> Rows {
    Rows { columns: columns.iter().map(|name| name.to_string()).collect(), rows: vec![row] }
}

fn one<T: serde::de::DeserializeOwned>(columns: &[&str], row: Vec<Value>) -> Result<T, Error> {
    rows(columns, row).into().map(|mut decoded| decoded.remove(0))
}

fn message<T: serde::de::DeserializeOwned + std::fmt::Debug>(columns: &[&str], row: Vec<Value>) -> String {
    match one::<T>(columns, row).unwrap_err() {
        Error::Decode(text) => text,
        other => panic!("{other:?}"),
    }
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Done,
}

#[derive(Deserialize, Debug, PartialEq)]
struct Id(i64);

#[derive(Deserialize, Debug, PartialEq)]
struct Note {
    id: Id,
    title: String,
    pinned: bool,
    size: u8,
    weight: f64,
    due: Option<String>,
    picture: Vec<u8>,
    state: State,
}

#[test]
fn a_struct_is_filled_by_the_names_of_the_columns() {
    let note: Note = one(
        &["state", "picture", "due", "weight", "size", "pinned", "title", "id", "extra"],
        vec![
            Value::Text("done".into()),
            Value::Blob(vec![0, 255]),
            Value::Null,
            Value::Integer(2),
            Value::Integer(255),
            Value::Integer(1),
            Value::Text("milk".into()),
            Value::Integer(7),
            Value::Blob(vec![]),
        ],
    )
    .unwrap();
    let expected = Note {
        id: Id(7),
        title: "milk".into(),
        pinned: true,
        size: 255,
        weight: 2.0,
        due: None,
        picture: vec![0, 255],
        state: State::Done,
    };
    assert_eq!(note, expected);
}

#[test]
fn tuples_go_by_order_and_plain_values_by_the_only_column() {
    let two = || vec![Value::Integer(1), Value::Text("a".into())];
    assert_eq!(one::<(i64, String)>(&["id", "title"], two()).unwrap(), (1, "a".into()));
    assert_eq!(one::<i64>(&["count(*)"], vec![Value::Integer(3)]).unwrap(), 3);
    assert_eq!(one::<Option<String>>(&["max"], vec![Value::Null]).unwrap(), None);
    assert_eq!(one::<Id>(&["id"], vec![Value::Integer(3)]).unwrap(), Id(3));
    assert_eq!(one::<State>(&["state"], vec![Value::Text("open".into())]).unwrap(), State::Open);
    assert!(message::<(i64,)>(&["id", "title"], two()).contains("left over"));
    assert!(message::<i64>(&["id", "title"], two()).contains("2 columns"));
}

#[test]
fn a_map_and_json_take_any_row() {
    let map: BTreeMap<String, i64> = one(&["a", "b"], vec![Value::Integer(1), Value::Integer(2)]).unwrap();
    assert_eq!(map, BTreeMap::from([("a".into(), 1), ("b".into(), 2)]));
    let json: serde_json::Value = one(&["a", "b"], vec![Value::Null, Value::Real(0.5)]).unwrap();
    assert_eq!(json, serde_json::json!({ "a": null, "b": 0.5 }));
}

#[test]
fn what_does_not_fit_names_the_column() {
    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "never filled")]
    struct Row<T> {
        x: T,
    }
    let too_big = message::<Row<u8>>(&["x"], vec![Value::Integer(300)]);
    assert_eq!(too_big, "column `x`: invalid value: integer `300`, expected u8");
    assert!(message::<Row<u64>>(&["x"], vec![Value::Integer(-1)]).starts_with("column `x`: invalid value"));
    let seven = message::<Row<bool>>(&["x"], vec![Value::Integer(7)]);
    assert_eq!(seven, "column `x`: invalid value: integer `7`, expected a boolean: 0 or 1");
    assert!(message::<Row<String>>(&["x"], vec![Value::Null]).starts_with("column `x`: invalid type: "));
    assert!(message::<Row<i64>>(&["x"], vec![Value::Text("7".into())]).starts_with("column `x`: invalid type: string"));
    assert!(message::<Row<i64>>(&["x"], vec![Value::Real(1.5)]).starts_with("column `x`: invalid type: floating"));
    assert!(
        message::<Row<State>>(&["x"], vec![Value::Text("lost".into())]).contains("column `x`: unknown variant `lost`")
    );
    assert_eq!(message::<Row<i64>>(&["y"], vec![Value::Integer(1)]), "missing field `x`");
}
