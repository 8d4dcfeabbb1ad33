//! Where in a log to begin: `--from` and `--before`, as people write places.

use std::time::{Duration, SystemTime};

use kolk_client::admin::Admin;
use kolk_client::answer::OffsetPlace;
use kolk_model::ids::PartitionId;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::CtlError;

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first record that is there.
    Beginning,
    /// Behind the last one.
    End,
    /// This offset.
    Offset(Offset),
    /// So many records before the end.
    Back(u64),
    /// The first record that is not older.
    Time(TimestampMs),
    /// The first record that is not older than so long ago.
    Ago(Duration),
}

/// What is no place. The user's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no place in a log: beginning, end, an offset (42), the last records (-10), a time \
     (2026-11-23T08:00:00Z, 2026-11-23, @1700000000000) or an age (15m, 2h) are"
)]
pub struct PlaceError {
    text: String,
}

impl std::str::FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let refused = || PlaceError { text: text.to_owned() };
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse::<u64>().ok()).flatten()
        };
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Some(offset) = number(text).and_then(|n| Offset::from_wire(i64::try_from(n).ok()?)) {
            return Ok(Self::Offset(offset));
        }
        if let Some(count) = text.strip_prefix('-').and_then(number) {
            return Ok(Self::Back(count));
        }
        if let Some(ms) = text.strip_prefix('@') {
            let ms = number(ms).and_then(|ms| i64::try_from(ms).ok()).ok_or_else(refused)?;
            return Ok(Self::Time(TimestampMs::new(ms)));
        }
        if let Ok(age) = humantime::parse_duration(text) {
            return Ok(Self::Ago(age));
        }
        let long = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let time = humantime::parse_rfc3339_weak(&long).map_err(|_| refused())?;
        Ok(Self::Time(timestamp(time)))
    }
}

/// The offset of a place in each partition. One that no record is as new as is the end.
pub(crate) async fn resolve(
    admin: &Admin,
    topic: &str,
    partitions: &[PartitionId],
    place: Place,
) -> Result<Vec<Offset>, CtlError> {
    let asked = match place {
        Place::Offset(offset) => return Ok(vec![offset; partitions.len()]),
        Place::Beginning => OffsetPlace::Beginning,
        Place::End | Place::Back(_) => OffsetPlace::End,
        Place::Time(time) => OffsetPlace::At(time),
        Place::Ago(age) => {
            let time = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
            OffsetPlace::At(timestamp(time))
        }
    };
    let ends = list(admin, topic, partitions, OffsetPlace::End).await?;
    let found = list(admin, topic, partitions, asked).await?;
    let mut offsets: Vec<Offset> =
        found.iter().zip(&ends).map(|(found, end)| found.or(*end).unwrap_or_default()).collect();
    if let Place::Back(count) = place {
        let begins = list(admin, topic, partitions, OffsetPlace::Beginning).await?;
        for (offset, begin) in offsets.iter_mut().zip(begins) {
            *offset = offset.saturating_back(count).max(begin.unwrap_or_default());
        }
    }
    Ok(offsets)
}

async fn list(
    admin: &Admin,
    topic: &str,
    partitions: &[PartitionId],
    place: OffsetPlace,
) -> Result<Vec<Option<Offset>>, CtlError> {
    let queries: Vec<_> = partitions.iter().map(|partition| (*partition, place)).collect();
    let listed = admin.list_offsets(topic, &queries).await?;
    Ok(listed.into_iter().map(|listed| listed.offset).collect())
}

/// A time of the clock as records carry it.
pub(crate) fn timestamp(time: SystemTime) -> TimestampMs {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    TimestampMs::new(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Place) {
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }

    #[test]
    fn places_read_as_people_write_them() {
        check("beginning", Place::Beginning);
        check("end", Place::End);
        check("0", Place::Offset(Offset::ZERO));
        check("9223372036854775807", Place::Offset(Offset::MAX));
        check("-10", Place::Back(10));
        check("@1700000000000", Place::Time(TimestampMs::new(1_700_000_000_000)));
        let noon = Place::Time(TimestampMs::new(1_795_435_200_000));
        for text in ["2026-11-23T12:00:00Z", "2026-11-23 12:00:00", "2026-11-23T12:00:00.000Z"] {
            check(text, noon);
        }
        check("1970-01-02", Place::Time(TimestampMs::new(86_400_000)));
        check("15m", Place::Ago(Duration::from_secs(900)));
        check("1h 30m", Place::Ago(Duration::from_secs(5_400)));
    }

    #[test]
    fn what_is_no_place_is_refused_with_examples() {
        for bad in ["", "start", "-", "--1", "@", "@x", "1.5", "2026-13-01", "9223372036854775808"]
        {
            let refused = bad.parse::<Place>().unwrap_err();
            assert!(refused.to_string().contains("beginning"), "{bad}");
        }
    }
}
