//! Whole objects over HTTP: tags, conditions, dry runs, retries, referrers; and that the document tells of what is served.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use plane_client::{
    Answer, Call, ChannelOptions, Credentials, Transport,
    api::{apps::APPS, path},
};
use serde_json::{Value, json};

use crate::trio::Trio;

const WITHIN: Duration = Duration::from_secs(15);
const WHY: &str = "reason=a+test&who=ops";

/// Somebody with the token, at one member.
pub(crate) struct Person<'t> {
    trio: &'t Trio,
    seat: usize,
    transport: Transport,
}

impl<'t> Person<'t> {
    pub(crate) fn at(trio: &'t Trio, seat: usize) -> Self {
        let credentials = Credentials::Token { ca: trio.ca.ca_pem_path(), token: trio.token.clone() };
        Self { trio, seat, transport: Transport::new(&credentials, ChannelOptions::default()).expect("a transport") }
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Value,
    ) -> Answer {
        let mut call = Call::new(method, path);
        if !body.is_null() {
            call = call.body("application/json", body.to_string());
        }
        for (name, value) in headers {
            call = call.header(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"));
        }
        self.transport.call(&self.trio.endpoint(self.seat), &call, WITHIN).await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], Value::Null).await
    }
}

pub(crate) fn body_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).unwrap_or_else(|| panic!("no {name}: {answer:?}")).to_str().expect("text").to_owned()
}

fn check(answer: &Answer, status: u16, error: &str, what: &str) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let told = body.get("error").and_then(Value::as_str).unwrap_or_default();
    assert_eq!((answer.status.as_u16(), told), (status, error), "{what}: {body}");
}

async fn objects_live(trio: &Trio) {
    let person = Person::at(trio, 0);
    let other = Person::at(trio, trio.running().len() - 1);
    let at = |query: &str| format!("/v1/checks/second?{WHY}{query}");
    let new = json!({ "kind": "tcp" });
    let put = async |headers: &[(&'static str, &str)], query: &str, body: &Value| {
        person.ask(Method::PUT, &at(query), headers, body.clone()).await
    };

    check(&person.get("/v1/checks/second").await, 404, "not_found", "not there yet");
    check(&put(&[], "", &new).await, 428, "unconditional", "it does not say what it was made from");
    check(&put(&[("if-match", "*")], "", &new).await, 412, "changed", "there is nothing to replace");
    let tried = put(&[("if-none-match", "*")], "&dry_run=1", &new).await;
    check(&tried, 200, "", "a dry run");
    let tried = body_of(&tried);
    assert_eq!((&tried["changes"], &tried["refused"]), (&json!(true), &Value::Null), "{tried}");
    assert!(tried["diff"]["groups"].to_string().contains("second"), "the diff names it: {tried}");
    check(&other.get("/v1/checks/second").await, 404, "not_found", "a dry run changes nothing");

    let made = put(&[("if-none-match", "*")], "", &new).await;
    check(&made, 200, "", "made");
    let tag = header(&made, "etag");
    let seen = other.get("/v1/checks/second").await;
    assert_eq!((seen.status, header(&seen, "etag")), (StatusCode::OK, tag.clone()), "seen at another member at once");
    let same = person.ask(Method::GET, "/v1/checks/second", &[("if-none-match", &tag)], Value::Null).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    check(&put(&[("if-none-match", "*")], "", &new).await, 412, "changed", "it is there");

    let mut wanted = body_of(&seen);
    wanted["interval_ms"] = json!(2000);
    let id = "00112233445566778899aabbccddeeff";
    let from = [("if-match", tag.as_str()), ("x-request-id", id)];
    let first = put(&from, "", &wanted).await;
    check(&first, 200, "", "changed");
    assert_eq!(header(&first, "x-request-id"), id);
    let again = put(&from, "", &wanted).await;
    check(&again, 200, "", "a repeated request is answered, though its tag is old by its own work");
    assert_eq!(body_of(&first), body_of(&again));
    check(&put(&[("if-match", &tag)], "", &new).await, 412, "changed", "another request with the old tag");
    wanted["no_such_key"] = json!(1);
    check(&put(&[("if-match", "*")], "", &wanted).await, 400, "invalid", "an unknown key");
    wanted = json!({ "kind": "tcp", "interval_ms": 1 });
    check(&put(&[("if-match", "*")], "", &wanted).await, 409, "refused", "a World that is not valid");

    let unsigned = person.ask(Method::DELETE, "/v1/checks/second", &[("if-match", "*")], Value::Null).await;
    check(&unsigned, 400, "invalid", "no reason");
    let gone = person.ask(Method::DELETE, &at(""), &[("if-match", "*")], Value::Null).await;
    check(&gone, 200, "", "removed");
    check(&other.get("/v1/checks/second").await, 404, "not_found", "removed everywhere");

    let list = body_of(&person.get("/v1/pools").await);
    assert_eq!(list["items"][0]["name"], "web");
    let path = format!("/v1/pools/web?{WHY}");
    let held = person.ask(Method::DELETE, &path, &[("if-match", "*")], Value::Null).await;
    check(&held, 409, "refused", "names refer to it");
    assert_eq!(body_of(&held)["referrers"], json!(["name www.shop.test", "name shop.test", "name pay.shop.test"]));

    let world = person.get(path::WORLD).await;
    let tag = header(&world, "etag");
    let mut wanted = body_of(&world);
    wanted["name"] = json!("renamed");
    let path = format!("{}?{WHY}", path::WORLD);
    let put = async |tag: &str| person.ask(Method::PUT, &path, &[("if-match", tag)], wanted.clone()).await;
    check(&put("\"0\"").await, 412, "changed", "another World");
    check(&put(&tag).await, 200, "", "the whole World");
    let policy = person.ask(Method::DELETE, &format!("/v1/automation?{WHY}"), &[("if-match", "*")], Value::Null).await;
    check(&policy, 200, "", "what is as by default may be made so");
    assert_eq!(body_of(&policy)["changed"], json!(false));
}

#[tokio::test]
async fn objects_live_with_their_tags_on_one_member() {
    objects_live(&Trio::solo().await).await;
}

#[tokio::test]
async fn objects_live_with_their_tags_on_three_members_whoever_is_asked() {
    objects_live(&Trio::founded().await).await;
}

#[tokio::test]
async fn without_a_quorum_nothing_is_called_absent_and_the_answer_says_when_to_ask_again() {
    let mut trio = Trio::founded().await;
    for seat in 1..3 {
        trio.kill(seat);
    }
    let person = Person::at(&trio, 0);
    let absent = person.get("/v1/pools/nothing").await;
    check(&absent, 503, "no_quorum", "nobody knows");
    assert_eq!(header(&absent, "retry-after"), "1");
    check(&person.get("/v1/pools/web?stale=1").await, 200, "", "what this member knows");
}

#[tokio::test]
async fn the_document_tells_of_what_is_served() {
    let trio = Trio::solo().await;
    let person = Person::at(&trio, 0);
    let document = body_of(&person.get(path::OPENAPI).await);
    assert_eq!(document["openapi"], "3.1.0");
    let endless = [path::FOLLOW, path::EVENTS];
    // The region's own routes, which a member alone does not have.
    let elsewhere = |path: &str| [path::STATE, path::EXPLAIN_DNS].contains(&path) || path.starts_with(APPS);
    let paths = document["paths"].as_object().expect("paths");
    for (path, operations) in paths.iter().filter(|(p, _)| !endless.contains(&p.as_str()) && !elsewhere(p)) {
        for method in operations.as_object().expect("operations").keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let address = path.replace(['{', '}'], "");
            let answer = person.ask(method.clone(), &address, &[], Value::Null).await;
            let said = String::from_utf8_lossy(&answer.body);
            assert!(
                !said.contains("path in this API") && !said.contains("does not take this method"),
                "{method} {path}"
            );
        }
    }
}
