//! Sizes and times: text to value and back.

use super::*;

#[test]
fn sizes_are_read_and_printed_in_their_shortest_exact_form() -> Outcome {
    for (text, bytes, printed) in [
        ("0", 0, "0 B"),
        ("1536", 1536, "1536 B"),
        ("512 KiB", 524_288, "512 KiB"),
        ("10 MiB", 10_485_760, "10 MiB"),
        ("10MB", 10_000_000, "10 MB"),
        ("1 gib", 1_073_741_824, "1 GiB"),
        (" 1024 MiB ", 1_073_741_824, "1 GiB"),
        ("18446744073709551615", u64::MAX, "18446744073709551615 B"),
    ] {
        let size: ByteSize = text.parse()?;
        assert_eq!((size.bytes(), size.to_string()), (bytes, printed.to_owned()));
        assert_eq!(size.to_string().parse::<ByteSize>()?, size);
    }
    Ok(())
}

#[test]
fn texts_that_are_no_size_are_refused() {
    for text in [
        "",
        "MiB",
        "-1",
        "+1",
        "1.5 MiB",
        "10 M",
        "10 MiBs",
        "1_000",
        "10 MiB 5 KiB",
        "16384 PiB",
        "18446744073709551616",
    ] {
        assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
    }
}

#[test]
fn times_are_read_and_printed_in_their_largest_exact_unit() -> Outcome {
    for (text, millis, printed) in [
        ("0s", 0, "0s"),
        ("250ms", 250, "250ms"),
        ("1500 ms", 1_500, "1500ms"),
        ("30s", 30_000, "30s"),
        ("90s", 90_000, "90s"),
        ("15m", 900_000, "15m"),
        ("60m", 3_600_000, "1h"),
        ("30d", 2_592_000_000, "30d"),
    ] {
        let span: Span = text.parse()?;
        assert_eq!(span.duration(), Duration::from_millis(millis));
        assert_eq!(span.to_string(), printed);
        assert_eq!(span.to_string().parse::<Span>()?, span);
    }
    Ok(())
}

#[test]
fn texts_that_are_no_time_are_refused() {
    for text in ["", "30", "s", "-1s", "1.5h", "1h30m", "1w", "36501d", "99999999999999999999s"] {
        assert!(text.parse::<Span>().is_err(), "{text:?}");
    }
}
