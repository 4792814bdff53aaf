//! Who is drawn. The number that is drawn comes from outside, with the query: nothing here is random, so that an explanation can
//! be given for any draw, and A, AAAA and the hints of HTTPS agree if they are asked with one.

/// A number below `total`, each as often as another one; 0 if there is none. `salt` makes several draws out of one number.
pub(crate) fn point(draw: u64, salt: u32, total: u64) -> u64 {
    // Of weights up to 1000 of up to 64 members there are too few for the product to overflow.
    let salted = draw.wrapping_add(u64::from(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    ((mixed(salted) >> 32) * total) >> 32
}

/// The last step of splitmix64: draws that differ in one bit differ in half of them afterwards.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
