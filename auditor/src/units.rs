//! Times and sizes as people write them.

use std::time::Duration;

/// The longest time that means anything here: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86400);

/// `500ms`, `30s`, `5m`, `2h`, `1d`, or plain seconds.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.trim().parse().map_err(|_| format!("{text:?} is not a duration such as 30s or 5m"))?;
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(format!("{unit:?} is not a unit of time; use ms, s, m, h or d")),
    };
    Duration::try_from_secs_f64(number * scale)
        .ok()
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| format!("{text:?} is not a duration of zero to ten years"))
}

/// The same time as text that [`duration`] reads.
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let whole = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}

/// `100MiB`, `64k`, `1G`, `10MB`, or plain bytes. Units without `B` are powers of 1024, as logrotate has them.
///
/// # Errors
/// What is wrong with the text.
pub fn size(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.trim().parse().map_err(|_| format!("{text:?} is not a size such as 100MiB"))?;
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("{unit:?} is not a unit of size; use KiB, MiB or GiB")),
    };
    number.checked_mul(scale).ok_or_else(|| format!("{text:?} is too large"))
}

/// The same size as text that [`size`] reads.
pub fn size_text(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "s", "-1s", "5 parsecs", "nan", "inf", "1e300h", "1s2s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for text in ["1d", "36h", "90s", "250ms", "0ms"] {
            assert_eq!(duration(text).map(duration_text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("100MiB", 100 << 20), ("64k", 64 << 10), ("1G", 1 << 30), ("10MB", 10_000_000), ("7", 7)]
        {
            assert_eq!(size(text), Ok(bytes));
            assert_eq!(size(&size_text(bytes)), Ok(bytes));
        }
        for wrong in ["", "MiB", "-1", "1.5M", "1 parsec", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
