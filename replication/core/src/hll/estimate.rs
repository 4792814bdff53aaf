//! From registers to a count: the estimator of Otmar Ertl ("New cardinality estimation algorithms for HyperLogLog sketches",
//! 2017, algorithm 6), in the order of operations in which Redis evaluates it, so that the last digit agrees too.

use super::{COUNTED_BITS, REGISTERS};

/// 1 / (2 ln 2), the bias for infinitely many registers.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// `histogram[v]` registers hold `v`.
pub(super) fn count(histogram: &[u32; 64]) -> u64 {
    let m = REGISTERS as f64;
    let top = COUNTED_BITS as usize;
    let mut z = m * tau((m - f64::from(histogram[top + 1])) / m);
    for value in (1..=top).rev() {
        z = (z + f64::from(histogram[value])) * 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (ALPHA * m * m / z).round() as u64
}

/// x + Σ x^(2^k) 2^(k-1): what registers at zero stand for.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// (1 − x − Σ (1 − x^(2^-k))² 2^-k) / 3: what registers at the top stand for.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
