//! Sizes as people read them on the wire: one decimal, 1024 steps.

/// `0` → `0.0 B`, `1126` → `1.1 KB`, up to `PB` (contract, section 1).
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal only")]
    let mut value = bytes as f64;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::human_size;

    #[test]
    fn sizes_have_one_decimal_and_1024_steps() {
        for (bytes, text) in [
            (0, "0.0 B"),
            (1023, "1023.0 B"),
            (1024, "1.0 KB"),
            (1126, "1.1 KB"),
            (1 << 30, "1.0 GB"),
            (1 << 50, "1.0 PB"),
            (1 << 62, "4096.0 PB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }
}
