//! Explanations say what answers do.

use expect_test::{Expect, expect};
use model::OverrideAction;

use super::world::*;
use crate::{Rtype, View, explain};

fn check(view: &View, name: &str, client: &str, rtype: Rtype, want: &Expect) {
    let told = explain(view, name, client.parse().unwrap(), rtype).unwrap();
    let line = if client.contains(':') { format!("{client}/128") } else { format!("{client}/32") };
    let packet = ask(view, &format!("{name} {rtype} ecs={line}")).1;
    let read = hickory_proto::op::Message::from_vec(&packet).unwrap();
    let data: Vec<_> = read.answers.iter().map(|r| r.data.to_string()).collect();
    let all: Vec<_> = told.aliases.iter().chain(&told.answers).cloned().collect();
    assert_eq!(all, data, "what is told is what is answered");
    want.assert_eq(&format!("{}\n", serde_json::to_string_pretty(&told).unwrap()));
}

#[test]
fn a_steered_answer_is_explained_member_by_member() {
    let mut plan = plan();
    down(&mut plan, "eu-west");
    set_override(&mut plan, "ap-south", OverrideAction::Down);
    check(
        &view(&plan),
        "www.shop.test",
        "5.1.1.1",
        Rtype::A,
        &expect![[r#"
            {
              "name": "www.shop.test",
              "rtype": "A",
              "client": "5.1.1.1",
              "server_region": "us-east",
              "plan": "abc:42",
              "rcode": "NOERROR",
              "zone": "shop.test",
              "matched": "a steered name",
              "aliases": [],
              "answers": [
                "198.51.100.1"
              ],
              "ttl": {
                "value": 2,
                "reason": "the earliest moment at which probes could change a member that was looked at"
              },
              "scope": {
                "value": 0,
                "reason": "every place leads to this answer at present"
              },
              "place": {
                "country": "DE",
                "subdivision": null,
                "city": "Berlin",
                "latitude": 52.5,
                "longitude": 13.37,
                "asn": null,
                "lists": [],
                "network": "5.0.0.0/9",
                "source": "the embedded country table",
                "reason": "the embedded country table"
              },
              "steering": {
                "pool": "web",
                "policy": "nearest",
                "take": 1,
                "basis": "members that serve",
                "steps": [
                  {
                    "step": "nearest",
                    "pool": "web",
                    "reason": "eu-west 1315 km, ap-south 6288 km, us-east 6726 km"
                  }
                ],
                "members": [
                  {
                    "region": "eu-west",
                    "address": "198.51.100.2",
                    "distance_km": 1315.0,
                    "standing": "down",
                    "share_permille": 0,
                    "stands_by": false,
                    "named": false,
                    "reason": "left out: the quorum's verdict is down"
                  },
                  {
                    "region": "ap-south",
                    "address": "198.51.100.3",
                    "distance_km": 6288.0,
                    "standing": "override down",
                    "share_permille": 0,
                    "stands_by": false,
                    "named": false,
                    "reason": "left out: an override takes it out"
                  },
                  {
                    "region": "us-east",
                    "address": "198.51.100.1",
                    "distance_km": 6726.0,
                    "standing": "up",
                    "share_permille": 1000,
                    "stands_by": false,
                    "named": true,
                    "reason": "named: among the nearest that serve"
                  }
                ]
              }
            }
        "#]],
    );
}

#[test]
fn a_demotion_is_explained() {
    let view = view_with(&plan(), "us-east", "eu-west");
    check(
        &view,
        "www.shop.test",
        "2a00::1",
        Rtype::AAAA,
        &expect![[r#"
            {
              "name": "www.shop.test",
              "rtype": "AAAA",
              "client": "2a00::1",
              "server_region": "us-east",
              "plan": "abc:42",
              "rcode": "NOERROR",
              "zone": "shop.test",
              "matched": "a steered name",
              "aliases": [],
              "answers": [
                "2001:db8:1::1"
              ],
              "ttl": {
                "value": 2,
                "reason": "the earliest moment at which probes could change a member that was looked at"
              },
              "scope": {
                "value": 0,
                "reason": "every place leads to this answer at present"
              },
              "place": {
                "country": "DE",
                "subdivision": null,
                "city": "Berlin",
                "latitude": 52.5,
                "longitude": 13.37,
                "asn": null,
                "lists": [],
                "network": "2a00::/16",
                "source": "the embedded country table",
                "reason": "the embedded country table"
              },
              "steering": {
                "pool": "web",
                "policy": "nearest",
                "take": 1,
                "basis": "members that serve",
                "steps": [
                  {
                    "step": "nearest",
                    "pool": "web",
                    "reason": "eu-west 1315 km, ap-south 6288 km, us-east 6726 km"
                  }
                ],
                "members": [
                  {
                    "region": "eu-west",
                    "address": "2001:db8:2::1",
                    "distance_km": 1315.0,
                    "standing": "demoted",
                    "share_permille": 1000,
                    "stands_by": false,
                    "named": false,
                    "reason": "left out: this server hears no plane, and its own region's probes see it down"
                  },
                  {
                    "region": "ap-south",
                    "address": null,
                    "distance_km": 6288.0,
                    "standing": "up",
                    "share_permille": 1000,
                    "stands_by": false,
                    "named": false,
                    "reason": "left out: it has no AAAA address"
                  },
                  {
                    "region": "us-east",
                    "address": "2001:db8:1::1",
                    "distance_km": 6726.0,
                    "standing": "up",
                    "share_permille": 1000,
                    "stands_by": false,
                    "named": true,
                    "reason": "named: among the nearest that serve"
                  }
                ]
              }
            }
        "#]],
    );
}

#[test]
fn what_is_not_steered_is_explained_too() {
    let view = view(&plan());
    let check = |name: &str, rtype: &str, want: &str| {
        let told = explain(&view, name, "127.0.0.1".parse().unwrap(), rtype.parse().unwrap()).unwrap();
        let ttl = told.ttl.map_or("-".to_owned(), |ttl| format!("{} {}", ttl.value, ttl.reason));
        assert_eq!(format!("{} | {} | {ttl}", told.rcode, told.matched), want, "{name}");
    };
    check("ns1.shop.test", "A", "NOERROR | a static name | 300 as the record says");
    check(
        "ns1.shop.test",
        "TXT",
        "NOERROR | a static name without TXT records | 30 the zone's TTL of negative answers",
    );
    check(
        "x.wild.shop.test",
        "TXT",
        "NOERROR | a static name, through the wildcard *.wild.shop.test | 300 as the record says",
    );
    check(
        "c.shop.test",
        "A",
        "NOERROR | a name without data between other names | 30 the zone's TTL of negative answers",
    );
    check("no.shop.test", "A", "NXDOMAIN | no such name | 30 the zone's TTL of negative answers");
    check(
        "out.shop.test",
        "A",
        "NOERROR | an alias that leads out of the zones, or in a circle | 300 as the alias says",
    );
    check("example.com", "A", "REFUSED | no zone of this world | -");
    let wrong = explain(&view, "a..b", "127.0.0.1".parse().unwrap(), Rtype::A).unwrap_err();
    assert!(wrong.to_string().starts_with("`a..b` is no domain name: "), "{wrong}");
}
