//! The client against a real server of its own: axum over TLS and HTTP/2 on a port of the loopback.

mod calls;
mod plane;
mod server;

use std::time::Duration;

use crate::{CallError, ClientError, Endpoint, api::Follow, frame, rounds::Rounds};

fn endpoint(n: u8) -> Endpoint {
    Endpoint { name: None, addr: ([127, 0, 0, n], 9700).into() }
}

fn unreachable(n: u8) -> CallError {
    CallError::Unreachable { endpoint: endpoint(n), why: "refused".into() }
}

fn late(n: u8) -> CallError {
    CallError::Timeout { endpoint: endpoint(n), within: Duration::from_secs(1) }
}

fn no_leader() -> ClientError {
    ClientError::NotLeader { leader: None, message: "election".into() }
}

#[test]
fn a_round_visits_every_endpoint_and_ends_when_nobody_is_there() {
    let mut rounds = Rounds::new(3, 1, true);
    for (turn, over) in [(1, false), (2, false), (0, true)] {
        assert_eq!(rounds.turn(), turn);
        rounds.no_answer(unreachable(1));
        assert_eq!(rounds.next(None), over);
    }
    assert!(rounds.nobody_is_there());
    assert!(matches!(rounds.give_up(), ClientError::Unreachable { tried } if tried.len() == 3));
}

#[test]
fn an_election_is_waited_for_even_if_the_other_members_are_dead() {
    let mut rounds = Rounds::new(2, 0, true);
    for _ in 0..10 {
        rounds.not_now(no_leader());
        rounds.next(None);
        rounds.no_answer(unreachable(2));
        assert!(rounds.next(None));
        assert!(!rounds.nobody_is_there());
    }
    assert_eq!(rounds.give_up(), no_leader());
}

#[test]
fn a_change_that_may_have_been_made_is_not_forgotten_over_later_answers() {
    for changes in [true, false] {
        let mut rounds = Rounds::new(1, 0, changes);
        rounds.no_answer(late(1));
        rounds.next(None);
        rounds.not_now(no_leader());
        rounds.next(None);
        let maybe_done = matches!(rounds.give_up(), ClientError::Timeout { maybe_done: true, .. });
        assert_eq!(maybe_done, changes);
    }
}

#[test]
fn the_leader_is_asked_next_unless_it_is_the_one_that_declined() {
    let mut rounds = Rounds::new(3, 0, false);
    rounds.next(Some(2));
    assert_eq!(rounds.turn(), 2);
    rounds.next(Some(2));
    assert_eq!(rounds.turn(), 0);
}

fn alive(leader: Option<&str>) -> Follow {
    Follow::Alive { plan: None, quorum_age_ms: Some(7), leader: leader.map(|name| name.parse().unwrap()) }
}

#[test]
fn messages_come_out_as_they_went_in_however_the_bytes_are_cut() {
    let sent = [alive(None), alive(Some("eu-west")), alive(Some("us-east"))];
    let bytes: Vec<u8> = sent.iter().flat_map(|m| frame::encode(m).unwrap()).collect();
    for size in 1..bytes.len() {
        let mut decoder = frame::Decoder::default();
        let mut got = vec![];
        for chunk in bytes.chunks(size) {
            decoder.push(chunk);
            while let Some(message) = decoder.take().unwrap() {
                got.push(message);
            }
        }
        assert_eq!(got, sent, "in pieces of {size}");
    }
}

#[test]
fn a_message_that_is_not_understood_costs_only_itself_and_an_oversized_one_is_never_held() {
    let mut decoder = frame::Decoder::default();
    decoder.push(&[0, 0, 0, 3]);
    decoder.push(b"???");
    decoder.push(&frame::encode(&alive(None)).unwrap());
    assert!(matches!(decoder.take(), Err(frame::FrameError::Undecodable(_))));
    assert_eq!(decoder.take(), Ok(Some(alive(None))));
    decoder.push(&u32::MAX.to_be_bytes());
    assert_eq!(decoder.take(), Err(frame::FrameError::TooLong(u32::MAX as usize)));
}

#[test]
fn endpoints_are_read_in_three_forms() {
    let plain: Endpoint = "127.0.1.1:9700".parse().unwrap();
    assert_eq!("https://127.0.1.1:9700/".parse(), Ok(plain.clone()));
    let named: Endpoint = "eu-west=127.0.1.1:9700".parse().unwrap();
    assert_eq!((named.name.unwrap().as_str(), named.addr), ("eu-west", plain.addr));
    for wrong in ["", "eu-west", "EU=127.0.1.1:9700", "http://127.0.1.1:9700", "127.0.1.1"] {
        assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
    }
}
