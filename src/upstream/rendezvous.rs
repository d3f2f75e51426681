//! Weighted rendezvous hashing, pure: which upstream, and which key there, a session belongs to.

/// Weighted rendezvous hashing: each session ranks all of them; the share of first places follows the weights, and
/// when one goes, only its own sessions move.
pub(super) fn score(session: u64, seed: u64, weight: f64) -> f64 {
    // The finalizer of SplitMix64 mixes both numbers.
    let mut mixed = session ^ seed.rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    weight / -uniform.ln()
}
