//! What an answer says about its worker, for the balancer and the breaker. Pure.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use traffic::Outcome;

/// Of an answer's head.
pub(crate) fn of_answer(status: StatusCode, headers: &HeaderMap, grpc: bool) -> Outcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Outcome::Refused { retry_after: retry_after(headers) }
        }
        _ if status.is_server_error() => Outcome::AppError,
        // An answer without messages has its gRPC status in the head.
        _ if grpc && headers.contains_key("grpc-status") => of_grpc(headers),
        _ => Outcome::Ok,
    }
}

/// Of the fields at the end of a gRPC answer. A missing or strange status is the caller's to judge.
pub(crate) fn of_grpc(fields: &HeaderMap) -> Outcome {
    match fields.get("grpc-status").map_or(&b""[..], |status| status.as_bytes()) {
        // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, DATA_LOSS.
        b"2" | b"4" | b"13" | b"15" => Outcome::AppError,
        // RESOURCE_EXHAUSTED, UNAVAILABLE.
        b"8" | b"14" => Outcome::Refused { retry_after: None },
        _ => Outcome::Ok,
    }
}

/// `Retry-After` in seconds; a date counts as not said.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, fields: &[(&'static str, &str)], grpc: bool, expected: Outcome) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        assert_eq!(of_answer(StatusCode::from_u16(status).unwrap(), &headers, grpc), expected, "{status} {fields:?}");
    }

    #[test]
    fn an_answer_says_how_its_worker_is() {
        check(200, &[], false, Outcome::Ok);
        check(404, &[], false, Outcome::Ok);
        check(500, &[], false, Outcome::AppError);
        check(502, &[], false, Outcome::AppError);
        check(503, &[], false, Outcome::Refused { retry_after: None });
        check(429, &[("retry-after", "7")], false, Outcome::Refused { retry_after: Some(Duration::from_secs(7)) });
        check(503, &[("retry-after", "Thu, 01 Dec 2044 16:00:00 GMT")], false, Outcome::Refused { retry_after: None });
        check(200, &[("grpc-status", "14")], true, Outcome::Refused { retry_after: None });
        check(200, &[("grpc-status", "13")], true, Outcome::AppError);
        check(200, &[("grpc-status", "5")], true, Outcome::Ok);
        check(200, &[("grpc-status", "14")], false, Outcome::Ok);
    }
}
