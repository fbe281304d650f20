//! Numbers of things, in words.

/// `1 file`, `2 files`; for nouns that take an s.
pub fn count(n: impl TryInto<u64>, noun: &str) -> String {
    match n.try_into() {
        Ok(1) => format!("1 {noun}"),
        Ok(n) => format!("{n} {noun}s"),
        Err(_) => format!("many {noun}s"), // no number of ours is that large
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(0_u8, "file"), "0 files");
        assert_eq!(count(1_usize, "file"), "1 file");
        assert_eq!(count(2_u64, "file"), "2 files");
    }
}
