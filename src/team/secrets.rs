//! What is made by chance: the texts of tokens, of which digests are kept, and ids.

use super::asked::Failure;
use gateway_core::both;
use gateway_core::team::text;
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::{Transaction, params};

/// Keeps what is kept of the text of a token.
pub(super) fn add(file: &Transaction<'_>, id: &str, token: &str, now_ms: i64) -> Result<(), Failure> {
    let digest =
        text::digest(token.as_bytes()).ok_or_else(|| both!("a token that was made is none", "生成的令牌无效"))?;
    let sql = "INSERT INTO secrets (digest, token_id, created_ms) VALUES (?, ?, ?)";
    file.execute(sql, params![digest, id, now_ms])?;
    Ok(())
}

/// An id, such as `tok_8c1f0a2b6d3e4f5a`: no secret, but nothing to count by either.
pub(super) fn new_id(kind: &str) -> Result<String, Failure> {
    let [a, b, c, d, e, f, g, h, ..] = random()?;
    Ok(format!("{kind}_{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h])))
}

/// So many random bits as a token has.
pub(super) fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| both!("the system gives no random bytes", "系统没有提供随机数"))?;
    Ok(bytes)
}
