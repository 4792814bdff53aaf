//! What queueing theory says of mean times in the system, where it has closed formulas. Rates are per second, times in seconds.
//!
//! | policy | reference |
//! |---|---|
//! | a uniform hash | each worker is M/M/1 |
//! | in turn | each worker is E_k/M/1: every kth arrival is its |
//! | least connections, peak-EWMA | between M/M/c (one queue for all) and what in turn comes to |

/// M/M/1: 1/(μ−λ).
pub fn mm1(arrivals: f64, service: f64) -> f64 {
    1.0 / (service - arrivals)
}

/// E_k/M/1 with `arrivals` at this worker, each the sum of `stages` exponential times: 1/(μ(1−σ)), where σ is the root in 0..1 of
/// σ = A*(μ(1−σ)) and A* the Laplace transform of the times between arrivals (Kleinrock, Queueing Systems I, 6.4).
pub fn erlang_m1(arrivals: f64, service: f64, stages: u32) -> f64 {
    let stage = arrivals * f64::from(stages);
    let mut root = 0.5;
    for _ in 0..1_000 {
        root = (stage / (stage + service * (1.0 - root))).powi(stages as i32);
    }
    1.0 / (service * (1.0 - root))
}

/// M/M/c: 1/μ + C/(cμ−λ), with Erlang's C for the chance to wait.
pub fn mmc(arrivals: f64, service: f64, servers: u32) -> f64 {
    let (offered, count) = (arrivals / service, f64::from(servers));
    // The sum of offered^k / k!, term by term.
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 0..servers {
        sum += term;
        term *= offered / f64::from(k + 1);
    }
    let last = term * count / (count - offered);
    let waits = last / (sum + last);
    1.0 / service + waits / (count * service - arrivals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_agree_where_they_meet() {
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(near(mm1(50.0, 100.0), 0.02));
        assert!(near(mmc(50.0, 100.0, 1), mm1(50.0, 100.0)));
        assert!(near(erlang_m1(50.0, 100.0, 1), mm1(50.0, 100.0)));
        // M/M/2 at a load of 1/2: 1/μ · 1/(1−ρ²).
        assert!(near(mmc(100.0, 100.0, 2), 0.01 / 0.75));
        // Many stages are no luck at all: D/M/1 at a load of 1/2 has σ = 0.2032.
        assert!((erlang_m1(50.0, 100.0, 100_000) - 0.01 / (1.0 - 0.203_187)).abs() < 1e-5);
    }
}
