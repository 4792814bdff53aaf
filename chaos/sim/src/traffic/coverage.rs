//! What the simulation of traffic can meet.

use crate::coverage::meetings;

meetings! {
    "worlds" {
        Ewma "worlds balanced by peak-EWMA",
        RoundRobin "worlds balanced in turn",
        LeastConnections "worlds balanced by what is under way",
        IpHash "worlds balanced by the client's address",
        Rendezvous "worlds balanced by a hash with a bound",
    }
    "clients" {
        Cookies "requests with a cookie",
        CookiesKept "requests that went to the slot of their cookie",
        CookiesMoved "requests whose slot could not be used",
        Forged "cookies that nobody signed",
        Endless "answers that do not end",
    }
    "requests" {
        Requests "requests",
        Streams "answers that take their time after the first byte",
        Cancelled "clients that went away",
        Retries "requests sent again",
        RetriesRefused "retries that the budget refused",
        TimedOut "requests without a first byte in time",
        Failed "requests that failed",
    }
    "workers" {
        Slow "workers that answer after 5 s",
        Failing "workers that fail half of the time",
        Hanging "workers that hang",
        Dead "workers that refuse connections",
        Refusing "workers that have too much to do",
        BuggyRoutes "routes that fail everywhere",
        HangingRoutes "routes that hang everywhere",
        Unready "workers whose health check fails",
        Replaced "workers replaced by new lives",
        Added "workers that came in addition",
        Left "workers that left for good",
        Bursts "bursts",
    }
    "protection" {
        EjectedBroken "members ejected for broken connections",
        EjectedFailing "members ejected for their success rate",
        Probes "probes",
        FailedProbes "probes that failed",
        Readmitted "members that came back",
        Panics "times of panic",
    }
    "breakers" {
        Upstreams "upstreams with a breaker",
        UpstreamOpened "times that a breaker opened",
        UpstreamRefused "requests that a breaker refused",
        UpstreamProbes "probes of an upstream",
        UpstreamBack "ramps that were kept",
    }
}

/// How often each thing was met.
pub(crate) type Coverage = crate::Coverage<Met>;
