//! Answers of the HTTP API (`/api/v1`), read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Series;

/// The frame of every answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame<T> {
    /// `success` or `error`.
    pub status: String,
    /// What was asked for.
    pub data: Option<T>,
    /// `bad_data`, `timeout`, `execution` and others.
    #[serde(default)]
    pub error_type: String,
    /// In words.
    #[serde(default)]
    pub error: String,
}

/// The data of a query.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Outcome {
    /// A value for each series.
    Vector(Vec<Instant>),
    /// Values for each series.
    Matrix(Vec<Range>),
}

/// A series with one value.
#[derive(Debug, Deserialize)]
pub struct Instant {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// A series with values.
#[derive(Debug, Deserialize)]
pub struct Range {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Outcome {
    /// The series.
    pub fn into_series(self) -> Vec<Series> {
        match self {
            Outcome::Vector(all) => all
                .into_iter()
                .map(|one| Series {
                    labels: one.metric,
                    points: vec![point(&one.value)],
                })
                .collect(),
            Outcome::Matrix(all) => all
                .into_iter()
                .map(|one| Series {
                    labels: one.metric,
                    points: one.values.iter().map(point).collect(),
                })
                .collect(),
        }
    }
}

/// Times are rounded to seconds: questions are asked a millisecond before one. Values are strings since JSON has no `NaN`; what can not be read is one too.
fn point((at, value): &(f64, String)) -> (i64, f64) {
    #[allow(clippy::cast_possible_truncation)]
    let at = at.round() as i64;
    (at, value.parse().unwrap_or(f64::NAN))
}

/// Reads an answer; `None` where it is none of this API.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Option<Frame<T>> {
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_matrices_and_errors_are_read() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[12.0,"NaN"]}]},"warnings":["x"]}"#;
        let series = read::<Outcome>(body).unwrap().data.unwrap().into_series();
        assert_eq!(series[0].labels["a"], "b");
        assert!(series[0].points[0].0 == 12 && series[0].points[0].1.is_nan());
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[3.001,"+Inf"]]}]}}"#;
        let series = read::<Outcome>(body).unwrap().data.unwrap().into_series();
        assert_eq!(series[0].points, [(1, 2.0), (3, f64::INFINITY)]);
        let frame = read::<Outcome>(br#"{"status":"error","errorType":"bad_data","error":"no"}"#).unwrap();
        assert_eq!(
            (frame.error_type.as_str(), frame.error.as_str(), frame.data.is_none()),
            ("bad_data", "no", true)
        );
        assert!(read::<Outcome>(b"<html>").is_none());
    }
}
