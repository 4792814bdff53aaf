//! The decoder against anything that can come over a stream.

use model::{Location, Plan, PlanId, Region, World};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    api::Follow,
    frame::{self, Decoder, FrameError},
};

fn plan() -> Plan {
    let at = Location { latitude: 53.3, longitude: -6.3 };
    let world = World::of("test", vec![Region::new("eu-west".parse().unwrap(), 1, at)]);
    Plan::new(PlanId { lineage: 7, version: 42 }, 1, "x", world)
}

fn framed(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_be_bytes(), content].concat()
}

/// What a decoder makes of bytes that come in pieces: messages understood, and not. Ends at the first that is too long.
fn drain(bytes: &[u8], piece: usize) -> (usize, usize) {
    let mut decoder = Decoder::default();
    let (mut understood, mut lost) = (0, 0);
    for chunk in bytes.chunks(piece.max(1)) {
        decoder.push(chunk);
        loop {
            match decoder.take() {
                Ok(Some(_)) => understood += 1,
                Ok(None) => break,
                Err(FrameError::Undecodable(_)) => lost += 1,
                Err(FrameError::TooLong(_)) => return (understood, lost),
            }
        }
    }
    (understood, lost)
}

/// INVARIANT: oversized, unknown or corrupt messages cannot panic a consumer. A Plan of a later version, with fields that this one
/// does not know, is read as far as it is known.
#[test]
fn a_plan_of_a_later_version_is_read_as_far_as_it_is_known() {
    let mut later = serde_json::to_value(Follow::Plan(Box::new(plan()))).unwrap();
    later["plan"]["tides"] = json!({ "high": [1, 2, { "x": null }] });
    later["plan"]["id"]["epoch"] = json!(9);
    let mut decoder = Decoder::default();
    decoder.push(&framed(later.to_string().as_bytes()));
    assert_eq!(decoder.take(), Ok(Some(Follow::Plan(Box::new(plan())))));
    assert_eq!(decoder.last_sum(), Some(frame::sum(later.to_string().as_bytes()).as_str()));

    let alive = json!({ "alive": { "plan": null, "quorum_age_ms": 3, "leader": null, "mood": "calm" } });
    decoder.push(&framed(alive.to_string().as_bytes()));
    assert!(matches!(decoder.take(), Ok(Some(Follow::Alive { sum: None, quorum_age_ms: Some(3), .. }))));
    // What is no message at all yet: it costs only itself.
    decoder.push(&framed(br#"{"farewell":{}}"#));
    assert!(matches!(decoder.take(), Err(FrameError::Undecodable(_))));
}

fn took(decoder: &mut Decoder, content: &str) -> Plan {
    decoder.push(&framed(content.as_bytes()));
    match decoder.take() {
        Ok(Some(Follow::Plan(plan))) => *plan,
        other => panic!("{other:?} from {content}"),
    }
}

/// Whatever was read before, a Plan is what serde reads from its bytes; and Plans of one World share it.
#[test]
fn a_world_that_comes_again_is_shared_and_one_that_differs_in_a_byte_is_read() {
    let text = |plan: &Plan| serde_json::to_string(&Follow::Plan(Box::new(plan.clone()))).unwrap();
    let (first, mut next, mut other) = (plan(), plan(), plan());
    (next.id.version, next.made_by) = (43, r#"","world":{"name":""}"#.into());
    (other.id.version, other.world.name) = (44, "tesu".into());
    let mut decoder = Decoder::default();
    let read = [&first, &next, &other, &first].map(|plan| {
        let got = took(&mut decoder, &text(plan));
        assert_eq!(got, *plan);
        got
    });
    assert!(read[0].world.is_same(&read[1].world), "read once");
    assert!(!read[2].world.is_same(&read[3].world));
    // What another version might put before it, under the same name.
    let odd = |inner: &str, plan: &Plan| {
        text(plan).replacen(r#","made_by""#, &format!(r#","tides":{{"a":1,"world":{inner}}},"made_by""#), 1)
    };
    for (inner, plan) in [("7", &first), ("7", &other), ("7", &first), ("[]", &next), ("{}", &next), ("{}", &other)] {
        assert_eq!(took(&mut decoder, &odd(inner, plan)), *plan, "{inner}");
    }
}

/// Puts something else in the place of the `n`th value inside.
fn replace(value: &mut Value, n: &mut usize, with: &Value) {
    if *n == 0 {
        *value = with.clone();
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|inner| replace(inner, n, with)),
        Value::Array(items) => items.iter_mut().for_each(|inner| replace(inner, n, with)),
        _ => {}
    }
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!("\u{0}\u{ffff}"),
        json!([]),
        json!({}),
        json!({ "plan": { "plan": {} } }),
        json!("x".repeat(70_000)),
    ])
}

proptest! {
    #[test]
    fn no_bytes_panic_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..64) {
        drain(&bytes, piece);
        drain(&framed(&bytes), piece);
    }

    /// A damaged Plan is lost or read as something else; the message behind it is read in any case.
    #[test]
    fn damage_inside_a_message_costs_only_that_message(
        at in any::<prop::sample::Index>(), to in any::<u8>(), piece in 1usize..4000,
    ) {
        let mut content = serde_json::to_vec(&Follow::Plan(Box::new(plan()))).unwrap();
        let at = at.index(content.len());
        content[at] = to;
        let good = frame::encode(&Follow::Plan(Box::new(plan()))).unwrap();
        let (understood, lost) = drain(&[framed(&content), good.to_vec()].concat(), piece);
        prop_assert_eq!(understood + lost, 2);
        prop_assert!(understood >= 1);
    }

    #[test]
    fn no_value_in_the_wrong_place_panics_the_decoder(n in 0usize..80, with in odd_value()) {
        let mut message = serde_json::to_value(Follow::Plan(Box::new(plan()))).unwrap();
        replace(&mut message, &mut n.clone(), &with);
        let (understood, lost) = drain(&framed(message.to_string().as_bytes()), 1000);
        prop_assert_eq!(understood + lost, 1);
    }
}
