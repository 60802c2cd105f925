//! The schema is what users read: its examples are fed as they stand.

use serde_json::{Value, json};

use super::Child;
use crate::support::Sandbox;

fn schema(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.run(&["record", "--schema"]).exits(0).stdout).unwrap()
}

#[test]
fn every_example_of_the_schema_is_taken() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let schema = schema(&sandbox);
    let events = schema["oneOf"].as_array().unwrap();
    assert!(events.iter().all(|event| !event["examples"].as_array().unwrap().is_empty()));
    let examples: Vec<_> = events.iter().flat_map(|event| event["examples"].as_array().unwrap()).collect();
    let mut child = Child::start(&sandbox, &[]);
    let expected = [
        "recorded",
        "recorded",
        "recorded",
        "enriched",
        "recorded",
        "recorded",
        "recorded",
        "recorded",
        "already_recorded",
        "recorded",
        "recorded",
        "recorded",
        "enriched",
        "recorded",
        "enriched",
        "answered",
    ];
    for (number, (example, outcome)) in examples.iter().zip(expected).enumerate() {
        let answer = child.ask(example);
        assert_eq!(answer["line"], number + 1);
        assert_eq!(answer["ref"], example["ref"]);
        assert_eq!(answer["outcome"], outcome, "{example}: {answer}");
        let known = schema["$defs"]["answer"]["properties"].as_object().unwrap();
        assert!(answer.as_object().unwrap().keys().all(|name| known.contains_key(name)), "{answer}");
        if example["event"] == "closed" {
            // By hand: (60500 - 60000) x 0.01 - 2 x 0.24; that a bot's first fill found nothing is an assumption.
            assert_eq!(answer["trip"]["gross"]["amount"], "5", "{answer}");
            assert_eq!(answer["trip"]["net"][0]["amount"], "4.52", "{answer}");
            assert_eq!((&answer["trip"]["exit_reason"], &answer["order_id"]), (&json!("take_profit"), &json!("9002")));
        }
    }
    assert_eq!(expected.len(), examples.len());
    let (code, rest, stderr) = child.finish();
    assert_eq!((code, rest.len(), stderr.as_str()), (Some(0), 0, ""));
    // Another process sees all of it.
    let trips = sandbox.run(&["trips", "--json"]).exits(0).json();
    assert_eq!((&trips[0]["exit_reason"], &trips[0]["engine"]), (&json!("take_profit"), &json!("swing")), "{trips:?}");
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
    // Given again, nothing is new.
    let before =
        [&["signals"][..], &["orders"], &["fills"], &["cancels"]].map(|list| sandbox.run(list).exits(0).stdout);
    let mut child = Child::start(&sandbox, &[]);
    for example in &examples {
        let answer = child.ask(example);
        let outcome = answer["outcome"].as_str().unwrap();
        assert!(["already_recorded", "answered"].contains(&outcome), "{example}: {answer}");
    }
    assert_eq!(child.finish().0, Some(0));
    let after = [&["signals"][..], &["orders"], &["fills"], &["cancels"]].map(|list| sandbox.run(list).exits(0).stdout);
    assert_eq!(before, after);
}

/// A field that the schema names is a field that is read, and the other way round.
#[test]
fn the_schema_has_the_fields_that_are_read() {
    let sandbox = Sandbox::with_book(&[]);
    let schema = schema(&sandbox);
    let mut child = Child::start(&sandbox, &[]);
    for event in schema["oneOf"].as_array().unwrap() {
        let name = &event["properties"]["event"]["const"];
        let answer = child.ask(&json!({ "event": name, "no_such_field": 1 }));
        assert_eq!(answer["error"]["field"], "no_such_field", "{answer}");
        let advice = answer["error"]["advice"].as_str().unwrap();
        let mut told: Vec<_> = advice.strip_prefix("its fields are ").unwrap().split(", ").collect();
        told.extend(["event", "ref"]);
        told.sort_unstable();
        let mut described: Vec<_> = event["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(told, described, "{name}");
    }
}
